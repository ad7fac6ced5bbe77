"""Archives -> Items: the recordings in an archive, as if it were a folder.

What holds in a folder holds here: natural order, hidden files and what is no recording passed over, a records.csv that
speaks for its folder, class folders that label.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePath, PurePosixPath

from faultdx.errors import ConfigError, RecordError
from faultdx.records.archives import Archive, Member, open_archive
from faultdx.records.folders import TABLE_NAME, Placed, is_record, natural
from faultdx.records.handles import STANDARD_INPUT, locate
from faultdx.records.table import FOLDER_NAME, Declared, Item
from faultdx.records.table_reading import HEAD_BYTES, is_table, read_table


@dataclass(frozen=True)
class Listing:
    """What an archive holds, for the eyes of somebody who wonders.

    kind : "zip", "tar", "tar.gz" or "gzip"; members : all its files, in natural order, those passed over too
    problem : what is wrong with the rest of it, "" if nothing
    """

    path: str
    kind: str
    size_bytes: int
    members: tuple[Member, ...]
    problem: str = ""


def list_archive(path: str) -> Listing | None:
    """Return what the archive `path` ("-" is standard input) holds, None where it is no archive. Raises RecordError."""
    archive = open_archive(path)
    if archive is None:
        return None
    members = tuple(sorted(archive.members, key=lambda member: natural(member.name)))
    return Listing(path, archive.kind, archive.size_bytes, members, archive.problem)


def recordings_in(path: str, flags: Declared) -> list[Placed] | None:
    """Return the recordings in the archive `path`, or in the folder or of the pattern `FILE:INSIDE`; None where it is
    neither. Folders are relative to the archive, without those that all of it is in.

    An archive of which a part cannot be read is an Item itself, behind the others: reading it says what is wrong.

    Raises ConfigError for the problems of a records.csv in it.
    """
    place = locate(path)
    try:
        archive = open_archive(place.file)
    except RecordError:  # reading it will say what is wrong
        return None
    if archive is None or (place.inside is not None and _is_member(archive, place.inside)):
        return None
    found = list(_walk(archive, flags, _chosen(place.inside)))
    if place.inside is not None:
        return found or None
    if len({placed.folder for placed in found}) > 1:
        around = posixpath.commonpath([str(placed.folder) for placed in found])
        found = [Placed(placed.folder.relative_to(around), placed.item) for placed in found]
    if archive.problem:
        found.append(Placed(PurePosixPath(), Item(path, Declared(said_by=FOLDER_NAME), flags)))
    return found


def _is_member(archive: Archive, inside: str) -> bool:
    try:
        archive.find(inside)
    except RecordError:
        return False
    return True


def _chosen(inside: str | None) -> Callable[[str], bool]:
    """Return what tells whether a member is meant: all, those in a folder, or those of a pattern as of a shell."""
    if inside is None:
        return lambda _: True
    parts = inside.strip("/").split("/")

    def chosen(name: str) -> bool:
        there = name.split("/")
        if there[: len(parts)] == parts:
            return True
        return len(there) == len(parts) and all(map(fnmatchcase, there, parts))

    return chosen


def _walk(archive: Archive, flags: Declared, chosen: Callable[[str], bool]) -> Iterator[Placed]:
    members = sorted(
        (m for m in archive.members if not _is_hidden(m.name) and chosen(m.name)), key=lambda m: natural(m.name)
    )
    described = _outermost(_tables(archive, members))
    done: set[str] = set()
    for member in members:
        i = bisect_right(described, member.name)
        folder = described[i - 1] if i and member.name.startswith(described[i - 1]) else None
        if folder is None:
            if is_record(PurePosixPath(member.name)):
                yield _placed(archive, member.name, flags)
        elif folder not in done:
            done.add(folder)
            table = f"{archive.name}:{folder}{TABLE_NAME}"
            try:
                items = read_table(table, flags=flags)
            except ConfigError as error:  # one archive in a spool folder must not silence the others
                items = [Item(table, Declared(said_by=FOLDER_NAME), flags, str(error))]
            for item in items:
                yield Placed(_folder_of(item.path.removeprefix(f"{archive.name}:")), item)


def _tables(archive: Archive, members: Iterable[Member]) -> Iterator[str]:
    """Yield the folders ("" or "run1/") that a records.csv speaks for."""
    names = {member.name for member in archive.members}

    def there(folder: str, cell: str) -> bool:
        return posixpath.normpath(folder + cell) in names

    for member in members:
        folder = member.name.removesuffix(TABLE_NAME)
        if posixpath.basename(member.name) != TABLE_NAME:
            continue
        try:
            head = archive.read(member)[:HEAD_BYTES]
        except RecordError:  # it stays an item, whose reading says what is wrong
            continue
        if is_table(head, f"{archive.name}:{member.name}", there=partial(there, folder)):
            yield folder


def _outermost(folders: Iterable[str]) -> list[str]:
    """Return the folders that are in no other, sorted."""
    found: list[str] = []
    for folder in sorted(folders):
        if not found or not folder.startswith(found[-1]):
            found.append(folder)
    return found


def _placed(archive: Archive, name: str, flags: Declared) -> Placed:
    # As in a folder on the disk, the names around it are kept, so that they can be asked for as a label.
    details = {} if archive.name == STANDARD_INPUT else {"archive": PurePath(archive.name).name}
    folder = _folder_of(name)
    if folder.name:
        details["folder"] = folder.name
    item = Item(f"{archive.name}:{name}", Declared(details=details, said_by=FOLDER_NAME), flags)
    return Placed(folder, item)


def _folder_of(name: str) -> PurePosixPath:
    return PurePosixPath(*(part for part in name.split("/")[:-1] if part != ".."))


def _is_hidden(name: str) -> bool:
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in name.split("/"))
