"""The weights themselves, tensor by tensor, under BASE's names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ctl_helpers.engine.checkpoints import CheckpointWarning
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.probing.aligning import aligned
from ctl_helpers.probing.places import Place, shards_of
from ctl_helpers.probing.sources import Source, state_of
from ctl_helpers.weights.lazy import lazy_shards
from ctl_helpers.weights.read import read


def states(
    places: Sequence[Place], sources: Sequence[Source], shared: Sequence[str]
) -> tuple[StateDict, dict[str, StateDict]]:
    """BASE's state dict; and name → what all checkpoints share, under BASE's names.

    Tensors are read when they are asked for.

    Args:
        places: the checkpoints on this machine, BASE first.
        sources: the same as they were given.
        shared: BASE's names of what all have.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)  # tier 0 has said it
        base = _opened(places[0], sources[0], None)
        others = [
            _opened(place, source, base)
            for place, source in zip(places[1:], sources[1:], strict=True)
        ]
    return _under(base, shared), {
        place.name: _named(state, shared)
        for place, state in zip(places, (base, *others), strict=True)
    }


def _opened(place: Place, source: Source, base: StateDict | None) -> StateDict:
    """A checkpoint's state dict; an adapter's is put on BASE."""
    state = state_of(source)
    if state is not None:
        return read(state)
    assert place.weights is not None, "tier 0 stops what has no weights"
    shards = shards_of(place.weights)
    return lazy_shards([read(shard, base=base) for shard in shards])


def _named(state: StateDict, shared: Sequence[str]) -> LazyState:
    """What is shared, under BASE's names."""
    own = aligned(state, shared)
    meta = described(state)
    return LazyState({name: meta[own[name]] for name in shared}, lambda name: state[own[name]])


def _under(base: StateDict, shared: Sequence[str]) -> LazyState:
    """All of BASE, under its files' own names."""
    own = aligned(base, shared)
    meta = described(base)
    return LazyState({name: meta[theirs] for name, theirs in own.items()}, lambda n: base[own[n]])


def floats(state: StateDict) -> list[str]:
    """The names of the tensors whose numbers are floats."""
    return [name for name, tensor in described(state).items() if tensor.is_floating_point()]


def in_float32(state: StateDict) -> StateDict:
    """The same weights for passes on a CPU, whose half precision is slow and coarse."""
    meta = {name: _wide(tensor) for name, tensor in described(state).items()}
    return LazyState(meta, lambda name: _wide(state[name]))


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def filled(state: StateDict, whole: Mapping[str, Tensor]) -> StateDict:
    """A state dict with BASE's tensors where it has none itself."""
    meta = {**described(whole), **described(state)}
    return LazyState(meta, lambda name: state[name] if name in state else whole[name])
