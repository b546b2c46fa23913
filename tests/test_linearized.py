"""Linearized networks: against finite differences, linear in θ, and used like any other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.models.t5 import small_t5
from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.steps import StepRecipe, steps

Case = tuple[nn.Module, Tensor]


@pytest.fixture
def states(case: Case, around: Callable[..., dict[str, dict[str, Tensor]]]) -> dict:
    """``p`` is θ_PT, the others are near it."""
    return {"p": dict(case[0].state_dict()), **around(case[0], "ab", 0.1)}


def expansion(
    f: Callable[[Mapping[str, Tensor]], Tensor], base: Mapping[str, Tensor], theta: Mapping
) -> Tensor:
    """``f(θ_0) + d/dε f(θ_0 + ε(θ − θ_0))`` by central differences of fourth order."""
    h = 1e-5  # a larger step would cross kinks of a ReLU

    def along(step: float) -> Tensor:
        return f({name: value + step * (theta[name] - value) for name, value in base.items()})

    return along(0) + (8 * (along(h) - along(-h)) - along(2 * h) + along(-2 * h)) / (12 * h)


@torch.no_grad()
def test_it_is_the_first_order_expansion(case: Case, states) -> None:
    network, x = case
    network.eval()
    expected = expansion(lambda w: functional_call(network, w, (x,)), states["p"], states["a"])
    linearized = Linearized(network, states["p"])
    linearized.load_state_dict(states["a"])
    torch.testing.assert_close(linearized(x), expected, rtol=1e-8, atol=1e-9)
    assert not torch.allclose(expected, functional_call(network, states["a"], (x,)), rtol=1e-3)


@torch.no_grad()
def test_it_is_the_network_at_the_base_and_linear_in_the_weights(case: Case, states) -> None:
    network, x = case
    linearized = Linearized(network, states["p"])
    torch.testing.assert_close(linearized(x), network.eval()(x), rtol=1e-12, atol=1e-12)

    def output(mix: ctl.Mix) -> Tensor:
        return functional_call(linearized, ctl.combine(states, mix), (x,))

    a, b, p = (output({name: 1.0}) for name in "abp")
    found = output(ctl.edit("p", {"a": 1.7, "b": -0.6}))
    expected = p + 1.7 * (a - p) - 0.6 * (b - p)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_its_gradient_does_not_depend_on_the_weights(case: Case, states) -> None:
    network, x = case
    linearized = Linearized(network, states["p"])
    gradients = []
    for name in "ab":
        linearized.load_state_dict(states[name])
        linearized.zero_grad()
        linearized(x).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in linearized.named_parameters()})
    assert torch.backends.mha.get_fastpath_enabled()
    network.eval()(x).sum().backward()
    for name, parameter in network.named_parameters():
        assert torch.equal(gradients[0][name], gradients[1][name])
        torch.testing.assert_close(gradients[0][name], parameter.grad, rtol=1e-9, atol=1e-11)


def test_its_state_dict_is_the_weights_alone(case: Case, states) -> None:
    network, _ = case
    before = {name: value.clone() for name, value in network.state_dict().items()}
    linearized = Linearized(network, states["b"])
    assert list(linearized.state_dict()) == list(dict(network.named_parameters()))
    assert all(torch.equal(v, states["b"][n]) for n, v in linearized.state_dict().items())
    kept = {name: value.clone() for name, value in states["b"].items()}
    with torch.no_grad():
        for parameter in linearized.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(value, kept[name]) for name, value in states["b"].items())


def test_the_engine_takes_it_like_any_network(case: Case, states) -> None:
    network, x = case
    linearized = Linearized(network, states["p"])
    layers = ctl.feature_layers(network)
    assert ctl.feature_layers(linearized) == layers
    table = ctl.compare(linearized, states, ctl.pairs("ab", [0.3]), [x[:2], x[2:]])
    assert set(table["layer"]) == set(layers)
    found = table.pivot(index="layer", columns="metric", values="mean")
    assert (found["distance"] < 1e-12).all()
    assert (found["baseline"] > 1e-5).all()
    assert found["coef"].to_numpy() == pytest.approx(1, abs=1e-9)
    scored = ctl.evaluate(
        linearized, states, [ctl.Evaluation({"a": 1.0})], [(x, torch.arange(len(x)) % 3)]
    )
    linearized.load_state_dict(states["a"])
    expected = F.cross_entropy(linearized(x), torch.arange(len(x)) % 3).item()
    assert scored.loc[0, "loss"] == pytest.approx(expected, rel=1e-12)


@torch.no_grad()
def test_of_an_affine_mix_the_checkpoints_alone_run(case: Case, states) -> None:
    network, x = case
    linearized, calls = Linearized(network, states["p"]), []
    linearized.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    mixes = [ctl.edit("p", {"a": a, "b": b}) for a in (-2.0, 0.3) for b in (0.5, 1.7)]
    (found,) = ctl.logits(linearized, states, [*mixes, {"a": 1.0}], [x]).values()
    assert [n for n in calls if n == len(x)] == [len(x)] * 3
    for mix, logits in zip(mixes, found, strict=False):
        linearized.load_state_dict(ctl.combine(states, mix))
        torch.testing.assert_close(logits, linearized(x), rtol=1e-9, atol=1e-9)
    calls.clear()
    halves = [{"a": 0.3, "b": 0.3}, {"a": 0.2, "b": 0.2}]  # no affine mixes, so these run
    (found,) = ctl.logits(linearized, states, halves, [x]).values()
    assert [n for n in calls if n == len(x)] == [len(x)] * 2
    linearized.load_state_dict(ctl.combine(states, halves[0]))
    torch.testing.assert_close(found[0], linearized(x))


@torch.no_grad()
def test_a_tapped_layer_gives_its_linearized_feature(case: Case, states) -> None:
    network, x = case
    network.eval()
    layers = ctl.feature_layers(network)
    linearized = Linearized(network, states["p"])
    linearized.load_state_dict(states["a"])
    with ctl.taps(linearized, layers) as seen:
        output = linearized(x)
    assert torch.equal(output, linearized(x))
    for layer in layers:

        def feature(weights: Mapping[str, Tensor], layer: str = layer) -> Tensor:
            with ctl.taps(network, [layer]) as own:
                functional_call(network, dict(weights), (x,))
            return own[layer]

        expected = expansion(feature, states["p"], states["a"])
        torch.testing.assert_close(seen[layer], expected, rtol=1e-8, atol=1e-9)


def test_training_it_is_gradient_descent_in_the_tangent_space(case: Case, states) -> None:
    network, x = case
    linearized = Linearized(network, states["p"])
    recipe = StepRecipe(steps=3, lr=0.01, batch_size=len(x))

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        return model(x[chosen]).square().mean()

    *_, last = steps(linearized, loss, len(x), Snapshot(0, states["p"]), recipe, seed=0)
    assert last.weights.keys() == states["p"].keys()
    start, end = (
        functional_call(linearized, s, (x,)).square().mean() for s in (states["p"], last.weights)
    )
    assert end < start


def test_buffers_stay_those_of_the_base() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).double()
    x = torch.randn(7, 4, dtype=torch.float64)
    network(x)  # running statistics of its own
    linearized = Linearized(network, network.state_dict()).train()
    assert linearized.state_dict().keys() == dict(network.named_parameters()).keys()
    expected = network.eval()(x)
    assert torch.equal(linearized(x), expected)
    linearized(2 * x).sum().backward()
    assert torch.equal(linearized(x), expected)


def test_it_takes_keyword_inputs(around) -> None:
    torch.manual_seed(0)
    sizes = {"width": 8, "head_width": 4, "inner": 8, "heads": 2}
    network = small_t5(vocabulary=11, layers=1, buckets=4, distance=8, **sizes).double().eval()
    batch = {"input_ids": torch.tensor([[3, 4, 1], [5, 1, 0]])}
    batch["attention_mask"] = (batch["input_ids"] > 0).long()
    base, theta = dict(network.state_dict()), around(network, "a", 0.05)["a"]
    linearized = Linearized(network, base)
    linearized.load_state_dict(theta)
    # T5's norms are in float32, too coarse for differences: ⟨v, Jd⟩ is d on the gradient of ⟨v, f⟩.
    output = network(**batch)
    probe = torch.randn_like(output)
    (probe * output).sum().backward()
    slope = sum(((theta[n] - base[n]) * p.grad).sum() for n, p in network.named_parameters())
    found = (probe * (linearized(**batch) - output)).sum()
    torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-7)
    with ctl.taps(linearized, linearized.feature_layers) as seen:
        linearized(**batch)
    assert seen.keys() == set(network.feature_layers)


def test_tied_weights_stay_tied() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    network[2].weight = network[0].weight
    linearized = Linearized(network, network.state_dict())
    assert "2.weight" not in dict(linearized.named_parameters())
    x = torch.randn(2, 3, dtype=torch.float64)
    linearized(x).sum().backward()
    network(x).sum().backward()
    torch.testing.assert_close(linearized.get_parameter("0.weight").grad, network[0].weight.grad)


@torch.no_grad()
def test_one_tensor_may_stand_under_two_names() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)).double()
    linearized = Linearized(network, network.state_dict())
    shared = {**network.state_dict(), "0.weight": network[2].weight}
    copied = {name: value.clone() for name, value in shared.items()}
    x = torch.randn(2, 3, dtype=torch.float64)
    found, expected = (
        functional_call(linearized, state, (x,), tie_weights=False) for state in (shared, copied)
    )
    assert torch.equal(found, expected)


def test_bad_bases_are_refused(net) -> None:
    good = net.state_dict()
    for change, sentence in (
        ({"0.weight": torch.zeros(2, 2)}, r"'base' has shape \(2, 2\) at '0.weight' where the m"),
        ({"odd": torch.zeros(1)}, "'base' has 'odd', unlike the model .* same architecture"),
        ({"0.weight": torch.full((8, 6), math.nan)}, "'base' has NaN .* at '0.weight'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Linearized(net, {**good, **change})
    with pytest.raises(ValueError, match=r"'base' lacks '0\.bias'"):
        Linearized(net, {name: value for name, value in good.items() if name != "0.bias"})


def test_a_network_without_one_tensor_is_refused() -> None:
    class Pair(nn.Linear):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(x), x

    network = Pair(2, 2)
    with pytest.raises(TypeError, match=r"Pair gives a tuple, .* gives one tensor"):
        Linearized(network, network.state_dict())(torch.ones(1, 2))


def test_it_cannot_be_stitched(case: Case, states) -> None:
    network, x = case
    one = ctl.Stitch([(1.0, {"a": 1.0})], {"p": 1.0}, ctl.feature_layers(network)[0])
    with pytest.raises(TypeError, match="Linearized cannot be stitched"):
        ctl.stitch(Linearized(network, states["p"]), states, [one], [(x, torch.zeros(len(x)))])
