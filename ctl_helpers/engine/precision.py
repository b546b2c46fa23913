"""The floating type of a run, and the noise that its rounding makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from ctl_helpers.engine.lazy_state import LazyState, described


def in_one_type(
    states: Mapping[str, Mapping[str, Tensor]], model: nn.Module
) -> dict[str, Mapping[str, Tensor]]:
    """Checkpoints whose weights have one floating type: the widest of all of theirs.

    So all networks of a run round alike, whichever checkpoint is stored in half precision. A
    buffer may be wider, as statistics are, and has one type in all checkpoints.

    Args:
        states: name → state dict, all with the same names; lazy ones stay lazy.
        model: the architecture, which says what is a parameter.
    """
    run = weights_type(states.values(), model)
    types = [{n: t.dtype for n, t in described(state).items()} for state in states.values()]
    wanted = {}
    for name in types[0] if types else ():
        widest = reduce(torch.promote_types, (each[name] for each in types))
        if run is not None and widest.is_floating_point:
            widest = torch.promote_types(widest, run)
        if widest.is_floating_point or widest.is_complex:
            wanted[name] = widest
    return {name: _converted(state, wanted) for name, state in states.items()}


def weights_type(states: Iterable[Mapping[str, Tensor]], model: nn.Module) -> torch.dtype | None:
    """The widest real floating type of a network's parameters in some checkpoints, if any."""
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    tensors = (t for state in states for name, t in described(state).items() if name in names)
    real = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return reduce(torch.promote_types, real) if real else None


def _converted(
    state: Mapping[str, Tensor], wanted: Mapping[str, torch.dtype]
) -> Mapping[str, Tensor]:
    """A state dict some of whose tensors have other types."""
    meta = described(state)
    if all(meta[name].dtype == kind for name, kind in wanted.items()):
        return state

    def converted(name: str, tensor: Tensor) -> Tensor:
        return tensor.to(wanted[name]) if name in wanted else tensor

    if not isinstance(state, LazyState):
        return {name: converted(name, tensor) for name, tensor in state.items()}
    described_as = {name: converted(name, tensor) for name, tensor in meta.items()}
    return LazyState(described_as, lambda name: converted(name, state[name]))


def noise_floor(state: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> float:
    """What rounding in a run makes of a distance that is zero.

    Two features that differ by one rounding, a relative error of up to the unit roundoff u in each
    of their numbers, are ``1 − cos ≈ u²/2`` apart: 8e-6 in bfloat16, 1e-7 in float16, 2e-15 in
    float32. A network rounds many times, so that distances of ten times that say little. Sums over
    features are in float64, whose own rounding is the least there is.

    Args:
        state: a checkpoint of the run, in the type in which it runs.
        dtype: of autocast, if the run has one.
    """
    types = {t.dtype for t in described(state).values() if t.is_floating_point() or t.is_complex()}
    coarsest = max(
        (torch.finfo(kind).eps for kind in types | ({dtype} if dtype else set())), default=0
    )
    return max((coarsest / 2) ** 2 / 2, torch.finfo(torch.float64).eps)
