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
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from faultdx.errors import ConfigError, OutputError
from faultdx.leftovers import is_temporary, sweep
from faultdx.leftovers import temporary as temporary_name

_PROBE_BYTES = 4096  # an empty file has room on a full disk
# what file systems say that cannot sync a folder: then there is nothing to wait for
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # of file systems without links
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
        errno.EFBIG: "the system limits the size of files (ulimit -f): raise the limit, or write elsewhere",
        errno.EACCES: "choose a folder that you may write to",
        errno.EPERM: "choose a folder that you may write to",
        errno.EROFS: "choose a folder that is not read-only",
        errno.ENAMETOOLONG: "choose a shorter name",
        errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
        errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    }
    cure = cures.get(error.errno or 0, "check the path and the disk")
    return OutputError(f"{show(path)}: cannot be written: {_reason(error)}; {cure}")


def check_target(
    path: str | os.PathLike[str], *, overwrite: bool, resume_hint: bool = False, folder_too: bool = False
) -> Path:
    """Find out before the long work that `path` can be written: free, or to be overwritten, in a writable folder.

    Creates missing parent folders. Raises OutputError with the cure.
    """
    target = Path(path)
    cure = "--resume continues it, --overwrite replaces it" if resume_hint else "--overwrite replaces it"
    try:
        if not overwrite:
            _refuse_what_is_there(target, cure)
        if not folder_too:
            _refuse_what_is_no_file(target)
        _probe(target.parent)
    except OSError as error:
        raise output_error(target, error) from error
    return target


def _refuse_what_is_there(target: Path, cure: str = "--overwrite replaces it") -> None:
    """Raise OutputError where the name is taken, also by a link that leads nowhere: nothing can be put in its place."""
    if target.exists():
        raise OutputError(f"{show(target)}: exists already; {cure}")
    if os.path.lexists(target):
        raise OutputError(f"{show(target)}: is a link that leads nowhere; remove it, or choose another name")


def _refuse_what_is_no_file(target: Path) -> None:
    """Raise OutputError for a folder, a device, a pipe: to be replaced by a file is not what they are there for."""
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
            raise OutputError(f"{show(target)}: is {kind}; name a file")


def check_distinct(
    outputs: Mapping[str, str | os.PathLike[str] | None], inputs: Iterable[str | os.PathLike[str]]
) -> None:
    """Raise ConfigError, before any work, where two outputs are one file, or an output is a file that is read.

    outputs : by the option that names them, None where it was not given; inputs : names, of which those that are no
    file do not count. Two names of one file (a link, another spelling) are one.
    """
    taken: dict[tuple[object, ...], str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        for place in _places(path):
            if place in taken:
                raise ConfigError(f"{option} and {taken[place]} are one file, {show(path)}: name two")
        taken |= dict.fromkeys(_places(path), option)
    if not taken:
        return
    for name in inputs:
        for place in _places(name):
            if place in taken:
                raise ConfigError(f"{taken[place]}: {show(name)} is read by this very command; name another file")


def _places(path: str | os.PathLike[str]) -> set[tuple[object, ...]]:
    try:
        found: set[tuple[object, ...]] = {("name", os.path.realpath(path))}
        state = os.stat(path)  # noqa: PTH116 - Path raises on long names
        return found | {("file", state.st_dev, state.st_ino)}
    except (OSError, ValueError):
        return {("name", os.path.abspath(path))} if "\0" not in os.fspath(path) else set()  # noqa: PTH100


def check_folder(path: str | os.PathLike[str]) -> None:
    """Make the folder where it is missing and find out that files can be written there. Raises OutputError."""
    try:
        _probe(Path(path))
    except OSError as error:
        raise output_error(path, error) from error


def is_vacant(folder: str | os.PathLike[str], *, but: Collection[str] = ()) -> bool:
    """Tell whether a folder holds nothing but what a killed run leaves before its first file: it may be taken.

    but : names that count for nothing, too. Without this a kill at the first write leaves a folder that is neither
    empty nor a result of ours, which no option may replace. OSError is the caller's.
    """
    return all(name in but or is_temporary(name) for name in _names(Path(folder)))


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _probe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    probe = temporary_name(folder / "probe")
    try:
        _write(probe, bytes(_PROBE_BYTES), sync=False)
    except OSError:
        _remove(probe)
        raise
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


def _sync(path: Path, flags: int = 0) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder, os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _write(path: Path, blob: bytes, *, sync: bool) -> None:
    """Write a new file, and wait until the disk has it. Raises OSError, also for what is only said in `close`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(fd, "wb") as stream:
        stream.write(blob)
        if sync:
            stream.flush()
            os.fsync(fd)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, sync it and rename it to `path`.

    When the block raises, the temporary file is removed and `path` is as it was. OSError comes out as OutputError.
    The last step, to sync the folder, is the one that can fail with the new file in place.
    """
    target = Path(path)
    temporary = temporary_name(target)
    try:
        _make_way(target, overwrite=overwrite)
        yield temporary
        _sync(temporary)
        if overwrite:
            temporary.replace(target)
        else:
            _take(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        _remove(temporary)


def _take(temporary: Path, target: Path) -> None:
    """Give `temporary` the name `target`, unless another run has taken that in the meantime."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise OutputError(f"{show(target)}: was written by another run meanwhile; --overwrite replaces it") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise OutputError(
                f"{show(target)}: was written by another run meanwhile; --overwrite replaces it"
            ) from None
        temporary.replace(target)  # a file system without links cannot tell more


def _make_way(target: Path, *, overwrite: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _refuse_what_is_no_file(target)
    if not overwrite:
        _refuse_what_is_there(target)
    sweep(target.parent)


def _bytes(data: bytes | str) -> bytes:
    return data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data


def atomic_write(path: str | os.PathLike[str], data: bytes | str, *, overwrite: bool = True) -> None:
    """Write `data` to `path` (text as UTF-8): the whole of it, or nothing. Raises OutputError."""
    with replacing(path, overwrite=overwrite) as temporary:
        _write(temporary, _bytes(data), sync=False)


def write_together(files: Mapping[Path, bytes | str], *, overwrite: bool = True, without: Sequence[Path] = ()) -> None:
    """Write files that stand for one result. The last one of them vouches for the others: where it is, they fit it.

    All of them are on the disk under temporary names before the first name changes, so that a disk that is full leaves
    the old ones as they are; should a name then not be changed, those that were are changed back. Killed in between,
    the last one is missing and the others are each the old one or the new one. Raises OutputError.

    without : files of an older result, which would be another's beside this one; they go with it
    """
    new = {Path(path): temporary_name(Path(path)) for path in files}
    old: dict[Path, Path] = {}
    placed: list[Path] = []
    at = next(reversed(new))
    try:
        for target, temporary in new.items():
            at = target
            _make_way(target, overwrite=overwrite)
            _write(temporary, _bytes(files[target]), sync=True)
        try:
            for target in (*reversed(new), *without):  # the one that vouches goes first, and comes last
                at = target
                if target.is_file():
                    aside = temporary_name(target)
                    target.rename(aside)
                    old[target] = aside
            for target, temporary in new.items():
                at = target
                placed.append(target)
                temporary.rename(target)
        except BaseException:
            _take_back(placed, old)
            raise
        for aside in old.values():
            _remove(aside)
        for folder in dict.fromkeys(target.parent for target in new):
            at = folder
            _sync_folder(folder)
    except OSError as error:
        raise output_error(at, error) from error
    finally:
        for temporary in new.values():
            _remove(temporary)


def _take_back(placed: Iterable[Path], old: Mapping[Path, Path]) -> None:
    """Remove the new files that have got their names, and give the old ones theirs: the one that vouches comes last.

    No file is looked at: that may be what fails.
    """
    for target in placed:
        if target not in old:
            _remove(target)
    for target, aside in reversed(list(old.items())):
        with contextlib.suppress(OSError):
            _give_back(aside, target)


def _give_back(aside: Path, target: Path) -> None:
    """Give an old file its name again; where no name can be changed any more, its content. Raises OSError."""
    try:
        aside.rename(target)
    except OSError:
        target.unlink(missing_ok=True)
        _write(target, aside.read_bytes(), sync=True)
        _remove(aside)
