"""How far training is, for other processes and on a terminal; it takes no torch to ask."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ctl_helpers.store.status import telling


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
    """Tells how a training goes: to other processes, and on a terminal's last line."""
    shown = sys.stderr.isatty()

    def show(text: str) -> None:
        tell(f"{label}: {text}")
        if shown:
            print(f"\r\033[K{label}: {text}", end="", file=sys.stderr, flush=True)

    with telling() as tell:
        try:
            yield show
        finally:
            if shown:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
