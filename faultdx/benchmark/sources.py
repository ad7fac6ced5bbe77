"""A plan's data: which recordings there are, what is said of them, and their prepared file.

Everything random in a simulated rig comes from its settings, and everything else from the recordings: so the digest of
their content, taken here, is what a cell's address is made of, and nothing has to be prepared to know what is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from faultdx.benchmark.cells import Cell, digest
from faultdx.errors import ConfigError, RecordError
from faultdx.files import atomic_write, show
from faultdx.intake import parse_json, read_file
from faultdx.plans import Data, FileNames, Plan
from faultdx.records.record import Record
from faultdx.records.source import find_records, read_item
from faultdx.records.table import Declared, Item

_FIELDS = ("label", "specimen", "condition", "asset")
_BLOCK = 1 << 20
_MOST_BYTES = 1 << 26  # of what was said when a file was made


def content_of(plan: Plan, root: Path) -> dict[str, str]:
    """Return the digest of each data set by name, and of each background as "background NAME".

    root : the folder that sources are relative to. Raises ConfigError with every source that is missing.
    """
    problems: list[str] = []
    found: dict[str, str] = {}
    wanted: list[tuple[str, tuple[str, ...]]] = [(d.name, d.sources) for d in plan.data if d.simulate is None]
    wanted += [(f"background {b.name}", b.sources) for b in plan.backgrounds]
    for data in plan.data:
        if data.simulate is not None:
            found[data.name] = digest({"simulate": asdict(data.simulate)})
    for name, sources in wanted:
        try:
            files = [(path, _digest_of(path)) for path in _files(sources, root)]
        except OSError as error:
            problems.append(f"{show(error.filename or root)}: cannot be read: {os.strerror(error.errno or 0).lower()}")
            continue
        except ConfigError as error:
            problems.append(str(error))
            continue
        found[name] = digest([[os.path.relpath(path, root), content] for path, content in files])
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def _files(sources: Sequence[str], root: Path) -> list[Path]:
    """Return all files that the sources name, in order. Raises ConfigError where one names none."""
    out: list[Path] = []
    for source in sources:
        path = root / source
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        elif path.is_file():
            found = [path]
        else:
            found = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207 - an absolute pattern
        if not found:
            raise ConfigError(
                f"{show(path)}: no such file or folder; --data names the folder that holds {show(source)}"
            )
        out += found
    return out


def _digest_of(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            content.update(block)
    return content.hexdigest()


def items_of(data: Data, root: Path, work: Path) -> tuple[list[Item], list[dict[str, str]]]:
    """Return the recordings of `data` with all that the plan says of them, and what is known of each, by column.

    work : where a simulated rig is written, once. Raises ConfigError, RecordError (a table that cannot be opened).
    """
    if data.simulate is not None:
        found = find_records([str(_rig(data, work))])
    else:
        found = find_records([str(root / source) for source in data.sources], flags=data.declared)
    if data.file_names is not None:
        found = [_named(item, data.file_names) for item in found]
    items, known = [], []
    for item in found:
        try:
            columns = columns_of(read_item(item))
        except RecordError:  # `prepare` says so, and leaves it out
            items.append(item)
            continue
        for column, value, fields in data.overrides:
            if columns.get(column) == value:
                said: dict[str, Any] = {**fields, "said_by": "the plan"}
                item = replace(item, declared=replace(item.declared, **said))  # noqa: PLW2901
                columns |= fields
        for grouping in data.groupings:
            columns[grouping.name] = grouping.values.get(columns.get(grouping.column, ""), grouping.other)
        items.append(item)
        known.append(columns)
    return items, known


def columns_of(record: Record) -> dict[str, str]:
    """Return what is known of a record besides its samples, as text by column."""
    own = {name: show(str(getattr(record, name) or "")) for name in ("path", "sha256", *_FIELDS)}
    return {**record.details, **own}


def _named(item: Item, rule: FileNames) -> Item:
    """Return the item with what its file's name tells of it."""
    match = re.fullmatch(rule.pattern, Path(item.path).name)
    if match is None:
        raise ConfigError(f"{show(item.path)}: its name does not fit the plan's pattern {rule.pattern!r}")
    said: dict[str, Any] = {}
    details = dict(item.declared.details)
    for name, text in match.groupdict().items():
        if text is None:
            continue
        meaning = rule.meaning.get(name, {})
        if meaning and text not in meaning:
            raise ConfigError(f"{show(item.path)}: the plan does not say what {name} {text!r} in its name means")
        value = meaning.get(text, text)
        if name in _FIELDS:
            said[name] = value
        elif name in ("rpm", "sampling_rate_hz"):
            said[name] = _number(value, item.path, name)
        else:
            details[name] = value
    return replace(item, declared=replace(item.declared, **said, details=details, said_by="the plan"))


def _number(text: str, path: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{show(path)}: {name} {text!r} in its name is no number") from None


def _rig(data: Data, work: Path) -> Path:
    from faultdx.simulation.rig import simulate
    from faultdx.simulation.writing import TABLE, write_rig

    if data.simulate is None:
        raise ConfigError(f"data {data.name}: has nothing to simulate")
    rig = data.simulate
    folder = work / f"rig-{digest(asdict(rig))}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / TABLE).is_file():  # it is written last
            made = simulate(rig.kind, specimens=rig.specimens, seconds=rig.seconds, seed=rig.seed)
            write_rig(made, folder, overwrite=True)
    return folder


def prepared_file(cell: Cell, root: Path, work: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the prepared file of a cell and what was said when it was made; it is made once for all that need it.

    Raises as `preparation.prepare` does, and ConfigError.
    """
    from faultdx.preparation import prepare

    path, beside = work / f"{cell.data_address}.h5", work / f"{cell.data_address}.json"
    with locked(work / f"{cell.data_address}.lock"):
        if not (path.is_file() and beside.is_file()):
            items, known = items_of(cell.data, root, work)
            summary = prepare(items, path, config=cell.prepare, overwrite=True)
            said = {
                "data": cell.data.name,
                "variant": cell.variant,
                "records": summary.records,
                "classes": list(summary.classes),
                "segments": summary.segments,
                "sampling_rate_hz": summary.sampling_rate_hz,
                "split": summary.plan.method,
                "level": summary.plan.level,
                "split_notes": list(summary.plan.notes),
                "left_out": [str(error) for error in summary.skipped],
                "known": known,
            }
            atomic_write(beside, json.dumps(said, indent=1) + "\n")
        data = read_file(beside, limit_bytes=_MOST_BYTES, kind=ConfigError, cure="delete it, and it is made again")
        try:
            said = parse_json(data)
        except ValueError as error:
            raise ConfigError(f"{show(beside)}: is damaged: delete it, and it is made again") from error
    return path, said


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that of several processes one does the work and the others find it done.

    On a file system without locks each does it: what they write is whole, and the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def declared_items(sources: Sequence[str], declared: Declared, root: Path) -> list[Item]:
    """Return the recordings of a background. Raises ConfigError where there are none."""
    _files(sources, root)  # says what is missing
    return find_records([str(root / source) for source in sources], flags=declared)
