"""Every command under every name, locale, terminal, descriptor, environment and limit: an exit code, never a traceback.

    python -m tests.torture.matrix [--only networks,inspect,...] [--part names|conditions]

A cell of the matrix is one run: the command as it should be, in one condition that it should survive, or with a file,
folder or output of one odd name. Wanted are the exit code that the condition is worth and, of what fails, one line.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .whole import FAULTDX, PLAN, TINY, done, environment, world

# {w}: the world; {o}: a new folder. Absolute, so that the working folder says nothing.
COMMANDS: dict[str, tuple[str, ...]] = {
    "networks": ("networks", "--json"),
    "completion": ("completion", "bash"),
    "simulate": ("simulate", "bearing", "--specimens", "1", "--seconds", "0.2", "--out", "{o}/rig"),
    "inspect": ("inspect", "{w}/rig/501.mat"),
    "prepare": ("prepare", "{w}/rig", "--workers", "2", "--out", "{o}/out.h5"),
    "evaluate": ("evaluate", "{w}/run", "--no-noise", "--out", "{o}/ev"),
    "diagnose": ("diagnose", "{w}/rig/501.mat", "--model", "{w}/run", "--history", "{o}/h.sqlite", "--csv",
                 "{o}/t.csv", "--metrics-file", "{o}/x.prom"),
    "report": ("diagnose", "{w}/rig/501.mat", "--model", "{w}/run", "--report", "{o}/rep"),
    "bearing": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--json"),
    "baseline": ("baseline", "{w}/rig/501.mat", "{w}/rig/502.mat", "--out", "{o}/b.json"),
    "compare": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--baseline", "{w}/b.json", "--json"),
    "history": ("history", "{w}/h.sqlite"),
    "plot": ("history", "{w}/h.sqlite", "--plot", "{o}/p.svg"),
    "export": ("export", "{w}/run", "--out", "{o}/one.onnx"),
    "plans": ("benchmark", "--list"),
    "dry run": ("benchmark", "{w}/tiny.toml", "--data", "{w}", "--dry-run"),
    "benchmark": ("benchmark", "{w}/one.toml", "--data", "{w}", "--out", "{o}/bm", "--jobs", "1"),
    "download": ("download", "cwru", "--set", "normal", "--to", "{o}/cwru", "--base-url", "http://127.0.0.1:9/"),
    "train": ("train", "{w}/rig.h5", *TINY, "--epochs", "1", "--out", "{o}/run"),
}  # fmt: skip
ENDS_WITH = {"download": 4}  # there is no server
LONG = ("train", "benchmark")  # some seconds each: in a choice of conditions only


@dataclass(frozen=True)
class Condition:
    """What surrounds a run. code: what it ends with, None: what it ends with otherwise; a set: any of them.

    shell : "$@" with its redirections; gone : environment variables that are not set; limits : resource, soft limit
    """

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    shell: str = '"$@"'
    code: int | frozenset[int] | None = None
    limits: tuple[tuple[int, int], ...] = ()
    cwd: str = ""
    umask: int = 0o022
    long: bool = False


def _env(*pairs: str, long: bool = False) -> Condition:
    return Condition(" ".join(pairs), dict(p.split("=", 1) for p in pairs), long=long)


_NOWHERE = "/nonexistent/folder"
_CLOSED = frozenset({0, 141})
CONDITIONS = (
    Condition("as it is", long=True),
    *(_env(f"LC_ALL={name}") for name in ("C", "POSIX", "C.UTF-8", "tr_TR.UTF-8", "de_DE@euro", "nonsense")),
    _env("PYTHONIOENCODING=ascii"), _env("PYTHONIOENCODING=ascii:strict", "LC_ALL=C", long=True),
    _env("PYTHONUTF8=0"), _env("PYTHONUTF8=0", "LC_ALL=C", "PYTHONCOERCECLOCALE=0", long=True),
    *(_env(f"TERM={name}") for name in ("dumb", "", "nonsense")),
    *(_env(f"COLUMNS={n}") for n in ("20", "1", "0", "-5", "garbage", "99999999999999999999")),
    _env("NO_COLOR=1"), _env("FORCE_COLOR=1"), _env("CLICOLOR_FORCE=1"), _env("TTY_COMPATIBLE=1", "FORCE_COLOR=3"),
    _env("HOME=" + _NOWHERE, long=True), _env("HOME=/proc", "XDG_CACHE_HOME=/proc", "MPLCONFIGDIR=/proc", long=True),
    Condition("HOME unset", gone=("HOME", "USER", "LOGNAME"), long=True),
    Condition("PATH unset", gone=("PATH", "LANG", "LC_ALL"), shell='unset PATH; "$@"'),
    _env("TMPDIR=" + _NOWHERE, long=True), _env("TMPDIR=/proc", long=True), _env("TMPDIR=/dev/full"),
    _env("OMP_NUM_THREADS=garbage", long=True), _env("OMP_NUM_THREADS=-3"), _env("OPENBLAS_NUM_THREADS=garbage"),
    _env("PYTHONWARNINGS=error", long=True), _env("PYTHONOPTIMIZE=2", long=True), _env("PYTHONDEVMODE=1"),
    _env("PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"),
    _env("MPLBACKEND=nonsense"),
    _env("MPLBACKEND=TkAgg", "DISPLAY=:99"), _env("TZ=nonsense"), _env("CUDA_VISIBLE_DEVICES=", long=True),
    _env("SOURCE_DATE_EPOCH=garbage"), _env("HDF5_USE_FILE_LOCKING=garbage"), _env("http_proxy=http://[bad"),
    Condition("umask 077", umask=0o077, long=True), Condition("umask 000", umask=0),
    Condition("stdin closed", shell='"$@" <&-', long=True),
    Condition("stderr closed", shell='"$@" 2>&-', long=True),
    Condition("stderr full", shell='"$@" 2>/dev/full'),
    Condition("stdout closed", shell='"$@" >&-', code=5, long=True),
    Condition("stdout full", shell='"$@" >/dev/full', code=5),
    Condition("all closed", shell='"$@" <&- >&- 2>&-', code=5),
    Condition("stdout unread", shell='"$@" > >(exec <&-; exec sleep 0.01); exit $?', code=frozenset({0, 141})),
    Condition("working folder read-only", cwd="/proc", long=True),
    Condition("working folder deleted", shell='mkdir gone && cd gone && rmdir ../gone && "$@"', long=True),
    Condition("64 descriptors", limits=((resource.RLIMIT_NOFILE, 64),), long=True),
    Condition("16 descriptors", limits=((resource.RLIMIT_NOFILE, 16),), code=frozenset({0, 1, 2, 4, 5})),
    Condition("4 GiB of addresses", limits=((resource.RLIMIT_AS, 4 << 30),)),
    Condition("600 MiB of addresses", limits=((resource.RLIMIT_AS, 600 << 20),), code=frozenset({0, 1, 2, 4, 5})),
    Condition("no core file", limits=((resource.RLIMIT_CORE, 0),)),
)  # fmt: skip
NAMES = (
    b"[a].mat", b"d[bold]x.mat", b"=1+1.mat", b"<b>x<.mat", b"n\xff\xfe.mat", b"a\nb.mat", b"a\tb.mat", b"a\rb.mat",
    b"\x1b[31mred.mat", "\u202egpj.mat".encode(), b"-x.mat", b"--json.mat", b"a b .mat", b" .mat", b"50%s%n.mat",
    b"'\"q.mat", "\U0001f527.mat".encode(), "e\u0301.mat".encode(), b"$(touch pwned).mat", b"*.mat", b"{o}.mat",
    b"a;b|c&d.mat", b"~.mat", b"#x.mat", b"y" * 246 + b".mat",
)  # fmt: skip
# {n}: the odd name. As a file to read, a folder to read, a file or folder to write; in the world, as working folder.
ROLES: dict[str, tuple[str, ...]] = {
    "inspect file": ("inspect", "--", "{n}"),
    "diagnose file": ("diagnose", "--bearing", "6205", "--csv", "{o}/t.csv", "--", "{n}"),
    "prepare folder": ("prepare", "--out", "{o}/out.h5", "--", "{n}.d"),
    "prepare to": ("prepare", "{w}/rig", "--out", "{o}/{n}"),
    "simulate to": ("simulate", "bearing", "--specimens", "1", "--seconds", "0.1", "--out", "{o}/{n}"),
    "model folder": ("diagnose", "{w}/rig/501.mat", "--model", "./{n}.run"),
    "history": ("diagnose", "{w}/rig/501.mat", "--model", "{w}/run", "--history", "{o}/{n}"),
    "csv": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--csv", "{o}/{n}"),
    "metrics": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--metrics-file", "{o}/{n}.prom"),
    "evaluate to": ("evaluate", "{w}/run", "--no-noise", "--out", "{o}/{n}"),
    "export to": ("export", "{w}/run", "--out", "{o}/{n}.onnx"),
    "baseline to": ("baseline", "{w}/rig/501.mat", "--out", "{o}/{n}"),
    "baseline of": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--baseline", "./{n}.json"),
    "missing file": ("inspect", "{w}/none/{n}"),
    "missing model": ("diagnose", "{w}/rig/501.mat", "--model", "{w}/none/{n}"),
    "missing dataset": ("evaluate", "{w}/run", "{w}/none/{n}", "--out", "{o}/ev"),
    "missing history": ("history", "{w}/none/{n}"),
    "plan": ("benchmark", "./{n}.toml", "--dry-run"),
    "asset": ("diagnose", "{w}/rig/501.mat", "--bearing", "6205", "--json", "--asset", "x{n}", "--history", "{o}/h"),
}
_ROLE_CODES = {"missing file": 4, "missing model": 2, "missing dataset": 2, "missing history": 2, "plan": 2}
_TOO_LONG = 242  # bytes of a name to which .prom or the like is added
_ADDS = re.compile(r"\{n\}\.(\w+)")


@dataclass(frozen=True)
class Ended:
    """A run that came to its end."""

    code: int
    out: bytes
    err: bytes


def run(words: Sequence[bytes], condition: Condition, folder: Path) -> Ended:
    """Run a command in a condition, in the folder `folder` unless the condition has another."""

    def prepared() -> None:
        os.umask(condition.umask)
        for what, limit in condition.limits:
            resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))

    env = {k: v for k, v in environment(**condition.env).items() if k not in condition.gone}
    process = subprocess.run(
        ["/bin/bash", "-c", condition.shell, "bash", *FAULTDX, *words],
        cwd=condition.cwd or folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=prepared,
        timeout=300,
        check=False,
    )
    return Ended(process.returncode, process.stdout, process.stderr)


def wrong_with(ended: Ended, wanted: int | frozenset[int], *, silent: bool = False) -> str | None:
    """Return what is wrong with how a run ended: its code, its words; None where it is as it should be."""
    codes = wanted if isinstance(wanted, frozenset) else frozenset({wanted})
    err = ended.err.decode("utf-8", "surrogateescape")
    short = f"{ended.code}: {err[-600:]!r}"
    if b"Traceback" in ended.err or b"internal error" in ended.err or b"Warning:" in ended.err:
        return f"traceback: {short}"
    if ended.code not in codes:
        return f"code {short}, not {sorted(codes)}"
    lines = err.split("\n")
    if not all(line.isprintable() for line in lines):
        return f"a control character: {short}"
    if ended.code in {1, 2, 5} and not silent:
        said = [line for line in lines if line.startswith("faultdx: ")]
        usage = lines[0].startswith("Usage: ")
        if len(said) != 1 and not usage:
            return f"{len(said)} lines of error: {short}"
    return None


def words_of(template: Sequence[str], made: Path, out: Path, name: bytes = b"") -> list[bytes]:
    """Return the words of a template."""
    filled = []
    for word in template:
        data = word.encode().replace(b"{w}", os.fsencode(made)).replace(b"{o}", os.fsencode(out))
        filled.append(data.replace(b"{n}", name))
    return filled


def furnish(folder: Path) -> None:
    """Make the world of the matrix in `folder`: of kills, with a history and a plan of one cell."""
    world(folder)
    done(("diagnose", "rig", "--model", "run", "--history", "h.sqlite"), cwd=folder)
    done(("baseline", "rig/501.mat", "--out", "b.json"), cwd=folder)
    (folder / "one.toml").write_text(PLAN.replace("[0, 1]", "[0]"), "utf-8")


def place(made: Path, folder: Path, name: bytes) -> None:
    """Put a recording, a folder of recordings, a model and a plan of an odd name into `folder`."""
    base = os.fsencode(folder) + b"/"
    short = name[:_TOO_LONG]
    shutil.copy(made / "rig" / "501.mat", base + name)
    shutil.copytree(os.fsencode(made / "rig"), base + short + b".d", dirs_exist_ok=True)
    shutil.copytree(os.fsencode(made / "run"), base + short + b".run", dirs_exist_ok=True)
    shutil.copy(made / "b.json", base + short + b".json")
    Path(os.fsdecode(base + short + b".toml")).write_text("description = 3", "utf-8")


def conditions(
    made: Path, only: Sequence[str] = (), chosen: Sequence[Condition] = CONDITIONS
) -> Iterator[tuple[str, str | None]]:
    """Yield each cell of commands and conditions, with what is wrong with it."""
    for name, template in COMMANDS.items():
        if only and name not in only:
            continue
        for condition in chosen:
            if name in LONG and not condition.long:
                continue
            with tempfile.TemporaryDirectory(dir=made) as folder:
                ended = run(words_of(template, made, Path(folder) / "o"), condition, Path(folder))
            code = ENDS_WITH.get(name, 0) if condition.code is None else condition.code
            if name == "download" and condition.code is not None:
                code = frozenset({4, 5}) | (
                    condition.code if isinstance(condition.code, frozenset) else {condition.code}
                )
            silent = "2>" in condition.shell
            yield f"{name}, {condition.name}", wrong_with(ended, code, silent=silent)


def names(made: Path, only: Sequence[str] = (), chosen: Sequence[bytes] = NAMES) -> Iterator[tuple[str, str | None]]:
    """Yield each cell of roles and names, with what is wrong with it."""
    plain = Condition("as it is")
    for name in chosen:
        with tempfile.TemporaryDirectory(dir=made) as folder:
            place(made, Path(folder), name)
            for role, template in ROLES.items():
                if only and role not in only:
                    continue
                short = name[:_TOO_LONG] if any(_ADDS.search(word) for word in template) else name
                out = Path(folder) / "o"
                ended = run(words_of(template, made, out, short), plain, Path(folder))
                code: int | frozenset[int] = _ROLE_CODES.get(role, 0)
                if role == "asset" and (b"\xff" in name or len(name) > 200):
                    code = frozenset({0, 2})
                if role == "csv" and name == b"*.mat":
                    code = 0
                yield f"{name!r}, {role}", wrong_with(ended, code)
                if (Path(folder) / "pwned").exists():
                    yield f"{name!r}, {role}", "a shell obeyed it"
                shutil.rmtree(out, ignore_errors=True)


def main() -> int:
    """Print the cells that are wrong and the count of all; 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--part", default="")
    asked = parser.parse_args()
    only = tuple(filter(None, asked.only.split(",")))
    counts: Counter[str] = Counter()
    wrong = 0
    parts: dict[str, Callable[[Path, Sequence[str]], Iterator[tuple[str, str | None]]]] = {
        "conditions": conditions, "names": names,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        for part, of in parts.items():
            if asked.part not in ("", part):
                continue
            for cell, said in of(Path(folder), only):
                row = cell.partition(", ")[0]
                if row not in counts and counts:  # a row of the matrix is done
                    last = next(reversed(counts))
                    sys.stdout.write(f"{last}: {counts[last]} cells\n")
                counts[row] += 1
                wrong += said is not None
                sys.stdout.write("" if said is None else f"    {cell}: {said}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{counts.total()} cells, {wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
