"""Parquet tables, through pyarrow: each column of numbers a variable; a column of lists holds waveforms, a row each.

What a file states about itself in its key-value metadata ("sampling_rate": "12800") or in that of a column ("unit")
is taken where the key is a known one. Layout: Apache Parquet format, version 2.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.records.cells import is_number, number
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.joined import fact_variable, row_variables
from faultdx.records.statements import is_statement

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_MOST_COLUMNS = 4096
_MOST_WAVEFORMS = 100_000
_CURE = "write the table again"


def _guarded(source: Source, work: Callable[[Any], Any], what: str = "") -> Any:
    """Open the file with pyarrow and return `work(file)`; whatever the library raises comes out as RecordError."""
    try:
        arrow, library = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        cure = "pip install 'faultdx[parquet]', or save the table as CSV"
        raise source.error("is a Parquet table, and pyarrow is not installed", cure) from error
    try:
        buffer = arrow.BufferReader(source.data)
        return work(library.ParquetFile(buffer, pre_buffer=False, page_checksum_verification=True))
    except MemoryError:
        raise
    except Exception as error:  # pyarrow raises a type for each defect
        raise source.error(f"{what}is damaged, or cut short: pyarrow cannot read it", _CURE) from error


def _spend(source: Source, metadata: Any, what: str, path: str) -> None:
    """Book what decoding the leaves of a column takes, by the count of values that the file states."""
    stated = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for leaf in range(row_group.num_columns):
            column = row_group.column(leaf)
            if column.path_in_schema == path or column.path_in_schema.startswith(f"{path}."):
                stated += max(0, column.num_values)
    source.spend(what, 8 * stated)


def _column(source: Source, name: str) -> Any:
    def work(file: Any) -> Any:
        return file.read(columns=[name], use_threads=False).column(name)

    return _guarded(source, work, f"variable {name!a} ")


def _values(column: Any) -> NumberArray:
    """Return a column or an array of numbers; where some are missing, as floats with NaN in their place."""
    values = column.to_numpy(zero_copy_only=False)  # without pyarrow.compute, which a child could not import any more
    if values.dtype.kind == "O":  # booleans, some of which are missing
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)
    result: NumberArray = values.astype(np.uint8) if values.dtype.kind == "b" else values
    return result


def _load(source: Source, name: str, shape: tuple[int, ...]) -> NumberArray:
    column = _column(source, name)
    values: NumberArray = _guarded(source, lambda _: _values(column), f"variable {name!a} ")
    if values.size != shape[0] or values.dtype.kind not in "fiu":
        raise source.error(f"variable {name!a} is damaged: it does not hold what it states", _CURE)
    return values.reshape(shape)


def _waveforms(source: Source, name: str) -> list[NumberArray]:
    """Return the lists of a column, shape (samples,) each; a missing one is empty."""
    column = _column(source, name)

    def work(_: Any) -> list[NumberArray]:
        lists = column.combine_chunks()
        size = getattr(lists.type, "list_size", None)
        offsets = lists.offsets.to_numpy() if size is None else (np.arange(len(lists) + 1) + lists.offset) * size
        values, missing = _values(lists.values), lists.is_null().to_numpy(zero_copy_only=False)
        bounds = zip(itertools.pairwise(offsets), missing, strict=True)
        return [values[start:start] if gone else values[start:end] for (start, end), gone in bounds]

    found: list[NumberArray] = _guarded(source, work, f"variable {name!a} ")
    return found


def _kind(field: Any) -> str:
    """Return "number", "list" (of numbers), "text" or "other" for a column."""
    types = importlib.import_module("pyarrow").types

    def is_numeric(kind: Any) -> bool:
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))

    if is_numeric(field.type):
        return "number"
    if types.is_list(field.type) or types.is_large_list(field.type) or types.is_fixed_size_list(field.type):
        return "list" if is_numeric(field.type.value_type) else "other"
    return "text" if types.is_string(field.type) or types.is_large_string(field.type) else "other"


def _stated(metadata: Any) -> Iterator[Variable]:
    """Yield what the key-value metadata state by known names, as scalars."""
    for key, value in (metadata or {}).items():
        name, text = key.decode("utf-8", "replace"), value[:40].decode("utf-8", "replace").strip()
        if is_statement(name) and is_number(text, False):
            array = np.array(number(text, False), np.float64)
            yield Variable(name, (), "number", partial(np.copy, array))


def open_parquet(source: Source) -> Contents:
    """Return the columns of a Parquet table as variables in their stored type, missing values as NaN.

    A column of numbers has the shape (rows,). Where columns hold lists of numbers, each row is a record: see
    `joined.row_variables`; the numbers beside them go along with their record, shape (rows, 1, 1).

    Raises RecordError where pyarrow is missing or cannot read the file, or it is over the budget.
    """
    schema, metadata = _guarded(source, lambda file: (file.schema_arrow, file.metadata))
    if len(schema) > _MOST_COLUMNS:
        raise source.error(f"has {len(schema)} columns and at most {_MOST_COLUMNS} are read", "split it")
    kinds = [_kind(field) for field in schema]
    rows, has_waveforms = metadata.num_rows, "list" in kinds
    if has_waveforms and rows > _MOST_WAVEFORMS:
        raise source.error(f"has {rows} waveforms and at most {_MOST_WAVEFORMS} are read", "split it")
    if len(set(schema.names)) < len(schema):
        raise source.error("has two columns of one name", "write it again with one of each name")
    variables: list[Variable] = []
    for field, kind in zip(schema, kinds, strict=True):
        name, unit = field.name, ((field.metadata or {}).get(b"unit") or b"").decode("utf-8", "replace") or None
        if kind in ("number", "list"):
            _spend(source, metadata, name, name)
        if kind == "list":
            found = row_variables(name, _waveforms(source, name))
            variables += [Variable(v.name, v.shape, v.kind, v.load, unit=unit) for v in found]
        elif kind == "number" and has_waveforms:
            variables.append(fact_variable(name, _load(source, name, (rows,))))
        elif kind == "number":
            load = partial(_load, source, name, (rows,))
            variables.append(Variable(name, (rows,), "number", load, unit=unit))
        else:
            cause = "is text, not numbers" if kind == "text" else f"is of type {field.type}, not real numbers"
            variables.append(source.unreadable(name, (rows,), kind=kind, cause=cause))
    known = {v.name for v in variables}
    variables += [v for v in _stated(schema.metadata) if v.name not in known]
    return source.contents("Parquet", variables)
