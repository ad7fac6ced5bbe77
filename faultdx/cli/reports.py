"""The reports of a run of `diagnose`: one file a record and format, none lost, none overwritten by chance; and a list
of them, worst first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faultdx.cli import console

if TYPE_CHECKING:
    from faultdx.answers import Answer
    from faultdx.cli.outputs import Outputs
    from faultdx.records import Item
    from faultdx.report.index import Listed

SUFFIXES = {"html": ".html", "markdown": ".md", "pdf": ".pdf"}


def note_language() -> None:
    """Say so where FAULTDX_LANGUAGE names a language that is not there: texts are then English."""
    if not os.environ.get("FAULTDX_LANGUAGE"):
        return
    from faultdx.report.words import VARIABLE, unknown_language

    wanted = unknown_language()
    if wanted:
        console.note(f"{VARIABLE}={console.one_line(wanted)}: there are no texts in that language; they are English")


def formats_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the formats of `--report-format`, in the order of SUFFIXES. Raises ConfigError for one that is unknown."""
    from faultdx.errors import ConfigError

    wanted = {part.strip() for one in given or ("html",) for part in one.split(",") if part.strip()}
    for name in sorted(wanted):
        if name not in SUFFIXES:
            raise ConfigError(f"--report-format {name!r} is unknown: it is one or more of {', '.join(SUFFIXES)}")
    if not wanted:
        raise ConfigError(f"--report-format names no format: it is one or more of {', '.join(SUFFIXES)}")
    return tuple(name for name in SUFFIXES if name in wanted)


def reports_of(
    folder: Path | None, items: Sequence[Item], formats: Sequence[str] | None, *, overwrite: bool
) -> Reports | None:
    """Return what writes the reports of a run; None where no folder for them was named. Raises as `Reports` does."""
    from faultdx.errors import ConfigError

    wanted = formats_of(formats)
    if folder is not None:
        return Reports(folder, items, overwrite, formats=wanted)
    if formats:
        raise ConfigError("--report-format needs --report DIR: where the reports go")
    return None


class Reports:
    """Writes the report of each record into `folder`. Raises OutputError where that cannot be a folder of ours, and
    ConfigError where what writes a format is not installed: before the long work."""

    def __init__(
        self, folder: Path, items: Sequence[Item], overwrite: bool, *, formats: Sequence[str] = ("html",)
    ) -> None:
        from faultdx.errors import OutputError
        from faultdx.extras import require
        from faultdx.files import check_folder, show
        from faultdx.report.index import Index
        from faultdx.report.naming import report_names

        require(("matplotlib",), what="--report")
        self._browser = ""
        if "pdf" in formats:
            from faultdx.report.pdf import find_browser

            self._browser = find_browser()
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{show(folder)}: is a file; choose a folder for the reports")
        check_folder(folder)
        self._folder, self._overwrite, self._formats = folder, overwrite, tuple(formats)
        self._names = [name.removesuffix(".html") for name in report_names(items)]
        self._index = Index()
        self._written = self._failed = 0

    def take(self, index: int, answer: Answer, outputs: Outputs) -> None:
        """Write the report of an answer, with the trend that the history has of it so far."""
        if answer.page is not None:
            trend = None if answer.row is None else outputs.trend(answer.row, answer.json or "")
            self.write(index, answer.page, trend=trend, listed=answer.listed)

    def write(self, index: int, page: bytes, *, trend: str | None = None, listed: Listed | None = None) -> None:
        """Write the report of record `index`; one that cannot be written is named on stderr.

        trend : the section that goes where `report.past.HERE` is; listed : the row of the list
        """
        from faultdx.errors import OutputError
        from faultdx.report.past import HERE

        here = HERE.encode()
        page = page.replace(here, b"" if trend is None else f"{trend}\n".encode("utf-8", "backslashreplace"), 1)
        link = ""
        for name in self._formats:
            target = self._folder / (self._names[index] + SUFFIXES[name])
            try:
                _write_report(self._as(name, page), target, overwrite=self._overwrite)
                link = link or target.name
            except OutputError as error:  # the verdict is out, and the other files are waiting
                self._failed += 1
                console.say(console.error_line(error))
        self._written += bool(link)
        if listed is not None:
            self._index.add(listed, link=link)

    def _as(self, name: str, page: bytes) -> bytes:
        if name == "markdown":
            from faultdx.report.markdown import from_page

            return from_page(page.decode("utf-8")).encode("utf-8")
        if name == "pdf":
            from faultdx.report.pdf import to_pdf

            return to_pdf(page, browser=self._browser)
        return page

    def finish(self, *, passed_over: int = 0) -> bool:
        """Write the list, where there is more than one record, and say how many reports there are; return whether all
        were written."""
        if len(self._names) > 1 and self._index.total:
            self._list(passed_over)
        console.note(f"{self._written} report{'s' * (self._written != 1)} in {console.one_line(str(self._folder))}")
        return not self._failed

    def _list(self, passed_over: int) -> None:
        from faultdx.errors import OutputError
        from faultdx.report.index import MARK

        page = self._index.page(passed_over=passed_over).encode("utf-8", "backslashreplace")
        for name in self._formats if self._formats != ("pdf",) else ("html",):
            if name == "pdf":
                continue
            target = self._folder / f"index{SUFFIXES[name]}"
            blob = self._as(name, page)
            if name == "markdown":
                blob = _MARKDOWN_MARK + blob
            mark = _MARKDOWN_MARK if name == "markdown" else MARK.encode()
            try:
                # a list of an earlier run is ours to replace: the reports that it listed are still there
                _write_report(blob, target, overwrite=self._overwrite or _is_list(target, mark))
            except OutputError as error:
                self._failed += 1
                console.say(console.error_line(error))


_MARKDOWN_MARK = b"<!-- faultdx index -->\n"


def _is_list(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return mark in stream.read(1024)
    except OSError:
        return False


def _write_report(page: bytes, target: Path, *, overwrite: bool) -> None:
    from faultdx.errors import OutputError
    from faultdx.files import atomic_write, show

    if target.exists() and not overwrite:
        if target.is_file() and target.read_bytes() == page:
            return  # the same report: nothing to lose
        raise OutputError(f"{show(target)}: exists already and is another report; --overwrite replaces it")
    atomic_write(target, page)
