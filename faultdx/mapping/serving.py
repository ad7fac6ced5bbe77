"""What runs in a worker process: take the function, then a task at a time, until the other end is closed.

The process is started with a new interpreter and not forked: its parent may have threads (those of a BLAS, of
onnxruntime, of torch, of a progress bar), and a fork copies their locks without them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from faultdx.allocation import keep_memory

READY, DONE, RAISED = "ready", "done", "raised"


def serve(fd: int) -> NoReturn:
    """Be a worker process at the descriptor `fd`, a socket. Never returns."""
    # Where memory runs out, a worker should go and not the parent, which has what the others found.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(b"500")
    keep_memory()  # the process is ours alone
    channel = Connection(fd)
    try:
        data = channel.recv_bytes()
        try:
            work = pickle.loads(data)
            begin_of(work)
        except Exception as error:
            _send(channel, (RAISED, carried(error)))
        else:
            _send(channel, (READY, None))
            while True:
                data = channel.recv_bytes()
                try:
                    answer = (DONE, work(*pickle.loads(data)))
                except Exception as error:
                    answer = (RAISED, carried(error))
                _send(channel, answer)
    except (EOFError, OSError):  # the parent has ended, or wants no more
        pass
    finally:
        os._exit(0)


def begin_of(work: Any) -> None:
    """Let a function make what it needs, where it says that it needs something."""
    begin = getattr(work, "begin", None)
    if begin is not None:
        begin()


def carried(error: Exception) -> Exception:
    """Return the error itself where it survives pickling, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _send(channel: Connection, answer: tuple[str, Any]) -> None:
    channel.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
