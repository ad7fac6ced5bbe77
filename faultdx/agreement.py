"""Network and spectrum as two witnesses: what the stated confidence is worth when they agree, or do not.

The network's own confidence p is first cut to what its validation votes support: where votes as sure as this one were
counted on n specimens and r of them were right, to (r + 1/2) / (n + 1), the mean of the posterior with Jeffreys'
prior. Then Bayes' rule weighs in what the spectrum says of the verdict, w, one of "agree", "silent", "disagree":

    odds = q / (1 - q) * P(w | the verdict is right) / P(w | it is wrong)

Both probabilities are counts (`faultdx.agreement_fit`), with half a specimen added to each word (Jeffreys' prior of a
multinomial, Jeffreys 1961, section 3.1). That a hard record may be hard for both is not in it: given the true class
the two are taken for independent.

Numpy is not needed here; model.json is input like any other, and bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faultdx.errors import ModelError

WORDS = ("agree", "silent", "disagree")
KINDS = ("fault", "healthy")  # of the network's verdict
CONFIDENT = 0.9  # validation votes at least this sure are counted by themselves
_MOST = 1e6  # records or specimens
_LEAST = 1e-6  # no confidence is nearer to 0 or to 1


@dataclass(frozen=True)
class Votes:
    """Validation votes: how many were right, of how many; each specimen weighs one, whatever its records."""

    right: float
    total: float

    @property
    def supports(self) -> float:
        """The confidence that they support: the mean of the posterior with Jeffreys' prior."""
        return (self.right + 0.5) / (self.total + 1)


@dataclass(frozen=True)
class Heard:
    """How often each of `WORDS` was said of verdicts of one kind that are right, and of those that are wrong.

    right, wrong : by word, summed over specimens that weigh one each; so their sums are numbers of specimens
    """

    right: tuple[float, ...]
    wrong: tuple[float, ...]

    def ratio(self, word: str, kind: str) -> float:
        """Return P(word | right) / P(word | wrong); 1 where one of the two was never seen."""
        if not sum(self.right) or not sum(self.wrong):
            return 1.0
        # the spectrum never confirms that all is well: beside an all-clear there are two words
        words = WORDS if kind == "fault" else WORDS[1:]
        at = WORDS.index(word)
        share = [(n[at] + 0.5) / (sum(n) + 0.5 * len(words)) for n in (self.right, self.wrong)]
        return share[0] / share[1]


@dataclass(frozen=True)
class Stated:
    """A confidence with the spectrum weighed in.

    confidence : to be stated; network : the network's own; supported : what the validation votes leave of that
    ratio : how many times as likely as with a wrong verdict the spectrum says this with a right one; 1 where it
        could say nothing
    """

    confidence: float
    network: float
    supported: float
    ratio: float


@dataclass(frozen=True)
class Calibration:
    """What a model keeps of how its verdicts and the spectrum go together.

    confident, unsure : validation votes of `CONFIDENT` or more, and below
    heard : by kind of verdict
    records, specimens : that the spectrum was asked about; holds_for : what the votes were counted on, in words
    """

    confident: Votes
    unsure: Votes
    heard: Mapping[str, Heard]
    records: int
    specimens: int
    holds_for: str

    def state(self, confidence: float, *, kind: str, word: str | None) -> Stated:
        """Return the confidence of a verdict of `kind` on which the spectrum says `word`, None for nothing at all.

        It never falls as the network's rises; and above the network's own it is only where the two agree.
        """
        votes = self.confident if confidence >= CONFIDENT else self.unsure
        if self.confident.supports < self.unsure.supports:  # of so few votes that the surer ones look worse
            votes = Votes(self.confident.right + self.unsure.right, self.confident.total + self.unsure.total)
        supported = min(confidence, votes.supports) if votes.total else confidence
        ratio = 1.0 if word is None else self.heard[kind].ratio(word, kind)
        q = min(max(supported, _LEAST), 1 - _LEAST)
        odds = q / (1 - q) * ratio
        stated = min(max(odds / (1 + odds), _LEAST), 1 - _LEAST)
        if word != "agree":  # what shows nothing, or something else, makes nobody surer than the network is
            stated = min(stated, max(confidence, _LEAST))
        return Stated(stated, confidence, supported, ratio)

    def to_dict(self) -> dict[str, Any]:
        """Return what model.json holds."""
        return {
            "calibrated": True,
            "records": self.records,
            "specimens": self.specimens,
            "holds_for": self.holds_for,
            "confident": {"right": self.confident.right, "of": self.confident.total},
            "unsure": {"right": self.unsure.right, "of": self.unsure.total},
            "heard": {
                kind: {
                    truth: {word: round(n, 4) for word, n in zip(WORDS, getattr(found, truth), strict=True)}
                    for truth in ("right", "wrong")
                }
                for kind, found in self.heard.items()
            },
        }


def from_dict(value: Any, *, where: str) -> Calibration | None:
    """Return the `agreement` of a model.json; None where there is none, or where nothing could be calibrated.

    where : for the message
    Raises ModelError for numbers that cannot be: negative, not finite, more right votes than votes.
    """
    if value is None or (isinstance(value, Mapping) and value.get("calibrated") is False):
        return None
    try:
        holds_for = value["holds_for"]
        if not isinstance(holds_for, str) or len(holds_for) > 400:
            raise ValueError("text")
        heard = {
            kind: Heard(*(tuple(_number(value["heard"][kind][t][w]) for w in WORDS) for t in ("right", "wrong")))
            for kind in KINDS
        }
        counts = int(_number(value["records"])), int(_number(value["specimens"]))
        return Calibration(_votes(value["confident"]), _votes(value["unsure"]), heard, *counts, holds_for)
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
