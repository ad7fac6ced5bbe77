"""The shaft in the pictures: its speed, stated or suggested, its harmonics, and a few of its turns."""

WORDS = {
    "title": "The speed, which nobody stated",
    "suggested": (
        "No speed was stated; the spectrum suggests {rpm:.5g} rpm, {share} certain. It was not gone by: if it is "
        "right, run this again with --rpm {rounded:g}."
    ),
    "hardly": (
        "No speed was stated; of what the spectrum suggests the likeliest is {rpm:.5g} rpm, only {share} certain. "
        "Measure the speed, or state where to look for it with --rpm-range, and run this again with --rpm."
    ),
    "none": (
        "No speed was stated, and the spectrum shows no shaft from {low:g} to {high:g} rpm. Measure the speed, and run "
        "this again with --rpm."
    ),
    "candidate": "{rpm:.5g} rpm",
    "evidence": (
        "{share}{multiple}; {harmonics} of the first 12 multiples stand out; evidence {signal:.3g} in the spectrum, "
        "{envelope:.3g} in the envelopes{bearing}"
    ),
    "of_bearing": ", {bearing:.3g} for lines of the bearing",
    "multiple": ", {factor:.3g} times the first",
    "method": (
        "Combs of lines from {low:g} to {high:g} rpm. Evidence is minus the logarithm of the chance of such a comb "
        "where there is none; the percentages weigh the candidates against each other and against none of them. Half, "
        "twice and other multiples of the right speed are the usual mistakes. What turns at exactly 3000 or 3600 rpm "
        "is taken for the mains."
    ),
    "row": "not stated; the spectrum suggests {rpm:.5g} rpm ({share})",
    "row_none": "not stated",
    "at_stated": "{rpm:.5g} rpm, as stated",
    "at_found": "{rpm:.5g} rpm, as the spectrum shows",
    "harmonics": "spectrum about the shaft's lines",
    "harmonics_caption": (
        "The slow end of the spectrum{channel}, {resolution:.2g} Hz a line, peak amplitudes on a linear scale. Dashed: "
        "the shaft ({speed}) and its multiples, where unbalance, misalignment and looseness show."
    ),
    "moment": "waveform about the largest impact",
    "of_channel": " of {channel}",
    "moment_turns": (
        "{turns} turns of the shaft about the largest sample{channel}. Dotted: every turn from there on ({speed})."
    ),
    "moment_seconds": (
        "{seconds:.2g} s about the largest sample{channel}. The speed is not stated: no turn can be marked."
    ),
    "moment_period": (
        " Dashed: every {period:.3g} ms, the period of the {place} ({symbol}); blows of that damage recur with it."
    ),
    "period": "{symbol} {period:.3g} ms",
}
