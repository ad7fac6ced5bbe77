"""What a baseline of healthy recordings finds, on recordings and on paper: the figures of docs/baseline.md.

    OMP_NUM_THREADS=1 python benchmarks/baseline.py [PART ...] [--data FOLDER] [--false-alarms 0.05]

PART is one or more of `kinds`, `scatter`, `cwru`, `uestc`, `gearbox`, `gain`, `rates`, `cost`; all where none is named.
Protocol (docs/baseline.md): limits were chosen on simulation and CWRU, and octaves below 354 Hz because of UESTC's
healthy recordings, whose speed drifts; the faults of the other rigs are reported only. In the table of a rig the
scatter that is taken for granted is that of the OTHER rigs ("others'"), and beside it that which is shipped.

* One recording is the baseline, every other one is judged; the five pieces of a UESTC recording are one recording in
  five parts, of which the first is the baseline.
* CWRU: file 97 (0 HP; 48 kHz, of which the bands up to 4.5 kHz are compared with those of 12 kHz) is the baseline of
  all faults at 0 to 3 HP; the healthy recording at 2 HP (first quarter) is the other healthy one.
* The gearbox: a healthy recording at one load is the baseline; healthy ones at other loads, and broken teeth.

Tables are Markdown. The whole takes two minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np

from faultdx.baseline import FALSE_ALARMS, Baseline
from faultdx.deviations import SCATTER, Comparison
from faultdx.records import read_record
from faultdx.records.record import Record
from faultdx.references import Reference, refer
from faultdx.signals.bands import total_db
from faultdx.signals.tolerance import prediction_limits

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
Scatter = dict[str, tuple[float, float]]
UESTC_BEARING = "8,7.938,33.5"


def say(text: str = "") -> None:
    """Write a line of the result."""
    sys.stdout.write(text + "\n")


def with_condition(record: Record, condition: str | None, rpm: float | None = None) -> Record:
    """Return the recording with its load, and its speed, as they are known."""
    return record.with_(condition=condition, rpm=rpm or record.rpm)


class Rig:
    """The recordings of a rig as references, by channel: `healthy` and `faulty`, name -> Reference."""

    def __init__(self) -> None:
        self.healthy: dict[str, Reference] = {}
        self.faulty: dict[str, Reference] = {}


def cwru(data: Path) -> dict[str, Rig]:
    """Return both ends of the CWRU rig: 97 and 99 healthy, the drive-end faults at 12 kHz."""
    found = {}
    for end, bearing in (("DE", "6205-2RS JEM"), ("FE", "6203-2RS JEM")):
        rig = found[f"CWRU {end}"] = Rig()
        rig.healthy["97"] = refer(read_record(data / "cwru" / "97.mat", channels=(end,)), bearing=bearing)
        other = data / "cwru_odd" / "99_2hp_first121155_DE_FE.csv"
        record = read_record(other, channels=(end,), sampling_rate_hz=48000.0, rpm=1749.3)
        rig.healthy["99"] = refer(with_condition(record.with_(asset=None), "2 HP"), bearing=bearing)
        for path in sorted(
            [*(data / "cwru").glob("*.mat"), *(data / "cwru_odd").glob("*.mat")], key=lambda p: int(p.stem)
        ):
            try:
                record = read_record(path, channels=(end,))
            except Exception:  # 3001 and 3005 have no channel FE
                continue
            if record.details["set"] == "12k_drive_end":
                rig.faulty[path.stem] = refer(record, bearing=bearing)
    return found


def uestc(data: Path) -> dict[str, Rig]:
    """Return the UESTC rig at its two speeds, each piece of a recording by itself."""
    found: dict[str, Rig] = {}
    for path in sorted((data / "uestc").glob("*.mat")):
        kind, rpm, _ = path.stem.split("_")
        rig = found.setdefault(f"UESTC {rpm}", Rig())
        record = with_condition(read_record(path), None, float(rpm))
        (rig.healthy if kind == "N" else rig.faulty)[path.stem] = refer(record, bearing=UESTC_BEARING)
    return found


def gearbox(data: Path) -> dict[str, Rig]:
    """Return the gearbox by sensor, the loads as conditions; 12.8 kHz is what the spectra suggest."""
    found = {f"gearbox {a}": Rig() for a in ("a1", "a2", "a3", "a4")}
    for path in sorted((data / "gearbox_gfd").glob("*.csv")):
        record = read_record(path, sampling_rate_hz=12800.0, rpm=1800.0)
        for i, name in enumerate(record.channels):
            one = record.with_(signal=record.signal[i : i + 1], channels=(name,), condition=f"{path.stem[5:]} %")
            rig = found[f"gearbox {name}"]
            (rig.healthy if path.stem[0] == "h" else rig.faulty)[path.stem] = refer(one)
    return found


def pair_scatter(pairs: Iterable[tuple[Reference, Reference]]) -> dict[str, float]:
    """Return the standard deviation of one recording, from differences of two: RMS / sqrt(2)."""
    found: dict[str, list[float]] = {kind: [] for kind in SCATTER}
    for a, b in pairs:
        x, y = a.channels[0], b.channels[0]
        m = min(x.levels.level_db.size, y.levels.level_db.size)
        found["band"] += list(y.levels.level_db[:m] - x.levels.level_db[:m])
        found["level"].append(total_db(y.levels.level_db[:m]) - total_db(x.levels.level_db[:m]))
        if a.sampling_rate_hz == b.sampling_rate_hz:
            found["kurtosis"].append(20 * np.log10(y.levels.kurtosis / x.levels.kurtosis))
            found["crest_factor"].append(y.levels.crest_db - x.levels.crest_db)
        found["lines"] += [y.lines[p] - x.lines[p] for p in x.lines if p in y.lines]
    return {k: float(np.sqrt(np.mean(np.square(v)) / 2)) if v else float("nan") for k, v in found.items()}


def _load(r: Reference) -> float:
    return float(r.load.split()[0])


def scatter(data: Path, _rate: float) -> None:
    """Print how much healthy recordings of a rig scatter."""
    boxes, motors, rigs = gearbox(data), cwru(data), uestc(data)
    near = [
        (a, b)
        for rig in boxes.values()
        for a in rig.healthy.values()
        for b in rig.healthy.values()
        if 0 < _load(b) - _load(a) <= 20
    ]
    far = [
        (a, b)
        for rig in boxes.values()
        for a in rig.healthy.values()
        for b in rig.healthy.values()
        if _load(b) > _load(a)
    ]
    rows = {
        "CWRU, 0 and 2 HP": [(r.healthy["97"], r.healthy["99"]) for r in motors.values()],
        "gearbox, loads within 20 %": near,
        "gearbox, all loads": far,
        "UESTC, pieces of one recording": [p for r in rigs.values() for p in permutations(r.healthy.values(), 2)],
    }
    say("| scatter of one recording | pairs | " + " | ".join(SCATTER) + " |")
    say("|---|---|" + "---|" * len(SCATTER))
    for name, pairs in rows.items():
        found = pair_scatter(pairs)
        say(f"| {name} | {len(pairs)} | " + " | ".join(f"{v:.2f}" for v in found.values()) + " |")


def compare(base: Reference, new: Reference, rate: float, taken: Scatter | None) -> Comparison:
    """Compare with a baseline of one recording; `taken`: the scatter to take for granted, None for the shipped one."""
    shipped = dict(SCATTER)
    try:
        if taken is not None:
            SCATTER.update(taken)
        return Baseline("", (base,), "", rate).against(new)
    finally:
        SCATTER.update(shipped)


def count(found: list[Comparison]) -> str:
    """Return how many changed and how many are called a fault, as two cells."""
    n = len(found)
    return f"{sum(c.changed for c in found)} / {n} | {sum(c.fault for c in found)} / {n}"


HEAD = (
    "| set | healthy: changed | called a fault | faulty: changed | called a fault | weakest faulty, times its limit |"
)


def report(
    rigs: dict[str, Rig], rate: float, taken: Scatter, *, bases: Callable[[Rig], Iterable[str]], same: bool = False
) -> None:
    """Print a table of rigs; same: faults at the load of the baseline alone."""
    say(HEAD)
    say("|---|---|---|---|---|---|")
    for name, rig in rigs.items():
        for what, scatter_ in (("others' scatter", taken), ("shipped", None)):
            healthy, faulty = [], []
            for base in bases(rig):
                ref = rig.healthy[base]
                healthy += [compare(ref, r, rate, scatter_) for n, r in rig.healthy.items() if n != base]
                faulty += [
                    compare(ref, r, rate, scatter_) for r in rig.faulty.values() if not same or r.load == ref.load
                ]
            done = [c for c in faulty if c.worst is not None]
            weakest = min((max(d.times_limit for d in c.deviations) for c in done), default=float("nan"))
            say(f"| {name}, {what} | {count(healthy)} | {count(faulty)} | {weakest:.2f} |")


# What the other rigs scatter, from the part `scatter`, the larger of two where there are two.
FOR_CWRU: Scatter = {
    "band": (1.0, 2.0),
    "level": (0.5, 1.33),
    "kurtosis": (0.5, 1.5),
    "crest_factor": (0.55, 1.07),
    "lines": (0.1, 0.1),
}
FOR_GEARBOX: Scatter = {"band": (2.0, 2.0), "level": (1.0, 1.0), "kurtosis": (0.3, 0.3), "crest_factor": (0.7, 0.7)}
FOR_UESTC: Scatter = {
    "band": (1.0, 2.0),
    "level": (0.5, 1.33),
    "kurtosis": (0.5, 1.5),
    "crest_factor": (0.55, 1.07),
    "lines": (0.1, 0.1),
}


def on_cwru(data: Path, rate: float) -> None:
    """One healthy recording at 0 HP, all faults at all loads, from both ends."""
    rigs = cwru(data)
    report(rigs, rate, FOR_CWRU, bases=lambda _: ["97"])
    for name, rig in rigs.items():
        missed = [n for n, r in rig.faulty.items() if not compare(rig.healthy["97"], r, rate, FOR_CWRU).changed]
        say(f"\n{name}, not seen: {', '.join(missed) or 'none'}")


def on_uestc(data: Path, rate: float) -> None:
    """The first piece of the healthy recording, the others, and the faults."""
    report(uestc(data), rate, FOR_UESTC, bases=lambda rig: [sorted(rig.healthy)[0]])


def on_gearbox(data: Path, rate: float) -> None:
    """Every healthy recording in turn; the broken tooth at all loads, then at the load of the baseline alone."""
    rigs = gearbox(data)
    report(rigs, rate, FOR_GEARBOX, bases=lambda rig: rig.healthy)
    say("\nThe broken tooth at the load of the baseline:\n")
    report(rigs, rate, FOR_GEARBOX, bases=lambda rig: rig.healthy, same=True)
    say("\nSix healthy recordings at other loads as the baseline, each load in turn:\n")
    say(HEAD)
    say("|---|---|---|---|---|---|")
    for name, rig in rigs.items():
        healthy, faulty = [], []
        for left, r in rig.healthy.items():
            rest = Baseline("", tuple(o for n, o in rig.healthy.items() if n != left), "", rate)
            healthy.append(rest.against(r))
            faulty.append(rest.against(rig.faulty["b" + left[1:]]))
        weakest = min(max(d.times_limit for d in c.deviations) for c in faulty)
        say(f"| {name} | {count(healthy)} | {count(faulty)} | {weakest:.2f} |")


def gain(data: Path, rate: float) -> None:
    """A healthy recording made louder, as by another gain: is it said to be that?"""
    say("| gain, dB | changed | said to be gain | called a fault |")
    say("|---|---|---|---|")
    pairs = []
    for rig in (*uestc(data).values(), *gearbox(data).values()):
        pairs += [(a, b) for a, b in pairwise(rig.healthy.values())]
    for db in (-40, -20, -10, 10, 20, 40):
        found = []
        for a, b in pairs:
            s = b.channels[0]
            louder = type(s.levels)(
                **{**vars(s.levels), "level_db": s.levels.level_db + db, "rms_db": s.levels.rms_db + db}
            )
            new = Reference(**{**vars(b), "channels": (type(s)(s.channel, louder, s.lines),)})
            found.append(Baseline("", (a,), "", rate).against(new))
        n = len(found)
        cells = (sum(getattr(c, key) for c in found) for key in ("changed", "gain", "fault"))
        say(f"| {db:+d} | " + " | ".join(f"{cell} / {n}" for cell in cells) + " |")


def rates(_data: Path, rate: float) -> None:
    """False alarms of healthy machines on paper, by how much they scatter against what is taken for granted."""
    rng, m = np.random.default_rng(21), 18
    mixed = np.linalg.cholesky(np.array([[0.5 ** abs(i - j) for i in range(m)] for j in range(m)]))
    counts = (1, 2, 3, 5, 10, 30)
    say("| scatter against what is taken for granted | " + " | ".join(f"{n} recordings" for n in counts) + " |")
    say("|---|" + "---|" * len(counts))
    for true in (0.3, 1.0, 1.5, 2.0, 3.0):
        cells = []
        for n in counts:
            alarms, width = 0, 0.0
            for _ in range(500):
                x = (rng.normal(size=(n + 1, m)) @ mixed.T) * true
                limits = prediction_limits(x[:n], np.ones(m), false_alarms=rate)
                alarms += bool((np.abs(x[n] - limits.centre) > limits.half_width).any())
                width += float(limits.half_width.mean())
            cells.append(f"{alarms / 5:.1f} % (limit {width / 500:.1f})")
        say(f"| {true:g} times | " + " | ".join(cells) + " |")


def kinds(data: Path, _rate: float) -> None:
    """Why octaves below and thirds above: the largest change among healthy recordings, and the least of a fault."""
    say("| bands | CWRU DE healthy pair | weakest CWRU DE fault | UESTC pieces of one recording, largest |")
    say("|---|---|---|---|")
    healthy = read_record(data / "cwru" / "97.mat", channels=("DE",))
    other = read_record(
        data / "cwru_odd" / "99_2hp_first121155_DE_FE.csv", channels=("DE",), sampling_rate_hz=48000.0, rpm=1749.3
    )
    faults = [read_record(p, channels=("DE",)) for p in sorted((data / "cwru").glob("*.mat")) if p.stem != "97"]
    pieces = [[read_record(p) for p in sorted((data / "uestc").glob(f"N_{rpm}_*"))] for rpm in (800, 1200)]
    for name, split_hz in (("octaves", 1e9), ("thirds of octaves", 0.0), ("octaves to 354 Hz, then thirds", 353.6)):
        changes = [_largest(healthy, r, split_hz) for r in (other, *faults)]
        within = max(_largest(a, b, split_hz) for group in pieces for a, b in permutations(group, 2))
        say(f"| {name} | {changes[0]:.1f} dB | {min(changes[1:]):.1f} dB | {within:.1f} dB |")


def _largest(a: Record, b: Record, split_hz: float) -> float:
    """Return the largest change of level in a band, dB; octaves below `split_hz`, thirds above."""
    top = min(a.sampling_rate_hz, b.sampling_rate_hz) / 2.56
    edges = []
    for octave in range(-5, 5):
        low, high = 1000 * 2.0 ** (octave - 0.5), 1000 * 2.0 ** (octave + 0.5)
        thirds = [low * 2.0 ** (i / 3) for i in range(4)]
        edges += [(low, high)] if high <= split_hz * 1.001 else list(pairwise(thirds))
    levels = []
    for r in (a, b):
        block = round(0.5 * r.sampling_rate_hz)
        window = np.hanning(block + 1)[:-1]
        blocks = np.lib.stride_tricks.sliding_window_view(r.signal[0].astype(np.float64), block)[:: block // 2]
        power = np.mean(
            np.abs(np.fft.rfft((blocks - blocks.mean(axis=1, keepdims=True)) * window, axis=1)) ** 2, axis=0
        )
        power /= (window**2).sum() * block
        f = np.fft.rfftfreq(block, 1 / r.sampling_rate_hz)
        levels.append(np.array([10 * np.log10(power[(f >= lo) & (f < hi)].sum()) for lo, hi in edges if hi <= top]))
    return float(np.abs(levels[1] - levels[0]).max())


def cost(data: Path, _rate: float) -> None:
    """Time of a comparison."""
    record = read_record(data / "cwru" / "105.mat", channels=("DE",))
    for bearing in ("", "6205-2RS JEM"):
        base = Baseline("", (refer(record, bearing=bearing),), bearing)
        best = min(_timed(lambda: base.compare(record)) for _ in range(7))  # noqa: B023
        what = f"{record.duration_s:.0f} s at {record.sampling_rate_hz:g} Hz{', with the bearing' if bearing else ''}"
        say(f"{what}: {1000 * best:.1f} ms")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


PARTS = {
    "kinds": kinds,
    "scatter": scatter,
    "cwru": on_cwru,
    "uestc": on_uestc,
    "gearbox": on_gearbox,
    "gain": gain,
    "rates": rates,
    "cost": cost,
}


def main() -> None:
    """Run the parts that were named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--false-alarms", type=float, default=FALSE_ALARMS)
    asked = parser.parse_args()
    for part in asked.parts or PARTS:
        if part not in PARTS:
            parser.error(f"no part {part!r}: {', '.join(PARTS)}")
        say(f"\n## {part}\n")
        PARTS[part](asked.data, asked.false_alarms)


if __name__ == "__main__":
    main()
