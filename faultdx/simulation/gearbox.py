"""Gearboxes on paper: a pinion and a gear in mesh, and one of seven faults at the pinion's shaft.

The mesh of a sound pair is a sum of harmonics of the tooth-mesh frequency, modulated in amplitude and phase by
the turn of the pinion (McFadden 1986, Journal of Vibration, Acoustics, Stress, and Reliability in Design 108(2),
165-170); a tooth fault is a modulation that lasts a tooth or two and comes back once a turn, with or without a
blow. The structure that carries it to the sensor, and all that is around it, is that of `bearing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from faultdx.signals.kinematics import GearPair
from faultdx.simulation.bearing import Array, Condition, Impulses, Motion

CLASSES = (
    "healthy",
    "bearing_inner_race",
    "bearing_outer_race",
    "bearing_ball",
    "gear_root_crack",
    "gear_pitting",
    "gear_broken_tooth",
    "gear_missing_tooth",
)
SAMPLING_RATE_HZ = 12_800.0
GEARS = GearPair(29, 95)
HARMONICS = 6
_GRID = 1 << 13  # points a turn: 47 to a cycle of the sixth mesh harmonic, so that interpolating costs 0.2 %

# Three speeds of the pinion's shaft and three loads, as in the experiments of the shrinkage-network paper.
CONDITIONS = tuple(Condition(f"{hz}hz_load{load}", 60.0 * hz, load / 2) for hz in (20, 30, 40) for load in (0, 1, 2))


@dataclass(frozen=True, eq=False)
class Mesh:
    """A sound gear pair, as one specimen has it.

    amplitudes, phases : mesh harmonics 1, 2, ... in units of the rumble's RMS and rad, shape (HARMONICS,)
    runout : depth of the amplitude modulation and (rad) of the phase modulation by the pinion's turn
    runout_phases : rad; gear_runout : depth of the amplitude modulation by the gear's turn
    """

    amplitudes: Array
    phases: Array
    runout: tuple[float, float]
    runout_phases: tuple[float, float]
    gear_runout: float


@dataclass(frozen=True, eq=False)
class ToothFault:
    """A fault of one tooth or of a few.

    kind : one of the gear_... classes; severity : 0 (just there) .. 1 (ripe); tooth : its place, turns
    dip : share of the mesh amplitude lost there; lag : phase of the first mesh harmonic lost there, rad
    width_teeth : how long both last
    blows : where it strikes, turns after `tooth`, and blow_weights, of unit energy a turn; shape (blows,)
    strength : RMS of the blows at half load, in units of the rumble's RMS; scatter : share by which they vary
    """

    kind: str
    severity: float
    tooth: float
    dip: float
    lag: float
    width_teeth: float
    blows: Array
    blow_weights: Array
    strength: float
    scatter: float


def draw_mesh(rng: np.random.Generator) -> Mesh:
    """Draw the gear pair of one specimen: gears of one drawing, so alike but for tolerance and mounting."""
    k = np.arange(1.0, HARMONICS + 1)
    amplitudes: Array = k**-1.0 * np.exp(0.06 * rng.standard_normal(HARMONICS))
    level = rng.uniform(1.5, 1.8)  # RMS of the mesh force against the rumble's
    return Mesh(
        amplitudes=level * math.sqrt(2.0) * amplitudes / math.sqrt(float(amplitudes @ amplitudes)),
        phases=k**2 + rng.uniform(-0.15, 0.15, HARMONICS),
        runout=(rng.uniform(0.04, 0.12), rng.uniform(0.01, 0.05)),
        runout_phases=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        gear_runout=rng.uniform(0.0, 0.1),
    )


def draw_tooth_fault(kind: str, severity: float, rng: np.random.Generator, *, gears: GearPair = GEARS) -> ToothFault:
    """Draw the tooth fault of one specimen; `severity` (0..1) sets its size, within a scatter.

    gear_root_crack : less stiffness while the tooth carries: a smooth dip and lag, no blow (McFadden 1986; for
        the stiffness Chaari, Fakhfakh & Haddar 2009, European Journal of Mechanics A/Solids 28(3), 461-468)
    gear_pitting : several neighbours with small pits, each a small blow at a place of its own every turn
    gear_broken_tooth : a part of the stiffness gone for a pitch, and one blow as the next tooth takes the load
        (Chaari, Baccar, Abbes & Haddar 2008, the same journal, 27(4), 691-705)
    gear_missing_tooth : no mesh for a pitch, and two blows: contact lost, contact found again
    """
    pitch = 1.0 / gears.pinion_teeth
    blows, weights = np.zeros(0), np.zeros(0)
    dip, lag, width, low_db = 0.0, 0.0, 1.0, 0.0
    if kind == "gear_root_crack":
        dip, lag, width = 0.4 + 0.3 * severity, 1.1 + 0.7 * severity, rng.uniform(1.8, 2.4)
    elif kind == "gear_pitting":
        teeth = 6 + round(4 * severity)
        pits = rng.integers(3, 5, teeth)
        blows = pitch * (np.repeat(np.arange(teeth), pits) + rng.uniform(0.0, 1.0, int(pits.sum())))
        weights = rng.choice((-1.0, 1.0), blows.size) * rng.uniform(0.6, 1.0, blows.size)
        dip, width, low_db = 0.05, float(teeth), 1.0
    elif kind == "gear_broken_tooth":
        dip, lag = 0.25 + 0.25 * severity, 0.3 + 0.3 * severity
        blows, weights = np.zeros(1), np.ones(1)
    else:
        dip, lag, width = 0.85 + 0.15 * severity, 0.2, rng.uniform(1.5, 1.8)
        blows = pitch * np.array([-0.5, 0.5]) * rng.uniform(1.8, 2.0)
        weights = np.array([-rng.uniform(0.6, 0.8), 1.0])
    if weights.size:
        weights = weights / math.sqrt(float(weights @ weights))
    return ToothFault(
        kind=kind,
        severity=severity,
        tooth=rng.uniform(),
        dip=min(dip * rng.uniform(0.9, 1.1), 1.0),
        lag=lag * rng.uniform(0.9, 1.1),
        width_teeth=width,
        blows=blows,
        blow_weights=weights,
        strength=float(10 ** ((low_db + 9.0 * severity + rng.uniform(-1.0, 1.0)) / 20.0)),
        scatter=0.5 if kind == "gear_pitting" else rng.uniform(0.05, 0.2),  # pits meet other pits each turn
    )


def _event(turn: Array, *, centre: float, width: float) -> Array:
    """A smooth window of 1 round `centre`, `width` turns long at half height, in turns modulo 1."""
    away = np.abs((turn - centre + 0.5) % 1.0 - 0.5)
    return np.exp(-math.log(2.0) * (2.0 * away / width) ** 2)


def mesh_force(
    mesh: Mesh,
    condition: Condition,
    motion: Motion,
    *,
    fault: ToothFault | None = None,
    gears: GearPair = GEARS,
) -> Array:
    """Return the force of the tooth mesh on the structure, in units of the rumble's RMS, shape (samples,).

    sum_k A_k (1 + a(u)) cos(2 pi k N u + p_k + k b(u)), u the pinion's angle in turns, N its teeth, a and b
    periodic in u: the meshing vibration of McFadden 1986 and 1988 (Mechanical Systems and Signal Processing
    2(4), 403-409). Less stiffness at a tooth takes its share of a and delays b. Harmonics whose sidebands would
    pass 0.45 of the sampling rate are left out, as an anti-aliasing filter does.
    """
    u = np.arange(_GRID + 1) / _GRID
    (am, pm), (am_phase, pm_phase) = mesh.runout, mesh.runout_phases
    gain = 1.0 + am * np.cos(2 * np.pi * u + am_phase)
    shift = pm * np.cos(2 * np.pi * u + pm_phase)
    if fault is not None:
        window = _event(u, centre=fault.tooth, width=fault.width_teeth / gears.pinion_teeth)
        gain *= 1.0 - fault.dip * window
        shift -= fault.lag * window
    turn = np.zeros(_GRID + 1)
    for k, (amplitude, phase) in enumerate(zip(mesh.amplitudes, mesh.phases, strict=True), start=1):
        if (k * gears.mesh + 10) * condition.rpm / 60.0 < 0.45 * motion.sampling_rate_hz:
            turn += amplitude * np.cos(2 * np.pi * k * gears.mesh * u + phase + k * shift)
    turn *= (0.75 + 0.5 * condition.load) * gain
    force = np.interp(motion.turns % 1.0, u, turn)
    return force * (1.0 + mesh.gear_runout * np.cos(2 * np.pi * gears.gear * motion.turns))


def tooth_impulses(fault: ToothFault, condition: Condition, motion: Motion, rng: np.random.Generator) -> Impulses:
    """Return the blows of a tooth fault: at the same angles every turn, for teeth do not slip.

    The force of a local fault adds to the mesh as an impulse once a turn (Randall 1982, Journal of Mechanical
    Design 104(2), 259-267). Harder with load, and with the square root of speed.
    """
    turns = np.arange(math.floor(motion.turns[0]) - 1, math.ceil(motion.turns[-1]) + 1)
    at = (turns[:, None] + fault.tooth + fault.blows).ravel()
    seen = (at > motion.turns[0]) & (at < motion.turns[-1])
    at, weights = at[seen], np.tile(fault.blow_weights, turns.size)[seen]
    hard = (0.8 + 0.4 * condition.load) * math.sqrt(condition.rpm / 1800.0)
    weights *= fault.strength * hard * math.sqrt(motion.sampling_rate_hz * 60.0 / condition.rpm)
    return motion.at(at), weights * np.exp(fault.scatter * rng.standard_normal(at.size))
