"""A name -> bytes: the one door through which recordings come in.

A name is a file, `-`, or `FILE:INSIDE`: a member of an archive, a variable of a file, or both.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from faultdx.errors import RecordError
from faultdx.records.handles import (
    LIMIT_BYTES,
    STANDARD_INPUT,
    cannot_open,
    check_size,
    locate,
    open_regular,
    read_open,
    read_standard_input,
)
from faultdx.records.marks import ARCHIVE_HEAD, MATLAB_HEAD, is_surely_mat5, may_be_archive
from faultdx.records.mirror import Mirror

if TYPE_CHECKING:
    from faultdx.records.archives import Archive

__all__ = [
    "LIMIT_BYTES",
    "STANDARD_INPUT",
    "Fetched",
    "blob_id",
    "fetch",
    "is_standard_input",
    "may_lead_inside",
    "read_bytes",
    "sha256_of",
]


_MIB = 1024 * 1024


class Fetched(NamedTuple):
    """The bytes that a name led to, the variable that it named inside them, and the memory that their decoding may
    take, bytes: for a member of an archive it depends on the archive's size.

    mirror : a file that is read as far as it is needed, where that was asked for; `data` is empty then
    """

    data: bytes
    variable: str | None = None
    room_bytes: int | None = None
    mirror: Mirror | None = None


def fetch(path: str, *, lazily: bool = False) -> Fetched:
    """Return the bytes of the recording `path`: a file, `-`, `FILE:INSIDE`, or an archive of a single file.

    lazily : of a file of MATLAB v5 give a Mirror, of which nothing has been read yet

    Raises RecordError when it is missing, may not be read, is no regular file, is empty, is over the limit, or
    changed while it was read; for a member also when it is not whole, or no file. Nothing is written anywhere.
    """
    place = locate(path)
    data, archive = _look(place.file, lazily=lazily)
    if isinstance(data, Mirror):
        return Fetched(b"", place.inside, mirror=data)
    if archive is None:
        return Fetched(data, place.inside)
    if place.inside is not None:
        member, variable = archive.find(place.inside)
    elif len(archive.members) == 1 and not archive.problem:
        member, variable = archive.members[0], None
    else:
        archive.refuse()
    data = archive.read(member)
    return Fetched(data, variable, 48 * _MIB + 8 * archive.size_bytes - len(data))


def _look(file: str, *, lazily: bool) -> tuple[bytes | Mirror, Archive | None]:
    """Return the bytes of a file, or the archive that it is. One opening where it is none."""
    if file == STANDARD_INPUT:
        data = read_standard_input()
        return data, _archive(file, data[:ARCHIVE_HEAD])
    fd, status = open_regular(file)
    try:
        head = os.pread(fd, MATLAB_HEAD, 0)
        archive = _archive(file, head[:ARCHIVE_HEAD])
        if archive is not None:
            return b"", archive
        if lazily and is_surely_mat5(head) and len(head) <= status.st_size <= LIMIT_BYTES:
            fd, owned = -1, fd
            return Mirror(file, owned, status), None
        return read_open(file, fd, status), None
    except OSError as error:
        raise cannot_open(file, error) from error
    finally:
        if fd >= 0:
            os.close(fd)


def _archive(file: str, head: bytes) -> Archive | None:
    if not may_be_archive(head):
        return None
    from faultdx.records.archives import open_archive

    return open_archive(file)


def read_bytes(path: str | os.PathLike[str], *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of a regular file, of standard input where `path` is "-", or of a member of an archive.

    Of an archive itself they are the bytes as stored, of `FILE:VARIABLE` those of the file.
    Raises RecordError, as `fetch` does, and when they are more than `limit_bytes`.
    """
    place = locate(os.fspath(path))
    if place.inside is not None:
        data = fetch(os.fspath(path)).data
    elif place.file == STANDARD_INPUT:
        data = read_standard_input(limit_bytes=limit_bytes)
    else:
        fd, status = open_regular(place.file)
        try:
            return read_open(place.file, fd, status, limit_bytes=limit_bytes)
        finally:
            os.close(fd)
    check_size(os.fspath(path), len(data), limit_bytes)
    return data


def may_lead_inside(path: str) -> bool:
    """Tell whether `path` names an archive, or something in one, or may do so. Never raises: reading it will say what
    is wrong."""
    file = locate(path).file
    try:
        if file == STANDARD_INPUT:
            return may_be_archive(read_standard_input()[:ARCHIVE_HEAD])
        fd, _ = open_regular(file)
        try:
            return may_be_archive(os.pread(fd, ARCHIVE_HEAD, 0))
        finally:
            os.close(fd)
    except (RecordError, OSError):
        return False


def is_standard_input(path: str) -> bool:
    """Tell whether a recording comes from standard input: itself, or a member of an archive that is piped in."""
    return locate(path).file == STANDARD_INPUT


def sha256_of(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def blob_id(data: bytes | memoryview) -> str:
    """Return the git blob id of `data`, in hexadecimal: it names content, and is no protection against forgery.

    SHA-1 of "blob SIZE", a zero byte and the bytes, as `git hash-object` computes it (Git documentation, "Git
    Internals - Git Objects").
    """
    blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    blob.update(data)
    return blob.hexdigest()
