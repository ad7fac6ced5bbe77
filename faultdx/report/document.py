"""Diagnosis -> JSON, schema `faultdx.diagnosis/1` (faultdx/schema/diagnosis-1.json).

Every text in it has gone through `faultdx.files.show`, so it holds no control character, no lone surrogate
and no newline: a line of NDJSON is a line, and encodes as UTF-8. Every number is finite; what is not is null.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from faultdx.diagnosis import SCHEMA, Diagnosis
from faultdx.files import show
from faultdx.signals.quality import Check

_MAX_DEPTH = 8  # evidence is shallow; what is deeper is a mistake and comes out as text


def number(value: Any, *, digits: int = 6) -> int | float | None:
    """Return `value` as a finite int or float of `digits` significant digits, None for what is no number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    plain = float(value)
    return float(f"{plain:.{digits}g}") if math.isfinite(plain) else None


def _share(value: Any) -> float | None:
    """Return a probability or a share to six decimals: nobody believes the digits that a small one trails."""
    found = number(value, digits=15)
    return None if found is None else round(float(found), 6) + 0.0  # no "-0.0"


def plain(value: Any, *, depth: int = 0) -> Any:
    """Return `value` as what JSON knows: mappings, lists, safe text, finite numbers, booleans and null.

    Keys become text; arrays and other iterables become lists; anything else becomes its own safe text.
    """
    deeper = depth + 1
    result: Any
    if value is None or isinstance(value, (bool, np.bool_)):
        result = None if value is None else bool(value)
    elif isinstance(value, (int, float, np.integer, np.floating)):
        result = number(value)
    elif isinstance(value, (str, os.PathLike)):
        result = show(os.fsdecode(value))
    elif isinstance(value, Mapping) and depth < _MAX_DEPTH:
        result = {show(str(key)): plain(item, depth=deeper) for key, item in value.items()}
    elif isinstance(value, np.ndarray):
        result = plain(value.tolist(), depth=depth)
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)) and depth < _MAX_DEPTH:
        result = [plain(item, depth=deeper) for item in value]
    else:
        result = show(str(value))
    return result


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": show(check.name),
        "value": number(check.value),
        "limit": number(check.limit),
        "severity": show(check.severity),
        "message": show(check.message),
    }


def to_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as the JSON object of `faultdx.diagnosis/1`, keys in the order of the contract.

    `error` is there only where the diagnosis has one. Shares have six decimals, times milliseconds, other
    numbers six significant digits (a sampling rate twelve).
    """
    d = diagnosis
    elapsed_s = number(d.elapsed_s, digits=15)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "file": show(d.file),
        "sha256": show(d.sha256),
        "status": show(d.status),
        "verdict": None if d.verdict is None else show(d.verdict),
        "fault": None if d.fault is None else bool(d.fault),
        "confidence": _share(d.confidence),
        "probabilities": {show(name): _share(value) for name, value in d.probabilities.items()},
        "segments": int(d.segments),
        "agreement": _share(d.agreement),
        "sampling_rate_hz": number(d.sampling_rate_hz, digits=12),
        "rpm": number(d.rpm),
        "quality": [_check(check) for check in d.quality],
        "evidence": plain(d.evidence),
        "warnings": [show(warning) for warning in d.warnings],
        "model": plain(d.model),
        "elapsed_s": None if elapsed_s is None else round(float(elapsed_s), 3),
    }
    if d.familiarity is not None:
        document["familiarity"] = plain(d.familiarity)
    if d.conformal_set is not None:
        document["conformal_set"] = [show(name) for name in d.conformal_set]
    if d.error is not None:
        document["error"] = plain(d.error)
    return document


def to_json(diagnosis: Diagnosis) -> str:
    """Return `to_dict(diagnosis)` as one line of JSON, without the newline; it always encodes as UTF-8."""
    return json.dumps(to_dict(diagnosis), ensure_ascii=False, allow_nan=False)


def flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return nested plain values as rows: ("scores, test, records", "0.98")."""
    if isinstance(value, Mapping):
        return [row for key, item in value.items() for row in flat(item, f"{name}, {key}" if name else str(key))]
    if isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        return [row for i, item in enumerate(value) for row in flat(item, f"{name} {i + 1}".strip())]
    if isinstance(value, list):
        return [(name, ", ".join(_plainly(item) for item in value))]
    return [] if value is None else [(name, _plainly(value))]


def _plainly(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
