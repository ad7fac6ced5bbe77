"""The form in which a network of waveforms is exported: the same arithmetic, where an inference engine is fast at it.

A convolution over time is written as one over (1, time). The values are the same; onnxruntime keeps two-dimensional
convolutions in blocks of channels that fill a vector register, and one-dimensional ones not: 1.8 times as fast for
drsn-wide on one thread, 2.2 times for wdcnn, a tenth slower for the paper's networks of 4 channels, which are therefore
left as they are (benchmarks/inference.py).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from faultdx.networks.drsn import Network
from faultdx.networks.spectrum import Folded, SpectralBranch
from faultdx.networks.units import ResidualUnit

OUTPUTS, SHRINKAGE = ("logits", "features"), ("alpha", "zeroed")
REGISTER = 8  # float32 values in a vector register of the smallest kind that engines block for


def shrink(r: Tensor, tau: Tensor) -> Tensor:
    """Return `soft_threshold(r, tau)`, bit for bit, in three operations instead of six; its backward pass is slower."""
    return r - torch.maximum(torch.minimum(r, tau), -tau)


class Lifted(nn.Module):
    """(B, C, L) -> logits (B, K) and the pooled features (B, width) that lead to them, in evaluation mode.

    A network with shrinkage units (U of them) gives two more, by which a report says what the units did:

    alpha : (B, U), the mean over the channels of threshold / mean absolute feature, 0..1
    zeroed : (B, U), the share of the unit's features that soft thresholding made zero, 0..1
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        dims = network.dims
        fills = all(width % REGISTER == 0 for width in (dims.stem_channels, *dims.widths))
        self.flat = dims.dimensions == 1 and fills
        self.network = copy.deepcopy(network).eval()
        for unit in self.network.units:
            if isinstance(unit, ResidualUnit):
                unit.shrink = shrink
                if self.flat:
                    batch, channels, time = unit.every
                    unit.every = (batch, channels, slice(None), time)
                    unit.padding = (0, 0, *unit.padding)
        if self.flat:
            _lift(self.network)
        if isinstance(spectral := getattr(self.network, "spectral", None), SpectralBranch):
            self.network.spectral = Folded(spectral)
        self.outputs: tuple[str, ...] = OUTPUTS
        if dims.gate in ("channel-wise", "channel-shared"):
            self.outputs += SHRINKAGE

    def forward(self, segments: Tensor) -> tuple[Tensor, ...]:
        """(B, C, L) -> (B, K), (B, width), and (B, U) twice where there are shrinkage units."""
        scaled = self.network.scaled(segments)
        seen = self.network.seen(scaled)
        x = self.network.stem(seen.unsqueeze(2) if self.flat else seen)
        alphas, zeroed = [], []
        for unit in self.network.units:
            if "alpha" not in self.outputs:
                x = unit(x)
                continue
            assert isinstance(unit, ResidualUnit)
            r = unit.residual(x)
            tau, alpha = unit.thresholds.with_alpha(r)
            y = unit.shrink(r, tau)
            x = unit.shortcut(x) + y if unit.connected else y
            alphas.append(alpha.mean(dim=1))
            zeroed.append((r.abs() <= tau).to(r.dtype).flatten(1).mean(dim=1))
        features = self.network.joined(self.network.pooled(x), scaled)
        logits = self.network.fc(features)
        more = (torch.stack(alphas, dim=1), torch.stack(zeroed, dim=1)) if alphas else ()
        return logits, features, *more


def _lift(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv1d):
            setattr(module, name, _convolution(child))
        elif isinstance(child, nn.MaxPool1d):
            setattr(module, name, nn.MaxPool2d((1, int(child.kernel_size))))  # type: ignore[arg-type]
        else:
            _lift(child)


def _convolution(c: nn.Conv1d) -> nn.Conv2d:
    (kernel,), (stride,), padding = c.kernel_size, c.stride, c.padding
    assert not isinstance(padding, str)
    out = nn.Conv2d(
        c.in_channels, c.out_channels, (1, kernel), stride=(1, stride), padding=(0, padding[0]), bias=c.bias is not None
    )
    with torch.no_grad():
        out.weight.copy_(c.weight.unsqueeze(2))
        if c.bias is not None and out.bias is not None:
            out.bias.copy_(c.bias)
    return out
