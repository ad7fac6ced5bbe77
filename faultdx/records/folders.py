"""What a folder of recordings means, on the disk or in an archive: what is one, what comes first, what labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from faultdx.records.table import FOLDER_NAME, Item

TABLE_NAME = "records.csv"
# In a folder these are no recordings. `.h5` is what faultdx itself writes (prepared files); a recording in one, or
# in any file passed over here, is read where it is named outright, by a glob of its suffix, or in a table.
_NOT_RECORDS = {
    ".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".xml",
    ".py", ".pyc", ".m", ".ipynb", ".sh", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".h5", ".onnx", ".pt",
    ".safetensors", ".7z", ".rar", ".log", ".sha256", ".md5",
}  # fmt: skip
_NOT_RECORD_NAMES = re.compile(r"(readme|licen[cs]e|copying|changelog|makefile)(\..*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Placed:
    """A recording, and the folder that it is in: for a member of an archive, as if it were unpacked beside it."""

    folder: PurePath
    item: Item


def labelled(found: Sequence[Placed], root: PurePath) -> list[Item]:
    """Return the recordings in `root`; class folders (two or more, one level down, none deeper) label theirs."""
    folders = {placed.folder for placed in found}
    folders.discard(root)  # a stray file beside the class folders has no label, and costs the others none
    are_classes = len(folders) > 1 and all(folder.parent == root for folder in folders)
    items = []
    for folder, item in ((placed.folder, placed.item) for placed in found):
        # What a records.csv in a class folder leaves open stays open: it is a table's word, not a folder's.
        if are_classes and folder != root and item.declared.said_by == FOLDER_NAME:
            items.append(replace(item, declared=replace(item.declared, label=folder.name)))
        else:
            items.append(item)
    return items


def is_record(path: PurePath) -> bool:
    """Tell by its name whether a file in a folder is worth reading as a recording."""
    return path.suffix.lower() not in _NOT_RECORDS and not _NOT_RECORD_NAMES.match(path.name)


def natural(path: PurePath | str) -> list[tuple[int, int, str]]:
    """Order 97 before 105: a run of digits counts as a number (of any length), and stands before letters."""
    parts = re.split(r"([0-9]+)", str(path))
    return [
        (0, len(part.lstrip("0")), part.lstrip("0") + part) if i % 2 else (1, 0, part)
        for i, part in enumerate(parts)
        if part
    ]
