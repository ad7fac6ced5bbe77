"""Is this a recording like those that the model was trained on? What model.json keeps to answer, and the answer.

Two descriptions of a record, each the mean over its segments: statistics of the signal (`faultdx.signals.statistics`)
and the network's penultimate features. In each the training segments of a class are taken for a Gaussian cloud, with
one covariance for all classes, shrunk; how far a record is from the nearest class is the Mahalanobis distance (Lee et
al. 2018, "A simple unified framework for detecting out-of-distribution samples", NeurIPS 31). What is farther than the
limit, set on records that were left out of the fit (`faultdx.familiarity_fit`), is unfamiliar.

Numpy only; model.json is input like any other, and bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ModelError
from faultdx.signals.statistics import as_shown, describe_with_offsets, names

Floats = npt.NDArray[np.float64]

MOST_COLUMNS = 256  # and classes, of a description
_DIGITS = 6
_FAR = 4.0  # standard deviations from which a single statistic is a reason by itself
# An offset up to this many standard deviations, or so many times the largest in training, is nothing strange.
OFFSET_FREE, OFFSET_FACTOR = 1.0, 3.0
# Checks of a record's length, and of the speed that is stated for it: they say nothing of what the signal is like.
UNRELATED = ("few_turns", "speed")


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """Class centres and one covariance in a description with d columns.

    centres : (classes, d); whiten : (m, d), so that |whiten (x - centre)| is the Mahalanobis distance
    limit : of a record's distance; segments : that a record of the calibration had (the median)
    """

    centres: Floats
    whiten: Floats
    limit: float
    segments: float

    def distances(self, mean: Floats) -> Floats:
        """Return the Mahalanobis distance of one record's mean description (d,) to each class, shape (classes,)."""
        return np.asarray(np.sqrt((((self.centres - mean) @ self.whiten.T) ** 2).sum(axis=1)))

    def limit_for(self, segments: int) -> float:
        """Return the limit for a record of so many segments: the mean of fewer scatters more.

        By no more than d / segments in the squared distance, as the covariance holds the scatter within records.
        """
        more = len(self.whiten) * max(0.0, 1.0 / max(1, segments) - 1.0 / self.segments)
        return math.sqrt(self.limit**2 + more)

    def strangest(self, mean: Floats, nearest: int) -> tuple[int, float, bool]:
        """Return (column, what would be expected in it, whether given the others) where `mean` is off the most.

        A column that is far from the class by itself is named first. Else the one that fits the others least: in a
        Gaussian of precision P its deviation from what they let expect is (P z)_j / P_jj, of variance 1 / P_jj.
        """
        precision = self.whiten.T @ self.whiten
        z, own = mean - self.centres[nearest], np.diag(np.linalg.pinv(precision, hermitian=True))
        alone = np.abs(z) / np.sqrt(np.maximum(own, 1e-12))
        if alone.max() >= _FAR:
            column = int(alone.argmax())
            return column, float(self.centres[nearest][column]), False
        pull, diagonal = precision @ z, np.maximum(np.diag(precision), 1e-12)
        column = int((np.abs(pull) / np.sqrt(diagonal)).argmax())
        return column, float(mean[column] - pull[column] / diagonal[column]), True

    def to_dict(self) -> dict[str, Any]:
        """Return what model.json holds: a line of numbers a row, six digits, so that it stays small and readable."""
        return {
            "limit": _rounded(self.limit),
            "segments": _rounded(self.segments),
            "centres": [_line(row) for row in self.centres],
            "whiten": [_line(row) for row in self.whiten],
        }


@dataclass(frozen=True, eq=False, repr=False)
class Assessment:
    """How familiar a record is.

    distances : description -> (distance to the nearest class, limit); nearest : that class, by the statistics
    unfamiliar : whether a distance is beyond its limit; reason : one sentence why, empty where it is familiar
    strange_offset : whether its mean is far from zero where that of no training record was
    unusual : the checks of the signal that fired, and that fire on no training record; None where that is not known
    """

    distances: Mapping[str, tuple[float, float]]
    nearest: str
    unfamiliar: bool
    reason: str
    strange_offset: bool
    unusual: tuple[str, ...] | None = None

    @property
    def flagged(self) -> bool:
        """Whether anything sets it apart from the training records, be it only that a check of its signal fired."""
        return self.unfamiliar or bool(self.unusual)

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in the JSON of a diagnosis."""
        found: dict[str, Any] = {k: {"distance": d, "limit": limit} for k, (d, limit) in self.distances.items()}
        if self.unusual is not None:
            found |= {"flagged": self.flagged, "unusual_checks": list(self.unusual)}
        return {"unfamiliar": self.unfamiliar, "reason": self.reason or None, "nearest": self.nearest, **found}


@dataclass(frozen=True, eq=False, repr=False)
class Familiarity:
    """What a model keeps of its training records.

    columns : of the statistics, in words; bands : see `faultdx.signals.statistics`
    offset : the largest mean offset of a training record, in standard deviations
    spaces : "statistics" and, where the network gives them, "features"
    least_probability : a class this probable belongs to the conformal set of a record; None where there is no set
    usual : the checks of a signal that fire on training records too; None where they were not made
    """

    classes: tuple[str, ...]
    columns: tuple[str, ...]
    bands: int
    offset: float
    spaces: Mapping[str, Space]
    least_probability: float | None = None
    usual: tuple[str, ...] | None = None

    def assess(
        self, segments: npt.NDArray[np.float32], features: Floats | None, *, checks: Sequence[str] = ()
    ) -> Assessment:
        """Judge one record.

        segments : (segments, channels, samples), as the network gets them; features : (segments, width), or None
        checks : the names of those that fired on its signal
        """
        columns, offset = describe_with_offsets(segments, bands=self.bands)
        means = {"statistics": columns.mean(axis=0)}
        if features is not None and "features" in self.spaces:
            means["features"] = features.mean(axis=0)
        found: dict[str, tuple[float, float]] = {}
        nearest: dict[str, int] = {}
        for name, mean in means.items():
            all_of = self.spaces[name].distances(mean)
            nearest[name] = int(all_of.argmin())
            found[name] = (float(all_of[nearest[name]]), self.spaces[name].limit_for(len(segments)))
        beyond = [name for name, (distance, limit) in found.items() if not distance <= limit]
        reason = ""
        if "statistics" in beyond:
            reason = self._why(means["statistics"], nearest["statistics"])
        elif beyond:
            times = found["features"][0] / found["features"][1]
            reason = (
                f"what the network makes of it (its features) is {times:.2g} times farther from every class than the "
                "limit set on the training records"
            )
        strange = float(offset.mean()) > max(OFFSET_FREE, OFFSET_FACTOR * self.offset)
        unusual = None
        if self.usual is not None:
            unusual = tuple(name for name in dict.fromkeys(checks) if name not in (*self.usual, *UNRELATED))
        return Assessment(found, self.classes[nearest["statistics"]], bool(beyond), reason, strange, unusual)

    def _why(self, mean: Floats, nearest: int) -> str:
        column, expected, given = self.spaces["statistics"].strangest(mean, nearest)
        name = self.columns[column]
        is_, was = as_shown(name, float(mean[column])), as_shown(name, expected)
        if given:
            return f"its {name} is {is_}, and with the rest as it is the training records would have {was}"
        return (
            f"its {name} is {is_}, and that of the training records most like it ({self.classes[nearest]}) about {was}"
        )

    def conformal_set(self, probabilities: Mapping[str, float]) -> list[str] | None:
        """Return the classes of a record's conformal set, the most probable first; None where the model has no limit.

        The most probable class is always in it: an empty set would say less than nothing to a reader.
        """
        if self.least_probability is None or not probabilities:
            return None
        ranked = sorted(probabilities, key=lambda name: -probabilities[name])
        return [name for i, name in enumerate(ranked) if i == 0 or probabilities[name] >= self.least_probability]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _line(row: Floats) -> str:
    return " ".join(f"{value:.{_DIGITS}g}" for value in row)


def from_dict(
    value: Any, *, classes: Sequence[str], channels: int, sampling_rate_hz: float, width: int, where: str
) -> Familiarity | None:
    """Return the `familiarity` of a model.json; None where there is none, or where none could be fitted.

    channels, sampling_rate_hz, width : of the model's input and of its network's features; where : for the message
    Raises ModelError for numbers that cannot be: more of them than any model has, not finite, of other shapes.
    """
    if value is None or (isinstance(value, Mapping) and value.get("assessed") is False):
        return None
    try:
        bands = _number(value["bands"], 2, 64, whole=True)
        columns = names(int(bands), channels=channels, sampling_rate_hz=sampling_rate_hz)
        spaces = {"statistics": _space(value["statistics"], len(classes), len(columns))}
        if value.get("features") is not None:
            spaces["features"] = _space(value["features"], len(classes), width)
        least = value["conformal"].get("least_probability")
        return Familiarity(
            tuple(classes),
            columns,
            int(bands),
            _number(value["offset"], 0, 1e12),
            spaces,
            None if least is None else _number(least, 0, 1),
            _checks(value.get("checks")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{where}: model.json: its familiarity is absurd: copy the model folder again") from error


def _checks(value: Any) -> tuple[str, ...] | None:
    """Return the names of the usual checks. Raises ValueError for what are no names, TypeError for no list."""
    if value is None or value["usual"] is None:
        return None
    if not isinstance(value["usual"], list) or len(value["usual"]) > MOST_COLUMNS:
        raise ValueError("checks")
    if not all(isinstance(name, str) and len(name) <= 40 for name in value["usual"]):
        raise ValueError("check")
    return tuple(value["usual"])


def _number(value: Any, low: float, high: float, *, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError("out of bounds")
    if whole and value != int(value):
        raise ValueError("not whole")
    return float(value)


def _space(value: Any, classes: int, columns: int) -> Space:
    centres = _matrix(value["centres"], rows=(classes, classes), columns=columns)
    whiten = _matrix(value["whiten"], rows=(1, MOST_COLUMNS), columns=centres.shape[1])
    return Space(centres, whiten, _number(value["limit"], 1e-9, 1e9), _number(value["segments"], 1, 1e9))


def _matrix(value: Any, *, rows: tuple[int, int], columns: int) -> Floats:
    if not isinstance(value, list) or not rows[0] <= len(value) <= rows[1] or len(value) > MOST_COLUMNS:
        raise ValueError("rows")
    if not all(isinstance(row, str) and len(row) <= 24 * columns for row in value):
        raise ValueError("row")
    found = np.array([[float(word) for word in row.split()] for row in value], dtype=np.float64)
    if found.shape != (len(value), columns):
        raise ValueError("columns")
    if not (np.abs(found) < 1e12).all():  # NaN too
        raise ValueError("not finite")
    return found
