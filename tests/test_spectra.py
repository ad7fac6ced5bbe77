"""The spectra agree with scipy, with Parseval and with signals whose spectrum is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.errors import ConfigError, RecordError
from faultdx.signals import spectra

RATE = 12_000.0
WINDOWS = ["boxcar", "hann", "hamming", "blackman", "flattop"]


def noise(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def tone(amplitude: float, frequency_hz: float, seconds: float = 1.0, offset: float = 0.0) -> np.ndarray:
    t = np.arange(round(RATE * seconds)) / RATE
    return offset + amplitude * np.sin(2 * np.pi * frequency_hz * t + 0.3)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("n", [1, 2, 15, 64])
def test_windows_are_scipys(name: str, n: int) -> None:
    np.testing.assert_allclose(spectra.window_samples(name, n), scipy.signal.get_window(name, n), atol=1e-12)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("amplitude", [1e-6, 0.7, 3000.0])
def test_a_sine_reads_its_amplitude_in_its_bin(window: str, amplitude: float) -> None:
    frequency, spectrum = spectra.amplitude_spectrum(tone(amplitude, 157), sampling_rate_hz=RATE, window=window)
    assert frequency[np.argmax(spectrum)] == pytest.approx(157)
    assert spectrum.max() == pytest.approx(amplitude, rel=1e-6)


def test_flattop_reads_a_sine_between_bins() -> None:
    _, spectrum = spectra.amplitude_spectrum(tone(2, 157.5), sampling_rate_hz=RATE, window="flattop")
    assert spectrum.max() == pytest.approx(2, rel=2e-3)


def test_zero_hz_reads_the_mean_and_nyquist_the_alternation() -> None:
    alternating = 3 + 2 * (-1.0) ** np.arange(100)
    _, spectrum = spectra.amplitude_spectrum(alternating, sampling_rate_hz=RATE, window="boxcar")
    assert spectrum[0] == pytest.approx(3) and spectrum[-1] == pytest.approx(2)


@pytest.mark.parametrize("n", [100, 101, 4096])
def test_parseval(n: int) -> None:
    x = noise(n)
    _, a = spectra.amplitude_spectrum(x, sampling_rate_hz=RATE, window="boxcar")
    power = a**2 / 2
    power[0] *= 2
    if n % 2 == 0:
        power[-1] *= 2
    assert power.sum() == pytest.approx(np.mean(x**2))


def as_amplitude(power: np.ndarray, n: int) -> np.ndarray:
    """Scipy's mean-square spectrum as peak amplitudes: 0 Hz and Nyquist are not halved by the mean square."""
    amplitude = np.sqrt(2 * power)
    amplitude[0] /= math.sqrt(2)
    if n % 2 == 0:
        amplitude[-1] /= math.sqrt(2)
    return amplitude


@pytest.mark.parametrize("n", [999, 1000])
@pytest.mark.parametrize("window", ["hann", "flattop"])
def test_amplitude_spectrum_is_scipys_periodogram(n: int, window: str) -> None:
    x = noise(n)
    f, power = scipy.signal.periodogram(x, RATE, window=window, scaling="spectrum", detrend=False)
    frequency, amplitude = spectra.amplitude_spectrum(x, sampling_rate_hz=RATE, window=window)
    np.testing.assert_allclose(frequency, f)
    np.testing.assert_allclose(amplitude, as_amplitude(power, n), rtol=1e-9)


@pytest.mark.parametrize(("resolution_hz", "overlap"), [(10.0, 0.5), (7.0, 0.25), (100.0, 0.0), (0.01, 0.5)])
def test_averaged_spectrum_is_scipys_welch(resolution_hz: float, overlap: float) -> None:
    x = noise(20_011)
    block = min(round(RATE / resolution_hz), x.size)
    f, power = scipy.signal.welch(
        x, RATE, nperseg=block, noverlap=round(block * overlap), scaling="spectrum", detrend=False
    )
    frequency, amplitude = spectra.averaged_spectrum(
        x, sampling_rate_hz=RATE, resolution_hz=resolution_hz, overlap=overlap
    )
    np.testing.assert_allclose(frequency, f)
    np.testing.assert_allclose(amplitude, as_amplitude(power, block), rtol=1e-9)


def test_batches_do_not_change_the_average(monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(30_000)
    _, whole = spectra.averaged_spectrum(x, sampling_rate_hz=RATE, resolution_hz=12)
    monkeypatch.setattr(spectra, "_BATCH_SAMPLES", 3000)
    _, pieces = spectra.averaged_spectrum(x, sampling_rate_hz=RATE, resolution_hz=12)
    np.testing.assert_allclose(whole, pieces, rtol=1e-12)


def test_averaging_keeps_a_sine_and_its_amplitude() -> None:
    f, a = spectra.averaged_spectrum(tone(0.5, 600, 4) + noise(48_000) * 0.01, sampling_rate_hz=RATE, resolution_hz=4)
    assert f[np.argmax(a)] == pytest.approx(600) and a.max() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("n", [1, 2, 3, 500, 501])
def test_envelope_is_scipys_hilbert(n: int) -> None:
    x = noise(n)
    np.testing.assert_allclose(spectra.envelope(x), np.abs(scipy.signal.hilbert(x)), atol=1e-12)


def test_envelope_of_a_modulated_carrier_is_the_modulation() -> None:
    t = np.arange(12_000) / RATE
    modulation = 1 + 0.5 * np.cos(2 * np.pi * 30 * t)
    np.testing.assert_allclose(spectra.envelope(modulation * np.cos(2 * np.pi * 3000 * t)), modulation, atol=1e-9)


@pytest.mark.parametrize("band", [None, (2000.0, 4000.0)])
def test_squared_envelope_spectrum_reads_the_modulation(band: tuple[float, float] | None) -> None:
    t = np.arange(12_000) / RATE
    x = 3.0 * (1 + 0.4 * np.cos(2 * np.pi * 30 * t)) * np.cos(2 * np.pi * 3000 * t)
    f, a = spectra.squared_envelope_spectrum(x, sampling_rate_hz=RATE, band=band)
    assert a[f == 30] == pytest.approx(2 * 0.4 * 9)
    assert a[f == 60] == pytest.approx(0.4**2 / 2 * 9)
    assert a[f > 65].max() < 1e-9


def test_the_band_keeps_out_what_lies_beside_it() -> None:
    t = np.arange(12_000) / RATE
    wanted = (1 + 0.4 * np.cos(2 * np.pi * 30 * t)) * np.cos(2 * np.pi * 3000 * t)
    beside = 20 * (1 + 0.9 * np.cos(2 * np.pi * 47 * t)) * np.cos(2 * np.pi * 500 * t)
    f, a = spectra.squared_envelope_spectrum(wanted + beside, sampling_rate_hz=RATE, band=(2500, 3500))
    assert f[np.argmax(a)] == pytest.approx(30) and a[f == 47] < 1e-9


@given(st.floats(0.01, 100), st.integers(3, 4000), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_level_is_scipys_and_scales(gain: float, n: int, seed: int) -> None:
    x = gain * noise(n, seed) + 5 * gain
    found = spectra.level(x)
    assert found.rms == pytest.approx(x.std())
    assert found.peak == pytest.approx(np.abs(x - x.mean()).max())
    assert found.crest_factor == pytest.approx(found.peak / found.rms)
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(x, fisher=False))


def test_level_of_a_sine() -> None:
    found = spectra.level(tone(2, 100, offset=7))
    assert found.rms == pytest.approx(math.sqrt(2)) and found.crest_factor == pytest.approx(math.sqrt(2), rel=1e-3)
    assert found.kurtosis == pytest.approx(1.5)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e300])
def test_a_flat_signal_has_no_crest(value: float) -> None:
    found = spectra.level(np.full(1000, value))
    assert found.rms == 0 and found.peak == 0
    assert math.isnan(found.crest_factor) and math.isnan(found.kurtosis)


def test_large_values_do_not_overflow() -> None:
    assert spectra.level(noise(1000) * 1e200).kurtosis == pytest.approx(spectra.level(noise(1000)).kurtosis)


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [1.0, np.nan], [np.inf, 1.0], [1j, 2], ["a", "b"], 3.0, [None, 1.0]])
def test_bad_signals_are_record_errors(bad: object) -> None:
    calls = [
        lambda x: spectra.amplitude_spectrum(x, sampling_rate_hz=RATE),
        lambda x: spectra.averaged_spectrum(x, sampling_rate_hz=RATE, resolution_hz=1),
        lambda x: spectra.squared_envelope_spectrum(x, sampling_rate_hz=RATE),
        spectra.envelope,
        spectra.level,
    ]
    for call in calls:
        with pytest.raises(RecordError, match="signal"):
            call(bad)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_impossible_rates(rate: float) -> None:
    with pytest.raises(RecordError, match="sampling rate"):
        spectra.amplitude_spectrum([1.0, 2.0], sampling_rate_hz=rate)


def test_impossible_options_are_configuration_errors() -> None:
    x = noise(100)
    with pytest.raises(ConfigError, match="hann"):
        spectra.amplitude_spectrum(x, sampling_rate_hz=RATE, window="tukey")
    with pytest.raises(ConfigError, match="resolution"):
        spectra.averaged_spectrum(x, sampling_rate_hz=RATE, resolution_hz=0)
    with pytest.raises(ConfigError, match="overlap"):
        spectra.averaged_spectrum(x, sampling_rate_hz=RATE, resolution_hz=1, overlap=1.0)
    for band in [(100.0, 100.0), (-1.0, 5.0), (0.0, RATE), (math.nan, 5.0)]:
        with pytest.raises(ConfigError, match="band"):
            spectra.squared_envelope_spectrum(x, sampling_rate_hz=RATE, band=band)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_shortest_signals_have_spectra(n: int) -> None:
    for frequency, amplitude in (
        spectra.amplitude_spectrum(np.arange(n), sampling_rate_hz=RATE, window="boxcar"),
        spectra.averaged_spectrum(np.arange(n), sampling_rate_hz=RATE, resolution_hz=1),
        spectra.squared_envelope_spectrum(np.arange(n), sampling_rate_hz=RATE),
    ):
        assert frequency.shape == amplitude.shape == (n // 2 + 1,) and np.isfinite(amplitude).all()


@pytest.mark.real_data
def test_an_outer_race_fault_shows_its_ball_pass_frequency(real_data: Path) -> None:
    """CWRU 130 (outer race, 0.007 in, 0 HP, 1796 rpm): BPFO of the 6205-2RS is 3.5848 shaft rates."""
    x = scipy.io.loadmat(real_data / "cwru" / "130.mat")["X130_DE_time"].ravel()
    f, a = spectra.squared_envelope_spectrum(x, sampling_rate_hz=RATE, band=(2000, 4500))
    near = (f > 60) & (f < 500)
    assert f[near][np.argmax(a[near])] == pytest.approx(3.5848 * 1796 / 60, rel=0.02)
