"""The networks on one skeleton, that of Zhao et al. 2020 (doi 10.1109/TII.2019.2943898); `Network` builds any of them.

What differs: what a unit does after its second convolution, `ResidualUnit.gated`, and whether there is a shortcut.

| network | gate | shortcut |
|---|---|---|
| ConvNet | none | no |
| ResNet | none | yes |
| SENet | re-weights the channels | yes |
| DRSN-CS | soft thresholding, one threshold for all channels | yes |
| DRSN-CW | soft thresholding, a threshold for each channel | yes |
| WDCNN | units of `wdcnn.py`: Conv, BN, ReLU, max pooling | no |

A residual network may have a second branch, on the segment's amplitude spectrum (`spectrum.py`), which the last layer
sees beside the first.

Shapes: B segments, C sensor channels, L samples in time, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faultdx.networks.architecture import Architecture
from faultdx.networks.spectrogram import LogSpectrogram
from faultdx.networks.spectrum import AmplitudeSpectrum, SpectralBranch
from faultdx.networks.units import CONVOLUTIONS, BatchNorm, ResidualUnit, mean_over_positions
from faultdx.networks.wdcnn import FlatEnd, PooledUnit


class Network(nn.Module):
    """Stem, units, BN, ReLU, global average pooling, one linear layer: (B, C, L) -> logits (B, K).

    `features` gives what enters the last layer: (B, width of the last unit), with that of the spectral branch behind it
    where there is one, or (B, hidden) in a WDCNN.
    """

    def __init__(self, dims: Architecture) -> None:
        super().__init__()
        self.dims = dims
        if dims.input_kind == "spectrogram":
            self.spectrogram = LogSpectrogram(dims.window, dims.hop)
        self.stem = CONVOLUTIONS[dims.dimensions](
            dims.channels, dims.stem_channels, dims.stem_kernel, dims.stem_stride, padding=dims.stem_padding
        )
        units: list[nn.Module] = []
        c_in = dims.stem_channels
        for c_out, stride in zip(dims.widths, dims.strides, strict=True):
            if dims.family == "wdcnn":
                padded = len(units) < len(dims.widths) - 1
                units.append(PooledUnit(c_in, c_out, kernel=dims.kernel, pool=stride, padded=padded))
            else:
                unit = ResidualUnit(
                    c_in,
                    c_out,
                    kernel=dims.kernel,
                    stride=stride,
                    gate=dims.gate,
                    shortcut=dims.shortcut,
                    dimensions=dims.dimensions,
                )
                units.append(unit)
            c_in = c_out
        self.units = nn.Sequential(*units)
        self.bn = BatchNorm(c_in)
        if dims.family == "wdcnn":
            self.end = FlatEnd(dims.flat, dims.hidden)
        if dims.spectrum:
            self.spectral: nn.Module = SpectralBranch(dims.channels, dims.transform, dims.frames, dims.spectrum)
        self.fc = nn.Linear((dims.hidden or c_in) + dims.spectrum, dims.classes)

    def scaled(self, x: Tensor) -> Tensor:
        """(B, C, L) -> the same: the segments as they are, or standardized."""
        return standardize(x) if self.dims.standardize else x

    def seen(self, scaled: Tensor) -> Tensor:
        """(B, C, L) -> what the stem takes: the `scaled` segments, or their log-spectrograms (B, C, F, T)."""
        return cast(Tensor, self.spectrogram(scaled)) if self.dims.input_kind == "spectrogram" else scaled

    def view(self, x: Tensor) -> Tensor:
        """(B, C, L) -> what the stem takes of segments as they are."""
        return self.seen(self.scaled(x))

    def body(self, x: Tensor) -> Tensor:
        """Return the features (B, width of the last unit) of what the stem takes."""
        return self.pooled(self.units(self.stem(x)))

    def joined(self, pooled: Tensor, scaled: Tensor) -> Tensor:
        """Return all features: those `pooled` from the units and, where there is that branch, those of the spectrum."""
        return torch.cat([pooled, self.spectral(scaled)], dim=1) if self.dims.spectrum else pooled

    def pooled(self, x: Tensor) -> Tensor:
        """Return the features (B, width) of what the last unit gives."""
        x = F.relu(self.bn(x))
        return cast(Tensor, self.end(x)) if self.dims.family == "wdcnn" else mean_over_positions(x)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, width): the pooled features."""
        scaled = self.scaled(x)
        return self.joined(self.body(self.seen(scaled)), scaled)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> logits (B, K)."""
        return cast(Tensor, self.fc(self.features(x)))


def standardize(x: Tensor) -> Tensor:
    """Bring each segment and channel to mean 0 and standard deviation 1; a constant one to 0."""
    x = x - x[:, :, :1]  # a constant is then exactly 0; its mean alone is off by a rounding, which would become 1
    x = x - x.mean(dim=2, keepdim=True)
    # clamped, not "+ 1e-12": the ONNX exporter takes so small a summand for zero and leaves it out; before the root,
    # which has no derivative at 0
    return x / (x * x).mean(dim=2, keepdim=True).clamp(min=1e-24).sqrt()


def build(dims: Architecture, *, seed: int = 0) -> Network:
    """Return a network with He initialisation and zero biases, drawn from `seed`; PyTorch's global state is untouched.

    He et al. 2015: weights of variance 2 / fan-in, as in the paper. The sub-networks' sigmoid starts near 1/2.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(dims)
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable values, counted in the network itself (`Architecture.parameters` foretells it)."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def multiply_adds(network: Network) -> int:
    """Return the multiply-adds for one segment, counted while it runs (`Architecture.multiply_adds` foretells them).

    Those of convolutions and linear layers, and of the transform to a spectrogram.
    """
    total = 0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        if isinstance(module, LogSpectrogram):
            total += module.kernels.numel() * out.shape[1] * out.shape[3]
        elif isinstance(module, AmplitudeSpectrum):
            of_one = module.first.numel() * module.b + module.second.numel()
            total += of_one * module.frames * out.shape[1]
        else:
            total += cast(Tensor, module.weight).numel() * out[0, 0].numel()

    counted = (nn.Conv1d, nn.Conv2d, nn.Linear, LogSpectrogram, AmplitudeSpectrum)
    hooks: list[Callable[[], None]] = [
        m.register_forward_hook(count).remove for m in network.modules() if isinstance(m, counted)
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
