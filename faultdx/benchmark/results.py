"""The cells' files as one tidy table, and its figures over seeds: means, deviations, intervals, differences.

A finished cell is a JSON file. The table is made from them again whenever it is written, in the order of the plan, so
that the same cells give the same bytes; times are in columns of their own.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultdx.benchmark.cells import Cell
from faultdx.errors import DatasetError
from faultdx.files import show
from faultdx.intake import parse_json, read_file

COLUMNS = (
    "plan", "data", "variant", "split", "level", "network", "input", "recipe", "training_noise", "seed", "side",
    "group", "test_noise", "test_snr_db", "unit", "metric", "value", "n", "parameters", "multiply_adds", "best_epoch",
    "steps", "cell", "train_seconds", "train_cpu_seconds",
)  # fmt: skip
Row = Mapping[str, Any]
_MOST_BYTES = 1 << 26  # of a cell's result


@dataclass(frozen=True)
class Spread:
    """Figures over repetitions: how many, their mean, standard deviation, and half the width of the 95 % interval.

    sd, half : nan where there is a single one
    """

    n: int
    mean: float
    sd: float
    half: float


def read_cell(path: Path) -> dict[str, Any] | None:
    """Return a cell's result, or None where there is none yet. Raises DatasetError where the file is damaged."""
    try:
        if not path.exists():
            return None
        data = read_file(path, limit_bytes=_MOST_BYTES, kind=DatasetError, cure="delete it, and its cell is run again")
        found = parse_json(data)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{show(path)}: is damaged: delete it, and its cell is run again") from error
    if not isinstance(found, dict) or found.get("status") not in ("finished", "failed"):
        raise DatasetError(f"{show(path)}: is no result of a cell: delete it, and its cell is run again")
    return found


def rows_of(plan: str, cells: Iterable[Cell], results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the table: a row for each score of each finished cell, in the order of the plan."""
    out = []
    for cell in cells:
        result = results.get(cell.address)
        if result is None or result["status"] != "finished":
            continue
        about = {"plan": plan, "split": result["split"], "level": result["level"], **cell.labels}
        about |= {k: result[k] for k in ("parameters", "multiply_adds", "best_epoch", "steps")}
        about |= {"cell": cell.address, "train_seconds": result["seconds"]["train"]}
        about |= {"train_cpu_seconds": result["seconds"]["train_cpu"]}
        for s in result["scores"]:
            out.append(about | {k: s[k] for k in ("side", "group", "unit", "metric", "value", "n")}
                       | {"test_noise": s["noise"] or "none", "test_snr_db": s["snr_db"]})  # fmt: skip
    return out


def to_csv(rows: Iterable[Row]) -> str:
    """Return the table as CSV (RFC 4180, but for lines ended by a line feed)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and the half width of the 95 % interval of the mean, by Student's t."""
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Spread(n, mean, math.nan, math.nan)
    from scipy.special import stdtrit

    sd = statistics.stdev(values)
    return Spread(n, mean, sd, float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n))


def over_seeds(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Hashable, Spread]:
    """Return the spread over seeds of each key's rows: of one seed, the mean over all that the key leaves open."""
    by_seed: dict[Hashable, dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_seed[key(row)][row["seed"]].append(row["value"])
    return {k: spread([statistics.fmean(v) for v in seeds.values()]) for k, seeds in by_seed.items()}


def differences(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[tuple[str, str], Spread]:
    """Return the spread of value(a) - value(b) for each two keys, paired by all else that a row's cell has.

    A pair is one variant, training noise, noise and SNR of the test where each is a training of its own, and seed: one
    training against another that differs in the key alone. Pairs with one half missing are left out.
    """
    cells: dict[str, dict[Hashable, list[float]]] = defaultdict(lambda: defaultdict(list))
    alone = _one_test_a_cell(rows := list(rows))
    for row in rows:
        place: tuple[Any, ...] = (row["data"], row["variant"], row["training_noise"], row["seed"])
        if alone:
            place = (*place, row["test_noise"], row["test_snr_db"])
        cells[key(row)][place].append(row["value"])
    names = list(cells)
    out = {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = [p for p in cells[a] if p in cells[b]]
            if both:
                out[a, b] = spread([statistics.fmean(cells[a][p]) - statistics.fmean(cells[b][p]) for p in both])
    return out


def _one_test_a_cell(rows: Sequence[Row]) -> bool:
    tests: dict[str, set[tuple[str, Any]]] = defaultdict(set)
    for row in rows:
        tests[row["cell"]].add((row["test_noise"], row["test_snr_db"]))
    return all(len(t) == 1 for t in tests.values())
