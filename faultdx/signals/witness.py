"""What one record says about one bearing: outer race, inner race, rolling element, or nothing.

    speed -> modulations of many bands -> spectra over orders -> depth of each fault's comb -> verdict

Geometry and an approximate speed are all that has to be known: no healthy record, no labels, no training.
docs/witness.md has the method, what it was tuned on, what it reaches on which recordings, and what it cannot do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.signals.hearing import Heard, Unfit, hear
from faultdx.signals.hypotheses import COMB, Hypothesis, weigh
from faultdx.signals.kinematics import Orders
from faultdx.signals.shaft import SEARCH, ShaftSpeed

Array = npt.NDArray[np.float64]

VERDICTS = ("located", "damaged", "no_evidence", "not_assessable")

# Depths, found on CWRU's drive end at 12 kHz and on simulated records; docs/witness.md has how.
# Score from which a place is named; the inner race's counts sidebands, which are up to half of its energy.
LOCATED = {"outer_race": 1.1, "inner_race": 1.25, "ball": 1.0}
DAMAGED = 0.6  # score from which a bearing is called damaged
CAGE_DAMAGED = 1.5  # ... by the comb of its cage, which healthy bearings show too
MARGIN = 0.75  # no place where the second hypothesis reaches this share of the first
OUTSHONE = 1.15  # ... nor where a line one or two shaft orders away is that much deeper than its own
UNSURE_FACTOR = 2.0  # on the scores then asked of a ball and of damage: more places are searched
UNSURE_RACE, UNSURE_MARGIN = 1.2, 0.5  # ... and of a race, whose lines are sharper; and MARGIN then


@dataclass(frozen=True, eq=False)
class Picture:
    """What a plot of the evidence needs: the spectrum of the band that decided, and the lines to mark in it.

    orders, depth, floor : shape (orders,); depth and floor are modulation depths, no unit
    lines : order of the first line of each place, where it was found; expected : as the bearing has it
    tolerance : share about the expected order that was searched
    """

    band: str
    orders: Array
    depth: Array
    floor: Array
    lines: dict[str, float]
    tolerance: float
    expected: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Witness:
    """What one record says about one bearing.

    verdict : of VERDICTS; "damaged" means: damaged, the place not resolved
    place : where located, "outer_race", "inner_race" or "ball"; else None
    hypotheses : one for each of `hypotheses.PLACES`, deepest first
    speed : of the shaft, as found; turns : in the record
    smallest_depth_seen : depth of a race's comb that would have been called damage in half of the bands; NaN where
        nothing was assessed. A comb of clear blows has 2 to 4
    reasons : sentences, the weightiest first
    """

    verdict: str
    place: str | None
    hypotheses: tuple[Hypothesis, ...]
    speed: ShaftSpeed | None
    turns: float
    smallest_depth_seen: float
    reasons: tuple[str, ...]
    picture: Picture | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: no arrays, NaN as null, numbers to four digits."""
        speed = self.speed
        return {
            "verdict": self.verdict,
            "place": self.place,
            "hypotheses": [_plain(h) for h in self.hypotheses],
            "speed_hz": _number(speed.hz) if speed else None,
            "speed_certainty": _number(speed.certainty) if speed else None,
            "speed_shift": _number(speed.shift) if speed else None,
            "speed_source": speed.source if speed else None,
            "turns": _number(self.turns),
            "smallest_depth_seen": _number(self.smallest_depth_seen),
            "reasons": list(self.reasons),
        }


def _number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _plain(h: Hypothesis) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in h.__dataclass_fields__:
        value = getattr(h, name)
        if isinstance(value, tuple):
            value = [_number(v) for v in value]
        elif isinstance(value, float):
            value = _number(value)
        if name != "row":
            out[name] = value
    return out


def assess_bearing(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    rpm: float,
    bearing: Orders,
    search: float = SEARCH,
) -> Witness:
    """Return what `signal`, shape (samples,), says about `bearing` on a shaft that turns at about `rpm`.

    search : how far from `rpm` the speed is looked for, as a share (below 0.3). Of a record of more than 4 194 304
        samples the first so many are used

    Raises ConfigError for an impossible speed or search, RecordError for a signal that is no channel of finite
    numbers. What is merely unfit (too short, sampled too slowly) is "not_assessable", with the reason.
    """
    heard = hear(signal, sampling_rate_hz=sampling_rate_hz, rpm=rpm, bearing=bearing, search=search)
    return unfit(heard) if isinstance(heard, Unfit) else judge(heard, bearing)


def unfit(heard: Unfit) -> Witness:
    """Return the verdict on a record that cannot be judged."""
    return Witness("not_assessable", None, (), None, heard.turns, math.nan, (heard.why,))


def judge(heard: Heard, bearing: Orders) -> Witness:
    """Return what was heard says about `bearing`, by the rules of docs/witness.md."""
    spectra, speed, tolerance = heard.spectra, heard.speed, heard.tolerance
    weighed = weigh(spectra, bearing, tolerance=tolerance)
    cage = weighed.of("cage")
    ranked = [h for h in weighed.hypotheses if h.place != "cage"]
    first, second = ranked[0], ranked[1]
    factor = 1.0 if speed.confirmed else UNSURE_FACTOR
    located = LOCATED[first.place] * (UNSURE_RACE if first.place != "ball" and not speed.confirmed else factor)
    damaged, margin = factor * DAMAGED, MARGIN if speed.confirmed else UNSURE_MARGIN
    smallest = weighed.background + damaged
    reasons: list[str] = []
    if not speed.confirmed:
        reasons.append(
            f"no comb of shaft lines confirms a speed: lines were looked for within {100 * tolerance:.0f} % of "
            f"those at the stated one"
        )
    reasons += [
        f"{h.place.replace('_', ' ')}: its order {h.order:.3f} is too near a multiple of the shaft's rate"
        for h in ranked
        if not h.assessable
    ]
    place = None
    clear = second.score < margin * first.score and first.outshone <= OUTSHONE
    if first.score >= located and first.assessable and clear:
        verdict, place = "located", first.place
        reasons.insert(0, _evidence(first, cage))
    elif first.score >= damaged or cage.excess >= factor * CAGE_DAMAGED:
        verdict = "damaged"
        reasons.insert(0, _unresolved(first, second, cage, located=located, damaged=damaged))
    elif not speed.confirmed:
        verdict = "not_assessable"
    else:
        verdict = "no_evidence"
        reasons.insert(0, f"no comb of any place is as deep as {smallest:.2f}, where damage would have been stated")
    row = first.row if first.score >= damaged else cage.row if verdict == "damaged" else first.row
    picture = Picture(
        band=str(spectra.bands[row]),
        orders=spectra.orders,
        depth=np.sqrt(spectra.power[row]),
        floor=np.sqrt(weighed.floor[row]),
        lines={h.place: h.found_order for h in weighed.hypotheses},
        tolerance=tolerance,
        expected={h.place: h.order for h in weighed.hypotheses},
    )
    return Witness(verdict, place, weighed.hypotheses, speed, heard.turns, smallest, tuple(reasons), picture)


def _evidence(h: Hypothesis, cage: Hypothesis) -> str:
    name, found = h.place.replace("_", " "), []
    if h.excess >= COMB or h.place != "ball":
        said = ", ".join(f"{a:.2f}" for a in h.harmonics)
        found.append(
            f"lines at order {h.found_order:.3f} and its multiples, depth {said}, in {h.band}, "
            f"where chance reaches {h.surrogate:.2f}"
        )
    if h.hump > 0.1:
        found.append(f"smeared lines about order {h.order:.2f}, depth {h.hump:.2f}")
    if h.place == "ball" and cage.excess > 0.1:
        found.append(f"lines at the cage's rate, depth {cage.depth:.2f}, in {cage.band}")
    return f"{name}: {'; '.join(found)}"


def _unresolved(first: Hypothesis, second: Hypothesis, cage: Hypothesis, *, located: float, damaged: float) -> str:
    if first.score < damaged:
        return f"lines at the cage's rate, depth {cage.depth:.2f}: a rolling element or the cage"
    if not first.assessable:
        return f"lines at order {first.found_order:.3f}, where the shaft's own may be"
    if first.score < located:
        name = first.place.replace("_", " ")
        return f"lines of {name}, too weak to name the place: {first.score:.2f}, and it takes {located:.2f}"
    if first.outshone > OUTSHONE:
        return (
            f"lines at order {first.found_order:.3f}, but deeper ones a shaft order away: sidebands of something else"
        )
    return (
        f"lines of {first.place.replace('_', ' ')} ({first.score:.2f}) and of {second.place.replace('_', ' ')} "
        f"({second.score:.2f}), too much alike to name the place"
    )
