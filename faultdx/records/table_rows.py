"""The rows of a records table in Parquet, read in a child process: nobody vouches for a table in a spool folder."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.errors import ConfigError
from faultdx.files import show

if TYPE_CHECKING:
    from faultdx.records.room import Room

MOST_ROWS = 100_000
_MOST_COLUMNS = 64
_MIB = 1024 * 1024
_ROOM_BYTES = 32 * _MIB  # of rows, as text
_MEMORY_BYTES = 256 * _MIB
_SECONDS = 8.0
_BATCH = 4096  # rows
_CURE = "save it again, or as CSV"


def parquet_rows(data: bytes, path: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the headings and the rows of a Parquet table, every cell as text, "" where it has none.

    Raises ConfigError where pyarrow is missing, or cannot read the table within its limits.
    """
    try:
        for name in ("pyarrow", "pyarrow.parquet"):
            importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{show(path)}: Parquet needs pyarrow; install it, or save the table as CSV") from error
    from faultdx.records.child import LateError, Limits, run
    from faultdx.records.room import ChildError, Room

    room = Room(_ROOM_BYTES)
    try:
        said = run(partial(_read, data, room), limits=Limits(_MEMORY_BYTES, _SECONDS, may_open_files=False), room=room)
        if not isinstance(said, dict) or "refused" in said or not isinstance(said.get("bytes"), int):
            cause = said.get("refused") if isinstance(said, dict) else None
            raise ConfigError(f"{show(path)}: {show(str(cause or 'is no readable Parquet table'))}; {_CURE}")
        text = room.take(said.get("array"), (said["bytes"],), spend=lambda _: None).tobytes()
        content = json.loads(text)
    except LateError as error:
        raise ConfigError(f"{show(path)}: takes more than {_SECONDS:g} s to read as a table; {_CURE}") from error
    except (ChildError, ValueError) as error:
        raise ConfigError(f"{show(path)}: is no readable Parquet table; {_CURE}") from error
    return _checked(content, path)


def _read(data: bytes, room: Room) -> dict[str, Any]:
    """Run in the child: put the rows into `room` as JSON, or say why not."""
    arrow, library = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    try:
        file = library.ParquetFile(arrow.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
        names = [str(name) for name in file.schema_arrow.names]
        if file.metadata.num_rows > MOST_ROWS or len(names) > _MOST_COLUMNS:
            return {"refused": f"has over {MOST_ROWS} rows or {_MOST_COLUMNS} columns"}
        rows: list[list[str]] = []
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
            rows += [list(row) for row in zip(*columns, strict=True)]
            if len(rows) > MOST_ROWS:
                return {"refused": f"has over {MOST_ROWS} rows"}
    except MemoryError:
        raise
    except Exception:  # pyarrow raises a type for each defect
        return {"refused": "is no readable Parquet table"}
    text = json.dumps({"names": names, "rows": rows}).encode("ascii")
    if len(text) > _ROOM_BYTES:
        return {"refused": f"holds more than {_ROOM_BYTES // _MIB} MiB of text"}
    return {"array": room.place(np.frombuffer(text, np.uint8)), "bytes": len(text)}


def _cell(value: object) -> str:
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN


def _checked(content: object, path: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return what the child wrote, after a look at it: it is not trusted either."""
    names = content.get("names") if isinstance(content, Mapping) else None
    rows = content.get("rows") if isinstance(content, Mapping) else None
    if not _are_words(names) or not isinstance(rows, list) or not all(map(_are_words, rows)):
        raise ConfigError(f"{show(path)}: is no readable Parquet table; {_CURE}")
    assert isinstance(names, list)
    if any(len(row) != len(names) for row in rows):
        raise ConfigError(f"{show(path)}: is no readable Parquet table; {_CURE}")
    return names, [dict(zip(names, row, strict=True)) for row in rows]


def _are_words(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(word, str) for word in found)
