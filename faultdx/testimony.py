"""Record + bearing -> what the spectrum says of that bearing: the witness that needs no training.

`signals/witness.py` has the physics of one channel; here it is asked for every channel of a record, with the bearing
that somebody named and the speed that somebody stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.bearings import bearing as in_catalogue
from faultdx.signals.declared import BearingOrders, declared_orders, is_declared
from faultdx.signals.kinematics import BearingGeometry
from faultdx.signals.quality import Check
from faultdx.signals.shaft import SEARCH
from faultdx.signals.witness import DAMAGED, Witness, assess_bearing

PLACES = ("outer_race", "inner_race", "ball")
HINT = DAMAGED / 2  # score from which lines too weak for a verdict count beside another witness
_WEIGHT = {"located": 3, "damaged": 2, "no_evidence": 1, "not_assessable": 0}


@dataclass(frozen=True)
class KnownBearing:
    """A bearing by its geometry, or by the orders that were declared of it.

    name : as it was asked for; source : of the numbers; note : what to beware of, or ""
    """

    name: str
    geometry: BearingGeometry | BearingOrders
    source: str
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: geometry (null where its orders were declared), and the orders of its lines."""
        g = self.geometry
        lengths = g if isinstance(g, BearingGeometry) else None
        return {
            "name": show(self.name),
            "elements": g.rolling_elements,
            "element_diameter": lengths and lengths.ball_diameter,
            "pitch_diameter": lengths and lengths.pitch_diameter,
            "contact_angle_deg": lengths and lengths.contact_angle_deg,
            "declared": lengths is None,
            "orders": g.orders(),
            "source": show(self.source),
        }


def known_bearing(text: str) -> KnownBearing:
    """Return the bearing that `text` names: "6205-2RS JEM", or its geometry "9,7.94,39.04" (number of elements, their
    diameter, pitch diameter in one unit), with the contact angle in degrees as a fourth number where it is not 0, or
    its orders, "bpfo=3.585,bpfi=5.415,bsf=2.357,ftf=0.398" (`faultdx.signals.declared`).

    Raises ConfigError: not in the catalogue, ambiguous there, orders that contradict each other, or no bearing at all.
    """
    if is_declared(text):
        orders, note = declared_orders(text)
        return KnownBearing(text, orders, "orders as declared", note)
    parts = [part.strip() for part in text.split(",")]
    if len(parts) in (3, 4):
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if numbers:
            if not (3 <= numbers[0] <= 1000 and numbers[0].is_integer()):
                raise ConfigError(f"bearing {show(text)!r}: the number of elements comes first: 3 or more")
            geometry = BearingGeometry(int(numbers[0]), *numbers[1:])
            return KnownBearing(text, geometry, "geometry as given")
    found = in_catalogue(text)
    return KnownBearing(found.name, found.geometry, found.source, found.note)


@dataclass(frozen=True)
class Testimony:
    """What a record says of a bearing: the Witness of the channel that says most, or why none was heard.

    obstacle : None where a witness was heard; notes : a sentence each
    offer : what the spectrum suggests of a speed that nobody stated (`faultdx.unstated`); else empty
    """

    witness: Witness | None = None
    channel: str = ""
    bearing: KnownBearing | None = None
    obstacle: Check | None = None
    notes: tuple[str, ...] = ()
    offer: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON values, for the evidence of a diagnosis."""
        if self.witness is None or self.bearing is None:
            return {}
        return {"channel": show(self.channel), "bearing": self.bearing.to_dict(), **self.witness.to_dict()}


def hear(
    record: Record,
    bearing: KnownBearing | None,
    *,
    checks: Sequence[Check] = (),
    assess: Callable[..., Witness] = assess_bearing,
) -> Testimony:
    """Return what `record` says of `bearing`, or, where that is None, of the one that its table or the catalogue names.

    checks : those that fired on the signal: where one says that the speed is not the stated one, and no comb confirms a
    speed near that, nothing can be placed
    assess : who looks at a channel: the physics alone, or what takes the same and gives a Witness, too
    Never raises for a record.
    """
    if bearing is None:
        named = record.details.get("bearing", "")
        if not named:
            return _none("bearing", "the bearing is not known: --bearing, or the column bearing of a records table")
        try:
            bearing = known_bearing(named)
        except ConfigError as error:
            return _none("bearing", str(error))
    if record.rpm is None:
        from faultdx.unstated import sentence, speed_offer

        offer = speed_offer(record, bearing.geometry)
        missing = f"its shaft speed is not known: --rpm, or the column rpm of a records table; {sentence(offer)}"
        return replace(_none("speed", missing), bearing=bearing, offer=offer)
    heard = [
        (name, assess(row, sampling_rate_hz=record.sampling_rate_hz, rpm=record.rpm, bearing=bearing.geometry))
        for name, row in zip(record.channels, record.signal, strict=True)
    ]
    channel, witness = max(heard, key=lambda found: (_WEIGHT[found[1].verdict], _deepest(found[1])))
    doubted = next((c for c in checks if c.name == "speed"), None)
    if doubted is not None and witness.speed is not None and _is_elsewhere(doubted, confirmed=witness.speed.confirmed):
        reasons = (f"its speed is in doubt: {doubted.message}",)
        witness = replace(witness, verdict="not_assessable", place=None, reasons=reasons)
    notes = (f"bearing {bearing.name}: {bearing.note}",) if bearing.note else ()
    return Testimony(witness, channel, bearing, None, notes)


def _is_elsewhere(check: Check, *, confirmed: bool) -> bool:
    """Tell whether the shaft turns at a speed that the witness did not look at.

    A comb near the stated speed may confirm a small error, and puts it right. One beside a better comb far off does
    not: the lines of a bearing at another speed can look like a comb.
    """
    return not confirmed or not check.value <= SEARCH


def _none(name: str, message: str) -> Testimony:
    return Testimony(obstacle=Check(name, math.nan, math.nan, "refuse", message))


def _deepest(witness: Witness) -> float:
    return max((h.score for h in witness.hypotheses), default=-math.inf)


def place_of(verdict: str | None) -> str | None:
    """Return the place in a bearing that a class is about: "inner_race_007" is about the inner race. None: no place."""
    words = (verdict or "").lower().replace("-", "_").replace(" ", "_")
    for place in PLACES:
        if words.startswith(place):
            return place
    return {"outer": "outer_race", "inner": "inner_race", "roller": "ball"}.get(words.partition("_")[0])


def leaning(witness: Witness) -> tuple[str, str | None]:
    """Return "located", "damaged", "hint" or "silent", and the place that the spectrum names, leans to or hints at.

    It leans to the place of the deepest lines, and hints at it where they are half as deep as damage takes. None where
    only the cage speaks, or a line may be the shaft's.
    """
    if witness.verdict == "located":
        return "located", witness.place
    first = max((h for h in witness.hypotheses if h.place != "cage"), key=lambda h: h.score, default=None)
    damaged = witness.verdict == "damaged"
    clear = first is not None and first.assessable and first.score >= (DAMAGED if damaged else HINT)
    place = first.place if first is not None and clear else None
    if damaged:
        return "damaged", place
    return ("hint", place) if place is not None and witness.verdict == "no_evidence" else ("silent", None)


def agreement(testimony: Testimony, *, verdict: str | None, fault: bool | None) -> tuple[str, str]:
    """Return how the network's verdict and the spectrum go together, and a sentence where they do not.

    "agree": both name the same place, or the spectrum says damaged, leans to no other place, and the network says a
    fault; "disagree": they name different places, or the network says healthy and the spectrum damaged; "alone": the
    network has no verdict, and the spectrum shows damage; "silent": the spectrum shows nothing, or nothing can be
    compared. What shows nothing contradicts nobody: half of all ball faults have no comb.
    """
    witness = testimony.witness
    if witness is None or witness.verdict in ("no_evidence", "not_assessable"):
        return "silent", ""
    if verdict is None:
        what = "damage" if witness.place is None else f"a fault of the {witness.place.replace('_', ' ')}"
        return "alone", f"the network has no verdict; the spectrum shows {what}: {witness.reasons[0]}"
    if fault is None:
        return "silent", ""
    seen = "damage" if witness.place is None else f"lines of the {witness.place.replace('_', ' ')}"
    if not fault:
        return "disagree", f"the network says {verdict}, and the spectrum shows {seen}: {witness.reasons[0]}"
    said = place_of(verdict)
    _, shown = leaning(witness)
    if shown is None or said is None or said == shown:
        return "agree", ""
    if witness.place is None:
        seen = f"damage, with the deepest lines where the {shown.replace('_', ' ')} has its own"
    return "disagree", f"the network says {verdict}, and the spectrum shows {seen}: {witness.reasons[0]}"
