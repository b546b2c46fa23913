"""The engine: each distinct (mix, task) runs once over the task's batches, and folds keep numbers.

Batches are the outer loop and mixes the inner one. Features therefore live for one batch at most,
until the last step that needs them, and memory does not grow with the number of samples. A network
larger than the memory goes the way of :mod:`ctl_helpers.engine.streaming`, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.engine.batches import ByTask, Inputs, Portions, Result, Task
from ctl_helpers.engine.folds import Fold, Pass, checked, last_uses
from ctl_helpers.engine.hooks import evaluating, taps
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import MixKey, StateDict, check_compatible, check_finite
from ctl_helpers.engine.mixed_weights import Weights, is_single, sums_to_one
from ctl_helpers.engine.stages import Staged
from ctl_helpers.engine.streaming import Streaming

_HALF_TYPES = (torch.bfloat16, torch.float16)


class Engine:
    """Forward passes of mixes of checkpoints that are in memory, over batches in parts that fit.

    Args:
        model, checkpoints, max_memory, dtype: as for :func:`~ctl_helpers.compare`; a checkpoint
            that reads its tensors when asked is read whole.
        mixes: task → every mix that will be run on it.
        batches: task → batches, which are read once.
        device: as for :func:`device_for`.

    Raises:
        KeyError: an unknown task or checkpoint.
        ValueError: checkpoints that do not fit the model or are not finite; another dtype.
    """

    def __init__(
        self,
        model: nn.Module,
        checkpoints: Mapping[str, StateDict],
        mixes: Mapping[Task, Iterable[MixKey]],
        batches: ByTask,
        device: torch.device | str | None = None,
        max_memory: float | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        used = _used(model, checkpoints, mixes, batches, dtype)
        states = {name: dict(state) for name, state in used.items()}
        check_finite(states)
        self._model, self._batches, self._dtype = model, batches, dtype
        self._device = device_for(model, device)
        self._weights = Weights(model, states, _distinct(mixes), self._device, max_memory)
        self._portions = Portions(self._device)

    def __call__(self, mix: MixKey, *arguments: Any, **keywords: Any) -> Any:
        """The model's output with the weights of a mix."""
        half = self._dtype is not None
        with torch.autocast(self._device.type, self._dtype) if half else nullcontext():
            return functional_call(
                self._model, self._weights[mix], arguments, keywords, tie_weights=False
            )

    def on(self, batch: Inputs, is_tapped: bool) -> Callable[[MixKey], Any]:
        """Mix → the model's output on a batch.

        A model that is linear in its weights gives for a mix the mix of what it gives for the
        checkpoints, so that only these run, but where features are looked at.
        """

        @cache
        def end(name: str) -> Tensor:
            return self(((name, 1.0),), *batch.arguments, **batch.keywords)

        def output(mix: MixKey) -> Any:
            if is_tapped or not isinstance(self._model, Linearized) or not sums_to_one(mix):
                return self(mix, *batch.arguments, **batch.keywords)
            return sum(weight * end(name) for name, weight in mix)

        return output

    def over(self, task: Task, work: Callable[[Inputs], Result]) -> Iterator[Result]:
        """What ``work`` makes of each batch of a task, in the order of the samples.

        A batch that runs out of memory is worked on again in parts, as
        :class:`~ctl_helpers.engine.batches.Portions` does.
        """
        return self._portions.over(self._batches[task], task, lambda portion: work(next(portion)))

    def check_room(self, passes: Iterable[Pass]) -> None:
        """Act as if memory were out where these features take more than is left for them."""
        taken = sum(feature.nbytes for done in passes for feature in done.features.values())
        if taken > self._weights.room:
            raise MemoryError(f"held features take {taken} bytes, more than max_memory allows")


def run(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    folds: Mapping[Task, Fold],
    batches: ByTask,
    layers: Sequence[str] = (),
    device: torch.device | str | None = None,
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
) -> None:
    """Run every distinct mix of each task's fold once over that task's batches.

    Args:
        model, checkpoints, batches, device, max_memory, dtype: as for :class:`Engine`.
        folds: task → fold, filled in place.
        layers: names of the modules to tap.
        stream: whether to read, mix and run the weights stage by stage; by default where the
            network has stages, and checkpoints that are not yet on the device and a mix take more
            than ``max_memory``, or than the free memory.

    Raises:
        KeyError, ValueError: as :class:`Engine`; an unknown layer; a task without samples;
            ``stream`` for a network without stages.
    """
    mixes = {task: [mix for step in fold.steps for mix in step] for task, fold in folds.items()}
    used = _used(model, checkpoints, mixes, batches, dtype)
    device = device_for(model, device)
    staged = _to_stream(model, used, _distinct(mixes), device, max_memory, stream)
    with evaluating(model), taps(model, layers) as seen:
        if staged is None:
            engine = Engine(model, used, mixes, batches, device, max_memory, dtype)
            for task, fold in folds.items():
                for results in engine.over(task, partial(_steps, engine, fold, layers, seen)):
                    fold.keep(results)
        else:
            streaming = Streaming(staged, used, device, max_memory, dtype)
            for task, fold in folds.items():
                for portion in streaming.over(batches[task], task, fold, layers, seen):
                    for results in portion:
                        fold.keep(results)


def _steps(
    engine: Engine, fold: Fold, layers: Sequence[str], seen: dict[str, Tensor], batch: Inputs
) -> list[Any]:
    """What a fold makes of one batch, step by step, each pass held until its last step."""
    last_use, output_of = last_uses(fold), engine.on(batch, bool(layers))
    passes: dict[MixKey, Pass] = {}
    results = []
    for step, mixes in enumerate(fold.steps):
        for mix in mixes:
            if mix in passes:
                continue
            seen.clear()
            output = output_of(mix)
            features = checked(seen, layers, batch.size)
            passes[mix] = Pass(features, output if fold.needs_output else None)
            engine.check_room(passes.values())
        results.append(fold.reduce(step, batch.targets, passes))
        passes = {mix: done for mix, done in passes.items() if last_use[mix] > step}
    return results


def _distinct(mixes: Mapping[Task, Iterable[MixKey]]) -> set[MixKey]:
    return {mix for on_task in mixes.values() for mix in on_task}


def _used(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mixes: Mapping[Task, Iterable[MixKey]],
    batches: ByTask,
    dtype: torch.dtype | None,
) -> dict[str, StateDict]:
    """The checkpoints that the mixes name, once everything that is wanted is there."""
    names = {name for mix in _distinct(mixes) for name, _ in mix}
    if unknown := sorted(names - checkpoints.keys()):
        raise KeyError(f"no checkpoint named {unknown[0]!r}; there are {sorted(checkpoints)}")
    if without := [task for task in mixes if task not in batches]:
        raise KeyError(f"no batches for task {without[0]!r}; there are {list(batches)}")
    if dtype not in (None, *_HALF_TYPES):
        raise ValueError(f"dtype is {dtype}; choose torch.bfloat16, torch.float16 or None")
    used = {name: checkpoints[name] for name in sorted(names)}
    check_compatible(used, model.state_dict())
    return used


def _to_stream(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mixes: Iterable[MixKey],
    device: torch.device,
    max_memory: float | None,
    stream: bool | None,
) -> Staged | None:
    """The model if its weights are to be streamed."""
    if not isinstance(model, Staged):
        if stream:
            raise ValueError(
                f"{type(model).__name__} has no stages, so its weights cannot be streamed; leave "
                "stream out, or make it a ctl_helpers.engine.stages.Staged as models.t5 does"
            )
        return None
    if stream is None:
        states = [described(state) for state in checkpoints.values()]
        needed = sum(
            t.nbytes for state in states for t in state.values() if t.device.type != device.type
        )
        if not all(map(is_single, mixes)):
            needed += sum(t.nbytes for t in states[0].values())
        stream = needed > (free_memory(device) if max_memory is None else max_memory)
    return model if stream else None


def device_for(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """Where to run: by default where the model's parameters are.

    For the meta device that is a GPU if there is one.
    """
    if device is not None:
        return torch.device(device)
    parameter = next(model.parameters(), None)
    if parameter is not None and parameter.device.type != "meta":
        return parameter.device
    return torch.device("cuda" if parameter is not None and torch.cuda.is_available() else "cpu")
