"""Where a result comes from: the model, what it was trained on and how it was scored, and the program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import faultdx
from faultdx.diagnosis import Diagnosis
from faultdx.report import parts, spectral, text
from faultdx.report.document import flat, plain
from faultdx.report.words import say

_MAX_NOTES = 12  # on the split, named one by one


def section(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    """Return the section of the model, what it was trained on, and the program, to the digest."""
    info = {**d.model, **{key: value for key, value in model_info.items() if value is not None}}
    split = info.pop("split", None)
    classes, healthy = info.pop("classes", None) or (), info.pop("healthy", None) or ()
    first = [(say("page.model"), str(info.pop("name", ""))), (say("page.model_version"), str(info.pop("version", "")))]
    first += [(say("page.model_digest"), str(info.pop("digest", "")))]
    data = flat(plain(info.pop("trained_on", None)))
    first += [(say("page.trained_on"), ", ".join(f"{name} {value}" for name, value in data))]
    named = ", ".join(map(str, healthy)) or say("page.none")
    known = say("page.classes_value", count=len(classes), healthy=named) if classes else ""
    first += [(say("page.classes"), known)]
    first += [(say("page.split"), text.split_words(split, notes=False))]
    notes = text.split_notes(split)  # a row each: together they may be longer than one text of this page
    first += [(say("page.split_note"), note) for note in notes[:_MAX_NOTES]]
    if len(notes) > _MAX_NOTES:
        first.append(("", say("page.more_notes", count=len(notes) - _MAX_NOTES)))
    first += _scores(info)
    network = info.get("network")
    if isinstance(network, Mapping):  # its layers stand in the model card
        info["network"] = {key: value for key, value in network.items() if key != "architecture"}
    for unread in ("schema", "weights", "familiarity", "shrinkage", "agreement", "faultdx_version"):
        info.pop(unread, None)
    loud = f'<p class="loud">{parts.safe(say("page.leaks"))}</p>\n' if text.split_leaks(split) else ""
    rest = flat(plain({"temperature": say("page.no_temperature"), **info}))
    if spectral.physical(d):  # of a network nothing can be said
        first, rest = first[:3], []
    rows: Iterable[tuple[str, str]] = [*first, *rest, (say("page.version"), faultdx.__version__)]
    return parts.section(
        say("page.provenance"), loud + parts.table([(name.replace("_", " "), value) for name, value in rows])
    )


def _scores(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Take the model's test scores out of `info`: a row a condition. Other shapes of scores are left there."""
    scores = info.get("scores")
    test = scores.get("test") if isinstance(scores, Mapping) else None
    keys = {"segment_accuracy", "record_accuracy", "segments", "records"}
    if not isinstance(test, Mapping) or not all(isinstance(v, Mapping) and keys <= v.keys() for v in test.values()):
        return []
    del info["scores"]
    return [
        (
            say("page.test_score", condition=condition),
            say(
                "page.test_score_value",
                segment_accuracy=text.percent(found["segment_accuracy"], exact=True),
                segments=found["segments"],
                record_accuracy=text.percent(found["record_accuracy"], exact=True),
                records=found["records"],
            ),
        )
        for condition, found in test.items()
    ]
