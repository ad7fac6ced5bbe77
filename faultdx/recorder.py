"""One run -> the history, a batch at a time."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from types import TracebackType

from faultdx.errors import FaultdxError
from faultdx.history import History
from faultdx.records.table import Item
from faultdx.report.row import Row, asked_of, sha256_of


class Recorder:
    """Appends the diagnoses of one run as they come.

    A commit waits for the disk, 20 ms and more: one for each record would take longer than its diagnosis, and one at
    the end would lose a night's work to a kill. So a batch is committed every two seconds, and at the end; what a kill
    takes is diagnosed again by the next `--new-only`. Print a result before it is added: then whatever is in the
    history has been seen.

    added : how many were new to the history; skipped : how many `known` said yes to
    """

    EVERY_S, EVERY_ROWS = 2.0, 500
    AGAIN_S = 60.0  # after a commit that failed: to wait for a lock takes its time, and the records go on

    def __init__(self, history: History, *, version: str) -> None:
        self.added = self.skipped = 0
        self._history, self._version = history, version
        self._started = datetime.now(UTC)
        self._run: int | None = None
        self._pending: list[tuple[Row, str]] = []
        self._seen: set[tuple[str, str, str]] = set()
        self._due = time.monotonic() + self.EVERY_S

    def add(self, row: Row, document: str) -> None:
        """Take a row with its diagnosis as JSON. Never raises: what cannot be written waits, and is tried again."""
        self._pending.append((row, document))
        if row.sha256 and row.status != "error":
            self._seen.add((row.sha256, row.model_digest, row.asked))
        if time.monotonic() >= self._due or len(self._pending) == self.EVERY_ROWS:
            try:
                self._commit()
            except FaultdxError:
                self._due = time.monotonic() + self.AGAIN_S

    def known(self, item: Item, model_digest: str, *, min_confidence: float | None = None) -> bool:
        """Tell whether this model has diagnosed the recording already, in this run or before, asked for the same.

        A recording that cannot be read is not known. Raises ConfigError, OutputError as the history does
        """
        digest = sha256_of(item)
        if digest is None:
            return False
        asked = asked_of(item, min_confidence=min_confidence)
        found = (digest, model_digest, asked) in self._seen or self._history.known(digest, model_digest, asked=asked)
        self.skipped += found
        return found

    def earlier(self, row: Row, *, last: int) -> list[Row]:
        """Return what is known of the measuring point of `row` before it, of this run too; at most the newest `last`
        that are in the file, and those that wait. Raises as the history does."""
        waiting = [one for one, _ in self._pending if (one.asset, one.point) == (row.asset, row.point)]
        return [*self._history.before(row.asset, row.point, row.time, last=last), *waiting]

    def _commit(self) -> None:
        self._run, added = self._history.append(
            self._pending, version=self._version, started=self._started, run=self._run
        )
        self.added += added
        self._pending = []
        self._due = time.monotonic() + self.EVERY_S

    def close(self) -> None:
        """Commit what is left. Raises OutputError where it cannot be written; call it again to try again."""
        if self._pending:
            self._commit()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        self._history.hurry()
        with contextlib.suppress(FaultdxError):  # what ended the run is the better message
            self.close()
