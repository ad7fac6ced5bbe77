"""A SQLite file as the history uses it: transactions that wait for their turn, and errors that name file and cure.

The one output that does not go through `faultdx.files.atomic_write`: SQLite writes it in place, and its rollback
journal makes each transaction whole or absent, whatever kills the writer. The journal mode is DELETE, not WAL: WAL
needs memory shared between the processes, which network file systems do not have.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faultdx.errors import ConfigError, FaultdxError, OutputError
from faultdx.files import check_folder, show

WAIT_S = 30.0  # for the lock of another run, before giving up
_LONGEST_LOOK_S = 5.0  # at a database that is said to be damaged
_ATTEMPT_S = 1.0  # waited inside SQLite at a time: a signal is heeded only in between
_MAGIC = b"SQLite format 3\0"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNFIT = {
    sqlite3.SQLITE_NOTADB: "is no SQLite database; name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a copy, or move it away and start another",
}
_CURES = {
    sqlite3.SQLITE_BUSY: "is locked by another program; try again when that has finished",
    sqlite3.SQLITE_LOCKED: "is locked by another program; try again when that has finished",
    sqlite3.SQLITE_FULL: "the disk is full; free some space, or write elsewhere",
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its folder writable, or write elsewhere",
    sqlite3.SQLITE_PERM: "may not be written; choose a file that you may write to",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that you may read and write the file and its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written: input/output error; check the disk",
}


class Database:
    """A SQLite database, open. Its errors are ConfigError (unfit, or read only) and OutputError (when writing)."""

    def __init__(self, path: str | os.PathLike[str], *, writing: bool) -> None:
        """Open `path`; where it is to be written, make it and its folder where they are missing.

        Raises ConfigError for what is no regular file, OutputError for a folder that cannot be written.
        """
        self.path = Path(path)
        self.wait_s: float | None = None  # WAIT_S, unless somebody is in a hurry
        self._writing = writing
        there = _is_file(self.path)
        if there and not _may_be_sqlite(self.path):
            raise ConfigError(f"{show(self.path)}: {_UNFIT[sqlite3.SQLITE_NOTADB]}")
        if writing:
            check_folder(self.path.parent)  # the journal stands there, too
            if there and not os.access(self.path, os.W_OK):  # SQLite would say so at the first row
                raise OutputError(f"{show(self.path)}: {_CURES[sqlite3.SQLITE_READONLY]}")
        elif not there:
            raise ConfigError(f"{show(self.path)}: no such file; check the name")
        # A URI, so that no name has a meaning of its own (":memory:", "") and any byte may be in it. Not "ro" for
        # reading: what a killed run left half done is rolled back by whoever comes next.
        name = urllib.parse.quote(os.fsencode(os.path.abspath(self.path)))  # noqa: PTH100
        uri = f"file:{name}?mode={'rwc' if writing else 'rw'}"
        with self._errors():
            self._connection = sqlite3.connect(uri, uri=True, timeout=_ATTEMPT_S, isolation_level=None)
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            self.query("PRAGMA trusted_schema = OFF")  # of a file that somebody else may have made
            self.query("PRAGMA synchronous = EXTRA")  # the folder is synced too, when the journal is gone
            if not writing:
                self.query("PRAGMA query_only = ON")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. What was committed is on the disk already."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a query: no lock is held when it returns."""
        with self._errors():
            return self._patiently(sql, values)

    def execute(self, sql: str, *values: object) -> tuple[int, int]:
        """Run a statement inside a transaction; return how many rows it changed, and the number of the last one."""
        with self._errors():
            done = self._connection.execute(sql, values)
            return done.rowcount, done.lastrowid or 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing of it where it raises or rolls back itself.

        The lock is asked for at once: to ask later could deadlock two runs.
        """
        with self._errors():
            self._patiently("BEGIN IMMEDIATE", ())
        try:
            yield
            if self._connection.in_transaction:
                with self._errors():
                    self._patiently("COMMIT", ())  # waits for readers
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _patiently(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        end = time.monotonic() + (WAIT_S if self.wait_s is None else self.wait_s)
        while True:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() >= end:
                    raise

    def _is_whole(self) -> bool:
        """Tell whether a database that SQLite calls damaged is not: it says so of a disk that cannot be read, too."""
        late = time.monotonic() + _LONGEST_LOOK_S
        try:
            with self.path.open("rb") as stream:
                while stream.read(1 << 20):
                    pass
        except OSError:
            return True  # as far as anybody can tell
        try:
            name = urllib.parse.quote(os.fsencode(os.path.abspath(self.path)))  # noqa: PTH100
            with contextlib.closing(sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=_ATTEMPT_S)) as other:
                other.set_progress_handler(lambda: time.monotonic() > late, 10_000)
                other.execute("PRAGMA trusted_schema = OFF")
                return bool(other.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)])
        except (sqlite3.Error, MemoryError):
            return False

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = _code(error)
            if code in _UNFIT and self._is_whole():
                code = sqlite3.SQLITE_IOERR
            said = _UNFIT.get(code) or _CURES.get(code)
            said = said or f"SQLite says: {show(str(error))}; restore a copy, or start another"
            kind: type[FaultdxError] = OutputError if self._writing and code not in _UNFIT else ConfigError
            raise kind(f"{show(self.path)}: {said}") from error


def _may_be_sqlite(path: Path) -> bool:
    """Tell by its first bytes; SQLite itself takes any file of less than a page for a new one, and writes over it.

    Magic: SQLite, "Database File Format", 1.3. With a journal beside it the file may still be on its way back to empty
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_MAGIC))
        return head in (b"", _MAGIC) or os.path.lexists(f"{path}-journal")
    except OSError:
        return True  # SQLite will say what is wrong


def _code(error: sqlite3.Error) -> int:
    """The primary code of SQLite, the low byte of the extended one; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _is_file(path: Path) -> bool:
    """Tell whether there is a file. ConfigError for a folder, a FIFO, a device."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
        raise ConfigError(f"{show(path)}: cannot be opened: {reason}; name another file") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{show(path)}: is no regular file; name a file")
    return True
