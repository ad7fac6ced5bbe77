"""What is mapped, and what stands where a result was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lost:
    """In place of a result: the workers that had the item died of it; `reason` says how ("killed (signal
    9), 2 times")."""

    reason: str


Task = tuple[Any, ...]
