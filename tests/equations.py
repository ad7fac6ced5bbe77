"""The forward pass of every network, from the equations of its paper and nothing but numpy, in double precision.

In evaluation mode with the running statistics, or with those of the batch, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from faultdx.networks.architecture import Architecture
from faultdx.networks.drsn import Network, build

Array = npt.NDArray[np.float64]


def one_thread() -> Iterator[None]:
    """Body of a fixture: several threads that wait for each other on a busy machine cost ten times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_segments(dims: Architecture, count: int, *, seed: int = 0) -> Tensor:
    """Segments of different size and offset, not white: each sample leans on the one before it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, dims.channels, dims.samples)) * rng.uniform(0.5, 3, (count, 1, 1)) + 0.3
    x[:, :, 1:] += 0.7 * x[:, :, :-1]
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


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def spectrogram(x: Array, window: int, hop: int) -> Array:
    """(B, C, L) -> (B, C, F, T), by the FFT."""
    hann = np.hanning(window + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(x, window, axis=2)[:, :, ::hop] * hann
    power = np.abs(np.fft.rfft(frames)) ** 2 / np.square(hann).sum()  # (B, C, T, F)
    power += 1e-6 * power.mean(axis=(2, 3), keepdims=True)
    return cast(Array, np.log(np.maximum(power, 1e-30)).swapaxes(2, 3))


def amplitudes(x: Array, window: int, frames: int) -> Array:
    """(B, C, L) -> (B, C, window / 2), by the FFT: the mean power over frames ^ 0.75, but at frequency 0."""
    framed = x[:, :, : window * frames].reshape(*x.shape[:2], frames, window)
    return cast(Array, np.mean(np.abs(np.fft.rfft(framed)[..., 1:]) ** 2 / window, axis=2) ** 0.75)


class Equations:
    """Segments (B, C, L) -> logits (B, K) with the weights of `network`."""

    def __init__(self, network: Network, *, batch_statistics: bool = False) -> None:
        self.dims, self.batch_statistics = network.dims, batch_statistics
        self.w = {k: v.double().numpy() for k, v in network.state_dict().items()}

    def __call__(self, segments: Tensor) -> Array:
        x = segments.double().numpy()
        if self.dims.standardize:
            x = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
        self.scaled = x
        if self.dims.input_kind == "spectrogram":
            x = spectrogram(x, self.dims.window, self.dims.hop)
        return self.wdcnn(x) if self.dims.family == "wdcnn" else self.residual_network(x)

    def residual_network(self, x: Array) -> Array:
        x = self.conv(x, "stem", self.dims.stem_stride, pad=self.dims.stem_kernel // 2)
        for i, (c_out, stride) in enumerate(zip(self.dims.widths, self.dims.strides, strict=True)):
            x = self.unit(x, f"units.{i}", c_out, stride)
        x = relu(self.norm(x, "bn"))
        x = x.reshape(*x.shape[:2], -1).mean(axis=2)
        return self.linear(np.concatenate([x, self.spectral()], axis=1) if self.dims.spectrum else x, "fc")

    def spectral(self) -> Array:
        a = amplitudes(self.scaled, self.dims.transform, self.dims.frames)
        hidden = self.linear(self.norm(a.reshape(len(a), -1), "spectral.bn_1"), "spectral.fc_1")
        hidden = self.linear(relu(self.norm(hidden, "spectral.bn_2")), "spectral.fc_2")
        return relu(self.norm(hidden, "spectral.bn_3"))

    def unit(self, x: Array, name: str, c_out: int, stride: int) -> Array:
        pad = self.dims.kernel // 2
        r = self.conv(relu(self.norm(x, name + ".bn_1")), name + ".conv_1", stride, pad=pad)
        r = self.conv(relu(self.norm(r, name + ".bn_2")), name + ".conv_2", 1, pad=pad)
        axes = tuple(range(2, r.ndim))
        every = (slice(None), slice(None)) + (slice(None, None, stride),) * len(axes)
        if self.dims.gate == "squeeze-excitation":  # Hu et al. 2018, eq. 2 to 4
            alpha = self.attention(r.mean(axis=axes), name + ".excitation")
            y = r * np.expand_dims(alpha, axes)
        elif self.dims.gate == "none":
            y = r
        else:  # Zhao et al. 2020, eq. 1 and section III
            a = np.abs(r).mean(axis=axes)
            alpha = self.attention(a, name + ".thresholds")
            tau = alpha * a if self.dims.gate == "channel-wise" else alpha * a.mean(axis=1, keepdims=True)
            y = np.sign(r) * np.maximum(np.abs(r) - np.expand_dims(tau, axes), 0.0)
        if not self.dims.shortcut:
            return y
        more = c_out - x.shape[1]
        return np.pad(x[every], ((0, 0), (more // 2, more - more // 2)) + ((0, 0),) * len(axes)) + y

    def attention(self, a: Array, name: str) -> Array:
        hidden = relu(self.norm(self.linear(a, name + ".fc_a"), name + ".bn"))
        return 1 / (1 + np.exp(-self.linear(hidden, name + ".fc_b")))

    def wdcnn(self, x: Array) -> Array:
        """Zhang et al. 2017, table 2: every convolution, its normalisation, ReLU, pooling; then the linear layers."""
        x = self.conv(x, "stem", self.dims.stem_stride, pad=(self.dims.stem_kernel - self.dims.stem_stride) // 2)
        last = len(self.dims.widths) - 1
        for i in range(last + 1):
            x = self.pool(relu(self.norm(x, f"units.{i}.bn")), self.dims.strides[i])
            x = self.conv(x, f"units.{i}.conv", 1, pad=self.dims.kernel // 2 if i < last else 0)
        x = self.pool(relu(self.norm(x, "bn")), 2)
        x = relu(self.norm(self.linear(x.reshape(len(x), -1), "end.fc"), "end.bn"))
        return self.linear(x, "fc")

    def conv(self, x: Array, name: str, stride: int, *, pad: int) -> Array:
        w, b = self.w[name + ".weight"], self.w[name + ".bias"]
        axes = tuple(range(2, x.ndim))
        x = np.pad(x, ((0, 0), (0, 0)) + ((pad, pad),) * len(axes))
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=axes)
        windows = windows[(slice(None), slice(None)) + (slice(None, None, stride),) * len(axes)]
        taps = tuple(range(x.ndim, windows.ndim))
        out = np.tensordot(windows, w, axes=((1, *taps), (1, *axes)))  # (B, positions, O)
        return cast(Array, np.moveaxis(out + b, -1, 1))

    @staticmethod
    def pool(x: Array, size: int) -> Array:
        whole = x.shape[2] // size
        return cast(Array, x[:, :, : whole * size].reshape(*x.shape[:2], whole, size).max(axis=3))

    def norm(self, x: Array, name: str) -> Array:
        mean, var, gamma, beta = (self.w[f"{name}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        if self.batch_statistics:
            axes = (0, *range(2, x.ndim))
            mean, var = x.mean(axis=axes), x.var(axis=axes)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        scale = gamma / np.sqrt(var + 1e-5)
        return cast(Array, (x - mean.reshape(shape)) * scale.reshape(shape) + beta.reshape(shape))

    def linear(self, x: Array, name: str) -> Array:
        return cast(Array, x @ self.w[name + ".weight"].T + self.w[name + ".bias"])
