"""The cells of a plan: every training that it asks for, in a fixed order, each under an address of its own.

The address is a digest of all that decides a cell's result: the recordings' content, how they are prepared, the
configuration of the training, the seed, and what is scored. So a finished cell is known again whatever the plan and
its parts are called, wherever the data lie, and whatever other cells a plan has gained or lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faultdx.config import PrepareConfig, TrainConfig, load
from faultdx.errors import ConfigError
from faultdx.plans import Background, Data, Plan, Recipe, TrainingNoise

# Counted up whenever the same configuration comes to another result than before: cells of old are then run again.
SCHEMA = "faultdx.cell/1"
SEED_OF_TESTS = 10_000  # added to a cell's seed: the noise of the tests is none that its training has seen


@dataclass(frozen=True)
class Cell:
    """One training and what it is scored on.

    kind, snr_db : the noise that a "fresh" or "fixed" training has, else "" and None
    tests : (kind of noise, SNR in dB) to score at; ("", None) is the segments as they are
    data_address : names the prepared file; address : names the result
    """

    data: Data
    variant: str
    network: str
    recipe: Recipe
    noise: TrainingNoise
    kind: str
    snr_db: float | None
    seed: int
    prepare: PrepareConfig
    train: TrainConfig
    tests: tuple[tuple[str, float | None], ...]
    sides: tuple[str, ...]
    by: tuple[str, ...]
    data_address: str
    address: str

    @property
    def labels(self) -> dict[str, Any]:
        """What tells the cell from the others of its plan, in the words of the plan."""
        return {
            "data": self.data.name,
            "variant": self.variant,
            "network": self.network,
            "input": self.train.input_kind,
            "recipe": self.recipe.name,
            "training_noise": self.noise.name,
            "seed": self.seed,
        }

    @property
    def title(self) -> str:
        """One line for people."""
        noise = f"{self.noise.name} {self.kind} {self.snr_db:g} dB" if self.snr_db is not None else self.noise.name
        parts = (self.data.name, self.variant, self.network, self.recipe.name, noise, f"seed {self.seed}")
        return ", ".join(p for p in parts if p)


@dataclass(frozen=True)
class Task:
    """What a worker is told: the cell, where the recordings are, where to work, where the result goes."""

    cell: Cell
    backgrounds: tuple[Background, ...]
    root: Path
    work: Path
    result: Path
    device: str
    code: str


def digest(value: object) -> str:
    """Return the digest of a JSON value: the same for the same value, whatever its keys' order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def cells_of(plan: Plan, content: Mapping[str, str]) -> list[Cell]:
    """Return the cells of `plan`, seed by seed, so that an interrupted benchmark has whole seeds to show.

    content : the digest of each data set and each background, by name (`benchmark.sources.content_of`)
    Two cells that ask for the same have the same address. Raises ConfigError with every problem of the settings.
    """
    problems: list[str] = []
    found: list[Cell] = []
    for seed in plan.seeds:
        for data in plan.data:
            for variant, settings in data.variants:
                for noise in plan.training_noise:
                    for kind, snr_db in _draws(noise):
                        for recipe in plan.recipes:
                            for network in recipe.networks or plan.networks:
                                try:
                                    found.append(
                                        _cell(
                                            plan, content, data, (variant, settings), noise, (kind, snr_db), recipe,
                                            network, seed,
                                        )
                                    )  # fmt: skip
                                except ConfigError as error:
                                    text = f"data {data.name} {variant}".rstrip() + f", recipe {recipe.name}: {error}"
                                    text = text.replace("option: ", "")
                                    problems += [text] if text not in problems else []
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def _draws(noise: TrainingNoise) -> list[tuple[str, float | None]]:
    """The single noises that are trained on one by one, or one stand-in for all."""
    if noise.mode in ("fresh", "fixed"):
        return [(kind, snr) for kind in noise.kinds for snr in noise.snr_db]
    return [("", None)]


def _cell(
    plan: Plan,
    content: Mapping[str, str],
    data: Data,
    variant: tuple[str, Mapping[str, Any]],
    noise: TrainingNoise,
    drawn: tuple[str, float | None],
    recipe: Recipe,
    network: str,
    seed: int,
) -> Cell:
    kind, snr_db = drawn
    prepare = preparation(data, variant[1], seed, (kind, snr_db) if noise.mode == "fixed" else ("", None))
    train = training(recipe, network, noise, drawn, seed)
    tests = tests_of(plan, noise, drawn)
    grouped = [asdict(g) for g in data.groupings if g.name in plan.tests.by]
    data_address = digest(
        {
            "schema": SCHEMA,
            "content": content[data.name],
            "prepare": asdict(prepare),
            "declared": {k: v for k, v in asdict(data.declared).items() if k != "said_by"},
            "file_names": asdict(data.file_names) if data.file_names else None,
            "overrides": data.overrides,
        }
    )
    # not what computes it: the device changes the last digits, and is recorded with the result
    decides = {k: v for k, v in asdict(train).items() if k not in ("dataset", "threads", "device")}
    address = digest(
        {
            "schema": SCHEMA,
            "data": data_address,
            "train": decides,
            "tests": tests,
            "sides": plan.tests.sides,
            "by": plan.tests.by,
            "groups": grouped,
            "backgrounds": {b.name: content[f"background {b.name}"] for b in plan.backgrounds if _heard(b.name, tests)},
        }
    )
    return Cell(
        data, variant[0], network, recipe, noise, kind, snr_db, seed, prepare, train, tests, plan.tests.sides,
        plan.tests.by, data_address, address,
    )  # fmt: skip


def _heard(name: str, tests: Sequence[tuple[str, float | None]]) -> bool:
    return any(kind == name for kind, _ in tests)


def preparation(
    data: Data, variant: Mapping[str, Any], seed: int, noise: tuple[str, float | None] = ("", None)
) -> PrepareConfig:
    """Return how `data` is prepared for a cell. Raises ConfigError."""
    flags: dict[str, Any] = {**data.prepare, **variant}
    if data.split_by_seed:
        flags["seed"] = seed
    if noise[1] is not None:
        flags |= {"noise": [noise[0]], "snr_db": [noise[1]]}
    return load(PrepareConfig, section="prepare", flags=flags)


def training(
    recipe: Recipe, network: str, noise: TrainingNoise, drawn: tuple[str, float | None], seed: int
) -> TrainConfig:
    """Return how a cell is trained. Raises ConfigError."""
    flags: dict[str, Any] = {"recipe": recipe.recipe, **recipe.settings, "network": network, "seed": seed}
    if noise.mode == "mixed":
        flags |= {"noise": list(noise.kinds), "snr": list(noise.snr_db)}
    elif noise.mode == "fresh":
        # every segment has this noise, as in the file of "fixed": what is asked is what fresh draws are worth
        flags |= {"noise": [drawn[0]], "snr": [drawn[1], drawn[1]], "clean_share": 0.0}
    elif noise.mode in ("fixed", "none"):
        flags |= {"noise": ["none"]}
    return load(TrainConfig, section="train", flags={**flags, "threads": 1})


def tests_of(plan: Plan, noise: TrainingNoise, drawn: tuple[str, float | None]) -> tuple[tuple[str, float | None], ...]:
    """Return what a cell is scored on: the plan's tests, or the noise of its own training alone."""
    if noise.matched:
        return (drawn,)
    grid = tuple((kind, snr) for kind in plan.tests.noise for snr in plan.tests.snr_db)
    return ((("", None),) if plan.tests.clean else ()) + grid
