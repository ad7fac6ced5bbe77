"""MATLAB v5 (also called v6 and v7): real numeric arrays of either byte order, compressed or not.

Our own decoder: scipy.io.loadmat is not for files that nobody vouches for, and costs an import of 190 ms. Layout:
"MAT-File Format" (MathWorks), chapter on level 5. Only headers are looked at when a file is opened; the data of a
variable are decoded, and inflated, when it is loaded. Sparse, complex, cell, object and function-handle variables
are listed and never read. Structs are walked, to a bounded depth and number, for the numeric arrays inside them.

A variable that is damaged inside intact bounds does not keep the others from being read: it is listed, and loading
it raises RecordError. Bounds that are not intact (a file cut short) refuse the whole file.
"""

from __future__ import annotations

import bisect
import itertools
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.marks import MAT5_HEADER, MAT5_ORDERS, is_mat5
from faultdx.records.mat5_stream import AHEAD, MATRIX, DamagedError, Inflated, Need, Plain

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_COMPRESSED = 15  # miCOMPRESSED
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # by mi type
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}  # by mx
_STRUCT, _CHAR, _OPAQUE = 2, 4, 17  # mxSTRUCT_CLASS, mxCHAR_CLASS, mxOPAQUE_CLASS
_OTHERS = {1: "a cell array", 2: "a struct", 3: "an object", 5: "sparse", 16: "a function handle", 17: "an object"}
_COMPLEX_FLAG = 0x08
_MOST_DIMENSIONS = 32
_MOST_ELEMENTS = 1 << 48  # zeros left out: numpy refuses an empty array of impossible other dimensions
_LONGEST_NAME, _LONGEST_TEXT = 255, 256
_MOST_VARIABLES = 10_000
_MARK_EVERY = 1 << 20  # bytes
_DEEPEST, _MOST_FIELDS, _LONGEST_STRUCT = 4, 512, 64  # levels, fields in a file, and elements of structs


class _Header(NamedTuple):
    """What stands before the data of an array: mx class and flags, dimensions, name."""

    mx_class: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class _Element:
    """A miMATRIX element of the file: its body, as it stands there, and the byte order.

    need : has bytes of the body read from the file before they are looked at
    marks : streams that stand at places on the way through a compressed struct, at least a MiB apart, so that its
        fields can be loaded one by one in the time that it takes to inflate it once
    verdict : nothing until the checksum of the whole has been compared; then what was wrong with it, or None
    """

    def __init__(self, source: Source, order: str, body: memoryview, need: Need, is_compressed: bool) -> None:
        self.source, self.order, self.body, self.need, self.is_compressed = source, order, body, need, is_compressed
        self.marks: list[Plain] = []
        self.verdict: list[DamagedError | None] = []

    def start(self, *, ahead: int = 0) -> Plain:
        """Return a fresh stream over the body."""
        if self.is_compressed:
            return Inflated(self.body, self.order, self.need, ahead=ahead)
        return Plain(self.body, self.order, self.need)

    def mark(self, stream: Plain) -> None:
        """Remember the place of `stream`, where that will save time."""
        if self.is_compressed and stream.position - (self.marks[-1].position if self.marks else 0) >= _MARK_EVERY:
            self.marks.append(stream.fork())

    def stream_at(self, position: int) -> Plain:
        """Return a stream that stands at byte `position` of the body."""
        behind = bisect.bisect_right(self.marks, position, key=lambda mark: mark.position)
        stream = self.marks[behind - 1].fork() if behind else self.start()
        stream.skip(position - stream.position)
        return stream

    def check(self, stream: Plain) -> None:
        """Compare the checksum at the end of `stream`, once for all the arrays of a struct. Raises DamagedError."""
        if not self.verdict:
            try:
                stream.finish()
                self.verdict.append(None)
            except DamagedError as damage:
                self.verdict.append(damage)
        if self.verdict[0] is not None:
            raise DamagedError(*self.verdict[0].args)

    def part(self, stream: Plain, *, most: int) -> tuple[int, memoryview]:
        """Return (mi type, bytes) of the next data element, small or not, and pass over its padding."""
        kind, size = stream.tag()
        if kind >> 16:  # a small element: up to 4 bytes where the size would stand
            kind, size, body = kind & 0xFFFF, kind >> 16, struct.pack(self.order + "I", size)
            if size > 4:
                raise DamagedError("is damaged: a small element states more than 4 bytes")
            return kind, memoryview(body)[:size]
        if size > most:
            raise DamagedError(f"is damaged: {size} bytes where at most {most} belong")
        body_view = stream.read(size)
        stream.skip(min(-size % 8, stream.size - stream.position))
        return kind, body_view

    def header(self, stream: Plain) -> _Header:
        """Read flags, dimensions and name, each checked."""
        kind, flags = self.part(stream, most=8)
        if kind != 6 or len(flags) != 8:
            raise DamagedError("is damaged: its array flags are malformed")
        word = struct.unpack_from(self.order + "I", flags)[0]
        if word & 0xFF == _OPAQUE:  # alone in having no dimensions
            return _Header(_OPAQUE, False, (), self.name(stream))
        kind, raw = self.part(stream, most=4 * _MOST_DIMENSIONS)
        if kind not in (5, 6) or len(raw) % 4 or len(raw) < 8:  # some writers state unsigned dimensions
            raise DamagedError("is damaged: its dimensions are malformed")
        shape = struct.unpack(f"{self.order}{len(raw) // 4}i", raw)
        if min(shape) < 0 or math.prod(max(n, 1) for n in shape) > _MOST_ELEMENTS:
            raise DamagedError("is damaged: its dimensions are impossible")
        return _Header(word & 0xFF, bool(word >> 8 & _COMPLEX_FLAG), shape, self.name(stream))

    def name(self, stream: Plain) -> str:
        """Read the name: printable ASCII, empty inside a struct."""
        kind, raw = self.part(stream, most=_LONGEST_NAME)
        name = bytes(raw).rstrip(b"\0")
        if kind not in (1, 2, 16) or not name.isascii() or not name.decode().isprintable():
            raise DamagedError("is damaged: its name is malformed")
        return name.decode()

    def load(self, name: str, header: _Header, position: int, end: int) -> NumberArray:
        """Decode the real numeric array whose data element spans bytes `position` to `end` of the body."""
        try:
            dtype = np.dtype(_CLASSES[header.mx_class])
            if self.is_compressed:
                self.source.spend(name, min(end - position, header.elements * 8))
            stream = self.stream_at(position)
            kind, raw = self.part(stream, most=header.elements * 8)
            if kind not in _STORED:
                raise DamagedError("is damaged: its data are of an unknown type")
            stored: np.dtype[Any] = np.dtype(self.order + _STORED[kind])
            if header.elements * stored.itemsize != len(raw):
                raise DamagedError(f"is damaged: it states {header.elements} {stored} values and has {len(raw)} bytes")
            if stream.position != end:
                raise DamagedError("is damaged: it holds more than its values")
            self.check(stream)
            values: NumberArray = np.frombuffer(raw, stored).reshape(header.shape, order="F")
            # MATLAB stores doubles in the smallest integers that hold them; back to its own class, or x**2 overflows.
            array = self.source.native(name, values, dtype)
            if dtype.kind in "iu" and not np.can_cast(stored, dtype) and not np.array_equal(array, values):
                raise DamagedError(f"is damaged: its values do not fit {dtype}")
        except DamagedError as damage:
            raise self.source.error(f"variable {name} {damage}") from None
        return array


def _text(element: _Element, header: _Header, stream: Plain) -> str | None:
    """Return the characters of a short row of text, else None."""
    if header.elements > _LONGEST_TEXT or len(header.shape) != 2 or header.shape[0] > 1:
        return None
    kind, raw = element.part(stream, most=4 * _LONGEST_TEXT)
    order = "le" if element.order == "<" else "be"
    encoding = {1: "utf-8", 2: "utf-8", 16: "utf-8", 4: f"utf-16-{order}", 17: f"utf-16-{order}", 18: f"utf-32-{order}"}
    return bytes(raw).decode(encoding.get(kind, "latin-1"), "replace")


class _Walk(NamedTuple):
    """The way through one element, whose header has been read from `stream`.

    left : [fields that may still be listed, bytes that may still be inflated to find them], shared by the whole file
    """

    element: _Element
    stream: Plain
    left: list[int]

    def variables(self, header: _Header, name: str, end: int, depth: int = 0) -> Iterator[Variable]:
        """Yield the array whose header has just been read, which ends at byte `end`, and the contents of a struct."""
        element, source, position = self.element, self.element.source, self.stream.position
        if header.mx_class in _CLASSES and not header.is_complex:
            yield Variable(name, header.shape, "number", lambda: element.load(name, header, position, end))
        elif header.mx_class == _CHAR:
            text = _text(element, header, self.stream)
            yield source.unreadable(name, header.shape, kind="text", cause="is text, not numbers", text=text)
        else:
            unknown = f"of an unknown class ({header.mx_class})"
            what = "complex" if header.mx_class in _CLASSES else _OTHERS.get(header.mx_class, unknown)
            yield source.unreadable(name, header.shape, kind="other", cause=f"is {what}")
        if header.mx_class == _STRUCT and 0 < header.elements <= _LONGEST_STRUCT and depth < _DEEPEST:
            if isinstance(self.stream, Inflated) and depth == 0:
                self.left[1] -= self.stream.size
            try:
                yield from self.fields(header, name, depth)
            except DamagedError as damage:
                yield source.unreadable(f"{name}.unreadable", (), kind="other", cause=str(damage))

    def fields(self, header: _Header, name: str, depth: int) -> Iterator[Variable]:
        """Yield the fields of a struct as `name.field`, those of a small struct array as `name(2).field`."""
        element, stream = self.element, self.stream
        kind, raw = element.part(stream, most=4)
        _, names = element.part(stream, most=64 * _MOST_FIELDS)
        width = struct.unpack(element.order + "i", raw)[0] if len(raw) == 4 else 0
        if kind != 5 or width < 1 or len(names) % width:
            raise DamagedError("is damaged: its field names are malformed")
        titles = [
            bytes(names[i : i + width]).split(b"\0")[0].decode("ascii", "replace") for i in range(0, len(names), width)
        ]
        for index, title in itertools.product(range(header.elements), titles):
            kind, size = stream.tag()
            after = stream.position + size
            self.left[0] -= 1
            if min(self.left) < 0:
                raise DamagedError("has too much in it for all of it to be listed")
            if kind != MATRIX or after > stream.size or not title.isprintable():
                raise DamagedError("is damaged: one of its fields is malformed")
            if size:
                prefix = name if header.elements == 1 else f"{name}({index + 1})"
                yield from self.variables(element.header(stream), f"{prefix}.{title}", after, depth + 1)
            if stream.position > after:
                raise DamagedError("is damaged: one of its fields runs past its end")
            stream.skip(after - stream.position)
            element.mark(stream)


def _elements(source: Source, order: str) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (position, mi type, body) of the top-level elements; raise RecordError where their bounds are broken."""
    view, position = source.view, MAT5_HEADER
    for _ in range(_MOST_VARIABLES):
        if position == len(view):
            return
        if len(view) - position < 8:
            raise source.error("is cut short: it ends inside the tag of a variable", "copy it again")
        source.need(position, position + 8)
        kind, size = struct.unpack_from(order + "II", view, position)
        end = position + 8 + size
        if kind not in (MATRIX, _COMPRESSED):
            raise source.error(f"is damaged: no variable starts at byte {position}", "copy it again")
        if end > len(view):
            raise source.error(f"is cut short: it has {len(view)} bytes of {end} or more", "copy it again")
        yield position, kind, view[position + 8 : end]
        position = end
    raise source.error(f"holds over {_MOST_VARIABLES} variables", "split it")


matches = is_mat5  # for whoever asks this reader alone


def open_mat5(source: Source) -> Contents:
    """Return the variables of a MATLAB v5 file in file order, each in the class that MATLAB gave it (double: float64).

    Numeric arrays keep MATLAB's shape, (samples, 1) for a column. An array that was neither compressed nor stored in
    another type is a read-only view of the file's bytes. The numeric contents of a struct are called `bearing.gs`,
    of a struct array `Y(2).Data`. An array inside intact bounds that cannot be read is listed with kind "other".

    Raises RecordError where the file is cut short, its element tags are damaged, no variable can be read, or two
    variables share a name.
    """
    source.need(0, MAT5_HEADER)
    view = source.view
    order = MAT5_ORDERS.get(bytes(view[124:128]), "")
    if not order:
        raise source.error("is a MATLAB v5 file with a damaged or incomplete header", "copy it again")
    hidden = struct.unpack_from(order + "Q", view, 116)[0]  # where MATLAB keeps what its objects share; no variable
    variables: list[Variable] = []
    left: list[int] = [_MOST_FIELDS, source.budget_bytes]
    broken: list[DamagedError] = []
    for number, (position, kind, body) in enumerate(_elements(source, order), 1):
        name = f"unreadable_{number}"
        element = _Element(source, order, body, source.needs_from(position + 8), kind == _COMPRESSED)
        try:
            stream = element.start(ahead=AHEAD)
            header = element.header(stream)
            if not header.name and position == hidden:
                continue
            if not header.name:
                raise DamagedError("is damaged: it has no name")
            name = header.name
            variables += _Walk(element, stream, left).variables(header, name, stream.size)
        except DamagedError as damage:
            variables.append(source.unreadable(name, (), kind="other", cause=str(damage)))
            broken.append(damage)
    if broken and len(broken) == len(variables):
        raise source.error(f"holds no variable that can be read: the first one {broken[0]}")
    return source.contents("MATLAB v5", variables)
