"""The page of a diagnosis: titles, names of rows, captions."""

WORDS = {
    "recording": "Recording",
    "probabilities": "Class probabilities",
    "segments": "The segments over time",
    "waveform": "Waveform",
    "spectrum": "Spectrum",
    "signal": "Waveform and spectrum",
    "bearing": "The bearing in the spectrum",
    "evidence": "Evidence",
    "quality": "Quality checks and warnings",
    "familiarity": "Likeness to the training records",
    "limits": "What this report does not say",
    "title": "{word}: {file}",
    "confidence": "confidence of the network",
    "votes": "of the segments agree",
    "confidence_weighed": "confidence, the spectrum weighed in",
    "file": "file",
    "asset": "asset",
    "specimen": "specimen",
    "condition": "condition",
    "channel": "channel",
    "declared_class": "declared class",
    "speed": "speed",
    "rpm": "{rpm:g} rpm",
    "rate": "sampling rate",
    "hertz": "{hz:g} Hz",
    "not_known": "not known",
    "from": "{value} (from {source})",
    "duration": "duration",
    "seconds": "{seconds:.4g} s ({samples:|sample|samples})",
    "unit": "unit",
    "no_unit": "not declared: raw units",
    "raw_units": "raw units",
    "format": "format",
    "note": "note",
    "digest": "SHA-256 of the file",
    "other_classes": "{count:|other class|other classes}",
    "verdict": "verdict",
    "healthy": "healthy",
    "of": "{votes} of {segments}",
    "class": "class",
    "over_time": "probability over time, 0 to 1 in height",
    "votes_column": "votes",
    "mean_of": "each step is the mean of about {segments:.3g} segments",
    "left_out": "the {count} least likely classes are left out",
    "first_segment": "first segment",
    "last_segment": "last segment",
    "no_rate": "the sampling rate is not known",
    "few_samples": "the recording has too few samples",
    "not_finite": "the recording holds values that are not finite",
    "not_drawn": "Not drawn: {why}.",
    "flat": "Not drawn: the signal is flat.",
    "many_channels": "; the first {shown} of {channels} channels",
    "long": "; the first {seconds:.0f} s",
    "shaft": "; dashed: 1, 2 and 3 times the shaft rate",
    "waveform_caption": "As read, before any resampling, in {unit}{many}.",
    "spectrum_caption": (
        "Averaged amplitude spectrum, peak amplitudes (a sine of RMS 1 reads 1.41), mean removed, {resolution:.3g} Hz "
        "a line{many}."
    ),
    "envelope_caption": "Squared envelope spectrum of the whole band: how often impacts recur{shaft}{many}{long}.",
    "bearing_caption": (
        "Envelope spectrum over orders, {band}, as depth of modulation; grey: the floor; thin dots: multiples of the "
        "shaft's rate. Lanes above: where the lines of outer race (BPFO), inner race (BPFI), rolling element (2BSF) "
        "and cage (FTF) and their multiples are due, as wide as was searched (±{tolerance:.2g} %); ticks beside them: "
        "the first two sidebands, the inner race's at the shaft's rate, the rolling element's at the cage's."
    ),
    "bearing_named": (
        "In colour: the place that is named, in the spectrum its bands, the lines found (dashed, numbered) and their "
        "sidebands (dotted). The score counts the first sidebands, not the second."
    ),
    "level": "level, {channel}",
    "level_value": "RMS {rms:.4g}, peak {peak:.4g} ({unit})",
    "level_shape": "; crest factor {crest:.3g}; kurtosis {kurtosis:.3g} ({strength})",
    "kurtosis_words": (
        "Kurtosis: a sine has 1.5, noise 3. Below 3 is called low, 3 to 6 moderate, above 6 strong: words for "
        "screening, not limits of a standard."
    ),
    "level_flat": "; the signal is flat",
    "kurtosis_low": "low",
    "kurtosis_moderate": "moderate",
    "kurtosis_strong": "strong",
    "refused": "Refused: {message}",
    "warning": "Warning: {message}",
    "not_checked": "Not checked.",
    "no_check": "No check fired, and there are no warnings.",
    "picture": "Picture",
    "more": "and {count} more",
    "characters": "({count} characters)",
}
