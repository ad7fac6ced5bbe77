"""A baseline on the disk: JSON, schema `faultdx.baseline/1` (faultdx/schema/baseline-1.json), and what to take for one.

What is read is input like any other: its size is bounded before it is parsed, each number after, and its digest says
whether it is whole. Or it is a recording of the healthy machine, and the baseline is made of that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faultdx.baseline import MOST_RECORDS, SCHEMA, Baseline, baseline_of
from faultdx.errors import ConfigError, RecordError
from faultdx.files import atomic_write, show
from faultdx.intake import parse_json, read_file
from faultdx.records.objections import objections
from faultdx.records.reading import read_item
from faultdx.records.table import Item
from faultdx.references import MOST_CHANNELS, PLACES, Reference, Sensed, refer
from faultdx.signals.bands import BandLevels, band_edges
from faultdx.signals.quality import PLAUSIBLE_HZ, PLAUSIBLE_RPM
from faultdx.testimony import known_bearing

_MOST_BYTES = 32 << 20
_MOST_VALUES = 1 << 20  # a number stands on a line of its own: the bytes come to their end first
_TEXT = 4096
_LOUDEST_DB = 800.0  # a float32 reaches 770
_CURE = "make it again with faultdx baseline"


def save(baseline: Baseline, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a baseline. Raises OutputError: it is there already, or cannot be written; ConfigError: too large to be
    read again."""
    content = {**baseline.to_dict(), "digest": baseline.digest}
    data = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    if len(data) > _MOST_BYTES:
        raise ConfigError(
            f"{show(path)}: the baseline would have {len(data) >> 20} MiB, {_MOST_BYTES >> 20} at most: "
            "fewer recordings, or fewer channels (--channel)"
        )
    atomic_write(path, data, overwrite=overwrite)


def is_baseline(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a baseline, or at least JSON, and no recording. False for what cannot be opened."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as stream:
            return stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
    except (OSError, ValueError):
        return False


def load(path: str | os.PathLike[str]) -> Baseline:
    """Read a baseline. Raises ConfigError: missing, no baseline, damaged, or numbers that cannot be."""
    name = show(path)
    data = read_file(path, limit_bytes=_MOST_BYTES, kind=ConfigError, cure="name a file of faultdx baseline")
    try:
        content = parse_json(data, most_values=_MOST_VALUES, strict=True)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{name}: is no baseline: it is not the JSON of one ({_why(error)}); {_CURE}") from error
    if not isinstance(content, dict) or not str(content.get("schema", "")).startswith("faultdx.baseline/"):
        raise ConfigError(f"{name}: is no baseline: faultdx baseline makes one of healthy recordings")
    if content["schema"] != SCHEMA:
        raise ConfigError(
            f"{name}: is {show(str(content['schema'])[:60])!r}, and this faultdx knows {SCHEMA}: update it"
        )
    try:
        found = _baseline(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecordError, ConfigError) as error:
        raise ConfigError(f"{name}: the baseline is damaged or absurd ({_why(error)}); {_CURE}") from error
    if content.get("digest") != found.digest:
        raise ConfigError(f"{name}: the baseline was changed after it was made (its digest is another); {_CURE}")
    return found


def baseline_from(
    items: Sequence[Item], *, asset: str = "", false_alarms: float | None = None, quality: str = "refuse"
) -> tuple[Baseline | None, tuple[str, ...], tuple[RecordError, ...]]:
    """Return the baseline of healthy recordings, notes on it, and what could not be used; None where nothing could.

    A recording is dropped again when its few figures are known. Raises ConfigError as `fit` does.
    """
    references: list[Reference] = []
    refused: list[RecordError] = []
    bearings: set[str] = set()
    for item in items:
        try:
            record = read_item(item)
            bad = [c.message for c in objections(record, policy=quality) if c.severity == "refuse"]
            if bad:
                raise RecordError(f"{show(item.path)}: its signal is unfit for a baseline: {bad[0]}", item.path)
            bearing = record.details.get("bearing", "")
            references.append(refer(record, bearing=bearing))
            bearings.add(bearing)
        except RecordError as error:
            refused.append(error)
    if not references:
        return None, (), tuple(refused)
    if len(bearings - {""}) > 1:
        raise ConfigError(f"the healthy recordings name {len(bearings)} bearings: name one with --bearing")
    rate = {} if false_alarms is None else {"false_alarms": false_alarms}
    found, notes = baseline_of(references, next(iter(bearings - {""}), ""), asset=asset, **rate)
    return found, notes, tuple(refused)


def _why(error: Exception) -> str:
    said = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
    return show(said)[:120]


def _baseline(content: Mapping[str, Any]) -> Baseline:
    records = _list(content["records"], "records", 1, MOST_RECORDS)
    bearing = _text(content["bearing"], "bearing")
    if bearing:
        known_bearing(bearing)
    rate = _number(content["false_alarms"], "false_alarms", 1e-4, 0.5)
    references = tuple(_reference(r) for r in records)
    return Baseline(_text(content["asset"], "asset"), references, bearing, rate)


def _reference(value: Mapping[str, Any]) -> Reference:
    rate = _number(value["sampling_rate_hz"], "sampling_rate_hz", *PLAUSIBLE_HZ)
    rpm = None if value["rpm"] is None else _number(value["rpm"], "rpm", *PLAUSIBLE_RPM)
    channels = tuple(_sensed(c, rate) for c in _list(value["channels"], "channels", 1, MOST_CHANNELS))
    texts = {key: _text(value[key], key) for key in ("file", "sha256", "load", "unit", "asset")}
    return Reference(sampling_rate_hz=rate, rpm=rpm, channels=channels, **texts)


def _sensed(value: Mapping[str, Any], rate: float) -> Sensed:
    edges = band_edges(rate)
    level_db, spread_db = (
        np.array([_number(v, key, low, _LOUDEST_DB) for v in _list(value[key], key, len(edges), len(edges))])
        for key, low in (("level_db", -_LOUDEST_DB), ("spread_db", 0.0))
    )
    lines = value["lines"]
    if not isinstance(lines, dict) or not set(lines) <= set(PLACES):
        raise ValueError("lines")
    levels = BandLevels(
        edges,
        level_db,
        spread_db,
        _number(value["rms_db"], "rms_db", -_LOUDEST_DB, _LOUDEST_DB),
        _number(value["kurtosis"], "kurtosis", 0, 1e9),
        _number(value["crest_db"], "crest_db", -1, _LOUDEST_DB),
        int(_number(value["windows"], "windows", 1, 1e9)),
    )
    depths = {place: _number(v, "lines", -100, 100) for place, v in lines.items()}
    return Sensed(_text(value["channel"], "channel"), levels, depths)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # NaN is not
        raise ValueError(f"{what} is out of bounds")
    return float(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT or show(value) != value:
        raise ValueError(f"{what} is no text")
    return value


def _list(value: Any, what: str, fewest: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        raise ValueError(f"{what}: not {fewest} to {most} of them" if fewest != most else f"{what}: not {most} of them")
    return value
