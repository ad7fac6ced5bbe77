"""A limit that follows the noise: would it tell unknown faults of a known make of machine better? Simulated only.

    sh docs/demo.sh demo
    OMP_NUM_THREADS=1 python benchmarks/familiarity_noise.py demo --work FOLDER

Trains on the demo's bearing rig without one class, four times, as benchmarks/familiarity_demo.py does (where FOLDER has
the runs they are taken from there), and judges the machines that no training saw by the features of the network:

- shipped: distance of `faultdx.familiarity_fit`, its tolerance limit, and the 98 % quantile of the same distances;
- following: centres and covariance of the recordings as they are, without added noise (between recordings, and the
  scatter within them weighed by --within); the logarithm of the distance is regressed on how noisy the statistics of
  the signal look (linear discriminant between recorded and noisy copies), and what is left over is limited.

All limits come from validation records and from training records whose specimen is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from familiarity import train

from faultdx.dataset import open_prepared
from faultdx.familiarity_fit import Described, bands_for, cloud, describe_side, held_out, ledoit_wolf, tolerance_factor
from faultdx.records import read_record
from faultdx.signals.statistics import describe

Floats = npt.NDArray[np.float64]
Distance = Callable[[Floats], float]


def means(side: Described, name: str, mask: Any) -> tuple[Floats, Any, Any]:
    """Return of each record and copy the mean description, the label and the copy."""
    groups = [mask & (side.vote == v) for v in np.unique(side.vote[mask])]
    rows = [side.views[name][m].mean(axis=0) for m in groups]
    return np.array(rows), np.array([side.label[m][0] for m in groups]), np.array([side.copy[m][0] for m in groups])


def nearest(centres: Floats, whiten: Floats) -> Distance:
    """Return the distance to the nearest centre."""
    return lambda x: float(np.sqrt((((centres - x) @ whiten.T) ** 2).sum(axis=1)).min())


def shipped(side: Described, mask: Any, classes: int) -> Distance:
    """Fit as the training does."""
    return nearest(*cloud(side.views["features"][mask], side.label[mask], classes))


def following(side: Described, mask: Any, classes: int, within: float) -> Distance:
    """Fit on the recordings as they are."""
    x, label, copy = means(side, "features", mask)
    x, label = x[copy == 0], label[copy == 0]
    centres = np.stack([x[label == k].mean(axis=0) if np.any(label == k) else x.mean(axis=0) for k in range(classes)])
    between = x - centres[label]
    scale = np.maximum(between.std(axis=0), 0.05 * np.median(between.std(axis=0)) + 1e-9)
    plain = mask & (side.copy == 0)
    about = side.views["features"][plain] - centres[side.label[plain]]
    covariance = ledoit_wolf(between / scale)[0] + within * ledoit_wolf(about / scale)[0]
    return nearest(centres, np.linalg.inv(np.linalg.cholesky(covariance)) / scale)


def noisiness(side: Described) -> Floats:
    """Return the direction in the statistics that tells a noisy copy from a recording, within the classes."""
    x, noisy, label = side.views["statistics"], side.copy > 0, side.label
    pairs = [(x[(label == k) & noisy], x[(label == k) & ~noisy]) for k in np.unique(label)]
    apart = np.mean([a.mean(axis=0) - b.mean(axis=0) for a, b in pairs], axis=0)
    scale = x.std(axis=0) + 1e-9
    rest = np.concatenate([part - part.mean(axis=0) for pair in pairs for part in pair]) / scale
    w = np.linalg.solve(ledoit_wolf(rest)[0], apart / scale) / scale
    return np.asarray(w / abs(w @ apart))


def judged(found: dict[str, Any], way: str, within: float) -> tuple[Floats, Floats, int]:
    """Return the scores of the calibration, those of the tested records, and of how many records the former are."""
    side, val, folds, classes = found["train"], found["val"], found["folds"], found["classes"]
    w = noisiness(side)

    def fit(mask: Any) -> Distance:
        return shipped(side, mask, classes) if way == "shipped" else following(side, mask, classes, within)

    def score(distance: Distance, part: Described, mask: Any) -> list[tuple[float, float]]:
        x, u = means(part, "features", mask)[0], means(part, "statistics", mask)[0] @ w
        return [(math.log(distance(a)), float(b)) for a, b in zip(x, u, strict=True)]

    every = np.ones(len(side.record), bool)
    whole = fit(every)
    own = score(whole, val, np.ones(len(val.record), bool))
    for fold in range(folds.max() + 1):
        own += score(fit(folds != fold), side, folds == fold)
    z, u = np.array(own).T
    tested = np.array([(math.log(whole(t["features"])), t["statistics"] @ w) for t in found["tested"]])
    if way == "shipped":
        return z, tested[:, 0], found["records"]

    def basis(at: Floats) -> Floats:
        return np.vander(np.clip(at, u.min(), u.max()), 3, increasing=True)

    line = np.linalg.lstsq(basis(u), z, rcond=None)[0]
    left, over = z - basis(u) @ line, tested[:, 0] - basis(tested[:, 1]) @ line
    wide = np.linalg.lstsq(basis(u)[:, :2], np.abs(left) * math.sqrt(math.pi / 2), rcond=None)[0]
    least = 0.3 * left.std()
    spread, there = (np.maximum(basis(at)[:, :2] @ wide, least) for at in (u, tested[:, 1]))
    return left / spread, over / there, found["records"]


def without(folder: Path, work: Path, label: str, seed: int) -> dict[str, Any]:
    """Train without a class and describe all that is judged."""
    with (folder / "bearing" / "records.csv").open(newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["label"] != label]
    table = work / f"no_{label}.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows([r | {"path": str((folder / "bearing" / r["path"]).resolve())} for r in rows])
    judge = train(work, table.stem, table, 4, seed, "--split", "specimen")
    config = json.loads((work / table.stem / "run.json").read_text())["config"]
    with open_prepared(work / f"{table.stem}.h5") as data:
        bands = bands_for(1, data.segment)
        how: dict[str, Any] = {"noise": config["noise"], "snr_db": tuple(config["snr"]), "bands": bands}
        side = describe_side(judge.network, data, "train", seed=seed + 3, polarity=config["polarity"], **how)
        val = describe_side(judge.network, data, "val", seed=seed + 4, **how)
        folds, _ = held_out(side, data.records())
        classes = len(data.classes)
    tested, outputs = [], judge.network.outputs
    caught: list[Any] = []

    def listen(segments: Any) -> Any:
        caught.append((segments, found := outputs(segments)))
        return found

    judge.network.outputs = listen  # type: ignore[method-assign]
    with (folder / "bearing-unseen" / "records.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            caught.clear()
            judge.model.diagnose(read_record(folder / "bearing-unseen" / row["path"]))
            segments, (_, features) = caught[0]
            facts = {"features": features.mean(axis=0), "statistics": describe(segments, bands=bands).mean(axis=0)}
            tested.append({"label": row["label"], **facts})
    count = len(np.unique(val.record)) + len(np.unique(side.record[folds >= 0]))
    return {"train": side, "val": val, "folds": folds, "classes": classes, "tested": tested, "records": count}


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="that of docs/demo.sh")
    parser.add_argument("--work", type=Path, required=True, help="keep the prepared files and runs here")
    parser.add_argument("--within", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    total: dict[tuple[str, str], list[int]] = {}
    print("| left out | distance | area under the curve | flagged, false alarms: tolerance | 98 % quantile |")
    print("|---|---|---|---|---|")
    for label in ("ball", "inner_race", "outer_race", "healthy"):
        found = without(given.folder, given.work, label, given.seed)
        strange = np.array([t["label"] == label for t in found["tested"]])
        for way in ("shipped", "following"):
            own, score, n = judged(found, way, given.within)
            order = np.sort(own)
            limits = {
                "tolerance": own.mean() + tolerance_factor(n) * own.std(ddof=1),
                "quantile": order[min(len(order), math.ceil(0.98 * (len(order) + 1))) - 1],
            }
            cells = []
            for name, limit in limits.items():
                hits = [int((score[m] > limit).sum()) for m in (strange, ~strange)]
                total[way, name] = [a + b for a, b in zip(total.get((way, name), [0, 0]), hits, strict=True)]
                cells.append(f"{hits[0]} of {strange.sum()}, {hits[1]} of {(~strange).sum()}")
            area = float(np.mean(score[strange][:, None] > score[~strange]))
            print(f"| {label} | {way} | {area:.3f} | {' | '.join(cells)} |", flush=True)
    for (way, name), (hits, alarms) in total.items():
        print(f"{way}, {name}: {hits} of 96 flagged, {alarms} of 288 false alarms")


if __name__ == "__main__":
    main()
