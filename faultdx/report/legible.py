"""Names as a person reads them: a class that a model calls inner_race is the "inner race" on a page.

JSON, CSV, lines and tables of a terminal keep the spelling of the model: scripts match it, and so does `--fail-on`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from faultdx.diagnosis import Diagnosis


def spoken(name: str) -> str:
    """Return a name without the spelling of code: "inner_race" is "inner race"; ends and a lone "_" stay."""
    return re.sub(r"(?<=[^\W_])_+(?=[^\W_])", " ", name)


_RACES = ("outer_race", "inner_race")


def names_of(classes: Iterable[str]) -> dict[str, str]:
    """Return class -> how it is read; a name that would be read like another one keeps its spelling."""
    known = list(dict.fromkeys(classes))
    said = [spoken(name) for name in known]
    return {name: word if said.count(word) == 1 else name for name, word in zip(known, said, strict=True)}


def for_reading(diagnosis: Diagnosis) -> Diagnosis:
    """Return a diagnosis whose classes are called as a person reads them; the samples are the same."""
    d = diagnosis
    names = names_of(d.probabilities or _RACES)  # without a model the spectrum names places
    label = None if d.record is None or d.record.label is None else names.get(d.record.label, spoken(d.record.label))
    if d.record is not None and label != d.record.label:
        d = replace(d, record=replace(d.record, label=label))
    if all(name == word for name, word in names.items()):
        return d
    changes: dict[str, Any] = {
        "verdict": names.get(d.verdict, d.verdict) if d.verdict is not None else None,
        "probabilities": {names[name]: p for name, p in d.probabilities.items()},
        "warnings": tuple(in_text(warning, names) for warning in d.warnings),
    }
    if d.conformal_set is not None:
        changes["conformal_set"] = tuple(names.get(name, name) for name in d.conformal_set)
    if d.familiarity is not None:
        told = {key: d.familiarity.get(key) for key in ("nearest", "reason")}
        changes["familiarity"] = {**d.familiarity, **{k: in_text(v, names) for k, v in told.items() if v}}
    if d.explanation is not None:
        changes["explanation"] = replace(d.explanation, about=names.get(d.explanation.about, d.explanation.about))
    return replace(d, **changes)


def info_for_reading(model_info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a model with its classes called as `for_reading` calls them."""
    names = names_of(map(str, model_info.get("classes") or ()))
    out = dict(model_info)
    for key in ("classes", "healthy"):
        if model_info.get(key):
            out[key] = [names.get(str(name), spoken(str(name))) for name in model_info[key]]
    return out


def in_text(text: str, names: Mapping[str, str]) -> str:
    """Return a sentence with the names in it as they are read; a part of a path or of another word stays."""
    changed = sorted((name for name, word in names.items() if name != word), key=len, reverse=True)
    if not changed:
        return text
    found = re.compile(rf"(?<![\w/\\.-])({'|'.join(map(re.escape, changed))})(?![\w/\\-]|\.\w)")
    return found.sub(lambda match: names[match[1]], text)
