"""Channels -> samples: decoded, made float32, and refused where no sensor gave them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError, UnusableError
from faultdx.files import show
from faultdx.records.channels import SHORTEST_SAMPLES, Channel
from faultdx.signals.quality import LIMITS

HIGHEST = 1e30  # float32 ends at 3e38, and noise of -60 dB is a thousand times the signal


def load_signal(channels: Sequence[Channel], *, name: str) -> npt.NDArray[np.float32]:
    """Decode `channels`. Returns float32, shape (channels, samples), finite, no row constant. Raises RecordError."""
    first = channels[0].load()  # decoded before any memory is taken: a file may state any number of samples
    signal = np.empty((len(channels), channels[0].samples), dtype=np.float32)
    for row, channel in zip(signal, channels, strict=True):
        stored = first if channel is channels[0] else channel.load()
        what = f"{show(name)}: channel {show(channel.name)}"
        if stored.dtype.kind not in "fiub":
            kind = "complex" if stored.dtype.kind == "c" else f"of type {stored.dtype}"
            raise RecordError(f"{what} is {kind}; export the real signal as numbers", name)
        with np.errstate(over="ignore", invalid="ignore"):  # float64 above the float32 range becomes inf: seen below
            row[:] = stored
            low, high = (float(row.min()), float(row.max())) if row.size else (0.0, 0.0)
        if not math.isfinite(low) or not math.isfinite(high):  # a NaN is the minimum and the maximum of what it is in
            raise _not_finite(row, what, name)
        if row.size < SHORTEST_SAMPLES:
            raise RecordError(
                f"{what} has {row.size} samples, fewer than {SHORTEST_SAMPLES}; give a longer recording", name
            )
        peak = max(-low, high)
        if peak > HIGHEST:
            raise RecordError(
                f"{what}: its values reach {peak:.3g}, which no sensor gives: check its format and byte order", name
            )
        if low == high:
            raise UnusableError(
                f"{what} is constant ({row[0]:g}); check the sensor and its cable, or choose another channel "
                "with --channel",
                name,
                check="flat",
                value=1.0,
                limit=LIMITS["flat"].refuse,
            )
    return signal


def _not_finite(row: npt.NDArray[np.float32], what: str, name: str) -> UnusableError:
    bad = np.flatnonzero(~np.isfinite(row))
    kind = "NaN" if np.isnan(row[bad[0]]) else "infinite (or over 3e38)"
    return UnusableError(
        f"{what} has {bad.size} of {row.size} samples that are not finite, the first ({kind}) at sample "
        f"{bad[0]} (counted from 0); cut or repair them, or choose another channel with --channel",
        name,
        check="not_finite",
        value=float(bad.size),
        limit=0.0,
    )
