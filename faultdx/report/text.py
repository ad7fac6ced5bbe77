"""Diagnosis -> plain words: a line, a row of a table, the sentence of a report, and what it does not say.

Confidence is the network's own and is never rounded up to certainty. No text here has a control or
bidirectional character in it; a sink with its own syntax (HTML, rich, CSV) still escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import spectral
from faultdx.report.spectral import by_spectrum

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
        return "not recorded"
    method = show(str(split.get("method") or "not recorded"))
    kinds = {
        "specimen": "the test parts were never trained on",
        "condition": "the test loads or speeds were never trained on, the parts were",
        "time": "other seconds of the same recordings: optimistic",
    }
    leaks = split_leaks(split)
    words = [show(str(split["level"])).rstrip(".")] if split.get("level") else []
    if not words and not leaks:
        words = [said for kind, said in kinds.items() if kind in method.lower()][:1]
    if leaks and not any(word.startswith("LEAKING") for word in words):
        words.insert(0, "LEAKING: training and test share recordings or segments; the scores are too good")
    words += split_notes(split) if notes else []
    return f"{method} ({'; '.join(words)})" if words else method


def headline(diagnosis: Diagnosis) -> tuple[str, str, str]:
    """Return (tone, word, what) of the result.

    tone : "bad", "good", "doubt" or "none", for a colour; word : what stands beside the colour;
    what : the class found, or a few words on why there is none
    """
    d = diagnosis
    if d.status == "diagnosed":
        what = show(d.verdict or "no class")
        if by_spectrum(d) and d.verdict in spectral.WORDS:
            return spectral.WORDS[d.verdict]
        if d.fault is None:
            return "doubt", "diagnosed", what
        return ("bad", "fault", what) if d.fault else ("good", "no fault found", what)
    if d.fault and d.verdict is None and d.status in {"undecided", "unfamiliar"}:
        return "bad", "fault", f"{spectral.place(d)} by the spectrum; the network: {d.status}"
    if d.status == "undecided" and by_spectrum(d):
        return "doubt", "undecided", "the bearing could not be assessed"
    words = {
        "undecided": ("doubt", "undecided", "the model cannot tell the classes apart here"),
        "unfamiliar": ("doubt", "unfamiliar", "unlike the recordings that the model was trained on"),
        "unusable": ("none", "unusable", "the recording is not fit for a diagnosis"),
        "error": ("none", "not read", "the recording could not be read"),
    }
    return words.get(d.status, ("none", show(d.status), "a result that this version does not know"))


def _votes(d: Diagnosis) -> str:
    if d.agreement is None or not math.isfinite(d.agreement) or not d.segments:
        return f"{d.segments} segment{'' if d.segments == 1 else 's'}"
    return f"{round(d.agreement * d.segments)} of {d.segments} segments agree"


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
    return "; ".join(show(text).rstrip(".") for text in refused or d.warnings) or "no reason was recorded"


def _unlike(d: Diagnosis) -> str:
    """What of an unfamiliar recording is off, empty where nothing is known of that."""
    reason = (d.familiarity or {}).get("reason")
    return show(str(reason)).rstrip(".") if d.status == "unfamiliar" and reason else ""


def one_line(diagnosis: Diagnosis) -> str:
    """Return the result as one line of plain text: file, word, class, confidence, votes, warnings."""
    d = diagnosis
    _, word, what = headline(d)
    line = f"{show(d.file)}: {word}"
    if by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        line += f": {what}{spectral.asked(d)}; {spectral.testimony(d)}"
    elif d.status == "diagnosed":
        line += f": {what}, confidence {percent(d.confidence)}, {_votes(d)}{spectral.beside(d)}"
    elif d.status in {"undecided", "unfamiliar"}:
        best, why = _best(d), _unlike(d)
        line += f": {why}" if why else ""
        line += f": {what}" if d.fault else ""
        line += f", nearest class {best[0]} ({percent(best[1])}), {_votes(d)}" if best else ""
    else:
        line += f": {_reasons(d).removeprefix(show(d.file) + ': ')}"
    if d.warnings and d.status not in {"unusable", "error"}:
        line += f"; {len(d.warnings)} warning{'' if len(d.warnings) == 1 else 's'}: "
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
    if by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        return [spectral.testimony(d)]
    unlike = _unlike(d)
    return [unlike] if unlike else []


def sentence(diagnosis: Diagnosis) -> str:
    """Return the finding as one sentence for a maintenance engineer, with what was not assessed."""
    d = diagnosis
    if by_spectrum(d) and d.status in {"diagnosed", "undecided"}:
        return spectral.finding(d)
    if d.status == "diagnosed":
        return _finding(d)
    best = _best(d)
    if d.fault and d.verdict is None:
        said = spectral.testimony(d)
        return f"The network has no verdict, and the envelope spectrum shows {spectral.place(d)}: {said}."
    if d.status == "undecided":
        nearest = f" (the likeliest is {best[0]}, {percent(best[1])}; {_votes(d)})" if best else ""
        why = f"no class stands out clearly enough{nearest}; record again, longer, before acting on it"
    elif d.status == "unfamiliar":
        nearest = f" ({best[0]}, {percent(best[1])})" if best else ""
        what = _unlike(d)
        why = (
            f"this recording is unlike those that the model was trained on{f' ({what})' if what else ''}, so the class "
            f"it would have named{nearest} does not count; check the sensor, the machine and the sampling rate"
        )
    elif d.status == "unusable":
        why = f"the recording is not fit for a diagnosis ({_reasons(d)}); the machine was not assessed"
    elif d.status == "error":
        why = f"the recording could not be read ({_reasons(d)}); the machine was not assessed"
    else:
        why = f"the status is {show(d.status)}; the machine was not assessed"
    return f"No verdict: {why}."


def _finding(d: Diagnosis) -> str:
    _, _, what = headline(d)
    sure = f"the network's own confidence is {percent(d.confidence)} and {_votes(d)}"
    if d.fault is None:
        return f"The network finds the class {what}: {sure}; whether that is a fault is not declared."
    if d.fault:
        rest = "severity, trend and remaining life were not assessed"
        return f"The network finds the fault class {what}: {sure}; {rest}."
    rest = "a fault that it was not trained on would not be named"
    return f"The network finds no fault that it knows and names the class {what}: {sure}; {rest}."


def familiarity_rows(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) on how like the training records a recording is; none where it was not assessed."""
    found = diagnosis.familiarity
    if found is None:
        return []
    rows = []
    for key, name in (("statistics", "shape and spectrum of the signal"), ("features", "features of the network")):
        seen = found.get(key)
        if isinstance(seen, Mapping):
            rows.append((name, f"distance {seen['distance']:.3g}, limit {seen['limit']:.3g}"))
    rows.append(("most like the training records of", show(str(found.get("nearest", "")))))
    if found.get("reason"):
        rows.append(("what is off", show(str(found["reason"]))))
    if diagnosis.conformal_set is not None:
        names = [show(name) for name in diagnosis.conformal_set]
        more = f" and {len(names) - _MAX_CLASSES} more" if len(names) > _MAX_CLASSES else ""
        conformal = _conformal(model_info)
        share, records = conformal.get("coverage"), conformal.get("records")
        basis = f", set on {records} validation records: {conformal.get('holds_for')}" if records else ""
        covers = f" (covers the true class in {percent(share)} of records{show(basis)})" if share else ""
        rows.append(("conformal set", ", ".join(names[:_MAX_CLASSES]) + more + covers))
    return rows


def _conformal(model_info: Mapping[str, Any]) -> Mapping[str, Any]:
    familiarity = model_info.get("familiarity")
    found = familiarity.get("conformal") if isinstance(familiarity, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def limits(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> list[str]:
    """Return what the result does not say, a sentence each: what was not known, not measured, not trained on.

    model_info : see `faultdx.report.html.render`; a key that is missing is a sentence or is left out
    """
    d = diagnosis
    if d.status in {"unusable", "error"}:
        said = ["Nothing about the machine: its condition was not assessed."]
    else:
        said = ["How severe a fault is, how fast it grows and how long the part will last were not assessed."]
    if d.rpm is None:
        said.append("The speed is not known: no line of a spectrum can be tied to a bearing, a gear or the shaft.")
    if d.record is not None and d.record.unit is None:
        said.append("No unit is declared: amplitudes are raw units, and no limit of a standard applies to them.")
    elif d.record is not None:
        said.append("No vibration zone (ISO 20816) is given: it needs velocity and the class of the machine.")
    if spectral.physical(d):
        return [*said, *(() if d.status in {"unusable", "error"} else spectral.LIMITS)]
    classes = [show(str(name)) for name in model_info.get("classes") or ()]
    if classes:
        more = f" and {len(classes) - _MAX_CLASSES} more" if len(classes) > _MAX_CLASSES else ""
        said.append(
            f"The model knows these classes and no other: {', '.join(classes[:_MAX_CLASSES])}{more}. "
            "A fault of another kind gets one of these names."
            if d.familiarity is None
            else f"The model knows these classes and no other: {', '.join(classes[:_MAX_CLASSES])}{more}. "
            "A fault of another kind gets one of these names where the recording looks familiar."
        )
    said += _not_familiar(d, model_info)
    if split_leaks(model_info.get("split")):
        said.append(
            "The model's scores come from a split that leaks (training and test share recordings): "
            "they say little about another machine."
        )
    if d.confidence is not None and model_info.get("temperature") is None:
        said.append("The confidence is not calibrated: read it as an order, not as how often it is right.")
    trained_rpm = _range(model_info, "rpm")
    if d.rpm is not None and math.isfinite(d.rpm) and trained_rpm and not trained_rpm[0] <= d.rpm <= trained_rpm[1]:
        said.append(
            f"The speed, {d.rpm:g} rpm, lies outside what the model was trained on "
            f"({trained_rpm[0]:g} to {trained_rpm[1]:g} rpm)."
        )
    return said


def _not_familiar(d: Diagnosis, model_info: Mapping[str, Any]) -> list[str]:
    """What could not be said of the recording's likeness to the training records, and why."""
    if d.status in {"unusable", "error"}:
        return []
    if d.familiarity is None:
        entry = model_info.get("familiarity")
        why = f": {show(str(entry['why']))}" if isinstance(entry, Mapping) and entry.get("why") else ""
        return [f"Whether this recording is like those that the model was trained on was not assessed{why}."]
    missing = _conformal(model_info).get("why_not")
    return [f"No set of classes with a stated coverage is given: {show(str(missing))}."] if missing else []


def _range(model_info: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    """The [low, high] of the training envelope for `key`, where it is a pair of numbers."""
    envelope = model_info.get("envelope")
    pair = envelope.get(key) if isinstance(envelope, Mapping) else None
    try:
        low, high = (float(end) for end in pair)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
