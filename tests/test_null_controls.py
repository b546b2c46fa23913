"""Null controls: random vectors of equal effect, networks pretrained apart, other samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import same, small_tower
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl
from ctl_helpers.analysis.controls import apart, controlled, random_vectors
from ctl_helpers.analysis.displacement import _by_graph, displacement, first_layers
from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.models.mlp import MLP
from ctl_helpers.models.resnet import ResNet18
from ctl_helpers.models.t5 import small_t5

LAYERS = ("1", "3", "4")


def small_resnet() -> nn.Module:
    torch.manual_seed(2)
    return ResNet18(4, 3)


def smallest_t5() -> nn.Module:
    torch.manual_seed(4)
    sizes = {"width": 8, "head_width": 4, "inner": 16, "layers": 2, "heads": 2}
    return small_t5(vocabulary=12, **sizes, buckets=4, distance=8)


def features(model: nn.Module, state: dict[str, Tensor], x: Tensor, layer: str) -> np.ndarray:
    """A layer's feature by a hook of the test's own, (samples, width) in float64."""
    seen: list[Tensor] = []
    model.eval()
    with torch.no_grad():
        hook = model.get_submodule(layer).register_forward_hook(
            lambda module, given, output: seen.append(output.clone())
        )
        functional_call(model, state, (x,))
        hook.remove()
    return seen[0].double().flatten(1).numpy()


def learned(model: nn.Module, names: str = "ab") -> dict[str, dict[str, Tensor]]:
    """Networks whose task vectors are of rank one, so that shuffling changes what they do."""
    checkpoints = {"PT": {key: value.clone() for key, value in model.state_dict().items()}}
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        checkpoints[name] = {}
        for key, value in checkpoints["PT"].items():
            moved = value.clone()
            if value.dim() > 1:
                rows, columns = value.flatten(1).shape
                rank_one = torch.randn(rows, 1) @ torch.rand(1, columns)
                moved += 0.3 * value.std() * rank_one.view_as(value).to(value)
            elif key.endswith("running_var"):
                moved *= 0.9
            checkpoints[name][key] = moved
    return checkpoints


def test_displacement_is_the_root_of_the_mean_square(net, around, inputs) -> None:
    checkpoints, x = around(net, "pa"), inputs(23)
    mixes = {"p": 1.0}, {"p": 0.6, "a": 0.4}
    found = displacement(net, checkpoints, *mixes, x.split(10), LAYERS)
    middle = {key: 0.6 * value + 0.4 * checkpoints["a"][key] for key, value in
              checkpoints["p"].items()}  # fmt: skip
    for layer, value in zip(LAYERS, found.tolist(), strict=True):
        moves = features(net, middle, x, layer) - features(net, checkpoints["p"], x, layer)
        assert value == pytest.approx(np.sqrt((moves**2).sum(1).mean()), rel=1e-12)


def test_random_vectors_are_shuffled_and_stretched_layer_by_layer(net, inputs) -> None:
    checkpoints = learned(net)
    found, _ = random_vectors(net, checkpoints, "PT", "ab", [inputs(60)], 0, layers=LAYERS)
    assert list(found) == ["PT", "a", "b"]
    assert found["PT"] is checkpoints["PT"]
    for name in "ab":
        stretched = {}
        for key, start in checkpoints["PT"].items():
            vector = (checkpoints[name][key] - start).flatten()
            random = (found[name][key] - start).flatten()
            if not vector.any():
                assert not random.any()
                continue
            factor = (random.norm() / vector.norm()).item()
            stretched[key] = factor
            expected = factor * vector.sort().values
            torch.testing.assert_close(random.sort().values, expected, rtol=1e-9, atol=1e-9)
            assert not torch.allclose(random, factor * vector, rtol=0.1)
        assert len({round(factor, 6) for factor in stretched.values()}) == 3


CASES = {
    "mlp": (lambda: MLP(6, 32, 2, 3), lambda: torch.randn(64, 6)),
    "tower": (small_tower, lambda: torch.rand(16, 3, 16, 16)),
    "resnet": (small_resnet, lambda: torch.rand(16, 3, 16, 16)),
    "t5": (
        smallest_t5,
        lambda: {
            "input_ids": torch.randint(2, 12, (40, 7)),
            "attention_mask": torch.ones(40, 7, dtype=torch.long),
        },
    ),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_random_vectors_move_features_as_far_at_every_layer(kind: str) -> None:
    make, draw = CASES[kind]
    torch.manual_seed(0)
    model, batch = make(), draw()
    checkpoints = learned(model, "a")
    _, table = random_vectors(model, checkpoints, "PT", ["a"], [batch], 1, reach=0.8)
    assert table.columns.tolist() == ["i", "layer", "moved"]
    assert table["layer"].tolist() == list(model.feature_layers)
    assert table["moved"].between(0.9, 1.1).all()


def test_moved_is_measured_at_the_reach_on_all_samples(net, inputs) -> None:
    checkpoints, streams = learned(net), {"a": inputs(90).split(30), "b": inputs(40, 1).split(30)}
    found, table = random_vectors(
        net, checkpoints, "PT", "ab", streams, 3, 0.5, LAYERS, samples=20, rounds=2
    )
    for name, rows in table.groupby("i"):
        x = torch.cat(list(streams[name]))
        for row in rows.itertuples():

            def moved(end, x=x, layer=row.layer) -> float:
                half = {key: (value + end[key]) / 2 for key, value in checkpoints["PT"].items()}
                move = features(net, half, x, layer) - features(net, checkpoints["PT"], x, layer)
                return float(np.sqrt((move**2).sum(1).mean()))

            expected = moved(found[name]) / moved(checkpoints[name])
            assert row.moved == pytest.approx(expected, rel=1e-9)
    assert (table["moved"] - 1).abs().max() > 1e-4  # found on other samples


def test_a_linear_network_is_matched_exactly(inputs) -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Linear(6, 4), nn.Flatten()).double()
    _, table = random_vectors(
        linear, learned(linear), "PT", "ab", [inputs(30)], 0, layers=["0"], rounds=2
    )
    assert table["moved"].tolist() == pytest.approx([1, 1], rel=1e-12)


def test_what_the_caller_has_stays_and_seeds_differ(net, inputs) -> None:
    checkpoints = learned(net, "a")
    before = {name: {k: v.clone() for k, v in state.items()} for name, state in checkpoints.items()}
    net.train()
    first, again, other = (
        random_vectors(net, checkpoints, "PT", "a", [inputs(20)], seed, layers=LAYERS)[0]["a"]
        for seed in (0, 0, 1)
    )
    assert all(same(state, before[name]) for name, state in checkpoints.items())
    assert same(first, again)
    assert not same(first, other)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())


def test_running_statistics_stay_those_of_the_pretrained_network() -> None:
    model = small_resnet()
    checkpoints = learned(model, "a")
    found, _ = random_vectors(
        model, checkpoints, "PT", "a", [torch.rand(8, 3, 16, 16)], 0, rounds=1
    )
    buffers = [name for name, _ in model.named_buffers()]
    assert any(not torch.equal(checkpoints["a"][n], checkpoints["PT"][n]) for n in buffers)
    assert all(torch.equal(found["a"][name], checkpoints["PT"][name]) for name in buffers)


def test_lazy_checkpoints_stay_lazy_and_give_the_same(net, inputs) -> None:
    checkpoints = learned(net, "a")
    reads: list[str] = []
    held = checkpoints["a"]
    lazy = LazyState(held, lambda name: reads.append(name) or held[name])
    plain, found = (
        random_vectors(
            net, {**checkpoints, "a": end}, "PT", "a", [inputs(20)], 0, layers=LAYERS, rounds=2
        )
        for end in (held, lazy)
    )
    assert isinstance(found[0]["a"], LazyState)
    reads.clear()
    assert torch.equal(found[0]["a"]["2.weight"], plain[0]["a"]["2.weight"])
    assert reads == ["2.weight"]
    pd.testing.assert_frame_equal(plain[1], found[1])


class Tied(nn.Module):
    """The output is read with the weights that embed the input; its bias is no tapped layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu_(self.body(torch.relu(self.embed(x)))))


def test_each_parameter_goes_with_the_first_layer_that_it_reaches(inputs) -> None:
    model = Tied()
    found = first_layers(model, model.state_dict(), inputs(9).float(), ["body", "embed"])
    body = {"body.weight": "body", "body.bias": "body", "head.bias": "body"}
    first = ("embed.weight", "embed.bias", "head.weight")
    assert found == {**body, **dict.fromkeys(first, "embed")}
    checkpoints = learned(model, "a")
    checkpoints["a"]["head.weight"] = checkpoints["a"]["embed.weight"]
    ends, _ = random_vectors(
        model, checkpoints, "PT", "a", [inputs(9).float()], 0, layers=["embed", "body"]
    )
    assert torch.equal(ends["a"]["head.weight"], ends["a"]["embed.weight"])


def test_stages_say_the_same_as_the_graph() -> None:
    model, batch = smallest_t5(), CASES["t5"][1]()
    state, layers = model.state_dict(), [*model.feature_layers, *model.norm_layers]
    found = first_layers(model, state, batch, layers)
    assert found["shared.weight"] == "states.encoder.0"
    assert found["encoder.final_layer_norm.weight"] == "states.encoder.norm"
    by_graph, _ = _by_graph(model, state, batch, layers, torch.device("cpu"))
    assert found == by_graph


def test_every_second_network_is_pretrained_apart() -> None:
    (pair,) = apart(ctl.pairs("ab", [0.25]), "ab")
    assert (pair.left, pair.tasks) == ({"a": 0.25, "b′": 0.75}, ("a", "b"))
    assert [mix for _, mix in pair.right] == [{"a": 1.0}, {"b′": 1.0}]
    assert pair.baseline == [({"a": 1.0}, {"b′": 1.0})]
    assert pair.params == {"i": "a", "j": "b", "alpha": 0.25}
    (single,) = apart(ctl.negation("PT", "a", [0.4]), "ab")
    assert single.left == {"PT": 1.0}
    assert [mix for _, mix in single.right] == [{"PT": 0.6, "a′": 0.4}, {"PT": 1.4, "a′": -0.4}]
    (average,) = apart(ctl.averaging("abcd", ["dca"]), "abcd")
    assert set(average.left) == {"a", "c′", "d"}


def naive_epsilon(model, ends, i, j, x: Tensor, layer: str, shift: int) -> float:
    """ε of a pair at α = ½, by its definition and sample by sample."""
    middle = {key: (value + ends[j][key]) / 2 for key, value in ends[i].items()}
    left, a, b = (features(model, state, x, layer) for state in (middle, ends[i], ends[j]))
    above = below = 0.0
    for n in range(len(x)):
        right = (a[n] + b[n]) / 2
        above += ((left[n - shift] - right) ** 2).sum()
        below += (((a[n] - right) ** 2).sum() + ((b[n] - right) ** 2).sum()) / 2
    return float(np.sqrt(above / below))


def test_epsilon_of_all_controls_is_that_of_a_naive_loop(net, around, inputs) -> None:
    checkpoints = {"PT": around(net, "p")["p"], **around(net, "ab")}
    foreign = {"PT": around(net, "xyzw")["w"], **around(net, "ba", scale=0.8)}
    x = inputs(25)
    random, _ = random_vectors(net, checkpoints, "PT", "ab", [x], 0, layers=LAYERS)
    asked = ctl.pairs("ab", [0.5])
    options = {"random": random, "layers": LAYERS, "scratch": foreign}
    table = controlled(net, checkpoints, "PT", "ab", asked, [x], foreign=foreign, **options)
    expected = {
        "task vectors": (checkpoints, 0),
        "pretrained apart": ({"a": checkpoints["a"], "b": foreign["b"]}, 0),
        "from random weights": (foreign, 0),
        "random vectors": (random, 0),
        "other samples": (checkpoints, 1),
    }
    assert list(dict.fromkeys(table["control"])) == list(expected)
    found = table[table["metric"] == "epsilon"].set_index(["control", "layer"])["mean"]
    for control, (ends, shift) in expected.items():
        for layer in LAYERS:
            naive = naive_epsilon(net, ends, "a", "b", x, layer, shift)
            assert found[control, layer] == pytest.approx(naive, rel=1e-9)
    rows = table.groupby("control")[["i", "j", "layer", "metric"]]
    assert all(part.values.tolist() == table.iloc[: len(part)][part.columns].values.tolist()
               for _, part in rows)  # fmt: skip
    for alike in (None, {**foreign, "PT": checkpoints["PT"]}):
        left = controlled(net, checkpoints, "PT", "ab", asked, [x], foreign=alike, **options)
        assert set(left["control"]) == {*expected} - {"pretrained apart"}
    del options["scratch"]
    left = controlled(net, checkpoints, "PT", "ab", asked, [x], **options)
    assert list(dict.fromkeys(left["control"])) == [*expected][:1] + [*expected][3:]
