"""Tasks: parts or variants of one data set, each found by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Literal

from ctl_helpers.data.images import Images
from ctl_helpers.settings.schema import DataSet

_ANGLE = re.compile(r"-?\d+(\.\d+)?°")
_CLASSES = re.compile(r"classes (\d+)–(\d+)")


class Data(DataSet):
    """A data set, and how its tasks are made from it.

    Attributes:
        tasks: ``rotations`` (a task is the set turned by the angle in its name, ``"22.5°"``),
            ``splits`` (a task is a range of classes, ``"classes 1–5"``, counted from 1 as in the
            paper; labels stay those of the whole set, so that tasks have no label in common) or
            ``whole`` (one task, ``"all"``).
    """

    tasks: Literal["rotations", "splits", "whole"]

    def knows(self, task: str) -> bool:
        """Whether a name is that of a task."""
        if self.tasks == "rotations":
            return _ANGLE.fullmatch(task) is not None
        if self.tasks == "splits":
            found = _CLASSES.fullmatch(task)
            return found is not None and 1 <= int(found[1]) <= int(found[2])
        return task == "all"

    def images(self, task: str, split: str) -> Images:
        """A task's images; ``task`` is a name that :meth:`knows`."""
        return _images(self, task, split)


# A notebook uses five tasks or so, each for training and test, again and again.
@lru_cache(maxsize=64)
def _images(data: Data, task: str, split: str) -> Images:
    if data.tasks == "splits":
        first, last = map(int, _CLASSES.fullmatch(task).groups())
        # Files list one class after another; a part of a task should have all of its classes.
        return data.module.load(split, range(first - 1, last)).shuffled(0)
    images = _whole(data.set, split)
    if data.tasks == "rotations" and float(task[:-1]):
        return images.rotated(float(task[:-1]))
    return images


@lru_cache(maxsize=2)
def _whole(name: str, split: str) -> Images:
    return import_module(f"ctl_helpers.data.sets.{name}").load(split)
