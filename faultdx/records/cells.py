"""A line of a text table in cells, a cell as a number, and names that are told apart."""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
MOST_COLUMNS = 1024
_PIECE = 1 << 16  # characters that are parsed at once
_LONGEST_NUMBER = 400  # characters; float() takes minutes over millions of digits


def cells(line: str, delimiter: str | None) -> list[str]:
    """Return the cells of a line, stripped and without their quotes; of a line that has more than `MOST_COLUMNS`, the
    first ones and what is left, so that a line of millions does not fill the memory. `delimiter` None is white
    space."""
    if delimiter is None:
        return line.replace('"', " ").split(None, MOST_COLUMNS + 1)
    if '"' not in line:
        return [cell.strip() for cell in line.strip(" \r\n").split(delimiter, MOST_COLUMNS + 1)]
    if len(line) <= csv.field_size_limit():
        with contextlib.suppress(csv.Error):
            return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    return [cell.strip() for cell in _between_quotes(line, delimiter)]


def _between_quotes(line: str, delimiter: str) -> list[str]:
    """Split at delimiters outside quotes, whatever the length of a cell."""
    found = [""]
    for index, piece in enumerate(line.strip(" \r\n").split('"', 4 * MOST_COLUMNS)):
        first, *rest = [piece] if index % 2 else piece.split(delimiter, MOST_COLUMNS + 1)
        found[-1] += first
        found += rest
        if len(found) > MOST_COLUMNS + 1:
            break
    return found


def parsed(text: str, delimiter: str | None, count: int) -> npt.NDArray[np.float64]:
    """Return at most `count` numbers that are joined in one text, shape (numbers,). Raises ValueError where a part
    is no number, or there are more. In pieces, for numpy's parser takes 40 times the memory of a line."""
    values = np.empty(count, np.float64)
    filled, start, joint = 0, 0, delimiter or " "
    while start < len(text):
        end = len(text) if len(text) - start <= _PIECE else text.find(joint, start + _PIECE)
        end = len(text) if end < 0 else end
        piece = text[start:end]
        if delimiter is not None or piece.strip():
            part = np.loadtxt([piece], np.float64, comments=None, delimiter=delimiter, ndmin=1)
            values[filled : filled + part.size] = part  # ValueError where there are more than were counted
            filled += part.size
        start = end + 1
    return values[:filled]


def number(cell: str, decimal_comma: bool) -> float | None:
    """Return the value of a cell: NaN where it is empty, None where it is no number."""
    if not cell:
        return math.nan
    if decimal_comma:
        cell = cell.replace(",", ".")
    # float() takes 1_000 and Arabic digits
    if "_" in cell or not cell.isascii() or len(cell) > _LONGEST_NUMBER:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def is_number(cell: str, decimal_comma: bool) -> bool:
    """Tell whether a cell is filled, and with a number ("nan" is one)."""
    return bool(cell) and number(cell, decimal_comma) is not None


def unique(names: Sequence[str], *, empty: str = "column") -> tuple[str, ...]:
    """Return the names with `column_3` for an empty third one, and `_2` behind the second of one name."""
    found: dict[str, int] = {}  # with how often each was wanted
    for index, name in enumerate(names):
        wanted = given = name or f"{empty}_{index + 1}"
        times = found.get(wanted, 0)
        while given in found:
            times += 1
            given = f"{wanted}_{times}" if times > 1 else given
        found[given] = 1
        if wanted != given:
            found[wanted] = times
    return tuple(found)
