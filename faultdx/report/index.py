"""The reports of a run -> one page that lists them, worst first: `index.html` beside them.

A run may have any number of recordings: only the worst `MOST` are kept, the others are counted, so that memory and
page stay bounded. The order: by `group_of`, then the severity, then the confidence, then as they came.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import action, parts, text
from faultdx.report.legible import for_reading
from faultdx.report.spectral import by_spectrum
from faultdx.report.words import language, say

MOST = 1000  # rows of the page
MARK = '<meta name="generator" content="faultdx index">\n'
_LONGEST = 120  # characters of a name
# From the worst to the best. Severe vibration comes first, whatever the verdict.
GROUPS = ("severe", "fault", "undecided", "unfamiliar", "unusable", "error", "open", "good")
_TONES = {"severe": "bad", "fault": "bad", "undecided": "doubt", "unfamiliar": "doubt", "open": "doubt", "good": "good"}
_CSS = """
.counts{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.8rem 0}.counts b{display:block;font-size:1.3rem}
.list th{width:auto}.list td:first-child{width:10rem;border-left:.3rem solid var(--tone);padding-left:.6rem}
.list td:first-child b{color:var(--tone)}.list td.n{width:6.5rem}.list a{overflow-wrap:anywhere;unicode-bidi:isolate}
a{color:var(--line)}
@media screen and (max-width:40rem){.list,.list tbody{display:block}.list tr.head{display:none}
.list tr{display:flex;flex-wrap:wrap;gap:0 1.2rem;border-left:.3rem solid var(--tone);
border-bottom:1px solid var(--edge);padding:.45rem 0 .45rem .7rem}
.list td,.list td:first-child{display:block;width:100%;border:0;padding:0}.list td:first-child div{display:inline}
.list td.n{width:auto;text-align:left;color:var(--soft);font-size:.87rem}.list td.void{display:none}
.list td.n::before{content:attr(data-name) ": "}}
"""


@dataclass(frozen=True)
class Listed:
    """A recording as a row of the list: texts already made safe for a message, not yet for HTML.

    group : of GROUPS; word, what : of `text.headline`; confidence : as text; severity : of `action.SEVERITIES`, or ""
    note : why there is no diagnosis, or what to do next
    """

    file: str
    asset: str
    group: str
    word: str
    what: str
    confidence: str
    severity: str
    severity_word: str
    note: str
    weight: float = 0.0


def listed(diagnosis: Diagnosis) -> Listed:
    """Return the row of a diagnosis."""
    d = for_reading(diagnosis)
    _, word, what = text.headline(d)
    advice = action.advice(d)
    note = text.asides(d)[:1]
    if d.status in {"unusable", "error"}:
        note = [str((d.error or {}).get("message", "")) or "; ".join(c.message for c in d.quality)]
        note = [note[0].removeprefix(f"{show(d.file)}: ")]
    known = d.status == "diagnosed" and d.confidence is not None and math.isfinite(d.confidence)
    return Listed(
        file=_cut(d.file),
        asset=_cut((d.record.asset if d.record is not None else None) or ""),
        group=group_of(d, advice.severity),
        word=word,
        what=_cut(what),
        confidence=text.percent(d.confidence) if known and not by_spectrum(d) else "",
        severity=advice.severity,
        severity_word=advice.word if advice.severity else "",
        note=_cut(note[0] if note else ""),
        weight=float(d.confidence) if known and d.confidence is not None else 0.0,
    )


def group_of(diagnosis: Diagnosis, severity: str) -> str:
    """Return where in the list a result belongs, of GROUPS: what is worst, or least known, comes first."""
    d = diagnosis
    if severity in {"alarm", "danger"}:
        return "severe"
    if d.fault:
        return "fault"
    if d.status in {"undecided", "unfamiliar", "unusable", "error"}:
        return d.status
    return "open" if d.fault is None or severity == "monitor" else "good"


class Index:
    """Takes rows as they come and keeps the worst."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[str] = Counter()
        self._worst: list[tuple[tuple[float, ...], int, Listed, str]] = []

    def add(self, row: Listed, *, link: str) -> None:
        """Take a row. link : the report beside the index, "" for one that was not written."""
        self.total += 1
        self._counts[row.group] += 1
        severity = action.SEVERITIES.index(row.severity) if row.severity else -1
        # the smallest of a heap is thrown out first: the best
        key = (float(-GROUPS.index(row.group)), float(severity), row.weight)
        entry = (key, -self.total, row, link)
        if len(self._worst) < MOST:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def page(self, *, passed_over: int = 0) -> str:
        """Return the list as a whole page. passed_over : recordings that the history had already."""
        ranked = sorted(self._worst, reverse=True)
        counts = "".join(
            f"<span><b>{self._counts[group]}</b>{parts.safe(say(f'index.{group}'))}</span>"
            for group in GROUPS
            if self._counts[group]
        )
        notes = []
        if self.total > len(ranked):
            notes.append(say("index.cut", shown=len(ranked), total=self.total))
        if passed_over:
            notes.append(say("index.passed_over", count=passed_over))
        head = f"<th></th><th>{parts.safe(say('index.recording'))}</th>"
        head += "".join(f'<th class="n">{parts.safe(say(f"index.{key}"))}</th>' for key in ("confidence", "severity"))
        rows = "\n".join(_row(row, link) for _, _, row, link in ranked)
        body = (
            f"<h1>{parts.safe(say('index.title', count=self.total))}</h1>\n"
            f'<div class="counts soft">{counts}</div>\n'
            + "".join(f"<p>{parts.safe(note)}</p>\n" for note in notes)
            + f'<table class="list">\n<tr class="head">{head}</tr>\n{rows}\n</table>\n'
            + f'<p class="soft">{parts.safe(say("index.order"))}</p>'
        )
        page = parts.page(say("index.title", count=self.total), [body], language=language(), css=_CSS)
        return page.replace("<title>", MARK + "<title>", 1)


def _row(row: Listed, link: str) -> str:
    name = parts.breakable(row.file)
    name = f'<a href="{parts.safe(link)}">{name}</a>' if link else name
    small = " · ".join(part for part in (row.asset, row.note) if part)
    below = f' <div class="soft">{parts.safe(small)}</div>' if small else ""
    tone, word, what = _TONES.get(row.group, "none"), parts.safe(row.word), parts.safe(row.what)
    figures = "".join(
        f'<td class="n{"" if value else " void"}" data-name="{parts.safe(say(f"index.{key}"))}">'
        f"{parts.safe(value or '-')}</td>"
        for key, value in (("confidence", row.confidence), ("severity", row.severity_word))
    )
    first = f"<td><b>{word}</b> <div>{what}</div></td>"
    return f'<tr class="{tone}">{first}<td>{name}{below}</td>{figures}</tr>'


def _cut(text_: str) -> str:
    said = show(text_)
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
