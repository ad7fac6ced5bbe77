"""Network and spectrum as two witnesses on bearings that the network was not trained on.

cwru: four classes, drive end, 12 kHz; each of the three fault sizes is left out once, and the network is trained on the
two others (the split of the plan cwru-size; a short recipe, so that it takes minutes). Healthy is the one healthy
recording there is: its first part is trained on, and is the one healthy record of the rows "with one healthy record";
its last part is tested. uestc: trained at 1200 rpm, tested at 800 rpm, the same four bearings; the healthy record is
the first at 800 rpm. The agreement is calibrated as `train` does it: the network's votes on the validation part of the
training recordings, the spectrum on training and validation recordings. Then every test record is put to both. Nothing
is chosen by what comes out.

    OMP_NUM_THREADS=1 python benchmarks/agreement.py [cwru] [uestc] [--data FOLDER] [--work FOLDER] [--seeds 2]
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from faultdx import testimony
from faultdx.agreement_fit import fit
from faultdx.baseline import Baseline
from faultdx.baseline import fit as limits_of
from faultdx.dataset import Prepared, open_prepared
from faultdx.inference import Network
from faultdx.model import Model
from faultdx.records import Record, read_record
from faultdx.records.grades import GRADES, grades_of
from faultdx.scoring import wilson

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
SIZES = ("007", "014", "021")
PLACES = ("inner_race", "ball", "outer_race")
UESTC = {"N": "healthy", "I": "inner_race", "O": "outer_race", "B": "ball"}
COVERAGE = 0.75


@dataclass(frozen=True)
class Row:
    """A test record: what it is, what the network and the spectrum say, and what comes of both.

    network, sure : class and confidence of the network alone; flat : what its votes support
    seen, place : verdict of the spectrum alone; word : how it goes with the network
    verdict, stated, named_by : of both, at full coverage; given : with the model's least confidence, "" where undecided
    compared, compared_stated : verdict and confidence with one healthy record of the machine, at full coverage
    """

    truth: str
    grade: str
    network: str
    sure: float
    flat: float
    seen: str
    place: str
    word: str
    verdict: str
    stated: float
    named_by: str
    given: str
    compared: str
    compared_stated: float

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth."""
        return self.verdict == self.truth


def run(*arguments: str | Path) -> None:
    """Run a command quietly."""
    command = [sys.executable, "-m", "faultdx", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trained(prepared: Path, folder: Path, *, seed: int, epochs: int) -> Path:
    """Train, where that was not done before."""
    if not (folder / "model" / "model.json").exists():
        run("train", prepared, "--out", folder, "--epochs", str(epochs), "--threads", "1", "--seed", str(seed))
    return folder


def prepared_cwru(data: Path, work: Path, size: str) -> Path:
    """Prepare the recordings with one size left out, where that was not done before."""
    prepared = work / f"size{size}.h5"
    if not prepared.exists():
        held = [word for place in PLACES for word in ("--test-on", f"drive-end-{place}-{size}")]
        run("prepare", data / "cwru", "--labels", "fault", "--split", "specimen", *held, "--out", prepared)
    return prepared


def prepared_uestc(data: Path, work: Path) -> Path:
    """Prepare UESTC with the recordings at 800 rpm left out, where that was not done before."""
    prepared, table = work / "uestc.h5", work / "uestc.csv"
    if not prepared.exists():
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "rpm", "specimen", "condition", "bearing"])
            for path in sorted((data / "uestc").glob("*.mat")):
                kind, rpm, _ = path.stem.split("_")
                rows.writerow([path, UESTC[kind], rpm, UESTC[kind], rpm, "UC204"])
        run("prepare", "--records", table, "--split", "condition", "--test-on", "800", "--out", prepared)
    return prepared


class Reader:
    """Reads the recordings of a prepared file again, as the table of that file describes them."""

    def __init__(
        self, prepared: Prepared, folder: Path, channels: Sequence[str], *, side: str = "test", **facts: Any
    ) -> None:
        self._rows = prepared.rows(side)
        self.prepared, self.table, self._folder = prepared, prepared.records(), folder
        self._how = {"channels": tuple(channels), **facts}

    def of(self, number: int, *, before: int | None = None, after: int = 0) -> Record:
        """Return recording `number`, from sample `after` to sample `before` at the rate of the prepared file."""
        path = self._folder / Path(str(self.table["path"][number])).name
        record = read_record(path, **self._how)
        scale = record.sampling_rate_hz / self.prepared.sampling_rate_hz
        stop = None if before is None else int(before * scale)
        bearing = record.details.get("bearing") or str(self.table["bearing"][number])
        return replace(
            record,
            signal=record.signal[:, int(after * scale) : stop],
            rpm=float(self.table["rpm"][number]),
            details={**record.details, "bearing": bearing},
        )

    def stretch(self, number: int) -> tuple[int, int]:
        """Return the first sample of a recording that is tested, and the first one after that."""
        starts = self.prepared.start[self._rows][self.prepared.record[self._rows] == number]
        return int(starts.min()), int(starts.max()) + self.prepared.segment

    def tested(self) -> list[int]:
        """Return the recordings that are tested."""
        return [int(r) for r in np.unique(self.prepared.record[self._rows])]


def asked(
    reader: Reader,
    run_folder: Path,
    *,
    baseline: Callable[[int], Baseline | None],
    leave: Sequence[int] = (),
    bearings: Sequence[str] | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Calibrate, and put the test records but `leave` to both witnesses."""
    network = Network.open(run_folder)
    entry = fit(network, reader.prepared, bearings=bearings)
    network.info |= {"agreement": entry, "familiarity": None}  # type: ignore[operator]
    model = Model(network, hears=True)
    grades = grades_of(reader.table)
    rows = []
    for r in reader.tested():
        if r in leave:
            continue
        first, last = reader.stretch(r)
        record = reader.of(r, after=first, before=last)
        with Once():
            model.baseline = None
            usual = model.diagnose(record)
            found = model.diagnose(record, min_confidence=0.0)
            model.baseline = baseline(r)
            beside = model.diagnose(record, min_confidence=0.0)
        said, witness = found.evidence.get("agreement"), found.evidence.get("witness", {"verdict": "", "place": None})
        votes = max(found.probabilities, key=lambda name: found.probabilities[name])
        sure = found.probabilities[votes]
        said = said or {"word": "silent", "supported": sure, "stated": sure, "named_by": "network"}
        rows.append(
            Row(
                truth=str(reader.table["label"][r]),
                grade=str(grades[r]),
                network=votes,
                sure=sure,
                flat=said.get("supported", sure),
                seen=witness["verdict"],
                place=str(witness["place"]),
                word=said["word"],
                verdict=str(found.verdict),
                stated=said["stated"],
                named_by=str(said.get("named_by")),
                given=usual.verdict or "",
                compared=str(beside.verdict),
                compared_stated=float(beside.confidence or 0.0),
            )
        )
    return rows, entry


class Once:
    """While it lasts, the spectrum of a record is asked once, however many diagnoses want it."""

    def __enter__(self) -> None:
        self._hear, kept = testimony.hear, []

        def hear(*args: Any, **options: Any) -> Any:
            if not kept:
                kept.append(self._hear(*args, **options))
            return kept[0]

        testimony.hear = hear

    def __exit__(self, *_: object) -> None:
        testimony.hear = self._hear


def cwru(data: Path, work: Path, *, seeds: int, epochs: int, side: str) -> None:
    """Leave each size out once."""
    everything: list[Row] = []
    for size in SIZES:
        mine: list[Row] = []
        prepared_file = prepared_cwru(data, work, size)
        for seed in range(seeds):
            folder = trained(prepared_file, work / f"size{size}-{seed}", seed=seed, epochs=epochs)
            with open_prepared(prepared_file) as prepared:
                reader = Reader(prepared, data / "cwru", ["DE"], side=side)
                healthy = [r for r in reader.tested() if reader.table["label"][r] == "normal"]
                usual, _ = limits_of([reader.of(r, before=reader.stretch(r)[0]) for r in healthy])
                bearings = [reader.of(r, before=1).details["bearing"] for r in range(len(reader.table["path"]))]
                rows, entry = asked(reader, folder, baseline=lambda _r, usual=usual: usual, bearings=bearings)
            print(f"\nsize {size}, seed {seed}: {entry}", flush=True)
            mine += rows
        tell(f"size {size} left out, {seeds} seeds, {side}", mine)
        everything += mine
    tell("all", everything)
    for grade in GRADES:
        tell(f"grade {grade}", [r for r in everything if r.grade == grade], brief=True)
    wrong(everything)


def uestc(data: Path, work: Path, *, seeds: int, epochs: int, side: str) -> None:
    """Train at one speed, test at the other."""
    prepared_file, everything = prepared_uestc(data, work), []
    for seed in range(seeds):
        folder = trained(prepared_file, work / f"uestc-{seed}", seed=seed, epochs=epochs)
        with open_prepared(prepared_file) as prepared:
            reader = Reader(prepared, data / "uestc", [], side=side)
            healthy = [r for r in reader.tested() if reader.table["label"][r] == "healthy"][:1]
            usual, _ = limits_of([reader.of(r) for r in healthy])
            rows, entry = asked(reader, folder, baseline=lambda _r, usual=usual: usual, leave=healthy)
        print(f"\nUESTC, seed {seed}: {entry}", flush=True)
        everything += rows
    tell(f"UESTC, 800 rpm left out, {seeds} seeds", everything)
    wrong(everything)


def share(rows: Sequence[Row], of: int) -> str:
    """Return "97.0 (89.8 to 99.2), 67 of 69; coverage 62.7"."""
    right, n = sum(r.right for r in rows), len(rows)
    if not n:
        return "none"
    low, high = wilson(right, n)
    return f"{100 * right / n:.1f} ({100 * low:.1f} to {100 * high:.1f}), {right} of {n}; coverage {100 * n / of:.1f}"


def surest(rows: Sequence[Row], key: Callable[[Row], float]) -> list[Row]:
    """Return the surest three quarters."""
    return sorted(rows, key=key, reverse=True)[: math.ceil(COVERAGE * len(rows))]


def tell(name: str, rows: Sequence[Row], *, brief: bool = False) -> None:
    """Print what was found."""
    n = len(rows)
    print(f"\n## {name}: {n} records\n\n| | right, % (95 %), of how many; coverage, % |\n|---|---|")
    alone = [replace(r, verdict=r.network) for r in rows]
    print(f"| network alone | {share(alone, n)} |")
    print(f"| both, full coverage | {share(rows, n)} |")
    compared = [replace(r, verdict=r.compared) for r in rows]
    print(f"| both, with one healthy record, full coverage | {share(compared, n)} |")
    if brief:
        return
    print(f"| both, the surest 75 % by the stated confidence | {share(surest(rows, lambda r: r.stated), n)} |")
    least = surest(compared, lambda r: r.compared_stated)
    print(f"| both, with one healthy record, the surest 75 % | {share(least, n)} |")
    print(f"| network alone, the surest 75 % | {share(surest(alone, lambda r: r.sure), n)} |")
    print(f"| both, verdicts given at the model's least confidence | {share([r for r in rows if r.given], n)} |")
    for word in ("agree", "silent", "disagree"):
        print(f"| network, where they {word} | {share([r for r in alone if r.word == word], n)} |")
    for who in ("both", "network", "spectrum"):
        print(f"| verdict named by {who} | {share([r for r in rows if r.named_by == who], n)} |")
    located = [replace(r, verdict=r.place) for r in rows if r.seen == "located"]
    print(f"| spectrum alone, where it names a place | {share(located, n)} |")
    old = [replace(r, verdict=r.place if r.seen == "located" else r.network) for r in rows]
    print(f"| the place that the spectrum names, else the network | {share(old, n)} |")
    healthy = [r for r in rows if r.truth in ("normal", "healthy")]
    alarms = sum(r.seen in ("located", "damaged") for r in healthy)
    print(f"| spectrum: damage shown on healthy records | {alarms} of {len(healthy)} |")
    print("\n| confidence | mean, % | right, % | Brier score |\n|---|---|---|---|")
    for said, values, of in (
        ("network", [r.sure for r in rows], alone),
        ("its votes support", [r.flat for r in rows], alone),
        ("stated", [r.stated for r in rows], rows),
    ):
        p, right = np.array(values), np.array([r.right for r in of], float)
        print(f"| {said} | {100 * p.mean():.1f} | {100 * right.mean():.1f} | {np.mean((p - right) ** 2):.4f} |")


def wrong(rows: Sequence[Row]) -> None:
    """Print the records that come out wrong."""
    print("\nWrong:\n\n| truth | network | spectrum | both | by | stated | healthy record |\n|" + "---|" * 7)
    for r in sorted((r for r in rows if not r.right or r.compared != r.truth), key=lambda r: -r.stated):
        seen = f"{r.seen} {r.place}"
        print(
            f"| {r.truth} | {r.network} {r.sure:.3f} | {seen} | {r.verdict} | {r.named_by} | {r.stated:.3f} "
            f"| {r.compared} {r.compared_stated:.3f} |"
        )


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="cwru, uestc; cwru where none is named")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, help="keep the prepared files and runs here")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--side", choices=("test", "val"), default="test", help="val: other seconds of what was trained on"
    )
    given = parser.parse_args()
    if not (given.data / "cwru").is_dir():
        sys.exit(f"{given.data}: no such folder; --data names the one that holds cwru/")
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for part in given.parts or ("cwru",):
            {"cwru": cwru, "uestc": uestc}[part](
                given.data.resolve(), work, seeds=given.seeds, epochs=given.epochs, side=given.side
            )


if __name__ == "__main__":
    main()
