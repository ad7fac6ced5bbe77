"""What a file format gives before anybody has asked what it means: named variables, decoded on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NumberArray = npt.NDArray[np.number[Any]]


@dataclass(frozen=True)
class Variable:
    """One named thing in a file.

    kind : "number" (real numeric array), "text", or "other" (struct, cell, object, complex: not read)
    load : decode and check now; returns the array with shape `shape` in its stored type, or raises RecordError
    text : the text itself where kind is "text" and it is short
    sampling_rate_hz, unit : where the format itself states them for this variable (UFF 58, TDMS)
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    load: Callable[[], NumberArray]
    text: str | None = None
    sampling_rate_hz: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Contents:
    """A file, opened: its format and its variables in file order. `sampling_rate_hz` where the container itself
    states one (a WAV header); `notes`: what its reader passed over or took for granted, a sentence each."""

    format: str
    variables: tuple[Variable, ...]
    sampling_rate_hz: float | None = None
    notes: tuple[str, ...] = ()
