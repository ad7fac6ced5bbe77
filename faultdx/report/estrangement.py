"""What an evaluation says of familiarity and conformal sets: a section of its page, rows of its CSV, lines for a
terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from faultdx.report import plots
from faultdx.report.words import say

Evaluation = Mapping[str, Any]
_PARTS = ("refused", "unfamiliar", "checked")
_OUTCOMES = ("flagged", *_PARTS, "unnoticed", "called_healthy")
_SHOWN = ("flagged", *_PARTS, "called_healthy")  # on the page, which is narrow


def groups(evaluation: Evaluation) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (condition, group, counts) of what was looked at: the records as they are, each kind of copy, another rig.

    Nothing where familiarity was not assessed, and of an evaluation of before.
    """
    found = evaluation.get("familiarity") or {}
    if not found.get("assessed"):
        return
    yield "clean", "", found["records"]
    if "corrupted" in found:
        yield "corrupted", "", found["corrupted"]
        for kind, counts in found["corrupted"]["kinds"].items():
            yield "corrupted", kind, counts
    if "foreign" in found:
        yield "foreign", "", found["foreign"]


def rows(evaluation: Evaluation) -> Iterator[tuple[str, str, str, Mapping[str, Any], int]]:
    """Yield (condition, metric, group, {value, low, high}, count of records) of each figure, for the CSV."""
    for condition, group, counts in groups(evaluation):
        for metric in _OUTCOMES:
            yield condition, metric, group, counts[metric], counts["count"]
    sets = (evaluation.get("familiarity") or {}).get("conformal") or {}
    if "coverage" in sets:
        yield "clean", "conformal coverage", "", sets["coverage"], sets["count"]
        size = {"value": sets["mean_size"], "low": None, "high": None}
        yield "clean", "conformal set size", "", size, sets["count"]


def summary(evaluation: Evaluation) -> list[str]:
    """Return a line or two for a terminal."""
    lines = []
    for condition, group, counts in groups(evaluation):
        if not group and counts["count"]:
            values = {name: _percent(counts[name], to=" to ") for name in ("flagged", "called_healthy")}
            lines.append(say(f"familiarity.line_{condition}", count=counts["count"], **values))
    sets = (evaluation.get("familiarity") or {}).get("conformal") or {}
    if "coverage" in sets:
        covered = _percent(sets["coverage"], to=" to ")
        stated = 100 * sets["stated_coverage"]
        lines.append(say("familiarity.line_sets", covered=covered, stated=stated, size=sets["mean_size"]))
    return lines


def section(evaluation: Evaluation) -> str:
    """Return the section of the page; "" for an evaluation of before."""
    found = evaluation.get("familiarity")
    if not found:
        return ""
    title = say("familiarity.title")
    if not found["assessed"]:
        return plots.section(title, f"<p>{plots.text(say('familiarity.not_assessed', why=found['why']))}</p>")
    header = ["", say("familiarity.count"), *(say(f"familiarity.{name}") for name in _SHOWN)]
    table = []
    for condition, group, counts in groups(evaluation):
        cells = [_percent(counts[name], plain=bool(group) or name in _PARTS) for name in _SHOWN]
        table.append([group or say(f"familiarity.{condition}"), counts["count"], *cells])
    body = f"<p>{plots.text(say('familiarity.means'))}</p>" + plots.table(header, table)
    if "foreign" in found:
        body += _soft(say("familiarity.foreign_path", path=found["foreign"]["path"], unread=found["foreign"]["unread"]))
    return plots.section(title, body + _sets(found["conformal"]))


def _sets(sets: Mapping[str, Any]) -> str:
    if "why_not" in sets:
        return f"<p>{plots.text(say('familiarity.no_sets', why=sets['why_not']))}</p>"
    sizes = ", ".join(say("familiarity.size", size=size, n=n) for size, n in sets["sizes"].items())
    said = say(
        "familiarity.sets",
        covered=_percent(sets["coverage"]),
        count=sets["count"],
        stated=100 * sets["stated_coverage"],
        holds_for=sets["holds_for"],
        size=sets["mean_size"],
        sizes=sizes,
    )
    return f"<p>{plots.text(said)}</p>"


def _soft(said: str) -> str:
    return f'<p class="soft">{plots.text(said)}</p>'


def _percent(f: Mapping[str, Any], *, to: str = "\u00a0to\u00a0", plain: bool = False) -> str:
    """ "75.1 (63.5 to 85.6)", or "75.1" where it is to be `plain`; "-" where nothing was counted."""
    if f["value"] is None:
        return "-"
    said = f"{100 * f['value']:.1f}"
    return said + (f" ({100 * f['low']:.1f}{to}{100 * f['high']:.1f})" if f["low"] is not None and not plain else "")
