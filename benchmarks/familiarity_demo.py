"""What the familiarity check says of simulated machines: never seen, or with a fault that was left out of the training.

    sh docs/demo.sh demo
    OMP_NUM_THREADS=1 python benchmarks/familiarity_demo.py demo [--work FOLDER] [--seed 0]

The first table judges the machines that the models of the demo never saw, with the familiarity fitted anew. The second
trains on its bearing rig without one class (4 epochs, four times, two minutes of one core) and judges all the unseen
machines: unlike the classes of CWRU, each its own bearing and mounting, these are machines of one make.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter
from pathlib import Path

from familiarity import Judge, head, percent, row, train

from faultdx.records import read_record


def demo(folder: Path) -> None:
    """Print what becomes of the machines that the models of docs/demo.sh never saw, and what their sets hold."""
    print(f"\n## Simulated machines never seen\n\n{head('rig')}")
    lines = []
    for rig in ("bearing", "gearbox"):
        judge = Judge(folder / f"{rig}-model", folder / f"{rig}.h5")
        with (folder / f"{rig}-unseen" / "records.csv").open(newline="") as stream:
            truth = {r["path"]: r["label"] for r in csv.DictReader(stream)}
        judged = {name: judge(read_record(folder / f"{rig}-unseen" / name)) for name in sorted(truth)}
        print(row(rig, [*judged.values()]))
        status = Counter(j.found.status for j in judged.values())
        sets = [(truth[n], j.found.conformal_set) for n, j in judged.items() if j.found.conformal_set is not None]
        right = (sum(j.found.verdict == truth[n] for n, j in judged.items()), len(judged))
        held = (sum(label in found for label, found in sets), len(sets))
        size = sum(len(found) for _, found in sets) / max(1, len(sets))
        basis = judge.network.info["familiarity"]["conformal"]
        lines.append(
            f"- {rig}: {dict(status)}; right {percent(right)}; true class in the set {percent(held)}, "
            f"{size:.3f} classes a set; {basis}"
        )
    print("\n" + "\n".join(lines))


def demo_without(folder: Path, work: Path, seed: int) -> None:
    """Print what becomes of simulated bearing faults left out of the training (4 epochs): machines of the same make."""
    with (folder / "bearing" / "records.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "bearing-unseen" / "records.csv").open(newline="") as stream:
        unseen = list(csv.DictReader(stream))
    print(f"\n## Simulated bearings: a class left out of the training\n\n{head('class')}")
    for label in sorted({r["label"] for r in rows}):
        table = work / f"demo_no_{label}.csv"
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            kept = [r for r in rows if r["label"] != label]
            writer.writerows([r | {"path": str((folder / "bearing" / r["path"]).resolve())} for r in kept])
        judge = train(work, table.stem, table, 4, seed, "--split", "specimen")
        judged = {r["path"]: judge(read_record(folder / "bearing-unseen" / r["path"])) for r in unseen}
        strange = [judged[r["path"]] for r in unseen if r["label"] == label]
        known = [judged[r["path"]] for r in unseen if r["label"] != label]
        print(row(f"{label}, left out", strange, known))
        print(row("the others", known), flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="that of docs/demo.sh")
    parser.add_argument("--work", type=Path, help="keep the prepared files and runs here")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        demo(given.folder)
        demo_without(given.folder, work, given.seed)


if __name__ == "__main__":
    main()
