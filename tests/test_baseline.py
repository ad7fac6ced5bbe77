"""A machine's own limits: bands, prediction limits, what a change comes to, the file, the commands and the page."""

from __future__ import annotations

import json
import math
import wave
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_refused, faultdx_here, validate
from scipy import signal as oracle
from scipy import stats

from faultdx.baseline import Baseline, baseline_alone, fit, with_baseline
from faultdx.baseline_file import baseline_from, is_baseline, load, save
from faultdx.deviations import SCATTER, finding
from faultdx.diagnosis import Diagnosis, reached
from faultdx.errors import ConfigError, OutputError, RecordError
from faultdx.records.record import Record
from faultdx.references import refer
from faultdx.report import baseline as page
from faultdx.report import compared
from faultdx.report.document import to_dict
from faultdx.report.html import render
from faultdx.signals.bands import band_edges, band_levels, total_db
from faultdx.signals.quality import Check
from faultdx.signals.tolerance import prediction_limits, student_t_cdf, student_t_quantile
from faultdx.untrained import Untrained

RATE = 12_000.0
BEARING = "9,7.94,39.04"


def machine(seed: int, *, knocks: float = 0.0, gain: float = 1.0, seconds: float = 4.0, **facts: Any) -> Record:
    """A machine on paper: shaft lines at 30 Hz, noise through two resonances, and `knocks` that ring at 3.2 kHz."""
    rng, n = np.random.default_rng(seed), int(seconds * RATE)
    t, f = np.arange(n) / RATE, np.fft.rfftfreq(n, 1 / RATE)
    shape = 0.05 + np.exp(-(((f - 900) / 250) ** 2)) + 0.4 * np.exp(-(((f - 2500) / 300) ** 2))
    x = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * shape, n)
    x += 0.3 * np.sin(2 * np.pi * 30 * t + rng.uniform(0, 6)) + 0.1 * np.sin(2 * np.pi * 60 * t)
    if knocks:
        at = np.arange(rng.uniform(0, 0.01), seconds - 0.02, 1 / (30 * 3.5848 * (1 + 0.005 * rng.normal())))
        ring = np.exp(-np.arange(240) / 30) * np.sin(2 * np.pi * 3200 * np.arange(240) / RATE)
        at += rng.normal(scale=4e-4, size=at.size)  # rolling elements slip: without that a comb as of a shaft
        for start in (at.clip(0) * RATE).astype(int):
            x[start : start + 240] += knocks * ring
    known: dict[str, Any] = {
        "rpm": 1800.0,
        "channels": ("DE",),
        "unit": "g",
        "path": f"{seed}.mat",
        "sha256": f"{seed:064x}",
    }
    return Record(signal=(gain * x).astype(np.float32), sampling_rate_hz=RATE, **(known | facts))


@pytest.fixture(scope="module")
def one() -> Baseline:
    """The baseline of one healthy recording."""
    return fit([machine(1)])[0]


@pytest.fixture(scope="module")
def six() -> Baseline:
    """The baseline of six healthy recordings."""
    return fit([machine(seed) for seed in range(1, 7)])[0]


# ---- bands


def test_bands_are_octaves_below_and_thirds_above_and_the_same_at_every_rate() -> None:
    edges = band_edges(RATE)
    assert edges[1:, 0] == pytest.approx(edges[:-1, 1])  # none is missing between two
    octaves = np.log2(edges[:, 1] / edges[:, 0])
    assert octaves == pytest.approx([1.0] * 4 + [1 / 3] * (len(edges) - 4))
    assert edges[-1, 1] <= RATE / 2.56 < edges[-1, 1] * 2 ** (1 / 3)
    assert np.array_equal(band_edges(48_000.0)[: len(edges)], edges)
    assert any(math.isclose(math.sqrt(low * high), 1000) for low, high in edges)
    with pytest.raises(RecordError, match="no whole band"):
        band_edges(100.0)


def test_a_sine_reads_its_mean_square_in_its_band_and_nowhere_else() -> None:
    found = band_levels(3.0 * np.sin(2 * np.pi * 1000 * np.arange(24_000) / RATE), sampling_rate_hz=RATE)
    band = int(np.flatnonzero((found.edges_hz[:, 0] < 1000) & (found.edges_hz[:, 1] > 1000))[0])
    assert found.level_db[band] == pytest.approx(10 * math.log10(4.5), abs=0.01)
    assert np.delete(found.level_db, band).max() < found.level_db[band] - 60
    assert found.rms_db == pytest.approx(10 * math.log10(4.5), abs=0.01)
    assert found.kurtosis == pytest.approx(1.5, abs=0.01)
    assert found.crest_db == pytest.approx(10 * math.log10(2), abs=0.01)
    assert found.spread_db[band] < 0.01


def test_band_levels_are_those_of_welchs_method() -> None:
    x = machine(3).signal[0]
    found = band_levels(x, sampling_rate_hz=RATE)
    block = round(RATE / 4)
    f, density = oracle.welch(x, RATE, nperseg=block, noverlap=block - block // 2, detrend="constant")
    for (low, high), level in zip(found.edges_hz, found.level_db, strict=True):
        expected = density[(f >= low) & (f < high)].sum() * (f[1] - f[0])
        assert level == pytest.approx(10 * math.log10(expected), abs=0.02)
    assert total_db([0.0, 0.0]) == pytest.approx(10 * math.log10(2))


def test_the_windows_are_of_a_second_and_four_at_least() -> None:
    noise = np.random.default_rng(1).normal(size=240_000)
    counts = [band_levels(noise[: int(s * RATE)], sampling_rate_hz=RATE).windows for s in (1.0, 4.2, 20.0)]
    assert counts == [4, 4, 20]


def test_gain_moves_all_bands_by_the_same_and_no_shape() -> None:
    x = machine(3).signal[0]
    a, b = (band_levels(k * x, sampling_rate_hz=RATE) for k in (1.0, 10.0))
    assert b.level_db - a.level_db == pytest.approx(20.0, abs=1e-3)
    assert (b.kurtosis, b.crest_db) == pytest.approx((a.kurtosis, a.crest_db), rel=1e-4)


@pytest.mark.parametrize(
    "x", [np.zeros(12_000), np.full(12_000, 3.0), np.ones(6000), np.full(12_000, np.nan), np.ones((2, 9000)), ["a"]]
)
def test_what_has_no_levels_is_refused(x: Any) -> None:
    with pytest.raises(RecordError):
        band_levels(np.asarray(x), sampling_rate_hz=RATE)


# ---- limits


@pytest.mark.parametrize("df", [1.0, 2.4, 12.0, 45.5, 1000.0])
def test_students_t_is_that_of_scipy(df: float) -> None:
    for upper in (0.5, 0.3, 0.025, 1e-3, 1e-5, 1e-8):
        assert student_t_quantile(upper, df) == pytest.approx(stats.t.isf(upper, df), rel=1e-7, abs=1e-9)
    for t in (-30.0, -1.0, 0.0, 0.2, 4.0):
        assert student_t_cdf(t, df) == pytest.approx(stats.t.cdf(t, df), rel=1e-9)
    with pytest.raises(ConfigError):
        student_t_quantile(0.7, df)


def test_with_one_recording_the_limit_is_that_of_what_is_taken_for_granted() -> None:
    found = prediction_limits(np.array([[5.0, 7.0]]), np.array([1.0, 2.0]), false_alarms=0.05)
    t = stats.t.isf(0.05 / 4, 12)  # two figures, two sides
    assert found.centre == pytest.approx([5.0, 7.0])
    assert found.half_width == pytest.approx([t * math.sqrt(2), 2 * t * math.sqrt(2)])


def test_with_many_recordings_the_limit_is_the_machines_own() -> None:
    rng = np.random.default_rng(3)
    for scatter in (0.2, 3.0):
        found = prediction_limits(scatter * rng.normal(size=(2000, 6)), np.ones(6), false_alarms=0.05)
        plain = scatter * stats.norm.isf(0.05 / 12)  # of a prediction interval, for n without end
        assert found.half_width == pytest.approx([plain] * 6, rel=0.15)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("scatter", [0.4, 1.0])
def test_false_alarms_are_no_more_than_stated(n: int, scatter: float) -> None:
    rng, m, alarms = np.random.default_rng(n), 18, 0
    mixed = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(m), np.arange(m))))
    for _ in range(200):
        x = scatter * rng.normal(size=(n + 1, m)) @ mixed.T
        found = prediction_limits(x[:n], np.ones(m), false_alarms=0.1)
        alarms += bool((np.abs(x[n] - found.centre) > found.half_width).any())
    assert alarms / 200 <= 0.1


def test_one_recording_in_the_wrong_place_moves_no_limit_far() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(8, 10))
    spoilt = x.copy()
    spoilt[3] += 40.0
    a, b = (prediction_limits(v, np.ones(10), false_alarms=0.05) for v in (x, spoilt))
    assert np.abs(b.centre - a.centre).max() < 1.5
    assert (b.half_width / a.half_width).max() < 2


def test_two_recordings_that_differ_widen_the_limits() -> None:
    near, far = (prediction_limits(np.array([[0.0] * 9, [d] * 9]), np.ones(9), false_alarms=0.05) for d in (0.0, 8.0))
    assert (far.half_width > 1.5 * near.half_width).all()
    assert near.scale < 1 < far.scale


# ---- comparing


def test_another_healthy_recording_is_unchanged(one: Baseline, six: Baseline) -> None:
    for baseline in (one, six):
        found = baseline.compare(machine(40))
        assert (found.verdict, found.fault, found.gain) == ("unchanged", False, False)
        assert found.worst is not None
        assert abs(found.worst.times_limit) < 1
    assert np.mean([d.limit for d in six.compare(machine(40)).deviations]) < np.mean(
        [d.limit for d in one.compare(machine(40)).deviations]
    )


def test_knocks_are_a_change_and_a_fault_where_they_ring(one: Baseline) -> None:
    found = one.compare(machine(41, knocks=3.0))
    assert (found.verdict, found.fault, found.gain) == ("changed", True, False)
    louder = [d for d in found.deviations if d.kind == "band" and d.times_limit > 1]
    assert any(d.band_hz and d.band_hz[0] < 3200 < d.band_hz[1] for d in louder)
    assert not any(d.band_hz and d.band_hz[1] < 1000 for d in louder)
    assert "3564" in found.reasons[0]  # of the band where it is loudest


@pytest.mark.parametrize("gain", [0.02, 50.0])
def test_another_gain_is_a_change_and_no_fault(one: Baseline, gain: float) -> None:
    found = one.compare(machine(42, gain=gain))
    assert (found.changed, found.fault, found.gain) == (True, False, True)
    assert found.gain_db == pytest.approx(20 * math.log10(gain), abs=1)
    assert "gain" in found.reasons[0]


def test_another_gain_hides_no_knocks(one: Baseline) -> None:
    found = one.compare(machine(43, gain=30.0, knocks=3.0))
    assert (found.changed, found.fault, found.gain) == (True, True, False)


def test_a_machine_that_became_quieter_has_changed_and_no_fault() -> None:
    found = fit([machine(1, knocks=3.0)])[0].compare(machine(44))
    assert (found.changed, found.fault) == (True, False)


def test_a_rise_below_six_db_is_a_change_at_most(six: Baseline) -> None:
    found = six.compare(machine(45))
    band = next(d for d in found.deviations if d.kind == "band")
    for rise, fault in ((5.9, False), (6.1, True)):
        up = replace(band, deviation=rise, limit=1.0)
        others = [replace(d, deviation=0.0) for d in found.deviations if d.kind == "band"]
        assert finding([up, *others])[:2] == (True, fault)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rpm": 900.0}, "no baseline at this speed"),
        ({"rpm": 1910.0}, "no baseline at this speed"),
        ({"asset": "fan-2"}, "that of pump-7"),
        ({"unit": "m/s2"}, "is in g"),
        ({"channels": ("FE",)}, "choose with --channel"),
        ({"signal": np.zeros((1, 48_000))}, "zero"),
        ({"signal": np.ones((1, 600))}, "too short"),
    ],
)
def test_what_cannot_be_compared_is_said(changes: dict[str, Any], why: str) -> None:
    baseline, _ = fit([machine(1, asset="pump-7")])
    found = baseline.compare(machine(2).with_(**changes))
    assert found.verdict == "not_compared"
    assert why in str(found.obstacle)
    assert found.to_dict()["obstacle"]


def test_a_speed_within_five_percent_is_the_same_and_several_speeds_are_kept_apart() -> None:
    slow = [machine(seed, rpm=900.0, gain=0.2) for seed in (1, 2)]
    baseline, _ = fit([*slow, machine(3), machine(4, rpm=1750.0)])
    assert baseline.compare(machine(5, rpm=1790.0)).records == 2
    assert baseline.compare(machine(5, rpm=910.0, gain=0.2)).rpm == 900.0
    assert "--rpm" in str(baseline.compare(machine(5, rpm=None)).obstacle)


def test_without_any_speed_it_is_compared_and_that_is_said(one: Baseline) -> None:
    assert any("speed is not known" in note for note in one.compare(machine(5, rpm=None)).notes)
    unknown, _ = fit([machine(1, rpm=None)])
    assert unknown.compare(machine(5)).notes


def test_the_recordings_of_the_same_load_are_taken_and_another_load_gets_wider_limits() -> None:
    baseline, _ = fit([machine(1, condition="0 kW"), machine(2, condition="5 kW")])
    same, other = (baseline.compare(machine(5, condition=c)) for c in ("5 kW", "9 kW"))
    assert (same.records, same.same_load, other.records, other.same_load) == (1, True, 2, False)
    nobody = baseline.compare(machine(5))
    assert nobody.same_load is None
    limit = [next(d.limit for d in c.deviations if d.kind == "level") for c in (same, other)]
    assert limit[1] > limit[0]
    assert any("no baseline at its load" in note for note in other.notes)


def test_recordings_of_different_rates_share_their_bands(one: Baseline) -> None:
    x = oracle.resample_poly(machine(6).signal[0].astype(float), 4, 1)
    found = one.compare(machine(6).with_(signal=x, sampling_rate_hz=4 * RATE))
    assert {d.kind for d in found.deviations} == {"level", "band"}
    assert not found.changed
    assert any("sampling rates differ" in note for note in found.notes)


def test_the_bearings_lines_are_compared_where_it_is_named() -> None:
    named = {"details": {"bearing": BEARING}}
    baseline, _ = fit([machine(1, seconds=6.0, **named)])
    assert baseline.bearing == BEARING
    found = baseline.compare(machine(41, knocks=3.0, seconds=6.0))
    lines = {d.place: d for d in found.deviations if d.kind == "lines"}
    assert lines["outer_race"].times_limit > 1
    assert max(lines.values(), key=lambda d: d.deviation).place == "outer_race"


def test_false_alarms_are_shared_by_all_channels(one: Baseline) -> None:
    two = machine(1).with_(signal=np.vstack([machine(1).signal, machine(2).signal]), channels=("DE", "FE"))
    both, _ = fit([two])
    limit = [
        max(d.limit for d in b.compare(r).deviations if d.channel == "DE") for b, r in ((both, two), (one, machine(1)))
    ]
    assert limit[0] > limit[1]
    assert both.compare(machine(9)).records == 1


# ---- fitting


def test_what_makes_no_baseline_is_refused() -> None:
    for records, why in (
        ([], "1 to"),
        ([machine(1), machine(1)], "same recording"),
        ([machine(1, asset="a"), machine(2, asset="b")], "more than one machine"),
        ([machine(1), machine(2, unit="m/s2")], "more than one unit"),
    ):
        with pytest.raises(ConfigError, match=why):
            fit(records)
    for rate in (0.0, 0.6, math.nan):
        with pytest.raises(ConfigError, match="false alarms"):
            fit([machine(1)], false_alarms=rate)


def test_a_faulty_recording_among_the_healthy_ones_is_named() -> None:
    _, said = fit([machine(1), machine(2), machine(3), machine(7, knocks=4.0), machine(5), machine(6)])
    assert [line.split(":")[0] for line in said] == ["7.mat"]
    assert fit([machine(seed) for seed in range(1, 6)])[1] == ()


# ---- the file


def test_a_baseline_comes_back_as_it_was(six: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "pump.json"
    save(six, path)
    back = load(path)
    assert back.digest == six.digest
    for a, b in zip(back.compare(machine(9)).deviations, six.compare(machine(9)).deviations, strict=True):
        assert (a.now, a.limit) == (pytest.approx(b.now, rel=1e-4), pytest.approx(b.limit, rel=1e-3))
    assert is_baseline(path)
    with pytest.raises(OutputError, match="--overwrite"):
        save(six, path)
    schema = json.loads(resources.files("faultdx").joinpath("schema", "baseline-1.json").read_text("utf-8"))
    validate(json.loads(path.read_text("utf-8")), schema, schema)


def _changed(content: dict[str, Any], *path: str | int, value: Any) -> str:
    spot: Any = content
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(content)


CHANNEL = ("records", 0, "channels", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "faultdx.baseline/9"),
        (("schema",), "x"),
        (("digest",), "0" * 64),
        (("asset",), "another"),
        (("false_alarms",), 0.9),
        (("bearing",), "no such bearing"),
        (("records",), []),
        (("records",), [{}] * 1001),
        (("records", 0, "rpm"), -5),
        (("records", 0, "sampling_rate_hz"), 1e300),
        (("records", 0, "file"), "a\nb"),
        (("records", 0, "channels"), []),
        ((*CHANNEL, "level_db"), [0.0] * 3),
        ((*CHANNEL, "level_db"), "0"),
        ((*CHANNEL, "level_db", 0), float("nan")),
        ((*CHANNEL, "level_db", 0), 1e999),
        ((*CHANNEL, "level_db", 0), True),
        ((*CHANNEL, "spread_db", 0), -1.0),
        ((*CHANNEL, "kurtosis"), None),
        ((*CHANNEL, "kurtosis"), 10**400),
        ((*CHANNEL, "windows"), 10**30),
        ((*CHANNEL, "lines"), {"everything": 1}),
    ],
)
def test_a_baseline_that_cannot_be_is_refused_in_a_line(
    one: Baseline, tmp_path: Path, path: tuple[str | int, ...], value: Any
) -> None:
    hostile = tmp_path / "hostile.json"
    hostile.write_text(_changed({**one.to_dict(), "digest": one.digest}, *path, value=value), "utf-8")
    with pytest.raises(ConfigError) as error:
        load(hostile)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(hostile))
    assert len(str(error.value)) < len(str(hostile)) + 240


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":' + b"[" * 100_000,
        b"[" * 100_000,
        b"\xff\xfe{}",
        b'{"schema": 1e99999}',
        b"1" * 10_000,
        b"null",
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="no baseline"):
        load(path)


def test_a_file_larger_than_any_baseline_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="is larger than any"):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.json")


# ---- the verdict


def test_the_baseline_alone_gives_changed_and_unchanged(one: Baseline) -> None:
    asked = Untrained(baseline=one)
    same, worse, louder = (asked.diagnose(r) for r in (machine(50), machine(51, knocks=3.0), machine(52, gain=50.0)))
    assert [(d.status, d.verdict, d.fault) for d in (same, worse, louder)] == [
        ("diagnosed", "unchanged", None),
        ("diagnosed", "changed", True),
        ("diagnosed", "changed", None),
    ]
    assert reached(worse, {"fault"})
    assert not reached(louder, {"fault"})
    assert reached(louder, {"changed"})
    schema = json.loads(resources.files("faultdx").joinpath("schema", "diagnosis-1.json").read_text("utf-8"))
    for found in (same, worse, louder, asked.diagnose(machine(53, rpm=600.0))):
        validate(to_dict(found), schema, schema)
    assert asked.diagnose(machine(53, rpm=600.0)).status == "unusable"
    assert asked.digest != Untrained().digest


def test_beside_the_bearings_lines_a_change_is_a_fault_that_has_no_place(one: Baseline) -> None:
    def physics(verdict: str | None, *, fault: bool | None) -> Diagnosis:
        return Diagnosis("x", "", "diagnosed" if verdict else "undecided", verdict=verdict, fault=fault)

    worse, same = machine(51, knocks=3.0), machine(50)
    silent = with_baseline(physics("no_evidence", fault=None), worse, one)
    assert (silent.verdict, silent.fault) == ("changed", True)
    unable = with_baseline(physics(None, fault=None), worse, one)
    assert (unable.status, unable.verdict, unable.fault) == ("diagnosed", "changed", True)
    located = with_baseline(physics("outer_race", fault=True), same, one)
    assert (located.verdict, located.fault) == ("outer_race", True)
    assert any("too wide to tell" in warning for warning in located.warnings)
    assert with_baseline(physics("no_evidence", fault=None), same, one).verdict == "no_evidence"
    suspected = with_baseline(physics("tooth_damage_suspected", fault=None), worse, one)
    assert (suspected.verdict, suspected.fault) == ("tooth_damage_suspected", True)


def test_beside_a_network_a_change_takes_an_all_clear_away_and_no_fault(one: Baseline) -> None:
    def network(verdict: str | None, *, fault: bool | None) -> Diagnosis:
        status = "diagnosed" if verdict else "undecided"
        return Diagnosis("x", "", status, verdict=verdict, fault=fault, confidence=0.9)

    worse, louder, same = machine(51, knocks=3.0), machine(52, gain=50.0), machine(50)
    healthy = with_baseline(network("normal", fault=False), worse, one)
    assert (healthy.status, healthy.verdict, healthy.fault) == ("undecided", None, True)
    assert (with_baseline(network("normal", fault=False), louder, one)).fault is None
    assert with_baseline(network("normal", fault=False), same, one).fault is False
    assert with_baseline(network("normal", fault=False), worse, one, insists=True).verdict == "normal"
    assert with_baseline(network("ball", fault=True), same, one).verdict == "ball"
    assert with_baseline(network(None, fault=None), worse, one).fault is True
    assert with_baseline(network("normal", fault=False), machine(5, rpm=600.0), one).fault is False


def test_where_the_speed_is_in_doubt_a_change_says_so(one: Baseline) -> None:
    doubted = Diagnosis("x", "", "undecided", quality=(Check("speed", 0.5, 0.03, "warn", "another speed"),))
    found = baseline_alone(doubted, machine(51, knocks=3.0), one)
    assert (found.verdict, found.fault) == ("changed", True)
    assert any("doubt" in warning for warning in found.warnings)


# ---- the commands


def write(path: Path, record: Record) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, int(RATE), 0, "NONE", ""))
        x = record.signal[0] / 32.0
        file.writeframes((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A folder with h1 to h3 (healthy), same and bad."""
    for name, record in {
        "h1": machine(1),
        "h2": machine(2),
        "h3": machine(3),
        "same": machine(4),
        "bad": machine(5, knocks=3.0),
    }.items():
        write(tmp_path / f"{name}.wav", record)
    return tmp_path


def test_baseline_and_diagnose_as_a_user_calls_them(spool: Path) -> None:
    made = faultdx_here(
        "baseline", "h1.wav", "h2.wav", "h3.wav", "--rpm", "1800", "--asset", "p7", "--out", "b.json", cwd=spool
    )
    assert (made.code, made.out.strip()) == (0, "b.json")
    assert "3 healthy recordings of p7" in made.err
    ran = faultdx_here(
        "diagnose",
        "same.wav",
        "bad.wav",
        "--rpm",
        "1800",
        "--baseline",
        "b.json",
        "--json",
        "--fail-on",
        "fault",
        cwd=spool,
    )
    assert ran.code == 3
    same, bad = (json.loads(line) for line in ran.out.splitlines())
    assert (same["verdict"], same["fault"], bad["verdict"], bad["fault"]) == ("unchanged", None, "changed", True)
    assert bad["evidence"]["baseline"]["digest"] == load(spool / "b.json").digest
    assert bad["evidence"]["baseline"]["records"] == 3
    assert_refused(faultdx_here("baseline", "h1.wav", "--out", "b.json", cwd=spool), 5, "--overwrite")
    quiet = faultdx_here("baseline", "h1.wav", "--rpm", "1800", "--out", "c.json", "--quiet", cwd=spool)
    assert (quiet.out, quiet.err) == ("c.json\n", "")


def test_healthy_recordings_do_for_a_baseline_and_more_processes_say_the_same(spool: Path) -> None:
    call = (
        "diagnose",
        "same.wav",
        "bad.wav",
        "--rpm",
        "1800",
        "--baseline",
        "h1.wav",
        "--baseline",
        "h2.wav",
        "--json",
    )
    one, two = faultdx_here(*call, cwd=spool), faultdx_here(*call, "--jobs", "2", cwd=spool)
    answers = [[{**json.loads(line), "elapsed_s": 0} for line in ran.out.splitlines()] for ran in (one, two)]
    assert answers[0] == answers[1]
    assert [a["verdict"] for a in answers[0]] == ["unchanged", "changed"]


def test_what_the_user_gets_wrong_is_said_in_a_line(spool: Path) -> None:
    def run(*words: str) -> Any:
        return faultdx_here(*words, cwd=spool)

    assert_refused(run("baseline", "--out", "b.json"), 2, "no healthy recordings")
    assert_refused(run("baseline", "h1.wav"), 2, "--out")
    assert_refused(run("baseline", "h1.wav", "--out", "b.json", "--false-alarms", "2"), 2, "false alarms")
    assert_refused(run("baseline", "h1.wav", "--out", "b.json", "--bearing", "nonsense"), 2, "nonsense")
    assert_refused(run("diagnose", "bad.wav", "--baseline", "none.wav"), 2, "none.wav")
    (spool / "text.json").write_text('{"a": 1}', "utf-8")
    assert_refused(run("diagnose", "bad.wav", "--baseline", "text.json"), 2, "no baseline")
    assert_refused(run("diagnose", "bad.wav", "--baseline", "text.json", "--baseline", "h1.wav"), 2, "not both")
    (spool / "rubbish.wav").write_bytes(b"RIFF")
    some = run("baseline", "h1.wav", "rubbish.wav", "--out", "b.json")
    assert (some.code, some.out) == (4, "b.json\n")
    assert "rubbish.wav" in some.err
    assert len(load(spool / "b.json").references) == 1
    none = run("baseline", "rubbish.wav", "--out", "d.json")
    assert (none.code, none.out) == (4, "")
    assert not (spool / "d.json").exists()


def test_a_signal_that_is_unfit_is_no_baseline(spool: Path) -> None:
    from faultdx.records import Declared, find_records

    write(spool / "dead.wav", machine(1).with_(signal=np.zeros((1, 48_000))))
    items = find_records([str(spool / "dead.wav")], flags=Declared())
    found, _, refused = baseline_from(items)
    assert found is None
    assert "dead.wav" in str(refused[0])


# ---- the page


def test_the_section_shows_the_bands_and_what_is_beyond(one: Baseline) -> None:
    found = Untrained(baseline=one).diagnose(machine(51, knocks=3.0))
    html = page.section(found)
    assert html.count("<svg") == 1
    assert "<b>2828-3564 Hz</b>" in html
    assert one.digest in html
    assert html == page.section(found)
    assert html in render(found, model_info={})
    assert compared.headline(found)[0] == "bad"
    assert compared.headline(Untrained(baseline=one).diagnose(machine(50)))[0] == "doubt"
    assert compared.finding(found)
    mute = replace(found, verdict=None, status="undecided", confidence=0.4)
    assert compared.beside_undecided(mute)
    assert "no verdict" in compared.sentence_alone(mute)
    located = {**mute.evidence, "witness": {"verdict": "located"}}
    assert not compared.beside_undecided(replace(mute, evidence=located))
    assert page.section(replace(found, evidence={})) == ""


def test_names_from_outside_are_harmless_on_the_page() -> None:
    evil = '<script>"&\u202e'
    baseline, _ = fit([machine(1, asset=evil, condition=evil, channels=(evil,))])
    found = Untrained(baseline=baseline).diagnose(machine(51, knocks=3.0, asset=evil, condition=evil, channels=(evil,)))
    html = page.section(found)
    assert "<script" not in html
    assert "\u202e" not in html
    nothing = page.section(replace(found, evidence={"baseline": {"obstacle": evil, "verdict": "not_compared"}}))
    assert "<script" not in nothing


def test_many_channels_and_odd_evidence_make_a_small_section(one: Baseline) -> None:
    wide = np.vstack([machine(seed).signal for seed in range(12)])
    names = tuple(f"channel {i}" for i in range(12))
    baseline, _ = fit([machine(1).with_(signal=wide, channels=names)])
    found = Untrained(baseline=baseline).diagnose(machine(2).with_(signal=wide * 3, channels=names))
    assert len(page.section(found)) < 120_000


# ---- real recordings


@pytest.mark.real_data
def test_one_healthy_recording_of_a_rig_shows_its_faults(real_data: Path) -> None:
    from faultdx.records import read_record

    baseline, _ = fit([read_record(real_data / "cwru" / "97.mat", channels=("DE",))])
    for number in ("105", "118", "130", "197", "200", "222"):
        assert baseline.compare(read_record(real_data / "cwru" / f"{number}.mat", channels=("DE",))).fault, number
    other = read_record(
        real_data / "cwru_odd" / "99_2hp_first121155_DE_FE.csv", channels=("DE",), sampling_rate_hz=48e3, rpm=1749.3
    )
    assert not baseline.compare(other).changed


def test_the_scatter_taken_for_granted_is_never_less_at_another_load() -> None:
    assert all(0 < same <= other for same, other in SCATTER.values())
    assert refer(machine(1)).channel("de") is not None
