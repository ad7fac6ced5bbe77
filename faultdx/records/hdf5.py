"""MATLAB v7.3 and plain HDF5: the numeric datasets of the root and of its groups.

HDF5 is a file system in a file: it can point at other files, name plug-ins to run, and state chunks that it does not
hold, whose samples would be what happened to be in memory. All of that is refused before anything is read. What
can still go wrong inside the library itself (it crashes, and spins, on some damaged files) is the reason why this
format is read in a child process with limits (faultdx.records.isolation).

Layout of v7.3: a MATLAB header of 512 bytes, then HDF5; each array carries its class in the attribute MATLAB_class
and has its dimensions reversed; an empty one has MATLAB_empty, and holds its dimensions instead of data.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.marks import MATLAB_73

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3  # filter numbers of the HDF5 library
_MOST_RANK = 3
_MOST_VARIABLES, _DEEPEST = 4096, 8
_MOST_DIMENSIONS = 32  # of an empty array
_MOST_CHUNKS = 1 << 16
_LONGEST_TEXT = 256
_BLOCK = 1 << 20
_LONGEST_CLASS = 64
_CLASSES = ("double", "single", "logical", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@dataclass(frozen=True)
class Found:
    """One entry of the file: `path` inside it; `cause` says why it is no number; the rest as in `Variable`."""

    name: str
    path: bytes
    shape: tuple[int, ...]
    kind: str
    cause: str = ""
    text: str | None = None


class RefusedError(Exception):
    """Why a file or an entry is not read; becomes a RecordError where the file is known."""


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """Open the bytes as an HDF5 file; whatever the library raises in the block comes out as RefusedError."""
    import h5py

    try:
        with h5py.File(io.BytesIO(source.data), "r") as file:
            yield file
    except (RefusedError, RecordError, MemoryError):
        raise
    except Exception as error:  # the library and its Python binding raise a dozen types on damaged files
        raise RefusedError("is damaged, or cut short: the HDF5 library cannot read it") from error


def _attribute(item: Any, name: bytes) -> Any:
    """Return a short scalar attribute as bytes or int, or None: nothing long or of variable length is read."""
    import h5py

    if not h5py.h5a.exists(item.id, name):
        return None
    attribute = h5py.h5a.open(item.id, name)
    dtype = attribute.dtype
    if attribute.shape not in ((), (1,)) or dtype.kind not in "Siu" or dtype.itemsize > _LONGEST_CLASS:
        return None
    value = np.zeros(attribute.shape, dtype)
    attribute.read(value)
    return value.reshape(-1)[0].item()


def _class(item: Any) -> str:
    name = _attribute(item, b"MATLAB_class")
    return name.decode("ascii", "replace") if isinstance(name, bytes) else ""


def _entries(file: Any) -> Iterator[tuple[str, bytes, Any]]:
    """Yield (dotted name, path, object) of all there is in the file, groups before what is in them.

    The object is None for a link that is not hard, and for a group that is in itself; neither is followed.
    """
    import h5py

    left = _MOST_VARIABLES

    def walk(group: Any, name: str, path: bytes, above: tuple[int, ...]) -> Iterator[tuple[str, bytes, Any]]:
        nonlocal left
        left -= len(group)
        if left < 0:
            raise RefusedError(f"holds more than {_MOST_VARIABLES} variables and groups")
        for key in group.id:
            if key.startswith(b"#"):  # where MATLAB keeps what cells and objects refer to
                continue
            inner = name + key.decode("utf-8", "backslashreplace")
            # The library takes a name with a slash in it for a path, and would follow the links on that path.
            plain = b"/" not in key and key != b"."
            hard = plain and group.id.links.get_info(key).type == h5py.h5l.TYPE_HARD
            item = group[key] if hard else None
            here = h5py.h5o.get_info(item.id).addr if isinstance(item, h5py.Group) else None
            yield inner, path + key, None if here in above else item
            if here is not None and here not in above and len(above) < _DEEPEST and not _is_sparse(item):
                yield from walk(item, inner + ".", path + key + b"/", (*above, here))

    yield from walk(file, "", b"", (h5py.h5o.get_info(file.id).addr,))


def _is_sparse(group: Any) -> bool:
    import h5py

    return bool(h5py.h5a.exists(group.id, b"MATLAB_sparse"))


def _filters(plist: Any) -> list[int]:
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _shuffles_well(plist: Any, item_bytes: int) -> bool:
    """Say whether the shuffle filter, where there is one, is set to the size of an item: else it leaves a mess."""
    every = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    return all(values[:1] in ((), (item_bytes,)) for number, _, values, _ in every if number == _SHUFFLE)


def _needed_chunks(dataset: Any) -> int:
    chunk = dataset.id.get_create_plist().get_chunk()
    return math.prod(-(-n // c) for n, c in zip(dataset.shape, chunk, strict=True))


def _layout_problems(dataset: Any, source: Source) -> Iterator[str]:
    """Yield why the data of a numeric dataset are not to be read."""
    import h5py

    budget_bytes, file_bytes = source.budget_bytes, len(source.data)
    plist, shape, item_bytes = dataset.id.get_create_plist(), dataset.shape, dataset.dtype.itemsize
    layout, size, filters = plist.get_layout(), math.prod(shape) * item_bytes, _filters(plist)
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        yield "is a virtual dataset, whose data are in other files"
    if plist.get_external_count():
        yield "has its data in other files"
    if len(shape) > _MOST_RANK:
        yield f"has {len(shape)} dimensions and at most {_MOST_RANK} are read"
    if size > budget_bytes:
        yield f"would take {size / 2**20:.1f} MiB and the limit for this file is {budget_bytes / 2**20:.1f} MiB"
    if len(set(filters)) < len(filters) or not set(filters) <= {_DEFLATE, _SHUFFLE, _FLETCHER32}:
        yield f"is packed with HDF5 filters that are not read ({', '.join(map(str, filters))}): repack it with gzip"
    if layout == h5py.h5d.CHUNKED:
        # While it decodes a chunk, the library holds up to three of its size beside the array.
        if size + 3 * math.prod(plist.get_chunk()) * item_bytes > budget_bytes + 3 * file_bytes + _BLOCK * 8:
            yield "is in chunks that are too large for this file: repack it with smaller ones"
        if not _shuffles_well(plist, item_bytes):
            yield "is damaged: its shuffle filter is set for items of another size"
        if _needed_chunks(dataset) > _MOST_CHUNKS:
            yield f"is in more than {_MOST_CHUNKS} chunks: repack it"
    elif size and dataset.id.get_storage_size() != size:
        yield "is damaged: its stored size is not that of its shape"
    elif layout == h5py.h5d.CONTIGUOUS and size and (dataset.id.get_offset() or 0) + size > file_bytes:
        yield "is damaged: its data lie beyond the end of the file"


def _inflated_size(body: bytes, most: int) -> int:
    """Return how many bytes `body` inflates to, or -1 where it does not, or to more than `most`. Keeps none of them."""
    inflater, size = zlib.decompressobj(), 0
    try:
        while not inflater.eof and size <= most:
            block = inflater.decompress(body, _BLOCK)
            if not block and not body and not inflater.eof:
                return -1
            body = inflater.unconsumed_tail
            size += len(block)
    except zlib.error:
        return -1
    return size if size <= most else -1


def _check_chunks(dataset: Any, data: bytes) -> None:
    """Raise RefusedError unless every chunk is there and decodes to exactly its size.

    The library takes a chunk that decodes to fewer bytes, and returns old memory as the missing samples.
    """
    plist = dataset.id.get_create_plist()
    filters, needed = _filters(plist), _needed_chunks(dataset)
    wanted = math.prod(plist.get_chunk()) * dataset.dtype.itemsize
    if dataset.id.get_num_chunks() < needed:
        raise RefusedError("is damaged: some of its chunks are missing")
    seen = set()
    for index in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(index)
        seen.add(tuple(info.chunk_offset))
        if info.size > len(data):
            raise RefusedError("is damaged: a chunk lies beyond the end of the file")
        skipped, raw = dataset.id.read_direct_chunk(info.chunk_offset)
        applied = [number for place, number in enumerate(filters) if not skipped >> place & 1]
        expected = wanted
        for number in applied:
            if number == _FLETCHER32:
                expected += 4
            elif number == _DEFLATE:
                rest = applied[applied.index(number) + 1 :]
                body = raw[:-4] if _FLETCHER32 in rest else raw
                if _inflated_size(body, expected) != expected:
                    raise RefusedError("is damaged: a chunk does not decode to its size")
                expected = len(body)
        # Without filters the library makes up the missing end of what it returns: only the index knows.
        if len(raw) != expected or info.size != expected:
            raise RefusedError("is damaged: a chunk is not of its size")
    if len(seen) < needed:
        raise RefusedError("is damaged: some of its chunks are missing")


def _no_number(item: Any, mclass: str) -> tuple[str, str]:
    """Return (kind, why) where an entry is no real numeric array, else ("number", "")."""
    import h5py

    if item is None:
        return "other", "is a link to another place, or back, which is not followed"
    if isinstance(item, h5py.Group):
        return "other", "is a sparse matrix" if _is_sparse(item) else "is a group of variables"
    if not isinstance(item, h5py.Dataset) or item.shape is None or (mclass and mclass not in (*_CLASSES, "char")):
        return "other", f"is of the MATLAB class {mclass}" if mclass else "holds no array"
    if mclass == "char" or item.dtype.kind in "SU" or h5py.check_string_dtype(item.dtype) is not None:
        return "text", "is text, not numbers"
    # A flipped bit in a type (another exponent, an offset) would make other numbers of every sample.
    plain = item.dtype.kind in "iufb" and item.id.get_type().equal(h5py.h5t.py_create(item.dtype, logical=True))
    if not plain or item.dtype.itemsize > 8:
        return "other", "is no real numeric array, or of an unusual type of number"
    return "number", ""


def _describe(name: str, path: bytes, item: Any, source: Source) -> Found:
    """Return what an entry is, without reading more of its data than a short text."""
    mclass = "" if item is None else _class(item)
    kind, cause = _no_number(item, mclass)
    if kind == "other":
        return Found(name, path, getattr(item, "shape", None) or (), kind, cause)
    shape, text = item.shape[::-1] if mclass else item.shape, None
    problem = next(_layout_problems(item, source), "")
    if kind == "text" and mclass and not problem and item.dtype == np.uint16 and item.size <= _LONGEST_TEXT:
        text = "" if _attribute(item, b"MATLAB_empty") else _characters(item, source)
    elif kind == "number" and mclass and not problem and _attribute(item, b"MATLAB_empty"):
        few = 0 < item.size <= _MOST_DIMENSIONS
        shape = tuple(int(n) for n in _values(item, source).reshape(-1)) if few else (0, 0)
        problem = "is damaged: it is marked as empty and has a size" if math.prod(shape) or min(shape) < 0 else ""
    return Found(name, path, shape, kind, cause or problem, text)


def _values(item: Any, source: Source) -> NumberArray:
    """Read a whole dataset whose layout has been found good."""
    import h5py

    if item.id.get_create_plist().get_layout() == h5py.h5d.CHUNKED:
        _check_chunks(item, source.data)
    dtype = np.dtype(np.uint8) if item.dtype.kind == "b" else item.dtype.newbyteorder("=")
    values = source.empty(item.shape, dtype)
    if values.size:
        item.read_direct(values.view(np.bool_) if item.dtype.kind == "b" else values)
    return values


def _characters(item: Any, source: Source) -> str | None:
    """Return a row of text; text of several rows has none."""
    if item.ndim != 2 or item.shape[1] != 1:
        return None
    return _values(item, source).astype("<u2").tobytes().decode("utf-16-le", "replace")


def _survey(source: Source) -> tuple[Found, ...]:
    """Return what the file holds. An entry that cannot be looked at costs the others nothing. Raises RefusedError."""
    found: list[Found] = []
    with _opened(source) as file:
        for name, path, item in _entries(file):
            try:
                found.append(_describe(name, path, item, source))
            except MemoryError:
                raise
            except Exception as error:  # of the library, again
                cause = str(error) if isinstance(error, RefusedError) else "is damaged, or of a type that is not read"
                found.append(Found(name, path, (), "other", cause))
    return tuple(found)


def _load(source: Source, entry: Found) -> NumberArray:
    try:
        with _opened(source) as file:
            item = file[entry.path]
            is_matlab = bool(_class(item))
            if 0 in entry.shape:
                return np.zeros(entry.shape, np.float64 if is_matlab else item.dtype)
            source.spend(entry.name, math.prod(entry.shape) * item.dtype.itemsize)
            values = _values(item, source)
            return values.T if is_matlab else values
    except RefusedError as refused:
        raise source.error(f"variable {show(entry.name)} {refused}") from refused.__cause__


def open_hdf5(source: Source) -> Contents:
    """Return the datasets of the root and of its groups (`group.name`, eight levels down); MATLAB's arrays have
    MATLAB's shape.

    Raises RecordError where the library cannot read the file, it holds over 4096 entries, or two get one name.
    Links, external or virtual data, unknown filters, more than three dimensions and sizes over the budget are listed,
    and raise RecordError when loaded.
    """
    try:
        found = _survey(source)
    except RefusedError as refused:
        raise source.error(str(refused)) from refused.__cause__

    def variable(entry: Found) -> Variable:
        if entry.cause:
            return source.unreadable(entry.name, entry.shape, kind=entry.kind, cause=entry.cause, text=entry.text)
        return Variable(entry.name, entry.shape, "number", partial(_load, source, entry))

    is_matlab = source.data.startswith(MATLAB_73)
    return source.contents("MATLAB v7.3" if is_matlab else "HDF5", [variable(entry) for entry in found])
