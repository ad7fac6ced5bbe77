"""Speeds that nobody stated: known combs are found, multiples told apart, and nothing is made of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from faultdx.errors import ConfigError, RecordError
from faultdx.records import read_record
from faultdx.records.record import Record
from faultdx.report.document import to_dict
from faultdx.report.html import render
from faultdx.report.text import one_line
from faultdx.signals import candidates
from faultdx.signals.bearings import bearing
from faultdx.signals.candidates import speed_candidates
from faultdx.simulation.rig import simulate
from faultdx.testimony import known_bearing
from faultdx.unstated import known_range, offered, sentence, speed_offer, worth_naming
from faultdx.untrained import Untrained

RATE = 12_000.0
Array = npt.NDArray[np.float64]
SKF_6205 = bearing("6205-2RS JEM").geometry


def shaft(rpm: float, *, seconds: float = 6.0, amplitude: float = 0.1, orders: range = range(1, 14)) -> Array:
    """Lines at multiples of a shaft's rate, and noise at 4 kHz that swells with the shaft."""
    rng = np.random.default_rng(round(rpm * 10))
    t = np.arange(round(seconds * RATE)) / RATE
    lines = sum(amplitude * np.sin(2 * np.pi * k * rpm / 60 * t + rng.uniform(0, 6.3)) for k in orders)
    return np.asarray(lines + rng.standard_normal(t.size))


def blows(rpm: float, order: float, *, seconds: float = 6.0) -> Array:
    """A resonance at 3 kHz that rings `order` times a turn."""
    x = np.zeros(round(seconds * RATE))
    ring = np.exp(-np.arange(100) / 20) * np.sin(2 * np.pi * 3000 * np.arange(100) / RATE)
    for at in np.arange(0.01, seconds - 0.05, 60 / (rpm * order)):
        x[round(at * RATE) : round(at * RATE) + 100] += 6 * ring
    return x


@pytest.mark.parametrize("rpm", [437.3, 873.1, 1796.4, 2951.2])
def test_the_first_candidate_is_the_shaft_where_it_alone_is_there(rpm: float) -> None:
    found = speed_candidates(shaft(rpm), sampling_rate_hz=RATE)
    assert found.candidates[0].rpm == pytest.approx(rpm, rel=0.001)
    assert found.certainty > 0.5 and found.candidates[0].harmonics == 12
    shares = [c.share for c in found.candidates]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1


@pytest.mark.parametrize("step", [2, 3])
def test_a_comb_of_every_second_line_is_not_taken_for_half_the_speed(step: int) -> None:
    found = speed_candidates(shaft(900.0, orders=range(step, 40, step)), sampling_rate_hz=RATE)
    assert found.candidates[0].rpm == pytest.approx(step * 900.0, rel=0.002)


def test_noise_has_no_speed_that_is_worth_naming() -> None:
    rng = np.random.default_rng(8)
    for _ in range(12):
        assert speed_candidates(rng.standard_normal(30_000), sampling_rate_hz=6000.0).certainty < 0.3


def test_a_range_leaves_only_what_lies_in_it() -> None:
    x = shaft(1796.4)
    found = speed_candidates(x, sampling_rate_hz=RATE, range_rpm=(1000.0, 3000.0))
    wide = speed_candidates(x, sampling_rate_hz=RATE)
    assert all(1000 <= c.rpm <= 3000 for c in found.candidates)
    assert found.certainty >= wide.certainty
    away = speed_candidates(x, sampling_rate_hz=RATE, range_rpm=(2000.0, 3000.0))
    assert away.certainty < 0.5 < wide.certainty


def test_the_bearings_own_comb_speaks_for_the_shaft_that_carries_it() -> None:
    x = shaft(1462.0, amplitude=0.06) + blows(1462.0, SKF_6205.bpfo)
    alone, known = (speed_candidates(x, sampling_rate_hz=RATE, bearing=b) for b in (None, SKF_6205))
    assert alone.candidates[0].rpm == pytest.approx(1462.0 * SKF_6205.bpfo, rel=0.002)  # the louder comb
    assert known.candidates[0].rpm == pytest.approx(1462.0, rel=0.002)
    assert known.candidates[0].bearing > 8 and all(c.bearing == 0 for c in alone.candidates)


@pytest.mark.parametrize("mains", candidates.MAINS_HZ)
def test_the_mains_are_no_shaft(mains: float) -> None:
    t = np.arange(round(6 * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * k * mains * t + k) for k in range(1, 13))
    found = speed_candidates(shaft(1462.0) + 3 * hum, sampling_rate_hz=RATE)
    assert found.candidates[0].rpm == pytest.approx(1462.0, rel=0.002)
    half = speed_candidates(shaft(30 * mains) + 3 * hum, sampling_rate_hz=RATE).candidates[0]
    assert half.rpm == pytest.approx(30 * mains, rel=0.002)  # its odd lines are its own


@pytest.mark.parametrize(
    "span", [(0.0, 100.0), (100.0, 100.0), (200.0, 100.0), (100.0, float("inf")), (float("nan"), 1.0)]
)
def test_an_impossible_range_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(ConfigError):
        speed_candidates(shaft(900.0, seconds=1.0), sampling_rate_hz=RATE, range_rpm=span)


def test_what_has_no_spectrum_has_no_candidates() -> None:
    for x in (np.zeros(8000), np.full(8000, 3.0), np.arange(100.0)):
        assert speed_candidates(x, sampling_rate_hz=RATE).candidates == ()
    with pytest.raises(RecordError):
        speed_candidates(np.array([["a"]]), sampling_rate_hz=RATE)
    with pytest.raises(RecordError):
        speed_candidates(np.where(np.arange(8000) == 5, np.nan, 1.0) * shaft(900.0)[:8000], sampling_rate_hz=RATE)
    assert speed_candidates(shaft(900.0, seconds=1), sampling_rate_hz=RATE, range_rpm=(9e5, 1e6)).candidates == ()


@pytest.mark.parametrize("text", ["", "1000", "1000-3000", "3000:1000", "x:y", "nan:3", "0:100", "1:2:3", "5:9e9"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        known_range(text)
    assert known_range(" 1000 : 3000 ") == (1000.0, 3000.0)


# ---- what is said of it


@pytest.fixture(scope="module")
def record() -> Record:
    found = next(r for r in simulate("bearing", specimens=1, seconds=5.0, seed=3) if r.label == "inner_race")
    comb = 0.4 * float(found.signal.std()) * shaft(found.rpm or 0.0, seconds=5.0, amplitude=0.2)
    rate = found.sampling_rate_hz
    comb = np.interp(np.arange(found.signal.shape[1]) / rate, np.arange(comb.size) / RATE, comb)
    return found.with_(signal=(found.signal + comb).astype(np.float32), details={})


def test_a_missing_speed_is_offered_and_not_gone_by(record: Record) -> None:
    found = Untrained(known_bearing("9,0.3126,1.537")).diagnose(record.with_(rpm=None))
    assert (found.status, found.verdict, found.rpm, found.witness) == ("unusable", None, None, None)
    told = to_dict(found)["evidence"]["speed"]
    assert told["stated"] is False and told["with_bearing"] is True and told["channel"]
    assert told["estimated"] == told["candidates"][0]["rpm"] == pytest.approx(record.rpm, rel=0.005)
    assert told["certainty"] == told["candidates"][0]["share"]
    assert "--rpm" in one_line(found) and f"{told['estimated']:.4g} rpm" in one_line(found)
    page = render(found, model_info={})
    assert "No speed was stated" in page and f"{told['estimated']:.5g} rpm" in page
    assert "stroke-dasharray: 0.7" not in page  # no mark goes by an estimate
    assert "speed" not in Untrained(known_bearing("9,0.3126,1.537")).diagnose(record).evidence


def test_a_range_in_the_table_is_heeded(record: Record) -> None:
    away = record.with_(rpm=None, details={"rpm_range": "4000:5000"})
    assert all(4000 <= c["rpm"] <= 5000 for c in speed_offer(away)["candidates"])
    assert speed_offer(record) == {} and speed_offer(record.with_(rpm=None, details={"rpm_range": "x"}))["candidates"]


def test_the_surest_channel_speaks(record: Record) -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(record.signal.shape[1]).astype(np.float32)
    both = record.with_(rpm=None, signal=np.stack([noise, record.signal[0]]), channels=("far", "near"))
    assert speed_offer(both)["channel"] == "near"
    flat = record.with_(rpm=None, signal=np.zeros((1, 9000), np.float32), channels=("flat",))
    offer = speed_offer(flat)
    assert offer["candidates"] == [] and offer["estimated"] is None and "no shaft" in sentence(offer)


def test_a_page_asks_for_itself_and_only_where_it_may(record: Record) -> None:
    found = Untrained(known_bearing("9,0.3126,1.537")).diagnose(record)
    assert offered(found) is found
    gears = Untrained().diagnose(record.with_(rpm=None, details={"teeth": "29,95"}), quality="off")
    assert "speed" not in gears.evidence and offered(gears).evidence["speed"]["candidates"]
    assert offered(gears).status == gears.status and offered(gears).rpm is None
    broken = record.with_(rpm=None, signal=np.zeros_like(record.signal))
    assert "speed" not in offered(Untrained(known_bearing("9,0.3126,1.537")).diagnose(broken)).evidence


def test_only_what_is_likely_is_named() -> None:
    many = [{"rpm": 1000.0 * k, "share": s} for k, s in ((1, 0.6), (2, 0.2), (3, 0.06), (4, 0.05))]
    assert worth_naming({"candidates": many}) == [(1000.0, 0.6), (2000.0, 0.2), (3000.0, 0.06)]
    assert worth_naming({"candidates": [{"rpm": 1.0, "share": 0.01}]}) == [(1.0, 0.01)]


@pytest.mark.real_data
def test_cwru_speeds_are_found_in_a_range(real_data: Path) -> None:
    """Every third recording; the whole is in benchmarks/witness.py speeds."""
    from faultdx.records.cwru import catalogue

    known = {str(entry.number): entry.true_rpm for entry in catalogue()}
    paths = sorted((real_data / "cwru").glob("*.mat"))[::4]
    right = 0
    for path in paths:
        r, rpm = read_record(path), known[path.stem]
        assert rpm is not None
        found = speed_candidates(r.signal[0], sampling_rate_hz=r.sampling_rate_hz, range_rpm=(1000.0, 3000.0))
        right += abs(found.candidates[0].rpm / rpm - 1) <= 0.005
    assert right >= len(paths) - 1 and len(paths) >= 8
