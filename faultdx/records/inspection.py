"""What a file holds, and whether it would be read: for the eyes of someone who wonders."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import FaultdxError, RecordError, UnusableError
from faultdx.files import show
from faultdx.records.conventions import Channel, choose, load_signal
from faultdx.records.objections import assess_record, objections, unusable_check
from faultdx.records.opening import fetch, sha256_of
from faultdx.records.reading import (
    Opened,
    open_bytes,
    record_of,
    sampling_rate,
    scale_of,
    settle,
    to_be_loaded,
    understand,
)
from faultdx.records.table import NOTHING, Declared, Item
from faultdx.signals.quality import Check
from faultdx.signals.spectra import level

__all__ = [
    "Inspection",
    "Level",
    "assess_record",
    "inspect_file",
    "inspect_item",
    "level_of",
    "objections",
    "unusable_check",
]


@dataclass(frozen=True)
class Level:
    """How strong a channel is, about its mean, in the unit of the recording; kurtosis is 3 for Gaussian noise."""

    channel: str
    mean: float
    rms: float
    peak: float
    crest_factor: float
    kurtosis: float


@dataclass(frozen=True)
class Inspection:
    """What a file holds. Fields that could not be told are None or empty; `refused` is why it would not be read.

    file : as it may be printed; variables : (name, shape, kind) each; known_from : who says each fact
    channels : all there are; taken : those that would be read
    quality : every check of the signal that would be read, with its value and its limit
    """

    file: str
    size_bytes: int | None = None
    sha256: str = ""
    format: str = ""
    variables: tuple[tuple[str, tuple[int, ...], str], ...] = ()
    convention: str = ""
    channels: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    samples: int | None = None
    sampling_rate_hz: float | None = None
    rpm: float | None = None
    duration_s: float | None = None
    unit: str | None = None
    label: str | None = None
    levels: tuple[Level, ...] = ()
    quality: tuple[Check, ...] = ()
    catalogue: str | None = None
    known_from: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it: plain types, no NaN."""
        plain = dataclasses.asdict(self)
        names = ("name", "shape", "kind")
        plain["variables"] = [
            dict(zip(names, (show(name), list(shape), kind), strict=True)) for name, shape, kind in self.variables
        ]
        plain["channels"] = [show(c) for c in self.channels]
        plain["taken"] = [show(c) for c in self.taken]
        plain["levels"] = [
            {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in level.items()}
            for level in plain["levels"]
        ]
        for check in plain["quality"]:
            if not math.isfinite(check["value"]):  # it was not made, and says nothing
                check["value"] = check["severity"] = None
        return plain


def level_of(channel: str, signal: npt.NDArray[np.float32]) -> Level:
    """Return the level of `signal`, shape (samples,). About the mean: crest factor is peak / RMS, kurtosis m4 / m2²
    without the 3 taken off."""
    found = level(signal)
    return Level(
        channel,
        float(signal.mean(dtype=np.float64)),
        found.rms,
        found.peak,
        found.crest_factor,
        found.kurtosis,
    )


def inspect_file(
    path: str | os.PathLike[str],
    *,
    sampling_rate_hz: float | None = None,
    rpm: float | None = None,
    channels: Sequence[str] = (),
    variable: str | None = None,
    unit: str | None = None,
    scale: float | None = None,
    label: str | None = None,
    specimen: str | None = None,
    condition: str | None = None,
    asset: str | None = None,
) -> Inspection:
    """Tell what the file `path` holds, with the options of `read_record`. Never raises for what a file holds:
    `refused` says why it would not be read.

    All channels are listed and measured, whichever would be taken.
    """
    name = os.fspath(path)
    try:
        flags = Declared(
            sampling_rate_hz=sampling_rate_hz,
            rpm=rpm,
            channels=tuple(channels),
            variable=variable,
            unit=unit,
            scale=scale,
            label=label,
            specimen=specimen,
            condition=condition,
            asset=asset,
        )
    except FaultdxError as error:
        return Inspection(show(name), refused=str(error))
    return inspect_item(Item(name, NOTHING, flags))


def inspect_item(item: Item) -> Inspection:
    """Tell what an Item holds; as `inspect_file`."""
    found: dict[str, Any] = {"file": show(item.path)}
    try:
        item.check()
        got = fetch(item.path)
        data = got.data
        found |= {"size_bytes": len(data), "sha256": sha256_of(data)}
        opened = open_bytes(data, name=item.path, variable=got.variable, room_bytes=got.room_bytes)
        _look(opened, item, found)
        checks = assess_record(record_of(opened, item))
        found["quality"] = checks
        refused = next((c for c in checks if c.severity == "refuse"), None)
        if refused is not None:
            found["refused"] = f"{show(item.path)}: {refused.message}"
    except UnusableError as error:
        found["quality"] = (unusable_check(error),)
        found["refused"] = str(error)
    except RecordError as error:
        found["refused"] = str(error)
    return Inspection(**found)


def _look(opened: Opened, item: Item, found: dict[str, Any]) -> None:
    """Fill `found` as far as it goes; RecordError stops it, and what was found stays."""
    contents = opened.contents
    found["format"] = contents.format
    found["variables"] = tuple((v.name, v.shape, v.kind) for v in contents.variables)
    if opened.entry is not None:
        found["catalogue"] = opened.entry.name
    meaning = understand(opened, item)
    every = meaning.channels
    found |= {
        "convention": meaning.convention,
        "channels": tuple(c.name for c in every),
        "samples": every[0].samples,
        "levels": tuple(_levels(to_be_loaded(opened, every, scale_of(item)), opened.path)),
    }
    taken = choose(meaning, item.flags.channels or item.declared.channels, name=opened.path)
    found["taken"] = tuple(c.name for c in taken)
    facts = settle(opened, meaning, taken, item)
    found |= {
        "rpm": facts.rpm,
        "unit": facts.words.get("unit"),
        "label": facts.words.get("label"),
        "known_from": dict(facts.known_from),
        "notes": facts.notes,
    }
    rate, notes = sampling_rate(opened, meaning, item)
    found |= {
        "sampling_rate_hz": rate.value,
        "duration_s": every[0].samples / rate.value,
        "known_from": {"sampling_rate_hz": rate.by, **facts.known_from},
        "notes": facts.notes + notes,
    }


def _levels(channels: Sequence[Channel], name: str) -> list[Level]:
    """Measure each channel that can be measured; a bad one is left out, and refused only where it is taken."""
    levels = []
    for channel in channels:
        try:
            levels.append(level_of(channel.name, load_signal([channel], name=name)[0]))
        except RecordError:
            continue
    return levels
