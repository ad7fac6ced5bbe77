"""What another machine of the same kind, or the same one at another load, does to a vibration: made up for training.

Another speed moves every line of the spectrum in proportion (`stretched`); another path from the bearing to the sensor
raises some frequencies and lowers others (`equalised`). A network that has seen one speed and one path takes both for
the fault. Everything is drawn from a generator that the caller gives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHARE = 0.5  # of the segments that each of the two is done to: the others stay as they were recorded
KNOTS = 9  # frequencies from 0 to Nyquist at which the gain of an equaliser is drawn
_BEFORE, _AFTER = 1, 2  # samples that the interpolation looks at beside its place


def stretched(signal: Tensor, begin: Tensor, end: Tensor, rate: Tensor, where: Tensor, *, length: int) -> Tensor:
    """Return pieces of `signal` played at other speeds: (channels, samples of all) -> (n, channels, length).

    begin, end : (n,) the first sample of the recording that a piece is cut from, and the one behind its last
    rate : (n,) samples of the recording for a sample of the piece; above 1 is a faster machine. Lowered where the
        recording is too short for it
    where : (n,) in [0, 1): the place in the recording, among those where the piece fits

    Lagrange's interpolation through the four samples around each place. Nothing outside begin..end is looked at; a
    recording of fewer than `length` samples is an error of the caller's.
    """
    room = (end - begin - 1 - _BEFORE - _AFTER).clamp(min=1).double()
    rate = torch.minimum(rate.double(), room / (length - 1))
    place = begin + _BEFORE + where * (room - rate * (length - 1))
    at = place.unsqueeze(1) + rate.unsqueeze(1) * torch.arange(length, device=rate.device)  # (n, length)
    whole = at.long()
    t = (at - whole).to(signal.dtype)
    last = (end - 1).unsqueeze(1)
    a, b, c, d = (
        signal[:, torch.minimum((whole + k).clamp(min=0), last).to(signal.device)].transpose(0, 1) for k in range(-1, 3)
    )
    t = t.unsqueeze(1).to(signal.device)
    outer = t * (t - 1) / 6
    inner = (t + 1) * (t - 2) / 2
    return inner * ((t - 1) * b - t * c) + outer * ((t + 1) * d - (t - 2) * a)


def equalised(x: Tensor, *, spread_db: float, g: torch.Generator) -> Tensor:
    """Return segments (n, channels, samples) as through other paths: `SHARE` of them with a random gain over frequency.

    spread_db : standard deviation of the gain at each of `KNOTS` frequencies, evenly from 0 to Nyquist, independent;
        linear in dB between them, and without phase. Each channel has a path of its own.
    """
    n, channels, samples = x.shape
    knots = torch.randn(n, channels, KNOTS, generator=g) * spread_db
    mine = (torch.rand(n, generator=g) < SHARE).nonzero().squeeze(1)
    gain_db = F.interpolate(knots[mine], size=samples // 2 + 1, mode="linear", align_corners=True)
    gain = (10.0 ** (gain_db / 20)).to(x.device)
    mine = mine.to(x.device)
    out = x.clone()
    if len(mine):
        out[mine] = torch.fft.irfft(torch.fft.rfft(x[mine]) * gain, n=samples)
    return out


def rates(count: int, *, most: float, g: torch.Generator) -> Tensor:
    """Return speeds (count,), float64: `SHARE` of them uniform in 1 - most .. 1 + most, the others 1."""
    drawn = 1 + most * (2 * torch.rand(count, generator=g, dtype=torch.double) - 1)
    return torch.where(torch.rand(count, generator=g) < SHARE, drawn, 1.0)
