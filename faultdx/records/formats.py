"""From the bytes of a file to its named variables, whatever the format and whatever the suffix.

Formats are told apart by their bytes. One list, `FORMATS`, says which readers there are; to add a format is to
add a line to it: its mark (`marks`), and where its reader is. A reader is given a `Source` and gives `Contents`, whose
variables are decoded on demand. It is imported when the first file of its format comes.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records import marks
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.mat5_stream import Need, all_there
from faultdx.records.mirror import Mirror

MIB = 1024 * 1024
BUDGET_VARIABLE = "FAULTDX_DECODED_MIB"


def default_budget_bytes(size_bytes: int) -> int:
    """Return how many decoded bytes a file of `size_bytes` may become: min(256 MiB, 24 MiB + 4 x size), or what the
    environment variable FAULTDX_DECODED_MIB says.

    The promise is that reading a file, whatever is in it, takes at most 64 MiB + 8 x its size more than the idle
    program. What counts at its peak is the file itself (1 x size), the decoded arrays (the budget), and the float32
    copy that a Record is made of (half of float64 arrays): 36 MiB + 7 x size. The rest is for what a library takes
    for itself (h5py 11 MiB, pyarrow 30 MiB) and for what a child process copies of its parent.

    Raises ConfigError where the environment variable is no positive number.
    """
    said = os.environ.get(BUDGET_VARIABLE, "")
    if not said:
        return min(256 * MIB, 24 * MIB + 4 * size_bytes)
    try:
        mib = float(said)
    except ValueError:
        mib = math.nan
    if not 0 < mib <= MIB:
        raise ConfigError(f"{BUDGET_VARIABLE} must be a number of MiB above 0, not {show(said)!r}; set or unset it")
    return int(mib * MIB)


@dataclass(frozen=True, eq=False)
class Source:
    """The bytes of one file, its name for messages, and the budget that its readers spend from.

    data : all bytes of the file, empty where it is read as far as it is needed, through `mirror` (MATLAB v5 alone)
    empty : (shape, dtype) -> an array to decode into; in a child process it lies where the parent sees it, so that a
        reader which fills it and returns it (or its transpose) saves a copy
    """

    data: bytes
    name: str
    budget_bytes: int
    spent: dict[str, int] = field(default_factory=dict)
    empty: Callable[[tuple[int, ...], np.dtype[Any]], NumberArray] = np.empty
    mirror: Mirror | None = None

    @cached_property
    def view(self) -> memoryview:
        """The bytes, to be sliced without a copy. With a `mirror`, `need` has to be told of them before."""
        return memoryview(self.data) if self.mirror is None else self.mirror.view

    @cached_property
    def need(self) -> Need:
        """(start, end): have these bytes in `view`. Raises RecordError where the file cannot be read, or changed."""
        return all_there if self.mirror is None else self.mirror.need

    def needs_from(self, offset: int) -> Need:
        """Return `need` for a part of `view` that begins at byte `offset`."""
        if self.mirror is None:
            return all_there
        need = self.mirror.need
        return lambda start, end: need(offset + start, offset + end)

    def error(self, cause: str, cure: str = "copy or export the file again") -> RecordError:
        """Return the RecordError that names this file, the cause and the cure, in one line."""
        return RecordError(f"{show(self.name)}: {cause}; {cure}", self.name)

    def spend(self, what: str, size_bytes: int) -> None:
        """Book the memory that decoding `what` takes, before it is taken; raise RecordError over the budget.

        To decode the same thing again costs nothing: an inspection may be followed by a reading.
        """
        booked = max(size_bytes, self.spent.get(what, 0))
        total = sum(self.spent.values()) - self.spent.get(what, 0) + booked
        if total > self.budget_bytes:
            raise self.error(
                f"{show(what)} would take the decoded size to {total / MIB:.1f} MiB "
                f"and the limit for this file is {self.budget_bytes / MIB:.1f} MiB",
                f"split the recording into smaller files, or allow more with {BUDGET_VARIABLE}",
            )
        self.spent[what] = booked

    def unreadable(
        self, name: str, shape: tuple[int, ...], *, kind: str, cause: str, text: str | None = None
    ) -> Variable:
        """Return a variable that is listed, and whose `load` raises RecordError with `cause`."""

        def load() -> NoReturn:
            cure = "copy the file again, or choose another" if kind == "number" else "choose a numeric"
            raise self.error(f"variable {show(name)} {cause}", f"{cure} variable with --variable")

        return Variable(name, shape, kind, load, text)

    def contents(self, form: str, variables: Sequence[Variable]) -> Contents:
        """Return the variables as Contents; raise RecordError where two share a name."""
        times: dict[str, int] = {}  # no Counter: it imports a module, which a child process could not
        for variable in variables:
            times[variable.name] = times.get(variable.name, 0) + 1
        name = max(times, key=times.__getitem__, default="")
        if times.get(name, 0) > 1:
            raise self.error(f"holds two variables called {show(name)}", "save it again with one of each name")
        return Contents(form, tuple(variables))

    def native(self, name: str, array: NumberArray, dtype: np.dtype[Any] | None = None) -> NumberArray:
        """Return `array` as `dtype` (its own type where None) in native byte order: itself where it is that already."""
        wanted = (array.dtype if dtype is None else dtype).newbyteorder("=")
        if array.dtype == wanted and array.dtype.isnative:
            return array
        self.spend(name + " (converted)", array.size * wanted.itemsize)
        with np.errstate(all="ignore"):
            converted: NumberArray = array.astype(wanted)
        return converted


@dataclass(frozen=True)
class Format:
    """One format: `matches` looks at the bytes (fast, never raises); `open` reads what matched.

    isolated : `open` and every `load` run in a child process with limits on memory and time, for readers that call a
        library which nobody should trust with a damaged file
    needs : the modules that an isolated reader imports. They are imported before the child begins, which then can
        open no file at all. Where there are none, or one is missing, the child may open files, to import them.
    """

    name: str
    matches: Callable[[bytes], bool]
    open: Callable[[Source], Contents]
    isolated: bool = False
    needs: tuple[str, ...] = ()

    def contents(self, source: Source) -> Contents:
        """Read what matched, where it is to be read. Raises RecordError."""
        if not self.isolated:
            return self.open(source)
        from faultdx.records.isolation import open_isolated

        if isinstance(self.open, Reader):
            self.open.function()  # imported here, for the child can open no file
        return open_isolated(self, source)


class Reader:
    """Where a reader of this package is: the module in `faultdx.records`, imported at the first call, and its name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def function(self) -> Callable[[Source], Contents]:
        """Return the reader."""
        found: Callable[[Source], Contents] = getattr(
            importlib.import_module(f"faultdx.records.{self.module}"), self.name
        )
        return found

    def __call__(self, source: Source) -> Contents:
        """Read what matched."""
        return self.function()(source)


# In the order of how sure their marks are; text, which has none, comes last.
FORMATS: tuple[Format, ...] = (
    Format("HDF5", marks.is_hdf5, Reader("hdf5", "open_hdf5"), isolated=True, needs=("h5py",)),
    Format("MATLAB v5", marks.is_mat5, Reader("mat5", "open_mat5")),
    Format("WAV", marks.is_wav, Reader("wav", "open_wav")),
    Format("npy", marks.is_npy, Reader("npy", "open_npy")),
    Format("npz", marks.is_npz, Reader("npy", "open_npz")),
    Format("TDMS", marks.is_tdms, Reader("tdms", "open_tdms"), isolated=True, needs=("nptdms", "nptdms.log")),
    Format(
        "Parquet",
        marks.is_parquet,
        Reader("parquet", "open_parquet"),
        isolated=True,
        needs=("pyarrow", "pyarrow.parquet", "pyarrow.compute"),
    ),
    Format(
        "UFF 58",
        marks.is_uff,
        Reader("uff", "open_uff"),
        isolated=True,
        needs=("pyuff", "pyuff.datasets.dataset_58"),
    ),
    Format("MATLAB v4", marks.is_mat4, Reader("mat4", "open_mat4")),
    Format("text", marks.is_text, Reader("text", "open_text")),
)
_MAT5 = FORMATS[1]

_CURE = (
    "give a MATLAB, HDF5, WAV, NumPy (.npy, .npz), TDMS, UFF 58, Parquet or text table (CSV) file, "
    "or export the recording as one"
)


def open_contents(data: bytes | Mirror, *, name: str, budget_bytes: int | None = None) -> Contents:
    """Tell the format of `data` by its bytes and return its variables, decoded on demand.

    data : the whole file; arrays without compression are views into it (read-only). A Mirror is a file of MATLAB v5
        (`marks.is_surely_mat5`), read as far as it is needed
    name : the file as the user named it, for messages only
    budget_bytes : most memory that decoding may take; None is `default_budget_bytes`

    What no format here reads is offered to the readers of other packages (entry points `faultdx.formats`).

    Raises RecordError (as the `load` of a variable does) where the data are empty, foreign, damaged or over the
    budget; never another exception because of what a file holds. ConfigError: see `default_budget_bytes`.
    """
    if isinstance(data, Mirror):
        budget = default_budget_bytes(data.size) if budget_bytes is None else budget_bytes
        return _MAT5.contents(Source(b"", name, budget, mirror=data))
    source = Source(data, name, default_budget_bytes(len(data)) if budget_bytes is None else budget_bytes)
    if not data:
        raise source.error("is empty", "record or copy it again")
    if data[0] == 0 and not data.strip(b"\0"):
        raise source.error("holds only zero bytes", "copy it again: the transfer or the disk lost its content")
    what = "" if data.startswith(marks.MAT5_MAGIC) else _foreign(data)
    form = None if what else next((form for form in FORMATS if form.matches(data)), None)
    refused: RecordError | None = None
    if form is not None:
        try:
            return form.contents(source)
        except RecordError as error:
            if form is not FORMATS[-1]:
                raise
            refused = error  # text has no mark, so this may be something else
    form, broken = _plugin(data)
    if form is not None:
        return replace(form, isolated=True).contents(replace(source, spent={}))
    if refused is not None:
        raise refused
    cause = f"is {what}, not a recording" if what else "is in no format that is read here"
    raise source.error("; ".join((cause, *broken)), _CURE)


def _foreign(data: bytes) -> str:
    from faultdx.records.foreign import what_is

    return what_is(data)


def _plugin(data: bytes) -> tuple[Format | None, tuple[str, ...]]:
    """Return the reader of another package that matches, and a sentence on each that could not be asked."""
    from faultdx.records import plugins

    found, broken = plugins.load(Format)
    for form in found:
        try:
            if form.matches(data):
                return form, ()
        except Exception as error:  # it may be anything
            broken = (*broken, f"the reader {show(form.name)} failed to look at it ({plugins.said(error)})")
    return None, broken
