"""Batches of inputs, and their portions that fit in memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ctl_helpers.engine.memory import ran_out

Batch = Any
Streams = Mapping[str, Iterable[Batch]] | Iterable[Batch]
Task = str | None  # None: the one stream that all tasks share
ByTask = Mapping[Task, Iterable[Batch]]
Result = TypeVar("Result")


def named_streams(batches: Streams) -> ByTask:
    """Task → batches; a single stream is the task ``None`` (TypeError for a single batch)."""
    if isinstance(batches, Mapping):
        if any(isinstance(stream, Tensor) for stream in batches.values()):
            raise TypeError(
                "batches is one dict of tensors; pass an iterable of batches, or a mapping of "
                "task name to such iterables"
            )
        return {**batches}
    if isinstance(batches, Tensor):
        raise TypeError("batches is one tensor; pass an iterable of batches, such as [tensor]")
    return {None: batches}


def tasks_of(tasks: Sequence[str] | None, streams: ByTask) -> Iterable[Task]:
    """The streams to measure on: all where no tasks are named.

    On one shared stream there is nothing to choose: everything is measured on it.
    """
    return streams if tasks is None or None in streams else tasks


def by_task(tasks: Iterable[Sequence[str] | None], streams: ByTask) -> dict[Task, list[int]]:
    """Task → the positions of those to measure on it, given the tasks of each."""
    positions: dict[Task, list[int]] = {}
    for position, names in enumerate(tasks):
        for task in dict.fromkeys(tasks_of(names, streams)):
            positions.setdefault(task, []).append(position)
    return positions


@dataclass(frozen=True)
class Inputs:
    """A batch on the device: what the model takes, the targets, and the number of samples."""

    arguments: tuple[Tensor, ...]
    keywords: Mapping[str, Any]
    targets: Tensor | None
    size: int

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> Inputs:
        """A batch's parts, moved to the device."""
        targets = None
        if isinstance(batch, (tuple, list)):
            if len(batch) != 2:
                raise TypeError(
                    f"a batch has {len(batch)} parts; pass inputs, (inputs, targets) or a dict"
                )
            batch, targets = batch
            targets = targets.to(device)
        if isinstance(batch, Mapping):
            moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
            size = next((len(v) for v in moved.values() if isinstance(v, Tensor)), 0)
            return cls((), moved, targets, size)
        if not isinstance(batch, Tensor):
            raise TypeError(
                f"a batch is a {type(batch).__name__}; pass a tensor, (inputs, targets) or a dict"
            )
        return cls((batch.to(device),), {}, targets, len(batch))

    def halves(self) -> tuple[Inputs, Inputs]:
        """The first and the second half of the samples; whatever is not by sample goes to both."""
        middle = (self.size + 1) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, self.size))

    def _part(self, rows: slice) -> Inputs:
        def cut(value: Any) -> Any:
            by_sample = isinstance(value, Tensor) and value.dim() > 0 and len(value) == self.size
            return value[rows] if by_sample else value

        return Inputs(
            tuple(map(cut, self.arguments)),
            {name: cut(value) for name, value in self.keywords.items()},
            cut(self.targets),
            rows.stop - rows.start,
        )


class _Supply:
    """The batches of a stream, one after another, those given back first."""

    def __init__(self, batches: Iterable[Batch], device: torch.device) -> None:
        self._source, self._device = iter(batches), device
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
            inputs = Inputs.of(self._unread[0], self._device)
            self._unread = []
            if inputs.size:
                self._waiting = [inputs]
        return True

    def next(self, most: float, room: float) -> Inputs | None:
        """The next part, of at most so many samples, if it fits into the room."""
        if not self.is_left():
            return None
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
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
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
        supply, samples = _Supply(batches, self._device), 0
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
