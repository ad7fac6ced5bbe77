"""What the learned witness adds to the physics: the figures of docs/universal.md.

    OMP_NUM_THREADS=1 python benchmarks/universal.py [PART ...] [--model FOLDER] [--data FOLDER] [--count 300]
                                                    [--seed 31]

PART is one or more of `cwru`, `uestc`, `gearbox`, `simulated`, `worse` and `cost`; all of them where none is named. The
recordings, their speeds and what counts as one record are those of benchmarks/witness.py; the protocol is in
docs/universal.md. Each table has three rows for a set: the physics witness alone, the learned one alone, and both.

--model takes another folder that `faultdx train --universal` wrote, instead of the shipped network.

Tables are Markdown. The whole takes about five minutes on one core.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from witness import DATA, OFFSETS, Case, cwru, gearbox, uestc  # noqa: E402
from witness_scenes import PLACES, draw_scene  # noqa: E402

from faultdx.signals.bearings import bearing  # noqa: E402
from faultdx.signals.hearing import Unfit, hear  # noqa: E402
from faultdx.signals.noise import add_noise  # noqa: E402
from faultdx.signals.witness import Witness, assess_bearing, judge  # noqa: E402
from faultdx.universal import joint, listening  # noqa: E402

Counts = collections.Counter[str]
OUTCOMES = ("right", "WRONG", "damaged", "no_evidence", "not_assessable")
WAYS = ("physics", "learned", "both")


@dataclass(frozen=True, eq=False)
class Answers:
    """Verdict and place by each of WAYS, and what the network said (empty where it was not asked)."""

    verdicts: Mapping[str, tuple[str, str | None]]
    learned: Mapping[str, float]


def answers(case: Case, *, offset: float = 0.0) -> Answers:
    """Return what each says of a case whose speed is stated wrong by the share `offset`."""
    asked = {"sampling_rate_hz": case.sampling_rate_hz, "rpm": case.rpm * (1 + offset), "bearing": case.bearing}
    heard = hear(case.signal, **asked)  # type: ignore[arg-type]
    if isinstance(heard, Unfit):
        alone = assess_bearing(case.signal, **asked)  # type: ignore[arg-type]
        return Answers(dict.fromkeys(WAYS, (alone.verdict, alone.place)), {})
    physics = judge(heard, case.bearing)
    said = joint.learned_of(heard, case.bearing)
    both = joint.joined(physics, said)
    return Answers(
        {
            "physics": (physics.verdict, physics.place),
            "learned": joint.learned_alone(said),
            "both": (both.verdict, both.place),
        },
        said,
    )


def outcome(place: str | None, verdict: str, said: str | None) -> str:
    """Return the verdict; "right" and "WRONG" for "located"."""
    return verdict if verdict != "located" else "right" if said == place else "WRONG"


def table(cases: Sequence[Case], *, offsets: Iterable[float], listed: bool = True) -> None:
    """Print three rows for each set and offset, and what went wrong."""
    print("| set | speed off | n | witness | " + " | ".join(OUTCOMES) + " |\n|---|" + "---|" * 8)
    bad, full = [], collections.defaultdict(list)
    for name in dict.fromkeys(c.set for c in cases):
        for offset in offsets:
            counts = {(faulty, way): Counts() for faulty in (True, False) for way in WAYS}
            for case in (c for c in cases if c.set == name):
                found = answers(case, offset=offset)
                for way, (verdict, place) in found.verdicts.items():
                    got = outcome(case.place, verdict, place)
                    counts[case.place is not None, way][got] += 1
                    if way == "both" and (got == "WRONG" or (case.place is None and got == "damaged")):
                        said = ", ".join(f"{k} {v:.2f}" for k, v in found.learned.items())
                        bad.append(f"{name} {case.name} ({offset:+.0%}): {verdict} {place}; {said}")
                if found.learned:
                    likeliest = max(found.learned, key=lambda k: found.learned[k])
                    full[name, offset].append(likeliest == (case.place or "none"))
            for (faulty, way), c in counts.items():
                if c:
                    kind = "" if faulty else ", healthy"
                    row = " | ".join(str(c[o]) for o in OUTCOMES)
                    print(f"| {name}{kind} | {offset:+.0%} | {c.total()} | {way} | {row} |", flush=True)
    print("\nfour classes at full coverage, the network alone:")
    for (name, offset), right in full.items():
        print(f"* {name} ({offset:+.0%}): {sum(right)} of {len(right)}")
    print("\n" + "\n".join(f"* {line}" for line in bad) + "\n" if listed and bad else "")


def simulated(count: int, seed: int) -> list[Case]:
    """Scenes of benchmarks/witness_scenes.py, half healthy; speeds stated up to 5 % off."""
    cases = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        place = None if i % 2 == 0 else PLACES[(i // 2) % 3]
        s = draw_scene(rng, place=place)
        rpm = s.rpm * (1 + rng.uniform(-0.05, 0.05))
        cases.append(Case(f"scenes of seed {seed}", str(i), s.signal, s.sampling_rate_hz, rpm, s.bearing, place))
    return cases


def worse(data: Path) -> None:
    """CWRU drive end 12k made worse step by step."""
    cases = [c for c in cwru(data) if c.set == "CWRU 12k DE (tuned on)"]

    def noisy(snr_db: float) -> Callable[[Case, int], Case]:
        return lambda c, i: replace(
            c, signal=add_noise(c.signal, kind="gaussian", snr_db=snr_db, rng=np.random.default_rng([31, i]))
        )

    def short(seconds: float) -> Callable[[Case, int], Case]:
        return lambda c, _: replace(c, signal=c.signal[: round(seconds * c.sampling_rate_hz)])

    steps: list[tuple[str, Callable[[Case, int], Case], float]] = [("as it is", lambda c, _: c, 0.0)]
    steps += [(f"noise, SNR {snr:+.0f} dB", noisy(snr), 0.0) for snr in (10, 5, 0, -5, -10)]
    steps += [(f"cut to {s:g} s", short(s), 0.0) for s in (5, 2.5, 1.5, 1, 0.7)]
    steps += [(f"speed {o:+.0%}", lambda c, _: c, o) for o in (0.01, -0.02, 0.04, -0.06, 0.08, 0.1, -0.1)]
    print("| step | physics right | wrong | learned right | wrong | both right | wrong |\n|---|" + "---|" * 6)
    for name, change, offset in steps:
        c: Counts = Counts()
        for i, case in enumerate(cases):
            for way, (verdict, place) in answers(change(case, i), offset=offset).verdicts.items():
                c[f"{way} {outcome(case.place, verdict, place)}"] += 1
        cells = " | ".join(f"{c[f'{way} right']} | {c[f'{way} WRONG']}" for way in WAYS)
        print(f"| {name} | {cells} |", flush=True)
    print()


def cost() -> None:
    """Processor time of a call, 10 s at 12 kHz: the first of a process, and warm; the two kinds by turns."""
    geometry = bearing("6205-2RS JEM").geometry
    s = draw_scene(np.random.default_rng(3), place="outer_race", severity=0.8, nuisances=("mains",), geometry=geometry)
    signal = np.resize(s.signal, 120_000)
    spent: dict[str, list[float]] = {"physics": [], "both": []}
    ways: dict[str, Callable[..., Witness]] = {"physics": assess_bearing, "both": joint.assess_both}
    for _ in range(30):
        for name, assess in ways.items():
            start = time.process_time()
            assess(signal, sampling_rate_hz=12_000.0, rpm=1797.0, bearing=geometry)
            spent[name].append(time.process_time() - start)
    for name, times in spent.items():
        first, warm = 1e3 * times[0], 1e3 * np.array(times[2:])
        print(f"* {name}: first call {first:.0f} ms; warm, least {warm.min():.0f} ms, median {np.median(warm):.0f} ms")
    print()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parts = ("cwru", "uestc", "gearbox", "simulated", "worse", "cost")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=31)
    args = parser.parse_args(argv)
    if unknown := [p for p in args.parts if p not in parts]:
        parser.error(f"unknown part {unknown[0]!r}")
    if args.model is not None:
        other = listening.Listener((args.model / "universal.onnx").read_bytes(), where=str(args.model))
        joint.shipped = lambda: other  # type: ignore[assignment]
    for part in args.parts or parts:
        print(f"### {part}\n")
        if part == "cwru":
            table(list(cwru(args.data)), offsets=OFFSETS)
        elif part == "uestc":
            table([*uestc(args.data, joined=True), *uestc(args.data, joined=False)], offsets=(0.0,))
        elif part == "gearbox":
            table(list(gearbox(args.data)), offsets=(0.0,))
        elif part == "simulated":
            table(simulated(args.count, args.seed), offsets=(0.0,), listed=False)
        elif part == "worse":
            worse(args.data)
        else:
            cost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
