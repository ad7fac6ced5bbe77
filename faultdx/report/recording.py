"""The signal itself: its waveform, level and spectra, and what is wrong with it."""

from __future__ import annotations

import numpy as np

from faultdx.diagnosis import Diagnosis
from faultdx.errors import RecordError
from faultdx.records.record import Record
from faultdx.report import curves, parts, turning
from faultdx.report.words import say
from faultdx.signals.spectra import level

_FEW_SAMPLES = 16  # below these a picture shows nothing


def drawable(record: Record) -> str | None:
    """Return why the record's signal cannot be drawn, or None where it can."""
    if not (np.isfinite(record.sampling_rate_hz) and record.sampling_rate_hz > 0):
        return say("page.no_rate")
    if record.signal.shape[0] == 0 or record.signal.shape[1] < _FEW_SAMPLES:
        return say("page.few_samples")
    return None if np.isfinite(record.signal).all() else say("page.not_finite")


def signal_sections(d: Diagnosis) -> list[str]:
    """Return the sections of waveform and spectra; one sentence where they cannot be drawn."""
    r = d.record
    if r is None:
        return []
    why_not = drawable(r)
    if why_not:
        return [parts.section(say("page.signal"), _not_drawn(why_not))]
    rate_hz, unit = float(r.sampling_rate_hz), r.unit
    resolution_hz = max(1.0, rate_hz / r.signal.shape[1])
    shaft = say("page.shaft") if turning.shaft_hz(d)[0] > 0 else ""
    many, long = "", ""
    if len(r.signal) > curves.MAX_CHANNELS:
        many = say("page.many_channels", shown=curves.MAX_CHANNELS, channels=len(r.signal))
    if r.signal.shape[1] > curves.SPECTRUM_SAMPLES:
        long = say("page.long", seconds=curves.SPECTRUM_SAMPLES / rate_hz)
    try:
        waveform = curves.waveform(r.signal, sampling_rate_hz=rate_hz, unit=unit, names=r.channels)
        caption = say("page.waveform_caption", unit=unit or say("page.raw_units"), many=many)
        sections = [
            parts.section(say("page.waveform"), parts.figure(waveform, caption) + turning.moment(d) + _levels(r)),
        ]
        if (r.signal == r.signal[:, :1]).all():
            return [*sections, parts.section(say("page.spectrum"), f"<p>{parts.safe(say('page.flat'))}</p>")]
        spectrum = curves.spectrum(
            r.signal, sampling_rate_hz=rate_hz, unit=unit, resolution_hz=resolution_hz, names=r.channels
        )
        slow = turning.harmonics(d)
        shaft_rpm = 60.0 * turning.shaft_hz(d)[0] or None
        envelope = curves.envelope_spectrum(
            r.signal, sampling_rate_hz=rate_hz, unit=unit, rpm=shaft_rpm, names=r.channels
        )
    except RecordError as error:
        return [parts.section(say("page.signal"), _not_drawn(error))]
    pictures = parts.figure(spectrum, say("page.spectrum_caption", resolution=resolution_hz, many=many))
    pictures += slow
    pictures += parts.figure(envelope, say("page.envelope_caption", shaft=shaft, many=many, long=long))
    return [*sections, parts.section(say("page.spectrum"), pictures)]


def _not_drawn(why: object) -> str:
    return f"<p>{parts.safe(say('page.not_drawn', why=why))}</p>"


def _levels(record: Record) -> str:
    """RMS, peak, crest factor and kurtosis, about the mean, of each channel drawn."""
    rows = []
    unit = record.unit or say("page.raw_units")
    for name, row in zip(record.channels, record.signal[: curves.MAX_CHANNELS], strict=False):
        found = level(row)
        said = say("page.level_value", rms=found.rms, peak=found.peak, unit=unit)
        if found.rms > 0:
            k = found.kurtosis
            kind = "low" if k < 3 else "moderate" if k <= 6 else "strong"
            strength = say(f"page.kurtosis_{kind}")
            said += say("page.level_shape", crest=found.crest_factor, kurtosis=k, strength=strength)
        else:
            said += say("page.level_flat")
        rows.append((say("page.level", channel=name), said))
    return parts.table(rows) + f'<p class="soft">{parts.safe(say("page.kurtosis_words"))}</p>\n'


def quality(d: Diagnosis) -> str:
    """Return the section of the checks that fired and the warnings, each said once."""
    said = [
        say("page.refused" if check.severity == "refuse" else "page.warning", message=check.message)
        for check in d.quality
    ]
    messages = {check.message for check in d.quality}
    said += [say("page.warning", message=warning) for warning in d.warnings if warning not in messages]
    nothing = f"<p>{parts.safe(say('page.not_checked' if d.status == 'error' else 'page.no_check'))}</p>"
    return parts.section(say("page.quality"), parts.listing(said) or nothing)
