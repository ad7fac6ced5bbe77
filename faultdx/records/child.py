"""Untrusted decoding in a child process: forked, limited in memory and time, and not believed either.

A library written in C may crash on a damaged file, spin for ever in it, or ask for all the memory there is. In a
child that costs the recording and not the program. The child is a fork (a few ms, nothing to import); it has no
descriptors but its own two, can open no file, writes nothing to the streams, and always ends by `os._exit` or by a
signal. It answers with one short JSON text on a pipe, and with at most one array in memory that both see: nothing
that it sends is ever executed, and nothing is taken without being checked.

Limits of a process: setrlimit(2).
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import json
import math
import mmap
import os
import resource
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from faultdx.records.room import ChildError, Room

_LONGEST_ANSWER = 2 * 1024 * 1024
_NO_MEMORY, _TOO_LONG, _FAULT = 71, 72, 70  # exit codes of the child
_PATIENCE_S = 0.5  # for the end of a child that has closed its pipe
_PIPE = 3  # its descriptor in the child
_lock = threading.Lock()


class LateError(ChildError):
    """It took more than the time it was given."""


@dataclass(frozen=True)
class Limits:
    """What a child may take.

    memory_bytes : how much its address space may grow; seconds : time by the clock, and of the processor
    may_open_files : else it can open no descriptor at all, so that all it imports must be imported already
    """

    memory_bytes: int
    seconds: float
    may_open_files: bool = False


def run(work: Callable[[], object], *, limits: Limits, room: Room | None = None) -> object:
    """Return what `work` returns (plain values, as JSON has them), worked out in a child process.

    room : where `work` may place one array; the parent takes it from there
    `work` is run in a fork, so that it sees all that the parent has, and changes none of it. What it raises is lost:
    it has to return what the parent should know.

    Raises ChildError where the child crashed, took more than its limits, or could not be started. Whatever happens
    (also an exception in the parent), the child has ended and is reaped on return, and no descriptor stays open.
    """
    parent, fds, child = os.getpid(), set[int](), _Child()
    until = time.monotonic() + limits.seconds
    try:
        with _forking():
            reader, writer = os.pipe()
            fds |= {reader, writer}
            if room is not None:
                room.open()
            child.pid = _fork()
            if child.pid == 0:
                _serve(work, writer, limits)
            if room is not None:
                room.close_to_others()
            os.close(writer)
            fds.remove(writer)
        return _answer(reader, child, until, limits)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ChildError(f"has no process to run in ({reason})") from error
    finally:
        if os.getpid() != parent:  # an exception between the fork and the child's own guard
            os._exit(_FAULT)
        for fd in fds:
            os.close(fd)
        child.end()


@contextlib.contextmanager
def _forking() -> Iterator[None]:
    """Let one thread fork at a time, undisturbed by signals.

    One at a time, because a child forked between another's pipe and its fork would keep that pipe open.
    """
    with _lock:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _fork() -> int:
    if sys.version_info >= (3, 12):  # it warns of threads; ours never wait for one in the child
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    return os.fork()


# ---- in the parent


class _Child:
    """A process number that is waited for once."""

    def __init__(self) -> None:
        self.pid = 0

    def status(self) -> int:
        """Return the wait status (waitpid(2)) of a child that has closed its pipe; end it where it goes on."""
        until = time.monotonic() + _PATIENCE_S
        try:
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.pid = 0
                    return status
                if time.monotonic() > until:
                    return _FAULT << 8
                time.sleep(0.001)
        except ChildProcessError:  # the program ignores SIGCHLD: nobody can know
            self.pid = 0
            return _FAULT << 8

    def end(self) -> None:
        """Kill it, unless it has ended, and reap it."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = 0


def _answer(reader: int, child: _Child, until: float, limits: Limits) -> object:
    """Read the child's answer: four bytes of length, and JSON."""
    got = bytearray()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:4], "big"):
        left = until - time.monotonic()
        if left <= 0:
            raise LateError(_late(limits))
        if not poll.poll(left * 1000):
            continue
        part = os.read(reader, 1 << 16)
        if not part:
            raise _end_of(child.status(), limits)
        got += part
        if len(got) > 4 + _LONGEST_ANSWER:
            raise _end_of(_TOO_LONG << 8, limits)
    try:
        answer: object = json.loads(got[4 : 4 + int.from_bytes(got[:4], "big")])
    except (ValueError, RecursionError) as error:
        raise ChildError("gave no answer that makes sense") from error
    return answer


def _late(limits: Limits) -> str:
    return f"took more than {limits.seconds:.3g} s"


def _end_of(status: int, limits: Limits) -> ChildError:
    """Return what a wait status says, in words."""
    number, code = status & 0x7F, status >> 8
    if number in (signal.SIGXCPU, signal.SIGALRM):
        return LateError(_late(limits))
    if number == signal.SIGKILL:
        return ChildError("was killed at it, most likely because memory ran out")
    if number:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return ChildError(f"crashed on it ({name})")
    if code == _NO_MEMORY:
        most = f"{limits.memory_bytes / 2**20:.0f} MiB"
        return ChildError(f"took more than the {most} of memory that it may have for this file")
    return ChildError("found more in it than can be listed" if code == _TOO_LONG else "ended on it without an answer")


# ---- in the child


def _serve(work: Callable[[], object], writer: int, limits: Limits) -> NoReturn:
    """Be the child: put the limits on, do the work, answer, and end, whatever happens."""
    global _lock
    code = _FAULT
    try:
        _lock = threading.Lock()  # the old one is held, by a thread that is not here
        gc.disable()  # a collection would touch, and so copy, all that is shared with the parent
        faulthandler.disable()
        _no_signals()
        _no_descriptors(writer)
        _limit(limits)
        answer = json.dumps(work()).encode("ascii")
        if len(answer) <= _LONGEST_ANSWER:
            _write(len(answer).to_bytes(4, "big") + answer)
        code = 0 if len(answer) <= _LONGEST_ANSWER else _TOO_LONG
    except MemoryError:
        code = _NO_MEMORY
    finally:
        os._exit(code)


def _no_signals() -> None:
    """Take the parent's handlers off. What ends the parent ends the child through the parent, and not by itself: a
    program that wants to finish its batch after Ctrl-C must not take it for a crash."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGPIPE, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _no_descriptors(writer: int) -> None:
    """Point the three streams at nothing, keep the pipe, and close what else the parent has open."""
    # First out of the way: a program that was started without its streams may have the pipe on the numbers 0 to 2.
    writer = fcntl.fcntl(writer, fcntl.F_DUPFD, _PIPE + 1)
    null = fcntl.fcntl(os.open(os.devnull, os.O_RDWR), fcntl.F_DUPFD, _PIPE + 1)
    for stream, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(null, stream)
        setattr(sys, name, None)  # whose buffers hold what the parent has not yet written
    os.dup2(writer, _PIPE)
    try:
        last = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names alone
    except OSError:
        last = 1 << 16
    os.closerange(_PIPE + 1, last + 1)  # not to the limit, which may be a thousand million


def _limit(limits: Limits) -> None:
    seconds = math.ceil(limits.seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)  # should the parent be killed, and not end it
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    with contextlib.suppress(OSError):  # a system without /proc does not keep to this limit anyway
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        _lower(resource.RLIMIT_AS, pages * mmap.PAGESIZE + limits.memory_bytes)
    if not limits.may_open_files:
        _lower(resource.RLIMIT_NOFILE, 0)


def _lower(what: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, and no higher than it may be set."""
    most = resource.getrlimit(what)[1]
    soft, hard = (value if most == resource.RLIM_INFINITY else min(value, most) for value in (soft, hard or soft))
    resource.setrlimit(what, (soft, hard))


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_PIPE, view) :]
