"""What a record does against the machine's own healthy recordings."""

WORDS = {
    "section": "Against the machine's own healthy recordings",
    "changed_word": "changed",
    "changed": "changed against its healthy recordings",
    "fault": "changed beyond its own limits",
    "unchanged_word": "unchanged",
    "unchanged": "no change against its healthy recordings, which is no all-clear",
    "not_compared": "The baseline was refused, and nothing was compared with it: {why}.",
    "finding_fault": (
        "The machine is not as in its healthy recordings. {said}. What is damaged, if anything, a baseline does not "
        "say."
    ),
    "finding_changed": "The recording is not as the healthy ones, and no fault is stated. {said}.",
    "finding_unchanged": "The recording is as the healthy ones. {said}. That is no all-clear.",
    "alone": "changed beyond its own limits; the network: {status}",
    "sentence_alone": (
        "The network has no verdict, and the machine is not as in its healthy recordings. {said}. What is damaged, if "
        "anything, a baseline does not say."
    ),
    "records": "healthy recordings",
    "records_value": "{count}",
    "records_one": (
        "1: how much this machine scatters from day to day is not known, the limits rest on what other machines do"
    ),
    "asset": "baseline of",
    "regime": "their speed and load",
    "regime_rpm": "{rpm:.5g} rpm",
    "regime_unknown": "speed not known",
    "load": "load {load}",
    "load_same": "load {load}, as of this recording",
    "load_other": "load {load}, not that of this recording: wider limits",
    "rate": "false alarms",
    "rate_value": (
        "at most {share:.3g} % of healthy recordings of machines that scatter as was taken for granted or less, all "
        "figures together"
    ),
    "gain": "sensor",
    "gain_likely": (
        "all bands are off by about {db:+.1f} dB and the shape is the same: check gain, sensor and mounting first"
    ),
    "gain_unlikely": "the median of all bands is off by {db:+.1f} dB; the change is not the same in all of them",
    "gain_none": "the median of all bands is off by {db:+.1f} dB",
    "digest": "SHA-256 of the baseline",
    "note": "note",
    "figure": "figure",
    "now": "now",
    "usual": "usual",
    "deviation": "deviation",
    "limit": "limit",
    "times": "of the limit",
    "level": "level of all bands",
    "kurtosis": "kurtosis",
    "crest_factor": "crest factor",
    "lines": "lines of the {place}",
    "band": "{low:.0f}-{high:.0f} Hz",
    "in_channel": "{what}, {channel}",
    "more": "and {count:|more figure|more figures}, nearer to the usual than these",
    "axis": "level (dB)",
    "what": "levels in bands against the limits of the healthy recordings",
    "caption": (
        "Levels in bands, channel {channel}, dB about 1 {unit}. Grey: where healthy recordings may be; line: this "
        "recording; dots: beyond the limit."
    ),
    "raw": "raw unit",
    "limit_what": (
        "A baseline tells that something changed, not what: load, temperature, process, mounting and damage all do."
    ),
    "limit_before": "A fault that was there when the healthy recordings were made is part of the baseline.",
    "limit_small": "A fault that changes no figure by more than its limit is not seen.",
}
