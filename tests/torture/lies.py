"""What the mutants are made from, how each is made, what reads it, and what is said of the outcome."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .mutations import HEAD, another_kind, bytes_of, json_of, network_of, prepared_of, sealed

FAULTDX = (sys.executable, "-m", "faultdx")
PLAN = """
networks = ["convnet"]
seeds = [0]
[[data]]
name = "rig"
source = "in"
prepare = { segment = 512 }
[[data.variant]]
name = "time"
split = "time"
[test]
noise = ["gaussian"]
snr = [0]
by = ["condition"]
"""
TINY = (
    *("--network", "drsn-wide", "--epochs", "2", "--batch", "16", "--set", "epoch_steps=4", "--noise", "gaussian"),
    *("--snr", "0:10", "--threads", "1", "--device", "cpu"),
)


@dataclass(frozen=True)
class Case:
    """A mutant: what was changed, whether its maker worked out the digests again, and what reads it."""

    how: str
    liar: bool
    read: Callable[[], Any]


def make_world(folder: Path) -> None:
    """Write what the mutants are made from: recordings, a prepared file, a run, a history, a plan, a configuration."""
    commands = (
        ("simulate", "bearing", "--specimens", "2", "--seconds", "0.5", "--out", "rig"),
        ("prepare", "rig", "--split", "time", "--segment", "1024", "--out", "rig.h5"),
        ("train", "rig.h5", *TINY, "--out", "run"),
        ("diagnose", "rig/501.mat", "rig/502.mat", "--model", "run", "--history", "plant.db"),
        ("simulate", "bearing", "--specimens", "1", "--seconds", "0.7", "--out", "long"),
        ("baseline", "long/501.mat", "long/502.mat", "--asset", "pump 7", "--out", "pump.json"),
    )
    for argv in commands:
        subprocess.run([*FAULTDX, *argv, "--quiet"], cwd=folder, check=True, timeout=300, stdout=subprocess.DEVNULL)
    (folder / "plan.toml").write_text(PLAN)


# ------------------------------------------------------------------------------------------------- what reads a mutant


def read_prepared(path: Path) -> Any:
    """Return a digest of all that a prepared file gives."""
    import numpy as np

    from faultdx.dataset import open_prepared

    with open_prepared(path) as prepared:
        prepared.verify()
        whole = hashlib.sha256(prepared.segments(np.arange(len(prepared.label))).tobytes())
        for side in ("train", "val", "test"):
            for stretch in prepared.stretches(side):
                whole.update(stretch.signal.tobytes())
            prepared.votes(prepared.rows(side))
        return [whole.hexdigest(), prepared.digest, prepared.classes, [len(c) for c in prepared.records().values()]]


def read_model(path: Path) -> Any:
    """Return what a model says of a signal."""
    import numpy as np

    from faultdx.model import load_model
    from faultdx.records import Record

    model = load_model(path)
    signal = np.sin(np.arange(8192, dtype=np.float32) ** 1.3)[None, :] + 0.01 * np.cos(
        np.arange(8192, dtype=np.float32) ** 2
    )
    found = model.diagnose(Record(signal.astype(np.float32), model.info["sampling_rate_hz"], rpm=1750.0))
    return [found.status, found.verdict, found.probabilities]


def read_run(world: Path) -> Callable[[Path], Any]:
    """Return what continues the training of a run folder, up to its first step."""
    import torch

    from faultdx.config import TrainConfig, load
    from faultdx.dataset import open_prepared
    from faultdx.runs import _begun, _check_same, _checkpoint
    from faultdx.training import Trainer

    torch.set_num_threads(1)
    config = load(TrainConfig, section="train", file=world / "run" / "config.toml")

    def read(folder: Path) -> Any:
        with open_prepared(world / "rig.h5") as prepared:
            trainer = Trainer(prepared, config)
            _check_same(folder, _begun(folder), trainer, prepared)
            trainer.restore(_checkpoint(folder / "last.pt"))
            return [
                trainer.state.step,
                trainer.state.rows,
                float(sum(v.double().sum() for v in trainer.state.best.values())),
            ]

    return read


def read_history(path: Path) -> Any:
    """Return all that a history tells."""
    from faultdx.history import History

    with History.read(path) as history:
        series = history.series()
        rows = [entry.row for entry in history.entries()]
        history.newest()
        return [series, [(r.file, r.verdict, r.confidence) for r in rows], [history.last_runs(*s) for s in series][:0]]


def read_plan(path: Path) -> Any:
    """Return what a plan says."""
    from faultdx.plans import find_plan

    return repr(find_plan(path))[:0]


def read_config(path: Path) -> Any:
    """Return what a configuration says."""
    from faultdx.config import TrainConfig, load

    return repr(load(TrainConfig, section="train", file=path))[:0]


def read_cell(path: Path) -> Any:
    """Return the status of a benchmark's cell."""
    from faultdx.benchmark.results import read_cell as read

    return (read(path) or {}).get("status")


def read_baseline(path: Path) -> Any:
    """Return what a baseline says."""
    from faultdx.baseline_file import load

    found = load(path)
    return [found.digest, found.asset, len(found.references), found.to_dict()]


# ------------------------------------------------------------------------------------------------ how a mutant is made


def case_of(kind: str, number: int, seed: int, world: Path, folder: Path, tools: dict[str, Any]) -> Case:
    """Write the mutant `number` of a kind into the empty `folder`."""
    rng = random.Random(f"{kind} {seed} {number}")
    if kind == "prepared":
        path = Path(shutil.copy(world / "rig.h5", folder / "rig.h5"))
        liar = number >= 512 and rng.random() < 0.35
        if liar:
            how = f"liar: {prepared_of(path, rng)}"
        elif number >= 512 and rng.random() < 0.02:
            how = another_kind(path, rng, folder / "outside")
        else:
            how, data = bytes_of(path.read_bytes(), rng, number=number)
            path.write_bytes(data)
        return Case(how, liar, lambda: read_prepared(path))
    if kind == "model":
        shutil.copytree(world / "run" / "model", folder / "model")
        return _model_case(folder / "model", folder, number, rng)
    if kind == "resume":
        read = tools.setdefault("read_run", read_run(world) if "read_run" not in tools else None)
        path = folder / rng.choice(("last.pt", "last.pt", "run.json"))
        for name in ("last.pt", "run.json"):
            shutil.copy(world / "run" / name, folder)
        how, liar = _checkpoint_case(path, folder, number, rng)
        return Case(f"{path.name}: {how}", liar, lambda: read(folder))
    if kind == "baseline":
        return _baseline_case(Path(shutil.copy(world / "pump.json", folder)), folder, number, rng)
    return _other_case(kind, number, world, folder, rng)


def _baseline_case(path: Path, folder: Path, number: int, rng: random.Random) -> Case:
    """Bytes changed at random, or a value of it odd, with the digest worked out again where that can be done."""

    def read() -> Any:
        return read_baseline(path)

    if number >= HEAD and rng.random() < 0.03:
        return Case(another_kind(path, rng, folder / "outside"), False, read)
    if number < HEAD or rng.random() < 0.4:
        how, data = bytes_of(path.read_bytes(), rng, number=number)
        path.write_bytes(data)
        return Case(how, False, read)
    how, text = json_of(path.read_text(), rng)
    liar = rng.random() < 0.5
    path.write_text(_signed(text) if liar else text, errors="surrogatepass")
    return Case(f"{'liar: ' if liar else ''}{how}", liar, read)


def _signed(text: str) -> str:
    """Return a baseline whose digest is right again, where it can be worked out."""
    from faultdx import baseline_file

    try:
        content = json.loads(text)
        return json.dumps(content | {"digest": baseline_file._baseline(content).digest})
    except Exception:  # whatever a liar's numbers lead to: then the old digest stays
        return text


def _other_case(kind: str, number: int, world: Path, folder: Path, rng: random.Random) -> Case:
    readers: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "history": ("plant.db", read_history),
        "plan": ("plan.toml", read_plan),
        "config": ("run/config.toml", read_config),
        "cell": ("run/run.json", read_cell),
    }
    name, read = readers[kind]
    path = Path(shutil.copy(world / name, folder))
    if number >= 512 and rng.random() < 0.05:
        return Case(another_kind(path, rng, folder / "outside"), True, lambda: read(path))
    how, data = bytes_of(path.read_bytes(), rng, number=number)
    path.write_bytes(data)
    return Case(how, True, lambda: read(path))  # nothing in these has a digest


def _model_case(model: Path, folder: Path, number: int, rng: random.Random) -> Case:
    def read() -> Any:
        return read_model(model)

    name = rng.choice(("model.json", "model.json", "model.onnx", "model.onnx", "model.safetensors", "MODEL_CARD.md"))
    path = model / name
    if rng.random() < 0.03:
        return Case(f"{name}: {another_kind(path, rng, folder / 'outside')}", False, read)
    liar = rng.random() < 0.6
    if name == "model.json":
        if number % 2 and liar:
            how, text = json_of(path.read_text(), rng)
            path.write_text(sealed(text), errors="surrogatepass")
            return Case(f"{name}: liar: {how}", True, read)
        how, data = bytes_of(path.read_bytes(), rng, number=number // 2)
        path.write_bytes(data)
        return Case(f"{name}: {how}", False, read)
    data = path.read_bytes()
    if name == "model.onnx" and liar and rng.random() < 0.5:
        how, data = network_of(data, rng)
    else:
        how, data = bytes_of(data, rng, number=number)
    path.write_bytes(data)
    liar = liar and name == "model.onnx"
    if liar:
        info = json.loads((model / "model.json").read_text())
        info["weights"]["onnx_sha256"] = hashlib.sha256(data).hexdigest()
        (model / "model.json").write_text(sealed(json.dumps(info)))
    return Case(f"{name}: {'liar: ' if liar else ''}{how}", liar, read)


def _checkpoint_case(path: Path, folder: Path, number: int, rng: random.Random) -> tuple[str, bool]:
    if number >= 512 and rng.random() < 0.03:
        return another_kind(path, rng, folder / "outside"), path.name == "run.json"
    if path.name == "run.json":  # has no digest
        how, text = json_of(path.read_text(), rng)
        path.write_text(text, errors="surrogatepass")
        return how, True
    head, _, body = path.read_bytes().partition(b"\n")
    liar = rng.random() < 0.5
    if not liar:
        how, data = bytes_of(head + b"\n" + body, rng, number=number)
        path.write_bytes(data)
        return how, False
    size = int.from_bytes(body[:8], "little")
    if rng.random() < 0.6:  # a header that lies
        how, text = json_of(body[8 : 8 + size].decode(), rng)
        new = text.encode("utf-8", "surrogatepass")
        body = len(new).to_bytes(8, "little") + new + body[8 + size :]
    else:
        how, body = bytes_of(body, rng, number=number)
    path.write_bytes(head[:21] + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    return f"liar: {how}", True


def judge(case: Case, good: Any, hidden: list[str]) -> tuple[str, str]:
    """Read the mutant; return the outcome, which begins with FINDING for what must not be, and the message."""
    from faultdx.errors import FaultdxError

    hidden.clear()
    try:
        answer = json.loads(json.dumps(case.read(), default=str))
    except FaultdxError as error:
        text = str(error)
        one_line = text.isprintable() and 20 < len(text) < 2000 and any(c in text for c in (":", ";", " must "))
        return ("refused" if one_line else "FINDING: not one line"), text
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "FINDING: exception", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    if hidden:
        return "FINDING: unpickled", hidden[0]
    if answer == good:
        return "the same answer", ""
    return ("another answer, under its own digest" if case.liar else "FINDING: another answer"), str(answer)[:300]
