"""Rows -> a file for the textfile collector of Prometheus' node_exporter.

Layout: Prometheus, "Exposition formats", text-based format 0.0.4. The collector takes no timestamps, and drops every
file in which two samples have the same name and labels: records that look the same are written once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from faultdx.files import atomic_write, show
from faultdx.report.row import Row

STATUSES = ("diagnosed", "undecided", "unfamiliar", "unusable", "error")
_HELP = {
    "faultdx_build_info": "The version of faultdx.",
    "faultdx_model_info": "The model that diagnosed.",
    "faultdx_run_timestamp_seconds": "When the run ended, Unix time.",
    "faultdx_run_duration_seconds": "How long the run took.",
    "faultdx_run_records": "Records of the run, by status.",
    "faultdx_run_records_skipped": "Records that the history had already (--new-only).",
    "faultdx_record_status": "1 for the status and the verdict of a record.",
    "faultdx_record_fault": "Whether the verdict is a fault; absent where there is no verdict.",
    "faultdx_record_fault_probability": "Probability of all fault classes together, 0 to 1.",
    "faultdx_record_confidence": "The network's own confidence, 0 to 1.",
    "faultdx_record_level_rms": "RMS of the signal, in the record's own unit.",
    "faultdx_record_time_seconds": "When the record was made, Unix time.",
}
_Labels = Mapping[str, str]


def to_metrics(
    rows: Iterable[Row],
    *,
    model: Mapping[str, str],
    version: str,
    ended: float,
    duration_s: float,
    standing: Iterable[Row] = (),
    skipped: int = 0,
) -> str:
    """Return the metrics of a run as text, its last line ended.

    rows : of this run; model : digest, name and version (`Model.summary`); version : of faultdx
    ended : Unix time, s; skipped : records that were not diagnosed again
    standing : the newest row of each measuring point (`History.newest`), so that a fault found by an earlier run does
        not vanish from the metrics when a run has nothing new. They are not counted in faultdx_run_records
    """
    run = list(rows)
    counts = Counter(row.status for row in run)
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {name: {} for name in _HELP}

    def put(name: str, value: float | None, labels: _Labels | None = None) -> None:
        if value is not None and math.isfinite(value):
            samples[name][tuple((labels or {}).items())] = float(value)

    put("faultdx_build_info", 1, {"version": version})
    put("faultdx_model_info", 1, {key: model.get(key, "") for key in ("digest", "name", "version")})
    put("faultdx_run_timestamp_seconds", ended)
    put("faultdx_run_duration_seconds", duration_s)
    for status in dict.fromkeys((*STATUSES, *counts)):
        put("faultdx_run_records", counts[status], {"status": status})
    put("faultdx_run_records_skipped", skipped)
    # where a record of this run looks like a standing one, or two look alike, the last word is that of this run
    found = {(row.file, row.asset, row.point): row for row in (*standing, *run)}
    for (file, asset, point), row in found.items():
        labels = {"file": file, "asset": asset, "point": point}
        put("faultdx_record_status", 1, {**labels, "status": row.status, "verdict": row.verdict or ""})
        put("faultdx_record_fault", None if row.fault is None else int(row.fault), labels)
        put("faultdx_record_fault_probability", row.fault_probability, labels)
        put("faultdx_record_confidence", row.confidence, labels)
        put("faultdx_record_level_rms", row.level_rms, {**labels, "unit": row.unit})
        put("faultdx_record_time_seconds", _unix_time(row.time), labels)
    return "".join(_family(name, values) for name, values in samples.items() if values)


def write_metrics(path: str | Path, text: str) -> None:
    """Write the metrics whole or not at all: the collector may read at any moment. Raises OutputError."""
    atomic_write(path, text)


def _family(name: str, samples: Mapping[tuple[tuple[str, str], ...], float]) -> str:
    lines = [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
    for labels, value in samples.items():
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        lines.append(f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Escape a label's value: backslash, double quote, line feed ("Exposition formats", comments and escaping)."""
    return show(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _unix_time(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
