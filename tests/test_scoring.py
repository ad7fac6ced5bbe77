"""Figures and their intervals: against scikit-learn, against plain loops, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from faultdx import scoring
from faultdx.scoring import Figure, Tally, estimate, tally, wilson
from faultdx.voting import pool_records

HEALTHY = np.array([True, False, False, False])


def made(
    n: int = 500, classes: int = 4, units: int = 25, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities before and after, labels and units of a classifier that is better than chance."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    z = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[label]
    before, after = (np.exp(z / t) / np.exp(z / t).sum(axis=1, keepdims=True) for t in (1.0, 0.5))
    return before, after, label, np.concatenate([np.arange(units), rng.integers(0, units, n - units)])


def figures(p: np.ndarray, q: np.ndarray, label: np.ndarray, unit: np.ndarray, **more: int) -> dict[str, list[Figure]]:
    return estimate([tally(p, q, label, unit, units=int(unit.max()) + 1, healthy=HEALTHY)], **more)


def test_scikit_learn_has_the_same_figures() -> None:
    before, after, label, unit = made()
    said, f = after.argmax(axis=1), {k: v[0].value for k, v in figures(before, after, label, unit).items()}
    assert f["accuracy"] == pytest.approx(metrics.accuracy_score(label, said), abs=1e-12)
    assert f["macro_f1"] == pytest.approx(metrics.f1_score(label, said, average="macro"), abs=1e-12)
    for name, p in (("before", before), ("after", after)):
        assert f[f"nll_{name}"] == pytest.approx(metrics.log_loss(label, p), abs=1e-12)
        brier = metrics.brier_score_loss(label, p, labels=[0, 1, 2, 3], scale_by_half=False)
        assert f[f"brier_{name}"] == pytest.approx(brier, abs=1e-12)
    recall = [r.value for r in figures(before, after, label, unit)["recall"]]
    np.testing.assert_allclose(recall, metrics.recall_score(label, said, average=None), atol=1e-12)
    np.testing.assert_array_equal(scoring.confusion(label, said, 4), metrics.confusion_matrix(label, said))
    alarms = metrics.recall_score(label == 0, said == 0)
    assert f["false_alarms"] == pytest.approx(1 - alarms, abs=1e-12)
    assert f["missed_faults"] == pytest.approx(1 - metrics.recall_score(label != 0, said != 0), abs=1e-12)


def test_f1_is_over_the_classes_that_are_there() -> None:
    before, after, label, unit = made()
    keep = label != 2
    f = figures(before[keep], after[keep], label[keep], unit[keep])
    said = after[keep].argmax(axis=1)
    there = metrics.f1_score(label[keep], said, labels=[0, 1, 3], average="macro")
    assert f["macro_f1"][0].value == pytest.approx(there, abs=1e-12)
    assert np.isnan(f["recall"][2].value) and np.isnan(f["recall"][2].low)
    after[:, 2] = 0.0  # nor does it ever say so
    f = figures(before[keep], after[keep], label[keep], unit[keep])
    said = after[keep].argmax(axis=1)
    assert f["macro_f1"][0].value == pytest.approx(metrics.f1_score(label[keep], said, average="macro"), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ece_is_that_of_a_plain_loop(seed: int) -> None:
    before, _, label, unit = made(seed=seed)
    before[:20] = np.eye(4)[np.arange(20) % 4]  # a confidence of exactly 1 is in the last bin
    before[20:40] = np.array([0.2, 0.4, 0.2, 0.2])  # and one on an edge (6/15) in the bin below it
    expected = 0.0
    for b in range(15):
        inside = [i for i, p in enumerate(before) if b / 15 < max(p) <= (b + 1) / 15]
        if inside:
            right = sum(int(np.argmax(before[i])) == label[i] for i in inside) / len(inside)
            expected += abs(right - sum(max(before[i]) for i in inside) / len(inside)) * len(inside) / len(label)
    # `right` is judged by what `after` names: the same class, as a temperature keeps the order
    found = figures(before, before, label, unit)["ece_before"][0].value
    assert found == pytest.approx(expected, abs=1e-12)


def test_bins_of_equal_mass_are_equal_and_keep_ties_together() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 1500)
    _, mass = scoring.calibration_bins(confidence)
    assert np.bincount(mass).tolist() == [100] * 15
    assert all(confidence[mass == b].max() < confidence[mass == b + 1].min() for b in range(14))
    _, tied = scoring.calibration_bins(np.repeat([0.5, 0.9], 75))
    assert len(set(tied[:75])) == len(set(tied[75:])) == 1


def test_aurc_is_the_mean_error_over_all_coverages() -> None:
    before, after, label, unit = made(n=300)
    right, confidence = after.argmax(axis=1) == label, after.max(axis=1)
    order = np.argsort(-confidence)
    expected = np.mean([np.mean(~right[order[: k + 1]]) for k in range(300)])
    assert figures(before, after, label, unit)["aurc"][0].value == pytest.approx(expected, abs=1e-12)
    tied = np.ones(300)  # no order at all: the error rate, at every coverage
    assert scoring.area_under_risk(tied, right) == pytest.approx(np.mean(~right), abs=1e-12)


def test_coverage_curve_is_the_accuracy_of_the_surest() -> None:
    before, after, label, unit = made(n=400)
    curve = scoring.coverage_curve([tally(before, after, label, unit, units=25, healthy=HEALTHY)])
    right, order = after.argmax(axis=1) == label, np.argsort(-after.max(axis=1))
    for coverage, f in curve:
        assert f.value == pytest.approx(np.mean(right[order[: round(400 * coverage)]]), abs=1e-12)
        assert f.low <= f.value <= f.high
    assert curve[-1][1].value == pytest.approx(np.mean(right), abs=1e-12)


def test_pooled_is_the_vote_of_voting() -> None:
    _, after, _, unit = made()
    np.testing.assert_allclose(scoring.pooled(np.log(after), unit, 25), pool_records(after, unit)[1], atol=1e-12)
    certain = np.eye(4)[[0, 1, 1]]
    with np.errstate(divide="ignore"):
        logs = np.log(certain)
    found = scoring.pooled(logs, np.zeros(3, np.int64), 1)
    np.testing.assert_allclose(found, pool_records(certain, np.zeros(3))[1], atol=1e-12)


def test_wilson_is_newcombes_table() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857, Table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    known = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (yes, n), (low, high) in known.items():
        assert wilson(yes, n) == pytest.approx((low, high), abs=5e-5)
        assert wilson(n - yes, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)
    assert np.isnan(wilson(0, 0)).all()


def test_a_bootstrap_that_shows_certainty_is_not_believed() -> None:
    p = np.tile([0.97, 0.01, 0.01, 0.01], (40, 1))
    label, unit = np.zeros(40, np.int64), np.repeat(np.arange(8), 5)
    f = figures(p, p, label, unit)
    assert f["accuracy"][0] == Figure(1.0, *wilson(8, 8))  # eight records, not forty segments
    assert f["false_alarms"][0] == Figure(0.0, *wilson(0, 8))
    assert np.isnan(f["missed_faults"][0].value)


def test_few_records_have_wide_intervals() -> None:
    before, after, label, unit = made(n=50)
    f = figures(before, after, label, np.zeros(50, np.int64))
    value = f["accuracy"][0].value
    assert 0 < value < 1
    assert (f["accuracy"][0].low, f["accuracy"][0].high) == wilson(value, 1)
    assert np.isnan([f["macro_f1"][0].high, f["ece_after"][0].low]).all()
    f = figures(before, after, label, unit % 9)
    assert (f["accuracy"][0].low, f["accuracy"][0].high) == wilson(9 * value, 9)
    assert f["macro_f1"][0].low < f["macro_f1"][0].value < f["macro_f1"][0].high
    ten = figures(before, after, label, unit % 10)["accuracy"][0]
    assert ten.high - ten.low < 0.75 * (f["accuracy"][0].high - f["accuracy"][0].low)


@pytest.mark.parametrize("records", [2, 4, 8])
def test_intervals_of_few_records_hold_the_truth(records: int) -> None:
    rng = np.random.default_rng(records)
    inside = 0
    for _ in range(200):
        found, truth = simulated(rng, records=records, segments=20)
        f = estimate([found], count=10)["accuracy"][0]
        inside += f.low <= truth <= f.high
    assert inside / 200 >= 0.93


def test_the_same_seed_gives_the_same_draws_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(scoring.resamples(30, count=100, seed=3)))
    monkeypatch.setattr(scoring, "_BLOCK", 30 * 7)
    blocks = list(scoring.resamples(30, count=100, seed=3))
    assert len(blocks) == 15
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert (whole.sum(axis=1) == 30).all() and whole.max() > 2
    other = np.concatenate(list(scoring.resamples(30, count=100, seed=4)))
    assert (other != whole).any()


def simulated(rng: np.random.Generator, records: int, segments: int) -> tuple[Tally, float]:
    """A tally of records whose own accuracies differ widely: segments of one record stand or fall together."""
    mean = 0.8
    own = rng.beta(4 * mean, 4 * (1 - mean), records)
    right = rng.random((records, segments)) < own[:, None]
    label = np.ones(records * segments, np.int64)
    p = np.where(right.reshape(-1, 1), [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1])
    unit = np.repeat(np.arange(records), segments)
    return tally(p, p, label, unit, units=records, healthy=HEALTHY), mean


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    inside, naive = 0, 0
    for _ in range(300):
        found, truth = simulated(rng, records=30, segments=20)
        f = estimate([found], count=400, seed=int(rng.integers(1 << 30)))["accuracy"][0]
        inside += f.low <= truth <= f.high
        low, high = wilson(f.value * 600, 600)  # as if each segment were a witness of its own
        naive += low <= truth <= high
    assert 0.89 <= inside / 300 <= 0.98
    assert naive / 300 < 0.7


def test_records_intervals_are_wilsons() -> None:
    rng = np.random.default_rng(5)
    p = np.eye(4)[rng.integers(0, 4, 60)] * 0.6 + 0.1
    label = rng.integers(0, 4, 60)
    f = figures(p, p, label, np.arange(60))["accuracy"][0]
    assert (f.low, f.high) == pytest.approx(wilson(round(60 * f.value), 60), abs=1e-12)


def test_several_runs_give_their_mean_and_spread() -> None:
    each = []
    for seed in range(3):
        before, after, _, _ = made(seed=seed)
        _, _, label, unit = made(seed=9)
        each.append(tally(before, after, label, unit, units=25, healthy=HEALTHY))
    alone = [estimate([t])["accuracy"][0].value for t in each]
    f = estimate(each)["accuracy"][0]
    assert f.value == pytest.approx(np.mean(alone), abs=1e-12)
    assert f.sd == pytest.approx(np.std(alone, ddof=1), abs=1e-12)
    assert f.runs == pytest.approx(alone)
    assert f.low < f.value < f.high
    assert estimate(each[:1])["accuracy"][0].sd is None


def test_groups_are_scored_by_themselves() -> None:
    before, after, label, unit = made()
    right = after.argmax(axis=1) == label
    group = np.where(unit < 20, unit % 2, -1)
    found = scoring.with_groups(
        tally(before, after, label, unit, units=25, healthy=HEALTHY), "side", right, unit, group, 2
    )
    f = estimate([found])["by_side"]
    assert [x.value for x in f] == pytest.approx([right[group == 0].mean(), right[group == 1].mean()])
    assert all(x.low < x.value < x.high for x in f)


def test_calibration_intervals_stand_around_their_value() -> None:
    # of a perfectly calibrated classifier the resampled ECE is nearly always larger than the ECE itself
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1, 1, 1, 1], 400)
    label = np.array([rng.choice(4, p=row) for row in p])
    f = figures(p, p, label, np.repeat(np.arange(40), 10))["ece_before"][0]
    assert f.low < f.value < f.high
