"""The HTML reports of a run of `diagnose`: one file a record, none lost, none overwritten by chance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faultdx.cli import console

if TYPE_CHECKING:
    from faultdx.records import Item


class Reports:
    """Writes the report of each record into `folder`. Raises OutputError where that cannot be a folder of ours."""

    def __init__(self, folder: Path, items: Sequence[Item], overwrite: bool) -> None:
        from faultdx.errors import OutputError
        from faultdx.extras import require
        from faultdx.files import check_folder, show

        require(("matplotlib",), what="--report")
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{show(folder)}: is a file; choose a folder for the reports")
        check_folder(folder)
        self._folder, self._overwrite = folder, overwrite
        self._names = report_names(items)
        self._written = self._failed = 0

    def write(self, index: int, page: bytes) -> None:
        """Write the report of record `index`; one that cannot be written is named on stderr."""
        from faultdx.errors import OutputError

        try:
            _write_report(page, self._folder / self._names[index], overwrite=self._overwrite)
            self._written += 1
        except OutputError as error:  # the verdict is out, and the other files are waiting
            self._failed += 1
            console.say(console.error_line(error))

    def finish(self) -> bool:
        """Say how many were written; return whether all were."""
        console.note(f"{self._written} report{'s' * (self._written != 1)} in {console.one_line(str(self._folder))}")
        return not self._failed


def report_names(items: Sequence[Item]) -> list[str]:
    """Return a file name for each record's report: its own name, made safe, and told apart where two are alike.

    A table may list a file twice, with other channels or variables: these are two records.
    """
    safe = []
    for item in items:
        name = "standard-input" if item.path == "-" else Path(item.path).name
        safe.append("".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[:120] or "record")
    count = Counter(safe)
    out = []
    for item, name in zip(items, safe, strict=True):
        which = "\0".join((item.path, *item.declared.channels, item.declared.variable or ""))
        mark = "-" + hashlib.sha256(which.encode("utf-8", "surrogateescape")).hexdigest()[:8] if count[name] > 1 else ""
        out.append(f"{name}{mark}.html")
    return out


def _write_report(page: bytes, target: Path, *, overwrite: bool) -> None:
    from faultdx.errors import OutputError
    from faultdx.files import atomic_write, show

    if target.exists() and not overwrite:
        if target.is_file() and target.read_bytes() == page:
            return  # the same report: nothing to lose
        raise OutputError(f"{show(target)}: exists already and is another report; --overwrite replaces it")
    atomic_write(target, page)
