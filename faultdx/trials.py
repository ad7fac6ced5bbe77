"""Which networks ended their trial well on this machine: an empty file each in the user's cache, named by a digest.

A trial (`faultdx.vetting`) takes a tenth of a start, and a shell loop starts for every recording. What is remembered
is the digest of the very bytes that were run, of the shape that they were run with, and of the versions of onnxruntime
and of the trial. Who can write into the cache of a user can run programs as that user: a folder or a file that
others own or may write into is not believed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from faultdx.errors import OutputError
from faultdx.extras import onnx_runtime

_MOST = 500  # remembered; more, and the oldest half is forgotten
_RULES = 1  # of the rules of `faultdx.vetting`: another number forgets what was tried by older ones


def trial_of(onnx: bytes, shape: tuple[int, int, int], classes: int) -> str:
    """Return the name of a trial: the network's bytes, what it was run on, and by what."""
    text = f"{_RULES} {onnx_runtime().__version__} {shape} {classes} ".encode()
    return hashlib.sha256(text + hashlib.sha256(onnx).digest()).hexdigest()


def _folder() -> Path | None:
    """Return where trials are remembered; None where there is no place for it."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises where there is none
    base = Path(named) if os.path.isabs(named) else Path(home) / ".cache"  # noqa: PTH117
    return base / "faultdx" / "tried" if base.is_absolute() else None


def was_tried(trial: str) -> bool:
    """Tell whether this user's faultdx tried it here, and it ended well. Never raises."""
    folder = _folder()
    try:
        return folder is not None and _is_own(folder) and _ours(folder / trial, stat.S_ISREG)
    except (OSError, ValueError):
        return False


def _is_own(folder: Path) -> bool:
    """Tell whether the folder and the two above it are this user's alone: who owns one of them can exchange it."""
    return all(_ours(place, stat.S_ISDIR) for place in (folder, folder.parent, folder.parent.parent))


def _ours(path: Path, is_kind: Callable[[int], bool]) -> bool:
    state = path.lstat()
    return is_kind(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o022


def remember(trial: str) -> None:
    """Remember a trial that ended well. Never raises: where nothing can be written it is tried again next time."""
    from faultdx.files import atomic_write

    folder = _folder()
    if folder is None:
        return
    try:
        folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, exist_ok=True)
        if not _is_own(folder):
            return
        known = sorted(folder.iterdir(), key=lambda path: path.lstat().st_mtime_ns)
        for old in known[: len(known) - _MOST // 2] if len(known) >= _MOST else []:
            old.unlink(missing_ok=True)
        atomic_write(folder / trial, b"")
        (folder / trial).chmod(0o600)
    except (OSError, ValueError, OutputError):
        return
