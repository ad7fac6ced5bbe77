"""Where the quick way is not the plain one: both give the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from faultdx.signals import moments, sieve, statistics, symptoms
from faultdx.signals.order import quantile
from faultdx.signals.spectra import level
from faultdx.signals.speed import Lines, _between, hann_power

RNG = np.random.default_rng(20)
OFFSETS = pytest.mark.parametrize("offset", [0.0, 3.0, 1e3, -1e5])


@OFFSETS
@pytest.mark.parametrize("samples", [1, 16, 4097, 140_000])
def test_the_mean_of_float32_is_that_of_float64(samples: int, offset: float) -> None:
    x = (RNG.normal(size=samples) + offset).astype(np.float32)
    assert moments.mean(x) == pytest.approx(float(x.mean(dtype=np.float64)), abs=1e-6)
    assert moments.mean(np.full(samples, 3e38, np.float32)) == pytest.approx(3e38, rel=1e-6)


@OFFSETS
@pytest.mark.parametrize("samples", [40, 33_000, 140_000])
def test_moments_of_float32_are_those_of_float64(samples: int, offset: float) -> None:
    x = (RNG.standard_t(4, size=samples) + offset).astype(np.float32)
    y = x.astype(np.float64)
    mean, second, fourth = moments.central(x)
    assert mean == pytest.approx(y.mean(), abs=1e-6)
    assert second == pytest.approx(y.var(), rel=1e-5) and fourth == pytest.approx(
        ((y - y.mean()) ** 4).mean(), rel=2e-5
    )


def test_moments_do_not_hang_on_the_samples_that_are_looked_at_first() -> None:
    x = RNG.exponential(size=140_000).astype(np.float32)
    x[:: (x.size >> 12) | 1] += 4  # those, and the mean of all is far from theirs
    assert moments.near_mean(x) > x.mean() + 3
    mean, second, fourth = moments.central(x)
    y = x.astype(np.float64)
    assert mean == pytest.approx(y.mean(), rel=1e-6) and second == pytest.approx(y.var(), rel=1e-5)
    assert fourth == pytest.approx(((y - y.mean()) ** 4).mean(), rel=2e-5)


@pytest.mark.parametrize("gain", [1e-25, 1e-6, 1.0, 1e9, 1e28])
def test_a_level_in_float32_is_that_in_float64(gain: float) -> None:
    x = (RNG.laplace(size=50_000) * gain).astype(np.float32)
    short, long = level(x), level(x.astype(np.float64))
    for name in ("rms", "peak", "crest_factor", "kurtosis"):
        assert getattr(short, name) == pytest.approx(getattr(long, name), rel=1e-5)
    assert short.kurtosis == pytest.approx(scipy.stats.kurtosis(x.astype(np.float64) / gain, fisher=False), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_offsets_come_with_the_description(channels: int) -> None:
    x = RNG.normal(size=(7, channels, 300)) + RNG.normal(size=(7, channels, 1)) * [[[0.0]], *[[[5.0]]] * 6]
    x[2] = 4.0
    segments = x.astype(np.float32)
    columns, offsets = statistics.describe_with_offsets(segments, bands=12)
    np.testing.assert_array_equal(columns, statistics.describe(segments, bands=12))
    np.testing.assert_allclose(offsets, statistics.offsets(segments), rtol=1e-5, atol=1e-6)
    assert offsets[2] == 0.0


@pytest.mark.parametrize("count", [1, 2, 7, 256, 257, 5000])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_of_short_and_of_long_rows(count: int, q: float) -> None:
    rows = RNG.normal(size=(3, count))
    np.testing.assert_allclose(quantile(rows, q), np.quantile(rows, q, axis=-1), rtol=1e-12)


@pytest.mark.parametrize("width", [2, 16, 17, 40])
@pytest.mark.parametrize("more", [0, 1, 15])
def test_straight_lines_between_medians(width: int, more: int) -> None:
    medians = RNG.random(9) + 0.5
    size = 1 + 9 * width + min(more, width - 1)
    centres = 1 + (np.arange(9) + 0.5) * width
    np.testing.assert_allclose(_between(medians, width, size), np.interp(np.arange(size), centres, medians), rtol=1e-12)


def test_the_highest_of_a_window_and_the_weights_below_a_bin() -> None:
    lines = Lines(hann_power(np.fft.rfft(RNG.normal(size=40_000))), 0.1, up_to_hz=500.0)
    rows = sieve._highest(lines).reshape(-1, lines.score.size)
    for window in {int(w) for w in sieve._WINDOW}:
        plain = [lines.score[at : at + window].max() for at in range(lines.score.size)]
        np.testing.assert_allclose(rows[window - int(sieve._WINDOW[0])], plain, rtol=1e-6)
    ends = [lines.end(hz) for hz in (300.0, 80.0, 300.0, 499.0)]
    for end_hz, row in zip((300.0, 80.0, 300.0, 499.0), sieve._log_mgf_up_to(lines, ends), strict=True):
        np.testing.assert_allclose(row, lines.up_to(end_hz).log_mgf, rtol=1e-12)


@pytest.mark.parametrize("samples", [3, 4, 1000, symptoms._PIECE + 2, symptoms._PIECE + 3, 2 * symptoms._PIECE + 1])
def test_peaks_are_those_of_every_sample_looked_at(samples: int) -> None:
    y = np.round(RNG.normal(size=samples) * 4).astype(np.float32)  # plateaus too
    plain = [i for i in range(1, samples - 1) if y[i] > 1 and y[i] > y[i - 1] and y[i] >= y[i + 1]]
    assert symptoms._peaks(y, np.float32(1)).tolist() == plain


def verified(y: np.ndarray, lag: int) -> tuple[int, int, int]:
    """Every block against what lies `lag` later, one after the other."""
    b, found = symptoms._COPY_BLOCK, []
    blocks = range((y.size - lag) // b)
    loud = max(y[i * b : (i + 1) * b].std() for i in blocks)
    for i in blocks:
        now, change = y[i * b : (i + 1) * b], y[lag + i * b : lag + (i + 1) * b] - y[i * b : (i + 1) * b]
        at = max(i * b - 1, 0)
        steps = [np.diff(part, prepend=first) for part, first in ((now, y[at]), (change, y[at + lag] - y[at]))]
        alike = change.std() <= math.sqrt(symptoms._COPY_RESIDUAL) * now.std() and now.std() > 0.01 * loud
        if alike and steps[1].std() <= math.sqrt(symptoms._COPY_ROUGH) * steps[0].std():
            found.append(i)
    return (len(found) * b, found[0] * b + lag, found[0] * b) if len(found) >= 2 else (0, 0, 0)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.044, 0.046, 0.2])
@pytest.mark.parametrize("tone", [0.0, 20.0])
def test_a_copy_is_verified_as_block_by_block(noise: float, tone: float) -> None:
    y = RNG.normal(size=20_000)
    y[12_000:15_000] = y[2_000:5_000] + noise * RNG.normal(size=3_000)
    y[17_000:17_400] = y[7_000:7_400]
    y = (y + tone * np.sin(0.01 * np.arange(y.size))).astype(np.float32)
    for lag in (10_000, 9_999, 128, 19_000):
        energy = symptoms.block_rms(y, symptoms._COPY_BLOCK)
        assert symptoms._verified(y, energy, lag) == verified(y.astype(np.float64), lag)
