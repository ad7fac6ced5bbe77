"""Recordings from those who own them: each file under its own digest, or not at all.

The catalogue says which files there are and what their bytes hash to; `transfer` brings bytes; only bytes that verify
get the file's name. The git blob id is a SHA-1: to find other bytes with the same one is beyond anybody's means today
(only pairs made together collide), so that a mirror need not be trusted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from faultdx.errors import ConfigError, FaultdxError, OutputError, RecordError
from faultdx.files import check_folder, check_space, output_error, replacing, show
from faultdx.records.cwru import Entry, catalogue
from faultdx.records.opening import blob_id, read_bytes
from faultdx.transfer import Limits, Partial, TransferError, shown, transfer

CWRU_PAGE = "https://engineering.case.edu/bearingdatacenter"
CWRU_FILES = "https://engineering.case.edu/sites/default/files"  # and then /105.mat
CWRU_TERMS = (
    f"CWRU recordings: Bearing Data Center, Case Western Reserve University, {CWRU_PAGE}",
    "They belong to the Center, which publishes them for research; no licence text is known. Name the Center as the "
    "source wherever you use them, and ask it before any other use.",
)
CWRU_SETS = {
    "normal": "normal",
    "12k-drive-end": "12k_drive_end",
    "48k-drive-end": "48k_drive_end",
    "12k-fan-end": "12k_fan_end",
}
DEFAULT_SETS = ("normal", "12k-drive-end")  # what the usual protocols use, the paper's among them

_UNKNOWN_BYTES = 485_000 * 2 * 8  # of the 42 files that were not at hand: two channels at 48 kHz, as long as they get
_SERVER_FAILURES = 3  # files in a row, after which the server is left alone


@dataclass(frozen=True)
class File:
    """A file to have: its name, its set, its git blob id, and about how many bytes it has."""

    name: str
    set: str
    git_blob: str
    about_bytes: int


@dataclass(frozen=True)
class Result:
    """What became of a file.

    status : "there" (verified before), "fetched", "failed", or "not tried"; error : of the last two
    """

    file: File
    path: Path
    status: str
    error: FaultdxError | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be fetched. `there` : verified already; `kept` : files of other content, which stay as they are."""

    folder: Path
    base_url: str
    overwrite: bool
    there: tuple[Result, ...]
    kept: tuple[Result, ...]
    wanted: tuple[File, ...]

    @property
    def about_bytes(self) -> int:
        """About how many bytes are to come."""
        return sum(file.about_bytes for file in self.wanted)


Report = Callable[[File, int], None]


def cwru_files(sets: Sequence[str] = DEFAULT_SETS) -> tuple[File, ...]:
    """Return the files of these sets ("normal", "12k-drive-end", "48k-drive-end", "12k-fan-end", "all") by number.

    Raises ConfigError where a set is unknown.
    """
    for name in sets:
        if name not in CWRU_SETS and name != "all":
            raise ConfigError(f"--set {name!r} is unknown: it is one of {', '.join([*CWRU_SETS, 'all'])}")
    chosen = set(CWRU_SETS.values()) if "all" in sets else {CWRU_SETS[name] for name in sets}
    words = {value: key for key, value in CWRU_SETS.items()}
    return tuple(
        File(f"{entry.number}.mat", words[entry.set], entry.git_blob, _about_bytes(entry))
        for entry in catalogue()
        if entry.set in chosen
    )


def _about_bytes(entry: Entry) -> int:
    if entry.samples is None:
        return _UNKNOWN_BYTES
    return entry.samples * 8 * sum(name.endswith("_time") for name in entry.variables)


def plan(
    files: Sequence[File], folder: str | os.PathLike[str], *, base_url: str = CWRU_FILES, overwrite: bool = False
) -> Plan:
    """Find out what is missing in `folder`, and that it can be written there. Makes the folder; asks no server.

    base_url : address that "/105.mat" is appended to
    overwrite : fetch also what has the name of a file and other content

    Raises ConfigError for an address that is not http or https, OutputError where the folder cannot be written or the
    disk is too small.
    """
    address = _checked(base_url)
    target = Path(folder)
    there, kept, wanted = [], [], []
    for file in files:
        path = target / file.name
        if not os.path.lexists(path):
            wanted.append(file)
        elif _verifies(path, file):
            there.append(Result(file, path, "there"))
        elif overwrite and not path.is_dir():
            wanted.append(file)
        else:
            cure = "" if path.is_dir() else "--overwrite replaces it, "
            text = f"{show(path)}: exists, and is not the Data Center's file; {cure}--to names another folder"
            kept.append(Result(file, path, "failed", OutputError(text)))
    found = Plan(target, address, overwrite, tuple(there), tuple(kept), tuple(wanted))
    if wanted:
        check_folder(target)
        check_space(target / wanted[0].name, found.about_bytes)
    return found


def fetch(plan: Plan, *, limits: Limits | None = None, report: Report | None = None) -> Iterator[Result]:
    """Fetch what the plan wants, and yield each file's result as soon as it is known.

    A file that fails (RecordError in its result) does not stop the others; a server that cannot be reached, or that
    failed for three files in a row, does. `report` is called with the file in work and its bytes so far.

    Raises OutputError where the disk fails, and where another download is at work in the folder.
    """
    if not plan.wanted:
        return
    bounds, tell = limits or Limits(), report or (lambda _file, _done: None)
    failures = 0
    gone: RecordError | None = None
    with _alone(plan.folder):
        for file in plan.wanted:
            path = plan.folder / file.name
            if gone is not None:
                yield Result(file, path, "not tried", gone)
                continue
            if _verifies(path, file):  # another run brought it since the plan was made
                yield Result(file, path, "there")
                continue
            try:
                _fetch(f"{plan.base_url}/{file.name}", file, path, plan.overwrite, bounds, tell)
            except TransferError as failure:
                error = RecordError(f"{show(path)}: not downloaded: {failure}", str(path))
                failures = failures + 1 if failure.of_server else 0
                gone = error if failure.gone or failures >= _SERVER_FAILURES else None
                yield Result(file, path, "failed", error)
            else:
                failures = 0
                yield Result(file, path, "fetched")


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, brackets that do not close
        good = False
    if not good or "?" in base_url or "#" in base_url or not base_url.isprintable() or " " in base_url:
        raise ConfigError(
            f"--base-url {show(base_url)!r} is no address of a folder: it begins with https:// or http://, names a "
            "server, and has no ? or #"
        )
    return base_url.rstrip("/")


def _verifies(path: Path, file: File) -> bool:
    try:
        return blob_id(read_bytes(path)) == file.git_blob
    except RecordError:
        return False


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the folder: two downloads would write into one partial file."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise OutputError(f"{show(folder)}: another download is at work there; wait until it has ended") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(fd)


def _fetch(url: str, file: File, target: Path, overwrite: bool, limits: Limits, report: Report) -> None:
    with Partial(target) as partial:

        def holds() -> bool:
            return blob_id(partial.read(limits.file_bytes + 1)) == file.git_blob

        def comes() -> bool:
            transfer(url, partial, limits=limits, tick=lambda: report(file, partial.size))
            return holds()

        # an earlier run may have been stopped between the last byte and the name
        if not holds() and not comes():
            partial.clear()  # what was here before, or what came: one of them is wrong
            if not comes():
                text = _wrong(url, partial)
                partial.clear()
                raise TransferError(text)
        with replacing(target, overwrite=overwrite) as temporary:
            partial.path.replace(temporary)


def _wrong(url: str, partial: Partial) -> str:
    start = partial.read(512).lstrip().lower()
    if not partial.size:
        return f"{shown(url)} sent nothing; try again later, or name a mirror with --base-url"
    if start.startswith((b"<!doctype html", b"<html")):
        return f"{shown(url)} sent a web page instead of the file; see what it says in a browser"
    return (
        f"what {shown(url)} sent twice ({partial.size} bytes) has not the digest of the catalogue; try again later, "
        "or name a mirror with --base-url"
    )
