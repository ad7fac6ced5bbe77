"""A bearing by its declared orders: what a data sheet prints, "bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.398".

The orders of one bearing are not independent. With n rolling elements, r = (d/D) cos(phi), outer race fixed (Randall &
Antoni 2011, Mechanical Systems and Signal Processing 25(2), 485-520; `kinematics` has the equations):

    BPFO + BPFI = n            BPFO = n FTF            FTF = (1 - r) / 2 < 1/2
    BSF = (1 - r^2) cos(phi) / (2 r) <= (1 - r^2) / (2 r)

A set that breaks one of these beyond rounding belongs to no bearing: two bearings were mixed, a number was mistyped, or
the rate at which a defect of an element strikes, 2 BSF, stands where its spin, BSF, should. Any of that would send the
search to lines that the bearing does not have, and is refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from faultdx.errors import ConfigError

_SUM = 0.02  # by which BPFO + BPFI may miss a whole number: each is rounded to two decimals
_CAGE = 0.0052  # ... and FTF its own: rounded to two decimals
_SPIN = 0.015  # share by which BSF may be above what FTF allows
_FLATTEST = 0.55  # share of that below which it cannot be: a contact angle of 57 degrees
_KEYS = ("bpfo", "bpfi", "bsf", "2bsf", "ftf")
_MOST = 500.0
_PAIR = re.compile(r"\s*([0-9A-Za-z_ ]{1,12}?)\s*[=:]\s*([^\s=:]+)\s*\Z")


@dataclass(frozen=True)
class BearingOrders:
    """A rolling-element bearing by its orders, multiples of the rate of the inner race; the outer race stands still.

    bpfo, bpfi : at which elements pass a point of the outer and of the inner race
    bsf : of the spin of an element (a defect on it strikes at twice that); ftf : of the cage

    Raises ConfigError, all problems in one message, where no bearing has these together.
    """

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float

    def __post_init__(self) -> None:
        problems = _problems(self.bpfo, self.bpfi, self.bsf, self.ftf)
        if problems:
            raise ConfigError("bearing orders: " + "; ".join(problems))

    @property
    def rolling_elements(self) -> int:
        """How many elements it has, n: BPFO + BPFI."""
        return round(self.bpfo + self.bpfi)

    def orders(self) -> dict[str, float]:
        """The order of the strikes for each fault: bpfo, bpfi, ball (2 bsf), and the cage's ftf."""
        return {"bpfo": self.bpfo, "bpfi": self.bpfi, "2bsf": 2.0 * self.bsf, "ftf": self.ftf}


def _problems(bpfo: float, bpfi: float, bsf: float, ftf: float) -> list[str]:
    named = {"bpfo": bpfo, "bpfi": bpfi, "bsf": bsf, "ftf": ftf}
    wrong = [f"{name} is {value!r}: give a number above 0" for name, value in named.items() if not 0 < value < _MOST]
    if wrong:
        return wrong
    if bpfo >= bpfi:
        return [f"bpfo {bpfo:g} is not below bpfi {bpfi:g}: were they swapped?"]
    n = round(bpfo + bpfi)
    if n < 3 or abs(bpfo + bpfi - n) > _SUM:
        return [f"bpfo + bpfi is {bpfo + bpfi:.4g}, and it is the number of elements: a whole number, 3 or more"]
    problems = []
    own = bpfo / n
    if abs(ftf - own) > _CAGE:
        why = " (of a cage behind a standing outer race it is below 0.5)" if ftf >= 0.5 else ""
        problems.append(f"ftf is {ftf:g}, and bpfo / {n} elements is {own:.4g}{why}")
    r = 1.0 - 2.0 * own
    most = (1.0 - r * r) / (2.0 * r)
    if bsf > most * (1.0 + _SPIN):
        struck = "; is it the rate of the strikes, twice that? Then name it 2bsf" if bsf < 2.2 * most else ""
        problems.append(f"bsf is {bsf:g}, and with these races it is {most:.4g} at the most{struck}")
    elif bsf < _FLATTEST * most:
        problems.append(f"bsf is {bsf:g}, too low for these races: {most:.4g} at a contact angle of 0 degrees")
    return problems


def is_declared(text: str) -> bool:
    """Tell whether `text` declares orders, whether rightly or not: something stands before an equals sign."""
    return "=" in text


def declared_orders(text: str) -> tuple[BearingOrders, str]:
    """Return the orders that `text` declares, and a note on what was computed rather than declared, "" for nothing.

    "bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.398", in any order, with commas or semicolons; 2bsf=4.714 says the same as
    bsf=2.357. ftf may be left out (bpfo over the number of elements); where bsf is, it is that of a contact angle of 0.
    Raises ConfigError for anything else, or a set that no bearing has.
    """
    given: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in re.split("[,;]", text))):
        found = _PAIR.match(part)
        key = found[1].strip().lower() if found else ""
        if found is None or key not in _KEYS or key in given:
            what = "is said twice" if key in given else f"is none of {', '.join(_KEYS)} with a number"
            raise ConfigError(
                f"bearing orders: {part[:40]!r} {what}; give them as bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.398"
            )
        try:
            given[key] = float(found[2])
        except ValueError as error:
            raise ConfigError(f"bearing orders: {part[:40]!r} has no number after its name") from error
    missing = [key for key in ("bpfo", "bpfi") if key not in given]
    if missing:
        raise ConfigError(f"bearing orders: {' and '.join(missing)} missing; the others follow from them, not these")
    if "bsf" in given and "2bsf" in given:
        raise ConfigError("bearing orders: bsf and 2bsf are one number: give one of them")
    bpfo, bpfi = given["bpfo"], given["bpfi"]
    whole = round(bpfo + bpfi) if math.isfinite(bpfo + bpfi) else 0
    own = bpfo / whole if whole else math.nan
    r = 1.0 - 2.0 * own
    flat = (1.0 - r * r) / (2.0 * r) if r > 0 else 1.0  # races that are refused need no spin
    note = "" if {"bsf", "2bsf"} & set(given) else f"bsf was not declared: {flat:.4g}, of a contact angle of 0 degrees"
    spin = given.get("bsf", given["2bsf"] / 2.0 if "2bsf" in given else flat)
    return BearingOrders(bpfo, bpfi, spin, given.get("ftf", own if own > 0 else 1.0)), note
