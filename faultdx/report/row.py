"""Diagnosis -> Row: the one flat line that the history, the metrics and the CSV are made of.

A Row holds no samples and no JSON: those of ten thousand records fit into the memory of a gateway. Every text in it
has gone through `faultdx.files.show`, every number is finite or None.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.errors import FaultdxError, RecordError
from faultdx.files import show
from faultdx.records.handles import STANDARD_INPUT, Location, locate
from faultdx.records.opening import fetch
from faultdx.records.table import Item
from faultdx.report.document import number, to_dict

# Columns of a records table that state when, and where on the machine, a recording was made.
TIME_COLUMNS = ("recorded_at", "time", "timestamp")
POINT_COLUMNS = ("point", "measuring_point")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_CHANNELS = 8  # named as a measuring point; more would not be read


@dataclass(frozen=True)
class Row:
    """One diagnosis of one recording.

    file : as the user named it; asset : the machine, "" where nobody says; point : the measuring point: the column
        `point` of the records table, else the channels, "" where none was read
    time : of the recording, UTC, "2024-05-01T12:00:00.000Z"; time_from : "stated" (a column of TIME_COLUMNS in
        ISO 8601; without a zone it is taken for UTC), "file" (its last modification; for a member of an archive that
        of the archive) or "diagnosis" (standard input: the time of the diagnosis)
    fault_probability : of all classes that are not healthy together; None where no class is known to be healthy
    level_rms, level_peak, crest_factor, kurtosis : of the channel with the highest RMS, in `unit` ("": raw units)
    notes : why there is no diagnosis, else the warnings
    sha256 : of the file's (the member's) bytes; content : the same, or where nothing could be read a digest of the
        file's name, its modification and the error
    asked : what was declared that bears on the result (variable, channels, rates, ...), as JSON; "" for nothing
    """

    file: str
    asset: str
    point: str
    time: str
    time_from: str
    status: str
    verdict: str | None
    fault: bool | None
    confidence: float | None
    agreement: float | None
    fault_probability: float | None
    segments: int
    sampling_rate_hz: float | None
    rpm: float | None
    level_rms: float | None
    level_peak: float | None
    crest_factor: float | None
    kurtosis: float | None
    unit: str
    notes: str
    sha256: str
    model_digest: str
    model_name: str
    diagnosed_at: str
    elapsed_s: float | None
    asked: str
    content: str


def row_of(
    diagnosis: Diagnosis, item: Item, *, healthy: Iterable[str] = (), min_confidence: float | None = None
) -> Row:
    """Return the row of a diagnosis of `item`. Never raises. Call it while the diagnosis still has its record.

    healthy : the model's healthy classes (model.json); min_confidence : where the user gave one
    """
    d, record = diagnosis, diagnosis.record
    document = to_dict(d)
    now = timestamp(datetime.now(UTC))
    details = {**item.flags.details, **item.declared.details, **(record.details if record else {})}
    asset = (record.asset if record else None) or item.declared.asset or item.flags.asset or ""
    read = record.channels if record else tuple(diagnosis.evidence.get("channels", ()))
    channels = read or item.flags.channels or item.declared.channels
    point = next((details[c] for c in POINT_COLUMNS if details.get(c)), ", ".join(channels[:_MAX_CHANNELS]))
    modified = _modified_ns(item.path)
    time, time_from = _time(details, modified, now)
    level = _level(d.evidence)
    unread = "\0".join((_whole_name(item.path), str(modified), str(document.get("error"))))
    return Row(
        file=document["file"],
        asset=show(asset),
        point=show(point),
        time=time,
        time_from=time_from,
        status=document["status"],
        verdict=document["verdict"],
        fault=document["fault"],
        confidence=document["confidence"],
        agreement=document["agreement"],
        fault_probability=_fault_probability(d.probabilities, healthy),
        segments=document["segments"],
        sampling_rate_hz=document["sampling_rate_hz"],
        rpm=document["rpm"],
        level_rms=level.get("rms"),
        level_peak=level.get("peak"),
        crest_factor=level.get("crest_factor"),
        kurtosis=level.get("kurtosis"),
        unit=show((record.unit if record else None) or ""),
        notes=_notes(document),
        sha256=document["sha256"],
        model_digest=str(document["model"].get("digest", "")),
        model_name=str(document["model"].get("name", "")),
        diagnosed_at=now,
        elapsed_s=document["elapsed_s"],
        asked=asked_of(item, min_confidence=min_confidence),
        # an error may pass (a limit of time, a disk): the bytes of a file that failed are not what it is known by
        content=document["sha256"] if d.sha256 and d.status != "error" else f"unread:{_digest(unread)}",
    )


# Details of a record that bear on its diagnosis: gears, what a velocity is judged by, the digest of a baseline.
_ASKED = ("teeth", "machine_class", "zones", "power_kw", "baseline")


def asked_of(item: Item, *, min_confidence: float | None = None) -> str:
    """Return what was declared of a recording that bears on its diagnosis, as JSON; "" where nothing was.

    The same bytes asked for another variable, or read at another rate, are another diagnosis. Never raises.
    """
    told, flags = item.declared, item.flags
    channels = flags.channels or told.channels
    said: dict[str, Any] = {
        "variable": _variable_in_name(item.path) or flags.variable or told.variable,
        "channels": [show(c) for c in channels] if channels else None,
        "sampling_rate_hz": told.sampling_rate_hz or flags.sampling_rate_hz,
        "rpm": told.rpm or flags.rpm,
        "scale": told.scale or flags.scale,
        "bearing": _one_bearing(told.bearing or flags.bearing),
        "min_confidence": min_confidence,
        **{name: told.details.get(name) or flags.details.get(name) for name in _ASKED},
    }
    known = {key: show(value) if isinstance(value, str) else value for key, value in said.items() if value is not None}
    return json.dumps(known, sort_keys=True) if known else ""


@lru_cache(maxsize=64)
def _one_bearing(text: str | None) -> str | None:
    """Return one name for a bearing, however it was spelled: 6205, 6205-2RS and "skf 6205" are one in the catalogue."""
    if not text:
        return text
    from faultdx.signals.kinematics import BearingGeometry
    from faultdx.testimony import known_bearing

    try:
        known = known_bearing(text)
    except FaultdxError:  # a table may name what nobody knows
        return text
    if known.name != text or ("," not in text and "=" not in text):
        return known.name
    g = known.geometry
    if isinstance(g, BearingGeometry):
        return f"{g.rolling_elements},{g.ball_diameter:g},{g.pitch_diameter:g},{g.contact_angle_deg:g}"
    return ",".join(f"{name}={order:g}" for name, order in sorted(g.orders().items()))


def sha256_of(item: Item) -> str | None:
    """Return the SHA-256 of the bytes of a recording, as its diagnosis will state it; None where it cannot be read."""
    try:
        return hashlib.sha256(fetch(item.path).data).hexdigest()
    except RecordError:
        return None


def timestamp(when: datetime) -> str:
    """Return a time as UTC with milliseconds, "2024-05-01T12:00:00.000Z": as text it sorts as it does as time."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(details: Mapping[str, str], modified_ns: int | None, now: str) -> tuple[str, str]:
    for column in TIME_COLUMNS:
        stated = instant(details.get(column, ""))
        if stated is not None:
            return stated, "stated"
    if modified_ns is not None:
        try:
            return timestamp(datetime.fromtimestamp(modified_ns / 1e9, UTC)), "file"
        except (ValueError, OverflowError, OSError):  # a clock that was in the year 40 000
            pass
    return now, "diagnosis"


def instant(text: str) -> str | None:
    """Return a date and time in ISO 8601 as UTC, None for what is none. Nothing is guessed about 01/02/03."""
    if not _DATE.match(text.strip()):
        return None
    try:
        when = datetime.fromisoformat(text.strip())
        return timestamp(when if when.tzinfo else when.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _place(path: str) -> Location:
    try:
        return locate(path)
    except (OSError, ValueError):
        return Location(path)


def _modified_ns(path: str) -> int | None:
    file = _place(path).file
    try:
        return None if file == STANDARD_INPUT else os.stat(file).st_mtime_ns  # noqa: PTH116 - Path raises on long names
    except (OSError, ValueError):
        return None


def _whole_name(path: str) -> str:
    """Return the name with its folder: two folders may each have a file of this name that cannot be read."""
    try:
        return path if _place(path).file == STANDARD_INPUT else show(os.path.abspath(path))  # noqa: PTH100
    except (OSError, ValueError):
        return show(path)


def _variable_in_name(path: str) -> str | None:
    """Return the variable of `x.h5:run/a`; of `spool.zip:a.h5:run/a` too, where the member is told by its bytes."""
    place = _place(path)
    if place.inside is None:
        return None
    from faultdx.records.archives import open_archive  # few recordings are in one

    try:
        archive = open_archive(place.file)
        return place.inside if archive is None else archive.find(place.inside)[1]
    except RecordError:
        return place.inside


def _level(evidence: Mapping[str, Any]) -> dict[str, float | None]:
    levels = evidence.get("levels")
    found = [entry for entry in levels if isinstance(entry, Mapping)] if isinstance(levels, (list, tuple)) else []
    rows = [{key: number(entry.get(key)) for key in ("rms", "peak", "crest_factor", "kurtosis")} for entry in found]
    return max(rows, key=lambda row: row["rms"] or 0.0, default={})


def _fault_probability(probabilities: Mapping[str, float], healthy: Iterable[str]) -> float | None:
    good = set(healthy)
    if not good or not probabilities:
        return None
    found = number(sum(p for name, p in probabilities.items() if name not in good), digits=15)
    return None if found is None else round(min(max(float(found), 0.0), 1.0), 6)


def _notes(document: Mapping[str, Any]) -> str:
    if "error" in document:
        return str(document["error"].get("message", ""))
    refused = [check["message"] for check in document["quality"] if check["severity"] == "refuse"]
    return "; ".join(refused or document["warnings"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
