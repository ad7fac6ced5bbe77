"""Do conformal sets hold the true class as often as they say? On paper, and on simulated machines never trained on.

    python benchmarks/conformal.py
    sh docs/demo.sh demo; python benchmarks/conformal.py --demo demo

On paper: scores of machines, each with records that are alike to a degree, in 4000 trials a row; a set is calibrated on
some machines, by record (each record counts for itself) and by specimen (each machine by its worst record), and asked
about a record of another machine. On the demo: its models, and what they say of the machines that they never saw
(`*-unseen.ndjson`): the sets are calibrated on some of those machines and asked about the others, in 2000 random
divisions. Numpy only; seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.conformal import COVERAGE, least_probability

Floats = npt.NDArray[np.float64]
TRIALS, DIVISIONS = 4000, 2000


def share(hits: int, of: int) -> str:
    """Return "91.2" for a share in percent, "-" where nothing was asked."""
    return f"{100 * hits / of:.1f}" if of else "-"


def on_paper(seed: int) -> None:
    """Print the coverage on machines drawn at random."""
    print(f"| machines x records | alike | by record, % ({COVERAGE:.0%} stated) | by specimen, % |\n|---|---|---|---|")
    for specimens, records in ((2, 8), (4, 4), (9, 4), (12, 4), (20, 4), (40, 4)):
        for alike in (0.0, 0.5, 0.9):
            rng = np.random.default_rng([seed, specimens, records, int(100 * alike)])
            units = {"record": np.arange(specimens * records), "specimen": np.repeat(np.arange(specimens), records)}
            held, asked = dict.fromkeys(units, 0), dict.fromkeys(units, 0)
            for _ in range(TRIALS):
                own = rng.standard_normal((specimens + 1, 1))
                score = np.sqrt(alike) * own + np.sqrt(1 - alike) * rng.standard_normal((specimens + 1, records))
                for name, unit in units.items():
                    least = least_probability(score[:-1].ravel(), unit)
                    if least is not None:
                        asked[name] += 1
                        held[name] += bool(score[-1, 0] <= 1 - least)
            cells = " | ".join(share(held[name], asked[name]) if asked[name] else "no set" for name in units)
            print(f"| {specimens} x {records} | {alike:g} | {cells} |", flush=True)


def on_demo(folder: Path, seed: int) -> None:
    """Print the coverage on the machines of the demo that its models never saw."""
    print("\n| rig, calibrated on | by record, % | classes a set | by specimen, % | classes a set |")
    print("|---|---|---|---|---|")
    for rig in ("bearing", "gearbox"):
        with (folder / f"{rig}-unseen" / "records.csv").open(newline="") as stream:
            facts = {row["path"]: row for row in csv.DictReader(stream)}
        said = [json.loads(line) for line in (folder / f"{rig}-unseen.ndjson").read_text().splitlines()]
        rows = [(facts[Path(d["file"]).name], d["probabilities"]) for d in said if d["probabilities"]]
        names = sorted(rows[0][1])
        p = np.array([[probabilities[name] for name in names] for _, probabilities in rows])
        truth = np.array([names.index(fact["label"]) for fact, _ in rows])
        specimen = np.array([fact["specimen"] for fact, _ in rows])
        machines = np.unique(specimen)
        for count in (4, 9, 12, 20):
            cells = _divided(p, truth, specimen, count, seed)
            print(f"| {rig}, {count} of {len(machines)} machines | {cells} |", flush=True)


def _divided(p: Floats, truth: Any, specimen: Any, count: int, seed: int) -> str:
    rng, machines = np.random.default_rng([seed, count]), np.unique(specimen)
    score = 1 - p[np.arange(len(p)), truth]
    found: dict[str, list[tuple[float, float]]] = {"record": [], "specimen": []}
    for _ in range(DIVISIONS):
        mine = np.isin(specimen, rng.permutation(machines)[:count])
        for name, units in (("record", np.arange(len(p))), ("specimen", specimen)):
            least = least_probability(score[mine], units[mine])
            if least is None:
                continue
            inside = p[~mine] >= least
            inside[np.arange(len(inside)), p[~mine].argmax(axis=1)] = True  # the likeliest class always is
            covered = inside[np.arange(len(inside)), truth[~mine]].mean()
            found[name].append((float(covered), float(inside.sum(1).mean())))
    cells = []
    for name in ("record", "specimen"):
        both = np.array(found[name]).mean(axis=0) if found[name] else None
        cells += ["no set", "-"] if both is None else [f"{100 * both[0]:.1f}", f"{both[1]:.2f}"]
    return " | ".join(cells)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="the folder of docs/demo.sh")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    on_paper(given.seed)
    if given.demo is not None:
        on_demo(given.demo, given.seed)


if __name__ == "__main__":
    main()
