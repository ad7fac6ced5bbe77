"""Does a model notice what it does not know? Familiarity and conformal sets, as `faultdx evaluate` reports them.

Whole records go the way of `faultdx diagnose`: those of the scored side (what is flagged there is a false alarm),
spoilt copies of some of them (`faultdx.signals.corruptions`), and records of another rig where one is named.
A record is flagged where it is refused by the signal checks, unfamiliar, or raises a check that no training record
raises; the three are counted apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.dataset import Prepared, open_prepared
from faultdx.diagnosis import Diagnosis
from faultdx.errors import DatasetError, RecordError
from faultdx.evaluation import unbroken
from faultdx.files import show
from faultdx.model import Model
from faultdx.records.record import Record
from faultdx.records.source import find_records
from faultdx.scoring import wilson
from faultdx.signals.corruptions import CORRUPTIONS, SEVERITIES

MOST_RECORDS = 200  # of a side, or of another rig; evenly over them
SPOILT = 12  # records of which spoilt copies are made, one of each kind
LONGEST_S = 10.0  # of a record
_FEWEST_SAMPLES = 1024  # of a record that is spoilt
OUTCOMES = ("refused", "unfamiliar", "checked", "unnoticed")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Case:
    """A record, the class that it is of ("" where that is not known), and the kind of corruption ("" for none)."""

    record: Record
    label: str
    kind: str = ""


def outcome(found: Diagnosis) -> str:
    """Return which of `OUTCOMES` a record came to: the first that holds."""
    if found.status in ("unusable", "error"):
        return "refused"
    if found.status == "unfamiliar":
        return "unfamiliar"
    return "checked" if found.familiarity and found.familiarity.get("flagged") else "unnoticed"


def examine(
    models: Sequence[Model],
    prepared: Prepared,
    rows: npt.NDArray[np.int64],
    *,
    foreign: str | Path | None = None,
    spoilt: int = SPOILT,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """Return the `familiarity` of an evaluation; `{"assessed": False, "why": sentence}` where it cannot be told.

    rows : of the side that is scored; foreign : a prepared file, or records, of a rig that the models have not seen
    spoilt : of how many records spoilt copies are made
    Raises DatasetError where `foreign` cannot be opened.
    """
    if not all(model.familiar for model in models):
        return {"assessed": False, "why": "the model has no limits of familiarity: it is older, or had too few records"}
    if prepared.has_noise or prepared.config["normalize"] == "zscore":
        return {"assessed": False, "why": "the file holds noise or normalised segments, and no record as it was read"}
    own = list(cases_of(prepared, rows))
    copies = list(spoil(own, most=spoilt, seed=seed))
    others, unread, left_out = others_of(models[0], foreign) if foreign is not None else ([], 0, 0)
    total, done = len(models) * (len(own) + len(copies) + len(others)), 0
    runs: dict[str, list[list[Diagnosis]]] = {"own": [], "copies": [], "others": []}
    for model in models:
        for name, cases in (("own", own), ("copies", copies), ("others", others)):
            found = []
            for case in cases:
                found.append(replace(model.diagnose(case.record), record=None))
                done += 1
                progress(done, total)
            runs[name].append(found)
    entry: dict[str, Any] = {"assessed": True, "records": _counted(runs["own"], len(own))}
    if copies:
        spoilt_records = len(copies) // len(CORRUPTIONS)
        kinds = {}
        for kind in CORRUPTIONS:
            at = [i for i, case in enumerate(copies) if case.kind == kind]
            kinds[kind] = _counted([[found[i] for i in at] for found in runs["copies"]], len(at))
        entry["corrupted"] = {**_counted(runs["copies"], spoilt_records), "of_records": spoilt_records, "kinds": kinds}
    if foreign is not None:
        entry["foreign"] = {
            "path": show(foreign), "unread": unread, "left_out": left_out, **_counted(runs["others"], len(others))
        }  # fmt: skip
    entry["conformal"] = _conformal(models, own, runs["own"])
    return entry


def cases_of(prepared: Prepared, rows: npt.NDArray[np.int64]) -> Iterator[Case]:
    """Yield the records that `rows` are of, each the longest stretch of them without a gap, ten seconds at most."""
    table, rate = prepared.records(), prepared.sampling_rate_hz
    numbers = np.unique(prepared.record[rows])
    for number in numbers[_evenly(len(numbers), MOST_RECORDS)]:
        rpm = float(table["rpm"][number])
        record = Record(
            unbroken(prepared, rows[prepared.record[rows] == number], most=int(LONGEST_S * rate)),
            rate,
            rpm=rpm if math.isfinite(rpm) and rpm > 0 else None,
            channels=prepared.channels,
            unit=str(table["unit"][number]) or None,
            path=str(table["path"][number]),
            sha256=str(table["sha256"][number]),
        )
        yield Case(record, prepared.classes[int(prepared.label[rows[prepared.record[rows] == number][0]])])


def spoil(cases: Sequence[Case], *, most: int, seed: int) -> Iterator[Case]:
    """Yield a copy of each kind of corruption of `most` of the cases; mild, middling and severe in turns.

    Records too short or too flat to be spoilt are left out.
    """
    fit = [c for c in cases if c.record.signal.shape[1] >= _FEWEST_SAMPLES and np.all(c.record.signal.std(axis=1) > 0)]
    for i, at in enumerate(_evenly(len(fit), most)):
        case = fit[at]
        for k, (kind, corruption) in enumerate(CORRUPTIONS.items()):
            severity = SEVERITIES[(i + k) % len(SEVERITIES)]
            rng = np.random.default_rng([seed, 0x5B01, k, severity, i])
            signal, rate = corruption(case.record.signal, case.record.sampling_rate_hz, rng, severity)
            yield Case(replace(case.record, signal=signal, sampling_rate_hz=rate), case.label, kind)


def others_of(model: Model, path: str | Path) -> tuple[list[Case], int, int]:
    """Return the records of another rig, how many could not be read, and how many are beyond `MOST_RECORDS`.

    path : a prepared file, or records as `diagnose` takes them. Raises DatasetError where there is nothing to read.
    """
    if _is_prepared(path):
        with open_prepared(path) as prepared:
            if prepared.has_noise or prepared.config["normalize"] == "zscore":
                raise DatasetError(
                    f"{show(path)}: holds noise or normalised segments: prepare it without, or name the records"
                )
            count = len(np.unique(prepared.record))
            cases = list(cases_of(prepared, np.arange(len(prepared.record))))
            return [replace(case, label="") for case in cases], 0, count - len(cases)
    if not Path(path).exists():
        raise DatasetError(f"{show(path)}: no such file or folder")
    items = find_records([str(path)])
    cases, unread = [], 0
    for at in _evenly(len(items), MOST_RECORDS):
        try:
            record = model.read(items[at])
        except RecordError:
            unread += 1
            continue
        most = int(LONGEST_S * record.sampling_rate_hz)
        cases.append(Case(replace(record, signal=record.signal[:, :most]), ""))
    if not cases:
        raise DatasetError(f"{show(path)}: no recording in it can be read: `faultdx inspect` says why")
    return cases, unread, len(items) - unread - len(cases)


def _is_prepared(path: str | Path) -> bool:
    try:
        with Path(path).open("rb") as stream:
            if stream.read(8) != b"\x89HDF\r\n\x1a\n":
                return False
        with open_prepared(path):
            return True
    except (OSError, DatasetError):
        return False


def _evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return `most` of the numbers below `count`, evenly over them; all where there are no more."""
    if most <= 0 or not count:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def figure(counts: Sequence[float], of: int, *, trials: int) -> dict[str, Any]:
    """Return the mean share of `of` over the runs, with Wilson's interval for `trials` records.

    counts : of each run
    """
    if not of:
        return {"value": None, "low": None, "high": None}
    shares = [c / of for c in counts]
    value = float(np.mean(shares))
    low, high = wilson(value * trials, trials)
    out: dict[str, Any] = {"value": value, "low": low, "high": high}
    return out | {"sd": float(np.std(shares, ddof=1)), "runs": shares} if len(shares) > 1 else out


def _counted(runs: Sequence[Sequence[Diagnosis]], trials: int) -> dict[str, Any]:
    """Return how many came to each outcome, as figures; and how many were called healthy all the same."""
    count = len(runs[0])
    outcomes = [Counter(outcome(found) for found in run) for run in runs]
    entry: dict[str, Any] = {
        "count": count,
        "flagged": figure([count - n["unnoticed"] for n in outcomes], count, trials=trials),
    }
    entry |= {name: figure([n[name] for n in outcomes], count, trials=trials) for name in OUTCOMES}
    clear = [sum(found.status == "diagnosed" and found.fault is False for found in run) for run in runs]
    return entry | {"called_healthy": figure(clear, count, trials=trials)}


def _conformal(models: Sequence[Model], cases: Sequence[Case], runs: Sequence[Sequence[Diagnosis]]) -> dict[str, Any]:
    """Return how often the conformal sets of the records hold the true class, and how large they are.

    Records that are refused or unfamiliar have no set and are not counted.
    """
    stated: Mapping[str, Any] = models[0].info["familiarity"].get("conformal") or {}
    if stated.get("least_probability") is None:
        return {"why_not": show(str(stated.get("why_not") or "the model has no conformal sets"))}
    sets = [
        [(case.label, found.conformal_set) for case, found in zip(cases, run, strict=True) if found.conformal_set]
        for run in runs
    ]
    count = min(map(len, sets))
    if not count:
        return {"why_not": "no record of this side got a set"}
    hits = [sum(label in found for label, found in run) / len(run) for run in sets]
    sizes = Counter(len(found) for run in sets for _, found in run)
    total = sum(sizes.values())
    return {
        "stated_coverage": float(stated["coverage"]),
        "holds_for": show(str(stated.get("holds_for", ""))),
        "count": count,
        "coverage": figure([h * count for h in hits], count, trials=count),
        "mean_size": sum(size * n for size, n in sizes.items()) / total,
        "sizes": {str(size): n for size, n in sorted(sizes.items())},
    }
