"""The same networks in two dimensions: on log-spectrograms computed inside the network, and on noisy digits."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import onnxruntime
import pytest
import scipy.signal
import torch
from equations import Equations, one_thread, random_segments, shaken, spectrogram
from torch import Tensor
from torch.nn import functional as F

from faultdx.errors import ConfigError
from faultdx.export import to_onnx, to_safetensors
from faultdx.networks.architecture import GATES, NETWORKS, Architecture, architecture
from faultdx.networks.drsn import build, multiply_adds, parameter_count
from faultdx.networks.spectrogram import FLOOR, LogSpectrogram, fourier_kernels
from faultdx.networks.units import BatchNorm, ResidualUnit, Thresholds, soft_threshold

# Widens by 1 and by 2 channels, with and without a stride, on two sensor channels: pictures of 9 x 11.
SMALL = Architecture(
    *("channel-wise", 3, 3, 1, (3, 4, 6), (2, 1, 2)),
    channels=2,
    classes=3,
    samples=96,
    input_kind="spectrogram",
    window=16,
    hop=8,
)
EVERY = {
    **{gate: replace(SMALL, gate=gate) for gate in GATES},
    "convnet": replace(SMALL, gate="none", shortcut=False),
    "raw": replace(SMALL, standardize=False),
}
every_network = pytest.mark.parametrize("dims", EVERY.values(), ids=EVERY)
shrinking = pytest.mark.parametrize("gate", ["channel-wise", "channel-shared"])
residual = [name for name in NETWORKS if name != "wdcnn"]
threads = pytest.fixture(autouse=True, scope="module")(one_thread)


def unit(c_in: int, c_out: int, *, stride: int = 1, gate: str = "channel-wise", seed: int = 0) -> ResidualUnit:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResidualUnit(c_in, c_out, kernel=3, stride=stride, gate=gate, dimensions=2).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------- the spectrogram


@pytest.mark.parametrize(("window", "hop", "samples"), [(64, 16, 2048), (16, 16, 100), (32, 7, 201), (8, 1, 16)])
def test_spectrogram_is_that_of_the_fft(window: int, hop: int, samples: int) -> None:
    x = noise(3, 2, samples).cumsum(dim=2).double()
    x = (x - x.mean(dim=2, keepdim=True)) / x.std(dim=2, keepdim=True)
    module = LogSpectrogram(window, hop).double()
    module.kernels.copy_(torch.from_numpy(fourier_kernels(window))[:, None, None])  # exact, not from single precision
    found = module(x).numpy()
    assert found.shape == (3, 2, window // 2 + 1, (samples - window) // hop + 1)
    assert np.abs(found - spectrogram(x.numpy(), window, hop)).max() < 1e-8
    # another's: scipy scales to a density, half of it at the ends, and takes no mean out where told so
    density = scipy.signal.spectrogram(
        *(x.numpy(), 1.0, "hann", window, window - hop),
        detrend=False,
        mode="psd",
        scaling="density",
        axis=2,
    )[2]
    density[:, :, 1:-1] /= 2
    floor = FLOOR * density.mean(axis=(2, 3), keepdims=True)
    assert np.abs(found - np.log(density + floor)).max() < 1e-8
    single = LogSpectrogram(window, hop)(x.float()).numpy()
    assert np.abs(np.exp(single) - np.exp(found)).max() < 1e-5 * np.exp(found).max()


def test_spectrogram_of_white_noise_has_power_one_and_of_a_tone_one_line() -> None:
    power = LogSpectrogram(64, 16)(noise(400, 1, 2048)).exp().mean(dim=(0, 1, 3))
    assert (power - 1).abs().max() < 0.05
    tone = torch.sin(2 * torch.pi * 10 / 64 * torch.arange(2048)).view(1, 1, -1)
    line = LogSpectrogram(64, 16)(tone)[0, 0].mean(dim=1)
    assert line.argmax() == 10
    assert (line[[9, 11]] - line[10]).tolist() == pytest.approx([-2 * np.log(2)] * 2, abs=1e-3)  # Hann: half beside
    assert (line[:8] - line[10] < -10).all() and (line[13:] - line[10] < -10).all()


def test_the_floor_follows_the_level_of_the_segment() -> None:
    x = noise(2, 1, 512)
    x[:, :, 200:300] = 0.0
    module = LogSpectrogram(32, 8)
    assert torch.allclose(module(1e-4 * x), module(x) + 2 * np.log(1e-4), atol=1e-3)
    mean = module(x).exp().mean(dim=(1, 2, 3))
    assert torch.allclose(module(x).amin(dim=(1, 2, 3)), (FLOOR * mean).log(), atol=1e-3)  # the silence in the middle


@pytest.mark.parametrize("value", [0.0, 0.1, -7.77, 1e6, 1e-30])
def test_a_constant_gives_finite_numbers(value: float) -> None:
    x = torch.full((1, 2, 96), value, requires_grad=True)
    assert LogSpectrogram(16, 8)(x).isfinite().all()
    for dims in (SMALL, replace(SMALL, standardize=False)):
        out = shaken(dims)(x)
        assert out.isfinite().all()
        (slope,) = torch.autograd.grad(out.sum(), x)
        assert slope.isfinite().all()


def test_the_transform_is_neither_saved_nor_trained() -> None:
    network = build(SMALL)
    assert not [name for name in network.state_dict() if "spectrogram" in name]
    assert not [name for name, _ in network.named_parameters() if "spectrogram" in name]
    other = build(SMALL, seed=1)
    other.load_state_dict(network.state_dict())
    x = random_segments(SMALL, 3)
    assert torch.equal(other.eval()(x), network.eval()(x))
    assert b"kernels" not in to_safetensors(network)


# ------------------------------------------------------------------------------------------------ tables and sizes


def by_hand(channels: int, classes: int, widths: tuple[int, ...], stem: int, attention: int, alphas: int) -> int:
    """Parameters of the skeleton with 3 x 3 kernels; attention 0 or 1; alphas a channel C, or 1 for all."""
    total, c_in = 9 * channels * stem + stem, stem
    for c in widths:
        total += 2 * c_in + 9 * c_in * c + c + 2 * c + 9 * c * c + c
        out = alphas or c
        total += attention * (c * c + c + 2 * c + c * out + out)
        c_in = c
    return total + 2 * c_in + c_in * classes + classes


@pytest.mark.parametrize(
    ("name", "attention", "alphas"),
    [("drsn-cw", 1, 0), ("drsn-cs", 1, 1), ("senet", 1, 0), ("resnet", 0, 0), ("convnet", 0, 0), ("drsn-wide", 1, 0)],
)
def test_parameter_count(name: str, attention: int, alphas: int) -> None:
    widths, stem = NETWORKS[name].widths, NETWORKS[name].stem_channels
    dims = architecture(name, input_kind="spectrogram", channels=2, classes=8)
    network = build(dims)
    assert parameter_count(network) == by_hand(2, 8, widths, stem, attention, alphas) == dims.parameters
    assert multiply_adds(network) == dims.multiply_adds


def test_multiply_adds_of_the_two_dimensional_drsn() -> None:
    # 125 frames of 33 frequencies; the stem and the first unit of each width halve both
    transform = 2 * 33 * 64 * 125
    units = 8 * 144 * (9 * 32) + (288 + 7 * 576) * (5 * 16) + (1152 + 7 * 2304) * (3 * 8)
    attention = 2 * 4 * (16 + 64 + 256)
    dims = architecture("drsn-cw", input_kind="spectrogram", classes=8)
    assert dims.multiply_adds == transform + 36 * (17 * 63) + units + attention + 16 * 8


@pytest.mark.parametrize("name", residual)
def test_layers_have_the_shapes_of_a_halved_picture(name: str) -> None:
    network = build(architecture(name, input_kind="spectrogram")).eval()
    shapes: list[tuple[int, ...]] = []
    for module in (network.spectrogram, network.stem, *network.units):
        module.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[2:])))
    network(torch.zeros(1, 1, 2048))
    halvings = sum(stride == 2 for stride in network.dims.strides)
    each = len(network.units) // halvings
    assert shapes == [(33, 125), (17, 63), *[s for s in [(9, 32), (5, 16), (3, 8)][:halvings] for _ in range(each)]]


def test_a_wdcnn_takes_no_spectrograms_and_a_segment_must_fill_a_window() -> None:
    with pytest.raises(ConfigError, match="a wdcnn takes waveforms only"):
        architecture("wdcnn", input_kind="spectrogram")
    assert architecture("drsn-cw", input_kind="spectrogram", samples=64).shape == (33, 1)
    with pytest.raises(ConfigError, match="too short, this network takes at least 64"):
        architecture("drsn-cw", input_kind="spectrogram", samples=63)
    with pytest.raises(ConfigError, match="input_kind 'image'"):
        architecture("drsn-cw", input_kind="image")


@every_network
def test_architecture_survives_the_dictionary(dims: Architecture) -> None:
    assert Architecture.from_dict(dims.to_dict()) == dims


# ------------------------------------------------------------------------------- the equations, written in numpy


@pytest.mark.parametrize("mode", ["evaluation", "batch statistics"])
@pytest.mark.parametrize(
    "dims",
    [*EVERY.values(), *(architecture(n, input_kind="spectrogram", classes=8) for n in residual)],
    ids=[*EVERY, *residual],
)
def test_forward_pass_equals_the_equations(dims: Architecture, mode: str) -> None:
    network, x = shaken(dims), random_segments(dims, 4)
    expected = Equations(network, batch_statistics=mode != "evaluation")(x)
    network.train(mode != "evaluation")
    with torch.no_grad():
        single = network(x).double().numpy()
        network.double()
        network.spectrogram.kernels.copy_(torch.from_numpy(fourier_kernels(dims.window))[:, None, None])
        double = network(x.double()).numpy()
    scale = np.abs(expected).max()
    exact = 1e-6 if dims.spectrum else 1e-8  # the constants of that transform are float32 here
    assert np.abs(double - expected).max() < exact * scale
    assert np.abs(single - expected).max() < 3e-5 * scale


# -------------------------------------------------------------------------------------- the unit in two dimensions


@shrinking
def test_thresholds_are_positive_below_the_mean_and_each_samples_own(gate: str) -> None:
    sub = unit(6, 6, gate=gate, seed=3).thresholds
    r = noise(16, 6, 9, 7, seed=1) * torch.linspace(0.1, 5, 16).view(-1, 1, 1, 1)
    tau = sub(r).detach()
    mean = r.abs().mean(dim=(2, 3), keepdim=True)
    limit = mean if gate == "channel-wise" else mean.mean(dim=1, keepdim=True)
    assert tau.shape == limit.shape and (tau > 0).all() and (tau < limit).all()
    assert len(set(tau[:, 0].flatten().tolist())) == 16
    assert (soft_threshold(r, tau) != 0).flatten(1).any(dim=1).all()
    # where in the picture something is tells the thresholds nothing, nor does its sign
    assert torch.allclose(sub(r), sub(-r.flip(2).transpose(2, 3)))


@shrinking
def test_a_picture_of_one_row_is_the_unit_in_one_dimension(gate: str) -> None:
    """Kernels that are zero but in their middle row make of the 2-D unit the 1-D unit: it is written once."""
    flat = ResidualUnit(4, 7, kernel=3, stride=2, gate=gate).eval()
    square = unit(4, 7, stride=2, gate=gate)
    for name, value in square.state_dict().items():
        given = flat.state_dict()[name]
        value.copy_(F.pad(given.unsqueeze(2), (0, 0, 1, 1)) if value.dim() == 4 else given)
    x = noise(3, 4, 21)
    assert torch.allclose(square(x.unsqueeze(2)).squeeze(2), flat(x), atol=1e-6)
    assert torch.equal(square.shortcut(x.unsqueeze(2)).squeeze(2), flat.shortcut(x))


@shrinking
def test_zero_threshold_is_the_plain_resnet(gate: str) -> None:
    network, x = shaken(replace(SMALL, gate=gate)), random_segments(SMALL, 4)
    plain = build(replace(SMALL, gate="none")).eval()
    assert plain.load_state_dict(network.state_dict(), strict=False).missing_keys == []
    assert not torch.allclose(network(x), plain(x), rtol=0.01)
    for made in network.modules():
        if isinstance(made, Thresholds):
            made.fc_b.bias.data.fill_(-1e4)  # alpha = 0
    assert torch.equal(network(x), plain(x))


@pytest.mark.parametrize(("rows", "columns"), [(8, 6), (9, 7)])
def test_shortcut_takes_every_second_position_of_both_and_pads_channels_on_both_sides(rows: int, columns: int) -> None:
    made = unit(4, 7, stride=2)
    x = noise(2, 4, rows, columns) + 9
    wide = made.shortcut(x)
    assert torch.equal(wide[:, 1:5], F.avg_pool2d(x, 1, 2))
    assert not wide[:, :1].any() and not wide[:, 5:].any()
    assert made(x).shape == wide.shape == (2, 7, -(-rows // 2), -(-columns // 2))


def test_batch_norm_takes_pictures_and_survives_a_single_value() -> None:
    x = noise(4, 3, 5, 6)
    assert torch.equal(BatchNorm(3).train()(x), torch.nn.BatchNorm2d(3).train()(x))
    bn = BatchNorm(3).train()
    assert torch.allclose(bn(x[:1, :, :1, :1]), x[:1, :, :1, :1] / np.sqrt(1 + 1e-5))
    assert bn.running_mean is not None and not bn.running_mean.any()


# ------------------------------------------------------------------------------- faults, gradients, devices, export


@pytest.mark.parametrize("samples", [16, 96])
@every_network
def test_fault_crash_at_batch_size_one(dims: Architecture, samples: int) -> None:
    dims = replace(dims, samples=samples)  # 16: a single frame
    network, x = shaken(dims), random_segments(dims, 1)
    assert network(x).isfinite().all()
    F.cross_entropy(network.train()(x), torch.tensor([1])).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(v.isfinite().all() for v in network.state_dict().values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@every_network
def test_fault_nan_spreads_from_one_segment_to_others(dims: Architecture, bad: float) -> None:
    network, x = shaken(dims), random_segments(dims, 4)
    expected = network(x)
    x[2, 0, 7] = bad
    assert torch.allclose(network(x)[[0, 1, 3]], expected[[0, 1, 3]], atol=1e-5)


@pytest.mark.parametrize("name", residual)
def test_fault_a_device_fixed_in_the_code(name: str) -> None:
    network = build(architecture(name, input_kind="spectrogram")).to("meta")
    for mode in (True, False):
        out = network.train(mode)(torch.empty(3, 1, 2048, device="meta"))
        assert out.device.type == "meta" and out.shape == (3, 2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("gate", GATES)
def test_gradients_equal_finite_differences(gate: str, training: bool) -> None:
    dims = replace(SMALL, gate=gate, stem_channels=2, widths=(3,), strides=(2,), channels=1, samples=48)
    network = shaken(dims, seed=5).double().train(training)
    names, values = zip(*[(n, p.detach().clone().requires_grad_()) for n, p in network.named_parameters()], strict=True)
    x = random_segments(dims, 3).double()

    def forward(*parameters: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,)))

    assert torch.autograd.gradcheck(forward, values, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", residual)
def test_onnx_equals_torch(name: str) -> None:
    dims = architecture(name, input_kind="spectrogram", classes=4, channels=2, samples=1024)
    dims = replace(dims, widths=dims.widths[4:5] or dims.widths[-1:], strides=(2,))  # one unit: the others repeat it
    network, x = shaken(dims), random_segments(dims, 6)
    x[0], x[1, 1], x[2] = 0.1, 0.0, x[2] * 1e-6  # constant; a dead channel; very small
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    assert [i.shape[1:] for i in session.get_inputs()] == [[2, 1024]]  # raw segments
    with torch.no_grad():
        expected = {n: network(x[:n]).numpy() for n in (1, 6)}
    for n, z in expected.items():
        found = session.run(["logits"], {"segments": x[:n].numpy()})[0]
        assert np.isfinite(z).all()
        assert np.abs(found - z).max() < 1e-5 * np.abs(z).max()


# ----------------------------------------------------------------------------------------------------- it can learn


def test_two_dimensional_drsn_reads_noisy_digits() -> None:
    """Digits of 8 x 8 in as much noise as signal, as in the image demos of the paper's authors.

    The bars: a linear classifier and the nearest mean of a class, both of which get four in five.
    """
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestCentroid

    rng = np.random.default_rng(0)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    images, labels = images[order].reshape(-1, 1, 8, 8).astype(np.float32), labels[order]
    images = (images - images.mean()) / images.std()
    noisy = (images + rng.standard_normal(images.shape)).astype(np.float32)  # 0 dB
    train, test = slice(0, 1200), slice(1200, None)
    flat = noisy.reshape(len(noisy), -1)
    bars = [
        rule.fit(flat[train], labels[train]).score(flat[test], labels[test])
        for rule in (LogisticRegression(C=0.1, max_iter=2000), NearestCentroid())
    ]
    assert min(bars) > 0.7 and max(bars) < 0.82

    dims = replace(SMALL, stem_channels=16, widths=(16, 32, 64), strides=(1, 2, 2), channels=1, classes=10)
    network = build(dims)
    clean, target = torch.from_numpy(images[train]), torch.from_numpy(labels[train])
    steps, g = 200, torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(0, len(clean), (64,), generator=g)
        x = clean[chosen] + torch.randn(64, 1, 8, 8, generator=g)  # noise drawn fresh
        loss = F.cross_entropy(network.fc(network.body(x)), target[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        found = network.fc(network.body(torch.from_numpy(noisy[test]))).argmax(dim=1).numpy()
    assert (found == labels[test]).mean() > max(bars) + 0.04
