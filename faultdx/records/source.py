"""Sources -> Items: what was named on the command line, found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.handles import STANDARD_INPUT, locate
from faultdx.records.opening import may_lead_inside
from faultdx.records.reading import Opened, open_bytes, open_item, read_item
from faultdx.records.table import FOLDER_NAME, NOTHING, Declared, Item, may_be_table

if TYPE_CHECKING:
    from faultdx.records.folders import Placed
    from faultdx.records.members import Listing

__all__ = [
    "NOTHING",
    "Declared",
    "Item",
    "Opened",
    "find_records",
    "list_archive",
    "open_bytes",
    "open_item",
    "read_item",
]


def list_archive(path: str) -> Listing | None:
    """Return what the archive `path` ("-" is standard input) holds, None where it is no archive. Raises RecordError."""
    from faultdx.records import members

    return members.list_archive(path)


def find_records(sources: Sequence[str], *, table: str | None = None, flags: Declared = NOTHING) -> list[Item]:
    """Return the recordings that `sources` name, in their order; inside a folder, by natural order of the names.

    A source is a file, a folder (searched to its bottom), a glob (`**` too), "-" (standard input), a records table, or
    `FILE:INSIDE`: a member, a folder or a pattern in an archive, or a variable of another file. Of an archive, wherever
    it is found, each recording in it is an Item. `table` describes the files that the sources name; without sources it
    names them as well.
    A file that is missing, or a glob without a match, is an Item too: `read_item` says what is wrong with it, so
    that one bad name does not cost the others.

    Raises ConfigError (every problem of a table at once) and RecordError (a table that cannot be opened).
    """
    if list(sources).count(STANDARD_INPUT) > 1:
        raise ConfigError("-: standard input can be read once; name it once")
    if table is not None and not sources:
        return _listed(table, flags)
    items = [item for source in sources for item in _find(source, flags)]
    return items if table is None else _described(items, table, flags)


def _described(items: list[Item], table: str, flags: Declared) -> list[Item]:
    rows: dict[str, list[Item]] = {}
    for row in _listed(table, flags):
        rows.setdefault(_identity(row.path), []).append(row)
    items = [i for i in items if _identity(i.path) != _identity(table)]
    if items and not any(_identity(item.path) in rows for item in items):
        raise ConfigError(
            f"{show(table)}: describes none of the files given; its paths are relative to the folder it is in"
        )
    # Several rows of one file are several records of it (other channels or variables).
    return [replace(row, path=item.path) for item in items for row in rows.get(_identity(item.path), [item])]


def _listed(table: str, flags: Declared, *, bounded: bool = False) -> list[Item]:
    """Return the recordings that a records table lists. A row of an archive means those in it that no row names."""
    from faultdx.records.table_reading import read_table

    rows = read_table(table, flags=flags, bounded=bounded)
    inside = [_inside(row.path, flags) for row in rows]
    if not any(inside):
        return rows
    named = {_identity(row.path) for row in rows}
    items = []
    for row, found in zip(rows, inside, strict=True):
        if not found:
            items.append(row)
            continue
        for item in _labelled(found, PurePosixPath()):
            if item.path == row.path or _identity(item.path) not in named:
                items.append(replace(item, declared=_with_row(item.declared, row.declared)))
    return items


def _with_row(inner: Declared, row: Declared) -> Declared:
    """Return what a row says of an archive, and, where it leaves something open, the archive's folders or table."""
    told = [f.name for f in fields(Declared) if f.name not in ("details", "said_by")]
    open_ = (None, ())
    gaps = {name: said for name in told if getattr(row, name) in open_ and (said := getattr(inner, name)) not in open_}
    said_by = f"{row.said_by}, {inner.said_by}" if gaps else row.said_by
    return replace(row, **gaps, details={**inner.details, **row.details}, said_by=said_by)


def _identity(path: str) -> str:
    place = locate(path)
    file = place.file if place.file == STANDARD_INPUT else os.path.realpath(place.file)
    return file if place.inside is None else f"{file}:{place.inside}"


def _find(source: str, flags: Declared) -> list[Item]:
    alone = [Item(source, NOTHING, flags)]
    if "\0" in source:  # reading it will say what is wrong
        return alone
    if source != STANDARD_INPUT and _is_folder(source):
        return _labelled(list(_walk(Path(source), flags, frozenset())), Path(source)) or alone
    if _is_table(source):
        return _listed(source, flags)
    found = _inside(source, flags)
    if found is not None:
        return _labelled(found, PurePosixPath()) or alone
    if locate(source).inside is None and not os.path.lexists(source):
        return _matching(source, flags) or alone
    return alone


def _matching(pattern: str, flags: Declared) -> list[Item]:
    """Return the recordings whose names match a pattern; none where it is no pattern."""
    import glob

    from faultdx.records.folders import is_record, natural

    if not glob.has_magic(pattern):
        return []
    suffix = Path(pattern).suffix.lower()
    paths = [
        path
        for path in map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path().glob("/x/*") raises
        if not _is_folder(path) and (is_record(path) or path.suffix.lower() == suffix)
    ]
    paths.sort(key=natural)
    return [item for path in paths for item in _labelled(_in_folder(path, flags), path.parent)]


def _labelled(found: Sequence[Placed], root: Path | PurePosixPath) -> list[Item]:
    from faultdx.records.folders import labelled

    return labelled(found, root)


def _is_table(path: str) -> bool:
    if not may_be_table(path):
        return False
    from faultdx.records.table_reading import looks_like_table

    return looks_like_table(path)


def _inside(path: str, flags: Declared) -> list[Placed] | None:
    """Return the recordings in an archive, or in a folder or of a pattern in one; None where `path` is neither."""
    if not may_lead_inside(path):
        return None
    from faultdx.records.members import recordings_in

    return recordings_in(path, flags)


def _walk(folder: Path, flags: Declared, above: frozenset[str]) -> Iterator[Placed]:
    from faultdx.records.folders import TABLE_NAME, Placed, is_record, natural

    table = folder / TABLE_NAME
    if _is_table(str(table)):
        for item in _listed(str(table), flags, bounded=True):
            yield Placed(Path(locate(item.path).file).parent, item)
        return
    here = os.path.realpath(folder)
    if here in above:  # a link to a folder that it is in
        return
    try:
        paths = sorted(folder.iterdir(), key=natural)
    except OSError as error:
        raise RecordError(f"{show(folder)}: cannot be listed; ask its owner for read access", str(folder)) from error
    for path in paths:
        if path.name.startswith("."):
            continue
        if _is_folder(path):
            yield from _walk(path, flags, above | {here})
        elif is_record(path):
            yield from _in_folder(path, flags)


def _in_folder(path: Path, flags: Declared) -> list[Placed]:
    """Return a file of a folder, or, where it is an archive, what is in it, placed as if it were unpacked there."""
    from faultdx.records.folders import Placed

    # The name of the folder is kept as a detail, so that it can be asked for as a label where it is not one itself.
    details = {"folder": path.absolute().parent.name}
    inside = _inside(str(path), flags)
    if inside is None:
        return [Placed(path.parent, Item(str(path), Declared(details=details, said_by=FOLDER_NAME), flags))]
    found = []
    for placed in inside:
        declared = placed.item.declared
        if declared.said_by == FOLDER_NAME:
            declared = replace(declared, details={**details, **declared.details})
        found.append(Placed(path.parent / placed.folder, replace(placed.item, declared=declared)))
    return found


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long or a folder is closed
