"""The engine: each distinct (mix, task) runs once over the task's batches, and folds keep numbers.

Batches are the outer loop and mixes the inner one. Features therefore live for one batch at most,
until the last step that needs them, and memory does not grow with the number of samples. A network
larger than the memory goes the way of :mod:`ctl_helpers.engine.streaming`, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import ByTask, Portion, Portions, Result, Task, check_tasks
from ctl_helpers.engine.checkpoints import Checkpoint, fitted
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.folds import Fold, Pass, last_uses
from ctl_helpers.engine.hooks import tapped
from ctl_helpers.engine.input_types import InputTypes, naming_types
from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import MixKey, StateDict, check_finite
from ctl_helpers.engine.mixed_weights import Weights, is_single, sums_to_one
from ctl_helpers.engine.network import Network
from ctl_helpers.engine.pooling import Pooling, Poolings, pooling_of
from ctl_helpers.engine.precision import weights_type
from ctl_helpers.engine.progress import Tick, number_of_passes, progress_bar
from ctl_helpers.engine.reading import Reader
from ctl_helpers.engine.stages import Staged
from ctl_helpers.engine.streaming import Streaming
from ctl_helpers.engine.ties import first_names, read_once
from ctl_helpers.engine.trial import Trial

_Kind = tuple[str, torch.dtype, int]  # of an entry of a batch: name, type and dimensions
_HALF_TYPES = (torch.bfloat16, torch.float16)


class Engine:
    """Forward passes of mixes of checkpoints that are in memory, over batches in parts that fit.

    Args:
        model, checkpoints, max_memory, dtype: as for :func:`~ctl_helpers.compare`; a checkpoint
            that reads its tensors when asked is read whole.
        mixes: task → every mix that will be run on it.
        batches: task → batches, which are read once.
        device: as for :func:`device_for`.
        pooling: layer → how its feature is made, for the layers to tap.

    Raises:
        KeyError: an unknown task, checkpoint or layer.
        ValueError: checkpoints that do not fit the model or are not finite; another dtype.
    """

    def __init__(
        self,
        model: nn.Module,
        checkpoints: Mapping[str, Checkpoint],
        mixes: Mapping[Task, Iterable[MixKey]],
        batches: ByTask,
        device: torch.device | str | None = None,
        max_memory: float | None = None,
        dtype: torch.dtype | None = None,
        pooling: Mapping[str, Pooling] | None = None,
    ) -> None:
        used = _used(model, checkpoints, mixes, batches, dtype)
        first = first_names(model)
        states = {name: read_once(state, first) for name, state in used.items()}
        check_finite(states, {name for name, _ in model.named_buffers()})
        self._layers, self._batches = tuple(pooling or ()), batches
        self._device = device_for(model, device)
        self._is_linear = isinstance(model, Linearized)
        self._network = Network(model, self._device, dtype)
        self._reader = Reader(pooling or {})
        # On a copy of the model, with which these hooks end.
        self._hooks = ExitStack()
        taps = tapped(self._network.model, self._layers, self._reader.read)
        self._seen = self._hooks.enter_context(taps)
        if self._layers:
            self._hooks.enter_context(self._reader.watching_padding(self._network.model))
        self._weights = weights = Weights(states, _distinct(mixes), self._device, max_memory)
        # The last one runs after others, so that it shows what they leave behind.
        *_, last = (mix for on_task in mixes.values() for mix in on_task)
        self._trial = Trial(self._network, lambda: weights[last], self._layers)
        self._tried: dict[_Kind, tuple[int, ...]] = {}
        self._portions = Portions(self._device, self._trial.check_split)
        self._type = weights_type(states.values(), model)
        self._as_taken = InputTypes(self._type, self._trial.attempt)

    @property
    def model(self) -> nn.Module:
        """The copy of the model that runs."""
        return self._network.model

    def forward(self, mix: MixKey, batch: Inputs, *arguments: Any, **options: Any) -> Any:
        """The model's output on a batch with the weights of a mix.

        ``arguments`` as for :meth:`~ctl_helpers.engine.network.Network.forward`.
        """
        return self._network.forward(self._weights[mix], batch, *arguments, **options)

    def passes(self, batch: Inputs) -> Callable[[MixKey], Pass]:
        """Mix → its pass on a batch.

        A model that is linear in its weights gives for a mix the mix of what it gives for the
        checkpoints, so that only these run, but where features are looked at.
        """

        @cache
        def end(name: str) -> Tensor:
            return self.forward(((name, 1.0),), batch)

        def one(mix: MixKey) -> Pass:
            if self._layers or not self._is_linear or not sums_to_one(mix):
                output = self.forward(mix, batch)
                features = self._reader.features(self._seen, batch)
                return Pass(self._reader.complete(features), output)
            return Pass({}, sum(weight * end(name) for name, weight in mix))

        return one

    def over(self, task: Task, work: Callable[[Inputs], Result]) -> Iterator[Result]:
        """What ``work`` makes of each batch of a task, in the order of the samples.

        A batch that runs out of memory is worked on again in parts, as
        :class:`~ctl_helpers.engine.batches.Portions` does.
        """

        def tried(portion: Portion) -> Result:
            with self.trying(self._as_taken(next(portion))) as batch:
                portion.parts[-1] = batch
                return work(batch)

        return self._portions.over(self._batches[task], task, tried)

    @contextmanager
    def trying(self, batch: Inputs) -> Iterator[Inputs]:
        """While open, passes on a batch, whose samples are counted.

        Around those on the first batch, and on each that has another entry or a longer one than
        those tried before, a trial makes sure that passes depend on weights and batch alone
        (RuntimeError where they do not).
        """
        with naming_types((batch.arguments, batch.keywords), self._type):
            longest = self._longest(batch)
            if longest == self._tried:
                batch = self._trial.counted(batch)
                with self._network.drawing_as_known():
                    yield batch
            else:
                batch = self._trial.begin(batch)
                if not self._tried:
                    self._reader.seen = self._trial.seen()
                    self._portions.counted = batch.by_sample
                yield batch
                self._trial.end()
                self._tried = longest
        self._network.next_batch()

    def _longest(self, batch: Inputs) -> dict[_Kind, tuple[int, ...]]:
        """Kind of entry → its longest sides but the first, once this batch has been tried, too."""
        found = dict(self._tried)
        for path, tensor in batch.tensors().items():
            kind, sides = (path, tensor.dtype, tensor.dim()), tuple(tensor.shape[1:])
            tried = found.get(kind)
            if tried is None or any(a > 1.25 * b for a, b in zip(sides, tried, strict=True)):
                found[kind] = sides if tried is None else tuple(map(max, sides, tried))
        return found

    def check_room(self, passes: Iterable[Pass]) -> None:
        """Act as if memory were out where these features take more than is left for them."""
        taken = sum(feature.nbytes for done in passes for feature in done.features.values())
        if taken > self._weights.room:
            raise MemoryError(f"held features take {taken} bytes, more than max_memory allows")


def run(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    folds: Mapping[Task, Fold],
    batches: ByTask,
    layers: Sequence[str] = (),
    device: torch.device | str | None = None,
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
    pooling: Poolings = None,
    progress: bool | None = False,
) -> None:
    """Run every distinct mix of each task's fold once over that task's batches.

    Args:
        model, checkpoints, batches, device, max_memory, dtype: as for :class:`Engine`.
        folds: task → fold, filled in place.
        layers: names of the modules to tap.
        stream: whether to read, mix and run the weights stage by stage; by default where the
            network has stages, and checkpoints that are not yet on the device and a mix take more
            than ``max_memory``, or than the free memory.
        pooling: as for :func:`~ctl_helpers.compare`.
        progress: whether a bar shows how far it is; on a terminal, and if it takes a while, for
            None.

    Raises:
        KeyError, ValueError: as :class:`Engine`; an unknown layer; a task without samples;
            ``stream`` for a network without stages.
    """
    mixes = {task: [mix for step in fold.steps for mix in step] for task, fold in folds.items()}
    used, ways = _used(model, checkpoints, mixes, batches, dtype), pooling_of(layers, pooling)
    device = device_for(model, device)
    staged = _to_stream(model, used, _distinct(mixes), device, max_memory, stream)
    total = number_of_passes(folds, batches)
    if staged is None:
        engine = Engine(model, used, mixes, batches, device, max_memory, dtype, ways)
        with progress_bar(total, "passes", progress) as tick:
            for task, fold in folds.items():
                for results in engine.over(task, partial(_steps, engine, fold, tick)):
                    fold.keep(results)
    else:
        streaming = Streaming(staged, used, device, max_memory, dtype, ways)
        stages = len(streaming.stages(next(iter(folds.values()))))
        total = None if total is None else total * stages
        with progress_bar(total, "stages", progress) as tick:
            for task, fold in folds.items():
                for portion in streaming.over(batches[task], task, fold, tick):
                    for results in portion:
                        fold.keep(results)


def _steps(engine: Engine, fold: Fold, tick: Tick, batch: Inputs) -> list[Any]:
    """What a fold makes of one batch, step by step, each pass held until its last step."""
    last_use, pass_of = last_uses(fold), engine.passes(batch)
    passes: dict[MixKey, Pass] = {}
    results = []
    for step, mixes in enumerate(fold.steps):
        for mix in mixes:
            if mix in passes:
                continue
            done = pass_of(mix)
            tick()
            passes[mix] = done if fold.needs_output else Pass(done.features, None)
            engine.check_room(passes.values())
        results.append(fold.reduce(step, batch.targets, passes))
        passes = {mix: done for mix, done in passes.items() if last_use[mix] > step}
    return results


def _distinct(mixes: Mapping[Task, Iterable[MixKey]]) -> set[MixKey]:
    return {mix for on_task in mixes.values() for mix in on_task}


def _used(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    mixes: Mapping[Task, Iterable[MixKey]],
    batches: ByTask,
    dtype: torch.dtype | None,
) -> dict[str, StateDict]:
    """The checkpoints that the mixes name, once everything that is wanted is there."""
    names = {name for mix in _distinct(mixes) for name, _ in mix}
    check_tasks(mixes, batches)
    if dtype not in (None, *_HALF_TYPES):
        raise ValueError(f"dtype is {dtype}; choose torch.bfloat16, torch.float16 or None")
    return fitted(model, checkpoints, sorted(names))


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
