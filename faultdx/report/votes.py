"""What the network says of a recording: the classes, and each segment over time."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from faultdx.diagnosis import Diagnosis
from faultdx.report import parts, text
from faultdx.report.document import number
from faultdx.report.words import say

_MAX_CLASSES = 12  # drawn one by one; the rest is summed
_MAX_STEPS = 200  # of a class's probability over time


def probabilities(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    """Return the section of the classes and their probabilities, the likeliest first."""
    ranked = sorted(((name, float(number(p) or 0.0)) for name, p in d.probabilities.items()), key=lambda row: -row[1])
    rest = ranked[_MAX_CLASSES:]
    healthy = {str(name) for name in model_info.get("healthy") or ()}
    rows = []
    shown = ranked[:_MAX_CLASSES]
    if rest:
        shown.append((say("page.other_classes", count=len(rest)), sum(p for _, p in rest)))
    for name, p in shown:
        tags = [
            tag
            for tag, yes in (
                (say("page.verdict"), name == d.verdict),
                (say("page.healthy"), name in healthy and name != "healthy"),
            )
            if yes
        ]
        tag = f' <span class="soft">({html.escape(", ".join(tags))})</span>' if tags else ""
        bar = f'<div class="bar"><i style="width:{100 * min(max(p, 0.0), 1.0):.1f}%"></i></div>'
        value = html.escape(text.percent(p))
        rows.append(f'<tr><th scope="row">{parts.safe(name)}{tag}</th><td>{bar}</td><td class="n">{value}</td></tr>')
    return parts.section(say("page.probabilities"), "<table>\n" + "\n".join(rows) + "\n</table>" if rows else "")


def over_time(d: Diagnosis) -> str:
    """Return the section of one row a class: its probability, 0 to 1 in height, from the first segment to the last."""
    p, names = d.segment_probabilities, list(d.probabilities)
    if p is None or p.ndim != 2 or 0 in p.shape or p.shape[1] != len(names):
        return ""
    p = np.clip(np.nan_to_num(p), 0, 1)
    votes = np.bincount(p.argmax(axis=1), minlength=len(names))
    order = sorted(range(len(names)), key=lambda k: (-votes[k], -p[:, k].mean()))[:_MAX_CLASSES]
    steps = np.array_split(p, min(len(p), _MAX_STEPS))
    heights = 1 - np.array([step.mean(axis=0) for step in steps])
    rows = []
    for k in order:
        path = "".join(f"H{i}V{y:.2f}" for i, y in enumerate(heights[:, k])) + f"H{len(steps)}V1Z"
        picture = f'<svg viewBox="0 0 {len(steps)} 1" preserveAspectRatio="none" aria-hidden="true">'
        rows.append(
            f'<tr><th scope="row">{parts.safe(names[k])}</th><td>{picture}<path d="M0 1{path}"/></svg></td>'
            f'<td class="n">{html.escape(say("page.of", votes=votes[k], segments=len(p)))}</td></tr>'
        )
    start, end = _span(d, len(p))
    ends = "".join(f"<span>{html.escape(end)}</span>" for end in (start, end))
    rows.append(f'<tr><th></th><td><div class="axis soft">{ends}</div></td><td></td></tr>')
    named, over, votes_column = (html.escape(say(f"page.{key}")) for key in ("class", "over_time", "votes_column"))
    head = f'<tr><th>{named}</th><td class="soft">{over}</td><td class="n soft">{votes_column}</td></tr>'
    note = []
    if len(p) > len(steps):
        note.append(say("page.mean_of", segments=len(p) / len(steps)))
    if len(names) > len(order):
        note.append(say("page.left_out", count=len(names) - len(order)))
    caption = f'\n<p class="soft">{parts.safe("; ".join(note))}</p>' if note else ""
    return parts.section(
        say("page.segments"), f'<table class="time">{head}\n' + "\n".join(rows) + f"\n</table>{caption}"
    )


def _span(d: Diagnosis, segments: int) -> tuple[str, str]:
    """Where the row of segments starts and ends, in seconds where that is known."""
    starts = d.segment_starts_s
    if starts is None or starts.shape != (segments,) or not np.isfinite(starts).all():
        return say("page.first_segment"), say("page.last_segment")
    hop_s = float(np.median(np.diff(starts))) if segments > 1 else 0.0
    return f"{starts[0]:.3g} s", f"{starts[-1] + hop_s:.4g} s"
