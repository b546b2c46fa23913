"""Layers mixed one at a time: against a plain loop, and where a layer is linear by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.analysis import local_linearity

LAYERS = ["1", "3", "4"]
OF_LAYER = {"1": "0", "3": "2", "4": "4"}
"""Of each tapped layer the one that has its weights."""


@pytest.fixture
def states(net, around) -> dict[str, dict[str, Tensor]]:
    return around(net, "abcp")


def naive(net, states, layer: str, alphas: dict[str, float], x: Tensor) -> float:
    """ε of the mean of some networks, with the layer alone mixed on the pretrained one's input."""
    start, place = states["p"], int(OF_LAYER[layer])
    net.load_state_dict(start)
    with torch.no_grad():
        h = net[:place](x)

    def f(mix: dict[str, float]) -> Tensor:
        weight, bias = (
            sum(share * states[name][f"{place}.{part}"] for name, share in mix.items())
            for part in ("weight", "bias")
        )
        y = h @ weight.T + bias
        return y if layer == "4" else y.relu()

    right = sum(share * f({name: 1.0}) for name, share in alphas.items())
    parts = sum(share * (f({name: 1.0}) - right).square().sum() for name, share in alphas.items())
    return float(((f(alphas) - right).square().sum() / parts).sqrt())


def test_agrees_with_a_plain_loop(net, states, inputs) -> None:
    x = inputs(12)
    asked = ctl.averaging("abc", ["abc", {"a": 0.7, "b": 0.3}])
    table = local_linearity.compare_alone(
        net, states, "p", asked, list(x.split(5)), layers=LAYERS
    ).query("metric == 'epsilon'")
    assert list(table["layer"]) == [layer for layer in LAYERS for _ in asked]
    for row in table.itertuples():
        expected = naive(net, states, row.layer, dict(asked[row.comparison].left), x)
        assert row.mean == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_linear_layer_has_the_errors_of_others_alone(net, states, inputs) -> None:
    asked, streams = ctl.pairs("ab", [0.5]), {name: [inputs(9)] for name in "ab"}
    alone = local_linearity.compare_alone(net, states, "p", asked, streams, LAYERS)
    whole = ctl.compare(net, states, asked, streams, LAYERS)
    alone, whole = (
        table.query("metric == 'epsilon'").set_index("layer")["mean"] for table in (alone, whole)
    )
    # Nothing is before the first layer; the last one has no ReLU.
    assert alone["1"] == pytest.approx(whole["1"])
    assert alone["4"] < 1e-6
    assert whole["4"] > 0.1


def test_a_layer_without_parameters_has_no_error(net, states, inputs) -> None:
    asked = ctl.averaging("ab")
    table = local_linearity.compare_alone(net, states, "p", asked, [inputs(5)], ["0", "1"])
    errors = table.query("metric == 'epsilon'").set_index("layer")["mean"]
    assert errors["0"] < 1e-6
    assert errors.isna()["1"]
