"""WDCNN: plain convolutions behind a wide first kernel (Zhang et al. 2017, doi 10.3390/s17020425).

Table 2 of the paper, for a segment of 2048 samples; behind each convolution and the first linear layer stand batch
normalisation and ReLU:

| layer | kernel / stride | output |
|---|---|---|
| Conv 16; max pooling | 64 / 16; 2 / 2 | 16 x 128; 16 x 64 |
| Conv 32; max pooling | 3 / 1; 2 / 2 | 32 x 64; 32 x 32 |
| Conv 64; max pooling | 3 / 1; 2 / 2 | 64 x 32; 64 x 16 |
| Conv 64; max pooling | 3 / 1; 2 / 2 | 64 x 16; 64 x 8 |
| Conv 64, no padding; max pooling | 3 / 1; 2 / 2 | 64 x 6; 64 x 3 |
| linear; linear | | 100; classes |

Here the same chain is cut before each batch normalisation and not behind each pooling, so that stem, units, batch
normalisation and end are those of the residual networks.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from faultdx.networks.architecture import LAST_POOL
from faultdx.networks.units import BatchNorm


class PooledUnit(nn.Module):
    """BN, ReLU, max pooling, Conv: (B, C_in, L) -> (B, C_out, floor(L / pool)), kernel - 1 fewer where not padded."""

    def __init__(self, c_in: int, c_out: int, *, kernel: int, pool: int, padded: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool1d(pool)
        self.bn = BatchNorm(c_in)
        self.conv = nn.Conv1d(c_in, c_out, kernel, padding=kernel // 2 if padded else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, L) -> (B, C_out, positions)."""
        return cast(Tensor, self.conv(self.pool(F.relu(self.bn(x)))))


class FlatEnd(nn.Module):
    """Max pooling, all positions in one row, linear layer, BN, ReLU: (B, C, L) -> (B, hidden)."""

    def __init__(self, n_in: int, hidden: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool1d(LAST_POOL)
        self.fc = nn.Linear(n_in, hidden)
        self.bn = BatchNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, positions) -> (B, hidden)."""
        return F.relu(self.bn(self.fc(self.pool(x).flatten(1))))
