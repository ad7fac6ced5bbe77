"""How severe it is and what to do next, by rule: docs/report.md has the table of the rules.

A severity is stated only where something calibrated stands behind it: the zone of a standard, or limits of the
machine's own. Without, it says what is missing. The confidence of a class is no severity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import compared, spectral
from faultdx.report.legible import spoken
from faultdx.report.words import say

SEVERITIES = ("good", "monitor", "alarm", "danger")  # from the best to the worst
_BY_ZONE = {"A": "good", "B": "good", "C": "alarm", "D": "danger"}
_BY_BASELINE = {"unchanged": "good", "changed": "monitor"}


@dataclass(frozen=True)
class Advice:
    """What follows from a diagnosis.

    severity : of SEVERITIES, "" where none is assessed; basis : what stands behind it, or what is missing, in words
    step, when : what to do, and by when, a sentence or two each
    """

    severity: str
    basis: str
    step: str
    when: str

    @property
    def word(self) -> str:
        """The severity as a word for a person."""
        return say(f"action.{self.severity or 'none'}")


def advice(diagnosis: Diagnosis) -> Advice:
    """Return severity and next step of a diagnosis. Never raises for one."""
    severity, basis = _severity(diagnosis)
    rule = _rule(diagnosis, severity)
    step = say(f"action.do_{rule}", missing=say("missing.title")) if rule == "unusable" else say(f"action.do_{rule}")
    return Advice(severity, basis, step, say(f"action.when_{rule}"))


def _severity(d: Diagnosis) -> tuple[str, str]:
    if d.status in {"unusable", "error"}:
        return "", say("action.no_machine")
    if _speed_in_doubt(d):
        return "", say("action.speed_in_doubt")
    found: list[tuple[str, str]] = []
    missing: list[str] = []
    zone = _part(d, "severity")
    if zone.get("zone") in _BY_ZONE:
        by = _mapping(zone.get("machine")).get("by", "")
        said = say("action.by_zone", zone=zone["zone"], standard=show(str(by)))
        found.append((_BY_ZONE[str(zone["zone"])], said))
    elif zone.get("why_no_zone"):
        missing.append(say("action.no_zone", why=show(str(zone["why_no_zone"]))))
    else:
        missing.append(say("action.no_zone_at_all"))
    baseline = _part(d, "baseline")
    changed = _BY_BASELINE.get(str(baseline.get("verdict")))
    if changed == "monitor" and baseline.get("fault"):  # a rise that no sensor explains
        changed = "alarm"
    if changed is not None:
        found.append((changed, say("action.by_baseline")))
    elif baseline.get("obstacle"):
        missing.append(say("action.baseline_refused", why=show(str(baseline["obstacle"]))))
    else:
        missing.append(say("action.no_baseline"))
    if not found:
        return "", say("action.missing", what="; ".join(missing))
    worst = max((word for word, _ in found), key=SEVERITIES.index)
    basis = "; ".join(said for _, said in found)
    if worst == "good" and d.fault:
        return "monitor", f"{basis}; {say('action.raised')}"
    if worst == "good" and d.verdict == "tooth_damage_suspected":
        return "monitor", f"{basis}; {say('action.raised_tooth')}"
    return worst, basis


def _speed_in_doubt(d: Diagnosis) -> bool:
    """Tell whether the check of the speed fired and nothing that the spectrum of a bearing shows has put it right."""
    if not any(check.name == "speed" for check in d.quality):
        return False
    return bool(_part(d, "witness").get("verdict", "not_assessable") == "not_assessable")


def _only_the_speed_is_missing(d: Diagnosis) -> bool:
    """Tell whether nothing but a speed that nobody stated kept the recording from a diagnosis."""
    refused = [check for check in d.quality if check.severity == "refuse"]
    return bool(refused) and all(check.name == "speed" and math.isnan(check.value) for check in refused)


def _rule(d: Diagnosis, severity: str) -> str:
    """Return the name of the rule that says what to do; the first that fits, the gravest first."""
    physics = _part(d, "witness").get("with_the_network")
    if d.status == "unusable" and _only_the_speed_is_missing(d):
        rule = "no_speed"
    elif d.status in {"error", "unusable"}:
        rule = d.status
    elif _speed_in_doubt(d):
        rule = "speed"
    elif severity == "alarm" and compared.by_baseline(d):
        rule = "changed_alarm"
    elif severity in {"alarm", "danger"}:
        rule = f"fault_{severity}" if d.fault else f"level_{severity}"
    elif physics == "disagree":
        rule = "disagree"
    elif d.fault:
        rule = "fault"
    elif _part(d, "gears").get("verdict") == "tooth_damage_suspected":
        rule = "tooth"
    elif d.status in {"unfamiliar", "undecided"}:
        rule = d.status
    elif d.status != "diagnosed":
        rule = "other"
    elif severity == "monitor":
        rule = "level_monitor"
    elif d.fault is None:
        rule = str(d.verdict) if d.verdict in {"no_evidence", "unchanged"} else "unknown"
    else:
        rule = "healthy"
    return rule


def second_best(diagnosis: Diagnosis) -> str:
    """Return the second likeliest class or place and what speaks for it, in words; "" where there is none."""
    d = diagnosis
    weighed = [c for c in _part(d, "agreement").get("candidates") or () if isinstance(c, Mapping)]
    if d.status == "diagnosed" and len(weighed) > 1:  # with the spectrum weighed in
        from faultdx.report.text import percent

        verdict = spoken(str(d.verdict))  # a page has it so already
        others = [c for c in weighed if verdict not in map(spoken, map(str, c.get("classes") or ()))]
        if others:
            second, name = others[0], spoken(str(others[0]["name"]))
            return say("action.second_class", name=show(name), share=percent(second["probability"]))
    if d.probabilities:
        known = [(p, name) for name, p in d.probabilities.items() if p is not None and math.isfinite(p)]
        ranked = sorted(known, key=lambda row: (-row[0], row[1]))
        first = d.verdict if d.verdict is not None else ranked[0][1] if ranked else None
        rest = [(p, name) for p, name in ranked if name != first]
        if not rest:
            return say("action.second_none")
        from faultdx.report.text import percent

        return say("action.second_class", name=show(rest[0][1]), share=percent(rest[0][0]))
    places = [h for h in _part(d, "witness").get("hypotheses") or () if isinstance(h, Mapping)]
    places = [h for h in places if h.get("place") != "cage" and isinstance(h.get("score"), (int, float))]
    if len(places) < 2 or not _part(d, "witness").get("place"):  # where no place is named there is no second
        return ""
    first_place, second = sorted(places, key=lambda h: -h["score"])[:2]
    return say(
        "action.second_place",
        place=spectral.place_name(str(second.get("place"))),
        second=f"{second['score']:.3g}",
        first=f"{first_place['score']:.3g}",
    )


def witnesses(diagnosis: Diagnosis) -> str:
    """Return whether network and spectrum agree, in words; "" where nothing was assessed."""
    d = diagnosis
    if d.status in {"unusable", "error"}:
        return ""
    if compared.by_baseline(d):
        return say("action.witness_baseline")
    if spectral.physical(d):
        asked = "both" if _part(d, "witness").get("learned") else "spectrum"
        return say(f"action.witness_{asked}") if _part(d, "witness") else ""
    if _part(d, "witness").get("verdict") == "not_assessable":
        return say("action.witness_unheard")
    word = _part(d, "witness").get("with_the_network")
    if word in {"agree", "disagree", "silent", "alone"}:
        return say(f"action.witness_{word}")
    return say("action.witness_network")


def _part(d: Diagnosis, key: str) -> Mapping[str, Any]:
    return _mapping(d.evidence.get(key))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
