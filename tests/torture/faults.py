"""A disk that fails at every call: `python -m tests.torture.faults [COMMAND ...]` from the repository root.

Each command runs again and again. In run N the N-th call of one kind fails that concerns a file below its folder; then
the N-th and all after it; until a run passes unharmed. Each run has to end with code 5 and an error that names a file,
or with its usual code and complete outputs; never with a signal or a traceback; and each file under a final name has
to be the old one or the new one. Then the same on a disk of a megabyte and less, and under a limit on file sizes.
Prints a table; exits 1 on any finding.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .commands import COMMANDS, SERVED, Command, canonical, history_rows, make_inputs
from .disk import SHORT, Ended, Fault, Server, Tally, compiled, serving

WRITING: tuple[tuple[str, int], ...] = (
    ("write", errno.ENOSPC),
    ("write", errno.EIO),
    ("write", SHORT),
    ("sync", errno.EIO),
    ("close", errno.ENOSPC),
    ("rename", errno.EIO),
    ("open", errno.EACCES),
    ("size", errno.ENOSPC),
    ("map", errno.EIO),
    ("remove", errno.EACCES),
    ("folder", errno.ENOSPC),
    ("read", errno.EIO),
    ("look", errno.EACCES),
)
READING: tuple[tuple[str, int], ...] = (("read", errno.EIO), ("read", errno.EACCES), ("look", errno.EACCES),
                                        ("map", errno.EIO))  # fmt: skip
TEMPORARY = re.compile(r"\..*\.\d+\.faultdx-tmp$")  # what a later run sweeps, as faultdx.files names it
DISKS_KIB = (24, 64, 160, 512, 1024)  # what a disk has, and what a file may have


@dataclass(frozen=True)
class Place:
    """Where a command works, and what its files are before and after it, but for times."""

    work: Path
    inputs: Path
    old: Mapping[str, object]
    new: Mapping[str, object]
    template: Path | None

    def fresh(self) -> None:
        """Begin anew: an empty folder, or one with the old outputs."""
        for name in ("out", "tmp"):
            shutil.rmtree(self.work / name, ignore_errors=True)
            (self.work / name).mkdir(parents=True)
        if self.template is not None:
            shutil.copytree(self.template, self.work / "out", dirs_exist_ok=True)


def files(folder: Path) -> list[str]:
    """Return the names below a folder, but for temporary ones; SQLite's journal goes when its history is read."""
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(str(p.relative_to(folder)) for p in found if not p.name.endswith("-journal"))


def state(folder: Path) -> dict[str, object]:
    """Return what each file says. Raises where one is not whole."""
    return {name: canonical(folder / name) for name in files(folder)}


def prepared_place(server: Server, command: Command, base: Path, work: Path) -> Place:
    """Make the old outputs of a command, and see what it gives undisturbed."""
    place = Place(work, base, {}, {}, None)
    if command.old is not None:
        place.fresh()
        ended = server.run(command.old(base), cwd=work, seconds=120)
        if ended.code != 0:
            raise RuntimeError(f"{command.name}: the old outputs could not be made: {ended}")
        template = work / "template"
        shutil.rmtree(template, ignore_errors=True)
        (work / "out").rename(template)
        place = Place(work, base, state(template), {}, template)
    place.fresh()
    ended = server.run(command.argv(base), cwd=work, seconds=120)
    if ended.code != command.code:
        raise RuntimeError(f"{command.name}: does not pass undisturbed: {ended}")
    return Place(work, base, place.old, state(work / "out"), place.template)


def judge(command: Command, place: Place, ended: Ended, *, kind: str, reading: bool = False) -> tuple[str, list[str]]:
    """Return what became of a run, in a word, and what is wrong with that."""
    wrong: list[str] = []
    if ended.code < 0:
        return f"signal {-ended.code}", [f"ended by signal {-ended.code}: {ended.err[-300:]}"]
    if "Traceback" in ended.err or "internal error" in ended.err or "Exception ignored" in ended.err:
        wrong.append(f"said: {ended.err[-300:]}")
    refused = ended.code not in (command.code, 0)
    # with --json an error is a line of the result
    said = [*ended.errors, *(line for line in ended.out.splitlines() if '"refused": "' in line)]
    if refused and not any(re.search(r"(^|[ /])(out|in|in73|tmp|rig|run|model|p\.h5)\b", e) for e in said):
        wrong.append(f"code {ended.code} and no error that names a file: {ended.err[-300:]!r}")
    # a table, a model or a prepared file that cannot be read is a usage error; of recordings the others go on
    reads = reading or (command.name.startswith("history") and kind in ("read", "map", "look"))
    if refused and ended.code not in ((2, 4, 5) if reads else (4, 5)):
        wrong.append(f"code {ended.code}: {ended.err[-300:]!r}")
    # a recording whose times may not be looked at is given that of its diagnosis, and the row says so
    partly = reading and (ended.code == 4 or (kind == "look" and command.name.startswith("diagnose")))
    wrong += _files_wrong(command, place, refused=refused, partly=partly)
    wrong += _left(place, kind)
    return (f"refused ({ended.code})" if refused else "absorbed" if ended.failed else "unharmed"), wrong


def _files_wrong(command: Command, place: Place, *, refused: bool, partly: bool) -> Iterator[str]:
    there = files(place.work / "out")
    for name in there:
        try:
            says = canonical(place.work / "out" / name)
        except Exception as error:
            yield f"{name} is not whole: {type(error).__name__}: {error}"
            continue
        known = [side[name] for side in (place.old, place.new) if name in side]
        if not refused and not partly and name in place.new and says != place.new[name]:
            yield f"{name} is not what it should be, and the run said it was well"
        elif name.endswith(".sqlite"):
            yield from _history_wrong(place.work / "out" / name, place, name)
        elif says not in known and not partly and not name.endswith(("run.json", ".lock", "/lock")):
            yield f"{name} is neither the old one nor the new one"
    for name in place.old if refused else place.new:
        if name not in there and name not in command.may_vanish:
            yield f"{name} is gone"


def _history_wrong(path: Path, place: Place, name: str) -> Iterator[str]:
    rows = history_rows(path)
    old, new = (dict(side.get(name, ())) for side in (place.old, place.new))  # type: ignore[call-overload]
    if any(rows.get(file, 0) < count for file, count in old.items()):
        yield f"{name} has lost rows: {rows}"
    if any(count > new.get(file, 0) for file, count in rows.items()):
        yield f"{name} has rows twice: {rows}"


def _left(place: Place, kind: str) -> Iterator[str]:
    """What is left that nobody sweeps; and what is left at all, where it could have been removed."""
    for path in [*(place.work / "out").rglob(".*"), *(place.work / "tmp").rglob("*")]:
        # of onnxruntime, in the folder for temporary files; a download's, from which the same command goes on
        if path.name == ".ses" or path.name.endswith(".part.faultdx-tmp"):
            continue
        # what may not be removed stays: under a name that is swept later, or in the system's folder for such things
        excused = kind == "remove" and (TEMPORARY.match(path.name) or place.work / "tmp" in path.parents)
        if path.is_file() and not excused:
            yield f"left behind: {path.relative_to(place.work)}"


def torture(
    server: Server, command: Command, place: Place, kind: str, error: int, *, below: str, sticky: bool, most: int
) -> Tally:
    """Fail the 1st, 2nd, 3rd ... call of a kind until a run passes unharmed; `most` runs at most, spread evenly."""
    tally = Tally()
    root = place.inputs if below == "in" else place.work

    def once(at: int) -> Ended:
        place.fresh()
        fault = Fault(kind, at, error, sticky)
        return server.run(command.argv(place.inputs), cwd=place.work, fault=fault, root=root,
                          environment={"TMPDIR": str(place.work / "tmp")})  # fmt: skip

    seen = once(0).seen
    if not seen:
        return tally
    numbers = range(1, seen + 2)
    if len(numbers) > most:  # the first and the last ones, and some between
        numbers = sorted(
            {*numbers[: most // 3], *numbers[-most // 3 :], *numbers[:: max(1, len(numbers) // (most // 3))]}
        )
    for at in numbers:
        ended = once(at)
        tally.runs += 1
        tally.failed += ended.failed
        outcome, wrong = judge(command, place, ended, kind=kind, reading=below == "in")
        tally.count(outcome)
        how = f"{command.name}: {below}: {kind} {at} of {seen}: {Fault(kind, at, error, sticky).name}"
        tally.findings += [f"{how}: {what}" for what in wrong]
    return tally


def full_disks(server: Server, command: Command, place: Place, *, small: bool) -> Iterator[tuple[str, Tally]]:
    """Run a command where files may have so many KiB, and on disks of so many (`small`: disks may be mounted)."""
    ways = [("file limit", kib) for kib in DISKS_KIB] + [("disk", kib) for kib in DISKS_KIB if small]
    for way, kib in ways:
        tally, limit = Tally(runs=1), 0
        shutil.rmtree(place.work / "out", ignore_errors=True)
        shutil.rmtree(place.work / "tmp", ignore_errors=True)
        if way == "file limit":
            place.fresh()
            here, limit = place, kib << 10
        else:
            here = _on_a_small_disk(place, kib)
        ended = server.run(command.argv(place.inputs), cwd=here.work, file_bytes=limit,
                           environment={"TMPDIR": str(place.work / "tmp")})  # fmt: skip
        outcome, tally.findings = judge(command, here, ended, kind="write")
        tally.count(outcome)
        tally.findings = [f"{command.name}: {way} of {kib} KiB: {what}" for what in tally.findings]
        if here is not place:
            subprocess.run(["umount", here.work], check=True)
        yield f"{way} {kib} KiB", tally


def _on_a_small_disk(place: Place, kib: int) -> Place:
    """Mount a disk of `kib` KiB with the old outputs on it, where they leave room."""
    work = place.work.parent / "small"
    work.mkdir(exist_ok=True)
    (place.work / "tmp").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", work], check=True)
    (work / "out").mkdir()
    template = place.template
    if template is not None:
        if sum(-(-p.stat().st_size // 4096) * 4 for p in template.rglob("*") if p.is_file()) + 16 < kib:
            shutil.copytree(template, work / "out", dirs_exist_ok=True)
        else:
            template = None
    return Place(work, place.inputs, place.old if template is not None else {}, place.new, template)


def may_mount() -> bool:
    """Whether this process may mount a disk; `unshare -rm` gives that right where the system lets it."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="names that begin so; all without")
    parser.add_argument("--kinds", default="", help="only these kinds of calls, with commas between")
    parser.add_argument("--most", type=int, default=60, help="runs of one command for one fault, at most")
    parser.add_argument("--full-disks", action="store_true", help="only small disks and limits on file sizes")
    options = parser.parse_args()
    if options.full_disks and "FAULTS_UNSHARED" not in os.environ and shutil.which("unshare") and not may_mount():
        again = ["unshare", "-rm", sys.executable, "-m", "tests.torture.faults", *sys.argv[1:]]
        return subprocess.run(again, env={**os.environ, "FAULTS_UNSHARED": "1"}, check=False).returncode
    small = options.full_disks and may_mount()
    chosen = [c for c in COMMANDS if not options.commands or any(c.name.startswith(n) for n in options.commands)]
    kinds = set(filter(None, options.kinds.split(",")))
    began, findings, calls = time.monotonic(), [], 0
    with tempfile.TemporaryDirectory(prefix="faultdx-torture-") as scratch:
        folder = Path(scratch).resolve()
        library = compiled(folder)
        if library is None:
            print("no compiler (cc): nothing can be failed")
            return 1
        print(f"{'command':26} {'below':5} {'kind':7} {'errno':22} {'runs':>5} {'failed':>7}  outcomes", flush=True)
        with Server(folder, library=library, heavy=True) as server, contextlib.ExitStack() as stack:
            make_inputs(server, folder / "base")
            stack.enter_context(serving(server, folder / "base", SERVED))
            for command in chosen:
                place = prepared_place(server, command, folder / "base", folder / "work")
                shutil.rmtree(folder / "work", ignore_errors=True) if place.template is None else None
                if options.full_disks:
                    for way, tally in full_disks(server, command, place, small=small):
                        said = ", ".join(tally.outcomes)
                        print(f"{command.name:26} {way:22} {said}  {len(tally.findings)} findings", flush=True)
                        for finding in tally.findings:
                            print("FINDING", finding, flush=True)
                        findings += tally.findings
                    continue
                rows = [("out", k, e, s) for k, e in WRITING for s in (False, True) if not (s and e == SHORT)]
                rows += [("in", k, e, False) for k, e in READING] if command.reads else []
                for below, kind, error, sticky in rows:
                    if kinds and kind not in kinds:
                        continue
                    tally = torture(server, command, place, kind, error, below=below, sticky=sticky, most=options.most)
                    if not tally.runs:
                        continue
                    calls += tally.failed
                    said = ", ".join(f"{n} {what}" for what, n in sorted(tally.outcomes.items()))
                    name = Fault(kind, 1, error, sticky).name
                    print(f"{command.name:26} {below:5} {kind:7} {name:22} {tally.runs:5} {tally.failed:7}  {said}"
                          + (f"  FINDINGS {len(tally.findings)}" if tally.findings else ""), flush=True)  # fmt: skip
                    for finding in tally.findings:
                        print("FINDING", finding, flush=True)
                    findings += tally.findings
    if options.full_disks and not small:
        print("skipped: small disks (this system lets nobody mount one: no root, and no unshare -rm)")
    print(f"{calls} calls failed, {len(findings)} findings, {time.monotonic() - began:.0f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
