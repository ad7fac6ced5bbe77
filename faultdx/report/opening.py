"""The first screen of a report: the verdict, how sure it is and what to do; and what was recorded."""

from __future__ import annotations

from collections.abc import Mapping

from faultdx.diagnosis import Diagnosis
from faultdx.records.record import Record
from faultdx.report import action, parts, text, turning
from faultdx.report.document import number
from faultdx.report.recording import drawable
from faultdx.report.words import say

_MAX_CHANNELS = 12  # named
_RANKED = {"diagnosed", "undecided"}  # what an unfamiliar record is second most like counts for nothing


def verdict(d: Diagnosis) -> str:
    """Return the first screen: what was found and how sure that is, how severe it is, and what to do by when."""
    tone, word, what = text.headline(d)
    follows = action.advice(d)
    severity = parts.safe(follows.word)
    if follows.severity:
        severity = f'<b class="badge {follows.severity}">{severity}</b>'
    rows = [
        (say("action.severity"), f'{severity} <span class="soft">({parts.safe(follows.basis)})</span>'),
        (say("action.next_step"), parts.safe(follows.step)),
        (say("action.by_when"), parts.safe(follows.when)),
        (say("action.second_best"), parts.safe(action.second_best(d)) if d.status in _RANKED else ""),
        (say("action.witnesses"), parts.safe(action.witnesses(d))),
    ]
    table = "\n".join(
        f'<tr><th scope="row">{parts.safe(name)}</th><td>{value}</td></tr>' for name, value in rows if value
    )
    return (
        f'<section class="verdict {tone}">\n<div class="word">{parts.safe(word)}</div>\n<h1>{parts.safe(what)}</h1>\n'
        f"<p>{parts.safe(text.sentence(d))}</p>{_figures(d)}\n<table>\n{table}\n</table>\n</section>"
    )


def _figures(d: Diagnosis) -> str:
    """The numbers of a verdict, large: its confidence, and how many segments vote for it."""
    if d.status != "diagnosed" or d.confidence is None:
        return ""
    weighed = d.evidence.get("agreement")
    both = isinstance(weighed, Mapping) and weighed.get("calibrated")
    shown = [
        (say("page.confidence_weighed" if both else "page.confidence"), text.percent(d.confidence)),
        (say("page.votes"), text.percent(d.agreement, exact=True)),
    ]
    cells = "".join(f"<span><b>{parts.safe(value)}</b>{parts.safe(name)}</span>" for name, value in shown)
    return f'\n<div class="figures">{cells}</div>'


def header(d: Diagnosis) -> str:
    """Return the section of what was recorded: machine, place, speed, rate, unit, and who says so."""
    r = d.record
    rows = [(say("page.file"), d.file)]
    if r is not None:
        rows += [
            (say("page.asset"), r.asset or ""),
            (say("page.specimen"), r.specimen or ""),
            (say("page.condition"), r.condition or ""),
        ]
        rows += [
            (say("page.channel"), ", ".join(r.channels[:_MAX_CHANNELS])),
            (say("page.declared_class"), r.label or ""),
        ]
    rate_hz = number(d.sampling_rate_hz, digits=12)
    speed = say("page.rpm", rpm=d.rpm) if number(d.rpm) is not None else None
    known = _with_source(r, "rpm", speed) if speed else turning.suggestion(d) if d.evidence.get("speed") else ""
    rows.append((say("page.speed"), known or say("page.not_known")))
    rate = say("page.hertz", hz=rate_hz) if rate_hz else None
    rows.append((say("page.rate"), _with_source(r, "sampling_rate_hz", rate)))
    if r is not None:
        if drawable(r) is None:
            length = say("page.seconds", seconds=r.duration_s, samples=r.signal.shape[1])
            rows.append((say("page.duration"), length))
        rows.append((say("page.unit"), _with_source(r, "unit", r.unit or None, missing="page.no_unit")))
        rows += [(say("page.format"), r.format)]
        rows += [(say("page.note"), note) for note in r.notes]
    return parts.table_section(say("page.recording"), [*rows, (say("page.digest"), d.sha256)]) + turning.section(d)


def _with_source(record: Record | None, key: str, value: str | None, *, missing: str = "page.not_known") -> str:
    source = record.known_from.get(key) if record is not None else None
    if value is None:
        return say(missing)
    return say("page.from", value=value, source=source) if source else value
