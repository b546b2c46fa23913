"""Passes are given a checkpoint's tensors and take none of the model's own, or it is said so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import refused
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import ctl_helpers as ctl

PAIR = ctl.pairs(["a", "b"], [0.5])


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


class Adapted(nn.Module):
    """An adapter's output is added by a hook that takes the adapter from ``self``."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.adapter, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)
        self.body.register_forward_hook(lambda _, args, out: out + self.adapter(args[0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Listed(nn.Module):
    """A list holds on to a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 3)
        self.weights = [self.body.weight]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights[0].T + self.body.bias


def wrapping_forward() -> nn.Module:
    model = network()
    forward = model[0].forward
    model[0].forward = lambda z: 2 * forward(z)
    return model


def without_gradients() -> nn.Module:
    model = network()
    model.forward = torch.no_grad()(model.forward)
    return model


MODELS = [wrapping_forward, without_gradients, Adapted, Listed]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("own", [True, False], ids=["its own weights", "others"])
def test_a_function_that_holds_on_to_the_model_is_refused(
    make: Callable[[], nn.Module],
    own: bool,
    around: Callable[..., dict[str, dict[str, Tensor]]],
    inputs: Callable[..., Tensor],
) -> None:
    model, x, targets = make(), inputs(5).float(), torch.tensor([0, 1, 2, 0, 1])
    states = {name: model.state_dict() for name in "ab"} if own else around(model, "ab")
    with refused(RuntimeError, "of the model that was given", "hold modules as attributes"):
        ctl.evaluate(model, states, ctl.path("a", "b", [1, 0.5, 0]), [(x, targets)])


@pytest.mark.parametrize("own", [True, False], ids=["its own weights", "others"])
def test_a_model_whose_own_tensors_are_a_checkpoint_runs(own: bool, around, inputs) -> None:
    model, x = network(), inputs(5).float()
    states = around(model, "ab") | ({"a": model.state_dict()} if own else {})
    found = ctl.compare(model, states, PAIR, [x], ["2"]).set_index("metric")["mean"]
    other = ctl.compare(network(), states, PAIR, [x], ["2"]).set_index("metric")["mean"]
    assert found.to_dict() == other.to_dict()


def test_a_wrapper_that_stores_other_names_than_it_holds_is_refused(around, inputs) -> None:
    model = nn.Sequential(checkpoint_wrapper(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))
    states = around(model, "pab")
    sentence = "stores '0.bias' and holds it as|stores '0.weight' and holds it as"
    with refused(ValueError, sentence, "before it is wrapped"):
        ctl.compare(model, states, PAIR, [inputs(5).float()], ["2"])
    with refused(ValueError, sentence):
        ctl.taylor_errors(model, states, "p", ["a"], [inputs(5).float()], ["2"])


class Logarithmic(nn.Module):
    """Stores a scale and holds its logarithm."""

    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(6))
        self._register_state_dict_hook(
            lambda module, state, prefix, _: state.update({f"{prefix}log": module.log.exp()})
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.log.exp()


def test_a_hook_that_stores_other_values_is_refused(around, inputs) -> None:
    model = nn.Sequential(nn.Linear(6, 6), Logarithmic())
    with refused(ValueError, "other values for '1.log' than it holds"):
        ctl.compare(model, around(model, "ab"), PAIR, [inputs(5).float()], ["1"])
