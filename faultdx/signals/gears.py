"""What one record says about a pair of gears: the mesh, its sidebands by shaft, and whether one tooth stands out.

    mesh comb -> speed -> phase of the mesh -> angle -> average over the turns of each shaft -> indicators -> words

Tooth numbers and an approximate speed are all that has to be known. The words are calibrated on simulated gearboxes
alone; docs/gears.md has how, and what real recordings of a broken tooth say to it, which is: little. So nothing here
is ever a fault by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.indicators import Indicators, Parts, indicators, parts_of
from faultdx.signals.kinematics import GearPair
from faultdx.signals.mesh import FOUND, SEARCH, SIDEBANDS, Line, OrderSpectrum, find_mesh, order_spectrum
from faultdx.signals.synchronous import Angle, SynchronousAverage, mesh_angle, steady_angle, synchronous_average

Array = npt.NDArray[np.float64]

VERDICTS = ("tooth_damage_suspected", "no_evidence", "not_assessable")
# Set on simulated gearboxes, docs/gears.md: FM4 of the difference signal from which a tooth stands out; and how alike
# the two halves of the turns have to be there, as a correlation: a stray blow is in one of them only.
FM4_LIMIT = 6.0
REPEATS = 0.5
_ABOUT_TEETH = 3.0  # about the highest place, over which they are compared
FEWEST_TURNS = 20  # of the shaft that is averaged over
MOST_SAMPLES = 1 << 20  # of a longer record the first so many are looked at
SHOWN_HARMONICS = 5
_SLOWEST = (
    0.4  # rate of the other shaft over this one, where it is not known, that the phase of the mesh leaves room for
)
NAMES = ("first gear", "second gear")


@dataclass(frozen=True)
class Sidebands:
    """The lines beside one mesh harmonic at the rate of one shaft.

    shaft : of NAMES; lines : below and above, from the nearest: -1, +1, -2, +2, ...
    share : root of the sum of their squared amplitudes, those that are seen, over the amplitude of the mesh harmonic
    """

    shaft: str
    harmonic: int
    lines: tuple[Line, ...]
    share: float


@dataclass(frozen=True, eq=False)
class Gear:
    """One gear by its own average.

    name : of NAMES; order : its shaft's rate over the stated one; average, parts, indicators : see their modules
    over_noise : RMS of the difference signal over the noise left in the average; repeats : correlation of every other
        turn with the rest, -1..1, about the place where the difference is highest
    verdict : of VERDICTS; why_not : where it could not be assessed, else ""
    """

    name: str
    teeth: int
    order: float
    verdict: str
    average: SynchronousAverage | None = None
    parts: Parts | None = None
    indicators: Indicators | None = None
    over_noise: float = math.nan
    repeats: float = math.nan
    why_not: str = ""


@dataclass(frozen=True, eq=False)
class GearWitness:
    """What one record says about a gear or a pair.

    verdict : of VERDICTS: the worst of the gears'
    mesh_hz, certainty : of the mesh comb; speed_hz : of the shaft by it; shift : from the stated one, a share
    mesh : its harmonics; sidebands : by harmonic and shaft; reasons : sentences, the weightiest first
    """

    verdict: str
    teeth: tuple[int, ...]
    turns: float
    reasons: tuple[str, ...]
    certainty: float = math.nan
    mesh_hz: float = math.nan
    speed_hz: float = math.nan
    shift: float = math.nan
    angle: Angle | None = None
    mesh: tuple[Line, ...] = ()
    sidebands: tuple[Sidebands, ...] = ()
    gears: tuple[Gear, ...] = ()
    spectrum: OrderSpectrum | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: no arrays, NaN as null, numbers to four digits (the rates to six)."""
        return {
            "verdict": self.verdict,
            "teeth": list(self.teeth),
            "mesh_order": self.teeth[0],
            "mesh_hz": number(self.mesh_hz, 6),
            "mesh_certainty": number(self.certainty),
            "speed_hz": number(self.speed_hz, 6),
            "speed_shift": number(self.shift),
            "angle_from": self.angle.source if self.angle else None,
            "turns": number(self.turns),
            "mesh": [line_dict(line) for line in self.mesh],
            "sidebands": [
                {
                    "shaft": s.shaft,
                    "harmonic": s.harmonic,
                    "share": number(s.share),
                    "seen_orders": [number(line.order, 6) for line in s.lines if line.seen],
                }
                for s in self.sidebands
            ],
            "gears": [_gear_dict(gear) for gear in self.gears],
            "limits": {"fm4": FM4_LIMIT, "repeats": REPEATS, "mesh_certainty": FOUND},
            "reasons": list(self.reasons),
        }


def number(value: float, digits: int = 4) -> float | None:
    """Return a number for JSON."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def line_dict(line: Line) -> dict[str, Any]:
    """Return a line as JSON values."""
    return {
        "order": number(line.order, 6),
        "amplitude": number(line.amplitude),
        "level_db": number(line.level_db, 3),
        "seen": line.seen,
    }


def _gear_dict(gear: Gear) -> dict[str, Any]:
    a = gear.average
    out: dict[str, Any] = {"name": gear.name, "teeth": gear.teeth, "order": number(gear.order, 6)}
    out |= {"verdict": gear.verdict, "turns_averaged": a.turns if a else 0}
    out |= {"synchronous_share": number(a.share) if a else None, "over_noise": number(gear.over_noise, 3)}
    out["repeats"] = number(gear.repeats, 3)
    if gear.indicators is not None:
        values = {f.name: getattr(gear.indicators, f.name) for f in fields(Indicators)}
        out["indicators"] = {k: number(v) if isinstance(v, float) else v for k, v in values.items()}
    if gear.why_not:
        out["why_not"] = gear.why_not
    return out


def assess_gears(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    rpm: float,
    teeth: int,
    other_teeth: int | None = None,
    search: float = SEARCH,
) -> GearWitness:
    """Return what `signal`, shape (samples,), says about the gear of `teeth` on a shaft that turns at about `rpm`, and
    about the one of `other_teeth` that it meshes with, where that is known.

    search : how far from `rpm` the mesh is looked for, as a share below 0.3

    Raises ConfigError for impossible teeth, speed or search, RecordError for a signal that is no channel of finite
    numbers. What is merely unfit (too short, sampled too slowly, no mesh to be found) is "not_assessable".
    """
    pair = GearPair(teeth, teeth if other_teeth is None else other_teeth)
    if not (math.isfinite(rpm) and rpm > 0 and 0 < search < 0.3):
        raise ConfigError(f"cannot search {search} about {rpm} rpm: give a positive speed and a share below 0.3")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiub":
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    x = x[:MOST_SAMPLES].astype(np.float64)
    if not np.isfinite(x).all():
        raise RecordError("the signal holds values that are not finite; repair the recording or leave it out")
    known = (teeth,) if other_teeth is None else (teeth, other_teeth)
    rate_hz = rpm / 60.0
    turns = x.size / sampling_rate_hz * rate_hz
    if turns < FEWEST_TURNS + 2:
        return _unfit(known, turns, f"too short: {turns:.1f} turns of the shaft, and it takes {FEWEST_TURNS + 2}")
    if (teeth + SIDEBANDS) * rate_hz * (1 + search) > 0.45 * sampling_rate_hz:
        return _unfit(
            known, turns, f"sampled too slowly: {sampling_rate_hz:g} Hz for a mesh at {teeth * rate_hz:.0f} Hz"
        )
    if float(np.ptp(x)) <= 0:
        return _unfit(known, turns, "the signal is flat")
    comb = find_mesh(x, sampling_rate_hz=sampling_rate_hz, rate_hz=rate_hz, teeth=teeth, search=search)
    if not (comb.certainty >= FOUND and math.isfinite(comb.rpm)):
        return _unfit(
            known,
            turns,
            f"no comb of mesh lines within {100 * search:.0f} % of {teeth * rate_hz:.0f} Hz, "
            f"where {teeth} teeth at {rpm:g} rpm mesh",
            certainty=comb.certainty,
        )
    mesh_hz = comb.rpm / 60.0
    speed_hz = mesh_hz / teeth
    slowest = min(pair.gear, 1.0) if other_teeth else _SLOWEST
    coarse = steady_angle(x.size, sampling_rate_hz=sampling_rate_hz, rate_hz=speed_hz)
    angle = mesh_angle(x, coarse, teeth=teeth, slowest=slowest, sampling_rate_hz=sampling_rate_hz)
    speed_hz = float(angle.turns[-1]) / (x.size - 1) * sampling_rate_hz
    common = math.gcd(teeth, other_teeth) if other_teeth else teeth
    found = [_gear(x, angle, NAMES[0], teeth, 1.0, multiple=(other_teeth or teeth) // common)]
    if other_teeth:
        found.append(_gear(x, angle, NAMES[1], other_teeth, pair.gear, multiple=teeth // common))
    top = min(0.45 * sampling_rate_hz / speed_hz, (SHOWN_HARMONICS + 0.5) * teeth)
    spectrum = order_spectrum(x, angle, up_to_order=top)
    count = math.floor((top - SIDEBANDS) / teeth)
    mesh = tuple(spectrum.line(k * teeth) for k in range(1, count + 1))
    rates = [(gear.name, gear.order) for gear in found]
    sidebands = tuple(
        _sidebands(spectrum, line, k, name, rate) for k, line in enumerate(mesh, 1) for name, rate in rates
    )
    verdict = min((gear.verdict for gear in found), key=VERDICTS.index)
    return GearWitness(
        verdict=verdict,
        teeth=known,
        turns=float(angle.turns[-1]),
        reasons=_reasons(found, mesh, mesh_hz=speed_hz * teeth, source=angle.source),
        certainty=comb.certainty,
        mesh_hz=speed_hz * teeth,
        speed_hz=speed_hz,
        shift=speed_hz / rate_hz - 1.0,
        angle=angle,
        mesh=mesh,
        sidebands=sidebands,
        gears=tuple(found),
        spectrum=spectrum,
    )


def _unfit(teeth: tuple[int, ...], turns: float, reason: str, *, certainty: float = math.nan) -> GearWitness:
    return GearWitness("not_assessable", teeth, turns, (reason,), certainty)


def _gear(x: Array, angle: Angle, name: str, teeth: int, order: float, *, multiple: int) -> Gear:
    """Return one gear, by the average over the turns of its shaft."""
    turns = math.floor(float(angle.turns[-1]) * order) - 2
    if turns < FEWEST_TURNS:
        why = f"too short for an average: {max(turns, 0)} whole turns, and it takes {FEWEST_TURNS}"
        return Gear(name, teeth, order, "not_assessable", why_not=why)
    average = synchronous_average(x, angle, ratio=order, teeth=teeth, multiple=multiple)
    try:
        parts = parts_of(average.mean, teeth=teeth, up_to_order=average.up_to_order)
    except RecordError as error:
        return Gear(name, teeth, order, "not_assessable", average, why_not=str(error))
    found = indicators(parts, teeth=teeth)
    over = float(np.sqrt(np.mean(parts.difference**2))) / max(average.error, 1e-300)
    repeats = _repeats(average, parts, teeth)
    verdict, why = "no_evidence", ""
    if angle.source != "mesh":
        verdict, why = "not_assessable", "no mesh line is clear enough to follow the angle of the shaft by its phase"
    elif found.fm4 >= FM4_LIMIT and repeats >= REPEATS:
        verdict = "tooth_damage_suspected"
    return Gear(name, teeth, order, verdict, average, parts, found, over, repeats, why)


def _repeats(average: SynchronousAverage, parts: Parts, teeth: int) -> float:
    """Correlation of the two halves' differences about the tooth that stands out most; NaN for nothing."""
    a, b = (parts_of(half, teeth=teeth, up_to_order=average.up_to_order).difference for half in average.halves)
    size = a.size
    width = max(round(_ABOUT_TEETH * size / teeth), 1)
    around = np.concatenate([parts.difference**2, parts.difference[: width - 1] ** 2])
    first = int(np.convolve(around, np.ones(width), "valid").argmax())
    at = (first + np.arange(width)) % size
    scale = math.sqrt(float(a[at] @ a[at]) * float(b[at] @ b[at]))
    return float(a[at] @ b[at]) / scale if scale > 0 else math.nan


def _sidebands(spectrum: OrderSpectrum, mesh: Line, harmonic: int, shaft: str, rate: float) -> Sidebands:
    at = [k * rate for i in range(1, SIDEBANDS + 1) for k in (-i, i)]
    lines = tuple(spectrum.line(mesh.order + offset) for offset in at)
    seen = math.fsum(line.amplitude**2 for line in lines if line.seen)
    return Sidebands(shaft, harmonic, lines, math.sqrt(seen) / mesh.amplitude if mesh.amplitude > 0 else math.nan)


def _reasons(gears: list[Gear], mesh: tuple[Line, ...], *, mesh_hz: float, source: str) -> tuple[str, ...]:
    out = []
    for gear in gears:
        fm4 = gear.indicators.fm4 if gear.indicators else math.nan
        said = f"the {gear.name}, {gear.teeth} teeth"
        if gear.verdict == "tooth_damage_suspected":
            out.append(
                f"{said}: one tooth or a few stand out of its average over {gear.average.turns if gear.average else 0} "
                f"turns, FM4 {fm4:.1f}, and it takes {FM4_LIMIT:g}"
            )
        elif gear.verdict == "no_evidence":
            once = ", but every other turn does not repeat it" if fm4 >= FM4_LIMIT else ""
            out.append(f"{said}: no tooth stands out, FM4 {fm4:.1f}, and it takes {FM4_LIMIT:g}{once}")
        else:
            out.append(f"{said}: {gear.why_not}")
    out.sort(key=lambda text: "one tooth or a few" not in text)
    seen = [str(k) for k, line in enumerate(mesh, 1) if line.seen]
    return (*out, f"mesh at {mesh_hz:.1f} Hz; of its harmonics {', '.join(seen) or 'none'} stand out")
