"""The history: every diagnosis of a plant in one SQLite file, each recording once for each model.

Runs queue for the lock, which is held for the milliseconds of a commit, so that two at once lose nothing. The layout
of the file is `_SCHEMA`; `PRAGMA user_version` counts its versions, and anybody's `sqlite3` may read it.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from faultdx.database import Database
from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.report.row import Row, timestamp

APPLICATION_ID = 0x66647848  # "fdxH" in the header of the file tells a history from any other SQLite database
VERSION = 1
_PAGE = 500  # rows read at a time: a reader that dawdles must not hold the lock
_SCHEMA = """
CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE diagnosis (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run (id),
    file TEXT NOT NULL, asset TEXT NOT NULL, point TEXT NOT NULL, time TEXT NOT NULL, time_from TEXT NOT NULL,
    status TEXT NOT NULL, verdict TEXT, fault INTEGER, confidence REAL, agreement REAL, fault_probability REAL,
    segments INTEGER NOT NULL, sampling_rate_hz REAL, rpm REAL,
    level_rms REAL, level_peak REAL, crest_factor REAL, kurtosis REAL, unit TEXT NOT NULL,
    notes TEXT NOT NULL, sha256 TEXT NOT NULL, model_digest TEXT NOT NULL, model_name TEXT NOT NULL,
    diagnosed_at TEXT NOT NULL, elapsed_s REAL, asked TEXT NOT NULL, content TEXT NOT NULL,
    stated_time TEXT NOT NULL, json TEXT NOT NULL
);
CREATE UNIQUE INDEX diagnosis_once ON diagnosis (asset, point, stated_time, content, asked, model_digest);
CREATE INDEX diagnosis_known ON diagnosis (sha256, model_digest);
CREATE INDEX diagnosis_trend ON diagnosis (asset, point, time, id);
CREATE INDEX diagnosis_series ON diagnosis (asset, point, run);
"""
_COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
_TEXTS = {field.name for field in dataclasses.fields(Row) if field.type == "str"}
_NAMES = ("run", *_COLUMNS, "stated_time", "json")
_INSERT = f"INSERT INTO diagnosis ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) ON CONFLICT DO NOTHING"
_SELECT = (
    f"SELECT diagnosis.id, run, run.started, {', '.join(_COLUMNS)} FROM diagnosis JOIN run ON run.id = run "
    "WHERE asset = ? AND point = ?"
)
_AFTER = "AND (time, diagnosis.id) > (SELECT time, id FROM diagnosis WHERE id = ?) ORDER BY time, diagnosis.id"
# One statement, so that it sees the file as it was at one moment.
_HEADER = (
    "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
    "(SELECT count(*) FROM sqlite_master)"
)


@dataclass(frozen=True)
class Entry:
    """A row of the history: its number, the run (number and start, UTC) that appended it, and the diagnosis."""

    number: int
    run: int
    run_started: str
    row: Row


class History:
    """A history, open: `History.open` for a run (makes it where it is missing), `History.read` to look at it.

    A recording is in it once for each (asset, point, time where it is stated, digest of its bytes, model, what was
    declared of it): to diagnose it again adds nothing. What could not be read is known by its name, its modification
    and the error. All methods raise ConfigError (no history, damaged) and OutputError (cannot be written).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> History:
        """Open a history for appending, and find out that it can be written; make it where it is missing."""
        history = cls(Database(path, writing=True))
        try:
            with history._database.transaction():
                if not history._is_mine():
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        history._database.execute(statement)
                    history._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    history._database.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            history.close()
            raise
        return history

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> History:
        """Open a history that is there. Raises ConfigError where there is none, or where it is empty."""
        history = cls(Database(path, writing=False))
        try:
            if not history._is_mine() or not history._database.query("SELECT 1 FROM diagnosis LIMIT 1"):
                raise ConfigError(f"{show(path)}: holds no diagnosis yet; faultdx diagnose --history FILE adds them")
        except BaseException:
            history.close()
            raise
        return history

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What was appended is on the disk already."""
        self._database.close()

    def hurry(self) -> None:
        """Wait for no lock longer than a few seconds from now on: the program was told to end."""
        self._database.wait_s = 3.0

    def _is_mine(self) -> bool:
        """Tell whether the file is a history (True) or a database with nothing in it. ConfigError for anything else."""
        application, version, tables = self._database.query(_HEADER)[0]
        if not (application or version or tables):
            return False
        name = show(self._database.path)
        if application != APPLICATION_ID:
            raise ConfigError(f"{name}: is a SQLite database of another program; name another file")
        if version != VERSION:
            raise ConfigError(
                f"{name}: is a history of version {version}, and this faultdx knows version {VERSION}; "
                "update faultdx, or name another file"
            )
        return True

    def append(
        self, rows: Iterable[tuple[Row, str]], *, version: str, started: datetime | None = None, run: int | None = None
    ) -> tuple[int | None, int]:
        """Append (row, its diagnosis as JSON) pairs in one transaction; return the run's number and how many were new.

        version : of faultdx; started : of the run, now by default; run : the number of a run to go on with. A run that
        adds nothing leaves no trace, and its number is None
        """
        number, added = run, 0
        with self._database.transaction():
            if number is None:
                when = timestamp(started or datetime.now(UTC))
                number = self._database.execute("INSERT INTO run (started, version) VALUES (?, ?)", when, version)[1]
            for row, document in rows:
                values = [getattr(row, name) for name in _COLUMNS]
                stated = row.time if row.time_from == "stated" else ""
                added += self._database.execute(_INSERT, number, *values, stated, document)[0]
            if run is None and not added:
                self._database.execute("ROLLBACK")
                number = None
        return number, added

    def known(self, sha256: str, model_digest: str, *, asked: str = "") -> bool:
        """Tell whether a model has diagnosed this content already, asked for the same. An error does not count."""
        return bool(
            self._database.query(
                "SELECT 1 FROM diagnosis WHERE sha256 = ? AND model_digest = ? AND asked = ? AND status <> 'error' "
                "LIMIT 1",
                sha256, model_digest, asked,
            )
        )  # fmt: skip

    def series(self, *, asset: str | None = None) -> list[tuple[str, str]]:
        """Return each (asset, measuring point) that there is, sorted."""
        sql = "SELECT DISTINCT asset, point FROM diagnosis"
        if asset is None:
            return self._database.query(f"{sql} ORDER BY asset, point")
        return self._database.query(f"{sql} WHERE asset = ? ORDER BY point", asset)

    def entries(self, *, asset: str | None = None, last: int | None = None) -> Iterator[Entry]:
        """Yield the diagnoses by asset and measuring point, each in the order of time.

        last : only so many of each measuring point, the newest. They are read in pages: while they are used, the
        history is not locked
        """
        for name, point in self.series(asset=asset):
            if last is not None:
                yield from reversed(self._page("ORDER BY time DESC, diagnosis.id DESC", last, name, point))
                continue
            page = self._page("ORDER BY time, diagnosis.id", _PAGE, name, point)
            while page:
                yield from page
                page = self._page(_AFTER, _PAGE, name, point, page[-1].number)

    def before(self, asset: str, point: str, time: str, *, last: int) -> list[Row]:
        """Return the diagnoses of a measuring point that were recorded before `time`, at most the newest `last`."""
        found = self._page("AND time < ? ORDER BY time DESC, diagnosis.id DESC", last, asset, point, time)
        return [entry.row for entry in reversed(found)]

    def newest(self) -> list[Row]:
        """Return the newest diagnosis of each measuring point of each named asset; and, where that does not say whether
        there is a fault, the newest that does: a dead sensor takes no fault back."""
        last = "ORDER BY time DESC, diagnosis.id DESC"
        found: list[Row] = []
        for asset, point in self.series():
            entries = self._page(last, 1, asset, point) if asset else []
            if entries and entries[0].row.fault is None:
                entries = [*self._page(f"AND fault IS NOT NULL {last}", 1, asset, point), *entries]
            found += [entry.row for entry in entries]
        return found

    def last_runs(self, asset: str, point: str) -> list[list[Entry]]:
        """Return the entries of the last run that has this measuring point, then of the run before it (if any)."""
        runs = self._database.query(
            "SELECT DISTINCT run FROM diagnosis WHERE asset = ? AND point = ? ORDER BY run DESC LIMIT 2", asset, point
        )
        return [self._page("AND run = ? ORDER BY time, diagnosis.id", -1, asset, point, run) for (run,) in runs]

    def _page(self, rest: str, limit: int, asset: str, point: str, *values: object) -> list[Entry]:
        return [_entry(v) for v in self._database.query(f"{_SELECT} {rest} LIMIT ?", asset, point, *values, limit)]


def _entry(values: tuple[Any, ...]) -> Entry:
    """Return an entry of what the file holds; a value of another kind than ours becomes text, or None."""
    number, run, started, *cells = values
    fields: dict[str, Any] = {}
    for name, value in zip(_COLUMNS, cells, strict=True):
        known = isinstance(value, (int, float)) and math.isfinite(value)
        if name in _TEXTS:
            fields[name] = show(str(value))
        elif name == "verdict":
            fields[name] = None if value is None else show(str(value))
        elif name == "fault":
            fields[name] = bool(value) if known else None
        elif name == "segments":
            fields[name] = int(value) if known else 0
        else:
            fields[name] = value if known else None
    return Entry(int(number), int(run), show(str(started)), Row(**fields))
