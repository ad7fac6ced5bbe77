"""Two witnesses, one verdict: what the physics found and what the network says of the same spectra.

The physics goes by rules that were written down, the network by what it saw on paper; they look at the same lines and
err in different ways. docs/universal.md has what each limit was set on and what the rules reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy.typing as npt

from faultdx.errors import ModelError
from faultdx.signals.hearing import Heard, Unfit, hear
from faultdx.signals.kinematics import Orders
from faultdx.signals.witness import Witness, judge, unfit
from faultdx.universal import limits
from faultdx.universal.listening import CLASSES, shipped
from faultdx.universal.representation import PLACES, align, swing_of

NONE = CLASSES[0]


@dataclass(frozen=True, eq=False)
class JointWitness(Witness):
    """A Witness, and what the network said: probability by class, "none" and the places.

    physics : the verdict of the physics alone
    """

    learned: Mapping[str, float] = field(default_factory=dict)
    physics: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {name: float(f"{value:.4g}") for name, value in self.learned.items()}
        return {
            **super().to_dict(),
            "learned": {"probabilities": said, "physics_alone": self.physics, "sha256": limits.SHA256},
        }


def assess_both(signal: npt.ArrayLike, *, sampling_rate_hz: float, rpm: float, bearing: Orders) -> Witness:
    """Return what both witnesses say: as `signals.witness.assess_bearing`, whose errors and arguments these are.

    Where the shipped network is gone or changed the physics speaks alone, and the last of the reasons says why.
    """
    heard = hear(signal, sampling_rate_hz=sampling_rate_hz, rpm=rpm, bearing=bearing)
    if isinstance(heard, Unfit):
        return unfit(heard)
    witness = judge(heard, bearing)
    try:
        learned = learned_of(heard, bearing)
    except ModelError as error:
        return replace(witness, reasons=(*witness.reasons, f"the trained network was not asked: {error}"))
    return joined(witness, learned)


def learned_of(heard: Heard, bearing: Orders) -> Mapping[str, float]:
    """Return what the shipped network says of what was heard. Raises ModelError."""
    aligned = align(heard.spectra, bearing, swing=swing_of(heard.found), confirmed=heard.speed.confirmed)
    return shipped().probabilities(aligned)


def learned_alone(learned: Mapping[str, float]) -> tuple[str, str | None]:
    """Return the verdict and the place that the network would state by itself."""
    place = max(PLACES, key=lambda p: learned[p])
    if learned[place] >= limits.LOCATED:
        return "located", place
    return ("damaged" if 1.0 - learned[NONE] >= limits.DAMAGED else "no_evidence"), None


def joined(witness: Witness, learned: Mapping[str, float]) -> JointWitness:
    """Return the verdict of both.

    A place is named by the physics, unless the network is sure of another one; or by both, below the score that the
    physics takes by itself, where the network is sure and no other place comes near. What the physics calls damaged is
    nothing where the network is sure of that.
    """
    place = max(PLACES, key=lambda p: learned[p])
    changed: dict[str, Any] = {}
    if witness.verdict == "located":
        if learned[place] >= limits.OPPOSED and place != witness.place:
            text = f"the lines are of {_named(witness.place)} by rule, and of {_named(place)} to the trained network"
            changed = {"verdict": "damaged", "place": None, "reasons": (text, *witness.reasons)}
    elif learned[place] >= limits.LOCATED and _leads(witness, place):
        sure = f"{_named(place)}: both witnesses name it, the trained network with {100 * learned[place]:.0f} %"
        changed = {
            "verdict": "located",
            "place": place,
            "reasons": (f"{sure}; {witness.reasons[0]}", *witness.reasons[1:]),
        }
    elif witness.verdict == "damaged" and learned[NONE] >= limits.SOUND:
        text = f"the trained network takes these for no bearing's: {witness.reasons[0]}"
        changed = {"verdict": "no_evidence", "reasons": (text, *witness.reasons[1:])}
    known = {f.name: getattr(witness, f.name) for f in fields(Witness)}
    return replace(JointWitness(**known, learned=dict(learned), physics=witness.verdict), **changed)


def _leads(witness: Witness, place: str) -> bool:
    """Whether the physics has `place` first, with nearly the score that it takes alone, and no other near it.

    Where no comb confirms the speed more places are searched, and both witnesses may be led astray together.
    """
    if witness.speed is None or not witness.speed.confirmed:
        return False
    ranked = [h for h in witness.hypotheses if h.place != "cage"]
    if len(ranked) < 2 or ranked[0].place != place or not ranked[0].assessable:
        return False
    return ranked[0].score >= limits.SCORE and ranked[1].score < limits.SECOND * ranked[0].score


def _named(place: str | None) -> str:
    return (place or "none").replace("_", " ")
