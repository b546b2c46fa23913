"""How far training is, for other processes and on a terminal; it takes no torch to ask."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ctl_helpers.project import work_folder


@dataclass(frozen=True)
class Pace:
    """A training that goes on: how much was done at its start, how much there is, of what."""

    done: int
    last: int
    unit: str
    begin: float = field(default_factory=time.monotonic)

    def said(self, now: int | None = None, loss: float | None = None) -> str:
        """How far it is, with an estimate of the time left once there is one."""
        if now is None:
            return f"{self.done} of {self.last} {self.unit}"
        pace = (time.monotonic() - self.begin) / (now - self.done)
        return (
            f"{now} of {self.last} {self.unit}, loss {loss:.3f}, {1 / pace:.2g} {self.unit} "
            f"per second, {pace * (self.last - now):.0f} s left"
        )


@contextmanager
def told(label: str) -> Iterator[Callable[[str], None]]:
    """Tells how a training goes: in a file of this process, and on a terminal's last line."""
    path = status_folder() / f"{os.getpid()}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = sys.stderr.isatty()

    def tell(text: str) -> None:
        path.write_text(f"{label}: {text}", encoding="utf-8")
        if shown:
            print(f"\r\033[K{label}: {text}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        path.unlink(missing_ok=True)
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def status_folder() -> Path:
    """Where each process that trains writes one line on how far it is."""
    return work_folder() / "training"


def lines() -> list[str]:
    """What each process on this machine that trains says of itself."""
    said = []
    for path in sorted(status_folder().glob("*.txt")):
        with suppress(OSError):  # the process or its file has just ended
            os.kill(int(path.stem), 0)
            said.append(path.read_text(encoding="utf-8"))
    return said
