"""Tiny MATLAB files, byte by byte: what scipy.io.savemat writes, and what it never would.

Layout: "MAT-File Format" (MathWorks), level 4 and level 5. `order` is "<" or ">" throughout.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MI = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
MX = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14, "u8": 15}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
COMPLEX, LOGICAL = 0x0800, 0x0200


def tag(kind: int, size: int, order: str = "<") -> bytes:
    return struct.pack(order + "II", kind & 0xFFFFFFFF, size & 0xFFFFFFFF)


def part(kind: int, data: bytes, order: str = "<", *, small: bool = True) -> bytes:
    """A data element: in the small form where it fits and `small`, else padded to 8 bytes."""
    if small and 0 < len(data) <= 4:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return tag(kind, len(data), order) + data + bytes(-len(data) % 8)


def matrix(name: str, mx: int, shape: Sequence[int], *parts: bytes, order: str = "<", flags: int = 0) -> bytes:
    """A miMATRIX element with its tag: array flags, dimensions, name, and what follows."""
    body = tag(6, 8, order) + struct.pack(order + "II", mx | flags, 0)
    body += part(5, struct.pack(f"{order}{len(shape)}i", *shape), order, small=False)
    body += part(1, name.encode("latin-1"), order) + b"".join(parts)
    return tag(MATRIX, len(body), order) + body


def column(array: Any) -> np.ndarray:
    """As MATLAB has it: at least two dimensions, a vector standing."""
    values = np.asarray(array)
    return values.reshape(-1, 1) if values.ndim < 2 else values


def numeric(name: str, array: Any, *, order: str = "<", stored: str | None = None, flags: int = 0) -> bytes:
    """A real array of its own class, its values kept as the type `stored` ("i2") where given."""
    values = column(array)
    kind = values.dtype.str[1:]
    as_stored = values.astype(order + (stored or kind)).tobytes(order="F")
    return matrix(name, MX[kind], values.shape, part(MI[stored or kind], as_stored, order), order=order, flags=flags)


def text(name: str, words: str, *, order: str = "<") -> bytes:
    data = words.encode("utf-16-le" if order == "<" else "utf-16-be")
    return matrix(name, CHAR, (1, len(words)), part(4, data, order), order=order)


def cell(name: str, elements: Sequence[bytes], *, order: str = "<", shape: Sequence[int] | None = None) -> bytes:
    return matrix(name, CELL, shape or (1, len(elements)), *elements, order=order)


def structure(
    name: str,
    fields: Mapping[str, bytes] | Sequence[Mapping[str, bytes]],
    *,
    order: str = "<",
    shape: Sequence[int] | None = None,
    class_name: str | None = None,
) -> bytes:
    """A struct, or a struct array of several mappings; an object of the old kind where `class_name` is given."""
    rows = [fields] if isinstance(fields, Mapping) else list(fields)
    titles = list(rows[0]) if rows else []
    width = max([len(t) for t in titles], default=0) + 1
    names = b"".join(t.encode("latin-1").ljust(width, b"\0") for t in titles)
    head = part(1, class_name.encode(), order) if class_name else b""
    head += part(5, struct.pack(order + "i", width), order) + part(1, names, order, small=False)
    inner = [row[t] for row in rows for t in titles]
    mx = OBJECT if class_name else STRUCT
    return matrix(name, mx, shape or (1, len(rows)), head, *inner, order=order)


def packed(element: bytes, order: str = "<", *, level: int = 6) -> bytes:
    """An element, compressed."""
    data = zlib.compress(element, level)
    return tag(COMPRESSED, len(data), order) + data


def mat5(*elements: bytes, order: str = "<", words: bytes = b"MATLAB 5.0 MAT-file, made by hand") -> bytes:
    """A whole v5 file."""
    return words.ljust(124) + (b"\x00\x01IM" if order == "<" else b"\x01\x00MI") + b"".join(elements)


def mat4(
    name: str,
    array: Any,
    *,
    order: str = "<",
    form: int = 0,
    imaginary: bool = False,
    machine: int | None = None,
    shape: tuple[int, int] | None = None,
) -> bytes:
    """A v4 matrix; several in a row are a v4 file. `form` 0 is full, 1 text, 2 sparse; `shape` may lie."""
    values = column(array)
    precision = ("f8", "f4", "i4", "i2", "u2", "u1").index(values.dtype.str[1:])
    machine = "<>".index(order) if machine is None else machine
    title = name.encode("latin-1") + b"\0"
    rows, columns = shape or values.shape
    mopt = 1000 * machine + 10 * precision + form
    head = struct.pack(order + "5i", mopt, rows, columns, int(imaginary), len(title))
    data = values.astype(order + values.dtype.str[1:]).tobytes(order="F")
    return head + title + data * (2 if imaginary else 1)


def zeros_packed(head: bytes, size: int) -> bytes:
    """`head` and `size` bytes of zeros behind it (whole MiB), as a zlib stream: 1 KB for a MiB, made in no time.

    A block that ends in a full flush starts at a byte and knows nothing of what was before: it can be repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    low, high = zlib.adler32(head) & 0xFFFF, zlib.adler32(head) >> 16
    adler = (high + low * size) % 65521 << 16 | low  # RFC 1950: each zero byte adds the low sum to the high one
    return b"\x78\xda" + start + block * (size >> 20) + packer.flush() + struct.pack(">I", adler)


def bomb(size: int, *, order: str = "<", name: str = "x", honest: bool = True) -> bytes:
    """A v5 file whose one variable is `size` bytes of zeros, packed a thousand times; or says that it is 64 doubles."""
    stated = size if honest else 512
    head = matrix(name, MX["f8"], (stated // 8, 1), tag(MI["f8"], stated, order), order=order)
    data = zeros_packed(tag(MATRIX, len(head) - 8 + stated, order) + head[8:], size)
    return mat5(tag(COMPRESSED, len(data), order) + data, order=order)
