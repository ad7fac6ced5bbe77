"""MATLAB v7.3 and plain HDF5: the numeric datasets of the root and of its groups.

HDF5 is a file system in a file: it can point at other files, name plug-ins to run, and state chunks that it does not
hold, whose samples would be what happened to be in memory. All of that is refused before anything is read. What
can still go wrong inside the library itself calls for a child process with limits; `survey` and `fetch` take and
give plain values so that such a process can call them.

Layout of v7.3: a MATLAB header of 512 bytes, then HDF5; each array carries its class in the attribute MATLAB_class
and has its dimensions reversed; an empty one has MATLAB_empty, and holds its dimensions instead of data.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.records.contents import Contents, NumberArray, Variable

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MATLAB = b"MATLAB 7.3 MAT-file"
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3  # filter numbers of the HDF5 library
_MOST_RANK = 3
_MOST_VARIABLES = 4096
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


def matches(data: bytes) -> bool:
    """Say whether `data` have the HDF5 signature where MATLAB and others put it, or at least MATLAB's words."""
    return any(data[at : at + 8] == _SIGNATURE for at in (0, 512, 1024, 2048)) or data.startswith(_MATLAB)


def _guarded(work: Callable[[Any], Any], data: bytes) -> Any:
    """Open `data` as HDF5 and return `work(file)`; whatever the library raises comes out as RefusedError."""
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return work(file)
    except RefusedError:
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
    """Yield (name, path, object or None for a link that is not followed) of the root and one level of groups."""
    import h5py

    def links(group: Any) -> Iterator[tuple[bytes, Any]]:
        if len(group) > _MOST_VARIABLES:
            raise RefusedError(f"holds more than {_MOST_VARIABLES} variables")
        for key in group.id:
            hard = group.id.links.get_info(key).type == h5py.h5l.TYPE_HARD
            yield key, group[key] if hard else None

    for key, item in links(file):
        if key.startswith(b"#"):  # where MATLAB keeps what cells and objects refer to
            continue
        name = key.decode("utf-8", "backslashreplace")
        yield name, key, item
        if isinstance(item, h5py.Group):
            for inner, field in links(item):
                yield f"{name}.{inner.decode('utf-8', 'backslashreplace')}", key + b"/" + inner, field


def _filters(plist: Any) -> list[int]:
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _needed_chunks(dataset: Any) -> int:
    chunk = dataset.id.get_create_plist().get_chunk()
    return math.prod(-(-n // c) for n, c in zip(dataset.shape, chunk, strict=True))


def _layout_problems(dataset: Any, data: bytes, budget_bytes: int) -> Iterator[str]:
    """Yield why the data of a numeric dataset are not to be read."""
    import h5py

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
        if math.prod(plist.get_chunk()) * item_bytes > budget_bytes:
            yield "has chunks over the limit for this file"
        if _needed_chunks(dataset) > _MOST_CHUNKS:
            yield f"is in more than {_MOST_CHUNKS} chunks: repack it"
    elif size and dataset.id.get_storage_size() != size:
        yield "is damaged: its stored size is not that of its shape"
    elif layout == h5py.h5d.CONTIGUOUS and size and (dataset.id.get_offset() or 0) + size > len(data):
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
        if len(raw) != expected:
            raise RefusedError("is damaged: a chunk is not of its size")
    if len(seen) < needed:
        raise RefusedError("is damaged: some of its chunks are missing")


def _no_number(item: Any, mclass: str) -> tuple[str, str]:
    """Return (kind, why) where an entry is no real numeric array, else ("number", "")."""
    import h5py

    if item is None:
        return "other", "is a link to another place, which is not followed"
    if isinstance(item, h5py.Group):
        return "other", "is a sparse matrix" if "MATLAB_sparse" in item.attrs else "is a group of variables"
    if not isinstance(item, h5py.Dataset) or item.shape is None or (mclass and mclass not in (*_CLASSES, "char")):
        return "other", f"is of the MATLAB class {mclass}" if mclass else "holds no array"
    if mclass == "char" or item.dtype.kind in "SU" or h5py.check_string_dtype(item.dtype) is not None:
        return "text", "is text, not numbers"
    if item.dtype.kind not in "iufb" or item.dtype.itemsize > 8:
        return "other", "is no real numeric array"
    return "number", ""


def _describe(name: str, path: bytes, item: Any, data: bytes, budget_bytes: int) -> Found:
    """Return what an entry is, without reading more of its data than a short text."""
    mclass = "" if item is None else _class(item)
    kind, cause = _no_number(item, mclass)
    if kind == "other":
        return Found(name, path, getattr(item, "shape", None) or (), kind, cause)
    shape, text = item.shape[::-1] if mclass else item.shape, None
    problem = next(_layout_problems(item, data, budget_bytes), "")
    if kind == "text" and mclass and not problem and item.dtype == np.uint16 and item.size <= _LONGEST_TEXT:
        text = "" if _attribute(item, b"MATLAB_empty") else _characters(item, data)
    elif kind == "number" and mclass and not problem and _attribute(item, b"MATLAB_empty"):
        shape = tuple(int(n) for n in _values(item, data).reshape(-1)[:_MOST_RANK])
        problem = "is damaged: it is marked as empty and has a size" if math.prod(shape) else ""
    return Found(name, path, shape, kind, cause or problem, text)


def _values(item: Any, data: bytes) -> NumberArray:
    """Read a whole dataset whose layout has been found good."""
    import h5py

    if item.id.get_create_plist().get_layout() == h5py.h5d.CHUNKED:
        _check_chunks(item, data)
    values = np.empty(item.shape, np.uint8 if item.dtype.kind == "b" else item.dtype.newbyteorder("="))
    if values.size:
        item.read_direct(values.view(np.bool_) if item.dtype.kind == "b" else values)
    return values


def _characters(item: Any, data: bytes) -> str | None:
    """Return a row of text; text of several rows has none."""
    if item.ndim != 2 or item.shape[1] != 1:
        return None
    return _values(item, data).astype("<u2").tobytes().decode("utf-16-le", "replace")


def survey(data: bytes, budget_bytes: int) -> tuple[Found, ...]:
    """Return what the file `data` holds; plain values in and out. Raises RefusedError."""

    def work(file: Any) -> tuple[Found, ...]:
        found: list[Found] = []
        for name, path, item in _entries(file):
            if len(found) == _MOST_VARIABLES:
                raise RefusedError(f"holds more than {_MOST_VARIABLES} variables")
            try:
                found.append(_describe(name, path, item, data, budget_bytes))
            except RefusedError as refused:
                found.append(Found(name, path, (), "other", str(refused)))
        return tuple(found)

    result: tuple[Found, ...] = _guarded(work, data)
    return result


def fetch(data: bytes, path: bytes, shape: tuple[int, ...]) -> NumberArray:
    """Return the array at `path`, which `survey` found to have `shape`; plain values. Raises RefusedError."""

    def work(file: Any) -> NumberArray:
        item = file[path]
        if 0 in shape:
            return np.zeros(shape, item.dtype if _class(item) == "" else np.float64)
        values = _values(item, data)
        return values.T if _class(item) else values

    result: NumberArray = _guarded(work, data)
    return result


def open_hdf5(source: Source) -> Contents:
    """Return the datasets of the root and of its groups (`group.name`); MATLAB's arrays have MATLAB's shape.

    Raises RecordError where the library cannot read the file. Links, external or virtual data, unknown filters,
    more than three dimensions and sizes over the budget are listed, and raise RecordError when loaded.
    """
    try:
        found = survey(source.data, source.budget_bytes)
    except RefusedError as refused:
        raise source.error(str(refused)) from refused.__cause__

    def variable(entry: Found) -> Variable:
        if entry.cause:
            return source.unreadable(entry.name, entry.shape, kind=entry.kind, cause=entry.cause, text=entry.text)

        def load() -> NumberArray:
            source.spend(entry.name, math.prod(entry.shape) * 8)
            try:
                return fetch(source.data, entry.path, entry.shape)
            except RefusedError as refused:
                raise source.error(f"variable {entry.name!a} {refused}") from refused.__cause__

        return Variable(entry.name, entry.shape, "number", load)

    is_matlab = source.data.startswith(_MATLAB)
    return Contents("MATLAB v7.3" if is_matlab else "HDF5", tuple(map(variable, found)))
