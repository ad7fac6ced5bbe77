"""The logits of a condition -> its entry in an evaluation: figures per segment and per record, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx import scoring
from faultdx.dataset import Prepared
from faultdx.errors import ConfigError, DatasetError
from faultdx.evaluation import Condition
from faultdx.files import show
from faultdx.records.grades import GRADES, grades_of
from faultdx.scoring import Figure, Floats, Ints, Tally

BY = ("grade", "condition", "specimen", "label", "asset", "rpm", "path")
UNITS = ("record", "specimen")
_MAX_GROUPS = 50  # of a breakdown that nobody asked for

Table = Mapping[str, npt.NDArray[Any]]  # the records table of a prepared file


@dataclass(frozen=True, eq=False)
class Layout:
    """How the segments of a condition fall into records, and these into the units of the intervals.

    label, record : (segments,), classes as the model counts them, records 0 .. R - 1; number : (R,), the file's own
    numbers of the records; record_label, unit : (R,), units 0 .. units - 1
    """

    label: Ints
    record: Ints
    number: Ints
    record_label: Ints
    unit: Ints
    units: int


@dataclass(frozen=True, eq=False)
class Groups:
    """A breakdown: `of` holds for each record of the file its place in `names`, -1 for none."""

    of: Ints
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scored:
    """What one model did under one condition; confusions: counts (truth, said)."""

    segments: Tally
    records: Tally
    segment_confusion: Ints
    record_confusion: Ints


def layout_of(prepared: Prepared, condition: Condition, classes: Sequence[str], table: Table, *, unit: str) -> Layout:
    """Return the layout of `condition`, the labels by their names' places in `classes`."""
    to_model = np.array([classes.index(name) if name in classes else -1 for name in prepared.classes], dtype=np.int64)
    label = to_model[prepared.label[condition.rows]]
    number, first, record = np.unique(prepared.record[condition.rows], return_index=True, return_inverse=True)
    units = np.arange(len(number))
    if unit == "specimen":
        _, units = np.unique(table["specimen"][number].astype(str), return_inverse=True)
    return Layout(label, record, number, label[first], units, int(units.max()) + 1)


def table_of(prepared: Prepared, rows: npt.NDArray[np.int64], *, unit: str) -> Table:
    """Return the records table, with the column `grade`. Raises ConfigError where `unit` is not known of each record.

    rows : the segments that are scored
    """
    table = dict(prepared.records())
    table["grade"] = np.array(grades_of(table), dtype=object)
    there = np.unique(prepared.record[rows])
    if unit == "specimen" and not all(table["specimen"][there]):
        raise ConfigError(f"--resample specimen: {show(prepared.path)} does not name the specimen of every record")
    return table


def groups_of(prepared: Prepared, rows: npt.NDArray[np.int64], table: Table, by: Sequence[str]) -> dict[str, Groups]:
    """Return the breakdowns: those that `by` names, or else the grade and the condition where they tell records apart.

    Raises DatasetError for a column that holds nothing.
    """
    there = np.unique(prepared.record[rows])
    found = {}
    for name in dict.fromkeys(by or ("grade", "condition")):
        said = [_cell(v) for v in table[name]]
        names = sorted({said[r] for r in there} - {""}, key=_order(name))
        if not names and by:
            hint = "no record of it is known to the CWRU catalogue" if name == "grade" else "the records have none"
            raise DatasetError(f"--by {name}: {show(prepared.path)} does not hold it: {hint}; choose another column")
        if by or (names and (name == "grade" or 1 < len(names) <= _MAX_GROUPS)):
            place = {n: i for i, n in enumerate(names)}
            found[name] = Groups(np.array([place.get(s, -1) for s in said], dtype=np.int64), tuple(names))
    return found


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:g}" if math.isfinite(value) else ""
    return show(str(value))


def _order(name: str) -> Any:
    if name == "grade":
        return GRADES.index
    return float if name == "rpm" else None


def score_logits(
    logits: npt.NDArray[np.float32],
    layout: Layout,
    *,
    temperature: float,
    healthy: npt.NDArray[np.bool_],
    groups: Mapping[str, Groups],
) -> Scored:
    """Return what a model did: logits (segments, classes) -> tallies of segments and of records.

    "before" is the softmax of the logits, "after" of the logits over `temperature`; healthy : (classes,)
    """
    z = logits.astype(np.float64)
    logs = [_log_softmax(z), _log_softmax(z / temperature)]
    of_records = [scoring.pooled(log, layout.record, len(layout.number)) for log in logs]
    per_segment = (layout.label, layout.unit[layout.record], layout.number[layout.record])
    per_record = (layout.record_label, layout.unit, layout.number)
    found = []
    for (before, after), (label, unit, number) in (
        ([np.exp(log) for log in logs], per_segment),
        (of_records, per_record),
    ):
        said = after.argmax(axis=1)
        tally = scoring.tally(before, after, label, unit, units=layout.units, healthy=healthy)
        for name, group in groups.items():
            tally = scoring.with_groups(tally, name, said == label, unit, group.of[number], len(group.names))
        found.append((tally, scoring.confusion(label, said, len(healthy))))
    (segments, of_segments), (records, matrix) = found
    return Scored(segments, records, of_segments, matrix)


def _log_softmax(z: Floats) -> Floats:
    top = z - z.max(axis=1, keepdims=True)
    return np.asarray(top - np.log(np.exp(top).sum(axis=1, keepdims=True)))


def entry(
    condition: Condition,
    layout: Layout,
    runs: Sequence[Scored],
    *,
    classes: Sequence[str],
    groups: Mapping[str, Groups],
    seed: int,
) -> dict[str, Any]:
    """Return a condition's entry of the evaluation: plain JSON values, figures as {value, low, high}."""
    segments, records = [r.segments for r in runs], [r.records for r in runs]
    found = {"segments": scoring.estimate(segments, seed=seed), "records": scoring.estimate(records, seed=seed)}
    labels = {"segments": layout.label, "records": layout.record_label}
    matrices = {
        "segments": np.sum([r.segment_confusion for r in runs], axis=0),
        "records": np.sum([r.record_confusion for r in runs], axis=0),
    }
    out: dict[str, Any] = {
        "name": condition.name,
        "noise": condition.kind or None,
        "snr_db": condition.snr_db if condition.kind else None,
        "units": layout.units,
    }
    for level, figures in found.items():
        present = np.bincount(labels[level], minlength=len(classes))
        out[level] = {
            "count": len(labels[level]),
            **{name: figure(f[0]) for name, f in figures.items() if not name.startswith(("recall", "by_"))},
            "recall": {show(c): figure(figures["recall"][k]) for k, c in enumerate(classes) if present[k]},
            "confusion": matrices[level].tolist(),
        }
    out["coverage"] = [{"coverage": c, **figure(f)} for c, f in scoring.coverage_curve(segments, seed=seed)]
    out["reliability"] = {name: _reliability(segments, name) for name in ("before", "after")}
    out["by"] = {
        name: {
            label: {
                "segments": {"count": int(_counts(segments[0], name)[k]), **figure(found["segments"][f"by_{name}"][k])},
                "records": {"count": int(_counts(records[0], name)[k]), **figure(found["records"][f"by_{name}"][k])},
            }
            for k, label in enumerate(group.names)
        }
        for name, group in groups.items()
    }
    return out


def _counts(found: Tally, name: str) -> Floats:
    return np.asarray(found.sums[f"by_{name}"][..., 1].sum(axis=0))


def _reliability(runs: Sequence[Tally], name: str) -> list[dict[str, float]]:
    """Return the filled bins of equal width: how sure the network was, and how often right, over all runs."""
    bins = np.sum([t.sums[f"bins_{name}"].sum(axis=0) for t in runs], axis=0)
    return [
        {"count": int(n), "confidence": _rounded(sure / n) or 0.0, "accuracy": _rounded(right / n) or 0.0}
        for n, sure, right in bins.tolist()
        if n
    ]


def figure(f: Figure) -> dict[str, Any]:
    """Return a figure as plain JSON values: six decimals, null for what is not defined."""
    out: dict[str, Any] = {"value": _rounded(f.value), "low": _rounded(f.low), "high": _rounded(f.high)}
    if f.sd is not None:
        out |= {"sd": _rounded(f.sd), "runs": [_rounded(v) for v in f.runs]}
    return out


def _rounded(value: float) -> float | None:
    return round(float(value), 6) + 0.0 if math.isfinite(value) else None
