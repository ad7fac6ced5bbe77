"""What `diagnose` writes besides its verdicts: the history, the metrics, the CSV."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from faultdx import __version__

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis, Model
    from faultdx.errors import FaultdxError
    from faultdx.history import History
    from faultdx.recorder import Recorder
    from faultdx.records import Item
    from faultdx.report.row import Row


class Outputs:
    """The files of one run, as far as the user asked for them. Use it in a `with` block: a run that is ended early
    leaves what it found in the history, and neither CSV nor metrics.

    Raises OutputError and ConfigError when it is made: before the long work.
    """

    def __init__(
        self,
        model: Model,
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
        self._csv, self._metrics_file, self._overwrite = csv, metrics_file, overwrite
        self._healthy = tuple(model.info["healthy"])
        self._rows: list[Row] = []
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

    def add(self, found: Diagnosis, item: Item) -> None:
        """Take a diagnosis, after it was printed and while it has its record. Never raises."""
        if self._recorder is None and self._csv is None and self._metrics_file is None:
            return
        from faultdx.report.document import to_json
        from faultdx.report.row import row_of

        row = row_of(found, item, healthy=self._healthy, min_confidence=self._min_confidence)
        if self._recorder is not None:
            self._recorder.add(row, to_json(found))
        if self._csv is not None or self._metrics_file is not None:
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
                from faultdx.files import atomic_write
                from faultdx.report.table import to_csv

                atomic_write(self._csv, to_csv(self._rows), overwrite=self._overwrite)
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
        if self._history is not None:
            self._history.close()
