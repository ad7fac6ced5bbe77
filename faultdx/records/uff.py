"""UFF 58 and 58b (universal file format, "Function at Nodal DOF"), through pyuff: each time function a variable.

Layout: "Universal Dataset Number 58" (Structural Dynamics Research Laboratory, University of Cincinnati; pyuff prints
it as `pyuff.datasets.dataset_58.get_structure_58`). The abscissa increment is the time from sample to sample; the
labels of the axes state units. Spectra and other functions that are not of time are listed and not read.

pyuff.UFF reads files by their names only, and makes a Python number of each sample. So the datasets are found here,
as pyuff finds them, and handed to its function for dataset 58; samples that are binary, or printed in lines of one
length, are decoded with numpy, and all others by pyuff.
"""

from __future__ import annotations

import importlib
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.records.cells import unique
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.statements import rounded_rate, seconds_in

if TYPE_CHECKING:
    from faultdx.records.formats import Source

# A line of -1, right-aligned to six columns, then the number of the first dataset, b for binary.
_START = re.compile(rb"\s{0,80}?    -1 *\r?\n *(?P<number>\d{1,6})(?P<binary>[bB ].*)?\r?\n")
_KNOWN = {15, 18, 55, 58, 82, 151, 164, 1858, 2400, 2411, 2412, 2414, 2420, 2429, 2467}
_DELIMITER = re.compile(rb"    -1(?=[\r\n]|\Z| {74})")  # as pyuff has it
_INTEGER_LINE = re.compile(rb" *-?\d+ *[\r\n]")
_LINE = re.compile(rb"[^\r\n]*(\r\n|\n|\r)")
_HEADER_LINES = 13  # the line of -1, the number, ID lines, degrees of freedom, form, four axes
_LONGEST_HEADER = 4096
_MOST_SETS = 4096
_TIME_RESPONSE, _GENERAL = 1, 0  # function types
_TIME, _UNKNOWN_ABSCISSA = 17, (0, 1)  # specific data types of the abscissa
_COMPLEX = (5, 6)  # ordinate data types
_EVEN = 1
_PRINTED = 1e-5  # abscissa values are printed with six digits
_PLAIN_NUMBER = re.compile(rb"[-+0-9.eE,;\s]+")
_CURE = "export it again, or copy it again"


def matches(data: bytes) -> bool:
    """Say whether `data` start as a universal file: -1 and a known dataset number, each right-aligned to six
    columns, what is no further such number, and another -1 at some later line."""
    match = _START.match(data[:512])
    if match is None or int(match["number"]) not in _KNOWN:
        return False
    number_line = match[0].rstrip(b"\r\n").rsplit(b"\n", 1)[1]
    if number_line[:6].strip() != match["number"] or _INTEGER_LINE.match(data, match.end()):
        return False  # a table of one column of integers may begin like this
    title = data[match.end() : match.end() + 256].split(b"\n", 1)[0].strip()
    if title and not _PLAIN_NUMBER.fullmatch(title):
        return True  # cut short or not: a title where a table would go on with numbers
    return _DELIMITER.search(data, match.end()) is not None


@dataclass(frozen=True)
class _Function:
    """A dataset 58: where it is in the file (`start` its line of -1, `end` behind its last byte), and its header."""

    source: Source
    start: int
    end: int
    header: Mapping[str, Any]

    @property
    def count(self) -> int:
        return int(self.header["num_pts"])

    @property
    def is_double(self) -> bool:
        return self.header["ord_data_type"] in (4, 6)

    @property
    def is_even(self) -> bool:
        return bool(self.header["abscissa_spacing"] == _EVEN)

    def body(self) -> memoryview:
        """Return what stands behind the header."""
        position = self.start
        for _ in range(_HEADER_LINES):
            line = _LINE.match(self.source.data, position, self.end)
            position = line.end() if line else self.end
        return self.source.view[position : self.end]

    def values(self) -> tuple[NumberArray, NumberArray | None]:
        """Return the samples, and the times where they are stored. Raises whatever pyuff does."""
        if self.is_even:
            found = self._binary() if self.header["binary"] else self._printed()
            if found is not None:
                return found, None
        read = _extract(self.source.data[self.start : self.end], header_only=False)
        return np.asarray(read["data"]), None if self.is_even else np.asarray(read["x"])

    def _binary(self) -> NumberArray:
        order = "<" if self.header["byte_ordering"] == 1 else ">"
        dtype = np.dtype(f"{order}f{8 if self.is_double else 4}")
        body = self.body()
        # Some writers put an end of line behind the samples.
        if not 0 <= len(body) - self.count * dtype.itemsize <= 2:
            raise ValueError("not the stated number of samples")
        return np.frombuffer(body, dtype, self.count).astype(np.float64)

    def _printed(self) -> NumberArray | None:
        """Return samples that are printed in lines of one length, None where the lines are not such."""
        width, across = (20, 4) if self.is_double else (13, 6)
        body = self.body()
        whole, rest = divmod(self.count, across)
        first = _LINE.match(body)
        if not whole or first is None or len(body) < whole * first.end():
            return None
        lines = np.frombuffer(body, np.uint8, whole * first.end()).reshape(whole, first.end())
        if not (lines[:, -1] == lines[0, -1]).all() or (lines[:, : width * across] < ord(" ")).any():
            return None
        values = np.empty(self.count, np.float64)
        cells = np.ascontiguousarray(lines[:, : width * across]).view(f"S{width}")
        values[: whole * across] = cells.ravel().astype(np.float64)
        last = bytes(body[whole * first.end() :]).rstrip(b" \r\n")
        if len(last) > rest * width or b"\n" in last:
            return None
        values[whole * across :] = [float(last[i * width : (i + 1) * width]) for i in range(rest)]
        return values


def _extract(block: bytes, *, header_only: bool) -> Mapping[str, Any]:
    """Return what pyuff reads in the bytes of a dataset 58."""
    module = importlib.import_module("pyuff.datasets.dataset_58")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found: Mapping[str, Any] = module._extract58(block, header_only=header_only)
    return found


def _values(function: _Function, name: str) -> tuple[NumberArray, NumberArray | None]:
    """Return samples and times, checked against what the header states. Raises RecordError."""
    source, count = function.source, function.count
    source.spend(name, 8 * count * (1 if function.is_even else 2))
    try:
        values, times = function.values()
    except MemoryError:
        raise
    except Exception as error:  # pyuff raises Exception itself
        raise source.error(f"variable {name!a} is damaged: pyuff cannot read it", _CURE) from error
    if values.shape != (count,) or values.dtype.kind != "f":
        cause = f"variable {name!a} is damaged: it states {count} samples and holds {values.size}"
        raise source.error(cause, _CURE)
    return values, times


def _load(function: _Function, name: str) -> NumberArray:
    return _values(function, name)[0]


def _label(header: Mapping[str, Any], key: str) -> str:
    text = str(header.get(key, "")).strip()
    return "" if text.upper() == "NONE" else text


def _no_signal(header: Mapping[str, Any]) -> str:
    """Return why a function is no signal over time, or nothing."""
    function, abscissa = header["func_type"], header["abscissa_spec_data_type"]
    if function not in (_GENERAL, _TIME_RESPONSE):
        return f"is a spectrum or another function (type {function} of UFF 58), not a signal over time"
    if abscissa != _TIME and not (function == _TIME_RESPONSE and abscissa in _UNKNOWN_ABSCISSA):
        return f"is a function of something else than time (abscissa type {abscissa} of UFF 58)"
    return "is complex" if header["ord_data_type"] in _COMPLEX else ""


def _uneven_step(times: NumberArray) -> float | None:
    """Return the mean step of an abscissa that is stored value by value, if it is even but for its print."""
    if times.size < 2 or not np.isfinite(times).all() or times[-1] <= times[0]:
        return None
    step = float(times[-1] - times[0]) / (times.size - 1)
    off = np.abs(times - (times[0] + step * np.arange(times.size))).max()
    return step if off <= max(0.5 * step, _PRINTED * float(np.abs(times).max())) else None


def _variable(function: _Function, name: str) -> Variable:
    source, header, count = function.source, function.header, function.count
    cause = _no_signal(header)
    if cause:
        return source.unreadable(name, (max(count, 0),), kind="other", cause=cause)
    if not 0 <= count <= (function.end - function.start) // 4:
        cause = f"is damaged: it states {count} samples, more than the file holds"
        return source.unreadable(name, (max(count, 0),), kind="number", cause=cause)
    step: float | None = float(header["abscissa_inc"])
    if not function.is_even:
        _, times = _values(function, name)
        step = None if times is None else _uneven_step(times)
        if step is None:
            return source.unreadable(name, (count,), kind="other", cause="is sampled at uneven times")
    scale = seconds_in(_label(header, "abscissa_axis_units_lab"))
    rate = None
    if step is not None and scale and math.isfinite(step) and step * scale > 1e-12:
        rate = rounded_rate(1.0 / (step * scale))
    unit = _label(header, "ordinate_axis_units_lab") or None
    return Variable(name, (count,), "number", partial(_load, function, name), sampling_rate_hz=rate, unit=unit)


def _functions(source: Source) -> list[_Function]:
    """Return the datasets 58 of the file. Raises RecordError where one has no end or no readable header."""
    marks = [match.start() for match in _DELIMITER.finditer(source.data)]
    if len(marks) % 2:
        raise source.error("is cut short: its last dataset has no end", _CURE)
    if len(marks) > 2 * _MOST_SETS:
        raise source.error(f"holds over {_MOST_SETS} datasets", "split it")
    found = []
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        head = bytes(source.view[start : min(end, start + _LONGEST_HEADER)])
        lines: Sequence[bytes] = head.split(b"\n", 2)
        if len(lines) < 3 or lines[1][:6].strip() != b"58":
            continue
        try:
            found.append(_Function(source, start, end, _extract(head, header_only=True)))
        except ImportError:
            raise
        except Exception as error:
            raise source.error("is damaged: pyuff cannot read the head of a dataset", _CURE) from error
    return found


def open_uff(source: Source) -> Contents:
    """Return the time functions (datasets 58 and 58b) of a universal file as variables of shape (samples,), float64,
    named by their first ID line or `dataset_3`, each with its sampling rate and unit.

    Spectra, complex and unevenly sampled functions are listed as "other". Raises RecordError where pyuff is missing
    or cannot read the file, and (when one is loaded) where a function does not hold what it states.
    """
    try:
        functions = _functions(source)
    except ImportError as error:
        cause = "is a universal file (UFF), and pyuff is not installed"
        raise source.error(cause, "pip install 'faultdx[uff]'") from error
    if not functions:
        raise source.error("is a universal file (UFF) without a dataset 58", "export the time signals as UFF 58")
    names = unique([_name(function.header) for function in functions], empty="dataset")
    return source.contents("UFF 58", [_variable(f, name) for f, name in zip(functions, names, strict=True)])


def _name(header: Mapping[str, Any]) -> str:
    name = _label(header, "id1")
    return name if name.isprintable() else ""
