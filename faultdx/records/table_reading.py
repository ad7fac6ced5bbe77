"""Records tables: a CSV (or Parquet) with a column `path`, relative to the table, and any of `headings.COLUMNS`.

Columns that are not known are kept as details.
"""

from __future__ import annotations

import csv
import io
import math
import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO, NoReturn

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.folders import TABLE_NAME
from faultdx.records.handles import STANDARD_INPUT, locate
from faultdx.records.headings import COLUMNS, delimiter_of, lacks_path, misspelt, nearest_to_path, no_path
from faultdx.records.marks import is_parquet
from faultdx.records.opening import read_bytes
from faultdx.records.table import NOTHING, NUMBERS, Declared, Item, fits, may_be_table, wanted
from faultdx.records.table_rows import MOST_ROWS, parquet_rows

_MOST_PROBLEMS = 20
HEAD_BYTES = 16 * 1024  # of a file, to tell whether it is a records table
_LOOKED_AT = 12  # lines
_LONGEST_FOOTER = 1024 * 1024
_Rows = list[tuple[int, dict[str, str]]]


def looks_like_table(path: str) -> bool:
    """Tell whether `path` is a records table: a regular .csv, .tsv or .parquet file with a column `path`.

    Raises ConfigError where it is one by all signs, and only lacks the heading `path`: it is called records.csv and
    is no plain table of numbers, or it is a .csv with a column whose cells name files that are there. Raises
    RecordError for a records.csv that cannot be read.
    """
    file = Path(path)
    try:
        if not may_be_table(path):
            return False
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            if is_parquet(head):
                return _parquet_has_path(stream)
    except (OSError, ValueError) as error:
        if file.name.lower() == TABLE_NAME:  # passed over, the folders' names would be taken for labels
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
            raise RecordError(
                f"{show(path)}: the records table cannot be read: {reason.lower()}; ask its owner for read access",
                path,
            ) from error
        return False

    def there(cell: str) -> bool:
        return os.path.isfile(file.parent / cell)  # noqa: PTH113 - Path.is_file raises where a name is too long

    return is_table(head, path, there=there)


def is_table(head: bytes, path: str, *, there: Callable[[str], bool]) -> bool:
    """Tell whether a file that begins with `head` is a records table; as `looks_like_table`.

    there : tells whether a file of this name, relative to the table, exists
    """
    lines = head.decode("utf-8-sig", "surrogateescape").splitlines()
    delimiter = delimiter_of(lines[0]) if lines else ","
    rows = [[cell.strip() for cell in row] for row in _rows_of(lines[:_LOOKED_AT], delimiter)]
    if not rows:
        return False
    if "path" in [cell.lower() for cell in rows[0]]:
        return True
    heading = lacks_path(rows, called=PurePath(path).name, there=there)
    if heading is None:
        return False
    raise ConfigError(f"{show(path)}: {no_path(rows[0], heading)}; correct the records table")


def _parquet_has_path(stream: BinaryIO) -> bool:
    """Tell by its footer, which names the columns, whether a Parquet file has a column `path`; else it is a recording.

    Apache Parquet, "File Format": the footer, its length (4 bytes), "PAR1". Its strings stand behind their length.
    """
    end = stream.seek(-8, os.SEEK_END)
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(max(0, end - min(length, _LONGEST_FOOTER)))
    return b"\x04path" in stream.read(min(length, _LONGEST_FOOTER))


def _rows_of(lines: list[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []


def read_table(path: str, *, flags: Declared = NOTHING, bounded: bool = False) -> list[Item]:
    """Return an Item for each row of the records table `path`, in its order.

    A row that names a missing file is an Item too: reading it says what is wrong, and costs the others nothing.

    bounded : the table was found, not named: its paths may not lead out of the folder that it is in

    Raises RecordError where the table cannot be opened, ConfigError with every problem found, by line, otherwise.
    """
    data = read_bytes(path)
    rows, problems = _parquet_rows(data, path) if is_parquet(data) else _csv_rows(data)
    items: list[Item] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        declared, wrong = _declared(row, said_by=f"{show(PurePath(path).name)} line {line}")
        name = row["path"]
        target = beside(path, name)
        key = (target, row.get("channel", ""), row.get("variable", ""))
        if not name:
            wrong.append("no path")
        elif bounded and not in_archive(path) and _leads_out(name):
            wrong.append(f"{show(name)} is outside the folder of the table: name the table itself to allow that")
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


def beside(table: str, name: str) -> str:
    """Return what `name` means in a records table: a file relative to it; in an archive a member of this archive."""
    if name == STANDARD_INPUT and not in_archive(table):
        return name
    if not in_archive(table):
        return str(Path(table).parent / name)
    place = locate(table)
    inner = posixpath.normpath(posixpath.join(posixpath.dirname(place.inside or ""), name))
    return f"{place.file}:{inner.lstrip('/')}"


def _leads_out(name: str) -> bool:
    plain = posixpath.normpath(name.replace(os.sep, "/"))
    return plain.startswith(("/", "../")) or plain == ".."


def in_archive(path: str) -> bool:
    """Tell whether `path` names a member: `spool.zip:run1/records.csv`. Never raises."""
    return locate(path).inside is not None


def _declared(row: Mapping[str, str], *, said_by: str) -> tuple[Declared, list[str]]:
    """Return what a row declares, and what is wrong with it."""
    wrong: list[str] = []
    numbers: dict[str, float] = {}
    for column in NUMBERS:
        if text := row.get(column, ""):
            try:
                value = float(text.replace(",", ".") if "." not in text else text)  # a German Excel writes 12800,0
            except ValueError:
                value = math.nan
            if fits(column, value):
                numbers[column] = value
            else:
                wrong.append(f"{column} must be {wanted(column)}, not {show(text)!r}")
    words = {name: row.get(name) or None for name in COLUMNS if name not in NUMBERS and name != "channel"}
    channels = tuple(part for cell in row.get("channel", "").split(";") if (part := cell.strip()))
    details = {key: value for key, value in row.items() if key not in (*COLUMNS, "path") and value}
    return Declared(**numbers, **words, channels=channels, details=details, said_by=said_by), wrong  # type: ignore[arg-type]


def _csv_rows(data: bytes) -> tuple[_Rows, list[str]]:
    """Return (line number, row) pairs, and what is wrong. Surrogate escapes carry file names that are not UTF-8."""
    text = data.decode("utf-8-sig", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text.split("\n", 1)[0]))
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
            return [], [*problems, f"line 1: {no_path(header, nearest_to_path(header))}"]
        end = reader.line_num
        for cells in reader:
            line, end = end + 1, reader.line_num  # a quoted cell may run over several lines: the first counts
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(header) :]):
                problems.append(f"line {line}: {len(cells)} cells under {len(header)} columns")
            values = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            if len(rows) == MOST_ROWS:
                return [], [f"has over {MOST_ROWS} rows: split it"]
            rows.append((line, {"path": "", **{key: value for key, value in values.items() if key}}))
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    return rows, [*(f"line 1: {what}" for what in misspelt(header, [row for _, row in rows])), *problems]


def _parquet_rows(data: bytes, path: str) -> tuple[_Rows, list[str]]:
    """Return (row number from 1, row) pairs, and what is wrong."""
    header, rows = parquet_rows(data, path)
    if "path" not in header:
        return [], [no_path(header, nearest_to_path(header))]
    return list(enumerate(rows, 1)), misspelt(header, rows)


def _refuse(path: str, problems: list[str]) -> NoReturn:
    listed = "; ".join(problems[:_MOST_PROBLEMS])
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    raise ConfigError(f"{show(path)}: {listed}{more}; correct the records table")
