"""Record -> Reference: the few dozen figures that are kept of a recording for later comparison, and no samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.bands import BandLevels, band_levels
from faultdx.testimony import known_bearing

PLACES = ("outer_race", "inner_race", "ball", "cage")
MOST_CHANNELS = 64
_DIGITS = 6
_UNITS = {"m/s^2": "m/s2", "m/s²": "m/s2", "ms-2": "m/s2", "m s-2": "m/s2"}


@dataclass(frozen=True, eq=False)
class Sensed:
    """What one channel of a recording shows. lines : place in the bearing -> depth of its lines; {} where unknown."""

    channel: str
    levels: BandLevels
    lines: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        found = self.levels
        return {
            "channel": self.channel,
            "level_db": [_rounded(v) for v in found.level_db],
            "spread_db": [_rounded(v) for v in found.spread_db],
            "rms_db": _rounded(found.rms_db),
            "kurtosis": _rounded(found.kurtosis),
            "crest_db": _rounded(found.crest_db),
            "windows": found.windows,
            "lines": {place: _rounded(depth) for place, depth in self.lines.items()},
        }


@dataclass(frozen=True, eq=False)
class Reference:
    """One recording: where it came from, its regime, and what its channels show.

    load : the condition as stated, or ""; unit : or ""; asset : the machine, or ""
    """

    file: str
    sha256: str
    sampling_rate_hz: float
    rpm: float | None
    load: str
    unit: str
    asset: str
    channels: tuple[Sensed, ...]

    def channel(self, name: str) -> Sensed | None:
        """Return what the channel of that name shows, None where there is none."""
        return next((s for s in self.channels if s.channel.lower() == name.lower()), None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "sampling_rate_hz": float(f"{self.sampling_rate_hz:.12g}"),
            "rpm": None if self.rpm is None else _rounded(self.rpm),
            "load": self.load,
            "unit": self.unit,
            "asset": self.asset,
            "channels": [s.to_dict() for s in self.channels],
        }


def refer(record: Record, *, bearing: str = "") -> Reference:
    """Return the figures of a recording.

    bearing : whose lines are measured too, where the speed is known (`faultdx.testimony.known_bearing`)
    Raises RecordError: too short, no signal, too many channels; ConfigError: nobody knows that bearing.
    """
    name = show(record.path)
    if len(record.channels) > MOST_CHANNELS:
        raise RecordError(
            f"{name}: has {len(record.channels)} channels, {MOST_CHANNELS} at most: choose with --channel"
        )
    channels = []
    for channel, row in zip(record.channels, record.signal, strict=True):
        try:
            levels = band_levels(row, sampling_rate_hz=record.sampling_rate_hz)
            channels.append(Sensed(show(channel), levels, _lines(row, record, bearing)))
        except RecordError as error:
            raise RecordError(f"{name}: channel {show(channel)}: {error}", record.path) from error
    return Reference(
        name,
        record.sha256,
        record.sampling_rate_hz,
        record.rpm,
        show(record.condition or ""),
        _UNITS.get(record.unit or "", show(record.unit or "")),
        show(record.asset or ""),
        tuple(channels),
    )


def _lines(row: np.typing.NDArray[np.float32], record: Record, bearing: str) -> dict[str, float]:
    """Return the depth of the lines of each place beyond what chance gives; {} where they cannot be looked for."""
    if not bearing or record.rpm is None:
        return {}
    from faultdx.signals.witness import assess_bearing

    geometry = known_bearing(bearing).geometry
    found = assess_bearing(row, sampling_rate_hz=record.sampling_rate_hz, rpm=record.rpm, bearing=geometry)
    if found.verdict == "not_assessable":
        return {}
    depths = {h.place: h.depth - h.surrogate for h in found.hypotheses if h.place in PLACES}
    return {place: float(depth) for place, depth in depths.items() if np.isfinite(depth)}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
