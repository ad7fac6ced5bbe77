"""The residual unit of Zhao et al. 2020 (doi 10.1109/TII.2019.2943898) and its relatives, in one and two dimensions.

Shapes: B segments, C channels, * positions: (B, C, L) in time, or (B, C, F, T) in frequency and time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (B, C), (B, C, L) and (B, C, F, T); the same shape out.

    It survives a training batch of one value per channel, which has no variance: such a batch is normalised by the
    running statistics, as at test time, and does not change them.

    across : how a training batch that several processes share is normalised (`synchronised.py`); None where it is whole
    """

    across: Callable[[BatchNorm, Tensor], Tensor] | None = None

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions: the arithmetic is the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel over the batch and all positions."""
        if self.training and self.across is not None:
            return self.across(self, x)
        if self.training and x.numel() == self.num_features:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def mean_over_positions(x: Tensor) -> Tensor:
    """(B, C, *) -> (B, C)."""
    return x.mean(dim=tuple(range(2, x.dim())))


def per_channel(value: Tensor, like: Tensor) -> Tensor:
    """(B, C or 1) -> (B, C or 1, 1 for each dimension of the positions of `like`)."""
    return value[(..., *[None] * (like.dim() - 2))]


def soft_threshold(r: Tensor, tau: Tensor) -> Tensor:
    """Return sign(r) * max(|r| - tau, 0), eq. 1, for tau >= 0.

    Written as the difference of two rectifiers: the same values, and the cheapest backward pass of the known forms.
    """
    # in place: on sums that nobody else sees, and the values are the same
    return F.relu(r - tau, inplace=True) - F.relu((-r).sub_(tau), inplace=True)


class Attention(nn.Module):
    """alpha = sigmoid( FC_b( ReLU( BN( FC_a(a) ) ) ) ): (B, C) -> (B, C), or (B, 1) where shared; 0 < alpha < 1."""

    def __init__(self, channels: int, *, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        self.fc_a = nn.Linear(channels, channels)
        self.bn = BatchNorm(channels)
        self.fc_b = nn.Linear(channels, 1 if shared else channels)

    def alpha(self, a: Tensor) -> Tensor:
        """(B, C) -> (B, C or 1)."""
        return torch.sigmoid(self.fc_b(F.relu(self.bn(self.fc_a(a)))))


class Thresholds(Attention):
    """The attention sub-network of the DRSN: it sets a sample's own thresholds from its mean absolute feature.

        a   = mean over positions of |r|                (B, C)
        tau = alpha(a) * a                              (B, C) channel-wise, or
              alpha(a) * mean over channels of a        (B, 1) channel-shared

    A threshold is positive and below the mean absolute value: the output is never all zero.
    """

    def forward(self, r: Tensor) -> Tensor:
        """(B, C, *) -> thresholds (B, C, 1, ...), or (B, 1, 1, ...) where shared."""
        return self.with_alpha(r)[0]

    def with_alpha(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *) -> the thresholds as `forward` gives them, and alpha (B, C or 1)."""
        a = mean_over_positions(r.abs())  # (B, C)
        alpha = self.alpha(a)
        tau = alpha * (a.mean(dim=1, keepdim=True) if self.shared else a)
        return per_channel(tau, r), alpha


class Excitation(Attention):
    """The attention sub-network of the SENet (Hu et al. 2018): weights of the channels from their mean, signs and all.

        w = alpha(mean over positions of r)             (B, C)

    Without the reduction of the original and with the DRSN's batch normalisation, so that SENet and DRSN-CW have the
    same layers and differ in what they do with alpha alone.
    """

    def forward(self, r: Tensor) -> Tensor:
        """(B, C, *) -> weights (B, C, 1, ...)."""
        return per_channel(self.alpha(mean_over_positions(r)), r)


class ResidualUnit(nn.Module):
    """BN, ReLU, Conv, BN, ReLU, Conv; what `gate` does; and the identity added.

    (B, C_in, L) -> (B, C_out, ceil(L / stride)); in two dimensions every one of the two is divided. The shortcut has no
    weights: every stride-th position, and zero channels on both sides where the unit widens. No ReLU follows the sum.
    """

    shrink: Callable[[Tensor, Tensor], Tensor] = staticmethod(soft_threshold)

    def __init__(
        self, c_in: int, c_out: int, *, kernel: int, stride: int, gate: str, shortcut: bool = True, dimensions: int = 1
    ) -> None:
        super().__init__()
        conv = CONVOLUTIONS[dimensions]
        self.gate, self.connected = gate, shortcut
        before = (c_out - c_in) // 2
        self.padding: tuple[int, ...] = (0, 0) * dimensions + (
            before,
            c_out - c_in - before,
        )  # for an odd number one more behind
        self.every: tuple[slice, ...] = (slice(None), slice(None), *[slice(None, None, stride)] * dimensions)
        self.bn_1 = BatchNorm(c_in)
        self.conv_1 = conv(c_in, c_out, kernel, stride=stride, padding=kernel // 2)
        self.bn_2 = BatchNorm(c_out)
        self.conv_2 = conv(c_out, c_out, kernel, padding=kernel // 2)
        if gate == "squeeze-excitation":
            self.excitation = Excitation(c_out)
        elif gate != "none":
            self.thresholds = Thresholds(c_out, shared=gate == "channel-shared")

    def residual(self, x: Tensor) -> Tensor:
        """Return what the two convolutions make of `x`, before the gate: no ReLU, negatives must arrive."""
        # in place where it trains, a twentieth of a step; not where it is exported, or the graph would be another
        there = self.training
        r = F.relu(self.bn_2(self.conv_1(F.relu(self.bn_1(x), inplace=there))), inplace=there)
        return cast(Tensor, self.conv_2(r))

    def gated(self, r: Tensor) -> Tensor:
        """Return what the networks differ in: `r` thresholded (DRSN), its channels re-weighted (SENet), or as it is."""
        if self.gate == "squeeze-excitation":
            return r * cast(Tensor, self.excitation(r))
        if self.gate == "none":
            return r
        return self.shrink(r, self.thresholds(r))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return `x` at the unit's output shape, without a weight."""
        return F.pad(x[self.every], self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, *) -> (B, C_out, * divided by the stride, rounded up). Without a shortcut: the ConvNet."""
        y = self.gated(self.residual(x))
        return self.shortcut(x) + y if self.connected else y
