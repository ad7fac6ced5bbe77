"""Where the table is in a text file, and how it is written: delimiter, decimal comma, names, units.

Loggers write titles, settings and dates above their samples. The table is recognised from its end: the last lines
that were looked at say how many columns there are and which of them hold numbers, and the first line that fits is
its first. What stands above is handed on, for the settings in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faultdx.records.cells import DECIMAL_COMMA, MOST_COLUMNS, cells, is_number, unique
from faultdx.records.preamble import states_something

if TYPE_CHECKING:
    from faultdx.records.formats import Source

CURE = "give a table of numbers, one column a channel, one line a sample"
COMMENTS = ("#", "%")
MOST_PREAMBLE = 200  # lines above the table
_MOST_NUMBER_LINES = 2  # lines of numbers alone that may stand over a table of other columns
_FEWEST_ALIKE = 8  # lines at the end that make a table where most lines are others
_LONGEST_LOOK = 1 << 14  # characters of a line that tell how its numbers are written
SAMPLE_LINES = 40  # lines of the table itself that are looked at
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?", re.ASCII)  # a date has two points
_SCIENTIFIC = re.compile(r"\d+[eE][+-]?\d+", re.ASCII)
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LVM_COMMENT = "comment"  # the last heading of a LabVIEW table, over a column that its lines do not have

# Of a row under the names, where other lines stand over them: what makes it one of units.
_UNITS = {
    "s", "sec", "ms", "us", "µs", "min", "h", "hz", "khz", "g", "mg", "m/s2", "m/s^2", "m/s²", "mm/s", "in/s", "m/s",
    "m", "mm", "um", "µm", "mil", "mils", "v", "mv", "volt", "volts", "a", "ma", "n", "kn", "nm", "pa", "kpa", "bar",
    "°c", "degc", "c", "k", "%", "-", "rpm", "1/min", "min-1", "eu", "counts", "db",
}  # fmt: skip

Head = Sequence[tuple[int, str]]  # the first lines that are neither blank nor comments, with their numbers


@dataclass(frozen=True)
class Dialect:
    """How the table is written: `delimiter` None is white space; `first` is the line number of the first sample.

    names : one for each column; `named` says whether the file gives them
    words : the columns that hold words alone in the lines that were looked at
    trailing : a delimiter ends every line, and stands before no column
    above : the lines over the table that are neither names nor units
    numbered : a row of column numbers was taken for names
    """

    delimiter: str | None
    decimal_comma: bool
    names: tuple[str, ...]
    named: bool
    first: int
    words: tuple[int, ...] = ()
    trailing: bool = False
    above: tuple[str, ...] = ()
    numbered: bool = False

    def row(self, line: str) -> list[str]:
        """Return the cells of a line, without the empty one behind the delimiter at its end."""
        found = cells(line, self.delimiter)
        return found[:-1] if self.trailing and len(found) > len(self.names) and not found[-1] else found


@dataclass(frozen=True)
class _Shape:
    """What the last lines look like: `numeric` are the columns that hold numbers, `wordy` those that hold words and
    no numbers; `width` counts all columns."""

    delimiter: str | None
    decimal_comma: bool
    width: int
    numeric: tuple[int, ...]
    wordy: tuple[int, ...]

    def counts(self, row: Sequence[str]) -> tuple[int, int]:
        """Return how many of the number columns hold a number, and how many hold words."""
        filled = [row[i] for i in self.numeric if row[i]]
        numbers = sum(is_number(cell, self.decimal_comma) for cell in filled)
        return numbers, len(filled) - numbers

    def is_sample(self, row: Sequence[str]) -> bool:
        """Tell whether a line may be a sample, a damaged one included; `Sampling rate;12800` is none."""
        if len(row) != self.width:
            return False
        numbers, words = self.counts(row)
        if self.width == 2 and (numbers, words) == (1, 1):
            return not _LETTERS.search(row[0])
        return numbers > 0 and (words == 0 or numbers > words)

    def holds_number(self, cell: str) -> bool:
        """Tell whether a cell is filled with a number."""
        return is_number(cell, self.decimal_comma)

    def is_wordy(self, row: Sequence[str]) -> bool:
        """Tell whether a line has no number, and so may be one of names or units."""
        return any(row) and not any(is_number(cell, self.decimal_comma) for cell in row)


def delimiter_of(lines: Sequence[str]) -> tuple[str | None, bool]:
    """Return (delimiter, decimal comma?) from lines of the table that are most likely samples."""
    for delimiter in (";", "\t"):
        if all(delimiter in line for line in lines):
            found = [cell for line in lines for cell in cells(line[:_LONGEST_LOOK], delimiter)]
            return delimiter, any(map(DECIMAL_COMMA.fullmatch, found)) and not any(map(_DECIMAL_POINT.fullmatch, found))
    return ("," if any("," in line for line in lines) else None), False


def _shape(
    lines: Sequence[str], everything: Sequence[str], told: tuple[str | None, bool] | None = None
) -> tuple[_Shape, bool]:
    """Return what most of these lines look like, and whether they all do. Of two widths that are equally common, it
    is the more common one of `everything`: one line that is cut short must not pass for the table."""
    delimiter, decimal_comma = told or delimiter_of(lines)
    rows = [cells(line, delimiter) for line in lines]
    widths = Counter(map(len, rows))
    if len(widths) > 1:
        overall = Counter(len(cells(line, delimiter)) for line in everything)
        width = max(widths, key=lambda n: (widths[n], overall[n]))
    else:
        width = len(rows[-1])
    fitting = [row for row in rows if len(row) == width]
    numeric, wordy = [], []
    for column in range(min(width, MOST_COLUMNS + 1)):
        filled = [row[column] for row in fitting if row[column]]
        numbers = sum(is_number(cell, decimal_comma) for cell in filled)
        if numbers > len(filled) / 2:
            numeric.append(column)
        elif filled and not numbers:
            wordy.append(column)
    shape = _Shape(delimiter, decimal_comma, width, tuple(numeric), tuple(wordy))
    return shape, bool(numeric) and len(fitting) == len(rows) and all(map(shape.is_sample, rows))


def _shape_of_table(head: Head, told: tuple[str | None, bool] | None = None) -> _Shape | None:
    """Return the shape of the last lines: of as many as fit one shape, of the last half where none do."""
    lines = [line for _, line in head]
    half = len(lines) - len(lines) // 2
    sizes = [half, *(size for size in (len(lines) // 4, SAMPLE_LINES, _FEWEST_ALIKE) if _FEWEST_ALIKE <= size < half)]
    found = [_shape(lines[-size:], lines, told) for size in sizes]
    return next((shape for shape, fits in found if fits), next((shape for shape, _ in found if shape.numeric), None))


def find_table(source: Source, head: Head, *, last_comment: str = "") -> Dialect:
    """Find the table in the first lines of a text.

    last_comment : the last comment line before the first other line; numpy.savetxt writes its names so
    Raises RecordError where there is no table, or its names do not fit its columns.
    """
    shape = _shape_of_table(head)
    if shape is not None and shape.width == 2 and _is_one_column(head, shape):
        shape = _shape_of_table(head, (";", True))
    elif shape is not None and shape.width == 2 and _may_be_one_column(head, shape):
        cause = "could be one column with decimal commas, or two of whole numbers"
        raise source.error(cause, "write a name over the column, or semicolons between two")
    if shape is not None and not 1 <= shape.width <= MOST_COLUMNS:
        many = "no" if shape.width < 1 else f"over {MOST_COLUMNS}"
        raise source.error(f"has {many} columns and 1 to {MOST_COLUMNS} are read", CURE)
    rows = [] if shape is None else [cells(line, shape.delimiter) for _, line in head]
    start = next((i for i, row in enumerate(rows) if shape is not None and shape.is_sample(row)), None)
    if shape is None or start is None or start > MOST_PREAMBLE:
        raise source.error(f"is text without a table of numbers in its first {MOST_PREAMBLE} lines", CURE)
    tables = [i for i, row in enumerate(rows[:start]) if len(row) > 1 and all(map(shape.holds_number, row))]
    left = len(rows) - start
    if tables and not len(tables) < min(_MOST_NUMBER_LINES + 1, left):  # samples must not be passed over
        line, count = head[tables[0]][0], len(rows[tables[0]])
        raise source.error(f"line {line} has {count} columns and the table has {shape.width}", CURE)
    if left == 1 and shape.width == 1 and start and any(mark in head[start - 1][1] for mark in ",;\t"):
        raise source.error(f"line {head[start][0]} has 1 column and the line above it has more", CURE)
    if _has_split_decimals([row for row in rows[start:] if len(row) == shape.width], shape):
        raise source.error("has decimal commas, and commas between the numbers too", "write semicolons between them")
    titles = _titles(head, rows, start, shape)
    numbering = None
    if not titles:  # a numbering of the columns may count as a sample, or stand over the first one
        numbering = next((i for i in (start, start - 1) if i >= 0 and _is_numbering(rows[i:], shape)), None)
        if numbering is not None:
            start = numbering + 1
            titles = [[cell if not is_number(cell, shape.decimal_comma) else "" for cell in rows[numbering]]]
    trailing = _has_trailing(rows[start:], shape, titles)
    width = shape.width - trailing
    states = (states_something(line, decimal_comma=shape.decimal_comma) for _, line in head[:start])
    if not titles and start in (1, 2) and all(map(shape.is_wordy, rows[:start])) and not any(states):
        raise source.error(f"line {head[0][0]} has {len(rows[0])} names or units for {width} columns", CURE)
    if titles:
        names = _named(titles, width)
        named = any(names)
    else:
        names = cells(last_comment, shape.delimiter) if start == 0 else []
        named = len(names) == width and shape.is_wordy(names)
        names = names if named else [""] * width
    above = tuple(line for _, line in head[: start - len(titles)])
    first = head[start][0] if start < len(head) else head[-1][0] + 1
    numbered = numbering is not None
    return Dialect(
        shape.delimiter, shape.decimal_comma, unique(names), named, first, shape.wordy, trailing, above, numbered
    )


def _titles(head: Head, rows: Sequence[Sequence[str]], start: int, shape: _Shape) -> list[Sequence[str]]:
    """Return the row of names over the table, and one of units under it where there is one."""
    right_end = any(row[-1] for row in rows[start:] if len(row) == shape.width)

    def fits(index: int) -> bool:
        row = rows[index]
        lengths = [shape.width, *([] if right_end else [shape.width - 1])]
        comment = len(row) == shape.width + 1 and row[-1].lower() in ("", _LVM_COMMENT)
        if not shape.is_wordy(row) or not (len(row) in lengths or comment):
            return False
        if start > 1 and 2 * sum(map(bool, row)) < shape.width:  # a title, in a table program's empty cells
            return False
        return not states_something(head[index][1], decimal_comma=shape.decimal_comma)

    if start == 0 or not fits(start - 1):  # names stand right over the numbers
        return []
    if start == 1 or not fits(start - 2):
        return [rows[start - 1]]
    filled = [cell.strip("[]()").lower() for cell in rows[start - 1] if cell]
    if start > 2 and 2 * sum(cell in _UNITS for cell in filled) < len(filled):  # a title over the names
        return [rows[start - 1]]
    return [rows[start - 2], rows[start - 1]]


def _named(titles: Sequence[Sequence[str]], width: int) -> list[str]:
    padded = [[*row, *[""] * width][:width] for row in titles]
    if len(padded) == 1:
        return padded[0]
    # A time in ms must not pass for one in s.
    return [f"{name} [{unit.strip('[]()')}]" if name and unit else name for name, unit in zip(*padded, strict=True)]


def _has_trailing(rows: Sequence[Sequence[str]], shape: _Shape, titles: Sequence[Sequence[str]]) -> bool:
    """Tell whether each line ends with a delimiter that no column follows; a name over it makes it a column."""
    if shape.delimiter is None or shape.width < 2:
        return False
    fitting = [row for row in rows if len(row) == shape.width]
    headed = any(len(row) >= shape.width and row[shape.width - 1] for row in titles)
    return not headed and not any(row[-1] for row in fitting)


def _has_split_decimals(rows: Sequence[Sequence[str]], shape: _Shape) -> bool:
    """Tell whether 0,125,-3,052 are two numbers: every second cell is digits alone, never signed, and some begin with
    a zero, as no whole number does."""
    if shape.delimiter != "," or shape.width % 2 or len(shape.numeric) != shape.width or not rows:
        return False
    decimals = [row[i] for row in rows for i in range(1, shape.width, 2)]
    wholes = [row[i].lstrip("+-") for row in rows for i in range(0, shape.width, 2)]
    if all(cell.isdecimal() for cell in wholes) and all(map(_SCIENTIFIC.fullmatch, decimals)):
        return True  # 8,5837E-02: an exponent behind each comma, and none before
    return (
        all(cell.isdecimal() for cell in decimals)
        and all(cell.isdecimal() for cell in wholes)
        and sum(len(cell) > 1 and cell[0] == "0" for cell in decimals) > len(decimals) / 50
    )


def _is_one_column(head: Head, shape: _Shape) -> bool:
    """Tell whether lines such as 0,125 are one number each: a name without a comma stands over them, or the digits
    behind the comma can be no whole number."""
    rows = [cells(line, shape.delimiter) for _, line in head]
    start = next((i for i, row in enumerate(rows) if shape.is_sample(row)), 0)
    table = [row for row in rows[start:] if len(row) == shape.width]
    if shape.delimiter != "," or not table:
        return False
    if _has_split_decimals(table, shape):
        return True
    digits = {row[1] for row in table}
    plain = all(row[0].lstrip("+-").isdecimal() for row in table) and all(d.isdecimal() and len(d) == 1 for d in digits)
    return plain and start > 0 and len(rows[start - 1]) == 1 and shape.is_wordy(rows[start - 1])


def _may_be_one_column(head: Head, shape: _Shape) -> bool:
    """Tell whether 0,9 and 1,4 might be 0.9 and 1.4: nothing stands above them, and the second is any digit."""
    rows = [row for _, line in head if shape.is_sample(row := cells(line, shape.delimiter))]
    digits = {row[1] for row in rows}
    return (
        shape.delimiter == ","
        and len(rows) == len(head)
        and len(digits) > 7
        and all(row[0].lstrip("+-").isdecimal() for row in rows)
        and all(d.isdecimal() and len(d) == 1 for d in digits)
    )


def _is_numbering(rows: Sequence[Sequence[str]], shape: _Shape) -> bool:
    """Tell whether the first of these rows numbers the columns (0, 1, 2... or 1, 2, 3...), as tables are exported
    whose columns have no names.

    Only bare integers over numbers that all have a decimal point are a numbering for sure; else the row is kept as
    a sample. One number alone is one only where an empty or wordy cell stands beside it.
    """
    if len(rows[0]) != shape.width:
        return False
    first, others = rows[0], [row for row in rows[1:] if len(row) == shape.width]
    columns = [i for i in shape.numeric if first[i].isdecimal()]
    numbers = [int(first[i]) for i in columns if len(first[i]) < 5]
    if not others or numbers not in (list(range(len(columns))), list(range(1, len(columns) + 1))):
        return False
    if len(columns) + (len(columns) < shape.width and not is_number(first[0], shape.decimal_comma)) < 2:
        return False
    if any(is_number(first[i], shape.decimal_comma) for i in shape.numeric if i not in columns):
        return False
    points = (",", "e", "E") if shape.decimal_comma else (".", "e", "E")
    return all(any(point in row[i] for point in points) for row in others for i in columns if row[i])


def lines_of_comments(lines: Iterable[str]) -> Iterator[str]:
    """Yield the comment lines before the first other line, without their marks."""
    for line in lines:
        text = line.lstrip()
        if text and text[0] not in COMMENTS:
            return
        if text:
            yield text.lstrip("".join(COMMENTS))
