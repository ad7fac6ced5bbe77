"""Tables of numbers as text: CSV, TSV, semicolons or white space, one variable a column.

The common case goes through numpy's C parser. Only a table that it refuses (text columns, empty cells, damage) is
read line by line, so that the message can name the line.
"""

from __future__ import annotations

import array
import contextlib
import csv
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultdx.records.contents import Contents, NumberArray, Variable

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_CONTROL = bytes(c for c in range(0x20) if c not in b"\t\n\r\f") + b"\x7f"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_LONGEST_LINE = 1 << 20  # characters
_COMMENTS = ("#", "%")
_SAMPLE_LINES = 40
_MOST_COLUMNS = 1024
_MOST_FOREIGN_BYTES = (
    0.1  # share of bytes beyond ASCII in text that is not UTF-8; sensor names have a few, binaries a half
)
_CURE = "give a table of numbers, one column a channel, one line a sample"


@dataclass(frozen=True)
class _Dialect:
    """How the table is written: `delimiter` None is white space; `first` is the line number of the first sample.

    names : one for each column; `named` says whether the file gives them
    """

    delimiter: str | None
    decimal_comma: bool
    names: tuple[str, ...]
    named: bool
    first: int


def matches(data: bytes) -> bool:
    """Say whether `data` are text: a byte-order mark, or no control characters."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return len(data.translate(None, _CONTROL)) == len(data)


def _decoded(source: Source) -> tuple[bytes, str]:
    """Return the text as bytes without its mark, and their encoding, of which ASCII is a part."""
    data = source.data
    encoding = next((encoding for mark, encoding in _BOMS if data.startswith(mark)), "")
    try:
        if encoding == "utf-16":
            source.spend("UTF-16 text", 2 * len(data))
            text = data.decode("utf-16")
            if set(text) & set(_CONTROL.decode()):
                raise source.error("starts like UTF-16 text and holds control characters", _CURE)
            return text.encode("utf-8"), "utf-8"
        data = data.removeprefix(b"\xef\xbb\xbf")
        if data.isascii():
            return data, "ascii"
        data.decode("utf-8")
        return data, "utf-8"
    except UnicodeDecodeError:
        foreign = len(data) - len(data.translate(None, bytes(range(128, 256))))
        if encoding or foreign > _MOST_FOREIGN_BYTES * len(data):
            raise source.error("is neither text nor a known recording", _CURE) from None
        return data, "latin-1"


def _lines(source: Source, data: bytes, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of every line that is neither blank nor a comment, without its end."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding, newline=None)
    commented = b"#" in data or b"%" in data
    for number in itertools.count(1):
        line = stream.readline(_LONGEST_LINE)
        if not line:
            return
        if len(line) == _LONGEST_LINE:
            raise source.error(f"line {number} has over a million characters", _CURE)
        if not line.isspace() and not (commented and line.lstrip()[0] in _COMMENTS):
            yield number, line


def _cells(line: str, delimiter: str | None) -> list[str]:
    """Return the cells of a line, stripped and without their quotes."""
    if delimiter is None:
        return line.replace('"', " ").split()
    if '"' in line:
        with contextlib.suppress(csv.Error):  # a cell over 128 KiB
            return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    return [cell.strip() for cell in line.strip(" \r\n").split(delimiter)]


def _number(cell: str, decimal_comma: bool) -> float | None:
    """Return the value of a cell: NaN where it is empty, None where it is no number."""
    if not cell:
        return math.nan
    if decimal_comma:
        cell = cell.replace(",", ".")
    if "_" in cell or not cell.isascii():  # float() takes 1_000 and Arabic digits
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _delimiter(lines: list[str]) -> tuple[str | None, bool]:
    """Return (delimiter, decimal comma?) from lines of the table that are most likely samples."""
    for delimiter in (";", "\t"):
        if all(delimiter in line for line in lines):
            cells = [cell for line in lines for cell in _cells(line, delimiter)]
            return delimiter, any(map(_DECIMAL_COMMA.fullmatch, cells)) and not any("." in c for c in cells)
    return ("," if any("," in line for line in lines) else None), False


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return the names with `column_3` for an empty third one, and `_2` behind the second of one name."""
    unique: dict[str, None] = {}
    for index, name in enumerate(names):
        wanted = name or f"column_{index + 1}"
        trials = itertools.chain([wanted], (f"{wanted}_{times}" for times in itertools.count(2)))
        unique[next(trial for trial in trials if trial not in unique)] = None
    return tuple(unique)


def _last_comment(data: bytes, encoding: str) -> str:
    """Return the last comment line before the first sample: numpy.savetxt writes its header so."""
    comment = ""
    for line in io.TextIOWrapper(io.BytesIO(data[:_LONGEST_LINE]), encoding, "replace"):
        if line.lstrip()[:1] not in _COMMENTS:
            break
        comment = line.lstrip().lstrip("".join(_COMMENTS))
    return comment


def _dialect(source: Source, data: bytes, encoding: str) -> _Dialect:
    """Look at the first lines. A header is a first line without a number; a units row is a second one."""
    head = list(itertools.islice(_lines(source, data, encoding), _SAMPLE_LINES))
    if not head:
        raise source.error("is text without a line of numbers", _CURE)
    delimiter, decimal_comma = _delimiter([line for _, line in head[len(head) // 2 :]])
    rows = [_cells(line, delimiter) for _, line in head]
    width = len(rows[-1])
    if not 1 <= width <= _MOST_COLUMNS:
        raise source.error(f"has {width} columns and 1 to {_MOST_COLUMNS} are read", _CURE)

    def without_numbers(row: list[str]) -> bool:
        return any(row) and all(not cell or _number(cell, decimal_comma) is None for cell in row)

    titles = next((i for i, row in enumerate(rows[:3]) if not without_numbers(row)), 3)
    if titles == 0:
        names = _cells(_last_comment(data, encoding), delimiter)
        named = len(names) == width and without_numbers(names)
        return _Dialect(delimiter, decimal_comma, _unique(names if named else [""] * width), named, head[0][0])
    if titles == 3 or titles == len(rows):
        raise source.error("is text without a table of numbers at its start", _CURE)
    for (number, _), row in zip(head[:titles], rows, strict=False):
        if len(row) != width:
            raise source.error(f"line {number} has {len(row)} names or units for {width} columns", _CURE)
    names = rows[0]
    if titles == 2:  # a time in ms must not pass for one in s
        names = [
            f"{name} [{unit.strip('[]()')}]" if name and unit else name for name, unit in zip(*rows[:2], strict=True)
        ]
    return _Dialect(delimiter, decimal_comma, _unique(names), True, head[titles][0])


def _fast(lines: Iterable[str], dialect: _Dialect, *, quoted: bool) -> npt.NDArray[np.float64] | None:
    """Return the table, shape (samples, columns), or None where it is not all plain numbers."""
    if dialect.decimal_comma:
        lines = (line.replace(",", ".") for line in lines)
    try:
        table: npt.NDArray[np.float64] = np.loadtxt(
            lines, np.float64, comments=None, delimiter=dialect.delimiter, ndmin=2, quotechar='"' if quoted else None
        )
    except ValueError:
        return None
    return table if table.shape[1] == len(dialect.names) else None


def _careful(source: Source, lines: Iterable[tuple[int, str]], dialect: _Dialect) -> tuple[Variable, ...]:
    """Return the columns of a table with text, empty or damaged cells; raise RecordError at a ragged line.

    A column most of whose cells are no numbers is text. One with a few of those is damaged: it stays listed as
    numbers, so that it is not silently left out, and loading it names the line.
    """
    width = len(dialect.names)
    values = [array.array("d") for _ in range(width)]
    bad, empty, first_bad = [0] * width, [0] * width, [(0, "")] * width
    for number, line in lines:
        cells = _cells(line, dialect.delimiter)
        if len(cells) != width:
            raise source.error(f"line {number} has {len(cells)} columns and the table has {width}", _CURE)
        for index, cell in enumerate(cells):
            value = _number(cell, dialect.decimal_comma)
            empty[index] += not cell
            if value is None:
                first_bad[index] = first_bad[index] if bad[index] else (number, cell[:40])
                bad[index] += 1
            values[index].append(math.nan if value is None else value)
    variables = []
    samples = len(values[0])
    for index, name in enumerate(dialect.names):
        if bad[index] > (samples - empty[index]) / 2:
            variables.append(source.unreadable(name, (samples,), kind="text", cause="is text, not numbers"))
        elif bad[index]:
            cause = "is damaged: line {} has {!a}, which is no number".format(*first_bad[index])
            variables.append(source.unreadable(name, (samples,), kind="number", cause=cause))
        elif empty[index] < samples or dialect.named:  # else what stands behind a delimiter at the end of every line
            variables.append(_column(name, np.frombuffer(values[index], np.float64)))
    return tuple(variables)


def _column(name: str, values: NumberArray) -> Variable:
    return Variable(name, values.shape, "number", lambda: values)


def open_text(source: Source) -> Contents:
    """Return the columns of a table as variables of shape (samples,), float64 (empty cells: NaN), or of kind "text".

    Delimiter (comma, tab, semicolon, white space), decimal comma (with tab or semicolon), header, units row (added
    to the names: `time [ms]`), comment lines (#, %), UTF-8, UTF-16 with a mark, or latin-1 are found out.
    Without a header the columns are `column_1`...

    Raises RecordError where there is no table, a line has too many or too few columns (with its number), or the
    data are not text.
    """
    data, encoding = _decoded(source)
    dialect = _dialect(source, data, encoding)
    most_lines = max(data.count(b"\n"), data.count(b"\r")) + 1
    source.spend("the table", most_lines * len(dialect.names) * 8)

    def lines() -> Iterator[tuple[int, str]]:
        return itertools.dropwhile(lambda line: line[0] < dialect.first, _lines(source, data, encoding))

    table = _fast((line for _, line in lines()), dialect, quoted=b'"' in data)
    if table is not None:
        return Contents("text", tuple(_column(n, table[:, i]) for i, n in enumerate(dialect.names)))
    variables = _careful(source, lines(), dialect)
    if not any(variable.kind == "number" for variable in variables):
        raise source.error("is text without a column of numbers", _CURE)
    return Contents("text", variables)
