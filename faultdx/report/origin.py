"""Where a result comes from, to the digest: the recording, the program, the model, its training and its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import faultdx
from faultdx.diagnosis import Diagnosis
from faultdx.report import parts, spectral, text
from faultdx.report.document import flat, number, plain
from faultdx.report.words import say

_MAX_NOTES = 12  # on the split, named one by one
_MAX_CLASSES = 12  # named one by one; more are counted
# Of model.json, what has a section of its own, stands in the model card, or is numbers for the program alone.
_UNSAID = ("schema", "weights", "familiarity", "shrinkage", "agreement", "faultdx_version")

Rows = list[tuple[str, str]]


def section(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    """Return the section: a table in parts, each name in words; what nobody knows is left out."""
    info = {**d.model, **{key: value for key, value in model_info.items() if value is not None}}
    split = info.pop("split", None)
    groups = [(say("origin.asked"), _asked(d))]
    if spectral.physical(d):  # of a network nothing can be said
        groups[0][1].append((say("origin.model"), say("origin.physics")))
    else:
        groups.append((say("origin.model_part"), _model(info)))
        groups.append((say("origin.training"), _training(info)))
        groups.append((say("origin.scores"), _scored(split, info)))
        for unread in _UNSAID:
            info.pop(unread, None)
        groups.append((say("origin.other"), [(name.replace("_", " "), value) for name, value in flat(plain(info))]))
    loud = f'<p class="loud">{parts.safe(say("origin.leaks"))}</p>\n' if text.split_leaks(split) else ""
    return parts.section(say("origin.title"), loud + parts.grouped(groups))


def _asked(d: Diagnosis) -> Rows:
    rows = [(say("origin.recording"), d.sha256)]
    found = d.evidence.get("baseline")
    if isinstance(found, Mapping) and found.get("digest"):
        digest, why = str(found["digest"]), found.get("obstacle")
        key, values = ("unused", {"why": str(why)}) if why else ("value", {"count": int(found.get("records") or 0)})
        rows.append((say("origin.baseline"), say(f"origin.baseline_{key}", digest=digest, **values)))
    return [*rows, (say("origin.version"), faultdx.__version__)]


def _model(info: dict[str, Any]) -> Rows:
    """Take from `info` what the model is, as rows."""
    classes, healthy = info.pop("classes", None) or (), info.pop("healthy", None) or ()
    good = ", ".join(map(str, healthy)) or say("origin.none")
    known = ""
    if len(classes) > _MAX_CLASSES:
        known = say("origin.classes_count", count=len(classes), healthy=good)
    elif classes:
        known = say("origin.classes_value", names=", ".join(map(str, classes)), healthy=good)
    scaled = str(info.pop("normalization", None) or "")
    heat = number(info.pop("temperature", None))
    least = number(info.pop("min_confidence", None))
    return [
        (say("origin.model"), str(info.pop("name", ""))),
        (say("origin.model_version"), str(info.pop("version", ""))),
        (say("origin.model_digest"), str(info.pop("digest", ""))),
        (say("origin.content_digest"), str(info.pop("content_sha256", ""))),
        (say("origin.network"), _network(info.pop("network", None))),
        (say("origin.classes"), known),
        (say("origin.input"), _input(info)),
        (say("origin.normalization"), say("origin.unscaled") if scaled == "none" else scaled),
        (say("origin.temperature"), say("origin.no_temperature") if heat is None else f"{heat:.3g}"),
        (say("origin.threshold"), _least(least)),
    ]


def _least(share: float | None) -> str:
    return "" if share is None else say("origin.threshold_value", share=text.percent(share, exact=True))


def _network(found: Any) -> str:
    if not isinstance(found, Mapping):
        return str(found or "")
    name, size, cost = str(found.get("name", "")), number(found.get("parameters")), number(found.get("multiply_adds"))
    if size is None:
        return name
    if cost is None:
        return say("origin.network_value", name=name, parameters=size)
    return say("origin.network_cost", name=name, parameters=size, cost=cost)


def _input(info: dict[str, Any]) -> str:
    hz, samples = number(info.pop("sampling_rate_hz", None), digits=12), number(info.pop("segment_samples", None))
    channels = info.pop("channels", None) or ()
    if not hz or not samples:
        return ""
    named = ", ".join(map(str, channels))
    if len(channels) > _MAX_CLASSES or not channels:
        named = say("origin.many_channels", count=len(channels) or 1)
    return say("origin.input_value", channels=named, hz=hz, samples=int(samples), seconds=samples / hz)


def _training(info: dict[str, Any]) -> Rows:
    """Take from `info` what the model was trained on, as rows."""
    data, envelope, noise = (info.pop(key, None) for key in ("trained_on", "envelope", "noise"))
    data = dict(data) if isinstance(data, Mapping) else {}
    counts = {key: number(data.get(key)) for key in ("segments", "records", "specimens")}
    amount = ""
    if None not in counts.values():
        amount = say("origin.trained_value", **{key: int(n or 0) for key, n in counts.items()})
        data = {key: value for key, value in data.items() if key not in counts}
    rows = [
        (say("origin.trained_on"), amount),
        (say("origin.data_digest"), str(data.pop("digest", ""))),
        *((name.replace("_", " "), value) for name, value in flat(plain(data))),
    ]
    for key, named, form in (("rms", "level", "range"), ("rpm", "speed", "speed_value")):
        ends = _pair(envelope, key)
        rows.append((say(f"origin.{named}"), say(f"origin.{form}", low=ends[0], high=ends[1]) if ends else ""))
    ends, kinds = _pair(noise, "snr_db"), noise.get("kinds") if isinstance(noise, Mapping) else None
    if ends and kinds:
        said = say("origin.noise_value", kinds=", ".join(map(str, kinds)), low=ends[0], high=ends[1])
        rows.append((say("origin.noise"), said))
    epoch = number(info.pop("best_epoch", None))
    return [*rows, (say("origin.epoch"), "" if epoch is None else f"{epoch:g}")]


def _pair(found: Any, key: str) -> tuple[float, float] | None:
    """The two finite numbers that a mapping has under a key, None where it has not."""
    try:
        low, high = (float(end) for end in found[key])
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _scored(split: Any, info: dict[str, Any]) -> Rows:
    rows = [(say("origin.split"), text.split_words(split, notes=False))]
    notes = text.split_notes(split)  # a row each: together they may be longer than one text of this page
    rows += [(say("origin.split_note"), note) for note in notes[:_MAX_NOTES]]
    if len(notes) > _MAX_NOTES:
        rows.append(("", say("origin.more_notes", count=len(notes) - _MAX_NOTES)))
    return [*rows, *_scores(info)]


def _scores(info: dict[str, Any]) -> Rows:
    """Take the model's test scores out of `info`: a row a condition. Other shapes of scores are left there."""
    scores = info.get("scores")
    test = scores.get("test") if isinstance(scores, Mapping) else None
    keys = {"segment_accuracy", "record_accuracy", "segments", "records"}
    if not isinstance(test, Mapping) or not all(isinstance(v, Mapping) and keys <= v.keys() for v in test.values()):
        return []
    del info["scores"]
    return [
        (
            say("origin.score", condition=condition),
            say(
                "origin.score_value",
                segment_accuracy=text.percent(found["segment_accuracy"], exact=True),
                segments=found["segments"],
                record_accuracy=text.percent(found["record_accuracy"], exact=True),
                records=found["records"],
            ),
        )
        for condition, found in test.items()
    ]
