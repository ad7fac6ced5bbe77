"""From the bytes of a file to its named variables, whatever the format and whatever the suffix.

Formats are told apart by their bytes. One list, `FORMATS`, says which readers there are; to add a format is to
add a line to it. A reader is given a `Source` and gives `Contents`, whose variables are decoded on demand.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records import hdf5, mat4, mat5, npy, parquet, plugins, tdms, text, uff, wav
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.isolation import open_isolated

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

    empty : (shape, dtype) -> an array to decode into; in a child process it lies where the parent sees it, so that a
        reader which fills it and returns it (or its transpose) saves a copy
    """

    data: bytes
    name: str
    budget_bytes: int
    spent: dict[str, int] = field(default_factory=dict)
    empty: Callable[[tuple[int, ...], np.dtype[Any]], NumberArray] = np.empty

    @cached_property
    def view(self) -> memoryview:
        """The bytes, to be sliced without a copy."""
        return memoryview(self.data)

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
        name, times = Counter(variable.name for variable in variables).most_common(1)[0] if variables else ("", 0)
        if times > 1:
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
        return open_isolated(self, source) if self.isolated else self.open(source)


# In the order of how sure their marks are; text, which has none, comes last.
FORMATS: tuple[Format, ...] = (
    Format("HDF5", hdf5.matches, hdf5.open_hdf5, isolated=True, needs=("h5py",)),
    Format("MATLAB v5", mat5.matches, mat5.open_mat5),
    Format("WAV", wav.matches, wav.open_wav),
    Format("npy", npy.matches_npy, npy.open_npy),
    Format("npz", npy.matches_npz, npy.open_npz),
    Format("TDMS", tdms.matches, tdms.open_tdms, isolated=True, needs=("nptdms", "nptdms.log")),
    Format(
        "Parquet",
        parquet.matches,
        parquet.open_parquet,
        isolated=True,
        needs=("pyarrow", "pyarrow.parquet", "pyarrow.compute"),
    ),
    Format("UFF 58", uff.matches, uff.open_uff, isolated=True, needs=("pyuff", "pyuff.datasets.dataset_58")),
    Format("MATLAB v4", mat4.matches, mat4.open_mat4),
    Format("text", text.matches, text.open_text),
)

# What people pass by mistake, to be called by its name. First bytes, what it is.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a Windows program"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow table"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document"),
    (b"TDSh", "the index of a TDMS file (.tdms_index), which holds no samples"),
    (b"fLaC", "a FLAC recording"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
)
# The same for what is text itself, where a column name may begin like a mark: a pattern, what it is.
_FOREIGN_TEXT: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<[!?a-zA-Z]"), "an HTML or XML document"),
    (re.compile(rb'(\xef\xbb\xbf)?\s*(\{|\[\s*[\[{"\d\-])'), "a JSON document"),
)
_CURE = (
    "give a MATLAB, HDF5, WAV, NumPy (.npy, .npz), TDMS, UFF 58, Parquet or text table (CSV) file, "
    "or export the recording as one"
)


def _foreign(data: bytes) -> str:
    """Return what this is, in words, where it is no format that we read."""
    if len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= 5:
        return "a Python pickle, which could run code"
    if data.startswith(b"PK\x03\x04") and not npy.matches_npz(data):
        return "a zip archive or an office document"
    found = next((what for mark, what in _FOREIGN if data.startswith(mark)), "")
    if found and text.matches(data):
        found = ""
    return found or next((what for pattern, what in _FOREIGN_TEXT if pattern.match(data[:4096])), "")


def open_contents(data: bytes, *, name: str, budget_bytes: int | None = None) -> Contents:
    """Tell the format of `data` by its bytes and return its variables, decoded on demand.

    data : the whole file; arrays without compression are views into it (read-only)
    name : the file as the user named it, for messages only
    budget_bytes : most memory that decoding may take; None is `default_budget_bytes`

    What no format here reads is offered to the readers of other packages (entry points `faultdx.formats`).

    Raises RecordError (as the `load` of a variable does) where the data are empty, foreign, damaged or over the
    budget; never another exception because of what a file holds. ConfigError: see `default_budget_bytes`.
    """
    source = Source(data, name, default_budget_bytes(len(data)) if budget_bytes is None else budget_bytes)
    if not data:
        raise source.error("is empty", "record or copy it again")
    if data[0] == 0 and not data.strip(b"\0"):
        raise source.error("holds only zero bytes", "copy it again: the transfer or the disk lost its content")
    what = _foreign(data)
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


def _plugin(data: bytes) -> tuple[Format | None, tuple[str, ...]]:
    """Return the reader of another package that matches, and a sentence on each that could not be asked."""
    found, broken = plugins.load(Format)
    for form in found:
        try:
            if form.matches(data):
                return form, ()
        except Exception as error:  # it may be anything
            broken = (*broken, f"the reader {show(form.name)} failed to look at it ({plugins.said(error)})")
    return None, broken
