"""Item -> Record: open it, ask the file, the catalogue and the user (`facts`), and take its samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError, UnusableError
from faultdx.files import show
from faultdx.records.contents import NumberArray
from faultdx.records.conventions import Channel, Meaning, choose, cwru_records, load_signal, meaning_of
from faultdx.records.facts import Facts, in_words, sampling_rate, scale_of, settle
from faultdx.records.opened import Opened, open_bytes, open_item
from faultdx.records.record import Record
from faultdx.records.statements import Stated
from faultdx.records.table import NOTHING, Declared, Item
from faultdx.signals.quality import PLAUSIBLE_HZ, PLAUSIBLE_RPM

__all__ = [
    "Facts",
    "Opened",
    "open_bytes",
    "open_item",
    "read_item",
    "read_samples",
    "record_from_bytes",
    "record_of",
    "sampling_rate",
    "scale_of",
    "settle",
    "to_be_loaded",
    "understand",
]

_SCALED_AT_ONCE = 1 << 16  # samples


def read_item(item: Item) -> Record:
    """Read a recording. Raises RecordError: one line with the file, the cause and the cure."""
    try:
        item.check()
        return record_of(open_item(item.path), item)
    except RecordError as error:
        error.path = item.path  # of `x.h5:run/a` the file alone may be named
        raise


def read_samples(item: Item) -> npt.NDArray[np.float32]:
    """Return the samples of a recording alone, shape (channels, samples), checked as those of its Record are.

    No rate is asked for, and nothing is looked up or digested: of an uncompressed MATLAB v5 file the rest is not even
    read.

    Raises RecordError.
    """
    try:
        item.check()
        opened = open_item(item.path)
        channels = choose(understand(opened, item), item.flags.channels or item.declared.channels, name=opened.path)
        return load_signal(to_be_loaded(opened, channels, scale_of(item)), name=opened.path)
    except RecordError as error:
        error.path = item.path
        raise


def record_of(opened: Opened, item: Item, *, meaning: Meaning | None = None) -> Record:
    """Return the Record of an opened file, with what `item` declares of it.

    meaning : what `understand` tells of it, where that was asked already

    Raises RecordError.
    """
    meaning = understand(opened, item) if meaning is None else meaning
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
            f"{show(path)}: a sampling rate of {in_words(rate.value)} Hz ({rate.by}) is impossible; correct it, or "
            "declare the real one in a records table (column sampling_rate_hz)",
            path,
        )
    low, high = PLAUSIBLE_RPM
    if rpm is not None and not low <= rpm <= high:
        raise RecordError(
            f"{show(path)}: a speed of {in_words(rpm)} rpm is impossible; declare the real one with --rpm, or in the "
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
            f"{show(opened.path)}: channel {show(channel.name)} times {in_words(scale.value)} ({scale.by}) is beyond "
            "what a float32 holds; correct the scale",
            opened.path,
        )
    return scaled


def understand(opened: Opened, item: Item) -> Meaning:
    """Tell the channels of an opened file. Raises RecordError."""
    variable = _named_inside(opened) or item.flags.variable or item.declared.variable
    several = len(cwru_records(opened.contents.variables)) > 1
    entry = opened.entry if several else None  # to look a file up takes a digest of all its bytes
    return meaning_of(opened.contents, name=opened.path, entry=entry, variable=variable)


def _details(facts: Facts, item: Item) -> dict[str, str]:
    bearing = item.declared.bearing or item.flags.bearing
    return {
        **(facts.entry.details() if facts.entry else {}),
        **item.flags.details,
        **item.declared.details,
        **({"bearing": bearing} if bearing else {}),
    }


def record_from_bytes(data: bytes, *, name: str, flags: Declared = NOTHING) -> Record:
    """Read a recording from the bytes of a file; `name` is for messages. Raises RecordError."""
    return record_of(open_bytes(data, name=name), Item(name, NOTHING, flags))
