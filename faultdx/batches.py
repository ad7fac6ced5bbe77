"""What a training run is fed: batches with fresh crops and noise, and validation segments with fixed noise.

Everything random in step s comes from a generator seeded with (seed, s): which crops, which noise, at which SNR. So
there is no state to lose, and a resumed run is the uninterrupted one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faultdx.augmentation import equalised, rates, stretched
from faultdx.config import TrainConfig
from faultdx.dataset import Prepared
from faultdx.errors import ConfigError, DatasetError
from faultdx.evaluation import with_noise
from faultdx.files import show
from faultdx.signals.noise import pink_gain


class Sampler:
    """Draws training batches: crops or segments, balanced or not, changed in speed, path and noise afresh."""

    def __init__(self, prepared: Prepared, config: TrainConfig, device: torch.device) -> None:
        self.config, self.length, self.device = config, prepared.segment, device
        if config.crops:
            stretches = prepared.stretches("train")
            signals, labels = [s.signal for s in stretches], [s.label for s in stretches]
        else:
            rows = prepared.rows("train")
            signals, labels = list(prepared.segments(rows)), prepared.label[rows].tolist()
        if not signals:
            raise DatasetError(
                f"{show(prepared.path)}: has no training segments: prepare it again with other --fractions"
            )
        lengths = torch.tensor([s.shape[1] for s in signals])
        self.flat = torch.from_numpy(np.concatenate(signals, axis=1)).to(device)  # (channels, samples of all)
        self.offset, self.lengths = torch.cumsum(lengths, 0) - lengths, lengths
        self.room = lengths - self.length + 1  # number of places where a crop can start
        self.label = torch.tensor(labels)
        weight = self.room.double()
        if config.balance:
            per_class = torch.zeros(len(prepared.classes), dtype=torch.double).index_add_(0, self.label, weight)
            weight = weight / per_class[self.label]
        self.cumulative = torch.cumsum(weight / weight.sum(), 0)
        self.segments = len(prepared.rows("train"))
        self.gain = torch.tensor(pink_gain(self.length), device=device)
        self.window = torch.arange(self.length)

    def chosen(self, step: int, steps_per_epoch: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return (stretch, place in it) for each segment of the batch."""
        batch = self.config.batch
        if self.config.crops or self.config.balance:
            u = torch.rand(batch, generator=g, dtype=torch.double)
            stretch = torch.searchsorted(self.cumulative, u).clamp(max=len(self.label) - 1)
            place = (torch.rand(batch, generator=g, dtype=torch.double) * self.room[stretch]).long()
            return stretch, place
        # one pass in a random order, from the epoch's own generator
        epoch, at = divmod(step, steps_per_epoch)
        order = torch.randperm(len(self.label), generator=generator(self.config.seed, -1 - epoch))
        stretch = (
            order[(torch.arange(at * batch, (at + 1) * batch)) % len(order)]
            if len(order) < batch
            else (order[at * batch : (at + 1) * batch])
        )
        return stretch, torch.zeros_like(stretch)

    def batch(self, step: int, steps_per_epoch: int) -> tuple[Tensor, Tensor]:
        """Return the batch of `step`: segments (B, channels, samples) and labels (B,)."""
        g = generator(self.config.seed, step)
        stretch, place = self.chosen(step, steps_per_epoch, g)
        index = (self.offset[stretch] + place).unsqueeze(1) + self.window
        x = self.flat[:, index.to(self.device)].transpose(0, 1).contiguous()
        if self.config.stretch and self.config.crops:
            self.speed_up(x, stretch, place / self.room[stretch], g)
        if self.config.equalizer:
            x = equalised(x, spread_db=self.config.equalizer, g=g)
        if self.config.noise:
            x = self.noisy(x, g)
        if self.config.polarity:
            sign = torch.randint(0, 2, (len(x), 1, 1), generator=g) * 2 - 1
            x = x * sign.to(self.device)
        return x, self.label[stretch].to(self.device)

    def speed_up(self, x: Tensor, stretch: Tensor, where: Tensor, g: torch.Generator) -> None:
        """Put pieces of the same stretches at other speeds into some places of the batch."""
        rate = rates(len(x), most=self.config.stretch, g=g)
        mine = (rate != 1).nonzero().squeeze(1)
        begin, length = self.offset[stretch[mine]], self.lengths[stretch[mine]]
        x[mine.to(self.device)] = stretched(
            self.flat, begin, begin + length, rate[mine], where[mine], length=self.length
        )

    def noisy(self, x: Tensor, g: torch.Generator) -> Tensor:
        """Add noise of a random kind at a random SNR to each segment of (B, channels, samples)."""
        n, (low, high) = len(x), self.config.snr
        snr_db = low + (high - low) * torch.rand(n, 1, 1, generator=g) ** self.config.snr_focus
        kind = torch.randint(0, len(self.config.noise), (n,), generator=g)
        clean = torch.rand(n, generator=g) < self.config.clean_share
        noise = torch.empty(x.shape)
        for i, name in enumerate(self.config.noise):
            mine = kind == i
            shape = (int(mine.sum()), *x.shape[1:])
            if shape[0]:
                noise[mine] = draw(shape, name, g, self.gain.cpu())
        noise -= noise.mean(dim=2, keepdim=True)
        noise /= noise.square().mean(dim=2, keepdim=True).sqrt()
        scale = torch.where(clean.view(-1, 1, 1), 0.0, 10.0 ** (-snr_db / 20)).to(self.device)
        noise = noise.to(self.device).mul_(scale).mul_(x.std(dim=2, keepdim=True, correction=0))
        return noise.add_(x)


def draw(shape: tuple[int, ...], kind: str, g: torch.Generator, gain: Tensor) -> Tensor:
    """The torch twin of `signals.noise.draw_noise`, before its scaling."""
    if kind == "gaussian":
        return torch.randn(shape, generator=g)
    if kind == "laplacian":
        # difference of two exponentials by inversion; 1 - u is never 0
        u, v = torch.rand(shape, generator=g), torch.rand(shape, generator=g)
        return u.neg_().log1p_().sub_(v.neg_().log1p_())
    if kind == "pink":
        white = torch.fft.rfft(torch.randn(shape, generator=g))
        pink: Tensor = torch.fft.irfft(white.mul_(gain), n=shape[-1])
        return pink
    raise ConfigError(f"noise kind {kind!r} is unknown")


def generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step: the same whatever was drawn before."""
    g = torch.Generator()
    g.manual_seed(int(np.random.SeedSequence([seed, step & 0xFFFFFFFFFFFF]).generate_state(1, np.uint64)[0] >> 1))
    return g


class Validation:
    """The validation segments with their fixed noise: each as prepared, and once with each kind of training noise."""

    def __init__(self, prepared: Prepared, config: TrainConfig) -> None:
        rows = prepared.rows("val")
        clean = prepared.segments(rows)
        label, record, start = prepared.label[rows], prepared.votes(rows), prepared.start[rows]
        copies, self.classes = [clean], prepared.classes
        rng = np.random.default_rng([config.seed, 0x7A1])
        if not prepared.has_noise and len(rows):
            for kind in config.noise:
                levels = np.linspace(config.snr[0], config.snr[1], 5)
                noisy = np.empty_like(clean)
                which = rng.integers(0, len(levels), len(rows))
                for i, snr in enumerate(levels):
                    m = which == i
                    if m.any():
                        noisy[m] = with_noise(
                            clean[m],
                            kind=kind,
                            snr_db=float(snr),
                            seed=config.seed + 1,
                            record=record[m],
                            start=start[m],
                        )
                copies.append(noisy)
        self.x = np.concatenate(copies)
        self.label = np.tile(label, len(copies))
        # a copy with other noise votes as a record of its own
        self.record = np.concatenate([record + i * (int(record.max(initial=0)) + 1) for i in range(len(copies))])
