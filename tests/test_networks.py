"""The networks against the paper: its table, its equations written in numpy, the faults that ports of it show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from faultdx.errors import ConfigError
from faultdx.networks.architecture import NETWORKS, SOURCES, Architecture, architecture
from faultdx.networks.drsn import (
    BatchNorm,
    Network,
    ShrinkageUnit,
    Thresholds,
    build,
    multiply_adds,
    parameter_count,
    soft_threshold,
    standardize,
)
from faultdx.training import logits

Array = npt.NDArray[np.float64]
CPU = torch.device("cpu")
# Widens by 1 and by 2 channels, with and without a stride, on two sensor channels.
SMALL = Architecture("channel-wise", 3, 5, 2, (3, 4, 6), (2, 1, 2), channels=2, classes=3, samples=48)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several threads that wait for each other on a busy machine cost ten times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_segments(dims: Architecture, count: int, *, seed: int = 0) -> Tensor:
    """Segments of different size and offset."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, dims.channels, dims.samples)) * rng.uniform(0.5, 3, (count, 1, 1)) + 0.3
    return torch.from_numpy(x.astype(np.float32))


def shaken(dims: Architecture, *, seed: int = 0) -> Network:
    """A network in evaluation mode whose every parameter and statistic is away from its initial value."""
    network, rng = build(dims, seed=seed), np.random.default_rng(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and value.dim() == 1):
            value.copy_(torch.from_numpy(rng.uniform(0.5, 2.0, value.shape)))
        elif value.dim() == 1:
            value.copy_(torch.from_numpy(rng.normal(0.0, 0.3, value.shape)))
    return network.eval()


def unit(c_in: int = 4, c_out: int = 4, *, stride: int = 1, shared: bool = False, seed: int = 0) -> ShrinkageUnit:
    torch_state = torch.get_rng_state()
    torch.manual_seed(seed)
    made = ShrinkageUnit(c_in, c_out, kernel=3, stride=stride, shared=shared)
    torch.set_rng_state(torch_state)
    return made.eval()


# ------------------------------------------------------------------------------------------- the paper's table


@pytest.mark.parametrize(("name", "parameters"), [("drsn-cw", 11_552), ("drsn-cs", 10_220)])
def test_parameter_count_is_the_papers(name: str, parameters: int) -> None:
    assert parameter_count(build(architecture(name, classes=8))) == parameters


def test_multiply_adds_are_the_papers() -> None:
    assert multiply_adds(build(architecture("drsn-cw", classes=8))) == pytest.approx(1.32e6, rel=0.005)


def test_counting_leaves_the_mode_alone() -> None:
    network = build(SMALL).train()
    multiply_adds(network)
    assert network.training and not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize("name", ["drsn-cw", "drsn-cs"])
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


def test_every_named_network_runs_and_has_a_source() -> None:
    assert set(NETWORKS) == set(SOURCES)
    for name in NETWORKS:
        dims = architecture(name, classes=5, channels=2, samples=512)
        assert build(dims).eval()(random_segments(dims, 2)).shape == (2, 5)


# ------------------------------------------------------------------------------- the equations, written in numpy


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


class Equations:
    """The forward pass in evaluation mode, from the paper's equations and nothing but numpy."""

    def __init__(self, network: Network) -> None:
        self.dims = network.dims
        self.w = {k: v.double().numpy() for k, v in network.state_dict().items()}

    def conv(self, x: Array, name: str, stride: int) -> Array:
        w, b = self.w[name + ".weight"], self.w[name + ".bias"]
        half, k = w.shape[2] // 2, w.shape[2]
        x = np.pad(x, ((0, 0), (0, 0), (half, half)))
        windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=2)[:, :, ::stride]
        return cast(Array, np.einsum("bclk,ock->bol", windows, w) + b[:, None])

    def norm(self, x: Array, name: str) -> Array:
        mean, var, gamma, beta = (self.w[f"{name}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        shape = (1, -1) + (1,) * (x.ndim - 2)
        scale = gamma / np.sqrt(var + 1e-5)
        return cast(Array, (x - mean.reshape(shape)) * scale.reshape(shape) + beta.reshape(shape))

    def linear(self, x: Array, name: str) -> Array:
        return cast(Array, x @ self.w[name + ".weight"].T + self.w[name + ".bias"])

    def unit(self, x: Array, name: str, c_out: int, stride: int) -> Array:
        r = self.conv(relu(self.norm(x, name + ".bn_1")), name + ".conv_1", stride)
        r = self.conv(relu(self.norm(r, name + ".bn_2")), name + ".conv_2", 1)
        a = np.abs(r).mean(axis=2)
        t = name + ".thresholds"
        alpha = 1 / (1 + np.exp(-self.linear(relu(self.norm(self.linear(a, t + ".fc_a"), t + ".bn")), t + ".fc_b")))
        tau = alpha * a if self.dims.gate == "channel-wise" else alpha * a.mean(axis=1, keepdims=True)
        y = np.sign(r) * np.maximum(np.abs(r) - tau[:, :, None], 0.0)
        more = c_out - x.shape[1]
        return cast(Array, np.pad(x[:, :, ::stride], ((0, 0), (more // 2, more - more // 2), (0, 0))) + y)

    def __call__(self, segments: Tensor) -> Array:
        x = segments.double().numpy()
        if self.dims.standardize:
            x = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
        x = self.conv(x, "stem", self.dims.stem_stride)
        for i, (c_out, stride) in enumerate(zip(self.dims.widths, self.dims.strides, strict=True)):
            x = self.unit(x, f"units.{i}", c_out, stride)
        return self.linear(relu(self.norm(x, "bn")).mean(axis=2), "fc")


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("gate", ["channel-wise", "channel-shared"])
@pytest.mark.parametrize("dims", [SMALL, architecture("drsn-cw", classes=8)], ids=["small", "paper"])
def test_forward_pass_equals_the_equations(dims: Architecture, gate: str, standardized: bool) -> None:
    dims = replace(dims, gate=gate, standardize=standardized)
    network, x = shaken(dims), random_segments(dims, 5)
    expected = Equations(network)(x)
    with torch.no_grad():
        single = network(x).double().numpy()
        double = network.double()(x.double()).numpy()
    scale = np.abs(expected).max()
    assert np.abs(double - expected).max() < 1e-9 * scale
    assert np.abs(single - expected).max() < 1e-5 * scale


# ------------------------------------------------------------------------------------------------ soft threshold


@given(st.floats(-1e3, 1e3, width=32), st.floats(0, 1e3, width=32))
def test_soft_threshold_is_sign_times_what_exceeds(r: float, tau: float) -> None:
    value = soft_threshold(torch.tensor(r), torch.tensor(tau)).item()
    assert value == pytest.approx(np.sign(r) * max(abs(r) - tau, 0.0), rel=1e-6)
    assert value == pytest.approx(r - min(max(r, -tau), tau), rel=1e-4, abs=1e-4)


def test_soft_threshold_has_derivative_zero_or_one() -> None:
    r = torch.linspace(-3, 3, 1201, requires_grad=True)
    (slope,) = torch.autograd.grad(soft_threshold(r, torch.tensor(1.0)).sum(), r)
    assert set(slope.tolist()) == {0.0, 1.0}
    assert torch.equal(slope == 1, r.detach().abs() > 1)


# ---------------------------------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize("shared", [False, True])
def test_thresholds_are_positive_below_the_mean_and_each_samples_own(shared: bool) -> None:
    sub = unit(6, 6, shared=shared, seed=3).thresholds
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


def test_channel_shared_gives_one_threshold_and_channel_wise_one_a_channel() -> None:
    r = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0))
    assert unit(5, 5, shared=True).thresholds(r).shape == (3, 1, 1)
    tau = unit(5, 5, shared=False).thresholds(r)
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


def test_fault_batch_normalisation_in_training_mode_at_test_time() -> None:
    network = shaken(SMALL).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = random_segments(SMALL, 9).numpy()
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
@pytest.mark.parametrize("gate", ["channel-wise", "channel-shared"])
def test_fault_crash_at_batch_size_one(gate: str, samples: int) -> None:
    # 16 samples end as a single position, where batch normalisation of one segment has no variance at all.
    dims = replace(SMALL, gate=gate, samples=samples, strides=(2, 2, 2))
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
    for dims in (SMALL, replace(SMALL, gate="channel-shared", standardize=False)):
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
    dims = architecture(name, classes=4, samples=256)
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
@pytest.mark.parametrize("gate", ["channel-wise", "channel-shared"])
def test_gradients_equal_finite_differences(gate: str, training: bool) -> None:
    dims = Architecture(gate, 2, 3, 2, (2, 3), (1, 2), channels=1, classes=3, samples=20)
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
