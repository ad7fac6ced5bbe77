"""Files that lie, by the thousand: each is refused in one line, or gives the answer of the file that it was made from.

    python -m tests.torture.mutants [--count 10000] [--seed 0] [--only prepared,model,...] [--world FOLDER]

Prints a table of outcomes; exit code 1 where a mutant led to anything else: another exception, several lines, another
answer though its digest is not right, the end of the process, over 10 s, over 256 MiB more memory, something unpickled.
Each case is a number: `--first N --count 1` repeats it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .lies import (
    FAULTDX,
    TINY,
    case_of,
    judge,
    make_world,
    read_baseline,
    read_config,
    read_history,
    read_model,
    read_plan,
    read_prepared,
    read_run,
)  # fmt: skip

LONGEST_S, MOST_BYTES = 10.0, 256 << 20


def _work(kind: str, numbers: range, seed: int, world: Path, scratch: Path, out: int) -> None:
    """Be the worker: say the number of each case before it and its outcome afterwards, a line each."""
    hidden: list[str] = []
    sys.unraisablehook = lambda _: None  # what h5py says while a liar's file is written
    warnings.simplefilter("ignore")
    sys.addaudithook(lambda event, args: hidden.append(str(args)) if event == "pickle.find_class" else None)
    tools: dict[str, Any] = {}
    folder = scratch / "good"
    folder.mkdir()
    readers = {"prepared": (read_prepared, world / "rig.h5"), "model": (read_model, world / "run" / "model"),
               "history": (read_history, world / "plant.db"), "plan": (read_plan, world / "plan.toml"),
               "config": (read_config, world / "run" / "config.toml"),
               "baseline": (read_baseline, world / "pump.json"), "cell": (lambda _: None, world)}  # fmt: skip
    if kind == "resume":
        tools["read_run"] = read_run(world)
        readers[kind] = (tools["read_run"], world / "run")
    read, path = readers[kind]
    good = json.loads(json.dumps(read(path), default=str))
    good = json.loads(json.dumps(read(path), default=str))
    idle = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

    def say(**what: Any) -> None:
        os.write(out, json.dumps(what).encode() + b"\n")

    for number in numbers:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            case = case_of(kind, number, seed, world, folder, tools)
        except Exception as error:  # a change that cannot be made is no mutant
            say(n=number, how="none", outcome="no mutant", text=f"{type(error).__name__}: {error}", s=0)
            continue
        say(n=number, how=case.how)
        began = time.monotonic()
        outcome, text = judge(case, good, hidden)
        took = time.monotonic() - began
        most = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        more = max(most[0] - idle[0], most[1] - max(idle))
        if more > MOST_BYTES:
            outcome, text = "FINDING: memory", f"{more >> 20} MiB more; {outcome}: {text}"
            idle = most
        if took > LONGEST_S:
            outcome, text = "FINDING: slow", f"{took:.1f} s; {outcome}: {text}"
        say(n=number, how=case.how, outcome=outcome, text=text[:600], s=round(took, 3), more=more)


def run(kind: str, numbers: range, seed: int, world: Path, log: Callable[[dict[str, Any]], None]) -> None:
    """Run cases in a worker; one that ends or hangs is a finding, and the next worker goes on behind it."""
    at = numbers.start
    while at < numbers.stop:
        with tempfile.TemporaryDirectory(prefix="faultdx-mutants-", ignore_cleanup_errors=True) as scratch:
            reader, writer = os.pipe()
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    os.close(reader)
                    _work(kind, range(at, numbers.stop), seed, world, Path(scratch), writer)
                    code = 0
                except Exception:
                    os.write(2, traceback.format_exc().encode())
                finally:
                    os._exit(code)
            os.close(writer)
            at = _follow(reader, pid, at, log)
            os.close(reader)


def _follow(reader: int, pid: int, at: int, log: Callable[[dict[str, Any]], None]) -> int:
    """Log what a worker says until it has ended; return the number of the case that comes next."""
    text, now = b"", {"n": at - 1, "outcome": "start"}
    while True:
        ready = select.select([reader], [], [], 60.0 if now.get("outcome") else LONGEST_S + 5)[0]
        part = os.read(reader, 1 << 16) if ready else b""
        text += part
        *lines, text = text.split(b"\n")
        for line in lines:
            now = json.loads(line)
            if "outcome" in now:
                log(now)
        if part:
            continue
        if not ready:
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            status = os.waitpid(pid, 0)[1]
        if "outcome" not in now:
            log(
                now
                | {
                    "outcome": "FINDING: hang" if not ready else "FINDING: end of the process",
                    "text": str(status),
                    "s": 0,
                }
            )
        elif status:
            raise SystemExit(f"the worker ended before a case (status {status})")
        return int(now["n"]) + 1


def by_command(world: Path, count: int, seed: int) -> Counter[str]:
    """Give mutants to the command line itself; return how often which exit code came, findings by name."""
    found: Counter[str] = Counter()
    for number in range(600, 600 + count):
        kind = ("prepared", "model")[number % 2]
        with tempfile.TemporaryDirectory(prefix="faultdx-mutants-") as name:
            folder = Path(name)
            case = case_of(kind, number, seed, world, folder, {})
            record = str(sorted((world / "rig").glob("*.mat"))[0])
            argv = ("diagnose", record, "--model", str(folder / "model"), "--json")
            if kind == "prepared":
                argv = ("train", str(folder / "rig.h5"), *TINY, "--out", str(folder / "new"))
            ran = subprocess.run([*FAULTDX, *argv, "-q"], capture_output=True, timeout=120, check=False, text=True)
            refused = (
                ran.returncode == 2
                and not ran.stdout
                and ran.stderr.count("\n") == 1
                and ran.stderr.startswith("faultdx: error:")
            )
            ended = ran.returncode == 0 and not ran.stderr
            found[
                f"exit {ran.returncode}"
                if refused or ended
                else f"FINDING: {case.how}: {ran.returncode} {ran.stderr[:300]}"
            ] += 1
    return found


def main() -> int:
    """Run what is asked for, print the table, and say whether anything was found."""
    ask = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    ask.add_argument("--count", type=int, default=10_000)
    ask.add_argument("--others", type=int, default=1500, help="mutants of what is neither a prepared file nor a model")
    ask.add_argument("--first", type=int, default=0)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--only", default="prepared,model,baseline,resume,history,plan,config,cell,command")
    ask.add_argument("--world", type=Path)
    ask.add_argument("--log", type=Path, help="a line of JSON for each mutant")
    said = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="faultdx-world-") as name:
        world = said.world or Path(name)
        if not (world / "run" / "model" / "model.json").exists():
            world.mkdir(parents=True, exist_ok=True)
            make_world(world)
        findings = 0
        for kind in said.only.split(","):
            outcomes: Counter[str] = Counter()
            slowest = most = 0.0
            began = time.monotonic()

            def log(entry: dict[str, Any], kind: str = kind, outcomes: Counter[str] = outcomes) -> None:
                nonlocal slowest, most
                outcomes[entry["outcome"]] += 1
                slowest, most = max(slowest, entry["s"]), max(most, entry.get("more", 0))
                if entry["outcome"].startswith("FINDING"):
                    sys.stdout.write(f"{kind} {entry['n']} ({entry['how']}): {entry['outcome']}: {entry['text']}\n")
                    sys.stdout.flush()
                if said.log:
                    with said.log.open("a") as stream:
                        stream.write(json.dumps(entry | {"kind": kind}) + "\n")

            if kind == "command":
                outcomes = by_command(world, 50, said.seed)
            else:
                count = said.count if kind in ("prepared", "model") else min(said.count, said.others)
                run(kind, range(said.first, said.first + count), said.seed, world, log)
            findings += sum(n for outcome, n in outcomes.items() if outcome.startswith("FINDING"))
            table = "; ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common())
            took = f"slowest {slowest:.2f} s, {most / 2**20:.0f} MiB more, {time.monotonic() - began:.0f} s in all"
            sys.stdout.write(f"{kind}: {table}; {took}\n")
            sys.stdout.flush()
        return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
