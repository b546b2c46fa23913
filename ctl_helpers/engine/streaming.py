"""The engine's way with a network larger than the memory: stage by stage, all mixes side by side.

For one stage at a time the checkpoints' tensors are read, mixed, run for every mix and freed. What
is held is the activations of each mix for a portion of the batches, and the tensors of one stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.engine.batches import Batch, Inputs, Portion, Portions
from ctl_helpers.engine.folds import Fold, Pass, checked, last_uses
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import MixKey, StateDict, check_finite
from ctl_helpers.engine.mixed_weights import Mixer
from ctl_helpers.engine.stages import Stage, Staged, State

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
        device: where to run.
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
    ) -> None:
        self._model, self._bare, self._checkpoints = model, _Bare(model), checkpoints
        self._device, self._dtype = device, dtype
        self._constant = {name: buffer.to(device) for name, buffer in model.named_buffers()}
        known = described(next(iter(checkpoints.values())))
        self._keys = {stage.name: _keys(stage, known) for stage in model.stages()}
        if unread := sorted(known.keys() - {key for keys in self._keys.values() for key in keys}):
            raise ValueError(
                f"no stage of {type(model).__name__} reads {unread[0]!r}; give its prefix to the "
                "stage that does"
            )
        largest = max(sum(known[key].nbytes for key in keys) for keys in self._keys.values())
        budget = free_memory(device) / 2 if max_memory is None else max_memory
        # A stage of every checkpoint, and its mix; sums in float32 take more than half precision.
        self._room = budget - (len(checkpoints) + 4) * largest
        self._is_strict = max_memory is not None
        self._sound: set[str] = set()
        self._portions = Portions(device)

    def over(
        self,
        batches: Iterable[Batch],
        task: str | None,
        fold: Fold,
        layers: Sequence[str],
        seen: dict[str, Tensor],
    ) -> Iterator[list[list[Any]]]:
        """What a fold makes of each portion: for each batch in it, the numbers of each step.

        Args:
            batches: read once.
            task: whose they are, for errors.
            fold: not changed.
            layers: the tapped layers, which passes fill into ``seen``.
        """
        work = partial(self._work, fold, layers, seen)
        return self._portions.over(batches, task, work)

    def _work(
        self, fold: Fold, layers: Sequence[str], seen: dict[str, Tensor], portion: Portion
    ) -> list[list[Any]]:
        stages = _needed(self._model.stages(), fold, layers)
        # Outputs are large (logits): the last stage is run when a step of the fold looks at them.
        cut = len(stages) - 1 if fold.needs_output and len(stages) > 1 else len(stages)
        held = self._embedded(stages[0], list(last_uses(fold)), portion, seen)
        for stage in stages[1:cut]:
            self._check_room(held)
            mixer = self._mixer(stage)
            for mix in last_uses(fold):
                weights = mixer(mix)
                for number in range(len(portion.parts)):
                    one = mix, number
                    held[one] = self._advanced(stage, weights, held[one], seen)
        self._check_room(held)
        return self._reduced(fold, layers, seen, portion.parts, stages[cut:], held)

    def _embedded(
        self, stage: Stage, mixes: Sequence[MixKey], portion: Portion, seen: dict[str, Tensor]
    ) -> _Held:
        """The first stage of all mixes; while the first mix passes it, the portion grows."""
        mixer, begun, held = self._mixer(stage), [], {}
        weights = mixer(mixes[0])
        while not begun or _taken(held) * len(mixes) < _SHARE * self._room:
            if (part := portion.take()) is None:
                break
            begin = partial(self._model.begin, *part.arguments, **part.keywords)
            begun.append(_Activations(self._call({}, begin), {}))
            held[mixes[0], len(begun) - 1] = self._advanced(stage, weights, begun[-1], seen)
        for mix in mixes[1:]:
            weights = mixer(mix)
            for number, one in enumerate(begun):
                held[mix, number] = self._advanced(stage, weights, one, seen)
        return held

    def _reduced(
        self,
        fold: Fold,
        layers: Sequence[str],
        seen: dict[str, Tensor],
        parts: Sequence[Inputs],
        tail: Sequence[Stage],
        held: _Held,
    ) -> list[list[Any]]:
        """What a fold makes of each part, once its mixes have passed the last stages too."""
        last_use, found, ready = last_uses(fold), [[] for _ in parts], set()
        mixers = [(stage, self._mixer(stage)) for stage in tail]
        for step, mixes in enumerate(fold.steps):
            left = [
                (stage, {mix: mixer(mix) for mix in mixes if mix not in ready})
                for stage, mixer in mixers
            ]
            ready.update(mixes)
            for number, part in enumerate(parts):
                for stage, weights in left:
                    for mix, tensors in weights.items():
                        one = mix, number
                        held[one] = self._advanced(stage, tensors, held[one], seen)
                passes = {
                    mix: Pass(
                        checked(held[mix, number].features, layers, part.size),
                        held[mix, number].state.get("output"),
                    )
                    for mix in mixes
                }
                found[number].append(fold.reduce(step, part.targets, passes))
                for mix in mixes:
                    if last_use[mix] == step:
                        del held[mix, number]
        return found

    def _advanced(
        self,
        stage: Stage,
        weights: Mapping[str, Tensor],
        before: _Activations,
        seen: dict[str, Tensor],
    ) -> _Activations:
        seen.clear()
        state = self._call(weights, partial(stage.run, before.state))
        return _Activations(state, {**before.features, **seen})

    def _call(self, weights: Mapping[str, Tensor], work: Callable[[], State]) -> State:
        given = {f"model.{name}": t for name, t in {**self._constant, **weights}.items()}
        half = self._dtype is not None
        with torch.autocast(self._device.type, self._dtype) if half else nullcontext():
            return functional_call(self._bare, given, (work,), tie_weights=False)

    def _mixer(self, stage: Stage) -> Mixer:
        """A stage's tensors of all checkpoints, read, checked and put on the device."""
        read = {
            name: {key: state[key].to(self._device) for key in self._keys[stage.name]}
            for name, state in self._checkpoints.items()
        }
        if stage.name not in self._sound:
            check_finite(read)
            self._sound.add(stage.name)
        return Mixer(read, self._device)

    def _check_room(self, held: _Held) -> None:
        """Act as if memory were out where activations take more than the caller allows."""
        if self._is_strict and (taken := _taken(held)) > self._room:
            raise MemoryError(f"activations take {taken} bytes, more than max_memory allows")


@dataclass(frozen=True)
class _Activations:
    """What is held of one mix and one batch between two stages."""

    state: State
    features: Mapping[str, Tensor]


_Held = dict[tuple[MixKey, int], _Activations]


class _Bare(nn.Module):
    """Runs a part of a model under weights given to a functional call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], State]) -> State:
        return work()


def _needed(stages: Sequence[Stage], fold: Fold, layers: Sequence[str]) -> Sequence[Stage]:
    """The stages up to the last that matters: after its last layer a network need not go on."""
    passed = {stage.layer: number for number, stage in enumerate(stages)}
    if fold.needs_output or not passed.keys() >= set(layers):
        return stages
    return stages[: max(passed[layer] for layer in layers) + 1]


def _keys(stage: Stage, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(stage.prefixes)]


def _taken(held: _Held) -> int:
    """Bytes of all activations, what several share counted once."""
    storages = {}
    for one in held.values():
        for tensor in (*one.state.values(), *one.features.values()):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
