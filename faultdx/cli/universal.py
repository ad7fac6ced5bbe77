"""`faultdx train --universal`: scenes on paper -> the folder of a learned witness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faultdx.cli import console


def train_universal(
    out: Path,
    *,
    scenes: int | None,
    epochs: int | None,
    seed: int | None,
    threads: int | None,
    overwrite: bool,
    other: Mapping[str, Any],
) -> None:
    """Train a learned witness and print its folder. `other`: options that do not go with it, by name; None: not given.

    Raises ConfigError for one of those.
    """
    from faultdx.distributed import launched
    from faultdx.errors import ConfigError

    if given := [name for name, value in other.items() if value]:
        raise ConfigError(f"{given[0]} does not go with --universal: it draws its own records, and has one network")
    if launched() is not None:
        raise ConfigError("--universal trains in one process; call it without torchrun")
    from faultdx.soleness import sole

    with sole(out, folder=True, note=console.note), console.progress() as step:
        from faultdx.universal import course  # seconds of torch: after what can refuse the start at once

        info = course.train_universal(
            out,
            scenes=course.SCENES if scenes is None else scenes,
            epochs=course.EPOCHS if epochs is None else epochs,
            seed=course.SEED if seed is None else seed,
            threads=threads or 1,
            overwrite=overwrite,
            progress=step,
        )
    at = info["scores"]["0.9"]
    if at["located"] is not None and at["healthy_located"] is not None:
        console.note(
            f"on {info['scores']['records']} records on paper that were held back: {100 * at['located']:.0f} % of the "
            f"faults named at a probability of 0.9, {100 * at['healthy_located']:.1f} % of the healthy ones"
        )
    console.out(str(out))
