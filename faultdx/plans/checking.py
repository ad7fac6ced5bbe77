"""What is wrong with a plan as a whole: names that are there twice, and settings that no training can have."""

from __future__ import annotations

from collections.abc import Sequence

from faultdx.config import PrepareConfig, TrainConfig, load
from faultdx.errors import ConfigError
from faultdx.networks.architecture import INPUT_KINDS, NETWORKS, architecture
from faultdx.plans.parts import Plan
from faultdx.signals.noise import KINDS


def check_plan(plan: Plan, problems: list[str]) -> None:
    """Append every problem of `plan` to `problems`, a sentence each."""
    _check_names(plan, problems)
    _check_trainings(plan, problems)
    _check_preparations(plan, problems)


def _check_names(plan: Plan, problems: list[str]) -> None:
    known = (*KINDS, *(b.name for b in plan.backgrounds))
    problems += [
        f"test: noise {k!r} is unknown: it is one of {', '.join(known)}" for k in plan.tests.noise if k not in known
    ]
    for what, listed in (
        ("data", [d.name for d in plan.data]),
        ("recipe", [r.name for r in plan.recipes]),
        ("training_noise", [t.name for t in plan.training_noise]),
        ("background", [b.name for b in plan.backgrounds]),
        ("network", list(plan.networks)),
        ("seed", [str(s) for s in plan.seeds]),
        *((f"variant of data {d.name}", [v for v, _ in d.variants]) for d in plan.data),
    ):
        if twice := [n for n in listed if listed.count(n) > 1]:
            problems.append(f"{what} {twice[0]!r} is there twice")


def _check_trainings(plan: Plan, problems: list[str]) -> None:
    """Build every configuration of training once: what is wrong with one is known before anything is read."""
    for recipe in plan.recipes:
        for network in recipe.networks or plan.networks:
            if network not in plan.networks:
                problems.append(f"recipe {recipe.name}: network {network!r} is not one of the plan's networks")
                continue
            try:
                load(
                    TrainConfig, section="train", flags={"recipe": recipe.recipe, **recipe.settings, "network": network}
                )
            except ConfigError as error:
                problems += [
                    p for p in (f"recipe {recipe.name}: {str(error).replace('option: ', '')}",) if p not in problems
                ]


def _check_preparations(plan: Plan, problems: list[str]) -> None:
    """Build every configuration of `prepare`, and see that its segments are long enough for every network."""
    for data in plan.data:
        for name, settings in data.variants:
            try:
                prepare = load(PrepareConfig, section="prepare", flags={**data.prepare, **settings})
            except ConfigError as error:
                text = f"data {data.name} {name}".rstrip() + f": {error}".replace("option: ", "")
                problems += [] if text in problems else [text]
                continue
            for recipe in plan.recipes:
                kind = str(recipe.settings.get("input_kind", "waveform"))
                _check_length(prepare.segment, kind, recipe.networks or plan.networks, problems)


def _check_length(segment: int, kind: str, networks: Sequence[str], problems: list[str]) -> None:
    for network in networks:
        if network not in NETWORKS or kind not in INPUT_KINDS:
            continue  # said already
        try:
            architecture(network, input_kind=kind, samples=segment)
        except ConfigError as error:
            text = f"network {network}: {str(error).removeprefix('network: ')}"
            problems += [] if text in problems else [text]
