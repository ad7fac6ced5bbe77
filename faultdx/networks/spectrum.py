"""A segment's amplitude spectrum as a branch of a network: fine lines in frequency, which short kernels cannot tell.

Noise spreads over all frequencies and a machine's lines do not, so the longer the transform, the further the lines
stand out. A first kernel of 64 samples tells frequencies no nearer than a sixty-fourth of the sampling rate apart; the
transform here takes the whole segment, up to `architecture.LONGEST_TRANSFORM` samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faultdx.networks.architecture import transform_factors
from faultdx.networks.units import BatchNorm


class AmplitudeSpectrum(nn.Module):
    """Compressed power of the discrete Fourier transform: (B, C, L) -> (B, C, window / 2), at k = 1..window / 2.

        X_f[k] = sum over n of x[f window + n] exp(-2 pi i k n / window) / sqrt(window)
        A[k]   = ( mean over f of |X_f[k]|^2 )^0.75,    f = 0..frames - 1

    The power tells most of lines in much noise, where the likelihood of normal noise is linear in it, and its logarithm
    most where there is little: 0.75 was right more often than 0.5, 1 and the logarithm on CWRU's validation part, and
    no taper more often than a Tukey window (docs/recipe.md). The mean over f and k is 1 for white noise of variance 1,
    before the exponent. What is left behind the last frame is not looked at.

    The transform is two multiplications by constant matrices (Cooley and Tukey 1965, doi 10.2307/2003354): no complex
    numbers, nothing that ONNX does not know, and for 2048 samples an eighth of the work of one matrix. With
    window = a b, n = b p + q and k = r + a s:

        Y[r, q] = sum over p of x[b p + q] exp(-2 pi i r p / a)                       (first)
        X[k]    = sum over q of Y[r, q] exp(-2 pi i k q / window)                     (second: a matrix for each r)

    The signal is real, so that r = 0..a / 2 gives all frequencies: those of other r mirror them.
    """

    first: Tensor
    second: Tensor
    order: Tensor

    def __init__(self, window: int, frames: int) -> None:
        super().__init__()
        self.window, self.frames = window, frames
        self.a, self.b = a, b = transform_factors(window)
        r, p, q, s = np.arange(a // 2 + 1), np.arange(a), np.arange(b), np.arange(b)
        one = np.exp(-2j * np.pi * (np.outer(r, p) % a) / a)  # (r, p)
        k = r[:, None] + a * s
        two = np.exp(-2j * np.pi * (k[:, None, :] * q[:, None] % window) / window) / np.sqrt(window)  # (r, q, s)
        # a complex product as a real one: (real, imaginary) of q times [[cos, sin], [-sin, cos]]
        rows = [np.concatenate([two.real, two.imag], axis=2), np.concatenate([-two.imag, two.real], axis=2)]
        wanted = np.arange(1, window // 2 + 1)
        wanted = np.where(wanted % a <= a // 2, wanted, window - wanted)  # the mirrored ones
        constants = {
            "first": torch.from_numpy(np.concatenate([one.real, one.imag]).astype(np.float32)),  # (2 r, p)
            "second": torch.from_numpy(np.concatenate(rows, axis=1).astype(np.float32)),  # (r, 2 q, 2 s)
            "order": torch.from_numpy((wanted % a) * b + wanted // a),
        }
        for name, value in constants.items():  # not saved with the weights: they follow from the architecture
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, window / 2)."""
        return self.unordered(x).index_select(2, self.order)

    def unordered(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, (a / 2 + 1) b): the amplitudes at all r and s, some of them twice, and that at 0."""
        channels, h = x.shape[1], self.a // 2 + 1
        framed = x[:, :, : self.frames * self.window].reshape(-1, self.a, self.b)  # (m, p, q), m = B C frames
        y = self.first @ framed.transpose(0, 1).reshape(self.a, -1)  # (2 r, m q)
        y = y.reshape(2, h, -1, self.b).permute(1, 2, 0, 3).reshape(h, -1, 2 * self.b)  # (r, m, 2 q)
        z = (y @ self.second).square()  # (r, m, 2 s)
        power = (z[..., : self.b] + z[..., self.b :]).transpose(0, 1)  # (m, r, s)
        power = power.reshape(-1, channels, self.frames, h * self.b).mean(dim=2)
        power = power.clamp(min=1e-12)  # before the root, which has no derivative at 0
        return (power * power.sqrt()).sqrt()


class SpectralBranch(nn.Module):
    """Amplitude spectrum, BN; twice a linear layer, BN, ReLU, of 2 width and width: (B, C, L) -> (B, width)."""

    def __init__(self, channels: int, window: int, frames: int, width: int) -> None:
        super().__init__()
        self.spectrum = AmplitudeSpectrum(window, frames)
        bins = channels * (window // 2)
        self.bn_1 = BatchNorm(bins)
        self.fc_1 = nn.Linear(bins, 2 * width)
        self.bn_2 = BatchNorm(2 * width)
        self.fc_2 = nn.Linear(2 * width, width)
        self.bn_3 = BatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, width)."""
        return self.end(self.fc_1(self.bn_1(self.spectrum(x).flatten(1))))

    def end(self, x: Tensor) -> Tensor:
        """Return what follows the first linear layer: (B, 2 width) -> (B, width)."""
        return F.relu(self.bn_3(self.fc_2(F.relu(self.bn_2(x)))))


class Folded(nn.Module):
    """A `SpectralBranch` in evaluation mode, to rounding: the linear layer orders and scales the amplitudes itself."""

    def __init__(self, branch: SpectralBranch) -> None:
        super().__init__()
        self.spectrum, norm, old = branch.spectrum, branch.bn_1, branch.fc_1
        assert norm.running_mean is not None and norm.running_var is not None
        at_all = (self.spectrum.a // 2 + 1) * self.spectrum.b
        with torch.no_grad():
            scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            shift = norm.bias.double() - norm.running_mean.double() * scale
            channels = old.in_features // (self.spectrum.window // 2)
            weight = torch.zeros(old.out_features, channels, at_all, dtype=torch.double)
            weight[:, :, self.spectrum.order] = (old.weight.double() * scale).reshape(old.out_features, channels, -1)
            self.fc = nn.Linear(channels * at_all, old.out_features)
            self.fc.weight.copy_(weight.flatten(1))
            self.fc.bias.copy_(old.weight.double() @ shift + old.bias.double())
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, width)."""
        return self.branch.end(self.fc(self.spectrum.unordered(x).flatten(1)))
