"""model.json -> MODEL_CARD.md: what the model is, what it was trained on, how it scored, what it is not for.

A key that is missing is left out; a split that leaks is the first thing said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from faultdx.files import show
from faultdx.report.document import number, plain
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

    model : name, version, classes, healthy, sampling_rate_hz, segment_samples, channels, normalization, temperature,
        min_confidence, familiarity, envelope {rms, rpm}, network {name, parameters, multiply_adds, architecture},
        noise {kinds, snr_db}, split {method, level, leakage, notes}, trained_on {records, segments, specimens,
        digest}, best_epoch, scores {val, test} as of `evaluation.evaluate_side`, faultdx_version, schema, weights

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
    if not _calibrated(model):
        limits.append("Its confidence is not calibrated.")
    identity = [*_picked(model, "version"), *_network(model.get("network"))]
    confidence = [*_temperature(model), *_picked(model, "min_confidence"), *_familiarity(model.get("familiarity"))]
    training = [*_rows(model.get("trained_on"), "data"), *_noise(model.get("noise"))]
    training += [*_rows(model.get("envelope"), "range"), *_picked(model, "best_epoch")]
    return [
        ("Intended use", _USE),
        ("The model", _table([*identity, *confidence])),
        ("Input", _table(_picked(model, "sampling_rate_hz", "segment_samples", "channels", "normalization"))),
        ("Classes", _classes(model)),
        ("Training", _table(training)),
        ("Split", _prose(split_words(split)) + "." if isinstance(split, Mapping) and split else ""),
        ("Scores", _scores(model.get("scores"))),
        ("Limits", "\n".join(f"- {sentence}" for sentence in limits)),
        ("Made with", _table(_picked(model, "faultdx_version", "schema", "weights"))),
    ]


def _network(network: Any) -> list[tuple[str, str]]:
    """Return the network's rows; its architecture, a dozen numbers, is one of them."""
    if not isinstance(network, Mapping):
        return _rows(network, "network")
    rows = _rows({key: value for key, value in network.items() if key != "architecture"}, "network")
    parts = [f"{key} {value}" for key, value in _rows(network.get("architecture"), "")]
    return [*rows, ("network, architecture", "; ".join(parts).replace("_", " "))]


def _calibrated(model: Mapping[str, Any]) -> bool:
    """Tell whether there is a temperature, and were validation segments to fit it on."""
    scores = model.get("scores")
    return model.get("temperature") is not None and not (isinstance(scores, Mapping) and scores.get("val") == {})


def _temperature(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    fitted = "fitted on validation segments"
    noise = model.get("noise")
    if isinstance(noise, Mapping) and noise.get("kinds"):
        fitted += ", those with added noise included"
    basis = fitted if _calibrated(model) else "not fitted: there were no validation segments"
    return [(name, f"{value} ({basis})") for name, value in _picked(model, "temperature")]


def _familiarity(entry: Any) -> list[tuple[str, str]]:
    """Return what the limits of the familiarity and of the conformal set rest on; the numbers stay in model.json."""
    if not isinstance(entry, Mapping):
        return []
    if entry.get("assessed") is False:
        return [("familiarity", f"not assessed: {show(str(entry.get('why')))}")]
    rows = _rows(entry.get("limits_from"), "familiarity, limits from")
    for name in ("statistics", "features"):
        space = entry.get(name)
        rows += _rows(space.get("limit"), f"familiarity, limit of the {name}") if isinstance(space, Mapping) else []
    return [*rows, *_rows(entry.get("conformal"), "conformal set")]


def _noise(noise: Any) -> list[tuple[str, str]]:
    """Return the rows of the noise that was added in training; no kinds is no noise, and is said."""
    if isinstance(noise, Mapping) and noise.get("kinds") in ([], ()):
        return [("added noise", "none")]
    return _rows(noise, "added noise")


def _scores(scores: Any) -> str:
    """Return a table, a line a side and condition. What is not scores as `evaluation` writes them is left out."""
    rows = []
    shares = ("segment_accuracy", "record_accuracy", "macro_f1")
    for side, conditions in plain(scores).items() if isinstance(scores, Mapping) else ():
        for condition, found in conditions.items() if isinstance(conditions, dict) else ():
            if not isinstance(found, dict) or any(number(found.get(key)) is None for key in shares):
                continue
            cells = [side, condition, found.get("segments", "-"), found.get("records", "-")]
            cells += [_hundredths(found[key]) for key in shares]
            recall = found.get("recall")
            known = recall.items() if isinstance(recall, dict) else ()
            least = min(((share, name) for name, share in known if number(share) is not None), default=None)
            cells.append(f"{least[1]} {_hundredths(least[0])}" if least else "-")
            rows.append("| " + " | ".join(_prose(cell) for cell in cells) + " |")
    if not rows:
        return ""
    head = (
        "| part | noise | segments | records | segments right, % | records right, % | macro-F1, % | least recall, % |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *rows])


def _hundredths(share: float) -> str:
    return f"{100 * share:.1f}"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


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
    named = model.get("healthy")
    healthy = {str(name) for name in (named if isinstance(named, (list, tuple)) else ())}
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
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [
        f"| {_prose(name.replace('_', ' '))} | {_code(value.replace('|', '/'))} |" for name, value in rows if value
    ]
    return "\n".join(["|  |  |", "|---|---|", *lines]) if lines else ""
