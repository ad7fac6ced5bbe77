"""The bytes of an archive at any place, as stored and behind gzip, with a bounded piece of it in memory.

gzip: RFC 1952, inflated by zlib, which checks the CRC-32 and the length at the end of each gzip stream.
"""

from __future__ import annotations

import io
import os
import zlib
from typing import Any, NamedTuple, Protocol

MIB = 1024 * 1024
_PIECE = MIB  # the most that is inflated at once
_CHUNK = 64 * 1024  # the most that is read at once to be inflated
_MOST_PLACES = 256  # of about 40 KiB each: what zlib needs to go on from there
_GZIP = b"\x1f\x8b"


class BrokenError(Exception):
    """What is wrong with an archive or a member: the cause in words; `cut` where only its end is missing."""

    def __init__(self, cause: str, *, cut: bool = False) -> None:
        super().__init__(cause)
        self.cut = cut


class Stored(Protocol):
    """The bytes of an archive as they are stored."""

    size: int

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer at the end."""

    def changed(self) -> bool:
        """Tell whether somebody wrote to it since it was opened."""


class Held:
    """An archive in memory: standard input, or a member that may be one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`."""
        return self.data[offset : offset + count]

    def changed(self) -> bool:
        """Return False: nobody else has it."""
        return False


class OnDisk:
    """An archive file. Owns its descriptor, and reads without moving it, so that a fork disturbs nobody."""

    _close = staticmethod(os.close)  # at the end of the program the module may be gone before its objects

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self._status = status
        self.size = status.st_size

    def __del__(self) -> None:
        self._close(self._fd)

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; BrokenError where the disk fails."""
        count = min(count, max(0, self.size - offset))
        try:
            data = os.pread(self._fd, count, offset)
            while len(data) < count and (more := os.pread(self._fd, count - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise BrokenError(f"cannot be read: {os.strerror(error.errno or 0).lower()}") from error
        return data

    def changed(self) -> bool:
        """Tell whether its size or its time of change is another now."""
        now, then = os.fstat(self._fd), self._status
        return (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns)


class Forward(Protocol):
    """Plain bytes that are read forwards; to go back is possible, and may cost something.

    checked : whether a checksum at the end vouches for them
    """

    checked: bool

    def go(self, position: int) -> None:
        """Stand at `position`; BrokenError where the bytes before it are not all there."""

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes and stand after them; fewer only at the end."""

    def finish(self) -> None:
        """Run to the end; BrokenError where a checksum on the way or there does not match."""


class Plain:
    """An archive that is stored as it is."""

    checked = False

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._position = 0

    def go(self, position: int) -> None:
        """Stand at `position`."""
        if position > self._stored.size:
            raise BrokenError("is cut short", cut=True)
        self._position = position

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes."""
        data = self._stored.at(self._position, count)
        self._position += len(data)
        return data

    def finish(self) -> None:
        """Do nothing: there is no checksum."""


class _Place(NamedTuple):
    """Where to go on from: plain bytes before it, stored bytes read, and zlib's state there."""

    position: int
    offset: int
    inflate: Any


class Gunzip:
    """A gzip file as plain bytes.

    It keeps zlib's state at up to 256 places that it came by, evenly spread, so that to go back costs a hundredth of
    the whole and not the whole: tar writes its members in the order of the disk, and they are read in natural order.
    At most `limit` plain bytes come out, whatever goes in.
    """

    checked = True

    def __init__(self, stored: Stored, *, limit: int) -> None:
        self._stored = stored
        self._limit = limit
        self._places = [_Place(0, 0, zlib.decompressobj(wbits=31))]
        self._apart = MIB
        self._return(self._places[0])

    def _return(self, place: _Place) -> None:
        self._position, self._offset = place.position, place.offset
        self._inflate = place.inflate.copy()
        self._waiting = b""
        self._ended = False

    def go(self, position: int) -> None:
        """Stand at `position`; BrokenError where the stream ends or is damaged before it."""
        nearest = max((p for p in self._places if p.position <= position), key=lambda p: p.position)
        if not self._position <= position or nearest.position > self._position:
            self._return(nearest)
        while self._position < position:
            if not self._some(min(_PIECE, position - self._position)):
                raise BrokenError("is cut short", cut=True)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; fewer where the stream ends well. BrokenError where it is cut or damaged."""
        found = io.BytesIO()  # grows in place, and gives its bytes without a copy
        while (missing := count - found.tell()) > 0 and (piece := self._some(min(_PIECE, missing))):
            found.write(piece)
        return found.getvalue()

    def finish(self) -> None:
        """Run to the end, where the checksum is."""
        while self._some(_PIECE):
            pass

    def _some(self, most: int) -> bytes:
        """Return 1 to `most` plain bytes, or none at the end."""
        while not self._ended:
            if not self._waiting:
                self._remember()
                self._waiting = self._stored.at(self._offset, _CHUNK)
                self._offset += len(self._waiting)
            exhausted = not self._waiting  # zlib may still hold bytes that it has not given
            try:
                piece: bytes = self._inflate.decompress(self._waiting, most)
            except zlib.error as error:
                raise BrokenError(f"is damaged: {_words(error)}") from error
            if self._inflate.eof:
                self._next_stream(self._inflate.unused_data)
            else:
                self._waiting = self._inflate.unconsumed_tail
            if piece:
                self._position += len(piece)
                if self._position > self._limit:
                    raise BrokenError(f"holds more than {self._limit / MIB:.0f} MiB, too much for its size")
                return piece
            if exhausted and not self._ended:
                raise BrokenError("is cut short", cut=True)
        return b""

    def _next_stream(self, rest: bytes) -> None:
        """Begin the gzip stream that follows another; where none does, be at the end (padding is passed over)."""
        while True:
            rest = rest.lstrip(b"\0")
            if len(rest) >= len(_GZIP):
                break
            more = self._stored.at(self._offset, _CHUNK)
            self._offset += len(more)
            if not more:
                break
            rest += more
        self._ended = not rest.startswith(_GZIP)
        self._inflate = zlib.decompressobj(wbits=31)
        self._waiting = b"" if self._ended else rest

    def _remember(self) -> None:
        if self._position - self._places[-1].position < self._apart:
            return
        self._places.append(_Place(self._position, self._offset, self._inflate.copy()))
        if len(self._places) > _MOST_PLACES:
            self._apart *= 2
            self._places = self._places[::2]


def inflated(stored: Stored, *, offset: int, count: int, limit: int, keep: bool = True) -> tuple[bytes, int, int, int]:
    """Inflate raw deflate data (RFC 1951) of at most `count` bytes from `offset`.

    Returns the plain bytes (none where `keep` is False), their number, their CRC-32, and the stored bytes used.
    Raises BrokenError where they are cut short, damaged, or more than `limit` plain bytes.
    """
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = io.BytesIO()
    size = crc = read = 0
    waiting = b""
    while not inflate.eof:
        if not waiting:
            waiting = stored.at(offset + read, min(_CHUNK, count - read))
            read += len(waiting)
        exhausted = not waiting
        try:
            piece = inflate.decompress(waiting, min(_PIECE, limit - size + 1))  # 0 would mean: without a limit
        except zlib.error as error:
            raise BrokenError(f"is damaged: {_words(error)}") from error
        waiting = inflate.unconsumed_tail
        if exhausted and not piece and not inflate.eof:
            raise BrokenError("is cut short", cut=True)
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        if size > limit:
            raise BrokenError(f"is damaged: more than the {limit} bytes that are stated are there")
        if keep:
            found.write(piece)
    return found.getvalue(), size, crc, read - len(inflate.unused_data)


def _words(error: zlib.error) -> str:
    """Return zlib's cause: "Error -3 while decompressing data: incorrect data check" -> "incorrect data check"."""
    return str(error).rpartition(": ")[2]
