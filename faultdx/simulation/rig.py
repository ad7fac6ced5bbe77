"""A rig of machines on paper: specimens of every class, each recorded at every condition, as Records.

A record depends on nothing but (seed, kind, class, specimen, condition) and its length: records can be made in
any order, on any machine, or one alone, and come out the same. Specimens differ as bearings in a rig do: in
resonances, damping, level, defect, slip and neighbours, so that a split by specimen means something.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faultdx.errors import ConfigError
from faultdx.records.record import Record
from faultdx.signals.kinematics import SKF_6205
from faultdx.simulation import bearing, gearbox
from faultdx.simulation.bearing import Condition

KINDS = ("bearing", "gearbox")
MIN_SAMPLING_RATE_HZ = 8_000.0  # below it most of the resonances that carry the evidence are gone
MIN_SECONDS, MAX_SECONDS = 0.1, 600.0

# Resonances of the two rigs, Hz, and how well blows excite each of them.
_STRUCTURE = {
    "bearing": ((480.0, 1250.0, 2350.0, 3300.0, 4500.0), (0.15, 0.5, 1.0, 1.0, 0.7)),
    "gearbox": ((520.0, 1150.0, 2100.0, 3400.0, 4700.0), (0.4, 0.7, 0.8, 1.0, 0.8)),
}
# What the rig's papers say of its bearing; each specimen differs a little, in contact angle and ball diameter.
_NAMEPLATE = f"{SKF_6205.rolling_elements},{SKF_6205.ball_diameter:g},{SKF_6205.pitch_diameter:g}"
_TEETH = f"{gearbox.GEARS.pinion_teeth}:{gearbox.GEARS.gear_teeth}"  # the pinion is on the shaft of the stated speed
# A bearing goes into its housing anew; a gearbox's housing stays bolted down while what is in it changes.
_LOOSENESS = {"bearing": 1.0, "gearbox": 0.25}
# The mesh is as loud as the rumble, and then some: a bearing in a gearbox is found later than one in a motor.
_STRENGTH_DB = {"bearing": 0.0, "gearbox": 5.0}


@dataclass(frozen=True)
class Rig:
    """What a kind of rig offers: its classes, the conditions it runs at, and its sampling rate in Hz."""

    classes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    sampling_rate_hz: float


RIGS = {
    "bearing": Rig(bearing.CLASSES, bearing.CONDITIONS, bearing.SAMPLING_RATE_HZ),
    "gearbox": Rig(gearbox.CLASSES, gearbox.CONDITIONS, gearbox.SAMPLING_RATE_HZ),
}


def _generator(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and the names alone, whatever else is or was drawn."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


def _severity(seed: int, kind: str, label: str, specimen: int) -> float:
    """0..1, spread evenly over consecutive specimens (golden-ratio sequence), so that four cover the range."""
    start = float(_generator(seed, kind, label, "severity").uniform())
    return (start + specimen * (math.sqrt(5.0) - 1.0) / 2.0) % 1.0


def simulate_one(
    kind: str,
    label: str,
    specimen: int,
    condition: Condition,
    *,
    seconds: float = 10.0,
    sampling_rate_hz: float | None = None,
    seed: int = 0,
) -> Record:
    """Return one record; arguments as for `simulate`, which yields exactly these. Raises ConfigError."""
    _check(
        kind,
        specimens=1,
        conditions=(condition,),
        seconds=seconds,
        sampling_rate_hz=sampling_rate_hz,
        seed=seed,
        classes=(label,),
    )
    fs = sampling_rate_hz or RIGS[kind].sampling_rate_hz
    name = f"{label}_{specimen:02d}"
    draw = _generator(seed, kind, name)  # what the specimen is, the same at every condition
    rng = _generator(seed, kind, name, condition.name)  # what happened in this run
    machine = bearing.draw_machine(*_STRUCTURE[kind], draw, looseness=_LOOSENESS[kind])
    mesh = gearbox.draw_mesh(draw) if kind == "gearbox" else None
    severity = 0.0 if label == "healthy" else _severity(seed, kind, label, specimen)

    motion = bearing.turn_shaft(condition, round(seconds * fs), fs, rng)
    tooth = gearbox.draw_tooth_fault(label, severity, draw) if label.startswith("gear_") else None
    impulses = None
    if tooth is not None:
        impulses = gearbox.tooth_impulses(tooth, condition, motion, rng)
    elif label != "healthy":
        defect = bearing.draw_defect(label.removeprefix("bearing_"), severity, draw, strength_db=_STRENGTH_DB[kind])
        impulses = bearing.defect_impulses(defect, condition, motion, rng)
    force = None if mesh is None else gearbox.mesh_force(mesh, condition, motion, fault=tooth)
    signal = bearing.record_signal(machine, condition, motion, rng, impulses=impulses, force=force)
    said = "simulation"
    return Record(
        signal=signal[None, :],
        sampling_rate_hz=fs,
        rpm=float(round(motion.rpm)),
        channels=("DE",) if kind == "bearing" else ("vibration",),
        unit="g",
        label=label,
        specimen=name,
        condition=condition.name,
        asset=f"simulated {kind} rig",
        path=f"simulated/{kind}/{name}/{condition.name}",
        sha256=hashlib.sha256(signal.tobytes()).hexdigest(),
        format="simulation",
        known_from={"sampling_rate_hz": said, "rpm": said, "label": said, "unit": said},
        details={
            "machine": kind,
            "fault": "none" if label == "healthy" else label,
            "severity": f"{severity:.3f}",
            "load": f"{condition.load:.3f}",
            **({"bearing": _NAMEPLATE} if kind == "bearing" else {"teeth": _TEETH}),
        },
        notes=("Simulated, not measured.",),
    )


def simulate(
    kind: str = "bearing",
    *,
    specimens: int = 4,
    conditions: Sequence[Condition] | None = None,
    seconds: float = 10.0,
    sampling_rate_hz: float | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    first_specimen: int = 0,
) -> Iterator[Record]:
    """Yield one record at a time: class by class, specimen by specimen, condition by condition.

    kind : "bearing" (CWRU-like: four classes, loads 0-3, 12 kHz) or "gearbox" (eight classes, three speeds x
        three loads, 12.8 kHz)
    specimens : how many machines of every class; first_specimen : number of the first one
    conditions, classes, sampling_rate_hz : of the rig's, all where None; seconds : length of every record

    Raises ConfigError at once, all problems in one message.
    """
    _check(
        kind,
        specimens=specimens,
        conditions=conditions,
        seconds=seconds,
        sampling_rate_hz=sampling_rate_hz,
        seed=seed,
        classes=classes,
    )
    rig = RIGS[kind]
    return (
        simulate_one(kind, label, number, condition, seconds=seconds, sampling_rate_hz=sampling_rate_hz, seed=seed)
        for label in (rig.classes if classes is None else classes)
        for number in range(first_specimen, first_specimen + specimens)
        for condition in (rig.conditions if conditions is None else conditions)
    )


def _check(
    kind: str,
    *,
    specimens: int,
    conditions: Sequence[Condition] | None,
    seconds: float,
    sampling_rate_hz: float | None,
    seed: int,
    classes: Sequence[str] | None,
) -> None:
    if kind not in RIGS:
        raise ConfigError(f"simulation: there is no rig {kind!r}; choose one of {', '.join(RIGS)}")
    problems = []
    if specimens < 1:
        problems.append(f"specimens is {specimens}: give 1 or more")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        problems.append(f"seconds is {seconds}: give {MIN_SECONDS} to {MAX_SECONDS:.0f}")
    if sampling_rate_hz is not None and not MIN_SAMPLING_RATE_HZ <= sampling_rate_hz <= 200_000:
        problems.append(f"sampling_rate_hz is {sampling_rate_hz}: give {MIN_SAMPLING_RATE_HZ:.0f} to 200000")
    if seed < 0:
        problems.append(f"seed is {seed}: give 0 or more")
    unknown = [c for c in classes or () if c not in RIGS[kind].classes]
    if unknown or (classes is not None and not classes):
        problems.append(f"classes {unknown}: choose from {', '.join(RIGS[kind].classes)}")
    if conditions is not None and not conditions:
        problems.append("conditions is empty: give one or more, or None for the rig's own")
    for c in conditions or ():
        if not (300 <= c.rpm <= 6000 and 0 <= c.load <= 1):
            problems.append(f"condition {c.name!r}: rpm must be 300 to 6000 and load 0 to 1")
    if problems:
        raise ConfigError("simulation: " + "; ".join(problems))
