"""The section of what is missing from a recording or unfit in it, and what measurement would settle the doubt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.report import parts, spectral
from faultdx.report.document import number
from faultdx.report.words import say

# Of `signals.quality` and `diagnosis`; for another check there is a general word.
CHECKS = frozenset(
    {"not_finite", "flat", "stuck", "clipped", "dropout", "offset", "ski_slope", "mains", "bandwidth", "noise"}
    | {"spikes", "unsteady", "repeated", "speed", "few_turns", "sampling_rate", "too_short", "channels", "level"}
)
_ENOUGH_TURNS = 200.0


def rows(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (what is missing or unfit, what to measure or to state), the weightiest first."""
    d = diagnosis
    if d.status == "error":
        message = str((d.error or {}).get("message", ""))
        return [(say("missing.error"), say("missing.error_do", message=message))]
    out = [
        (check.message, say(f"missing.check_{check.name if check.name in CHECKS else 'other'}"))
        for check in d.quality
        if check.name not in {"bearing", "speed"} or check.value == check.value  # of these, NaN says: not stated
    ]
    out += [_speed(d) if key == "speed" else _pair(key) for key in _facts(d)]
    if d.status == "unusable":
        return out
    compared = d.evidence.get("baseline")
    if isinstance(compared, Mapping) and compared.get("obstacle"):
        out.append((say("missing.refused", why=compared["obstacle"]), say("missing.refused_do")))
    out += [_pair(key) for key in _doubts(d, model_info)]
    turns = _turns(d)
    if turns is not None and turns < _ENOUGH_TURNS and d.rpm:
        wanted = _ENOUGH_TURNS * 60 / d.rpm
        out.append((say("missing.short", turns=turns), say("missing.short_do", wanted=wanted)))
    return out


def section(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> str:
    """Return the section of the page."""
    found = rows(diagnosis, model_info=model_info)
    body = parts.table(found) if found else f"<p>{parts.safe(say('missing.nothing'))}</p>"
    return parts.section(say("missing.title"), body)


def _pair(key: str) -> tuple[str, str]:
    return say(f"missing.{key}"), say(f"missing.{key}_do")


def _speed(d: Diagnosis) -> tuple[str, str]:
    """Return the row of a speed that nobody stated, with what the spectrum suggests."""
    name, cure = _pair("speed")
    offer = d.evidence.get("speed")
    found = offer.get("candidates") if isinstance(offer, Mapping) else None
    if not found:
        return name, cure
    share = min(max(round(100 * found[0]["share"]), 1), 99)
    return name, f"{cure} {say('missing.speed_suggested', rpm=found[0]['rpm'], share=share)}"


def _facts(d: Diagnosis) -> list[str]:
    """What nobody stated of the recording."""
    r = d.record
    out = ["speed"] if number(d.rpm) is None else []
    if r is not None and r.unit is None:
        out.append("unit")
    if "witness" not in d.evidence and not (r is not None and r.details.get("bearing")):
        out.append("bearing")
    if r is not None and not r.asset:
        out.append("asset")
    return out


def _doubts(d: Diagnosis, model_info: Mapping[str, Any]) -> list[str]:
    """What the result itself leaves open."""
    witness = d.evidence.get("witness")
    witness = witness if isinstance(witness, Mapping) else {}
    zone, baseline = d.evidence.get("severity"), d.evidence.get("baseline")
    out = [d.status] if d.status in {"unfamiliar", "undecided"} else []
    if witness.get("with_the_network") == "disagree":
        out.append("disagree")
    if d.witness is not None and d.witness.speed is not None and not d.witness.speed.confirmed:
        out.append("speed_unconfirmed")
    if witness.get("verdict") == "no_evidence":
        out.append("ball")
    if not (isinstance(zone, Mapping) and zone.get("zone")) and not baseline:
        out.append("limits")
    if not spectral.physical(d) and d.familiarity is None and model_info:
        out.append("familiarity")
    return out


def _turns(d: Diagnosis) -> float | None:
    r = d.record
    if r is None or not r.rpm or not r.sampling_rate_hz > 0:
        return None
    return float(r.signal.shape[1] / r.sampling_rate_hz * r.rpm / 60)
