"""What is missing from a recording or unfit in it, and what measurement would settle the doubt."""

WORDS = {
    "title": "What is missing, and what would settle it",
    "nothing": "Nothing that this report knows of.",
    "what": "missing or unfit",
    "measure": "what to measure or to state",
    "speed": "the shaft speed",
    "speed_do": (
        "State it with --rpm or in a records table; measure it with a tachometer, a stroboscope or from the drive. "
        "Without it no line can be tied to a bearing, a gear or the shaft."
    ),
    "speed_suggested": "The spectrum suggests {rpm:.5g} rpm, {share} % certain.",
    "unit": "the unit of the samples",
    "unit_do": (
        "State it with --unit, and the sensor's sensitivity with --scale. Without it there is no velocity, no zone, "
        "and "
        "no level to compare with another sensor."
    ),
    "bearing": "the bearing",
    "bearing_do": (
        "Name it with --bearing or in a records table (catalogue number, or number of elements, element and pitch "
        "diameter). Then the spectrum is heard as a second witness."
    ),
    "asset": "the name of the machine",
    "asset_do": "State it with --asset or in a records table, and keep a --history: then the page shows the trend.",
    "refused": "a baseline that fits this recording: {why}",
    "refused_do": (
        "Make a baseline (faultdx baseline) of healthy recordings of this machine, at this point, in this unit and at "
        "this speed, or state the speed if it is missing."
    ),
    "limits": "limits for the level",
    "limits_do": (
        "The class of the machine and a declared unit give a vibration zone; a few records from its healthy days give "
        "limits of its own. Without either no severity is stated."
    ),
    "speed_unconfirmed": "lines of the shaft that confirm the stated speed",
    "speed_unconfirmed_do": "Measure the speed during the recording; record at a higher load, or nearer the bearing.",
    "short": "enough turns of the shaft ({turns:.0f} in the record)",
    "short_do": "Record at least {wanted:.0f} s: 200 turns give five windows of 64 turns to average.",
    "familiarity": "whether the recording is like those of the training",
    "familiarity_do": "Train the model again with this version: its limits are then set from the training records.",
    "unfamiliar": "a recording like those of the training",
    "unfamiliar_do": (
        "Compare sensor, mounting, channel, sampling rate and load with those of the training. If they are the same, "
        "add "
        "records of this machine to the training."
    ),
    "undecided": "a class that stands out",
    "undecided_do": "Record again at the same point, three times as long, and at the load of the training records.",
    "disagree": "agreement of network and spectrum",
    "disagree_do": (
        "Record at a second speed: lines of a bearing move with it, those of the mains and of resonances do not. Check "
        "the bearing's type."
    ),
    "ball": "a witness for rolling elements",
    "ball_do": (
        "About half of their faults show no line: record again after the machine was stopped and started, when the "
        "element may run on its damage; a grease sample is another witness."
    ),
    "error": "a file that can be read",
    "error_do": "{message}",
    "check_not_finite": "Repair the export: the file holds values that are no numbers.",
    "check_flat": "Check cable, power of the sensor and channel: the signal does not move.",
    "check_stuck": "Check cable and acquisition: the same value stands for a while.",
    "check_clipped": "Lower the gain or take a sensor of a larger range, so that the peaks fit; then record again.",
    "check_dropout": "Check cable and connectors: the signal is gone for moments.",
    "check_offset": "Check the power of the sensor, or take AC coupling.",
    "check_ski_slope": (
        "Check the mounting, and let the sensor settle before recording: most of the energy lies below 5 Hz."
    ),
    "check_mains": "Check shield and ground of the cable: there is much at the mains' frequency.",
    "check_bandwidth": "Record without a low-pass filter, at the full rate: the upper part of the spectrum is empty.",
    "check_noise": "Check that the machine was running and the sensor mounted: the signal is nearly white noise.",
    "check_spikes": "Check connectors and acquisition: single samples stand far above the rest.",
    "check_unsteady": "Record while load and speed are constant.",
    "check_repeated": "Check the export: a stretch of the signal is there twice.",
    "check_speed": "Measure the speed during the recording: the spectrum speaks for another one than is stated.",
    "check_few_turns": "Record longer: there are too few turns of the shaft.",
    "check_sampling_rate": "Record at the rate that the model was trained at, or faster.",
    "check_too_short": "Record longer: one segment of the model does not fit in.",
    "check_channels": "Choose the channels of the training with --channel.",
    "check_level": "Check sensor, gain and unit: the level is far from that of the training records.",
    "check_other": "Put this right, and record again.",
}
