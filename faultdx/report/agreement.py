"""The section of a report on how network and spectrum go together, and what that does to the confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.report import parts
from faultdx.report.text import percent
from faultdx.report.words import say


def sentences(diagnosis: Diagnosis) -> list[str]:
    """Return how the two go together and what follows, a sentence each; none where they were not compared."""
    found = diagnosis.evidence.get("agreement")
    if not isinstance(found, Mapping):
        return []
    word = str(found.get("word"))
    if found.get("assessed") is False:
        said = [say("agreement.unheard")]
    elif word == "agree":
        said = [say("agreement.agree"), say("agreement.follows_agree")]
    else:
        kind = "healthy" if _all_clear(diagnosis) else "fault"
        said = [say(f"agreement.{'disagree' if word == 'disagree' else 'silent'}_{kind}")]
        said.append(say(f"agreement.follows_{'disagree' if word == 'disagree' else 'silent'}"))
    calibrated = bool(found.get("calibrated"))
    said.append(
        say("agreement.independent") if calibrated else say("agreement.not_calibrated", why=str(found.get("why")))
    )
    return said


def rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return rows (name, value): the network's confidence, what the spectrum does to it, and what is stated."""
    found = diagnosis.evidence.get("agreement")
    if not isinstance(found, Mapping):
        return []
    out = [(say("agreement.network"), percent(found["network"]))]
    if not found.get("calibrated"):
        return [*out, (say("agreement.stated"), percent(found["stated"]))]
    basis: dict[str, Any] = {key: found[key] for key in ("records", "specimens", "holds_for")}
    return [
        *out,
        (say("agreement.supported"), percent(found["supported"])),
        (say("agreement.ratio"), say("agreement.ratio_value", ratio=found["ratio"])),
        (say("agreement.stated"), percent(found["stated"])),
        (say("agreement.basis"), say("agreement.basis_value", **basis)),
    ]


def section(diagnosis: Diagnosis) -> str:
    """Return the section of the page, "" where network and spectrum were not compared."""
    said = sentences(diagnosis)
    if not said:
        return ""
    return parts.section(say("agreement.title"), parts.listing(said) + parts.table(rows(diagnosis)))


def _all_clear(diagnosis: Diagnosis) -> bool:
    return str(diagnosis.evidence["agreement"].get("kind")) == "healthy"
