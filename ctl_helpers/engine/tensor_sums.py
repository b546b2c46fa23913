"""Sums and differences of checkpoints, tensor by tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor

from ctl_helpers.engine.tensor_kinds import (
    factors,
    is_counter,
    is_extra_state,
    is_finite,
    is_mixed,
    packed,
    same,
)

StateDict = Mapping[str, Tensor]


@torch.no_grad()
def mixed_tensors(
    states: Mapping[str, StateDict], key: Sequence[tuple[str, float]], names: Iterable[str]
) -> dict[str, Tensor]:
    """The tensors of some names in a mix of checkpoints that are known to be compatible.

    Raises:
        ValueError: integers or both factors of a product that differ; a negative running variance.
    """
    stored = states[key[0][0]].keys()
    _check_factors(states, [name for name, _ in key], stored)
    return {
        name: _mixed(name, [(who, weight, states[who].get(name)) for who, weight in key], stored)
        for name in names
    }


def _check_factors(
    states: Mapping[str, StateDict], mixed: Sequence[str], names: Collection[str]
) -> None:
    """Refuse to mix factors of which both differ: the mix of products is what is meant."""
    first, *others = mixed
    for a, b in factors(names).items():
        for other in others:
            if not any(same(states[first][name], states[other][name]) for name in (a, b)):
                raise ValueError(
                    f"checkpoints {first!r} and {other!r} have other LoRA factors at {a!r} and "
                    f"{b!r}, and the mix of factors is not that of their products; merge them into "
                    "the weights first, as ctl.read does with an adapter's folder, and peft's "
                    "merge_and_unload()"
                )


def _mixed(
    name: str, parts: Sequence[tuple[str, float, Tensor | None]], names: Collection[str]
) -> Tensor:
    """One tensor of a mix.

    Args:
        name: what it is called.
        parts: whose it is, the weight, and the tensor, or None where a counter is missing.
        names: all tensors of a checkpoint, which tell how integers are packed.
    """
    if is_extra_state(name):
        return cast(Tensor, parts[0][2])
    present = [(who, weight, tensor) for who, weight, tensor in parts if tensor is not None]
    _, weight, tensor = present[0]
    if not is_mixed(tensor):
        check_integers(name, {who: other for who, _, other in present}, names)
        return tensor.clone()
    if len(present) == 1 and weight == 1:
        return tensor.clone()
    narrow = reduce(torch.promote_types, (tensor.dtype for *_, tensor in present))
    wide = torch.promote_types(narrow, torch.float32)
    total = tensor.to(wide) * weight
    for _, share, other in present[1:]:
        total.add_(other.to(total.device, wide), alpha=share)
    if any(share < 0 for _, share, _ in present):
        total = _extrapolated(name, total, present)
    return total.to(narrow)


def _extrapolated(name: str, total: Tensor, parts: Sequence[tuple[str, float, Tensor]]) -> Tensor:
    """A sum with negative weights, refused where a variance became negative.

    What is infinite in all parts stays as it is, as in a mask.
    """
    if name.endswith("running_var") and (total < 0).any():
        raise ValueError(
            f"the mix {dict(part[:2] for part in parts)} makes {name!r} negative; choose weights "
            "nearer to an interpolation, or recompute the statistics on data"
        )
    first = parts[0][2].to(total)
    if is_finite(total) or not first.isinf().any():
        return total
    shared = first.isinf()
    for *_, other in parts[1:]:
        shared &= first == other.to(total)
    return torch.where(shared, first, total)


def aliases(states: Sequence[StateDict], names: Iterable[str]) -> dict[str, str]:
    """Name → the first name that is the same tensor in all state dicts."""
    # A tensor that is made when it is asked for may lie where another one lay before.
    if not all(isinstance(state, dict) for state in states):
        return {name: name for name in names}
    first: dict[tuple[object, ...], str] = {}
    return {
        name: first.setdefault(tuple(_place(state.get(name)) for state in states), name)
        for name in names
    }


def _place(tensor: object) -> object:
    """Where a tensor's numbers are: equal for tensors that are one."""
    if not isinstance(tensor, Tensor):
        return id(tensor)
    return tensor.data_ptr(), tensor.dtype, tensor.device, tensor.shape, tensor.stride()


def difference(end: Tensor, start: Tensor) -> Tensor:
    """Where both are the same infinity, as in a mask, nothing has moved."""
    moved = end - start
    return moved if is_finite(moved) else moved.masked_fill(end.isinf() & (end == start), 0)


def check_integers(name: str, tensors: Mapping[str, Tensor], names: Collection[str]) -> None:
    """Refuse integers that differ between checkpoints and are no counters."""
    (first, tensor), *others = tensors.items()
    for who, other in others:
        if not is_counter(name) and not same(tensor, other):
            raise ValueError(
                f"checkpoints {first!r} and {who!r} have other values at {name!r} "
                f"({tensor.dtype}): {packed(names)}, or leave them out with ignore=[{name!r}]"
            )
