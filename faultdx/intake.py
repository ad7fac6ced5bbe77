"""Files that others wrote, on their way in: regular files only, never more than is expected, never a wait.

A FIFO would be waited for without end, a device read without end; a link may lead to either.
"""

from __future__ import annotations

import os
import stat

from faultdx.errors import FaultdxError
from faultdx.files import show


def open_file(path: str | os.PathLike[str], *, kind: type[FaultdxError], cure: str) -> tuple[int, os.stat_result]:
    """Return a descriptor of the regular file `path`, and what it is. The caller closes it.

    kind, cure : of the error that is raised where it is missing, may not be read, or is no regular file
    """
    fd = -1
    try:
        # O_NONBLOCK: the open of a FIFO that nobody writes to returns at once instead of never.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(fd)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        if fd >= 0:
            os.close(fd)
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
        raise kind(f"{show(path)}: cannot be read: {reason}: {cure}") from error
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        what = "is a directory" if stat.S_ISDIR(status.st_mode) else "is no regular file (a pipe, a device, a socket)"
        raise kind(f"{show(path)}: cannot be read: {what}: {cure}")
    return fd, status


def read_file(path: str | os.PathLike[str], *, limit_bytes: int, kind: type[FaultdxError], cure: str) -> bytes:
    """Return the bytes of a regular file. Raises `kind` as `open_file` does, and where they are over the limit."""
    fd, status = open_file(path, kind=kind, cure=cure)
    try:
        data = b"" if status.st_size > limit_bytes else _all(fd, limit_bytes)
    except OSError as error:
        raise kind(f"{show(path)}: cannot be read: {os.strerror(error.errno or 0).lower()}: {cure}") from error
    finally:
        os.close(fd)
    if max(status.st_size, len(data)) > limit_bytes:
        raise kind(f"{show(path)}: is larger than any such file may be ({limit_bytes / 2**20:.3g} MiB): {cure}")
    return data


def _all(fd: int, limit_bytes: int) -> bytes:
    """Read to the end, or to one byte over the limit."""
    parts, left = [], limit_bytes + 1
    while left and (part := os.read(fd, min(left, 1 << 24))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
