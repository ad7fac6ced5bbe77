"""What the shrinkage units of a network do to a record, against what they do to healthy ones: fitted in training.

A unit of Zhao et al. 2020 (doi 10.1109/TII.2019.2943898) sets a threshold of its own for each segment and makes every
feature zero that is smaller. Two numbers tell of it, both shares, so that units and networks can be compared:

    alpha    threshold / mean absolute feature, averaged over the channels: what the unit chose
    zeroed   share of the features that came out zero: what came of it

A record has the mean of its segments in each. What healthy records have is kept in model.json as the 5, 50 and 95 %
quantiles over records of the training and the validation side, as recorded and with noise of the training's kinds and
levels. Numpy only; model.json is input like any other, and checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from faultdx.signals.noise import add_noise

if TYPE_CHECKING:
    from faultdx.dataset import Prepared

Floats = npt.NDArray[np.float64]

QUANTILES = (0.05, 0.5, 0.95)
MEASURES = ("alpha", "zeroed")
STATES, SIDES = ("clean", "noisy"), ("training", "validation")
FEWEST = 5  # healthy records, for their quantiles to be called a range
MOST_UNITS = 128
_MOST_SEGMENTS = 32  # of a record and side: the mean of more moves by less than the picture shows
_MOST_RECORDS = 400


class Shrinking(Protocol):
    """A model that tells what its shrinkage units do, see `faultdx.inference.Network.shrinkage`."""

    def shrinkage(self, segments: npt.NDArray[np.float32]) -> tuple[Floats, Floats] | None:
        """(segments, channels, samples) -> alpha and zeroed, (segments, units) both; None without such units."""
        ...


@dataclass(frozen=True, eq=False)
class Healthy:
    """What healthy records have.

    bands : (state, measure) -> quantiles (3, units); state "clean" or "noisy"
    records : that they are of, by side; different : how many, where a record that stands on both sides counts once
    """

    bands: Mapping[tuple[str, str], Floats]
    records: Mapping[str, int]
    different: int

    @property
    def enough(self) -> bool:
        """Tell whether the records are enough for their quantiles to be a range, and not those records themselves."""
        return self.different >= FEWEST

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(next(iter(self.bands.values())).shape[1])


@dataclass(frozen=True, eq=False)
class Thresholds:
    """What the units did to one record, and to healthy ones where that is known.

    alpha, zeroed : (units,)
    """

    alpha: Floats
    zeroed: Floats
    healthy: Healthy | None

    def outside(self, measure: str = "alpha") -> list[int]:
        """Return the units, from 0, that are outside of every band of healthy records, clean and noisy.

        None where there are too few records for a range.
        """
        if self.healthy is None or not self.healthy.enough:
            return []
        bands = [band for (_, name), band in self.healthy.bands.items() if name == measure]
        low, high = np.min([b[0] for b in bands], axis=0), np.max([b[2] for b in bands], axis=0)
        mine = getattr(self, measure)
        return [int(i) for i in np.flatnonzero((mine < low) | (mine > high))]

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in the JSON of a diagnosis."""
        found: dict[str, Any] = {name: _digits(getattr(self, name)) for name in MEASURES}
        if self.healthy is not None:
            found["healthy"] = {
                "records": self.healthy.different,
                **{
                    state: {name: [_digits(q) for q in self.healthy.bands[state, name]] for name in MEASURES}
                    for state in STATES
                    if (state, MEASURES[0]) in self.healthy.bands
                },
            }
        if self.healthy is not None and self.healthy.enough:
            found["outside"] = {name: [i + 1 for i in self.outside(name)] for name in MEASURES}
        return found


def look(model: Shrinking, segments: npt.NDArray[np.float32], healthy: Healthy | None) -> Thresholds | None:
    """Return what the units did to a record's segments (segments, channels, samples); None without such units.

    Raises ModelError: the network cannot say, though model.json says that it can.
    """
    found = model.shrinkage(segments)
    if found is None or not len(segments):
        return None
    alpha, zeroed = (values.mean(axis=0) for values in found)
    return Thresholds(alpha, zeroed, healthy if healthy is not None and healthy.units == len(alpha) else None)


def from_dict(entry: object) -> Healthy | None:
    """Return what the `shrinkage` of model.json says of healthy records; None where it says nothing sound."""
    held = entry.get("healthy") if isinstance(entry, dict) else None
    if not isinstance(held, dict) or not isinstance(held.get("records"), dict):
        return None
    bands: dict[tuple[str, str], Floats] = {}
    try:
        for state in STATES:
            for name in MEASURES if state in held else ():
                band = np.array(held[state][name], np.float64)
                sound = band.ndim == 2 and band.shape[0] == len(QUANTILES) and 1 <= band.shape[1] <= MOST_UNITS
                if not sound or not bool((band >= 0).all() and (band <= 1).all()):
                    return None
                bands[state, name] = band
        records = {side: int(held["records"][side]) for side in SIDES}
        different = int(held["different"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return Healthy(bands, records, different) if len({band.shape for band in bands.values()}) == 1 else None


def fit(
    model: Shrinking, prepared: Prepared, *, noise: Sequence[str], snr_db: tuple[float, float], seed: int
) -> dict[str, Any]:
    """Return the `healthy` of model.json's `shrinkage`, or {"why": sentence} where there is nothing to fit.

    noise, snr_db : what the training added; each record gets one kind and one level, as a noisy place would
    Both sides count: on its training records alone a network has thresholds that it may have learnt by heart. A record
    that is split in time between the sides counts once on each. Nothing of the test side is looked at.
    """
    healthy = [i for i, name in enumerate(prepared.classes) if name in prepared.healthy]
    if not healthy:
        return {"why": "no class of the model is called healthy"}
    rng = np.random.default_rng([seed, 0x5A])
    means: dict[str, list[list[Floats]]] = {state: [] for state in STATES}
    records: dict[str, int] = {}
    different: set[int] = set()
    for side, name_of_side in (("train", "training"), ("val", "validation")):
        rows = prepared.rows(side)
        rows = rows[np.isin(prepared.label[rows], healthy)]
        numbers = np.unique(prepared.record[rows])
        numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), _MOST_RECORDS)).astype(int))]
        records[name_of_side] = len(numbers)
        different |= {int(number) for number in numbers}
        for number in numbers:
            own = rows[prepared.record[rows] == number]
            for state, noisy in (("clean", prepared.noise[own] >= 0), ("noisy", prepared.noise[own] < 0)):
                held = own[~noisy]  # the file's own noise
                if state == "noisy" and noise and not prepared.has_noise:
                    held = own
                held = held[np.unique(np.linspace(0, len(held) - 1, min(len(held), _MOST_SEGMENTS)).astype(int))]
                if not len(held):
                    continue
                segments = prepared.segments(held)
                if state == "noisy" and not prepared.has_noise:
                    kind, level = noise[int(rng.integers(len(noise)))], float(rng.uniform(*snr_db))
                    segments = np.stack([add_noise(s, kind=kind, snr_db=level, rng=rng) for s in segments])
                found = model.shrinkage(segments)
                assert found is not None
                means[state].append([values.mean(axis=0) for values in found])
    if not any(means.values()):
        return {"why": "there are no healthy records on the training and validation sides"}
    out: dict[str, Any] = {"records": records, "different": len(different)}
    for state, rows_of in means.items():
        if rows_of:
            table = np.array(rows_of)  # (records, measures, units)
            bands = np.quantile(table, QUANTILES, axis=0)
            out[state] = {name: [_digits(q) for q in bands[:, i]] for i, name in enumerate(MEASURES)}
    return out


def _digits(values: Floats) -> list[float]:
    return [float(f"{v:.4g}") for v in values]
