"""What the gears' indicators tell, on paper and on a real gearbox: the figures of docs/gears.md.

    OMP_NUM_THREADS=1 python benchmarks/gears.py [PART ...] [--data FOLDER] [--count 24] [--seed 31] [--seconds 8]

PART is one or more of `simulated`, `uneven`, `small`, `worse`, `speed`, `gfd`, `other`, `cost`; all where none is said.
The two limits (faultdx.signals.gears: FM4_LIMIT, REPEATS) were set on simulated gearboxes of seed 3; seed 31 and the
recordings are reported only. docs/gears.md says what of gearbox_gfd was known when they were set.

* simulated: `faultdx simulate gearbox`, all eight classes at three speeds and three loads. A bearing's fault is no
  tooth's: its records count as healthy gears
* uneven: healthy gears each of whose teeth differs from the others at random, on both shafts; small: a broken tooth in
  such gears, from a twentieth of what the simulated rig takes for one
* worse: broken teeth with noise added, and cut short; speed: with the speed stated wrong
* gfd: healthy and broken tooth at seven loads, 32 and 80 teeth (read off its spectrum), 1800 rpm stated, each channel
  by itself. 12 800 Hz is not documented
* other: recordings without gears (CWRU), of which gears are asked all the same

Tables are Markdown. The whole takes about two minutes on one core.
"""

from __future__ import annotations

import argparse
import collections
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faultdx.records import read_record
from faultdx.signals.gears import GearWitness, assess_gears
from faultdx.signals.noise import add_noise
from faultdx.simulation import bearing, gearbox
from faultdx.simulation.rig import RIGS, simulate_one

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
Array = npt.NDArray[np.float64]
WORDS = ("tooth_damage_suspected", "no_evidence", "not_assessable")
INDICATORS = ("fm0", "fm4", "m6a", "m8a", "na4", "nb4", "energy_ratio", "sideband_level_factor")
PINION, WHEEL = gearbox.GEARS.pinion_teeth, gearbox.GEARS.gear_teeth


def ask(
    signal: npt.ArrayLike, rate_hz: float, rpm: float, *, teeth: int = PINION, other: int | None = WHEEL
) -> GearWitness:
    """Return the witness of one channel."""
    return assess_gears(signal, sampling_rate_hz=rate_hz, rpm=rpm, teeth=teeth, other_teeth=other)


def table(title: str, rows: dict[str, list[GearWitness]]) -> None:
    """Print the words by row, and how large FM4 of the first gear was."""
    print(f"\n| {title} | records | suspected | no evidence | not assessable | FM4 median | FM4 range |")
    print("|---|---|---|---|---|---|---|")
    for name, found in rows.items():
        count = collections.Counter(w.verdict for w in found)
        fm4 = [g.indicators.fm4 for w in found for g in w.gears[:1] if g.indicators is not None]
        said = f"{np.median(fm4):.2f} | {min(fm4):.2f} to {max(fm4):.2f}" if fm4 else "- | -"
        print(f"| {name} | {len(found)} | " + " | ".join(str(count[word]) for word in WORDS) + f" | {said} |")


def simulated(args: argparse.Namespace) -> None:
    """Print the words for each class, and for the tooth faults by severity."""
    rows: dict[str, list[GearWitness]] = {}
    by_severity: dict[str, list[GearWitness]] = {}
    conditions = RIGS["gearbox"].conditions
    for label in RIGS["gearbox"].classes:
        for specimen in range(args.count):
            condition = conditions[specimen % len(conditions)]
            r = simulate_one("gearbox", label, specimen, condition, seconds=args.seconds, seed=args.seed)
            found = ask(r.signal[0], r.sampling_rate_hz, condition.rpm)
            rows.setdefault(label, []).append(found)
            if label.startswith("gear_"):
                third = min(int(3 * float(r.details["severity"])), 2)
                name = f"{label}, severity {third / 3:.2f} to {(third + 1) / 3:.2f}"
                by_severity.setdefault(name, []).append(found)
    table("simulated class", rows)
    table("by severity", dict(sorted(by_severity.items())))


@dataclass(frozen=True)
class Scene:
    """A gear pair whose teeth differ by `spread` (a share of the mesh amplitude, half of it in rad of its phase), and
    whose pinion has a broken tooth of `size` times what the simulated rig draws for it (0: none).
    """

    spread: float
    size: float = 0.0


def play(scene: Scene, rng: np.random.Generator, *, seconds: float) -> tuple[Array, float, float]:
    """Return (signal, sampling rate, stated rpm) of a scene, at one of the rig's conditions."""
    conditions = RIGS["gearbox"].conditions
    condition, rate_hz = conditions[int(rng.integers(len(conditions)))], RIGS["gearbox"].sampling_rate_hz
    machine = bearing.draw_machine((520.0, 1150.0, 2100.0, 3400.0, 4700.0), (0.4, 0.7, 0.8, 1.0, 0.8), rng)
    motion = bearing.turn_shaft(condition, round(seconds * rate_hz), rate_hz, rng)
    mesh = gearbox.draw_mesh(rng)
    fault = gearbox.draw_tooth_fault("gear_broken_tooth", float(rng.uniform()), rng)
    gain, shift = np.ones(motion.turns.size), np.zeros(motion.turns.size)
    for teeth, order in ((PINION, 1.0), (WHEEL, gearbox.GEARS.gear)):
        place = (motion.turns * order % 1.0) * teeth
        own = scene.spread * rng.standard_normal((2, teeth))
        own = np.concatenate([own, own[:, :1]], axis=1)
        gain += np.interp(place, np.arange(teeth + 1), own[0])
        shift += np.interp(place, np.arange(teeth + 1), own[1] / 2)
    away = np.abs((motion.turns - fault.tooth + 0.5) % 1.0 - 0.5) * PINION / fault.width_teeth
    window = np.exp(-math.log(2.0) * (2.0 * away) ** 2)
    gain *= 1.0 - scene.size * fault.dip * window
    shift -= scene.size * fault.lag * window
    force = np.zeros(motion.turns.size)
    for k, (amplitude, phase) in enumerate(zip(mesh.amplitudes, mesh.phases, strict=True), 1):
        if (k * PINION + 10) * condition.rpm / 60.0 < 0.45 * rate_hz:
            force += amplitude * np.cos(2 * np.pi * k * PINION * motion.turns + phase + k * shift)
    force *= gain * (0.75 + 0.5 * condition.load)
    times, blows = gearbox.tooth_impulses(fault, condition, motion, rng)
    x = bearing.record_signal(machine, condition, motion, rng, force=force, impulses=(times, scene.size * blows))
    return x.astype(np.float64), rate_hz, condition.rpm


def played(scene: Scene, args: argparse.Namespace) -> list[GearWitness]:
    """Return the witnesses of as many records of a scene as are asked for."""
    rng = np.random.default_rng([args.seed, round(1000 * scene.spread), round(1000 * scene.size)])
    return [ask(*play(scene, rng, seconds=args.seconds)) for _ in range(args.count)]


def uneven(args: argparse.Namespace) -> None:
    """Print the words for healthy gears of uneven teeth."""
    spreads = (0.02, 0.05, 0.1, 0.2, 0.4)
    table("healthy, uneven teeth", {f"teeth differ by {100 * s:.0f} %": played(Scene(s), args) for s in spreads})


def small(args: argparse.Namespace) -> None:
    """Print the words for broken teeth from a tenth of the rig's smallest on, in even gears and in uneven ones."""
    for spread in (0.0, 0.1, 0.3):
        sizes = (0.05, 0.1, 0.2, 0.4, 1.0)
        rows = {f"size {size:g}": played(Scene(spread, size), args) for size in sizes}
        table(f"a broken tooth, teeth differ by {100 * spread:.0f} %", rows)


def broken(args: argparse.Namespace, label: str = "gear_broken_tooth") -> Iterator[tuple[Array, float, float]]:
    """Yield simulated records of one class: (signal, sampling rate, rpm)."""
    conditions = RIGS["gearbox"].conditions
    for specimen in range(args.count):
        condition = conditions[specimen % len(conditions)]
        r = simulate_one("gearbox", label, specimen, condition, seconds=args.seconds, seed=args.seed)
        yield r.signal[0].astype(np.float64), r.sampling_rate_hz, condition.rpm


def worse(args: argparse.Namespace) -> None:
    """Print the words for broken teeth and sound ones as the records get worse."""
    for label in ("gear_broken_tooth", "healthy"):
        rows: dict[str, list[GearWitness]] = {}
        for i, (x, rate_hz, rpm) in enumerate(broken(args, label)):
            for snr in (20, 10, 0, -10, -20):
                noisy = add_noise(x, kind="gaussian", snr_db=snr, rng=np.random.default_rng([args.seed, i, snr + 50]))
                rows.setdefault(f"SNR {snr} dB", []).append(ask(noisy, rate_hz, rpm))
            for seconds in (4, 2, 1, 0.5):
                rows.setdefault(f"{seconds} s", []).append(ask(x[: round(seconds * rate_hz)], rate_hz, rpm))
        table(label, rows)


def speed(args: argparse.Namespace) -> None:
    """Print the words and the error of the speed found where the stated one is off."""
    rows: dict[str, list[GearWitness]] = {}
    errors: dict[str, list[float]] = {}
    for x, rate_hz, rpm in broken(args):
        for off in (0.0, 0.02, -0.02, 0.045, -0.045, 0.08):
            name = f"stated {100 * off:+.1f} %"
            found = ask(x, rate_hz, rpm * (1 + off))
            rows.setdefault(name, []).append(found)
            if math.isfinite(found.speed_hz):
                errors.setdefault(name, []).append(abs(found.speed_hz * 60 / rpm - 1))
    table("gear_broken_tooth", rows)
    print("\nlargest distance of the speed found from the nominal one (the simulation itself is up to 0.15 % off it):")
    print("; ".join(f"{name}: {100 * max(found):.2f} %" for name, found in errors.items()))


def auc(sick: list[float], sound: list[float]) -> float:
    """Share of pairs in which the sick one is higher."""
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in sick for b in sound]))


def gfd(args: argparse.Namespace) -> None:
    """Print the words for the real gearbox, and how well each indicator parts broken from healthy, by channel."""
    rows: dict[str, list[GearWitness]] = {}
    values: dict[tuple[str, str, int, int], list[float]] = {}
    for path in sorted((args.data / "gearbox_gfd").glob("*.csv")):
        state = {"h": "healthy", "b": "broken tooth"}[path.name[0]]
        record = read_record(path, sampling_rate_hz=12_800.0, rpm=1800.0, channels=("a1", "a2", "a3", "a4"))
        for channel, row in enumerate(record.signal):
            found = ask(row, 12_800.0, 1800.0, teeth=32, other=80)
            rows.setdefault(f"gfd {state}, views", []).append(found)
            for gear, seen in enumerate(found.gears):
                if seen.indicators is not None:
                    for name in INDICATORS:
                        values.setdefault((name, state, gear, channel), []).append(getattr(seen.indicators, name))
    table("real gearbox", rows)
    print(
        "\n| share of pairs in which the broken one is higher | "
        + " | ".join(f"gear {g + 1} a{c + 1}" for g in (0, 1) for c in range(4))
        + " |"
    )
    print("|---|" + "---|" * 8)
    for name in INDICATORS:
        cells = []
        for gear in (0, 1):
            for channel in range(4):
                sick, sound = (values.get((name, s, gear, channel), []) for s in ("broken tooth", "healthy"))
                cells.append(f"{auc(sick, sound):.2f}" if sick and sound else "-")
        print(f"| {name} | " + " | ".join(cells) + " |")


def other(args: argparse.Namespace) -> None:
    """Print the words for recordings that have no gears."""
    found: list[GearWitness] = []
    for path in sorted((args.data / "cwru").glob("*.mat")):
        record = read_record(path)
        for teeth in (19, 23, 32):
            found += [
                ask(row, record.sampling_rate_hz, record.rpm or 1797.0, teeth=teeth, other=None)
                for row in record.signal
            ]
    table("no gears there", {"CWRU, three tooth numbers each": found})


def cost(args: argparse.Namespace) -> None:
    """Print the time that one channel of 8 s takes."""
    x, rate_hz, rpm = next(broken(args))
    ask(x, rate_hz, rpm)
    began = time.process_time()
    for _ in range(5):
        ask(x, rate_hz, rpm)
    print(f"\none channel of {x.size} samples, CPU time, warm: {(time.process_time() - began) / 5 * 1000:.0f} ms")


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "simulated": simulated,
    "uneven": uneven,
    "small": small,
    "worse": worse,
    "speed": speed,
    "gfd": gfd,
    "other": other,
    "cost": cost,
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    for name in args.parts or PARTS:
        if name not in PARTS:
            parser.error(f"{name} is no part: {', '.join(PARTS)}")
        PARTS[name](args)


if __name__ == "__main__":
    main()
