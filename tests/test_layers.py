"""The rooms of the house: imports run one way, heavy libraries stay in their rooms, and starting up stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import FAULTDX, Trained, environment

import faultdx

PACKAGE = Path(faultdx.__file__).parent
# Each room may import from its own line and from those above it.
ORDER = (
    (
        "errors",
        "config",
        "files",
        "leftovers",
        "soleness",
        "extras",
        "allocation",
        "versions",
        "intake",
        "sink",
        "journal",
    ),
    ("records", "signals"),
    ("transfer", "mapping", "vetting", "trials"),
    ("simulation", "downloads"),
    ("splits", "surveying", "dataset", "cutting", "resumption", "passes", "preparation"),
    ("networks",),
    (
        "voting",
        "evaluation",
        "scoring",
        "tallies",
        "provenance",
        "familiarity",
        "familiarity_fit",
        "explanation",
        "shrinkage",
        "conformal",
    ),
    (
        "augmentation",
        "distributed",
        "batches",
        "checkpoint",
        "training",
        "export",
        "inference",
        "universal",
        "portable",
        "quantization",
        "precision",
    ),
    (
        "runs",
        "following",
        "diagnosis",
        "model",
        "assessment",
        "recollection",
        "testimony",
        "fusion",
        "unstated",
        "untrained",
        "agreement",
        "agreement_fit",
        "estrangement",
        "gearing",
        "severity",
        "references",
        "deviations",
        "baseline",
        "baseline_file",
    ),
    ("plans", "benchmark"),
    ("report",),
    ("database", "history", "changes", "recorder", "metrics", "vouched"),
    ("answers",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
# The configuration names what may be chosen, so it asks those who know: constants only, no room behind them.
NAMES_FOR_CONFIG = {"faultdx.signals.noise", "faultdx.signals.segments", "faultdx.networks.architecture"}
WITH_TORCH = {
    "networks.drsn",
    "networks.lifted",
    "networks.spectrum",
    "networks.synchronised",
    "networks.spectrogram",
    "networks.units",
    "networks.wdcnn",
    "universal.course",
    "universal.exporting",
    "universal.fitting",
    "universal.network",
    "augmentation",
    "batches",
    "distributed",
    "checkpoint",
    "training",
    "export",
    "runs",
    "benchmark.cell",
}
HEAVY = ("torch", "pandas", "scipy", "matplotlib", "h5py", "onnx", "onnxruntime", "onnxscript", "safetensors")


@dataclass(frozen=True)
class Import:
    """An import statement: who, what, the names taken from it, and whether it runs when the module is imported."""

    module: str
    target: str
    names: tuple[str, ...]
    at_start: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"))
    return found


def _walk(node: ast.AST, at_start: bool) -> Iterator[tuple[ast.stmt, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, at_start
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue  # for the type checker; nothing is imported
        else:
            yield from _walk(child, at_start and not isinstance(child, (ast.FunctionDef, ast.Lambda)))


def imports() -> list[Import]:
    found = []
    for name, tree in modules().items():
        for node, at_start in _walk(tree, True):
            if isinstance(node, ast.Import):
                found += [Import(name, alias.name, (), at_start) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: relative import"
                found.append(Import(name, node.module or "", tuple(a.name for a in node.names), at_start))
    return found


MODULES = modules()
IMPORTS = imports()


def inside(found: Import) -> list[str]:
    """The modules of faultdx that an import statement loads, without the package's name."""
    if found.top != "faultdx":
        return []
    base = found.target.removeprefix("faultdx").lstrip(".")
    below = [f"{base}.{name}".lstrip(".") for name in found.names]
    return [name for name in below if name in MODULES] or [base]


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_its_room() -> None:
    assert {room(m) for m in MODULES} - {"", "__main__"} == set(RANK)


def test_imports_run_one_way() -> None:
    against = [
        f"{i.module} -> {target}"
        for i in IMPORTS
        for target in inside(i)
        if target and room(i.module) in RANK and RANK[room(target)] > RANK[room(i.module)]
        if not (i.module == "config" and i.target in NAMES_FOR_CONFIG)
    ]
    assert against == []


def test_the_names_that_config_asks_for_stand_alone() -> None:
    for name in NAMES_FOR_CONFIG:
        behind = {i.target for i in IMPORTS if f"faultdx.{i.module}" == name and i.top == "faultdx"}
        assert behind <= {"faultdx.errors"}, (name, behind)


def test_signals_know_no_files_and_no_other_room() -> None:
    asked = {target for i in IMPORTS if room(i.module) == "signals" for target in inside(i)}
    assert {room(target) for target in asked} <= {"signals", "errors"}
    outside = {i.top for i in IMPORTS if room(i.module) == "signals"} - {"faultdx"}
    assert outside <= set(sys.stdlib_module_names) | {"numpy"}


def test_no_module_imports_itself_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {name: set() for name in MODULES}
    for i in IMPORTS:
        arrows[i.module] |= {target for target in inside(i) if target and target != i.module}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for target in arrows.get(name, ()):
                visit(target, (*above, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("torch", WITH_TORCH),
        ("typer", {"cli"}),
        ("rich", {"cli"}),
        ("matplotlib", {"report"}),
        ("onnxruntime", {"extras", "quantization"}),
        ("safetensors", {"export", "checkpoint"}),
    ],
)
def test_heavy_libraries_stay_in_their_rooms(library: str, rooms: set[str]) -> None:
    users = {i.module for i in IMPORTS if i.top == library}
    assert {user for user in users if user not in rooms and room(user) not in rooms} == set()
    assert users, f"nobody uses {library} any more: take it out of this list"


def test_only_a_few_libraries_are_imported_with_a_module() -> None:
    allowed = set(sys.stdlib_module_names) | {"numpy", "faultdx"}
    for i in IMPORTS:
        if i.at_start and i.top not in allowed:
            assert (i.module in WITH_TORCH and i.top == "torch") or (room(i.module) == "cli" and i.top == "typer"), i


def test_nobody_prints_and_only_the_console_knows_the_streams() -> None:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                assert node.id not in {"print", "input", "breakpoint"}, name
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sys" and name != "cli.console":
                assert node.attr not in {"stdout", "stderr", "exit"}, name


# ---- starting up

PROBE = """
import json, os, sys
from faultdx.cli import main
try:
    main()
finally:
    with open(os.environ["FAULTDX_TEST_PROBE"], "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


def loaded_by(folder: Path, *args: str | Path) -> tuple[set[str], int]:
    """Run the command line; return the top-level modules that were loaded at its end, and its exit code."""
    report = folder / "loaded.json"
    done = subprocess.run(
        [FAULTDX[0], "-c", PROBE, *args],
        env=environment(FAULTDX_TEST_PROBE=str(report)),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return set(json.loads(report.read_text("utf-8"))), done.returncode


@pytest.mark.parametrize(
    "command",
    [
        "",
        "prepare",
        "train",
        "diagnose",
        "history",
        "inspect",
        "simulate",
        "networks",
        "download",
        "baseline",
        "evaluate",
        "benchmark",
        "export",
        "completion",
    ],
)
def test_help_loads_nothing_heavy(tmp_path: Path, command: str) -> None:
    loaded, code = loaded_by(tmp_path, *([command] if command else []), "-h" if command else "--help")
    assert code == 0
    assert loaded & set(HEAVY) == set()


def test_a_plain_diagnosis_loads_the_network_and_nothing_else_heavy(trained: Trained, tmp_path: Path) -> None:
    loaded, code = loaded_by(tmp_path, "diagnose", trained.unseen / "501.mat", "--model", trained.run, "--json")
    assert code == 0
    assert loaded & set(HEAVY) == {"onnxruntime"}


def test_inspect_loads_numpy_alone(trained: Trained, tmp_path: Path) -> None:
    loaded, code = loaded_by(tmp_path, "inspect", trained.unseen / "501.mat")
    assert code == 0
    assert loaded & set(HEAVY) == set()


def test_simulating_and_preparing_need_no_torch(trained: Trained, tmp_path: Path) -> None:
    loaded, code = loaded_by(tmp_path, "prepare", trained.unseen, "--out", tmp_path / "p.h5")
    assert code == 0
    assert loaded & set(HEAVY) == {"h5py"}
    small = ("--specimens", "1", "--seconds", "0.1")
    loaded, code = loaded_by(tmp_path, "simulate", "gearbox", *small, "--out", tmp_path / "rig")
    assert code == 0
    assert loaded & {"torch", "pandas", "matplotlib"} == set()


def test_a_bearing_without_a_model_loads_numpy_and_what_runs_the_shipped_network(
    trained: Trained, tmp_path: Path
) -> None:
    bearing = ("--bearing", "9,0.3126,1.537", "--json")
    loaded, code = loaded_by(tmp_path, "diagnose", trained.unseen / "501.mat", *bearing)
    assert code == 0
    assert loaded & set(HEAVY) == {"onnxruntime"}
    assert "ctypes" in loaded  # the probe sees what is loaded


def test_every_other_command_loads_what_it_uses(trained: Trained, tmp_path: Path) -> None:
    record, history = trained.unseen / "501.mat", tmp_path / "h.sqlite"
    loaded, _ = loaded_by(tmp_path, "diagnose", record, "--model", trained.run, "--history", history, "--json")
    assert loaded & set(HEAVY) == {"onnxruntime"}
    clean = ("--no-noise", "--out", tmp_path / "e")
    calls: dict[tuple[str | Path, ...], set[str]] = {
        ("history", history): set(),
        ("networks",): set(),
        ("completion", "bash"): set(),
        ("benchmark", "--list"): set(),
        ("evaluate", trained.run, trained.prepared, *clean): {"onnxruntime", "h5py"},
        ("export", trained.run / "model", "--out", tmp_path / "m.onnx"): {"onnxruntime", "onnx"},
    }
    for words, expected in calls.items():
        loaded, code = loaded_by(tmp_path, *words)
        assert code == 0, words
        assert loaded & set(HEAVY) == expected, words


def test_the_library_imports_without_anything_heavy() -> None:
    light = [f"faultdx.{m}" for m in MODULES if m and m not in WITH_TORCH and room(m) not in ("cli", "__main__")]
    code = (
        "import importlib, sys\n"
        "import faultdx\n"
        "assert 'numpy' not in sys.modules\n"
        f"for name in {light!r}: importlib.import_module(name)\n"
        f"sys.exit(','.join(sorted(set({HEAVY!r} + ('typer', 'rich')) & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
