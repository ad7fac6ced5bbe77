"""The section of a report on how network and spectrum go together, and what that does to the confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import parts
from faultdx.report.spectral import place_name
from faultdx.report.text import percent
from faultdx.report.words import say


def sentences(diagnosis: Diagnosis) -> list[str]:
    """Return how the two go together, who is believed, and what follows, a sentence each; none where not compared."""
    found = diagnosis.evidence.get("agreement")
    if not isinstance(found, Mapping):
        return []
    word, calibrated = str(found.get("word")), bool(found.get("calibrated"))
    if found.get("assessed") is False:
        said = [say("agreement.unheard")]
    elif word == "alone":
        said = [say("agreement.alone")]
    elif word == "agree":
        said = [say("agreement.agree" if found.get("named_by") != "network" else "agreement.damaged")]
    else:
        kind = "healthy" if _all_clear(diagnosis) else "fault"
        said = [say(f"agreement.{'disagree' if word == 'disagree' else 'silent'}_{kind}")]
        if word == "silent" and isinstance(found.get("hint"), str):
            said = [say("agreement.hint", place=place_name(str(found["hint"])))]
    by = found.get("named_by")
    if calibrated and (believed := _believed(diagnosis, by, word)):
        said.append(believed)
    follows = {"agree": "agree", "disagree": "disagree"}.get(word, "silent")
    if by in ("spectrum", "baseline"):
        follows = "spectrum"
    if found.get("assessed") is not False and word != "alone":
        said.append(say(f"agreement.follows_{follows}"))
    said.append(
        say("agreement.independent") if calibrated else say("agreement.not_calibrated", why=str(found.get("why")))
    )
    return said


def _believed(diagnosis: Diagnosis, by: object, word: str) -> str:
    """Return who is believed, "" where that goes without saying."""
    likeliest = _candidates(diagnosis)
    if by in ("spectrum", "baseline"):
        return say(f"agreement.believed_{by}", name=_name(str(diagnosis.verdict)), votes=_name(votes_of(diagnosis)))
    if by == "both" or (by == "network" and word == "disagree"):
        return say(f"agreement.believed_{by}", name=_name(str(diagnosis.verdict)))
    if by is None and word == "disagree" and likeliest:
        return say("agreement.believed_nobody", name=likeliest[0])
    return ""


def votes_of(diagnosis: Diagnosis) -> str:
    """Return the class that the network says, believed or not; "" where there was none."""
    known = {name: p for name, p in diagnosis.probabilities.items() if p is not None}
    return max(known, key=lambda name: known[name]) if known else ""


def _candidates(diagnosis: Diagnosis) -> list[str]:
    """Return the candidates in words, the likeliest first."""
    told = diagnosis.evidence["agreement"].get("candidates") or ()
    return [
        say("agreement.candidate", name=_name(str(c.get("name"))), share=percent(c.get("probability"))) for c in told
    ]


def _name(name: str) -> str:
    return show(name).replace("_", " ")


def rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return rows (name, value): the network's confidence, what the spectrum does to it, and what is stated."""
    found = diagnosis.evidence.get("agreement")
    if not isinstance(found, Mapping):
        return []
    out = [(say("agreement.network"), percent(found["network"]))]
    if not found.get("calibrated"):
        return [*out, (say("agreement.stated"), percent(found["stated"]))]
    basis: dict[str, Any] = {key: found[key] for key in ("records", "specimens", "holds_for")}
    discounted = "" if found.get("unseen") else say("agreement.unseen")
    return [
        *out,
        (say("agreement.supported"), percent(found["supported"])),
        (say("agreement.ratio"), say("agreement.ratio_value", ratio=found["ratio"])),
        (say("agreement.stated"), percent(found["stated"])),
        (say("agreement.candidates"), ", ".join(_candidates(diagnosis))),
        (say("agreement.basis"), say("agreement.basis_value", **basis) + discounted),
    ]


def section(diagnosis: Diagnosis) -> str:
    """Return the section of the page, "" where network and spectrum were not compared."""
    said = sentences(diagnosis)
    if not said:
        return ""
    return parts.section(say("agreement.title"), parts.listing(said) + parts.table(rows(diagnosis)))


def _all_clear(diagnosis: Diagnosis) -> bool:
    return str(diagnosis.evidence["agreement"].get("kind")) == "healthy"
