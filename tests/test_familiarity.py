"""Familiarity: the statistics, the fit and its limits against scipy and scikit-learn, and what a user sees of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import scipy.stats
from helpers import Trained, diagnosis_schema, faultdx, faultdx_here, model_with, validate
from sklearn.covariance import LedoitWolf

from faultdx import familiarity_fit as fitting
from faultdx.dataset import Prepared, open_prepared
from faultdx.diagnosis import outcome
from faultdx.errors import ModelError
from faultdx.familiarity import Familiarity, Space, from_dict
from faultdx.inference import Network
from faultdx.model import Model, load_model
from faultdx.records import Record, read_record
from faultdx.report import card, html, text
from faultdx.report.document import to_dict, to_json
from faultdx.signals import statistics
from faultdx.signals.noise import add_noise

Floats = npt.NDArray[np.float64]
RATE = 12_000.0


def coloured(count: int, *, channels: int = 1, samples: int = 2048, seed: int = 0) -> npt.NDArray[np.float32]:
    """Segments of noise with a resonance, an offset and some impacts."""
    rng = np.random.default_rng(seed)
    x = scipy.signal.lfilter([1.0], [1, -1.2, 0.8], rng.laplace(size=(count, channels, samples)))
    return (0.3 * x + 0.2).astype(np.float32)


# ---- the statistics


@pytest.mark.parametrize("bands", [4, 24])
def test_the_shares_are_those_of_the_periodogram(bands: int) -> None:
    x = coloured(3)
    found = statistics.describe(x, bands=bands)
    _, power = scipy.signal.periodogram(x[:, 0].astype(float), RATE, window=np.hanning(2048), detrend="constant")
    edges = np.r_[0, 1024 / bands / 4, 1024 / bands * np.arange(1, bands + 1)].round().astype(int)
    share = np.stack([power[:, a + 1 : b + 1].sum(axis=1) for a, b in pairwise(edges)], axis=1)
    share /= power[:, 1:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(found[:, :-2]) - statistics.FLOOR, share, atol=2e-3)
    y = x[:, 0].astype(float)
    np.testing.assert_allclose(np.exp(found[:, -2]), scipy.stats.kurtosis(y, axis=1, fisher=False), rtol=1e-4)
    crest = np.abs(y - y.mean(axis=1, keepdims=True)).max(axis=1) / y.std(axis=1)
    np.testing.assert_allclose(np.exp(found[:, -1]), crest, rtol=1e-4)
    assert found.shape[1] == len(statistics.names(bands, channels=1, sampling_rate_hz=RATE))


def test_a_tone_is_where_its_band_says() -> None:
    t = np.arange(2048) / RATE
    x = np.sin(2 * np.pi * 3100 * t, dtype=np.float32)[None, None]
    columns = statistics.names(24, channels=1, sampling_rate_hz=RATE)
    found = statistics.describe(x, bands=24)[0]
    assert columns[int(found[:-2].argmax())] == "share of energy from 3000 to 3250 Hz"
    assert statistics.as_shown("share", float(found[:-2].max())).endswith(" %")
    assert np.exp(found[-2]) == pytest.approx(1.5, rel=0.01) and np.exp(found[-1]) == pytest.approx(2**0.5, rel=0.01)


@pytest.mark.parametrize("gain", [1e-12, 1e6, 1e15])
def test_gain_and_offset_do_not_count(gain: float) -> None:
    x = coloured(2)
    plain = statistics.describe(x, bands=12)
    np.testing.assert_allclose(statistics.describe((x * gain).astype(np.float32), bands=12), plain, atol=1e-4)
    np.testing.assert_allclose(statistics.describe(x + np.float32(5), bands=12), plain, atol=1e-3)
    assert statistics.offsets(x + np.float32(5))[0] == pytest.approx(
        abs(float(x[0].mean()) + 5) / float(x[0].std()), rel=1e-4
    )


def test_a_constant_segment_and_a_short_one_have_statistics() -> None:
    for x in (np.full((1, 2, 64), 3.3, np.float32), np.zeros((1, 1, 16), np.float32)):
        bands = fitting.bands_for(x.shape[1], x.shape[2])
        assert np.isfinite(statistics.describe(x, bands=bands)).all()
        assert statistics.offsets(x)[0] == 0


@pytest.mark.parametrize("channels", [1, 3, 8, 9])
def test_every_column_has_a_name(channels: int) -> None:
    x = coloured(2, channels=channels, samples=512)
    bands = fitting.bands_for(channels, 512)
    found, columns = (
        statistics.describe(x, bands=bands),
        statistics.names(bands, channels=channels, sampling_rate_hz=1e4),
    )
    assert found.shape == (2, len(columns)) and len(set(columns)) == len(columns) <= 96
    first = statistics.describe(x[:, :1], bands=bands)
    if channels in (3, 8):
        np.testing.assert_allclose(found[:, : first.shape[1]], first)
    elif channels == 9:
        assert not np.allclose(found, first)


# ---- the cloud and its limit


def test_the_covariance_is_that_of_ledoit_and_wolf() -> None:
    rng = np.random.default_rng(1)
    for n, d in ((20, 30), (200, 8)):
        x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 3
        oracle = LedoitWolf().fit(x)
        found, shrink = fitting.ledoit_wolf(x)
        np.testing.assert_allclose(found, oracle.covariance_, rtol=1e-9)
        assert shrink == pytest.approx(oracle.shrinkage_)


def test_the_distance_is_mahalanobis_to_the_nearest_class() -> None:
    rng = np.random.default_rng(2)
    label = np.arange(400) % 2
    x = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5)) + 4.0 * label[:, None]
    centres, whiten = fitting.cloud(x, label, 2)
    space = Space(centres, whiten, 3.0, 10.0)
    about = x - centres[label]
    scale = about.std(axis=0)
    covariance = LedoitWolf(assume_centered=True).fit(about / scale).covariance_ * np.outer(scale, scale)
    point = rng.standard_normal(5)
    for k in range(2):
        away = point - x[label == k].mean(axis=0)
        assert space.distances(point)[k] == pytest.approx(math.sqrt(away @ np.linalg.solve(covariance, away)), rel=1e-6)


def test_a_column_that_hardly_varies_is_given_a_least_spread() -> None:
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.standard_normal(100), 1e-9 * rng.standard_normal(100), np.zeros(100)])
    centres, whiten = fitting.cloud(x, np.zeros(100, np.int64), 1, floor=0.05)
    space = Space(centres, whiten, 1.0, 1.0)
    for column in (1, 2):
        step = centres[0] + 0.05 * np.eye(3)[column]
        assert space.distances(step)[0] == pytest.approx(1, rel=0.15)


def test_many_columns_are_projected_and_still_tell_a_stranger() -> None:
    rng = np.random.default_rng(4)
    mix = rng.standard_normal((20, 200))
    x = rng.standard_normal((500, 20)) @ mix + 0.01 * rng.standard_normal((500, 200))
    centres, whiten = fitting.cloud(x, np.zeros(500, np.int64), 1)
    assert whiten.shape == (64, 200)
    space = Space(centres, whiten, 1.0, 1.0)
    assert space.distances(centres[0] + 30 * mix[0])[0] > 4 * space.distances(x[0])[0]


@pytest.mark.parametrize("n", [5, 10, 28, 100, 1000])
def test_the_tolerance_factor_is_near_the_exact_one(n: int) -> None:
    exact = scipy.stats.nct.ppf(0.9, n - 1, scipy.stats.norm.ppf(0.99) * math.sqrt(n)) / math.sqrt(n)
    assert fitting.tolerance_factor(n) == pytest.approx(exact, rel=0.06)


def test_the_limit_keeps_its_promise_on_new_records() -> None:
    rng = np.random.default_rng(5)
    low = []
    for _ in range(300):
        limit = fitting.limit_of(rng.lognormal(1, 0.4, 30), 30, plain=np.ones(30, bool))
        low.append(1 - scipy.stats.lognorm.cdf(limit, 0.4, scale=math.e) > fitting.ALARMS)
    assert 0.04 < np.mean(low) < 0.18  # too low a limit in one of ten, as stated


def test_with_records_enough_the_rank_speaks_also_for_those_without_noise() -> None:
    rng = np.random.default_rng(6)
    plain, noisy = rng.lognormal(1.0, 0.1, 100), rng.lognormal(0.0, 0.1, 900)
    plain[:4] = 40.0
    together, mask = np.r_[plain, noisy], np.arange(1000) < 100
    assert fitting.limit_of(together, 100, plain=mask) == 40.0
    assert fitting.limit_of(together, 98, plain=mask) < 20


def test_a_shorter_record_gets_a_wider_limit() -> None:
    space = Space(np.zeros((1, 9)), np.eye(9), 4.0, 10.0)
    assert space.limit_for(10) == space.limit_for(1000) == 4.0
    assert space.limit_for(1) == pytest.approx(math.sqrt(16 + 9 * 0.9))
    assert space.limit_for(1) > space.limit_for(2) > 4


# ---- what is left out


def a_side(label: list[int], record: list[int]) -> fitting.Described:
    n = len(label)
    zeros = np.zeros(n, np.int64)
    return fitting.Described({}, np.zeros((n, 2)), np.array(label), np.array(record), zeros, np.zeros(n))


def a_table(**columns: list[str]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def test_a_class_is_left_out_by_specimen_else_condition_else_record() -> None:
    side = a_side([0, 0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 2, 3, 4, 5, 6, 7, 7])
    table = a_table(
        specimen=["a", "a", "b", "c", "c", "d", "", "e"],
        condition=["1", "2", "1", "1", "2", "1", "1", "1"],
        label=["x"] * 8,
    )
    folds, basis = fitting.held_out(side, table)
    assert basis == {"specimen": 1, "condition": 1, "record": 1}
    assert folds.tolist() == [0, 0, 1, 0, 1, 0, 1, -1, -1]
    for fold in range(2):
        assert set(side.label[folds != fold]) == {0, 1, 2, 3}  # no class is left without a segment


class Spy:
    """A prepared file that remembers which segments were asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.asked = prepared, set[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prepared, name)

    def segments(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        self.asked |= set(rows.tolist())
        return self.prepared.segments(rows)


HOW: dict[str, Any] = {"noise": ("gaussian",), "snr_db": (0.0, 10.0), "polarity": True, "seed": 4}


def test_the_fit_is_that_of_the_training_and_never_looks_at_the_test_side(trained: Trained) -> None:
    network = Network.open(trained.run)
    with open_prepared(trained.prepared) as prepared:
        spy: Any = Spy(prepared)
        found = fitting.fit(network, spy, **HOW)
        assert spy.asked == {*prepared.rows("train").tolist(), *prepared.rows("val").tolist()}
    assert found == network.info["familiarity"]
    assert found["limits_from"]["records"] == 32 and found["limits_from"]["validation"] == 16
    assert len(json.dumps(found)) < 80_000


def test_too_few_records_carry_no_limit(trained: Trained) -> None:
    class Lonely(Spy):
        def __init__(self, prepared: Prepared) -> None:
            super().__init__(prepared)
            self.record = np.zeros_like(prepared.record)

    with open_prepared(trained.prepared) as prepared:
        lonely: Any = Lonely(prepared)
        found = fitting.fit(Network.open(trained.run), lonely, **HOW)
    assert found == {"assessed": False, "why": "it takes 5 records or more to set a limit, and there are 1"}
    assert read(found) is None


# ---- the conformal set


def test_the_most_probable_class_is_always_in_the_set() -> None:
    model = Familiarity(("a", "b", "c"), (), 4, 0.0, {}, 0.3)
    assert model.conformal_set({"a": 0.2, "b": 0.5, "c": 0.3}) == ["b", "c"]
    assert replace(model, least_probability=0.9).conformal_set({"a": 0.2, "b": 0.5, "c": 0.3}) == ["b"]
    assert replace(model, least_probability=None).conformal_set({"a": 1.0}) is None


# ---- what model.json holds


def a_space(d: int, *, seed: int = 0) -> Space:
    rng = np.random.default_rng(seed)
    return Space(rng.standard_normal((2, d)), np.tril(rng.standard_normal((d, d))), 4.25, 12.0)


def an_entry(**changes: Any) -> dict[str, Any]:
    columns = len(statistics.names(4, channels=1, sampling_rate_hz=RATE))
    spaces = {"statistics": a_space(columns).to_dict(), "features": a_space(3).to_dict()}
    return {"bands": 4, "offset": 0.1, "conformal": {}, **spaces, **changes}


def read(entry: Any, width: int = 3) -> Familiarity | None:
    return from_dict(entry, classes=("a", "b"), channels=1, sampling_rate_hz=RATE, width=width, where="m")


def test_what_is_written_is_what_is_read() -> None:
    found = read(json.loads(json.dumps(an_entry(conformal={"least_probability": 0.7}))))
    assert found is not None and found.least_probability == 0.7
    for name, d in (("statistics", 7), ("features", 3)):
        there, was = found.spaces[name], a_space(d)
        point = np.linspace(-1, 1, d)
        np.testing.assert_allclose(there.distances(point), was.distances(point), rtol=1e-4)
        assert (there.limit, there.segments) == (4.25, 12.0)


@pytest.mark.parametrize("nothing", [None, {"assessed": False, "why": "too few"}])
def test_a_model_without_familiarity_is_a_model(nothing: Any) -> None:
    assert read(nothing) is None


def with_space(**changes: Any) -> dict[str, Any]:
    return {**an_entry()["statistics"], **changes}


@pytest.mark.parametrize(
    "entry",
    [
        [],
        "yes",
        7,
        {},
        an_entry(bands=0),
        an_entry(bands=5),
        an_entry(bands=10**9),
        an_entry(bands=4.5),
        an_entry(bands=True),
        an_entry(offset=float("nan")),
        an_entry(offset=-1),
        an_entry(conformal=None),
        an_entry(conformal={"least_probability": 2}),
        an_entry(statistics=None),
        an_entry(statistics=with_space(limit=0)),
        an_entry(statistics=with_space(limit=float("inf"))),
        an_entry(statistics=with_space(segments="many")),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7"])),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7", "1 2 3 4 5 6"])),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7", "1 2 3 4 5 6 nan"])),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7", "1 2 3 4 5 6 1e300"])),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7", "1 2 3 4 5 6 seven"])),
        an_entry(statistics=with_space(centres=["1 2 3 4 5 6 7", 7])),
        an_entry(statistics=with_space(whiten=["1 " * 7] * 100_000)),
        an_entry(statistics=with_space(whiten=["1 " * 10**6])),
        an_entry(statistics=with_space(whiten=[])),
        an_entry(features=a_space(4).to_dict()),
    ],
)
def test_a_hostile_entry_is_refused_in_one_line(entry: Any) -> None:
    with pytest.raises(ModelError) as error:
        read(entry)
    assert str(error.value) == "m: model.json: its familiarity is absurd: copy the model folder again"


def test_a_model_folder_with_a_hostile_entry_does_not_open(trained: Trained, tmp_path: Path) -> None:
    model_with(trained.run, tmp_path / "bad", familiarity={"bands": 24})
    ran = faultdx_here("diagnose", trained.unseen / "501.mat", "--model", "bad", cwd=tmp_path)
    assert ran.code != 0 and ran.out == "" and "its familiarity is absurd" in ran.err and ran.err.count("\n") == 1


# ---- the reason


def test_the_reason_names_the_column_that_is_off() -> None:
    rng = np.random.default_rng(9)
    x = rng.standard_normal((5000, 4))
    x[:, 1] = x[:, 0] + 0.1 * rng.standard_normal(5000)  # one goes with the other
    centres, whiten = fitting.cloud(x, np.zeros(5000, np.int64), 1)
    space = Space(centres, whiten, 4.0, 10.0)
    column, expected, given = space.strangest(np.array([0.0, 0.0, 9.0, 0.0]), 0)
    assert (column, given) == (2, False) and expected == pytest.approx(0, abs=0.1)
    column, expected, given = space.strangest(np.array([1.0, -1.0, 0.0, 0.0]), 0)  # neither is far by itself
    assert column in (0, 1) and given and expected == pytest.approx(1.0 if column else -1.0, abs=0.1)


# ---- through the model


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    return load_model(trained.run)


@pytest.fixture(scope="module")
def records(trained: Trained) -> list[Record]:
    return [read_record(path) for path in sorted(trained.unseen.glob("*.mat"))]


def foreign(record: Record) -> Record:
    """Another machine: noise with resonances elsewhere, at the level of the record."""
    rng = np.random.default_rng(10)
    x = scipy.signal.lfilter(
        [1.0],
        np.poly(np.array([0.97 * np.exp(2.3j), 0.97 * np.exp(-2.3j)])).real,
        rng.standard_normal(record.signal.shape),
    )
    return replace(record, signal=(x / x.std() * record.signal.std()).astype(np.float32))


def test_unseen_specimens_and_noise_of_the_trained_kind_are_familiar(model: Model, records: list[Record]) -> None:
    rng = np.random.default_rng(11)
    plain = [model.diagnose(r).status for r in records]
    noisy = [
        model.diagnose(replace(r, signal=add_noise(r.signal, kind="gaussian", snr_db=3.0, rng=rng))).status
        for r in records
    ]
    assert plain.count("unfamiliar") <= 1 and noisy.count("unfamiliar") <= 1
    found = model.diagnose(records[0])
    assert found.familiarity is not None and found.familiarity["nearest"] in model.classes
    # too few specimens were left out of the training for a set: it says so, and gives none
    assert found.conformal_set is None and model.info["familiarity"]["conformal"]["unit"] == "specimen"
    assert any("needs 9 specimens or more" in said for said in text.limits(found, model_info=model.info))
    assert model._familiar is not None
    model._familiar = replace(given := model._familiar, least_probability=0.1)
    sure, model._familiar = model.diagnose(records[0]), given
    assert sure.conformal_set and set(sure.conformal_set) <= set(model.classes)


def test_another_machine_gets_no_verdict_and_a_reason(model: Model, records: list[Record]) -> None:
    for found in (
        model.diagnose(foreign(records[0])),
        model.diagnose(replace(records[0], sampling_rate_hz=1.5 * records[0].sampling_rate_hz)),
    ):
        assert (found.status, found.verdict, found.fault, found.conformal_set) == ("unfamiliar", None, None, None)
        seen: Mapping[str, Any] = found.familiarity or {}
        assert any(seen[k]["distance"] > seen[k]["limit"] for k in ("statistics", "features"))
        assert seen["reason"] and "\n" not in seen["reason"] and "Hz is" in seen["reason"]
        assert outcome([found], ["unfamiliar"]) == 3 and outcome([found], ["fault", "undecided"]) == 0
        schema = diagnosis_schema()
        document = json.loads(to_json(found))
        validate(document, schema, schema)
        assert document["familiarity"]["reason"] == seen["reason"] and "conformal_set" not in document
        assert seen["reason"] in text.one_line(found) and seen["reason"] in text.sentence(found)
        page = html.render(found, model_info=model.info)
        assert "Likeness to the training records" in page and "what is off" in page
        assert "No verdict" in page


def test_who_asks_for_a_verdict_whatever_the_doubts_gets_one(model: Model, records: list[Record]) -> None:
    found = model.diagnose(foreign(records[0]), min_confidence=0)
    assert found.status == "diagnosed" and found.verdict in model.classes and found.conformal_set is None
    assert any(w.startswith("it is unlike the training records: ") for w in found.warnings)
    assert found.familiarity is not None and found.familiarity["unfamiliar"]


def test_a_model_of_before_diagnoses_as_before(trained: Trained, records: list[Record], tmp_path: Path) -> None:
    old = load_model(model_with(trained.run, tmp_path / "old", familiarity=None))
    found = old.diagnose(foreign(records[0]))
    assert found.status != "unfamiliar" and found.familiarity is None and found.conformal_set is None
    assert not {"familiarity", "conformal_set"} & set(to_dict(found))
    assert any("was not assessed" in line for line in text.limits(found, model_info=old.info))
    new = load_model(trained.run)
    for record in records[:4]:
        a, b = old.diagnose(record), new.diagnose(record)
        assert a.probabilities == b.probabilities and a.confidence == b.confidence


def test_an_offset_that_training_never_had_keeps_the_all_clear_back(
    trained: Trained, model: Model, records: list[Record], tmp_path: Path
) -> None:
    verdict = model.diagnose(records[0], min_confidence=0).verdict
    kind = load_model(model_with(trained.run, tmp_path / "kind", healthy=[verdict]))  # to it, that class is healthy
    assert kind.diagnose(records[0], min_confidence=0.01).fault is False
    for times, status in ((0.5, "diagnosed"), (5.0, "undecided")):
        x = records[0].signal + np.float32(times * records[0].signal.std())
        found = kind.diagnose(replace(records[0], signal=x), min_confidence=0.01)
        assert found.status == status
        assert any("offset" in w and "no all-clear" in w for w in found.warnings) == (times > 1)


def test_the_features_are_those_of_the_run_that_gives_the_probabilities(trained: Trained) -> None:
    network = Network.open(trained.run)
    x = coloured(70)
    p, features = network.outputs(x)
    np.testing.assert_array_equal(p, network.probabilities(x))
    assert features is not None and features.shape == (70, network.width) and (features >= 0).all()


def test_the_command_line_stops_on_what_it_does_not_know(trained: Trained, tmp_path: Path) -> None:
    x = np.random.default_rng(12).standard_normal(40_000)
    np.savetxt(tmp_path / "a.csv", np.convolve(x, np.cos(2.3 * np.arange(60)) * 0.95 ** np.arange(60), "same"))
    options = ("--model", trained.run, "--sampling-rate", "12000")
    ran = faultdx("diagnose", "a.csv", *options, "--json", "--fail-on", "unfamiliar", cwd=tmp_path)
    (found,) = ran.objects
    assert ran.code == 3 and found["status"] == "unfamiliar" and found["fault"] is None
    assert faultdx_here("diagnose", "a.csv", *options, "--fail-on", "fault", cwd=tmp_path).code == 0


def test_the_card_says_what_the_limits_rest_on_and_keeps_the_numbers_out(model: Model) -> None:
    said = card.model_card(model.info)
    assert "familiarity, limits from, records" in said and "conformal set, why not" in said
    assert "whiten" not in said and "centres" not in said
    few = card.model_card({**model.info, "familiarity": {"assessed": False, "why": "too few"}})
    assert "not assessed: too few" in few
