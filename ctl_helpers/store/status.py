"""What processes on this machine are at, for others that ask: one line each, while they live."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ctl_helpers.project import work_folder

_AT_ONCE = 2.0  # seconds that nobody needs to be told of


def status_folder() -> Path:
    """Where each process that trains or waits writes one line on it."""
    return work_folder() / "training"


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """While open, what is given to it is what this process is at.

    A lock says that the process lives: the number of one that died may be another's now. Inside
    another block of the process it tells something else for a while, as a training that waits.
    """
    # Machines that share a work folder number their processes alike.
    path = status_folder() / f"{platform.node()}-{os.getpid()}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)

    def tell(text: str) -> None:
        path.write_text(text, encoding="utf-8")

    # One for all blocks of a process, which would wait for itself otherwise.
    alive = FileLock(path.with_suffix(".lock"), thread_local=False, is_singleton=True)
    before = path.read_text(encoding="utf-8") if alive.is_locked and path.is_file() else None
    with alive:
        try:
            yield tell
        finally:
            path.unlink(missing_ok=True) if before is None else tell(before)


def lines() -> list[str]:
    """What each process on the work folder says of itself; what dead ones said is deleted."""
    said = []
    for path in sorted(status_folder().glob("*.txt")):
        with suppress(OSError):  # the process or its file has just ended
            try:
                with FileLock(path.with_suffix(".lock"), timeout=0):
                    path.unlink(missing_ok=True)
            except Timeout:
                said.append(path.read_text(encoding="utf-8"))
    return said


@contextmanager
def waiting_for(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock while open; where another process holds it first, tell that this one waits.

    Args:
        lock: its file.
        what: the work that one process at a time does.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=_AT_ONCE)
    except Timeout:
        with telling() as tell:
            tell(f"waiting for the {what} by another process, which holds {lock}")
            held.acquire()
    try:
        yield
    finally:
        held.release()
