"""Records on paper for the learned witness: any bearing, any machine, any fault, and all that healthy ones do.

The fault and the structure are those of `faultdx.simulation`; everything about them is drawn far wider than on any one
rig (domain randomisation: Tobin et al., IROS 2017), and `surroundings` adds the rest of the machine. A healthy bearing
has weak lines of its own: waviness, preload and indentations make some, and no record is without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from faultdx.signals.kinematics import BearingGeometry
from faultdx.simulation import bearing as paper
from faultdx.simulation.bearing import Condition, Defect, Impulses, Machine, Motion
from faultdx.universal.surroundings import Rng, Stage, clear_of, own_orders, rhythm, surround, through

Array = npt.NDArray[np.float64]
PLACES = ("outer_race", "inner_race", "ball")
RATES_HZ = (8_000.0, 10_000.0, 12_000.0, 16_000.0, 20_000.0, 25_600.0, 48_000.0)
MOST_SAMPLES = 64_000
FEWEST_TURNS, MOST_TURNS = 30.0, 400.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A record, and the truth: `place` is None where the bearing is healthy.

    signal : float32, shape (samples,); stated_rpm : the speed as a nameplate has it, up to 5 % off
    foreign : the bearing of another machine that the same record may be asked about: it is not there
    """

    signal: npt.NDArray[np.float32]
    sampling_rate_hz: float
    rpm: float
    stated_rpm: float
    bearing: BearingGeometry
    foreign: BearingGeometry
    place: str | None
    neighbours: tuple[str, ...]


def draw_geometry(rng: Rng) -> BearingGeometry:
    """A bearing of common proportions: 6 to 18 elements, most often 7 to 10, that fill 55 to 92 % of the circle."""
    n = int(rng.integers(7, 11)) if rng.uniform() < 0.6 else int(rng.integers(6, 19))
    ratio = rng.uniform(0.55, 0.92) * math.sin(math.pi / n)
    return BearingGeometry(n, ratio, 1.0, float(rng.choice([0.0, 0.0, 0.0, 10.0, 15.0, 25.0])))


def _foreign_to(own: BearingGeometry, rng: Rng) -> BearingGeometry:
    """A bearing none of whose lines is near the lines of `own`."""
    for _ in range(400):
        other = draw_geometry(rng)
        if all(clear_of(order, own_orders(own)[:3]) for order in own_orders(other)[:3]):
            return other
    return BearingGeometry(own.rolling_elements + 5, 0.5 * own.ball_diameter, own.pitch_diameter)


def _machine(sampling_rate_hz: float, rng: Rng) -> Machine:
    modes = int(rng.integers(2, 9))
    hz = np.sort(np.exp(rng.uniform(math.log(0.015), math.log(0.44), modes))) * sampling_rate_hz
    machine = paper.draw_machine(tuple(hz), tuple(rng.lognormal(-0.5, 0.7, modes)), rng)
    mains, belt = float(rng.choice([50.0, 60.0])), rng.uniform(3.0, 40.0)
    return replace(
        machine,
        damping=np.exp(rng.uniform(math.log(0.008), math.log(0.09), modes)),
        rumble_gains=rng.lognormal(0.0, 0.8, modes),
        shaft=machine.shaft * rng.lognormal(0.5, 1.0, 3),
        lines_hz=np.array([mains, 2 * mains, belt, 7 * belt]),
        lines=machine.lines * rng.lognormal(0.0, 0.8, 4),
        breathing=float(rng.choice([0.0, rng.uniform(0.0, 0.3), rng.uniform(0.0, 0.8)])),
        sensor_noise=float(np.exp(rng.uniform(math.log(0.02), math.log(0.6)))),
        knocks_per_s=float(rng.choice([0.0, 0.0, rng.uniform(0.0, 2.0)])),
    )


def _defect(kind: str, strength_db: float, severity: float, geometry: BearingGeometry, rng: Rng) -> Defect:
    defect = paper.draw_defect(kind, severity, rng, geometry=geometry, strength_db=strength_db)
    smeared = kind == "ball" and rng.uniform() < 0.5  # its axis wanders: lines become humps
    everywhere = rng.uniform() < 0.15  # a vertical shaft, an axial load, a preload: no load zone to ride through
    return replace(
        defect,
        orders=geometry.slipped(float(rng.uniform(0.0, 0.015))),
        jitter=float(np.exp(rng.uniform(math.log(0.002), math.log(0.15 if smeared else 0.025)))),
        scatter=float(rng.uniform(0.05, 0.5)),
        angle_deg=float(rng.uniform(0.3, 4.0) if rng.uniform() < 0.85 else rng.uniform(4.0, 20.0)),
        zone_extent=float(rng.uniform(0.3, 0.7)),
        zone_floor=float(rng.uniform(0.6, 1.0) if everywhere else rng.uniform(0.0, 0.4)),
        phase=float(rng.uniform() if kind != "outer_race" or rng.uniform() < 0.3 else rng.uniform(-0.1, 0.1)),
        race_ratio=float(rng.uniform(0.0, 1.0)),
    )


def _blows(defect: Defect, condition: Condition, motion: Motion, rng: Rng) -> Impulses:
    """The blows of a fault, as the simulation has them, made less regular: a load that swings with the shaft, and a
    ball whose axis wanders, so that it strikes the track for a few turns and then not.
    """
    times, force = paper.defect_impulses(defect, condition, motion, rng)
    turns = np.interp(times, motion.times_s, motion.turns)
    if rng.uniform() < 0.35:
        force = force * rhythm(turns, 1.0, rng, depth=float(rng.uniform(0.1, 0.7)))
    if defect.kind == "ball" and rng.uniform() < 0.7:
        first, last = float(motion.turns[0]), float(motion.turns[-1])
        knots = np.arange(first, last + 60.0, float(np.exp(rng.uniform(math.log(2.0), math.log(60.0)))))
        tilt = rng.standard_normal(knots.size) * rng.uniform(0.3, 1.5)
        force = force * np.exp(-(np.interp(turns, knots, tilt) ** 2))
        slide = np.interp(turns, knots, np.cumsum(rng.standard_normal(knots.size)) * rng.uniform(0.0, 0.15))
        times = times + slide / defect.orders["2bsf"] / (condition.rpm / 60.0)
    return times, force


def draw_pair(rng: Rng, *, place: str) -> tuple[Scene, Scene]:
    """Draw one machine twice: with a healthy bearing, and with a fault at `place`; nothing else differs.

    So the network cannot tell a fault by its surroundings.
    """
    geometry = draw_geometry(rng)
    fs = float(rng.choice(RATES_HZ))
    fastest = min(6000.0, 60.0 * fs / (6.5 * geometry.bpfi))
    condition = Condition("drawn", float(np.exp(rng.uniform(math.log(300.0), math.log(fastest)))), float(rng.uniform()))
    turns = float(np.exp(rng.uniform(math.log(FEWEST_TURNS), math.log(MOST_TURNS))))
    samples = int(min(turns / condition.rpm * 60.0 * fs, MOST_SAMPLES))
    motion = paper.turn_shaft(condition, samples, fs, rng)
    if rng.uniform() < 0.25:  # the speed runs away by up to 3 %
        t, change = motion.times_s, float(rng.uniform(-0.03, 0.03))
        motion = Motion(t, motion.turns + condition.rpm / 60.0 * change * (t**2 / (2 * t[-1]) - t / 2), fs)
    machine = _machine(fs, rng)
    weak: list[Impulses] = []
    fault: list[Impulses] = []

    def add(to: list[Impulses], kind: str, strength_db: float, severity: float, of: BearingGeometry = geometry) -> None:
        to.append(_blows(_defect(kind, strength_db, severity, of, rng), condition, motion, rng))

    if rng.uniform() < 0.6:  # every bearing has a little of everything
        for kind in rng.choice(PLACES, int(rng.integers(1, 4)), replace=False):
            add(weak, str(kind), float(rng.uniform(-34.0, -14.0)), 0.0)
    if rng.uniform() < 0.35:  # another bearing on the shaft, damaged
        other = _foreign_to(geometry, rng)
        add(weak, str(rng.choice(PLACES)), float(rng.uniform(-14.0, 2.0)), float(rng.uniform()), other)
    strength = float(rng.uniform(-7.0, 14.0))
    if place == "ball" and rng.uniform() < 0.6:  # it dents the races that it rolls on (Smith & Randall 2015)
        faint = float(rng.choice([0.0, rng.uniform(-16.0, 0.0)]))  # and shows in nothing else, often
        add(fault, place, strength + faint, float(rng.uniform()))
        for race in ("outer_race", "inner_race"):
            add(fault, race, strength + float(rng.uniform(-22.0, -4.0)), float(rng.uniform(0.0, 0.5)))
    else:
        add(fault, place, strength, float(rng.uniform()))
        if rng.uniform() < 0.3:  # one damage brings another
            second = str(rng.choice([p for p in PLACES if p != place]))
            add(fault, second, strength + float(rng.uniform(-20.0, -4.0)), float(rng.uniform(0.0, 0.5)))

    rest = paper.record_signal(machine, condition, motion, rng, impulses=_joined(weak)).astype(np.float64)
    stage = Stage(motion, own_orders(geometry), paper.impulse_response(machine, machine.impact_gains, fs))
    blows = _joined(fault)
    assert blows is not None
    ringing = machine.level_g * through(stage, paper.place(blows, motion.times_s.size, fs))[motion.lead :]
    added, names = surround(stage, rng)
    rest = rest + float(np.std(rest) * np.exp(rng.uniform(-2.5, 0.0))) * added[motion.lead :]
    stated = motion.rpm * (1.0 + float(rng.choice([0.0, rng.uniform(-0.05, 0.05)])))
    foreign = _foreign_to(geometry, rng)
    worn = rng.uniform(size=4)  # the same recorder for both
    healthy, faulty = (
        Scene(_digitised(signal, worn), fs, motion.rpm, stated, geometry, foreign, truth, names)
        for signal, truth in ((rest, None), (rest + ringing, place))
    )
    return healthy, faulty


def _joined(blows: list[Impulses]) -> Impulses | None:
    if not blows:
        return None
    return (np.concatenate([b[0] for b in blows]), np.concatenate([b[1] for b in blows]))


def _digitised(signal: Array, drawn: Array) -> npt.NDArray[np.float32]:
    """Coarse steps and clipped peaks, now and then; drawn : four numbers, uniform in 0..1."""
    spread = float(np.std(signal))
    if drawn[0] < 0.1:
        limit = spread * (2.0 + 4.0 * drawn[1])
        signal = np.clip(signal, -limit, limit)
    if drawn[2] < 0.3:
        step = spread * 0.002 * 50.0 ** drawn[3]
        signal = np.round(signal / step) * step
    return signal.astype(np.float32)
