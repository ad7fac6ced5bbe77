"""Files that others wrote, on their way in: regular files (a pipe where it is asked for), never more than is expected,
never a wait without end.

A FIFO would be waited for without end, a device read without end; a link may lead to either. And JSON of some megabytes
may stand for gigabytes of objects: what it holds is counted before any is made.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from itertools import accumulate
from typing import Any

from faultdx.errors import FaultdxError
from faultdx.files import show

MOST_VALUES = 1 << 20  # of one JSON text: 24 to 100 bytes each once they are read
DEEPEST = 64  # brackets within brackets
# Possessive, and a text that has no end is taken to the end of the data: else each of its quotes is tried in turn, and
# a few hundred kilobytes of escapes take hours.
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.?+)*+"?+', re.DOTALL)
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_MOST_DIGITS = 20


def open_file(
    path: str | os.PathLike[str], *, kind: type[FaultdxError], cure: str, pipes: bool = False
) -> tuple[int, os.stat_result]:
    """Return a descriptor of the regular file `path`, and what it is. The caller closes it.

    kind, cure : of the error that is raised where it is missing, may not be read, or is no regular file
    pipes : a FIFO is taken, too; its descriptor does not wait (EAGAIN)
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
    if not stat.S_ISREG(status.st_mode) and not (pipes and stat.S_ISFIFO(status.st_mode)):
        os.close(fd)
        what = "is a directory" if stat.S_ISDIR(status.st_mode) else "is no regular file (a pipe, a device, a socket)"
        raise kind(f"{show(path)}: cannot be read: {what}: {cure}")
    return fd, status


def read_file(
    path: str | os.PathLike[str], *, limit_bytes: int, kind: type[FaultdxError], cure: str, wait_s: float = 0.0
) -> bytes:
    """Return the bytes of a regular file. Raises `kind` as `open_file` does, and where they are over the limit.

    wait_s : where it is not 0, a FIFO is read too, such as a shell's <(command); its writer has so long for all of it
    """
    fd, status = open_file(path, kind=kind, cure=cure, pipes=wait_s > 0)
    try:
        if stat.S_ISFIFO(status.st_mode):
            data = _piped(fd, limit_bytes, wait_s)
        else:
            data = b"" if status.st_size > limit_bytes else _all(fd, limit_bytes)
    except TimeoutError as error:
        raise kind(f"{show(path)}: cannot be read: this pipe did not end within {wait_s:g} s: {cure}") from error
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


def _piped(fd: int, limit_bytes: int, wait_s: float) -> bytes:
    """Read a FIFO to its end, or to one byte over the limit. Raises TimeoutError."""
    import select

    ready, parts, left, end = select.poll(), list[bytes](), limit_bytes + 1, time.monotonic() + wait_s
    ready.register(fd, select.POLLIN)
    while left:
        if not ready.poll(max(0.0, 1000 * (end - time.monotonic()))):
            raise TimeoutError
        part = os.read(fd, min(left, 1 << 16))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def parse_json(data: bytes, *, most_values: int = MOST_VALUES, strict: bool = False) -> Any:
    """Return what JSON bytes (UTF-8, a mark in front or not) say. Raises ValueError, whatever is wrong with them.

    most_values : numbers, texts, lists and so on at most, counted before the first of them is made (what separates them
        is counted, also inside of texts: never too few); DEEPEST levels at most
    strict : NaN, infinities and whole numbers of over 20 digits are refused, too

    A key that comes twice in one object is refused: readers differ in which of the two they take.
    """
    opened = data.count(b"[") + data.count(b"{")
    if opened + data.count(b",") > most_values:
        raise ValueError(f"more than {most_values} values")
    if opened > DEEPEST:
        brackets = _TEXTS.sub(b"", data).translate(None, _NO_BRACKETS)
        if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels")
    words: dict[str, Any] = {"parse_constant": _no_number, "parse_int": _whole} if strict else {}
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once, **words)
    except RecursionError as error:
        raise ValueError("too many levels") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(digits)
