"""Network and spectrum as two witnesses: what each place is worth when both have spoken, and who is believed.

Given the true state of the machine g (a place of the bearing, a sound bearing, something else) the two are taken for
independent, so that

    P(g | both)  is proportional to  n(g) * P(said | g)

n(g) is what the network leaves of g. Its own probabilities are flattened, m(g) ** t brought to a sum of 1, until the
best of them is as sure as votes of that kind deserve:

    q = min(p, (w + u) / 2)     where validation held out nothing but other seconds of the recordings trained on
    q = min(p, u)               where it held out specimens
    w = (right + 1/2) / (n + 1)
    u = (4 s + r) / (4 + m)

right of n validation votes were right (w: the mean of the posterior with Jeffreys' prior), and r of m on specimens that
were not trained on; s is the share that was right on such specimens in simulation, which counts for four specimens.
Where nothing tells whether the bearing of a record is one of those trained on, the odds are taken to be even.

P(said | g) is counted on records whose truth is known (`faultdx.agreement_fit`), each specimen weighing one, with half
a specimen for each word (Jeffreys) and the shares in simulation, as four specimens, before the first of them.
docs/agreement.md has what was simulated and measured.

Numpy is not needed here; model.json is input like any other, and bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from faultdx.errors import ModelError

# What the spectrum may say of a record, from the loudest: it names a place; it says damaged and leans to one; it says
# nothing, and hints at one (lines half as deep as damage takes); nothing at all.
STRENGTHS = ("located", "damaged", "hint", "silent")
# ... of a bearing that is damaged at one place: that place is meant or none, or another
OF_PLACE = (*STRENGTHS, "hint_elsewhere", "damaged_elsewhere", "located_elsewhere")
# ... of one that is sound, or of a class that is no place of a bearing
OF_OTHERS = STRENGTHS
KINDS = ("place", "sound", "other")
CONFIDENT = 0.9  # votes at least this sure are counted by themselves
PLACES = 3
SIMULATED = 4.0  # specimens that the simulation counts for: the fewest that a calibration takes
_HALF = 0.5  # of a specimen for each word, whatever was counted: Jeffreys' prior
# Shares of the words on simulated records, and of votes that were right: benchmarks/agreement_simulated.py.
PLACE_SHARES = (0.4846, 0.3067, 0.0926, 0.1107, 0.0018, 0.0018, 0.0018)
SOUND_SHARES = (0.0059, 0.0412, 0.0412, 0.9117)
UNSEEN_SHARES = {"confident": 0.45, "unsure": 0.49}
_MOST = 1e6  # records or specimens
_LEAST = 1e-6  # no confidence is nearer to 0 or to 1
_FAINTEST = 0.01  # no candidate is fainter: of unseen specimens the scores of a network know no better


@dataclass(frozen=True)
class Votes:
    """Votes: how many were right, of how many; each specimen weighs one, whatever its records."""

    right: float
    total: float

    @property
    def supports(self) -> float:
        """The confidence that they support: the mean of the posterior with Jeffreys' prior."""
        return (self.right + 0.5) / (self.total + 1)


@dataclass(frozen=True)
class Said:
    """What the spectrum says: one of `STRENGTHS`, and the place that it names, leans to or hints at, or None."""

    strength: str
    place: str | None = None

    @property
    def shows(self) -> bool:
        """Whether it shows damage."""
        return self.strength in ("located", "damaged")


@dataclass(frozen=True)
class Heard:
    """How often the spectrum said what; each specimen weighs one, so that the sums are numbers of specimens.

    place : by `OF_PLACE`, of bearings damaged at a place; sound : by `OF_OTHERS`, of healthy ones; other : likewise, of
        classes that are neither
    """

    place: tuple[float, ...]
    sound: tuple[float, ...]
    other: tuple[float, ...]

    def likelihood(self, said: Said, *, state: str | None, kind: str) -> float:
        """Return P(said | state), of one place out of three where one is named; state : the place, for that kind."""
        if kind != "place":
            counts, prior = (self.sound, SOUND_SHARES) if kind == "sound" else (self.other, ())
            shares = dict(zip(OF_OTHERS, _shares(counts, prior), strict=True))
            return shares[said.strength] / (1 if said.strength == "silent" else PLACES)
        shares = dict(zip(OF_PLACE, _shares(self.place, PLACE_SHARES), strict=True))
        here = shares[said.strength]
        elsewhere = shares.get(f"{said.strength}_elsewhere", here)
        if said.place is None:  # silence, the cage alone, or a line that may be the shaft's: none from another
            return here if said.strength == "silent" else (here + elsewhere) / PLACES
        return here if said.place == state else elsewhere / (PLACES - 1)


def _shares(counts: Sequence[float], simulated: Sequence[float]) -> list[float]:
    """Return the mean of the posterior: what was counted, what was simulated, and half a specimen for each word."""
    prior = [_HALF + SIMULATED * s for s in simulated or [0.0] * len(counts)]
    total = sum(counts) + sum(prior)
    return [(n + a) / total for n, a in zip(counts, prior, strict=True)]


@dataclass(frozen=True)
class Candidate:
    """A state of the machine that the model or the spectrum can name.

    name : a class of the model where it is the only one, else the place; classes : of the model, the likeliest first
    kind : of `KINDS`; place : of a place of the bearing, else None; network : the sum of the network's probabilities
    probability : with the spectrum weighed in
    """

    name: str
    classes: tuple[str, ...]
    kind: str
    place: str | None
    network: float
    probability: float = math.nan


@dataclass(frozen=True)
class Calibration:
    """What a model keeps of how much its own votes and the spectrum are worth.

    confident, unsure : validation votes of `CONFIDENT` or more, and below; unseen : they are of specimens that were not
    trained on; heard : what the spectrum said beside which truth
    records, specimens : that the spectrum was asked about; holds_for : what the votes were counted on, in words
    """

    confident: Votes
    unsure: Votes
    unseen: bool
    heard: Heard
    records: int
    specimens: int
    holds_for: str

    def supports(self, confidence: float) -> float:
        """Return what the votes leave of a network's confidence; it never falls as that rises."""
        return min(confidence, self._worth()[0 if confidence >= CONFIDENT else 1])

    def _worth(self) -> tuple[float, float]:
        sure, unsure = (self._of(votes, (share,)) for votes, share in self._bands())
        if sure < unsure:  # of so few votes that the surer ones look worse
            both = Votes(self.confident.right + self.unsure.right, self.confident.total + self.unsure.total)
            sure = unsure = self._of(both, tuple(UNSEEN_SHARES.values()))
        return sure, unsure

    def _bands(self) -> tuple[tuple[Votes, float], tuple[Votes, float]]:
        return (self.confident, UNSEEN_SHARES["confident"]), (self.unsure, UNSEEN_SHARES["unsure"])

    def _of(self, votes: Votes, simulated: Sequence[float]) -> float:
        """Return what votes are worth; simulated : shares that were right, of unseen specimens."""
        new = votes if self.unseen else Votes(0.0, 0.0)
        weight = SIMULATED * len(simulated)
        worth = (SIMULATED * sum(simulated) + new.right) / (weight + new.total)
        return worth if self.unseen or not votes.total else (worth + votes.supports) / 2

    def weigh(self, candidates: Sequence[Candidate], said: Said | None) -> list[Candidate]:
        """Return the candidates with their probability, the likeliest first.

        said : None where the spectrum could not assess the bearing: then only the network speaks
        """
        flat = flattened([c.network for c in candidates], self.supports)
        weights = [
            n * (1.0 if said is None else self.heard.likelihood(said, state=c.place, kind=c.kind))
            for n, c in zip(flat, candidates, strict=True)
        ]
        return ranked(candidates, weights)

    def to_dict(self) -> dict[str, Any]:
        """Return what model.json holds."""
        heard = {
            name: {word: round(n, 4) for word, n in zip(words, getattr(self.heard, name), strict=True)}
            for name, words in _TABLES.items()
        }
        return {
            "calibrated": True,
            "records": self.records,
            "specimens": self.specimens,
            "holds_for": self.holds_for,
            "unseen": self.unseen,
            "confident": {"right": self.confident.right, "of": self.confident.total},
            "unsure": {"right": self.unsure.right, "of": self.unsure.total},
            "heard": heard,
        }


_TABLES = {"place": OF_PLACE, "sound": OF_OTHERS, "other": OF_OTHERS}


def ranked(candidates: Sequence[Candidate], weights: Sequence[float]) -> list[Candidate]:
    """Return the candidates with probabilities in proportion to the weights, the likeliest first."""
    total = sum(weights)
    shares = [w / total if total > 0 else 1 / len(weights) for w in weights]
    shares = [min(max(s, _LEAST), 1 - _LEAST) for s in shares] if len(shares) > 1 else shares
    out = [replace(c, probability=s) for c, s in zip(candidates, shares, strict=True)]
    return sorted(out, key=lambda c: (-c.probability, c.name))


def flattened(masses: Sequence[float], supports: Callable[[float], float]) -> list[float]:
    """Return m ** t / sum(m ** t) with the t in 0..1 that makes the largest share what `supports` says of it.

    The same for a t of 1 where that is no less than it is; all alike where it is less than one among equals.
    """
    top = max(masses)
    aim = supports(top)
    logs = [math.log(max(m, _FAINTEST)) for m in masses]

    def shares(t: float) -> list[float]:
        powers = [math.exp(t * (x - max(logs))) for x in logs]
        return [p / sum(powers) for p in powers]

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if max(shares(middle)) < aim else (low, middle)
    return shares(high)


def from_dict(value: Any, *, where: str) -> Calibration | None:
    """Return the `agreement` of a model.json; None where there is none, or where nothing could be calibrated.

    where : for the message
    Raises ModelError for numbers that cannot be: negative, not finite, more right votes than votes.
    """
    if value is None or (isinstance(value, Mapping) and value.get("calibrated") is False):
        return None
    try:
        if set(value["heard"]) == {"fault", "healthy"}:  # of a model that was made before places were counted
            return None
        holds_for, unseen = value["holds_for"], value["unseen"]
        if not isinstance(holds_for, str) or len(holds_for) > 400 or not isinstance(unseen, bool):
            raise ValueError("text")
        heard = Heard(
            *(tuple(_number(value["heard"][name][w]) for w in words) for name, words in _TABLES.items()),
        )
        counts = int(_number(value["records"])), int(_number(value["specimens"]))
        return Calibration(_votes(value["confident"]), _votes(value["unsure"]), unseen, heard, *counts, holds_for)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{where}: model.json: its agreement is absurd: copy the model folder again") from error


def why_not(value: Any) -> str:
    """Return why the `agreement` of a model.json was not calibrated, as the end of a sentence."""
    said = value.get("why") if isinstance(value, Mapping) else None
    return str(said) if said else "the model was made before that was done"


def _votes(value: Any) -> Votes:
    found = Votes(_number(value["right"]), _number(value["of"]))
    if found.right > found.total:
        raise ValueError("more right than there are")
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    if not 0 <= value <= _MOST:
        raise ValueError("out of bounds")
    return float(value)
