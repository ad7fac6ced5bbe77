"""A network's diagnosis and the testimony of the spectrum -> one diagnosis, and who gave the name.

`faultdx.agreement` has the arithmetic, docs/agreement.md the rule and what it reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from faultdx.agreement import Calibration, Candidate, Said, ranked
from faultdx.diagnosis import Diagnosis
from faultdx.testimony import PLACES, Testimony, agreement, leaning, place_of


def with_spectrum(
    found: Diagnosis,
    heard: Testimony,
    *,
    healthy: Collection[str],
    calibration: Calibration | None,
    why: str,
    enough: float,
) -> Diagnosis:
    """Return the network's diagnosis with the testimony of the spectrum weighed in.

    healthy : the classes that are; why : nothing was calibrated, where `calibration` is None
    enough : the least confidence of a verdict; 0: one is given whatever the doubts

    A silent spectrum takes no verdict away and lifts none. An all-clear beside damage that it shows is none. Where it
    shows damage the likeliest candidate is the verdict, if that is sure enough and a class of the model.
    """
    witness = heard.witness
    assert witness is not None  # the caller has looked
    word, sentence = agreement(heard, verdict=found.verdict, fault=found.fault)
    evidence = {**found.evidence, "witness": {"with_the_network": word, **heard.to_dict()}}
    warnings = (*found.warnings, *heard.notes, *([sentence] if sentence else []))
    found = replace(found, evidence=evidence, warnings=warnings, witness=witness)
    shows = witness.verdict in ("located", "damaged")
    if calibration is None or not healthy or not found.probabilities:
        return _side_by_side(found, word, why=why, shows=shows, insists=enough == 0)
    said = None if witness.verdict == "not_assessable" else Said(*leaning(witness))
    return _weighed(found, heard, said, healthy=healthy, calibration=calibration, enough=enough)


def _side_by_side(found: Diagnosis, word: str, *, why: str, shows: bool, insists: bool) -> Diagnosis:
    """Return what follows where nothing was calibrated: the spectrum takes all-clears away, and names nothing."""
    if found.confidence is not None and found.fault is not None:
        said = {
            "word": word,
            "kind": "fault" if found.fault else "healthy",
            "network": found.confidence,
            "stated": found.confidence,
            "calibrated": False,
            "why": why,
        }
        found = replace(found, evidence={**found.evidence, "agreement": said})
    if word == "disagree" and found.fault is False and not insists:
        found = replace(found, status="undecided", verdict=None, fault=None)
    return replace(found, fault=True) if found.verdict is None and shows else found


def candidates_of(probabilities: Mapping[str, float], healthy: Collection[str]) -> list[Candidate]:
    """Return what a model's classes come to: places of a bearing, a sound bearing, other classes one by one.

    A place that the model has no class for is a candidate where each of its faults is a place; where a class may mean
    any fault, or a gear's, it is not.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(probabilities, key=lambda c: -probabilities[c]):
        place = None if name in healthy else place_of(name)
        key = ("sound", "healthy") if name in healthy else ("other", name) if place is None else ("place", place)
        groups.setdefault(key, []).append(name)
    kinds = {kind for kind, _ in groups}
    if "place" in kinds and "other" not in kinds:
        for place in PLACES:
            groups.setdefault(("place", place), [])
    masses = {key: float(sum(probabilities[n] for n in names)) for key, names in groups.items() if names}
    others = sorted(masses.values())[:-1]
    unheard = sum(others) / len(others) if others else 0.0  # of what it cannot vote for: as of the rest
    return [
        Candidate(
            names[0] if len(names) == 1 else label,
            tuple(names),
            kind,
            label if kind == "place" else None,
            masses.get((kind, label), unheard),
        )
        for (kind, label), names in groups.items()
    ]


def _weighed(
    found: Diagnosis,
    heard: Testimony,
    said: Said | None,
    *,
    healthy: Collection[str],
    calibration: Calibration,
    enough: float,
) -> Diagnosis:
    p = found.probabilities
    votes = max(p, key=lambda name: p[name])  # what the network says, whether it is a verdict or not
    candidates = candidates_of(p, healthy)
    if found.status == "unfamiliar":
        candidates = [replace(c, network=1 / len(candidates)) for c in candidates]
    order = calibration.weigh(candidates, said)
    own = next(c for c in order if votes in c.classes)
    heeded = found.status != "unfamiliar"  # what the network says of a record unlike its training's is not
    word, _ = agreement(heard, verdict=votes if heeded else None, fault=votes not in healthy if heeded else None)
    part = p[votes] / own.network if found.status != "unfamiliar" and own.network > 0 else 1.0
    stated = min(own.probability * part, 1.0)
    alike = said is not None and said.shows and own.kind != "sound" and (own.place is None or own.place == said.place)
    if not alike:  # what shows nothing, no place, or another one makes nobody surer than the network is
        stated = min(stated, p[votes])
    flat = calibration.supports(own.network) * part
    entry: dict[str, Any] = {
        "word": word,
        "kind": "healthy" if votes in healthy else "fault",
        "network": p[votes],
        "stated": stated,
        "calibrated": True,
        "supported": flat,
        "ratio": _ratio(own.probability * part, flat),
        "assessed": said is not None,
        "records": calibration.records,
        "specimens": calibration.specimens,
        "holds_for": calibration.holds_for,
        "unseen": calibration.unseen,
        "named_by": None,
        "hint": said.place if said is not None and said.strength == "hint" else None,
        "candidates": _told(order),
    }
    shows = said is not None and said.shows
    if not heeded:
        told = replace(found, fault=True if shows else found.fault)
    elif shows:
        told = _decided(replace(found, confidence=stated), order, own, votes, word=word, enough=enough)
    else:
        told = replace(found, confidence=stated)
    if told.verdict is not None and enough > 0 and (told.confidence or 0.0) < enough:
        damaged = sum(c.probability for c in order if c.kind != "sound") >= 0.5
        told = _open(told, fault=True if shows or damaged else None)
    if told.verdict is not None:
        entry["named_by"] = "spectrum" if told.verdict != votes else "both" if alike else "network"
    entry["stated"] = stated if told.status == "unfamiliar" else told.confidence
    warnings = told.warnings
    if sentence := _believed(told, found, order, votes, enough=enough):
        warnings = (*warnings, sentence)
    return replace(told, warnings=warnings, evidence={**told.evidence, "agreement": entry})


def _decided(
    found: Diagnosis, order: Sequence[Candidate], own: Candidate, votes: str, *, word: str, enough: float
) -> Diagnosis:
    """Return the verdict that both leave where the spectrum shows damage: the likeliest candidate, or none."""
    best, insists = order[0], enough == 0
    if best.kind == "sound":  # no all-clear beside damage that somebody sees
        return found if insists and found.verdict == votes else _open(found, fault=True)
    if best is own and found.verdict == votes and word != "disagree":
        return found  # what only falls short of naming another place takes nothing away
    name = votes if votes in best.classes else best.classes[0] if best.classes else None
    single = best is own or len(best.classes) == 1 or insists
    if name is None or not single or best.probability < enough:
        return replace(_open(found, fault=True), confidence=best.probability)
    return _named(found, name, found.confidence if best is own else best.probability)


def _open(found: Diagnosis, *, fault: bool | None) -> Diagnosis:
    return replace(found, status="undecided", verdict=None, fault=fault)


def _named(found: Diagnosis, name: str, confidence: float | None) -> Diagnosis:
    """Return the diagnosis with the verdict `name`, a fault, and the share of the segments that vote for it."""
    share = found.agreement
    if found.segment_probabilities is not None:
        number = list(found.probabilities).index(name)
        share = float(np.mean(found.segment_probabilities.argmax(axis=1) == number))
    return replace(found, status="diagnosed", verdict=name, fault=True, confidence=confidence, agreement=share)


def _believed(told: Diagnosis, before: Diagnosis, order: Sequence[Candidate], votes: str, *, enough: float) -> str:
    """Return who is believed where that is not the network, "" where it is."""
    best = order[0]
    if told.verdict is not None and told.verdict != votes:
        return f"the spectrum is believed, not the network ({votes}): {best.name}, {_percent(best.probability)}"
    if before.verdict is None or told.verdict is not None:
        return ""
    if not best.classes:
        return f"the likeliest is {best.name}, {_percent(best.probability)}, for which the model has no class"
    likeliest = f"the likeliest is {best.name}, {_percent(best.probability)}"
    if best.kind == "sound" and best.probability >= enough:
        return f"the network says {votes}, and what the spectrum shows is no all-clear either: {likeliest}"
    if len(best.classes) > 1 and best.probability >= enough:
        return f"the model has several classes of one place, and no line tells which: {likeliest}"
    return f"neither is believed far enough: {likeliest}"


def _percent(p: float) -> str:
    return f"{100 * p:.0f} %" if p < 0.99 else "over 99 %"


def _ratio(stated: float, flat: float) -> float:
    """How many times the odds became what they were."""
    a, b = (min(max(x, 1e-9), 1 - 1e-9) for x in (stated, flat))
    return a / (1 - a) / (b / (1 - b))


def _told(order: Sequence[Candidate]) -> list[dict[str, Any]]:
    return [{"name": c.name, "place": c.place, "classes": list(c.classes), "probability": c.probability} for c in order]


def with_change(found: Diagnosis, *, healthy: Collection[str], enough: float) -> Diagnosis:
    """Return the diagnosis with the likeliest fault named, where a baseline says that the machine is damaged.

    Where `evidence["baseline"]` calls a fault, a sound bearing keeps of its weight no more than the share of healthy
    recordings that a baseline may call changed: `faultdx.baseline`. A verdict of a fault stays as it is, and so does
    what was not calibrated.
    """
    change, entry = found.evidence.get("baseline"), found.evidence.get("agreement")
    if not (change and change.get("fault") and entry and entry.get("calibrated")):
        return found
    if found.status == "unfamiliar" or (found.verdict is not None and found.verdict not in healthy):
        return found
    told = [
        Candidate(c["name"], tuple(c["classes"]), _kind(c, healthy), c["place"], 0.0, c["probability"])
        for c in entry["candidates"]
    ]
    rate = float(change.get("false_alarms") or 0.05)
    order = ranked(told, [c.probability * (rate if c.kind == "sound" else 1.0) for c in told])
    entry = {**entry, "candidates": _told(order)}
    best, insists = order[0], enough == 0
    if best.kind == "sound" and insists:  # asked for a verdict: the likeliest fault, since somebody sees one
        best = next((c for c in order if c.kind != "sound" and c.classes), best)
    if best.kind != "sound" and best.classes and (insists or (best.probability >= enough and len(best.classes) == 1)):
        said = f"changed against its baseline, so damaged: most likely {best.name}, {_percent(best.probability)}"
        found = replace(_named(found, best.classes[0], best.probability), warnings=(*found.warnings, said))
        entry |= {"named_by": "baseline"}
    elif best.kind != "sound":
        found = replace(found, confidence=best.probability)
    entry["stated"] = found.confidence
    return replace(found, evidence={**found.evidence, "agreement": entry})


def _kind(candidate: Mapping[str, Any], healthy: Collection[str]) -> str:
    if candidate["place"]:
        return "place"
    return "sound" if any(name in healthy for name in candidate["classes"]) else "other"
