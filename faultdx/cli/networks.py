"""`faultdx networks`: the networks, their size, and where they come from."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from faultdx.cli import console, options


def networks(
    classes: Annotated[int, typer.Option("--classes", min=2, metavar="N", help="Classes to tell apart.")] = 10,
    json: options.Json = False,
) -> None:
    """List the networks with their parameters, multiply-adds for a segment of 2048 samples, and sources."""
    from faultdx.networks.architecture import NETWORKS, SOURCES, architecture
    from faultdx.networks.drsn import build, multiply_adds, parameter_count

    for name in NETWORKS:
        network = build(architecture(name, classes=classes))
        row = {
            "name": name,
            "parameters": parameter_count(network),
            "macs": multiply_adds(network),
            "source": SOURCES[name],
        }
        if json:
            console.out(jsonlib.dumps(row))
        else:
            console.out(f"{name:<10} {row['parameters']:>8} parameters {row['macs']:>9} multiply-adds  {row['source']}")
