"""The engine's way with a network larger than the memory: stage by stage, all mixes side by side.

For one stage at a time the checkpoints' tensors are read, mixed, run for every mix and freed. What
is held is the activations of each mix for a portion of the batches, and the tensors of one stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ctl_helpers.engine.batches import Portion, Portions, Task
from ctl_helpers.engine.folds import Fold, Pass, last_uses
from ctl_helpers.engine.hooks import tapped
from ctl_helpers.engine.inputs import Batch, Inputs
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import MixKey, StateDict, check_finite
from ctl_helpers.engine.mixed_weights import Mixer
from ctl_helpers.engine.network import Network, unchanged
from ctl_helpers.engine.pooling import Pooling
from ctl_helpers.engine.progress import Tick
from ctl_helpers.engine.reading import Reader
from ctl_helpers.engine.stage_trial import StageTrial
from ctl_helpers.engine.stages import Stage, Staged, State
from ctl_helpers.engine.trial import not_to_split

# A portion grows until its embeddings, of all mixes, take this share of the room: the features and
# a decoder's states, which come later, take the rest.
_SHARE = 1 / 4


class Streaming:
    """Passes of mixes whose weights are read, mixed and freed stage by stage.

    The batches of a portion run one by one, with the weights that the in-memory way would mix:
    both ways give the same numbers. Each tensor of a checkpoint is read once a portion and stage.

    Args:
        model: the architecture, on any device, the meta device too.
        checkpoints: name → state dict, in memory or read when asked for, known to fit the model.
        max_memory: bytes for weights and activations together; by default half of what is free.
        dtype: for passes under autocast.

    Raises:
        ValueError: (here) a weight that no stage reads; (in a pass) one that is not finite.
    """

    def __init__(
        self,
        model: Staged,
        checkpoints: Mapping[str, StateDict],
        device: torch.device,
        max_memory: float | None = None,
        dtype: torch.dtype | None = None,
        pooling: Mapping[str, Pooling] | None = None,
    ) -> None:
        self._checkpoints, self._device = checkpoints, device
        self._network = Network(model, device, dtype)
        self._layers, self._reader = tuple(pooling or ()), Reader(pooling or {})
        # On a copy of the model, with which these hooks end.
        self._hooks = ExitStack()
        taps = tapped(self._network.model, self._layers, self._reader.read)
        self._seen = self._hooks.enter_context(taps)
        shapes = described(next(iter(checkpoints.values())))
        self._keys = {
            stage.name: [key for key in shapes if key.startswith(stage.prefixes)]
            for stage in model.stages()
        }
        if unread := sorted(shapes.keys() - {key for keys in self._keys.values() for key in keys}):
            raise ValueError(
                f"no stage of {type(model).__name__} reads {unread[0]!r}; give its prefix to the "
                "stage that does"
            )
        largest = max(sum(shapes[key].nbytes for key in keys) for keys in self._keys.values())
        budget = free_memory(device) / 2 if max_memory is None else max_memory
        # A stage of every checkpoint, and its mix; sums in float32 take more than half precision.
        self._room = budget - (len(checkpoints) + 4) * largest
        self._is_strict = max_memory is not None
        self._buffers = {name for name, _ in model.named_buffers()}
        self._finite: set[str] = set()  # stages whose tensors were looked through
        self._portions = Portions(device, self._check_split)
        self._trial: StageTrial
        self._is_tried = False

    def over(
        self,
        batches: Iterable[Batch],
        task: Task,
        fold: Fold,
        tick: Tick,
    ) -> Iterator[list[list[Any]]]:
        """What a fold makes of each portion: for each batch in it, the numbers of each step.

        ``tick`` is called after each stage of each mix and batch.
        """
        self._tick = tick
        return self._portions.over(batches, task, partial(self._work, fold))

    def stages(self, fold: Fold) -> Sequence[Stage]:
        """The stages that a fold needs."""
        return _needed(self._model.stages(), fold, self._layers)

    def _work(self, fold: Fold, portion: Portion) -> list[list[Any]]:
        stages = self.stages(fold)
        # Outputs are large (logits): the last stage is run when a step of the fold looks at them.
        cut = len(stages) - 1 if fold.needs_output and len(stages) > 1 else len(stages)
        starts: list[_Activations] = []
        states = self._embedded(stages[0], list(last_uses(fold)), portion, starts)
        shared = {
            f"{number}.{name}": tensor
            for number, start in enumerate(starts)
            for name, tensor in start.state.items()
        }
        with unchanged(shared, (), lambda name: f"{name.partition('.')[2]!r} of the first state"):
            for stage in stages[1:cut]:
                self._check_room(states)
                mixer, mixes = self._mixer(stage), list(last_uses(fold))
                if not self._is_tried:
                    self._trial.before(stage, mixer(mixes[-1]))
                for mix in mixes:
                    weights = mixer(mix)
                    for number, part in enumerate(portion.parts):
                        place = mix, number
                        states[place] = self._advanced(stage, weights, states[place], part)
                self._try_again(stage, weights)
            self._check_room(states)
            results = self._reduced(fold, portion.parts, stages[cut:], states)
            self._is_tried = True
            return results

    def _embedded(
        self,
        stage: Stage,
        mixes: Sequence[MixKey],
        portion: Portion,
        starts: list[_Activations],
    ) -> _States:
        """The first stage of all mixes; while the first mix passes it, the portion grows."""
        mixer, states = self._mixer(stage), _States()
        weights = mixer(mixes[0])
        for part in portion:
            if not self._is_tried and not starts:
                self._trial = StageTrial(self._network, part)
                self._trial.before(stage, mixer(mixes[-1]))
            given = self._network.given(part)
            with self._network.lending(given):
                begin = partial(self._model.begin, *given.arguments, **given.keywords)
                starts.append(_Activations(self._call({}, begin), {}))
            states[mixes[0], len(starts) - 1] = self._advanced(stage, weights, starts[-1], part)
            if _size(states) * len(mixes) >= _SHARE * self._room:
                break
        for mix in mixes[1:]:
            weights = mixer(mix)
            for number, (start, part) in enumerate(zip(starts, portion.parts, strict=True)):
                states[mix, number] = self._advanced(stage, weights, start, part)
        self._try_again(stage, weights)
        return states

    def _reduced(
        self,
        fold: Fold,
        parts: Sequence[Inputs],
        tail: Sequence[Stage],
        states: _States,
    ) -> list[list[Any]]:
        """What a fold makes of each part, once its mixes have passed the last stages too."""
        last_use = last_uses(fold)
        results: list[list[Any]] = [[] for _ in parts]
        finished: set[MixKey] = set()
        mixers = [(stage, self._mixer(stage)) for stage in tail]
        last = list(last_use)[-1]
        for stage, mixer in () if self._is_tried else mixers:
            self._trial.before(stage, mixer(last))
        for step, mixes in enumerate(fold.steps):
            left = [
                (stage, {mix: mixer(mix) for mix in mixes if mix not in finished})
                for stage, mixer in mixers
            ]
            finished.update(mixes)
            for number, part in enumerate(parts):
                for stage, weights in left:
                    for mix, tensors in weights.items():
                        place = mix, number
                        states[place] = self._advanced(stage, tensors, states[place], part)
                passes = {
                    mix: Pass(
                        self._reader.complete(states[mix, number].features),
                        states[mix, number].state.get("output"),
                    )
                    for mix in mixes
                }
                results[number].append(fold.reduce(step, part.targets, passes))
                for mix in mixes:
                    if last_use[mix] == step:
                        del states[mix, number]
        for stage, mixer in () if self._is_tried else mixers:
            self._try_again(stage, mixer(last))
        return results

    def _try_again(self, stage: Stage, weights: Mapping[str, Tensor]) -> None:
        """On the first portion, the end of the trial of a stage."""
        if not self._is_tried:
            self._seen.clear()
            self._trial.after(stage, weights)

    @property
    def _model(self) -> Staged:
        return cast(Staged, self._network.model)

    def _advanced(
        self, stage: Stage, weights: Mapping[str, Tensor], before: _Activations, batch: Inputs
    ) -> _Activations:
        self._seen.clear()
        state = self._call(weights, partial(stage.run, before.state))
        self._tick()
        features = self._reader.features(self._seen, batch)
        return _Activations(state, {**before.features, **features})

    def _call(self, weights: Mapping[str, Tensor], work: Callable[[], State]) -> State:
        return self._network.run(weights, lambda _: work())

    def _check_split(self, batch: Inputs) -> None:
        """Refuse to split a batch whose samples are normalized together (RuntimeError)."""
        for name, module in self._model.named_modules():
            if isinstance(module, _BatchNorm) and module.running_mean is None:
                raise RuntimeError(not_to_split(f"module {name!r} ({type(module).__name__})"))

    def _mixer(self, stage: Stage) -> Mixer:
        """A stage's tensors of all checkpoints, read, checked and put on the device."""
        read = {
            name: {key: state[key].to(self._device) for key in self._keys[stage.name]}
            for name, state in self._checkpoints.items()
        }
        if stage.name not in self._finite:
            check_finite(read, self._buffers)
            self._finite.add(stage.name)
        return Mixer(read, self._device)

    def _check_room(self, states: _States) -> None:
        """Act as if memory were out where activations take more than the caller allows."""
        if self._is_strict and (size := _size(states)) > self._room:
            raise MemoryError(f"activations take {size} bytes, more than max_memory allows")


@dataclass(frozen=True)
class _Activations:
    """What there is of one mix and one batch between two stages."""

    state: State
    features: Mapping[str, Tensor]


_States = dict[tuple[MixKey, int], _Activations]  # by mix and number of the part


def _needed(stages: Sequence[Stage], fold: Fold, layers: Sequence[str]) -> Sequence[Stage]:
    """The stages up to the last that matters: after its last layer a network need not go on."""
    places = {stage.layer: number for number, stage in enumerate(stages)}
    if fold.needs_output or not places.keys() >= set(layers):
        return stages
    return stages[: max(places[layer] for layer in layers) + 1]


def _size(states: _States) -> int:
    """Bytes of all activations, what several share counted once."""
    storages = {}
    for activations in states.values():
        for tensor in (*activations.state.values(), *activations.features.values()):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
