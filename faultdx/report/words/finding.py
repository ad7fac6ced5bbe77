"""The result in words: the headline, the sentence, the line of a run, and what a result does not say."""

WORDS = {
    "split_unknown": "not recorded",
    "split_specimen": "the test parts were never trained on",
    "split_condition": "the test loads or speeds were never trained on, the parts were",
    "split_time": "other seconds of the same recordings: optimistic",
    "split_leaks": "LEAKING: training and test share recordings or segments; the scores are too good",
    "no_class": "no class",
    "diagnosed": "diagnosed",
    "fault": "fault",
    "no_fault": "no fault found",
    "by_spectrum_alone": "{place} by the spectrum; the network: {status}",
    "undecided": "undecided",
    "undecided_bearing": "the bearing could not be assessed",
    "undecided_held": "an all-clear that a doubt about the recording holds back",
    "why_held": "{why}; put right what the checks say of the recording, or record again",
    "undecided_what": "the model cannot tell the classes apart here",
    "unfamiliar": "unfamiliar",
    "unfamiliar_what": "unlike the recordings that the model was trained on",
    "unusable": "unusable",
    "unusable_what": "the recording is not fit for a diagnosis",
    "error": "not read",
    "error_what": "the recording could not be read",
    "other_what": "a result that this version does not know",
    "segment": "{count} segment",
    "segments": "{count} segments",
    "votes": "{count} of {segments:|segment agrees|segments agree}",
    "no_reason": "no reason was recorded",
    "line_class": "{what}, confidence {confidence}, {votes}{beside}",
    "line_nearest": ", nearest class {name} ({share}), {votes}",
    "line_warning": "; {count} warning: ",
    "line_warnings": "; {count} warnings: ",
    "sentence_spectrum": "The network has no verdict, and the envelope spectrum shows {place}: {said}.",
    "sentence": "No verdict: {why}.",
    "why_undecided": "no class stands out clearly enough{nearest}; record again, longer, before acting on it",
    "nearest_votes": " (the likeliest is {name}, {share}; {votes})",
    "why_unfamiliar": (
        "this recording is unlike those that the model was trained on{what}, so the class "
        "it would have named{nearest} does not count; check the sensor, the machine and the sampling rate"
    ),
    "why_unusable": "the recording is not fit for a diagnosis ({reasons}); the machine was not assessed",
    "why_error": "the recording could not be read ({reasons}); the machine was not assessed",
    "why_other": "the status is {status}; the machine was not assessed",
    "sure": "the network's own confidence is {confidence} and {votes}",
    "sure_calibrated": "the confidence, network and spectrum weighed together, is {confidence} and {votes}",
    "found_unknown": "The network finds the class {what}: {sure}; whether that is a fault is not declared.",
    "found_fault": (
        "The network finds the fault class {what}: {sure}; how far it has gone and how long the part will last were "
        "not assessed."
    ),
    "found_healthy": (
        "The network finds no fault that it knows and names the class {what}: {sure}; "
        "a fault that it was not trained on would not be named."
    ),
    "familiar_statistics": "shape and spectrum of the signal",
    "familiar_features": "features of the network",
    "familiar_distance": "distance {distance:.3g}, limit {limit:.3g}",
    "familiar_nearest": "most like the training records of",
    "familiar_reason": "what is off",
    "conformal": "conformal set",
    "more": " and {count} more",
    "conformal_basis": ", set on {records:|validation record|validation records}{by}: {holds_for}",
    "conformal_by_specimen": " of {count:|specimen|specimens}",
    "conformal_by_recording": " of {count:|recording|recordings}",
    "conformal_by_record": " by an older version, which took records of one specimen for independent",
    "conformal_covers": " (set so as to hold the true class of {share} of records like those of the validation{basis})",
    "limit_nothing": "Nothing about the machine: its condition was not assessed.",
    "limit_severity": "How far a damage has gone, how fast it grows and how long the part will last were not assessed.",
    "limit_speed": "The speed is not known: no line of a spectrum can be tied to a bearing, a gear or the shaft.",
    "limit_unit": "No unit is declared: amplitudes are raw units, and no limit of a standard applies to them.",
    "limit_zone": "No vibration zone (ISO 20816) is given: it needs velocity and the class of the machine.",
    "limit_classes": (
        "The model knows these classes and no other: {names}. A fault of another kind gets one of these names."
    ),
    "limit_classes_familiar": (
        "The model knows these classes and no other: {names}. "
        "A fault of another kind gets one of these names where the recording looks familiar."
    ),
    "limit_leaks": (
        "The model's scores come from a split that leaks (training and test share recordings): "
        "they say little about another machine."
    ),
    "limit_calibration": "The confidence is not calibrated: read it as an order, not as how often it is right.",
    "limit_trained_speed": (
        "The speed, {rpm:g} rpm, lies outside what the model was trained on ({low:g} to {high:g} rpm)."
    ),
    "limit_familiar": ("Whether this recording is like those that the model was trained on was not assessed{why}."),
    "limit_conformal": "No set of classes with a stated coverage is given: {why}.",
}
