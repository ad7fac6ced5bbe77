"""The conformal set of a record: which probability a class needs to belong to it, and what that rests on.

Split conformal prediction (Vovk, Gammerman and Shafer 2005), score 1 - p(true class) (Sadinle, Lei and Wasserman 2019,
"least ambiguous set-valued classifiers"). It holds for what can change places with the calibration: records of one
specimen are alike, so that a record of another machine changes places with a specimen and not with a record. Each
specimen counts once, by its worst record: a record of a new one scores no higher than the worst of that one, which is
above the quantile with a probability of 1 - coverage at most (as in the two-layer case of Dunn, Wasserman and Ramdas
2022, here by the largest of a group). There is no set where the specimens are too few for the rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

COVERAGE = 0.9
_HOLDS = {
    "specimen": "records of other specimens",
    "condition": "other recordings under the conditions of the validation, of specimens that were trained on",
    "time": "other seconds of the recordings that were trained on, and of no other recording",
}


def fewest(coverage: float = COVERAGE) -> int:
    """Return how many units it takes at least: the quantile of rank ceil((n + 1) coverage) has to be one of n."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def least_probability(
    scores: npt.ArrayLike, units: Sequence[Any] | npt.NDArray[Any], *, coverage: float = COVERAGE
) -> float | None:
    """Return the probability that a class needs to be in the set; None where there are fewer than `fewest` units.

    scores : 1 - p(true class) of each calibration record; units : which specimen, or recording, each is of
    """
    score, unit = np.asarray(scores, np.float64), np.asarray(units)
    worst = np.sort([score[unit == u].max() for u in np.unique(unit)])
    rank = math.ceil((len(worst) + 1) * coverage - 1e-9)
    return None if rank > len(worst) else 1 - float(worst[rank - 1])


def stated(
    probabilities: npt.NDArray[np.float64],
    label: Sequence[int] | npt.NDArray[np.int64],
    facts: Mapping[str, Sequence[str]],
    *,
    split: str,
    trained: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the `conformal` of model.json: the least probability and what it rests on, or `why_not`.

    probabilities : (records, classes), of the calibration records; label : of each
    facts : "specimen" and "condition" of each; split : how it was split; trained : specimens that training has seen,
        which say nothing of others where the split is by specimen
    """
    by_specimen = split == "specimen"
    specimens, conditions = list(map(str, facts["specimen"])), list(map(str, facts["condition"]))
    kept = [i for i in range(len(label)) if not (by_specimen and (not specimens[i] or specimens[i] in trained))]
    scores = [1 - float(probabilities[i][label[i]]) for i in kept]
    units = [
        specimens[i] if by_specimen else "\0".join((specimens[i], conditions[i])) if specimens[i] else f"\0{i}"
        for i in kept
    ]
    unit, n = "specimen" if by_specimen else "recording", len(set(units))
    basis: dict[str, Any] = {"records": len(kept), "units": n, "unit": unit}
    least = least_probability(scores, units) if n else None
    if least is None:
        unseen = " that the training has not seen" if by_specimen else ""
        why = f"a set that covers {COVERAGE:.0%} needs {fewest()} {unit}s or more{unseen}, and the validation has {n}"
        return {**basis, "why_not": why}
    return {
        "coverage": COVERAGE,
        **basis,
        "holds_for": f"{_HOLDS.get(split, _HOLDS['time'])}; no noise added",
        "least_probability": float(f"{least:.4g}"),
    }
