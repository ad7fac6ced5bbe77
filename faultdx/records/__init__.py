"""Recordings: a name -> bytes -> variables -> a Record that says what is known and from where.

`read_record` reads one; `find_records` and `read_item` serve folders, globs and tables; `inspect_file` tells what a
file holds and why it would be refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from faultdx.records.inspection import Inspection, inspect_file
from faultdx.records.reading import read_item, record_from_bytes
from faultdx.records.record import Record
from faultdx.records.source import find_records
from faultdx.records.table import NOTHING, Declared, Item

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
    "record_from_bytes",
]


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
