"""A plan's TOML, table by table, as the parts of a Plan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faultdx.config import RECIPES
from faultdx.errors import ConfigError
from faultdx.plans.fields import Table, decibels, names, number, seeds_of, words
from faultdx.plans.parts import (
    MODES,
    SIDES,
    Background,
    Data,
    FileNames,
    Grouping,
    Plan,
    Recipe,
    Simulated,
    Tests,
    TrainingNoise,
)
from faultdx.records.table import Declared
from faultdx.signals.noise import KINDS

# What each cell sets by itself, or the command line.
_NOT_IN_RECIPE = ("network", "recipe", "noise", "snr", "seed", "threads", "device", "dataset")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,_+()/-]{0,79}")
_NO_NUMBERS: tuple[float, ...] = ()
_NO_NAMES: tuple[str, ...] = ()
_TEST: tuple[str, ...] = ("test",)
_SEED_0: tuple[int, ...] = (0,)


def plan_of(top: Table, name: str, text: str, folder: Path | None) -> Plan:
    """Return the plan in the table `top`; what is wrong with a field goes to the problems of the table."""
    plan = Plan(
        name=_named(top, name),
        description=top.take("description", words, ""),
        networks=top.take("networks", names, _NO_NAMES),
        seeds=top.take("seeds", seeds_of, _SEED_0),
        data=tuple(_data(t) for t in top.tables("data")),
        recipes=tuple(_recipe(t) for t in top.tables("recipe")) or (Recipe("default", "default", {}, ()),),
        training_noise=tuple(_training_noise(t) for t in top.tables("training_noise"))
        or (TrainingNoise("as the recipe", "recipe", (), (), matched=False),),
        backgrounds=tuple(_background(t) for t in top.tables("background")),
        tests=_tests(top.table("test")),
        cell_seconds=_seconds(top.table("cell_seconds")),
        text=text,
        folder=folder,
    )
    top.end()
    for what, missing in (("networks", not plan.networks), ("data", not plan.data), ("seeds", not plan.seeds)):
        if missing and not top.problems:
            top.problems.append(f"a plan needs {what}")
    return plan


def _named(table: Table, default: str = "") -> str:
    found: str = table.take("name", words, default)
    if not _NAME.fullmatch(found):
        table.wrong(f"name {found!r} must be 1 to 80 letters, digits, spaces or . , _ + ( ) / -")
    return found


def _data(table: Table) -> Data:
    simulate, file_names = table.table("simulate"), table.table("file_names")
    prepare = dict(table.table("prepare").rest())
    variants = [(_named(v), dict(v.rest())) for v in table.tables("variant")]
    data = Data(
        name=_named(table),
        sources=table.take("source", names, _NO_NAMES),
        simulate=_simulated(simulate) if simulate else None,
        declared=_declared(table.table("declare")),
        file_names=_file_names(file_names) if file_names else None,
        overrides=tuple(_override(t) for t in table.tables("override")),
        groupings=tuple(_grouping(t) for t in table.tables("group")),
        prepare=prepare,
        variants=tuple(variants) or (("", {}),),
        split_by_seed=table.flag("split_by_seed", default=False),
    )
    table.end()
    if bool(data.sources) == (data.simulate is not None):
        table.wrong("name either a source or what to simulate")
    return data


def _simulated(table: Table) -> Simulated:
    kind = table.take("kind", words, "bearing")
    specimens, seconds = table.take("specimens", number, 4.0), table.take("seconds", number, 10.0)
    seed = table.take("seed", number, 0.0)
    table.end()
    whole = specimens % 1 == seed % 1 == 0
    if not whole or kind not in ("bearing", "gearbox") or specimens < 1 or seed < 0 or not seconds > 0:
        table.wrong("takes kind (bearing or gearbox), specimens (1 or more), seconds (above 0) and seed (0 or more)")
        return Simulated("bearing", 1, 1.0, 0)
    return Simulated(kind, int(specimens), seconds, int(seed))


def _declared(table: Table) -> Declared:
    values: dict[str, Any] = {}
    for name in ("sampling_rate_hz", "rpm", "scale"):
        if table.has(name):
            values[name] = table.take(name, number, 1.0)
    for name in ("variable", "unit", "label", "specimen", "condition", "asset"):
        values[name] = table.take(name, words, "") or None
    values["channels"] = table.take("channel", names, _NO_NAMES)
    table.end()
    try:
        return Declared(**values)
    except ConfigError as error:
        table.wrong(str(error).replace("--", ""))
        return Declared()


def _file_names(table: Table) -> FileNames:
    pattern = table.take("pattern", words, "")
    meaning = {}
    for key, value in table.rest().items():
        if not isinstance(value, dict):
            table.wrong(f"{key} must be a table of what is found to what it means")
            continue
        meaning[key] = {k: str(v) for k, v in value.items()}
    try:
        groups = re.compile(pattern).groupindex
        if unknown := [k for k in meaning if k not in groups]:
            table.wrong(f"pattern has no group named {unknown[0]!r}")
        if not groups:
            table.wrong("pattern needs named groups, (?P<label>...) for one")
    except re.error as error:
        table.wrong(f"pattern is no regular expression: {error}")
    return FileNames(pattern, meaning)


def _override(table: Table) -> tuple[str, str, Mapping[str, str]]:
    column, value = table.take("column", words, "label"), table.take("value", words, "")
    fields = {k: str(v) for k, v in table.rest().items()}
    if unknown := [k for k in fields if k not in ("label", "specimen", "condition", "asset")]:
        table.wrong(f"cannot set {unknown[0]!r}: label, specimen, condition and asset can be")
    return column, value, fields


def _grouping(table: Table) -> Grouping:
    name, column, other = _named(table), table.take("column", words, ""), table.take("other", words, "")
    values = {str(v): group for group, listed in table.rest().items() for v in names(listed)}
    if not column or not values:
        table.wrong("takes name, column, other, and for each group the values that are in it")
    return Grouping(name, column, values, other)


def _recipe(table: Table) -> Recipe:
    name = _named(table)
    settings = dict(table.table("set").rest())
    recipe = Recipe(name, table.take("recipe", words, name), settings, table.take("networks", names, _NO_NAMES))
    table.end()
    if recipe.recipe not in RECIPES:
        table.wrong(f"recipe {recipe.recipe!r} is unknown: it is one of {', '.join(RECIPES)}")
    if taken := [k for k in settings if k in _NOT_IN_RECIPE]:
        table.wrong(f"set: {taken[0]} is an axis of the plan, or an option of the command, not of a recipe")
    return recipe


def _training_noise(table: Table) -> TrainingNoise:
    mode = table.take("mode", words, "recipe")
    found = TrainingNoise(
        name=_named(table, mode),
        mode=mode,
        kinds=table.take("noise", names, _NO_NAMES),
        snr_db=table.take("snr", decibels, _NO_NUMBERS),
        matched=table.flag("matched", default=mode in ("fresh", "fixed")),
    )
    table.end()
    wanted = mode in ("mixed", "fresh", "fixed")
    if mode not in MODES:
        table.wrong(f"mode {mode!r} is unknown: it is one of {', '.join(MODES)}")
    elif wanted != bool(found.kinds) or wanted != bool(found.snr_db):
        table.wrong(f"mode {mode} takes {'noise and snr' if wanted else 'no noise and no snr'}")
    elif mode == "mixed" and (len(found.snr_db) != 2 or found.snr_db[0] > found.snr_db[1]):
        table.wrong("snr of mode mixed is [low, high]")
    elif (mode == "fixed" and not found.matched) or (found.matched and mode in ("recipe", "mixed")):
        table.wrong(f"mode {mode} {'is always' if mode == 'fixed' else 'cannot be'} matched")
    _check_kinds(table, found.kinds, KINDS)
    return found


def _background(table: Table) -> Background:
    found = Background(_named(table), table.take("source", names, _NO_NAMES), _declared(table.table("declare")))
    table.end()
    if not found.sources or found.name in KINDS:
        table.wrong(f"needs a source, and a name other than {', '.join(KINDS)}")
    return found


def _tests(table: Table) -> Tests:
    found = Tests(
        noise=table.take("noise", names, _NO_NAMES),
        snr_db=table.take("snr", decibels, _NO_NUMBERS),
        clean=table.flag("clean", default=True),
        sides=table.take("sides", names, _TEST),
        by=table.take("by", names, _NO_NAMES),
    )
    table.end()
    if bool(found.noise) != bool(found.snr_db):
        table.wrong("noise and snr go together")
    if bad := [s for s in found.sides if s not in SIDES]:
        table.wrong(f"sides: {bad[0]!r} is none of {', '.join(SIDES)}")
    return found


def _seconds(table: Table) -> Mapping[str, float]:
    found = {}
    for network, value in table.rest().items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            table.wrong(f"{network} must be the seconds that a cell of this network takes")
        else:
            found[network] = float(value)
    return found


def _check_kinds(table: Table, given: Sequence[str], known: Sequence[str]) -> None:
    if bad := [k for k in given if k not in known]:
        table.wrong(f"noise {bad[0]!r} is unknown: it is one of {', '.join(known)}")
