"""A name -> an open regular file, or the bytes of standard input. Nothing is trusted about what a name points at.

A FIFO in a spool folder would block a reader for ever, a device would feed it without end, and a huge file would take
the gateway's memory. So the descriptor is opened without blocking, examined, and only then read, under a limit.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from typing import BinaryIO, NamedTuple

from faultdx.errors import RecordError
from faultdx.files import show

STANDARD_INPUT = "-"
LIMIT_BYTES = 256 * 1024 * 1024  # 10 minutes of one 48 kHz float64 channel; what a 512 MB gateway can still hold
_CHUNK_BYTES = 1024 * 1024

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISSOCK, "a socket"),
)
# Names of other systems, whose colon parts nothing: C:\spool\a.mat, https://host/a.mat
_FOREIGN_NAME = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]*://")


class Location(NamedTuple):
    """A file ("-" is standard input), and what is named inside it: a member of an archive, a variable, or both."""

    file: str
    inside: str | None = None


def locate(path: str) -> Location:
    """Tell the file and the inside of `FILE:INSIDE`. Never raises.

    Where a file of exactly this name exists, it is that file; otherwise FILE is the longest part before a colon that
    names a file. Where there is none, the whole is a name (of nothing that is there).
    """
    whole = Location(path)
    if path == STANDARD_INPUT or ":" not in path or "\0" in path or os.path.lexists(path) or _FOREIGN_NAME.match(path):
        return whole
    end = len(path)
    while (end := path.rfind(":", 0, end)) > 0:
        file, inside = path[:end], path[end + 1 :]
        if inside and (file == STANDARD_INPUT or (os.path.lexists(file) and not os.path.isdir(file))):  # noqa: PTH112
            return Location(file, inside)
    return whole


def open_regular(name: str) -> tuple[int, os.stat_result]:
    """Open a regular file; return its descriptor, which the caller closes, and its state.

    Raises RecordError when it is missing, may not be read, or is no regular file.
    """
    fd = -1
    try:
        # O_NONBLOCK: the open of a FIFO that nobody writes to returns at once instead of never.
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
        _check_kind(name, status)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        if fd >= 0:
            os.close(fd)
        raise cannot_open(name, error) from error
    except RecordError:
        os.close(fd)
        raise
    return fd, status


def read_open(name: str, fd: int, status: os.stat_result, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of the regular file that `open_regular` opened.

    Raises RecordError when it is empty, over `limit_bytes`, cannot be read, or changed while it was read.
    """
    if status.st_size > limit_bytes:
        check_size(name, status.st_size, limit_bytes)
    try:
        with io.FileIO(fd, closefd=False) as stream:
            data = _read_up_to(stream, limit_bytes, expected=status.st_size)
    except OSError as error:
        raise cannot_open(name, error) from error
    check_size(name, len(data), limit_bytes)
    if status.st_size and len(data) != status.st_size:
        raise RecordError(
            f"{show(name)}: its size changed while it was read ({status.st_size} to {len(data)} bytes or more); "
            "wait until its writer has closed it, and try again",
            name,
        )
    return data


def check_size(name: str, size: int, limit_bytes: int) -> None:
    """Raise RecordError where a recording has no byte, or more than the limit."""
    shown = "standard input" if name == STANDARD_INPUT else show(name)
    if size == 0:
        raise RecordError(f"{shown}: is empty (0 bytes); record or copy it again", name)
    if size > limit_bytes:
        raise RecordError(
            f"{shown}: is larger than the limit of {limit_bytes / 2**20:g} MiB for one recording; "
            "cut it into shorter files",
            name,
        )


def cannot_open(name: str, error: OSError | ValueError) -> RecordError:
    """Return the RecordError that says why a file could not be opened or read."""
    if isinstance(error, FileNotFoundError):
        if any(c in name for c in "*?["):
            return RecordError(f"{show(name)}: no file matches this pattern; check the folder and the pattern", name)
        return RecordError(f"{show(name)}: no such file or folder; check the name", name)
    if isinstance(error, PermissionError):
        return RecordError(f"{show(name)}: no permission to read it; ask its owner for read access", name)
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return RecordError(f"{show(name)}: cannot be read: {reason}; check the name and the disk", name)


def _check_kind(name: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise RecordError(f"{show(name)}: is a folder, not a recording (or it holds none); name a recording", name)
    if not stat.S_ISREG(status.st_mode):
        kind = next((what for test, what in _KINDS if test(status.st_mode)), "no regular file")
        raise RecordError(f"{show(name)}: is {kind}, not a file; name a file, or pipe it in and name -", name)


def _read_up_to(stream: io.RawIOBase | BinaryIO, limit_bytes: int, *, expected: int = 0) -> bytes:
    """Read to the end, or to one byte past the limit. One allocation where the size is known in advance."""
    parts: list[bytes] = []
    size = 0
    want = min(expected, limit_bytes) + 1
    while size <= limit_bytes:
        part = stream.read(want)
        if not part:
            break
        parts.append(part)
        size += len(part)
        want = min(_CHUNK_BYTES, limit_bytes + 1 - size)
    return parts[0] if len(parts) == 1 else b"".join(parts)


# What was read from standard input (or why it could not be), with the stream it came from: it is looked at, and read
# twice by `prepare`, but a pipe gives its bytes only once, and half of a pipe that was refused is no recording.
_spooled: tuple[object, bytes | RecordError] | None = None


def read_standard_input(*, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of standard input, the same each time.

    Raises RecordError when it is closed, empty or over the limit.
    """
    global _spooled
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise RecordError("standard input: is closed; pipe a recording in, or name a file", STANDARD_INPUT)
    if _spooled is None or _spooled[0] is not stream:
        try:
            data = _read_up_to(stream, limit_bytes, expected=_CHUNK_BYTES)
            check_size(STANDARD_INPUT, len(data), limit_bytes)
            _spooled = (stream, data)
        except (OSError, ValueError) as error:
            cause = f"standard input: cannot be read: {error}; pipe a recording in"
            _spooled = (stream, RecordError(cause, STANDARD_INPUT))
        except RecordError as error:
            _spooled = (stream, error.with_traceback(None))  # the traceback would keep the bytes
    found = _spooled[1]
    if isinstance(found, RecordError):
        raise RecordError(str(found), STANDARD_INPUT)
    return found
