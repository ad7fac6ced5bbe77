"""Recordings: a name -> bytes -> variables -> a Record that says what is known and from where.

`read_record` reads one, `read_samples` its samples alone; `find_records` and `read_item` serve folders, globs and
tables; `inspect_file` tells what a file holds and why it would be refused.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from faultdx.records.inspection import Inspection, inspect_file
    from faultdx.records.reading import read_item, record_from_bytes
    from faultdx.records.record import Record
    from faultdx.records.source import find_records
    from faultdx.records.table import NOTHING, Declared, Item

_HOMES = {
    "NOTHING": "table",
    "Declared": "table",
    "Inspection": "inspection",
    "Item": "table",
    "Record": "record",
    "find_records": "source",
    "inspect_file": "inspection",
    "read_item": "reading",
    "record_from_bytes": "reading",
}

__all__ = [
    "NOTHING",
    "Declared",
    "Inspection",
    "Item",
    "Record",
    "find_records",
    "inspect_file",
    "read_item",
    "read_record",
    "read_samples",
    "record_from_bytes",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def read_record(
    path: str | os.PathLike[str],
    *,
    sampling_rate_hz: float | None = None,
    rpm: float | None = None,
    channels: Sequence[str] = (),
    variable: str | None = None,
    unit: str | None = None,
    scale: float | None = None,
    label: str | None = None,
    specimen: str | None = None,
    condition: str | None = None,
    asset: str | None = None,
) -> Record:
    """Read one recording: a file, "-" for standard input, or `FILE:INSIDE` (`spool.zip:run1/a.mat` is a member of an
    archive, `x.h5:group/data` a variable of a file). An archive of a single file is that file.

    The options count as those of the command line do: they fill what the file and the catalogue leave open, and a
    `sampling_rate_hz` that contradicts them is an error. `channels` are names or numbers from 1; `scale` is
    what the samples are multiplied by (1 / sensitivity; of a WAV file units per full scale).

    Raises RecordError, and ConfigError where a number given is impossible.
    """
    from faultdx.records.reading import read_item
    from faultdx.records.table import NOTHING, Declared, Item

    flags = Declared(
        sampling_rate_hz=sampling_rate_hz,
        rpm=rpm,
        channels=tuple(channels),
        variable=variable,
        unit=unit,
        scale=scale,
        label=label,
        specimen=specimen,
        condition=condition,
        asset=asset,
    )
    return read_item(Item(os.fspath(path), NOTHING, flags))


def read_samples(
    path: str | os.PathLike[str],
    *,
    channels: Sequence[str] = (),
    variable: str | None = None,
    scale: float | None = None,
) -> npt.NDArray[np.float32]:
    """Return the samples of one recording, float32, shape (channels, samples): those of `read_record(path).signal`.

    The options are those of `read_record`. No sampling rate is needed, and the rest of the file is not looked at
    where its format allows (an uncompressed MATLAB v5 file): neither digest nor catalogue is asked.

    Raises RecordError, and ConfigError where a number given is impossible.
    """
    from faultdx.records import reading
    from faultdx.records.table import NOTHING, Declared, Item

    flags = Declared(channels=tuple(channels), variable=variable, scale=scale)
    return reading.read_samples(Item(os.fspath(path), NOTHING, flags))
