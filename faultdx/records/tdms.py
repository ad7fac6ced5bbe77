"""TDMS, the files of LabVIEW and DIAdem, through nptdms: each channel a variable, with its own rate and unit.

Layout of the segments: "TDMS File Format Internal Structure" (National Instruments). A segment starts with a lead-in
of 28 bytes; an offset of all ones marks one whose writer never came to its end. The properties of waveforms:
wf_increment is the time from sample to sample, wf_xunit_string the unit of it, unit_string that of the samples.
"""

from __future__ import annotations

import importlib
import io
import logging
import math
import struct
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.errors import RecordError
from faultdx.records.cells import unique
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.statements import is_statement, rounded_rate, seconds_in

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_TAG = b"TDSm"
_LEAD_IN = struct.Struct("<4sIIQQ")
_BIG_ENDIAN = 1 << 6  # of the table of contents in the lead-in
_UNFINISHED = 0xFFFFFFFFFFFFFFFF
_MOST_SEGMENTS = 1 << 20
_MOST_CHANNELS = 4096
_CURE = "export it again, or copy it once its writer has closed it"


def _check_segments(source: Source) -> None:
    """Raise RecordError unless the segments follow each other to the very end of the file."""
    view, position = source.view, 0
    for _ in range(_MOST_SEGMENTS):
        if position == len(view):
            return
        if len(view) - position < _LEAD_IN.size:
            raise source.error("is cut short: it ends inside the head of a segment", _CURE)
        tag, contents, *_ = _LEAD_IN.unpack_from(view, position)
        order = ">" if contents & _BIG_ENDIAN else "<"
        following, raw = struct.unpack_from(order + "QQ", view, position + 12)
        if tag != _TAG:
            raise source.error(f"is damaged: no segment starts at byte {position}", _CURE)
        if following == _UNFINISHED or position + _LEAD_IN.size + following > len(view) or raw > following:
            raise source.error("is cut short: its last segment was not written to its end", _CURE)
        position += _LEAD_IN.size + following
    raise source.error(f"has over {_MOST_SEGMENTS} segments", "defragment it, or export it again")


def _opened(source: Source) -> Any:
    """Return the file as nptdms sees it; whatever that raises comes out as RecordError."""
    try:
        nptdms = importlib.import_module("nptdms")
        importlib.import_module("nptdms.log").log_manager.set_level(logging.CRITICAL)  # it would write to stderr
    except ImportError as error:
        raise source.error("is a TDMS file, and nptdms is not installed", "pip install 'faultdx[tdms]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nptdms.TdmsFile.open(io.BytesIO(source.data))
    except MemoryError:
        raise
    except Exception as error:  # the library raises a dozen types on damaged files
        raise source.error("is damaged: nptdms cannot read it", _CURE) from error


def _load(source: Source, name: str, group: str, channel: str, shape: tuple[int, ...]) -> NumberArray:
    file = _opened(source)
    try:
        source.spend(name, shape[0] * np.dtype(file[group][channel].dtype).itemsize)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values: NumberArray = np.asarray(file[group][channel][:])
    except (MemoryError, RecordError):
        raise
    except Exception as error:
        raise source.error(f"variable {name!a} is damaged: nptdms cannot read it", _CURE) from error
    finally:
        file.close()
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise source.error(f"variable {name!a} is damaged: it does not hold what it states", _CURE)
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _rate(properties: Mapping[str, Any]) -> float | None:
    """Return the sampling rate that the waveform properties of a channel give, Hz."""
    scale = seconds_in(str(properties.get("wf_xunit_string") or "s"))
    step = _number(properties.get("wf_increment"))
    if scale is None or step is None or step * scale < 1e-12:
        return None
    return rounded_rate(1.0 / (step * scale))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float, np.number)) and math.isfinite(value) else None


def _channel(source: Source, name: str, channel: Any) -> Variable:
    count, dtype = len(channel), np.dtype(channel.dtype)
    if dtype.kind not in "fiub":
        kind = "text" if dtype.kind in "OSU" else "other"
        what = {"M": "holds times of day", "c": "is complex"}.get(dtype.kind, "is text, not numbers")
        return source.unreadable(name, (count,), kind=kind, cause=what)
    stored = getattr(channel.data_type, "size", None) or 1  # bytes a value in the file; scaling may widen it
    if count * stored > len(source.data):
        return source.unreadable(name, (count,), kind="number", cause="is damaged: it states more than the file holds")
    properties = channel.properties
    unit = str(properties.get("unit_string") or properties.get("NI_UnitDescription") or "").strip() or None
    load = partial(_load, source, name, channel.group_name, channel.name, (count,))
    return Variable(name, (count,), "number", load, sampling_rate_hz=_rate(properties), unit=unit)


def _scalar(name: str, value: float) -> Variable:
    array = np.array(value, np.float64)
    return Variable(name, (), "number", lambda: array)


def open_tdms(source: Source) -> Contents:
    """Return the channels of a TDMS file as `group.channel`, shape (samples,), scaled as the file says, each with
    the sampling rate and the unit that it states; properties of the file that state a rate or a speed are scalars.

    Raises RecordError where nptdms is missing or cannot read the file, where a segment is not complete, and (when a
    channel is loaded) where it does not hold what it states.
    """
    _check_segments(source)
    file = _opened(source)
    try:
        variables = _variables(source, file)
    except (MemoryError, RecordError):
        raise
    except Exception as error:  # lengths beyond all bounds, names that are none
        raise source.error("is damaged: nptdms cannot read it", _CURE) from error
    finally:
        file.close()
    return source.contents("TDMS", variables)


def _variables(source: Source, file: Any) -> list[Variable]:
    status = file.file_status
    if status.incomplete_final_segment or status.channel_statuses is not None:
        raise source.error("is cut short: its last segment was not written to its end", _CURE)
    channels = [(group.name, channel) for group in file.groups() for channel in group.channels()]
    if len(channels) > _MOST_CHANNELS:
        raise source.error(f"holds over {_MOST_CHANNELS} channels", "split it")
    names = unique([f"{group}.{channel.name}" for group, channel in channels], empty="channel")
    variables = [_channel(source, name, channel) for name, (_, channel) in zip(names, channels, strict=True)]
    stated = {str(key): _number(value) for key, value in file.properties.items() if is_statement(str(key))}
    return variables + [_scalar(key, value) for key, value in stated.items() if value is not None and key not in names]
