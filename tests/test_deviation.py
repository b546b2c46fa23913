"""Both sides of Theorem 5.1 against losses and Hessians written out, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from test_curvature import Plain, data, exact, normed, outermost, point, seeded, smooth
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.analysis.curvature import coordinates
from ctl_helpers.analysis.deviation import Start, deviations, nearer

NAMES = ("a", "b", "c")


def loss(model: nn.Module, state: dict[str, Tensor]) -> float:
    x, y = data()
    return F.cross_entropy(functional_call(model.eval(), state, (x,)), y).item()


def mixed(states: dict[str, dict[str, Tensor]], weights: dict[str, float]) -> dict[str, Tensor]:
    first = next(iter(states.values()))
    return {
        name: sum(weight * states[key][name] for key, weight in weights.items())
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


# A network's class → the same with BatchNorm written out, which has derivatives by its statistics.
WRITTEN_OUT = {smooth: smooth, normed: lambda: normed(Plain)}


@pytest.fixture(params=WRITTEN_OUT)
def build(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return request.param


@pytest.fixture
def start(build: Callable[[], nn.Module]) -> Start:
    """Networks a little way from their start in parameters; buffers are the start's."""
    model = seeded(build)
    weights, parameters = point(model), coordinates(model, False)
    tuned = {}
    for number, name in enumerate(NAMES):
        step = point(model, 10 + number)
        tuned[name] = {
            key: value + 0.1 * (step[key] - value) if key in parameters else value
            for key, value in weights.items()
        }
    return Start(model, weights, tuned, [data()])


def test_both_sides_are_those_of_the_formulas(build, start: Start) -> None:
    top, alpha = start.eigenvalues(1e-9), 0.3
    found = deviations(start, top, alpha).set_index(["i", "j"])
    assert list(found.index) == [("a", "b"), ("a", "c"), ("b", "c")]
    states = {**start.tuned, "PT": start.weights}
    for ending, with_buffers in (("", False), ("_buffers", True)):
        names = coordinates(start.model, with_buffers)
        hessian = exact(seeded(WRITTEN_OUT[build]), start.weights, names, *data())
        assert top[ending] == pytest.approx(outermost(hessian), rel=1e-6)
        for (i, j), row in found.iterrows():
            steps = [states[i][name] - states[j][name] for name in names]
            d = torch.cat([step.flatten() for step in steps]).numpy()
            bound = alpha * (1 - alpha) / 2 * abs(outermost(hessian)) * (d @ d)
            assert row[f"product{ending}"] == pytest.approx(bound, rel=1e-6)
            assert row[f"squared_distance{ending}"] == pytest.approx(d @ d)
            second = alpha * (1 - alpha) / 2 * d @ hessian @ d
            assert row["signed_second_order"] == pytest.approx(second)
            between = loss(start.model, mixed(states, {i: alpha, j: 1 - alpha}))
            ends = alpha * loss(start.model, states[i]) + (1 - alpha) * loss(start.model, states[j])
            assert row["signed"] == pytest.approx(ends - between)
            assert row["third_order"] == pytest.approx(abs(ends - between - second))


def test_the_start_and_its_networks_have_their_own_losses(start: Start) -> None:
    found = start.own_losses()
    assert list(found) == ["PT", *NAMES]
    for name, state in {**start.tuned, "PT": start.weights}.items():
        assert found[name] == pytest.approx(loss(start.model, state))


def test_networks_drawn_to_a_smooth_start_are_of_second_order(start: Start) -> None:
    pairs = deviations(start, start.eigenvalues())
    found = nearer(start, pairs, [1.0, 0.1, 0.01])
    assert found.groupby("scale").size().tolist() == [2, 2, 2]
    off = (found["ratio"] - 1).abs().groupby(found["scale"]).max()
    assert off[0.01] < 0.02 < off[1.0]
    assert off[0.1] == pytest.approx(10 * off[0.01], rel=0.3)
    whole = found[found["scale"] == 1].set_index(["i", "j"])["ratio"]
    known = pairs.set_index(["i", "j"])
    expected = (known["signed"] / known["signed_second_order"])[whole.index]
    pd.testing.assert_series_equal(whole, expected, check_names=False)


def test_readings_differ_where_there_are_buffers(start: Start) -> None:
    top = start.eigenvalues()
    buffers = len(coordinates(start.model)) > len(coordinates(start.model, False))
    assert (top[""] != top["_buffers"]) == buffers
