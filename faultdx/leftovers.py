"""Temporary names, and what becomes of those that killed processes leave.

Standard library only; `faultdx.files` and what else writes use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".faultdx-tmp"
# Number 0: the process that answers to it is this one's group, so that age alone makes a lock file rubbish.
LOCK_SUFFIX = f".lock.0{SUFFIX}"
swept: set[Path] = set()
_number = itertools.count()
_STALE_S = 3600.0  # seconds after which a temporary file of a dead process is rubbish
_ABANDONED_S = 86400.0  # and of any process: numbers are used again, and in a container they always are


def temporary(target: Path) -> Path:
    """Return a name that nobody else uses: not another thread, and not a process of this number in another container.

    The name is cut by bytes, which is what a file system counts.
    """
    name = os.fsdecode(os.fsencode(target.name)[:190])
    mark = f"{time.time_ns() // 1000 & 0xFFFFFFFF:08x}-{next(_number)}"
    return target.parent / f".{name}.{mark}.{os.getpid()}{SUFFIX}"


def is_temporary(name: str) -> bool:
    """Tell whether a file has a name of `temporary`, or of a lock or a journal."""
    return name.startswith(".") and name.endswith(SUFFIX)


def sweep(folder: Path) -> None:
    """Remove what killed processes left in `folder`: an hour old and its process gone, or a day old. Once a folder.

    The hour is for processes of another container on the same folder, whose numbers mean nothing here; the day for
    numbers that are in use again. What is still being written is younger. Raises OSError: it cannot be listed.
    """
    if folder in swept:
        return
    swept.add(folder)
    for path in folder.glob(f".*{SUFFIX}"):
        pid = path.name.removesuffix(SUFFIX).rpartition(".")[2]
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if pid.isdecimal() and (age > _ABANDONED_S or (age > _STALE_S and not _alive(int(pid)))):
                if path.name.endswith(LOCK_SUFFIX) and _is_held(path):
                    continue  # a run of more than a day
                path.unlink()


def _is_held(path: Path) -> bool:
    """Tell whether a process has a lock on a file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is there, and not ours
        return True
    return True


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder of this user's below TMPDIR for the block, where libraries put their own temporary files, too.

    Raises OSError where there is none to be had. What may not be removed stays: tempfile.TemporaryDirectory would try
    that until Python's stack is used up.
    """
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="faultdx-")
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield Path(folder)
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
