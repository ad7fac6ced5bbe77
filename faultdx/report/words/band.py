"""The demodulation band, why it was chosen, and the kurtogram."""

WORDS = {
    "title": "The band of the envelope, and why",
    "chosen": (
        "The envelope spectrum was taken in {band}: of {bands} bands it is the one in which the lines of the likeliest "
        "place stand out most from what chance shows there."
    ),
    "most_impulsive": "The most impulsive band of the kurtogram is {band}, kurtosis {kurtosis:.3g} (noise has 0).",
    "why_not": (
        "The kurtogram did not choose it: a single knock is more impulsive than any bearing. Where the two agree, the "
        "impacts that the bearing's lines come from are the impacts that stand out."
    ),
    "whole": (
        "The envelope spectrum above is that of the whole band: it takes a bearing and a speed to choose one by their "
        "lines."
    ),
    "picture": "kurtogram: how impulsive each band is",
    "rows": "bands in a row",
    "caption": "Kurtogram: each row cuts the spectrum in more bands; the darker a band, the more impulsive it is.",
    "caption_marked": (
        "Kurtogram: each row cuts the spectrum in more bands; the darker a band, the more impulsive it is. Dashed: the "
        "edges of the band of the envelope spectrum."
    ),
}
