"""The bytes of one element of a MATLAB v5 file, read in order: as they stand, or inflated on the way.

An element may be damaged, lie about its size, or inflate to a thousand times its size. Nothing is taken on trust:
a read beyond the stated size, a stream that ends early, late, or with a wrong checksum is `DamagedError`, and
memory is taken only for what has been asked for.
"""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Callable
from typing import Self

import numpy as np

MATRIX = 14  # miMATRIX, the mi type that a compressed element holds
_MOST_RATIO = 1040  # deflate expands at most 1032 times
_BLOCK = 1 << 16  # bytes that are inflated at once only to be passed over
_ONE_SHOT = 1 << 22  # and to be kept: twice that is taken for a moment
_MARGIN = 512  # bytes of compressed data fed beyond the size of the output that is wanted
AHEAD = 1024  # more than the headers of an array take


class DamagedError(Exception):
    """Why an element cannot be read; becomes a RecordError where the file and the variable are known."""


Need = Callable[[int, int], None]  # have the bytes of a view from, up to; raises RecordError


def all_there(start: int, end: int) -> None:
    """Do nothing: the bytes of a view are there already."""


class Plain:
    """Bytes that are read in order, without a copy.

    need : is told which bytes of `view` are looked at next, before they are
    """

    def __init__(self, view: memoryview, order: str, need: Need = all_there) -> None:
        self._view, self.order, self._need, self.position, self.size = view, order, need, 0, len(view)

    def tag(self) -> tuple[int, int]:
        """Return the two words of the next tag: mi type and size in bytes, in byte order `order`."""
        kind, size = struct.unpack(self.order + "II", self.read(8))
        return kind, size

    def claim(self, count: int) -> None:
        """Move on by `count` bytes, all of which must be there."""
        if count > self.size - self.position:
            raise DamagedError("is damaged: a part of it runs past its end")
        self.position += count

    def read(self, count: int) -> memoryview:
        """Return the next `count` bytes, read-only. Raises DamagedError where they are not there."""
        self.claim(count)
        self._need(self.position - count, self.position)
        return self._view[self.position - count : self.position]

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes. Raises DamagedError where they are not there."""
        self.claim(count)

    def finish(self) -> None:
        """Check what is known only at the end: here nothing."""

    def fork(self) -> Self:
        """Return a stream at the same position that goes on by itself."""
        return copy.copy(self)


class Inflated(Plain):
    """The same over a zlib stream: inflated as far as is asked for, so that memory stays with that.

    ahead : inflate this many bytes at once where fewer are read; each call of zlib costs as much as 30 KiB copied
    """

    def __init__(self, view: memoryview, order: str, need: Need = all_there, *, ahead: int = 0) -> None:
        super().__init__(view, order, need)
        self._inflater = zlib.decompressobj()
        self._fed, self._ready, self._ahead, self.size = 0, memoryview(b""), ahead, 8
        kind, size = self.tag()
        if kind != MATRIX or size > _MOST_RATIO * len(view):
            raise DamagedError("is damaged: its compressed data are no array, or state more than they can hold")
        self.position, self.size = 0, size

    def _more(self, most: int) -> bytes:
        """Return 1 to `most` further bytes, or none at the end of the stream."""
        try:
            while not self._inflater.eof:
                # What is not consumed is copied, so no more is fed than the output may need; fewer calls are faster.
                block = self._view[self._fed : self._fed + most + _MARGIN]
                self._need(self._fed, self._fed + len(block))
                out = self._inflater.decompress(block, most)
                self._fed += len(block) - len(self._inflater.unconsumed_tail)
                if out:
                    return out
                if not len(block):
                    raise DamagedError("is damaged: its compressed data are cut short")
        except zlib.error as error:
            raise DamagedError("is damaged: its compressed data do not inflate, or fail their checksum") from error
        return b""

    def _look_ahead(self, count: int, left: int) -> None:
        """Have up to `left` bytes ready, and at least `count`. Damage behind those is not yet anybody's concern."""
        ready = bytearray(self._ready)
        try:
            while len(ready) < min(max(count, self._ahead), left) and (block := self._more(left - len(ready))):
                ready += block
        except DamagedError:
            if len(ready) < count:
                raise
        self._ready = memoryview(ready).toreadonly()

    def read(self, count: int) -> memoryview:
        """Return the next `count` bytes, read-only, inflated now. Raises DamagedError."""
        left = self.size - self.position
        self.claim(count)
        if len(self._ready) < count < self._ahead:
            self._look_ahead(count, min(left, self._ahead))
        if count <= len(self._ready):
            out, self._ready = self._ready[:count], self._ready[count:]
            return out
        first = bytes(self._ready) or self._more(min(count, _ONE_SHOT))
        self._ready = memoryview(b"")
        if len(first) == count:  # nearly always: nothing is copied
            return memoryview(first)
        whole, filled, block = np.empty(count, np.uint8), 0, first
        while filled < count:
            block = block or self._more(min(count - filled, _ONE_SHOT))
            if not block:
                raise DamagedError("is damaged: its compressed data end too early")
            whole[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
            filled += len(block)
            first = block = b""  # given back before the next one is made
        return whole.data.toreadonly()

    def skip(self, count: int) -> None:
        """Inflate and drop `count` bytes, with no more memory than a block."""
        while count > 0:
            count -= len(self.read(min(count, _BLOCK)))

    def finish(self) -> None:
        """Run the stream to its end, where zlib compares the checksum of all that was inflated."""
        self.skip(self.size - self.position)
        if self._more(1):
            raise DamagedError("is damaged: its compressed data hold more than they state")

    def fork(self) -> Self:
        """Return a stream at the same position that goes on by itself; it takes 40 KiB, most of it zlib's window."""
        other = super().fork()
        other._inflater = self._inflater.copy()
        return other
