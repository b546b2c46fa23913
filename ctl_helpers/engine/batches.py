"""Batches of inputs, and their portions that fit in memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ctl_helpers.engine.inputs import Batch, Inputs, is_row
from ctl_helpers.engine.memory import ran_out

Streams = Mapping[str, Iterable[Batch]] | Iterable[Batch]
Task = str | None  # None: the one stream that all tasks share
ByTask = Mapping[Task, Iterable[Batch]]
Result = TypeVar("Result")


def named_streams(batches: Streams) -> ByTask:
    """Task → batches; a single stream is the task ``None`` (TypeError for a single batch)."""
    if not isinstance(batches, Mapping):
        _check_stream(batches, "batches is")
        return {None: batches}
    if any(isinstance(part, (Tensor, np.ndarray)) or is_row(part) for part in batches.values()):
        raise TypeError(
            "batches is one dict of tensors; pass an iterable of batches, or a mapping of "
            "task name to such iterables"
        )
    for task, stream in batches.items():
        _check_stream(stream, f"what batches has for task {task!r} is")
    return {**batches}


def _check_stream(stream: object, what: str) -> None:
    """Refuse a single batch, whose parts would be taken for batches (TypeError)."""
    if isinstance(stream, (Tensor, np.ndarray)):
        raise TypeError(f"{what} one tensor; pass an iterable of batches, such as [tensor]")
    if isinstance(stream, Dataset) and not isinstance(stream, IterableDataset):
        raise TypeError(
            f"{what} a {type(stream).__name__}, which gives samples; pass a DataLoader of it, "
            "which gives batches"
        )
    if stream is None or isinstance(stream, (Mapping, str)) or not isinstance(stream, Iterable):
        one = "None" if stream is None else f"one {type(stream).__name__}"
        raise TypeError(f"{what} {one}; pass an iterable of batches, such as [batch]")
    if isinstance(stream, (tuple, list)) and len(stream) == 2 and _is_pair(stream):
        raise TypeError(
            f"{what} one pair of inputs and targets; pass [(inputs, targets)] for one batch, or "
            "the list [inputs, inputs] for two"
        )


def _is_pair(stream: Sequence[object]) -> bool:
    """Whether two things may be the inputs and targets of one batch rather than two batches.

    Parts of one tensor, as ``split`` gives them in a tuple, are two batches.
    """
    a, b = (torch.as_tensor(one) if isinstance(one, np.ndarray) else one for one in stream)
    if not isinstance(b, Tensor):
        return isinstance(a, (Tensor, Mapping)) and isinstance(b, list) and not _holds_tensors(b)
    if not isinstance(a, Tensor):
        return isinstance(a, Mapping)
    if a.dim() == 0 or b.dim() == 0 or len(a) != len(b):
        return False
    if (a.dtype, a.dim()) != (b.dtype, b.dim()):
        return True
    return isinstance(stream, tuple) and a.untyped_storage().data_ptr() != (
        b.untyped_storage().data_ptr()
    )


def _holds_tensors(value: Sequence[object]) -> bool:
    return any(isinstance(part, (Tensor, Mapping)) for part in value)


def warn_of_mask(inputs: Inputs) -> None:
    """Say so where targets look like the mask of token ids: 1 at tokens, then 0 at padding."""
    targets = inputs.targets
    if len(inputs.arguments) != 1 or not isinstance(targets, Tensor) or targets.dim() != 2:
        return
    (ids,) = inputs.arguments
    if ids.is_floating_point() or ids.shape != targets.shape or targets.is_floating_point():
        return
    steps = targets.long().diff(dim=1)
    is_mask = (targets >= 0).all() and (targets <= 1).all() and (targets == 0).any()
    if is_mask and ((steps <= 0).all(1) | (steps >= 0).all(1)).all():
        warnings.warn(
            "the targets of a batch look like an attention mask, and are not given to the model; "
            "pass {'input_ids': …, 'attention_mask': …} if they are one",
            stacklevel=2,
        )


def tasks_of(tasks: Sequence[str] | None, streams: ByTask) -> Iterable[Task]:
    """The streams to measure on: all where no tasks are named.

    On one shared stream there is nothing to choose: everything is measured on it.
    """
    if tasks is None or None in streams:
        return streams
    return (tasks,) if isinstance(tasks, str) else tasks


def by_task(tasks: Iterable[Sequence[str] | None], streams: ByTask) -> dict[Task, list[int]]:
    """Task → the positions of those to measure on it, given the tasks of each."""
    positions: dict[Task, list[int]] = {}
    for position, names in enumerate(tasks):
        for task in dict.fromkeys(tasks_of(names, streams)):
            positions.setdefault(task, []).append(position)
    return positions


def check_tasks(tasks: Iterable[Task], batches: ByTask) -> None:
    """Refuse a task that has no stream (KeyError)."""
    if without := [task for task in tasks if task not in batches]:
        raise KeyError(f"no batches for task {without[0]!r}; there are {list(batches)}")


class _Supply:
    """The batches of a stream, one after another, those given back first."""

    def __init__(self, batches: Iterable[Batch], owner: Portions) -> None:
        self._source, self._owner, self._is_first = iter(batches), owner, True
        self._unread: list[Batch] = []
        self._waiting: list[Inputs] = []

    def is_left(self) -> bool:
        """Whether there is another sample."""
        while not self._waiting:
            if not self._unread:
                try:
                    self._unread = [next(self._source)]
                except StopIteration:
                    return False
            # It stays unread where the device has no room for it.
            inputs = Inputs.of(self._unread[0], self._owner.device, self._owner.counted)
            self._unread = []
            if self._is_first:
                warn_of_mask(inputs)
                self._is_first = False
            if inputs.size:
                self._waiting = [inputs]
        return True

    def next(self, most: float, room: float) -> Inputs | None:
        """The next part, of at most so many samples, if it fits into the room."""
        if not self.is_left():
            return None
        if self._waiting[-1].size > most:
            self._owner.check_split(self._waiting[-1])
        while self._waiting[-1].size > most:
            self._waiting += reversed(self._waiting.pop().halves())
        return self._waiting.pop() if self._waiting[-1].size <= room else None

    def give_back(self, parts: Sequence[Inputs]) -> None:
        self._waiting += reversed(parts)


class Portion(Iterator[Inputs]):
    """Batches, or parts of them, that are worked on together.

    It ends where there are no more, or where memory is known to be too small for another.

    Attributes:
        parts: those taken so far.
    """

    def __init__(self, supply: _Supply, most: float) -> None:
        self._supply, self._most = supply, most
        self.parts: list[Inputs] = []

    def __next__(self) -> Inputs:
        part = self._supply.next(self._most, self._most - self.size)
        if part is None:
            raise StopIteration
        self.parts.append(part)
        return part

    @property
    def size(self) -> int:
        """The number of samples taken so far."""
        return sum(part.size for part in self.parts)


class Portions:
    """Goes over batches in portions that fit in memory.

    A portion that runs out of memory is worked on again in halves, those in halves again, and
    later ones are made that small at once; a warning says so.

    Args:
        device: where inputs and targets shall be.
        check_split: called with a batch that is to be split; raises where parts would not give
            the numbers of the whole.

    Attributes:
        counted: the entries of a batch whose length is the number of samples, once it is known.
    """

    def __init__(self, device: torch.device, check_split: Callable[[Inputs], None]) -> None:
        self.device, self.check_split = device, check_split
        self.counted: frozenset[str] = frozenset()
        self._most, self._told = math.inf, math.inf

    def over(
        self, batches: Iterable[Batch], task: Task, work: Callable[[Portion], Result]
    ) -> Iterator[Result]:
        """What ``work`` makes of each portion, in the order of the samples.

        ``work`` takes as many parts as it wants, at least one. It may be called with samples that
        it has seen, but gives a result for each sample once. ``task`` is for errors.

        Raises:
            ValueError: no samples.
            RuntimeError: a single sample that runs out of memory.
        """
        supply, samples = _Supply(batches, self), 0
        while supply.is_left():
            portion = Portion(supply, self._most)
            if result := self._try(work, portion):
                samples += portion.size
                self._tell()
                yield result[0]
            else:
                supply.give_back(portion.parts)
        if samples == 0:
            raise ValueError(
                f"{'the stream' if task is None else f'task {task!r}'} has no samples; "
                "an iterator that was read before is empty, so pass a list or a loader"
            )

    def _try(
        self, work: Callable[[Portion], Result], portion: Portion
    ) -> tuple[Result] | tuple[()]:
        """A portion's result, or nothing where memory ran out.

        The error ends here, since it keeps the tensors of the failed attempt alive.
        """
        try:
            return (work(portion),)
        except (RuntimeError, MemoryError, OSError) as error:
            if not ran_out(error):
                raise
            if portion.size < 2:
                raise RuntimeError(
                    f"one sample is too much for the memory ({error}); raise max_memory where you "
                    "set it, tap fewer layers, or use a larger machine"
                ) from error
            self._most = (portion.size + 1) // 2
        return ()

    def _tell(self) -> None:
        if self._most < self._told:
            warnings.warn(
                f"memory ran out, so that batches are run in parts of at most {self._most} "
                "samples; pass smaller batches to spare the failed attempts",
                stacklevel=2,
            )
            self._told = self._most
