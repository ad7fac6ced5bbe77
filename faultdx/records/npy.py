"""NumPy .npy and .npz, without pickle and without eval.

Layout: NEP 1, "A simple file format for NumPy arrays"; .npz is a zip archive of .npy members.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.records.contents import Contents, NumberArray, Variable

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_MAGIC = b"\x93NUMPY"
_LOCAL, _ENTRY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"  # of a member, of the directory, behind it
_LONGEST_HEADER = 10_000  # numpy's own limit
_MOST_ELEMENTS = 1 << 48
_MOST_DIMENSIONS = 32
_MOST_MEMBERS = 1024
_LONGEST_DIRECTORY = 1024 * 1024
_BLOCK = 1 << 20
# The header is the text of a Python dict. Read key by key, so that nothing is ever evaluated.
_DESCR = re.compile(r"'descr'\s*:\s*('(?P<plain>[^']*)'|\[)")
_ORDER = re.compile(r"'fortran_order'\s*:\s*(True|False)\b")
# Each repeat of the group ends in the comma: were that optional, "1111..." could be divided in 2^n ways.
_SHAPE = re.compile(r"'shape'\s*:\s*\(\s*((?:\d{1,18}L?\s*,\s*)*(?:\d{1,18}L?\s*)?)\)")
_NUMBER = re.compile(r"[<>|=]?([iu][1248]|f[248]|b1)")
_CURE = "save it again with numpy.save as a plain numeric array"


class _RefusedError(Exception):
    """Why an array cannot be read; becomes a RecordError where the file is known."""


@dataclass(frozen=True)
class _Header:
    """`descr` as stored ("<f8"; "" for a structured type), shape, order, and where the data start."""

    descr: str
    fortran: bool
    shape: tuple[int, ...]
    start: int

    @property
    def kind(self) -> str:
        """number, text or other."""
        if _NUMBER.fullmatch(self.descr):
            return "number"
        return "text" if re.fullmatch(r"[<>|=]?[US]\d{1,9}", self.descr) else "other"

    @property
    def cause(self) -> str:
        """Why it is no number."""
        if not self.descr:
            return "is a structured array"
        if self.kind == "text":
            return "is text, not numbers"
        kinds = {
            "c": "is complex",
            "O": "holds Python objects, which could run code",
            "m": "holds times",
            "M": "holds dates",
        }
        return kinds.get(self.descr.lstrip("<>|=")[:1], "is of an unknown type")


def _header(head: memoryview) -> _Header:
    """Read the header of an .npy file from its first bytes."""
    if len(head) < 12 or bytes(head[:6]) != _MAGIC:
        raise _RefusedError("has a damaged or incomplete npy header")
    version = head[6]
    if version not in (1, 2, 3):
        raise _RefusedError(f"is of npy version {version}, which is not known")
    size, start = (
        (struct.unpack_from("<H", head, 8)[0], 10) if version == 1 else (struct.unpack_from("<I", head, 8)[0], 12)
    )
    if size > _LONGEST_HEADER or start + size > len(head):
        raise _RefusedError("has a damaged or incomplete npy header")
    text = bytes(head[start : start + size]).decode("latin-1")
    descr, fortran, shape = _DESCR.findall(text), _ORDER.findall(text), _SHAPE.findall(text)
    if not (len(descr) == len(fortran) == len(shape) == 1 and text.strip()[:1] == "{" and text.strip()[-1:] == "}"):
        raise _RefusedError("has a damaged npy header")
    sizes = tuple(int(n) for n in re.findall(r"\d+", shape[0]))
    if len(sizes) > _MOST_DIMENSIONS or math.prod(max(n, 1) for n in sizes) > _MOST_ELEMENTS:
        raise _RefusedError("has a damaged npy header: its shape is impossible")
    return _Header(descr[0][1], fortran[0] == "True", sizes, start + size)


def _array(source: Source, name: str, header: _Header, view: memoryview) -> NumberArray:
    """Return the array whose whole .npy bytes are `view`: native byte order, booleans as uint8."""
    dtype: np.dtype[Any] = np.dtype(header.descr)
    stated, there = math.prod(header.shape) * dtype.itemsize, len(view) - header.start
    if stated != there:
        word = "cut short" if there < stated else "damaged"
        raise source.error(f"{name} is {word}: {stated} bytes of data are stated and {there} are there")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    values: NumberArray = np.frombuffer(view, dtype, offset=header.start)
    return source.native(name, values.reshape(header.shape, order="F" if header.fortran else "C"))


def matches_npz(data: bytes) -> bool:
    """Say whether `data` are a zip archive that holds .npy files and nothing else, by its directory.

    Where the directory is missing or too long, the first member decides: a damaged .npz should be called one.
    """
    if not data.startswith(_LOCAL):
        return False
    names = _directory(data)
    if names is None:
        length = int.from_bytes(data[26:28], "little")
        names = [data[30 : 30 + length]]
    return bool(names) and all(name.endswith(b".npy") for name in names)


def _directory_span(data: bytes) -> tuple[int, int] | None:
    """Return where the directory of a zip archive starts and ends, or None where no end record is there."""
    end = data.rfind(_END, -(65_535 + 22))  # a comment of up to 65 535 bytes may follow
    if end < 0 or end + 22 > len(data):
        return None
    return end - int.from_bytes(data[end + 12 : end + 16], "little"), end


def _directory(data: bytes) -> list[bytes] | None:
    """Return the names in the directory of a zip archive, or None where it is damaged, or over 1 MiB."""
    span = _directory_span(data)
    if span is None or span[0] < 0 or span[1] - span[0] > _LONGEST_DIRECTORY:
        return None
    (position, end), names = span, []
    while position < end:
        if position + 46 > end or data[position : position + 4] != _ENTRY:
            return None
        name, extra, comment = struct.unpack_from("<3H", data, position + 28)
        names.append(data[position + 46 : position + 46 + name])
        position += 46 + name + extra + comment
    return names


def open_npy(source: Source) -> Contents:
    """Return the one array of an .npy file as variable `data`, with the shape that is stored.

    Raises RecordError where the header is damaged, or the data are longer or shorter than it states. Arrays of
    objects, structures, text or complex numbers are listed, and raise RecordError when loaded.
    """
    try:
        header = _header(source.view)
    except _RefusedError as refused:
        raise source.error(str(refused), _CURE) from None
    if header.kind != "number":
        return Contents("npy", (source.unreadable("data", header.shape, kind=header.kind, cause=header.cause),))
    values = _array(source, "data", header, source.view)
    return Contents("npy", (Variable("data", header.shape, "number", lambda: values),))


def _member(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int | None) -> memoryview:
    """Return the first `limit` bytes of a member, or all of it, checked against its size and checksum."""
    wanted = info.file_size if limit is None else min(limit, info.file_size)
    out, filled = np.empty(wanted, np.uint8), 0
    try:
        with archive.open(info) as stream:
            while filled < wanted:
                block = stream.read(min(_BLOCK, wanted - filled))
                if not block:
                    break
                out[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
                filled += len(block)
            rest = stream.read(1) if limit is None else b""
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        struct.error,
        KeyError,
    ) as error:
        raise source.error(f"member {info.filename!a} is damaged or encrypted", _CURE) from error
    if filled != wanted or rest:
        raise source.error(f"member {info.filename!a} is not of the size that it states", _CURE)
    return out.data


def _variable(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Variable:
    """Return the array of one member: only its header is inflated until it is loaded."""
    name = info.filename.removesuffix(".npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 0x1:
        return source.unreadable(
            name, (), kind="other", cause="is encrypted, or packed by a method that numpy never uses"
        )
    try:
        header = _header(_member(source, archive, info, _LONGEST_HEADER + 12))
    except _RefusedError as refused:
        return source.unreadable(name, (), kind="other", cause=str(refused))
    if header.kind != "number":
        return source.unreadable(name, header.shape, kind=header.kind, cause=header.cause)

    def load() -> NumberArray:
        source.spend(name, info.file_size)
        return _array(source, f"member {info.filename!a}", header, _member(source, archive, info, None))

    return Variable(name, header.shape, "number", load)


def open_npz(source: Source) -> Contents:
    """Return the arrays of an .npz archive, named as numpy.load names them; each is inflated when it is loaded.

    Raises RecordError where the archive is damaged, holds no array, or holds two of one name.
    """
    # zipfile reads the whole directory at once: look at its size first, in the record at the end of the archive.
    span = _directory_span(source.data)
    if span is None:
        raise source.error("is a zip archive that is damaged or cut short", "copy it again")
    if span[1] - span[0] > _LONGEST_DIRECTORY:
        raise source.error("is a zip archive with too many members", _CURE)
    try:
        archive = zipfile.ZipFile(io.BytesIO(source.data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, KeyError) as error:
        raise source.error("is a zip archive that is damaged", "copy it again") from error
    members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if not members:
        raise source.error(
            "is a zip archive (or an office document) without NumPy arrays", "unpack it, or export its table as CSV"
        )
    if len(members) > _MOST_MEMBERS:
        raise source.error(f"holds more than {_MOST_MEMBERS} arrays", "split it")
    return source.contents("npz", [_variable(source, archive, info) for info in members])
