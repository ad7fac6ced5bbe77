"""Signals at random moments of the import of torch, which `train` begins with.

    python -m tests.torture.imports [--tries 300] [--seed 0] [--signal TERM|INT|HUP] [--at-once]

Each try starts the command line with an app that imports what `train` imports, sends the signal after a random share
of the processor time that this takes, and wants 128 and the number of the signal within 10 s, without a word. With
--at-once the exception comes out of the import itself, as it did once: for comparison.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from .whole import environment

_PROGRAM = """
import sys, time
from faultdx.cli import console
if "at once" in sys.argv:
    console._imports = lambda _frame: False
def app():
    import faultdx.runs
    import torch.onnx, onnxscript
    print("imported", flush=True)
    time.sleep(60 if "stay" in sys.argv else 0)
console.run(app)
"""
_PROMISED_S = 10.0


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words], env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken; infinity for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def whole_s() -> float:
    """Return the processor time of the imports alone, seconds."""
    process, last = _start(), 0.0
    while process.poll() is None:
        now = _cpu_s(process.pid)
        last = now if now < float("inf") else last
        time.sleep(0.005)
    process.communicate()
    return last


def once(after_s: float, number: int, *words: str) -> tuple[str, float]:
    """Send a signal after so much processor time; return what came of it, and how long that took."""
    process = _start("stay", *words)
    assert process.stdout is not None
    while _cpu_s(process.pid) < after_s and not select.select([process.stdout], [], [], 0.002)[0]:
        pass  # until it has imported all, at the latest
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate()
    took = time.monotonic() - began
    if process.returncode == -number:
        outcome = "before its handlers"
    elif process.returncode == 128 + number and not err:
        outcome = "after the imports" if out else "in the middle of them"
    else:
        outcome = f"FINDING {process.returncode}: {err[-300:]!r}"
    return (outcome if took < _PROMISED_S else f"FINDING: {took:.1f} s; {outcome}"), took


def main() -> int:
    """Print how the tries ended; 1 where one did not end as promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="TERM", choices=("TERM", "INT", "HUP"))
    parser.add_argument("--at-once", action="store_true")
    asked = parser.parse_args()
    rng, total = random.Random(asked.seed), whole_s()
    ends: Counter[str] = Counter()
    slowest = 0.0
    for i in range(asked.tries):
        after = (i + rng.random()) / asked.tries * total
        outcome, took = once(after, signal.Signals[f"SIG{asked.signal}"], *(["at once"] if asked.at_once else []))
        ends[outcome] += 1
        slowest = max(slowest, took)
        if outcome.startswith("FINDING"):
            sys.stdout.write(f"after {after:.2f} of {total:.2f} s: {outcome}\n")
            sys.stdout.flush()
    for outcome, count in ends.most_common():
        sys.stdout.write(f"{count:5} {outcome[:60]}\n")
    sys.stdout.write(
        f"{asked.tries} tries over {total:.2f} s of processor time, the longest end took {slowest:.1f} s\n"
    )
    return 1 if any(outcome.startswith("FINDING") for outcome in ends) else 0


if __name__ == "__main__":
    sys.exit(main())
