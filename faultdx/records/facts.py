"""Who is believed about a recording: a records table, the catalogue, the file, or an option.

About one file, a records table is believed first, for it speaks of that file;
then the catalogue, which was measured; then the file itself. An option speaks
of all files at once, so it fills gaps and names what is to be read; where it
contradicts a stated sampling rate, that is an error, not a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.conventions import Channel, Meaning, common_unit
from faultdx.records.opened import Opened
from faultdx.records.statements import Stated
from faultdx.records.table import FOLDER_NAME, Declared, Item

if TYPE_CHECKING:
    from faultdx.records.cwru import Entry

CATALOGUE = "CWRU catalogue"
_SAME_RATE = 1e-4  # rates within 0.01 % are one rate, written differently
_SAME_RPM = 1.0


class Facts(NamedTuple):
    """What holds for a recording after everybody was heard.

    entry : of the catalogue, where the record taken is the one it describes; words : "label", "unit", ... by name
    known_from : who each fact is from; notes : a sentence each
    """

    entry: Entry | None
    rpm: float | None
    words: Mapping[str, str]
    known_from: Mapping[str, str]
    notes: tuple[str, ...]


def scale_of(item: Item) -> Stated | None:
    """Return the number that the samples are to be multiplied by, and who says so: a table above --scale."""
    for value, by in ((item.declared.scale, _table(item.declared)), (item.flags.scale, "--scale")):
        if value is not None:
            return Stated(value, by)
    return None


def sampling_rate(opened: Opened, meaning: Meaning, item: Item) -> tuple[Stated, tuple[str, ...]]:
    """Return the sampling rate, Hz, with who says so, and notes. RecordError where nobody does, or two differ."""
    name = show(opened.path)
    entry = _own_entry(opened, meaning)
    said = ((Stated(entry.sampling_rate_hz, CATALOGUE),) if entry else ()) + meaning.rates
    flag, declared = item.flags.sampling_rate_hz, item.declared.sampling_rate_hz
    if declared is not None:
        table = _table(item.declared)
        if flag is not None and not _same_rate(flag, declared):
            raise RecordError(
                f"{name}: {table} states {in_words(declared)} Hz and --sampling-rate {in_words(flag)} Hz; "
                "drop the flag, or correct the table",
                opened.path,
            )
        notes = tuple(
            f"{s.by} states {in_words(s.value)} Hz, {table} {in_words(declared)} Hz: the table is believed"
            for s in said
            if not _same_rate(s.value, declared)
        )
        return Stated(declared, table), notes
    in_table = "declare it for this file in a records table (column sampling_rate_hz)"
    for s in said[1:]:
        if not _same_rate(s.value, said[0].value):
            raise RecordError(
                f"{name}: {said[0].by} states {in_words(said[0].value)} Hz and {s.by} {in_words(s.value)} Hz; "
                f"{in_table}",
                opened.path,
            )
    if said:
        if flag is not None and not _same_rate(flag, said[0].value):
            raise RecordError(
                f"{name}: {said[0].by} states {in_words(said[0].value)} Hz and --sampling-rate {in_words(flag)} Hz; "
                f"drop the flag, or, if the file is wrong, {in_table}",
                opened.path,
            )
        return said[0], ()
    if flag is not None:
        return Stated(flag, "--sampling-rate"), ()
    why = f", and {meaning.why_no_rate}" if meaning.why_no_rate else ""
    raise RecordError(
        f"{name}: its sampling rate is not known{why}; declare it with --sampling-rate, or in the column "
        "sampling_rate_hz of a records table",
        opened.path,
    )


def settle(opened: Opened, meaning: Meaning, channels: tuple[Channel, ...], item: Item) -> Facts:
    """Return every fact but the sampling rate. Never raises."""
    entry = _own_entry(opened, meaning)
    notes = list(meaning.notes)
    if entry is not None and not opened.exact:
        notes.append(f"known as {entry.name} by its variables and their lengths; its bytes are not the original's")
    if entry is not None and entry.quirk:
        notes.append(f"{entry.name}: {entry.quirk}")
    if entry is not None and entry.set == "12k_fan_end" and "FE" not in {c.name for c in channels}:
        notes.append(f"{entry.name}: the defect is at the fan end; --channel FE is the nearest sensor")
    if opened.entry is not None and entry is None:
        notes.append(f"the record taken is not that of {opened.entry.name}: the catalogue's facts do not hold for it")
    rpm, rpm_notes = _shaft_speed(entry, meaning, item)
    words, known_from = _words(entry, common_unit(channels), item)
    known_from["channels"] = _channels_from(meaning, item)
    if (scale := scale_of(item)) is not None:
        known_from["scale"] = scale.by
        notes.append(f"its samples are multiplied by {in_words(scale.value)} ({scale.by})")
        if meaning.unit and "unit" not in words:
            notes.append(
                f"{show(meaning.unit)}, the unit in the file, is that before the multiplication: declare --unit"
            )
    if rpm is not None:
        known_from["rpm"] = rpm.by
    return Facts(entry, rpm.value if rpm else None, words, known_from, (*notes, *rpm_notes))


def _own_entry(opened: Opened, meaning: Meaning) -> Entry | None:
    """Return the entry where the record taken is the file's own (99 also holds that of 98), else None."""
    entry = opened.entry
    if entry is None or meaning.record is None:
        return None
    from faultdx.records.cwru import own_prefix

    return entry if meaning.record == own_prefix(entry) else None


def _shaft_speed(entry: Entry | None, meaning: Meaning, item: Item) -> tuple[Stated | None, list[str]]:
    stated = meaning.rpms[0] if meaning.rpms else None
    notes = []
    if len(meaning.rpms) > 1 and any(abs(s.value - meaning.rpms[0].value) > _SAME_RPM for s in meaning.rpms):
        notes.append("states several speeds: " + ", ".join(f"{s.by} {in_words(s.value)} rpm" for s in meaning.rpms))
    if entry is not None and not (entry.rpm_origin == "nominal" and stated):
        origin = {"spectrum": "read from the spectrum", "nominal": "nominal for its load"}.get(entry.rpm_origin)
        if origin is None and stated is None:  # a copy that lost the variable
            origin = "as the original states"
        if stated is not None and abs(stated.value - entry.true_rpm) > _SAME_RPM:
            notes.append(f"the file says {in_words(stated.value)} rpm, its spectrum {in_words(entry.true_rpm)}")
        if origin is not None:
            stated = Stated(entry.true_rpm, f"{CATALOGUE} ({origin})")
    for value, by in ((item.declared.rpm, _table(item.declared)), (item.flags.rpm, "--rpm")):
        if value is None:
            continue
        if stated is not None and abs(stated.value - value) > _SAME_RPM:
            notes.append(f"{stated.by} states {in_words(stated.value)} rpm, {by} {in_words(value)}: {by} is believed")
        return Stated(value, by), notes
    return stated, notes


def _words(entry: Entry | None, unit: str | None, item: Item) -> tuple[dict[str, str], dict[str, str]]:
    """Return label, unit, specimen, condition and asset where anybody says them, and who does."""
    in_catalogue = {} if entry is None else {
        "label": entry.label, "specimen": entry.specimen, "condition": entry.condition, "asset": "CWRU test stand",
    }  # fmt: skip
    words: dict[str, str] = {}
    known_from: dict[str, str] = {}
    for key in ("label", "unit", "specimen", "condition", "asset"):
        declared: str | None = getattr(item.declared, key)
        # The folder's name is a guess at a class; the catalogue knows it. A table's word stands above both.
        by_folder = item.declared.said_by == FOLDER_NAME
        candidates = (
            (None if by_folder else declared, _table(item.declared)),
            (getattr(item.flags, key), f"--{key}"),
            (in_catalogue.get(key), CATALOGUE),
            (unit if key == "unit" and scale_of(item) is None else None, "file"),
            (declared if by_folder else None, FOLDER_NAME),
        )
        for value, by in candidates:
            if value:
                words[key], known_from[key] = value, by
                break
    return words, known_from


def _channels_from(meaning: Meaning, item: Item) -> str:
    if item.flags.channels:
        return "--channel"
    if item.declared.channels:
        return _table(item.declared)
    by = {
        "CWRU": "CWRU variable names",
        "UESTC": "UESTC variable names",
        "MFPT": "MFPT field names",
        "Paderborn": "Paderborn signal names",
    }
    return by.get(meaning.convention, "all there are")


def _table(declared: Declared) -> str:
    return declared.said_by or "records table"


def _same_rate(a: float, b: float) -> bool:
    return abs(a - b) <= _SAME_RATE * b


def in_words(value: float) -> str:
    """Return a number as it stands in a message."""
    return f"{value:.10g}"
