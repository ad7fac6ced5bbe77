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
    "caption": "{asset}, {point}: level (RMS) and, of a model, probability of a fault {over}. Ring: the verdict was a "
    "fault; large dot: this recording",
    "over_time": "over time (UTC)",
    "over_names": "in the order of the files' names",
    "dashed": "; dashed: the highest earlier level without a fault",
    "dotted": "; dotted: the limit of the machine's own baseline",
    "probability": "fault",
    "time": "time (UTC)",
    "now": "this recording",
    "order": "recordings in the order of their names",
    "level": "{level:.4g} {unit} RMS",
    "at": ", {time} UTC",
    "before": "earlier recordings of the point",
    "count": "{count}, {since}",
    "from_time": "from {time} UTC on",
    "from_name": "from {name} on",
    "own": "limit of the baseline",
    "own_value": (
        "{level:.4g} {unit} RMS: what {count:|healthy recording allows|healthy recordings allow} at the speed and load "
        "of this one"
    ),
    "so_own": "against it this recording lies",
    "median": "median of the earlier",
    "against": "{level:.4g} {unit} RMS; this one is {db:+.1f} dB from it",
    "limit": "limit",
    "no_limit": (
        "none: it takes {fewest} earlier recordings that were diagnosed without a fault, or a baseline of the machine "
        "(--baseline)"
    ),
    "limit_value": (
        "{level:.4g} {unit} RMS: the highest of {count:|earlier recording|earlier recordings} without a fault. If "
        "nothing has changed, the next lies above it with a probability of {chance:.2g} %"
    ),
    "so": "this recording lies",
    "above": "above the limit",
    "below": "at or below the limit",
    "times": "times",
    "times_value": "some are those of the files, not of the recordings: state them in the column recorded_at",
    "times_copied": (
        "not known: the files have the time at which they were copied, so that the order is that of their names; state "
        "when each was recorded in the column recorded_at of a records table"
    ),
}
