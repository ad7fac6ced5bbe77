"""What the familiarity check flags, on records that it should and should not: CWRU, spoilt copies, other rigs.

    OMP_NUM_THREADS=1 python benchmarks/familiarity.py [--data FOLDER] [--work FOLDER] [--seed 0]

The protocol is that of docs/familiarity.md. Trained here, one thread, with the command line: the default recipe on the
time split (30 epochs); with one load left out for the test and another for validation, four times (12 epochs); with
one class left out, ten times (8 epochs). With --work the runs are kept and found again: the familiarity is fitted anew
in any case, by the call that the training makes. All records go through `Model.diagnose`. About 20 minutes of one core,
3 where the runs are there.

Maximum softmax ("softmax") and energy (Liu et al. 2020) stand beside it, with limits by the same rule from the same
validation records; the softmax as -log(1 - p), so that the rule's normal distribution is no handicap.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faultdx.dataset import open_prepared
from faultdx.diagnosis import Diagnosis
from faultdx.errors import FaultdxError
from faultdx.familiarity_fit import fit, tolerance_factor
from faultdx.inference import Network
from faultdx.model import Model
from faultdx.records import read_record
from faultdx.records.record import Record
from faultdx.signals import corruptions
from faultdx.signals.noise import KINDS, add_noise
from faultdx.signals.quality import assess, fired
from faultdx.signals.resampling import resample

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
LOADS = ("0 HP", "1 HP", "2 HP", "3 HP")
METHODS = ("familiarity", "statistics", "features", "softmax", "energy")


def faultdx(*arguments: str | Path) -> None:
    """Run a command quietly."""
    command = [sys.executable, "-m", "faultdx", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Judged:
    """A diagnosis and what each method says of the record: distance over limit, or score less limit; > 0 is flagged."""

    found: Diagnosis
    over: dict[str, float]


class Judge:
    """A trained run with its familiarity, and the limits of the two baselines."""

    def __init__(self, run: Path, prepared: Path) -> None:
        network = Network.open(run)
        config = json.loads((run / "run.json").read_text())["config"]
        low, high = config["snr"]
        self.kinds = config["noise"]
        with open_prepared(prepared) as data:
            how = {"noise": self.kinds, "snr_db": (low, high), "polarity": config["polarity"]}
            network.info["familiarity"] = fit(network, data, seed=config["seed"] + 3, **how)  # type: ignore[index]
            self.table, self.classes = data.records(), data.classes
            self.test = {
                int(r): int(data.start[data.rows("test")][data.record[data.rows("test")] == r].min())
                for r in np.unique(data.record[data.rows("test")])
            }
            scores = defaultdict(list)
            rng = np.random.default_rng([config["seed"], 77])
            rows = data.rows("val")
            for r in np.unique(data.record[rows]):
                clean = data.segments(rows[data.record[rows] == r])
                copies = [add_noise(clean, kind=k, snr_db=rng.uniform(low, high), rng=rng) for k in self.kinds]
                for x in (clean, *copies):
                    for name, value in baselines(network.logits(x), network.temperature).items():
                        scores[name].append(value)
            n = len(np.unique(data.record[rows]))
        self.limits = {k: np.mean(v) + tolerance_factor(n) * np.std(v, ddof=1) for k, v in scores.items()}
        self.network, self.model = network, Model(network)

    def __call__(self, record: Record) -> Judged:
        """Diagnose one record."""
        caught: list[npt.NDArray[np.float32]] = []
        outputs = self.network.outputs

        def listen(segments: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
            caught.append(segments)
            return outputs(segments)

        self.network.outputs = listen  # type: ignore[method-assign]
        found = self.model.diagnose(record)
        self.network.outputs = outputs  # type: ignore[method-assign]
        over = {}
        if found.familiarity is not None:
            parts = {k: found.familiarity[k] for k in ("statistics", "features")}
            over = {k: math.log(v["distance"] / v["limit"]) for k, v in parts.items()}
            over["familiarity"] = max(over.values())
            scores = baselines(self.network.logits(caught[0]), self.network.temperature)
            over |= {k: float(v - self.limits[k]) for k, v in scores.items()}
        return Judged(found, over)

    def records(self, where: Path) -> Iterable[tuple[str, Record]]:
        """Yield (label, the part of the recording that the test side has) for each record of the test side."""
        for r, start in self.test.items():
            path = Path(str(self.table["path"][r]))
            record = read_record(path if path.is_absolute() else where / path, channels=["DE"])
            first = int(start * record.sampling_rate_hz / self.network.sampling_rate_hz)
            yield str(self.table["label"][r]), replace(record, signal=record.signal[:, first:])


def baselines(logits: npt.NDArray[np.float64], temperature: float) -> dict[str, float]:
    """Return the scores of a record's segments by the two usual methods, high where it is strange."""
    z = logits / temperature
    top = z.max(axis=1, keepdims=True)
    total = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0]
    pooled = z.mean(axis=0) - z.mean(axis=0).max()
    rest = 1 - 1 / np.exp(pooled).sum()
    return {"softmax": math.log(max(rest, 1e-12)), "energy": float(-total.mean())}


def flagged(judged: Iterable[Judged]) -> dict[str, tuple[int, int]]:
    """Return (flagged, of how many) by method, of the records that got as far as a familiarity."""
    rows = [j.over for j in judged if j.over]
    return {m: (sum(row[m] > 0 for row in rows), len(rows)) for m in METHODS}


def auroc(good: Iterable[Judged], bad: Iterable[Judged], method: str) -> float:
    """Return the probability that a bad record scores above a good one, ties half."""
    a = np.array([j.over[method] for j in good if j.over])
    b = np.array([j.over[method] for j in bad if j.over])
    return float(np.mean((b[:, None] > a) + 0.5 * (b[:, None] == a))) if a.size and b.size else math.nan


def percent(pair: tuple[int, int]) -> str:
    """Return "12.5 (5 of 40)"."""
    return f"{100 * pair[0] / pair[1]:.1f} ({pair[0]} of {pair[1]})" if pair[1] else "-"


def row(name: str, judged: list[Judged], good: list[Judged] | None = None) -> str:
    """Return a line of a table: flagged by each method, and where `good` is given the areas under the curve."""
    cells = [percent(found) for found in flagged(judged).values()]
    if good is not None:
        cells = [f"{c}, {auroc(good, judged, m):.3f}" for c, m in zip(cells, METHODS, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


def head(first: str) -> str:
    """Return the head of such a table."""
    return f"| {first} | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}"


def train(work: Path, name: str, source: Path, epochs: int, seed: int, *split: str) -> Judge:
    """Prepare and train, where that was not done before."""
    prepared, run = work / f"{name}.h5", work / name
    if not prepared.exists():
        faultdx("prepare", source, "--out", prepared, *split)
    if not (run / "model" / "model.json").exists():
        faultdx("train", prepared, "--out", run, "--epochs", str(epochs), "--threads", "1", "--seed", str(seed))
    return Judge(run, prepared)


def sources(data: Path, work: Path) -> list[str]:
    """Write the records tables: all with a condition (the healthy bearing has one load only), and without a class."""
    with (data / "cwru_inventory.csv").open(newline="") as stream:
        facts = {r["number"]: r for r in csv.DictReader(stream)}
    rows, labels = [], {}
    for path in sorted((data / "cwru").glob("*.mat")):
        fact = facts[path.stem]
        healthy = fact["fault"] == "normal"
        labels[path] = "normal" if healthy else f"{fact['fault']}_{fact['diameter_in'].split('.')[1]}"
        rows.append((path, "baseline" if healthy else f"{fact['load_hp']} HP"))
    tables = {"loads": rows} | {f"no_{k}": [r for r in rows if labels[r[0]] != k] for k in set(labels.values())}
    for name, lines in tables.items():
        with (work / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("path", "condition"))
            writer.writerows(lines)
    return sorted(set(labels.values()))


def noisy(judge: Judge, record: Record, snr_db: float, seed: int) -> list[Judged]:
    """Judge a record at the model's rate with each kind of noise, drawn segment by segment as the training does it.

    (Pink noise drawn for ten seconds at once has most of its power below the first bin of a segment: another noise.)
    """
    rate, length, x = judge.network.sampling_rate_hz, judge.network.segment, record.signal
    if record.sampling_rate_hz > rate * 1.001:
        x = resample(x, from_hz=record.sampling_rate_hz, to_hz=rate)
    blocks = x[:, : x.shape[1] // length * length].reshape(-1, 1, length)
    out = []
    for kind in KINDS:
        rng = np.random.default_rng([seed, KINDS.index(kind), *map(ord, record.sha256[:8])])
        signal = add_noise(blocks, kind=kind, snr_db=snr_db, rng=rng).reshape(1, -1)
        out.append(judge(replace(record, signal=signal, sampling_rate_hz=rate)))
    return out


def spoilt(judges: list[Judge], data: Path, seed: int) -> None:
    """Print what becomes of spoilt copies of the test records, by kind."""
    status: dict[str, Counter[str]] = defaultdict(Counter)
    by_method: dict[str, list[Judged]] = defaultdict(list)
    healthy: list[str] = []
    by_check: Counter[str] = Counter()
    for judge in judges:
        for label, record in judge.records(data / "cwru"):
            own = {
                c.name for c in fired(assess(record.signal, sampling_rate_hz=record.sampling_rate_hz, rpm=record.rpm))
            }
            for i, (kind, spoil) in enumerate(corruptions.CORRUPTIONS.items()):
                for severity in corruptions.SEVERITIES:
                    rng = np.random.default_rng([seed, i, severity, *map(ord, record.path[-8:])])
                    x, rate = spoil(record.signal, record.sampling_rate_hz, rng, severity)
                    got = judge(replace(record, signal=x, sampling_rate_hz=rate))
                    word = got.found.status
                    if word == "diagnosed" and got.found.fault is False:
                        healthy.append(f"{kind} {severity} {label}")
                    warned = {c.name for c in got.found.quality} - own
                    if word == "diagnosed":
                        word = "fault with a warning" if got.found.fault and warned else "nothing"
                    status[kind][word] += 1
                    flagged_too = word in ("unusable", "unfamiliar")
                    flagged_too |= bool(got.found.familiarity and got.found.familiarity.get("flagged"))
                    by_check[kind] += flagged_too
                    by_method[kind].append(got)
    words = ("unusable", "unfamiliar", "undecided", "fault with a warning", "nothing")
    print(f"| kind | flagged % | unusable or unfamiliar % | {' | '.join(words)} |\n|---|---|---|{'---|' * len(words)}")
    for kind, n in {**status, "all": sum(status.values(), Counter())}.items():
        total = sum(n.values())
        cells = " | ".join(f"{100 * n[w] / total:.1f}" for w in words)
        marked = sum(by_check.values()) if kind == "all" else by_check[kind]
        print(
            f"| {kind} | {100 * marked / total:.1f} | {100 * (n['unusable'] + n['unfamiliar']) / total:.1f} | {cells} |"
        )
    print(f"\ncalled healthy: {len(healthy)} of {sum(sum(n.values()) for n in status.values())}", *healthy, sep="; ")
    print(f"\nOf those that the signal checks let pass, flagged:\n\n{head('kind')}")
    for kind, judged in by_method.items():
        if any(j.over for j in judged):
            print(row(kind, judged))


def foreign(judge: Judge, data: Path) -> dict[str, list[Judged]]:
    """Judge the records of other rigs and other sensors."""
    found: dict[str, list[Judged]] = defaultdict(list)
    found["UESTC"] = [judge(read_record(p)) for p in sorted((data / "uestc").glob("*.mat"))]
    for path in sorted((data / "gearbox_gfd").glob("*.csv")):
        for channel in ("a1", "a2", "a3", "a4"):
            found["gearbox, each channel"].append(
                judge(read_record(path, sampling_rate_hz=12_800.0, channels=[channel]))
            )
    for path in [*sorted((data / "cwru").glob("*.mat")), *sorted((data / "cwru_odd").glob("*.mat"))]:
        for channel in ("DE", "FE", "BA"):
            if channel == "DE" and path.parent.name == "cwru":
                continue
            try:
                record = read_record(path, channels=[channel])
            except FaultdxError:  # it has no such channel
                continue
            found[f"CWRU, {'odd files, ' * (path.parent.name == 'cwru_odd')}sensor {channel}"].append(judge(record))
    return found


def measure(data: Path, work: Path, seed: int) -> None:
    """Train what is not there and print the tables."""
    labels = sources(data, work)
    full = train(work, "time", work / "loads.csv", 30, seed, "--split", "time")
    loads = [
        train(
            work,
            f"load{i}",
            work / "loads.csv",
            12,
            seed,
            *("--split", "condition", "--test-on", load, "--val-on", LOADS[(i + 1) % 4]),
        )
        for i, load in enumerate(LOADS)
    ]
    print(f"## False alarms, and noise\n\n{head('records')}")
    good: list[Judged] = []
    for name, judges in (("unseen load", loads), ("time split", [full])):
        clean = [judge(record) for judge in judges for _, record in judge.records(data / "cwru")]
        good = good or clean
        print(row(f"{name}, as recorded", clean))
        for snr in (-8.0, -4.0):
            copies = [j for g in judges for _, r in g.records(data / "cwru") for j in noisy(g, r, snr, seed)]
            print(row(f"{name}, {snr:g} dB, three kinds", copies))
    print("\n## Spoilt copies of the records of the unseen load, 13 kinds at 3 severities\n")
    spoilt(loads, data, seed)
    print(f"\n## Other rigs and sensors, default recipe: flagged, area under the curve\n\n{head('records')}")
    same = [full(record) for _, record in full.records(data / "cwru")]
    for name, judged in foreign(full, data).items():
        print(row(name, judged, same))
    print(f"\nThe same with one load left out, four models\n\n{head('records')}")
    together: dict[str, list[Judged]] = defaultdict(list)
    for judge in loads:
        for name, judged in foreign(judge, data).items():
            together[name] += judged
    for name, judged in together.items():
        print(row(name, judged, good))
    print(f"\n## A class left out of the training\n\n{head('class')}")
    everything: list[Judged] = []
    alarms: list[Judged] = []
    for label in labels:
        judge = train(work, f"no_{label}", work / f"no_{label}.csv", 8, seed, "--split", "time")
        known = {Path(str(p)).name for p in judge.table["path"]}
        paths = [p for p in sorted((data / "cwru").glob("*.mat")) if p.name not in known]
        judged = [judge(read_record(p, channels=["DE"])) for p in paths]
        here = [judge(record) for _, record in judge.records(data / "cwru")]
        print(row(label, judged, here))
        everything, alarms = everything + judged, alarms + here
    print(row("all", everything))
    print(row("false alarms: test parts of the nine others", alarms))


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, help="keep the prepared files and runs here")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not (given.data / "cwru").is_dir():
        sys.exit(f"{given.data}: no such folder; --data names the one that holds cwru/, uestc/, ...")
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        measure(given.data.resolve(), work, given.seed)


if __name__ == "__main__":
    main()
