"""Merging methods and the choice of their strength: against naive loops in float64."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.analysis import levels, merge_strength, merging
from ctl_helpers.analysis.merge_names import MergeMethod


def drawn(seed: int, tasks: str = "abc") -> dict[str, dict[str, torch.Tensor]]:
    """Task vectors of a tensor of two dimensions and one of one."""
    generator = torch.Generator().manual_seed(seed)
    return {
        task: {
            "w": torch.randn(5, 7, generator=generator),
            "b": 0.3 * torch.randn(9, generator=generator),
        }
        for task in tasks
    }


def mean(parts) -> dict[str, torch.Tensor]:
    """The merged task vector."""
    names = next(iter(parts.values()))
    return {name: torch.stack([p[name].double() for p in parts.values()]).mean(0) for name in names}


@pytest.mark.parametrize("keep", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_ties_is_what_a_loop_over_entries_gives(seed: int, keep: float) -> None:
    vectors = drawn(seed)
    flat = {task: [x for t in own.values() for x in t.flatten().double().tolist()]
            for task, own in vectors.items()}  # fmt: skip
    count = round(keep * 44)
    for task, row in flat.items():
        large = sorted(row, key=abs, reverse=True)[:count]
        flat[task] = [x if x in large else 0.0 for x in row]
    known = []
    for column in zip(*flat.values(), strict=True):
        sign = 1 if sum(column) >= 0 else -1
        agreeing = [x for x in column if x * sign > 0]
        known.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    told = mean(merging.ties(vectors, keep))
    told = torch.cat([told["w"].flatten(), told["b"]])
    torch.testing.assert_close(told, torch.tensor(known).double(), rtol=1e-6, atol=1e-9)


def test_dare_drops_the_share_rescales_the_rest_and_repeats_itself() -> None:
    vectors = {task: {"w": torch.full((200, 200), 2.0)} for task in "ab"}
    parts = merging.dare(vectors, 0.75, seed=3)
    assert set(parts["a"]["w"].unique().tolist()) == {0.0, 8.0}
    assert parts["a"]["w"].mean().item() == pytest.approx(2, abs=0.1)
    assert not torch.equal(parts["a"]["w"], parts["b"]["w"])
    torch.testing.assert_close(parts, merging.dare(vectors, 0.75, seed=3))
    torch.testing.assert_close(merging.dare(vectors, 0.0), vectors)


@pytest.mark.parametrize(("small", "large"), [(0.4, 0.2), (0.0, 0.0), (0.8, 0.0)])
def test_breadcrumbs_keeps_what_lies_between_by_tensor(small: float, large: float) -> None:
    vectors = drawn(5)
    for task, part in merging.breadcrumbs(vectors, small, large).items():
        for name, change in vectors[task].items():
            order = sorted(change.flatten().tolist(), key=abs)
            count = len(order)
            kept = order[round(small * count) : count - round(large * count)]
            known = [x if x in kept else 0.0 for x in change.flatten().tolist()]
            assert part[name].flatten().tolist() == known


class Small(nn.Module):
    """A convolution of one pixel, a linear layer, and one that no hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel, self.wide = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3)
        self.last = nn.Linear(5, 2, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.wide(self.pixel(inputs))).mean((2, 3)))


def test_regmean_fits_every_tasks_outputs_best_on_its_own_inputs() -> None:
    torch.manual_seed(0)
    model = Small()
    states = {name: Small().state_dict() for name in ("PT", "a", "b")}
    streams = {task: [torch.randn(6, 3, 4, 4), torch.randn(2, 3, 4, 4)] for task in "ab"}
    grams = {t: merging.gram_matrices(model, states[t], streams[t]) for t in "ab"}
    assert set(grams["a"]) == {"pixel.weight", "last.weight"}
    pixels = torch.cat(streams["a"]).double().movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(grams["a"]["pixel.weight"].double(), pixels.T @ pixels, rtol=1e-5,
                               atol=1e-5)  # fmt: skip
    vectors = merging.vectors(model, states, "PT", "ab")
    parts = merging.regmean(vectors, grams, diagonal=0.0)
    told = states["PT"]["pixel.weight"].double() + mean(parts)["pixel.weight"]
    rows = {t: torch.cat(streams[t]).double().movedim(1, -1).reshape(-1, 3) for t in "ab"}
    outputs = [rows[t] @ states[t]["pixel.weight"].double().flatten(1).T for t in "ab"]
    known = np.linalg.lstsq(torch.cat(list(rows.values())), torch.cat(outputs), rcond=None)[0]
    np.testing.assert_allclose(told.flatten(1).T, known, atol=1e-5)
    for name in ("wide.weight", "pixel.bias"):  # averaged
        torch.testing.assert_close(mean(parts)[name], mean(vectors)[name])
    # Where all tasks have the same inputs, nothing is weighed.
    same = dict.fromkeys("ab", grams["a"])
    told = mean(merging.regmean(vectors, same, 0.3))["last.weight"]
    torch.testing.assert_close(told, mean(vectors)["last.weight"], rtol=1e-4, atol=1e-5)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.two(torch.tanh(self.one(inputs)))


def test_tied_weights_stay_tied_whatever_is_dropped() -> None:
    model, states = Tied(), {name: Tied().state_dict() for name in ("PT", "a")}
    vectors = merging.vectors(model, states, "PT", "a")
    assert set(vectors["a"]) == {"one.weight"}
    end = merging.ends(model, states["PT"], merging.dare(vectors, 0.5))["a"]
    torch.testing.assert_close(end["one.weight"], end["two.weight"])
    whole = merging.ends(model, states["PT"], vectors)["a"]
    torch.testing.assert_close(whole, dict(states["a"]))


def test_the_largest_strength_is_taken_without_gaps() -> None:
    epsilons = pd.Series({0.5: 0.1, 1.0: 0.3, 2.0: 0.6, 3.0: 0.4})
    assert levels.largest(epsilons, 0.5) == 1.0
    assert levels.largest(epsilons, 0.7) == 3.0
    assert levels.largest(epsilons, 0.05) == 0.0
    assert levels.largest(epsilons * math.nan, 0.5) == 3.0  # nothing moves here


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 4)
        self.feature_layers = ("a", "b")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.a(inputs)))


@pytest.fixture
def bench() -> merge_strength.Bench:
    torch.manual_seed(1)
    states = {"PT": Deep().state_dict()}
    for task in "xyz":
        moved = {
            name: value + 0.8 * torch.randn_like(value) for name, value in states["PT"].items()
        }
        states[task] = moved
    streams = {
        split: {task: [(torch.randn(40, 3), torch.randint(0, 4, (40,)))] for task in "xyz"}
        for split in ("held-out", "test")
    }
    own = {split: dict.fromkeys("xyz", 0.5) for split in streams}
    return merge_strength.Bench(
        Deep(), states, "PT", None, streams, lambda names: {t: streams["test"][t] for t in names},
        own,
    )  # fmt: skip


def test_a_bench_scores_every_merge_and_chooses_without_labels(bench) -> None:
    names, strengths = ["x", "y", "z"], [0.5, 1.0, 2.0]
    recipes = {MergeMethod.ARITHMETIC: dict, MergeMethod.TIES: merging.ties}
    merges, along = merge_strength.merged(bench, names, recipes, strengths, 0.3)
    assert set(merges["method"]) == {*map(str, recipes), *map(str, (
        MergeMethod.START, MergeMethod.AVERAGE, MergeMethod.EPSILON, MergeMethod.ENTROPY,
        MergeMethod.LAYERS))}  # fmt: skip
    assert (merges.groupby("method").size() == 3).all()
    assert merges["share"].tolist() == pytest.approx((2 * merges["accuracy"]).tolist())
    # By hand: the average's features at the last layer against the mean of the networks' own.
    inputs = torch.cat([batch for stream in bench.streams["test"].values() for batch, _ in stream])

    def output(weights) -> torch.Tensor:
        return torch.func.functional_call(Deep().double(), weights, inputs.double())

    wide = {n: {k: v.double() for k, v in s.items()} for n, s in bench.checkpoints.items()}
    middle = output({k: sum(wide[n][k] for n in names) / 3 for k in wide["PT"]})
    parts = [output(wide[n]) for n in names]
    right = sum(parts) / 3
    spread = sum((part - right).square().sum() for part in parts) / 3
    known = ((middle - right).square().sum() / spread).sqrt().item()
    at = along.set_index("strength").loc[1.0]
    assert (at["layer"], at["epsilon"]) == ("b", pytest.approx(known, rel=1e-5))
    chance = output(wide["PT"]).log_softmax(1)
    entropies = bench.entropies(bench.checkpoints, names, [0.0], bench.unlabelled(names))
    assert entropies.item() == pytest.approx(
        -(chance * chance.exp()).sum(1).mean().item(), rel=1e-5
    )
    chosen = merges.groupby("method")["strength"].first()
    assert chosen["strength by ε"] == levels.largest(along.set_index("strength")["epsilon"], 0.3)
    best = along.set_index("strength")["held_out"]
    assert chosen["task arithmetic"] == best.idxmax()
    assert chosen["strength by entropy"] == along.set_index("strength")["entropy"].idxmin()


def test_a_strength_per_layer_is_at_least_that_of_the_worst(bench) -> None:
    names, batches = ["x", "y"], bench.unlabelled(["x", "y"])
    by_layer = bench.epsilons(bench.checkpoints, names, [0.5, 1.0, 2.0], batches)
    known = merge_strength.Choices(by_layer, pd.Series({0.5: 1.0}), float(by_layer.loc[1.0, "b"]))
    assert known.chosen[MergeMethod.EPSILON] == 1.0
    assert known.layers == {"a": 2.0, "b": 1.0}  # the first layer is linear in its weights
    vectors = merging.vectors(bench.model, bench.checkpoints, "PT", names)
    layer_of = {"a.weight": "a", "a.bias": "a", "b.weight": "b"}
    scaled = merge_strength.scaled(vectors, layer_of, known.layers)["x"]
    torch.testing.assert_close(scaled["a.bias"], 2 * vectors["x"]["a.bias"])
    torch.testing.assert_close(scaled["b.bias"], vectors["x"]["b.bias"])


def test_a_plain_sum_is_task_arithmetic(bench) -> None:
    names = ["x", "y", "z"]
    plain = merging.vectors(bench.model, bench.checkpoints, "PT", names)
    merged = ctl.combine(bench.ends(plain), bench.mix(names, 1.2))
    known = ctl.combine(bench.checkpoints, ctl.edit("PT", dict.fromkeys(names, 0.4)))
    torch.testing.assert_close(merged, known)


def test_few_pairs_have_every_network() -> None:
    assert merge_strength.sets("abcd", 4) == [
        ("a", "b", "c", "d"), ("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")
    ]  # fmt: skip
    assert sorted(merge_strength.sets("abcd")[1:]) == list(combinations("abcd", 2))
    assert sorted(merge_strength.sets("abcde")[1:]) == list(combinations("abcde", 2))
