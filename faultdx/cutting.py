"""One record -> the segments that go into the prepared file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.config import PrepareConfig
from faultdx.dataset import Block
from faultdx.records.record import Record
from faultdx.signals.noise import KINDS, add_noise, segment_rng
from faultdx.signals.resampling import ratio, resample
from faultdx.signals.segments import Part, cut, normalize, segment_starts, split_in_time
from faultdx.splits import NAMES, Shares

_BLOCK = 64  # segments that noise is drawn for at once: memory stays with them, however long the record


@dataclass(frozen=True)
class Cutting:
    """How records are cut: the configuration, the common rate, and the split's method."""

    config: PrepareConfig
    rate_hz: float
    method: str


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


def cut_record(record: Record, shares: Shares, plan: Cutting) -> Block:
    """Turn one record into the segments of the prepared file: resample, cut, add noise, normalise, in that order."""
    config = plan.config
    signal = resample(record.signal, from_hz=record.sampling_rate_hz, to_hz=plan.rate_hz)
    key = record_key(record)
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
