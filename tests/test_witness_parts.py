"""The steps of the physics witness, each against an oracle or a truth that was put in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.combs import Comb, Surplus, families, noise_floor, surrogates
from faultdx.signals.demodulation import Band, Modulations, demodulation_bands, modulations
from faultdx.signals.envelope_order import OrderSpectra, Turning, order_spectra, steady
from faultdx.signals.hump import hump
from faultdx.signals.hypotheses import weigh
from faultdx.signals.kinematics import SKF_6205
from faultdx.signals.shaft import refine_speed, suspects
from faultdx.signals.tracking import turning_of

Array = npt.NDArray[np.float64]
RATE = 12_000.0
BANDS = demodulation_bands(RATE)


def spectra_of(power: Array, *, turns: float = 64.0, windows: int = 8) -> OrderSpectra:
    return OrderSpectra((Band(1000, 2000),) * power.shape[0], power, 1 / turns, windows, turns)


def noise_power(rng: np.random.Generator, *, level: float = 1e-3, bins: int = 1280, windows: int = 8) -> Array:
    return level * rng.gamma(0.68 * windows, 1 / (0.68 * windows), (1, bins))


def line(power: Array, order: float, depth: float, *, turns: float = 64.0) -> None:
    """Add a Hann-windowed line: its three bins hold 1.5 times its power."""
    k = round(order * turns)
    power[0, k - 1 : k + 2] += depth**2 * np.array([0.25, 1.0, 0.25])


# demodulation


def test_bands_are_octaves_down_from_nyquist_and_the_whitened_whole() -> None:
    *octaves, whole = demodulation_bands(48_000.0)
    assert len(octaves) == 8
    assert all(b.high_hz == pytest.approx(2 * b.low_hz) for b in octaves)
    assert octaves[0].high_hz == 24_000
    assert whole.whitened and whole.low_hz == octaves[-1].low_hz
    assert len(demodulation_bands(48_000.0, widest_hz=5000.0)) < 9


def test_modulation_is_that_of_the_hilbert_envelope() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(12_000) * (1 + 0.5 * np.cos(2 * np.pi * 37 * np.arange(12_000) / RATE))
    band = Band(1500.0, 3000.0)
    found = modulations(x, sampling_rate_hz=RATE, bands=(band,), up_to_hz=200.0)
    f = np.fft.fftfreq(x.size, 1 / RATE)
    inside = (np.abs(f) > band.low_hz) & (np.abs(f) <= band.high_hz)
    squared = np.abs(scipy.signal.hilbert(np.fft.ifft(np.fft.fft(x - x.mean()) * inside).real)) ** 2
    slow = np.fft.rfft(squared / squared.mean())
    slow[201:] = 0.0
    expected = scipy.signal.resample(np.fft.irfft(slow, x.size), found.depth.shape[1])
    np.testing.assert_allclose(found.depth[0], expected, atol=2e-3)


def test_depth_of_a_modulated_carrier() -> None:
    t = np.arange(120_000) / RATE
    m = 0.3
    x = (1 + m * np.cos(2 * np.pi * 90 * t)) * np.cos(2 * np.pi * 2200 * t)
    found = modulations(x, sampling_rate_hz=RATE, bands=BANDS, up_to_hz=400.0)
    spectra = order_spectra(found, steady(30.0), up_to_order=10.0)
    row = BANDS.index(next(b for b in BANDS if b.low_hz < 2000 and b.high_hz > 2400))
    # (1 + m cos)^2 over its mean 1 + m^2 / 2
    assert np.sqrt(spectra.power[row, round(3 / spectra.step)]) == pytest.approx(2 * m / (1 + m**2 / 2), rel=0.03)


def test_whitening_takes_tones_away_and_leaves_blows() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(120_000) / RATE
    x = rng.standard_normal(t.size) + 40 * np.cos(2 * np.pi * 2000 * t) + 40 * np.cos(2 * np.pi * 2100 * t)
    gaps = (1.0 + 0.01 * rng.standard_normal(1050)) / 107.0  # slip: lines in the spectrum it leaves none
    blows = ((0.05 + np.cumsum(gaps)) * RATE).astype(int)
    for k in range(24):
        x[blows + k] += 12 * np.exp(-k / 6) * np.cos(2.2 * k)
    plain, white = (
        np.sqrt(
            order_spectra(
                modulations(x, sampling_rate_hz=RATE, bands=(band,), up_to_hz=300.0), steady(10.0), up_to_order=20.0
            ).power[0]
        )
        for band in (Band(500.0, 5900.0), Band(500.0, 5900.0, whitened=True))
    )
    at, beat = slice(round(10.5 * 64), round(10.9 * 64)), (10 * 64)
    assert plain[beat] > 0.9  # of the tones, 100 Hz apart
    assert white[beat] < 0.1
    assert white[at].max() > 5 * plain[at].max()


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (np.zeros((2, 500)), "shape"),
        (np.array([1.0, np.nan] * 500), "not finite"),
        (np.zeros(4000), "no signal"),
        (np.ones(20), "too short"),
    ],
)
def test_what_cannot_be_demodulated_is_refused(signal: Array, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        modulations(signal, sampling_rate_hz=RATE, bands=BANDS, up_to_hz=100.0)


# orders


def test_turns_are_the_integral_of_the_rate() -> None:
    turning = Turning(np.array([1.0, 3.0, 4.0]), np.array([20.0, 30.0, 25.0]))
    t = np.linspace(0.0, 6.0, 60_001)
    rate = np.interp(t, turning.times_s, turning.rate_hz)
    expected = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(t))])
    found = turning.turns_at(t)
    np.testing.assert_allclose(found - found[0], expected, atol=1e-6)


@pytest.mark.parametrize("change", [0.0, 0.1])
def test_a_line_keeps_its_order_while_the_speed_changes(change: float) -> None:
    rate, seconds = 1200.0, 12.0
    t = np.arange(round(rate * seconds)) / rate
    turning = Turning(np.array([0.0, seconds]), np.array([20 * (1 - change), 20 * (1 + change)]))
    m = 1 + 0.4 * np.cos(2 * np.pi * 3.58 * turning.turns_at(t))
    found = Modulations((Band(1, 2),), rate, m[None].astype(np.float32), 200.0)
    sharp = order_spectra(found, turning, up_to_order=8.0)
    k = np.sqrt(sharp.power[0]).argmax()
    assert sharp.orders[k] == pytest.approx(3.58, abs=sharp.step)
    assert np.sqrt(sharp.power[0, k - 1 : k + 2].sum() / 1.5) == pytest.approx(0.4, rel=0.05)
    if change:
        smeared = order_spectra(found, steady(20.0), up_to_order=8.0)
        assert smeared.power.max() < 0.3 * sharp.power.max()


def test_too_few_turns_make_no_spectrum() -> None:
    found = Modulations((Band(1, 2),), 100.0, np.ones((1, 500), np.float32), 40.0)
    with pytest.raises(RecordError, match="turns"):
        order_spectra(found, steady(1.0), up_to_order=5.0)


# combs


@pytest.mark.parametrize("windows", [1, 4, 30])
def test_the_floor_is_the_mean_of_the_noise(windows: int) -> None:
    rng = np.random.default_rng(4)
    power = np.vstack([noise_power(rng, windows=windows) for _ in range(40)])
    if windows == 1:
        power = 1e-3 * rng.exponential(size=power.shape)
    assert noise_floor(spectra_of(power, windows=windows)).mean() == pytest.approx(1e-3, rel=0.05)


def test_depth_of_a_comb_is_the_sum_of_its_lines_with_one_slip() -> None:
    power = noise_power(np.random.default_rng(5), level=1e-6)
    for k, depth in ((1, 0.9), (2, 0.5), (3, 0.2)):
        line(power, k * 3.585 * 0.99, depth)
    found = Surplus(spectra_of(power)).comb(np.array([3.585]), Comb(3.585))
    assert found.depth[0, 0] == pytest.approx(1.6, abs=0.05)
    assert found.slip[0, 0] == pytest.approx(-0.01, abs=0.004)
    assert Surplus(spectra_of(power)).comb(np.array([4.1]), Comb(4.1)).depth[0, 0] < 0.05


def test_a_harmonic_above_the_first_is_not_counted_in_full() -> None:
    power = noise_power(np.random.default_rng(6), level=1e-6)
    line(power, 3.58, 0.1)
    line(power, 7.16, 1.5)
    assert Surplus(spectra_of(power)).comb(np.array([3.58]), Comb(3.58)).depth[0, 0] < 0.25


def test_sidebands_count_up_to_their_carrier() -> None:
    alone, sided, orphans = (noise_power(np.random.default_rng(7), level=1e-6) for _ in range(3))
    for power in (alone, sided):
        line(power, 5.42, 0.6)
    for power in (sided, orphans):
        line(power, 4.42, 0.6)
        line(power, 6.42, 0.6)
    depth = [
        Surplus(spectra_of(p)).comb(np.array([5.42]), Comb(5.42, side=1.0)).depth[0, 0] for p in (alone, sided, orphans)
    ]
    assert depth[0] == pytest.approx(0.6, abs=0.03)
    assert depth[1] == pytest.approx(0.6 * np.sqrt(2), abs=0.04)
    assert depth[2] < 0.05


def test_multiples_of_the_shaft_are_nobodys_evidence() -> None:
    power = noise_power(np.random.default_rng(8), level=1e-6)
    for k in range(1, 16):
        line(power, float(k), 1.0)
    surplus = Surplus(spectra_of(power))
    assert surplus.comb(np.array([3.987]), Comb(3.987, side=0.38)).depth[0, 0] < 0.05
    assert surplus.open_share(np.array([3.5, 4.0])) == pytest.approx([1.0, 0.0])


def test_families_cover_their_lines_and_little_else() -> None:
    spectra = spectra_of(np.zeros((2, 1280)))
    mask = families(spectra, np.array([3.6, 5.4]), side=1.0, harmonics=2, sidebands=1)
    for row, lines in enumerate(((3.6, 2.6, 4.6, 7.2, 6.2, 8.2), (5.4, 4.4, 6.4, 10.8, 9.8, 11.8))):
        assert all(mask[row, round(o * 64)] for o in lines)
    assert mask.mean() < 0.07


def test_surrogates_belong_to_nobody() -> None:
    orders = (3.585, 5.415, 4.713)
    found = surrogates(3.585, orders)
    assert found.size > 15
    for other in orders:
        assert (np.abs(found[:, None] / (np.array([0.5, 1, 2]) * other) - 1) >= 0.04).all()
    assert (np.abs(found - np.rint(found)) >= 0.06).all()


def test_a_hump_is_not_a_line() -> None:
    rng = np.random.default_rng(9)
    humped, lined = noise_power(rng), noise_power(rng)
    o = np.arange(1280) / 64
    humped[0] *= 1 + 2 * sum(np.exp(-(((o - k * 4.71) / 0.3) ** 2)) for k in (1, 2))
    line(lined, 4.71, 0.5)
    line(lined, 9.42, 0.5)
    none = np.zeros((1, 1280), bool)
    at = [
        hump(s := spectra_of(p), np.array([4.71]), floor=noise_floor(s), cage=0.4, without=none)[0, 0]
        for p in (humped, lined)
    ]
    assert at[0] > 0.3
    assert at[1] < 0.6 * at[0]


# speed


def shaft(hz: float, *, seconds: float = 10.0, drift: float = 0.0, seed: int = 1, amplitude: float = 0.15) -> Array:
    t = np.arange(round(seconds * RATE)) / RATE
    turns = hz * (t + drift * (t**2 / (2 * seconds) - t / 2))
    x = np.random.default_rng(seed).standard_normal(t.size)
    return np.asarray(x + sum(amplitude * np.cos(2 * np.pi * k * turns + k) for k in range(1, 7)))


def refined(x: Array, nominal: float, **options: tuple[int, ...]) -> tuple[float, bool]:
    found = modulations(x, sampling_rate_hz=RATE, bands=BANDS, up_to_hz=500.0)
    speed = refine_speed(x, found, sampling_rate_hz=RATE, nominal_hz=nominal, **options)
    return speed.hz, speed.confirmed


@pytest.mark.parametrize("off", [0.0, 0.004, -0.03, 0.08, -0.1])
def test_the_speed_is_found_near_a_wrong_nominal_one(off: float) -> None:
    hz, confirmed = refined(shaft(29.2), 29.2 * (1 + off))
    assert confirmed
    assert hz == pytest.approx(29.2, rel=5e-4)


def test_noise_confirms_no_speed() -> None:
    confirmed = [refined(np.random.default_rng(s).standard_normal(60_000), 30.0)[1] for s in range(30)]
    assert sum(confirmed) <= 1


def test_lines_of_a_fault_near_a_whole_order_are_no_shaft() -> None:
    t = np.arange(120_000) / RATE
    x = np.random.default_rng(3).standard_normal(t.size)
    x = x + sum(0.2 * np.cos(2 * np.pi * k * 3.052 * 29.0 * t) for k in (1, 2, 3))
    near = suspects((3.052, 4.948, 3.983))
    assert near == (3, 4, 5)
    found = modulations(x, sampling_rate_hz=RATE, bands=BANDS, up_to_hz=500.0)
    bare, guarded = (
        refine_speed(x, found, sampling_rate_hz=RATE, nominal_hz=29.0, suspected=numbers) for numbers in ((), near)
    )
    assert not guarded.confirmed and guarded.hz == 29.0
    assert guarded.evidence < bare.evidence - 1.0


def test_a_course_of_the_speed_is_followed() -> None:
    x = shaft(30.0, seconds=12.0, drift=0.08, amplitude=0.5)
    found = modulations(x, sampling_rate_hz=RATE, bands=BANDS, up_to_hz=500.0)
    speed = refine_speed(x, found, sampling_rate_hz=RATE, nominal_hz=29.5)
    turning, followed = turning_of(x, found, sampling_rate_hz=RATE, speed=speed)
    assert followed.source == "followed" and followed.confirmed
    truth = 30.0 * (1 + 0.08 * (turning.times_s / 12.0 - 0.5))
    np.testing.assert_allclose(turning.rate_hz, truth, rtol=0.004)
    still, same = turning_of(shaft(30.0), found, sampling_rate_hz=RATE, speed=speed)
    assert still.rate_hz.size == 1 and same is speed


def test_an_impossible_search_is_refused() -> None:
    found = modulations(shaft(30.0, seconds=1.0), sampling_rate_hz=RATE, bands=BANDS, up_to_hz=500.0)
    with pytest.raises(ConfigError, match="search"):
        refine_speed(shaft(30.0, seconds=1.0), found, sampling_rate_hz=RATE, nominal_hz=30.0, search=0.5)


def test_lines_that_are_everywhere_are_no_excess() -> None:
    power = noise_power(np.random.default_rng(11), level=1e-6)
    for order in np.arange(0.5, 19.0, 0.1):
        line(power, float(order), 0.3)
    weighed = weigh(spectra_of(power), SKF_6205)
    for place in ("outer_race", "inner_race"):
        h = weighed.of(place)
        assert h.depth > 0.5
        assert h.excess == pytest.approx(h.depth - h.surrogate)
        assert h.excess < 0.3 * h.depth
    assert weighed.background > 0.3
