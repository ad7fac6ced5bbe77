"""What the default recipe is made of: the spectral branch, other speeds and paths, and more noise than less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from equations import amplitudes, one_thread, random_segments, shaken
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.augmentation import KNOTS, SHARE, equalised, rates, stretched
from faultdx.batches import Sampler, generator
from faultdx.config import RECIPES, PrepareConfig, TrainConfig, load
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError
from faultdx.networks.architecture import LONGEST_TRANSFORM, Architecture, architecture, transform_factors
from faultdx.networks.drsn import build
from faultdx.networks.lifted import Lifted
from faultdx.networks.spectrum import AmplitudeSpectrum, SpectralBranch
from faultdx.preparation import prepare
from faultdx.records.source import Declared, Item

CPU = torch.device("cpu")
LENGTH, RATE_HZ = 256, 12_800.0
single_thread = pytest.fixture(autouse=True, scope="module")(one_thread)


# ------------------------------------------------------------------------------------------- the spectral branch


@settings(max_examples=25)
@given(st.integers(16, 3 * LONGEST_TRANSFORM), st.integers(0, 1000))
def test_amplitudes_are_those_of_the_fft(samples: int, seed: int) -> None:
    dims = architecture("drsn-fused", samples=samples, channels=2)
    x = random_segments(dims, 3, seed=seed)
    found = AmplitudeSpectrum(dims.transform, dims.frames)(x)
    expected = amplitudes(x.double().numpy(), dims.transform, dims.frames)
    assert found.shape == (3, 2, dims.transform // 2)
    assert np.abs(found.numpy() - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize("samples", [16, 17, 63, 64, 100, 127, 128, 1000, 2047, 2048, 2049, 3000, 4096, 5000, 1 << 20])
def test_frames_cover_the_segment_but_for_less_than_the_smallest_transform(samples: int) -> None:
    dims = architecture("drsn-fused", samples=samples)
    a, b = transform_factors(dims.transform)
    assert a * b == dims.transform <= LONGEST_TRANSFORM and a % 2 == 0 and a <= 64
    assert 0 <= samples / dims.frames - dims.transform < (64 if samples >= 64 else 2)


def test_white_noise_has_the_same_power_everywhere_and_a_tone_one_line() -> None:
    g = torch.Generator().manual_seed(0)
    spectrum = AmplitudeSpectrum(2048, 1)
    power = (spectrum(torch.randn(400, 1, 2048, generator=g)) ** (4 / 3)).mean(dim=0)[0]
    assert power[:-1].mean().item() == pytest.approx(1.0, abs=0.01) and power.min() > 0.7 and power.max() < 1.4
    tone = torch.sin(2 * torch.pi * 300 * torch.arange(2048) / 2048 + 0.4)
    line = spectrum(tone[None, None])[0, 0]
    assert line.argmax() == 299 and line[299].item() == pytest.approx((2048 / 4) ** 0.75, rel=1e-4)
    assert line.sum() - line[299] < 0.01


def test_a_silent_segment_has_a_finite_spectrum_and_gradient() -> None:
    dims = architecture("drsn-fused", samples=128, classes=3)
    x = torch.zeros(4, 1, 128, requires_grad=True)
    out = shaken(dims)(x)
    out.sum().backward()
    assert torch.isfinite(out).all() and x.grad is not None and torch.isfinite(x.grad).all()


def test_both_branches_reach_the_answer_and_learn() -> None:
    dims = architecture("drsn-fused", samples=256, classes=3, channels=2)
    network, x = build(dims), random_segments(dims, 8)
    torch.nn.functional.cross_entropy(network(x), torch.arange(8) % 3).backward()
    for name, value in network.named_parameters():
        assert value.grad is not None and torch.isfinite(value.grad).all(), name
    for part in ("stem.weight", "spectral.fc_1.weight"):
        assert network.get_parameter(part).grad.abs().max() > 0  # type: ignore[union-attr]
    features = shaken(dims).features(x)
    assert features.shape == (8, 32 + 64)
    alone = shaken(replace(dims, spectrum=0)).features(x)
    assert alone.shape == (8, 32)


def test_the_spectrum_is_of_the_standardized_segment_whatever_the_first_branch_sees() -> None:
    for kind in ("waveform", "spectrogram"):
        dims = architecture("drsn-fused", samples=256, classes=3, input_kind=kind)
        network, x = shaken(dims), random_segments(dims, 5)
        torch.testing.assert_close(network(x), network(7.0 * x + 3.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("samples", [100, 256, 4200])
def test_the_exported_branch_orders_and_scales_in_its_linear_layer(samples: int) -> None:
    dims = architecture("drsn-fused", samples=samples, channels=3, classes=4)
    network, x = shaken(dims, seed=2), random_segments(dims, 6)
    lifted = Lifted(network)
    assert not isinstance(lifted.network.spectral, SpectralBranch)
    with torch.inference_mode():
        torch.testing.assert_close(lifted(x)[0], network(x), rtol=1e-4, atol=1e-4)


def test_a_model_folder_of_before_has_no_spectral_branch() -> None:
    old = {k: v for k, v in architecture("drsn-wide").to_dict().items() if k != "spectrum"}
    assert Architecture.from_dict(old) == architecture("drsn-wide")


def test_a_wdcnn_takes_no_spectral_branch() -> None:
    with pytest.raises(ConfigError, match="no spectral branch"):
        architecture("wdcnn", spectrum=64)


# ------------------------------------------------------------------------------------------ other speeds and paths


def tone(frequency: float, samples: int) -> torch.Tensor:
    """Cycles a sample, in two channels a quarter of a cycle apart."""
    angle = 2 * torch.pi * frequency * torch.arange(samples, dtype=torch.double)
    return torch.stack([angle.sin(), angle.cos()]).float()


@given(st.floats(0.9, 1.1), st.floats(0, 0.999), st.floats(0.01, 0.1))
def test_a_stretched_tone_is_a_tone_of_the_other_frequency(rate: float, where: float, frequency: float) -> None:
    begin, end = torch.tensor([50]), torch.tensor([50 + 2 * LENGTH])
    signal = tone(frequency, 1000)
    y = stretched(signal, begin, end, torch.tensor([rate]), torch.tensor([where]), length=LENGTH)
    assert y.shape == (1, 2, LENGTH)
    # the two channels are the parts of a rotating pointer: its angle grows by the same step at every sample
    angle = torch.atan2(y[0, 0], y[0, 1]).double().numpy()
    steps = np.angle(np.exp(1j * np.diff(angle)))
    np.testing.assert_allclose(steps, 2 * np.pi * frequency * rate, atol=0.012)
    assert y.square().sum(dim=1).sub(1).abs().max() < 0.02


@given(
    st.lists(
        st.tuples(st.integers(LENGTH, 3 * LENGTH), st.floats(0.5, 1.5), st.floats(0, 0.999999)), min_size=1, max_size=5
    )
)
def test_a_stretched_piece_stays_in_its_recording(pieces: list[tuple[int, float, float]]) -> None:
    """Recordings of one value each: anything of a neighbour would show."""
    lengths = torch.tensor([n for n, _, _ in pieces])
    end = torch.cumsum(lengths, 0)
    signal = torch.cat([torch.full((n,), 1000.0 * i) for i, (n, _, _) in enumerate(pieces)])[None]
    rate, where = (torch.tensor([p[i] for p in pieces], dtype=torch.double) for i in (1, 2))
    y = stretched(signal, end - lengths, end, rate, where, length=LENGTH)
    expected = 1000.0 * torch.arange(len(pieces))[:, None, None].expand(-1, 1, LENGTH)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-3)


def test_speed_one_is_the_recording_itself() -> None:
    signal = torch.arange(600.0)[None]
    begin, end = torch.tensor([100]), torch.tensor([100 + LENGTH + 3])
    y = stretched(signal, begin, end, torch.tensor([1.0]), torch.tensor([0.0]), length=LENGTH)
    torch.testing.assert_close(y[0], signal[:, 101 : 101 + LENGTH])


def test_rates_are_even_and_half_of_them_one() -> None:
    rate = rates(20_000, most=0.1, g=generator(0, 1))
    changed = rate[rate != 1]
    assert len(changed) / len(rate) == pytest.approx(SHARE, abs=0.02)
    assert changed.min() == pytest.approx(0.9, abs=1e-3) and changed.max() == pytest.approx(1.1, abs=1e-3)
    assert changed.mean().item() == pytest.approx(1.0, abs=2e-3) and changed.std() == pytest.approx(
        0.2 / 12**0.5, rel=0.03
    )


def test_an_equaliser_changes_gain_and_not_phase_in_half_of_the_segments() -> None:
    x = torch.randn(2000, 2, LENGTH, generator=generator(0, 2))
    y = equalised(x, spread_db=3.0, g=generator(0, 3))
    same = (x == y).flatten(1).all(dim=1)
    assert same.float().mean().item() == pytest.approx(1 - SHARE, abs=0.04)
    ratio = torch.fft.rfft(y[~same].double()) / torch.fft.rfft(x[~same].double())
    inside = ratio[..., 1:-1]
    assert (inside.imag.abs() < 1e-3 * inside.real).all()
    gain_db = 20 * torch.log10(ratio.real[..., :: LENGTH // 2 // (KNOTS - 1)])
    assert gain_db.shape[-1] == KNOTS
    assert gain_db.std(dim=0) == pytest.approx(3.0, rel=0.12) and gain_db.mean(dim=0) == pytest.approx(0.0, abs=0.4)
    # channels and knots by themselves
    assert abs(torch.corrcoef(gain_db[:, :, 4].T)[0, 1]) < 0.1 and abs(torch.corrcoef(gain_db[:, 0, 3:5].T)[0, 1]) < 0.1
    between = 20 * torch.log10(ratio.real[..., LENGTH // 32])  # half way from the first knot to the second
    torch.testing.assert_close(between, gain_db[..., :2].mean(dim=-1), rtol=1e-3, atol=1e-2)


# ------------------------------------------------------------------------------------------------ what is fed


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class a tone, in a file that is cut in time."""
    folder = tmp_path_factory.mktemp("tones")
    items = []
    for label, frequency in {"normal": 0.05, "inner": 0.11}.items():
        np.save(folder / f"{label}.npy", tone(frequency, 6000)[0].numpy())
        items.append(Item(str(folder / f"{label}.npy"), flags=Declared(sampling_rate_hz=RATE_HZ, label=label)))
    prepare(items, folder / "tones.h5", config=PrepareConfig(segment=LENGTH, split="time", quality="off"))
    return folder / "tones.h5"


PLAIN = TrainConfig(noise=(), batch=64, stretch=0.0, equalizer=0.0, polarity=False)


def frequency_of(x: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(LENGTH)
    return torch.fft.rfft(x[:, 0] * window, n=1 << 14).abs().argmax(dim=1) / (1 << 14)


def test_batches_hold_other_speeds_within_the_bounds(tones: Path) -> None:
    with open_prepared(tones) as prepared:
        base = {k: [0.05, 0.11][list(prepared.classes).index("inner") == k] for k in (0, 1)}
        sampler = Sampler(prepared, replace(PLAIN, stretch=0.2), CPU)
        batches = [sampler.batch(step, 10) for step in range(8)]
        again = sampler.batch(3, 10)[0]
        plain = Sampler(prepared, PLAIN, CPU).batch(3, 10)
    x, y = torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])
    ratio = frequency_of(x) / torch.tensor([base[int(k)] for k in y])
    assert (ratio > 0.795).all() and (ratio < 1.205).all()
    assert ((ratio - 1).abs() < 0.01).float().mean().item() == pytest.approx(SHARE + 0.05 * SHARE, abs=0.08)
    assert torch.equal(again, batches[3][0])
    # those left alone, and the labels, are what they were without
    untouched = (again == plain[0]).flatten(1).all(dim=1)
    assert untouched.float().mean() > 0.3 and torch.equal(plain[1], batches[3][1])


def test_without_crops_nothing_is_stretched(tones: Path) -> None:
    with open_prepared(tones) as prepared:
        one, two = (Sampler(prepared, replace(PLAIN, crops=False, stretch=s), CPU).batch(0, 10)[0] for s in (0.0, 0.3))
    assert torch.equal(one, two)


def test_an_equaliser_in_the_batches_comes_before_the_noise(tones: Path) -> None:
    """The SNR is then that of what the network is to learn."""
    config = replace(PLAIN, noise=("gaussian",), snr=(5.0, 5.0), clean_share=0.0, equalizer=6.0, batch=256)
    with open_prepared(tones) as prepared:
        noisy = Sampler(prepared, config, CPU).batch(0, 10)[0]
        clean = Sampler(prepared, replace(config, clean_share=1.0), CPU).batch(0, 10)[0]
    power = clean.var(dim=2) / (noisy - clean).square().mean(dim=2)
    torch.testing.assert_close(10 * power.log10(), torch.full_like(power, 5.0), rtol=0, atol=0.05)


@pytest.mark.parametrize("focus", [1.0, 2.0, 0.5])
def test_focus_gives_the_low_snrs_their_share(tones: Path, focus: float) -> None:
    config = replace(PLAIN, noise=("gaussian",), snr=(-10.0, 10.0), clean_share=0.0, batch=2000, snr_focus=focus)
    with open_prepared(tones) as prepared:
        noisy = Sampler(prepared, config, CPU).batch(0, 10)[0]
        clean = Sampler(prepared, replace(config, clean_share=1.0), CPU).batch(0, 10)[0]
    snr = 10 * (clean.var(dim=2) / (noisy - clean).square().mean(dim=2)).log10()
    for bound in (-5.0, 0.0, 5.0):  # snr < bound where u < ((bound - low) / (high - low)) ** (1 / focus)
        assert (snr < bound).float().mean().item() == pytest.approx(((bound + 10) / 20) ** (1 / focus), abs=0.04)


# ------------------------------------------------------------------------------------------------ its settings


def test_the_paper_recipe_changes_neither_speed_nor_path() -> None:
    paper = load(TrainConfig, section="train", settings=["recipe=paper"])
    assert (paper.stretch, paper.equalizer) == (0.0, 0.0)
    assert RECIPES["paper"]["stretch"] == 0.0


@pytest.mark.parametrize("setting", ["stretch=0.6", "stretch=-0.1", "equalizer=41", "snr_focus=0", "snr_focus=11"])
def test_absurd_settings_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting.split('=', maxsplit=1)[0]} = .* must be"):
        load(TrainConfig, section="train", settings=[setting])
