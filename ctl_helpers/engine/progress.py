"""A bar that shows how far the passes of a run are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import length_hint
from typing import Protocol

from tqdm import tqdm

from ctl_helpers.engine.batches import ByTask, Task
from ctl_helpers.engine.folds import Fold, last_uses


class Tick(Protocol):
    """Moves a bar on."""

    def __call__(self, steps: int = 1) -> None:
        """By so many."""


_PATIENCE = 2.0  # seconds; a run that is done by then shows no bar


@contextmanager
def progress_bar(total: int | None, unit: str, show: bool | None) -> Iterator[Tick]:
    """While open, what is yielded moves a bar on standard error.

    Args:
        total: how many steps there will be, if that is known.
        unit: what is counted, in the plural.
        show: whether there is a bar; by default on a terminal, if the run takes a while.
    """
    with tqdm(
        total=total,
        desc=unit,
        unit="",
        disable=None if show is None else not show,
        delay=_PATIENCE if show is None else 0,
        leave=bool(show),
    ) as bar:

        def tick(steps: int = 1) -> None:
            bar.update(steps)

        yield tick


def number_of_passes(folds: Mapping[Task, Fold], streams: ByTask) -> int | None:
    """How many passes folds need, if their streams say how many batches they have."""
    total = 0
    for task, fold in folds.items():
        batches = length_hint(streams[task], -1)
        if batches < 0:
            return None
        total += batches * len(last_uses(fold))
    return total
