"""Contents -> Meaning: which variables of a file are its channels, and what the file says about them.

Only what is written in the file is taken, and where from is said. A sampling
rate, above all, is never inferred from a length, a name or a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records import cwru
from faultdx.records.contents import Contents, NumberArray, Variable
from faultdx.records.statements import (
    Stated,
    is_ramp,
    is_statement,
    rate_of_ramp,
    stated_rates,
    stated_rpms,
    time_scale,
    unit_of,
    without_unit,
)

SHORTEST_SAMPLES = 16  # below this an array is a setting, not a recording
MOST_CHANNELS = 16  # the short axis of a matrix with more rows and columns than this may be anything
_LISTED = 12  # names in one message


@dataclass(frozen=True)
class Channel:
    """One signal of the file: `samples` long; `load` gives it as stored, shape (samples,)."""

    name: str
    variable: str
    samples: int
    load: Callable[[], NumberArray]


@dataclass(frozen=True)
class Meaning:
    """What a file holds.

    convention : "CWRU", "UESTC" or "general"
    channels : all there are, of one length; default : the names taken where nobody chooses
    rates, rpms : what the file states, Hz and turns a minute; unit : from the column headings, else None
    record : the prefix of the CWRU variables that were taken ("X105"), else None; notes : a sentence each
    """

    convention: str
    channels: tuple[Channel, ...]
    default: tuple[str, ...]
    rates: tuple[Stated, ...] = ()
    rpms: tuple[Stated, ...] = ()
    unit: str | None = None
    notes: tuple[str, ...] = ()
    record: str | None = None


def meaning_of(
    contents: Contents, *, name: str, entry: cwru.Entry | None = None, variable: str | None = None
) -> Meaning:
    """Tell the channels of `contents` and what it states.

    name : the file, for messages; entry : of the CWRU catalogue, where the file is known
    variable : take this variable for the signal; for a CWRU file also the prefix of a record ("X099")

    Raises RecordError where no variable, or more than one, could be the signal.
    """
    numbers = [v for v in contents.variables if v.kind == "number"]
    rates = stated_rates(contents)
    if (record := _cwru_record(numbers, name=name, entry=entry, variable=variable)) is not None:
        channels = _cwru_channels(numbers, record, name)
        asked = cwru.SIGNAL_NAME.match(variable or "")
        default = asked["channel"] if asked else "DE" if any(c.name == "DE" for c in channels) else channels[0].name
        return Meaning("CWRU", channels, (default,), rates, stated_rpms(contents, cwru_record=record), record=record)
    notes: tuple[str, ...] = ()
    if variable is not None:
        found = _named(contents, variable, name)
        channels = _expand(found)
        if not channels:
            raise RecordError(f"{show(name)}: variable {_describe(found)} is no signal; {_cure(contents)}", name)
    else:
        channels, timed, notes = _general_channels(contents, numbers, name)
        rates += timed
    names = tuple(c.name for c in channels)
    uestc = {"Data", "SampleFrequency"} <= {v.name for v in numbers}
    convention = "UESTC" if uestc else "general"
    return Meaning(convention, channels, names, rates, stated_rpms(contents), unit_of(names), notes)


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
        if not found and word.isdecimal() and 1 <= int(word) <= len(meaning.channels):
            found = [meaning.channels[int(word) - 1]]
        if not found:
            there = _few([f"{i} {show(c.name)}" for i, c in enumerate(meaning.channels, 1)])
            raise RecordError(f"{show(name)}: no channel {show(word)}; choose with --channel one of: {there}", name)
        if found[0] not in chosen:
            chosen.append(found[0])
    return tuple(chosen)


def load_signal(channels: Sequence[Channel], *, name: str) -> npt.NDArray[np.float32]:
    """Decode `channels`. Returns float32, shape (channels, samples), finite, no row constant. Raises RecordError."""
    signal = np.empty((len(channels), channels[0].samples), dtype=np.float32)
    for row, channel in zip(signal, channels, strict=True):
        stored = channel.load()
        what = f"{show(name)}: channel {show(channel.name)}"
        if stored.dtype.kind not in "fiub":
            kind = "complex" if stored.dtype.kind == "c" else f"of type {stored.dtype}"
            raise RecordError(f"{what} is {kind}; export the real signal as numbers", name)
        with np.errstate(over="ignore", invalid="ignore"):  # float64 above the float32 range becomes inf: seen below
            row[:] = stored
        bad = np.flatnonzero(~np.isfinite(row))
        if bad.size:
            kind = "NaN" if np.isnan(row[bad[0]]) else "infinite (or over 3e38)"
            raise RecordError(
                f"{what} has {bad.size} of {row.size} samples that are not finite, the first ({kind}) at sample "
                f"{bad[0]} (counted from 0); cut or repair them, or choose another channel with --channel",
                name,
            )
        if row.size < SHORTEST_SAMPLES:
            raise RecordError(
                f"{what} has {row.size} samples, fewer than {SHORTEST_SAMPLES}; give a longer recording", name
            )
        if row.min() == row.max():
            raise RecordError(
                f"{what} is constant ({row[0]:g}); check the sensor and its cable, or choose another channel "
                "with --channel",
                name,
            )
    return signal


def _cwru_record(numbers: list[Variable], *, name: str, entry: cwru.Entry | None, variable: str | None) -> str | None:
    """Return the prefix of the CWRU record to take ("X105"); None where there is none, or `variable` is elsewhere."""
    records = sorted({f"X{m['number']}" for v in numbers if (m := cwru.SIGNAL_NAME.match(v.name))})
    if variable is not None:
        asked = cwru.SIGNAL_NAME.match(variable)
        prefix = f"X{asked['number']}" if asked and any(v.name == variable for v in numbers) else variable
        return prefix if prefix in records else None
    if entry is not None and cwru.own_prefix(entry) in records:
        return cwru.own_prefix(entry)
    if len(records) > 1:
        raise RecordError(
            f"{show(name)}: holds {len(records)} records ({_few(records)}); "
            f"choose one with --variable, for example --variable {records[0]}",
            name,
        )
    return records[0] if records else None


def _cwru_channels(numbers: list[Variable], record: str, name: str) -> tuple[Channel, ...]:
    parts = {
        m["channel"]: v for v in numbers if (m := cwru.SIGNAL_NAME.match(v.name)) and v.name.startswith(f"{record}_")
    }
    channels = tuple(replace(c, name=channel) for channel, v in parts.items() for c in _expand(v)[:1])
    if len(channels) < len(parts) or len({c.samples for c in channels}) > 1:
        listed = _few([_describe(v) for v in parts.values()])
        raise RecordError(
            f"{show(name)}: the channels of {record} are no signals of one length ({listed}); "
            "copy or export the file again",
            name,
        )
    return channels


def _general_channels(
    contents: Contents, numbers: list[Variable], name: str
) -> tuple[tuple[Channel, ...], tuple[Stated, ...], tuple[str, ...]]:
    """Return the channels, the rate that a time column states, and notes, by the general rules.

    Vectors of one common length are the channels; of a matrix the long axis is time, up to 16 channels; scalars and
    arrays shorter than 16 are settings. Two lengths are two candidates, and the user has to choose.
    """
    times = [v for v in numbers if time_scale(v.name) is not None]
    signals = [v for v in numbers if time_scale(v.name) is None and not is_statement(v.name)]
    candidates = [found for v in signals if (found := _expand(v))]
    if not candidates:
        raise RecordError(f"{show(name)}: {_nothing(contents)}", name)
    if len({found[0].samples for found in candidates}) > 1:
        listed = _few([f"{show(found[0].variable)}: {found[0].samples} samples" for found in candidates])
        raise RecordError(
            f"{show(name)}: several variables of different lengths could be the signal ({listed}); "
            "choose one with --variable",
            name,
        )
    channels = tuple(c for found in candidates for c in found)
    for v in times:
        axis = _expand(v)
        if len(axis) == 1 and axis[0].samples == channels[0].samples:
            rate = rate_of_ramp(axis[0].load(), time_scale(v.name) or 0.0)
            return channels, (Stated(rate, f"time column {show(v.name)}"),) if rate else (), ()
    if len(channels) > 1 and is_ramp(channels[0].load()):
        note = f"{show(channels[0].name)} grows evenly: taken for a time axis in unknown units, not for a channel"
        return channels[1:], (), (note,)
    return channels, (), ()


def _expand(variable: Variable) -> tuple[Channel, ...]:
    """Return the channels in a vector or a matrix; none where its shape is not that of a signal."""
    sides = [side for side in variable.shape if side != 1]
    load = cache(variable.load)  # a matrix is decoded once for all its channels
    if len(sides) == 1 and sides[0] >= SHORTEST_SAMPLES:
        return (Channel(variable.name, variable.name, sides[0], partial(_take, load, (sides[0], 1), 0, 0)),)
    if len(sides) != 2 or min(sides) > MOST_CHANNELS or max(sides) < SHORTEST_SAMPLES or sides[0] == sides[1]:
        return ()
    shape, axis = (sides[0], sides[1]), int(np.argmax(sides))
    return tuple(
        Channel(f"{variable.name}_{i + 1}", variable.name, max(sides), partial(_take, load, shape, axis, i))
        for i in range(min(sides))
    )


def _take(load: Callable[[], NumberArray], shape: tuple[int, int], axis: int, index: int) -> NumberArray:
    """Return channel `index` of an array whose time runs along `axis` of `shape` (its sides without those of 1)."""
    matrix = load().reshape(shape)
    return matrix[:, index] if axis == 0 else matrix[index]


def _named(contents: Contents, variable: str, name: str) -> Variable:
    exact = [v for v in contents.variables if v.name == variable]
    loose = [v for v in contents.variables if v.name.casefold() == variable.casefold()]
    if found := exact or loose:
        return found[0]
    raise RecordError(f"{show(name)}: no variable {show(variable)}; {_cure(contents)}", name)


def _nothing(contents: Contents) -> str:
    """Return why no variable is a signal, and the cure."""
    if not contents.variables:
        return "holds no variables; export the recording again"
    listed = _few([_describe(v) for v in contents.variables])
    return (
        f"holds no signal: a vector of {SHORTEST_SAMPLES} samples or more, or a matrix of up to {MOST_CHANNELS} "
        f"channels, of real numbers (it holds {listed}); export the signal as one"
    )


def _cure(contents: Contents) -> str:
    return f"choose with --variable one of: {_few([_describe(v) for v in contents.variables])}"


def _describe(v: Variable) -> str:
    kind = "" if v.kind == "number" else f", {'not real numbers' if v.kind == 'other' else v.kind}"
    return f"{show(v.name)} ({' x '.join(map(str, v.shape)) or 'scalar'}{kind})"


def _few(words: Sequence[str]) -> str:
    return ", ".join(words[:_LISTED]) + (f" and {len(words) - _LISTED} more" if len(words) > _LISTED else "")
