"""Waveforms that stand whole in one cell, as databases export them: one line a record, with its facts beside it.

    id,taken_at,rpm,waveform
    17,2024-05-01T10:00:00,1480,0.12;0.10;-0.03;...

The numbers are joined by semicolons, commas, bars or white space; brackets around them and quotes are taken off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultdx.records.cells import DECIMAL_COMMA, MOST_COLUMNS, cells, is_number, number, parsed, unique
from faultdx.records.contents import NumberArray, Variable
from faultdx.records.dialect import CURE, MOST_PREAMBLE, Head

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_FEWEST = 16  # numbers in a cell that make it a waveform: below that it may be a date, an address, a list of tags
_LOOKED_AT = 64  # numbers of a cell that are tried before it is called a waveform
_BRACKETS = "[](){} "
_OUTER: tuple[str, ...] = (",", ";", "\t", "|")
_INNER: tuple[str | None, ...] = (";", ",", "|", "\t", None)
_LAST_RESORT = 8  # lines that are tried from the end
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Joined:
    """How such a table is written.

    inner : what joins the numbers, None for white space; columns : which ones hold waveforms; names : of all columns
    first : the line number of the first record; above : the lines over the table
    """

    delimiter: str
    inner: str | None
    decimal_comma: bool
    columns: tuple[int, ...]
    names: tuple[str, ...]
    first: int
    above: tuple[str, ...]


def _inner_of(cell: str) -> tuple[str | None, bool] | None:
    """Return (what joins the numbers in a cell, decimal comma?), or None where it is no waveform."""
    text = cell.strip(_BRACKETS)
    for inner in _INNER:
        parts = text.split(inner, _LOOKED_AT)[:_LOOKED_AT] if inner else text.split(None, _LOOKED_AT)[:_LOOKED_AT]
        parts = [part.strip() for part in parts]
        if len(parts) < _FEWEST:
            continue
        comma = inner != "," and any(map(DECIMAL_COMMA.fullmatch, parts)) and not any("." in part for part in parts)
        if all(is_number(part, comma) for part in parts):
            return inner, comma
    return None


def _written(line: str) -> tuple[str, str | None, bool, tuple[int, ...], int] | None:
    """Return how a line with waveforms is written: delimiter, joint, decimal comma?, their columns, width."""
    for outer in _OUTER:
        if outer not in line and '"' not in line:
            continue
        row = cells(line, outer)
        if len(row) > MOST_COLUMNS:
            continue
        found = {i: how for i, cell in enumerate(row) if (how := _inner_of(cell))}
        if found and (len(row) > 1 or '"' in line) and len(set(found.values())) == 1:
            inner, comma = next(iter(found.values()))
            return outer, inner, comma, tuple(found), len(row)
    return None


def find_joined(head: Head) -> Joined | None:
    """Say how the table is written, where the last of its first lines hold waveforms in cells; else None."""
    how = next((found for _, line in reversed(head[-_LAST_RESORT:]) if (found := _written(line))), None)
    if how is None:
        return None
    outer, inner, comma, columns, width = how
    start = next(i for i, (_, line) in enumerate(head) if (found := _written(line)) and found[0] == outer)
    names = cells(head[start - 1][1], outer) if start else []
    named = len(names) == width and not any(is_number(name, comma) for name in names)
    if start > MOST_PREAMBLE:
        return None
    wanted = names if named else ["waveform" if i in columns else "" for i in range(width)]
    above = tuple(line for _, line in head[: start - named])
    return Joined(outer, inner, comma, columns, unique(wanted), head[start][0], above)


def _count(text: str, inner: str | None) -> int:
    """Return how many numbers there may be in a cell."""
    return 1 + (text.count(inner) if inner else sum(map(text.count, " \t\xa0\f")))


def _parsed(cell: str, how: Joined) -> FloatArray | None:
    """Return the numbers of a cell, or None where one of them is none."""
    text = cell.strip(_BRACKETS)
    if how.decimal_comma:
        text = text.replace(",", ".")
    if not text:
        return np.empty(0, np.float64)
    try:
        return parsed(text, how.inner, _count(text, how.inner))
    except ValueError:
        return None


def read_joined(source: Source, lines: Iterable[tuple[int, str]], how: Joined) -> tuple[Variable, ...]:
    """Return the columns of such a table, as `row_variables` and `fact_variable` shape them. Raises RecordError."""
    waves: dict[int, list[FloatArray]] = {column: [] for column in how.columns}
    facts: dict[int, list[str]] = {i: [] for i in range(len(how.names)) if i not in waves}
    taken = 0
    for line_number, line in lines:
        row = cells(line, how.delimiter)
        if len(row) != len(how.names):
            raise source.error(f"line {line_number} has {len(row)} columns and the table has {len(how.names)}", CURE)
        for column, found in waves.items():
            taken += 8 * _count(row[column], how.inner)
            source.spend("the waveforms", taken)
            values = _parsed(row[column], how)
            if values is None:
                name = how.names[column]
                raise source.error(f"line {line_number} has a waveform ({name!a}) with a part that is no number", CURE)
            found.append(values)
        for column, texts in facts.items():
            texts.append(row[column])
    variables: list[Variable] = []
    for column, name in enumerate(how.names):
        if column in waves:
            variables += row_variables(name, waves[column])
        else:
            variables.append(_fact(source, name, facts[column], how.decimal_comma))
    return tuple(variables)


def _fact(source: Source, name: str, texts: Sequence[str], decimal_comma: bool) -> Variable:
    values = [number(text, decimal_comma) for text in texts]
    if any(value is None for value in values) or not any(texts):
        return source.unreadable(name, (len(texts),), kind="text", cause="is text, not numbers")
    return fact_variable(name, np.array([math.nan if value is None else value for value in values], np.float64))


def row_variables(name: str, waves: Sequence[NumberArray]) -> tuple[Variable, ...]:
    """Return waveforms, one a record, as variables.

    One record: `name`, shape (samples,). Several of one length: `name`, shape (records, 1, samples), of which the
    third is chosen as `name(3)`. Of several lengths: each by itself, `name(1)`, `name(2)`...
    """
    if len(waves) == 1:
        return (_given(name, waves[0]),)
    if waves and len({wave.size for wave in waves}) == 1:
        shape = (len(waves), 1, waves[0].size)
        return (Variable(name, shape, "number", lambda: np.stack(waves)[:, None, :]),)
    return tuple(_given(f"{name}({i})", wave) for i, wave in enumerate(waves, 1))


def fact_variable(name: str, values: NumberArray) -> Variable:
    """Return one number a record as a variable that goes with the waveforms: shape (1,) for one record, else
    (records, 1, 1)."""
    return _given(name, values if values.size == 1 else values.reshape(-1, 1, 1))


def _given(name: str, values: NumberArray) -> Variable:
    return Variable(name, values.shape, "number", lambda: values)
