"""The kurtogram against what it is by definition, and against a band that was made impulsive."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.kurtogram import kurtogram, most_impulsive

RATE = 12_000.0


def test_noise_is_at_zero_and_a_tone_below() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(120_000)
    assert max(abs(t.kurtosis) for t in kurtogram(x, sampling_rate_hz=RATE, levels=4)) < 0.15
    tone = x * 1e-3 + np.cos(2 * np.pi * 1111 * np.arange(x.size) / RATE)
    for t in kurtogram(tone, sampling_rate_hz=RATE, levels=3):
        if t.band.low_hz < 1000 and t.band.high_hz > 1250:
            assert t.kurtosis == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("resonance", [900.0, 2700.0, 4600.0])
def test_the_band_of_ringing_blows_is_the_most_impulsive(resonance: float) -> None:
    rng = np.random.default_rng(2)
    blows = np.zeros(120_000)
    blows[rng.integers(0, blows.size, 150)] = 3.0
    k = np.arange(120)
    ring = np.sin(np.pi * k / k.size) ** 2 * np.sin(2 * np.pi * resonance / RATE * k)
    x = rng.standard_normal(blows.size) + scipy.signal.lfilter(ring, 1.0, blows)
    best = most_impulsive(kurtogram(x, sampling_rate_hz=RATE))
    assert best.band.low_hz - 100 < resonance < best.band.high_hz + 100
    assert best.kurtosis > 3
    assert best.level >= 2


def test_the_whole_is_the_kurtosis_of_the_analytic_signal() -> None:
    x = np.random.default_rng(3).standard_normal(4096) ** 3
    (first, *_) = kurtogram(x, sampling_rate_hz=RATE, levels=1)
    power = np.abs(scipy.signal.hilbert(x[:4096] - x[:4096].mean())) ** 2
    assert first.kurtosis == pytest.approx((power**2).mean() / power.mean() ** 2 - 2, rel=0.02)


def test_tiles_cover_the_spectrum_once_on_each_level() -> None:
    tiles = kurtogram(np.random.default_rng(4).standard_normal(24_000), sampling_rate_hz=RATE, levels=4)
    counts = {1: 0, 2: 0, 3: 0, 4: 0, 6: 0, 8: 0, 12: 0, 16: 0}
    for t in tiles:
        counts[round(2**t.level)] += 1
    assert all(n == k for k, n in counts.items())
    quarter = [t.band for t in tiles if t.level == 2]
    assert [b.high_hz for b in quarter[:-1]] == [b.low_hz for b in quarter[1:]]


def test_what_has_no_kurtogram_is_refused() -> None:
    with pytest.raises(ConfigError, match="levels"):
        kurtogram(np.ones(1000), sampling_rate_hz=RATE, levels=0)
    with pytest.raises(RecordError, match="shape"):
        kurtogram(np.ones(20), sampling_rate_hz=RATE)
    with pytest.raises(RecordError, match="finite"):
        kurtogram(np.array([1.0, np.inf] * 500), sampling_rate_hz=RATE)
    with pytest.raises(RecordError, match="dead"):
        most_impulsive(kurtogram(np.zeros(1000), sampling_rate_hz=RATE))


def test_the_step_between_end_and_start_and_an_empty_band_are_no_impulses() -> None:
    """A drift makes the record end elsewhere than it begins: that rings in every band, in an empty one above all."""
    rng = np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.standard_normal(60_000))
    spectrum[28_000:] *= 1e-5  # the stop band of a converter
    x = np.fft.irfft(spectrum) + np.linspace(0, 0.5, 60_000)
    tiles = kurtogram(x, sampling_rate_hz=12_000.0)
    best = most_impulsive(tiles)
    assert best.kurtosis < 1.0
    empty = [t for t in tiles if t.band.low_hz > 5650.0]
    assert empty and all(math.isnan(t.kurtosis) for t in empty)
