"""What `diagnose` writes besides its verdicts: the history, the metrics, the CSV."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from faultdx import __version__

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis
    from faultdx.errors import FaultdxError
    from faultdx.history import History
    from faultdx.model import Model
    from faultdx.recorder import Recorder
    from faultdx.records import Item
    from faultdx.report.row import Row
    from faultdx.untrained import Untrained


class Outputs:
    """The files of one run, as far as the user asked for them. Use it in a `with` block: a run that is ended early
    leaves what it found in the history, and neither CSV nor metrics.

    Raises OutputError and ConfigError when it is made: before the long work.
    """

    def __init__(
        self,
        model: Model | Untrained,
        *,
        history: Path | None = None,
        metrics_file: Path | None = None,
        csv: Path | None = None,
        overwrite: bool = False,
        min_confidence: float | None = None,
    ) -> None:
        from faultdx.errors import ConfigError
        from faultdx.files import check_target

        if csv is not None:
            check_target(csv, overwrite=overwrite)
        if metrics_file is not None:
            if metrics_file.suffix != ".prom":
                raise ConfigError("--metrics-file: the collector reads files whose names end in .prom")
            check_target(metrics_file, overwrite=True)  # it is there from the last run, always
        self._model, self._min_confidence = model, min_confidence
        self._csv = None if csv is None else _CsvFile(csv, overwrite=overwrite)
        self._metrics_file = metrics_file
        self._rows: list[Row] = []  # for the metrics alone, which have a line a record themselves
        self._began = time.monotonic()
        self._history: History | None = None
        self._recorder: Recorder | None = None
        if history is not None:
            from faultdx.history import History
            from faultdx.recorder import Recorder

            self._history = History.open(history)
            self._recorder = Recorder(self._history, version=__version__)

    @property
    def skipped(self) -> int:
        """How many recordings `known` has said yes to."""
        return 0 if self._recorder is None else self._recorder.skipped

    def known(self, item: Item) -> bool:
        """Tell whether the history has what this model says of a recording. Raises as the history does."""
        if self._recorder is None:
            return False
        return self._recorder.known(item, self._model.digest, min_confidence=self._min_confidence)

    def trend(self, row: Row, document: str = "") -> str | None:
        """Return the section of a report on what the history has of the measuring point; None without a history, or
        where it cannot be read: the report is worth having without. document : the diagnosis as JSON"""
        from faultdx.errors import FaultdxError
        from faultdx.report import past

        if self._recorder is None:
            return None
        try:
            found = self._recorder.earlier(past.asked_before(row), last=3 * past.MOST)
            return past.section(row, past.earlier_of(found, row), own=past.own_limit(document, row))
        except FaultdxError:
            return None

    @property
    def wanted(self) -> bool:
        """Whether `add_row` has a use for rows."""
        return self._recorder is not None or self._csv is not None or self._metrics_file is not None

    def add(self, found: Diagnosis, item: Item) -> None:
        """Take a diagnosis, after it was printed and while it has its record. Never raises."""
        if self.wanted:
            from faultdx.report.document import to_json
            from faultdx.report.row import row_of

            healthy = tuple(self._model.info["healthy"])
            row = row_of(found, item, healthy=healthy, min_confidence=self._min_confidence)
            self.add_row(row, to_json(found))

    def add_row(self, row: Row, document: str) -> None:
        """Take the row of a diagnosis and its JSON, after it was printed. Never raises."""
        if self._recorder is not None:
            self._recorder.add(row, document)
        if self._csv is not None:
            self._csv.add(row)
        if self._metrics_file is not None:
            self._rows.append(row)

    def finish(self) -> list[FaultdxError]:
        """Write what is left to write; return what went wrong, one error a file."""
        from faultdx.errors import FaultdxError

        wrong: list[FaultdxError] = []
        standing: list[Row] = []
        try:
            if self._history is not None and self._recorder is not None:
                self._recorder.close()
                standing = self._history.newest() if self._metrics_file is not None else []
        except FaultdxError as error:
            wrong.append(error)
        try:
            if self._csv is not None:
                self._csv.finish()
        except FaultdxError as error:
            wrong.append(error)
        try:
            if self._metrics_file is not None:
                from faultdx.metrics import to_metrics, write_metrics

                text = to_metrics(
                    self._rows, model=self._model.summary, version=__version__, ended=time.time(),
                    duration_s=time.monotonic() - self._began, standing=standing, skipped=self.skipped,
                )  # fmt: skip
                write_metrics(self._metrics_file, text)
        except FaultdxError as error:
            wrong.append(error)
        return wrong

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorder is not None and error is not None:
            self._recorder.__exit__(kind, error, trace)
        if self._csv is not None:
            self._csv.leave()
        if self._history is not None:
            self._history.close()


class _CsvFile:
    """A CSV that grows under a temporary name, a row at a time, and appears whole at the end, or not at all."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path, self._overwrite = path, overwrite
        self._replacing: AbstractContextManager[Path] | None = None
        self._file: TextIO | None = None
        self._wrong: FaultdxError | None = None

    def add(self, row: Row) -> None:
        """Write a row. Never raises: what went wrong is raised by `finish`."""
        self._write([row])

    def _write(self, rows: list[Row]) -> None:
        from faultdx.errors import FaultdxError
        from faultdx.files import output_error, replacing
        from faultdx.report.table import to_csv

        if self._wrong is not None:
            return
        try:
            text = to_csv(rows)
            if self._file is None:
                self._replacing = replacing(self._path, overwrite=self._overwrite)
                temporary = self._replacing.__enter__()
                self._file = temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="")
            else:
                text = text[text.index("\r\n") + 2 :]  # its header is there; no cell has a line break in it
            self._file.write(text)
        except OSError as error:
            self._wrong = output_error(self._path, error)
        except FaultdxError as error:
            self._wrong = error

    def finish(self) -> None:
        """Let the file appear. Raises OutputError."""
        self._write([])
        if self._wrong is not None or self._file is None or self._replacing is None:
            self.leave()
            raise self._wrong or AssertionError
        from faultdx.files import check_target, output_error

        replacing, self._replacing = self._replacing, None
        try:
            self._file.close()
            check_target(self._path, overwrite=self._overwrite)  # it may have come in the meantime
        except BaseException as error:
            with suppress(Exception):
                replacing.__exit__(type(error), error, None)
            if isinstance(error, OSError):
                raise output_error(self._path, error) from error
            raise
        replacing.__exit__(None, None, None)

    def leave(self) -> None:
        """Take back what there is of the file, unless it has appeared."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._replacing is not None:
            replacing, self._replacing = self._replacing, None
            early = KeyboardInterrupt()
            with suppress(BaseException):
                replacing.__exit__(KeyboardInterrupt, early, None)
