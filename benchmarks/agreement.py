"""Network and spectrum as two witnesses on CWRU bearings of a fault size that was left out of the training.

Four classes, drive end, 12 kHz; each of the three sizes is left out once, and the network is trained on the two others
(the split of the plan cwru-size; a short recipe, so that it takes minutes). The agreement is calibrated as `train`
does it: the network's votes on the validation part of the training recordings, the spectrum on training and validation
recordings. Then every test record is put to both. Nothing is chosen by what comes out.

    OMP_NUM_THREADS=1 python benchmarks/agreement.py [--data FOLDER] [--work FOLDER] [--seeds 2] [--epochs 12]
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faultdx.agreement_fit import fit
from faultdx.dataset import open_prepared
from faultdx.inference import Network
from faultdx.model import Model
from faultdx.records import read_record
from faultdx.records.grades import GRADES, grades_of
from faultdx.scoring import wilson

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))
SIZES = ("007", "014", "021")
PLACES = ("inner_race", "ball", "outer_race")
COVERAGE = 0.75


@dataclass(frozen=True)
class Row:
    """A test record: what it is, what the network and the spectrum say, and how sure."""

    truth: str
    grade: str
    verdict: str
    word: str
    seen: str  # what the spectrum says alone: its verdict
    place: str
    network: float
    supported: float
    stated: float

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth."""
        return self.verdict == self.truth


def run(*arguments: str | Path) -> None:
    """Run a command quietly."""
    command = [sys.executable, "-m", "faultdx", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def made(data: Path, work: Path, size: str, seed: int, epochs: int) -> tuple[Path, Path]:
    """Prepare and train, where that was not done before."""
    prepared, folder = work / f"size{size}.h5", work / f"size{size}-{seed}"
    if not prepared.exists():
        held = [word for place in PLACES for word in ("--test-on", f"drive-end-{place}-{size}")]
        run("prepare", data / "cwru", "--labels", "fault", "--split", "specimen", *held, "--out", prepared)
    if not (folder / "model" / "model.json").exists():
        run("train", prepared, "--out", folder, "--epochs", str(epochs), "--threads", "1", "--seed", str(seed))
    return prepared, folder


def asked(data: Path, prepared_file: Path, folder: Path) -> tuple[list[Row], dict[str, object]]:
    """Calibrate, and put the test records to both witnesses."""
    network = Network.open(folder)
    rows = []
    with open_prepared(prepared_file) as prepared:
        table = prepared.records()
        paths = [data / "cwru" / Path(str(p)).name for p in table["path"]]
        bearings = [read_record(p, channels=["DE"]).details.get("bearing", "") for p in paths]
        entry = fit(network, prepared, bearings=bearings)
        network.info |= {"agreement": entry, "familiarity": None}  # type: ignore[operator]
        model = Model(network, hears=True)
        test = prepared.rows("test")
        grades = grades_of(table)
        for r in np.unique(prepared.record[test]):
            record = read_record(paths[r], channels=["DE"])
            first = int(prepared.start[test][prepared.record[test] == r].min())
            first = int(first * record.sampling_rate_hz / prepared.sampling_rate_hz)
            found = model.diagnose(replace(record, signal=record.signal[:, first:]), min_confidence=0.0)
            said = found.evidence["agreement"]
            witness = found.evidence["witness"]
            rows.append(
                Row(
                    str(table["label"][r]),
                    str(grades[r]),
                    str(found.verdict),
                    str(said["word"]),
                    witness["verdict"],
                    str(witness["place"]),
                    said["network"],
                    said.get("supported", said["network"]),
                    said["stated"],
                )
            )
    return rows, entry


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


def tell(name: str, rows: Sequence[Row]) -> None:
    """Print what was found."""
    n = len(rows)
    print(f"\n## {name}: {n} records\n\n| | right, % (95 %), of how many; coverage, % |\n|---|---|")
    print(f"| network alone | {share(rows, n)} |")
    for word in ("agree", "silent", "disagree"):
        print(f"| network, where they {word} | {share([r for r in rows if r.word == word], n)} |")
    fine = [r for r in rows if r.word == "agree" or (r.word == "silent" and r.verdict == "normal")]
    print(f"| agree, or all-clear and a silent spectrum | {share(fine, n)} |")
    located = [replace(r, verdict=r.place) for r in rows if r.seen == "located"]
    print(f"| spectrum alone, where it names a place | {share(located, n)} |")
    healthy = [r for r in rows if r.truth == "normal"]
    alarms = sum(r.seen in ("located", "damaged") for r in healthy)
    print(f"| spectrum: damage shown on healthy records | {alarms} of {len(healthy)} |")
    both = [replace(r, verdict=r.place) if r.seen == "located" else r for r in rows]
    print(f"| the place that the spectrum names, else the network | {share(both, n)} |")
    print(f"| ... the surest 75 % of these | {share(surest(both, lambda r: (r.seen == 'located') + r.stated), n)} |")
    for said, key in (("network's", lambda r: r.network), ("stated", lambda r: r.stated)):
        print(f"| surest 75 % by the {said} confidence | {share(surest(rows, key), n)} |")
    print("\n| confidence | mean, % | right, % | Brier score |\n|---|---|---|---|")
    right = np.array([r.right for r in rows], float)
    for said in ("network", "supported", "stated"):
        p = np.array([getattr(r, said) for r in rows])
        print(f"| {said} | {100 * p.mean():.1f} | {100 * right.mean():.1f} | {np.mean((p - right) ** 2):.4f} |")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, help="keep the prepared files and runs here")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    if not (given.data / "cwru").is_dir():
        sys.exit(f"{given.data}: no such folder; --data names the one that holds cwru/")
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        everything: list[Row] = []
        for size in SIZES:
            mine: list[Row] = []
            for seed in range(given.seeds):
                rows, entry = asked(given.data.resolve(), *made(given.data.resolve(), work, size, seed, given.epochs))
                print(f"\nsize {size}, seed {seed}: {entry}")
                mine += rows
            tell(f"size {size} left out, {given.seeds} seeds", mine)
            everything += mine
        tell("all", everything)
        for grade in GRADES:
            tell(f"grade {grade}", [r for r in everything if r.grade == grade])
        print("\nWrong:\n\n| truth | verdict | spectrum | word | network | stated |\n|---|---|---|---|---|---|")
        wrong = [r for r in everything if not r.right]
        for r in sorted(wrong, key=lambda r: -r.stated):
            print(f"| {r.truth} | {r.verdict} | {r.seen} {r.place} | {r.word} | {r.network:.3f} | {r.stated:.3f} |")


if __name__ == "__main__":
    main()
