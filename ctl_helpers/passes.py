"""The engine: each distinct (mix, task) runs once over the task's batches, and folds keep numbers.

Batches are the outer loop and mixes the inner one. Features therefore live for one batch at most,
until the last step that needs them, and memory does not grow with the number of samples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.features import evaluating, taps
from ctl_helpers.mix import MixKey, StateDict, check_compatible, check_finite
from ctl_helpers.weights import Weights

Batch = Any
Streams = Mapping[str, Iterable[Batch]] | Iterable[Batch]
Found = TypeVar("Found")

_HALF_TYPES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Pass:
    """What one forward pass gives: layer → feature (samples, width), and the model's output."""

    features: Mapping[str, Tensor]
    output: Any


class Fold(Protocol):
    """Keeps a few numbers a sample of the passes over one task.

    ``steps`` are the groups of mixes whose passes are looked at together, in the order in which
    the engine should reach them. ``reduce`` gives the numbers of one step and changes nothing,
    since a batch that does not fit in memory is begun again in halves; ``keep`` takes in those of
    all steps, once for each batch or part of one.
    """

    steps: Sequence[Sequence[MixKey]]

    def reduce(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> Any:
        """The numbers of one step."""

    def keep(self, found: Sequence[Any]) -> None:
        """Take in what ``reduce`` gave, step by step."""


def named_streams(batches: Streams) -> Mapping[str | None, Iterable[Batch]]:
    """Task → batches; a single stream is the task ``None``.

    A mapping whose values are tensors is one batch of keyword inputs, not streams by task.

    Raises:
        TypeError: a tensor or a single batch where an iterable of batches is wanted.
    """
    if isinstance(batches, Mapping):
        if any(isinstance(stream, Tensor) for stream in batches.values()):
            raise TypeError(
                "batches is one dict of tensors; pass an iterable of batches, or a mapping of "
                "task name to such iterables"
            )
        return dict(batches)
    if isinstance(batches, Tensor):
        raise TypeError("batches is one tensor; pass an iterable of batches, such as [tensor]")
    return {None: batches}


def tasks_of(
    tasks: Sequence[str] | None, streams: Mapping[str | None, Iterable[Batch]]
) -> Iterable[str | None]:
    """The streams to measure on: all where no tasks are named.

    On one shared stream there is nothing to choose: everything is measured on it.
    """
    return streams if tasks is None or None in streams else tasks


@dataclass(frozen=True)
class Inputs:
    """A batch on the device: what the model takes, the targets, and the number of samples."""

    arguments: tuple[Tensor, ...]
    keywords: Mapping[str, Any]
    targets: Tensor | None
    size: int

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


class Engine:
    """Forward passes of mixes of checkpoints, over batches in parts that fit in memory.

    Args:
        model: the architecture; its own weights are neither used nor changed.
        checkpoints: name → state dict.
        mixes: task → every mix that will be run on it.
        batches: task → iterable of tensors, of ``(inputs, targets)`` pairs or of dicts of keyword
            inputs. Each iterable is read once.
        device: where to run; by default where the model's parameters are.
        max_memory: bytes that mixed weights and held features may take together. Mixes are held
            where they take at most half of it, and mixed again at each use where not; by default
            where they take at most half of the free memory.
        dtype: ``torch.bfloat16`` or ``torch.float16`` for passes under autocast.

    Raises:
        KeyError: an unknown task or checkpoint.
        ValueError: checkpoints that do not fit the model or are not finite; another dtype.
    """

    def __init__(
        self,
        model: nn.Module,
        checkpoints: Mapping[str, StateDict],
        mixes: Mapping[str | None, Iterable[MixKey]],
        batches: Mapping[str | None, Iterable[Batch]],
        device: torch.device | str | None = None,
        max_memory: float | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        distinct = {mix for asked in mixes.values() for mix in asked}
        used = {name for mix in distinct for name, _ in mix}
        if unknown := sorted(used - checkpoints.keys()):
            raise KeyError(f"no checkpoint named {unknown[0]!r}; there are {sorted(checkpoints)}")
        if unknown := [task for task in mixes if task not in batches]:
            raise KeyError(f"no batches for task {unknown[0]!r}; there are {list(batches)}")
        if dtype not in (None, *_HALF_TYPES):
            raise ValueError(f"dtype is {dtype}; choose torch.bfloat16, torch.float16 or None")
        chosen = {name: checkpoints[name] for name in sorted(used)}
        check_compatible(chosen, model.state_dict())
        check_finite(chosen)
        self._model, self._batches, self._dtype = model, batches, dtype
        self._device = torch.device(device) if device is not None else _device_of(model)
        self._weights = Weights(model, chosen, distinct, self._device, max_memory)
        self._most, self._told = math.inf, math.inf

    def __call__(self, mix: MixKey, *arguments: Any, **keywords: Any) -> Any:
        """The model's output with the weights of a mix."""
        half = self._dtype is not None
        with torch.autocast(self._device.type, self._dtype) if half else nullcontext():
            return functional_call(
                self._model, self._weights[mix], arguments, keywords, tie_weights=False
            )

    def over(self, task: str | None, work: Callable[[Inputs], Found]) -> Iterator[Found]:
        """What ``work`` makes of each batch of a task, in the order of the samples.

        A batch that runs out of memory is worked on again in halves, those in halves again, and
        later batches are split that far at once; a warning says so. ``work`` may therefore be
        called with samples that it has seen, but gives a result for each sample once.

        Raises:
            ValueError: a task without samples.
            RuntimeError: a single sample that runs out of memory.
        """
        samples = 0
        for batch in self._batches[task]:
            waiting = [_unpack(batch, self._device)]
            samples += waiting[0].size
            while waiting:
                part = waiting.pop()
                if part.size > self._most or not (found := self._try(work, part)):
                    waiting += reversed(part.halves())
                else:
                    self._tell()
                    yield found[0]
        if samples == 0:
            raise ValueError(
                f"{'the stream' if task is None else f'task {task!r}'} has no samples; "
                "an iterator that was read before is empty, so pass a list or a loader"
            )

    def check_room(self, held: Iterable[Pass]) -> None:
        """Act as if memory were out where these features take more than is left for them."""
        taken = sum(feature.nbytes for one in held for feature in one.features.values())
        if taken > self._weights.room:
            raise MemoryError(f"held features take {taken} bytes, more than max_memory allows")

    def _try(self, work: Callable[[Inputs], Found], part: Inputs) -> tuple[Found] | tuple[()]:
        """A part's result, or nothing where memory ran out.

        The error ends here, since it keeps the tensors of the failed attempt alive.
        """
        try:
            return (work(part),)
        except (RuntimeError, MemoryError) as error:
            if not _is_memory(error):
                raise
            if part.size < 2:
                raise RuntimeError(
                    f"one sample is too much for the memory ({error}); raise max_memory where you "
                    "set it, tap fewer layers, or use a larger machine"
                ) from error
            self._most = (part.size + 1) // 2
        return ()

    def _tell(self) -> None:
        if self._most < self._told:
            warnings.warn(
                f"memory ran out, so that batches are run in parts of at most {self._most} "
                "samples; pass smaller batches to spare the failed attempts",
                stacklevel=2,
            )
            self._told = self._most


def run(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    folds: Mapping[str | None, Fold],
    batches: Mapping[str | None, Iterable[Batch]],
    layers: Sequence[str] = (),
    device: torch.device | str | None = None,
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Run every distinct mix of each task's fold once over that task's batches.

    Args:
        folds: task → fold, filled in place.
        layers: names of the modules to tap.
        model, checkpoints, batches, device, max_memory, dtype: as for :class:`Engine`.

    Raises:
        KeyError: an unknown task, checkpoint or layer.
        ValueError: checkpoints that do not fit the model, or a task without samples.
    """
    mixes = {task: [mix for step in fold.steps for mix in step] for task, fold in folds.items()}
    engine = Engine(model, checkpoints, mixes, batches, device, max_memory, dtype)
    with evaluating(model), taps(model, layers) as seen:
        for task, fold in folds.items():
            for found in engine.over(task, partial(_steps, engine, fold, layers, seen)):
                fold.keep(found)


def _steps(
    engine: Engine, fold: Fold, layers: Sequence[str], seen: dict[str, Tensor], batch: Inputs
) -> list[Any]:
    """What a fold makes of one batch, step by step, each pass held until its last step."""
    last_use = {mix: step for step, mixes in enumerate(fold.steps) for mix in mixes}
    held: dict[MixKey, Pass] = {}
    found = []
    for step, mixes in enumerate(fold.steps):
        for mix in mixes:
            if mix in held:
                continue
            seen.clear()
            output = engine(mix, *batch.arguments, **batch.keywords)
            held[mix] = Pass(_checked(seen, layers, batch.size), output)
            engine.check_room(held.values())
        found.append(fold.reduce(step, batch.targets, held))
        held = {mix: kept for mix, kept in held.items() if last_use[mix] > step}
    return found


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out: on a GPU, or on a CPU, whose allocator raises a RuntimeError."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        word in str(error) for word in words
    )


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _unpack(batch: Batch, device: torch.device) -> Inputs:
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
        return Inputs((), moved, targets, size)
    if not isinstance(batch, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__}; pass a tensor, (inputs, targets) or a dict"
        )
    return Inputs((batch.to(device),), {}, targets, len(batch))


def _checked(seen: Mapping[str, Tensor], layers: Sequence[str], size: int) -> dict[str, Tensor]:
    """The tapped features of one pass, refused where a layer did not run once a sample."""
    for layer in layers:
        if layer not in seen:
            raise RuntimeError(
                f"layer {layer!r} did not run in the forward pass; choose layers that do"
            )
        if len(seen[layer]) != size:
            raise RuntimeError(
                f"layer {layer!r} gives {len(seen[layer])} rows for {size} samples: its first "
                "dimension is not the batch; tap a layer that keeps samples first"
            )
    return {layer: seen[layer] for layer in layers}
