"""Sources -> Items: what was named on the command line, found."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.opening import STANDARD_INPUT
from faultdx.records.reading import Opened, open_bytes, open_item, read_item
from faultdx.records.table import FOLDER_NAME, NOTHING, Declared, Item, looks_like_table, read_table

__all__ = ["NOTHING", "Declared", "Item", "Opened", "find_records", "open_bytes", "open_item", "read_item"]

TABLE_NAME = "records.csv"
# In a folder these are no recordings. `.h5` is what faultdx itself writes (prepared files); a recording in one, or
# in any file passed over here, is read where it is named outright, by a glob of its suffix, or in a table.
_NOT_RECORDS = {
    ".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".xml",
    ".py", ".pyc", ".m", ".ipynb", ".sh", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".h5", ".onnx", ".pt",
    ".safetensors", ".zip", ".gz", ".tar", ".7z", ".rar", ".log", ".sha256", ".md5",
}  # fmt: skip
_NOT_RECORD_NAMES = re.compile(r"(readme|licen[cs]e|copying|changelog|makefile)(\..*)?$", re.IGNORECASE)


def find_records(sources: Sequence[str], *, table: str | None = None, flags: Declared = NOTHING) -> list[Item]:
    """Return the recordings that `sources` name, in their order; inside a folder, by natural order of the names.

    A source is a file, a folder (searched to its bottom), a glob (`**` too), "-" (standard input), or a records
    table. `table` describes the files that the sources name; without sources it names them as well.
    A file that is missing, or a glob without a match, is an Item too: `read_item` says what is wrong with it, so
    that one bad name does not cost the others.

    Raises ConfigError (every problem of a table at once) and RecordError (a table that cannot be opened).
    """
    if list(sources).count(STANDARD_INPUT) > 1:
        raise ConfigError("-: standard input can be read once; name it once")
    if table is not None and not sources:
        return read_table(table, flags=flags)
    items = [item for source in sources for item in _find(source, flags)]
    return items if table is None else _described(items, table, flags)


def _described(items: list[Item], table: str, flags: Declared) -> list[Item]:
    rows: dict[str, list[Item]] = {}
    for row in read_table(table, flags=flags):
        rows.setdefault(_identity(row.path), []).append(row)
    items = [i for i in items if _identity(i.path) != _identity(table)]
    if items and not any(_identity(item.path) in rows for item in items):
        raise ConfigError(
            f"{show(table)}: describes none of the files given; its paths are relative to the folder it is in"
        )
    # Several rows of one file are several records of it (other channels or variables).
    return [replace(row, path=item.path) for item in items for row in rows.get(_identity(item.path), [item])]


def _identity(path: str) -> str:
    return path if path == STANDARD_INPUT else os.path.realpath(path)


def _find(source: str, flags: Declared) -> list[Item]:
    alone = [Item(source, NOTHING, flags)]
    if source == STANDARD_INPUT or "\0" in source:  # reading it will say what is wrong with a NUL byte
        return alone
    if _is_folder(source):
        return list(_folder(Path(source), flags)) or alone
    if looks_like_table(source):
        return read_table(source, flags=flags)
    if not os.path.lexists(source) and glob.has_magic(source):
        suffix = Path(source).suffix.lower()
        found = [
            path
            for path in map(Path, glob.glob(source, recursive=True))  # noqa: PTH207 - Path().glob("/x/*") raises
            if not _is_folder(path) and (_is_record(path) or path.suffix.lower() == suffix)
        ]
        return [Item(str(path), _in_folder(path), flags) for path in sorted(found, key=_natural)] or alone
    return alone


def _folder(folder: Path, flags: Declared) -> Iterator[Item]:
    """Yield the recordings of a folder. Class folders (two or more, one level down, none deeper) label their files."""
    found = list(_walk(folder, flags, frozenset()))
    parents = {Path(item.path).parent for item in found}
    folders = parents - {folder}  # a stray file beside the class folders has no label, and costs the others none
    are_classes = len(folders) > 1 and all(parent.parent == folder for parent in folders)
    for item in found:
        # What a records.csv in a class folder leaves open stays open: it is a table's word, not a folder's.
        in_class = are_classes and Path(item.path).parent != folder
        if in_class and item.declared.said_by == FOLDER_NAME:
            yield replace(item, declared=replace(item.declared, label=Path(item.path).parent.name))
        else:
            yield item


def _walk(folder: Path, flags: Declared, above: frozenset[str]) -> Iterator[Item]:
    table = folder / TABLE_NAME
    if looks_like_table(str(table)):
        yield from read_table(str(table), flags=flags)
        return
    here = os.path.realpath(folder)
    if here in above:  # a link to a folder that it is in
        return
    try:
        paths = sorted(folder.iterdir(), key=_natural)
    except OSError as error:
        raise RecordError(f"{show(folder)}: cannot be listed; ask its owner for read access", str(folder)) from error
    for path in paths:
        if path.name.startswith("."):
            continue
        if _is_folder(path):
            yield from _walk(path, flags, above | {here})
        elif _is_record(path):
            yield Item(str(path), _in_folder(path), flags)


def _in_folder(path: Path) -> Declared:
    """Keep the name of the folder as a detail, so that it can be asked for as a label where it is not one itself."""
    return Declared(details={"folder": path.absolute().parent.name}, said_by=FOLDER_NAME)


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long or a folder is closed


def _is_record(path: Path) -> bool:
    return path.suffix.lower() not in _NOT_RECORDS and not _NOT_RECORD_NAMES.match(path.name)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Order 97 before 105: a run of digits counts as a number, and stands before letters."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(0, int(part), part) if i % 2 else (1, 0, part) for i, part in enumerate(parts) if part]
