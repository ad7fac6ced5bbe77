"""A reader whose library is not trusted, run in child processes: one lists the variables, one more loads each array.

To the caller it is a reader like any other. The errors of the reader come through with their text; the end of a
child (a crash, a limit) is a RecordError too. Small arrays come with the list, so that a sampling rate that is
stated in one costs no second child.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import importlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.child import LateError, Limits, run
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.room import NATIVE, ChildError, Room

if TYPE_CHECKING:
    from faultdx.records.formats import Format, Source

MIB = 1024 * 1024
_SMALL, _MOST_SMALL = 64, 256  # elements of an array that comes with the list, and how many of them may
_LONGEST_WORDS = 8192  # of a name, a text or a message from the child
_MOST_NOTES = 16
_MOST_DIMENSIONS, _MOST_ELEMENTS = 32, 1 << 48
_CODECS = ("ascii", "latin-1", "cp1252", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")  # modules, too
_KINDS = ("number", "text", "other")
_CURE = "copy or export the file again"


def time_limit_s(size_bytes: int) -> float:
    """Return how long, in seconds, the children of one file may take, all of them together.

    8 s and one more for each 8 MiB: well under 10 s for a small file, and a tenth of the speed of a small computer
    for a large one. A file that takes longer spins in its library.
    """
    return 8.0 + size_bytes / (8 * MIB)


def open_isolated(form: Format, source: Source) -> Contents:
    """Return what `form` reads from `source`, and is not trusted to read here. Raises RecordError, as `load` does."""
    return _Isolated(form, source).contents()


class _Isolated:
    """One file and what its children may still take."""

    def __init__(self, form: Format, source: Source) -> None:
        self.form, self.source = form, source
        self.limit_s = self.left_s = time_limit_s(len(source.data))
        self.may_open_files = not (form.needs and _imported(form.needs))
        # What the library takes besides the array. A reader that imports in the child maps its libraries there.
        besides = 12 * MIB + 3 * len(source.data) + (1024 * MIB if self.may_open_files else 0)
        self.memory_bytes = source.budget_bytes + besides

    def contents(self) -> Contents:
        said = self._run(self._survey, None)
        with self._sense():
            variables = [self._variable(index, *entry) for index, entry in enumerate(said["variables"])]
            names = (_words(said["format"]), variables, _number(said["rate"]))
            notes = tuple(show(_words(note)) for note in said["notes"])
        return replace(self.source.contents(names[0], names[1]), sampling_rate_hz=names[2], notes=notes)

    # ---- in the child

    def _survey(self) -> dict[str, Any]:
        contents = self.form.open(self.source)
        entries: list[list[Any]] = []
        small = 0
        for v in contents.variables:
            if len(v.name) > _LONGEST_WORDS:
                raise self.source.error(f"has a variable whose name is over {_LONGEST_WORDS} characters", _CURE)
            values = None
            if v.kind == "number" and math.prod(v.shape) <= _SMALL and small < _MOST_SMALL:
                small += 1
                try:
                    array = self._checked(v, v.load())
                    values = [array.dtype.str, base64.b64encode(array.tobytes()).decode("ascii"), ""]
                except RecordError as error:
                    values = ["", "", str(error)[:_LONGEST_WORDS]]
            text = None if v.text is None else v.text[:_LONGEST_WORDS]
            unit = None if v.unit is None else v.unit[:_LONGEST_WORDS]
            entries.append([v.name, [int(n) for n in v.shape], v.kind, text, _finite(v.sampling_rate_hz), unit, values])
        notes = [note[:_LONGEST_WORDS] for note in contents.notes[:_MOST_NOTES]]
        rate = _finite(contents.sampling_rate_hz)
        return {"format": contents.format, "rate": rate, "variables": entries, "notes": notes}

    def _loaded(self, index: int, known: tuple[str, tuple[int, ...]], room: Room) -> dict[str, Any]:
        # What other variables took counts; what this one takes is booked by the reader, under names of its own.
        spent = {f"{key} (before)": size for key, size in self.source.spent.items() if key != known[0]}
        variables = self.form.open(replace(self.source, spent=spent, empty=room.empty)).variables
        if len(variables) <= index or (variables[index].name, tuple(variables[index].shape)) != known:
            raise self.source.error("is read differently each time", _CURE)
        array = self._checked(variables[index], variables[index].load())
        self.source.spend(known[0], array.nbytes)
        return {"array": room.place(array)}

    def _checked(self, variable: Variable, array: NumberArray) -> NumberArray:
        """Return what a reader gave, native and of the shape that it stated, booleans as uint8."""
        array = np.asarray(array)
        if array.shape != tuple(variable.shape) or array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
            what = f"as {array.dtype} of shape {array.shape}"
            raise self.source.error(f"variable {show(variable.name)} came {what}, which was not expected", _CURE)
        if array.dtype.kind == "b":
            array = array.view(np.uint8)
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    # ---- in the parent

    def _run(self, work: Callable[[], dict[str, Any]], room: Room | None) -> dict[str, Any]:
        """Return what `work` returns in a child; raise RecordError for what it raises there, and for its end."""
        start = time.monotonic()
        limits = Limits(self.memory_bytes, max(self.left_s, 0.01), self.may_open_files)
        try:
            said = run(partial(_reported, work), limits=limits, room=room)
        except ChildError as error:
            raise self._failed(error) from error
        finally:
            self.left_s -= time.monotonic() - start
        with self._sense():
            if not isinstance(said, dict):
                raise TypeError(said)
            if "refused" in said:
                raise RecordError(show(_words(said["refused"])), self.source.name)
            if "failed" in said:
                cause = f"the {self.form.name} reader cannot read it ({show(_words(said['failed']))})"
                raise self.source.error(cause, _CURE)
        return said

    def _failed(self, error: ChildError) -> RecordError:
        # A later child has less than the whole time; the limit is that of the file.
        cause = f"took more than {self.limit_s:.3g} s" if isinstance(error, LateError) else str(error)
        return self.source.error(f"the {self.form.name} library {cause}", f"it is damaged or hostile: {_CURE}")

    @contextlib.contextmanager
    def _sense(self) -> Any:
        """Refuse an answer that is not what this module sends."""
        try:
            yield
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
            raise self._failed(ChildError("gave no answer that makes sense")) from error

    def _variable(self, index: int, *entry: Any) -> Variable:
        name, sides, kind, text, rate, unit, values = entry
        name, shape = _words(name), _shape(sides)
        if kind not in _KINDS:
            raise ValueError(kind)
        load: Callable[[], NumberArray] = partial(self._load, index, name, shape)
        if values is not None:
            dtype, encoded, refused = map(_words, values)
            load = partial(self._refuse, refused)
            if not refused:
                load = partial(_same, _small(dtype, encoded, shape))
        text, unit = (None if word is None else _words(word) for word in (text, unit))
        return Variable(name, shape, kind, load, text, _number(rate), unit)

    def _refuse(self, message: str) -> NumberArray:
        raise RecordError(show(message), self.source.name)

    def _load(self, index: int, name: str, shape: tuple[int, ...]) -> NumberArray:
        room = Room(min(8 * math.prod(shape), self.source.budget_bytes))
        said = self._run(partial(self._loaded, index, (name, shape), room), room)
        try:
            return room.take(said.get("array"), shape, spend=partial(self.source.spend, name))
        except ChildError as error:
            raise self._failed(error) from error


def _reported(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run in the child: return what `work` returns, or what it raised, as plain values."""
    try:
        return work()
    except RecordError as error:
        return {"refused": str(error)[:_LONGEST_WORDS]}
    except MemoryError:
        raise
    except Exception as error:  # a library raises what it likes
        return {"failed": f"{type(error).__name__}: {error}"[:200]}


def _imported(names: tuple[str, ...]) -> bool:
    """Import what a reader needs before the fork; say whether all of it is there (the reader says what is not)."""
    os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")  # HDF5 loads no plug-ins; it looks once, when it is imported
    try:
        for name in names:
            importlib.import_module(name)
        for name in _CODECS:
            codecs.lookup(name)
    except Exception:  # a broken installation may raise anything; the reader meets it again, in the child
        return False
    return True


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _same(array: NumberArray) -> NumberArray:
    return array


# ---- what the child says is looked at before it is taken; TypeError and ValueError say no


def _words(said: Any) -> str:
    if not isinstance(said, str) or len(said) > _LONGEST_WORDS:
        raise TypeError(said)
    return said


def _number(said: Any) -> float | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not math.isfinite(said):
        raise TypeError(said)
    return float(said)


def _shape(said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or len(said) > _MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in said):
        raise TypeError(said)
    if math.prod(max(n, 1) for n in said) > _MOST_ELEMENTS:
        raise ValueError(said)
    return tuple(said)


def _small(dtype: str, encoded: str, shape: tuple[int, ...]) -> NumberArray:
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(encoded) from error
    if dtype not in NATIVE or math.prod(shape) * np.dtype(dtype).itemsize != len(data):
        raise ValueError(dtype)
    array: NumberArray = np.frombuffer(data, dtype).reshape(shape)
    return array
