"""Rows of diagnoses that never were, for the tests of what is made of them."""

from __future__ import annotations

import hashlib
from typing import Any

from faultdx.report.row import Row

MODEL = "a" * 64


def row(number: int = 0, **changes: Any) -> Row:
    """A good diagnosis, the `number`-th of its measuring point: every number another recording, a day later."""
    digest = hashlib.sha256(f"{number}".encode()).hexdigest()
    time = f"2024-{1 + number // 28 % 12:02d}-{1 + number % 28:02d}T12:00:00.000Z"
    fields: dict[str, Any] = {
        "file": f"{number}.mat", "asset": "pump 7", "point": "DE", "time": time, "time_from": "file",
        "status": "diagnosed", "verdict": "healthy", "fault": False, "confidence": 0.9, "agreement": 1.0,
        "fault_probability": 0.1, "segments": 5, "sampling_rate_hz": 12000.0, "rpm": 1797.0, "level_rms": 0.25,
        "level_peak": 1.0, "crest_factor": 4.0, "kurtosis": 3.0, "unit": "g", "notes": "", "sha256": digest,
        "model_digest": MODEL, "model_name": "m", "diagnosed_at": time, "elapsed_s": 0.1, "asked": "",
        "content": digest,
    }  # fmt: skip
    return Row(**(fields | changes))


def broken(number: int = 0, **changes: Any) -> Row:
    """A recording that could not be read."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("verdict", "fault", "confidence", "agreement", "fault_probability", "sampling_rate_hz", "rpm", "level_rms")
    )
    nothing |= dict.fromkeys(("level_peak", "crest_factor", "kurtosis"))
    left = {"status": "error", "segments": 0, "sha256": "", "unit": "", "content": f"unread:{number}"}
    return row(number, **(nothing | left | {"notes": f"{number}.mat: is empty"} | changes))
