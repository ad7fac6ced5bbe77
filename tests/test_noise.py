"""Noise: its kind and its level, as drawn and as found in a prepared file."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as sps
from scipy import stats

from faultdx.config import PrepareConfig
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError
from faultdx.preparation import prepare
from faultdx.records import Declared, Item
from faultdx.signals.noise import KINDS, add_noise, draw_noise, segment_rng

Array = npt.NDArray[np.float64]
LONG = 1 << 18


def snr_of(clean: npt.ArrayLike, noisy: npt.ArrayLike) -> Array:
    """Power about the mean over the power of what was added, in dB, along the last axis."""
    x = np.asarray(clean, dtype=np.float64)
    n = np.asarray(noisy, dtype=np.float64) - x
    return np.asarray(10 * np.log10(np.var(x, axis=-1) / np.mean(n**2, axis=-1)))


def slope_db_per_decade(frequency: Array, power: Array) -> float:
    return float(np.polyfit(np.log10(frequency), 10 * np.log10(power), 1)[0])


def periodogram(noise: Array) -> tuple[Array, Array]:
    """Return (bin, mean power) of many short noises, shape (..., samples): the segments as they are, no window."""
    power = np.mean(np.abs(np.fft.rfft(noise.reshape(-1, noise.shape[-1]), axis=-1)) ** 2, axis=0)
    k = np.arange(power.size)
    return k[1:-1].astype(float), power[1:-1]


# The level


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("snr_db", [-20.0, -4.0, 0.0, 7.5, 40.0])
def test_the_ratio_is_exact_for_every_segment_and_channel(kind: str, snr_db: float) -> None:
    rng = np.random.default_rng(1)
    levels = np.array([1e-4, 0.03, 1.0, 50.0, 1e4])[:, None, None]
    offsets = np.array([0.0, 0.5])[None, :, None]
    clean = ((rng.normal(size=(5, 2, 1024)) + offsets) * levels).astype(np.float32)
    noisy = add_noise(clean, kind=kind, snr_db=snr_db, rng=rng)
    assert noisy.dtype == np.float32
    assert noisy.shape == clean.shape
    np.testing.assert_allclose(snr_of(clean, noisy), snr_db, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    snr_db=st.floats(-60, 60),
    samples=st.integers(16, 700),
    level=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_the_ratio_is_exact_for_any_length_and_level(
    kind: str, snr_db: float, samples: int, level: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clean = (level * rng.normal(size=samples)).astype(np.float32)
    assert snr_of(clean, add_noise(clean, kind=kind, snr_db=snr_db, rng=rng)) == pytest.approx(snr_db, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_no_mean_and_unit_power(kind: str) -> None:
    noise = draw_noise((4, 3, 2048), kind=kind, rng=np.random.default_rng(2))
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.mean(axis=-1, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(np.mean(noise.astype(np.float64) ** 2, axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [255, 2048])
def test_noise_drawn_in_blocks_is_the_noise_drawn_at_once(kind: str, samples: int) -> None:
    whole = draw_noise((7, 2, samples), kind=kind, rng=np.random.default_rng(9))
    rng = np.random.default_rng(9)
    parts = [draw_noise((n, 2, samples), kind=kind, rng=rng) for n in (1, 4, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 0.1, -9.81, 1e30])
def test_a_constant_stays_as_it_is_and_spoils_no_neighbour(kind: str, level: float) -> None:
    rng = np.random.default_rng(3)
    clean = np.full((2, 1, 300), level, np.float32)
    clean[1] = rng.normal(size=300)
    noisy = add_noise(clean, kind=kind, snr_db=3.0, rng=rng)
    np.testing.assert_array_equal(noisy[0], clean[0])
    assert snr_of(clean[1], noisy[1]) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [-9.81, 100.0])
def test_an_offset_changes_nothing_in_the_noise(kind: str, offset: float) -> None:
    x = np.random.default_rng(4).normal(size=(3, 2, 500))
    plain, moved = (
        add_noise(x + c, kind=kind, snr_db=-4.0, rng=np.random.default_rng(5)) - (x + c) for c in (0.0, offset)
    )
    # what float32 keeps of numbers as large as the offset; the noise itself has an RMS of 1.6
    np.testing.assert_allclose(moved, plain, atol=1e-5)


# The kind


@pytest.mark.parametrize("kind", ["gaussian", "laplacian"])
def test_white_noise_is_flat(kind: str) -> None:
    noise = draw_noise((LONG,), kind=kind, rng=np.random.default_rng(4))
    frequency, power = sps.welch(noise, nperseg=512)
    frequency, power = frequency[2:-1], power[2:-1]
    assert abs(slope_db_per_decade(frequency, power)) < 0.15
    assert stats.gmean(power) / np.mean(power) > 0.995  # spectral flatness, 1 for white
    assert np.max(np.abs(10 * np.log10(power / power.mean()))) < 1.5


def test_pink_noise_falls_ten_decibels_a_decade_across_the_band() -> None:
    noise = draw_noise((LONG,), kind="pink", rng=np.random.default_rng(5))
    frequency, power = sps.welch(noise, nperseg=8192, detrend=False)
    for low, high in ((2e-3, 0.5), (2e-3, 0.02), (0.02, 0.1), (0.1, 0.5)):
        band = (frequency >= low) & (frequency < high)
        assert slope_db_per_decade(frequency[band], power[band]) == pytest.approx(-10, abs=0.6)


def test_pink_noise_of_short_segments_falls_from_the_first_bin() -> None:
    k, power = periodogram(draw_noise((2000, 256), kind="pink", rng=np.random.default_rng(6)))
    assert slope_db_per_decade(k, power) == pytest.approx(-10, abs=0.2)
    assert power[0] / power[9] == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(("kind", "kurtosis", "within"), [("gaussian", 3, 0.05), ("laplacian", 6, 0.3)])
def test_the_distribution_is_the_one_named(kind: str, kurtosis: float, within: float) -> None:
    noise = draw_noise((LONG,), kind=kind, rng=np.random.default_rng(7))
    assert stats.kurtosis(noise, fisher=False) == pytest.approx(kurtosis, abs=within)
    assert stats.skew(noise) == pytest.approx(0, abs=0.05)
    oracle = {"gaussian": stats.norm(), "laplacian": stats.laplace(scale=np.sqrt(0.5))}[kind]
    assert stats.kstest(noise, oracle.cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_channels_and_segments_get_noise_of_their_own(kind: str) -> None:
    noise = draw_noise((3, 2, 4096), kind=kind, rng=np.random.default_rng(8)).reshape(6, -1)
    white = np.diff(noise) if kind == "pink" else noise
    correlation = np.corrcoef(white) - np.eye(6)
    assert np.max(np.abs(correlation)) < 0.08


# What is refused, and what is repeatable


def test_an_unknown_kind_and_a_ratio_that_is_no_number_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"'brown' is unknown; the kinds are gaussian, pink, laplacian"):
        add_noise(np.ones(64), kind="brown", snr_db=0.0, rng=rng)
    for snr_db in (np.nan, np.inf, -np.inf):
        with pytest.raises(ConfigError, match="is not a finite number of dB"):
            add_noise(np.ones(64), kind="pink", snr_db=snr_db, rng=rng)


def test_the_generator_of_a_segment_depends_on_the_segment_alone() -> None:
    def draw(**changes: object) -> float:
        key: dict[str, object] = {"seed": 1, "record": "ab", "start": 2048, "kind": "pink", "snr_db": -4.0}
        return float(segment_rng(**(key | changes)).random())  # type: ignore[arg-type]

    first = draw()
    others = {draw(seed=2), draw(record="ac"), draw(start=0), draw(kind="gaussian"), draw(snr_db=-3.0)}
    assert len(others | {first}) == 6
    assert draw() == first
    # the same ratio, whoever wrote it: TOML, a flag, numpy
    assert draw(snr_db=-4) == draw(snr_db=np.float32(-4)) == draw(snr_db=np.float64(-4)) == first


# In the prepared file

RATE = 12_000.0
SEGMENT = 512


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Six records of two channels; unequal levels, an offset, a tone."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(11)
    items = []
    for i in range(6):
        t = np.arange(30_000) / RATE
        x = (10.0 ** (i - 3)) * np.stack([np.sin(2 * np.pi * 700 * t) + 0.3, rng.normal(size=t.size)])
        path = folder / f"{i}.npy"
        np.save(path, x.T.astype(np.float32))
        items.append(Item(str(path), Declared(label=("normal", "worn")[i % 2], sampling_rate_hz=RATE, said_by="table")))
    return items


def content(path: Path) -> dict[tuple[str, int, str, float], npt.NDArray[np.float32]]:
    """Return segments by (digest of the record, start, kind of noise, SNR), with plain h5py."""
    with h5py.File(path) as file:
        kinds = [*file.attrs["noise_kinds"], "none"]
        sha256 = file["records/sha256"].asstr()[:]
        keys = zip(
            sha256[file["record"][:]],
            file["start"][:].tolist(),
            [kinds[i] for i in file["noise"][:]],
            file["snr_db"][:].tolist(),
            strict=True,
        )
        return dict(zip(keys, file["segments"][:], strict=True))


def made(items: Sequence[Item], path: Path, *, workers: int = 1, seed: int = 5) -> Path:
    config = PrepareConfig(segment=SEGMENT, noise=KINDS, snr_db=(-6.0, 3.0), seed=seed, quality="off")
    prepare(items, path, config=config, workers=workers)
    return path


@pytest.fixture(scope="module")
def noisy_file(recordings: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(recordings, tmp_path_factory.mktemp("noisy") / "noisy.h5")


def test_the_file_holds_the_noise_that_it_says(recordings: list[Item], noisy_file: Path, tmp_path: Path) -> None:
    prepare(recordings, tmp_path / "clean.h5", config=PrepareConfig(segment=SEGMENT, quality="off"))
    clean = {key[:2]: x for key, x in content(tmp_path / "clean.h5").items()}
    noisy = content(noisy_file)
    assert len(noisy) == len(clean) * len(KINDS) * 2
    noises: dict[str, list[Array]] = {kind: [] for kind in KINDS}
    for (sha256, start, kind, snr_db), x in noisy.items():
        reference = clean[sha256, start]
        np.testing.assert_allclose(snr_of(reference, x), snr_db, atol=1e-3)
        noise = x.astype(np.float64) - reference
        noises[kind].append(noise / noise.std(axis=-1, keepdims=True))
    drawn = {kind: np.stack(found) for kind, found in noises.items()}
    assert slope_db_per_decade(*periodogram(drawn["gaussian"])) == pytest.approx(0, abs=0.3)
    assert slope_db_per_decade(*periodogram(drawn["laplacian"])) == pytest.approx(0, abs=0.3)
    assert slope_db_per_decade(*periodogram(drawn["pink"])) == pytest.approx(-10, abs=0.3)
    assert stats.kurtosis(drawn["gaussian"], axis=None, fisher=False) == pytest.approx(3, abs=0.05)
    assert stats.kurtosis(drawn["laplacian"], axis=None, fisher=False) == pytest.approx(6, abs=0.3)
    for kind in KINDS:  # no draw is used twice: neither for two segments nor for two ratios
        flat = drawn[kind].reshape(-1, SEGMENT)
        assert len(np.unique(np.round(flat[:, :8], 4), axis=0)) == len(flat)


def test_order_workers_and_names_change_nothing_in_the_noise(
    recordings: list[Item], noisy_file: Path, tmp_path: Path
) -> None:
    reference = content(noisy_file)
    parallel = made(recordings, tmp_path / "parallel.h5", workers=2)
    assert filecmp.cmp(noisy_file, parallel, shallow=False)
    moved = []
    for i, item in enumerate(reversed(recordings)):
        (tmp_path / f"other name {i}.bin").write_bytes(Path(item.path).read_bytes())
        moved.append(Item(os.fspath(tmp_path / f"other name {i}.bin"), item.declared))
    found = content(made(moved, tmp_path / "moved.h5"))
    assert found.keys() == reference.keys()
    assert all(np.array_equal(found[key], reference[key]) for key in reference)


def test_another_seed_gives_other_noise(recordings: list[Item], noisy_file: Path, tmp_path: Path) -> None:
    reference = content(noisy_file)
    other = content(made(recordings, tmp_path / "other.h5", seed=6))
    assert other.keys() == reference.keys()
    assert not any(np.array_equal(other[key], reference[key]) for key in reference)


def test_a_constant_segment_gets_no_noise_and_no_snr(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    items = []
    for i, (label, level) in enumerate((("normal", 0.1), ("worn", 7.7), ("worn", 0.0))):
        x = rng.normal(size=(8 * SEGMENT, 2))
        x[: 3 * SEGMENT, i % 2] = level  # one channel is enough
        np.save(tmp_path / f"{i}.npy", x.astype(np.float32))
        items.append(Item(str(tmp_path / f"{i}.npy"), Declared(label=label, sampling_rate_hz=RATE, said_by="table")))
    with open_prepared(made(items, tmp_path / "noisy.h5")) as data:
        silent = data.start < 2 * SEGMENT + 1
        assert 0 < silent.sum() < len(silent)
        np.testing.assert_array_equal(np.isnan(data.snr_db), silent)
        assert set(data.noise[silent].tolist()) == {0, 1, 2}  # the kind is kept
        x = data.segments(np.arange(len(data.start)))
        for record, level in enumerate((0.1, 7.7, 0.0)):
            mine = x[silent & (data.record == record)]
            assert np.all(mine[:, record % 2] == np.float32(level))
            assert np.all(np.ptp(mine[:, 1 - record % 2], axis=-1) > 1)
        copies = data.noise_copies()
        assert [(kind, snr) for kind, snr, _ in copies] == [(k, s) for k in KINDS for s in (-6.0, 3.0)]
        np.testing.assert_array_equal(sum(mask.astype(int) for *_, mask in copies), ~silent)
