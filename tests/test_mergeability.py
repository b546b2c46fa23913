"""Merges and what predicts them: against naive loops in float64, and on tables with an answer."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused
from test_boundary_networks import START, images, small
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.analysis import mergeability as merging
from ctl_helpers.analysis.left_out import best_cut, forecasts
from ctl_helpers.analysis.regression import partial_correlation

TASKS = ("a", "b", "c")


def networks() -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    states = {"PT": START}
    for name in TASKS:
        states[name] = {
            key: value + 0.2 * torch.randn(value.shape, generator=generator)
            for key, value in START.items()
        }
    return states


def streams() -> dict[str, list]:
    whole = images(24)
    return {name: whole[8 * n : 8 * n + 8].batches(8) for n, name in enumerate(TASKS)}


def asked() -> list[merging.Merge]:
    return merging.drawn(TASKS, [0.6, 2.0], 5, 0)


def test_all_pairs_are_merged_and_random_sets_once_each() -> None:
    merges = merging.drawn("abcdefg", [1.0, 2.0], 30, 1)
    sets = [one.names for one in merges if one.reach == 1]
    assert sets[:21] == [*combinations("abcdefg", 2)]
    assert len(set(sets)) == len(sets) == 51
    assert {len(names) for names in sets} == {2, 3, 4, 5, 6}
    assert len(merging.drawn(TASKS, [1.0], 5, 0)) == 4
    one = merging.Merge(("a", "b", "c"), 1.5)
    assert one.mix == ctl.edit("PT", {"a": 0.5, "b": 0.5, "c": 0.5})


def test_pairs_are_equation_two_and_averages_equation_one() -> None:
    states, own, few = networks(), asked(), dict.fromkeys((2, 3), streams())
    table = merging.features(small(), states, own, few).set_index(["models", "lam"])
    pairs = ctl.compare(small(), states, ctl.addition("PT", TASKS, 1.0), streams())
    distance = pairs[pairs["metric"] == "distance"].groupby(["i", "j"])["mean"].last()
    for (i, j), part in pairs[pairs["metric"] == "epsilon"].groupby(["i", "j"]):
        row = table.loc[(f"{i}, {j}", 1.0)]
        assert row["epsilon_worst"] == pytest.approx(part["mean"].max(), rel=1e-6)
        assert row["distance"] == pytest.approx(distance[i, j], rel=1e-6)
        assert row["epsilon_last"] == pytest.approx(part["mean"].iloc[-1], rel=1e-6)
    average = merging.Merge(TASKS, 1.0).comparison()
    (known,) = ctl.averaging(TASKS)
    assert average.left == pytest.approx(known.left)
    assert [mix for _, mix in average.right] == [mix for _, mix in known.right]


def test_outcomes_are_those_of_a_loop() -> None:
    states, model = networks(), small()

    def accuracy(mix: dict[str, float], task: str) -> float:
        model.load_state_dict(ctl.combine(states, mix))
        inputs, targets = next(iter(streams()[task]))
        return float((model.eval()(inputs).argmax(-1) == targets).double().mean())

    table, alone = merging.outcomes(model, states, asked(), streams(), None)
    assert len(alone) == 4 * 3
    for row, one in zip(table.itertuples(), asked(), strict=True):
        own = [accuracy({name: 1.0}, name) for name in one.names]
        merged = [accuracy(one.mix, name) for name in one.names]
        best = max(np.mean([accuracy({n: 1.0}, t) for t in one.names]) for n in one.names)
        assert row.normalized == pytest.approx(np.mean(np.divide(merged, own)))
        assert row.gain == pytest.approx(np.mean(merged) - best)


def test_disagreement_of_pairs_is_half_of_their_disentanglement_error() -> None:
    states, few = networks(), dict.fromkeys((2, 3), streams())
    table = merging.disagreement(small(), states, asked(), few).set_index(["models", "lam"])
    planes = ctl.planes("PT", TASKS, [0.3, 1.0])
    known = ctl.disentanglement(small(), states, planes, streams())
    known = known[known["alpha_i"].eq(known["alpha_j"]) & known["measure"].eq("classification")]
    for row in known.itertuples():
        xi = table.loc[(f"{row.i}, {row.j}", row.alpha_i), "xi"]
        assert xi == pytest.approx(row.error / 2)


def test_task_vectors_of_a_merge_are_those_of_long_float64_vectors() -> None:
    states = networks()
    flat = {
        name: torch.cat([tensor.double().flatten() for tensor in state.values()])
        for name, state in states.items()
    }
    tau = {name: (flat[name] - flat["PT"]).numpy() for name in TASKS}
    table = merging.vectors(small(), states, asked()).set_index(["models", "lam"])
    for one in asked():
        row, own = table.loc[(", ".join(one.names), one.lam)], [tau[name] for name in one.names]
        pairs = list(combinations(own, 2))
        cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        assert row["length"] == pytest.approx(np.mean([np.linalg.norm(each) for each in own]))
        assert row["sum_length"] == pytest.approx(np.linalg.norm(one.lam * sum(own)))
        assert row["cosine"] == pytest.approx(np.mean(cosine))
        assert row["conflict"] == pytest.approx(np.mean([(a * b < 0).mean() for a, b in pairs]))


def test_weights_that_one_network_alone_has_changed_are_in_no_conflict() -> None:
    model = nn.Linear(3, 1, bias=False)
    start, a, b = (
        {"weight": torch.tensor([row])} for row in ([0.0] * 3, [1.0, 1, 0], [1.0, -1, 2])
    )
    assert merging.sign_conflict(model, start, a, b) == 0.5
    assert math.isnan(merging.sign_conflict(model, start, start, b))


def test_the_gradients_length_is_that_of_finite_differences() -> None:
    model = nn.Linear(3, 2).double()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, 1, 1, 0, 1, 0])

    def loss(weights: dict[str, torch.Tensor]) -> float:
        logits = inputs @ weights["weight"].T + weights["bias"]
        return float(nn.functional.cross_entropy(logits, targets))

    slopes = []
    for key, value in state.items():
        for place in range(value.numel()):
            ends = []
            for step in (1e-5, -1e-5):
                moved = value.clone()
                moved.view(-1)[place] += step
                ends.append(loss({**state, key: moved}))
            slopes.append((ends[0] - ends[1]) / 2e-5)
    batches = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    told = merging.gradient_norm(model, state, batches, "a")
    assert told == pytest.approx(np.linalg.norm(slopes), rel=1e-7)
    assert all(one.grad is None for one in model.parameters())


def test_a_line_is_told_of_folds_that_it_has_not_seen() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12))
    folds = np.array([[place % 3 == 0 for place in range(12)], [place > 7 for place in range(12)]])
    told = forecasts(x, y, folds)
    for fold, out in enumerate(folds):
        slope, offset = np.polyfit(x[~out], y[~out], 1)
        np.testing.assert_allclose(told[fold, out], offset + slope * x[out], rtol=1e-9)
        assert np.isnan(told[fold, ~out]).all()
    np.testing.assert_allclose(
        forecasts(x, 3 - 2 * x, folds)[folds], 3 - 2 * np.tile(x, 2)[folds.ravel()]
    )
    assert np.isnan(forecasts(x, y, np.ones((1, 12), bool))).all()
    with refused(ValueError, "one y and one group a sample"):
        forecasts(x, y, folds[:, 1:])


def test_the_best_cut_is_that_of_a_loop() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        x = generator.integers(0, 6, 15).astype(float)
        good = generator.random(15) < 0.2 + x / 10
        if good.all() or not good.any():
            continue
        cut, side = best_cut(x, good)
        said = side * (x - cut) > 0
        gained = said[good].mean() - said[~good].mean()
        cuts = (np.unique(x)[1:] + np.unique(x)[:-1]) / 2
        every = [
            (s * (x - c) > 0)[good].mean() - (s * (x - c) > 0)[~good].mean()
            for c in cuts
            for s in (1, -1)
        ]
        assert gained == pytest.approx(max(every))
    assert best_cut([1, 2, 3, 4], [True, True, False, False]) == (2.5, -1)
    assert math.isnan(best_cut([1, 2], [True, True])[0])


def test_a_partial_correlation_is_that_of_the_formula() -> None:
    generator = np.random.default_rng(2)
    x, y, z = generator.normal(size=(3, 30)) + generator.normal(size=30)
    table = pd.DataFrame({"x": x, "y": y, "z": z}).corr()
    xy, xz, yz = table.loc["x", "y"], table.loc["x", "z"], table.loc["y", "z"]
    known = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_correlation(x, y, z[:, None]) == pytest.approx(known)
    assert math.isnan(partial_correlation(2 * z + 1, y, z[:, None]))
    assert math.isnan(partial_correlation(x[:2], y[:2], z[:2, None]))
