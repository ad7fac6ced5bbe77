"""One run at a time into one place: the second is refused at once, and not after its long work.

The lock is the system's (flock): it goes with the process that has it, however that ends, so that a killed run is in
nobody's way. A folder is locked itself; for a file a lock file stands beside it while the run lasts, under a name that
`faultdx.leftovers` sweeps a day after a kill.

It is a help and no duty: where there is nothing to lock, or no right to, the run goes on, and its writes are still
whole (`faultdx.files`); where the file system has no locks, or a lock file is there that may not be opened, that is
said.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from faultdx.errors import OutputError
from faultdx.files import show
from faultdx.leftovers import LOCK_SUFFIX

_MOST_NAME = 180  # bytes of a name that stand in that of its lock file; file systems take 255
_TRIES = 100  # to meet a lock file that whoever had it is just taking away


@contextlib.contextmanager
def sole(
    target: str | os.PathLike[str], *, folder: bool = False, note: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the output `target` for the block. Raises OutputError where another run, or another thread, has it.

    folder : it is a folder, which is made where it is missing, and taken away again where nothing came into it
    note : told in one line where the file system has no locks, or the lock file that is there cannot be opened
    """
    path = Path(target)
    with contextlib.ExitStack() as stack:
        fd = -1
        # what is wrong with the place is for the run to say, in its own words
        with contextlib.suppress(OSError, ValueError):
            stack.enter_context(_made(path if folder else path.parent))
            fd = _open_folder(path) if folder else -1
            if fd >= 0:
                stack.callback(_close, fd)
                _lock(fd, path, note)
            elif not folder:
                stack.enter_context(_lock_file(path, note))
        yield


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder for the block; the part of it that is new and still empty goes at the end."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty: it stays, and what it is in
            for place in new:
                place.rmdir()


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _lock(fd: int, path: Path, note: Callable[[str], None]) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{show(path)}: another run is writing there; wait for it to end, or name another --out"
        ) from None
    except OSError:
        note(f"note: {show(path)}: this file system has no locks: see to it that no other run writes there")


@contextlib.contextmanager
def _lock_file(path: Path, note: Callable[[str], None]) -> Iterator[None]:
    place = path.parent / f".{_cut(path.name)}{LOCK_SUFFIX}"
    fd = -1
    try:
        for _ in range(_TRIES):
            fd = _open_file(place, path, note)
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                break
            _lock(fd, path, note)
            if _is_at(place, found):
                break
            _close(fd)
            fd = -1
    except BaseException:
        if fd >= 0:
            _close(fd)
        raise
    try:
        yield
    finally:
        if fd >= 0:
            with contextlib.suppress(OSError):
                if _is_at(place, os.fstat(fd)) and stat.S_ISREG(os.fstat(fd).st_mode):
                    place.unlink()  # while it is locked, so that it is ours
            _close(fd)


def _cut(name: str) -> str:
    """Return a name that leaves room for the suffix; what tells two long ones apart may stand at their ends."""
    whole = os.fsencode(name)
    if len(whole) <= _MOST_NAME:
        return name
    mark = hashlib.sha256(whole).hexdigest()[:8]
    return f"{os.fsdecode(whole[: _MOST_NAME - len(mark) - 1])}-{mark}"


def _open_file(place: Path, path: Path, note: Callable[[str], None]) -> int:
    """Return a descriptor of the lock file of `path`, which is made where it is missing. Raises OSError.

    That of another user may often only be read, which is enough to lock it, and to see that it is locked.
    """
    # a link or a pipe that somebody has put there is not followed, and not waited for
    how = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT | how, 0o666)
    except PermissionError:
        with contextlib.suppress(FileNotFoundError):  # none may be made: the run says what is wrong with the place
            try:
                return os.open(place, os.O_RDONLY | how)
            except PermissionError:
                note(
                    f"note: {show(place)}: this lock file is another user's and may not be opened: see to it that no "
                    f"other run writes {show(path.name)}"
                )
        raise


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # nothing was written to it
        os.close(fd)


def _is_at(place: Path, found: os.stat_result) -> bool:
    try:
        there = place.lstat()
    except FileNotFoundError:
        return False
    except OSError:  # it may not be looked at: it was there a moment ago, and is locked
        return True
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
