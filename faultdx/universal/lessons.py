"""Scenes -> what the network is trained on: aligned spectra and the truth.

Each scene is a pair: one machine with a healthy bearing and with a fault. Three lessons come of it: the healthy one,
the faulty one, and one of the two asked about a bearing that is not in the machine, where the answer is "none". Scene
i of a seed is the same whatever is drawn before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.hearing import Unfit, hear
from faultdx.signals.kinematics import BearingGeometry
from faultdx.universal.representation import PLACES, align, swing_of
from faultdx.universal.scenes import Scene, draw_pair

NONE = 0


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a network is trained on.

    lines : uint8, 255 times those of `Aligned`, shape (lessons, places, bands, CHANNELS, POSITIONS), 103 KB each
    context : float32, shape (lessons, places, bands, CONTEXT); label : int64, shape (lessons,): 0 none, 1 + place
    """

    lines: npt.NDArray[np.uint8]
    context: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]


def draw_lessons(seed: int, *, first: int, count: int, progress: Callable[[int, int], None] | None = None) -> Lessons:
    """Return the lessons of the scenes `first` to `first + count - 1` of a seed, at least one of them.

    Records that no witness could assess are left out. progress : called with the scenes done and their number
    """
    lines, context, label = [], [], []
    for i in range(first, first + count):
        place = PLACES[i % len(PLACES)]
        healthy, faulty = draw_pair(np.random.default_rng([seed, i]), place=place)
        other = faulty if i % 2 else healthy
        asked = (
            (healthy, healthy.bearing, NONE),
            (faulty, faulty.bearing, 1 + PLACES.index(place)),
            (other, other.foreign, NONE),
        )
        for scene, bearing, truth in asked:
            found = _seen(scene, bearing)
            if found is not None:
                lines.append(found[0])
                context.append(found[1])
                label.append(truth)
        if progress is not None:
            progress(i - first + 1, count)
    return Lessons(np.stack(lines), np.stack(context), np.array(label, dtype=np.int64))


def _seen(scene: Scene, bearing: BearingGeometry) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None:
    heard = hear(scene.signal, sampling_rate_hz=scene.sampling_rate_hz, rpm=scene.stated_rpm, bearing=bearing)
    if isinstance(heard, Unfit):
        return None
    aligned = align(heard.spectra, bearing, swing=swing_of(heard.found), confirmed=heard.speed.confirmed)
    return np.rint(255.0 * aligned.lines).astype(np.uint8), aligned.context
