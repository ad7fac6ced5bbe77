"""The comb search against known combs, against noise, and against the speeds that others read off the CWRU files."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from faultdx.errors import ConfigError, RecordError
from faultdx.records import read_record
from faultdx.signals import examination
from faultdx.signals.sieve import promising
from faultdx.signals.speed import TILTS, Lines, estimate_speed, good_length, hann_power, lines_of

RATE = 12_000.0
Array = npt.NDArray[np.float64]


def comb(rpm: float, *, seconds: float = 10.0, amplitude: float = 0.1, orders: range = range(1, 13)) -> Array:
    """Lines at multiples of a shaft's rate, each `amplitude`, in noise of RMS 1."""
    rng = np.random.default_rng(round(rpm * 100))
    t = np.arange(round(seconds * RATE)) / RATE
    lines = sum(amplitude * np.sin(2 * np.pi * k * rpm / 60 * t + rng.uniform(0, 6.3)) for k in orders)
    return np.asarray(lines + rng.standard_normal(t.size))


@pytest.mark.parametrize("rpm", [437.3, 1000.0, 1772.6, 2951.2])
def test_a_comb_is_found_wherever_it_is(rpm: float) -> None:
    found = estimate_speed(comb(rpm), sampling_rate_hz=RATE, search=(300.0, 6000.0))
    assert found.certainty > 0.999
    assert found.rpm == pytest.approx(rpm, abs=0.1)
    assert found.harmonics == 12


def test_the_error_it_states_is_the_error_it_makes() -> None:
    ratios = []
    for rpm in np.linspace(1500, 1800, 25):
        found = estimate_speed(comb(rpm), sampling_rate_hz=RATE, near_rpm=rpm * 1.004, search=0.01)
        ratios.append((found.rpm - rpm) / found.rpm_error)
    assert 0.4 < np.std(ratios) < 2.5


def test_noise_has_no_comb() -> None:
    rng = np.random.default_rng(3)
    certain = 0
    for _ in range(100):
        x = rng.standard_normal(20_000)
        found = estimate_speed(x, sampling_rate_hz=2000.0, near_rpm=1500.0, search=0.1)
        certain += found.certainty > 0.95
    assert certain <= 5  # what the certainty promises


def test_one_line_makes_no_comb_however_strong() -> None:
    found = estimate_speed(comb(1800, amplitude=30.0, orders=range(2, 3)), sampling_rate_hz=RATE, near_rpm=1795)
    assert found.certainty < 0.5


def test_a_comb_of_every_second_line_belongs_to_twice_the_speed() -> None:
    x = comb(3600.0)
    lines = lines_of(x, sampling_rate_hz=RATE, up_to_hz=900.0)
    assert lines.level(30.0, skip=2) < 6 < lines.level(60.0)
    assert lines.search(29.9, 30.1, skip=2).certainty < 0.5
    assert lines.search(59.8, 60.2).certainty > 0.999


@pytest.mark.parametrize(("true", "factor"), [(3600.0, 2), (5400.0, 3), (900.0, 1 / 2), (600.0, 1 / 3), (1800.0, 1)])
def test_the_comb_at_the_stated_speed_may_be_that_of_another(true: float, factor: float) -> None:
    lines = lines_of(comb(true, amplitude=0.3, orders=range(1, 37)), sampling_rate_hz=RATE, up_to_hz=380.0)
    near = lines.search(29.8, 30.2)
    assert near.level_db > 5
    assert examination._factor(lines, near) == factor


def test_evidence_grows_with_the_lines() -> None:
    weak, strong = (estimate_speed(comb(1500, amplitude=a), sampling_rate_hz=RATE, near_rpm=1500) for a in (0.02, 0.06))
    assert strong.evidence > weak.evidence
    assert strong.level_db > weak.level_db
    assert strong.certainty == pytest.approx(1 - math.exp(-strong.evidence))


def test_a_wandering_speed_is_found_by_its_first_harmonics() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(120_000) / RATE
    turns = np.cumsum(1750 / 60 * (1 + 0.0005 * np.sin(2 * np.pi * 0.1 * t))) / RATE
    x = sum(0.3 * np.sin(2 * np.pi * k * turns) for k in range(1, 9)) + rng.standard_normal(t.size)
    found = estimate_speed(np.asarray(x), sampling_rate_hz=RATE, near_rpm=1760)
    assert found.certainty > 0.95
    assert found.rpm == pytest.approx(1750, rel=1e-3)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_the_type_of_the_samples_does_not_matter(dtype: type) -> None:
    x = 1000 * comb(1700)
    found = estimate_speed(x.astype(dtype), sampling_rate_hz=RATE, near_rpm=1710)
    assert found.rpm == pytest.approx(estimate_speed(x, sampling_rate_hz=RATE, near_rpm=1710).rpm, abs=0.01)


def test_the_window_is_hann() -> None:
    x = np.random.default_rng(1).standard_normal(600)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(600) / 600)
    expected = np.abs(np.fft.rfft(2 * window * x)) ** 2
    np.testing.assert_allclose(hann_power(np.fft.rfft(x))[1:-1], expected[1:-1], rtol=1e-9)


def test_good_lengths_have_small_factors() -> None:
    smooth = {2**a * 3**b * 5**c for a in range(11) for b in range(7) for c in range(5)}
    for n in range(1, 1000):
        assert good_length(n) == max(s for s in smooth if s <= n)


@pytest.mark.parametrize("samples", [2, 16, 100, 1000])
def test_too_little_signal_gives_no_speed(samples: int) -> None:
    x = np.random.default_rng(0).standard_normal(samples)
    assert estimate_speed(x, sampling_rate_hz=RATE, near_rpm=1500).certainty < 0.95


def test_a_flat_signal_gives_no_speed() -> None:
    assert estimate_speed(np.zeros(50_000), sampling_rate_hz=RATE, near_rpm=1500).certainty == 0


def test_a_search_beyond_the_spectrum_finds_nothing() -> None:
    lines = Lines(np.ones(1000), 0.1, up_to_hz=100.0)
    assert lines.search(5000.0, 6000.0).certainty == 0
    assert lines.search(30.0, 20.0).certainty == 0
    assert lines.level(1e6) == 0


@pytest.mark.parametrize("bad", [np.zeros((2, 100)), np.zeros(1), np.array(["a", "b"]), np.full(100, np.nan)])
def test_what_is_no_signal_is_refused(bad: npt.NDArray[np.generic]) -> None:
    with pytest.raises(RecordError):
        estimate_speed(bad, sampling_rate_hz=RATE)


def test_impossible_searches_are_refused() -> None:
    x = np.zeros(100)
    with pytest.raises(RecordError, match="sampling rate"):
        estimate_speed(x, sampling_rate_hz=math.nan)
    with pytest.raises(ConfigError, match="harmonics"):
        estimate_speed(x, sampling_rate_hz=RATE, harmonics=1)
    with pytest.raises(ConfigError, match="search"):
        estimate_speed(x, sampling_rate_hz=RATE, near_rpm=-5.0)
    with pytest.raises(ConfigError, match="search"):
        estimate_speed(x, sampling_rate_hz=RATE, near_rpm=1500.0, search=(1.0, 2.0))
    with pytest.raises(ConfigError, match="range"):
        estimate_speed(x, sampling_rate_hz=RATE, search=0.1)
    with pytest.raises(ConfigError, match="range"):
        estimate_speed(x, sampling_rate_hz=RATE, search=(200.0, 100.0))


@pytest.mark.real_data
def test_cwru_speeds_are_those_that_were_read_off_before(real_data: Path) -> None:
    with (real_data / "cwru_inventory.csv").open(newline="") as stream:
        known = {row["number"]: float(row["spectral_rpm"]) for row in csv.DictReader(stream) if row["spectral_rpm"]}
    certain, near = 0, 0
    paths = sorted((real_data / "cwru").glob("*.mat"))
    for path in paths:
        record = read_record(path)
        found = estimate_speed(
            record.signal[0], sampling_rate_hz=record.sampling_rate_hz, near_rpm=known[path.stem] * 1.003, search=0.01
        )
        if found.certainty > 0.95:
            certain += 1
            near += abs(found.rpm - known[path.stem]) < 1.0  # 185: the mains at 240 and 360 Hz are the better comb
    assert certain >= 0.95 * len(paths)
    assert near >= certain - 1


def shaky_spectrum() -> Lines:
    """A spectrum of 30 s of noise with a shaft at 25 Hz in it."""
    t = np.arange(int(30 * RATE)) / RATE
    x = np.random.default_rng(2).standard_normal(t.size)
    x += sum(0.05 * np.cos(2 * np.pi * 25 * k * t + k) for k in range(1, 9))
    return Lines(hann_power(np.fft.rfft(x)), RATE / x.size, up_to_hz=RATE / 2)


def test_chernoffs_bound_is_the_best_over_all_tilts() -> None:
    lines = shaky_spectrum()
    used = np.repeat(np.arange(13), 50)
    total = np.tile(np.linspace(0, 25, 50), 13) * used
    every = [u * total - m * used for u, m in zip(TILTS, lines.log_mgf, strict=True)]
    np.testing.assert_allclose(lines.exponent(total, used), np.maximum(np.max(every, axis=0), 0), atol=1e-9)


@pytest.mark.parametrize("up_to_hz", [20.0, 100.0, 700.0])
def test_lines_up_to_a_frequency_are_those_of_the_spectrum_cut_there(up_to_hz: float) -> None:
    power = hann_power(np.fft.rfft(np.random.default_rng(3).standard_normal(120_000)))
    whole = Lines(power, RATE / 120_000, up_to_hz=RATE / 2)
    part, alone = whole.up_to(up_to_hz), Lines(power, RATE / 120_000, up_to_hz=up_to_hz)
    assert part.score.shape == alone.score.shape
    # the floor of the last half block is extrapolated where nothing is known beyond it
    inside = slice(0, part.score.size - 2 * part.width)
    np.testing.assert_array_equal(part.score[inside], alone.score[inside])
    np.testing.assert_allclose(part.log_mgf, alone.log_mgf, atol=0.1)
    assert whole.score.size > part.score.size
    assert whole.up_to(0.0).search(10.0, 20.0).certainty == 0


def test_a_comb_that_is_not_certain_enough_is_not_measured() -> None:
    lines = shaky_spectrum()
    assert lines.search(24.5, 25.5, certain=0.99) == lines.search(24.5, 25.5)
    assert math.isnan(lines.search(17.0, 17.2, certain=0.99).rpm)


@pytest.mark.parametrize("rate_hz", [4000.0, 600.0])  # of the lower one the bands end at half of it
def test_no_band_with_a_certain_comb_is_passed_over(rate_hz: float) -> None:
    bands = [(hz, 1.3 * hz) for hz in np.geomspace(4.0, 60.0, 9)]
    found = passed = 0
    for k, amplitude in enumerate((0.0, 0.1, 0.2, 0.3)):
        y = comb(1500.0 + 20 * k, amplitude=amplitude, seconds=6.0)[:: round(RATE / rate_hz)]
        power = hann_power(np.fft.rfft(y - y.mean()))
        lines = Lines(power, rate_hz / y.size, up_to_hz=12.5 * 1.3 * 60.0)
        worth = promising(lines, bands, top_order=12.5, certain=0.99)
        for (low, high), hopeful in zip(bands, worth, strict=True):
            of_it = lines.up_to(12.5 * high)
            best = of_it.search(low, high, searches=len(bands), certain=0.99)
            assert hopeful or best.certainty == 0.0
            assert rate_hz < 4000.0 or hopeful == (best.certainty > 0.0)  # where all lines are in the spectrum
            found += best.certainty > 0
            passed += not hopeful
    assert found >= 3
    assert passed >= 9
