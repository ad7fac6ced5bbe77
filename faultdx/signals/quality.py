"""Is this a vibration signal at all? Checks of a recording, each with its value and its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A quality check: `value` against `limit`; severity "ok", "warn" or "refuse"; `message` is a sentence."""

    name: str
    value: float
    limit: float
    severity: str
    message: str
