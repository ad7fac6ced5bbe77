"""Item -> Record: open it, ask the file, the catalogue and the user, and settle who is believed.

About one file, a records table is believed first, for it speaks of that file;
then the catalogue, which was measured; then the file itself. An option speaks
of all files at once, so it fills gaps and names what is to be read; where it
contradicts a stated sampling rate, that is an error, not a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from faultdx.errors import RecordError, UnusableError
from faultdx.files import show
from faultdx.records import cwru
from faultdx.records.contents import Contents, NumberArray
from faultdx.records.conventions import Channel, Meaning, choose, common_unit, load_signal, meaning_of
from faultdx.records.formats import default_budget_bytes, open_contents
from faultdx.records.opening import blob_id, fetch, sha256_of
from faultdx.records.record import Record
from faultdx.records.statements import Stated, stated_rpms
from faultdx.records.table import FOLDER_NAME, NOTHING, Declared, Item
from faultdx.signals.quality import PLAUSIBLE_HZ, PLAUSIBLE_RPM

CATALOGUE = "CWRU catalogue"
_SAME_RATE = 1e-4  # rates within 0.01 % are one rate, written differently
_SAME_RPM = 1.0
_SCALED_AT_ONCE = 1 << 16  # samples


@dataclass(frozen=True)
class Opened:
    """A file whose bytes were read and told apart: `entry` of the catalogue, and whether by its `exact` bytes.

    variable : that its name asked for (`x.h5:run/a`); room_bytes : what decoding may take, where that is known
    """

    path: str
    size_bytes: int
    sha256: str
    contents: Contents
    entry: cwru.Entry | None
    exact: bool
    variable: str | None = None
    room_bytes: int | None = None


@dataclass(frozen=True)
class Facts:
    """What holds for a recording after everybody was heard.

    entry : of the catalogue, where the record taken is the one it describes; words : "label", "unit", ... by name
    known_from : who each fact is from; notes : a sentence each
    """

    entry: cwru.Entry | None
    rpm: float | None
    words: Mapping[str, str]
    known_from: Mapping[str, str]
    notes: tuple[str, ...]


def open_item(path: str) -> Opened:
    """Read a file, standard input, or `FILE:INSIDE`, and list its variables. Raises RecordError."""
    found = fetch(path)
    return open_bytes(found.data, name=path, variable=found.variable, room_bytes=found.room_bytes)


def open_bytes(data: bytes, *, name: str, variable: str | None = None, room_bytes: int | None = None) -> Opened:
    """List the variables of a file's bytes, and look it up in the catalogue.

    variable : the one that holds the signal, where the name says so; room_bytes : the most memory that decoding may
    take, where the file does not tell (it came out of an archive)

    Raises RecordError.
    """
    budget = None if room_bytes is None else max(0, min(room_bytes, default_budget_bytes(len(data))))
    contents = open_contents(data, name=name, budget_bytes=budget)
    entry, exact = None, False
    signals = [m for v in contents.variables if (m := cwru.SIGNAL_NAME.match(v.name))]
    if signals:  # no other file can be in the catalogue, and a digest of 3 MB costs as much as reading them
        entry = cwru.find(blob_id(data))
        exact = entry is not None
    if signals and entry is None:
        rpms = stated_rpms(contents, cwru_record=f"X{signals[0]['number']}")
        entry = cwru.find_by_variables(contents.variables, rpm=rpms[0].value if rpms else None)
    return Opened(name, len(data), sha256_of(data), contents, entry, exact, variable, room_bytes)


def read_item(item: Item) -> Record:
    """Read a recording. Raises RecordError: one line with the file, the cause and the cure."""
    try:
        item.check()
        return record_of(open_item(item.path), item)
    except RecordError as error:
        error.path = item.path  # of `x.h5:run/a` the file alone may be named
        raise


def record_of(opened: Opened, item: Item) -> Record:
    """Return the Record of an opened file, with what `item` declares of it. Raises RecordError."""
    meaning = understand(opened, item)
    channels = choose(meaning, item.flags.channels or item.declared.channels, name=opened.path)
    rate, rate_notes = sampling_rate(opened, meaning, item)
    facts = settle(opened, meaning, channels, item)
    _check_plausible(opened.path, rate, facts.rpm)
    words = {key: facts.words.get(key) for key in ("unit", "label", "specimen", "condition", "asset")}
    try:
        signal = load_signal(to_be_loaded(opened, channels, scale_of(item)), name=opened.path)
    except UnusableError as error:
        error.sha256, error.channels = opened.sha256, tuple(c.name for c in channels)
        raise
    return Record(
        signal=signal,
        sampling_rate_hz=rate.value,
        rpm=facts.rpm,
        channels=tuple(c.name for c in channels),
        path=opened.path,
        sha256=opened.sha256,
        format=opened.contents.format,
        known_from={"sampling_rate_hz": rate.by, **facts.known_from},
        details=_details(facts, item),
        notes=facts.notes + rate_notes,
        **words,
    )


def _check_plausible(path: str, rate: Stated, rpm: float | None) -> None:
    """Raise RecordError for a sampling rate or a speed that no recording of a machine has."""
    low, high = PLAUSIBLE_HZ
    if not low <= rate.value <= high:
        raise RecordError(
            f"{show(path)}: a sampling rate of {_plain(rate.value)} Hz ({rate.by}) is impossible; correct it, or "
            "declare the real one in a records table (column sampling_rate_hz)",
            path,
        )
    low, high = PLAUSIBLE_RPM
    if rpm is not None and not low <= rpm <= high:
        raise RecordError(
            f"{show(path)}: a speed of {_plain(rpm)} rpm is impossible; declare the real one with --rpm, or in the "
            "column rpm of a records table",
            path,
        )


def _named_inside(opened: Opened) -> str | None:
    """Return the variable that the name of the file asks for. A dataset may be written as a path: /run/a is run.a."""
    asked = opened.variable
    if asked is None:
        return None
    names = {v.name for v in opened.contents.variables}
    bare = asked.strip("/")
    return next((n for n in (asked, bare, bare.replace("/", ".")) if n in names), asked)


def scale_of(item: Item) -> Stated | None:
    """Return the number that the samples are to be multiplied by, and who says so: a table above --scale."""
    for value, by in ((item.declared.scale, _table(item.declared)), (item.flags.scale, "--scale")):
        if value is not None:
            return Stated(value, by)
    return None


def to_be_loaded(opened: Opened, channels: tuple[Channel, ...], scale: Stated | None) -> tuple[Channel, ...]:
    """Return the channels so that their `load` scales them, and keeps to the memory that there is for them."""
    if scale is None and opened.room_bytes is None:
        return channels
    samples = len(channels) * channels[0].samples
    return tuple(replace(c, load=partial(_load, c, opened, scale, samples)) for c in channels)


def _load(channel: Channel, opened: Opened, scale: Stated | None, samples: int) -> NumberArray:
    stored = channel.load()
    room = opened.room_bytes
    if room is not None and samples * (stored.itemsize + 4) > room:
        raise RecordError(
            f"{show(opened.path)}: its {samples} samples would take too much memory for the size of the archive that "
            "it is in; unpack it first",
            opened.path,
        )
    if scale is None or stored.dtype.kind not in "fiub":  # what is no number is refused by whoever takes the signal
        return stored
    # In float64 and then rounded once, a piece at a time: a scale of 1e-9 must not cost the digits of an integer.
    scaled = np.empty(stored.shape, np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, stored.size, _SCALED_AT_ONCE):
            piece = stored[start : start + _SCALED_AT_ONCE].astype(np.float64)
            scaled[start : start + _SCALED_AT_ONCE] = piece * scale.value
    if not np.all(np.isfinite(scaled) == np.isfinite(stored)) or (np.any(stored) and not np.any(scaled)):
        raise RecordError(
            f"{show(opened.path)}: channel {show(channel.name)} times {_plain(scale.value)} ({scale.by}) is beyond "
            "what a float32 holds; correct the scale",
            opened.path,
        )
    return scaled


def understand(opened: Opened, item: Item) -> Meaning:
    """Tell the channels of an opened file. Raises RecordError."""
    variable = _named_inside(opened) or item.flags.variable or item.declared.variable
    return meaning_of(opened.contents, name=opened.path, entry=opened.entry, variable=variable)


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
                f"{name}: {table} states {_plain(declared)} Hz and --sampling-rate {_plain(flag)} Hz; drop the flag, "
                "or correct the table",
                opened.path,
            )
        notes = tuple(
            f"{s.by} states {_plain(s.value)} Hz, {table} {_plain(declared)} Hz: the table is believed"
            for s in said
            if not _same_rate(s.value, declared)
        )
        return Stated(declared, table), notes
    in_table = "declare it for this file in a records table (column sampling_rate_hz)"
    for s in said[1:]:
        if not _same_rate(s.value, said[0].value):
            raise RecordError(
                f"{name}: {said[0].by} states {_plain(said[0].value)} Hz and {s.by} {_plain(s.value)} Hz; {in_table}",
                opened.path,
            )
    if said:
        if flag is not None and not _same_rate(flag, said[0].value):
            raise RecordError(
                f"{name}: {said[0].by} states {_plain(said[0].value)} Hz and --sampling-rate {_plain(flag)} Hz; "
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
        notes.append(f"its samples are multiplied by {_plain(scale.value)} ({scale.by})")
        if meaning.unit and "unit" not in words:
            notes.append(
                f"{show(meaning.unit)}, the unit in the file, is that before the multiplication: declare --unit"
            )
    if rpm is not None:
        known_from["rpm"] = rpm.by
    return Facts(entry, rpm.value if rpm else None, words, known_from, (*notes, *rpm_notes))


def _own_entry(opened: Opened, meaning: Meaning) -> cwru.Entry | None:
    """Return the entry where the record taken is the file's own (99 also holds that of 98), else None."""
    entry = opened.entry
    if entry is None or meaning.record is None:
        return None
    return entry if meaning.record == cwru.own_prefix(entry) else None


def _shaft_speed(entry: cwru.Entry | None, meaning: Meaning, item: Item) -> tuple[Stated | None, list[str]]:
    stated = meaning.rpms[0] if meaning.rpms else None
    notes = []
    if len(meaning.rpms) > 1 and any(abs(s.value - meaning.rpms[0].value) > _SAME_RPM for s in meaning.rpms):
        notes.append("states several speeds: " + ", ".join(f"{s.by} {_plain(s.value)} rpm" for s in meaning.rpms))
    if entry is not None and not (entry.rpm_origin == "nominal" and stated):
        origin = {"spectrum": "read from the spectrum", "nominal": "nominal for its load"}.get(entry.rpm_origin)
        if origin is None and stated is None:  # a copy that lost the variable
            origin = "as the original states"
        if stated is not None and abs(stated.value - entry.true_rpm) > _SAME_RPM:
            notes.append(f"the file says {_plain(stated.value)} rpm, its spectrum {_plain(entry.true_rpm)}")
        if origin is not None:
            stated = Stated(entry.true_rpm, f"{CATALOGUE} ({origin})")
    for value, by in ((item.declared.rpm, _table(item.declared)), (item.flags.rpm, "--rpm")):
        if value is None:
            continue
        if stated is not None and abs(stated.value - value) > _SAME_RPM:
            notes.append(f"{stated.by} states {_plain(stated.value)} rpm, {by} {_plain(value)}: {by} is believed")
        return Stated(value, by), notes
    return stated, notes


def _words(entry: cwru.Entry | None, unit: str | None, item: Item) -> tuple[dict[str, str], dict[str, str]]:
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


def _details(facts: Facts, item: Item) -> dict[str, str]:
    bearing = item.declared.bearing or item.flags.bearing
    return {
        **(facts.entry.details() if facts.entry else {}),
        **item.flags.details,
        **item.declared.details,
        **({"bearing": bearing} if bearing else {}),
    }


def _table(declared: Declared) -> str:
    return declared.said_by or "records table"


def _same_rate(a: float, b: float) -> bool:
    return abs(a - b) <= _SAME_RATE * b


def _plain(value: float) -> str:
    return f"{value:.10g}"


def record_from_bytes(data: bytes, *, name: str, flags: Declared = NOTHING) -> Record:
    """Read a recording from the bytes of a file; `name` is for messages. Raises RecordError."""
    return record_of(open_bytes(data, name=name), Item(name, NOTHING, flags))
