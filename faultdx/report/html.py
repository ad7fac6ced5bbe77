"""Diagnosis -> one HTML file that needs nothing else: no script, no font, no picture from anywhere.

Everything from outside (file names, classes, units, warnings, what a model says of itself) goes through `parts.safe`:
`show`, a length limit, `html.escape`. The page forbids itself the rest by its content security policy. It holds
no date and no duration of the run, so the same diagnosis gives the same bytes.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import faultdx
from faultdx.diagnosis import Diagnosis
from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.report import curves, parts, spectral, text
from faultdx.report.document import flat, number, plain
from faultdx.signals.spectra import level

_SHOWN = ("levels", "witness")  # of the evidence, in sections of their own
_MAX_CLASSES = 12  # drawn one by one; the rest is summed
_MAX_STEPS = 200  # of a class's probability over time
_FEW_SAMPLES = 16  # below these a picture shows nothing


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
        parts.table_section("Evidence", flat(plain({k: v for k, v in diagnosis.evidence.items() if k not in _SHOWN}))),
        _quality(diagnosis),
        parts.table_section(
            "Likeness to the training records", text.familiarity_rows(diagnosis, model_info=model_info)
        ),
        parts.section("What this report does not say", parts.listing(text.limits(diagnosis, model_info=model_info))),
        _provenance(diagnosis, model_info),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{parts.POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{parts.safe(text.headline(diagnosis)[1])}: {parts.safe(diagnosis.file)}</title>\n"
        f"<style>{parts.CSS}</style>\n"
        "</head>\n<body>\n" + "\n".join(part for part in sections if part) + "\n</body>\n</html>\n"
    )


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
        cells = "".join(f"<span><b>{parts.safe(value)}</b>{parts.safe(name)}</span>" for name, value in shown)
        figures = f'\n<div class="figures">{cells}</div>'
    return (
        f'<section class="verdict {tone}">\n<div class="word">{parts.safe(word)}</div>\n<h1>{parts.safe(what)}</h1>\n'
        f"<p>{parts.safe(text.sentence(d))}</p>{figures}\n</section>"
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
    return parts.table_section("Recording", [*rows, ("SHA-256 of the file", d.sha256)])


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
        rows.append(f'<tr><th scope="row">{parts.safe(name)}{tag}</th><td>{bar}</td><td class="n">{value}</td></tr>')
    return parts.section("Class probabilities", "<table>\n" + "\n".join(rows) + "\n</table>" if rows else "")


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
            f'<tr><th scope="row">{parts.safe(names[k])}</th><td>{picture}<path d="M0 1{path}"/></svg></td>'
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
    caption = f'\n<p class="soft">{parts.safe("; ".join(note))}</p>' if note else ""
    return parts.section(
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
        return [parts.section("Waveform and spectrum", f"<p>Not drawn: {html.escape(why_not)}.</p>")]
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
            parts.section(
                "Waveform",
                parts.figure(waveform, f"As read, before any resampling, in {unit or 'raw units'}{many}.") + _levels(r),
            )
        ]
        if (r.signal == r.signal[:, :1]).all():
            return [*sections, parts.section("Spectrum", "<p>Not drawn: the signal is flat.</p>")]
        spectrum = curves.spectrum(r.signal, sampling_rate_hz=rate_hz, unit=unit, resolution_hz=resolution_hz)
        envelope = curves.envelope_spectrum(r.signal, sampling_rate_hz=rate_hz, unit=unit, rpm=r.rpm)
    except RecordError as error:
        return [parts.section("Waveform and spectrum", f"<p>Not drawn: {parts.safe(error)}.</p>")]
    pictures = parts.figure(
        spectrum, f"Averaged amplitude spectrum, mean removed, {resolution_hz:.3g} Hz a line{many}."
    )
    pictures += parts.figure(
        envelope, f"Squared envelope spectrum of the whole band: how often impacts recur{shaft}{many}{long}."
    )
    return [*sections, parts.section("Spectrum", pictures)]


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
        picture = parts.figure(curves.order_spectrum(shown, place=d.witness.place if d.witness else None), caption)
    said = f"<p>{parts.safe(spectral.testimony(d))}.</p>\n"
    return parts.section("The bearing in the spectrum", said + picture + parts.table(spectral.rows(witness)))


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
    return parts.table(rows)


def _quality(d: Diagnosis) -> str:
    """The checks that fired and the warnings, each said once."""
    said = [f"{'Refused' if check.severity == 'refuse' else 'Warning'}: {check.message}" for check in d.quality]
    messages = {check.message for check in d.quality}
    said += [f"Warning: {warning}" for warning in d.warnings if warning not in messages]
    nothing = "<p>Not checked.</p>" if d.status == "error" else "<p>No check fired, and there are no warnings.</p>"
    return parts.section("Quality checks and warnings", parts.listing(said) or nothing)


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
    return parts.section("Provenance", loud + parts.table([(name.replace("_", " "), value) for name, value in rows]))
