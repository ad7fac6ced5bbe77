"""One recording -> what the first pass learns of it -> the segments that go into the prepared file."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from faultdx.config import PrepareConfig
from faultdx.dataset import Block
from faultdx.errors import DatasetError, RecordError, UnusableError
from faultdx.files import show
from faultdx.mapping.names import Name
from faultdx.records.handles import locate
from faultdx.records.objections import objections
from faultdx.records.reading import read_item, read_samples
from faultdx.records.record import Record
from faultdx.records.table import Item
from faultdx.signals.noise import KINDS, add_noise, segment_rng
from faultdx.signals.resampling import ratio, resample
from faultdx.signals.segments import Part, cut, normalize, segment_starts, split_in_time
from faultdx.signals.spectra import rms_of
from faultdx.splits import NAMES, Shares

_BLOCK = 64  # segments that noise is drawn for at once: memory stays with them, however long the record


@dataclass(frozen=True)
class Cutting:
    """How records are cut: the configuration, the common rate, and the split's method."""

    config: PrepareConfig
    rate_hz: float
    method: str


@dataclass(frozen=True)
class Seen:
    """A recording as the first pass saw it, so that the second need not work out again what cannot have changed.

    sha256 : of its bytes; key : of its samples, see `record_key`; rate_hz : they are sampled at
    state : of its file (device, inode, size, times in ns), () where it cannot be told
    """

    sha256: str
    key: str
    rate_hz: float
    state: tuple[int, ...] = ()


@dataclass(frozen=True)
class Known:
    """What the first pass keeps of a record: everything but its samples."""

    path: str
    seen: Seen
    label: str
    specimen: str | None
    condition: str | None
    asset: str | None
    unit: str | None
    bearing: str | None
    rpm: float | None
    source_rate_hz: float
    samples: int
    channels: tuple[str, ...]
    rms: float
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the bytes of its file."""
        return self.seen.sha256

    @property
    def key(self) -> str:
        """Its name by content."""
        return self.seen.key


def _parts(samples: int, shares: Shares, plan: Cutting) -> list[Part]:
    if plan.method == "random":
        return [Part("random", 0, samples)]
    return split_in_time(samples, shares, length=plan.config.segment)


def starts_of(
    samples: int, shares: Shares, plan: Cutting, key: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Return the starts of a record's segments and the side each is on."""
    length, hop = plan.config.segment, plan.config.hop or plan.config.segment
    starts, sides = [np.empty(0, np.int64)], [np.empty(0, np.int8)]
    for part in _parts(samples, shares, plan):
        s = segment_starts(part.start, part.stop, length=length, hop=hop)
        starts.append(s)
        if part.split == "random":
            draw = segment_rng(plan.config.seed, key, 0, "split", 0.0).random(len(s))
            sides.append(np.searchsorted(np.cumsum(shares)[:2], draw, side="right").astype(np.int8))
        else:
            sides.append(np.full(len(s), NAMES.index(part.split), np.int8))
    return np.concatenate(starts), np.concatenate(sides)


def resampled_length(samples: int, from_hz: float, to_hz: float) -> int:
    """Return how many samples a record of `samples` has after resampling."""
    up, down = ratio(from_hz, to_hz)
    return -(-samples * up // down)


def record_key(record: Record) -> str:
    """Return the digest of what was read of a recording: its name by content, whatever file it came from."""
    return hashlib.sha256(record.signal.tobytes()).hexdigest()


def learn(item: Item, *, labels: str, quality: str, folder: str | None = None) -> Known | RecordError:
    """Return what there is to know of a recording, or why it cannot be used. Never raises for a recording.

    labels : the column that names the class; quality : what a signal that fails a check gets
    folder : the working folder that the name is relative to, where it may be another one. An error about a file that
    is not on this machine then has the machine as `unseen_on`
    """
    name = Name(item.path, folder)
    far = replace(item, path=name.absolute)
    try:
        state = state_of(far.path)
        record = read_item(far)
        seen = Seen(record.sha256, record_key(record), record.sampling_rate_hz, state)
        return _known(replace(record, path=item.path), seen, labels, quality)
    except RecordError as error:
        error.path = item.path
        error.args = (name.words(str(error)),)
        if folder is not None and not name.is_seen:
            error.unseen_on = platform.node() or "another machine"  # type: ignore[attr-defined]
        return error


def _known(record: Record, seen: Seen, labels: str, quality: str) -> Known:
    label = record.label if labels == "label" else _field(record, labels)
    if not label:
        cure = (
            "give it in the column `label` of a records table, or put the files in one folder a class (two or more)"
            if labels == "label"
            else f"its columns are {', '.join(['label', *record.details]) or 'none'}"
        )
        raise RecordError(f"{show(record.path)}: no {labels} is known for this record: {cure}", record.path)
    found = objections(record, policy=quality)
    refused = next((c for c in found if c.severity == "refuse"), None)
    if refused is not None:
        raise UnusableError(
            f"{show(record.path)}: {refused.message}; --quality warn takes it all the same",
            record.path,
            check=refused.name,
            value=refused.value,
            limit=refused.limit,
        )
    return Known(
        path=record.path,
        seen=seen,
        label=label,
        specimen=record.specimen,
        condition=record.condition,
        asset=record.asset,
        unit=record.unit,
        bearing=record.details.get("bearing"),
        rpm=record.rpm,
        source_rate_hz=record.sampling_rate_hz,
        samples=record.signal.shape[1],
        channels=record.channels,
        rms=rms_of(record.signal),
        notes=(*record.notes, *(c.message for c in found)),
    )


def _field(record: Record, name: str) -> str | None:
    value = getattr(record, name, None) if name in ("specimen", "condition", "asset") else record.details.get(name)
    return str(value) if value else None


def state_of(path: str) -> tuple[int, ...]:
    """Return what changes with a file: its place, its size, and the times of its last changes."""
    try:
        s = os.stat(locate(path).file)  # noqa: PTH116 - Path raises on long names
    except (OSError, ValueError):  # standard input, and what is not there
        return ()
    return (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)


def cut_item(item: Item, seen: Seen, shares: Shares, *, plan: Cutting, folder: str | None = None) -> Block:
    """Read a recording again and cut it. Raises DatasetError where it is no longer what the first pass saw."""
    far = replace(item, path=Name(item.path, folder).absolute)
    try:
        signal = _signal_again(far, seen)
    except RecordError:
        signal = None
    if signal is None:
        raise DatasetError(f"{show(item.path)}: changed while it was prepared: run prepare again")
    return cut_signal(signal, seen.rate_hz, shares, plan, key=seen.key)


def _signal_again(item: Item, seen: Seen) -> npt.NDArray[np.float32] | None:
    """Return the samples of a recording that was read before, None where they are no longer those. Raises RecordError.

    A file whose state is the same before and after has the bytes that it had, so that no digest is worked out again.
    """
    if seen.state and state_of(item.path) == seen.state:
        signal = read_samples(item)
        if state_of(item.path) == seen.state:
            return signal
    record = read_item(item)
    return record.signal if (record.sha256, record.sampling_rate_hz) == (seen.sha256, seen.rate_hz) else None


def cut_record(record: Record, shares: Shares, plan: Cutting) -> Block:
    """Turn one record into the segments of the prepared file: see `cut_signal`."""
    return cut_signal(record.signal, record.sampling_rate_hz, shares, plan, key=record_key(record))


def cut_signal(signal: npt.NDArray[np.float32], rate_hz: float, shares: Shares, plan: Cutting, *, key: str) -> Block:
    """Turn a record's samples into the segments of the prepared file: resample, cut, add noise, normalise, in that
    order.

    signal : shape (channels, samples), at rate_hz; key : `record_key` of the record
    """
    config = plan.config
    signal = resample(signal, from_hz=rate_hz, to_hz=plan.rate_hz)
    starts, sides = starts_of(signal.shape[1], shares, plan, key)
    clean = (
        cut(signal, starts, length=config.segment)
        if len(starts)
        else np.empty((0, signal.shape[0], config.segment), np.float32)
    )
    copies = [(kind, snr) for kind in config.noise for snr in config.snr_db]
    if not copies:
        out = normalize(clean, method=config.normalize, record=signal)
        none = np.full(len(starts), -1, np.int8)
        return Block(out, starts, sides, np.full(len(starts), np.inf, np.float32), none)
    noisy = np.empty((len(copies) * len(clean), *clean.shape[1:]), np.float32)
    for i, (kind, snr) in enumerate(copies):
        rng = segment_rng(config.seed, key, 0, kind, snr)  # one generator a record and copy: its segments in order
        for at in range(0, len(clean), _BLOCK):
            block = clean[at : at + _BLOCK]
            noisy[i * len(clean) + at :][: len(block)] = add_noise(block, kind=kind, snr_db=snr, rng=rng)
    # no SNR is defined for a constant channel; in float32 the variance of a constant need not be 0
    silent = np.var(clean, axis=-1, dtype=np.float64).min(axis=-1, initial=np.inf) == 0
    n = len(starts)
    return Block(
        normalize(noisy, method=config.normalize, record=signal),
        np.tile(starts, len(copies)),
        np.tile(sides, len(copies)),
        np.where(np.tile(silent, len(copies)), np.nan, np.repeat([snr for _, snr in copies], n)).astype(np.float32),
        np.repeat([KINDS.index(kind) for kind, _ in copies], n).astype(np.int8),
    )
