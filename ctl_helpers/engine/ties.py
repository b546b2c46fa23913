"""Tensors that a network has under several names: tied weights, and modules that it uses twice."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ctl_helpers.engine.tensor_kinds import same


def first_names(model: nn.Module, *, buffers: bool = True) -> dict[str, str]:
    """Name of a parameter, or of a buffer where asked → the first name of the same tensor."""
    first: dict[int, str] = {}
    parameters = model.named_parameters(remove_duplicate=False)
    rest = model.named_buffers(remove_duplicate=False) if buffers else ()
    return {name: first.setdefault(id(tensor), name) for name, tensor in (*parameters, *rest)}


def places(model: nn.Module) -> set[str]:
    """The names under which weights are put into a network for a functional call.

    Tied weights of two modules are two places. A module under two names is one: given both,
    ``functional_call`` would leave the weights of the call in the model.
    """
    return {
        f"{prefix}.{leaf}" if prefix else leaf
        for prefix, module in model.named_modules()
        for leaf, tensor in (module._parameters | module._buffers).items()
        if tensor is not None
    }


def read_once(state: Mapping[str, Tensor], first: Mapping[str, str]) -> dict[str, Tensor]:
    """All tensors of a state dict, those that are one in the network as one.

    Args:
        state: name → tensor, perhaps lazy, once :func:`check_tied` has passed it.
        first: as from :func:`first_names`.
    """
    read: dict[str, Tensor] = {}
    for name in state:
        key = first.get(name, name)
        if key not in read:
            read[key] = state[name]
    return {name: read[first.get(name, name)] for name in state}


def check_tied(checkpoint: str, state: Mapping[str, Tensor], first: Mapping[str, str]) -> None:
    """Refuse a checkpoint with several values for one tensor of the network (ValueError).

    Args:
        checkpoint: what the error calls it.
        state: name → tensor; of names of one tensor, any may be missing.
        first: as from :func:`first_names`.
    """
    held: dict[str, str] = {}
    for name in state:
        other = held.setdefault(first.get(name, name), name)
        if other != name and not same(state[other], state[name]):
            raise ValueError(
                f"{checkpoint} has other values at {name!r} than at {other!r}, which are one "
                "tensor in the model: build the model with the two apart (in transformers "
                "tie_word_embeddings=False), or give the checkpoint one of them"
            )
