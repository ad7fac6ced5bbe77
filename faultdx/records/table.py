"""What people declare about recordings: by options, for all of them, or in a records table, a row for each.

A records table is a CSV (or Parquet) with a column `path`, relative to the
table, and any of `COLUMNS`. Columns it does not know are kept as details.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.records.opening import STANDARD_INPUT, read_bytes

COLUMNS = (
    "label", "sampling_rate_hz", "rpm", "channel", "variable", "unit", "specimen", "condition", "asset", "bearing",
)  # fmt: skip
_NUMBERS = {"sampling_rate_hz": "--sampling-rate", "rpm": "--rpm"}
_MOST_PROBLEMS = 20
FOLDER_NAME = "folder name"
_PARQUET = b"PAR1"
_Rows = list[tuple[int, dict[str, str]]]


@dataclass(frozen=True)
class Declared:
    """What a user says about a recording; None or empty where they say nothing.

    sampling_rate_hz : samples a second; rpm : shaft turns a minute. Positive, or ConfigError
    channels : names, or numbers from 1; variable : of the file, that holds the signal
    details : further columns of a records table
    said_by : who speaks, for messages: "records.csv line 3", "folder name"; empty for options
    """

    sampling_rate_hz: float | None = None
    rpm: float | None = None
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
        for name, flag in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{flag}: must be a positive number, not {value:g}")


NOTHING = Declared()


@dataclass(frozen=True)
class Item:
    """A recording to read: `path` ("-" is standard input), what a table or folder declares of it, and the options."""

    path: str
    declared: Declared = NOTHING
    flags: Declared = NOTHING


def looks_like_table(path: str) -> bool:
    """Tell whether `path` is a records table: a regular .csv, .tsv or .parquet file with a column `path`."""
    file = Path(path)
    try:
        if file.suffix.lower() not in {".csv", ".tsv", ".parquet"} or not file.is_file():
            return False
        with file.open("rb") as stream:
            head = stream.read(4096)
    except (OSError, ValueError):
        return False
    if head.startswith(_PARQUET):
        return True
    header = head.decode("utf-8-sig", "surrogateescape").splitlines()[:1]
    return bool(header) and "path" in [cell.strip().lower() for cell in _split(header[0])]


def read_table(path: str, *, flags: Declared = NOTHING) -> list[Item]:
    """Return an Item for each row of the records table `path`, in its order.

    A row that names a missing file is an Item too: reading it says what is wrong, and costs the others nothing.

    Raises RecordError where the table cannot be opened, ConfigError with every problem found, by line, otherwise.
    """
    data = read_bytes(path)
    rows, problems = _parquet_rows(data, path) if data.startswith(_PARQUET) else _csv_rows(data)
    folder = Path(path).parent
    items: list[Item] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        declared, wrong = _declared(row, said_by=f"{show(Path(path).name)} line {line}")
        name = row["path"]
        target = name if name == STANDARD_INPUT else str(folder / name)
        key = (target, row.get("channel", ""), row.get("variable", ""))
        if not name:
            wrong.append("no path")
        elif key in seen:
            wrong.append(f"{show(name)} is listed already in line {seen[key]}")
        seen.setdefault(key, line)
        problems += [f"line {line}: {what}" for what in wrong]
        items.append(Item(target, declared, flags))
    if not items and not problems:
        problems.append("no rows: list one recording a line, under a header with a column path")
    if problems:
        _refuse(path, problems)
    return items


def _declared(row: Mapping[str, str], *, said_by: str) -> tuple[Declared, list[str]]:
    """Return what a row declares, and what is wrong with it."""
    wrong: list[str] = []
    numbers: dict[str, float] = {}
    for column in _NUMBERS:
        if text := row.get(column, ""):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if math.isfinite(value) and value > 0:
                numbers[column] = value
            else:
                wrong.append(f"{column} must be a positive number, not {show(text)!r}")
    words = {name: row.get(name) or None for name in COLUMNS if name not in _NUMBERS and name != "channel"}
    channels = tuple(part for cell in row.get("channel", "").split(";") if (part := cell.strip()))
    details = {key: value for key, value in row.items() if key not in (*COLUMNS, "path") and value}
    return Declared(**numbers, **words, channels=channels, details=details, said_by=said_by), wrong  # type: ignore[arg-type]


def _csv_rows(data: bytes) -> tuple[_Rows, list[str]]:
    """Return (line number, row) pairs, and what is wrong. Surrogate escapes carry file names that are not UTF-8."""
    text = data.decode("utf-8-sig", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text.split("\n", 1)[0]))
    rows: _Rows = []
    problems: list[str] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        header = [cell.lower() if cell.lower() in (*COLUMNS, "path") else cell for cell in header]
        problems += [
            f"line 1: the column {show(cell)} stands there twice"
            for cell in dict.fromkeys(header)
            if cell and header.count(cell) > 1
        ]
        if "path" not in header:
            return [], [*problems, f"line 1: {_no_path(header)}"]
        end = reader.line_num
        for cells in reader:
            line, end = end + 1, reader.line_num  # a quoted cell may run over several lines: the first counts
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(header) :]):
                problems.append(f"line {line}: {len(cells)} cells under {len(header)} columns")
            values = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            rows.append((line, {"path": "", **{key: value for key, value in values.items() if key}}))
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    return rows, problems


def _parquet_rows(data: bytes, path: str) -> tuple[_Rows, list[str]]:
    """Return (row number from 1, row) pairs, and what is wrong."""
    try:
        import pandas as pd

        frame = pd.read_parquet(io.BytesIO(data))
    except ImportError as error:
        raise ConfigError(f"{show(path)}: Parquet needs pyarrow; install it, or save the table as CSV") from error
    except Exception as error:  # pyarrow raises a type for each defect
        raise ConfigError(f"{show(path)}: is no readable Parquet table; save it again, or as CSV") from error
    if "path" not in frame.columns:
        return [], [_no_path([str(column) for column in frame.columns])]
    rows: _Rows = []
    for number, values in enumerate(frame.to_dict("records"), 1):
        row = {str(key): "" if value is None or value != value else str(value) for key, value in values.items()}  # noqa: PLR0124 - NaN
        rows.append((number, row))
    return rows, []


def _no_path(header: list[str]) -> str:
    return f"no column path (it has {', '.join(show(cell) for cell in header[:12]) or 'none'})"


def _split(header: str) -> list[str]:
    return next(csv.reader([header], delimiter=_delimiter(header)), [])


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _refuse(path: str, problems: list[str]) -> NoReturn:
    listed = "; ".join(problems[:_MOST_PROBLEMS])
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    raise ConfigError(f"{show(path)}: {listed}{more}; correct the records table")
