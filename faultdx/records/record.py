"""What every reader gives and every later room takes: a Record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Record:
    """One recording: what the sensor saw, and what is known about it.

    signal : float32, shape (channels, samples), C-contiguous, finite, in `unit` (or raw units where unit is None)
    sampling_rate_hz : samples a second; never guessed
    rpm : shaft speed in turns a minute, or None where nobody knows
    channels : one name for each row of `signal`
    label : the class ("normal", "inner_race_007"), where known
    specimen : the physical bearing or gear; condition: load or speed setting; asset: the machine
    path : as the user named it; sha256 : digest of the file's bytes
    known_from : where each fact comes from, e.g. {"sampling_rate_hz": "variable SampleFrequency"}
    details : further columns of the records table and of the catalogue, as text by name ("fault", "load_hp", ...)
    notes : what a user should know about this record, a sentence each
    """

    signal: FloatArray
    sampling_rate_hz: float
    rpm: float | None = None
    channels: tuple[str, ...] = ()
    unit: str | None = None
    label: str | None = None
    specimen: str | None = None
    condition: str | None = None
    asset: str | None = None
    path: str = ""
    sha256: str = ""
    format: str = ""
    known_from: Mapping[str, str] = field(default_factory=_empty)
    details: Mapping[str, str] = field(default_factory=_empty)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        signal = np.ascontiguousarray(np.atleast_2d(np.asarray(self.signal, dtype=np.float32)))
        object.__setattr__(self, "signal", signal)
        if not self.channels:
            object.__setattr__(self, "channels", tuple(f"ch{i + 1}" for i in range(signal.shape[0])))

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.signal.shape[1] / self.sampling_rate_hz)

    def with_(self, **changes: Any) -> Record:
        """Return a copy with some fields changed."""
        return replace(self, **changes)
