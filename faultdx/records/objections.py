"""What the checks of a signal say of a record."""

from __future__ import annotations

from dataclasses import replace

from faultdx.errors import UnusableError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.quality import Check, assess, fired


def assess_record(record: Record) -> tuple[Check, ...]:
    """Return every check of the signal of `record`, those that found nothing too."""
    names = [show(c) for c in record.channels]
    return assess(record.signal, sampling_rate_hz=record.sampling_rate_hz, rpm=record.rpm, names=names)


def objections(record: Record, *, policy: str = "refuse") -> tuple[Check, ...]:
    """Return the checks of `record` that fired, those that refuse first.

    policy : "refuse"; "warn" turns refusals into warnings; "off" makes no checks
    """
    if policy == "off":
        return ()
    found = fired(assess_record(record))
    return tuple(replace(c, severity="warn") for c in found) if policy == "warn" else found


def unusable_check(error: UnusableError) -> Check:
    """Return the check that a signal failed while it was read; its message does not repeat the file."""
    message = str(error)
    return Check(error.check, error.value, error.limit, "refuse", message.removeprefix(f"{show(error.path or '')}: "))
