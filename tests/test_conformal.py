"""The conformal set: what it takes, what it holds for, and that it covers what it says, on machines drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faultdx.conformal import fewest, least_probability, stated
from faultdx.report import text, words


def facts(specimens: list[str], conditions: list[str] | None = None) -> dict[str, list[str]]:
    return {"specimen": specimens, "condition": conditions or [""] * len(specimens)}


def of(p: list[float], specimens: list[str], split: str = "specimen", **rest: Any) -> dict[str, Any]:
    given = np.column_stack([p, 1 - np.array(p)])
    conditions = rest.pop("conditions", None)
    return stated(given, [0] * len(p), facts(specimens, conditions), split=split, **rest)


@pytest.mark.parametrize(("coverage", "count"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.8, 4)])
def test_so_many_units_are_what_a_coverage_needs(coverage: float, count: int) -> None:
    assert fewest(coverage) == count
    scores = np.linspace(0, 0.5, count)
    assert least_probability(scores, range(count), coverage=coverage) == pytest.approx(0.5)
    assert least_probability(scores[1:], range(count - 1), coverage=coverage) is None


def test_records_of_one_specimen_are_one_unit_and_count_by_the_worst() -> None:
    p = [0.9, 0.8] * 9
    specimens = [f"s{i // 2}" for i in range(18)]
    found = of(p, specimens)
    assert (found["records"], found["units"], found["unit"], found["least_probability"]) == (18, 9, "specimen", 0.8)
    few = of(p[:16], specimens[:16])  # 16 records would do if they were independent
    assert "least_probability" not in few
    assert few["why_not"] == (
        "a set that covers 90% needs 9 specimens or more that the training has not seen, and the validation has 8"
    )


def test_a_specimen_that_was_trained_on_says_nothing_of_others() -> None:
    p, specimens = [0.9] * 10, [f"s{i}" for i in range(10)]
    assert of(p, specimens)["units"] == 10
    assert of(p, specimens, trained=frozenset({"s3"}))["units"] == 9
    assert "why_not" in of(p, specimens, trained=frozenset({"s3", "s4"}))
    assert "why_not" in of(p, [""] * 10)  # nobody knows the specimens
    assert of(p, specimens, split="time", trained=frozenset(specimens))["units"] == 10


def test_a_split_in_time_counts_recordings_and_promises_no_others() -> None:
    p = [0.9] * 12
    specimens, conditions = ["a"] * 6 + ["b"] * 6, ["0", "1", "2", "3", "4", "4"] * 2
    found = of(p, specimens, split="time", conditions=conditions)
    assert found["units"] == 10 and found["unit"] == "recording" and "no other recording" in found["holds_for"]
    assert of(p, [""] * 12, split="condition")["units"] == 12


def draw(rng: np.random.Generator, specimens: int, records: int, alike: float) -> np.ndarray[Any, Any]:
    """Scores of machines whose records are alike, (specimens, records): correlation `alike` within a specimen."""
    own = rng.standard_normal((specimens, 1))
    rest = rng.standard_normal((specimens, records))
    return np.asarray(np.sqrt(alike) * own + np.sqrt(1 - alike) * rest)


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.95])
def test_it_covers_records_of_other_machines_as_it_says(alike: float) -> None:
    rng = np.random.default_rng(11)
    trials, held, held_by_record = 1500, 0, 0
    for _ in range(trials):
        scores = draw(rng, 10, 5, alike)
        least = least_probability(scores[:9].ravel(), np.repeat(np.arange(9), 5))
        few = least_probability(scores[:4].ravel(), np.arange(20))  # four machines, their records taken one by one
        assert least is not None and few is not None
        held += scores[9, 0] <= 1 - least
        held_by_record += scores[9, 0] <= 1 - few
    assert held / trials >= 0.9 - 3 * np.sqrt(0.09 / trials)
    if alike == 0.95:  # by record it would promise too much
        assert held_by_record / trials < 0.84


def test_the_page_says_what_the_set_rests_on() -> None:
    from test_report import INFO, a_diagnosis

    d = a_diagnosis(familiarity={"nearest": "normal"}, conformal_set=("outer_race",))
    entry = {"coverage": 0.9, "records": 40, "units": 10, "unit": "specimen", "holds_for": "records of other specimens"}
    said = dict(text.familiarity_rows(d, model_info=INFO | {"familiarity": {"conformal": entry}}))
    assert "40 validation records of 10 specimens: records of other specimens" in said[words.say("finding.conformal")]
    old = {key: entry[key] for key in ("coverage", "records", "holds_for")}
    said = dict(text.familiarity_rows(d, model_info=INFO | {"familiarity": {"conformal": old}}))
    assert "older version" in said[words.say("finding.conformal")]
