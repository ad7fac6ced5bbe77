"""The section of the trend: this recording beside the earlier ones of the same measuring point, as a history has them.

Same recording, same history: same bytes. Later recordings and those of another unit are left out. The limit is the
highest level among the earlier recordings that were diagnosed without a fault: if nothing has changed, a further one
of n + 1 is the highest with probability 1 / (n + 1), whatever the distribution. Where the recording was compared with
a baseline, its limit of the level stands beside it.

The time is that of the recordings where it is stated, else that of their files. Files that were copied together have
the time of the copying: of such the order of their names is taken, and that is said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.intake import parse_json
from faultdx.report import parts
from faultdx.report.curves import _INK, _LINE, _MARK, _inline, _number_axis, _style, _unit
from faultdx.report.row import Row, timestamp
from faultdx.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 200  # earlier recordings shown: the newest
HERE = "<!-- trend -->\n"  # where the section goes in a page that was rendered before the history was asked
_FEWEST = 3  # earlier recordings without a fault from which there is a limit
_DAY_S = 86_400.0
_COPIED_S = 5.0  # apart at most, in the median: files that were copied, not recordings that were made one by one
_COPYING_S = 86_400.0  # after the file of a recording others of the same copying may follow
_NAMED = 40  # characters of a file's name in the table


@dataclass(frozen=True)
class Earlier:
    """The earlier recordings of a measuring point. by_name : their order is that of their names, for want of a time."""

    rows: tuple[Row, ...] = ()
    by_name: bool = False


@dataclass(frozen=True)
class OwnLimit:
    """The limit of the level that a baseline sets: RMS in the unit of the recording, and of how many recordings."""

    level: float
    records: int


def asked_before(now: Row) -> Row:
    """Return the row whose time says up to when a history is to be asked: later for a file that may be a copy."""
    if now.time_from != "file":
        return now
    try:
        until = datetime.fromisoformat(now.time) + timedelta(seconds=_COPYING_S)
        return replace(now, time=timestamp(until.astimezone(UTC)))
    except (ValueError, OverflowError):
        return now


def earlier_of(rows: Iterable[Row], now: Row) -> Earlier:
    """Return those of `rows` that were recorded before `now` at the same point, in the same unit, each recording
    once for each model, in order; the newest `MOST`.

    rows : up to the time of `asked_before(now)`, or more
    """
    there = [
        row
        for row in rows
        if (row.asset, row.point, row.unit) == (now.asset, now.point, now.unit)
        and row.content != now.content
        and row.level_rms is not None
    ]
    by_name = _copied([*there, now])
    if by_name:
        found = {(row.content, row.model_digest): row for row in there if _by_name(row) < _by_name(now)}
        ordered = sorted(found.values(), key=lambda r: (*_by_name(r), r.model_digest))
    else:
        timed = {(row.content, row.time, row.model_digest): row for row in there if row.time < now.time}
        ordered = sorted(timed.values(), key=lambda r: (r.time, r.content, r.model_digest))
    return Earlier(tuple(ordered[-MOST:]), by_name)


def _copied(rows: Sequence[Row]) -> bool:
    """Tell whether the times are those of files that were copied together: nobody records so fast at one point."""
    if any(row.time_from != "file" for row in rows):
        return False
    seconds = sorted({row.content: _day(row) * _DAY_S for row in rows}.values())
    return len(seconds) > 1 and float(np.median(np.diff(seconds))) < _COPIED_S


def _by_name(row: Row) -> tuple[list[tuple[int, int, str]], str, str]:
    """The key that sorts names as people number them: run 9 before run 10."""
    words = re.findall(r"([0-9]{1,18})|([^0-9]+|[0-9]+)", row.file.replace("\\", "/"))
    return [(0, int(digits), "") if digits else (1, 0, word) for digits, word in words], row.file, row.content


def own_limit(document: str, now: Row) -> OwnLimit | None:
    """Return the limit of the level that the baseline of a diagnosis sets; None where none was compared with it.

    document : the diagnosis as JSON. The baseline compares the level within its bands, in dB: its limit is as far from
    this recording's RMS as it is there
    """
    try:
        found = parse_json(document.encode("utf-8", "surrogatepass"))["evidence"]["baseline"]
        levels = [d for d in found["deviations"] if d["kind"] == "level"]
        loudest = max(levels, key=lambda d: float(d["now"]))
        level = float(now.level_rms or 0.0) * 10 ** ((float(loudest["limit"]) - float(loudest["deviation"])) / 20)
        return OwnLimit(level, int(found["records"])) if level > 0 and math.isfinite(level) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def section(now: Row, earlier: Earlier, *, own: OwnLimit | None = None) -> str:
    """Return the section of the page. earlier : of `earlier_of`; without any it says so; own : of `own_limit`."""
    if not now.asset:
        body = f"<p>{parts.safe(say('trend.no_asset'))}</p>"
    elif now.level_rms is None:
        return ""
    elif not earlier.rows:
        body = f"<p>{parts.safe(say('trend.first', asset=now.asset, point=now.point or say('trend.no_point')))}</p>"
    else:
        limit = limit_of(earlier.rows)
        over = say("trend.over_names" if earlier.by_name else "trend.over_time")
        caption = say("trend.caption", asset=now.asset, point=now.point or say("trend.no_point"), over=over)
        caption += "" if limit is None else say("trend.dashed")
        caption += "" if own is None else say("trend.dotted")
        picture = parts.figure(_picture(now, earlier, limit, own), f"{caption}.")
        body = picture + parts.table(_rows(now, earlier, limit, own))
    return parts.section(say("trend.title"), body)


def limit_of(earlier: Sequence[Row]) -> tuple[float, int] | None:
    """Return the highest level of the earlier recordings without a fault and how many they are; None for too few."""
    levels = {(r.content, r.time): r.level_rms for r in earlier if r.fault is False and r.level_rms is not None}
    faulty = {(r.content, r.time) for r in earlier if r.fault}  # by another model
    good = [value for key, value in levels.items() if key not in faulty]
    return (max(good), len(good)) if len(good) >= _FEWEST else None


def _rows(now: Row, earlier: Earlier, limit: tuple[float, int] | None, own: OwnLimit | None) -> list[tuple[str, str]]:
    level = now.level_rms or 0.0
    unit = now.unit or say("page.raw_units")
    once = list({(r.content, r.time): r for r in earlier.rows}.values())
    before = [r.level_rms for r in once if r.level_rms]
    first = earlier.rows[0]
    since = (
        say("trend.from_name", name=_named(first)) if earlier.by_name else say("trend.from_time", time=_short(first))
    )
    when = "" if earlier.by_name else say("trend.at", time=_short(now))
    out = [
        (say("trend.now"), say("trend.level", level=level, unit=unit) + when),
        (say("trend.before"), say("trend.count", count=len(once), since=since)),
    ]
    if before and level > 0:
        middle = float(np.median(before))
        db = 20 * math.log10(level / middle)
        out.append((say("trend.median"), say("trend.against", level=middle, unit=unit, db=db)))
    if own is not None:
        out.append((say("trend.own"), say("trend.own_value", level=own.level, unit=unit, count=own.records)))
        out.append((say("trend.so_own"), say("trend.above" if level > own.level else "trend.below")))
    if limit is not None:
        chance = 100 / (limit[1] + 1)
        said = say("trend.limit_value", level=limit[0], unit=unit, count=limit[1], chance=chance)
        out += [(say("trend.limit"), said), (say("trend.so"), say(f"trend.{'above' if level > limit[0] else 'below'}"))]
    elif own is None:
        out.append((say("trend.limit"), say("trend.no_limit", fewest=_FEWEST)))
    if earlier.by_name:
        out.append((say("trend.times"), say("trend.times_copied")))
    elif {r.time_from for r in (now, *earlier.rows)} - {"stated"}:
        out.append((say("trend.times"), say("trend.times_value")))
    return out


def _picture(now: Row, earlier: Earlier, limit: tuple[float, int] | None, own: OwnLimit | None) -> str:
    from matplotlib.figure import Figure

    what = say("trend.picture")
    once = list({(r.content, r.time): r for r in earlier.rows}.values())
    places = {(r.content, r.time): float(i + 1) for i, r in enumerate([*once, now])}

    def x(row: Row) -> float:
        return places[row.content, row.time] if earlier.by_name else _day(row)

    same = [r for r in earlier.rows if r.model_digest == now.model_digest and r.fault_probability is not None]
    shown = [*same, now] if now.fault_probability is not None else same
    with _style(what) as _, _utc():
        figure = Figure(figsize=(8.0, 3.2 if shown else 2.2))
        if shown:
            upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.6, 1))
            lower.plot([x(r) for r in shown], [r.fault_probability or 0.0 for r in shown], **_LINE_STYLE)
            lower.set_ylim(-0.05, 1.08)
            lower.set_ylabel(say("trend.probability"))
            _number_axis(lower.yaxis)
        else:
            upper = lower = figure.subplots()
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.15 if shown else 0.22, top=0.975, hspace=0.14)
        everything = [*once, now]
        lines = [*((limit[0],) if limit else ()), *((own.level,) if own else ())]
        _levels(upper, [(x(r), r) for r in everything], lines)
        if limit is not None:
            upper.axhline(limit[0], color=_MARK, linewidth=0.9, linestyle="--")
        if own is not None:
            upper.axhline(own.level, color=_MARK, linewidth=1.1, linestyle=":")
        upper.set_ylabel(_unit(now.unit or None), parse_math=False)
        _number_axis(upper.yaxis)
        if earlier.by_name:
            from matplotlib.ticker import MaxNLocator

            lower.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
            lower.set_xlim(0.5, len(everything) + 0.5)
            lower.set_xlabel(say("trend.order"))
        else:
            _time_axis(lower, [_day(r) for r in everything])
        return _inline(figure, what)


_LINE_STYLE: dict[str, Any] = {"color": _LINE, "linewidth": 0.8, "marker": ".", "markersize": 4}


def _levels(ax: Axes, placed: Sequence[tuple[float, Row]], lines: Sequence[float]) -> None:
    """Draw the level of each recording; the last is the one that the page is about. lines : limits drawn besides."""
    ax.plot([x for x, _ in placed], [r.level_rms or 0.0 for _, r in placed], **_LINE_STYLE)
    faults = [(x, r.level_rms or 0.0) for x, r in placed if r.fault]
    ring: dict[str, Any] = {"s": 30, "facecolors": "none", "edgecolors": _MARK, "linewidths": 1.0, "zorder": 4}
    ax.scatter([x for x, _ in faults], [y for _, y in faults], **ring)
    ax.scatter([placed[-1][0]], [placed[-1][1].level_rms or 0.0], s=22, color=_INK, zorder=3)
    levels = [r.level_rms for _, r in placed if r.level_rms]
    if levels and max(levels) > 30 * min(levels):
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 1.12 * max([*levels, *lines], default=1.0))


def _time_axis(ax: Axes, days: Sequence[float]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    margin = max(0.03 * (max(days) - min(days)), 1 / 48)
    ax.set_xlim(min(days) - margin, max(days) + margin)
    ax.set_xlabel(say("trend.time"))


def _utc() -> Any:
    import matplotlib

    return matplotlib.rc_context({"timezone": "UTC", "date.epoch": "1970-01-01T00:00:00"})


def _day(row: Row) -> float:
    """The time as matplotlib counts it, days since 1970; a text that is no time came from no faultdx."""
    try:
        return datetime.fromisoformat(row.time).timestamp() / _DAY_S
    except ValueError:
        return 0.0


def _short(row: Row) -> str:
    return row.time[:16].replace("T", " ")


def _named(row: Row) -> str:
    name = row.file.replace("\\", "/").rpartition("/")[2] or row.file
    return name if len(name) <= _NAMED else f"{name[: _NAMED - 1]}…"
