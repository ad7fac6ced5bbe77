"""`faultdx simulate`: a bearing rig or a gearbox on paper -> CWRU-style .mat files and a records.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faultdx.cli import console, options


def simulate(
    kind: Annotated[str, typer.Argument(metavar="bearing|gearbox", help="Which rig.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write, new or empty.")],
    specimens: Annotated[int, typer.Option("--specimens", min=1, metavar="N", help="Specimens of each class.")] = 4,
    first_specimen: Annotated[
        int,
        typer.Option("--first-specimen", min=0, metavar="N", help="Number of the first: others than an earlier run's."),
    ] = 0,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Length of each record.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random.")] = 0,
    mat: Annotated[str, typer.Option("--mat", metavar="5|7.3", help="MATLAB format of the files.")] = "5",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Simulate a bearing rig (4 classes, 4 loads) or a gearbox (8 classes, 3 speeds x 3 loads) with known faults.

    Each specimen has its own resonances, severity, phases and level, so that a split by specimen means something.
    """
    from faultdx.extras import require

    require(("scipy",) if mat == "5" else (), what="simulate")
    from faultdx.simulation.rig import simulate as run
    from faultdx.simulation.writing import write_rig
    from faultdx.soleness import sole

    records = run(kind, specimens=specimens, first_specimen=first_specimen, seconds=seconds, seed=seed)
    with sole(out, folder=True, note=console.note):
        written = write_rig(records, out, mat_format=mat, overwrite=overwrite)
    console.out(str(written))
