"""What people declare about recordings: by options, for all of them, or in a records table, a row for each.

How a records table is read: `table_reading`, which is imported when one comes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faultdx.errors import ConfigError, RecordError

NUMBERS = {"sampling_rate_hz": "--sampling-rate", "rpm": "--rpm", "scale": "--scale"}
FOLDER_NAME = "folder name"


@dataclass(frozen=True)
class Declared:
    """What a user says about a recording; None or empty where they say nothing.

    sampling_rate_hz : samples a second; rpm : shaft turns a minute. Positive, or ConfigError
    channels : names, or numbers from 1; variable : of the file, that holds the signal
    scale : what the samples are multiplied by; finite and not 0, or ConfigError
    details : further columns of a records table
    said_by : who speaks, for messages: "records.csv line 3", "folder name"; empty for options
    """

    sampling_rate_hz: float | None = None
    rpm: float | None = None
    scale: float | None = None
    channels: tuple[str, ...] = ()
    variable: str | None = None
    unit: str | None = None
    label: str | None = None
    specimen: str | None = None
    condition: str | None = None
    asset: str | None = None
    bearing: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    said_by: str = ""

    def __post_init__(self) -> None:
        for name, flag in NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not fits(name, value):
                raise ConfigError(f"{flag}: must be {wanted(name)}, not {value:g}")


def fits(column: str, value: float) -> bool:
    """Tell whether a number may stand in this column of `NUMBERS`."""
    return math.isfinite(value) and (value != 0 if column == "scale" else value > 0)


def wanted(column: str) -> str:
    """Return what has to stand in this column of `NUMBERS`, in words."""
    return "a number other than 0" if column == "scale" else "a positive number"


NOTHING = Declared()


@dataclass(frozen=True)
class Item:
    """A recording to read: `path` ("-" is standard input), what a table or folder declares of it, and the options.

    problem : why it cannot be read, where that was known when it was found (a records table in an archive)
    """

    path: str
    declared: Declared = NOTHING
    flags: Declared = NOTHING
    problem: str = ""

    def check(self) -> None:
        """Raise RecordError where it is known that this cannot be read."""
        if self.problem:
            raise RecordError(self.problem, self.path)


def may_be_table(path: str) -> bool:
    """Tell by its suffix, and whether it is a file, if `path` is worth asking `table_reading.looks_like_table`."""
    file = Path(path)
    try:
        return file.suffix.lower() in {".csv", ".tsv", ".parquet"} and file.is_file()
    except (OSError, ValueError):
        return False
