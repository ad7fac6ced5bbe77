"""The words of a verdict that rests on the machine's own healthy recordings; no picture, and nothing to draw one."""

from __future__ import annotations

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report.words import say

VERDICTS = ("changed", "unchanged")


def by_baseline(diagnosis: Diagnosis) -> bool:
    """Tell whether the verdict is that of the healthy recordings, and no network was asked."""
    return diagnosis.confidence is None and diagnosis.verdict in VERDICTS and bool(diagnosis.evidence.get("baseline"))


def headline(diagnosis: Diagnosis) -> tuple[str, str, str]:
    """Return (tone, word, what) as `text.headline` does, of a verdict that is the baseline's."""
    if diagnosis.fault:
        return "bad", say("finding.fault"), say("baseline.fault")
    return "doubt", say(f"baseline.{diagnosis.verdict}_word"), say(f"baseline.{diagnosis.verdict}")


def testimony(diagnosis: Diagnosis) -> str:
    """Return what the healthy recordings say, in a sentence; "" where there is no baseline."""
    reasons = (diagnosis.evidence.get("baseline") or {}).get("reasons") or []
    return show(str(reasons[0])).rstrip(".") if reasons else ""


def finding(diagnosis: Diagnosis) -> str:
    """Return the finding of a verdict that is the baseline's as a few sentences."""
    kind = "fault" if diagnosis.fault else diagnosis.verdict
    return say(f"baseline.finding_{kind}", said=sentence(testimony(diagnosis)))


def beside_undecided(diagnosis: Diagnosis) -> bool:
    """Tell whether a fault without a verdict is the baseline's word, and not that of the bearing's lines."""
    heard = (diagnosis.evidence.get("witness") or {}).get("verdict")
    said = diagnosis.evidence.get("baseline") or {}
    return bool(diagnosis.fault and diagnosis.verdict is None and said.get("fault")) and heard not in (
        "located",
        "damaged",
    )


def sentence_alone(diagnosis: Diagnosis) -> str:
    """Return the finding where a network has no verdict and the baseline shows a fault."""
    return say("baseline.sentence_alone", said=sentence(testimony(diagnosis)))


def limits() -> tuple[str, ...]:
    """Return what a baseline cannot say, a sentence each."""
    return tuple(say(f"baseline.limit_{name}") for name in ("what", "before", "small"))


def sentence(text: str) -> str:
    """Return `text` with a capital at its start."""
    return text[:1].upper() + text[1:]
