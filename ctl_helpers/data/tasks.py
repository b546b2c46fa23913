"""Tasks that are parts or variants of one set of labelled images, each found by its name.

``"all"`` is the whole set; ``"22.5°"`` is the set turned by that angle; ``"classes 1–5"`` is a
range of its classes, counted from 1 as in the paper, and ``"classes 3, 1"`` a list of them. Their
labels stay those of the whole set, so that tasks have no label in common.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ctl_helpers.data.dataset import complaints

if TYPE_CHECKING:
    from ctl_helpers.data.images import Images

Reader = Callable[[str, "Sequence[int] | None"], "Images"]
"""Reads ``"train"`` or ``"test"`` of a set: some classes by their labels, or all of them."""

_ANGLE = re.compile(r"-?\d+(\.\d+)?°")
_RANGE = re.compile(r"classes (\d+)–(\d+)")
_LIST = re.compile(r"classes \d+(, \d+)*")


def is_task(name: str) -> bool:
    """Whether a name is that of a task."""
    return name == "all" or _ANGLE.fullmatch(name) is not None or labels_of(name) is not None


def labels_of(name: str) -> Sequence[int] | None:
    """The labels of a task that is a part of the classes; None where it is no such task."""
    if classes := _RANGE.fullmatch(name):
        first, last = map(int, classes.groups())
        return range(first - 1, last) if 1 <= first <= last else None
    if _LIST.fullmatch(name):
        numbers = [int(number) for number in name.removeprefix("classes ").split(", ")]
        return [number - 1 for number in numbers] if min(numbers) >= 1 else None
    return None


def reordered(name: str, order: Sequence[int]) -> str:
    """A range of classes as the list of those that have its places in another order.

    Args:
        name: a task; one that is no range of classes is given back.
        order: the label at each place.
    """
    if not _RANGE.fullmatch(name):
        return name
    return "classes " + ", ".join(str(order[place] + 1) for place in labels_of(name) or ())


def _nothing() -> None:
    """Neither checked nor downloaded."""


@dataclass(frozen=True)
class LabelledSet:
    """A :class:`~ctl_helpers.data.dataset.DataSet` whose tasks are parts or variants of it.

    Attributes:
        read: its files.
        checksum: digest of the original data.
        check: raises MissingDataError where the files are not here; by default they always are.
        download: gets them where they can be downloaded.
    """

    read: Reader
    checksum: Callable[[], str]
    check: Callable[[], object] = _nothing
    download: Callable[[], object] = _nothing

    def missing(self, tasks: Sequence[str]) -> list[str]:
        return complaints(self.check)

    def fetch(self, tasks: Sequence[str]) -> None:
        self.download()

    def load(self, task: str, split: str, samples: int | None = None) -> Images:
        return _images(self.read, task, split).first(samples)


# A notebook uses five tasks or so, each for training and test, again and again.
@lru_cache(maxsize=64)
def _images(read: Reader, task: str, split: str) -> Images:
    """The images of a task.

    Raises:
        ValueError: no such task.
    """
    if not is_task(task):
        raise ValueError(f"there is no task {task!r}; name it like 'all', '45°' or 'classes 1–5'")
    labels = labels_of(task)
    if labels is not None:
        # Files list one class after another; a part of a task should have all of its classes.
        return read(split, labels).shuffled(0)
    whole = _whole(read, split)
    angle = 0.0 if task == "all" else float(task[:-1])
    return whole.rotated(angle) if angle else whole


@lru_cache(maxsize=2)
def _whole(read: Reader, split: str) -> Images:
    return read(split, None)


def forget() -> None:
    """Read files anew: the data folder is another."""
    _images.cache_clear()
    _whole.cache_clear()
