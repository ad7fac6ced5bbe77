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
from faultdx.report.plots import Point, text
from faultdx.report.table import BOM, cell

CSV_HEADER = (
    "condition", "noise", "snr_db", "level", "metric", "group", "value", "low", "high", "sd", "count",
)  # fmt: skip
_LEVELS = ("segments", "records")
_NAMES = {
    "accuracy": "right",
    "macro_f1": "macro-F1",
    "false_alarms": "false alarms: healthy called faulty",
    "missed_faults": "missed faults: faulty called healthy",
}
_TONES = {"specimen": "good", "foreign": "good", "condition": "doubt", "time": "doubt", "unknown": "doubt"}
_MAX_CLASSES = 25  # of a confusion matrix; more columns cannot be read
_TO = "\u00a0to\u00a0"  # an interval is not broken between two lines of a page
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
    said = [
        f"{_percent(main[level]['accuracy'], to=' to ')} % of {_plural(main[level]['count'], level[:-1])}"
        for level in _LEVELS
    ]
    lines = [f"{main['name']}: {', '.join(said)} right"]
    if main["segments"]["false_alarms"]["value"] is not None:
        alarms, missed = (_percent(main["segments"][m], to=" to ") for m in ("false_alarms", "missed_faults"))
        lines.append(
            f"{main['name']}: {alarms} % of healthy segments called faulty, {missed} % of faulty called healthy"
        )
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
        lines.append("segments right, %, over SNR, dB")
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
    name += f" ({len(runs)} runs)" if len(runs) > 1 else ""
    lead = (
        f"{_plural(data['segments'], 'segment')} of {_plural(data['records'], 'record')}, "
        f"side {data['side']} of {data['path']}"
    )
    sections = [
        _honesty(evaluation["honesty"]),
        plots.section(f"In short ({main['name']})", _short(main, len(runs))),
        plots.section("Under noise", _noise(conditions)),
        plots.section(f"Recall by class ({main['name']})", _recall(main)),
        plots.section("Confusion", "".join(_confusion(c, data["classes"], len(runs)) for c in both)),
        plots.section("Calibration", _calibration(main, evaluation)),
        plots.section("Accuracy against coverage", _coverage(both)),
        *[plots.section(f"By {column} ({main['name']})", _by(main, column)) for column in main["by"]],
        estrangement.section(evaluation),
        plots.section("How it was measured", _settings(evaluation)),
    ]
    return plots.page(f"Evaluation of {name}", sections, lead=lead)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _percent(f: Mapping[str, Any], *, to: str = _TO) -> str:
    """ "75.1 (63.5 to 85.6)"; the standard deviation over runs where there are several."""
    if f["value"] is None:
        return "-"
    said = f"{100 * f['value']:.1f}"
    if f["low"] is not None:
        said += f" ({100 * f['low']:.1f}{to}{100 * f['high']:.1f})"
    return said + (f" sd {100 * f['sd']:.1f}" if f.get("sd") is not None else "")


def _plain(f: Mapping[str, Any]) -> str:
    if f["value"] is None:
        return "-"
    said = f"{f['value']:.3f}"
    said += f" ({f['low']:.3f}{_TO}{f['high']:.3f})" if f["low"] is not None else ""
    return said + (f" sd {f['sd']:.3f}" if f.get("sd") is not None else "")


def _honesty(told: Mapping[str, Any]) -> str:
    tone = "bad" if told["leaks"] else _TONES.get(told["kind"], "none")
    word = "these figures are too good" if told["leaks"] else "what these figures are worth"
    notes = "".join(f"<li>{text(note)}</li>" for note in told["notes"])
    return (
        f'<section class="box {tone}"><p class="word">{word}</p>\n<p><b>{text(told["level"])}</b></p>'
        + (f"<ul>{notes}</ul>" if notes else "")
        + "</section>"
    )


def _short(c: Mapping[str, Any], runs: int) -> str:
    rows = [[_NAMES[m] + ", %", *(_percent(c[level][m]) for level in _LEVELS)] for m in _NAMES]
    header = ["", *(f"{c[level]['count']} {level}" for level in _LEVELS)]
    said = "In brackets the 95 % interval" + (f", sd over {runs} runs; values are their means." if runs > 1 else ".")
    return plots.table(header, rows) + f'<p class="soft">{said}</p>'


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
                series["no noise added"] = [
                    (x, *p[1:]) for x in dict.fromkeys(ends) for p in _points([{**c[level]["accuracy"], "x": 0}], "x")
                ]
        caption = f"Share of the {level} that were named right; bars: 95 % intervals."
        parts.append(plots.figure(plots.accuracy_curves(series, title=f"{level} right"), caption))
    rows = [
        [c["name"], *(_percent(c[level]["accuracy"]) for level in _LEVELS)]
        + [_percent(c["segments"][m]) for m in ("macro_f1", "false_alarms", "missed_faults", "ece_after")]
        for c in conditions
    ]
    header = [
        "",
        "segments right, %",
        "records right, %",
        "macro-F1, %",
        "false alarms, %",
        "missed faults, %",
        "ECE, %",
    ]
    return "".join(parts) + plots.table(header, rows)


def _recall(c: Mapping[str, Any]) -> str:
    rows = [[name, *(_percent(c[level]["recall"][name]) for level in _LEVELS)] for name in c["segments"]["recall"]]
    return plots.table(["class", "segments right, %", "records right, %"], rows)


def _confusion(c: Mapping[str, Any], classes: Sequence[str], runs: int) -> str:
    """Return the matrix of the segments, shaded by the share of the row, with the records in brackets."""
    if len(classes) > _MAX_CLASSES:
        return f"<p>{len(classes)} classes are too many for a matrix here: evaluation.json has it.</p>"
    segments, records = c["segments"]["confusion"], c["records"]["confusion"]
    head = "".join(f'<th scope="col" class="n">{text(name)}</th>' for name in classes)
    rows = []
    for k, name in enumerate(classes):
        total = sum(segments[k])
        if not total:
            continue
        cells = []
        for j, n in enumerate(segments[k]):
            shade = f' style="background:rgba(90,140,220,{0.6 * n / total:.2f})"' if n else ""
            votes = f' <span class="soft">({records[k][j]})</span>' if records[k][j] else ""
            cells.append(f'<td class="n{" hit" if j == k else ""}"{shade}>{n or "·"}{votes}</td>')
        rows.append(f'<tr><th scope="row">{text(name)}</th>{"".join(cells)}</tr>')
    summed = f", summed over {runs} runs" if runs > 1 else ""
    body = "\n".join(rows)
    return (
        f'<figure><div class="wide"><table class="grid turn"><thead><tr><th scope="col">truth</th>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n<figcaption>{text(c['name'])}: segments, and records in "
        f"brackets{summed}. A row is what they are, a column what they were called.</figcaption></figure>"
    )


def _calibration(c: Mapping[str, Any], evaluation: Evaluation) -> str:
    source = evaluation["settings"]["temperature_from"]
    series: dict[str, list[Point]] = {"perfect": [(v, v, math.nan, math.nan) for v in (0.0, 100.0)]}
    for name, said in (("before", "before the temperature"), ("after", "after the temperature")):
        series[said] = [
            (100 * b["confidence"], 100 * b["accuracy"], math.nan, math.nan) for b in c["reliability"][name]
        ]
    svg = plots.accuracy_curves(series, title=f"Reliability ({c['name']})", x_label="confidence, %")
    rows = [
        [f"{said} ({when})", *(_plain(c[level][f"{metric}_{when}"]) for level in _LEVELS)]
        for metric, said in (
            ("ece", "ECE"),
            ("ece_mass", "ECE, bins of equal mass"),
            ("brier", "Brier"),
            ("nll", "NLL"),
        )
        for when in ("before", "after")
    ]
    told = ", ".join(f"{run['temperature']:.3f}" for run in evaluation["runs"])
    return (
        plots.figure(svg, f"Bins of equal width. Temperature {told}: {source}.")
        + plots.table([c["name"], "segments", "records"], rows)
        + '<p class="soft">Brier: 0 to 2. NLL: nats. All: less is better.</p>'
    )


def _coverage(conditions: Sequence[Mapping[str, Any]]) -> str:
    series = {c["name"]: [(100 * p[0], *p[1:]) for p in _points(c["coverage"], "coverage")] for c in conditions}
    area = ", ".join(f"{c['name']} {_plain(c['segments']['aurc'])}" for c in conditions)
    svg = plots.accuracy_curves(series, title="Segments right among the surest", x_label="coverage, %")
    return plots.figure(svg, f"Area under the risk-coverage curve (AURC, less is better): {area}.")


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
    more = f'<p class="soft">and {len(rows) - _MAX_ROWS} more, in the CSV</p>' if len(rows) > _MAX_ROWS else ""
    if column == "grade":
        more += (
            '<p class="soft">How diagnosable a recording is by classical methods (Smith and Randall 2015): Y1 and Y2 '
            "clearly, P1 probably, P2 potentially, N1 not.</p>"
        )
    return plots.table([column, "segments", "right, %", "records", "right, %"], rows[:_MAX_ROWS]) + more


def _settings(evaluation: Evaluation) -> str:
    data, settings = evaluation["data"], evaluation["settings"]
    interval = (
        f"95 %, bootstrap over {settings['unit']}s ({settings['resamples']} resamples); Wilson's for shares of "
        f"{settings['unit']}s and for shares of 0 and 100 %"
    )
    rows = [
        ["data", data["path"]],
        ["digest of the data", data["digest"]],
        ["input", f"segments of {data['segment_samples']} samples at {data['sampling_rate_hz']:g} Hz"],
        ["healthy classes", ", ".join(data["healthy"]) or "none"],
        ["noise", "in the file" if data["noise_in_file"] else ", ".join(settings["noise"]) or "none added"],
        ["seed of noise and resampling", settings["seed"]],
        ["intervals", interval],
    ]
    for run in evaluation["runs"]:
        seed = f", seed {run['seed']}" if run["seed"] is not None else ""
        said = f"{run['network'] or 'network not named'}{seed}, own temperature {run['own_temperature']:.3f}"
        rows += [[f"model {run['path']}", said], ["its digest", run["digest"]]]
    rows.append(["faultdx version", evaluation["faultdx_version"]])
    cells = "".join(f'<tr><th scope="row">{text(a)}</th><td>{text(b)}</td></tr>' for a, b in rows)
    return f"<table>{cells}</table>"
