"""Velocity and vibration severity."""

WORDS = {
    "section": "Vibration severity",
    "velocity": "velocity, {channel}",
    "velocity_value": "{rms} mm/s RMS, {low:g} to {high:g} Hz",
    "zone": "zone",
    "zone_value": "{zone}: {meaning}",
    "zone_none": "none can be given: {why}",
    "no_velocity": "none: {why}",
    "nothing": (
        "No zone is neither good nor bad: the level was not judged. The zones of ISO 20816-3 are of the velocity on "
        "the housing, in mm/s RMS from {low:g} to {high:g} Hz, of industrial machines above {power:g} kW; they take a "
        "declared unit of acceleration or velocity, the class of the machine and its power."
    ),
    "limits": "limits",
    "limits_value": "A/B {ab:g}, B/C {bc:g}, C/D {cd:g} mm/s RMS ({by}, {name})",
    "power": "rated power",
    "power_value": "{kw:g} kW",
    "A": "as of a newly commissioned machine",
    "B": "fit for unrestricted long-term operation",
    "C": "not fit for continuous operation: plan the repair",
    "D": "severe enough to cause damage",
    "caption": "Velocity spectrum, peak amplitudes, from {low:g} Hz on{many}.",
    "axis": "peak velocity (mm/s)",
    "what": "velocity spectrum",
    "note": (
        "The zone is of the overall level on the housing, and says nothing of a bearing or a gear: a fault may be well "
        "developed in zone A. Limits differ between tables, and what a plant has agreed goes first."
    ),
}
