"""What the network looked at: the section, its pictures, and what they do not say."""

WORDS = {
    "title": "What the network looked at",
    "about": (
        "About the class {about}, log-odds {odds:+.2f} on {segments:|segment|segments} taken evenly over the record."
    ),
    "about_one": "About the class {about}, log-odds {odds:+.2f} on the record's single segment.",
    "about_open": (
        "There is no verdict: about {about}, the most probable class, log-odds {odds:+.2f} on "
        "{segments:|segment|segments}."
    ),
    "about_nothing": "About the class {about}.",
    # over frequency
    "frequency_axis": "frequency (Hz)",
    "drop_axis": "drop",
    "spectrum_axis": "dB",
    "frequency_alt": "drop of the log-odds when a band is attenuated, above the spectrum of the segments",
    "frequency_found": (
        "The network leans on {bands}: with the first of them attenuated to the level around it, the log-odds drop by "
        "{drop:.2g}."
    ),
    "frequency_found_one": (
        "The network leans on {bands}: with it attenuated to the level around it, the log-odds drop by {drop:.2g}."
    ),
    "frequency_turns": "Without it the class would be less probable than all others together.",
    "frequency_none": "No band by itself carries that class beyond chance: taken away one by one, they change little.",
    "frequency_plain": "Drop of the log-odds when each band is attenuated to the level around it.",
    "frequency_not": (
        "It does not say that the cause of a fault lies there: a network may look at the right band for a wrong "
        "reason, a band that does not stand out cannot be taken away, and the changed segments are of a kind that it "
        "never met."
    ),
    "band": "{low:.4g} to {high:.4g} Hz",
    "and": " and ",
    "more_bands": "{bands} and {more} more",
    # over time
    "time_axis": "time in the record (s)",
    "amplitude_axis": "amplitude",
    "time_alt": "one segment's waveform, and the drop of the log-odds when a window of it is replaced by noise",
    "time_found": (
        "Of {windows:|window|windows} in {segments:|segment|segments} {beyond} matter beyond chance ({share:.0%}; "
        "{level}); shown is the segment of median log-odds."
    ),
    "time_none": (
        "No window of the {windows} in {segments:|segment|segments} matters beyond chance: what the network looks at "
        "is there all the time, not at moments; shown is the segment of median log-odds."
    ),
    "louder": "they are {db:.1f} dB louder than their segments",
    "quieter": "they are {db:.1f} dB quieter than their segments",
    "as_loud": "they are as loud as their segments",
    "position": (
        "Averaged over the segments, what stands {places} after the start of a segment matters beyond chance (in one "
        "record of twenty that happens by chance)."
    ),
    "place": "{low:.3g} to {high:.3g} s",
    "time_not": (
        "It does not say that nothing happens elsewhere: each window was filled with noise of the segment's own "
        "spectrum, which the network never met in this form, so that only what has a moment can drop."
    ),
    # thresholds
    "units_axis": "shrinkage unit, from the input to the output",
    "alpha_axis": "threshold",
    "units_alt": "threshold of each shrinkage unit for this record, over the range of healthy records",
    "units_inside": "Every unit sets its threshold within the range that healthy records have.",
    "units_outside": "{count} of {units:|unit|units} set a threshold outside the range of healthy records: {which}.",
    "units_few": (
        "Whether these thresholds are out of the ordinary cannot be told: "
        "{records:|healthy record is|healthy records are} too few for a range."
    ),
    "units_alone": "What the thresholds are on healthy records is not known: {why}.",
    "units_key": (
        "Threshold: as a share of the unit's mean absolute feature. Dot: this record; bars: 5 to 95 % and median of "
        "{records:|healthy record|healthy records}, as recorded (dark) and with noise added (light)."
    ),
    "units_key_clean": (
        "Threshold: as a share of the unit's mean absolute feature. Dot: this record; bars: 5 to 95 % and median of "
        "{records:|healthy record|healthy records}."
    ),
    "units_not": (
        "It does not say healthy or faulty: with so many units one outside is common, a new machine or noise moves "
        "them too, and a threshold that is high only says that more of a unit's features were taken for noise."
    ),
    # what is missing
    "no_thresholds": (
        "This network has no shrinkage units whose thresholds could be shown, or its model folder was written before "
        "they were kept."
    ),
    "no_units": "This network ({name}) has no shrinkage units: there are no thresholds to show.",
    "int8": "A network in 8 bits does not tell its thresholds: the float32 model that it was made of does.",
    "old_model": ("The model folder was written before thresholds were kept: train again to see them."),
    "no_healthy": "the model keeps nothing of them",
    "no_healthy_class": "no class of the model is called healthy",
    "thresholds_broken": "The thresholds could not be computed: what model.json holds does not fit the network.",
    "too_large": (
        "What the verdict rests on was not examined: a network or segments of this size would take too long to ask "
        "again and again."
    ),
    "too_few": "With fewer than four segments chance cannot be told: no limit is drawn, and nothing is beyond it.",
    "not_finite": "What the verdict rests on could not be examined: the network gave numbers that are not finite.",
    "limit_key": "Dashed: what chance stays within (bands or windows dealt at random, 95 %).",
}
