"""Archives of recordings: .zip, .tar, .tar.gz and a single gzipped file, told by their bytes, read member by member.

Nothing is ever extracted to the disk, so that no name in an archive can lead anywhere. What comes out is bounded by
the size of the archive, and checked against the checksums that the format has.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import NoReturn

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records import tars, zips
from faultdx.records.handles import LIMIT_BYTES, STANDARD_INPUT, cannot_open, open_regular, read_standard_input
from faultdx.records.marks import ARCHIVE_HEAD, GZIP, ZIP, may_be_archive
from faultdx.records.streams import MIB, BrokenError, Forward, Gunzip, Held, OnDisk, Plain, Stored
from faultdx.records.tars import Entry, Index

# Zip archives that are documents or programs, by a member that they always have.
_DOCUMENTS = ("[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF")
_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst")
_LISTED = 6  # names in one message
_CURE = "copy or pack it again"
_NESTED = "is an archive inside an archive"
Take = Callable[[Entry, int], bytes]  # an entry, and the most bytes that it may have


def most_unpacked_bytes(archive_bytes: int) -> int:
    """Return how large a member may be: 24 MiB and six times the archive, and no more than a file may have."""
    return min(LIMIT_BYTES, 24 * MIB + 6 * archive_bytes)


def most_total_bytes(archive_bytes: int) -> int:
    """Return how much may come out of an archive in all: recordings shrink to a third or a tenth, bombs to a 1000th."""
    return 64 * MIB + 64 * archive_bytes


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name without what would lead out of it ("./", a leading "/"), its size unpacked,
    bytes (None where only reading it tells), and why it cannot be read ("" where it can)."""

    name: str
    size_bytes: int | None
    cause: str = ""


class Archive:
    """An archive, open.

    name : of its file, "-" for standard input; kind : "zip", "tar", "tar.gz" or "gzip"
    members : its files that are whole, in its order; problem : what is wrong with the rest, a sentence, else ""
    """

    def __init__(self, name: str, kind: str, stored: Stored, index: Index, take: Take) -> None:
        self.name, self.kind, self.size_bytes = name, kind, stored.size
        self._stored, self._take = stored, take
        self._lock = threading.Lock()  # a stream has one place
        files = [(name, e) for e in index.entries if not e.folder and (name := _tidy(e.name))]
        times = Counter(name for name, _ in files)
        self._entries = dict(files)
        self.members = tuple(
            Member(name, entry.size, _cause(name, entry, times[name])) for name, entry in self._entries.items()
        )
        self._members = {member.name: member for member in self.members}
        self.problem = f"{index.problem}; copy it again" if index.problem else ""

    def find(self, inside: str) -> tuple[Member, str | None]:
        """Return the member that `inside` names, and the variable of it that follows a colon.

        Raises RecordError, which lists members, where there is none.
        """
        end = len(inside)
        while end > 0:
            for name in (inside[:end], _tidy(inside[:end])):
                if name in self._members:
                    return self._members[name], inside[end + 1 :] or None
            end = inside.rfind(":", 0, end)
        if self.kind == "gzip":
            return self.members[0], inside
        if self.problem:
            self.refuse()
        raise self._error(f"no member {show(inside)}; name one of {self._listed()}")

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member. Raises RecordError where it is not whole, too large, or no file."""
        name, limit = f"{self.name}:{member.name}", most_unpacked_bytes(self.size_bytes)
        try:
            if member.cause:
                raise BrokenError(member.cause)
            with self._lock:
                data = self._take(self._entries[member.name], limit)
            if self._stored.changed():
                raise BrokenError("changed while it was read")
            if not data:
                raise BrokenError("is empty (0 bytes)")
            if _is_archive(data, name=member.name):
                raise BrokenError(_NESTED)
        except BrokenError as error:
            cure = "pack it again, as one plain file" if member.cause else _CURE
            if str(error).endswith((_NESTED, "unpacked")):
                cure = "unpack it first"
            raise RecordError(f"{show(name)}: {error}; {cure}", name) from error
        return data

    def refuse(self) -> NoReturn:
        """Raise the RecordError of somebody who names the archive where a recording is meant, or of what is wrong."""
        if self.problem:
            raise self._error(self.problem)
        if not self.members:
            raise self._error("is an archive without a recording; name another")
        raise self._error(f"is an archive ({self.kind}) of {len(self.members)} files; name one of {self._listed()}")

    def _error(self, text: str) -> RecordError:
        shown = "standard input" if self.name == STANDARD_INPUT else show(self.name)
        return RecordError(f"{shown}: {text}", self.name)

    def _listed(self) -> str:
        names = [show(f"{self.name}:{member.name}") for member in self.members]
        return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _tidy(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _cause(name: str, entry: Entry, times: int) -> str:
    if entry.cause:
        return entry.cause
    if times > 1:
        return f"stands {times} times in the archive"
    return _NESTED if name.lower().endswith(_SUFFIXES) else ""


def _is_archive(data: bytes, *, name: str) -> bool:
    if not data.startswith(ZIP):
        return may_be_archive(data[:ARCHIVE_HEAD])
    try:
        return _indexed(name, Held(data)) is not None
    except BrokenError:  # whoever decodes it will say what is wrong
        return False


def _opened(name: str, stored: Stored) -> Archive | None:
    """Index an archive; None where it is none after all: arrays (.npz), an office document, a program."""
    try:
        return _indexed(name, stored)
    except BrokenError as error:
        shown = "standard input" if name == STANDARD_INPUT else show(name)
        raise RecordError(f"{shown}: {error}; {_CURE}", name) from error


def _indexed(name: str, stored: Stored) -> Archive | None:
    total = most_total_bytes(stored.size)
    head = stored.at(0, ARCHIVE_HEAD)
    if head.startswith(ZIP):
        return _zip(name, stored, total)
    if head.startswith(GZIP):
        gunzip = Gunzip(stored, limit=total)
        try:
            is_tar = tars.is_header(gunzip.read(512))
        except BrokenError:
            is_tar = False
        if not is_tar and name.lower().endswith((".tar.gz", ".tgz")):
            raise BrokenError("is damaged: it does not begin as a tar archive")
        gunzip.go(0)
        if is_tar:
            return Archive(name, "tar.gz", stored, tars.index(gunzip), partial(_take, gunzip))
        return Archive(name, "gzip", stored, Index([Entry(_without_gz(name), None)]), partial(_take, gunzip))
    if tars.is_header(head):
        plain = Plain(stored)
        return Archive(name, "tar", stored, tars.index(plain), partial(_take, plain))
    return None


def _zip(name: str, stored: Stored, total: int) -> Archive | None:
    suffix = PurePath(name).suffix.lower()
    if suffix == ".npz":
        return None
    index = zips.index(stored, limit=total)
    names = [entry.name for entry in index.entries]
    # Arrays that numpy.savez saved are an archive of .npy files, as somebody's folder of them may be: the suffix tells.
    arrays = suffix != ".zip" and names and all(n.endswith(".npy") for n in names)
    if arrays or any(mark in names for mark in _DOCUMENTS):
        return None
    return Archive(name, "zip", stored, index, partial(zips.read, stored))


def _take(stream: Forward, entry: Entry, limit: int) -> bytes:
    """Return the bytes of a member of a stream."""
    if (entry.size or 0) > limit:
        raise BrokenError(f"is larger than {limit / MIB:.0f} MiB unpacked")
    stream.go(entry.start)
    data = stream.read(limit + 1 if entry.size is None else entry.size)
    if len(data) > limit:
        raise BrokenError(f"is larger than {limit / MIB:.0f} MiB unpacked")
    if entry.size is not None and len(data) != entry.size:
        raise BrokenError("is cut short")
    return data


def _without_gz(name: str) -> str:
    base = PurePath(name).name
    bare = base[:-3] if base.lower().endswith(".gz") else base
    return "data" if name == STANDARD_INPUT or not bare.strip(".") else bare


# The archive that was read last, with what tells that it is the same still. Its members are asked for one by one.
_last: tuple[object, Archive] | None = None


def open_archive(name: str) -> Archive | None:
    """Return the archive in the file `name` ("-" is standard input), None where it is none.

    The last one is kept open, with its list of members and its place in the stream, until another is asked for or the
    file changes.

    Raises RecordError where the file cannot be opened, is no regular file, or is an archive that cannot be read at
    all: a checksum of the whole is wrong, it has too many members, or too much would come out of it.
    """
    global _last
    try:
        key: object = read_standard_input() if name == STANDARD_INPUT else _identity(name)
    except (OSError, ValueError) as error:
        raise cannot_open(name, error) from error
    if _last is not None and _same(_last[0], key) and _last[1].name == name:
        return _last[1]
    if isinstance(key, bytes):
        stored: Stored = Held(key)
    else:
        stored = OnDisk(*open_regular(name))
    try:
        head = stored.at(0, ARCHIVE_HEAD)
    except BrokenError as error:
        raise RecordError(f"{show(name)}: {error}; check the disk", name) from error
    if not may_be_archive(head):
        return None
    found = _opened(name, stored)
    if found is not None:
        _last = (key, found)
    return found


def _identity(name: str) -> tuple[str, int, int, int, int]:
    found = os.stat(name)  # noqa: PTH116 - Path() would raise where a name is too long
    return (os.path.abspath(name), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)  # noqa: PTH100


def _same(a: object, b: object) -> bool:
    return a is b if isinstance(a, bytes) or isinstance(b, bytes) else a == b
