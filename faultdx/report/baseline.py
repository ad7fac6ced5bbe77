"""The section of a record beside the machine's own healthy recordings, and the words of a verdict resting on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import curves, parts
from faultdx.report.compared import limits, sentence, testimony
from faultdx.report.words import say

_MOST_ROWS = 14


def section(diagnosis: Diagnosis) -> str:
    """Return the section of the record against its healthy ones, where there is a baseline."""
    found = diagnosis.evidence.get("baseline")
    if not found:
        return ""
    title = say("baseline.section")
    if found.get("obstacle"):
        return parts.section(title, f"<p>{parts.safe(say('baseline.not_compared', why=found['obstacle']))}</p>")
    said = f"<p>{parts.safe(sentence(testimony(diagnosis)))}.</p>\n"
    deviations = list(found.get("deviations") or [])
    unit = (diagnosis.record.unit if diagnosis.record is not None else None) or say("baseline.raw")
    pictures = "".join(
        parts.figure(_picture(bands), say("baseline.caption", channel=channel, unit=unit))
        for channel, bands in _by_channel(deviations)[: curves.MAX_CHANNELS]
    )
    return parts.section(
        title, said + pictures + _table(deviations) + parts.table(rows(found)) + parts.listing(limits())
    )


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, value) of what was compared with what, from the evidence's `baseline`."""
    count, regime = found.get("records"), found.get("regime") or {}
    speed = say("baseline.regime_rpm", rpm=regime["rpm"]) if regime.get("rpm") else say("baseline.regime_unknown")
    load = ""
    if regime.get("load"):
        same = regime.get("same_load")
        key = "load" if same is None else "load_same" if same else "load_other"
        load = say(f"baseline.{key}", load=show(str(regime["load"])))
    gain = found.get("sensor_gain") or {}
    kind = (
        "gain_likely" if gain.get("likely") else "gain_unlikely" if found.get("verdict") == "changed" else "gain_none"
    )
    out = [
        (say("baseline.asset"), show(str(found.get("asset") or ""))),
        (
            say("baseline.records"),
            say("baseline.records_one") if count == 1 else say("baseline.records_value", count=count),
        ),
        (say("baseline.regime"), "; ".join(word for word in (speed, load) if word)),
        (say("baseline.gain"), say(f"baseline.{kind}", db=float(gain.get("change_db") or 0.0))),
        (say("baseline.rate"), say("baseline.rate_value", share=100 * float(found.get("false_alarms") or 0.0))),
    ]
    out += [(say("baseline.note"), show(str(note))) for note in found.get("notes") or []]
    return [*out, (say("baseline.digest"), str(found.get("digest", "")))]


def _by_channel(deviations: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the bands of each channel, in the order of the channels."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for d in deviations:
        if d.get("kind") == "band" and d.get("band_hz"):
            found.setdefault(show(str(d.get("channel", ""))), []).append(d)
    return list(found.items())


def _name(d: Mapping[str, Any], *, with_channel: bool) -> str:
    kind = str(d.get("kind"))
    values: dict[str, Any] = {}
    if kind == "band":
        low, high = d["band_hz"]
        values = {"low": low, "high": high}
    elif kind == "lines":
        values = {"place": say(f"spectrum.{d.get('place')}")}
    said = say(f"baseline.{kind}", **values)
    return say("baseline.in_channel", what=said, channel=show(str(d.get("channel")))) if with_channel else said


def _table(deviations: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures that are nearest to their limits, or farthest beyond them, as a table."""
    ranked = sorted(deviations, key=lambda d: -abs(float(d.get("times_limit") or 0.0)))
    several = len({d.get("channel") for d in deviations}) > 1
    head = "".join(
        f'<th class="n">{parts.safe(say(f"baseline.{key}"))}</th>'
        for key in ("now", "usual", "deviation", "limit", "times")
    )
    lines = [f"<tr><th>{parts.safe(say('baseline.figure'))}</th>{head}</tr>"]
    for d in ranked[:_MOST_ROWS]:
        db = d.get("unit") == "dB"
        off_in_db = db or d.get("kind") == "kurtosis"
        cells = [
            _shown(d.get("now"), db=db),
            _shown(d.get("usual"), db=db),
            _shown(d.get("deviation"), db=off_in_db, sign=True),
            f"±{_shown(d.get('limit'), db=off_in_db)}",
            f"{100 * float(d.get('times_limit') or 0.0):+.0f} %",
        ]
        beyond = abs(float(d.get("times_limit") or 0.0)) > 1
        shown = "".join(f'<td class="n">{parts.safe(cell)}</td>' for cell in cells)
        name = parts.safe(_name(d, with_channel=several))
        lines.append(f'<tr><th scope="row">{f"<b>{name}</b>" if beyond else name}</th>{shown}</tr>')
    if len(ranked) > _MOST_ROWS:
        more = parts.safe(say("baseline.more", count=len(ranked) - _MOST_ROWS))
        lines.append(f'<tr><td colspan="6">{more}</td></tr>')
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _shown(value: Any, *, db: bool, sign: bool = False) -> str:
    if not isinstance(value, int | float):
        return "-"
    plus = "+" if sign else ""
    return f"{value:{plus}.1f} dB" if db else f"{value:{plus}.2f}"


def _picture(bands: Sequence[Mapping[str, Any]]) -> str:
    """Return the levels in bands of one channel over what healthy recordings may have, as an SVG element."""
    what = say("baseline.what")
    edges = np.array([d["band_hz"] for d in bands], dtype=np.float64)
    now, usual, limit = (np.array([d[key] for d in bands], dtype=np.float64) for key in ("now", "usual", "limit"))
    x = np.append(edges[:, 0], edges[-1, 1])

    def steps(values: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
        return np.append(values, values[-1])

    with curves.style(what):
        figure, (ax,) = curves.axes_of(1)
        low, high = steps(usual - limit), steps(usual + limit)
        ax.fill_between(x, low, high, step="post", facecolor=curves.INK, alpha=0.15, linewidth=0)
        ax.step(x, steps(usual), where="post", color=curves.INK, linewidth=0.6, alpha=0.5)
        ax.step(x, steps(now), where="post", color=curves.LINE, linewidth=1.2)
        beyond = np.abs(now - usual) > limit
        centre = np.sqrt(edges[:, 0] * edges[:, 1])
        ax.plot(centre[beyond], now[beyond], linestyle="", marker="o", markersize=4, color=curves.MARK)
        ax.set_xscale("log")
        ax.set_xlim(float(x[0]), float(x[-1]))
        ticks = [t for t in (31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000) if x[0] <= t <= x[-1]]
        ax.set_xticks(ticks)
        ax.minorticks_off()
        curves.number_axis(ax.xaxis)
        curves.number_axis(ax.yaxis)
        ax.set_xlabel(say("pictures.frequency"))
        ax.set_ylabel(say("baseline.axis"), parse_math=False)
        return curves.inline(figure, what)
