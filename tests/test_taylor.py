"""Errors of post-hoc linearizations: against finite differences, where they vanish, bad input."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import formulas, statistics
from test_linearized import expansion
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl

Case = tuple[nn.Module, Tensor]
Make = Callable[..., dict[str, dict[str, Tensor]]]


@pytest.fixture
def streams(case: Case) -> dict[str, list[Tensor]]:
    x = case[1]
    return {"a": list(x.split(2)), "b": list((1 - x).split(1))}


def naive(network: nn.Module, states, streams, layers) -> pd.DataFrame:
    """One sample and one layer at a time, the Jacobian by central differences of fourth order."""
    rows = []

    @torch.no_grad()
    def feature(state: Mapping[str, Tensor], x: Tensor, layer: str) -> Tensor:
        with ctl.taps(network.eval(), [layer]) as seen:
            functional_call(network, dict(state), (x[None],))
        return seen[layer][0]

    for name, batches in streams.items():
        for layer in layers:
            samples, ends = torch.cat(batches), (states["p"], states[name])
            before, after = (np.stack([feature(end, x, layer) for x in samples]) for end in ends)
            linear = [expansion(partial(feature, x=x, layer=layer), *ends).numpy() for x in samples]
            for metric, values in formulas(linear, after, [(before, after)]).items():
                rows.append({"i": name, "layer": layer, "metric": metric} | statistics(values))
    return pd.DataFrame(rows)


def test_agrees_with_the_oracle(case: Case, streams, around: Make) -> None:
    network, _ = case
    states = around(network, "abp", 0.1)
    table = ctl.taylor_errors(network, states, "p", "ab", streams)
    expected = naive(network, states, streams, ctl.feature_layers(network))
    pd.testing.assert_frame_equal(table, expected, rtol=1e-7, atol=1e-10)
    assert (expected.loc[expected["metric"] == "distance", "mean"] > 1e-5).any()


def test_neither_order_nor_batches_matter(case: Case, streams, around: Make) -> None:
    network, _ = case
    states = around(network, "abp", 0.1)
    whole = {name: [torch.cat(batches)] for name, batches in streams.items()}
    tables = [
        ctl.taylor_errors(network, states, "p", names, batches).sort_values(
            ["i", "layer", "metric"], ignore_index=True
        )
        for names, batches in (("ab", streams), ("ba", whole))
    ]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9, atol=1e-12)


def test_one_stream_serves_all_and_is_read_once(net, around: Make, inputs) -> None:
    states = around(net, "abp")
    by_task = {name: [inputs(9)] for name in "ab"}
    shared = ctl.taylor_errors(net, states, "p", "ab", iter(inputs(9).split(4)), ["2", "4"])
    own = ctl.taylor_errors(net, states, "p", "ab", by_task, ["2", "4"])
    pd.testing.assert_frame_equal(shared, own, rtol=1e-12, atol=1e-14)
    assert shared[["i", "layer"]].drop_duplicates().to_numpy().tolist() == [
        ["a", "2"], ["a", "4"], ["b", "2"], ["b", "4"],
    ]  # fmt: skip


def test_what_is_linear_in_its_weights_has_no_error(around: Make, inputs) -> None:
    """A linear layer is linear in θ; two of them in a row are not."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4)).double()
    found = ctl.taylor_errors(network, around(network, "ap"), "p", "a", {"a": [inputs(8)]})
    mean = found.set_index(["layer", "metric"])["mean"]
    assert abs(mean["0", "distance"]) < 1e-14
    assert mean["0", "coef"] == pytest.approx(1, abs=1e-14)
    assert mean["0", "baseline"] > 1e-2
    assert mean["1", "distance"] > 1e-4


def test_the_error_is_of_second_order(case: Case, streams, around: Make) -> None:
    """Half the task vector, an angle of a quarter: a distance of a sixteenth."""
    network, _ = case
    states = around(network, "ap", 0.002)
    states["half"] = ctl.combine(states, {"a": 0.5, "p": 0.5})
    last = ctl.feature_layers(network)[-1]
    batches = {name: [torch.cat(streams["a"])[:1]] for name in ("a", "half")}
    found = ctl.taylor_errors(network, states, "p", ["a", "half"], batches, [last])
    mean = found.set_index(["i", "metric"])["mean"]
    assert mean["a", "distance"] / mean["half", "distance"] == pytest.approx(16, rel=0.2)
    assert mean["a", "baseline"] / mean["half", "baseline"] == pytest.approx(4, rel=0.2)


def test_statistics_are_each_sides_own(around: Make, inputs) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)).double()
    states = around(network, "ap", 0.1)
    for state in states.values():
        state["1.running_var"] = state["1.running_var"].abs() + 0.1
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    table = ctl.taylor_errors(network, states, "p", "a", {"a": [inputs(8)]}, ["1"])
    assert network.training
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    linearized = ctl.Linearized(network, states["p"])
    linearized.load_state_dict({name: states["a"][name] for name in linearized.state_dict()})
    network.eval()
    left, right = linearized(inputs(8)), functional_call(network, states["a"], (inputs(8),))
    expected = (1 - torch.cosine_similarity(left, right)).mean().item()
    assert table.loc[0, "mean"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"names": "ac"}, KeyError, "no checkpoint named 'c'"),
        ({"pretrained": "q"}, KeyError, "no checkpoint named 'q'"),
        ({"names": "aba"}, ValueError, "'a' occurs twice in ['a', 'b', 'a']"),
        ({"names": ""}, ValueError, "no names given"),
        ({"layers": ["9"]}, KeyError, "the model has no layer '9'"),
        ({"layers": []}, ValueError, "no layers to compare"),
        ({"batches": {"a": [torch.ones(2, 6).double()]}}, KeyError, "no batches for task 'b'"),
        ({"batches": {"a": [], "b": []}}, ValueError, "task 'a' has no samples"),
        (
            {"batches": [torch.full((2, 6), math.nan).double()]},
            ValueError,
            "the features of layer '0' are not finite for 'a'",
        ),
    ],
)
def test_bad_input_is_refused(net, around: Make, inputs, change, kind, sentence: str) -> None:
    given = {"pretrained": "p", "names": "ab", "batches": {name: [inputs(3)] for name in "abc"}}
    with pytest.raises(kind, match=re.escape(sentence)):
        ctl.taylor_errors(net, around(net, "abp"), **given | change)
