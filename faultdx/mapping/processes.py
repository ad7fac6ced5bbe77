"""Worker processes of this machine, each with one thread and a socket of its own.

Of a pool that shares one queue (multiprocessing.Pool, ProcessPoolExecutor) a killed process takes the queue's lock or
half a message with it, and nobody can tell what it was at. Here a process that dies is the end of its own socket and
of nothing else: the item that it was at is known, and is tried once more in a new process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from faultdx.errors import ConfigError
from faultdx.mapping.serving import DONE, READY
from faultdx.mapping.tasks import Lost, Task

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from faultdx.mapping.serving import serve; serve(int(sys.argv[1]))"
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_TRIES = 2  # of an item whose worker dies
_STILLBORN = 3  # workers in a row that die before they are ready
_AHEAD = 2  # tasks that a worker has: one to work on, one so that it need not wait for us
_PATIENCE_S = 2.0  # for a process whose socket is closed to be gone
_SMALL_BYTES = 1 << 14  # of a task that may be sent while the worker writes: no socket's buffer is smaller


@dataclass(frozen=True)
class _Job:
    index: int
    payload: bytes


@dataclass(frozen=True)
class _Raised:
    error: BaseException


@dataclass(frozen=True)
class _Here:
    task: Task


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: Connection
    ready: bool = False
    jobs: deque[_Job] = field(default_factory=deque)  # the first is the one that it is at


def mapped(
    work: Callable[..., Any],
    tasks: Iterable[Task],
    *,
    workers: int,
    window: int | None = None,
    here: Callable[..., bool] | None = None,
) -> Generator[Any, None, None]:
    """See `faultdx.mapping.mapped`. No process is started before there is something for it to do."""
    pool = _Pool(work, tasks, workers, window or 4 * workers, here)
    try:
        while True:
            while pool.yielded in pool.results:
                result = pool.results.pop(pool.yielded)
                if isinstance(result, _Raised):
                    raise result.error
                pool.yielded += 1
                yield work(*result.task) if isinstance(result, _Here) else result
                pool.hand_out()
            pool.hand_out()
            if pool.yielded in pool.results:
                continue
            if not any(worker.jobs for worker in pool.workers):
                return
            pool.collect()
    finally:
        pool.close()


class _Pool:
    def __init__(
        self,
        work: Callable[..., Any],
        tasks: Iterable[Task],
        most: int,
        window: int,
        here: Callable[..., bool] | None,
    ) -> None:
        self.workers: list[_Worker] = []
        self.results: dict[int, Any] = {}
        self.yielded = 0
        self._work = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
        self._tasks, self._taken, self._more = iter(tasks), 0, True
        self._most, self._window, self._here = most, max(window, most), here
        self._again: deque[_Job] = deque()
        self._deaths: dict[int, int] = {}
        self._stillborn = 0

    # ---- giving

    def hand_out(self) -> None:
        """Give out what there is to do: to whoever is idle, then to a new worker, then ahead to the busy ones."""
        while (job := self._next()) is not None:
            worker = self._free(job)
            if worker is None:
                self._again.appendleft(job)
                return
            worker.jobs.append(job)
            try:
                worker.channel.send_bytes(job.payload)
            except OSError:  # it has died; its end is met like any other
                self._bury(worker)

    def _next(self) -> _Job | None:
        if self._again:
            return self._again.popleft()
        while self._more and self._taken < self.yielded + self._window:
            task = next(self._tasks, None)
            if task is None:
                self._more = False
                return None
            index, self._taken = self._taken, self._taken + 1
            if self._here is None or not self._here(*task):
                return _Job(index, pickle.dumps(task, pickle.HIGHEST_PROTOCOL))
            self.results[index] = _Here(task)
        return None

    def _free(self, job: _Job) -> _Worker | None:
        # A suspect goes to a worker that has nothing else, so that nobody else's item dies with it.
        suspect = job.index in self._deaths
        idle = next((w for w in self.workers if not w.jobs), None)
        if idle is not None:
            return idle
        if len(self.workers) < self._most:
            return self._start()
        if suspect or len(job.payload) > _SMALL_BYTES:
            return None
        ahead = [w for w in self.workers if len(w.jobs) < _AHEAD and w.jobs[0].index not in self._deaths]
        return min(ahead, key=lambda w: w.jobs[0].index, default=None)

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        # not on 0 to 2, which are the streams of the new process, whether this one has its own or not
        far = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)
        near = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)
        ours.close()
        theirs.close()
        channel = Connection(near)
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(far), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the result's: nobody else writes there
                stderr=None if _is_open(2) else subprocess.DEVNULL,
                pass_fds=(far,),
                env=dict.fromkeys(_THREADS, "1") | os.environ,
                process_group=0,  # a Ctrl-C is ours to answer; and what a worker has started is ended with it
            )
        except OSError as error:
            channel.close()
            reason = os.strerror(error.errno or 0).lower()
            raise ConfigError(f"a worker process cannot be started: {reason}; use fewer") from error
        finally:
            os.close(far)
        worker = _Worker(process, channel)
        self.workers.append(worker)
        with contextlib.suppress(OSError):
            channel.send_bytes(self._work)
        return worker

    # ---- taking

    def collect(self) -> None:
        """Wait until a worker has something to say, or has died."""
        channels = {worker.channel: worker for worker in self.workers}
        for ready in wait(list(channels)):
            worker = channels[ready]  # type: ignore[index]
            try:
                kind, value = pickle.loads(worker.channel.recv_bytes())
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if kind == READY:
                worker.ready, self._stillborn = True, 0
            elif not worker.ready:  # it could not begin: nobody could
                raise value
            else:
                job = worker.jobs.popleft()
                self._deaths.pop(job.index, None)
                self.results[job.index] = value if kind == DONE else _Raised(value)

    def _bury(self, worker: _Worker) -> None:
        """Take a dead worker out; give its items to others, and give up the one that it died of twice."""
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        how = _end(worker, patience_s=_PATIENCE_S)
        jobs = list(worker.jobs)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise ConfigError(
                    f"worker processes are {how} as they start, most likely for want of memory: use fewer"
                )
        elif jobs:
            deaths = self._deaths[jobs[0].index] = self._deaths.get(jobs[0].index, 0) + 1
            if deaths >= _TRIES:
                self.results[jobs.pop(0).index] = Lost(f"{how}, {_TRIES} times")
        self._again.extendleft(reversed(jobs))

    def close(self) -> None:
        """End every worker, and what it has started, at once."""
        while self.workers:
            _end(self.workers.pop(), patience_s=0.0)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _end(worker: _Worker, *, patience_s: float) -> str:
    """End a worker, and what it has started; say how it ended. One that closed its socket is given time to die."""
    pid = worker.process.pid
    until = time.monotonic() + patience_s
    with contextlib.suppress(OSError):
        while time.monotonic() < until and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)  # it was not waited for yet, so this number is nobody else's
    worker.channel.close()
    code = worker.process.wait()
    return f"killed (signal {-code})" if code < 0 else f"killed or gone (exit code {code})"
