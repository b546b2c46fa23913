"""A plain way to the features of mixes, and to what compares them: no hooks of ours, no engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from conftest import formulas
from torch import Tensor, nn

State = Mapping[str, Tensor]
Pick = Callable[[Any], Tensor]


def around(model: nn.Module, names: str = "ab", scale: float = 0.2) -> dict[str, dict[str, Tensor]]:
    """Checkpoints near a model's weights: tied tensors stay tied, statistics and counters stay."""
    generator = torch.Generator().manual_seed(0)
    states = {}
    for name in names:
        moved: dict[int, Tensor] = {}
        states[name] = {
            key: moved.setdefault(
                id(value), value + scale * torch.randn(value.shape, generator=generator).to(value)
            )
            if value.is_floating_point() and "running" not in key
            else value.clone()
            for key, value in model.state_dict(keep_vars=True).items()
        }
        states[name] = {key: value.detach() for key, value in states[name].items()}
    return states


def mixed(states: Mapping[str, State], mix: Mapping[str, float]) -> dict[str, Tensor]:
    """Tensor by tensor; counters of the first."""
    first, *_ = mix
    return {
        key: sum(weight * states[name][key] for name, weight in mix.items())
        if value.is_floating_point()
        else value
        for key, value in states[first].items()
    }


def loaded(model: nn.Module, state: State) -> nn.Module:
    """A network of its own with these weights, in evaluation mode."""
    network = copy.deepcopy(model)
    network.load_state_dict(state)
    return network.eval()


def first_tensor(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


@torch.no_grad()
def feature(
    model: nn.Module, state: State, batch: Any, layer: str, pick: Pick = first_tensor
) -> Tensor:
    """A layer's output in one pass, shape (samples, width), float64 or complex."""
    network, found = loaded(model, state), []
    network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(pick(output).clone())
    )
    given = copy.deepcopy(batch)
    network(**given) if isinstance(given, Mapping) else network(given)
    (one,) = found
    flat = one.reshape(len(one), -1)
    return flat.double() if flat.is_floating_point() else flat


def expected(
    model: nn.Module,
    states: Mapping[str, State],
    alpha: float,
    batch: Any,
    layer: str,
    pick: Pick = first_tensor,
) -> dict[str, Tensor]:
    """The metrics of one pair, sample by sample."""

    def f(mix: Mapping[str, float]) -> Any:
        return feature(model, mixed(states, mix), batch, layer, pick).numpy()

    left, a, b = f({"a": alpha, "b": 1 - alpha}), f({"a": 1.0}), f({"b": 1.0})
    right = alpha * a + (1 - alpha) * b
    found = formulas(left, right, [(a, b)], [(alpha, a), (1 - alpha, b)])
    return {metric: torch.from_numpy(values) for metric, values in found.items()}
