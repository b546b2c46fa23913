"""Averages and edited models: the builders against the equations, written out on weights."""

from __future__ import annotations

import pytest
import torch
from conftest import formulas, refused
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl

LAMBDAS = [0.2, 0.4, 0.5, 1.0]
TWENTY = [f"m{number}" for number in range(20)]


class Weights(dict):
    """A state dict with arithmetic, so that equations can be written as in the paper."""

    def __add__(self, other: Weights) -> Weights:
        return Weights({key: value + other[key] for key, value in self.items()})

    def __sub__(self, other: Weights) -> Weights:
        return self + -1 * other

    def __rmul__(self, factor: float) -> Weights:
        return Weights({key: factor * value for key, value in self.items()})


@pytest.fixture
def states(net, around) -> dict[str, Weights]:
    return {name: Weights(state) for name, state in around(net, "abcp").items()}


@pytest.fixture
def f(net):
    """The output of the network, all samples at once, with weights given."""

    def output(weights: Weights, x: Tensor) -> Tensor:
        return functional_call(net, dict(weights), (x,)).detach()

    return output


def check(net, states, comparisons, streams, wanted) -> None:
    """``wanted(params, x)`` gives (left, right, baseline pairs) for the samples of the tasks."""
    table = ctl.compare(net, states, comparisons, streams, [""])
    found = table.set_index(["comparison", "metric"])["mean"]
    for position, one in enumerate(comparisons):
        x = torch.cat([streams[task][0] for task in one.tasks or streams])
        for metric, values in formulas(*wanted(one.params, x)).items():
            mean = pytest.approx(values.mean(), rel=1e-9, abs=1e-12)
            assert found[position, metric] == mean, metric
    assert (found.xs("distance", level="metric") > 1e-6).all()


@pytest.fixture
def streams(inputs) -> dict[str, list[Tensor]]:
    return {"a": [inputs(11, 1)], "b": [inputs(7, 2)], "c": [inputs(5, 3)]}


def test_an_edit_is_the_pretrained_model_plus_task_vectors(states) -> None:
    p, a, b = states["p"], states["a"], states["b"]
    mixed = ctl.combine(states, ctl.edit("p", {"a": 0.3, "b": -2.0}))
    wanted = p + 0.3 * (a - p) + -2.0 * (b - p)
    for key, value in mixed.items():
        torch.testing.assert_close(value, wanted[key], rtol=1e-12, atol=1e-12)
    assert ctl.edit("p", {"a": 0.4, "b": 0.6}) == {"a": 0.4, "b": 0.6}
    assert ctl.edit("p", {}) == ctl.edit("p", {"a": 0.0}) == {"p": 1.0}
    with pytest.raises(ValueError, match="'p' is the pretrained model"):
        ctl.edit("p", {"p": 1.0})


def test_averages_agree_with_equation_1_and_theorem_4_2(net, states, f, streams) -> None:
    unequal = {"c": 0.2, "a": 0.7, "b": 0.1}
    comparisons = ctl.averaging("abc", ["abc", ["b", "c"], unequal], params={"draw": 5})
    assert [one.params for one in comparisons] == [
        {"k": 3, "models": "a, b, c", "weights": "equal", "draw": 5},
        {"k": 2, "models": "b, c", "weights": "equal", "draw": 5},
        {"k": 3, "models": "a, b, c", "weights": "unequal", "draw": 5},
    ]

    def wanted(params, x):
        names = params["models"].split(", ")
        alphas = unequal if params["weights"] == "unequal" else dict.fromkeys(names, 1 / len(names))
        mean = states[names[0]] - states[names[0]]
        for name in names:
            mean = mean + alphas[name] * states[name]
        left, parts = f(mean, x), [f(states[name], x) for name in names]
        right = sum(alphas[name] * part for name, part in zip(names, parts, strict=True))
        return left, right, [(left, part) for part in parts]

    check(net, states, comparisons, streams, wanted)
    assert ctl.averaging("abc")[0].right == comparisons[0].right
    assert ctl.averaging("ab", tasks=["b"])[0].tasks == ["b"]


def test_additions_agree_with_equation_2(net, states, f, streams) -> None:
    comparisons = ctl.addition("p", "abc", LAMBDAS)
    assert len(comparisons) == 3 * len(LAMBDAS)
    assert comparisons[1].params == {"i": "a", "j": "b", "lam": 0.4}
    assert comparisons[1].tasks == ("a", "b")

    def wanted(params, x):
        p, lam = states["p"], params["lam"]
        tau_i, tau_j = (states[params[name]] - p for name in "ij")
        one, other = f(p + 2 * lam * tau_i, x), f(p + 2 * lam * tau_j, x)
        return f(p + lam * (tau_i + tau_j), x), one / 2 + other / 2, [(one, other)]

    check(net, states, comparisons, streams, wanted)
    assert ctl.addition("p", "ab", [1.0], tasks=["c"])[0].tasks == ("c",)


def test_negations_agree_with_equation_3(net, states, f, streams) -> None:
    comparisons = ctl.negation("p", "abc", LAMBDAS)
    assert comparisons[-1].params == {"i": "c", "lam": 1.0}
    assert comparisons[-1].tasks == ("c",)

    def wanted(params, x):
        p, tau = states["p"], states[params["i"]] - states["p"]
        plus, minus = (f(p + s * params["lam"] * tau, x) for s in (1, -1))
        return f(p, x), plus / 2 + minus / 2, [(plus, minus)]

    check(net, states, comparisons, streams, wanted)


def test_sums_of_components_agree_with_theorem_4_3(net, states, f, streams) -> None:
    alphas = {k: 0.8 / (k + 1) for k in (1, 2, 3)} | {3: 0.1}
    comparisons = ctl.disentangled("p", "abc", alphas, params={"grid": "x"})
    assert [one.tasks for one in comparisons] == [("a",), ("a", "b"), ("a", "b", "c")]
    assert comparisons[2].params == {"k": 3, "models": "a, b, c", "alpha": 0.1, "grid": "x"}

    def wanted(params, x):
        p, k, alpha = states["p"], params["k"], params["alpha"]
        edited, parts = p, [f(p, x)]
        for name in "abc"[:k]:
            tau = states[name] - p
            edited = edited + alpha * tau
            parts.append(f(p + (k + 1) * alpha * tau, x))
        left = f(edited, x)
        return left, sum(parts) / (k + 1), [(left, part) for part in parts]

    check(net, states, comparisons, streams, wanted)


def test_a_linear_network_fulfils_every_equation(around) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(6, 7).double()
    asked = [
        *ctl.averaging("abc", ["ab", "abc", {"a": 0.1, "b": 0.2, "c": 0.7}]),
        *ctl.addition("p", "abc", LAMBDAS),
        *ctl.negation("p", "abc", LAMBDAS),
        *ctl.disentangled("p", "abc", {1: 0.4, 2: -0.3, 3: 0.2}),
    ]
    x = torch.randn(40, 6, dtype=torch.float64)
    table = ctl.compare(linear, around(linear, "abcp"), asked, [x], [""])
    value = table.set_index(["comparison", "metric"])["mean"].unstack()
    assert value["distance"].abs().max() < 1e-12
    assert (value["coef"] - 1).abs().max() < 1e-11
    assert (value["baseline"] > 1e-3).all()


def test_models_are_run_once_whatever_asks_for_them(net, states, inputs) -> None:
    """λ = 0.4 of Eq. 2 needs the models of λ = 0.8 in Eq. 3; every edit of one task is shared."""
    counted = []
    net.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    asked = [*ctl.addition("p", "abc", [0.4]), *ctl.negation("p", "abc", [0.8])]
    ctl.compare(net, states, asked, [inputs(4)], [""])
    assert counted.count(4) == 3 + 3 + 3 + 1  # left of Eq. 2, +0.8τ, −0.8τ, pretrained
    assert counted.count(1) == len(counted) - 10 == 2  # of one sample on trial


def test_twenty_models_give_their_triples() -> None:
    from itertools import combinations

    found = ctl.averaging(TWENTY, combinations(TWENTY, 3))
    assert len(found) == 1140
    assert found[-1].params["models"] == "m17, m18, m19"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ctl.averaging("ab", ["ac"]), "'c' is none of the models"),
        (lambda: ctl.averaging("aab"), "occurs twice"),
        (lambda: ctl.averaging("ab", [{"a": 0.5, "b": 0.6}]), "are no average"),
        (lambda: ctl.averaging("ab", [{"a": 1.5, "b": -0.5}]), "are no average"),
        (lambda: ctl.addition("p", "aa", [1.0]), "occurs twice"),
        (lambda: ctl.addition("a", "ab", [1.0]), "'a' is the pretrained model"),
        (lambda: ctl.negation("p", "aa", [1.0]), "occurs twice"),
        (lambda: ctl.disentangled("p", "ab", {3: 0.1}), "alphas has k = 3, but there are 2 models"),
        (lambda: ctl.disentangled("p", "aa", {1: 0.1}), "occurs twice"),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence) -> None:
    with refused(ValueError, sentence):
        call()


def test_averages_grow_one_model_at_a_time_in_each_draw() -> None:
    found = ctl.growing("abcd", draws=2, seed=0)
    seen = [(each.params["draw"], each.params["k"], each.params["weights"]) for each in found]
    sizes, kinds = ((0, 2), (0, 3), (0, 4), (1, 2), (1, 3)), ("equal", "unequal")
    assert seen == [(draw, k, kind) for draw, k in sizes for kind in kinds]
    for first, second in zip(found[0:4:2], found[2:6:2], strict=True):
        assert set(first.left) < set(second.left)
    assert all(each.tasks is None for each in found)
    again, other = ctl.growing("abcd", 2, 0), ctl.growing("abcd", 2, 1)
    assert [each.left for each in again] == [each.left for each in found]
    assert [each.left for each in other] != [each.left for each in found]


def test_no_set_of_models_is_drawn_twice() -> None:
    found = ctl.growing("abcd", draws=9, seed=2)
    drawn = [(each.params["weights"], frozenset(each.left)) for each in found]
    assert len(drawn) == len(set(drawn)) == 2 * (6 + 4 + 1)  # all that there are
    triples = [each for each in ctl.growing("abcde", draws=5, seed=0) if each.params["k"] == 4]
    assert len(triples) == 2 * 5
