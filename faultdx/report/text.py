"""Diagnosis -> plain words: a line, a row of a table, the sentence of a report, and what it does not say.

Confidence is the network's own and is never rounded up to certainty. No text here has a control or
bidirectional character in it; a sink with its own syntax (HTML, rich, CSV) still escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import compared, spectral
from faultdx.report.spectral import by_spectrum
from faultdx.report.words import say

TABLE_HEADER = ("file", "verdict", "confidence", "agreement", "segments", "status", "notes")
_MAX_CLASSES = 20  # named one by one; a sentence with a thousand names in it is read by nobody


def percent(value: float | None, *, exact: bool = False) -> str:
    """Return a share as text, "93.1 %", or "-" for None or NaN.

    A share near the ends reads ">99.9 %" or "<0.1 %": a softmax is never certain. With `exact` (a count of
    segments, say) 0 and 1 themselves read "0 %" and "100 %".
    """
    if value is None or not math.isfinite(value):
        return "-"
    if exact and value in {0, 1}:
        return f"{100 * value:.0f} %"
    if value >= 0.9995:
        return ">99.9 %"
    return "<0.1 %" if value < 0.0005 else f"{100 * value:.1f} %"


def split_leaks(split: Any) -> bool:
    """Tell whether a model's split says that its training and test sides share recordings or segments."""
    flag = split.get("leakage") if isinstance(split, Mapping) else None
    return flag.strip().lower() not in {"", "no", "none", "false"} if isinstance(flag, str) else bool(flag)


def split_notes(split: Any) -> list[str]:
    """Return what a model's split says of its exceptions: "class normal has a single specimen: ..."."""
    notes = split.get("notes") if isinstance(split, Mapping) else None
    return [show(str(note)).rstrip(".") for note in notes if note] if isinstance(notes, (list, tuple)) else []


def split_words(split: Any, *, notes: bool = True) -> str:
    """Return how honest a model's split is: its method, what its test side has never seen, and its notes.

    split : {method, level, leakage, notes} of model.json; without a level the method says what it can
    """
    if not isinstance(split, Mapping):
        return say("finding.split_unknown")
    method = show(str(split.get("method") or say("finding.split_unknown")))
    kinds = {kind: say(f"finding.split_{kind}") for kind in ("specimen", "condition", "time")}
    leaks = split_leaks(split)
    words = [show(str(split["level"])).rstrip(".")] if split.get("level") else []
    if not words and not leaks:
        words = [said for kind, said in kinds.items() if kind in method.lower()][:1]
    if leaks and not any(word.startswith("LEAKING") for word in words):
        words.insert(0, say("finding.split_leaks"))
    words += split_notes(split) if notes else []
    return f"{method} ({'; '.join(words)})" if words else method


def headline(diagnosis: Diagnosis) -> tuple[str, str, str]:
    """Return (tone, word, what) of the result.

    tone : "bad", "good", "doubt" or "none", for a colour; word : what stands beside the colour;
    what : the class found, or a few words on why there is none
    """
    d = diagnosis
    if d.status == "diagnosed":
        return _headline_of_verdict(d)
    if d.fault and d.verdict is None and d.status in {"undecided", "unfamiliar"}:
        what = say("finding.by_spectrum_alone", place=spectral.place(d), status=d.status)
        if compared.beside_undecided(d):
            what = say("baseline.alone", status=d.status)
        return "bad", say("finding.fault"), what
    tone = {"undecided": "doubt", "unfamiliar": "doubt"}.get(d.status, "none")
    what = "_bearing" if d.status == "undecided" and by_spectrum(d) else "_what"
    if what == "_bearing" and spectral.of_gears(d):
        return tone, say("finding.undecided"), say("gears.undecided")
    if _held_back(d):
        return tone, say("finding.undecided"), say("finding.undecided_held")
    if d.status in {"undecided", "unfamiliar", "unusable", "error"}:
        return tone, say(f"finding.{d.status}"), say(f"finding.{d.status}{what}")
    return tone, show(d.status), say("finding.other_what")


def _headline_of_verdict(d: Diagnosis) -> tuple[str, str, str]:
    if compared.by_baseline(d):
        return compared.headline(d)
    if by_spectrum(d) and d.verdict in spectral.TONES:
        topic = "gears" if spectral.of_gears(d) else "spectrum"
        return spectral.TONES[d.verdict], say(f"{topic}.{d.verdict}_word"), say(f"{topic}.{d.verdict}")
    what = show(d.verdict or say("finding.no_class"))
    if d.fault is None:
        return "doubt", say("finding.diagnosed"), what
    return ("bad", say("finding.fault"), what) if d.fault else ("good", say("finding.no_fault"), what)


def _votes(d: Diagnosis) -> str:
    if d.agreement is None or not math.isfinite(d.agreement) or not d.segments:
        return say("finding.segment" if d.segments == 1 else "finding.segments", count=d.segments)
    return say("finding.votes", count=round(d.agreement * d.segments), segments=d.segments)


def _best(d: Diagnosis) -> tuple[str, float] | None:
    """The most probable class, also where it is not the verdict."""
    known = [(name, p) for name, p in d.probabilities.items() if p is not None and math.isfinite(p)]
    if not known:
        return None
    name, p = max(known, key=lambda item: item[1])
    return show(name), p


def _reasons(d: Diagnosis) -> str:
    """Why there is no diagnosis: the error, else the checks that refuse, else the warnings."""
    if d.error is not None and d.error.get("message"):
        return show(str(d.error["message"])).rstrip(".")
    refused = [check.message for check in d.quality if check.severity == "refuse"]
    return "; ".join(show(text).rstrip(".") for text in refused or d.warnings) or say("finding.no_reason")


def _unlike(d: Diagnosis) -> str:
    """What of an unfamiliar recording is off, empty where nothing is known of that."""
    reason = (d.familiarity or {}).get("reason")
    return show(str(reason)).rstrip(".") if d.status == "unfamiliar" and reason else ""


def one_line(diagnosis: Diagnosis) -> str:
    """Return the result as one line of plain text: file, word, class, confidence, votes, warnings."""
    d = diagnosis
    _, word, what = headline(d)
    line = f"{show(d.file)}: {word}"
    if compared.by_baseline(d):
        line += f": {what}; {compared.testimony(d)}"
    elif by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        line += f": {what}{spectral.asked(d)}; {spectral.testimony(d)}"
    elif d.status == "diagnosed":
        line += ": " + say(
            "finding.line_class",
            what=what,
            confidence=percent(d.confidence),
            votes=_votes(d),
            beside=spectral.beside(d),
        )
    elif d.status in {"undecided", "unfamiliar"}:
        best, why = _best(d), _unlike(d)
        line += f": {what}" if d.fault else ""
        line += f": {why}" if why and not d.fault else f" ({why})" if why else ""
        if best:
            line += say("finding.line_nearest", name=best[0], share=percent(best[1]), votes=_votes(d))
    else:
        line += f": {_reasons(d).removeprefix(show(d.file) + ': ')}"
    if d.warnings and d.status not in {"unusable", "error"}:
        line += say("finding.line_warning" if len(d.warnings) == 1 else "finding.line_warnings", count=len(d.warnings))
        line += "; ".join(show(warning) for warning in d.warnings)
    return line


def table_rows(diagnoses: Iterable[Diagnosis]) -> tuple[list[str], list[list[str]]]:
    """Return (header, rows) of the table of results, every cell a text, "-" where there is nothing to say."""
    rows = []
    for d in diagnoses:
        notes = [show(warning) for warning in d.warnings]
        notes = [*asides(d), *notes]
        if d.status in {"unusable", "error"}:
            notes = [_reasons(d)]
        rows.append(
            [
                show(d.file),
                "-" if d.verdict is None else show(d.verdict),
                percent(d.confidence),
                percent(d.agreement, exact=True),
                str(d.segments) if d.segments else "-",
                headline(d)[1],
                "; ".join(notes) or "-",
            ]
        )
    return list(TABLE_HEADER), rows


def asides(d: Diagnosis) -> list[str]:
    """Return what a table of verdicts leaves out and a reader wants to know: why, in a sentence each."""
    if compared.by_baseline(d):
        return [compared.testimony(d)]
    if by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        return [spectral.testimony(d)]
    unlike = _unlike(d)
    return [unlike] if unlike else []


def sentence(diagnosis: Diagnosis) -> str:
    """Return the finding as one sentence for a maintenance engineer, with what was not assessed."""
    d = diagnosis
    if compared.by_baseline(d):
        return compared.finding(d)
    if by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        return spectral.finding(d)
    if d.status == "diagnosed":
        return _finding(d)
    best = _best(d)
    if compared.beside_undecided(d):
        return compared.sentence_alone(d)
    if d.fault and d.verdict is None:
        said = spectral.testimony(d)
        return say("finding.sentence_spectrum", place=spectral.place(d), said=said)
    nearest = ""
    if d.status == "undecided":
        if best:
            nearest = say("finding.nearest_votes", name=best[0], share=percent(best[1]), votes=_votes(d))
        held = _held_back(d)
        why = say("finding.why_held", why=held) if held else say("finding.why_undecided", nearest=nearest)
    elif d.status == "unfamiliar":
        nearest = f" ({best[0]}, {percent(best[1])})" if best else ""
        what = _unlike(d)
        why = say("finding.why_unfamiliar", nearest=nearest, what=f" ({what})" if what else "")
    elif d.status in {"unusable", "error"}:
        why = say(f"finding.why_{d.status}", reasons=_reasons(d))
    else:
        why = say("finding.why_other", status=show(d.status))
    return say("finding.sentence", why=why)


def _held_back(d: Diagnosis) -> str:
    """Return why an all-clear of the network is none, in the words of its warning; "" where none was held back."""
    held = [warning for warning in d.warnings if warning.startswith("it looks ")]
    return show(held[0]) if held and d.status == "undecided" and d.verdict is None else ""


def _finding(d: Diagnosis) -> str:
    _, _, what = headline(d)
    weighed = (d.evidence.get("agreement") or {}).get("calibrated")
    sure = say(f"finding.sure{'_calibrated' * bool(weighed)}", confidence=percent(d.confidence), votes=_votes(d))
    kind = "unknown" if d.fault is None else "fault" if d.fault else "healthy"
    if (by := (d.evidence.get("agreement") or {}).get("named_by")) in ("spectrum", "baseline"):
        best = _best(d)
        votes = best[0] if best else ""
        return say(f"agreement.found_{by}", what=what, votes=votes, confidence=percent(d.confidence))
    return say(f"finding.found_{kind}", what=what, sure=sure)


def familiarity_rows(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) on how like the training records a recording is; none where it was not assessed."""
    found = diagnosis.familiarity
    if found is None:
        return []
    rows = []
    for key in ("statistics", "features"):
        seen = found.get(key)
        if isinstance(seen, Mapping):
            far = say("finding.familiar_distance", distance=seen["distance"], limit=seen["limit"])
            rows.append((say(f"finding.familiar_{key}"), far))
    rows.append((say("finding.familiar_nearest"), show(str(found.get("nearest", "")))))
    if found.get("reason"):
        rows.append((say("finding.familiar_reason"), show(str(found["reason"]))))
    if diagnosis.conformal_set is not None:
        names = [show(name) for name in diagnosis.conformal_set]
        conformal = _conformal(model_info)
        share, records = conformal.get("coverage"), conformal.get("records")
        basis, covers = "", ""
        if records:
            by = f"conformal_by_{conformal['unit']}" if conformal.get("unit") in {"specimen", "recording"} else ""
            said = say(f"finding.{by}", count=conformal.get("units")) if by else say("finding.conformal_by_record")
            basis = say("finding.conformal_basis", records=records, by=said, holds_for=conformal.get("holds_for"))
        if share:
            covers = say("finding.conformal_covers", share=percent(share), basis=show(basis))
        rows.append((say("finding.conformal"), _names(names) + covers))
    return rows


def _names(names: Sequence[str]) -> str:
    """The first names of many, and how many more there are."""
    more = say("finding.more", count=len(names) - _MAX_CLASSES) if len(names) > _MAX_CLASSES else ""
    return ", ".join(names[:_MAX_CLASSES]) + more


def _conformal(model_info: Mapping[str, Any]) -> Mapping[str, Any]:
    familiarity = model_info.get("familiarity")
    found = familiarity.get("conformal") if isinstance(familiarity, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def limits(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> list[str]:
    """Return what the result does not say, a sentence each: what was not known, not measured, not trained on.

    model_info : see `faultdx.report.html.render`; a key that is missing is a sentence or is left out
    """
    d = diagnosis
    assessed = d.status not in {"unusable", "error"}
    said = [say("finding.limit_severity" if assessed else "finding.limit_nothing")]
    if d.rpm is None:
        said.append(say("finding.limit_speed"))
    if d.record is not None and not (d.evidence.get("severity") or {}).get("zone"):
        said.append(say("finding.limit_unit" if d.record.unit is None else "finding.limit_zone"))
    if compared.by_baseline(d) and not by_spectrum(d):
        return [*said, *compared.limits()]
    if spectral.physical(d):
        return [*said, *(spectral.limits(d) if assessed else ())]
    classes = [show(str(name)) for name in model_info.get("classes") or ()]
    if classes:
        kind = "finding.limit_classes" if d.familiarity is None else "finding.limit_classes_familiar"
        said.append(say(kind, names=_names(classes)))
    said += _not_familiar(d, model_info)
    if split_leaks(model_info.get("split")):
        said.append(say("finding.limit_leaks"))
    if d.confidence is not None and model_info.get("temperature") is None:
        said.append(say("finding.limit_calibration"))
    trained_rpm = _range(model_info, "rpm")
    if d.rpm is not None and math.isfinite(d.rpm) and trained_rpm and not trained_rpm[0] <= d.rpm <= trained_rpm[1]:
        said.append(say("finding.limit_trained_speed", rpm=d.rpm, low=trained_rpm[0], high=trained_rpm[1]))
    return said


def _not_familiar(d: Diagnosis, model_info: Mapping[str, Any]) -> list[str]:
    """What could not be said of the recording's likeness to the training records, and why."""
    if d.status in {"unusable", "error"}:
        return []
    if d.familiarity is None:
        entry = model_info.get("familiarity")
        why = f": {show(str(entry['why']))}" if isinstance(entry, Mapping) and entry.get("why") else ""
        return [say("finding.limit_familiar", why=why)]
    missing = _conformal(model_info).get("why_not")
    return [say("finding.limit_conformal", why=show(str(missing)))] if missing else []


def _range(model_info: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    """The [low, high] of the training envelope for `key`, where it is a pair of numbers."""
    envelope = model_info.get("envelope")
    pair = envelope.get(key) if isinstance(envelope, Mapping) else None
    try:
        low, high = (float(end) for end in pair)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
