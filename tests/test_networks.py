"""The networks on waveforms against their papers: tables, equations written in numpy, the faults that ports show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from equations import Equations, one_thread, random_segments, shaken
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from faultdx.errors import ConfigError
from faultdx.export import to_onnx
from faultdx.networks.architecture import (
    GATES,
    NETWORKS,
    SOURCES,
    Architecture,
    architecture,
)
from faultdx.networks.drsn import Network, build, multiply_adds, parameter_count, standardize
from faultdx.networks.lifted import Lifted, shrink
from faultdx.networks.units import BatchNorm, Excitation, ResidualUnit, Thresholds, soft_threshold
from faultdx.training import logits

CPU = torch.device("cpu")
# Widens by 1 and by 2 channels, with and without a stride, on two sensor channels.
SMALL = Architecture("channel-wise", 3, 5, 2, (3, 4, 6), (2, 1, 2), channels=2, classes=3, samples=48)
SMALL_WDCNN = Architecture(
    "none", 3, 6, 2, (4, 5), (2, 3), channels=2, classes=3, samples=96, shortcut=False, family="wdcnn", hidden=7
)
EVERY = {
    **{gate: replace(SMALL, gate=gate) for gate in GATES},
    "convnet": replace(SMALL, gate="none", shortcut=False),
    "wdcnn": SMALL_WDCNN,
    "raw": replace(SMALL, standardize=False),
}
every_network = pytest.mark.parametrize("dims", EVERY.values(), ids=EVERY)
shrinking = pytest.mark.parametrize("gate", ["channel-wise", "channel-shared"])
threads = pytest.fixture(autouse=True, scope="module")(one_thread)


def unit(c_in: int = 4, c_out: int = 4, *, stride: int = 1, gate: str = "channel-wise", seed: int = 0) -> ResidualUnit:
    torch_state = torch.get_rng_state()
    torch.manual_seed(seed)
    made = ResidualUnit(c_in, c_out, kernel=3, stride=stride, gate=gate)
    torch.set_rng_state(torch_state)
    return made.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------- the paper's table


def conv(c_in: int, c_out: int, kernel: int) -> int:
    return c_in * c_out * kernel + c_out


def attention(c: int, out: int) -> int:
    return (c * c + c) + 2 * c + (c * out + out)


def paper_skeleton(classes: int, gate: Callable[[int], int], *, stem: int = 3, taps: int = 3) -> int:
    """The paper's table by hand: stem, units of 4, 8 and 16 channels with `gate(width)` values in each, the end."""
    total, c_in = conv(1, 4, stem), 4
    for width in (4, 8, 16):
        for _ in range(4):
            total += 2 * c_in + conv(c_in, width, taps) + 2 * width + conv(width, width, taps) + gate(width)
            c_in = width
    return total + 2 * 16 + 16 * classes + classes


def wide(classes: int) -> int:
    total, c_in = conv(1, 16, 64), 16
    for width in (16, 16, 32, 32, 64, 64):
        total += 2 * c_in + conv(c_in, width, 3) + 2 * width + conv(width, width, 3) + attention(width, width)
        c_in = width
    return total + 2 * 64 + 65 * classes


def fused(classes: int) -> int:
    """Two units, and 1024 amplitudes in two linear layers; each layer with the normalisation that belongs to it."""
    total, c_in = conv(1, 16, 64), 16
    for width in (16, 32):
        total += 2 * c_in + conv(c_in, width, 7) + 2 * width + conv(width, width, 7) + attention(width, width)
        c_in = width
    spectral = 2 * 1024 + (1024 * 128 + 128) + 2 * 128 + (128 * 64 + 64) + 2 * 64
    return total + 2 * 32 + spectral + (32 + 64 + 1) * classes


def wdcnn(classes: int) -> int:
    """Zhang et al., table 2: a convolution and the first linear layer have two values a channel of normalisation."""
    convolutions = (16 * 64 + 16) + (32 * 16 * 3 + 32) + (64 * 32 * 3 + 64) + 2 * (64 * 64 * 3 + 64)
    return convolutions + 2 * (16 + 32 + 3 * 64) + (3 * 64 * 100 + 100) + 2 * 100 + 101 * classes


@pytest.mark.parametrize(
    ("name", "by_hand", "published"),
    [
        ("drsn-cw", lambda k: paper_skeleton(k, lambda c: attention(c, c)), 11_552),
        ("drsn-cs", lambda k: paper_skeleton(k, lambda c: attention(c, 1)), 10_220),
        ("senet", lambda k: paper_skeleton(k, lambda c: attention(c, c)), None),
        ("resnet", lambda k: paper_skeleton(k, lambda c: 0), 8_416),
        ("convnet", lambda k: paper_skeleton(k, lambda c: 0), 8_416),
        ("drsn-wide", wide, None),
        ("drsn-fused", fused, None),
        ("wdcnn", wdcnn, None),
    ],
)
def test_parameter_count_is_the_papers(name: str, by_hand: Callable[[int], int], published: int | None) -> None:
    for classes in (8, 10):
        dims = architecture(name, classes=classes)
        assert parameter_count(build(dims)) == by_hand(classes) == dims.parameters
    assert published in (None, by_hand(8))


def test_multiply_adds_are_the_papers() -> None:
    # weights times positions: stem, then eight convolutions at each width (the first of them from half the channels)
    paper = 3 * 4 * 1024 + 8 * 48 * 512 + (96 + 7 * 192) * 256 + (384 + 7 * 768) * 128 + 16 * 8
    gates = {"drsn-cw": 2 * 4 * (16 + 64 + 256), "drsn-cs": 4 * (16 + 4 + 64 + 8 + 256 + 16), "resnet": 0, "convnet": 0}
    for name, gate in gates.items():
        assert multiply_adds(build(architecture(name, classes=8))) == paper + gate
    assert paper + gates["drsn-cw"] == pytest.approx(1.32e6, rel=0.005)
    zhang = 64 * 16 * 128 + 3 * (16 * 32 * 64 + 32 * 64 * 32 + 64 * 64 * 16 + 64 * 64 * 6) + 192 * 100 + 100 * 8
    assert multiply_adds(build(architecture("wdcnn", classes=8))) == zhang


@every_network
@pytest.mark.parametrize("samples", [96, 131])
def test_the_size_is_known_before_anything_is_built(dims: Architecture, samples: int) -> None:
    dims = replace(dims, samples=samples)
    network = build(dims)
    assert parameter_count(network) == dims.parameters
    assert multiply_adds(network) == dims.multiply_adds


def test_counting_leaves_the_mode_alone() -> None:
    network = build(SMALL).train()
    multiply_adds(network)
    assert network.training and not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize("name", ["drsn-cw", "drsn-cs", "senet", "resnet", "convnet"])
def test_layers_have_the_shapes_of_the_table(name: str) -> None:
    network = build(architecture(name, classes=8)).eval()
    shapes: list[tuple[int, ...]] = []
    for module in (network.stem, *network.units, network.fc):
        module.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    x = torch.zeros(1, 1, 2048)
    assert network.features(x).shape == (1, 16)
    shapes.clear()
    network(x)
    assert shapes == [(4, 1024), *[(4, 512)] * 4, *[(8, 256)] * 4, *[(16, 128)] * 4, (8,)]
    kernels = [m.kernel_size for m in network.modules() if isinstance(m, torch.nn.Conv1d)]
    assert kernels == [(3,)] * 25  # no 1 x 1 convolution anywhere
    assert all(m.bias is not None for m in network.modules() if isinstance(m, torch.nn.Conv1d | torch.nn.Linear))


def test_layers_of_the_wdcnn_have_the_shapes_of_its_table() -> None:
    network = build(architecture("wdcnn", classes=10)).eval()
    shapes: list[tuple[int, ...]] = []
    pools: list[tuple[int, ...]] = []
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv1d)]
    for module in (*convolutions, network.end.fc, network.fc):
        module.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    for module in (*convolutions[1:], network.end.fc):
        module.register_forward_hook(lambda _m, given, _o: pools.append(tuple(given[0].shape[1:])))
    network(torch.zeros(1, 1, 2048))
    assert shapes == [(16, 128), (32, 64), (64, 32), (64, 16), (64, 6), (100,), (10,)]
    assert pools == [(16, 64), (32, 32), (64, 16), (64, 8), (3 * 64,)]


def test_every_named_network_runs_and_has_a_source() -> None:
    assert set(NETWORKS) == set(SOURCES)
    for name in NETWORKS:
        dims = architecture(name, classes=5, channels=2, samples=1024)
        assert build(dims).eval()(random_segments(dims, 2)).shape == (2, 5)


@pytest.mark.parametrize("change", [{}, {"strides": (1, 5)}, {"stem_kernel": 2, "stem_stride": 7}, {"kernel": 1}])
def test_the_shortest_segment_of_a_wdcnn_is_the_shortest(change: dict[str, Any]) -> None:
    least = replace(SMALL_WDCNN, samples=4096, **change).shortest
    dims = replace(SMALL_WDCNN, samples=least, **change)
    assert shaken(dims)(random_segments(dims, 2)).shape == (2, 3)
    with pytest.raises(ConfigError, match=f"at least {least}"):
        replace(dims, samples=least - 1)
    assert architecture("wdcnn").shortest == 1024


# ---------------------------------------------------------------------------------- one skeleton, different gates


def test_paper_networks_differ_in_gate_and_shortcut_alone() -> None:
    for name in ("drsn-cs", "senet", "resnet", "convnet"):
        assert replace(NETWORKS[name], gate="channel-wise", shortcut=True) == NETWORKS["drsn-cw"]


def resnet_beside(network: Network) -> Network:
    """The plain ResNet with the weights of `network`."""
    plain = Network(replace(network.dims, gate="none")).eval()
    left = plain.load_state_dict(network.state_dict(), strict=False)
    assert left.missing_keys == [] and all(".thresholds." in k or ".excitation." in k for k in left.unexpected_keys)
    return plain


@shrinking
def test_zero_threshold_is_the_plain_resnet(gate: str) -> None:
    network, x = shaken(replace(SMALL, gate=gate)), random_segments(SMALL, 5)
    assert not torch.allclose(network(x), resnet_beside(network)(x), rtol=0.01)
    for made in network.modules():
        if isinstance(made, Thresholds):
            made.fc_b.bias.data.fill_(-1e4)  # alpha = 0
    assert torch.equal(network(x), resnet_beside(network)(x))


def test_excitation_of_one_is_the_plain_resnet() -> None:
    network, x = shaken(replace(SMALL, gate="squeeze-excitation")), random_segments(SMALL, 5)
    assert not torch.allclose(network(x), resnet_beside(network)(x), rtol=0.01)
    for made in network.modules():
        if isinstance(made, Excitation):
            made.fc_b.bias.data.fill_(1e4)  # alpha = 1
    assert torch.equal(network(x), resnet_beside(network)(x))


def test_excitation_weighs_channels_by_their_mean() -> None:
    made = unit(4, 4, gate="squeeze-excitation", seed=3).excitation
    r = noise(6, 4, 32)
    weight = made(r)
    assert weight.shape == (6, 4, 1) and (weight > 0).all() and (weight < 1).all()
    assert torch.equal(made(r), made(r.flip(2)))  # the order in time tells it nothing
    assert not torch.allclose(made(r), made(r.abs()))  # the sign does, unlike a threshold's
    assert made.fc_a.weight.shape == made.fc_b.weight.shape == (4, 4)


def test_convnet_is_the_resnet_without_its_shortcuts() -> None:
    dims = replace(SMALL, gate="none")
    network, plain, x = shaken(replace(dims, shortcut=False)), shaken(dims), random_segments(SMALL, 3)
    assert plain.load_state_dict(network.state_dict()).missing_keys == []
    y = z = plain.stem(standardize(x))
    for a, b in zip(network.units, plain.units, strict=True):
        assert isinstance(a, ResidualUnit) and isinstance(b, ResidualUnit)
        y = a(y)
        assert torch.allclose(b(z), b.shortcut(z) + b.residual(z))
        assert torch.equal(a(z), b.residual(z))
        z = b(z)
    assert torch.equal(y, network.units(network.stem(standardize(x))))


# ------------------------------------------------------------------------------- the equations, written in numpy


@pytest.mark.parametrize("mode", ["evaluation", "batch statistics"])
@pytest.mark.parametrize(
    "dims", [*EVERY.values(), *(architecture(n, classes=8) for n in NETWORKS)], ids=[*EVERY, *NETWORKS]
)
def test_forward_pass_equals_the_equations(dims: Architecture, mode: str) -> None:
    network, x = shaken(dims), random_segments(dims, 5)
    expected = Equations(network, batch_statistics=mode != "evaluation")(x)
    network.train(mode != "evaluation")
    with torch.no_grad():
        single = network(x).double().numpy()
        double = network.double()(x.double()).numpy()
    scale = np.abs(expected).max()
    exact = 1e-6 if dims.spectrum else 1e-9  # the constants of a transform are float32, whatever the weights are
    assert np.abs(double - expected).max() < exact * scale
    assert np.abs(single - expected).max() < 1e-5 * scale


# ---------------------------------------------------------------------------------------------------------- export


@pytest.mark.parametrize("name", list(NETWORKS))
def test_onnx_equals_torch(name: str) -> None:
    dims = architecture(name, classes=4, channels=2, samples=1024)
    if dims.family == "residual":  # one unit, with a stride and more channels: the others repeat it
        dims = replace(dims, widths=dims.widths[4:5] or dims.widths[-1:], strides=(2,))
    network, x = shaken(dims), random_segments(dims, 6)
    x[0], x[1, 1], x[2] = 0.1, 0.0, x[2] * 1e-6  # constant; a dead channel; very small
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = {n: network(x[:n]).numpy() for n in (1, 6)}
    for n, z in expected.items():
        found = session.run(["logits"], {"segments": x[:n].numpy()})[0]
        assert np.isfinite(z).all()
        assert np.abs(found - z).max() < 1e-5 * np.abs(z).max()


# ------------------------------------------------------------------------------------------------ soft threshold


@given(st.floats(-1e3, 1e3, width=32), st.floats(0, 1e3, width=32))
def test_soft_threshold_is_sign_times_what_exceeds(r: float, tau: float) -> None:
    value = soft_threshold(torch.tensor(r), torch.tensor(tau)).item()
    assert value == pytest.approx(np.sign(r) * max(abs(r) - tau, 0.0), rel=1e-6)
    assert value == pytest.approx(r - min(max(r, -tau), tau), rel=1e-4, abs=1e-4)


def test_the_exported_soft_threshold_is_the_trained_one_bit_for_bit() -> None:
    g = torch.Generator().manual_seed(3)
    r = torch.randn(4, 8, 500, generator=g)
    r[0, 0, :4] = torch.tensor([0.0, -0.0, 1.0, -1.0])
    tau = torch.rand(4, 8, 1, generator=g)
    tau[0, 0] = 1.0
    assert torch.equal(shrink(r, tau), soft_threshold(r, tau))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_exported_form_is_the_same_network(name: str) -> None:
    dims = architecture(name, channels=2, classes=5)
    network = shaken(dims, seed=3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = random_segments(dims, 7)
    lifted = Lifted(network)
    with torch.inference_mode():
        logits, features, *_ = lifted(x)
        torch.testing.assert_close(logits, network(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(features, network.features(x), rtol=1e-4, atol=1e-4)
    wide = all(w % 8 == 0 for w in (network.dims.stem_channels, *network.dims.widths))
    assert any(isinstance(m, torch.nn.Conv2d) for m in lifted.modules()) == wide
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not any(isinstance(m, torch.nn.Conv2d) for m in network.modules())


def test_soft_threshold_has_derivative_zero_or_one() -> None:
    r = torch.linspace(-3, 3, 1201, requires_grad=True)
    (slope,) = torch.autograd.grad(soft_threshold(r, torch.tensor(1.0)).sum(), r)
    assert set(slope.tolist()) == {0.0, 1.0}
    assert torch.equal(slope == 1, r.detach().abs() > 1)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 100), st.floats(0.01, 100))
def test_soft_threshold_shrinks(r: float, s: float, tau: float, scale: float) -> None:
    def soft(r: float, tau: float) -> float:
        return soft_threshold(torch.tensor(r, dtype=torch.double), torch.tensor(tau, dtype=torch.double)).item()

    y = soft(r, tau)
    assert abs(y) <= abs(r) and y * r >= 0  # towards zero, never across it
    assert soft(-r, tau) == -y
    assert soft(r, 0.0) == r
    assert abs(y - soft(s, tau)) <= abs(r - s) * (1 + 1e-12) + 1e-12  # never further apart
    assert soft(scale * r, scale * tau) == pytest.approx(scale * y, rel=1e-9, abs=1e-9)

    def cost(v: float) -> float:  # what the soft threshold is the least of (Donoho 1995)
        return 0.5 * (v - r) ** 2 + tau * abs(v)

    assert all(cost(y) <= cost(v) + 1e-9 for v in (r, s, 0.0, y + 1e-3, y - 1e-3))


# ---------------------------------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize("shared", [False, True])
def test_thresholds_are_positive_below_the_mean_and_each_samples_own(shared: bool) -> None:
    sub = unit(6, 6, gate="channel-shared" if shared else "channel-wise", seed=3).thresholds
    r = torch.randn(16, 6, 64, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.1, 5, 16).view(-1, 1, 1)
    tau = sub(r).detach()
    mean = r.abs().mean(dim=2, keepdim=True)
    limit = mean.mean(dim=1, keepdim=True) if shared else mean
    assert (tau > 0).all() and (tau < limit).all()
    assert len(set(tau[:, 0, 0].tolist())) == 16
    shrunk = soft_threshold(r, tau)
    assert (shrunk != 0).flatten(1).any(dim=1).all()
    if not shared:  # then no channel of any sample goes silent either
        assert (shrunk != 0).any(dim=2).all()


def test_fault_channel_shared_with_a_threshold_for_each_channel() -> None:
    r = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0))
    assert unit(5, 5, gate="channel-shared").thresholds(r).shape == (3, 1, 1)
    tau = unit(5, 5).thresholds(r)
    assert tau.shape == (3, 5, 1) and len(set(tau[0, :, 0].tolist())) == 5


def test_the_first_linear_layer_of_the_thresholds_is_not_reduced() -> None:
    for shared in (False, True):
        sub = Thresholds(8, shared=shared)
        assert sub.fc_a.weight.shape == (8, 8)
        assert sub.fc_b.weight.shape == (1 if shared else 8, 8)


# ------------------------------------------------------------------------------- the faults that ports of it show


def test_fault_mean_of_r_in_place_of_its_absolute_value() -> None:
    sub = unit(4, 4, seed=2).thresholds
    r = torch.randn(3, 4, 64, generator=torch.Generator().manual_seed(0))
    r = torch.cat([r, -r], dim=2)  # mean 0: thresholds from it would be 0
    assert (sub(r) > 0.01 * r.abs().mean(dim=2, keepdim=True)).all()
    assert torch.allclose(sub(r), sub(r.abs()))  # the sign tells the thresholds nothing
    assert torch.allclose(sub(-r), sub(r))


def test_fault_batch_normalisation_missing_from_the_thresholds() -> None:
    sub = unit(4, 4, seed=2).thresholds
    assert isinstance(sub.bn, torch.nn.BatchNorm1d) and sub.bn.num_features == 4
    r = torch.randn(3, 4, 64, generator=torch.Generator().manual_seed(0))
    before = sub(r)
    assert sub.bn.running_mean is not None
    sub.bn.running_mean += 0.5 * torch.randn(4, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(before, sub(r))
    # In training the statistics are those of the batch, so that every hidden feature has mean 0 before its ReLU.
    hidden: list[Tensor] = []
    sub.bn.register_forward_hook(lambda _m, _i, out: hidden.append(out.detach()))
    sub.train()(r)
    assert hidden[0].mean(dim=0).abs().max() < 1e-5


@every_network
def test_fault_batch_normalisation_in_training_mode_at_test_time(dims: Architecture) -> None:
    network = shaken(dims).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = random_segments(dims, 9).numpy()
    together = logits(network, x, CPU)
    alone = np.concatenate([logits(network.train(), x[i : i + 1], CPU) for i in range(9)])
    assert np.allclose(together, alone, atol=1e-5)  # a segment's logits do not depend on its neighbours
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_fault_relu_before_the_shrinkage() -> None:
    made = unit(4, 4, seed=1)
    x = torch.randn(8, 4, 64, generator=torch.Generator().manual_seed(0))
    r = made.residual(x)
    y = made(x) - made.shortcut(x)
    assert 0.1 < (r < 0).float().mean() < 0.9
    assert (y < -1e-3).any() and (y > 1e-3).any()
    big = r.abs() > made.thresholds(r) * 1.01
    assert torch.equal(torch.sign(y[big]), torch.sign(r[big]))


def test_fault_relu_after_the_sum() -> None:
    made = unit(4, 4)
    with torch.no_grad():
        made.conv_2.weight.zero_()
        made.conv_2.bias.zero_()  # type: ignore[union-attr]
    x = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(x), x)  # negative values pass unharmed


@pytest.mark.parametrize(
    ("c_in", "c_out", "before", "behind"), [(4, 8, 2, 2), (4, 7, 1, 2), (4, 5, 0, 1), (4, 4, 0, 0)]
)
def test_fault_zero_channels_on_one_side_only(c_in: int, c_out: int, before: int, behind: int) -> None:
    x = torch.randn(2, c_in, 10, generator=torch.Generator().manual_seed(0)) + 9
    wide = unit(c_in, c_out).shortcut(x)
    assert wide.shape == (2, c_out, 10)
    assert torch.equal(wide[:, before : before + c_in], x)
    assert not wide[:, :before].any() and not wide[:, c_out - behind :].any()


@pytest.mark.parametrize("name", ["drsn-cw", "drsn-cs", "senet", "resnet"])
def test_fault_post_activation_resnet_18_under_the_same_name(name: str) -> None:
    network, order = build(NETWORKS[name]), list[str]()
    for part, module in network.units[4].named_children():  # the first unit that widens
        module.register_forward_hook(lambda _m, _i, _o, part=part: order.append(part))
    network(random_segments(network.dims, 2))
    gate = {"senet": ["excitation"], "resnet": []}.get(name, ["thresholds"])
    assert order == ["bn_1", "conv_1", "bn_2", "conv_2", *gate]  # no third convolution, no normalisation at the end
    assert network.stem.kernel_size == (3,) and isinstance(network.units[0], ResidualUnit)  # no pooling behind the stem


@pytest.mark.parametrize("samples", [16, 17])
def test_fault_shortcut_with_weights(samples: int) -> None:
    made = unit(4, 8, stride=2)
    names = {name.split(".")[0] for name, _ in made.named_parameters()}
    assert names == {"bn_1", "conv_1", "bn_2", "conv_2", "thresholds"}
    x = torch.randn(2, 4, samples, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made.shortcut(x)[:, 2:6], F.avg_pool1d(x, 1, 2))  # every second sample, the first one included
    assert made(x).shape == (2, 8, -(-samples // 2))


def test_fault_softmax_before_the_cross_entropy() -> None:
    network = shaken(SMALL)
    with torch.no_grad():
        network.fc.weight *= 10
        x = random_segments(SMALL, 6)
        out, features = network(x), network.features(x)
        assert torch.equal(out, network.fc(features))
        assert (out < 0).any() and (out > 1).any()
        network.fc.bias.add_(3.0)
        assert torch.allclose(network(x), out + 3.0, atol=1e-5)


@pytest.mark.parametrize("samples", [16, 48])
@every_network
def test_fault_crash_at_batch_size_one(dims: Architecture, samples: int) -> None:
    # 16 samples end as a single position, where batch normalisation of one segment has no variance at all.
    dims = dims if dims.family == "wdcnn" else replace(dims, samples=samples, strides=(2, 2, 2))
    network = shaken(dims)
    x = random_segments(dims, 1)
    assert network(x).isfinite().all()
    network.train()
    loss = F.cross_entropy(network(x), torch.tensor([1]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(v.isfinite().all() for v in network.state_dict().values())


def test_batch_norm_of_a_single_value_uses_and_keeps_the_running_statistics() -> None:
    bn = BatchNorm(3).train()
    assert bn.running_mean is not None
    bn.running_mean += 2.0
    x = torch.tensor([[1.0, 5.0, -3.0]])
    assert torch.allclose(bn(x), (x - 2.0) / np.sqrt(1 + 1e-5))
    assert torch.equal(bn.running_mean, torch.full((3,), 2.0))
    plain = torch.nn.BatchNorm1d(3).train()
    y = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(BatchNorm(3).train()(y), plain(y))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_fault_nan_spreads_from_one_segment_to_others(bad: float) -> None:
    for dims in EVERY.values():
        network, x = shaken(dims), random_segments(dims, 4)
        expected = network(x)
        x[2, 0, 7] = bad
        out = network(x)
        assert torch.allclose(out[[0, 1, 3]], expected[[0, 1, 3]], atol=1e-6)
    # Zeros made by subtracting a tensor from itself would be NaN in the padded channels.
    spoiled = torch.full((1, 4, 8), bad)
    wide = unit(4, 8).shortcut(spoiled)
    assert torch.equal(wide[:, [0, 1, 6, 7]], torch.zeros(1, 4, 8))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_fault_a_device_fixed_in_the_code(name: str) -> None:
    # The meta device has no data: a tensor made on any other would clash with it.
    network = build(architecture(name)).to("meta")
    for mode in (True, False):
        out = network.train(mode)(torch.empty(3, 1, 2048, device="meta"))
        assert out.device.type == "meta" and out.shape == (3, 2)


# ------------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("name", list(NETWORKS))
def test_gradients_flow_to_every_parameter(name: str) -> None:
    dims = architecture(name, classes=4, samples=1024 if name == "wdcnn" else 256)
    network, x = build(dims), random_segments(dims, 32)
    y = torch.arange(32) % 4
    F.cross_entropy(network.train()(x), y).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    # A bias right before batch normalisation in training mode has none, rightly; in evaluation mode all have.
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.momentum = None  # statistics of this very batch, so that no ReLU is dead
            module.reset_running_stats()
    with torch.no_grad():
        network(x)
    network.eval().zero_grad()
    F.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("which", [*GATES, "convnet", "wdcnn"])
def test_gradients_equal_finite_differences(which: str, training: bool) -> None:
    dims = Architecture("none", 2, 3, 2, (2, 3), (1, 2), channels=1, classes=3, samples=20)
    if which == "wdcnn":
        dims = replace(dims, shortcut=False, family="wdcnn", hidden=3)
    else:
        dims = replace(dims, gate="none", shortcut=False) if which == "convnet" else replace(dims, gate=which)
    network = shaken(dims, seed=5).double().train(training)
    names, values = zip(*[(n, p.detach().clone().requires_grad_()) for n, p in network.named_parameters()], strict=True)
    x = random_segments(dims, 4).double()

    def forward(*parameters: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,)))

    assert torch.autograd.gradcheck(forward, values, eps=1e-6, atol=1e-6)


# ----------------------------------------------------------------------------------------------------- standardize


@given(st.floats(1e-3, 1e3), st.floats(-100, 100), st.integers(0, 10))
@settings(deadline=None, max_examples=40)
def test_standardize_takes_out_gain_and_offset(gain: float, offset: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 3, 500))
    plain = standardize(torch.from_numpy(x))
    other = standardize(torch.from_numpy(gain * (x + offset)))
    assert torch.allclose(plain, other, atol=1e-6)
    assert plain.mean(dim=2).abs().max() < 1e-9
    assert np.allclose(plain.std(dim=2, correction=0), 1.0)
    assert torch.allclose(standardize(torch.from_numpy(-x)), -plain)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -0.3, 3.3, -7.77, 123.456, 1e-3, 1e6])
@pytest.mark.parametrize("samples", [1000, 2048])
def test_standardize_makes_a_constant_zero(value: float, samples: int) -> None:
    # 0.1 has no exact mean in single precision; what rounding leaves must not be blown up to full size.
    assert standardize(torch.full((1, 2, samples), value)).abs().max() < 0.01


def test_standardized_network_does_not_see_gain_or_offset() -> None:
    network, x = shaken(SMALL), random_segments(SMALL, 4)
    assert torch.allclose(network(x), network(250 * x - 40), atol=1e-3)
    raw = shaken(replace(SMALL, standardize=False))
    assert not torch.allclose(raw(x), raw(250 * x - 40), atol=1e-1)


# --------------------------------------------------------------------------------------------------- architecture

ABSURD: list[tuple[str, Any]] = [
    ("gate", "hard"),
    ("gate", ""),
    ("gate", 3),
    ("gate", ["channel-wise"]),
    ("stem_channels", 0),
    ("stem_channels", 10**9),
    ("stem_channels", "4"),
    ("stem_channels", None),
    ("stem_kernel", 0),
    ("stem_kernel", 10**12),
    ("stem_stride", -1),
    ("stem_stride", 2.0),
    ("widths", []),
    ("widths", "444"),
    ("widths", [8, 4]),
    ("widths", [10**6]),
    ("widths", [[4]]),
    ("widths", [4] * 1000),
    ("widths", [True, True, True]),
    ("strides", [0, 1, 1]),
    ("strides", [1]),
    ("strides", [1, None, 1]),
    ("kernel", 4),
    ("kernel", 0),
    ("kernel", True),
    ("standardize", 1),
    ("standardize", None),
    ("channels", 0),
    ("channels", 10**5),
    ("classes", 1),
    ("classes", 10**400),
    ("classes", float("nan")),
    ("samples", 8),
    ("samples", 1 << 30),
]


@pytest.mark.parametrize(("name", "value"), ABSURD, ids=[f"{n}-{str(v)[:12]}" for n, v in ABSURD])
def test_absurd_numbers_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="network"):
        Architecture.from_dict({**SMALL.to_dict(), name: value})


ABSURD_NEW: list[tuple[str, dict[str, Any]]] = [
    ("shortcut", {"shortcut": 1}),
    ("gate 'hard'", {"gate": "hard"}),
    ("family", {"family": "resnet"}),
    ("input_kind", {"input_kind": "image"}),
    ("input_kind", {"input_kind": ["spectrogram"]}),
    ("no such layer", {"hidden": 3}),
    ("hidden", {"hidden": -1}),
    ("for spectrograms", {"window": 16}),
    ("for spectrograms", {"hop": 16}),
    ("even window", {"input_kind": "spectrogram"}),
    ("even window", {"input_kind": "spectrogram", "window": 15, "hop": 4}),
    ("even window", {"input_kind": "spectrogram", "window": 6, "hop": 4}),
    ("even window", {"input_kind": "spectrogram", "window": 16, "hop": 17}),
    ("at least 64", {"input_kind": "spectrogram", "window": 64, "hop": 4}),
    ("no shortcut and no gate", {"family": "wdcnn", "hidden": 3, "gate": "none"}),
    ("no shortcut and no gate", {"family": "wdcnn", "hidden": 3, "shortcut": False}),
    ("a hidden layer", {"family": "wdcnn", "gate": "none", "shortcut": False}),
    (
        "waveforms only",
        {
            **{"family": "wdcnn", "hidden": 3, "gate": "none", "shortcut": False},
            **{"input_kind": "spectrogram", "window": 16, "hop": 4},
        },
    ),
]


@pytest.mark.parametrize(
    ("words", "change"), ABSURD_NEW, ids=[f"{w}-{len(c)}-{i}" for i, (w, c) in enumerate(ABSURD_NEW)]
)
def test_what_does_not_go_together_is_refused(words: str, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^network: .*{words}"):
        Architecture.from_dict({**SMALL.to_dict(), **change})


def test_widths_may_shrink_without_a_shortcut() -> None:
    dims = replace(SMALL, gate="none", shortcut=False, widths=(5, 2, 3))
    assert shaken(dims)(random_segments(dims, 2)).shape == (2, 3)


HUGE: list[tuple[str, dict[str, Any]]] = [
    ("parameters", {"widths": [1024] * 100, "strides": [16] * 100}),
    ("parameters", {"widths": [1024] * 3, "strides": [1] * 3, "kernel": 127}),
    ("multiply-adds", {"samples": 1 << 20, "widths": [64] * 10, "strides": [1] * 10, "stem_stride": 1}),
    (
        "values",
        {
            "samples": 1 << 20,
            "stem_channels": 100,
            "stem_kernel": 1,
            "stem_stride": 1,
            "widths": [100],
            "strides": [16],
        },
    ),
    (
        "multiply-adds",
        {"input_kind": "spectrogram", "window": 4096, "hop": 1, "samples": 8192, "widths": [6], "strides": [1]},
    ),
]


@pytest.mark.parametrize(("what", "change"), HUGE, ids=range(len(HUGE)))
def test_a_network_too_large_for_the_machine_is_refused_before_it_is_built(what: str, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"[0-9]+ {what}.* (more|larger) than"):
        Architecture.from_dict({**SMALL.to_dict(), **change})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(SMALL.to_dict())), json_values)
@settings(deadline=None, max_examples=300)
def test_any_json_value_is_taken_or_refused_with_a_config_error(name: str, value: Any) -> None:
    try:
        dims = Architecture.from_dict({**SMALL.to_dict(), name: value})
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert getattr(dims, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("change", [lambda d: d.pop("kernel"), lambda d: d.update(dropout=0.5), lambda d: d.clear()])
def test_missing_and_unknown_keys_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    values = SMALL.to_dict()
    change(values)
    with pytest.raises(ConfigError, match="expected the keys"):
        Architecture.from_dict(values)


@pytest.mark.parametrize("name", ["drsn-wide", "drsn-cw", "drsn-cs"])
def test_what_older_model_folders_state_is_enough(name: str) -> None:
    dims = architecture(name, classes=7)
    values = dims.to_dict()
    first = ["gate", "stem_channels", "stem_kernel", "stem_stride", "widths", "strides"]
    first += ["kernel", "standardize", "channels", "classes", "samples"]
    assert Architecture.from_dict({key: values[key] for key in first}) == dims
    for key in first:
        with pytest.raises(ConfigError, match="expected the keys"):
            Architecture.from_dict({k: v for k, v in values.items() if k != key})


@pytest.mark.parametrize("name", list(NETWORKS))
def test_architecture_survives_the_dictionary(name: str) -> None:
    dims = architecture(name, classes=7, channels=3)
    assert Architecture.from_dict(dims.to_dict()) == dims


def test_unknown_network_is_refused_with_the_names() -> None:
    with pytest.raises(ConfigError, match="drsn-cw"):
        architecture("resnet-50")


# ---------------------------------------------------------------------------------------------------------- build


def test_build_is_reproducible_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = build(SMALL, seed=4), build(SMALL, seed=4), build(SMALL, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.stem.weight, other.stem.weight)


def test_initialisation_is_that_of_he_with_zero_biases() -> None:
    dims = Architecture("channel-wise", 64, 64, 16, (64, 64, 64, 64), (1, 1, 1, 1), channels=2)
    network = build(dims)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Linear):
            assert module.bias is not None and not module.bias.any()
            fan_in = module.weight[0].numel()
            if module.weight.numel() > 1000:
                assert module.weight.var().item() == pytest.approx(2 / fan_in, rel=0.1)


@pytest.mark.parametrize("name", ["drsn-wide", "drsn-cw", "drsn-cs"])
def test_a_seed_gives_the_weights_and_names_that_it_always_gave(name: str) -> None:
    """Saved weights go by these names, and a resumed run starts from these draws: layers in the order of the paper."""
    dims, shared = architecture(name, classes=8), name == "drsn-cs"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        layers: dict[str, torch.nn.Module] = {}
        c = dims.stem_channels
        layers["stem"] = torch.nn.Conv1d(1, c, dims.stem_kernel)
        for i, width in enumerate(dims.widths):
            u = f"units.{i}"
            layers[f"{u}.bn_1"] = torch.nn.BatchNorm1d(c)
            layers[f"{u}.conv_1"] = torch.nn.Conv1d(c, width, 3)
            layers[f"{u}.bn_2"] = torch.nn.BatchNorm1d(width)
            layers[f"{u}.conv_2"] = torch.nn.Conv1d(width, width, 3)
            layers[f"{u}.thresholds.fc_a"] = torch.nn.Linear(width, width)
            layers[f"{u}.thresholds.bn"] = torch.nn.BatchNorm1d(width)
            layers[f"{u}.thresholds.fc_b"] = torch.nn.Linear(width, 1 if shared else width)
            c = width
        layers["bn"], layers["fc"] = torch.nn.BatchNorm1d(c), torch.nn.Linear(c, 8)
        expected: dict[str, Tensor] = {}
        for key, layer in layers.items():
            if not isinstance(layer, torch.nn.BatchNorm1d):
                weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
                torch.nn.init.normal_(weight, std=(2 / weight[0].numel()) ** 0.5)
                torch.nn.init.zeros_(bias)
            expected |= {f"{key}.{part}": value for part, value in layer.state_dict().items()}
    found = build(dims, seed=5).state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert torch.allclose(found[key], value, rtol=1e-6, atol=0), key
