"""Cutting, scaling and resampling: every sample where it belongs, and no frequency where it was not."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal as sps

from faultdx.errors import ConfigError
from faultdx.records import read_record
from faultdx.signals.resampling import lowpass, ratio, resample
from faultdx.signals.segments import cut, normalize, segment_starts, split_in_time

Array = npt.NDArray[np.float32]
FRACTIONS = [(0.6, 0.2, 0.2), (0.8, 0.0, 0.2), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.3, 0.2), (0.34, 0.33, 0.33)]


def counting(samples: int) -> Array:
    """Two channels that hold their own sample numbers, the second negative."""
    n = np.arange(samples, dtype=np.float32)
    return np.stack([n, -n])


# Segments


@settings(max_examples=200, deadline=None)
@given(
    samples=st.integers(16, 6000),
    length=st.integers(16, 400),
    hop=st.integers(1, 900),
    fractions=st.sampled_from(FRACTIONS),
)
def test_segments_lie_where_they_say_and_never_across_a_border(
    samples: int, length: int, hop: int, fractions: tuple[float, float, float]
) -> None:
    assume(samples >= length)
    signal = counting(samples)
    spans: list[tuple[str, int, int]] = []
    for part in split_in_time(samples, fractions, length=length):
        starts = segment_starts(part.start, part.stop, length=length, hop=hop)
        assert len(starts) == max(0, (part.stop - part.start - length) // hop + 1)
        segments = cut(signal, starts, length=length)
        assert segments.shape == (len(starts), 2, length)
        assert segments.dtype == np.float32
        assert segments.flags.c_contiguous
        np.testing.assert_array_equal(segments[:, 0], starts[:, None] + np.arange(length))
        np.testing.assert_array_equal(segments[:, 1], -segments[:, 0])
        np.testing.assert_array_equal(np.diff(starts), hop)
        if len(starts):
            assert part.start <= segments[:, 0].min()
            assert segments[:, 0].max() < part.stop
            spans.append((part.split, int(starts[0]), int(starts[-1]) + length))
    # in the order train, val, test, and a segment between the last sample of one side and the first of the next
    assert [s[0] for s in spans] == [n for n in ("train", "val", "test") if n in {s[0] for s in spans}]
    for (_, _, stop), (_, start, _) in itertools.pairwise(spans):
        assert start - stop >= length
    last = 1 - fractions[2]
    for name, start, stop in spans:
        if name == "test":
            assert abs(start - last * samples) <= 0.5 + 1e-6  # the nearest sample, of two the one or the other
        elif fractions[2]:
            assert stop <= last * samples - length + 1


@pytest.mark.parametrize("samples", [999, 1000, 1001, 20_480, 60_985])
def test_the_last_fifth_is_never_trained_on(samples: int) -> None:
    parts = split_in_time(samples, (0.6, 0.2, 0.2), length=64)
    assert [p.split for p in parts] == ["train", "val", "test"]
    assert parts[-1].stop == samples
    assert abs(parts[-1].start - 0.8 * samples) <= 0.5
    assert parts[0].start == 0
    assert parts[1].stop == parts[-1].start - 64


def test_hop_and_overlap() -> None:
    np.testing.assert_array_equal(segment_starts(0, 100, length=40, hop=20), [0, 20, 40, 60])
    np.testing.assert_array_equal(segment_starts(0, 100, length=40, hop=60), [0, 60])
    np.testing.assert_array_equal(segment_starts(10, 50, length=40, hop=40), [10])
    assert segment_starts(10, 49, length=40, hop=40).size == 0
    assert segment_starts(50, 40, length=40, hop=1).size == 0  # a stretch eaten up by its gap
    for length, hop in ((0, 1), (16, 0), (16, -1)):
        with pytest.raises(ConfigError, match="at least 1 sample"):
            segment_starts(0, 100, length=length, hop=hop)


# Scaling


def test_normalizations() -> None:
    rng = np.random.default_rng(0)
    record = (rng.normal(size=(2, 4000)) * [[3.0], [1e-3]] + [[10.0], [0.0]]).astype(np.float32)
    segments = cut(record, segment_starts(0, 4000, length=500, hop=500), length=500)
    assert normalize(segments, method="none") is segments
    z = normalize(segments, method="zscore")
    np.testing.assert_allclose(z.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=-1), 1, atol=1e-5)
    r = normalize(segments, method="record", record=record)
    np.testing.assert_allclose(r.mean(axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(r.std(axis=(0, 2)), 1, atol=1e-5)
    assert np.ptp(r.std(axis=-1)) > 0.01  # louder segments stay louder
    assert z.dtype == r.dtype == np.float32
    with pytest.raises(ConfigError, match="normalization 'minmax' is unknown"):
        normalize(segments, method="minmax")


def test_a_constant_segment_comes_out_as_zeros() -> None:
    constant = np.full((1, 1, 64), 7.0, np.float32)
    assert not normalize(constant, method="zscore").any()
    assert not normalize(constant, method="record", record=constant[0]).any()


# Resampling


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(48_000, 12_000), (20_000, 12_000), (12_000, 20_000), (44_100, 12_000), (8_000, 12_000)]
)
@pytest.mark.parametrize("samples", [1, 37, 5000])
def test_resampling_agrees_with_scipy(from_hz: float, to_hz: float, samples: int) -> None:
    x = np.random.default_rng(1).normal(size=(2, samples)).astype(np.float32)
    up, down = ratio(from_hz, to_hz)
    oracle = sps.resample_poly(x.astype(np.float64), up, down, axis=1, window=lowpass(up, down) / up)
    y = resample(x, from_hz=from_hz, to_hz=to_hz)
    assert y.shape == oracle.shape == (2, int(np.ceil(samples * up / down)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, oracle, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(up=st.integers(1, 40), down=st.integers(1, 40), samples=st.integers(1, 400))
def test_any_small_ratio_agrees_with_scipy(up: int, down: int, samples: int) -> None:
    x = np.random.default_rng(samples).normal(size=(1, samples)).astype(np.float32)
    p, q = ratio(1000.0 * down, 1000.0 * up)
    assert p * down == q * up
    y = resample(x, from_hz=1000.0 * down, to_hz=1000.0 * up)
    if p == q:
        assert y is x
        return
    oracle = sps.resample_poly(x.astype(np.float64), p, q, axis=1, window=lowpass(p, q) / p)
    np.testing.assert_allclose(y, oracle, atol=5e-6)


def tone(frequency_hz: float, rate_hz: float, seconds: float = 0.5) -> npt.NDArray[np.float64]:
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(rate_hz * seconds)) / rate_hz + 0.3)


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [(48_000, 12_000, 6_010), (48_000, 12_000, 7_000), (48_000, 12_000, 11_000), (48_000, 12_000, 12_000),
     (48_000, 12_000, 23_900), (20_000, 12_000, 6_100), (44_100, 12_000, 17_000)],
)  # fmt: skip
def test_a_tone_above_the_new_nyquist_frequency_is_gone(from_hz: float, to_hz: float, frequency_hz: float) -> None:
    x = tone(frequency_hz, from_hz).astype(np.float32)[None]
    y = resample(x, from_hz=from_hz, to_hz=to_hz)[0]
    middle = y[len(y) // 4 : -len(y) // 4]  # where the tone begins and ends there is more than a tone
    assert 20 * np.log10(np.sqrt(2) * np.sqrt(np.mean(middle.astype(np.float64) ** 2)) + 1e-12) < -70


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [(48_000, 12_000, 50), (48_000, 12_000, 3_000), (48_000, 12_000, 5_390), (20_000, 12_000, 5_000),
     (44_100, 12_000, 4_321), (8_000, 12_000, 3_500), (12_000, 20_000, 1_000)],
)  # fmt: skip
def test_a_tone_in_the_passband_is_kept_in_level_and_phase(from_hz: float, to_hz: float, frequency_hz: float) -> None:
    x = tone(frequency_hz, from_hz).astype(np.float32)[None]
    y = resample(x, from_hz=from_hz, to_hz=to_hz)[0]
    oracle = tone(frequency_hz, to_hz)[: len(y)]
    middle = slice(len(y) // 4, -len(y) // 4)
    # 0.01 dB is a factor of 1.00115; an error in phase would show here as well
    assert np.max(np.abs(y[middle] - oracle[middle])) < 1.1e-3


@settings(max_examples=200, deadline=None)
@given(
    to_hz=st.floats(1, 1e6),
    factor=st.floats(1 / 1999, 1999) | st.floats(1 - 1e-3, 1 + 1e-3) | st.floats(4 - 1e-3, 4 + 1e-3),
)
def test_any_two_rates_have_a_ratio_that_hits_them(to_hz: float, factor: float) -> None:
    up, down = ratio(to_hz * factor, to_hz)
    assert up / down * factor == pytest.approx(1, rel=1.001e-4 if up == down else 1.001e-5)


@pytest.mark.parametrize("ppm", [0, 1, 9, 99])
def test_clocks_that_nearly_agree_are_the_same_rate(ppm: int) -> None:
    assert ratio(12_000 * (1 + ppm * 1e-6), 12_000) == (1, 1)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(12_005, 12_000), (12_001.3, 12_000), (12_000, 12_001.3), (48_011, 12_000), (12_000 * np.pi, 12_000),
     (44_100, 12_001), (24_003, 12_000)],
)  # fmt: skip
def test_a_tone_keeps_its_frequency_and_level_at_odd_ratios(from_hz: float, to_hz: float) -> None:
    frequency_hz = 1_234.5
    x = tone(frequency_hz, from_hz, seconds=4).astype(np.float32)[None]
    y = resample(x, from_hz=from_hz, to_hz=to_hz)[0]
    # beaten down by the tone that it should be: the angle that is left turns with the error of the frequency
    t = np.arange(y.size) / to_hz
    beat = y * np.exp(-2j * np.pi * frequency_hz * t)
    early, late = (
        np.average(beat[part], weights=np.hanning(beat[part].size))
        for part in (slice(y.size // 10, y.size // 2), slice(y.size // 2, y.size * 9 // 10))
    )
    error_hz = np.angle(late / early) / (2 * np.pi * 0.4 * y.size / to_hz)
    assert abs(error_hz) < 1e-5 * frequency_hz
    assert abs(20 * np.log10(2 * abs(early))) < 0.05
    assert abs(20 * np.log10(2 * abs(late))) < 0.05


@pytest.mark.parametrize(("from_hz", "to_hz"), [(1e6, 1.0), (1.0, 1e6), (12_000 * 2001, 12_000)])
def test_rates_that_are_too_far_apart_are_refused(from_hz: float, to_hz: float) -> None:
    with pytest.raises(ConfigError, match="the rates are too far apart"):
        ratio(from_hz, to_hz)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e-12])
def test_a_rate_that_is_none_is_refused(bad: float) -> None:
    for pair in ((bad, 12_000.0), (12_000.0, bad)):
        with pytest.raises(ConfigError, match="cannot resample from"):
            ratio(*pair)


def test_the_same_rate_is_the_same_signal() -> None:
    x = counting(100)
    assert resample(x, from_hz=12_000, to_hz=12_000) is x


def test_a_strong_reduction_of_a_long_record_takes_little_memory() -> None:
    x = np.ones((1, 800_000), np.float32)  # 3.2 MB
    tracemalloc.start()
    y = resample(x, from_hz=51_200, to_hz=512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    assert y[0, 1000:-1000] == pytest.approx(1, abs=1e-3)


@pytest.mark.real_data
def test_the_normal_record_of_cwru_decimates_without_folding(real_data: Path) -> None:
    record = read_record(real_data / "cwru" / "97.mat")
    assert record.sampling_rate_hz == 48_000
    x = record.signal[:1]
    y = resample(x, from_hz=48_000, to_hz=12_000)
    assert y.shape == (1, -(-x.shape[1] // 4))
    frequency, before = sps.welch(x[0].astype(np.float64), fs=48_000, nperseg=8192)
    same_bins, after = sps.welch(y[0].astype(np.float64), fs=12_000, nperseg=2048)
    inside = slice(2, int(np.searchsorted(same_bins, 5_300)))
    np.testing.assert_allclose(frequency[inside], same_bins[inside])
    assert np.max(np.abs(10 * np.log10(after[inside] / before[inside]))) < 0.2
    # without the filter, what stands above 6 kHz would fold into the band
    _, folded = sps.welch(x[0, ::4].astype(np.float64), fs=12_000, nperseg=2048)
    assert np.max(np.abs(10 * np.log10(folded[inside] / before[inside]))) > 1
