"""A variable as channels: which of its axes is time, and which of them numbers the records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.contents import Contents, NumberArray, Variable

SHORTEST_SAMPLES = 16  # below this an array is a setting, not a recording
MOST_CHANNELS = 16  # the short axis of a matrix with more rows and columns than this may be anything
_LISTED = 12  # names in one message
_INDEXED = re.compile(r"(?P<name>.+)\((?P<index>[0-9]{1,9})\)$", re.DOTALL)


@dataclass(frozen=True)
class Channel:
    """One signal of the file: `samples` long; `load` gives it as stored, shape (samples,).

    sampling_rate_hz, unit : where the format states them for this variable
    """

    name: str
    variable: str
    samples: int
    load: Callable[[], NumberArray]
    sampling_rate_hz: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Records:
    """An array of many records: how many, and of what."""

    count: int
    channels: int
    samples: int


def expand(variable: Variable) -> tuple[Channel, ...]:
    """Return the channels in a vector or a matrix; none where its shape is not that of one signal."""
    if records_in(variable) is not None:
        return ()
    sides = tuple(side for side in variable.shape if side != 1)
    layout = _layout(sides)
    if layout is None:
        return ()
    count, samples = layout
    load = cache(variable.load)  # a matrix is decoded once for all its channels
    common = (variable.sampling_rate_hz, variable.unit)
    if count == 1:
        take = partial(_take, load, (samples, 1), 0, 0)
        return (Channel(variable.name, variable.name, samples, take, *common),)
    axis = int(np.argmax(sides))
    return tuple(
        Channel(f"{variable.name}_{i + 1}", variable.name, samples, partial(_take, load, sides, axis, i), *common)
        for i in range(count)
    )


def _layout(sides: Sequence[int]) -> tuple[int, int] | None:
    """Return (channels, samples) of an array with these sides, those of 1 left out, or None where it is no signal."""
    if len(sides) == 1 and sides[0] >= SHORTEST_SAMPLES:
        return 1, sides[0]
    if len(sides) != 2 or min(sides) > MOST_CHANNELS or max(sides) < SHORTEST_SAMPLES or sides[0] == sides[1]:
        return None
    return min(sides), max(sides)


def _take(load: Callable[[], NumberArray], shape: tuple[int, ...], axis: int, index: int) -> NumberArray:
    """Return channel `index` of an array whose time runs along `axis` of `shape` (its sides without those of 1)."""
    matrix = load().reshape(shape)
    return matrix[:, index] if axis == 0 else matrix[index]


def records_in(variable: Variable) -> Records | None:
    """Return what an array of many records holds, or None where it is not one.

    Three dimensions are (records, channels, samples) or (records, samples, channels), as in the inter-shaft bearing
    data of the Harbin Institute of Technology (n x 8 x 20480). A matrix with too many rows and columns for channels
    is (records, samples) or its transpose, the longer side being time.
    """
    shape = variable.shape
    if len(shape) == 3 and shape[0] > 1:
        layout = _layout([side for side in shape[1:] if side != 1])
        return Records(shape[0], *layout) if layout else None
    sides = [side for side in shape if side != 1]
    if len(sides) == 2 and min(sides) > MOST_CHANNELS and sides[0] != sides[1]:
        return Records(min(sides), 1, max(sides))
    return None


def one_record(contents: Contents, wanted: str) -> tuple[Contents, str] | None:
    """Return the file as if it held the record alone that `wanted` names ("data1(3)" is the third of data1), with
    the name of its variable; None where `wanted` names none. Facts of each record, shape (records, 1, 1), go along.

    Raises ValueError, with what may be chosen, where there are fewer records.
    """
    match = _INDEXED.match(wanted)
    if match is None:
        return None
    name, index = match["name"], int(match["index"])
    base = find(contents, name)
    records = records_in(base) if base is not None and base.kind == "number" else None
    if base is None or records is None:
        return None
    if not 1 <= index <= records.count:
        raise ValueError(f"{show(base.name)} holds {_described(base, records)}; choose {_choice(base, records)}")
    variables = []
    for v in contents.variables:
        same = len(v.shape) == 3 and len(base.shape) == 3 and v.shape[0] == records.count
        variables.append(_record(v, index - 1) if v is base or (same and v.kind == "number") else v)
    return replace(contents, variables=tuple(variables)), f"{base.name}({index})"


def _record(variable: Variable, index: int) -> Variable:
    """Return record `index`, from 0, of an array of records; a fact of each record keeps its name."""
    shape = variable.shape
    if len(shape) == 3:
        is_fact = math.prod(shape[1:]) == 1
        name = variable.name if is_fact else f"{variable.name}({index + 1})"
        return replace(variable, name=name, shape=shape[1:], load=lambda: variable.load()[index])
    sides = tuple(side for side in shape if side != 1)

    def load() -> NumberArray:
        matrix = variable.load().reshape(sides)
        return matrix[index] if sides[0] < sides[1] else matrix[:, index]

    return replace(variable, name=f"{variable.name}({index + 1})", shape=(max(sides),), load=load)


def find(contents: Contents, wanted: str) -> Variable | None:
    """Return the variable of that name, in any case where none has it exactly; a path in HDF5 notation
    ("/group/data") finds `group.data`."""

    def dotted(name: str) -> str:
        return name.strip("/").replace("/", ".")

    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name == wanted,
        lambda name: dotted(name) == dotted(wanted),
        lambda name: dotted(name).casefold() == dotted(wanted).casefold(),
    )
    return next((v for test in tests for v in contents.variables if test(v.name)), None)


def many_records(variable: Variable, records: Records, *, name: str) -> RecordError:
    """Return the RecordError that says what an array of records holds, and how one of them is chosen."""
    return RecordError(
        f"{show(name)}: variable {show(variable.name)} holds {_described(variable, records)}; "
        f"choose {_choice(variable, records)}",
        name,
    )


def _described(variable: Variable, records: Records) -> str:
    of = f"{records.channels} channels and " if records.channels > 1 else ""
    return f"{records.count} records of {of}{records.samples} samples ({' x '.join(map(str, variable.shape))})"


def _choice(variable: Variable, records: Records) -> str:
    return f"one of them with --variable '{show(variable.name)}(1)' to '{show(variable.name)}({records.count})'"


def describe(v: Variable) -> str:
    """Return a variable as it stands in a message: its name, shape and kind."""
    kind = "" if v.kind == "number" else f", {'not real numbers' if v.kind == 'other' else v.kind}"
    return f"{show(v.name)} ({' x '.join(map(str, v.shape)) or 'scalar'}{kind})"


def few(words: Sequence[str]) -> str:
    """Return the first words of a list, and how many more there are."""
    return ", ".join(words[:_LISTED]) + (f" and {len(words) - _LISTED} more" if len(words) > _LISTED else "")
