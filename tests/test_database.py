"""SQLite as the history uses it: what it is told to trust, how it waits for the disk, what is said of its errors."""

from __future__ import annotations

import errno
import sqlite3
import time
from pathlib import Path

import pytest

from faultdx import database
from faultdx.database import Database
from faultdx.errors import ConfigError, FaultdxError, OutputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "h.sqlite") as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        db.executemany("INSERT INTO t (b) VALUES (?)", [("x" * 500,)] * 200)
    db.close()
    return tmp_path / "h.sqlite"


@pytest.mark.parametrize("writing", [True, False])
def test_what_a_stranger_put_into_the_schema_is_not_trusted(path: Path, writing: bool) -> None:
    db = Database(path, writing=writing)
    assert db.query("PRAGMA trusted_schema") == [(0,)]
    db.close()


def test_a_commit_waits_for_the_file_and_for_its_folder(path: Path) -> None:
    db = Database(path, writing=True)
    assert db.query("PRAGMA synchronous") == [(3,)]  # EXTRA: the folder, too, when the journal is gone
    assert db.query("PRAGMA journal_mode") == [("delete",)]
    db.close()


def test_who_only_reads_cannot_write(path: Path) -> None:
    db = Database(path, writing=False)
    with pytest.raises(ConfigError):
        db.query("DELETE FROM t")
    db.close()


def _says_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says SQLITE_CORRUPT, as it does of a page that the disk answers with EIO for."""

    def failing(*_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # type: ignore[misc]
        raise error

    monkeypatch.setattr(Database, "_patiently", failing)


@pytest.mark.parametrize(("writing", "kind"), [(True, OutputError), (False, ConfigError)])
def test_a_disk_that_cannot_be_read_is_not_called_a_damaged_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, writing: bool, kind: type[FaultdxError]
) -> None:
    db = Database(path, writing=writing)
    _says_corrupt(monkeypatch)
    with pytest.raises(kind, match=r"h\.sqlite: cannot be read or written: input/output error; check the disk"):
        db.query("SELECT 1")
    db.close()


def test_a_disk_that_cannot_be_read_at_all_neither(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(path, writing=True)
    _says_corrupt(monkeypatch)
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
    with pytest.raises(OutputError, match="input/output error"):
        db.query("SELECT 1")
    db.close()


def test_a_damaged_file_is_called_damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    path.write_bytes(data)
    db = Database(path, writing=False)
    with pytest.raises(ConfigError, match="is damaged; restore a copy"):
        db.query("SELECT sum(length(b)) FROM t")
    db.close()


def test_the_look_at_a_damaged_file_has_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar's file may make SQLite work for days."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE slow (x)")
        other.executemany("INSERT INTO slow VALUES (?)", [(i,) for i in range(30_000)])
    other.close()
    monkeypatch.setattr(database, "_LONGEST_LOOK_S", -1.0)
    db = Database(path, writing=False)
    _says_corrupt(monkeypatch)
    began = time.monotonic()
    with pytest.raises(ConfigError, match="is damaged"):
        db.query("SELECT 1")
    assert time.monotonic() - began < 5
    db.close()
