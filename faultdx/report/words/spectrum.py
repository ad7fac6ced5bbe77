"""What the spectrum says of a bearing, with or without a network beside it."""

WORDS = {
    "damaged_word": "fault",
    "damaged": "bearing damaged, place not resolved",
    "no_evidence_word": "no evidence",
    "no_evidence": "no evidence of bearing damage, which is no all-clear",
    "limit_scope": (
        "Only the bearing that was named was looked at, by its envelope spectrum: no gear, no unbalance, no "
        "misalignment, no lubrication."
    ),
    "limit_evidence": (
        "No evidence is no all-clear: of rolling elements about half of the faults, and worn or smeared races, show no "
        "lines at the bearing's rates."
    ),
    "limit_geometry": "Which place is damaged is only as right as the geometry and the speed that were given.",
    "outer_race": "outer race",
    "inner_race": "inner race",
    "ball": "rolling element",
    "cage": "cage",
    "fault_of": "a fault of the {place}",
    "damaged_bearing": "a damaged bearing",
    "agree": "; the spectrum agrees",
    "silent": "; the spectrum shows nothing",
    "unheard": "; the spectrum could not assess the bearing",
    "learned": "network trained on paper",
    "learned_none": "no damage",
    "learned_digest": "of that network, SHA-256",
    "rules_alone": "the rules alone",
    "disagree": "; the spectrum disagrees",
    "finding_none": "No verdict: {said}; the bearing was not assessed.",
    "finding_no_evidence": (
        "The envelope spectrum shows no damage of the bearing {name}: {said}. That is no all-clear."
    ),
    "unknown_place": "a place that could not be told",
    "the_place": "the {place}",
    "finding": "The envelope spectrum shows damage of {where}. {said}.",
    "channel": "channel",
    "bearing": "bearing",
    "source": "its numbers are from",
    "speed": "shaft speed",
    "speed_value": "{rpm:.5g} rpm, {shift:+.2f} % of the stated one, {certain:.4g} % certain",
    "length": "length",
    "turns": "{turns:.4g} turns",
    "hypothesis": (
        "score {score}: depth {depth} at order {found} (by geometry {order}), {chance} by chance, in {band}"
    ),
    "smallest": "smallest depth that would have been seen",
    "with_network": "network and spectrum",
    "with_agree": "they agree",
    "with_disagree": "they disagree",
    "with_silent": "the spectrum adds nothing",
    "with_alone": "the network has no verdict: the spectrum speaks alone",
    "geometry_declared": (
        "declared orders: outer race {outer:.4g}, inner race {inner:.4g}, element {element:.4g} (twice its spin), cage "
        "{cage:.4g} times the shaft's rate; {elements} elements by their sum"
    ),
    "geometry": (
        "{name}: {elements} elements of {diameter:.5g} on {pitch:.5g}; outer race {outer:.4g}, inner race "
        "{inner:.4g}, element {element:.4g}, cage {cage:.4g} times the shaft's rate"
    ),
}
