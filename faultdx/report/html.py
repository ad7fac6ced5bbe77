"""Diagnosis -> one HTML file that needs nothing else: no script, no font, no picture from anywhere.

Everything from outside (file names, classes, units, warnings, what a model says of itself) goes through `_text`:
`show`, a length limit, `html.escape`. The page forbids itself the rest by its content security policy. It holds
no date and no duration of the run, so the same diagnosis gives the same bytes.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import faultdx
from faultdx.diagnosis import Diagnosis
from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.report import curves, spectral, text
from faultdx.report.document import flat, number, plain
from faultdx.signals.spectra import level

_MAX_TEXT = 600  # characters of one text; a longer one is cut, and says so
_MAX_ROWS = 40  # of a table or a list
_SHOWN = ("levels", "witness")  # of the evidence, in sections of their own
_MAX_CLASSES = 12  # drawn one by one; the rest is summed
_MAX_STEPS = 200  # of a class's probability over time
_FEW_SAMPLES = 16  # below these a picture shows nothing

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--edge:#d8dee4;--line:#1f5fa8;--grid:#d8dee4;
--mark:#b4461a;--bad:#b3261e;--good:#1a7037;--doubt:#8a5a00;--none:#57606a}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b0;--paper:#14171c;--edge:#333a44;
--line:#79b0f2;--grid:#333a44;--mark:#f0925f;--bad:#ff8a80;--good:#6fcf8e;--doubt:#f0c05a;--none:#9aa4b0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:54rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{margin:.1rem 0 .4rem;font-size:1.9rem;line-height:1.2}h2{margin:2rem 0 .6rem;font-size:1.1rem}
p{margin:.4rem 0}ul{margin:.3rem 0;padding-left:1.2rem}
.verdict{border:1px solid var(--edge);border-left:.6rem solid var(--tone);border-radius:.4rem;padding:1rem 1.2rem}
.word{font-weight:700;letter-spacing:.06em;text-transform:uppercase;color:var(--tone)}
.bad{--tone:var(--bad)}.good{--tone:var(--good)}.doubt{--tone:var(--doubt)}.none{--tone:var(--none)}
.figures{display:flex;flex-wrap:wrap;gap:.3rem 2rem;margin-top:.6rem}.figures b{display:block;font-size:1.25rem}
.soft,figcaption,th,.figures{color:var(--soft)}.figures b{color:var(--ink)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.28rem .8rem .28rem 0;border-bottom:1px solid var(--edge)}
th{font-weight:400;width:13rem}td.n,th.n{text-align:right;padding-right:0;width:6rem;font-variant-numeric:tabular-nums}
.bar{height:.85rem;margin-top:.3rem;background:var(--grid);border-radius:.2rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--line)}
.time td{padding-top:.15rem;padding-bottom:.15rem}.time svg{display:block;width:100%;height:1.5rem;fill:var(--line)}
.time svg{background:linear-gradient(var(--grid),var(--grid)) bottom/100% 1px no-repeat}
.axis{display:flex;justify-content:space-between}
figure{margin:.4rem 0}figure svg{width:100%;height:auto;stroke-linejoin:round}figcaption{font-size:.87rem}
svg text{font-family:system-ui,"DejaVu Sans",sans-serif}
code{font:.87em ui-monospace,"DejaVu Sans Mono",monospace}
.loud{color:var(--bad);font-weight:700}
@media print{body{padding:0;max-width:none;font-size:10.5pt}section,figure,tr{break-inside:avoid}
h2{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def render(diagnosis: Diagnosis, *, model_info: Mapping[str, Any]) -> str:
    """Return the report of one diagnosis as a whole HTML page, well under 300 kB.

    model_info : what is known of the model, any of: name, digest, version, classes, healthy, sampling_rate_hz,
        segment_samples, temperature, split {method, level, leakage, notes}, trained_on {records, segments, specimens,
        digest}, envelope {rms: [low, high], rpm: [low, high]}, scores, network {name, parameters}

    Any status, and a diagnosis without a record, gives a page; what is missing is left out or said to be missing.
    """
    sections = [
        _verdict(diagnosis),
        _header(diagnosis),
        _probabilities(diagnosis, model_info),
        _over_time(diagnosis),
        *_signal(diagnosis),
        _bearing(diagnosis),
        _table_section("Evidence", flat(plain({k: v for k, v in diagnosis.evidence.items() if k not in _SHOWN}))),
        _quality(diagnosis),
        _table_section("Likeness to the training records", text.familiarity_rows(diagnosis, model_info=model_info)),
        _section("What this report does not say", _list(text.limits(diagnosis, model_info=model_info))),
        _provenance(diagnosis, model_info),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(text.headline(diagnosis)[1])}: {_text(diagnosis.file)}</title>\n<style>{CSS}</style>\n"
        "</head>\n<body>\n" + "\n".join(part for part in sections if part) + "\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    """Return anything from outside as HTML text or attribute value: one line, printable, bounded, escaped."""
    said = show(str(value))
    if len(said) > _MAX_TEXT:
        said = f"{said[:_MAX_TEXT]}… ({len(said)} characters)"
    return html.escape(said, quote=True)


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>" if body else ""


def _list(sentences: Sequence[str]) -> str:
    shown = [f"<li>{_text(item)}</li>" for item in sentences[:_MAX_ROWS]]
    if len(sentences) > _MAX_ROWS:
        shown.append(f"<li>and {len(sentences) - _MAX_ROWS} more</li>")
    return "<ul>\n" + "\n".join(shown) + "\n</ul>" if shown else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of (name, value), both still to be escaped; rows without a value are left out."""
    known = [(name, value) for name, value in rows if value]
    shown = [f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in known[:_MAX_ROWS]]
    if len(known) > _MAX_ROWS:
        shown.append(f"<tr><th></th><td>and {len(known) - _MAX_ROWS} more</td></tr>")
    return "<table>\n" + "\n".join(shown) + "\n</table>" if shown else ""


def _table_section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return _section(title, _table(rows))


def _verdict(d: Diagnosis) -> str:
    tone, word, what = text.headline(d)
    figures = ""
    if d.status == "diagnosed" and d.confidence is not None:
        second = sorted(
            ((number(p) or 0, name) for name, p in d.probabilities.items() if name != d.verdict), reverse=True
        )[:1]
        shown = [("confidence of the network", text.percent(d.confidence))]
        shown.append(("of the segments agree", text.percent(d.agreement, exact=True)))
        shown += [(f"for the runner-up, {show(name)}", text.percent(p)) for p, name in second]
        cells = "".join(f"<span><b>{_text(value)}</b>{_text(name)}</span>" for name, value in shown)
        figures = f'\n<div class="figures">{cells}</div>'
    return (
        f'<section class="verdict {tone}">\n<div class="word">{_text(word)}</div>\n<h1>{_text(what)}</h1>\n'
        f"<p>{_text(text.sentence(d))}</p>{figures}\n</section>"
    )


def _header(d: Diagnosis) -> str:
    r = d.record
    rows = [("file", d.file)]
    if r is not None:
        rows += [("asset", r.asset or ""), ("specimen", r.specimen or ""), ("condition", r.condition or "")]
        rows += [("channel", ", ".join(r.channels[:_MAX_CLASSES])), ("declared class", r.label or "")]
    rate_hz = number(d.sampling_rate_hz, digits=12)
    rows.append(("speed", _with_source(r, "rpm", f"{d.rpm:g} rpm" if number(d.rpm) is not None else "not known")))
    rows.append(("sampling rate", _with_source(r, "sampling_rate_hz", f"{rate_hz:g} Hz" if rate_hz else "not known")))
    if r is not None:
        if _drawable(r) is None:
            rows.append(("duration", f"{r.duration_s:.4g} s ({r.signal.shape[1]} samples)"))
        rows.append(("unit", _with_source(r, "unit", r.unit or "not declared: raw units")))
        rows += [("format", r.format)]
        rows += [("note", note) for note in r.notes]
    return _table_section("Recording", [*rows, ("SHA-256 of the file", d.sha256)])


def _with_source(record: Record | None, key: str, value: str) -> str:
    source = record.known_from.get(key) if record is not None else None
    return f"{value} (from {source})" if source and not value.startswith("not ") else value


def _probabilities(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    ranked = sorted(((name, float(number(p) or 0.0)) for name, p in d.probabilities.items()), key=lambda row: -row[1])
    rest = ranked[_MAX_CLASSES:]
    healthy = {str(name) for name in model_info.get("healthy") or ()}
    rows = []
    for name, p in ranked[:_MAX_CLASSES] + ([(f"{len(rest)} other classes", sum(p for _, p in rest))] if rest else []):
        tags = [
            tag
            for tag, yes in (("verdict", name == d.verdict), ("healthy", name in healthy and name != "healthy"))
            if yes
        ]
        tag = f' <span class="soft">({", ".join(tags)})</span>' if tags else ""
        bar = f'<div class="bar"><i style="width:{100 * min(max(p, 0.0), 1.0):.1f}%"></i></div>'
        value = html.escape(text.percent(p))
        rows.append(f'<tr><th scope="row">{_text(name)}{tag}</th><td>{bar}</td><td class="n">{value}</td></tr>')
    return _section("Class probabilities", "<table>\n" + "\n".join(rows) + "\n</table>" if rows else "")


def _over_time(d: Diagnosis) -> str:
    """One row a class: its probability, 0 to 1 in height, from the first segment to the last."""
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
            f'<tr><th scope="row">{_text(names[k])}</th><td>{picture}<path d="M0 1{path}"/></svg></td>'
            f'<td class="n">{votes[k]} of {len(p)}</td></tr>'
        )
    start, end = _span(d, len(p))
    rows.append(
        f'<tr><th></th><td><div class="axis soft"><span>{start}</span><span>{end}</span></div></td><td></td></tr>'
    )
    over = '<td class="soft">probability over time, 0 to 1 in height</td>'
    head = f'<tr><th>class</th>{over}<td class="n soft">votes</td></tr>'
    note = []
    if len(p) > len(steps):
        note.append(f"each step is the mean of about {len(p) / len(steps):.3g} segments")
    if len(names) > len(order):
        note.append(f"the {len(names) - len(order)} least likely classes are left out")
    caption = f'\n<p class="soft">{_text("; ".join(note))}</p>' if note else ""
    return _section(
        "The segments over time", f'<table class="time">{head}\n' + "\n".join(rows) + f"\n</table>{caption}"
    )


def _span(d: Diagnosis, segments: int) -> tuple[str, str]:
    """Where the row of segments starts and ends, in seconds where that is known."""
    starts = d.segment_starts_s
    if starts is None or starts.shape != (segments,) or not np.isfinite(starts).all():
        return "first segment", "last segment"
    hop_s = float(np.median(np.diff(starts))) if segments > 1 else 0.0
    return f"{starts[0]:.3g} s", f"{starts[-1] + hop_s:.4g} s"


def _drawable(record: Record) -> str | None:
    """Return why the record's signal cannot be drawn, or None where it can."""
    if not (np.isfinite(record.sampling_rate_hz) and record.sampling_rate_hz > 0):
        return "the sampling rate is not known"
    if record.signal.shape[0] == 0 or record.signal.shape[1] < _FEW_SAMPLES:
        return "the recording has too few samples"
    return None if np.isfinite(record.signal).all() else "the recording holds values that are not finite"


def _signal(d: Diagnosis) -> list[str]:
    """Return the sections of waveform and spectra; one sentence where they cannot be drawn."""
    r = d.record
    if r is None:
        return []
    why_not = _drawable(r)
    if why_not:
        return [_section("Waveform and spectrum", f"<p>Not drawn: {html.escape(why_not)}.</p>")]
    rate_hz, unit = float(r.sampling_rate_hz), r.unit
    resolution_hz = max(1.0, rate_hz / r.signal.shape[1])
    shaft = "; dashed: 1, 2 and 3 times the shaft rate" if r.rpm else ""
    many = (
        f"; the first {curves.MAX_CHANNELS} of {len(r.signal)} channels" if len(r.signal) > curves.MAX_CHANNELS else ""
    )
    long = (
        f"; the first {curves.SPECTRUM_SAMPLES / rate_hz:.0f} s" if r.signal.shape[1] > curves.SPECTRUM_SAMPLES else ""
    )
    try:
        waveform = curves.waveform(r.signal, sampling_rate_hz=rate_hz, unit=unit)
        sections = [
            _section(
                "Waveform",
                _figure(waveform, f"As read, before any resampling, in {unit or 'raw units'}{many}.") + _levels(r),
            )
        ]
        if (r.signal == r.signal[:, :1]).all():
            return [*sections, _section("Spectrum", "<p>Not drawn: the signal is flat.</p>")]
        spectrum = curves.spectrum(r.signal, sampling_rate_hz=rate_hz, unit=unit, resolution_hz=resolution_hz)
        envelope = curves.envelope_spectrum(r.signal, sampling_rate_hz=rate_hz, unit=unit, rpm=r.rpm)
    except RecordError as error:
        return [_section("Waveform and spectrum", f"<p>Not drawn: {_text(error)}.</p>")]
    pictures = _figure(spectrum, f"Averaged amplitude spectrum, mean removed, {resolution_hz:.3g} Hz a line{many}.")
    pictures += _figure(
        envelope, f"Squared envelope spectrum of the whole band: how often impacts recur{shaft}{many}{long}."
    )
    return [*sections, _section("Spectrum", pictures)]


def _bearing(d: Diagnosis) -> str:
    """Return the section of what the spectrum says of the bearing, where it was asked."""
    witness = d.evidence.get("witness")
    if not witness:
        return ""
    picture = ""
    shown = d.witness.picture if d.witness is not None else None
    if shown is not None:
        where = "at the lines found" if d.witness is not None and d.witness.place else "where lines would be"
        caption = (
            f"Envelope spectrum over orders, {shown.band}, as depth of modulation; grey: the floor. Dashed: multiples "
            f"of the place named, or the first line of each place, {where}; dotted: the shaft's rate."
        )
        picture = _figure(curves.order_spectrum(shown, place=d.witness.place if d.witness else None), caption)
    said = f"<p>{_text(spectral.testimony(d))}.</p>\n"
    return _section("The bearing in the spectrum", said + picture + _table(spectral.rows(witness)))


def _figure(svg: str, caption: str) -> str:
    return f"<figure>\n{svg}\n<figcaption>{_text(caption)}</figcaption>\n</figure>\n"


def _levels(record: Record) -> str:
    """RMS, peak, crest factor and kurtosis, about the mean, of each channel drawn."""
    rows = []
    unit = record.unit or "raw units"
    for name, row in zip(record.channels, record.signal[: curves.MAX_CHANNELS], strict=False):
        found = level(row)
        said = f"RMS {found.rms:.4g}, peak {found.peak:.4g} ({unit})"
        if found.rms > 0:
            k = found.kurtosis
            strength = "low" if k < 2.5 else "as noise" if k < 3.5 else "moderate" if k <= 6 else "strong"
            said += f"; crest factor {found.crest_factor:.3g}; kurtosis {k:.3g} ({strength}; noise has 3)"
        rows.append((f"level, {name}", said if found.rms > 0 else f"{said}; the signal is flat"))
    return _table(rows)


def _quality(d: Diagnosis) -> str:
    """The checks that fired and the warnings, each said once."""
    said = [f"{'Refused' if check.severity == 'refuse' else 'Warning'}: {check.message}" for check in d.quality]
    messages = {check.message for check in d.quality}
    said += [f"Warning: {warning}" for warning in d.warnings if warning not in messages]
    nothing = "<p>Not checked.</p>" if d.status == "error" else "<p>No check fired, and there are no warnings.</p>"
    return _section("Quality checks and warnings", _list(said) or nothing)


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
            f"test score, {condition}",
            f"{text.percent(found['segment_accuracy'], exact=True)} of {found['segments']} segments, "
            f"{text.percent(found['record_accuracy'], exact=True)} of {found['records']} records",
        )
        for condition, found in test.items()
    ]


def _provenance(d: Diagnosis, model_info: Mapping[str, Any]) -> str:
    info = {**d.model, **{key: value for key, value in model_info.items() if value is not None}}
    split = info.pop("split", None)
    classes, healthy = info.pop("classes", None) or (), info.pop("healthy", None) or ()
    first = [("model", str(info.pop("name", ""))), ("model version", str(info.pop("version", "")))]
    first += [("model digest", str(info.pop("digest", "")))]
    first += [("trained on", ", ".join(f"{name} {value}" for name, value in flat(plain(info.pop("trained_on", None)))))]
    first += [
        ("classes", f"{len(classes)}, of which healthy: {', '.join(map(str, healthy)) or 'none'}" if classes else "")
    ]
    first += [("split of its scores", text.split_words(split, notes=False))]
    notes = text.split_notes(split)  # a row each: together they may be longer than one text of this page
    first += [("note on the split", note) for note in notes[:_MAX_CLASSES]]
    first += [("", f"and {len(notes) - _MAX_CLASSES} more notes")] if len(notes) > _MAX_CLASSES else []
    first += _scores(info)
    network = info.get("network")
    if isinstance(network, Mapping):  # its layers stand in the model card
        info["network"] = {key: value for key, value in network.items() if key != "architecture"}
    for unread in ("schema", "weights", "familiarity", "faultdx_version"):
        info.pop(unread, None)
    loud = '<p class="loud">The model was scored on a leaking split.</p>\n' if text.split_leaks(split) else ""
    rest = flat(plain({"temperature": "none: not calibrated", **info}))
    if spectral.physical(d):  # of a network nothing can be said
        first, rest = first[:3], []
    rows: Iterable[tuple[str, str]] = [*first, *rest, ("faultdx version", faultdx.__version__)]
    return _section("Provenance", loud + _table([(name.replace("_", " "), value) for name, value in rows]))
