"""An evaluation (schema faultdx.evaluation/1) -> JSON, a tidy CSV, a page that needs nothing else, a short table.

What comes in is the mapping that `faultdx.assessment.evaluate` gives; every text in it is printable, and is escaped
here again. No date and no duration: the same evaluation gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faultdx.report import estrangement, plots
from faultdx.report.legible import names_of
from faultdx.report.plots import Point, text
from faultdx.report.table import BOM, cell
from faultdx.report.words import language, say

CSV_HEADER = (
    "condition", "noise", "snr_db", "level", "metric", "group", "value", "low", "high", "sd", "count",
)  # fmt: skip
_LEVELS = ("segments", "records")
_METRICS = ("accuracy", "macro_f1", "false_alarms", "missed_faults")
_TONES = {"specimen": "good", "foreign": "good", "condition": "doubt", "time": "doubt", "unknown": "doubt"}
_MAX_CLASSES = 25  # of a confusion matrix; more columns cannot be read
_MAX_LEVELS = 11  # of SNR in a line of a terminal
_MAX_ROWS = 60  # of a breakdown on the page; the CSV has all

Evaluation = Mapping[str, Any]


def to_json(evaluation: Evaluation) -> str:
    """Return the evaluation as one line of JSON, without the newline."""
    return json.dumps(evaluation, ensure_ascii=False, allow_nan=False)


def figures(evaluation: Evaluation) -> Iterator[tuple[Mapping[str, Any], str, str, str, Mapping[str, Any], int]]:
    """Yield each figure: (condition, level, metric, group, {value, low, high}, count of segments or records)."""
    for c in evaluation["conditions"]:
        for level in _LEVELS:
            found = c[level]
            for metric, value in found.items():
                if isinstance(value, Mapping) and "value" in value:
                    yield c, level, metric, "", value, found["count"]
            truth = {
                name: sum(row) for name, row in zip(evaluation["data"]["classes"], found["confusion"], strict=True)
            }
            for name, value in found["recall"].items():
                yield c, level, "recall", name, value, truth[name] // len(evaluation["runs"])
            for column, groups in c["by"].items():
                for name, both in groups.items():
                    yield c, level, f"accuracy by {column}", name, both[level], both[level]["count"]
        for point in c["coverage"]:
            count = round(point["coverage"] * c["segments"]["count"])
            yield c, "segments", "accuracy at coverage", f"{point['coverage']:g}", point, count
    for name, metric, group, found, count in estrangement.rows(evaluation):
        yield {"name": name, "noise": None, "snr_db": None}, "records", metric, group, found, count


def to_csv(evaluation: Evaluation) -> str:
    """Return every figure as a row: condition, level, metric and group, value and 95 % interval; shares are 0 to 1."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(CSV_HEADER)
    for c, level, metric, group, f, count in figures(evaluation):
        row = (c["name"], c["noise"], c["snr_db"], level, metric, group)
        writer.writerow([cell(v) for v in (*row, f["value"], f["low"], f["high"], f.get("sd"), count)])
    return BOM + stream.getvalue()


def summary(evaluation: Evaluation) -> list[str]:
    """Return a few lines for a terminal: the first condition in words, and the accuracy over noise as a table."""
    main = evaluation["conditions"][0]
    right_of = {level: _percent(main[level]["accuracy"], wraps=True) for level in _LEVELS}
    counts = {f"count_{level}": main[level]["count"] for level in _LEVELS}
    lines = [f"{main['name']}: {say('evaluation.line_right', **right_of, **counts)}"]
    if main["segments"]["false_alarms"]["value"] is not None:
        alarms, missed = (_percent(main["segments"][m], wraps=True) for m in ("false_alarms", "missed_faults"))
        lines.append(f"{main['name']}: {say('evaluation.line_alarms', alarms=alarms, missed=missed)}")
    lines += estrangement.summary(evaluation)
    noisy = [c for c in evaluation["conditions"] if c["noise"]]
    levels = sorted({c["snr_db"] for c in noisy})
    levels = (
        [levels[round(k * (len(levels) - 1) / (_MAX_LEVELS - 1))] for k in range(_MAX_LEVELS)]
        if (len(levels) > _MAX_LEVELS)
        else levels
    )
    right = {(c["noise"], c["snr_db"]): c["segments"]["accuracy"]["value"] for c in noisy}
    if right:
        lines.append(say("evaluation.line_noise"))
        lines.append(f"{'':<10}" + "".join(f"{s:>7g}" for s in levels))
    for kind in dict.fromkeys(c["noise"] for c in noisy):
        cells = (right.get((kind, s)) for s in levels)
        lines.append(f"{kind:<10}" + "".join("      -" if v is None else f"{100 * v:>7.1f}" for v in cells))
    return lines


def render(evaluation: Evaluation) -> str:
    """Return the page: what the figures are worth, the curves over SNR, the confusion, calibration and coverage."""
    conditions, data, runs = evaluation["conditions"], evaluation["data"], evaluation["runs"]
    main = conditions[0]
    hardest = min(conditions, key=lambda c: c["segments"]["accuracy"]["value"])
    both = [main] if hardest is main else [main, hardest]
    names = list(dict.fromkeys(run["name"] or run["path"] for run in runs))
    name = ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]}, ..."
    name += say("evaluation.runs", count=len(runs)) if len(runs) > 1 else ""
    counts = {key: data[key] for key in ("segments", "records", "side", "path")}
    sections = [
        _honesty(evaluation["honesty"]),
        plots.section(_say("short", name=main["name"]), _short(main, len(runs))),
        plots.section(_say("noise"), _noise(conditions)),
        plots.section(_say("recall", name=main["name"]), _recall(main)),
        plots.section(_say("confusion"), "".join(_confusion(c, data["classes"], len(runs)) for c in both)),
        plots.section(_say("calibration"), _calibration(main, evaluation)),
        plots.section(_say("coverage"), _coverage(both)),
        *[plots.section(_say("by", column=column, name=main["name"]), _by(main, column)) for column in main["by"]],
        estrangement.section(evaluation),
        plots.section(_say("settings"), _settings(evaluation)),
    ]
    return plots.page(_say("title", name=name), sections, lead=_say("lead", **counts), language=language())


def _say(key: str, **values: Any) -> str:
    return say(f"evaluation.{key}", **values)


def _percent(f: Mapping[str, Any], *, wraps: bool = False) -> str:
    """ "75.1 (63.5 to 85.6)"; the standard deviation over runs where there are several. wraps : lines may break it."""
    if f["value"] is None:
        return "-"
    said = f"{100 * f['value']:.1f}"
    if f["low"] is not None:
        said += f" ({100 * f['low']:.1f}{_to(wraps=wraps)}{100 * f['high']:.1f})"
    return said + (f" sd {100 * f['sd']:.1f}" if f.get("sd") is not None else "")


def _plain(f: Mapping[str, Any]) -> str:
    if f["value"] is None:
        return "-"
    said = f"{f['value']:.3f}"
    said += f" ({f['low']:.3f}{_to()}{f['high']:.3f})" if f["low"] is not None else ""
    return said + (f" sd {f['sd']:.3f}" if f.get("sd") is not None else "")


def _to(*, wraps: bool = False) -> str:
    blank = " " if wraps else "\u00a0"  # an interval is not broken between two lines of a page
    return f"{blank}{_say('to')}{blank}"


def _honesty(told: Mapping[str, Any]) -> str:
    tone = "bad" if told["leaks"] else _TONES.get(told["kind"], "none")
    word = text(_say("too_good" if told["leaks"] else "worth"))
    notes = "".join(f"<li>{text(note)}</li>" for note in told["notes"])
    return (
        f'<section class="box {tone}"><p class="word">{word}</p>\n<p><b>{text(told["level"])}</b></p>'
        + (f"<ul>{notes}</ul>" if notes else "")
        + "</section>"
    )


def _short(c: Mapping[str, Any], runs: int) -> str:
    rows = [[_say("in_percent", name=_say(m)), *(_percent(c[level][m]) for level in _LEVELS)] for m in _METRICS]
    header = ["", *(_say(f"count_{level}", count=c[level]["count"]) for level in _LEVELS)]
    said = _say("interval_runs", count=runs) if runs > 1 else _say("interval")
    return plots.table(header, rows) + f'<p class="soft">{text(said)}</p>'


def _points(found: Sequence[Mapping[str, Any]], x: str) -> list[Point]:
    """Return the points of figures in percent; `x` is the key of the place."""
    return [
        (float(p[x]), _hundred(p["value"]), _hundred(p["low"]), _hundred(p["high"]))
        for p in found
        if p["value"] is not None
    ]


def _hundred(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _noise(conditions: Sequence[Mapping[str, Any]]) -> str:
    noisy = [c for c in conditions if c["noise"]]
    if not noisy:
        return ""
    ends = min(c["snr_db"] for c in noisy), max(c["snr_db"] for c in noisy)
    parts = []
    for level in _LEVELS:
        series: dict[str, list[Point]] = {}
        for c in noisy:
            series.setdefault(c["noise"], []).extend(_points([{**c[level]["accuracy"], "x": c["snr_db"]}], "x"))
        for c in conditions:
            if not c["noise"]:  # a level to compare with, over the whole width
                series[_say("no_noise")] = [
                    (x, *p[1:]) for x in dict.fromkeys(ends) for p in _points([{**c[level]["accuracy"], "x": 0}], "x")
                ]
        title = _say("noise_title", level=_say(level))
        parts.append(plots.figure(plots.accuracy_curves(series, title=title), _say("noise_caption", level=_say(level))))
    rows = [
        [c["name"], *(_percent(c[level]["accuracy"]) for level in _LEVELS)]
        + [_percent(c["segments"][m]) for m in ("macro_f1", "false_alarms", "missed_faults", "ece_after")]
        for c in conditions
    ]
    keys = (
        "segments_right",
        "records_right",
        "macro_f1_short",
        "false_alarms_short",
        "missed_faults_short",
        "ece_short",
    )
    header = ["", *map(_say, keys)]
    return "".join(parts) + plots.table(header, rows)


def _recall(c: Mapping[str, Any]) -> str:
    found = names_of(c["segments"]["recall"])
    rows = [[said, *(_percent(c[level]["recall"][name]) for level in _LEVELS)] for name, said in found.items()]
    return plots.table(list(map(_say, ("class", "segments_right", "records_right"))), rows)


def _confusion(c: Mapping[str, Any], classes: Sequence[str], runs: int) -> str:
    """Return the matrix of the segments, shaded by the share of the row, with the records in brackets."""
    if len(classes) > _MAX_CLASSES:
        return f"<p>{text(_say('many_classes', count=len(classes)))}</p>"
    segments, records = c["segments"]["confusion"], c["records"]["confusion"]
    named = list(names_of(classes).values())
    head = "".join(f'<th scope="col" class="n">{text(name)}</th>' for name in named)
    rows = []
    for k, name in enumerate(named):
        total = sum(segments[k])
        if not total:
            continue
        cells = []
        for j, n in enumerate(segments[k]):
            shade = f' style="background:rgba(90,140,220,{0.6 * n / total:.2f})"' if n else ""
            votes = f' <span class="soft">({records[k][j]})</span>' if records[k][j] else ""
            cells.append(f'<td class="n{" hit" if j == k else ""}"{shade}>{n or "·"}{votes}</td>')
        rows.append(f'<tr><th scope="row">{text(name)}</th>{"".join(cells)}</tr>')
    summed = _say("summed", count=runs) if runs > 1 else ""
    body = "\n".join(rows)
    caption = text(_say("confusion_caption", name=c["name"], summed=summed))
    return (
        f'<figure><div class="wide"><table class="grid turn"><thead><tr><th scope="col">{text(_say("truth"))}</th>'
        f"{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n<figcaption>{caption}</figcaption></figure>"
    )


def _calibration(c: Mapping[str, Any], evaluation: Evaluation) -> str:
    source = evaluation["settings"]["temperature_from"]
    series: dict[str, list[Point]] = {_say("perfect"): [(v, v, math.nan, math.nan) for v in (0.0, 100.0)]}
    for when in ("before", "after"):
        series[_say(f"{when}_temperature")] = [
            (100 * b["confidence"], 100 * b["accuracy"], math.nan, math.nan) for b in c["reliability"][when]
        ]
    svg = plots.accuracy_curves(series, title=_say("reliability", name=c["name"]), x_label=_say("confidence"))
    rows = [
        [
            _say("when", metric=_say(metric), when=_say(when)),
            *(_plain(c[level][f"{metric}_{when}"]) for level in _LEVELS),
        ]
        for metric in ("ece", "ece_mass", "brier", "nll")
        for when in ("before", "after")
    ]
    told = ", ".join(f"{run['temperature']:.3f}" for run in evaluation["runs"])
    return (
        plots.figure(svg, _say("bins", temperature=told, source=source))
        + plots.table([c["name"], *map(_say, _LEVELS)], rows)
        + f'<p class="soft">{text(_say("units"))}</p>'
    )


def _coverage(conditions: Sequence[Mapping[str, Any]]) -> str:
    series = {c["name"]: [(100 * p[0], *p[1:]) for p in _points(c["coverage"], "coverage")] for c in conditions}
    areas = ", ".join(f"{c['name']} {_plain(c['segments']['aurc'])}" for c in conditions)
    svg = plots.accuracy_curves(series, title=_say("surest"), x_label=_say("coverage_axis"))
    return plots.figure(svg, _say("aurc", areas=areas))


def _by(c: Mapping[str, Any], column: str) -> str:
    rows = [
        [
            name,
            both["segments"]["count"],
            _percent(both["segments"]),
            both["records"]["count"],
            _percent(both["records"]),
        ]
        for name, both in c["by"][column].items()
    ]
    notes = [_say("more_groups", count=len(rows) - _MAX_ROWS)] if len(rows) > _MAX_ROWS else []
    notes += [_say("grades")] if column == "grade" else []
    more = "".join(f'<p class="soft">{text(note)}</p>' for note in notes)
    return plots.table([column, *map(_say, ("segments", "right", "records", "right"))], rows[:_MAX_ROWS]) + more


def _settings(evaluation: Evaluation) -> str:
    data, settings = evaluation["data"], evaluation["settings"]
    interval = _say("intervals_value", unit=settings["unit"], resamples=settings["resamples"])
    noise = _say("noise_in_file") if data["noise_in_file"] else ", ".join(settings["noise"]) or _say("none_added")
    rows = [
        [_say("data"), data["path"]],
        [_say("data_digest"), data["digest"]],
        [_say("input"), _say("input_value", samples=data["segment_samples"], hz=data["sampling_rate_hz"])],
        [_say("healthy"), ", ".join(data["healthy"]) or _say("none")],
        [_say("noise_row"), noise],
        [_say("seed"), settings["seed"]],
        [_say("intervals"), interval],
    ]
    for run in evaluation["runs"]:
        network, heat = run["network"] or _say("network_unnamed"), run["own_temperature"]
        said = _say("model_value", network=network, temperature=heat)
        if run["seed"] is not None:
            said = _say("model_seeded", network=network, seed=run["seed"], temperature=heat)
        rows += [[_say("model", path=run["path"]), said], [_say("model_digest"), run["digest"]]]
    rows.append([_say("version"), evaluation["faultdx_version"]])
    cells = "".join(f'<tr><th scope="row">{text(a)}</th><td>{text(b)}</td></tr>' for a, b in rows)
    return f"<table>{cells}</table>"
