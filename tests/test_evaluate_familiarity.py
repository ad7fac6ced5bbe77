"""What an evaluation says of familiarity: the corruptions, the counts, and what a user sees of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
from helpers import Trained, faultdx_here, model_with, validate

from faultdx import estrangement
from faultdx.assessment import Question, evaluate
from faultdx.dataset import open_prepared
from faultdx.diagnosis import Diagnosis
from faultdx.errors import ConfigError, DatasetError
from faultdx.evaluation import unbroken
from faultdx.familiarity import Assessment, from_dict
from faultdx.familiarity_fit import usual_checks
from faultdx.records.record import Record
from faultdx.report.evaluation import render, summary, to_csv
from faultdx.signals import corruptions

RATE = 12_000.0


# ---- the filters of the corruptions, without scipy


@pytest.mark.parametrize("order", [4, 8])
@pytest.mark.parametrize("cut", [0.2, 0.5])
def test_the_low_pass_is_butterworths(order: int, cut: float) -> None:
    w = np.linspace(0, np.pi, 500, endpoint=False)
    _, response = scipy.signal.sosfreqz(scipy.signal.butter(order, cut, output="sos"), worN=w)
    over = np.tan(w / 2) / np.tan(np.pi * cut / 2)
    np.testing.assert_allclose(corruptions._butterworth(over, order), response, atol=1e-9)


def test_the_other_low_pass_is_chebyshevs_second() -> None:
    over = np.linspace(0, 20, 400)
    b, a = scipy.signal.cheby2(6, 60, 1.4, analog=True)
    _, response = scipy.signal.freqs(b, a, over)
    np.testing.assert_allclose(corruptions._chebyshev(over, 6, stop_db=60, edge=1.4), np.abs(response), atol=1e-6)


@pytest.mark.parametrize("kind", list(corruptions.CORRUPTIONS))
@pytest.mark.parametrize("severity", corruptions.SEVERITIES)
def test_a_copy_is_another_array_of_the_same_shape(kind: str, severity: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 12_000)).astype(np.float32)
    kept = x.copy()
    y, rate = corruptions.CORRUPTIONS[kind](x, RATE, np.random.default_rng(1), severity)
    again, _ = corruptions.CORRUPTIONS[kind](x, RATE, np.random.default_rng(1), severity)
    assert y.shape == x.shape and y.dtype == np.float32 and y is not x
    assert np.array_equal(x, kept) and np.array_equal(y, again, equal_nan=True)
    assert (rate != RATE) == (kind == "wrong sampling rate")
    assert rate != RATE or not np.array_equal(y, x, equal_nan=True)


# ---- the records of a side


def test_a_record_is_glued_from_its_longest_stretch(trained: Trained) -> None:
    with open_prepared(trained.prepared) as prepared:
        (long,) = (s for s in prepared.stretches("test") if s.record == prepared.record[prepared.rows("test")[0]])
        rows = prepared.rows("test")
        rows = rows[prepared.record[rows] == long.record]
        np.testing.assert_array_equal(unbroken(prepared, rows, most=10**9), long.signal)
        np.testing.assert_array_equal(unbroken(prepared, rows, most=3000), long.signal[:, :3000])
        gap = np.delete(rows, [1])  # a segment is missing: hop is half a segment or more, so that there is a gap
        if prepared.start[gap[1]] > prepared.start[gap[0]] + prepared.segment:
            first = prepared.start[gap[1]] - prepared.start[rows[0]]
            np.testing.assert_array_equal(unbroken(prepared, gap, most=10**9), long.signal[:, first:])


def test_the_cases_are_the_records_of_the_side(trained: Trained) -> None:
    with open_prepared(trained.prepared) as prepared:
        cases = list(estrangement.cases_of(prepared, prepared.rows("test")))
        table = prepared.records()
        numbers = np.unique(prepared.record[prepared.rows("test")])
        assert [c.record.path for c in cases] == [str(table["path"][r]) for r in numbers]
        assert [c.label for c in cases] == [str(table["label"][r]) for r in numbers]
        assert {c.record.rpm for c in cases} == {float(table["rpm"][r]) for r in numbers}


def a_case(samples: int = 6000, seed: int = 0) -> estrangement.Case:
    x = np.random.default_rng(seed).standard_normal((1, samples)).astype(np.float32)
    return estrangement.Case(Record(x, RATE), "a")


def test_each_kind_comes_once_a_record_and_all_severities_come() -> None:
    cases = [a_case(seed=i) for i in range(7)]
    copies = list(estrangement.spoil(cases, most=3, seed=0))
    assert len(copies) == 3 * len(corruptions.CORRUPTIONS) == 39
    assert all(sum(c.kind == kind for c in copies) == 3 for kind in corruptions.CORRUPTIONS)
    offsets = [abs(float(c.record.signal.mean())) for c in copies if c.kind == "offset"]
    assert min(offsets) < 5 and max(offsets) > 45  # 2 to 4, 5 to 20, 50 to 200 standard deviations
    again = list(estrangement.spoil(cases, most=3, seed=0))
    assert all(
        np.array_equal(a.record.signal, b.record.signal, equal_nan=True) for a, b in zip(copies, again, strict=True)
    )


def test_what_cannot_be_spoilt_is_left_out() -> None:
    flat = replace(a_case(), record=Record(np.ones((1, 6000), np.float32), RATE))
    assert list(estrangement.spoil([a_case(500), flat], most=5, seed=0)) == []
    assert list(estrangement.spoil([a_case()], most=0, seed=0)) == []


# ---- what is counted


def found(status: str, *, flagged: bool = False, fault: bool | None = True) -> Diagnosis:
    return Diagnosis("x", "", status, fault=fault, familiarity={"flagged": flagged})


def test_an_outcome_is_the_first_that_holds() -> None:
    assert estrangement.outcome(found("unusable")) == "refused"
    assert estrangement.outcome(found("unfamiliar", flagged=True)) == "unfamiliar"
    assert estrangement.outcome(found("diagnosed", flagged=True)) == "checked"
    assert estrangement.outcome(found("undecided")) == "unnoticed"
    assert estrangement.outcome(Diagnosis("x", "", "diagnosed")) == "unnoticed"


def test_the_shares_add_up_and_an_all_clear_is_counted() -> None:
    run = [found("unusable"), found("unfamiliar"), found("undecided", flagged=True), found("diagnosed", fault=False)]
    entry = estrangement._counted([run], 4)
    assert [entry[k]["value"] for k in ("flagged", "refused", "unfamiliar", "checked", "unnoticed")] == [
        0.75, 0.25, 0.25, 0.25, 0.25,
    ]  # fmt: skip
    assert entry["called_healthy"]["value"] == 0.25
    both = estrangement._counted([run, run[:2] * 2], 4)
    assert both["flagged"]["value"] == pytest.approx(0.875) and both["flagged"]["runs"] == [0.75, 1.0]


def test_the_interval_counts_records_not_copies() -> None:
    few, many = estrangement.figure([90], 100, trials=10), estrangement.figure([90], 100, trials=100)
    assert few["value"] == many["value"] == 0.9
    assert few["low"] < many["low"] < 0.9 < many["high"] < few["high"]
    assert estrangement.figure([], 0, trials=0) == {"value": None, "low": None, "high": None}


# ---- the check that no training record raises


def test_a_check_is_unusual_where_no_training_record_raises_it(trained: Trained, tmp_path: Path) -> None:
    from faultdx.model import load_model
    from faultdx.records import read_record

    entry = json.loads((trained.run / "model" / "model.json").read_text("utf-8"))["familiarity"]
    assert entry["checks"]["records"] > 0 and isinstance(entry["checks"]["usual"], list)
    assert "offset" not in entry["checks"]["usual"]
    record = read_record(trained.unseen / "501.mat")
    spoilt = replace(record, signal=record.signal + 3 * record.signal.std())
    plain, odd = (load_model(trained.run).diagnose(r).familiarity or {} for r in (record, spoilt))
    assert "offset" in odd["unusual_checks"] and odd["flagged"] is True
    assert "offset" not in plain["unusual_checks"] and odd["unfamiliar"] == plain["unfamiliar"]
    entry["checks"]["usual"] = ["offset"]
    usual = load_model(model_with(trained.run, tmp_path / "usual", familiarity=entry)).diagnose(spoilt)
    assert "offset" not in (usual.familiarity or {})["unusual_checks"]
    del entry["checks"]
    older = load_model(model_with(trained.run, tmp_path / "older", familiarity=entry)).diagnose(spoilt)
    assert "flagged" not in (older.familiarity or {})


def test_checks_that_training_records_raise_are_usual(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_prepared(trained.prepared) as prepared:
        segments = prepared.segments
        monkeypatch.setattr(prepared, "segments", lambda rows: segments(rows) + np.float32(100))
        assert "offset" in usual_checks(prepared, prepared.records())["usual"]
        monkeypatch.setitem(prepared.config, "normalize", "zscore")
        assert usual_checks(prepared, prepared.records())["usual"] is None


@pytest.mark.parametrize("usual", ["offset", [1], ["x" * 100], ["a"] * 1000, {}])
def test_hostile_checks_are_refused(usual: Any, trained: Trained) -> None:
    from faultdx.errors import ModelError

    info = json.loads((trained.run / "model" / "model.json").read_text("utf-8"))
    info["familiarity"]["checks"]["usual"] = usual
    with pytest.raises(ModelError, match="absurd"):
        from_dict(info["familiarity"], classes=info["classes"], channels=1, sampling_rate_hz=RATE, width=256, where="m")


def test_a_short_record_is_not_strange() -> None:
    assert Assessment({}, "a", False, "", False, ()).flagged is False
    assert Assessment({}, "a", False, "", False, ("spikes",)).flagged is True
    assert Assessment({}, "a", True, "", False, None).flagged is True


# ---- what a user sees


@pytest.fixture(scope="module")
def told(trained: Trained) -> dict[str, Any]:
    return evaluate(trained.run, question=Question(noise=(), spoilt=3, foreign=trained.unseen))


def schema() -> dict[str, Any]:
    from importlib import resources

    text = resources.files("faultdx").joinpath("schema", "evaluation-1.json").read_text("utf-8")
    return dict(json.loads(text))


def test_the_evaluation_has_it_all(told: Mapping[str, Any]) -> None:
    validate(dict(told), schema(), schema())
    entry = told["familiarity"]
    assert entry["assessed"] and entry["records"]["count"] == told["data"]["records"]
    assert entry["corrupted"]["count"] == 39 and entry["corrupted"]["of_records"] == 3
    assert set(entry["corrupted"]["kinds"]) == set(corruptions.CORRUPTIONS)
    assert entry["corrupted"]["kinds"]["NaN burst"]["refused"]["value"] == 1
    assert all(entry["corrupted"]["kinds"][kind]["flagged"]["value"] == 1 for kind in ("clipped", "dead", "offset"))
    assert entry["corrupted"]["called_healthy"]["value"] == 0
    assert entry["foreign"]["count"] > 0 and entry["foreign"]["unread"] == 0
    parts = [entry["corrupted"][k]["value"] for k in estrangement.OUTCOMES]
    assert sum(parts) == pytest.approx(1)


def test_the_same_question_gives_the_same_answer(told: Mapping[str, Any], trained: Trained) -> None:
    again = evaluate(trained.run, question=Question(noise=(), spoilt=3, foreign=trained.unseen))
    assert again["familiarity"] == told["familiarity"]


def test_page_table_and_lines_say_it(told: dict[str, Any]) -> None:
    page = render(told)
    assert "Does it notice what it does not know?" in page and "repeated block" in page and "another rig" in page
    rows = list(csv.DictReader(io.StringIO(to_csv(told).removeprefix("\ufeff"))))
    mine = {(r["condition"], r["metric"], r["group"]): r for r in rows if r["condition"] in ("corrupted", "foreign")}
    assert float(mine["corrupted", "flagged", "clipped"]["value"]) == 1
    assert mine["corrupted", "flagged", ""]["count"] == "39"
    assert any("39 spoilt copies" in line for line in summary(told))
    evil = json.loads(json.dumps(told))
    evil["familiarity"]["foreign"]["path"] = "<script>\u202e"
    assert "<script" not in render(evil)


def test_an_evaluation_of_before_still_has_its_page(told: dict[str, Any]) -> None:
    old = {k: v for k, v in told.items() if k != "familiarity"}
    assert "Does it notice" not in render(old) and to_csv(old) and summary(old)


def test_where_it_cannot_be_told_that_is_said(trained: Trained, tmp_path: Path) -> None:
    model_with(trained.run, tmp_path / "old", familiarity=None)
    told = evaluate(tmp_path / "old", trained.prepared, question=Question(noise=(), spoilt=3))
    validate(told, schema(), schema())
    assert told["familiarity"]["assessed"] is False and told["familiarity"]["why"]
    assert "Not assessed" in render(told)


class Perfect:
    """A model whose sets hold the true class in a given share of the records, for the arithmetic."""

    familiar = True
    info: Mapping[str, Any] = {"familiarity": {"conformal": {"least_probability": 0.2, "coverage": 0.9, "records": 20}}}


def test_the_coverage_of_the_sets_is_counted_by_record() -> None:
    cases = [a_case() for _ in range(4)]
    sets: list[tuple[str, ...] | None] = [("a",), ("a", "b"), ("b",), None]
    run = [replace(found("diagnosed"), conformal_set=s) for s in sets]
    entry = estrangement._conformal([Perfect()], cases, [run])  # type: ignore[list-item]
    assert entry["count"] == 3 and entry["coverage"]["value"] == pytest.approx(2 / 3)
    assert entry["mean_size"] == pytest.approx(4 / 3) and entry["sizes"] == {"1": 2, "2": 1}


def test_another_rig_may_be_a_prepared_file_or_a_folder(trained: Trained, tmp_path: Path) -> None:
    from faultdx.model import load_model

    model = load_model(trained.run)
    cases, unread, left_out = estrangement.others_of(model, trained.prepared)
    assert cases and (unread, left_out) == (0, 0) and {c.label for c in cases} == {""}
    (tmp_path / "bad.mat").write_bytes(b"nothing")
    (tmp_path / "good.mat").write_bytes((trained.unseen / "501.mat").read_bytes())
    cases, unread, _ = estrangement.others_of(model, tmp_path)
    assert (len(cases), unread) == (1, 1)
    for path in (tmp_path / "no", tmp_path / "bad.mat"):
        with pytest.raises(DatasetError):
            estrangement.others_of(model, path)


def test_the_command_refuses_what_cannot_be(trained: Trained, tmp_path: Path) -> None:
    ran = faultdx_here("evaluate", trained.run, "--no-noise", "--foreign", tmp_path / "no", cwd=tmp_path)
    assert ran.code == 2 and ran.out == "" and ran.err.count("\n") == 1 and "no such file" in ran.err
    assert not (trained.run / "evaluation").exists()
    with pytest.raises(ConfigError, match="spoilt"):
        Question(spoilt=-1)


def test_noise_in_the_file_is_no_record() -> None:
    class Noisy:
        has_noise = True
        config: Mapping[str, Any] = {"normalize": "none"}

    entry = estrangement.examine([Perfect()], Noisy(), np.zeros(0, np.int64))  # type: ignore[list-item,arg-type]
    assert entry["assessed"] is False and "noise" in entry["why"]
