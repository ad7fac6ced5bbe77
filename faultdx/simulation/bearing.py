"""Bearings on paper: a machine that shakes, and in it a bearing with or without a localised fault.

One record is level * (structure * (impacts + rumble) + shaft harmonics + foreign lines + sensor noise): a
train of impacts, each of which rings the resonances of the structure (McFadden & Smith 1984, Journal of Sound
and Vibration 96(1), 69-82; Ho & Randall 2000, Mechanical Systems and Signal Processing 14(5), 763-788), in a
machine that is never silent. Amplitudes are in units of the rumble's RMS; `Machine.level_g` makes them g.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.kinematics import SKF_6205, BearingGeometry

Array = npt.NDArray[np.float64]
Impulses = tuple[Array, Array]  # times in s and amplitudes, both of shape (impulses,)

CLASSES = ("healthy", "inner_race", "outer_race", "ball")
SAMPLING_RATE_HZ = 12_000.0
LEAD_S = 0.1  # simulated before the record begins, so that its first sample rings like its last
MAINS_HZ = 50.0


@dataclass(frozen=True)
class Condition:
    """What the machine is asked to do: nominal speed, and load as a share (0..1) of the rated one."""

    name: str
    rpm: float
    load: float


# The loads 0 to 3 HP of the CWRU rig and the speeds its motor then runs at.
CONDITIONS = tuple(Condition(f"load{hp}", rpm, hp / 3) for hp, rpm in enumerate((1797.0, 1772.0, 1750.0, 1730.0)))


@dataclass(frozen=True, eq=False)
class Machine:
    """All that is around the fault and stays with the specimen: structure, sensor, neighbours.

    frequencies_hz, damping, impact_gains, rumble_gains, phases : resonances, shape (modes,)
    level_g : g for each unit of rumble RMS (path and sensor gain in one)
    shaft : amplitudes of orders 1, 2, 3 of the shaft (unbalance, misalignment); shaft_phases : rad
    lines_hz, lines : foreign lines (mains, belt, fan) and their amplitudes
    breathing : depth to which the rumble swells once a shaft turn
    sensor_noise : RMS of the white floor; knocks_per_s, knock : stray blows that no rotation explains
    """

    frequencies_hz: Array
    damping: Array
    impact_gains: Array
    rumble_gains: Array
    phases: Array
    level_g: float
    shaft: Array
    shaft_phases: Array
    lines_hz: Array
    lines: Array
    breathing: float
    sensor_noise: float
    knocks_per_s: float
    knock: float


def draw_machine(
    nominal_hz: Sequence[float],
    impact_gains: Sequence[float],
    rng: np.random.Generator,
    *,
    looseness: float = 1.0,
) -> Machine:
    """Draw the surroundings of one specimen.

    One rig takes all specimens, so its structure and its neighbours are those of the rig but for what a change
    of bearing, of bolts and of sensor changes: some percent of a resonance, a dB of its gain, the whole level.
    `looseness` scales what the structure changes by.
    """
    modes = len(nominal_hz)

    def about(nominal: Sequence[float], spread: float) -> Array:
        return np.asarray(nominal) * np.exp(spread * rng.standard_normal(len(nominal)))

    belt_hz = rng.uniform(15.0, 16.0)
    return Machine(
        frequencies_hz=np.asarray(nominal_hz) * (1.0 + looseness * rng.uniform(-0.02, 0.02, modes)),
        damping=about([0.03] * modes, 0.15 * looseness),
        impact_gains=about(impact_gains, 0.15 * looseness),
        rumble_gains=about([1.0] * modes, 0.15 * looseness),
        phases=np.arange(modes) + looseness * rng.uniform(-0.5, 0.5, modes),
        level_g=float(0.1 * np.exp(0.8 * rng.standard_normal())),
        shaft=about((0.2, 0.12, 0.08), 0.4),
        shaft_phases=rng.uniform(0.0, 2 * np.pi, 3),
        lines_hz=np.array([MAINS_HZ, 2 * MAINS_HZ, belt_hz, 7 * belt_hz]),
        lines=about((0.05, 0.07, 0.06, 0.12), 0.3),
        breathing=rng.uniform(0.0, 0.2),
        sensor_noise=rng.uniform(0.1, 0.2),
        knocks_per_s=rng.uniform(0.0, 2.0),
        knock=rng.uniform(6.0, 16.0),
    )


def impulse_response(machine: Machine, gains: Array, sampling_rate_hz: float) -> Array:
    """Return what one blow leaves: sum_k g_k exp(-2 pi z_k f_k t) sin(2 pi f_k sqrt(1 - z_k^2) t + p_k).

    shape (taps,), at unit energy, so that white noise keeps its RMS and blows of equal size are equally loud
    on every structure. Free decay of damped modes, as in McFadden & Smith 1984 and Ho & Randall 2000. Modes
    above 0.45 of the sampling rate are left out: an anti-aliasing filter would have removed them.
    """
    seen = machine.frequencies_hz < 0.45 * sampling_rate_hz
    f, zeta = machine.frequencies_hz[seen, None], machine.damping[seen, None]
    t = np.arange(round(4.6 / (2 * np.pi * float((f * zeta).min())) * sampling_rate_hz)) / sampling_rate_hz
    ring = np.exp(-2 * np.pi * zeta * f * t) * np.sin(
        2 * np.pi * f * np.sqrt(1 - zeta**2) * t + machine.phases[seen, None]
    )
    h: Array = gains[seen] @ ring
    return h / math.sqrt(float(h @ h))


@dataclass(frozen=True, eq=False)
class Motion:
    """How the shaft turned: times_s and turns, shape (samples,), from LEAD_S before the record to its end."""

    times_s: Array
    turns: Array
    sampling_rate_hz: float

    @property
    def lead(self) -> int:
        """Samples before the record begins."""
        return round(LEAD_S * self.sampling_rate_hz)

    @property
    def rpm(self) -> float:
        """Mean speed over the record, turns a minute."""
        record = self.turns[self.lead :]
        return float(60.0 * (record[-1] - record[0]) / (record.size - 1) * self.sampling_rate_hz)

    def at(self, turns: Array) -> Array:
        """Times in s at which the shaft had made so many turns, shape of `turns`."""
        return np.interp(turns, self.turns, self.times_s)


def turn_shaft(condition: Condition, samples: int, sampling_rate_hz: float, rng: np.random.Generator) -> Motion:
    """Return how a shaft turns near its nominal speed: +-0.15 % from run to run, 0.05 % of slow hunting."""
    total = samples + round(LEAD_S * sampling_rate_hz)
    times = np.arange(total) / sampling_rate_hz
    rate = condition.rpm / 60.0 * (1.0 + rng.uniform(-0.0015, 0.0015))
    w = 2 * np.pi * rng.uniform(0.2, 1.0)
    drift = 5e-4 / w * np.sin(w * times + rng.uniform(0, 2 * np.pi))
    return Motion(times, rate * (times + drift) + rng.uniform(), sampling_rate_hz)


def strikes(order: float, *, jitter: float, motion: Motion, rng: np.random.Generator) -> Array:
    """Return when a fault of `order` strikes, in shaft turns, shape (strikes,).

    The intervals are independent, (1 + jitter * normal) / order, so that the strikes themselves walk at
    random away from a periodic grid, as slip makes them do in a real bearing (Antoni & Randall 2003, Journal
    of Vibration and Acoustics 125(3), 282-289).
    """
    first, last = float(motion.turns[0]), float(motion.turns[-1])
    count = int((last - first) * order * 1.1) + 50
    gaps = (1.0 + jitter * np.clip(rng.standard_normal(count), -3.0, 3.0)) / order
    at = first - rng.uniform() / order + np.cumsum(gaps)
    return at[at < last]


def load_zone(angle_turns: Array, *, extent: float, floor: float) -> Array:
    """Return the load (0..1) on an element at `angle_turns` from the load's direction, shape of `angle_turns`.

    Stribeck's q(psi) / q_max = [1 - (1 - cos psi) / (2 extent)]^(3/2) inside the zone and 0 outside, for
    balls, as in McFadden & Smith 1984; `floor` is what centrifugal force and vibration keep outside of it.
    """
    inside = np.maximum(1.0 - (1.0 - np.cos(2 * np.pi * angle_turns)) / (2.0 * extent), 0.0)
    return floor + (1.0 - floor) * inside**1.5


@dataclass(frozen=True)
class Defect:
    """A localised bearing fault.

    kind : "inner_race", "outer_race" or "ball"; severity : 0 (just there) .. 1 (ripe)
    strength : RMS of what it adds at half load, in units of the rumble's RMS
    angle_deg : how far it extends along the raceway, degrees of arc
    entry : weight of the blow at its entry against the one at its exit; rough : that of blows in between
    jitter : share by which intervals scatter; scatter : share by which amplitudes do
    orders : bpfo, bpfi, 2bsf and ftf with this bearing's slip and tolerance
    zone_extent, zone_floor : see load_zone; phase : where it sits, turns
    race_ratio : a ball's blow on one race against that on the other
    """

    kind: str
    severity: float
    strength: float
    angle_deg: float
    entry: float
    rough: float
    jitter: float
    scatter: float
    orders: dict[str, float]
    zone_extent: float
    zone_floor: float
    phase: float
    race_ratio: float


def draw_defect(
    kind: str,
    severity: float,
    rng: np.random.Generator,
    *,
    geometry: BearingGeometry = SKF_6205,
    strength_db: float = 0.0,
) -> Defect:
    """Draw the fault of one specimen; `severity` (0..1) sets its strength and extent, within a scatter.

    strength_db : added to all strengths, for a machine whose other noise a fault has to stand above
    """
    bearing = BearingGeometry(
        geometry.rolling_elements,
        geometry.ball_diameter * (1.0 + rng.uniform(-0.002, 0.002)),
        geometry.pitch_diameter,
        rng.uniform(0.0, 6.0),
    )
    return Defect(
        kind=kind,
        severity=severity,
        strength=float(10 ** ((strength_db - 4.0 + 10.0 * severity + rng.uniform(-1.0, 1.0)) / 20.0)),
        angle_deg=0.5 + 3.0 * severity * rng.uniform(0.7, 1.0),
        entry=0.4 * max(severity - 0.3, 0.0),
        rough=0.4 * max(severity - 0.6, 0.0),
        jitter=rng.uniform(0.005, 0.015),
        scatter=rng.uniform(0.05, 0.2),
        orders=bearing.slipped(rng.uniform(0.002, 0.012)),
        zone_extent=rng.uniform(0.35, 0.55),
        zone_floor=rng.uniform(0.05, 0.2),
        phase=rng.uniform(-0.06, 0.06) if kind == "outer_race" else rng.uniform(),
        race_ratio=rng.uniform(0.6, 1.0),
    )


def defect_impulses(defect: Defect, condition: Condition, motion: Motion, rng: np.random.Generator) -> Impulses:
    """Return the blows of a bearing fault.

    Outer race: fixed in the load zone, hit at BPFO. Inner race: rides through the zone once a shaft turn, hit
    at BPFI (McFadden & Smith 1984). Ball: rides through it once a cage turn and strikes twice a spin, on one
    race and then the other (Randall & Antoni 2011, Mechanical Systems and Signal Processing 25(2), 485-520).
    A long fault is hit on entry and, harder and the other way, on exit (Sawalhi & Randall 2011, the same
    journal, 25(3), 846-870). Harder with load, and with the square root of speed.
    """
    order = defect.orders[{"outer_race": "bpfo", "inner_race": "bpfi", "ball": "2bsf"}[defect.kind]]
    at = strikes(order, jitter=defect.jitter, motion=motion, rng=rng)
    ftf, angle = defect.orders["ftf"], defect.angle_deg / 360.0
    extent = defect.zone_extent + 0.15 * (condition.load - 0.5)
    if defect.kind == "outer_race":
        where, passage = np.full(at.size, defect.phase), angle / ftf
    elif defect.kind == "inner_race":
        where, passage = at + defect.phase, angle / (1.0 - ftf)
    else:  # as long an arc is D / d times the angle on a ball, which spins at about D / 2d
        where, passage = at * ftf + defect.phase, 2.0 * angle
    weight = load_zone(where, extent=extent, floor=defect.zone_floor)
    if defect.kind == "ball":
        weight[1::2] *= defect.race_ratio
    # A blow of amplitude a, r times a second, has the power a^2 r / sampling rate behind a path of unit energy.
    # The fourth moment, not the second: few blows in the zone then stick out no more than many even ones.
    rate_hz = order * condition.rpm / 60.0
    power = math.sqrt(float(np.mean(weight**4))) * rate_hz / motion.sampling_rate_hz
    hard = (0.8 + 0.4 * condition.load) * math.sqrt(condition.rpm / 1750.0)
    weight *= defect.strength * hard / math.sqrt(power)
    weight *= np.exp(defect.scatter * rng.standard_normal(at.size))
    exits = motion.at(at + passage)
    inside = motion.at(at + passage * rng.uniform(0.2, 0.8, at.size))
    rough = defect.rough * rng.standard_normal(at.size)
    return (
        np.concatenate([motion.at(at), inside, exits]),
        np.concatenate([-defect.entry * weight, rough * weight, weight]),
    )


def place(impulses: Impulses, samples: int, sampling_rate_hz: float) -> Array:
    """Return impulses at times between samples as a band-limited force, shape (samples,): Lanczos kernel of 8 taps.

    Times rounded to samples would jitter by up to half a sample, which is as much as slip does.
    """
    times, amplitudes = impulses
    position = times * sampling_rate_hz
    first = np.floor(position).astype(np.int64) - 3
    taps = np.arange(8)
    x = position[:, None] - (first[:, None] + taps)
    index = first[:, None] + taps
    inside = (index >= 0) & (index < samples)
    force = amplitudes[:, None] * np.sinc(x) * np.sinc(x / 4.0)
    return np.bincount(index[inside], weights=force[inside], minlength=samples).astype(np.float64)


def record_signal(
    machine: Machine,
    condition: Condition,
    motion: Motion,
    rng: np.random.Generator,
    *,
    impulses: Impulses | None = None,
    force: Array | None = None,
) -> npt.NDArray[np.float32]:
    """Return what the sensor saw, g, shape (samples,), once `motion.lead` is cut off.

    impulses : blows of a fault; force : another force on the structure, shape of motion.times_s (gear mesh)
    """
    fs, total = motion.sampling_rate_hz, motion.times_s.size
    spans = total / fs
    knocks = rng.poisson(machine.knocks_per_s * spans)
    blows = (rng.uniform(0, spans, knocks), machine.knock * rng.standard_normal(knocks))
    if impulses is not None:
        blows = (np.concatenate([blows[0], impulses[0]]), np.concatenate([blows[1], impulses[1]]))
    struck = place(blows, total, fs)
    if force is not None:
        struck += force
    phase = 2 * np.pi * motion.turns
    rumble = rng.standard_normal(total) * (1.0 + machine.breathing * np.cos(phase + machine.shaft_phases[0]))
    rumble *= 0.9 + 0.2 * condition.load

    h, g = (impulse_response(machine, a, fs) for a in (machine.impact_gains, machine.rumble_gains))
    size = 1 << (total + h.size - 2).bit_length()  # linear, not circular, convolution
    spectrum = np.fft.rfft(struck, size) * np.fft.rfft(h, size) + np.fft.rfft(rumble, size) * np.fft.rfft(g, size)
    x = np.fft.irfft(spectrum, size)[:total]
    if force is not None:
        x += 0.5 * force  # the part that the housing follows as a rigid body, between the resonances

    quick = (condition.rpm / 1750.0) ** 2  # unbalance is a force in the square of speed
    for order, amplitude, lag in zip((1, 2, 3), machine.shaft, machine.shaft_phases, strict=True):
        x += quick * amplitude * np.cos(order * phase + lag)
    for hz, amplitude in zip(machine.lines_hz, machine.lines, strict=True):
        x += amplitude * np.cos(2 * np.pi * hz * motion.times_s + rng.uniform(0, 2 * np.pi))
    x += machine.sensor_noise * rng.standard_normal(total)
    return (machine.level_g * x[motion.lead :]).astype(np.float32)
