"""The list of the reports of a run."""

WORDS = {
    "title": "{count:|recording|recordings}, worst first",
    "severe": "vibration beyond a limit",
    "fault": "fault",
    "undecided": "undecided",
    "unfamiliar": "unfamiliar",
    "unusable": "unusable",
    "error": "not read",
    "open": "open",
    "good": "no fault found",
    "recording": "recording",
    "confidence": "confidence",
    "severity": "severity",
    "cut": "The worst {shown} of {total} are listed. The others have their reports beside this page; --csv lists all.",
    "passed_over": (
        "{count:|recording that the history had already was|recordings that the history had already were} passed over "
        "and not listed."
    ),
    "order": (
        "Order: vibration beyond a limit, fault, undecided, unfamiliar, unusable, not read, open (no evidence, or not "
        "declared whether a fault), no fault found; within each by severity, then by confidence, then as they came. "
        "What could not be assessed stands above what is good: nothing is known of it."
    ),
}
