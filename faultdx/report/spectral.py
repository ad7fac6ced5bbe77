"""The words and the table of a testimony: what the spectrum says of a bearing, with or without a network beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faultdx.diagnosis import PHYSICS, Diagnosis
from faultdx.files import show
from faultdx.report.words import say

# The tone of `text.headline`, where the spectrum alone speaks and names no place.
TONES = {"damaged": "bad", "no_evidence": "doubt", "tooth_damage_suspected": "doubt"}
_PLACES = {"outer_race", "inner_race", "ball", "cage"}


def limits(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Return what the spectrum of what was asked about cannot say, a sentence each."""
    bearing, gears = diagnosis.evidence.get("witness"), diagnosis.evidence.get("gears")
    said = () if gears and not bearing else tuple(say(f"spectrum.limit_{w}") for w in ("evidence", "geometry"))
    scope = ("gears.limit_scope" if not bearing else "gears.limit_both") if gears else "spectrum.limit_scope"
    return (say(scope), *said, *(say(f"gears.limit_{w}") for w in ("evidence", "teeth") if gears))


def physical(diagnosis: Diagnosis) -> bool:
    """Tell whether no network was asked, whatever became of it."""
    return diagnosis.model.get("name") == PHYSICS


def by_spectrum(diagnosis: Diagnosis) -> bool:
    """Tell whether the diagnosis is the spectrum's alone: no network was asked."""
    heard = diagnosis.evidence.get("witness") or diagnosis.evidence.get("gears")
    return diagnosis.confidence is None and bool(heard)


def of_gears(diagnosis: Diagnosis) -> bool:
    """Tell whether the verdict is about gears: they alone were looked at, or a tooth stands out."""
    gears = diagnosis.evidence.get("gears")
    return bool(gears) and (not diagnosis.evidence.get("witness") or diagnosis.verdict == "tooth_damage_suspected")


def testimony(diagnosis: Diagnosis) -> str:
    """Return what the spectrum says of the bearing, or of the gears where the verdict is about them, in a sentence, and
    beside the bearing what it says of the gears; "" where it was not asked.
    """
    bearing, gears = _first_reason(diagnosis, "witness"), _first_reason(diagnosis, "gears")
    if of_gears(diagnosis) or not (bearing and gears):
        return gears if of_gears(diagnosis) else bearing
    return f"{bearing}; {say('gears.beside', said=gears)}"


def _first_reason(d: Diagnosis, key: str) -> str:
    reasons = (d.evidence.get(key) or {}).get("reasons") or []
    return show(str(reasons[0])).rstrip(".") if reasons else ""


def _name(d: Diagnosis) -> str:
    return show(str((d.evidence.get("witness") or {}).get("bearing", {}).get("name", "")))


def asked(diagnosis: Diagnosis) -> str:
    """Return the bearing that was asked about, " (6205-2RS)"; the teeth, where the verdict is about gears."""
    name = _name(diagnosis)
    if of_gears(diagnosis):
        teeth = (diagnosis.evidence.get("gears") or {}).get("teeth") or []
        name = say("gears.asked", teeth=":".join(str(count) for count in teeth)) if teeth else ""
    return f" ({name})" if name else ""


def place(diagnosis: Diagnosis) -> str:
    """Return what the spectrum names: "a fault of the inner race", "a damaged bearing"."""
    named = (diagnosis.evidence.get("witness") or {}).get("place")
    return say("spectrum.fault_of", place=place_name(str(named))) if named else say("spectrum.damaged_bearing")


def beside(diagnosis: Diagnosis) -> str:
    """Return how the spectrum goes with the network's verdict, as the end of a line; "" where it was not asked."""
    if (by := (diagnosis.evidence.get("agreement") or {}).get("named_by")) in {"spectrum", "baseline"}:
        votes = max(diagnosis.probabilities, key=lambda name: diagnosis.probabilities[name])
        return say(f"agreement.line_{by}", votes=show(votes))
    if (diagnosis.evidence.get("witness") or {}).get("verdict") == "not_assessable":
        return say("spectrum.unheard")
    word = (diagnosis.evidence.get("witness") or {}).get("with_the_network")
    return say(f"spectrum.{word}") if word in {"agree", "silent", "disagree"} else ""


def finding(d: Diagnosis) -> str:
    """Return the finding of the spectrum alone as one sentence or two, and what it cannot say."""
    said = testimony(d)
    if of_gears(d):
        kind = d.verdict if d.verdict in {"tooth_damage_suspected", "no_evidence"} else "none"
        return say(f"gears.finding_{kind}", said=said)
    if d.status == "undecided":
        return say("spectrum.finding_none", said=said)
    if d.verdict == "no_evidence":
        return say("spectrum.finding_no_evidence", name=_name(d), said=said)
    where = say("spectrum.unknown_place")
    if d.verdict != "damaged":
        where = say("spectrum.the_place", place=place_name(str(d.verdict)))
    return say("spectrum.finding", where=where, said=said[:1].upper() + said[1:])


def place_name(name: str) -> str:
    """Return the place of a bearing in words: "rolling element" for "ball"; another name as it is, made safe."""
    return say(f"spectrum.{name}") if name in _PLACES else show(name)


def rows(witness: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) of what was looked for and what was found, from the evidence's `witness`."""
    bearing = witness.get("bearing") or {}
    out = [
        (say("spectrum.channel"), show(str(witness.get("channel", "")))),
        (say("spectrum.bearing"), _geometry(bearing)),
        (say("spectrum.source"), show(str(bearing.get("source", "")))),
    ]
    hz = witness.get("speed_hz")
    if hz:
        certain = 100 * (witness.get("speed_certainty") or 0.0)
        shift = 100 * (witness.get("speed_shift") or 0.0)
        out.append((say("spectrum.speed"), say("spectrum.speed_value", rpm=60 * hz, shift=shift, certain=certain)))
    turns = witness.get("turns")
    out.append((say("spectrum.length"), say("spectrum.turns", turns=turns) if turns else ""))
    for h in witness.get("hypotheses") or []:
        said = say(
            "spectrum.hypothesis",
            score=_short(h.get("score")),
            depth=_short(h.get("depth")),
            found=_short(h.get("found_order"), 5),
            order=_short(h.get("order"), 5),
            chance=_short(h.get("surrogate")),
            band=h.get("band"),
        )
        out.append((place_name(str(h.get("place"))), show(said)))
    smallest = witness.get("smallest_depth_seen")
    if smallest:
        out.append((say("spectrum.smallest"), f"{smallest:.3g}"))
    out += _learned(witness.get("learned"))
    word = witness.get("with_the_network")
    known = word in {"agree", "disagree", "silent", "alone"}
    out.append((say("spectrum.with_network"), say(f"spectrum.with_{word}") if known else ""))
    return out


def _learned(learned: Any) -> list[tuple[str, str]]:
    """Return what the shipped network said, and which one it was."""
    if not isinstance(learned, Mapping):
        return []
    said = [
        f"{say('spectrum.learned_none') if name == 'none' else place_name(str(name))} {100 * p:.0f} %"
        for name, p in (learned.get("probabilities") or {}).items()
    ]
    alone = str(learned.get("physics_alone", "")).replace("_", " ")
    return [
        (say("spectrum.learned"), ", ".join(said)),
        (say("spectrum.learned_digest"), show(str(learned.get("sha256", "")))),
        (say("spectrum.rules_alone"), show(alone)),
    ]


def _short(value: Any, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if isinstance(value, int | float) else "-"


def _geometry(bearing: Mapping[str, Any]) -> str:
    try:
        orders = bearing["orders"]
        if bearing.get("declared"):
            return say(
                "spectrum.geometry_declared",
                elements=bearing["elements"],
                outer=orders["bpfo"],
                inner=orders["bpfi"],
                element=orders["2bsf"],
                cage=orders["ftf"],
            )
        return say(
            "spectrum.geometry",
            name=bearing["name"],
            elements=bearing["elements"],
            diameter=bearing["element_diameter"],
            pitch=bearing["pitch_diameter"],
            outer=orders["bpfo"],
            inner=orders["bpfi"],
            element=orders["2bsf"],
            cage=orders["ftf"],
        )
    except (KeyError, TypeError, ValueError):
        return ""
