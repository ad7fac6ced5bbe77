"""All that a machine does beside its bearing: what a healthy record must hold before a network may call it healthy.

Each function adds one neighbour to a scene and draws it anew: gear meshes, other shafts, belts, impacts that are no
bearing's, tones that beat, mains and converters, noise that swells, knocks, wandering levels. Amplitudes are in units
of the RMS of the rest. A neighbour's rhythm is kept away from the orders of the bearing that is asked about; what
cannot be told apart by its rhythm is no lesson.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.kinematics import BearingGeometry
from faultdx.simulation.bearing import Motion, place

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

CLEAR = 0.03  # share by which a neighbour's rhythm stays away from the bearing's


@dataclass(frozen=True, eq=False)
class Stage:
    """What a neighbour needs: how the shaft turns, the orders to stay away from, and a path to the sensor.

    path : impulse response, shape (taps,), unit energy
    """

    motion: Motion
    orders: tuple[float, ...]
    path: Array

    @property
    def size(self) -> int:
        """Samples, the lead included."""
        return int(self.motion.times_s.size)


def own_orders(geometry: BearingGeometry) -> tuple[float, ...]:
    """Return the orders that are the bearing's own: outer race, inner race, ball, cage."""
    return (geometry.bpfo, geometry.bpfi, 2.0 * geometry.bsf, geometry.ftf)


def clear_of(order: float, orders: tuple[float, ...]) -> bool:
    """Whether no multiple 1 to 4 of `order`, nor its half, is near one of `orders` or twice that."""
    return all(abs(k * order / (m * own) - 1.0) > CLEAR for own in orders for k in (0.5, 1, 2, 3, 4) for m in (1, 2))


def foreign_order(stage: Stage, rng: Rng, low: float, high: float) -> float:
    """Draw an order that is nobody's, log-uniform."""
    for _ in range(200):
        order = float(np.exp(rng.uniform(math.log(low), math.log(high))))
        if clear_of(order, stage.orders):
            return order
    return 1.0


def through(stage: Stage, force: Array) -> Array:
    """Return what the structure makes of a force, shape (samples,)."""
    size = 1 << (force.size + stage.path.size - 2).bit_length()
    out = np.fft.irfft(np.fft.rfft(force, size) * np.fft.rfft(stage.path, size), size)
    return np.asarray(out[: force.size])


def band_noise(stage: Stage, rng: Rng) -> Array:
    """Noise of a random band, from an eighth of an octave to all of the spectrum, RMS 1."""
    n = stage.size
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.linspace(0.0, 0.5, spectrum.size)
    centre, width = np.exp(rng.uniform(math.log(0.02), math.log(0.45))), np.exp(rng.uniform(-2.0, 1.5))
    spectrum *= np.exp(-0.5 * (np.log2(np.maximum(f, 1e-4) / centre) / (0.3 * width)) ** 2)
    out = np.fft.irfft(spectrum, n)
    return np.asarray(out / max(float(np.std(out)), 1e-12))


def rhythm(turns: Array, order: float, rng: Rng, *, depth: float) -> Array:
    """Return a positive periodic weight of mean about 1: a smooth swing, or a short pulse once a period."""
    phase = 2 * np.pi * (order * turns + rng.uniform())
    if rng.uniform() < 0.5:
        swing = np.cos(phase) + rng.uniform(0, 0.6) * np.cos(2 * phase + rng.uniform(0, 6.3))
        return np.asarray(np.maximum(1.0 + depth * swing, 0.0))
    sharp = float(np.exp(rng.uniform(0.0, 3.5)))  # von Mises: 1 is a swing, 30 a pulse of a tenth of a period
    pulse = np.exp(sharp * (np.cos(phase) - 1.0))
    return np.asarray(1.0 + depth * (pulse / float(pulse.mean()) - 1.0) * 0.7)


def powers(phase: Array, weights: Array) -> Array:
    """Return the sum of weights[k - 1] exp(i k phase), shape of `phase`: Horner's rule, one cosine for all."""
    z = np.exp(1j * phase)
    total = np.zeros(phase.shape, dtype=np.complex128)
    for weight in weights[::-1]:
        total += weight
        total *= z
    return np.asarray(total)


def _random_phases(levels: Array, rng: Rng) -> Array:
    return np.asarray(levels * np.exp(1j * rng.uniform(0, 6.3, levels.size)))


def mesh(stage: Stage, rng: Rng) -> Array:
    """A gear mesh with its shafts' sidebands, in amplitude and in phase; its harmonics ring the structure."""
    turns = stage.motion.turns
    own = 1.0 if rng.uniform() < 0.7 else foreign_order(stage, rng, 0.2, 3.0)
    teeth = int(rng.integers(11, 60))
    other = own * teeth / int(rng.integers(11, 90))
    swing, wobble = np.ones(stage.size), np.zeros(stage.size)
    for shaft in (own, other):
        beats = powers(2 * np.pi * shaft * turns, _random_phases(rng.exponential(0.15, 3), rng))
        swing, wobble = swing + beats.real, wobble + rng.uniform(0.0, 1.5) * beats.imag
    top = 0.45 * stage.motion.sampling_rate_hz / (stage.motion.rpm / 60.0) / (teeth * own)
    levels = rng.lognormal(-0.3 * np.arange(1, 13), 0.7)[: max(int(top), 0)]
    total = swing * powers(2 * np.pi * teeth * own * turns + wobble, _random_phases(levels, rng)).real
    if rng.uniform() < 0.5:
        total = total + 2.0 * through(stage, total)
    return np.asarray(total)


def swelling(stage: Stage, rng: Rng) -> Array:
    """Noise of a band that swells at a multiple of the shaft's rate (rub, blades, load, a loose foot)."""
    order = float(rng.choice([1, 1, 1, 2, 3, 4, 5, 6, 7]))
    return band_noise(stage, rng) * rhythm(stage.motion.turns, order, rng, depth=float(rng.uniform(0.1, 1.0)))


def second_shaft(stage: Stage, rng: Rng) -> Array:
    """Noise of a band that swells at the rate of something else that turns: another shaft, a belt, a chain."""
    order = foreign_order(stage, rng, 0.12, 9.0)
    return band_noise(stage, rng) * rhythm(stage.motion.turns, order, rng, depth=float(rng.uniform(0.1, 1.0)))


def struck(stage: Stage, rng: Rng) -> Array:
    """Impacts at a rhythm that is no bearing's: a chipped tooth, a belt's joint, a piston, a loose part."""
    order = 1.0 if rng.uniform() < 0.4 else foreign_order(stage, rng, 0.15, 8.0)
    turns = stage.motion.turns
    first, last = float(turns[0]), float(turns[-1])
    at = first + (np.arange(int((last - first) * order)) + rng.uniform()) / order
    at = at + rng.choice([0.0, 0.002, 0.01]) * rng.standard_normal(at.size) / order
    force = rng.lognormal(0.0, rng.uniform(0.05, 0.5), at.size)
    if rng.uniform() < 0.3:
        force *= rhythm(at, 1.0, rng, depth=0.7)
    out = through(stage, place((stage.motion.at(at), force), stage.size, stage.motion.sampling_rate_hz))
    return np.asarray(out / max(float(np.std(out)), 1e-12))


def tones(stage: Stage, rng: Rng) -> Array:
    """Tones of anything: two that are near each other make one deep line in an envelope."""
    t, fs = stage.motion.times_s, stage.motion.sampling_rate_hz
    hz_turn = stage.motion.rpm / 60.0
    out = np.zeros(stage.size)
    for _ in range(int(rng.integers(1, 5))):
        carrier = float(np.exp(rng.uniform(math.log(0.005), math.log(0.45)))) * fs
        for _ in range(int(rng.integers(1, 5))):
            beat = foreign_order(stage, rng, 0.1, 12.0)
            out += rng.exponential(0.4) * np.cos(2 * np.pi * (carrier + beat * hz_turn) * t + rng.uniform(0, 6.3))
        out += rng.exponential(0.6) * np.cos(2 * np.pi * carrier * t)
    return out


def electrical(stage: Stage, rng: Rng) -> Array:
    """Mains and its harmonics; a converter's carriers, and hum, modulated at twice the mains or the motor's slip."""
    t, fs = stage.motion.times_s, stage.motion.sampling_rate_hz
    mains = float(rng.choice([50.0, 60.0])) if rng.uniform() < 0.7 else float(rng.uniform(10, 90))
    out = np.zeros(stage.size)
    for k in (1, 2, 3, 4, 5, 6, 8, 12):
        if k * mains < 0.45 * fs:
            out += rng.exponential(0.15) * np.cos(2 * np.pi * k * mains * t + rng.uniform(0, 6.3))
    swing = 1.0 + rng.uniform(0, 0.9) * np.cos(4 * np.pi * mains * t)
    if rng.uniform() < 0.6:
        carrier = rng.uniform(0.03, 0.44) * fs
        for j in range(1, 4):
            if j * carrier < 0.48 * fs:
                out += rng.exponential(0.4) * swing * np.cos(2 * np.pi * j * carrier * t)
    if rng.uniform() < 0.4:
        out += rng.exponential(0.5) * swing * band_noise(stage, rng)
    return out


def turning(stage: Stage, rng: Rng) -> Array:
    """Harmonics of the shaft: looseness, misalignment, a coupling, a fan."""
    every = int(rng.choice([1, 1, 1, 2, 3]))
    k = np.arange(1, int(min(0.45 * stage.motion.sampling_rate_hz / (stage.motion.rpm / 60.0), 40.0)) + 1)
    levels = rng.lognormal(-float(rng.uniform(0.05, 0.6)) * k, 0.7) * np.where(k % every == 0, 1.0, 0.3)
    return np.asarray(powers(2 * np.pi * stage.motion.turns, _random_phases(levels[levels > 0.01], rng)).real)


def knocks(stage: Stage, rng: Rng) -> Array:
    """Stray blows that no rotation explains, single or in bursts."""
    seconds = stage.motion.times_s[-1]
    count = rng.poisson(rng.uniform(0.2, 8.0) * seconds)
    at = rng.uniform(0, seconds, count)
    if rng.uniform() < 0.3 and count:
        at = np.concatenate([at + rng.exponential(0.01) * i for i in range(int(rng.integers(2, 6)))])
    force = rng.lognormal(0.0, 0.8, at.size) * rng.choice([-1.0, 1.0], at.size)
    out = through(stage, place((at, force), stage.size, stage.motion.sampling_rate_hz))
    return np.asarray(out / max(float(np.std(out)), 1e-12))


def wandering(stage: Stage, rng: Rng) -> Array:
    """Noise of a band whose level wanders: flow, cavitation, a belt that slips."""
    n = stage.size
    spectrum = np.fft.rfft(rng.standard_normal(n))
    f = np.linspace(0, stage.motion.sampling_rate_hz / 2, spectrum.size)
    spectrum /= (1.0 + f / (stage.motion.rpm / 60.0 * np.exp(rng.uniform(-1.5, 2.0)))) ** rng.uniform(0.7, 1.5)
    slow = np.fft.irfft(spectrum, n)
    slow /= max(float(np.std(slow)), 1e-12)
    return band_noise(stage, rng) * np.exp(rng.uniform(0.1, 0.7) * slow)


NEIGHBOURS: dict[str, tuple[Callable[[Stage, Rng], Array], float, float, float]] = {
    # how; how often; range of its level, dB over the rest
    "turning": (turning, 0.6, -12.0, 12.0),
    "mesh": (mesh, 0.3, -14.0, 10.0),
    "swelling": (swelling, 0.4, -14.0, 6.0),
    "second_shaft": (second_shaft, 0.3, -14.0, 4.0),
    "struck": (struck, 0.25, -16.0, 6.0),
    "tones": (tones, 0.35, -20.0, 6.0),
    "electrical": (electrical, 0.35, -20.0, 6.0),
    "knocks": (knocks, 0.2, -12.0, 4.0),
    "wandering": (wandering, 0.3, -12.0, 6.0),
}


def surround(stage: Stage, rng: Rng) -> tuple[Array, tuple[str, ...]]:
    """Return what the drawn neighbours add, in units of the RMS of the rest, shape (samples,), and their names."""
    total, names = np.zeros(stage.size), []
    for name, (make, often, low, high) in NEIGHBOURS.items():
        if rng.uniform() < often:
            added = make(stage, rng)
            added = added / max(float(np.std(added)), 1e-12)
            total += 10.0 ** (rng.uniform(low, high) / 20.0) * added
            names.append(name)
    return total, tuple(names)
