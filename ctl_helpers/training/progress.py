"""How far training is, for other processes and on a terminal; it takes no torch to ask."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ctl_helpers.project import work_folder


def reported(
    label: str, snapshots: Iterator[Any], done: int, last: int, unit: str
) -> Iterator[Any]:
    """The snapshots of a training, with progress and an estimate of the time left told after each.

    Args:
        label: what a person calls the training.
        snapshots: what it gives, each with ``done`` and ``loss``.
        done, last: how many epochs or steps are done already, and how many there are.
        unit: what is counted, in the plural.
    """
    begin = time.monotonic()
    with _told(label) as tell:
        tell(f"{done} of {last} {unit}")
        for snapshot in snapshots:
            pace = (time.monotonic() - begin) / (snapshot.done - done)
            left = pace * (last - snapshot.done)
            tell(
                f"{snapshot.done} of {last} {unit}, loss {snapshot.loss:.3f}, "
                f"{1 / pace:.2g} {unit} per second, {left:.0f} s left"
            )
            yield snapshot


@contextmanager
def _told(label: str) -> Iterator[Callable[[str], None]]:
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
