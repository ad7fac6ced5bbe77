"""A benchmark's plan: a TOML file that says which networks learn from what, and what they are tested on.

`find_plan` reads and checks one, and reports every problem at once; `shipped_plans` lists those of the package. Nothing
is trained here, and no recording is opened. The format is described in docs/benchmark-plans.md.
"""

from __future__ import annotations

import os
import tomllib
from importlib import resources
from pathlib import Path

from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.intake import read_file
from faultdx.plans.checking import check_plan
from faultdx.plans.fields import Table
from faultdx.plans.parts import Background, Data, FileNames, Grouping, Plan, Recipe, Simulated, Tests, TrainingNoise
from faultdx.plans.reading import plan_of

__all__ = [
    "Background",
    "Data",
    "FileNames",
    "Grouping",
    "Plan",
    "Recipe",
    "Simulated",
    "Tests",
    "TrainingNoise",
    "find_plan",
    "read_plan",
    "shipped_plans",
]

_MOST_BYTES = 1 << 20  # of a plan


def shipped_plans() -> dict[str, str]:
    """Return the TOML text of each plan of the package, by name."""
    folder = resources.files("faultdx").joinpath("plans", "shipped")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {f.name.removesuffix(".toml"): f.read_text("utf-8") for f in files}


def find_plan(name: str | os.PathLike[str]) -> Plan:
    """Return the plan of a TOML file, or the shipped one of this name. Raises ConfigError."""
    path = Path(name)
    shipped = shipped_plans()
    if str(name) in shipped and not path.is_file():
        return read_plan(shipped[str(name)], name=str(name), origin=f"plan {name}")
    cure = f"a plan is a TOML file, or one of those shipped: {', '.join(shipped)}"
    try:
        text = read_file(path, limit_bytes=_MOST_BYTES, kind=ConfigError, cure=cure).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{show(path)}: is not a TOML file: it is not UTF-8 text: {cure}") from error
    return read_plan(text, name=path.stem, origin=show(path), folder=path.absolute().parent)


def read_plan(text: str, *, name: str, origin: str, folder: Path | None = None) -> Plan:
    """Return the plan in `text`. `name` is its name where it states none; `origin` stands in messages.

    Raises ConfigError with every problem at once.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: is not a TOML file: {error}") from error
    problems: list[str] = []
    top = Table("", content, problems)
    plan = plan_of(top, name, text, folder)
    check_plan(plan, problems)
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    return plan
