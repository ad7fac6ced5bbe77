"""Machines on paper that are harder than the simulated rig: any bearing, any speed, and all that healthy ones do.

A scene is a bearing, healthy or with one fault, and its surroundings, drawn anew each time: structure, speed,
sampling rate and length; weak lines of a healthy bearing (waviness, preload); a faulty bearing of another geometry on
the same shaft; a gear mesh with its sidebands; a belt; mains and a converter's carrier, modulated at twice the
mains; noise that swells with the shaft or with the belt; stray knocks; slow drift of the speed.

The fault, the structure and the sensor are those of faultdx.simulation; the rest is added here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.kinematics import BearingGeometry
from faultdx.simulation import bearing as paper
from faultdx.simulation.bearing import Condition, Machine, Motion

Array = npt.NDArray[np.float64]
PLACES = ("outer_race", "inner_race", "ball")
RATES_HZ = (12_000.0, 16_000.0, 20_000.0, 25_600.0, 48_000.0)
NUISANCES = ("weak", "neighbour", "mesh", "belt", "mains", "converter", "knocks", "swell")


@dataclass(frozen=True, eq=False)
class Scene:
    """A record and the truth about it: place None where the bearing is healthy; nuisances by name."""

    signal: npt.NDArray[np.float32]
    sampling_rate_hz: float
    rpm: float
    bearing: BearingGeometry
    place: str | None
    severity: float
    nuisances: tuple[str, ...]


def draw_geometry(rng: np.random.Generator) -> BearingGeometry:
    """A bearing of common proportions: 7 to 16 elements that fill 60 to 90 % of the pitch circle."""
    n = int(rng.integers(7, 17))
    ratio = rng.uniform(0.6, 0.9) * math.sin(math.pi / n)
    return BearingGeometry(n, ratio, 1.0, float(rng.choice([0.0, 0.0, 0.0, 10.0, 15.0])))


def _apart(a: BearingGeometry, b: BearingGeometry) -> bool:
    """Whether no first line of one is within 4 % of the first or second of the other."""
    mine, theirs = ([g.bpfo, g.bpfi, 2 * g.bsf] for g in (a, b))
    return all(abs(k * p / q - 1) > 0.04 for p in mine for q in theirs for k in (0.5, 1.0, 2.0))


def _neighbour(own: BearingGeometry, rng: np.random.Generator) -> BearingGeometry:
    while not _apart(own, other := draw_geometry(rng)):
        pass
    return other


def _machine(sampling_rate_hz: float, rng: np.random.Generator) -> Machine:
    modes = 5
    hz = np.sort(rng.uniform(0.03, 0.44, modes)) * sampling_rate_hz
    return paper.draw_machine(tuple(hz), tuple(rng.uniform(0.2, 1.0, modes)), rng)


def _faulted(
    place: str,
    severity: float,
    strength_db: float,
    geometry: BearingGeometry,
    condition: Condition,
    motion: Motion,
    rng: np.random.Generator,
) -> paper.Impulses:
    defect = paper.draw_defect(place, severity, rng, geometry=geometry, strength_db=strength_db)
    return paper.defect_impulses(defect, condition, motion, rng)


def draw_scene(
    rng: np.random.Generator,
    *,
    place: str | None,
    severity: float | None = None,
    turns: float | None = None,
    drift: float = 0.0,
    geometry: BearingGeometry | None = None,
    nuisances: tuple[str, ...] | None = None,
) -> Scene:
    """Draw a scene; what is None is drawn. drift : share by which the speed rises or falls over the record."""
    geometry = geometry or draw_geometry(rng)
    fs = float(rng.choice(RATES_HZ))
    condition = Condition("drawn", float(np.exp(rng.uniform(math.log(600), math.log(3600)))), float(rng.uniform()))
    turns = turns or float(np.exp(rng.uniform(math.log(60), math.log(450))))
    samples = int(min(turns / condition.rpm * 60.0, 20.0) * fs)
    machine = _machine(fs, rng)
    motion = paper.turn_shaft(condition, samples, fs, rng)
    if drift:
        t = motion.times_s
        motion = Motion(t, motion.turns + condition.rpm / 60.0 * drift * (t**2 / (2 * t[-1]) - t / 2), fs)
    if nuisances is None:
        nuisances = tuple(n for n in NUISANCES if rng.uniform() < 0.4)
    blows: list[paper.Impulses] = []
    severity = float(rng.uniform()) if severity is None else severity
    if place is not None:
        blows.append(_faulted(place, severity, 0.0, geometry, condition, motion, rng))
    if "weak" in nuisances:
        kind = str(rng.choice(PLACES))
        blows.append(_faulted(kind, 0.0, float(rng.uniform(-30, -14)), geometry, condition, motion, rng))
    if "neighbour" in nuisances:
        other, kind = _neighbour(geometry, rng), str(rng.choice(PLACES))
        blows.append(_faulted(kind, float(rng.uniform()), float(rng.uniform(-14, -2)), other, condition, motion, rng))
    impulses = None
    if blows:
        impulses = (np.concatenate([b[0] for b in blows]), np.concatenate([b[1] for b in blows]))
    force = _mesh(motion, rng) if "mesh" in nuisances else None
    signal = paper.record_signal(machine, condition, motion, rng, impulses=impulses, force=force).astype(np.float64)
    signal += float(np.std(signal)) * _extras(motion, nuisances, rng)[motion.lead :]
    rpm = motion.rpm
    return Scene(signal.astype(np.float32), fs, rpm, geometry, place, severity if place else 0.0, nuisances)


def _mesh(motion: Motion, rng: np.random.Generator) -> Array:
    """A gear mesh on the shaft: harmonics of the tooth count, modulated by this shaft and by the other one."""
    teeth, other = int(rng.integers(13, 45)), float(rng.uniform(0.2, 0.8))
    turns = motion.turns
    total = np.zeros(turns.size)
    swing = (
        1.0 + rng.uniform(0, 0.3) * np.cos(2 * np.pi * turns) + rng.uniform(0, 0.3) * np.cos(2 * np.pi * other * turns)
    )
    top = 0.4 * motion.sampling_rate_hz / (motion.rpm / 60.0)
    for k in range(1, 7):
        if k * teeth < top:
            total += swing * np.cos(2 * np.pi * k * teeth * turns + rng.uniform(0, 6.3)) / k
    return float(rng.uniform(0.3, 1.5)) * total


def _extras(motion: Motion, nuisances: tuple[str, ...], rng: np.random.Generator) -> Array:
    """Belt, mains, converter, knocks and swelling noise, in units of the RMS of the rest, shape (samples,)."""
    t, turns, fs = motion.times_s, motion.turns, motion.sampling_rate_hz
    out = np.zeros(t.size)
    mains = float(rng.choice([50.0, 60.0]))
    belt = float(rng.uniform(0.2, 0.7))
    if "belt" in nuisances:
        for k in range(1, 6):
            out += rng.uniform(0, 0.4) * np.cos(2 * np.pi * k * belt * turns + rng.uniform(0, 6.3))
        out += 0.3 * (1 + rng.uniform(0, 0.5) * np.cos(2 * np.pi * belt * turns)) * rng.standard_normal(t.size)
    if "mains" in nuisances:
        for k in (1, 2, 3, 4, 6):
            out += rng.uniform(0, 0.3) * np.cos(2 * np.pi * k * mains * t + rng.uniform(0, 6.3))
    if "converter" in nuisances:
        carrier = rng.uniform(0.1, 0.4) * fs
        swing = 1 + rng.uniform(0, 0.8) * np.cos(4 * np.pi * mains * t)
        out += rng.uniform(0.1, 0.8) * swing * np.cos(2 * np.pi * carrier * t)
    if "knocks" in nuisances:
        at = np.flatnonzero(rng.uniform(size=t.size) < rng.uniform(0.2, 5.0) / fs)
        ring = np.exp(-np.arange(round(0.004 * fs)) / (0.001 * fs)) * np.cos(np.arange(round(0.004 * fs)) * 1.1)
        force = np.zeros(t.size)
        force[at] = rng.uniform(5, 25, at.size)
        out += np.convolve(force, ring)[: t.size]
    if "swell" in nuisances:
        swing = 1 + rng.uniform(0.1, 0.6) * np.cos(2 * np.pi * turns) + rng.uniform(0, 0.4) * np.cos(4 * np.pi * turns)
        out += 0.5 * swing * rng.standard_normal(t.size)
    return out
