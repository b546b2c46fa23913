"""The engine against an oracle that stores every feature, and its properties."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import epsilon, formulas, refused, statistics
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl
from ctl_helpers.analysis.controls import permuted
from ctl_helpers.engine import compare, mixed_weights, tiles
from ctl_helpers.engine.hooks import taps
from ctl_helpers.engine.tensor_sums import mixed_tensors

ALPHAS = (0.25, 0.5, 0.75)
LAYERS = ("1", "3", "4")


def features(model: nn.Module, state: dict[str, Tensor], x: Tensor, layer: str) -> Tensor:
    """The output of one layer, run as one deep-copied prefix: no hooks, no engine."""
    names = [name for name, _ in model.named_children()]
    prefix = model[: names.index(layer) + 1]
    kept = {key: value for key, value in state.items() if key.split(".")[0] in names[: len(prefix)]}
    return functional_call(prefix, kept, (x,)).detach().double().flatten(1)


def oracle(model, checkpoints, comparisons, streams, layers) -> pd.DataFrame:
    """Every feature stored, every formula written as in the paper."""

    def mixed(mix: dict[str, float]) -> dict[str, Tensor]:
        keys = next(iter(checkpoints.values())).keys()
        return {key: sum(w * checkpoints[n][key].double() for n, w in mix.items()) for key in keys}

    rows = []
    for position, comparison in enumerate(comparisons):
        x = torch.cat([b for task in comparison.tasks for b in streams[task]]).double()
        for layer in layers:

            def f(mix, layer=layer, x=x) -> np.ndarray:
                return features(model.double(), mixed(mix), x, layer).numpy()

            left, parts = f(comparison.left), [(w, f(mix)) for w, mix in comparison.right]
            right = sum(weight * part for weight, part in parts)
            base = [(f(a), f(b)) for a, b in comparison.baseline]
            parts = parts if len(parts) > 1 else []
            for metric, values in formulas(left, right, base, parts).items():
                row = {"comparison": position, "layer": layer, "metric": metric}
                mean = epsilon(left, parts) if metric == "epsilon" else None
                rows.append(row | statistics(values, mean))
    return pd.DataFrame(rows)


def agree(table: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Number by number; ε is a root of differences, which keeps half of the digits near 0."""
    keys = ["comparison", "layer", "metric"]
    numbers = ["n", "mean", "std", "q25", "median", "q75"]
    found, wanted = (
        {
            is_epsilon: rows.sort_values(keys)[keys + numbers].reset_index(drop=True)
            for is_epsilon, rows in one.groupby(one["metric"] == "epsilon")
        }
        for one in (table, expected)
    )
    assert found.keys() == wanted.keys()
    for is_epsilon, rows in found.items():
        rough = {"rtol": 1e-6, "atol": 1e-6} if is_epsilon else {"rtol": 1e-9, "atol": 1e-12}
        pd.testing.assert_frame_equal(rows, wanted[is_epsilon], **rough)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("kind", ["pairs", "average", "addition", "negation"])
def test_agrees_with_the_oracle(kind, net, around, inputs) -> None:
    checkpoints = around(net, "abp")
    streams = {"a": inputs(37, 1).split(10), "b": inputs(23, 2).split(10)}
    comparisons = {
        "pairs": ctl.pairs("ab", ALPHAS),
        "average": ctl.averaging("abp", tasks=("a", "b")),
        "addition": ctl.addition("p", "ab", [0.4]),
        "negation": ctl.negation("p", "a", [0.4]),
    }[kind]
    table = ctl.compare(net, checkpoints, comparisons, streams, LAYERS)
    expected = oracle(net, checkpoints, comparisons, streams, LAYERS)
    agree(table, expected)
    assert list(table.columns) == [
        "comparison", *comparisons[0].params, "layer", "metric",
        "n", "mean", "std", "q25", "median", "q75",
    ]  # fmt: skip


def test_float32_features_are_compared_in_float64(net, around, inputs) -> None:
    """Distances far under float32's resolution of a cosine are still right to a few percent."""
    net = net.float()
    checkpoints = around(net, "ab", scale=1e-4)
    x = inputs(50).float()
    asked, streams = ctl.pairs("ab", [0.5], ["all"]), {"all": [x]}
    found, expected = (
        measure(net, checkpoints, asked, streams, LAYERS).set_index(["layer", "metric"])["mean"]
        for measure in (ctl.compare, oracle)
    )
    assert expected["4", "baseline"] < 1e-5
    for layer in LAYERS:
        assert found[layer, "baseline"] == pytest.approx(expected[layer, "baseline"], rel=1e-3)


def test_a_linear_network_is_exactly_ctl(around) -> None:
    torch.manual_seed(0)
    one_layer = nn.Sequential(nn.Flatten(), nn.Linear(12, 7)).double()
    x = torch.randn(40, 3, 4, dtype=torch.float64)
    table = ctl.compare(one_layer, around(one_layer, "ab"), ctl.pairs("ab", ALPHAS), [x], ["1"])
    value = table.set_index(["alpha", "metric"])["mean"]
    for alpha in ALPHAS:
        assert value[alpha, "distance"] == pytest.approx(0, abs=1e-14)
        assert value[alpha, "coef"] == pytest.approx(1, abs=1e-14)
        assert value[alpha, "baseline"] > 0.01


def test_the_ends_of_the_path_are_exact(net, around, inputs) -> None:
    table = ctl.compare(net, around(net, "ab"), ctl.pairs("ab", [0.0, 1.0]), [inputs(20)], LAYERS)
    worst = table[table.metric == "distance"]["mean"].abs().max()
    assert worst <= 1e-15
    assert np.allclose(table[table.metric == "coef"]["mean"], 1, atol=1e-15, rtol=0)


def test_the_order_of_checkpoints_and_batches_changes_nothing(net, around, inputs) -> None:
    checkpoints = around(net, "abc")
    x = inputs(30)
    first = ctl.compare(net, checkpoints, ctl.pairs("abc", [0.25]), [x], LAYERS)
    backwards = dict(reversed(checkpoints.items()))
    second = ctl.compare(net, backwards, ctl.pairs("cba", [0.75]), x.split(7), LAYERS)
    keys = ["pair", "layer", "metric"]
    tables = [
        t.assign(pair=["".join(sorted(p)) for p in t.i + t.j]).set_index(keys).sort_index()["mean"]
        for t in (first, second)
    ]
    pd.testing.assert_series_equal(*tables, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("shared", [False, True])
def test_sample_passes_are_as_few_as_promised(shared, net, around, inputs) -> None:
    k, n, a = 4, 10, len(ALPHAS)
    names = "wxyz"
    counted = []
    net.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    streams = {name: inputs(n, seed).split(3) for seed, name in enumerate(names)}
    ctl.compare(
        net,
        around(net, names),
        ctl.pairs(names, ALPHAS),
        [b for stream in streams.values() for b in stream] if shared else streams,
        LAYERS,
    )
    expected = (k + a * k * (k - 1) // 2) * k * n if shared else k * k * n + a * k * (k - 1) * n
    trial = [1, 1]  # before the first batch of 3 samples, and after it
    assert sum(counted) == expected + sum(trial)


def test_the_model_is_left_as_it_was(net, around, inputs) -> None:
    net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    ctl.compare(net, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(5)], LAYERS)
    labelled = [(inputs(5), torch.zeros(5, dtype=torch.long))]
    ctl.evaluate(net, around(net, "a"), [ctl.Evaluation({"a": 1.0})], labelled)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


class Block(nn.Module):
    """Takes keywords, returns a tuple, and changes a tapped tensor in place afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.inner = nn.LSTM(4, 4, batch_first=True)
        self.register_buffer("shift", torch.ones(4), persistent=False)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        h = self.first(x)
        h.add_(self.shift).relu_()
        return self.inner(h.unsqueeze(1) * scale)[0].mean(1)


def test_tuples_keywords_in_place_layers_and_buffers(around, inputs) -> None:
    torch.manual_seed(0)
    model = Block()
    checkpoints = around(model, "ab")
    x = inputs(9).float()
    table = ctl.compare(
        model, checkpoints, ctl.pairs("ab", [0.5]), [{"x": x, "scale": 2.0}], ["first", "inner"]
    )
    value = table.set_index(["layer", "metric"])["mean"]
    # Before the in-place change the first layer is linear in its weights.
    assert value["first", "distance"] == pytest.approx(0, abs=1e-12)
    assert value["inner", "distance"] > 1e-6


@pytest.mark.parametrize("layer", ["0", "0.attn", "1"])
def test_tokens_first_blocks_give_the_same_features(layer: str, around) -> None:
    """open_clip's older releases run their blocks with tokens first, newer with samples first."""
    torch.manual_seed(0)
    models = [
        nn.Sequential(*(ResidualAttentionBlock(8, 2, batch_first=first) for _ in range(2))).double()
        for first in (True, False)
    ]
    x, seen = torch.randn(5, 3, 8, dtype=torch.float64), []
    checkpoints = around(models[0], "ab")
    for model, batch in zip(models, (x, x.transpose(0, 1)), strict=True):
        model.load_state_dict(checkpoints["a"])
        with taps(model, [layer], samples=5) as tapped:
            model(batch)
        seen.append(tapped[layer])
    assert seen[0].shape == (5, 24)
    torch.testing.assert_close(*seen, rtol=0, atol=1e-12)


class Limited(nn.Module):
    """A network that runs out of memory above so many samples, on the device's own terms."""

    def __init__(self, net: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.net, self.most, self.error, self.calls = net, most, error, 0

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        self.calls += 1
        # Not in the first pass of a batch: what was seen by then must not count twice.
        if len(x) > self.most and self.calls % 3 == 0:
            raise self.error
        return self.net(x * scale)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "linux", "windows", "python"])
def test_a_batch_that_runs_out_of_memory_is_halved(error, net, around, inputs) -> None:
    batches = [{"x": inputs(n, n), "scale": torch.tensor(2.0)} for n in (13, 8, 3, 13)]
    asked = ctl.pairs("abc", ALPHAS)
    layers = [f"net.{layer}" for layer in LAYERS]
    whole, limited = Limited(net, 99, error), Limited(net, 4, error)
    checkpoints = around(whole, "abc")
    expected = ctl.measure(whole, checkpoints, asked, batches, layers).values
    with pytest.warns(UserWarning, match="memory ran out") as warned:
        found = ctl.measure(limited, checkpoints, asked, batches, layers).values
    assert [str(one.message).split(";")[0] for one in warned] == [
        "memory ran out, so that batches are run in parts of at most 4 samples"
    ]
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_permuted_samples_move_within_the_part_that_fits(net, around, inputs) -> None:
    def limited(module, args):
        if len(args[0]) > 6:
            raise torch.OutOfMemoryError

    checkpoints, x, asked = around(net, "abc"), inputs(12), permuted(ctl.pairs("abc", [0.5]))
    parts = ctl.measure(net, checkpoints, asked, x.split(6), LAYERS).values
    net[4].register_forward_pre_hook(limited)
    with pytest.warns(UserWarning, match="at most 6 samples"):
        found = ctl.measure(net, checkpoints, asked, [x], LAYERS).values
    for key, values in parts.items():
        torch.testing.assert_close(found[key], values, rtol=0, atol=0, equal_nan=True)


def test_other_errors_and_too_large_samples_are_not_retried(net, around, inputs) -> None:
    checkpoints, asked = around(net, "ab"), ctl.pairs("ab", [0.5])
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        ctl.compare(net, checkpoints, asked, [inputs(4)[:, :2]], LAYERS)
    with refused(RuntimeError, "one sample is too much for the memory"):
        ctl.compare(net, checkpoints, asked, [inputs(4)], LAYERS, max_memory=100)


def test_max_memory_bounds_what_is_held_and_changes_nothing_else(net, around, inputs) -> None:
    checkpoints, asked, x = around(net, "abc"), ctl.pairs("abc", ALPHAS), inputs(64)
    sizes = []
    net.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    free = ctl.compare(net, checkpoints, asked, [x], LAYERS)
    assert set(sizes) == {64, 1}  # of the trial
    sizes.clear()
    with pytest.warns(UserWarning, match="at most 16 samples"):
        bound = ctl.compare(net, checkpoints, asked, [x], LAYERS, max_memory=12_000)
    # Six passes are held at a time, of 16 samples with 8 + 5 + 3 values of 8 bytes.
    assert sizes[-1] == 16
    pd.testing.assert_frame_equal(free, bound, rtol=1e-12, atol=1e-12)


def test_what_all_checkpoints_share_is_not_mixed(net, around, inputs, monkeypatch) -> None:
    checkpoints = around(net, "abp")
    for state in checkpoints.values():
        state |= {key: checkpoints["a"][key].clone() for key in ("0.weight", "2.bias")}
    streams, asked = {"all": [inputs(9)]}, ctl.addition("p", "ab", [0.4], ["all"])
    one, baseline = [(1.0, {"a": 1.0})], [({"a": 1.0}, {"b": 1.0})]
    asked.append(ctl.Comparison({"a": 0.5, "b": 0.7}, one, baseline, ["all"]))
    asked.append(ctl.Comparison({"p": 2.0}, one, baseline, ["all"]))
    mixed = []

    def watched(states, mix, names):
        mixed.append((round(sum(weight for _, weight in mix), 9), len(names)))
        return mixed_tensors(states, mix, names)

    monkeypatch.setattr(mixed_weights, "mixed_tensors", watched)
    table = ctl.compare(net, checkpoints, asked, streams, LAYERS)
    assert sorted(mixed) == [(1.0, 4), (1.0, 4), (1.0, 4), (1.2, 6), (2.0, 6)]
    expected = oracle(net, checkpoints, asked, streams, LAYERS)
    agree(table, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_passes_deviate_little(dtype, net, around, inputs) -> None:
    """From float32: distances by a tenth of the type's resolution, the others by less than it."""
    net, x = net.float(), inputs(200).float()
    checkpoints, asked = around(net, "ab", scale=0.1), ctl.pairs("ab", ALPHAS)
    full, half = (
        ctl.compare(net, checkpoints, asked, [x], LAYERS, dtype=kind)
        .set_index(["alpha", "layer", "metric"])["median"]
        .unstack()
        for kind in (None, dtype)
    )
    away = (full - half).abs().max() / torch.finfo(dtype).eps
    assert 0 < away["distance"] < 0.1
    assert 0 < away["baseline"] < 1
    assert 0 < away["coef"] < 1
    with pytest.raises(ValueError, match=r"dtype is torch\.int8; choose"):
        ctl.compare(net, checkpoints, asked, [x], LAYERS, dtype=torch.int8)


def test_default_layers_are_the_models_own_or_its_children(net, around, inputs) -> None:
    table = ctl.compare(net, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(4)])
    assert list(dict.fromkeys(table.layer)) == list("01234")
    net.feature_layers = ("3",)
    assert ctl.feature_layers(net) == ("3",)


def test_zero_features_are_left_out_and_counted() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU()).double()
    state = {"0.weight": torch.eye(2, dtype=torch.float64)}
    other = {"0.weight": torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)}
    x = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [3.0, 1.0]], dtype=torch.float64)
    table = ctl.compare(model, {"a": state, "b": other}, ctl.pairs("ab", [0.5]), [x], ["1"])
    assert table["n"].tolist() == [2, 2, 2, 2]
    assert table["mean"].notna().all()


def test_permuted_samples_are_far_and_compared_as_said(net, around, inputs) -> None:
    checkpoints = around(net, "ab", scale=1e-6)
    x, asked = inputs(12), permuted(ctl.pairs("ab", [0.5]))
    found = ctl.measure(net, checkpoints, asked, [x], LAYERS).values
    f = features(net, checkpoints["a"], x, "4")
    cosines = torch.nn.functional.cosine_similarity(f.roll(1, 0), f)
    torch.testing.assert_close(found[0, "4", "distance"], 1 - cosines, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[0, "4", "baseline"], 1 - cosines, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="two or more samples"):
        ctl.measure(net, checkpoints, asked, [x[:1]], LAYERS)


def errors(table: pd.DataFrame, *keys: str) -> pd.Series:
    """The pooled ε of each row."""
    return table[table["metric"] == "epsilon"].set_index([*keys, "layer"])["mean"]


def test_epsilon_of_a_linear_network_is_zero(around) -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 7)).double()
    x = torch.randn(40, 3, 4, dtype=torch.float64)
    asked = [*ctl.pairs("abc", ALPHAS), *ctl.averaging("abc", [{"a": 0.1, "b": 0.2, "c": 0.7}])]
    table = ctl.compare(linear, around(linear, "abc"), asked, [x], ["1"])
    found = table[table["metric"] == "epsilon"]
    assert len(found) == len(asked)
    assert found[["mean", "q75"]].abs().max().max() < 1e-6


class Rounded(nn.Module):
    """Weights between those of two networks give what one of them gives."""

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.weight, self._round = nn.Parameter(torch.zeros(6, 4)), (torch.floor, torch.ceil)[up]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self._round(self.weight)


def test_epsilon_is_one_where_the_mixed_network_copies_an_end(inputs) -> None:
    torch.manual_seed(0)
    low = torch.randint(-2, 2, (6, 4)).double()
    ends = {"a": {"weight": low}, "b": {"weight": low + 1}}
    found = {
        up: errors(ctl.compare(Rounded(up), ends, ctl.pairs("ab", ALPHAS), [inputs(9)], [""]),
                   "alpha")
        for up in (False, True)
    }  # fmt: skip
    for copied in found.values():
        assert copied[0.5].item() == pytest.approx(1, rel=1e-12)
    # Drawn with its weight, an end is as far off as the parts are: one, for any weights.
    for alpha in ALPHAS:
        square = alpha * found[False][alpha].item() ** 2 + (1 - alpha) * found[True][alpha] ** 2
        assert square.item() == pytest.approx(1, rel=1e-12)


class Shifted(nn.Module):
    """A network whose features are scaled, and share a vector."""

    def __init__(self, net: nn.Module, scale: float, shift: float) -> None:
        super().__init__()
        self.net, self.scale, self.shift = net, scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.net(x) + self.shift


def test_a_common_part_and_the_scale_of_features_do_not_change_epsilon(net, around, inputs) -> None:
    states = {
        name: {f"net.{key}": value for key, value in state.items()}
        for name, state in around(net, "abc").items()
    }
    asked = [*ctl.pairs("ab", ALPHAS), *ctl.averaging("abc")]
    plain, moved = (
        ctl.compare(Shifted(net, *by), states, asked, [inputs(30)], [""])
        for by in ((1.0, 0.0), (3.0, 50.0))
    )
    same = {"check_names": False, "rtol": 1e-6}
    pd.testing.assert_series_equal(errors(plain), errors(moved), **same)
    distances = [table.query("metric == 'distance'")["mean"].mean() for table in (plain, moved)]
    assert distances[1] < distances[0] / 100


def test_epsilon_does_not_depend_on_how_many_networks_there_are(net, around, inputs) -> None:
    """Copies that share a weight are one network."""
    states = around(net, "ab")
    states |= {"a2": states["a"], "a3": states["a"], "b2": states["b"]}
    sets = [{"a": 0.3, "b": 0.7}, {"a": 0.1, "a2": 0.05, "a3": 0.15, "b": 0.3, "b2": 0.4}]
    table = ctl.compare(net, states, ctl.averaging(list(states), sets), [inputs(30)], LAYERS)
    two, five = (rows.droplevel("k") for _, rows in errors(table, "k").groupby("k"))
    assert (two > 0.01).all()
    pd.testing.assert_series_equal(two, five, rtol=1e-6)


def test_there_is_no_epsilon_where_the_right_side_is_no_average(net, around, inputs) -> None:
    a, b = {"a": 1.0}, {"b": 1.0}
    sides = [[(1.0, a)], [(1.2, a), (-0.2, b)], [(0.5, a), (0.4, b)], [(0.5, a), (0.5, b)]]
    asked = [ctl.Comparison({"a": 0.5, "b": 0.5}, side) for side in sides]
    table = ctl.compare(net, around(net, "ab"), asked, [inputs(9)], LAYERS)
    assert table.query("metric == 'epsilon'")["comparison"].unique().tolist() == [3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_parts_have_no_epsilon(dtype, net, around, inputs) -> None:
    net = net.to(dtype)
    states = around(net, "a")
    states["b"] = {key: value * (1 + torch.finfo(dtype).eps) for key, value in states["a"].items()}
    table = ctl.compare(net, states, ctl.pairs("ab", [0.5]), [inputs(9).to(dtype)], LAYERS)
    found = table[table["metric"] == "epsilon"]
    assert found["mean"].isna().all()
    assert (found["n"] == 0).all()


def test_epsilon_of_permuted_samples_is_computed_as_said(net, around, inputs) -> None:
    checkpoints, x = around(net, "ab"), inputs(12)
    asked = ctl.pairs("ab", [0.25])
    found = ctl.measure(net, checkpoints, permuted(asked), x.split(6), LAYERS)
    mixed = ctl.combine(checkpoints, asked[0].left)
    for layer in LAYERS:
        left, a, b = (
            features(net, state, x, layer) for state in (mixed, checkpoints["a"], checkpoints["b"])
        )
        moved = torch.cat([part.roll(1, 0) for part in left.split(6)]).numpy()
        parts = [(0.25, a.numpy()), (0.75, b.numpy())]
        assert found.pooled[0, layer] == pytest.approx(epsilon(moved, parts), rel=1e-9)
        right = 0.25 * a.numpy() + 0.75 * b.numpy()
        by_sample = formulas(moved, right, [(moved, right)], parts)["epsilon"]
        torch.testing.assert_close(
            found.values[0, layer, "epsilon"], torch.from_numpy(by_sample), rtol=1e-9, atol=0
        )


def test_epsilon_pools_all_samples_before_it_divides(net, around, inputs) -> None:
    """Whatever parts they come in, and not as the mean over samples or tasks."""
    checkpoints, x = around(net, "ab"), inputs(40)
    asked, scaled = ctl.pairs("ab", [0.5]), torch.cat([x[:20], 10 * x[20:]])
    streams = {"a": [scaled[:20]], "b": scaled[20:].split(7)}
    whole = ctl.measure(net, checkpoints, asked, [scaled], LAYERS)
    by_task = ctl.measure(net, checkpoints, asked, streams, LAYERS)
    with pytest.warns(UserWarning, match="memory ran out"):
        halved = ctl.measure(net, checkpoints, asked, [scaled], LAYERS, max_memory=12_000)
    for layer in LAYERS:
        pooled = whole.pooled[0, layer]
        assert by_task.pooled[0, layer] == pytest.approx(pooled, rel=1e-12)
        assert halved.pooled[0, layer] == pytest.approx(pooled, rel=1e-12)
        assert abs(whole.values[0, layer, "epsilon"].nanmean().item() / pooled - 1) > 0.01


def test_histogram_shares_add_up(net, around, inputs) -> None:
    found = ctl.measure(net, around(net, "ab"), ctl.pairs("ab", ALPHAS), [inputs(50)], LAYERS)
    bins = found.histogram("coef", [0.9, 0.95, 1.0, 1.05])
    totals = bins.groupby(["comparison", "alpha", "layer"])["share"].sum()
    assert len(totals) == len(ALPHAS) * len(LAYERS)
    assert np.allclose(totals, 1)


def test_triples_take_the_larger_premise() -> None:
    rows = [("a", "b", 1.0), ("a", "c", 2.0), ("b", "c", 5.0)]
    table = pd.DataFrame(rows, columns=["i", "j", "mean"]).assign(metric="epsilon")
    others = table.assign(metric="distance", mean=9.0)
    found = ctl.triples(pd.concat([table, others])).set_index(["i", "j", "k"])
    assert len(found) == 3
    assert found.loc[("a", "b", "c")].tolist() == [5.0, 2.0]
    assert found.loc[("b", "a", "c")].tolist() == [2.0, 5.0]
    assert found.loc[("a", "c", "b")].tolist() == [5.0, 1.0]


def test_a_pairs_error_is_the_root_mean_square_over_layers() -> None:
    pairs = [("a", "b", 0.3), ("a", "c", 0.6), ("b", "c", 0.1)]
    table = pd.DataFrame(
        {"i": i, "j": j, "layer": layer, "metric": "epsilon", "mean": factor * error}
        for i, j, error in pairs
        for layer, factor in (("first", 1.0), ("last", 7.0))
    )
    found = ctl.triples(table).set_index(["i", "j", "k"])
    assert found.loc[("a", "b", "c")].tolist() == pytest.approx([1.5, 3.0])  # √(1 + 49)/√2 = 5


@pytest.mark.parametrize("case", list(range(13)))
def test_bad_input_gets_one_sentence(case, net, around, inputs) -> None:
    good, x = around(net, "ab"), inputs(4)
    pairs = ctl.pairs("ab", [0.5])
    nan = {**good, "b": {**good["b"], "4.bias": good["b"]["4.bias"] * torch.nan}}
    huge = {**good, "b": {key: value * 1e200 for key, value in good["b"].items()}}
    clash = [ctl.Comparison({"a": 1.0}, [(1.0, {"b": 1.0})], params={"layer": 1})]
    sequence = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (12, 2)))
    calls = [
        (lambda: ctl.compare(net, good, ctl.pairs("ac", [0.5]), [x]), KeyError, "named 'c'"),
        (lambda: ctl.compare(net, nan, pairs, [x]), ValueError, "'b' has NaN"),
        (lambda: ctl.compare(net, good, pairs, [x], ["9"]), KeyError, "no layer '9'"),
        (lambda: ctl.compare(net, good, pairs, {"a": [x]}), KeyError, "no batches for task 'b'"),
        (lambda: ctl.compare(net, good, pairs, {"a": [x], "b": []}), ValueError, "task 'b' has no"),
        (lambda: ctl.compare(net, good, pairs, iter([])), ValueError, "stream has no samples"),
        (lambda: ctl.compare(net, good, pairs, x), TypeError, "one tensor"),
        (lambda: ctl.compare(net, good, pairs, {"x": x}), TypeError, "one dict of tensors"),
        (lambda: ctl.compare(net, good, [], [x]), ValueError, "no comparisons"),
        (lambda: ctl.compare(net, good, clash, [x]), ValueError, "'layer' is a column"),
        (lambda: ctl.compare(net, huge, pairs, [x]), ValueError, "not finite for the mix"),
        (lambda: ctl.pairs("aab", [0.5]), ValueError, "occurs twice"),
        (
            lambda: ctl.compare(sequence, {"a": {}, "b": {}}, pairs, [x], ["1"]),
            RuntimeError,
            "12 rows for 4 samples",
        ),
    ]
    call, kind, sentence = calls[case]
    with refused(kind, sentence):
        call()


def test_layers_that_run_twice_or_never_are_refused(around, inputs) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.unused, self.fc = nn.ReLU(), nn.ReLU(), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.fc(self.relu(x)))

    model = Twice().double()
    for layer, sentence in (("relu", "ran twice"), ("unused", "did not run")):
        with pytest.raises(RuntimeError, match=sentence):
            ctl.compare(model, around(model, "ab"), ctl.pairs("ab", [0.5]), [inputs(3)], [layer])


def test_all_pairs_come_once_with_alpha_on_the_first() -> None:
    found = ctl.pairs(["x", "y", "z"], [0.25, 0.75])
    assert [(c.params["i"], c.params["j"]) for c in found[::2]] == list(combinations("xyz", 2))
    assert found[0].left == {"x": 0.25, "y": 0.75}
    assert found[0].tasks == ("x", "y")


@pytest.mark.parametrize("streams", ["one", "by task"])
def test_many_comparisons_are_measured_in_tiles_with_the_same_table(
    net, around, inputs, monkeypatch: pytest.MonkeyPatch, streams: str
) -> None:
    names = [f"n{number}" for number in range(11)]
    state = around(net, "a")["a"]
    checkpoints = {
        name: {key: value + n * torch.sin(value + n) / 30 for key, value in state.items()}
        for n, name in enumerate(names)
    }
    one = list(inputs(20).split(8))
    batches = one if streams == "one" else dict.fromkeys(names, one)
    asked = ctl.pairs(names, [0.25, 0.5])
    whole = ctl.compare(net, checkpoints, asked, batches)
    sizes: list[int] = []
    measured = compare.measure

    def counted(*arguments: Any, **options: Any) -> Any:
        sizes.append(len(arguments[2]))
        return measured(*arguments, **options)

    monkeypatch.setattr(compare, "measure", counted)
    monkeypatch.setattr(compare, "MOST", 40)
    monkeypatch.setattr(tiles, "MOST", 40)
    # Of each comparison 4 metrics at 5 layers, by 20 samples or twice as many, in 8 bytes.
    room = 40 * 5 * 4 * 5 * (20 if streams == "one" else 40) * 8
    monkeypatch.setattr(tiles, "_BYTES", room // 2)
    pd.testing.assert_frame_equal(ctl.compare(net, checkpoints, asked, batches), whole)
    assert sizes == [40, 20, 20, 20, 10]
    assert whole.attrs["layers"]
    # A stream that is read once is not read again.
    sizes.clear()
    if streams == "one":
        pd.testing.assert_frame_equal(ctl.compare(net, checkpoints, asked, iter(batches)), whole)
        assert sizes == [110]


def test_tiles_have_few_checkpoints_and_each_comparison_once() -> None:
    asked = ctl.pairs([f"n{number}" for number in range(32)], [0.5])
    order = tiles.near_first(asked)
    assert sorted(order) == list(range(len(asked)))
    of_tiles = [order[place : place + 64] for place in range(0, len(order), 64)]
    counts = [len({n for p in tile for n in asked[p].left}) for tile in of_tiles]
    assert max(counts) <= 4 * tiles._SIDE
    assert sum(counts) < sum(
        len({n for p in range(place, min(place + 64, len(asked))) for n in asked[p].left})
        for place in range(0, len(asked), 64)
    )


def test_what_the_last_of_many_comparisons_lacks_is_told_before_the_first(
    net, around, inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MOST", 1)
    monkeypatch.setattr(compare, "measure", lambda *_, **__: pytest.fail("one was measured"))
    asked = ctl.pairs("abc", [0.5], tasks="a")
    with refused(KeyError, "no checkpoint named 'c'"):
        ctl.compare(net, around(net, "ab"), asked, {"a": [inputs(4)]})
    asked[-1] = dataclasses.replace(asked[-1], tasks=("b",))
    with refused(KeyError, "no batches for task 'b'"):
        ctl.compare(net, around(net, "abc"), asked, {"a": [inputs(4)]})
