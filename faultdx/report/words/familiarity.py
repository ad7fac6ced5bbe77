"""What an evaluation says of familiarity and conformal sets."""

WORDS = {
    "title": "Does it notice what it does not know?",
    "not_assessed": "Not assessed: {why}.",
    "means": (
        "Whole records went the way of a diagnosis. Refused: unusable by the checks of the signal. Unfamiliar: unlike "
        "the training records, no verdict. By a check: the verdict stands or is undecided, and a check of the signal "
        "fired that no training record raises. Flagged: any of the three; on the records as they are, a false alarm. "
        "In brackets the 95 % interval by record; of the copies, by the records that were spoilt."
    ),
    "count": "records",
    "flagged": "flagged, %",
    "refused": "refused, %",
    "unfamiliar": "unfamiliar, %",
    "checked": "by a check, %",
    "unnoticed": "unnoticed, %",
    "called_healthy": "called healthy, %",
    "clean": "as they are",
    "corrupted": "spoilt copies, all kinds",
    "foreign": "another rig",
    "foreign_path": "Another rig: {path}; {unread} recordings could not be read.",
    "no_sets": "Conformal sets: none ({why}).",
    "sets": (
        "Conformal sets: the true class is in the set of {covered} % of {count:|record|records}; {stated:.0f} % is "
        "stated, for {holds_for}. Mean size {size:.2f} ({sizes}). Refused and unfamiliar records have no set."
    ),
    "size": "{n} of size {size}",
    "line_clean": "familiarity: {flagged} % of {count} records flagged (false alarms)",
    "line_corrupted": "familiarity: {flagged} % of {count} spoilt copies flagged, {called_healthy} % called healthy",
    "line_foreign": "familiarity: {flagged} % of {count} foreign records flagged, {called_healthy} % called healthy",
    "line_sets": "conformal sets: {covered} % hold the true class ({stated:.0f} % stated), mean size {size:.2f}",
}
