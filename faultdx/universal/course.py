"""The learned witness from nothing: scenes are drawn, the network is trained on them, and the folder is written.

    universal.onnx   the network, probabilities out
    universal.json   digest, how it was trained, what it reaches on scenes that it was not trained on
    MODEL_CARD.md

The first scenes of the seed are held back for the scores; the others are trained on. 6000 scenes take 1.7 GB of memory
and about a quarter of an hour of one core.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faultdx import __version__
from faultdx.files import check_target, write_together
from faultdx.universal.card import card
from faultdx.universal.exporting import to_onnx
from faultdx.universal.fitting import fit, probabilities
from faultdx.universal.lessons import Lessons, draw_lessons
from faultdx.universal.listening import CLASSES

SCHEMA = "faultdx.universal/1"
SEED, SCENES, EPOCHS, HELD_BACK = 1001, 6000, 12, 400
LIMITS = (0.5, 0.8, 0.9, 0.95)

Progress = Callable[[str, int, int], None]


def train_universal(
    out: Path,
    *,
    scenes: int = SCENES,
    epochs: int = EPOCHS,
    seed: int = SEED,
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a network and write its folder `out`; return what universal.json holds.

    scenes : trained on; a tenth as many, 400 at most, are held back
    progress : called with what is done, how much of it, and of how much
    Raises OutputError where the folder exists, unless `overwrite`, or cannot be written.
    """
    held_back = min(HELD_BACK, max(scenes // 10, 3))
    names = ("universal.onnx", "MODEL_CARD.md", "universal.json")  # in the order they are written: JSON is the last
    for name in names:
        check_target(out / name, overwrite=overwrite)

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(what, done, total) if progress is not None else None

    held = draw_lessons(seed, first=0, count=held_back, progress=told("scenes held back"))
    lessons = draw_lessons(seed, first=held_back, count=scenes, progress=told("scenes"))
    drawn = told("epochs")
    network = fit(lessons, epochs=epochs, seed=seed, threads=threads, progress=lambda done, _: drawn(done, epochs))
    onnx = to_onnx(network)
    info = {
        "schema": SCHEMA,
        "version": __version__,
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "classes": list(CLASSES),
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": {
            "seed": seed,
            "scenes": scenes,
            "epochs": epochs,
            "records": int(lessons.label.size),
            "held_back": held_back,
        },
        "scores": scores(probabilities(network, held), held),
    }
    text = json.dumps(info, indent=2, allow_nan=False) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    files: dict[Path, bytes | str] = {out / names[0]: onnx, out / names[1]: card(info), out / names[2]: text}
    write_together(files, overwrite=overwrite)
    return info


def scores(said: np.typing.NDArray[np.float64], lessons: Lessons) -> dict[str, Any]:
    """Return what the network reaches: four classes at full coverage, and at each limit what it locates."""
    truth = lessons.label
    place, sure, faulty = said[:, 1:].argmax(axis=1) + 1, said[:, 1:].max(axis=1), truth > 0
    out: dict[str, Any] = {"records": int(truth.size), "accuracy": _share(said.argmax(axis=1) == truth)}
    for limit in LIMITS:
        located = sure >= limit
        out[f"{limit:g}"] = {
            "located": _share(located[faulty]),
            "right": _share((place == truth)[faulty & located]),
            "healthy_located": _share(located[~faulty]),
        }
    return out


def _share(told: np.typing.NDArray[np.bool_]) -> float | None:
    return round(float(told.mean()), 4) if told.size else None
