"""model.json -> MODEL_CARD.md: what the model is, what it was trained on, how it scored, what it is not for.

A key that is missing is left out; a split that leaks is the first thing said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from faultdx.files import show
from faultdx.report.document import plain
from faultdx.report.text import split_leaks, split_words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")
_MAX_NAMES = 200  # of classes named in a card

_USE = """\
To tell known faults apart in recordings of machines like those it was trained on: the same kind of sensor, place,
speed and load. It is an aid for somebody who knows the machine, never the only ground to run it on or to stop it."""

_LIMITS = (
    "It names no fault outside its classes; such a recording gets a wrong name.",
    "It judges neither severity nor remaining life.",
    "Its scores hold for the split named here. On another machine expect less, until that was measured.",
)


def model_card(model: Mapping[str, Any]) -> str:
    """Return the model card, Markdown, from the mapping of `model.json`.

    model : any of name, version, digest, classes, healthy (or healthy_classes), sampling_rate_hz, segment_samples,
        channels, normalisation, network {name, parameters}, training, noise, temperature, split {method, note or
        description, leakage}, scores (nested by split, noise and level), envelope {rms, rpm}, trained_on or dataset
        {records, segments, digest}, versions

    No key is needed and none is trusted: names go through `show` and are escaped.
    """
    split = model.get("split")
    name = model.get("name")
    parts = [f"# Model card{': ' + _prose(name) if name else ''}"]
    if split_leaks(split):
        parts.append(
            "> **WARNING: LEAKING SPLIT.** Training and test share recordings or segments. The scores below are too "
            "good, and say nothing about another machine."
        )
    parts += [_section(title, body) for title, body in _sections(model, split) if body]
    return "\n\n".join(parts) + "\n"


def _sections(model: Mapping[str, Any], split: Any) -> list[tuple[str, str]]:
    limits = [*_LIMITS]
    if model.get("temperature") is None:
        limits.append("Its confidence is not calibrated.")
    trained = _first(model, "trained_on", "dataset")
    return [
        ("Intended use", _USE),
        (
            "The model",
            _table(_picked(model, "version", "digest", "network", "parameters", "normalisation", "temperature")),
        ),
        ("Input", _table(_picked(model, "sampling_rate_hz", "segment_samples", "channels"))),
        ("Classes", _classes(model)),
        (
            "Training",
            _table(
                [
                    *_rows(trained, "data"),
                    *_rows(model.get("dataset_digest"), "dataset digest"),
                    *_rows(_first(model, "noise", "training_noise"), "noise"),
                    *_picked(model, "training"),
                    *_rows(model.get("envelope"), "range"),
                ]
            ),
        ),
        ("Split", _prose(split_words(split)) + "." if isinstance(split, Mapping) and split else ""),
        ("Scores", _scores(model.get("scores"))),
        ("Limits", "\n".join(f"- {sentence}" for sentence in limits)),
        ("Versions", _table(_rows(model.get("versions"), ""))),
    ]


def _scores(scores: Any) -> str:
    """Return a table a side, a line a condition, where the scores are `evaluation`'s; any others line by line."""
    rows, others = [], {}
    for side, conditions in plain(scores).items() if isinstance(scores, Mapping) else ():
        for condition, found in conditions.items() if isinstance(conditions, dict) else ():
            if isinstance(found, dict) and {"segment_accuracy", "record_accuracy", "macro_f1"} <= found.keys():
                numbers = [found.get(key) for key in ("segments", "records")]
                shares = [f"{100 * found[key]:.1f}" for key in ("segment_accuracy", "record_accuracy", "macro_f1")]
                worst = min((found.get("recall") or {"": 0.0}).items(), key=lambda item: item[1])
                cells = [side, condition, *map(str, numbers), *shares, f"{worst[0]} {100 * worst[1]:.1f}"]
                rows.append("| " + " | ".join(_prose(cell) for cell in cells) + " |")
            else:
                others[f"{side}, {condition}"] = found
        if not isinstance(conditions, dict):
            others[str(side)] = conditions
    if not rows:
        return _table(_rows(scores, ""), head=("measure", "value"))
    head = (
        "| part | noise | segments | records | segments right, % | records right, % | macro-F1, % | least recall, % |"
    )
    extra = _table(_rows(others, ""), head=("measure", "value"))
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *rows]) + (f"\n\n{extra}" if extra else "")


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _first(model: Mapping[str, Any], *keys: str) -> Any:
    return next((model[key] for key in keys if model.get(key) is not None), None)


def _prose(value: object) -> str:
    """Return outside text as Markdown that is only text."""
    return _SPECIAL.sub(r"\\\1", show(str(value)))


def _code(value: object) -> str:
    """Return outside text as a code span that ends where it should."""
    return "`" + show(str(value)).replace("`", "'") + "`"


def _classes(model: Mapping[str, Any]) -> str:
    classes = model.get("classes")
    if not isinstance(classes, (list, tuple)) or not classes:
        return ""
    named = _first(model, "healthy", "healthy_classes") or ()
    healthy = {str(name) for name in ([named] if isinstance(named, str) else named)}
    lines = [f"- {_code(name)}{' (healthy)' if str(name) in healthy else ''}" for name in classes[:_MAX_NAMES]]
    if len(classes) > _MAX_NAMES:
        lines.append(f"- and {len(classes) - _MAX_NAMES} more")
    return "\n".join(lines)


def _picked(model: Mapping[str, Any], *keys: str) -> list[tuple[str, str]]:
    return [row for key in keys for row in _rows(model.get(key), key)]


def _rows(value: Any, name: str) -> list[tuple[str, str]]:
    """Return a nested value as rows: ("test, noisy, records accuracy", "0.932")."""
    value = plain(value)
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in _rows(item, f"{name}, {key}" if name else str(key))]
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return [row for i, item in enumerate(value) for row in _rows(item, f"{name} {i + 1}".strip())]
    if isinstance(value, list):
        numbers = len(value) == 2 and not any(isinstance(item, str) for item in value)
        return [(name, (" to " if numbers else ", ").join(map(_said, value)))]
    return [] if value is None else [(name, _said(value))]


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(rows: list[tuple[str, str]], *, head: tuple[str, str] = ("", "")) -> str:
    lines = [
        f"| {_prose(name.replace('_', ' '))} | {_code(value.replace('|', '/'))} |" for name, value in rows if value
    ]
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *lines]) if lines else ""
