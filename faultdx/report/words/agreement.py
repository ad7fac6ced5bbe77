"""How network and spectrum go together, and what that does to the confidence."""

WORDS = {
    "title": "Network and spectrum, two witnesses",
    "agree": "They agree: the spectrum shows what the network names.",
    "disagree_fault": "They disagree: the spectrum shows damage at another place than the network names.",
    "disagree_healthy": "They disagree: the network finds nothing, and the spectrum shows damage.",
    "silent_fault": (
        "The spectrum shows no damage of the bearing. That confirms nothing and contradicts nothing: about half of the "
        "faults of rolling elements leave no line."
    ),
    "silent_healthy": "The spectrum shows no damage of the bearing either. That is no proof that there is none.",
    "unheard": "The spectrum could not assess the bearing, so the network stands alone.",
    "follows_agree": "What follows: the verdict has two independent grounds.",
    "follows_disagree": (
        "What follows: one of the two is wrong. Check speed and bearing type, look at the envelope spectrum below, and "
        "record again before anything is taken apart."
    ),
    "follows_silent": "What follows: the verdict rests on the network; a second record, or another sensor, would add.",
    "network": "confidence of the network",
    "supported": "of which its validation votes support",
    "ratio": "weight of the spectrum",
    "ratio_value": "{ratio:.3g} times as likely beside a right verdict as beside a wrong one",
    "stated": "confidence as stated",
    "basis": "counted on",
    "basis_value": "{records} records of {specimens} specimens; votes: {holds_for}",
    "not_calibrated": (
        "What agreement is worth was not calibrated with this model ({why}), so the confidence is the network's own."
    ),
    "independent": (
        "Given the true class, the two are taken for independent witnesses. A record that is hard for both is one on "
        "which the stated confidence is too high."
    ),
}
