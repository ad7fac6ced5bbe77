"""What a long command has finished, kept beside its output until that is there: the same command goes on from it.

A journal is input like any other file. Each entry stands under its SHA-256, which covers the key of the journal (what
was asked, and the code that answers), the entry's name and its length; what is cut, altered, of another question or of
other code is not there, as far as `get` can tell. What is taken is bytes: nothing is unpickled.

It is a help and no duty: where it cannot be made, locked, read or written, the work goes on without it.

Format: a line "faultdx.journal/1 KEY", then entries: 4 bytes "fdxj", length (8 bytes, little endian), SHA-256 of the
name, SHA-256 of key, name, length and content; the content. They are only ever appended. They are not synced one by
one: a killed process loses none, and what a power failure takes is noticed by its digest and worked out again.

The name of the file is one that `faultdx.files` sweeps, a day after the last entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from faultdx import __version__
from faultdx.errors import FaultdxError
from faultdx.files import show

_FIRST = b"faultdx.journal/1 "
_START = len(_FIRST) + 65
_HEAD = struct.Struct("<4sQ32s32s")
_MAGIC = b"fdxj"
# Number 0: `files` takes the process that answers to it for alive, so that age alone makes a journal rubbish.
_SUFFIX = ".journal.0.faultdx-tmp"
_ours: set[str] = set()  # a lock does not keep the threads of one process apart
_guard = threading.Lock()


def journal_path(target: str | os.PathLike[str]) -> Path:
    """Return where the journal of the output `target` is; the name is cut by bytes, which is what systems count."""
    path = Path(target)
    return path.parent / f".{os.fsdecode(os.fsencode(path.name)[:180])}{_SUFFIX}"


def spare(target: str | os.PathLike[str]) -> None:
    """Make the journal of `target` look new, so that who sweeps the folder leaves it: to be called first."""
    with contextlib.suppress(OSError, ValueError):
        os.utime(journal_path(target), follow_symlinks=False)


@contextlib.contextmanager
def kept(
    target: str | os.PathLike[str], about: Any, *, through: tuple[type[BaseException], ...] = ()
) -> Iterator[Journal]:
    """Give the journal of the output `target` for the block that makes it.

    about : what is asked, as plain JSON values; what another question or other code left is thrown away
    through : errors that it outlives, as it does an interruption and what nobody foresaw; the others (FaultdxError) the
        same command would meet again

    Gone when the block ends well. An exception that it outlives gets a note that says so.
    """
    journal = Journal(journal_path(target), about)
    try:
        yield journal
    except BaseException as error:
        if not journal.count or (isinstance(error, FaultdxError) and not isinstance(error, through)):
            journal.remove()
        else:
            error.add_note(f"what was finished is kept in {show(journal.path)}: the same command goes on from there")
            journal.close()
        raise
    journal.remove()


class Journal:
    """Entries by name: see `kept`, which makes one. Whether it could be made is nobody's concern but `active`'s.

    taken : how many entries `get` has given
    """

    def __init__(self, path: Path, about: Any) -> None:
        self.path, self.taken = path, 0
        self._key = _key(about)
        self._fd, self._held, self._made = -1, "", False
        self._index: dict[bytes, tuple[int, int, bytes]] = {}  # of a name: where, how long, digest
        self._end = _START
        try:
            self._open()
        except (OSError, ValueError):  # ValueError: a NUL byte in the name
            self.remove() if self._made else self.close()

    @property
    def active(self) -> bool:
        """Whether entries are kept: nobody else has the journal, and the disk takes it."""
        return self._fd >= 0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self._index)

    @property
    def size(self) -> int:
        """How many bytes it has on the disk."""
        return self._end if self.active else 0

    def __contains__(self, name: str) -> bool:
        """Tell whether there is an entry of this name; it may still be a damaged one."""
        return _tag(name) in self._index

    def get(self, name: str, *, most: int) -> bytes | None:
        """Return the content of an entry, None where there is none, a damaged one, or one of over `most` bytes."""
        tag = _tag(name)
        at, length, digest = self._index.get(tag, (0, 0, b""))
        if not digest or length > most:
            return None
        try:
            content = _read(self._fd, at, length)
        except OSError:
            return None
        if self._digest(tag, length, content) != digest:
            return None
        self.taken += 1
        return content

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        """Append an entry of the bytes `parts`. A disk that does not take it ends the journal, and nothing else."""
        if not self.active:
            return
        tag, views = _tag(name), [memoryview(part).cast("B") for part in parts]
        length = sum(map(len, views))
        digest = self._digest(tag, length, *views)
        at = self._end
        try:
            for view in (memoryview(_HEAD.pack(_MAGIC, length, tag, digest)), *views):
                at = _write(self._fd, view, at)
        except OSError:  # most likely full: its room is worth more to the output
            self.remove()
            return
        self._index[tag] = (self._end + _HEAD.size, length, digest)
        self._end = at

    def room(self, needed_bytes: int, more_bytes: int) -> bool:
        """Tell whether the disk has room for an output of `needed_bytes` and `more_bytes` of entries.

        Where it has not even room for the output beside what is in the journal, that is thrown away.
        """
        try:
            free = shutil.disk_usage(self.path.parent).free
            if free < needed_bytes:
                self._begin()
        except OSError:
            self.remove()
            return False
        return self.active and free >= needed_bytes + more_bytes

    def close(self) -> None:
        """Leave it to the next run."""
        self._index = {}
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)
        with _guard:
            _ours.discard(self._held)
        self._held = ""

    def remove(self) -> None:
        """Take it away, while it is still locked."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.close()

    def _open(self) -> None:
        name = str(self.path.parent.resolve() / self.path.name)
        with _guard:
            if name in _ours:
                return
            _ours.add(name)
        self._held = name
        while True:
            # a link or a pipe that somebody has put there is not followed, and not waited for
            how = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                self._fd, self._made = os.open(self.path, how | os.O_CREAT | os.O_EXCL, 0o600), True
            except FileExistsError:
                self._fd, self._made = os.open(self.path, how), False
            found = os.fstat(self._fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
                raise PermissionError
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not one that children hold on to
            except OSError:  # somebody was quicker, and it is theirs
                self._made = False
                raise
            if _is_at(self.path, found):
                break
            os.close(self._fd)  # whoever had it has just taken it away
            self._fd = -1
        if os.pread(self._fd, _START, 0) == _FIRST + self._key.encode("ascii") + b"\n":
            self._index, self._end = _entries(self._fd)
            os.ftruncate(self._fd, self._end)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._fd < 0:
            return
        self._index, self._end = {}, _START
        os.ftruncate(self._fd, 0)
        _write(self._fd, memoryview(_FIRST + self._key.encode("ascii") + b"\n"), 0)

    def _digest(self, tag: bytes, length: int, *parts: bytes | memoryview) -> bytes:
        found = hashlib.sha256(self._key.encode("ascii") + tag + struct.pack("<Q", length))
        for part in parts:
            found.update(part)
        return found.digest()


def _tag(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def _is_at(path: Path, found: os.stat_result) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)


def _entries(fd: int) -> tuple[dict[bytes, tuple[int, int, bytes]], int]:
    """Return where each entry is, and where the last whole one ends. Raises OSError."""
    found: dict[bytes, tuple[int, int, bytes]] = {}
    size, at = os.fstat(fd).st_size, _START
    while at + _HEAD.size <= size:
        head = os.pread(fd, _HEAD.size, at)
        if len(head) < _HEAD.size:
            break
        magic, length, tag, digest = _HEAD.unpack(head)
        if magic != _MAGIC or length > size - at - _HEAD.size:
            break
        found[tag] = (at + _HEAD.size, length, digest)
        at += _HEAD.size + length
    return found, at


def _read(fd: int, at: int, length: int) -> bytes:
    parts, end = [], at + length
    while at < end and (part := os.pread(fd, end - at, at)):
        parts.append(part)
        at += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(fd: int, data: memoryview, at: int) -> int:
    """Write all of `data` at a place of the file; return where it ends. Raises OSError."""
    while data:
        done = os.pwrite(fd, data, at)
        data, at = data[done:], at + done
    return at


def _key(about: Any) -> str:
    """Return the digest of what is asked and of what answers: the code, the interpreter, the installed packages."""
    text = json.dumps([about, __version__, sys.version, platform.machine(), _code(), _installed()], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@cache
def _code() -> str:
    """Return the digest of the source of this package."""
    found = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        with contextlib.suppress(OSError):
            found.update(str(path.relative_to(root)).encode("utf-8", "surrogateescape") + b"\0" + path.read_bytes())
    return found.hexdigest()


def _installed() -> Mapping[str, int]:
    """Return when packages were last installed or removed, folder by folder: numpy's version decides, and plug-ins."""
    found = {}
    for name in sys.path:
        if Path(name).name in ("site-packages", "dist-packages"):
            with contextlib.suppress(OSError, ValueError):
                found[name] = Path(name).stat().st_mtime_ns
    return found
