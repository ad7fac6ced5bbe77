"""The only ways out to the disk, and the only way a file name gets into a message.

Every output is written under a temporary name in its own folder, flushed,
synced and renamed, so that a reader sees the old file or the new one and never
half of one, whatever kills the writer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from faultdx.errors import OutputError

_SUFFIX = ".faultdx-tmp"
_swept: set[Path] = set()
_STALE_S = 3600.0  # seconds after which a temporary file of a dead process is rubbish
_SPELLED_OUT = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, bidirectional, surrogate, unassigned, separators


def show(name: str | os.PathLike[str]) -> str:
    """Return `name` as it may stand in a message: one line, printable, no control or bidirectional characters.

    Bytes that are not UTF-8 (surrogate escapes) and control characters come out as `\\xNN` or `\\uNNNN`.
    The sink still applies its own escaping (HTML, CSV, rich).
    """
    text = os.fspath(name)
    if text.isascii() and text.isprintable():
        return text
    out = []
    for c in text:
        code = ord(c)
        if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif unicodedata.category(c) in _SPELLED_OUT:
            out.append(f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
        else:
            out.append(c)
    return "".join(out)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else (str(error) or type(error).__name__)


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Return the OutputError that says why `path` could not be written, and what to do."""
    cures = {
        errno.ENOSPC: "free some space or write elsewhere",
        errno.EDQUOT: "free some space or write elsewhere",
        errno.EACCES: "choose a folder that you may write to",
        errno.EPERM: "choose a folder that you may write to",
        errno.EROFS: "choose a folder that is not read-only",
        errno.ENAMETOOLONG: "choose a shorter name",
        errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
        errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    }
    cure = cures.get(error.errno or 0, "check the path and the disk")
    return OutputError(f"{show(path)}: cannot be written: {_reason(error)}; {cure}")


def check_target(path: str | os.PathLike[str], *, overwrite: bool, resume_hint: bool = False) -> Path:
    """Find out before the long work that `path` can be written: free, or to be overwritten, in a writable folder.

    Creates missing parent folders. Raises OutputError with the cure.
    """
    target = Path(path)
    cure = "--resume continues it, --overwrite replaces it" if resume_hint else "--overwrite replaces it"
    try:
        if not overwrite and target.exists():
            raise OutputError(f"{show(target)}: exists already; {cure}")
        _probe(target.parent)
    except OSError as error:
        raise output_error(target, error) from error
    return target


def check_folder(path: str | os.PathLike[str]) -> None:
    """Make the folder where it is missing and find out that files can be written there. Raises OutputError."""
    try:
        _probe(Path(path))
    except OSError as error:
        raise output_error(path, error) from error


def _probe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".faultdx-probe-{os.getpid()}"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    probe.unlink()


def check_space(path: str | os.PathLike[str], needed_bytes: int) -> None:
    """Raise OutputError when the disk under `path` has less than `needed_bytes` free."""
    try:
        free = shutil.disk_usage(Path(path).parent).free
    except OSError as error:
        raise output_error(path, error) from error
    if free < needed_bytes:
        raise OutputError(
            f"{show(path)}: needs {needed_bytes / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB free; "
            "free some space or write elsewhere"
        )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _temporary(target: Path) -> Path:
    # cut by bytes, which is what a file system counts
    return target.parent / f".{os.fsdecode(os.fsencode(target.name)[:200])}.{os.getpid()}{_SUFFIX}"


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in `folder`: the process is gone, and the file is an hour old. Once a folder.

    The hour is for processes of another container on the same folder, whose numbers mean nothing here.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    for path in folder.glob(f".*{_SUFFIX}"):
        pid = path.name.removesuffix(_SUFFIX).rpartition(".")[2]
        with contextlib.suppress(OSError):
            old = time.time() - path.stat().st_mtime > _STALE_S
            if old and pid.isdecimal() and not _alive(int(pid)):
                path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is there, and not ours
        return True
    return True


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, sync it and rename it to `path`.

    When the block raises, the temporary file is removed and `path` is as it was. OSError comes out as OutputError.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not overwrite and target.exists():
            raise OutputError(f"{show(target)}: exists already; --overwrite replaces it")
        temporary.unlink(missing_ok=True)  # of a killed process that had this number; in a container it often had
        _sweep(target.parent)
        yield temporary
        fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], data: bytes | str, *, overwrite: bool = True) -> None:
    """Write `data` to `path` (text as UTF-8): the whole of it, or nothing. Raises OutputError."""
    blob = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with replacing(path, overwrite=overwrite) as temporary:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with os.fdopen(fd, "wb") as stream:
            stream.write(blob)
