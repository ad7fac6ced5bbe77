"""What a plan is made of: frozen dataclasses, and the words that they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultdx.records.table import Declared

MODES = ("recipe", "mixed", "fresh", "fixed", "none")
SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Simulated:
    """A rig on paper instead of recordings: the arguments of `simulation.rig.simulate`."""

    kind: str
    specimens: int
    seconds: float
    seed: int


@dataclass(frozen=True)
class FileNames:
    """What the names of files tell: a pattern with named groups, and what their values mean."""

    pattern: str
    meaning: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Grouping:
    """Groups of records to score apart: `values` of a column to names; `other` for the rest, or none."""

    name: str
    column: str
    values: Mapping[str, str]
    other: str


@dataclass(frozen=True)
class Data:
    """One set of recordings, and the ways it is prepared.

    sources : files, folders or globs, relative to the data folder; empty where `simulate` says what to make
    declared : what is said of all recordings; file_names: what their names say of each
    overrides : (column, value, {field: text}): fields of the records in which that column has that value
    prepare : settings of `prepare`; variants : name and further settings, one preparation each
    split_by_seed : whether the split and the fixed noise are drawn anew for every training seed
    """

    name: str
    sources: tuple[str, ...]
    simulate: Simulated | None
    declared: Declared
    file_names: FileNames | None
    overrides: tuple[tuple[str, str, Mapping[str, str]], ...]
    groupings: tuple[Grouping, ...]
    prepare: Mapping[str, Any]
    variants: tuple[tuple[str, Mapping[str, Any]], ...]
    split_by_seed: bool


@dataclass(frozen=True)
class Recipe:
    """A way of training: a recipe of faultdx and what is set over it; `networks` are those it is for."""

    name: str
    recipe: str
    settings: Mapping[str, Any]
    networks: tuple[str, ...]


@dataclass(frozen=True)
class TrainingNoise:
    """The noise that is trained on.

    mode : "recipe" as the recipe says; "mixed" `kinds` at an SNR within `snr_db`, drawn for each batch; "none";
        "fresh" and "fixed": one training for each kind and SNR, the noise drawn for each batch or once in the file
    matched : tested on the noise of the training alone
    """

    name: str
    mode: str
    kinds: tuple[str, ...]
    snr_db: tuple[float, ...]
    matched: bool


@dataclass(frozen=True)
class Background:
    """A recording whose signal is the noise of a test: of a healthy machine, say."""

    name: str
    sources: tuple[str, ...]
    declared: Declared


@dataclass(frozen=True)
class Tests:
    """What each trained network is scored on, besides the segments as they are (`clean`)."""

    noise: tuple[str, ...]
    snr_db: tuple[float, ...]
    clean: bool
    sides: tuple[str, ...]
    by: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A plan as it was read. `text` is its TOML, `folder` where its sources are looked for (None: the data folder)."""

    name: str
    description: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    data: tuple[Data, ...]
    recipes: tuple[Recipe, ...]
    training_noise: tuple[TrainingNoise, ...]
    backgrounds: tuple[Background, ...]
    tests: Tests
    cell_seconds: Mapping[str, float]
    text: str
    folder: Path | None
