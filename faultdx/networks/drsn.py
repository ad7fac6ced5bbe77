"""The deep residual shrinkage network of Zhao et al. 2020 (doi 10.1109/TII.2019.2943898), in one dimension.

Shapes: B segments, C channels, L samples in time, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faultdx.networks.architecture import Architecture


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that survives a training batch of one value per channel, which has no variance.

    Such a batch is normalised by the running statistics, as at test time, and does not change them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) or (B, C, L), the same shape out."""
        if self.training and x.shape[0] * (x.shape[2] if x.dim() == 3 else 1) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def soft_threshold(r: Tensor, tau: Tensor) -> Tensor:
    """Return sign(r) * max(|r| - tau, 0), eq. 1, for tau >= 0.

    Written as the difference of two rectifiers: the same values, and the cheapest backward pass of the known forms.
    """
    return F.relu(r - tau) - F.relu(-r - tau)


class Thresholds(nn.Module):
    """The attention sub-network that sets a sample's own thresholds from its mean absolute feature.

        a     = mean over time of |r|                        (B, C)
        alpha = sigmoid( FC_b( ReLU( BN( FC_a(a) ) ) ) )     (B, C) channel-wise, (B, 1) channel-shared
        tau   = alpha * a   or   alpha * mean over channels of a

    0 < alpha < 1, so that a threshold is positive and below the mean absolute value: the output is never all zero.
    """

    def __init__(self, channels: int, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.fc_a = nn.Linear(channels, channels)
        self.bn = BatchNorm(channels)
        self.fc_b = nn.Linear(channels, 1 if shared else channels)

    def forward(self, r: Tensor) -> Tensor:
        """(B, C, L) -> thresholds (B, C, 1), or (B, 1, 1) where shared."""
        a = r.abs().mean(dim=2)  # (B, C)
        alpha = torch.sigmoid(self.fc_b(F.relu(self.bn(self.fc_a(a)))))
        tau = alpha * (a.mean(dim=1, keepdim=True) if self.shared else a)
        return tau.unsqueeze(2)  # (B, C or 1, 1)


class ShrinkageUnit(nn.Module):
    """Residual shrinkage building unit: BN, ReLU, Conv, BN, ReLU, Conv, soft threshold, and the identity added.

    (B, C_in, L) -> (B, C_out, ceil(L / stride)). The shortcut has no weights: every stride-th sample, and zero
    channels on both sides where the unit widens. No ReLU follows the sum.
    """

    def __init__(self, c_in: int, c_out: int, *, kernel: int, stride: int, shared: bool) -> None:
        super().__init__()
        self.stride = stride
        before = (c_out - c_in) // 2
        self.padding = (0, 0, before, c_out - c_in - before)  # for an odd number one more behind
        self.bn_1 = BatchNorm(c_in)
        self.conv_1 = nn.Conv1d(c_in, c_out, kernel, stride=stride, padding=kernel // 2)
        self.bn_2 = BatchNorm(c_out)
        self.conv_2 = nn.Conv1d(c_out, c_out, kernel, padding=kernel // 2)
        self.thresholds = Thresholds(c_out, shared=shared)

    def residual(self, x: Tensor) -> Tensor:
        """Return what the two convolutions make of `x`, before the shrinkage: no ReLU, negatives must arrive."""
        return cast(Tensor, self.conv_2(F.relu(self.bn_2(self.conv_1(F.relu(self.bn_1(x)))))))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return `x` at the unit's output shape, without a weight."""
        return F.pad(x[:, :, :: self.stride], self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, L) -> (B, C_out, ceil(L / stride))."""
        r = self.residual(x)
        return self.shortcut(x) + soft_threshold(r, self.thresholds(r))


class Network(nn.Module):
    """Stem, residual units, BN, ReLU, global average pooling, one linear layer: (B, C, L) -> logits (B, K).

    `features` gives what enters the last layer, (B, width of the last unit).
    """

    def __init__(self, dims: Architecture) -> None:
        super().__init__()
        self.dims = dims
        # half a kernel of zeros on each side: every sample is seen, and an odd kernel gives ceil(L / stride) positions
        self.stem = nn.Conv1d(
            dims.channels,
            dims.stem_channels,
            dims.stem_kernel,
            dims.stem_stride,
            padding=dims.stem_kernel // 2,
        )
        units: list[nn.Module] = []
        c_in = dims.stem_channels
        for c_out, stride in zip(dims.widths, dims.strides, strict=True):
            shared = dims.gate == "channel-shared"
            units.append(ShrinkageUnit(c_in, c_out, kernel=dims.kernel, stride=stride, shared=shared))
            c_in = c_out
        self.units = nn.Sequential(*units)
        self.bn = BatchNorm(c_in)
        self.fc = nn.Linear(c_in, dims.classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, width): the pooled features."""
        if self.dims.standardize:
            x = standardize(x)
        return F.relu(self.bn(self.units(self.stem(x)))).mean(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> logits (B, K)."""
        return cast(Tensor, self.fc(self.features(x)))


def standardize(x: Tensor) -> Tensor:
    """Bring each segment and channel to mean 0 and standard deviation 1; a constant one to 0."""
    x = x - x[:, :, :1]  # a constant is then exactly 0; its mean alone is off by a rounding, which would become 1
    x = x - x.mean(dim=2, keepdim=True)
    # clamped, not "+ 1e-12": the ONNX exporter takes so small a summand for zero and leaves it out
    return x / x.square().mean(dim=2, keepdim=True).sqrt().clamp(min=1e-12)


def build(dims: Architecture, *, seed: int = 0) -> Network:
    """Return a network with He initialisation and zero biases, drawn from `seed`; PyTorch's global state is untouched.

    He et al. 2015: weights of variance 2 / fan-in, as in the paper. The sub-networks' sigmoid starts near 1/2.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(dims)
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def multiply_adds(network: Network) -> int:
    """Return the multiply-adds of convolutions and linear layers for one segment."""
    total = 0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        weight = cast(Tensor, module.weight)
        positions = out.shape[2] if out.dim() == 3 else 1
        total += weight.numel() * positions

    hooks: list[Callable[[], None]] = [
        m.register_forward_hook(count).remove for m in network.modules() if isinstance(m, nn.Conv1d | nn.Linear)
    ]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, network.dims.channels, network.dims.samples))
    finally:
        network.train(training)
        for remove in hooks:
            remove()
    return total
