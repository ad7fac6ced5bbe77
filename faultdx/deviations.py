"""A recording's figures beside those of healthy ones: how far off each is, and what that comes to.

A change is no fault by itself. It is called one where something rose beyond its limit that another gain or mounting of
the sensor does not explain: a sensor makes all bands louder by the same, and no machine's damage does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from faultdx.files import show
from faultdx.references import PLACES, Sensed
from faultdx.signals.bands import total_db
from faultdx.signals.tolerance import prediction_limits

Floats = npt.NDArray[np.float64]

# How much recordings of one healthy machine scatter (standard deviation), where the load is the same, and where it is
# another, or nobody says: measured on three rigs, see docs/baseline.md.
SCATTER = {
    "band": (1.0, 2.0),  # dB, besides the scatter from window to window within the recording
    "level": (0.6, 1.35),  # dB
    "kurtosis": (0.5, 1.6),  # dB of the ratio
    "crest_factor": (0.6, 1.1),  # dB
    "lines": (0.1, 0.1),  # depth of modulation
}
LOUDER_DB = 6.0  # a rise that is less than a doubling is no fault, however sure it is
DEEPER = 0.1  # nor are lines that are deeper by less


@dataclass(frozen=True)
class Deviation:
    """One figure against its limits.

    kind : "level", "kurtosis", "crest_factor", "lines" or "band"; place : in the bearing, of "lines", else ""
    band_hz : limits of a band, of "band"; unit : "dB", or "" for a plain number
    now, usual, deviation, limit : deviation = now - usual is compared with limit; of the kurtosis deviation and limit
        are in dB of the ratio, 20 lg
    """

    channel: str
    kind: str
    now: float
    usual: float
    deviation: float
    limit: float
    unit: str
    band_hz: tuple[float, float] | None = None
    place: str = ""

    @property
    def times_limit(self) -> float:
        """The deviation in units of its limit: beyond 1 or -1 it is a change."""
        return self.deviation / self.limit

    def words(self) -> str:
        """Return it in words: "3564-4490 Hz in DE: 14.2 dB above the usual, limit 11 dB"."""
        high = "above" if self.deviation > 0 else "below"
        off, limit = abs(self.deviation), self.limit
        if self.kind == "band" and self.band_hz:
            what = f"{self.band_hz[0]:.0f}-{self.band_hz[1]:.0f} Hz"
        else:
            what = f"lines of the {self.place.replace('_', ' ')}" if self.place else self.kind.replace("_", " ")
        if self.kind == "kurtosis":
            return f"kurtosis in {show(self.channel)}: {self.now:.3g}, usually {self.usual:.3g}"
        if self.kind == "lines":
            return f"{what} in {show(self.channel)}: depth {self.now:.2g}, usually {self.usual:.2g}, limit {limit:.2g}"
        return f"{what} in {show(self.channel)}: {off:.1f} dB {high} the usual, limit {limit:.1f} dB"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        found: dict[str, Any] = {"channel": show(self.channel), "kind": self.kind}
        found |= {"place": self.place} if self.place else {}
        found |= {"band_hz": list(self.band_hz)} if self.band_hz else {}
        found |= {k: getattr(self, k) for k in ("now", "usual", "deviation", "limit", "unit", "times_limit")}
        return found


@dataclass(frozen=True)
class Comparison:
    """A recording beside the healthy ones.

    obstacle : why nothing could be compared; None where it was
    changed : whether a figure is beyond its limit; fault : whether that is a rise no sensor explains;
    gain : whether all bands rose or fell by the same, as with another gain or mounting of the sensor
    records : healthy recordings compared with; rpm, load : of theirs; same_load : None where nobody says
    notes : what the reader should know, a sentence each
    """

    obstacle: str | None = None
    changed: bool = False
    fault: bool = False
    gain: bool = False
    gain_db: float = 0.0
    records: int = 0
    rpm: float | None = None
    load: str = ""
    same_load: bool | None = None
    deviations: tuple[Deviation, ...] = ()
    notes: tuple[str, ...] = ()
    false_alarms: float = 0.0
    digest: str = ""
    asset: str = ""

    @property
    def verdict(self) -> str:
        """ "changed", "unchanged" or "not_compared"."""
        return "not_compared" if self.obstacle else "changed" if self.changed else "unchanged"

    @property
    def worst(self) -> Deviation | None:
        """The figure that is farthest beyond its limit, or nearest to it."""
        return max(self.deviations, key=lambda d: abs(d.times_limit), default=None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was found, a sentence each; the first is the finding."""
        worst = self.worst
        if self.obstacle or worst is None:
            return (f"not compared with the baseline: {self.obstacle or 'nothing to compare'}",)
        many = f"{self.records} healthy recording{'' if self.records == 1 else 's'}"
        beyond = [d for d in self.deviations if abs(d.times_limit) > 1]
        of = f"{len(beyond)} of {len(self.deviations)} figures are beyond the limits set by {many}"
        if not self.changed:
            nearest = f"the nearest is {abs(worst.times_limit):.0%} of its limit"
            return (f"all {len(self.deviations)} figures are within the limits set by {many}; {nearest}",)
        if self.gain:
            said = f"all bands are {'louder' if self.gain_db > 0 else 'quieter'} by about {abs(self.gain_db):.0f} dB"
            return (
                f"{said} and the shape is the same: another gain, sensor or mounting is as likely as the "
                f"machine ({of})",
            )
        if not self.fault:
            return (f"nothing rose enough to be called a fault: {worst.words()} ({of})",)
        most = max(self.deviations, key=lambda d: d.times_limit)
        return (f"{most.words()} ({of})",)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the evidence of a diagnosis."""
        found: dict[str, Any] = {"verdict": self.verdict, "asset": show(self.asset), "digest": self.digest}
        if self.obstacle:
            return {**found, "reasons": list(self.reasons), "obstacle": self.obstacle}
        return {
            **found,
            "fault": self.fault,
            "reasons": list(self.reasons),
            "sensor_gain": {"likely": self.gain, "change_db": self.gain_db},
            "records": self.records,
            "regime": {"rpm": self.rpm, "load": show(self.load) or None, "same_load": self.same_load},
            "false_alarms": self.false_alarms,
            "notes": list(self.notes),
            "deviations": [d.to_dict() for d in self.deviations],
        }


@dataclass(frozen=True, eq=False)
class Table:
    """The figures of one channel: `now`, shape (m,), those of n healthy recordings, shape (n, m), and what they are.

    kinds : of each; edges_hz : shape (bands, 2), of the bands, which come last; places : of the lines
    spread : (m,), scatter of each within the healthy recordings
    """

    channel: str
    kinds: tuple[str, ...]
    places: tuple[str, ...]
    edges_hz: Floats
    now: Floats
    usual: Floats
    spread: Floats

    @classmethod
    def of(cls, sensed: Sensed, healthy: Sequence[Sensed], *, same_rate: bool) -> Table:
        """Return the figures that a recording and all healthy ones have.

        same_rate : kurtosis and crest factor depend on the sampling rate, and are left out where it is another
        """
        bands = min(s.levels.level_db.size for s in (sensed, *healthy))
        places = tuple(p for p in PLACES if all(p in s.lines for s in (sensed, *healthy)))
        shapes = same_rate and all(math.isfinite(s.levels.kurtosis) for s in (sensed, *healthy))
        kinds = ("level", *(("kurtosis", "crest_factor") if shapes else ()), *("lines",) * len(places))

        def figures(s: Sensed) -> Floats:
            found = [total_db(s.levels.level_db[:bands])]
            found += [20 * math.log10(max(s.levels.kurtosis, 1.0)), s.levels.crest_db] if shapes else []
            found += [s.lines[p] for p in places]
            return np.concatenate([found, s.levels.level_db[:bands]])

        within = np.median([s.levels.spread_db[:bands] for s in healthy], axis=0)
        return cls(
            sensed.channel,
            (*kinds, *("band",) * bands),
            places,
            sensed.levels.edges_hz[:bands],
            figures(sensed),
            np.array([figures(s) for s in healthy]),
            np.concatenate([np.zeros(len(kinds)), within]),
        )

    def judge(self, false_alarms: float, figures: int, *, same_load: bool | None) -> tuple[Deviation, ...]:
        """Return each figure against its limit. figures : of all channels together, which share the false alarms."""
        apart = np.array([SCATTER[kind][0 if same_load else 1] for kind in self.kinds])
        scatter = np.hypot(apart, self.spread)
        # where the load is known to be another one the recordings of one load do not tell how much that changes
        moved = scatter if same_load is False else None
        limits = prediction_limits(self.usual, scatter, false_alarms=false_alarms, figures=figures, moved=moved)
        first_band, found = len(self.kinds) - len(self.edges_hz), []
        for i, kind in enumerate(self.kinds):
            is_band = i >= first_band
            low_high = (float(self.edges_hz[i - first_band][0]), float(self.edges_hz[i - first_band][1]))
            place = self.places[i - self.kinds.index("lines")] if kind == "lines" else ""
            now, usual, limit = float(self.now[i]), float(limits.centre[i]), float(limits.half_width[i])
            off = now - usual
            if kind == "kurtosis":
                now, usual = 10 ** (now / 20), 10 ** (usual / 20)
            unit = "" if kind in ("kurtosis", "lines") else "dB"
            found.append(
                Deviation(self.channel, kind, now, usual, off, limit, unit, low_high if is_band else None, place)
            )
        return tuple(found)


class Finding(NamedTuple):
    """What the deviations of one channel come to, see `Comparison`."""

    changed: bool
    fault: bool
    gain: bool
    gain_db: float


def finding(deviations: Sequence[Deviation]) -> Finding:
    """Return what the deviations of one channel come to."""
    bands = [d for d in deviations if d.kind == "band"]
    shapes = [d for d in deviations if d.kind in ("kurtosis", "crest_factor", "lines")]
    gain_db = float(np.median([d.deviation for d in bands])) if bands else 0.0
    changed = any(abs(d.times_limit) > 1 for d in deviations)
    gain = (
        changed
        and not any(abs(d.times_limit) > 1 for d in shapes)
        and all(abs(d.deviation - gain_db) <= d.limit for d in bands)
        and len(bands) > 2  # of one or two bands the median says nothing
    )
    risen = [d for d in deviations if d.times_limit > 1]
    clear = [d for d in risen if d.deviation >= (DEEPER if d.kind == "lines" else LOUDER_DB)]
    return Finding(changed, bool(clear) and not gain, gain, gain_db)
