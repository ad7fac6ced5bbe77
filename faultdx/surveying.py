"""A prepared file, read without trusting what reads it: HDF5 in a child process, the samples by this one.

The HDF5 library crashes, and spins, on some damaged files. So a child with limits on memory, time and files opens the
file, reads what is small (attributes, records table, columns) and says where the chunks of segments lie; this process
never opens it as HDF5. It checks what the child says, and takes the chunks from the file itself: they are stored as
they are, each with its checksum.

Fletcher's checksum as HDF5 stores it: "HDF5 File Format Specification", filter 3; H5checksum.c.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import DatasetError
from faultdx.files import show
from faultdx.intake import open_file
from faultdx.records.child import Limits, run
from faultdx.records.room import ChildError, Room

SIGNATURE = b"\x89HDF\r\n\x1a\n"
COLUMNS: Mapping[str, str] = {
    "label": "<i8", "record": "<i8", "start": "<i8", "split": "|i1", "snr_db": "<f4", "noise": "|i1",
}  # fmt: skip
AGAIN = "prepare it again"
_FLETCHER32, _CHECKSUM_BYTES = 3, 4
_MIB = 1 << 20
_ROW, _WORDS = 256, 1 << 22  # of a checksum, and at a time: no sum overflows
_LONGEST_CAUSE = 200


@dataclass(frozen=True, eq=False, repr=False)
class Survey:
    """What a prepared file says of itself, and where its segments lie.

    attributes, table : as `faultdx.dataset` describes them, plain values
    digest : of these two, worked out; stated : the one that the file states
    columns : name -> (segments,); shape : of the segments (N, channels, samples)
    chunk : segments in a chunk; addresses : of the chunks, bytes from the start of the file; checksums : each has one
    """

    attributes: Mapping[str, Any]
    table: Mapping[str, list[Any]]
    digest: str
    stated: str
    columns: Mapping[str, npt.NDArray[Any]]
    shape: tuple[int, int, int]
    chunk: int
    addresses: npt.NDArray[np.int64]
    checksums: bool


class ForeignError(Exception):
    """It is no prepared file of this version; `schema` is what it says it is, None where it says nothing."""

    def __init__(self, schema: str | None, *, hdf5: bool) -> None:
        super().__init__(schema)
        self.schema, self.hdf5 = schema, hdf5


class Samples:
    """The segments of a prepared file, read from an open descriptor, which `close` closes."""

    def __init__(self, fd: int, survey: Survey, path: str) -> None:
        self._fd, self._survey, self._path = fd, survey, path

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the segments `rows` (ascending), shape (len(rows), channels, samples).

        Raises DatasetError where the file was cut meanwhile, or a chunk fails its checksum.
        """
        said = self._survey
        out = np.empty((len(rows), *said.shape[1:]), np.float32)
        where = rows // said.chunk
        firsts = np.flatnonzero(np.diff(where, prepend=-1))
        for first, end in zip(firsts, [*firsts[1:], len(rows)], strict=True):
            number = int(where[first])
            out[first:end] = self._chunk(number)[rows[first:end] - number * said.chunk]
        return out

    def _chunk(self, number: int) -> npt.NDArray[np.float32]:
        said = self._survey
        size = 4 * said.chunk * math.prod(said.shape[1:])
        stored = size + (_CHECKSUM_BYTES if said.checksums else 0)
        try:
            data = _pread(self._fd, stored, int(said.addresses[number]))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise DatasetError(f"{show(self._path)}: cannot be read: {reason}; check the disk") from error
        if len(data) < stored or (said.checksums and fletcher32(data[:size]) != int.from_bytes(data[size:], "little")):
            raise DatasetError(f"{show(self._path)}: is damaged (a chunk fails its checksum): {AGAIN}")
        return np.frombuffer(data, "<f4", size // 4).reshape(said.chunk, *said.shape[1:])


def _pread(fd: int, size: int, at: int) -> bytes:
    """Return `size` bytes, fewer where the file ends: a single call gives 2 GiB at most."""
    data = os.pread(fd, size, at)
    while data and len(data) < size and (part := os.pread(fd, size - len(data), at + len(data))):
        data += part
    return data


def fletcher32(data: bytes | memoryview) -> int:
    """Return the checksum that HDF5 stores behind a chunk of an even number of bytes."""
    words, low, high = np.frombuffer(data, ">u2"), 0, 0
    for at in range(0, len(words), _WORDS):
        block = words[at : at + _WORDS]
        whole = len(block) // _ROW * _ROW
        # The word at row r and column c counts len(block) - _ROW r - c times: two sums that need no products.
        table = block[:whole].astype(np.uint32).reshape(-1, _ROW)
        rows = table.sum(axis=1, dtype=np.uint32).astype(np.int64)
        columns = table.sum(axis=0, dtype=np.uint32).astype(np.int64)
        rest = block[whole:].astype(np.int64)
        times = len(block) - _ROW * np.arange(len(rows))
        total = int(rows.sum() + rest.sum())
        weighted = int(rows @ times - columns @ np.arange(_ROW) + rest @ np.arange(len(rest), 0, -1))
        high += weighted + (len(words) - at - len(block)) * total
        low += total
    return _folded(high) << 16 | _folded(low)


def _folded(value: int) -> int:
    """Return a sum modulo 65535, as adding its two halves leaves it: 65535 and not 0 for a multiple."""
    return (value - 1) % 65535 + 1 if value else 0


def opened(path: str | os.PathLike[str], schema: str) -> tuple[Samples, Survey]:
    """Open a prepared file. The caller closes the samples.

    Raises ForeignError for another file or schema, DatasetError for no regular file and a damaged one.
    """
    import h5py  # noqa: F401 - before the fork: the child can open no file

    fd, status = open_file(path, kind=DatasetError, cure="name a prepared file")
    try:
        size = status.st_size
        if os.pread(fd, len(SIGNATURE), 0) != SIGNATURE:
            raise ForeignError(None, hdf5=False)
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
            said, blob = _asked(view, size, schema, show(path))
        try:
            survey = _checked(said, blob, size)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DatasetError(f"{show(path)}: is damaged or incomplete ({_short(error)}): {AGAIN}") from error
        return Samples(fd, survey, os.fspath(path)), survey
    except OSError as error:  # of a descriptor, which has no name
        os.close(fd)
        reason = os.strerror(error.errno or 0).lower()
        raise DatasetError(f"{show(path)}: cannot be read: {reason}; check the disk") from error
    except BaseException:
        os.close(fd)
        raise


def _asked(view: mmap.mmap, size: int, schema: str, name: str) -> tuple[dict[str, Any], memoryview]:
    """Return what the child says, and the memory that it filled."""
    # What is read there is a few bytes a segment. The limits grow with the file, and stay far below its size.
    limits = Limits(128 * _MIB + size // 2, 8.0 + size / (32 * _MIB))
    needed = 16 * _MIB + size // 16
    for _ in range(2):
        room = Room(needed)
        try:
            said = run(partial(_survey, view, schema, room), limits=limits, room=room)
        except ChildError as error:
            raise DatasetError(f"{name}: is damaged or hostile (the HDF5 library {error}): {AGAIN}") from error
        if not isinstance(said, dict):
            raise DatasetError(f"{name}: is damaged or hostile: {AGAIN}")
        if said.get("foreign"):
            found = said.get("schema")
            raise ForeignError(found if isinstance(found, str) else None, hdf5=said.get("hdf5") is True)
        if said.get("damaged") == "":
            raise DatasetError(f"{name}: is damaged (its records table): {AGAIN}")
        if "damaged" in said:
            raise DatasetError(f"{name}: is damaged or incomplete ({show(str(said['damaged']))}): {AGAIN}")
        needed = said.get("bytes", -1)
        if type(needed) is not int or not 0 <= needed <= 64 * _MIB + size:
            raise DatasetError(f"{name}: is damaged or hostile (it says more than it holds): {AGAIN}")
        if "array" in said:
            try:
                return said, room.take(said["array"], (needed,), spend=lambda _: None).astype(np.uint8).data
            except ChildError as error:
                raise DatasetError(f"{name}: is damaged or hostile (the HDF5 library {error}): {AGAIN}") from error
    raise DatasetError(f"{name}: is damaged or hostile (it is read differently each time): {AGAIN}")


def _checked(said: Mapping[str, Any], blob: memoryview, size: int) -> Survey:
    """Return what the child said as a Survey; KeyError, TypeError and ValueError where it cannot be."""
    shape, chunk, checksums = said["shape"], said["chunk"], said["checksums"] is True
    if len(shape) != 3 or any(type(n) is not int or n < 0 for n in [*shape, chunk]) or min(*shape[1:], chunk) < 1:
        raise ValueError("shapes that do not fit each other")
    n, count = shape[0], -(-shape[0] // chunk)
    columns, at = {}, 0
    for key, kind in COLUMNS.items():
        columns[key] = np.frombuffer(blob, kind, n, at)
        at += columns[key].nbytes
    addresses = np.frombuffer(blob, "<i8", count, at)
    stored = 4 * chunk * math.prod(shape[1:]) + (_CHECKSUM_BYTES if checksums else 0)
    if stored > size or (count and not 0 < int(addresses.min()) <= int(addresses.max()) <= size - stored):
        raise ValueError("chunks beyond the end of the file")
    text = bytes(blob[at + addresses.nbytes :])
    both = json.loads(text)
    attributes, table = both["attributes"], both["records"]
    if not all(isinstance(column, list) for column in table.values()):
        raise ValueError("a records table of another kind")
    digest = hashlib.sha256(text).hexdigest()
    return Survey(
        attributes, table, digest, str(said["digest"]), columns, (n, shape[1], shape[2]), chunk, addresses, checksums
    )


def _short(error: BaseException) -> str:
    return show(str(error))[:_LONGEST_CAUSE]


# ---- in the child


class _Mapped(io.RawIOBase):
    """A mapped file as h5py takes it: it may open none."""

    def __init__(self, view: mmap.mmap) -> None:
        super().__init__()
        self._view, self._at = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, len(self._view))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._view[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def digest_text(file: Any, numbers: tuple[str, ...]) -> str:
    """Return the records table and the attributes of an open file as one text, whose SHA-256 is its `digest`.

    numbers : the columns of the table that are not text
    """
    table = {k: (d[:].tolist() if k in numbers else d.asstr()[:].tolist()) for k, d in file["records"].items()}
    attributes = {
        k: v.tolist() if isinstance(v, np.ndarray | np.generic) else str(v)
        for k, v in file.attrs.items()
        if k != "digest"
    }
    return json.dumps({"records": table, "attributes": attributes}, sort_keys=True, ensure_ascii=True)


NUMBER_COLUMNS = ("rpm", "source_rate_hz", "samples", "rms")


def _survey(view: mmap.mmap, schema: str, room: Room) -> dict[str, Any]:
    import h5py

    try:
        file = h5py.File(_Mapped(view), "r")
    except MemoryError:
        raise
    except Exception:  # of the library, which raises what it likes
        return {"foreign": True}
    try:
        found = file.attrs.get("schema")
    except MemoryError:
        raise
    except Exception:
        found = None
    if not isinstance(found, str) or found != schema:
        return {"foreign": True, "hdf5": True, "schema": found[:_LONGEST_CAUSE] if isinstance(found, str) else None}
    try:
        segments = file["segments"]
        said = _layout(segments)
        parts = [np.ascontiguousarray(_column(file, key, segments.shape[0]), kind) for key, kind in COLUMNS.items()]
        parts.append(_addresses(segments, said["chunk"]))
        said |= {"digest": str(file.attrs["digest"])[:100]}
    except MemoryError:
        raise
    except Exception as error:
        return {"damaged": f"{error}"[:_LONGEST_CAUSE] or type(error).__name__}
    try:
        text = digest_text(file, NUMBER_COLUMNS).encode("ascii")
    except MemoryError:
        raise
    except Exception:
        return {"damaged": ""}
    blob = np.frombuffer(b"".join([*(part.tobytes() for part in parts), text]), np.uint8)
    said["bytes"] = blob.nbytes
    return said | ({"array": room.place(blob)} if blob.nbytes <= room.limit_bytes else {})


def _layout(segments: Any) -> dict[str, Any]:
    """Return shape and chunks of the segments; ValueError where they are not stored as faultdx stores them."""
    import h5py

    plist = segments.id.get_create_plist()
    if segments.dtype != np.dtype("<f4") or not segments.id.get_type().equal(h5py.h5t.IEEE_F32LE):
        raise ValueError("segments or config of another kind")
    if len(segments.shape) != 3:
        raise ValueError("shapes that do not fit each other")
    chunked = plist.get_layout() == h5py.h5d.CHUNKED
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if not chunked or plist.get_chunk()[1:] != segments.shape[1:] or filters not in ([], [_FLETCHER32]):
        raise ValueError("its segments are packed in another way than faultdx packs them")
    return {"shape": list(segments.shape), "chunk": plist.get_chunk()[0], "checksums": bool(filters)}


def _column(file: Any, key: str, n: int) -> Any:
    column = file[key]
    if column.shape != (n,):
        raise ValueError("shapes that do not fit each other")
    return column[:]


def _addresses(segments: Any, chunk: int) -> npt.NDArray[np.int64]:
    wanted = 4 * chunk * math.prod(segments.shape[1:])
    wanted += _CHECKSUM_BYTES if segments.id.get_create_plist().get_nfilters() else 0
    out = np.zeros(-(-segments.shape[0] // chunk), "<i8")

    def take(info: Any) -> None:
        if info.size != wanted or info.filter_mask:
            raise ValueError("chunks of another size")
        out[info.chunk_offset[0] // chunk] = info.byte_offset

    segments.id.chunk_iter(take)
    if out.size and not out.min():
        raise ValueError("some of its chunks are missing")
    return out
