"""The section of the trend: this recording beside the earlier ones of the same measuring point, as a history has them.

Same recording, same history: same bytes. Later recordings and those of another unit are left out. The limit is the
highest level among the earlier recordings that were diagnosed without a fault: if nothing has changed, a further one
of n + 1 is the highest with probability 1 / (n + 1), whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.report import parts
from faultdx.report.curves import _INK, _LINE, _MARK, _inline, _number_axis, _style, _unit
from faultdx.report.row import Row
from faultdx.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 200  # earlier recordings shown: the newest
HERE = "<!-- trend -->\n"  # where the section goes in a page that was rendered before the history was asked
_FEWEST = 3  # earlier recordings without a fault from which there is a limit
_DAY_S = 86_400.0


def earlier_of(rows: Iterable[Row], now: Row) -> tuple[Row, ...]:
    """Return those of `rows` that were recorded before `now` at the same point, in the same unit, each recording
    once for each model, by time; the newest `MOST`."""
    found = {
        (row.content, row.time, row.model_digest): row
        for row in rows
        if (row.asset, row.point, row.unit) == (now.asset, now.point, now.unit)
        and row.time < now.time
        and row.content != now.content
        and row.level_rms is not None
    }
    return tuple(sorted(found.values(), key=lambda r: (r.time, r.content, r.model_digest))[-MOST:])


def section(now: Row, earlier: Sequence[Row]) -> str:
    """Return the section of the page. earlier : of `earlier_of`; without any it says so."""
    if not now.asset:
        body = f"<p>{parts.safe(say('trend.no_asset'))}</p>"
    elif now.level_rms is None:
        return ""
    elif not earlier:
        body = f"<p>{parts.safe(say('trend.first', asset=now.asset, point=now.point or say('trend.no_point')))}</p>"
    else:
        limit = limit_of(earlier)
        caption = say("trend.caption" if limit is None else "trend.caption_limit", asset=now.asset, point=now.point)
        body = parts.figure(_picture(now, earlier, limit), caption) + parts.table(_rows(now, earlier, limit))
    return parts.section(say("trend.title"), body)


def limit_of(earlier: Sequence[Row]) -> tuple[float, int] | None:
    """Return the highest level of the earlier recordings without a fault and how many they are; None for too few."""
    levels = {(r.content, r.time): r.level_rms for r in earlier if r.fault is False and r.level_rms is not None}
    faulty = {(r.content, r.time) for r in earlier if r.fault}  # by another model
    good = [value for key, value in levels.items() if key not in faulty]
    return (max(good), len(good)) if len(good) >= _FEWEST else None


def _rows(now: Row, earlier: Sequence[Row], limit: tuple[float, int] | None) -> list[tuple[str, str]]:
    level = now.level_rms or 0.0
    unit = now.unit or say("page.raw_units")
    once = {(r.content, r.time): r for r in earlier}
    before = [r.level_rms for r in once.values() if r.level_rms]
    out = [
        (say("trend.now"), say("trend.level", level=level, unit=unit, time=_short(now.time))),
        (say("trend.before"), say("trend.count", count=len(once), first=_short(earlier[0].time))),
    ]
    if before and level > 0:
        middle = float(np.median(before))
        db = 20 * math.log10(level / middle)
        out.append((say("trend.median"), say("trend.against", level=middle, unit=unit, db=db)))
    if limit is None:
        out.append((say("trend.limit"), say("trend.no_limit", fewest=_FEWEST)))
    else:
        word = say("trend.above" if level > limit[0] else "trend.below")
        chance = 100 / (limit[1] + 1)
        out.append(
            (say("trend.limit"), say("trend.limit_value", level=limit[0], unit=unit, count=limit[1], chance=chance))
        )
        out.append((say("trend.so"), word))
    sources = {r.time_from for r in (now, *earlier)}
    if sources - {"stated"}:
        out.append((say("trend.times"), say("trend.times_value")))
    return out


def _picture(now: Row, earlier: Sequence[Row], limit: tuple[float, int] | None) -> str:
    from matplotlib.figure import Figure

    what = say("trend.picture")
    with _style(what) as _, _utc():
        figure = Figure(figsize=(8.0, 3.2))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.6, 1))
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.15, top=0.975, hspace=0.14)
        once = list({(r.content, r.time): r for r in earlier}.values())
        _levels(upper, now, once)
        if limit is not None:
            upper.axhline(limit[0], color=_MARK, linewidth=0.9, linestyle="--")
        upper.set_ylabel(_unit(now.unit or None), parse_math=False)
        _number_axis(upper.yaxis)
        same = [r for r in earlier if r.model_digest == now.model_digest and r.fault_probability is not None]
        shown = [*same, now] if now.fault_probability is not None else same
        lower.plot([_day(r) for r in shown], [r.fault_probability or 0.0 for r in shown], **_LINE_STYLE)
        lower.set_ylim(-0.05, 1.08)
        lower.set_ylabel(say("trend.probability"))
        _number_axis(lower.yaxis)
        _time_axis(lower, [_day(r) for r in (*earlier, now)])
        return _inline(figure, what)


_LINE_STYLE: dict[str, Any] = {"color": _LINE, "linewidth": 0.8, "marker": ".", "markersize": 4}


def _levels(ax: Axes, now: Row, once: Sequence[Row]) -> None:
    everything = [*once, now]
    ax.plot([_day(r) for r in everything], [r.level_rms or 0.0 for r in everything], **_LINE_STYLE)
    faults = [r for r in everything if r.fault]
    ring: dict[str, Any] = {"s": 30, "facecolors": "none", "edgecolors": _MARK, "linewidths": 1.0, "zorder": 4}
    ax.scatter([_day(r) for r in faults], [r.level_rms or 0.0 for r in faults], **ring)
    ax.scatter([_day(now)], [now.level_rms or 0.0], s=22, color=_INK, zorder=3)
    levels = [r.level_rms for r in everything if r.level_rms]
    if levels and max(levels) > 30 * min(levels):
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 1.12 * max(levels, default=1.0))


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


def _short(time: str) -> str:
    return time[:16].replace("T", " ")
