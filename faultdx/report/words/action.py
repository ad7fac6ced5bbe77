"""Severity and the next step, in plain words. docs/report.md has the rules by which they are chosen."""

WORDS = {
    "severity": "Severity",
    "good": "Good",
    "monitor": "Monitor",
    "alarm": "Alarm",
    "danger": "Danger",
    "none": "not assessed",
    "by_zone": "vibration zone {zone} by {standard}",
    "by_baseline": "against the baseline of this machine",
    "raised": "raised to Monitor: a fault is reported, whatever the level",
    "raised_tooth": "raised to Monitor: a tooth is suspected, whatever the level",
    "speed_in_doubt": "the speed or the sampling rate is in doubt: what is in Hz or mm/s may be off by as much",
    "do_speed": "Check the stated speed and sampling rate, correct them, and diagnose this recording again.",
    "when_speed": "Now: the recording may be fit, what was said of it is not.",
    "do_changed_alarm": (
        "Record again to confirm it, and look for what changed: load, process, mounting or damage. A baseline does not "
        "tell which."
    ),
    "when_changed_alarm": "Within days: it is far beyond what its healthy recordings allow.",
    "witness_baseline": "one was asked: the machine's own healthy recordings (a bearing or a model would say more)",
    "missing": "nothing that is calibrated stands behind one: {what}",
    "no_machine": "the machine was not assessed",
    "no_zone": "no vibration zone ({why})",
    "no_zone_at_all": "no vibration zone was asked for (it takes a declared unit and the class of the machine)",
    "no_baseline": "no baseline of this machine was given",
    "baseline_refused": "the baseline was refused: {why}",
    "next_step": "Next step",
    "by_when": "By when",
    "second_best": "Second best",
    "witnesses": "Independent witnesses",
    "second_class": "{name}, {share}",
    "second_place": "{place}, score {second} against {first}",
    "second_none": "none: only one class is known",
    "witness_agree": "network and spectrum agree",
    "witness_disagree": "network and spectrum disagree",
    "witness_silent": "the spectrum of the bearing shows nothing: it confirms nothing that the network says",
    "witness_alone": "the spectrum speaks alone: the network has no verdict",
    "witness_network": "one was asked: the network (with bearing and speed the spectrum is heard, too)",
    "witness_unheard": "one was heard: the network (the spectrum could not assess the bearing)",
    "witness_both": (
        "the rules for the spectrum, and the network trained on paper that is shipped for bearings without a model"
    ),
    "witness_spectrum": "one was asked: the spectrum (with a model the network is heard, too)",
    "do_error": "Put right what the message says of the file, and diagnose it again.",
    "when_error": "Before the next round: until then nothing is known of this machine.",
    "do_no_speed": (
        "State the shaft's speed with --rpm or in a records table, and diagnose this recording again; what the "
        "spectrum suggests stands below. Without a speed no line can be tied to the bearing."
    ),
    "when_no_speed": "Now: the recording may be fit; until then nothing is known of this machine.",
    "do_unusable": (
        "Put right what the message says (see: {missing}): state what is missing, or record again at the same point."
    ),
    "when_unusable": "Before the next round: until then nothing is known of this machine.",
    "do_unfamiliar": (
        "Check sensor, mounting, channel and sampling rate, then record again. If all is as it should be, the model "
        "does "
        "not know this machine: train it with records of this one, or name the bearing."
    ),
    "when_unfamiliar": "Within the usual interval: neither a fault nor an all-clear is stated.",
    "do_undecided": (
        "Record again at the same point, longer. If it stays undecided, let an analyst read the spectra below."
    ),
    "when_undecided": "Within a week: neither a fault nor an all-clear is stated.",
    "do_disagree": (
        "Check speed, bearing type and sensor, and record again. Take nothing apart before the witnesses agree or an "
        "analyst has read the spectra below."
    ),
    "when_disagree": "Within a day or two: one of the two witnesses sees a fault.",
    "do_fault": (
        "Record again at the same point to confirm it, then at least weekly; plan an inspection of what is named, and "
        "have the part at hand."
    ),
    "when_fault": (
        "The second record within a day or two, the inspection at the next planned stop; earlier if the level rises. "
        "How fast this fault grows is not known."
    ),
    "do_fault_alarm": "Record again to confirm it, inspect what is named, and plan the repair.",
    "when_fault_alarm": "Within days: the vibration is above its alarm limit.",
    "do_fault_danger": "Confirm the level with a second measurement, and stop the machine for inspection if it holds.",
    "when_fault_danger": "At once: the vibration is in the range that can cause damage.",
    "do_level_monitor": "No fault is named, and the vibration has changed: record again, and look for another cause.",
    "when_level_monitor": "Within a week.",
    "do_level_alarm": (
        "No fault is named, and the vibration is high: look for causes that this report does not cover (unbalance, "
        "misalignment, looseness, resonance)."
    ),
    "when_level_alarm": "Within days: the vibration is above its alarm limit.",
    "do_level_danger": "Confirm the level with a second measurement, and stop the machine for inspection if it holds.",
    "when_level_danger": "At once: the vibration is in the range that can cause damage.",
    "do_unknown": "Look up what the class means: whether it is a fault was not declared when the model was prepared.",
    "when_unknown": "Within the usual interval, or at once if the class is a fault.",
    "do_tooth": ("Look at the teeth of the gear named, or record again at the same speed and load and compare."),
    "when_tooth": "At the next stop, or with the next record.",
    "do_no_evidence": (
        "Nothing to do because of this record. It is no all-clear: a baseline of this machine or a trained model would "
        "say more."
    ),
    "when_no_evidence": "The next record at the usual interval.",
    "do_unchanged": "Nothing to do because of this record: the machine is as its healthy recordings are.",
    "when_unchanged": "The next record at the usual interval.",
    "do_healthy": "Nothing to do. Keep this record: it can serve as a baseline.",
    "when_healthy": "The next record at the usual interval, a month at the most.",
    "do_other": "Update this program: it does not know the status of this result.",
    "when_other": "Before anything is concluded.",
}
