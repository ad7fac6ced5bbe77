"""Contents -> Meaning: which variables of a file are its channels, and what the file says about them.

Only what is written in the file is taken, and where from is said. A sampling
rate, above all, is never inferred from a length, a name or a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.channels import (
    MOST_CHANNELS,
    SHORTEST_SAMPLES,
    Channel,
    describe,
    expand,
    few,
    find,
    many_records,
    one_record,
    records_in,
)
from faultdx.records.contents import Contents, Variable
from faultdx.records.cwru_names import SIGNAL_NAME
from faultdx.records.loading import HIGHEST, load_signal
from faultdx.records.statements import (
    Stated,
    is_ramp,
    is_setting,
    is_statement,
    plain,
    rate_of_ramp,
    stated_rates,
    stated_rpms,
    time_scale,
    unit_of,
    without_unit,
)

if TYPE_CHECKING:
    from faultdx.records.cwru import Entry
    from faultdx.records.published import Published

__all__ = ["HIGHEST", "Channel", "Meaning", "choose", "common_unit", "cwru_records", "load_signal", "meaning_of"]

_SEU_COLUMNS = 8  # motor vibration, planetary gearbox x y z, motor torque, parallel gearbox x y z


@dataclass(frozen=True)
class Meaning:
    """What a file holds.

    convention : "CWRU", "MFPT", "Paderborn", "UESTC", "SEU", "single variable" or "general"
    channels : all there are, of one length; default : the names taken where nobody chooses
    rates, rpms : what the file states, Hz and turns a minute; unit : of all channels, where the file states it
    record : the prefix of the CWRU variables that were taken ("X105"), else None; notes : a sentence each
    why_no_rate : what keeps a time axis that is there from stating the rate
    """

    convention: str
    channels: tuple[Channel, ...]
    default: tuple[str, ...]
    rates: tuple[Stated, ...] = ()
    rpms: tuple[Stated, ...] = ()
    unit: str | None = None
    notes: tuple[str, ...] = ()
    record: str | None = None
    why_no_rate: str = ""


def meaning_of(contents: Contents, *, name: str, entry: Entry | None = None, variable: str | None = None) -> Meaning:
    """Tell the channels of `contents` and what it states.

    name : the file, for messages; entry : of the CWRU catalogue, where the file is known. It is looked at only where
        there are several `cwru_records`
    variable : take this variable for the signal ("data1(3)": the third record in it; "group/data" or "group.data"
        in HDF5); for a CWRU file also the prefix of a record ("X099"), for a Paderborn file the Name of a signal

    Raises RecordError where no variable, or more than one, could be the signal.
    """
    numbers = [v for v in contents.variables if v.kind == "number"]
    if (record := _cwru_record(numbers, name=name, entry=entry, variable=variable)) is not None:
        channels = _cwru_channels(numbers, record, name)
        asked = SIGNAL_NAME.match(variable or "")
        default = asked["channel"] if asked else "DE" if any(c.name == "DE" for c in channels) else channels[0].name
        rpms = stated_rpms(contents, cwru_record=record)
        return Meaning("CWRU", channels, (default,), stated_rates(contents), rpms, record=record)
    known = _published(contents, variable)
    if known is not None:
        return Meaning(
            known.convention, known.channels, known.default, known.rates, known.rpms, known.unit, known.notes
        )
    return _general(contents, name=name, variable=variable)


def _published(contents: Contents, variable: str | None) -> Published | None:
    """Return what a file of a published data set holds, by the fields of the structs in it, or None."""
    if not any("." in v.name for v in contents.variables):
        return None
    from faultdx.records import published

    known = published.paderborn(contents, variable=variable)
    if known is None and variable in (None, "bearing", "bearing.gs"):
        known = published.mfpt(contents)
    return known


def _general(contents: Contents, *, name: str, variable: str | None) -> Meaning:
    """Tell the channels by the general rules."""
    if variable is not None and find(contents, variable) is None:
        try:
            found = one_record(contents, variable)
        except ValueError as error:
            raise RecordError(f"{show(name)}: variable {error}", name) from None
        if found is None:
            raise RecordError(f"{show(name)}: no variable {show(variable)}; {_cure(contents)}", name)
        contents, variable = found
    numbers = [v for v in contents.variables if v.kind == "number"]
    times = [v for v in numbers if time_scale(v.name, v.unit) is not None]
    signals = [v for v in numbers if v not in times and not is_statement(v.name) and not is_setting(v.name)]
    counts = {v.shape[0] for v in signals if len(v.shape) == 3 and records_in(v)}
    signals = [v for v in signals if not (len(v.shape) == 3 and v.shape[1:] == (1, 1) and v.shape[0] in counts)]
    channels = _candidates(contents, signals, name) if variable is None else _chosen(contents, variable, name)
    timed = _rate_of_times([v for v in times if v.name != channels[0].variable], channels)
    notes: tuple[str, ...] = ()
    if variable is None and not any(_is_axis(v, channels) for v in times):
        channels, notes = _without_ramp(channels)
    own = channels[0].sampling_rate_hz
    rates = (Stated(own, f"variable {show(channels[0].variable)}"),) if own else ()
    convention, more = _convention(contents, signals)
    names = tuple(c.name for c in channels)
    return Meaning(
        convention,
        channels,
        names,
        (*stated_rates(contents), *rates, *timed),
        stated_rpms(contents),
        common_unit(channels),
        (*contents.notes, *notes, *more),
        why_no_rate="" if timed else _why_no_rate([v for v in times if v.name != channels[0].variable], channels),
    )


def _convention(contents: Contents, signals: list[Variable]) -> tuple[str, tuple[str, ...]]:
    """Return the name of what this looks like, and what a user should know about it."""
    if {"Data", "SampleFrequency"} <= {v.name for v in contents.variables if v.kind == "number"}:
        return "UESTC", ()
    limits = [v for v in contents.variables if plain(v.name) == "frequencylimit" and v.shape == ()]
    if contents.format == "text" and limits and len(signals) == _SEU_COLUMNS:
        # The Southeast University gearbox files (github.com/cathysiyu/Mechanical-datasets): 16 lines over 8 columns.
        limit = float(limits[0].load())
        note = (
            f"SEU gearbox data: it states a frequency limit of {limit:g} Hz and no sampling rate; analysers that state "
            f"one sample at 2.56 times the limit ({2.56 * limit:g} Hz), which is for you to declare"
        )
        return "SEU", (note,)
    return "single variable" if len(signals) == 1 and len(contents.variables) == 1 else "general", ()


def choose(meaning: Meaning, wanted: Sequence[str], *, name: str) -> tuple[Channel, ...]:
    """Return the channels that `wanted` names, by name or variable in any case, or by number from 1; the default
    ones where it is empty. Raises RecordError, which lists the channels."""
    if not wanted:
        return tuple(c for c in meaning.channels if c.name in meaning.default)
    chosen: list[Channel] = []
    for word in wanted:
        exact = [c for c in meaning.channels if word in (c.name, c.variable)]
        names = ((c, (c.name, c.variable, without_unit(c.name))) for c in meaning.channels)
        loose = [c for c, known in names if word and word.casefold() in map(str.casefold, known)]
        found = (exact or loose)[:1]
        if not found and word:  # the last part of "group.channel", where there is but one
            ends = [c for c in meaning.channels if c.name.casefold().endswith(f".{word.casefold()}")]
            found = ends if len(ends) == 1 else []
        if not found and word.isdecimal() and 1 <= int(word) <= len(meaning.channels):
            found = [meaning.channels[int(word) - 1]]
        if not found:
            there = few([f"{i} {show(c.name)}" for i, c in enumerate(meaning.channels, 1)])
            raise RecordError(f"{show(name)}: no channel {show(word)}; choose with --channel one of: {there}", name)
        if found[0] not in chosen:
            chosen.append(found[0])
    return tuple(chosen)


def cwru_records(variables: Iterable[Variable]) -> list[str]:
    """Return the prefixes of the CWRU records in a file, sorted: "X098", "X099"."""
    found = (SIGNAL_NAME.match(v.name) for v in variables if v.kind == "number")
    return sorted({f"X{m['number']}" for m in found if m})


def _cwru_record(numbers: list[Variable], *, name: str, entry: Entry | None, variable: str | None) -> str | None:
    """Return the prefix of the CWRU record to take ("X105"); None where there is none, or `variable` is elsewhere."""
    records = cwru_records(numbers)
    if variable is not None:
        asked = SIGNAL_NAME.match(variable)
        prefix = f"X{asked['number']}" if asked and any(v.name == variable for v in numbers) else variable
        return prefix if prefix in records else None
    if len(records) > 1 and entry is not None:
        from faultdx.records.cwru import own_prefix

        if own_prefix(entry) in records:
            return own_prefix(entry)
    if len(records) > 1:
        raise RecordError(
            f"{show(name)}: holds {len(records)} records ({few(records)}); "
            f"choose one with --variable, for example --variable {records[0]}",
            name,
        )
    return records[0] if records else None


def _cwru_channels(numbers: list[Variable], record: str, name: str) -> tuple[Channel, ...]:
    parts = {m["channel"]: v for v in numbers if (m := SIGNAL_NAME.match(v.name)) and v.name.startswith(f"{record}_")}
    channels = tuple(replace(c, name=channel) for channel, v in parts.items() for c in expand(v)[:1])
    if len(channels) < len(parts) or len({c.samples for c in channels}) > 1:
        listed = few([describe(v) for v in parts.values()])
        raise RecordError(
            f"{show(name)}: the channels of {record} are no signals of one length ({listed}); "
            "copy or export the file again",
            name,
        )
    return channels


def _chosen(contents: Contents, variable: str, name: str) -> tuple[Channel, ...]:
    """Return the channels of the variable that was asked for."""
    found = find(contents, variable)
    if found is None:
        raise RecordError(f"{show(name)}: no variable {show(variable)}; {_cure(contents)}", name)
    if found.kind == "number" and (records := records_in(found)):
        raise many_records(found, records, name=name)
    channels = expand(found)
    if not channels:
        raise RecordError(f"{show(name)}: variable {describe(found)} is no signal; {_cure(contents)}", name)
    return channels


def _candidates(contents: Contents, signals: list[Variable], name: str) -> tuple[Channel, ...]:
    """Return the channels where nobody chooses a variable.

    Vectors of one common length and rate are the channels; of a matrix the long axis is time, up to 16 channels;
    scalars and arrays shorter than 16 are settings. Two lengths, or two rates, are two candidates, and the user has
    to choose; so are an array of records and anything else.
    """
    candidates = [found for v in signals if (found := expand(v))]
    many = [(v, records) for v in signals if (records := records_in(v))]
    if not candidates and len(many) == 1:
        raise many_records(*many[0], name=name)
    if not candidates and not many:
        raise RecordError(f"{show(name)}: {_nothing(contents)}", name)
    groups = {(found[0].samples, found[0].sampling_rate_hz) for found in candidates}
    if len(groups) > 1 or many:
        rates = len({rate for _, rate in groups}) > 1
        listed = [_listed(found[0], rate=rates) for found in candidates]
        listed += [f"{show(v.name)}: {r.count} records of {r.samples} samples" for v, r in many]
        what = "rates" if len({samples for samples, _ in groups}) == 1 and not many else "lengths"
        raise RecordError(
            f"{show(name)}: several variables of different {what} could be the signal ({few(listed)}); "
            "choose one with --variable",
            name,
        )
    return tuple(c for found in candidates for c in found)


def _listed(channel: Channel, *, rate: bool) -> str:
    at = f" at {channel.sampling_rate_hz:g} Hz" if channel.sampling_rate_hz else " at an unknown rate"
    return f"{show(channel.variable)}: {channel.samples} samples{at if rate else ''}"


def _is_axis(v: Variable, channels: Sequence[Channel]) -> bool:
    axis = expand(v)
    return len(axis) == 1 and axis[0].samples == channels[0].samples


def _rate_of_times(times: Sequence[Variable], channels: Sequence[Channel]) -> tuple[Stated, ...]:
    """Return the sampling rate that the first time axis of the channels' length gives, if it does."""
    for v in times:
        if _is_axis(v, channels):
            rate = rate_of_ramp(expand(v)[0].load(), time_scale(v.name, v.unit) or 0.0)
            return (Stated(rate, f"time column {show(v.name)}"),) if rate else ()
    return ()


def _why_no_rate(times: Sequence[Variable], channels: Sequence[Channel]) -> str:
    """Return what keeps a time axis from stating the rate: no unit, or steps that are not even."""
    for v in times:
        if _is_axis(v, channels):
            values = expand(v)[0].load()
            if not is_ramp(values):
                return f"its time column {show(v.name)} does not grow evenly"
            if not time_scale(v.name, v.unit) and (rate := rate_of_ramp(values, 1.0)):
                return f"its time column {show(v.name)} has no unit that is known (were it seconds: {rate:.10g} Hz)"
    return ""


def _without_ramp(channels: tuple[Channel, ...]) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """Return the channels without a first one that is a time axis by its looks, and a note about it."""
    if len(channels) > 1 and is_ramp(channels[0].load()):
        note = f"{show(channels[0].name)} grows evenly: taken for a time axis in unknown units, not for a channel"
        return channels[1:], (note,)
    return channels, ()


def common_unit(channels: Sequence[Channel]) -> str | None:
    """Return the unit that the format, or the column headings ("acc [g]"), state for all of these channels."""
    units = {c.unit or unit_of([c.name]) for c in channels}
    return units.pop() if len(units) == 1 else None


def _nothing(contents: Contents) -> str:
    """Return why no variable is a signal, and the cure."""
    if not contents.variables:
        return "holds no variables; export the recording again"
    listed = few([describe(v) for v in contents.variables])
    return (
        f"holds no signal: a vector of {SHORTEST_SAMPLES} samples or more, or a matrix of up to {MOST_CHANNELS} "
        f"channels, of real numbers (it holds {listed}); export the signal as one"
    )


def _cure(contents: Contents) -> str:
    return f"choose with --variable one of: {few([describe(v) for v in contents.variables])}"
