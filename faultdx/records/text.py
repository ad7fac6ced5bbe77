"""Tables of numbers as text: CSV, TSV, semicolons or white space, one variable a column.

The common case goes through numpy's C parser. Only a table that it refuses (text columns, empty cells, damage) is
read line by line, so that the message can name the line. Three other layouts are told apart first: waveforms that
stand whole in one cell (`joined`), and a few lines of thousands of numbers, one line a channel.
"""

from __future__ import annotations

import array
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultdx.records.cells import MOST_COLUMNS, cells, is_number, number, parsed, unique
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.dialect import (
    COMMENTS,
    CURE,
    MOST_PREAMBLE,
    SAMPLE_LINES,
    Dialect,
    Head,
    delimiter_of,
    find_table,
    lines_of_comments,
)
from faultdx.records.joined import find_joined, read_joined
from faultdx.records.preamble import stated_above
from faultdx.records.statements import is_statement, time_scale

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_CONTROL = bytes(c for c in range(0x20) if c not in b"\t\n\r\f") + b"\x7f"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# A line that tells a table program its delimiter, and cells in which it says that it has no number: a sample is lost
# there, which a comment would hide.
_EXCEL_SEPARATOR = re.compile(r'"?sep=.?"?\s*$')
_ERROR_CELL = re.compile(r"#(DIV/0!|N/A|NV|NAME\?|NULL!|NUM!|ZAHL!|REF!|BEZUG!|VALUE!|WERT!)")
_LONGEST_LINE = 1 << 20  # characters of a line of a table
_LONGEST_WAVEFORM = 1 << 25  # characters of a line that is, or holds, a waveform
_MOST_HEAD = 1 << 22  # characters that are looked at to tell how a table is written
_MOST_WIDE_ROWS = 16
# Share of bytes beyond ASCII in text that is not UTF-8; sensor names have a few, binaries a half.
_MOST_FOREIGN_BYTES = 0.1


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
                raise source.error("starts like UTF-16 text and holds control characters", CURE)
            return text.encode("utf-8"), "utf-8"
        data = data.removeprefix(b"\xef\xbb\xbf")
        if data.isascii():
            return data, "ascii"
        data.decode("utf-8")
        return data, "utf-8"
    except UnicodeDecodeError:
        foreign = len(data) - len(data.translate(None, bytes(range(128, 256))))
        if encoding or foreign > _MOST_FOREIGN_BYTES * len(data):
            raise source.error("is neither text nor a known recording", CURE) from None
        return data, "latin-1"


def _lines(
    source: Source, data: bytes, encoding: str, *, longest: int = _LONGEST_LINE, first: int = 1
) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of every line from `first` on that is neither blank nor a comment, with its end."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding, newline=None)
    commented = b"#" in data or b"%" in data
    for line_number in itertools.count(1):
        line = stream.readline(longest)
        if not line:
            return
        if len(line) == longest:
            raise source.error(f"line {line_number} has over {longest >> 20} million characters", CURE)
        if line_number < first or line.isspace() or (line_number == 1 and _EXCEL_SEPARATOR.match(line)):
            continue
        text = line.lstrip()
        if not commented or text[0] not in COMMENTS or _ERROR_CELL.match(text):
            yield line_number, line


def _head(source: Source, data: bytes, encoding: str) -> Head:
    """Return the first lines: as many as may stand over a table, and some of it; fewer where they are long."""
    found: list[tuple[int, str]] = []
    length = 0
    for line_number, line in _lines(source, data, encoding, longest=_LONGEST_WAVEFORM):
        found.append((line_number, line))
        length += len(line)
        if len(found) == MOST_PREAMBLE + SAMPLE_LINES or (length > _MOST_HEAD and len(found) > 1):
            break
    if not found:
        raise source.error("is text without a line of numbers", CURE)
    return found


def _fast(source: Source, data: bytes, encoding: str, dialect: Dialect) -> npt.NDArray[np.float64] | None:
    """Return the columns of numbers, shape (samples, columns), or None where not all of them are plain numbers."""
    lines: Iterable[str]
    delimiter = (dialect.delimiter or "").encode()
    if dialect.decimal_comma:
        data = data.replace(b",", b".")
    if dialect.trailing:
        for newline in (b"\n", b"\r\n", b"\r"):
            data = data.replace(delimiter + newline, newline)
        data = data.removesuffix(delimiter)
    if dialect.words and (not delimiter or b'"' in data or b"#" in data or b"%" in data):
        return None
    skipped = 0
    if b"#" in data or b"%" in data:
        lines = (line for _, line in _lines(source, data, encoding, first=dialect.first))
    else:  # numpy reads the rest of a stream faster than lines that are handed to it
        lines = io.TextIOWrapper(io.BytesIO(data), encoding, newline=None)
        for _ in range(dialect.first - 1):
            skipped += lines.readline().count(dialect.delimiter or " ")
    use = [i for i in range(len(dialect.names)) if i not in dialect.words]
    try:
        table: npt.NDArray[np.float64] = np.loadtxt(
            lines,
            np.float64,
            comments=None,
            delimiter=dialect.delimiter,
            ndmin=2,
            quotechar='"' if b'"' in data else None,
            usecols=use if dialect.words else None,
        )
    except ValueError:
        return None
    if dialect.words and data.count(delimiter) - skipped != table.shape[0] * (len(dialect.names) - 1):
        return None  # some line has more columns, or fewer
    return table if table.shape[1] == len(use) else None


def _careful(source: Source, lines: Iterable[tuple[int, str]], dialect: Dialect) -> tuple[Variable, ...]:
    """Return the columns of a table with text, empty or damaged cells; raise RecordError at a ragged line.

    A column most of whose cells are no numbers is text. One with a few of those is damaged: it stays listed as
    numbers, so that it is not silently left out, and loading it names the line.
    """
    width = len(dialect.names)
    values = [array.array("d") for _ in range(width)]
    bad, empty, first_bad = [0] * width, [0] * width, [(0, "")] * width
    for line_number, line in lines:
        row = dialect.row(line)
        if len(row) != width:
            raise source.error(f"line {line_number} has {len(row)} columns and the table has {width}", CURE)
        for index, cell in enumerate(row):
            value = number(cell, dialect.decimal_comma)
            empty[index] += not cell
            if value is None:
                first_bad[index] = first_bad[index] if bad[index] else (line_number, cell[:40])
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


def _is_measured(v: Variable) -> bool:
    return v.kind == "number" and time_scale(v.name) is None and not is_statement(v.name)


def _wide(source: Source, data: bytes, encoding: str, head: Head) -> tuple[Variable, ...] | None:
    """Return the lines of a table that has a few, each of more numbers than a table has columns, as variables: a
    word at the start of each is its name, else they are `row_1`... None where this is no such table."""
    if len(head) > _MOST_WIDE_ROWS:
        return None
    delimiter, decimal_comma = delimiter_of([line for _, line in head])
    if len(cells(head[-1][1], delimiter)) <= MOST_COLUMNS:
        return None
    names: list[str] = []
    rows: list[NumberArray] = []
    for line_number, line in _lines(source, data, encoding, longest=_LONGEST_WAVEFORM):
        if len(rows) == _MOST_WIDE_ROWS:
            return None
        text = line.strip(" \r\n")
        text = text.removesuffix(delimiter) if delimiter else text
        count = 1 + (text.count(delimiter) if delimiter else text.count(" ") + text.count("\t"))
        source.spend(f"line {line_number}", 8 * count)
        name, _, rest = text.partition(delimiter or " ")
        named = bool(name.strip(' "')) and not is_number(name.strip(' "'), decimal_comma)
        plain = rest if named else text
        plain = plain.replace(",", ".") if decimal_comma else plain
        try:
            rows.append(parsed(plain, delimiter, count))
        except ValueError:
            return None
        names.append(name.strip(' "') if named else "")
    return tuple(map(_column, unique(names, empty="row"), rows))


def open_text(source: Source) -> Contents:
    """Return the columns of a table as variables of shape (samples,), float64 (empty cells: NaN), or of kind "text".

    Delimiter (comma, tab, semicolon, white space), decimal comma (with tab or semicolon), header, units row (added
    to the names: `time [ms]`), comment lines (#, %), UTF-8, UTF-16 with a mark, or latin-1 are found out.
    Without a header the columns are `column_1`... Up to 200 lines may stand over the table; rates, speeds and units
    that they state by known names become scalar variables and units. Waveforms in single cells, and few lines of
    thousands of numbers, become variables of their own.

    Raises RecordError where there is no table, a line has too many or too few columns (with its number), or the
    data are not text.
    """
    data, encoding = _decoded(source)
    head = _head(source, data, encoding)
    comments = tuple(lines_of_comments(io.TextIOWrapper(io.BytesIO(data[:_LONGEST_LINE]), encoding, "replace")))
    joined = find_joined(head)
    above: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    decimal_comma = False
    variables: tuple[Variable, ...] | None
    if joined is not None:
        lines = _lines(source, data, encoding, longest=_LONGEST_WAVEFORM, first=joined.first)
        variables, above, decimal_comma = read_joined(source, lines, joined), joined.above, joined.decimal_comma
    elif (variables := _wide(source, data, encoding, head)) is None:
        too_long = next((n for n, line in head if len(line) > _LONGEST_LINE), None)
        if too_long is not None:
            raise source.error(f"line {too_long} has over a million characters", CURE)
        dialect = find_table(source, head, last_comment=comments[-1] if comments else "")
        variables, above, decimal_comma = _table(source, data, encoding, dialect), dialect.above, dialect.decimal_comma
        notes = ("the first row of numbers was taken for column numbers, not for samples",) * dialect.numbered
    if not any(variable.kind == "number" for variable in variables):
        raise source.error("is text without a column of numbers", CURE)
    if above:
        notes = (f"the table begins below {len(above)} line{'s' * (len(above) > 1)} of text", *notes)
    stated, unit = stated_above((*comments, *above), decimal_comma=decimal_comma)
    names = unique([v.name for v in (*variables, *stated)])
    return Contents(
        "text",
        tuple(
            replace(v, name=name, unit=unit if i < len(variables) and _is_measured(v) else None)
            for i, (v, name) in enumerate(zip((*variables, *stated), names, strict=True))
        ),
        notes=notes,
    )


def _table(source: Source, data: bytes, encoding: str, dialect: Dialect) -> tuple[Variable, ...]:
    most_lines = max(data.count(b"\n"), data.count(b"\r")) + 1
    source.spend("the table", most_lines * len(dialect.names) * 8)

    table = _fast(source, data, encoding, dialect)
    if table is not None:
        columns = iter(table.T)
        return tuple(
            source.unreadable(name, (table.shape[0],), kind="text", cause="is text, not numbers")
            if i in dialect.words
            else _column(name, next(columns))
            for i, name in enumerate(dialect.names)
        )
    return _careful(source, _lines(source, data, encoding, first=dialect.first), dialect)
