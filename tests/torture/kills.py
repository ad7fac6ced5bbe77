"""kill -9 over the commands that write: at random moments, and at each opening, renaming, removal and fsync.

    python -m tests.torture.kills [--points 500] [--seed 0] [--only prepare,train,...] [--signal KILL|TERM|INT|HUP]

After each kill every file under a final name is whole and no process of the command is left; the same command again
(train: --resume, until it ends) gives the files of the run undisturbed, and what the killed ones left is swept.
With another signal the command ends within 10 s, with 128 and the number of the signal, and says nothing but a line.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .scenes import SCENES, SHARES, Scene, kept_in
from .whole import TEMPORARY, World, environment, run, world, wrong_in

# The command line, which kills itself at the DIE_AT-th call that changes the disk below the working folder (an opening
# for writing, a renaming, a removal, a new folder, an fsync), before the call; 0 counts them on stderr. It commits
# to the history every 20 ms, so that there are commits to be met.
_DYING = """
import os, signal, sys
at, of, under, n = int(os.environ.pop("DIE_AT")), int(os.environ.pop("DIE_OF")), os.getcwd(), 0
mine = os.getpid()
def tick():
    global n
    n += os.getpid() == mine
    if n == at: os.kill(mine, of)
def hook(event, args):
    if event == "open":
        writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
    if writes and isinstance(args[0], (str, bytes)) and os.path.abspath(os.fsdecode(args[0])).startswith(under): tick()
sync = os.fsync
def fsync(fd): tick(); sync(fd)
os.fsync = fsync
sys.addaudithook(hook)
import faultdx.recorder
faultdx.recorder.Recorder.EVERY_S = 0.02
import faultdx.cli
try: faultdx.cli.main()
finally:
    if at == 0: sys.stderr.write(f"CALLS {n}\\n")
"""
_ORPHANS_S = 15.0  # for what a killed process has started: a child that decodes ends itself within its limit
_PROMISED_S = 10.0  # from a signal to the end
_MOST_RUNS = 40  # of a training that is killed again and again


@dataclass
class Tally:
    """What was killed, and what was found."""

    points: int = 0
    landed: int = 0  # before the command had ended by itself
    findings: list[str] = field(default_factory=list)
    number: int = signal.SIGKILL


@dataclass(frozen=True)
class Known:
    """A scene undisturbed: its files, how long it took, and how many calls of it changed the disk."""

    files: dict[str, object]
    seconds: float
    calls: int


def undisturbed(scene: Scene, world: World, folder: Path) -> Known:
    """Run a scene to its end in the empty `folder`."""
    scene.before(world, folder)
    began = time.monotonic()
    process = start(scene.words(world), folder, at=0, mark="none")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    calls = re.search(rb"CALLS (\d+)", err)
    assert calls is not None
    return Known(scene.fingerprint(folder), time.monotonic() - began, int(calls[1]))


def start(
    words: Sequence[str | Path], folder: Path, *, at: int, mark: str, number: int = signal.SIGKILL
) -> subprocess.Popen[bytes]:
    """Start a command in `folder`, whose processes all have `mark` in their environment."""
    return subprocess.Popen(
        [sys.executable, "-c", _DYING, *words],
        cwd=folder,
        env=environment(DIE_AT=str(at), DIE_OF=str(int(number)), FAULTDX_MARK=mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def killed(
    words: Sequence[str | Path], folder: Path, *, after_s: float = 0.0, at: int = -1, number: int = signal.SIGKILL
) -> tuple[bool, list[str]]:
    """Start a command and kill it, after a time or at a call; return whether it was met, and what is wrong."""
    mark = f"{os.getpid()}-{random.getrandbits(64):x}"
    process = start(words, folder, at=at, mark=mark, number=number)
    slow = []
    try:
        _, err = process.communicate(timeout=after_s if at < 0 else 300)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        began = time.monotonic()
        _, err = process.communicate()
        slow = [f"took {took:.1f} s to end"] if (took := time.monotonic() - began) > _PROMISED_S else []
    # before it has its handlers a signal ends it as it ends any process
    met = process.returncode in (-number, 128 + number)
    found = slow + (["a traceback: " + err.decode()] if b"Traceback" in err and process.returncode > 0 else [])
    found += [] if met or process.returncode == 0 else [f"ended with {process.returncode}: {err!r}"]
    return met, found + orphans(mark) + wrong_in(folder)


def orphans(mark: str) -> list[str]:
    """Wait for all processes with `mark` to be gone; return those that stay."""
    until = time.monotonic() + _ORPHANS_S
    while left := _with_mark(mark):
        if time.monotonic() > until:
            return [f"process {pid} is left" for pid in left]
        time.sleep(0.02)
    return []


def _with_mark(mark: str) -> list[int]:
    wanted, found = f"FAULTDX_MARK={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                has = wanted in (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if has:
                found.append(int(entry.name))
    return found


def age(folder: Path, seconds: float = 7200.0) -> int:
    """Make what killed processes left look old; return how many there are."""
    left = list(folder.rglob(f"*{TEMPORARY}"))
    for path in left:
        os.utime(path, (time.time() - seconds,) * 2)
    return len(left)


def finish(scene: Scene, world: World, folder: Path, known: Known) -> list[str]:
    """Do the command again after a kill; return what is not as if there had been none."""
    left, kept = age(folder), kept_in(folder) if scene.keeps else 0
    ran = run(scene.again(world, folder), cwd=folder)
    if ran.returncode:
        return [f"again: {(ran.returncode, ran.stderr)}"]
    files = scene.fingerprint(folder)
    took = kept == 0 or "up from an interrupted run" in ran.stderr
    found = [] if took else [f"{kept} finished pieces were kept, and none was taken up"]
    found += [
        f"{k}: other than undisturbed"
        for k in known.files | files
        if known.files.get(k) != files.get(k) and not k.endswith("index.html")
    ]  # it lists the run that wrote it
    rest = list(folder.rglob(f"*{TEMPORARY}"))
    # a folder in which nothing was written this time keeps what is in it
    stay = [p for p in rest if p.parent.name != "rep"]
    return found + [f"{p} of {left} is not swept" for p in stay] + wrong_in(folder)


def kill_once(scene: Scene, world: World, folder: Path, known: Known, point: float, tally: Tally) -> None:
    """One kill, at a share of the duration (0 to 1.05) or, from 2 on, at the call of number `point` - 1."""
    scene.before(world, folder)
    aimed = point >= 2
    at = int(point) - 1 if aimed else -1
    met, found = killed(scene.words(world), folder, after_s=point * known.seconds, at=at, number=tally.number)
    _note(tally, met, [*found, *finish(scene, world, folder, known)], scene, point)


def kill_again_and_again(
    scene: Scene, world: World, folder: Path, known: Known, rng: random.Random, tally: Tally
) -> int:
    """Kill a training and go on with it, until it ends; return how often it was killed."""
    scene.before(world, folder)
    points = 0
    for attempt in range(_MOST_RUNS):
        aimed = attempt % 2 == 1
        at = rng.randint(1, max(2, known.calls // 2)) if aimed else -1
        words = scene.again(world, folder)
        met, found = killed(words, folder, after_s=rng.uniform(0.2, 1.0) * known.seconds, at=at, number=tally.number)
        if not met:
            tally.findings += [f"{scene.name}: {text}" for text in found]
            break
        points += 1
        _note(tally, met, found, scene, float(attempt))
        age(folder)
    tally.findings += [f"{scene.name}, in the end: {text}" for text in finish(scene, world, folder, known)]
    return points


def _note(tally: Tally, met: bool, found: list[str], scene: Scene, point: float) -> None:
    tally.points += 1
    tally.landed += met
    tally.findings += [f"{scene.name} at {point:g}: {text}" for text in found]


def spread(points: int, known: Known, rng: random.Random) -> list[float]:
    """Return `points` points: half of them spread over the duration, the others over the calls."""
    half = (points + 1) // 2
    times = [(i + rng.random()) / half * 1.05 for i in range(half)]
    calls = [2.0 + (i + rng.random()) / (points - half) * known.calls for i in range(points - half)]
    return times + calls


def run_scene(
    scene: Scene, world: World, points: int, rng: random.Random, where: Path, number: int = signal.SIGKILL
) -> Tally:
    """Kill a scene `points` times, in folders below `where`."""
    tally = Tally(number=number)
    with tempfile.TemporaryDirectory(dir=where) as name:
        known = undisturbed(scene, world, Path(name))
    if scene.name == "train":
        while tally.points < points and not tally.findings:
            with tempfile.TemporaryDirectory(dir=where) as name:
                kill_again_and_again(scene, world, Path(name), known, rng, tally)
        return tally
    for point in spread(points, known, rng):
        with tempfile.TemporaryDirectory(dir=where) as name:
            kill_once(scene, world, Path(name), known, point, tally)
    return tally


def main() -> int:
    """Print a line a command; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM", "INT", "HUP"))
    asked = parser.parse_args()
    wrong = total = 0
    with tempfile.TemporaryDirectory() as name:
        made = world(Path(name))
        for i, scene in enumerate(SCENES):
            if asked.only and scene.name not in asked.only.split(","):
                continue
            began = time.monotonic()
            points = max(1, round(asked.points * SHARES[scene.name]))
            tally = run_scene(
                scene,
                made,
                points,
                random.Random(asked.seed * 100 + i),
                Path(name),
                signal.Signals[f"SIG{asked.signal}"],
            )
            total, wrong = total + tally.points, wrong + len(tally.findings)
            sys.stdout.write(
                f"{scene.name:<34} {tally.points:>4} kills, {tally.landed:>4} before its end, "
                f"{len(tally.findings)} findings, {time.monotonic() - began:.0f} s\n"
            )
            for text in tally.findings[:20]:
                sys.stdout.write(f"    {text[:600]}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} kills, {wrong} findings\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
