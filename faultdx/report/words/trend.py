"""The trend of a measuring point."""

WORDS = {
    "title": "Trend",
    "picture": "trend of level and probability of a fault",
    "no_asset": (
        "No trend: the machine is not named, so that earlier recordings cannot be told to be its own (--asset, or the "
        "column asset of a records table)."
    ),
    "first": "No trend yet: this is the first recording of {asset}, {point}, in the history.",
    "no_point": "no measuring point",
    "caption": (
        "{asset}, {point}: level (RMS) and probability of a fault over time (UTC). Ring: the verdict was a fault; "
        "large "
        "dot: this recording."
    ),
    "caption_limit": (
        "{asset}, {point}: level (RMS) and probability of a fault over time (UTC). Ring: the verdict was a fault; "
        "large "
        "dot: this recording; dashed: the highest earlier level without a fault."
    ),
    "probability": "fault",
    "time": "time (UTC)",
    "now": "this recording",
    "level": "{level:.4g} {unit} RMS, {time} UTC",
    "before": "earlier recordings of the point",
    "count": "{count}, from {first} UTC on",
    "median": "median of the earlier",
    "against": "{level:.4g} {unit} RMS; this one is {db:+.1f} dB from it",
    "limit": "limit",
    "no_limit": "none: it takes {fewest} earlier recordings that were diagnosed without a fault",
    "limit_value": (
        "{level:.4g} {unit} RMS: the highest of {count} earlier recordings without a fault. If nothing has changed, "
        "the "
        "next lies above it with a probability of {chance:.2g} %"
    ),
    "so": "this recording lies",
    "above": "above the limit",
    "below": "at or below the limit",
    "times": "times",
    "times_value": "some are those of the files, not of the recordings: state them in the column recorded_at",
}
