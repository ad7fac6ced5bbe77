"""A segment's log-spectrogram as a layer, so that the exported network takes raw segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOR = 1e-6  # of the mean power of the segment's spectrogram: 60 dB below it there is nothing to learn


class LogSpectrogram(nn.Module):
    """Natural logarithm of the power in short windows: (B, C, L) -> (B, C, window / 2 + 1, frames).

        X[k, t] = sum over n of w[n] x[hop t + n] exp(-2 pi i k n / window) / sqrt(sum over n of w[n]^2)
        S[k, t] = log( |X[k, t]|^2 + FLOOR * mean over k and t of |X|^2 )

    w : the periodic Hann window; frames : 1 + floor((L - window) / hop), without padding. White noise of variance 1 has
    the mean power 1 at every frequency but the first and the last. A segment of nothing but zeros gives a finite
    constant. The transform is a convolution with fixed kernels: no complex numbers, nothing that ONNX does not know.
    """

    kernels: Tensor

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        self.hop, self.bins = hop, window // 2 + 1
        kernels = torch.from_numpy(fourier_kernels(window).astype(np.float32))
        # not saved with the weights: it follows from the architecture
        self.register_buffer("kernels", kernels[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, frequencies, frames)."""
        # the sensor channels as rows of a picture: the same kernels for each, (B, 2 bins, C, frames)
        both = F.conv2d(x.unsqueeze(1), self.kernels, stride=(1, self.hop))
        power = both[:, : self.bins].square() + both[:, self.bins :].square()
        floor = FLOOR * power.mean(dim=(1, 3), keepdim=True)
        return (power + floor).clamp(min=1e-30).log().transpose(1, 2)


def fourier_kernels(window: int) -> npt.NDArray[np.float64]:
    """Return the cosines and then the sines of all frequencies, weighted: (window + 2, window)."""
    n = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    hann /= np.sqrt(np.square(hann).sum())
    angle = 2 * np.pi * (np.outer(np.arange(window // 2 + 1), n) % window) / window
    return np.concatenate([hann * np.cos(angle), -hann * np.sin(angle)])
