"""Figures of a classifier with intervals: accuracy, F1, recall, false alarms, calibration, coverage. numpy only.

The segments of one record are no independent witnesses, so intervals come from drawing whole units (records, or
specimens) with replacement, never segments (the cluster bootstrap; Field and Welsh 2007, J. R. Stat. Soc. B 69, 369).
Every figure here is a function of sums over units, so that a bootstrap is one product of matrices.

    accuracy, macro-F1, recall     as scikit-learn defines them; F1 over the classes that are there
    false alarms, missed faults    share of the healthy called faulty, of the faulty called healthy
    Brier                          mean over segments of the sum over classes of (p - truth)^2: 0 to 2
    NLL                            mean of -log p(truth), nats
    ECE                            sum over bins of (n_bin / n) |accuracy - mean confidence|, 15 equal-width bins of the
                                   confidence in the class that was named (Guo et al. 2017); `ece_mass`: bins of equal
                                   mass (Nguyen and O'Connor 2015)
    AURC                           mean error of the k most confident over all k (Geifman et al. 2019): 0 is best
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Sums = Mapping[str, Floats]  # name -> (units or draws, ...)

BINS = 15
LEVEL = 0.95
RESAMPLES = 2000
FEW = 10  # units; drawing among fewer gives intervals that are too narrow
_STEPS = 200  # groups of like confidence, from the surest down
_BLOCK = 2_000_000  # resamples x units at once
_Z = 1.959963984540054  # of 95 %
_TINY = 1e-12  # as in voting.pool: a probability below is no information, and its log no number


@dataclass(frozen=True, eq=False)
class Tally:
    """What one model did under one condition: `sums` over units, and the AURC, which is no function of sums."""

    sums: dict[str, Floats]
    aurc: float


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval. NaN: not defined (no such segments), or no interval (of a single unit).

    sd, runs : over several runs, their standard deviation (n - 1) and the figure of each; `value` is their mean
    """

    value: float
    low: float
    high: float
    sd: float | None = None
    runs: tuple[float, ...] = ()


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of one proportion (Wilson 1927); NaN without trials."""
    if trials <= 0:
        return float("nan"), float("nan")
    share, z2 = successes / trials, _Z * _Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * float(np.sqrt(max(share * (1 - share), 0.0) / trials + z2 / (4 * trials**2)))
    return (0.0 if share <= 0 else max(0.0, middle - half)), (1.0 if share >= 1 else min(1.0, middle + half))


def resamples(units: int, *, count: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Yield (some, units): how often each unit is in each of `count` draws of `units` with replacement.

    The same seed gives the same draws, so that conditions can be compared draw by draw. Memory is bounded.
    """
    rng = np.random.default_rng([seed, 0xB007])
    some = max(1, min(count, _BLOCK // max(units, 1)))
    for at in range(0, count, some):
        b = min(some, count - at)
        drawn = rng.integers(0, units, (b, units)) + np.arange(b)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=b * units).reshape(b, units).astype(np.float64)


def add_up(values: npt.ArrayLike, unit: Ints, units: int) -> Floats:
    """Return the sums (units, ...) of `values` (n, ...) over each unit."""
    v = np.asarray(values, dtype=np.float64)
    flat = v.reshape(len(v), -1)
    out = np.stack([np.bincount(unit, weights=column, minlength=units) for column in flat.T], axis=1)
    return np.asarray(out.reshape(units, *v.shape[1:]))


def pooled(log_probabilities: Floats, record: Ints, records: int) -> Floats:
    """Return softmax of the mean log-probability of each record (records, classes), as `voting.pool` does.

    record : 0 .. records - 1, each at least once
    """
    logs = np.maximum(log_probabilities, np.log(_TINY))
    mean = add_up(logs, record, records) / np.bincount(record, minlength=records)[:, None]
    p = np.exp(mean - mean.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def calibration_bins(confidence: Floats) -> tuple[Ints, Ints]:
    """Return each one's bin of equal width, (i/15, (i+1)/15], and its bin of equal mass; ties stay together."""
    width = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    first = np.searchsorted(np.sort(confidence), confidence, side="left")
    return width, np.asarray(first * BINS // max(len(confidence), 1), dtype=np.int64)


def tally(
    before: Floats, after: Floats, label: Ints, unit: Ints, *, units: int, healthy: npt.NDArray[np.bool_]
) -> Tally:
    """Return all that the figures need, summed over units.

    before, after : (n, classes), probabilities without and with the temperature; label : (n,), class index;
    unit : (n,), 0 .. units - 1; healthy : (classes,)
    """
    n, classes = after.shape
    said, row = after.argmax(axis=1), np.arange(n)
    right = said == label
    sound, called_sound = healthy[label], healthy[said]
    one = np.eye(classes)

    def share(yes: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> Floats:
        return add_up(np.stack([yes & of, of], axis=1), unit, units)

    out = {
        "n": add_up(np.ones(n), unit, units),
        "hit": add_up(one[label] * right[:, None], unit, units),
        "truth": add_up(one[label], unit, units),
        "said": add_up(one[said], unit, units),
        "false_alarms": share(~called_sound, sound),
        "missed_faults": share(called_sound, ~sound),
    }
    for name, p in (("before", before), ("after", after)):
        confidence = p.max(axis=1)
        out[f"brier_{name}"] = add_up(np.square(p - one[label]).sum(axis=1), unit, units)
        out[f"nll_{name}"] = add_up(-np.log(np.maximum(p[row, label], 1e-300)), unit, units)
        width, mass = calibration_bins(confidence)
        parts = np.stack([np.ones(n), confidence, right.astype(np.float64)], axis=1)
        out[f"bins_{name}"] = _by_group(parts, unit, units, width, BINS)
        out[f"mass_{name}"] = _by_group(parts, unit, units, mass, BINS)
    # the surest first; those of one confidence stay in one step, for their order is nobody's
    surest = -after.max(axis=1)
    step = np.searchsorted(np.sort(surest), surest, side="left") * min(_STEPS, n) // max(n, 1)
    parts = np.stack([np.ones(n), ~right], axis=1)
    out["steps"] = _by_group(parts, unit, units, step, min(_STEPS, n))
    return Tally(out, area_under_risk(-surest, right))


def with_groups(found: Tally, name: str, right: npt.NDArray[np.bool_], unit: Ints, group: Ints, groups: int) -> Tally:
    """Return `found` with the accuracy of each group (-1: in none) of the same segments, as the figures `by_name`."""
    units, there = len(found.sums["n"]), group >= 0
    parts = np.stack([right, np.ones(len(right))], axis=1)[there]
    more = _by_group(parts, unit[there], units, group[there], groups)
    return Tally({**found.sums, f"by_{name}": more}, found.aurc)


def _by_group(values: Floats, unit: Ints, units: int, group: Ints, groups: int) -> Floats:
    """Sums over units and groups: (units, groups, ...)."""
    return add_up(values, unit * groups + group, units * groups).reshape(units, groups, *values.shape[1:])


def _ratio(a: Floats, b: Floats) -> Floats:
    """a / b, NaN where b is 0."""
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0))


def _figures(s: Sums) -> dict[str, Floats]:
    """Sums over draws (draws, ...) -> figures (draws,), or (draws, classes) for recall."""
    hit, truth, said, n = s["hit"], s["truth"], s["said"], s["n"]
    f1 = np.where(truth > 0, _ratio(2 * hit, truth + said), 0.0).sum(axis=-1)
    found = {
        "accuracy": _ratio(hit.sum(axis=-1), n),
        "macro_f1": _ratio(f1, (truth > 0).sum(axis=-1).astype(np.float64)),
        "recall": _ratio(hit, truth),
        "aurc": _area(s["steps"]),
    }
    for name in ("false_alarms", "missed_faults"):
        found[name] = _ratio(s[name][..., 0], s[name][..., 1])
    for name in ("before", "after"):
        found[f"brier_{name}"] = _ratio(s[f"brier_{name}"], n)
        found[f"nll_{name}"] = _ratio(s[f"nll_{name}"], n)
        found[f"ece_{name}"] = _gap(s[f"bins_{name}"])
        found[f"ece_mass_{name}"] = _gap(s[f"mass_{name}"])
    for name in s:
        if name.startswith("by_"):
            found[name] = _ratio(s[name][..., 0], s[name][..., 1])
    return found


def _gap(bins: Floats) -> Floats:
    """Expected calibration error of sums (draws, bins, (count, confidence, right))."""
    return _ratio(np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1), bins[..., 0].sum(axis=-1))


def _area(steps: Floats) -> Floats:
    """Area under the risk-coverage curve of sums (draws, steps, (count, wrong)); the errors of a step evenly spread."""
    count, wrong = np.cumsum(steps[..., 0], axis=-1), np.cumsum(steps[..., 1], axis=-1)
    risk = np.nan_to_num(_ratio(wrong, count))
    before = np.concatenate([risk[..., :1], risk[..., :-1]], axis=-1)
    return _ratio((steps[..., 0] * (risk + before) / 2).sum(axis=-1), count[..., -1])


def area_under_risk(confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """Return the AURC, exactly: the mean over k of the error among the k most confident; ties share their errors."""
    if not len(right):
        return float("nan")
    _, tie = np.unique(-confidence, return_inverse=True)
    share = np.bincount(tie, weights=~right) / np.bincount(tie)
    return float(np.mean(np.cumsum(share[np.sort(tie)]) / np.arange(1, len(right) + 1)))


def estimate(runs: Sequence[Tally], *, seed: int = 0, count: int = RESAMPLES) -> dict[str, list[Figure]]:
    """Return name -> figures with intervals, the mean over `runs` (one or more models on the same units).

    A list has one Figure, or one a class ("recall") or group ("by_..."). The interval is the percentile bootstrap over
    units. Three exceptions. Where that would be too sure, a share has Wilson's interval of as many trials as there are
    units, as if all of a unit stood or fell together: a share of units that each count once, of exactly 0 or 1, or of
    fewer than ten units. The calibration errors, which resampling inflates, are shifted to stand around their value. Of
    a single unit only shares have an interval.
    """
    units = len(runs[0].sums["n"])
    values = [{k: np.atleast_1d(v[0]) for k, v in _figures(_drawn(t.sums, np.ones((1, units)))).items()} for t in runs]
    drawn: dict[str, list[Floats]] = {name: [] for name in values[0]}
    if units > 1:
        for weight in resamples(units, count=count, seed=seed):
            each = [_figures(_drawn(t.sums, weight)) for t in runs]
            for name, blocks in drawn.items():
                blocks.append(np.mean([f[name] for f in each], axis=0))
    out = {}
    for name in values[0]:
        mine = np.array([v[name] for v in values])  # (runs, figures)
        draws = np.concatenate(drawn[name]).reshape(-1, mine.shape[1]) if units > 1 else np.empty((0, mine.shape[1]))
        if name == "aurc":  # the draws know the confidence in steps only
            exact = np.array([[t.aurc] for t in runs])
            draws, mine = draws + (exact - mine).mean(), exact
        trials = _trials(name, runs[0].sums)
        out[name] = [
            _figure(mine[:, j], draws[:, j], None if trials is None else trials[:, j], centred=name.startswith("ece"))
            for j in range(mine.shape[1])
        ]
    return out


def _drawn(s: Sums, weight: Floats) -> dict[str, Floats]:
    return {k: np.asarray(np.tensordot(weight, v, axes=1)) for k, v in s.items()}


def _trials(name: str, s: Sums) -> Floats | None:
    """Return how often each unit counts in a share, (units, shares); None for what is no share."""
    if name == "accuracy":
        return s["n"][:, None]
    if name == "recall":
        return s["truth"]
    if name in ("false_alarms", "missed_faults"):
        return s[name][:, None, 1]
    return s[name][..., 1] if name.startswith("by_") else None


def _figure(values: Floats, draws: Floats, trials: Floats | None, *, centred: bool = False) -> Figure:
    value = float(values.mean())
    sd, each = (float(values.std(ddof=1)), tuple(float(v) for v in values)) if len(values) > 1 else (None, ())
    known = draws[np.isfinite(draws)]
    if trials is not None and np.isfinite(value):
        there = int(np.sum(trials > 0))
        if there < FEW or value in (0.0, 1.0) or trials.max() <= 1:
            return Figure(value, *wilson(value * there, there), sd, each)
    if not (np.isfinite(value) and known.size):
        return Figure(value, np.nan, np.nan, sd, each)
    if centred:
        known = np.clip(known + (value - known.mean()), 0.0, 1.0)
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Figure(value, min(float(low), value), max(float(high), value), sd, each)


def coverage_curve(
    runs: Sequence[Tally], *, seed: int = 0, count: int = 500, points: int = 20
) -> list[tuple[float, Figure]]:
    """Return (coverage, accuracy of that share of the most confident), the mean over `runs`, with intervals.

    A coverage between two steps of confidence (200 at most) is rounded up to the next.
    """
    units = len(runs[0].sums["n"])
    wanted = np.arange(1, points + 1) / points

    def reached(total: Floats) -> Ints:
        """The step at which each coverage is reached, of running sums (draws, steps, 2)."""
        share = _ratio(total[..., 0], total[:, -1:, 0])
        at = np.stack([(share < c - 1e-9).sum(axis=1) for c in wanted], axis=1)
        return np.asarray(np.minimum(at, share.shape[1] - 1), dtype=np.int64)

    def curve(found: Tally, weight: Floats) -> Floats:
        total = np.cumsum(np.tensordot(weight, found.sums["steps"], axes=1), axis=1)
        right = 1 - _ratio(total[..., 1], total[..., 0])
        return np.asarray(np.take_along_axis(right, reached(total), axis=1))

    values = np.array([curve(t, np.ones((1, units)))[0] for t in runs])
    draws = np.empty((0, points))
    if units > 1:
        blocks = resamples(units, count=count, seed=seed)
        draws = np.concatenate([np.mean([curve(t, w) for t in runs], axis=0) for w in blocks])
    covered = np.cumsum(runs[0].sums["steps"], axis=1)  # which units have a say at each coverage
    trials = covered[:, reached(covered.sum(axis=0)[None])[0], 0]
    return [(float(c), _figure(values[:, j], draws[:, j], trials[:, j])) for j, c in enumerate(wanted)]


def confusion(label: Ints, said: Ints, classes: int) -> Ints:
    """Return counts (truth, said)."""
    flat = np.bincount(label * classes + said, minlength=classes * classes)
    return np.asarray(flat.reshape(classes, classes), dtype=np.int64)
