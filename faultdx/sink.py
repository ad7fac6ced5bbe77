"""A file for HDF5 to write to, which takes the process down where the disk fails under it.

Standard library only. The file itself is made, synced and renamed by `faultdx.files.replacing`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any


class Sink(io.RawIOBase):
    """A new file, open for reading and writing, whose writes do not fail. Raises OSError where it cannot be made.

    HDF5 keeps what it could not write and tries again when the process ends, after it has freed what it needs for that:
    a segmentation fault, caught error or not. Here it never learns of it. From the first failure on, what is written is
    kept in memory and can be read back, as if all were well, until `check` raises the failure. Call `check` often: what
    is held back in between is memory.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._wrong: OSError | None = None
        self._at = self._end = 0
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise the OSError that the disk answered with, if it has."""
        if self._wrong is not None:
            raise self._wrong

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, and return it."""
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def write(self, data: Any) -> int:
        """Write all of `data` at the position; return its length in bytes."""
        with memoryview(data).cast("B") as view:
            count, done = len(view), 0
            try:
                while done < count and self._wrong is None:
                    done += os.pwrite(self._fd, view[done:], self._at + done)
            except OSError as error:
                self._wrong = error
            if done < count:
                self._kept.append((self._at + done, bytes(view[done:])))
        self._at += count
        self._end = max(self._end, self._at)
        return count

    def readinto(self, buffer: Any) -> int:
        """Read from the position into `buffer`; return how many bytes."""
        with memoryview(buffer).cast("B") as view:
            count = max(0, min(len(view), self._end - self._at))
            found = bytearray(count)
            try:
                there = os.pread(self._fd, count, self._at)
                found[: len(there)] = there
            except OSError as error:
                self._wrong = self._wrong or error
            for start, data in self._kept:
                low, high = max(start, self._at), min(start + len(data), self._at + count)
                if low < high:
                    found[low - self._at : high - self._at] = data[low - start : high - start]
            view[:count] = found
        self._at += count
        return count

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        self._end = self._at if size is None else size
        if self._wrong is None:
            try:
                os.ftruncate(self._fd, self._end)
            except OSError as error:
                self._wrong = error
        return self._end

    def close(self) -> None:
        """Close the file; `check` says whether that went well."""
        if not self.closed:
            try:
                os.close(self._fd)
            except OSError as error:
                self._wrong = self._wrong or error
        super().close()
