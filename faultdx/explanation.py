"""What a network's verdict on a record rests on: its segments are changed, and the network is asked again.

Occlusion (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", ECCV, section 3) instead of
gradients: it needs a network that can be asked and nothing else, so that a gateway without torch can do it. What is
taken away is replaced by something of the same kind, never by zeros: zeros are silence, which no network here was
trained on, and its answer to them says more of the silence than of what was taken.

Over frequency
    a band is attenuated, by one factor for all of its lines, to the level of the quietest of the bands around it: it
    loses what stands out and keeps its phases. A band that does not stand out has nothing to lose, and drops by 0.
Over time
    a window is filled with noise of the segment's own spectrum (its phases drawn at random; Theiler et al. 1992,
    Physica D 58, 77): level and spectrum stay, what the window held at that moment goes. Several draws.

The drop is that of the log-odds log(p / (1 - p)) of a class, natural logarithm, averaged over segments; positive where
the verdict lost by it. What chance does is told by permutation: the drops of each segment are dealt at random to its
bands or windows, and of the largest mean of each deal the 95 % quantile is the limit (of the smallest the 5 %), so that
with nothing but chance a picture shows a band beyond the limit in 1 case of 20. Numpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from faultdx.errors import ModelError
from faultdx.shrinkage import Healthy, Shrinking, Thresholds, look

Floats = npt.NDArray[np.float64]
Segments = npt.NDArray[np.float32]
Ask = Callable[[Segments], Floats]


class Network(Shrinking, Protocol):
    """What is asked: `faultdx.inference.Network` is one."""

    temperature: float

    def logits(self, segments: Segments) -> Floats:
        """(segments, channels, samples) -> (segments, classes)."""
        ...


SEGMENTS = 16  # asked about, evenly over the record
FEWEST = 4  # segments, for a limit of chance
BANDS, WINDOWS, DRAWS = 24, 16, 4
NEIGHBOURS = 3  # bands on each side, whose quietest is the floor
# A report may take so many multiply-adds and so many samples for it: well under a second on one core.
MOST_MULTIPLY_ADDS, MOST_SAMPLES = 1.2e10, 1 << 24
_CHANCE = 0.05
_DEALS = 200
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Attribution:
    """What taking away each of P parts cost, a part being a band or a window.

    edges : (P + 1,), Hz or seconds; drop : (P,), of the log-odds, mean over the segments; each : (segments, P)
    chance : the mean drop (low, high) that chance stays within; None where the segments are too few to tell
    """

    edges: Floats
    drop: Floats
    each: Floats
    chance: tuple[float, float] | None

    def beyond(self) -> list[int]:
        """Return the parts whose drop is above chance, largest first: what speaks for the class."""
        if self.chance is None:
            return []
        return [int(i) for i in np.argsort(-self.drop, kind="stable") if self.drop[i] > self.chance[1]]

    def against(self) -> list[int]:
        """Return the parts whose drop is below chance: without them the class would be more probable."""
        if self.chance is None:
            return []
        return [int(i) for i in np.argsort(self.drop, kind="stable") if self.drop[i] < min(self.chance[0], 0.0)]


@dataclass(frozen=True, eq=False)
class Moments:
    """Over time: by place in the segment (`position`), and within each segment.

    each : (segments, windows), mean over the draws; limits : (segments,), beyond which a window is more than chance
    level_db : (segments, windows), RMS of the window over that of its segment; starts_s : (segments,)
    """

    position: Attribution
    each: Floats
    limits: Floats
    level_db: Floats
    starts_s: Floats

    def beyond(self) -> npt.NDArray[np.bool_]:
        """Return which windows are beyond chance, (segments, windows)."""
        return np.asarray(self.each > self.limits[:, None])

    def louder_db(self) -> float | None:
        """Return how much louder these windows are than their segments, dB, the median; None where there are none."""
        found = self.level_db[self.beyond()]
        return float(np.median(found)) if found.size else None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why: attributions for one class, and what the shrinkage units did.

    about : the class, the verdict or the most probable one; log_odds : of it, mean over the segments asked about
    sampling_rate_hz : of the segments; example : one of them, (channels, samples), the one of median log-odds, and
        where it stands among them
    missing : what could not be told, keys of `report.words.why`
    """

    about: str
    segments: int = 0
    log_odds: float = 0.0
    sampling_rate_hz: float = 0.0
    frequency: Attribution | None = None
    time: Moments | None = None
    thresholds: Thresholds | None = None
    example: Segments | None = None
    example_index: int = 0
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in the JSON of a diagnosis as `evidence.why`."""
        found: dict[str, Any] = {"about": self.about, "segments": self.segments, "missing": list(self.missing)}
        if self.frequency is not None:
            f = self.frequency
            bands = [[_digits(f.edges[i]), _digits(f.edges[i + 1])] for i in f.beyond()]
            found["log_odds"] = _digits(self.log_odds)
            found["frequency"] = {
                "edges_hz": [_digits(e) for e in f.edges],
                "drop": [_digits(d) for d in f.drop],
                "chance": None if f.chance is None else [_digits(c) for c in f.chance],
                "beyond_chance_hz": bands,
            }
        if self.time is not None:
            t, beyond = self.time, self.time.beyond()
            louder = t.louder_db()
            found["time"] = {
                "windows": int(beyond.size),
                "beyond_chance": int(beyond.sum()),
                "level_db": None if louder is None else _digits(louder),
                "edges_s": [_digits(e) for e in t.position.edges],
                "drop": [_digits(d) for d in t.position.drop],
                "chance": None if t.position.chance is None else [_digits(c) for c in t.position.chance],
            }
        if self.thresholds is not None:
            found["thresholds"] = self.thresholds.to_dict()
        return found


def explain(
    network: Network,
    segments: Segments,
    *,
    about: str,
    which: int,
    sampling_rate_hz: float,
    starts_s: Floats,
    digest: str,
    multiply_adds: float,
    healthy: Healthy | None,
    renormalize: Callable[[Segments], Segments] = lambda segments: segments,
) -> Explanation:
    """Return why a network says `about`, its class number `which`, of a record's segments (n, channels, samples).

    starts_s : (n,), where the segments stand in the record; digest : of the record, from which all that is random is
        drawn: the same record gives the same explanation
    multiply_adds : of the network for one segment; healthy : what its shrinkage units do to healthy records
    renormalize : what is done to segments once they were changed
    Raises ModelError: the network gives numbers that are none.
    """
    n, channels, samples = segments.shape
    missing: list[str] = []
    spread = segments[choose(n, min(n, 4 * SEGMENTS))]
    try:
        thresholds = look(network, spread, healthy)
        if thresholds is None:
            missing.append("no_thresholds")
        elif thresholds.healthy is None:
            missing.append("no_healthy")
    except ModelError:
        thresholds = None
        missing.append("thresholds_broken")
    count = affordable(samples=samples, channels=channels, multiply_adds=multiply_adds, available=n)
    if not count:
        return Explanation(about, thresholds=thresholds, missing=(*missing, "too_large"))
    if n < FEWEST:
        missing.append("too_few")
    chosen = choose(n, count)
    asked = segments[chosen]
    rng = np.random.default_rng([int(digest[:16] or "0", 16), which])

    def ask(changed: Segments) -> Floats:
        return odds_of(network.logits(renormalize(changed)), which, temperature=network.temperature)

    odds = ask(asked)
    how: dict[str, Any] = {"sampling_rate_hz": sampling_rate_hz, "rng": rng}
    frequency = by_frequency(asked, ask, **how)
    moments = by_time(asked, ask, starts_s=starts_s[chosen], **how)
    example = int(np.argsort(odds, kind="stable")[(len(odds) - 1) // 2])
    said = (frequency, moments, thresholds, asked[example], example, tuple(missing))
    return Explanation(about, len(chosen), float(odds.mean()), sampling_rate_hz, *said)


def affordable(*, samples: int, channels: int, multiply_adds: float, available: int) -> int:
    """Return how many segments may be asked about; 0 where not even FEWEST, or all there are, would be cheap.

    multiply_adds : of the network for one segment; available : segments that the record has
    """
    changes = BANDS + WINDOWS * DRAWS
    most = min(MOST_MULTIPLY_ADDS / max(multiply_adds, 1.0), MOST_SAMPLES / (samples * channels)) / changes
    chosen = min(SEGMENTS, int(most), available)
    return chosen if chosen >= min(FEWEST, available) else 0


def choose(available: int, count: int) -> npt.NDArray[np.int64]:
    """Return which segments are asked about, ascending: `count` of them, evenly over all."""
    return np.unique(np.linspace(0, available - 1, count).round().astype(np.int64))


def odds_of(logits: Floats, which: int, *, temperature: float = 1.0) -> Floats:
    """Return the log-odds of a class (segments,) from logits (segments, classes): its own less the log-sum of the rest.

    Never infinite, where 1 - p would round to nothing.
    """
    z = np.asarray(logits, np.float64) / temperature
    rest = np.delete(z, which, axis=1)
    top = rest.max(axis=1)
    return np.asarray(z[:, which] - top - np.log(np.exp(rest - top[:, None]).sum(axis=1)))


def by_frequency(
    segments: Segments, ask: Ask, *, sampling_rate_hz: float, rng: np.random.Generator, bands: int = BANDS
) -> Attribution:
    """Return what attenuating each of `bands` bands of equal width, all channels together, takes from the log-odds.

    segments : (n, channels, samples); ask : segments -> log-odds (n,); rng : of the permutations
    """
    n, _, samples = segments.shape
    bins = np.linspace(1, samples // 2 + 1, min(bands, samples // 2) + 1).round().astype(np.int64)
    before, each = ask(segments), []
    for i in range(len(bins) - 1):
        each.append(before - ask(attenuated(segments, bins, [i])))
    drops = np.stack(each, axis=1)
    edges = np.append(bins[:-1] - 1, samples // 2) * (sampling_rate_hz / samples)
    return Attribution(edges, drops.mean(axis=0), drops, _chance(drops[:, None], rng) if n >= FEWEST else None)


def attenuated(segments: Segments, bins: npt.NDArray[np.int64], which: list[int]) -> Segments:
    """Return `segments` (n, channels, samples) with the bands `which` brought down to the floor around them.

    bins : (bands + 1,), the first line of each band and the end of the last. The offset stays.
    """
    samples = segments.shape[-1]
    spectrum = np.fft.rfft(segments.astype(np.float64), axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    level = np.stack([power[..., a:b].mean(axis=-1) for a, b in itertools.pairwise(bins)], axis=-1)
    typical = np.median(level, axis=0)  # (channels, bands): the floor is the record's, not one segment's
    for i in which:
        around = typical[:, max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1].min(axis=-1)
        gain = np.sqrt(np.minimum(1.0, around / np.maximum(level[..., i], _TINY)))  # (n, channels)
        spectrum[..., bins[i] : bins[i + 1]] *= gain[..., None]
    return np.fft.irfft(spectrum, n=samples, axis=-1).astype(np.float32)


def by_time(
    segments: Segments,
    ask: Ask,
    *,
    sampling_rate_hz: float,
    starts_s: Floats,
    rng: np.random.Generator,
    windows: int = WINDOWS,
    draws: int = DRAWS,
) -> Moments:
    """Return what filling each of `windows` windows with noise of the segment's spectrum takes from the log-odds.

    segments : (n, channels, samples); ask : segments -> log-odds (n,); starts_s : (n,), where they stand in the record
    """
    n, _, samples = segments.shape
    edges = np.linspace(0, samples, min(windows, samples // 4) + 1).round().astype(np.int64)
    before = ask(segments)
    drops = np.empty((n, draws, len(edges) - 1))
    for k in range(draws):
        noise = surrogate(segments, rng)
        for w, (a, b) in enumerate(itertools.pairwise(edges)):
            drops[:, k, w] = before - ask(filled(segments, noise, int(a), int(b)))
    each = drops.mean(axis=1)
    limits = np.array([_chance(own[:, None], rng)[1] for own in drops])  # the draws of a segment are dealt alone
    centred = segments.astype(np.float64) - segments.mean(axis=-1, keepdims=True)
    power = np.stack([np.square(centred[..., a:b]).mean(axis=(1, 2)) for a, b in itertools.pairwise(edges)])
    level = 10 * np.log10(np.maximum(power.T, _TINY) / np.maximum(np.square(centred).mean(axis=(1, 2)), _TINY)[:, None])
    position = Attribution(
        edges / sampling_rate_hz, each.mean(axis=0), each, _chance(each[:, None], rng) if n >= FEWEST else None
    )
    return Moments(position, each, limits, level, np.asarray(starts_s, np.float64))


def surrogate(segments: Segments, rng: np.random.Generator) -> Segments:
    """Return noise with the spectrum, the level and the offset of each segment, its phases drawn at random.

    The channels of a segment get the same change of phase, so that what is between them (their coherence) stays.
    """
    n, _, samples = segments.shape
    spectrum = np.fft.rfft(segments.astype(np.float64), axis=-1)
    turn = np.exp(2j * np.pi * rng.random((n, 1, spectrum.shape[-1])))
    turn[..., 0] = 1.0
    if samples % 2 == 0:
        turn[..., -1] = np.sign(turn[..., -1].real) + (turn[..., -1].real == 0)
    return np.fft.irfft(spectrum * turn, n=samples, axis=-1).astype(np.float32)


def filled(segments: Segments, noise: Segments, start: int, stop: int) -> Segments:
    """Return `segments` with samples [start, stop) taken from `noise`, faded in and out at equal power."""
    mean = segments.mean(axis=-1, keepdims=True)
    ramp = max(1, (stop - start) // 8)
    share = np.zeros(segments.shape[-1])
    share[start:stop] = 1.0
    if start > 0:
        share[start : start + ramp] = np.sin(0.5 * np.pi * (np.arange(ramp) + 0.5) / ramp)
    if stop < len(share):
        share[stop - ramp : stop] = np.sin(0.5 * np.pi * (ramp - np.arange(ramp) - 0.5) / ramp)
    mixed = (segments - mean) * np.sqrt(1 - np.square(share)) + (noise - mean) * share + mean
    return np.where(share > 0, mixed, segments).astype(np.float32)


def _chance(drops: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Return the limits of the mean of (rows, draws or 1, parts) over the first two, each row dealt at random."""
    flat = drops.reshape(-1, drops.shape[-1])
    deals = np.stack([rng.permuted(flat, axis=1).mean(axis=0) for _ in range(_DEALS)])
    low, high = np.quantile(deals.min(axis=1), _CHANCE), np.quantile(deals.max(axis=1), 1 - _CHANCE)
    return float(low), float(high)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
