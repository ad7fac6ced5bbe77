"""A name -> bytes: the one door through which recordings come in.

Nothing is trusted about what a name points at: a FIFO in a spool folder would
block a reader for ever, a device would feed it without end, and a huge file
would take the gateway's memory. So the descriptor is opened without blocking,
examined, and only then read, under a limit.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import sys
from typing import BinaryIO

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


def read_bytes(path: str | os.PathLike[str], *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of the regular file `path`, or of standard input where `path` is "-".

    Raises RecordError when it is missing, may not be read, is no regular file, is empty, is over `limit_bytes`,
    or changed while it was read.
    """
    name = os.fspath(path)
    if name == STANDARD_INPUT:
        return _read_standard_input(limit_bytes)
    try:
        # O_NONBLOCK: the open of a FIFO that nobody writes to returns at once instead of never.
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise _cannot_open(name, error) from error
    try:
        # FileIO refuses a folder with IsADirectoryError, so the descriptor is examined first.
        status = os.fstat(fd)
        _check_kind(name, status, limit_bytes)
        with io.FileIO(fd, closefd=False) as stream:
            data = _read_up_to(stream, limit_bytes, expected=status.st_size)
    except OSError as error:
        raise _cannot_open(name, error) from error
    finally:
        os.close(fd)
    _check_size(name, len(data), limit_bytes)
    if status.st_size and len(data) != status.st_size:
        raise RecordError(
            f"{show(name)}: its size changed while it was read ({status.st_size} to {len(data)} bytes or more); "
            "wait until its writer has closed it, and try again",
            name,
        )
    return data


def digests(data: bytes) -> tuple[str, str]:
    """Return (SHA-256, git blob id) of `data`, in hexadecimal.

    The blob id is SHA-1 of "blob SIZE", a zero byte and the bytes, as `git hash-object` computes it (Git
    documentation, "Git Internals - Git Objects"). It names content here; it is no protection against forgery.
    """
    blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    blob.update(data)
    return hashlib.sha256(data).hexdigest(), blob.hexdigest()


def _check_kind(name: str, status: os.stat_result, limit_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise RecordError(f"{show(name)}: is a folder, not a recording (or it holds none); name a recording", name)
    if not stat.S_ISREG(status.st_mode):
        kind = next((what for test, what in _KINDS if test(status.st_mode)), "no regular file")
        raise RecordError(f"{show(name)}: is {kind}, not a file; name a file, or pipe it in and name -", name)
    if status.st_size > limit_bytes:
        _check_size(name, status.st_size, limit_bytes)


def _check_size(name: str, size: int, limit_bytes: int) -> None:
    shown = "standard input" if name == STANDARD_INPUT else show(name)
    if size == 0:
        raise RecordError(f"{shown}: is empty (0 bytes); record or copy it again", name)
    if size > limit_bytes:
        raise RecordError(
            f"{shown}: is larger than the limit of {limit_bytes / 2**20:g} MiB for one recording; "
            "cut it into shorter files",
            name,
        )


def _cannot_open(name: str, error: OSError | ValueError) -> RecordError:
    if isinstance(error, FileNotFoundError):
        if any(c in name for c in "*?["):
            return RecordError(f"{show(name)}: no file matches this pattern; check the folder and the pattern", name)
        return RecordError(f"{show(name)}: no such file or folder; check the name", name)
    if isinstance(error, PermissionError):
        return RecordError(f"{show(name)}: no permission to read it; ask its owner for read access", name)
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return RecordError(f"{show(name)}: cannot be read: {reason}; check the name and the disk", name)


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


# What was read from standard input, with the stream it came from: `prepare` reads each source twice, a pipe only once.
_spooled: tuple[object, bytes] | None = None


def _read_standard_input(limit_bytes: int) -> bytes:
    global _spooled
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise RecordError("standard input: is closed; pipe a recording in, or name a file", STANDARD_INPUT)
    if _spooled is not None and _spooled[0] is stream:
        return _spooled[1]
    try:
        data = _read_up_to(stream, limit_bytes, expected=_CHUNK_BYTES)
    except (OSError, ValueError) as error:
        raise RecordError(f"standard input: cannot be read: {error}; pipe a recording in", STANDARD_INPUT) from error
    _check_size(STANDARD_INPUT, len(data), limit_bytes)
    _spooled = (stream, data)
    return data
