"""What a record says of its gears."""

WORDS = {
    "tooth_damage_suspected_word": "suspected",
    "tooth_damage_suspected": "a damaged tooth suspected, to be looked into",
    "no_evidence_word": "no evidence",
    "no_evidence": "no evidence of tooth damage, which is no all-clear",
    "undecided": "the gears could not be assessed",
    "asked": "gears {teeth}",
    "beside": "gears: {said}",
    "finding_tooth_damage_suspected": (
        "A tooth may be damaged: {said}. That is a suspicion, set on simulated gearboxes: look at the teeth, or "
        "compare with an earlier recording at the same speed and load."
    ),
    "finding_no_evidence": "The synchronous averages show no damaged tooth: {said}. That is no all-clear.",
    "finding_none": "No verdict: {said}; the gears were not assessed.",
    "limit_scope": "Only the gears that were named were looked at: no bearing, no unbalance, no misalignment.",
    "limit_both": "Only the bearing and the gears that were named were looked at: no unbalance, no misalignment.",
    "limit_evidence": (
        "Whether a tooth is damaged is told by limits that were set on simulated gearboxes; on the one real gearbox "
        "with a broken tooth that they were tried on they saw nothing. Wear of all teeth alike shows in no indicator "
        "of one record: compare with an earlier one."
    ),
    "limit_teeth": (
        "The mesh is where the number of teeth and the speed together say: with one tooth more or less and a speed "
        "that is a few percent off, the same line is found. Teeth are counted from where the recording begins, for "
        "there is no mark on the shaft."
    ),
    "section": "The gears",
    "mesh_caption": (
        "Amplitude over orders of the first gear's shaft, averaged over blocks of 32 turns, about mesh harmonic "
        "{harmonic}; grey: the floor. Dashed: the mesh; dotted: sidebands at the rate of the first gear's shaft (1) "
        "and of the second's (2)."
    ),
    "average_caption": (
        "{name}, {teeth} teeth: the average over {turns} turns, and below it the difference signal, in which a damaged "
        "tooth stands out. Teeth are numbered from where the recording begins."
    ),
    "channel": "channel",
    "mesh": "tooth mesh",
    "mesh_value": (
        "order {order}, {hz} Hz, {certain} certain, by a shaft at {rpm} rpm ({shift} % off the stated speed)"
    ),
    "harmonics": "mesh harmonics",
    "harmonic_value": "{harmonic}: {amplitude} ({level} dB over the floor)",
    "harmonic_unseen": "{harmonic}: not seen",
    "sidebands": "sidebands, {shaft}",
    "sideband_value": "{harmonic}: {share} of the mesh line, at {count} of {places} places",
    "sideband_none": "none stands out",
    "angle": "angle of the shaft",
    "angle_mesh": "read off the phase of the mesh",
    "angle_speed": "from a constant speed: no mesh line is clear enough",
    "gear": "{name}, {teeth} teeth",
    "gear_value": (
        "{verdict}: {share} % of the power is locked to its shaft; the difference is {over} times the noise left in "
        "the average of {turns} turns; every other turn repeats it by {repeats} (1: wholly, 0: not at all)"
    ),
    "gear_not": "not assessed: {why}",
    "verdict_tooth_damage_suspected": "a tooth stands out",
    "verdict_no_evidence": "no tooth stands out",
    "verdict_not_assessable": "not assessable",
    "indicators": "indicators, {name}",
    "fm0": "FM0 {value}: peak-to-peak over the mesh harmonics; a heavy fault of a tooth, or wear",
    "fm4": "FM4 {value}, limit {limit}, noise has 3: one tooth or two stand out of the difference signal",
    "m6a": "M6A {value}, noise has 15; M8A {other}, noise has 105: the same, more alert to peaks",
    "na4": "NA4 {value}: kurtosis of the residual, by this record alone",
    "nb4": "NB4 {value}: kurtosis of the envelope about the strongest mesh harmonic, by this record alone",
    "energy_ratio": "energy ratio {value}: difference over regular signal; wear of many teeth",
    "sideband_index": "sideband index {value}, level factor {other}: modulation by the turn of the shaft",
    "axis_mesh": "mesh amplitude over orders",
    "axis_average": "synchronous average over one turn",
    "axis_tooth": "tooth, from where the recording begins",
    "average": "average",
    "difference": "difference",
    "first gear": "first gear",
    "second gear": "second gear",
}
