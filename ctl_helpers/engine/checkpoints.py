"""Checkpoints of every kind as state dicts, those of a run under its network's names."""

from __future__ import annotations

import os
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from torch import Tensor, nn

from ctl_helpers.engine.arguments import check_mapping, unknown_checkpoint
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.precision import in_one_type
from ctl_helpers.engine.tensor_kinds import (
    check_initialized,
    check_kinds,
    filling,
    is_extra_state,
    is_filled,
    same,
)
from ctl_helpers.engine.ties import check_tied, first_names

StateDict = Mapping[str, Tensor]
Checkpoint = Mapping[str, Any] | nn.Module | str | os.PathLike[str]
"""A state dict, or what :func:`ctl_helpers.read` makes one of."""

# By name, as a plug-in: readers stand above the engine and need more than torch, and a run on
# state dicts does without them.
_READER = "ctl_helpers.weights.read:read"


class CheckpointWarning(UserWarning):
    """What was done to a checkpoint so that it fits: a prefix taken off, an entry left out."""


def note(text: str) -> None:
    """Tell what was done to a checkpoint; Python shows a text once."""
    warnings.warn(text, CheckpointWarning, stacklevel=2)


def opened(checkpoints: Mapping[str, Checkpoint], names: Iterable[str]) -> dict[str, StateDict]:
    """The checkpoints of some names as state dicts, as they are where they are ones.

    Raises:
        KeyError: an unknown name.
        TypeError, ValueError, RuntimeError: as :func:`ctl_helpers.read`, with the checkpoint.
    """
    return {
        name: source if is_state_dict(source) else _read(name, source)
        for name, source in _named(checkpoints, names).items()
    }


class _Fitted(dict[str, StateDict]):
    """Checkpoints that are known to fit a network, and need not be looked through again."""

    def __init__(self, model: nn.Module, states: Mapping[str, StateDict]) -> None:
        super().__init__(states)
        self.model = model


def fitted(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    names: Iterable[str],
    ignore: Sequence[str] = (),
) -> dict[str, StateDict]:
    """The checkpoints of some names as state dicts of a network, in one floating type.

    Each has all of the network's names, tied ones with equal values, and no extra state. Lazy
    ones stay lazy.

    Args:
        model: the architecture.
        checkpoints: name → checkpoint.
        names: those that are needed.
        ignore: globs of tensors that the checkpoints do without: those of the model stand there.

    Raises:
        KeyError: an unknown name.
        TypeError: no mapping of names to checkpoints.
        ValueError: a checkpoint that does not fit, or with a tensor that cannot be mixed; a glob
            that nothing matches.
    """
    sources = _named(checkpoints, names)
    if isinstance(checkpoints, _Fitted) and checkpoints.model is model and not ignore:
        return _Fitted(model, {name: checkpoints[name] for name in sources})
    reference, first = model.state_dict(), first_names(model)
    _check_held(model)
    check_initialized("the model", reference)
    _check_ignored(ignore, reference, sources)
    states: dict[str, StateDict] = {}
    for name, source in sources.items():
        if not ignore and is_state_dict(source) and _fits(source, reference):
            state = source
        else:
            state = _read(name, source, like=model, ignore=ignore)
        check_kinds(f"checkpoint {name!r}", state)
        check_tied(f"checkpoint {name!r}", state, first)
        _check_extra_state(name, state, reference)
        states[name] = _completed(state, reference)
    return _Fitted(model, in_one_type(states, model))


def _check_held(model: nn.Module) -> None:
    """Refuse a model whose state dict is not made of its own tensors under their names.

    A pass would not be given what a checkpoint has for them.
    """
    held: dict[str, Tensor] = dict(model.named_buffers(remove_duplicate=False))
    held.update(model.named_parameters(remove_duplicate=False))
    names = {id(tensor): name for name, tensor in held.items()}
    for name, stored in model.state_dict(keep_vars=True).items():
        own = held.get(name)
        if own is stored or not isinstance(stored, Tensor):
            continue
        if own is None and id(stored) in names:
            raise ValueError(
                f"the model stores {name!r} and holds it as {names[id(stored)]!r}, as wrappers for "
                "activation checkpointing do; pass the model as it is before it is wrapped"
            )
        if own is not None and not stored.is_meta and not same(own, stored):
            raise ValueError(
                f"the model stores other values for {name!r} than it holds, by a hook on its state "
                "dict; pass a model that stores its parameters as they are"
            )


def is_state_dict(source: object) -> TypeGuard[StateDict]:
    """Whether this is a mapping of tensors, perhaps with extra state."""
    if isinstance(source, LazyState):
        return True
    return isinstance(source, Mapping) and all(
        isinstance(value, Tensor) or is_extra_state(name) for name, value in source.items()
    )


def _named(checkpoints: Mapping[str, Checkpoint], names: Iterable[str]) -> dict[str, Checkpoint]:
    """The checkpoints of some names, in their order."""
    check_mapping(checkpoints)
    wanted = list(dict.fromkeys(names))
    if unknown := [name for name in wanted if name not in checkpoints]:
        raise unknown_checkpoint(unknown[0], checkpoints)
    return {name: checkpoints[name] for name in wanted}


def _read(name: str, source: Checkpoint, **options: Any) -> StateDict:
    """What the reader makes of a checkpoint; its errors name the checkpoint."""
    read: Callable[..., StateDict] = pkgutil.resolve_name(_READER)
    try:
        return read(source, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        said, whose = str(error), f"checkpoint {name!r}"
        its = said.replace("the checkpoint", whose) if "the checkpoint" in said else None
        raise type(error)(its or f"{whose}: {said}") from error


def _fits(state: StateDict, reference: StateDict) -> bool:
    """Whether a state dict has the names, shapes and kinds of a network's as it is."""
    tensors = described(state)
    return all(name in reference for name in tensors) and all(
        _is_like(tensors[name], like) if name in tensors else is_filled(name)
        for name, like in reference.items()
        if not is_extra_state(name)
    )


def _is_like(tensor: Tensor, like: Tensor) -> bool:
    real = tensor.is_floating_point() and like.is_floating_point()
    return tensor.shape == like.shape and (real or tensor.dtype == like.dtype)


def _check_ignored(
    ignore: Sequence[str], reference: StateDict, sources: Mapping[str, Checkpoint]
) -> None:
    """Refuse a glob that matches no tensor of the network or of a checkpoint."""
    if isinstance(ignore, str):
        raise TypeError(f"ignore is one string; give a list of globs, such as [{ignore!r}]")
    idle = [glob for glob in ignore if not any(fnmatchcase(name, glob) for name in reference)]
    if not idle:
        return
    held = {name for each in opened(sources, sources).values() for name in each}
    for glob in idle:
        if not any(fnmatchcase(name, glob) for name in held):
            raise ValueError(
                f"ignore has {glob!r}, which matches no tensor of the model or of a checkpoint; "
                f"the model has {list(reference)[:3]} and more"
            )


def _check_extra_state(name: str, state: StateDict, reference: StateDict) -> None:
    """Refuse extra state that differs from the network's, with which all passes run."""
    for key in filter(is_extra_state, described(state)):
        if key in reference and same(state[key], reference[key]):
            continue
        raise ValueError(
            f"checkpoint {name!r} has another extra state at {key!r} than the model, which cannot "
            "be mixed; set it in the model, or leave it out"
        )


def _completed(state: StateDict, reference: StateDict) -> StateDict:
    """With the network's counters where an old file has none, and without extra state."""
    lacking = {
        name: filling(name, tensor)
        for name, tensor in reference.items()
        if name not in state and not is_extra_state(name)
    }
    if not lacking and not any(map(is_extra_state, state)):
        return state
    own = {name: value for name, value in described(state).items() if not is_extra_state(name)}
    if not isinstance(state, LazyState):
        return own | lacking
    return LazyState(own | lacking, lambda name: lacking[name] if name in lacking else state[name])
