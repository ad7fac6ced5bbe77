"""A name -> bytes: the one door through which recordings come in.

A name is a file, `-`, or `FILE:INSIDE`: a member of an archive, a variable of a file, or both.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from faultdx.records.archives import HEAD_BYTES, Archive, may_be_archive, open_archive
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
from faultdx.records.streams import MIB

__all__ = [
    "LIMIT_BYTES",
    "STANDARD_INPUT",
    "Fetched",
    "blob_id",
    "fetch",
    "is_standard_input",
    "read_bytes",
    "sha256_of",
]


@dataclass(frozen=True)
class Fetched:
    """The bytes that a name led to, the variable that it named inside them, and the memory that their decoding may
    take, bytes: for a member of an archive it depends on the archive's size."""

    data: bytes
    variable: str | None = None
    room_bytes: int | None = None


def fetch(path: str) -> Fetched:
    """Return the bytes of the recording `path`: a file, `-`, `FILE:INSIDE`, or an archive of a single file.

    Raises RecordError when it is missing, may not be read, is no regular file, is empty, is over the limit, or
    changed while it was read; for a member also when it is not whole, or no file. Nothing is written anywhere.
    """
    place = locate(path)
    data, archive = _look(place.file)
    if archive is None:
        return Fetched(data, place.inside)
    if place.inside is not None:
        member, variable = archive.find(place.inside)
    elif len(archive.members) == 1 and not archive.problem:
        member, variable = archive.members[0], None
    else:
        archive.refuse()
    data = archive.read(member)
    return Fetched(data, variable, 48 * MIB + 8 * archive.size_bytes - len(data))


def _look(file: str) -> tuple[bytes, Archive | None]:
    """Return the bytes of a file, or the archive that it is. One opening where it is none."""
    if file == STANDARD_INPUT:
        data = read_standard_input()
        return data, open_archive(file) if may_be_archive(data[:HEAD_BYTES]) else None
    fd, status = open_regular(file)
    try:
        archive = open_archive(file) if may_be_archive(os.pread(fd, HEAD_BYTES, 0)) else None
        return (read_open(file, fd, status) if archive is None else b""), archive
    except OSError as error:
        raise cannot_open(file, error) from error
    finally:
        os.close(fd)


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


def is_standard_input(path: str) -> bool:
    """Tell whether a recording comes from standard input: itself, or a member of an archive that is piped in."""
    return locate(path).file == STANDARD_INPUT


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def blob_id(data: bytes) -> str:
    """Return the git blob id of `data`, in hexadecimal: it names content, and is no protection against forgery.

    SHA-1 of "blob SIZE", a zero byte and the bytes, as `git hash-object` computes it (Git documentation, "Git
    Internals - Git Objects").
    """
    blob = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    blob.update(data)
    return blob.hexdigest()
