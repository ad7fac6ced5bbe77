"""One network for every bearing: each hypothesis scored by the same weights, in the light of the other two.

    lines (R, 3, bands, CHANNELS, POSITIONS), context (R, 3, bands, CONTEXT)
        stem      lines of one hypothesis and band -> channels over slip; the context as one more channel each
        units     residual shrinkage units, each channel with its own threshold (Zhao et al. 2020): `networks.units`
        bands     the largest and the mean over slip, then over the bands: their order and number are of no account
        places    a hypothesis beside the mean and the largest of all three (Zaheer et al., "Deep Sets", NeurIPS 2017)
    -> logits (R, 4): no fault, outer race, inner race, ball

Shapes: R records.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faultdx.networks.units import BatchNorm, ResidualUnit
from faultdx.universal.representation import CHANNELS, CONTEXT, PLACES

CLASSES = ("none", *PLACES)
WIDTH = 32
UNITS = 3
EMBEDDING = 48


class UniversalNetwork(nn.Module):
    """(lines, context) -> logits (R, 4), in the order of CLASSES."""

    def __init__(self, width: int = WIDTH, units: int = UNITS, embedding: int = EMBEDDING) -> None:
        super().__init__()
        self.stem = nn.Conv1d(CHANNELS, width, 3, stride=2, padding=1)
        self.told = nn.Linear(CONTEXT, width)
        self.units = nn.Sequential(
            *(ResidualUnit(width, width, kernel=3, stride=1 + (i == 1), gate="channel-wise") for i in range(units))
        )
        self.bn = BatchNorm(width)
        self.of_band = nn.Linear(2 * width + CONTEXT, embedding)
        self.of_place = nn.Linear(2 * embedding, embedding)
        self.score = nn.Sequential(nn.Linear(3 * embedding, embedding), nn.ReLU(), nn.Linear(embedding, 1))
        self.none = nn.Sequential(nn.Linear(2 * embedding, embedding), nn.ReLU(), nn.Linear(embedding, 1))

    def forward(self, lines: Tensor, context: Tensor) -> Tensor:
        """Return the logits, shape (R, 4)."""
        r, places, bands = context.shape[:3]
        told = context.reshape(-1, context.shape[3])
        x = self.stem(lines.reshape(-1, lines.shape[3], lines.shape[4]))
        x = x + self.told(told)[:, :, None]
        x = F.relu(self.bn(self.units(x)))
        pooled = torch.cat([x.amax(dim=2), x.mean(dim=2), told], dim=1)
        band = F.relu(self.of_band(pooled)).reshape(r, places, bands, -1)
        place = F.relu(self.of_place(torch.cat([band.amax(dim=2), band.mean(dim=2)], dim=2)))  # (R, 3, embedding)
        record = torch.cat([place.amax(dim=1), place.mean(dim=1)], dim=1)
        beside = record[:, None].expand(-1, places, -1)
        scores = self.score(torch.cat([place, beside], dim=2))[:, :, 0]
        return torch.cat([self.none(record), scores], dim=1)
