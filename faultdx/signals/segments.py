"""A record cut into segments, and segments put on a common scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError

NORMALIZATIONS = ("none", "zscore", "record")


@dataclass(frozen=True)
class Part:
    """A stretch of a record that belongs to one side of a split: samples [start, stop)."""

    split: str
    start: int
    stop: int


def segment_starts(part_start: int, part_stop: int, *, length: int, hop: int) -> npt.NDArray[np.int64]:
    """Return the first samples of all whole segments inside [part_start, part_stop), shape (segments,)."""
    if length < 1 or hop < 1:
        raise ConfigError(f"segment {length} and hop {hop} must both be at least 1 sample")
    return np.arange(part_start, part_stop - length + 1, hop, dtype=np.int64)


def cut(signal: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], *, length: int) -> npt.NDArray[np.float32]:
    """Return the segments of `signal` (channels, samples) at `starts`: float32, shape (segments, channels, length)."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)  # (channels, positions, length)
    return np.ascontiguousarray(windows[:, starts].transpose(1, 0, 2), dtype=np.float32)


def split_in_time(samples: int, fractions: tuple[float, float, float], *, length: int) -> list[Part]:
    """Cut a record of `samples` into train, val and test stretches, in that order, a gap of one segment between.

    The gap keeps the last samples of one side from standing right beside the first of the next. The last stretch
    always begins at 1 - its fraction, whatever the gaps. A side with fraction 0 gets no stretch and no gap.
    """
    bounds = np.rint(np.cumsum((0.0, *fractions)) / sum(fractions) * samples).astype(int)
    parts = [
        Part(name, int(lo), int(hi))
        for name, fraction, lo, hi in zip(("train", "val", "test"), fractions, bounds[:-1], bounds[1:], strict=True)
        if fraction > 0
    ]
    # the gap is taken from the end of the earlier stretch
    return [Part(p.split, p.start, p.stop - length if i + 1 < len(parts) else p.stop) for i, p in enumerate(parts)]


def normalize(
    segments: npt.NDArray[np.float32], *, method: str, record: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Put segments (segments, channels, samples) on a common scale.

    none    as they are
    zscore  each segment and channel to mean 0 and standard deviation 1: level and offset are gone
    record  by the mean and standard deviation of each channel of the whole `record` (channels, samples)

    A constant segment comes out as zeros. Raises ConfigError for an unknown method.
    """
    if method == "none":
        return segments
    if method == "zscore":
        mean = segments.mean(axis=-1, keepdims=True, dtype=np.float64)
        std = segments.std(axis=-1, keepdims=True, dtype=np.float64)
    elif method == "record" and record is not None:
        mean = record.mean(axis=-1, keepdims=True, dtype=np.float64)
        std = record.std(axis=-1, keepdims=True, dtype=np.float64)
    else:
        raise ConfigError(f"normalization {method!r} is unknown; the methods are {', '.join(NORMALIZATIONS)}")
    return np.asarray((segments - mean) / np.where(std > 0, std, 1.0), dtype=np.float32)
