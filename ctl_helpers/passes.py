"""The engine: each distinct (mix, task) runs once over the task's batches, and folds keep numbers.

Batches are the outer loop and mixes the inner one. Features therefore live for one batch at most,
until the last step that needs them, and memory does not grow with the number of samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.features import evaluating, taps
from ctl_helpers.mix import MixKey, StateDict, check_compatible, check_finite, combine

Batch = Any
Streams = Mapping[str, Iterable[Batch]] | Iterable[Batch]


@dataclass(frozen=True)
class Pass:
    """What one forward pass gives: layer → feature (samples, width), and the model's output."""

    features: Mapping[str, Tensor]
    output: Any


class Fold(Protocol):
    """Keeps a few numbers a sample of the passes over one task.

    ``steps`` are the groups of mixes whose passes are looked at together, in the order in which
    the engine should reach them; ``update`` sees each step of each batch once.
    """

    steps: Sequence[Sequence[MixKey]]

    def update(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> None:
        """Take in one step of one batch."""


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


def run(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    folds: Mapping[str | None, Fold],
    batches: Mapping[str | None, Iterable[Batch]],
    layers: Sequence[str] = (),
    device: torch.device | str | None = None,
) -> None:
    """Run every distinct mix of each task's fold once over that task's batches.

    Args:
        model: the architecture; its own weights are neither used nor changed.
        checkpoints: name → state dict.
        folds: task → fold, filled in place.
        batches: task → iterable of tensors, of ``(inputs, targets)`` pairs or of dicts of keyword
            inputs. Each iterable is read once.
        layers: names of the modules to tap.
        device: where to run; by default where the model's parameters are.

    Raises:
        KeyError: an unknown task, checkpoint or layer.
        ValueError: checkpoints that do not fit the model, or a task without samples.
    """
    device = torch.device(device) if device is not None else _device_of(model)
    used = {
        name for fold in folds.values() for step in fold.steps for mix in step for name, _ in mix
    }
    if unknown := sorted(used - checkpoints.keys()):
        raise KeyError(f"no checkpoint named {unknown[0]!r}; there are {sorted(checkpoints)}")
    if unknown := [task for task in folds if task not in batches]:
        raise KeyError(f"no batches for task {unknown[0]!r}; there are {list(batches)}")
    chosen = {name: checkpoints[name] for name in sorted(used)}
    check_compatible(chosen, model.state_dict())
    check_finite(chosen)
    weights = _Weights(model, chosen, folds, device)
    with evaluating(model), taps(model, layers) as seen:
        for task, fold in folds.items():
            last_use = {mix: step for step, mixes in enumerate(fold.steps) for mix in mixes}
            samples = 0
            for batch in batches[task]:
                arguments, keywords, targets, size = _unpack(batch, device)
                samples += size
                held: dict[MixKey, Pass] = {}
                for step, mixes in enumerate(fold.steps):
                    for mix in mixes:
                        if mix in held:
                            continue
                        seen.clear()
                        output = functional_call(
                            model, weights[mix], arguments, keywords, tie_weights=False
                        )
                        held[mix] = Pass(_checked(seen, layers, size), output)
                    fold.update(step, targets, held)
                    held = {mix: kept for mix, kept in held.items() if last_use[mix] > step}
            if samples == 0:
                raise ValueError(
                    f"{'the stream' if task is None else f'task {task!r}'} has no samples; "
                    "an iterator that was read before is empty, so pass a list or a loader"
                )


class _Weights:
    """Mix → weights on the device: all held where they fit, else mixed again at each use."""

    def __init__(
        self,
        model: nn.Module,
        checkpoints: Mapping[str, StateDict],
        folds: Mapping[str | None, Fold],
        device: torch.device,
    ) -> None:
        self._checkpoints = {
            name: {key: tensor.to(device) for key, tensor in state.items()}
            for name, state in checkpoints.items()
        }
        # Buffers outside the state dict (position ids, masks) come from the model itself.
        self._constant = {name: buffer.to(device) for name, buffer in model.named_buffers()}
        mixes = {mix for fold in folds.values() for step in fold.steps for mix in step}
        state = next(iter(self._checkpoints.values()))
        size = sum(tensor.nbytes for tensor in state.values())
        self._hold = size * len(mixes) < _free_memory(device) / 2
        self._held: dict[MixKey, Mapping[str, Tensor]] = {}

    def __getitem__(self, mix: MixKey) -> Mapping[str, Tensor]:
        if mix in self._held:
            return self._held[mix]
        (first, weight), *others = mix
        single = weight == 1 and not others
        state = self._checkpoints[first] if single else combine(self._checkpoints, dict(mix))
        state = {**self._constant, **state}
        if self._hold or single:
            self._held[mix] = state
        return state


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * 2**30


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _unpack(
    batch: Batch, device: torch.device
) -> tuple[tuple[Any, ...], dict[str, Any], Tensor | None, int]:
    """A batch as positional inputs, keyword inputs, targets and the number of samples."""
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
        return (), moved, targets, size
    if not isinstance(batch, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__}; pass a tensor, (inputs, targets) or a dict"
        )
    return (batch.to(device),), {}, targets, len(batch)


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
