"""The bytes of a file in memory of our own, each read from the file at most once, when somebody first needs it.

To list the variables of a MATLAB file takes a few hundred of its bytes, and one channel of it a part of the rest. What
was read stays here, so that what is decoded is what a digest is taken of, whoever writes to the file meanwhile. The
file itself is never mapped: one that is cut while it is mapped kills the process (SIGBUS).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import weakref
from collections import deque
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.handles import cannot_open

_BLOCK = 1 << 14  # bytes: what is read at least, and once
_HUGE = 1 << 21  # bytes: of a huge page on x86-64 and most ARM
_SMALLEST_MAP = 1 << 19  # bytes: below it, clearing a huge page costs more than the faults of small ones
_LARGEST_SPARE = 1 << 23
_MOST_OPEN = 32  # mirrors that may keep their files open, in one process

_spare: deque[mmap.mmap] = deque(maxlen=1)  # memory that nobody uses any more, for the next file
_waiting: deque[weakref.ref[Mirror]] = deque()


class Mirror:
    """A regular file that is being read. Owns the descriptor, which it closes when it has every byte, or is dropped.

    view : all its bytes, read-only; only those that were asked for by `need` are there
    At most 32 of a process have their files open: the oldest is read to its end when there is one more.
    """

    _close = staticmethod(os.close)  # at the end of the program the module may be gone before its objects

    def __init__(self, name: str, fd: int, status: os.stat_result) -> None:
        self._fd = fd  # first, so that it is closed whatever happens next
        self.name, self.size, self._status = name, status.st_size, status
        self._refused = ""
        self._lock = threading.Lock()
        self._there = bytearray(-(-self.size // _BLOCK))  # 1 for each block that was read
        self._missing = len(self._there)
        try:
            self._memory = _memory(self.size).data[: self.size]
        except OSError as error:
            raise cannot_open(name, error) from error
        self.view = self._memory.toreadonly()
        _waiting.append(weakref.ref(self))
        if len(_waiting) > _MOST_OPEN:
            oldest = _waiting.popleft()()
            if oldest is not None:
                oldest.finish()

    def __del__(self) -> None:
        if self._fd >= 0:
            self._close(self._fd)

    def need(self, start: int, end: int) -> None:
        """Have the bytes from `start` up to `end` in `view`.

        Raises RecordError where they cannot be read, or the file changed since it was opened.
        """
        if not self._missing:
            return
        first, last = start // _BLOCK, -(-min(end, self.size) // _BLOCK)
        if self._there.find(0, first, last) < 0:  # what is there stays there
            return
        with self._lock:
            while (at := self._there.find(0, first, last)) >= 0:
                stop = self._there.find(1, at, last)
                stop = last if stop < 0 else stop
                self._read(at * _BLOCK, min(stop * _BLOCK, self.size))
                self._there[at:stop] = b"\1" * (stop - at)
                self._missing -= stop - at
            if not self._missing and self._fd >= 0:
                fd, self._fd = self._fd, -1
                os.close(fd)

    def whole(self) -> memoryview:
        """Return all bytes, read-only. Raises RecordError, as `need` does."""
        self.need(0, self.size)
        return self.view

    def finish(self) -> None:
        """Read what is missing, and close the file. What goes wrong is said to whoever needs a byte."""
        try:
            self.need(0, self.size)
        except RecordError:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def _read(self, start: int, end: int) -> None:
        if self._refused:
            raise RecordError(self._refused, self.name)
        try:
            while start < end:
                count = os.preadv(self._fd, [self._memory[start:end]], start)
                if not count:
                    self._refuse(os.fstat(self._fd).st_size)
                start += count
            now, then = os.fstat(self._fd), self._status
        except OSError as error:
            refused = cannot_open(self.name, error)
            self._refused = str(refused)
            raise refused from error
        if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
            self._refuse(now.st_size)

    def _refuse(self, size: int) -> NoReturn:
        what = f"its size changed while it was read ({self.size} to {size} bytes)"
        if size == self.size:
            what = "it was written to while it was read"
        self._refused = f"{show(self.name)}: {what}; wait until its writer has closed it, and try again"
        raise RecordError(self._refused, self.name)


def _memory(size: int) -> npt.NDArray[np.uint8]:
    """Return memory of `size` bytes or more, in huge pages where the system has them: a file of 3 MB is 700 page
    faults in small ones, which take twice as long as the copy. What is in it is not defined."""
    if size < _SMALLEST_MAP:
        return np.empty(size, np.uint8)
    length = -(-size // _HUGE) * _HUGE
    found: mmap.mmap | None = None
    with contextlib.suppress(IndexError):
        found = _spare.pop()
    if found is None or len(found) < length:
        # Private: Python's default is shared memory, which comes in small pages.
        found = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            found.madvise(mmap.MADV_HUGEPAGE)
    base = np.frombuffer(found, np.uint8)
    if len(found) <= _LARGEST_SPARE:
        # Every view and array leads back to `base`: when the last of them is gone, the next file may have its memory.
        weakref.finalize(base, _spare.append, found).atexit = False
    return base
