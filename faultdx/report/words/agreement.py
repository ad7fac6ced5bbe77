"""How network and spectrum go together, and what that does to the confidence."""

WORDS = {
    "title": "Network and spectrum, two witnesses",
    "agree": "They agree: the spectrum shows what the network names.",
    "damaged": "The spectrum shows damage of the bearing, too, and does not name the place that the network names.",
    "disagree_fault": "They disagree: the spectrum shows damage at another place than the network names.",
    "disagree_healthy": "They disagree: the network finds nothing, and the spectrum shows damage.",
    "silent_fault": (
        "The spectrum shows no damage of the bearing. That confirms nothing and contradicts nothing: about half of the "
        "faults of rolling elements leave no line."
    ),
    "silent_healthy": "The spectrum shows no damage of the bearing either. That is no proof that there is none.",
    "alone": "A network is not heard on a record unlike its training's: the spectrum speaks alone.",
    "unheard": "The spectrum could not assess the bearing, so the network stands alone.",
    "hint": (
        "The spectrum shows no damage of the bearing; what is deepest in it, too weak for a verdict, is of the {place}."
    ),
    "believed_both": "Both name it: {name}.",
    "believed_network": "The network is believed: {name}. By what both were worth on known records that is likelier.",
    "believed_spectrum": (
        "The spectrum is believed, and not the network, which says {votes}: the verdict is {name}. Of bearings that it "
        "was not trained on a network is often wrong, and lines at the rates of a bearing do not depend on training."
    ),
    "believed_baseline": (
        "The healthy recordings of the machine say that it is damaged; that it is {name} is the likeliest of what "
        "network and spectrum leave, not what one of them names."
    ),
    "believed_nobody": "Nobody is believed far enough for a verdict; the likeliest is {name}.",
    "line_spectrum": "; named by the spectrum, the network says {votes}",
    "line_baseline": "; the likeliest place, damaged by its baseline",
    "found_spectrum": (
        "The spectrum of the bearing shows the fault class {what}, and is believed before the network, which says "
        "{votes}: the confidence, both weighed together, is {confidence}; how far it has gone and how long the part "
        "will last were not assessed."
    ),
    "found_baseline": (
        "Against its healthy recordings the machine is damaged, and the likeliest place is {what}: the confidence, "
        "network and spectrum weighed together, is {confidence}; how far it has gone and how long the part will last "
        "were not assessed."
    ),
    "follows_spectrum": (
        "What follows: the two contradict each other. Record again and look at the envelope spectrum below before "
        "anything is taken apart; check that speed and bearing type are right, on which the spectrum stands."
    ),
    "candidates": "likeliest",
    "candidate": "{name} {share}",
    "unseen": "; for bearings that were not trained on, votes are worth less, and that is counted in",
    "follows_agree": "What follows: the verdict has two independent grounds.",
    "follows_disagree": (
        "What follows: one of the two is wrong. Check speed and bearing type, look at the envelope spectrum below, and "
        "record again before anything is taken apart."
    ),
    "follows_silent": "What follows: the verdict rests on the network; a second record, or another sensor, would add.",
    "network": "confidence of the network",
    "supported": "of which its validation votes support",
    "ratio": "weight of the spectrum",
    "ratio_value": "{ratio:.3g} times the odds that the network is right",
    "stated": "confidence as stated",
    "basis": "counted on",
    "basis_value": "{records:|record|records} of {specimens:|specimen|specimens}; votes: {holds_for}",
    "not_calibrated": (
        "What agreement is worth was not calibrated with this model ({why}), so the confidence is the network's own."
    ),
    "independent": (
        "Given the true class, the two are taken for independent witnesses. A record that is hard for both is one on "
        "which the stated confidence is too high."
    ),
}
