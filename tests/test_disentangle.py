"""The disentanglement error against a plain loop, where it is zero, and how often models run."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import ctl_helpers as ctl
from ctl_helpers.engine.disentangle import GRID, MEASURES, Plane
from ctl_helpers.models.heads import ZeroShotHead

ALPHAS = (-2.0, -0.5, 0.0, 1.0)


@pytest.fixture
def states(net, around) -> dict[str, dict[str, Tensor]]:
    return around(net, "abcp")


@pytest.fixture
def streams(inputs) -> dict[str, list[Tensor]]:
    """Batches of unequal sizes."""
    return {
        "a": list(inputs(11, 1).split((5, 5, 1))),
        "b": list(inputs(8, 2).split((1, 7))),
        "c": [inputs(6, 3)],
    }


@pytest.fixture
def heads() -> dict[str, ZeroShotHead]:
    torch.manual_seed(2)
    rows = {task: torch.randn(4, 3, dtype=torch.float64) for task in "abc"}
    return {task: ZeroShotHead(r / r.norm(dim=1, keepdim=True), 10.0) for task, r in rows.items()}


def naive(net, states, plane: Plane, a: float, b: float, streams, heads) -> dict[str, list[float]]:
    """Both terms of ξ by each measure as the papers write it, one sample at a time."""
    p, vectors = states[plane.pretrained], {}
    for name in (plane.i, plane.j):
        vectors[name] = {key: value - p[key] for key, value in states[name].items()}

    def f(coefficients: dict[str, float], x: Tensor) -> Tensor:
        weights = {
            key: value + sum(c * vectors[name][key] for name, c in coefficients.items())
            for key, value in p.items()
        }
        return functional_call(net, weights, (x[None],)).detach()

    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for task, alpha in ((plane.i, a), (plane.j, b)):
        divergences, errors, others, own = [], [], 0.0, 0.0
        for x in torch.cat(streams[task]):
            alone, both = f({task: alpha}, x), f({plane.i: a, plane.j: b}, x)
            u, v = (np.exp(y[0].numpy()) / np.exp(y[0].numpy()).sum() for y in (alone, both))
            divergences.append((u * np.log(u / v)).sum() / 2 + (v * np.log(v / u)).sum() / 2)
            errors.append(float(heads[task](alone).argmax() != heads[task](both).argmax()))
            others += float(((both - alone) ** 2).sum())
            own += float(((alone - f({}, x)) ** 2).sum())
        found["representation"].append(np.mean(divergences))
        found["classification"].append(np.mean(errors))
        found["scale-free"].append(np.sqrt(others / own) if own else np.nan)
    return found


def test_agrees_with_a_plain_loop(net, states, streams, heads) -> None:
    chosen = ctl.planes("p", "ab", ALPHAS)
    table = ctl.disentanglement(net, states, chosen, streams, heads)
    assert list(table.columns) == [
        *("i", "j", "alpha_i", "alpha_j", "measure", "error_i", "error_j", "error")
    ]
    assert len(table) == 3 * len(ALPHAS) ** 2
    for row in table.itertuples():
        expected = naive(net, states, chosen[0], row.alpha_i, row.alpha_j, streams, heads)
        on_i, on_j = expected[row.measure]
        close = partial(pytest.approx, rel=1e-9, abs=1e-12, nan_ok=True)
        assert row.error_i == close(on_i)
        assert row.error_j == close(on_j)
        assert row.error == close(on_i + on_j)
    scale_free = table.measure == "scale-free"
    assert (table[scale_free].error_i.isna() == (table.alpha_i == 0)[scale_free]).all()
    table = table[~scale_free]
    one_vector = table[(table.alpha_i == 0) | (table.alpha_j == 0)]
    assert (one_vector[one_vector.alpha_j == 0].error_i == 0).all()
    assert (one_vector[one_vector.alpha_i == 0].error_j == 0).all()
    assert (table[(table.alpha_i == 0) & (table.alpha_j == 0)].error == 0).all()
    assert table[table.measure == "classification"].error.max() > 0.5


def test_longer_outputs_have_the_same_scale_free_error(streams) -> None:
    network = nn.Linear(streams["a"][0].shape[1], 3, bias=False).double()
    errors = []
    for length in (1.0, 10.0):
        torch.manual_seed(0)
        longer = {
            name: {"weight": length * torch.randn(3, network.in_features).double()}
            for name in "pab"
        }
        table = ctl.disentanglement(network, longer, ctl.planes("p", "ab", ALPHAS), streams)
        errors.append(table.set_index("measure").error)
    same, far = (one.loc["scale-free"].to_numpy() for one in errors)
    assert same == pytest.approx(far, rel=1e-12, nan_ok=True)
    assert errors[1].loc["representation"].max() > 2 * errors[0].loc["representation"].max()


def test_means_are_over_samples_however_they_are_batched(net, states, streams, heads) -> None:
    chosen = ctl.planes("p", "ab", ALPHAS)
    table = ctl.disentanglement(net, states, chosen, streams, heads)
    whole = {task: [torch.cat(parts)] for task, parts in streams.items()}
    again = ctl.disentanglement(net, states, chosen, whole, heads)
    pd.testing.assert_frame_equal(table, again, rtol=1e-12, atol=1e-15)


def test_without_heads_the_outputs_are_logits(net, states, streams) -> None:
    table = ctl.disentanglement(net, states, ctl.planes("p", "ab", ALPHAS), streams)
    heads = {task: nn.Identity() for task in "ab"}
    point = table[(table.alpha_i == -2) & (table.alpha_j == 1)].set_index("measure")
    expected = naive(net, states, Plane("p", "a", "b"), -2, 1, streams, heads)
    for measure in MEASURES:
        assert point.loc[measure, "error"] == pytest.approx(sum(expected[measure]), rel=1e-9)


def test_the_order_of_tasks_swaps_the_axes(net, states, streams, heads) -> None:
    there, back = (
        ctl.disentanglement(net, states, ctl.planes("p", names, ALPHAS), streams, heads)
        for names in ("ab", "ba")
    )
    keys = ["measure", "alpha_i", "alpha_j"]
    back = back.rename(columns={"alpha_i": "alpha_j", "alpha_j": "alpha_i"})
    there, back = (table.set_index(keys).sort_index() for table in (there, back))
    for one, other in (("error", "error"), ("error_i", "error_j")):
        same = pytest.approx(back[other].to_numpy(), rel=1e-12, nan_ok=True)
        assert there[one].to_numpy() == same


def test_each_model_runs_once_a_plane_and_task(net, states, inputs) -> None:
    calls: list[int] = []
    net.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    one = {task: [inputs(3, number)] for number, task in enumerate("abc")}
    table = ctl.disentanglement(net, states, ctl.planes("p", "ab"), one)
    assert len(GRID) == 15
    assert (min(GRID), max(GRID)) == (-2, 2)
    assert len(table) == 3 * 225
    assert calls.count(3) == 2 * 225
    assert len(calls) == 2 * 225 + 2  # of one sample on trial
    calls.clear()
    ctl.disentanglement(net, states, ctl.planes("p", "abc"), one)
    # Two planes of a task share θ_PT and the other 14 models with its vector alone.
    assert calls.count(3) == 3 * (2 * 225 - 15)
    calls.clear()
    ctl.disentanglement(net, states, [Plane("p", "a", "b", (0.5, 1.0))], one)
    assert calls.count(3) == 2 * (4 + 2 + 1)  # those with one vector and θ_PT are not on this grid


def test_three_outputs_are_held_at_most(net, states, inputs) -> None:
    alive: set[int] = set()
    most = 0

    class Output(Tensor):
        def __del__(self) -> None:
            alive.discard(id(self))

    def hook(module: nn.Module, args: object, output: Tensor) -> Tensor:
        nonlocal most
        marked = output.as_subclass(Output)
        alive.add(id(marked))
        most = max(most, len(alive))
        return marked

    net.register_forward_hook(hook)
    one = {task: [inputs(3, number)] for number, task in enumerate("abc")}
    ctl.disentanglement(net, states, ctl.planes("p", "abc", ALPHAS), one)
    assert most == 4, most  # θ_PT, the one that is made, the one beside it, and the last


def test_an_exactly_disentangled_network_has_no_error(streams) -> None:
    """Each task has inputs of its own, and its vector moves the weights of those alone."""
    torch.manual_seed(0)
    network = nn.Linear(6, 3).double()
    states = {"p": dict(network.state_dict())}
    own = {"a": slice(0, 2), "b": slice(2, 4), "c": slice(4, 6)}
    for task, columns in own.items():
        weight = states["p"]["weight"].clone()
        weight[:, columns] += torch.randn(3, 2, dtype=torch.float64)
        states[task] = {**states["p"], "weight": weight}
        for x in streams[task]:
            x[:, [n for n in range(6) if not columns.start <= n < columns.stop]] = 0
    table = ctl.disentanglement(network, states, ctl.planes("p", "abc", ALPHAS), streams)
    assert (table[table.measure == "classification"].error == 0).all()
    assert table[table.measure == "representation"].error.abs().max() < 1e-25
    assert table[table.measure == "scale-free"].error.max() < 1e-12
    # The error is there as soon as the tasks' inputs overlap.
    mixed = {task: [x + 0.5 for x in parts] for task, parts in streams.items()}
    table = ctl.disentanglement(network, states, ctl.planes("p", "abc", ALPHAS), mixed)
    assert table.groupby("measure").error.max().min() > 0.1


@pytest.mark.parametrize("angle", ["orthogonal to the data", "orthogonal to each other"])
def test_proposition_1(angle: str) -> None:
    """A linear f: f(x; θ_0 + Σ_t τ_t) = f(x; θ_0 + τ_i) + Σ_{t≠i} τ_t·x.

    So what disentangles is that the other vectors are orthogonal to the task's *data*. Vectors
    that are orthogonal to each other do not.
    """
    torch.manual_seed(0)
    network = nn.Linear(8, 1, bias=False).double()
    q = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0]
    a, b, c = q[:, 0], q[:, 1], q[:, 2]
    data = {"a": torch.randn(5, 8).double(), "b": torch.randn(7, 8).double()}
    if angle == "orthogonal to the data":
        data["a"] -= torch.outer(data["a"] @ b, b)
        data["b"] -= torch.outer(data["b"] @ (a + c), a + c) / 2
    vectors = {"a": a + c, "b": b}
    base = network.weight.detach()
    states = {"p": {"weight": base}}
    states |= {task: {"weight": base + vector} for task, vector in vectors.items()}
    cosines = ctl.cosines(states, "p", "ab").set_index(["i", "j"]).cosine
    assert cosines["a", "b"] == pytest.approx(0, abs=1e-12)

    def f(mix: ctl.Mix, x: Tensor) -> Tensor:
        return functional_call(network, ctl.combine(states, mix), (x,)).detach()[:, 0]

    for task, other in (("a", "b"), ("b", "a")):
        x = data[task]
        rest = f(ctl.edit("p", {"a": 1, "b": 1}), x) - f(ctl.edit("p", {task: 1}), x)
        torch.testing.assert_close(rest, x @ vectors[other], rtol=1e-10, atol=1e-12)
        assert (rest.abs().max() < 1e-12) == (angle == "orthogonal to the data")
    for row in data["a"]:
        (gradient,) = torch.autograd.grad(network(row).sum(), network.weight)
        assert torch.equal(gradient[0], row)  # ∇f = x

    # The same f as a distribution, so that ξ can be measured.
    two = nn.Sequential(network, nn.ConstantPad1d((0, 1), 0.0))
    states = {name: {"0.weight": state["weight"]} for name, state in states.items()}
    streams = {task: [x] for task, x in data.items()}
    table = ctl.disentanglement(two, states, ctl.planes("p", "ab", ALPHAS), streams)
    worst = table[table.measure == "representation"].error.max()
    assert worst < 1e-20 if angle == "orthogonal to the data" else worst > 0.1


def test_planes_are_pairs() -> None:
    found = ctl.planes("p", ["a", "b", "c"])
    assert [(plane.i, plane.j) for plane in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    for a, b in product(ALPHAS, repeat=2):
        mix = ctl.edit("p", {"a": a, "b": b})
        assert dict(found[0].mix(a, b)) == mix
        assert dict(found[0].alone("b", a, b)) == ctl.edit("p", {"b": b})


def test_bad_input_is_named(net, states, streams) -> None:
    with pytest.raises(ValueError, match=r"occurs twice in .*'a', 'a'"):
        ctl.planes("p", ["a", "a"])
    with pytest.raises(ValueError, match=r"occurs twice in .*0\.5, 0\.5"):
        ctl.planes("p", "ab", [0.5, 0.5])
    with pytest.raises(ValueError, match="'p' is the pretrained model"):
        ctl.disentanglement(net, states, ctl.planes("p", "ap"), streams)
    with pytest.raises(KeyError, match="no batches for task 'b'"):
        ctl.disentanglement(net, states, ctl.planes("p", "ab"), {"a": streams["a"]})
    with pytest.raises(KeyError, match="no head for task 'b'"):
        ctl.disentanglement(net, states, ctl.planes("p", "ab"), streams, {"a": nn.Identity()})
    tokens = nn.Sequential(net, nn.Unflatten(1, (3, 1)))
    moved = {n: {f"0.{key}": value for key, value in s.items()} for n, s in states.items()}
    with pytest.raises(ValueError, match=r"gives \(5, 3, 1\) on task 'a'; .* vector per sample"):
        ctl.disentanglement(tokens, moved, ctl.planes("p", "ab", ALPHAS), streams)
    streams["b"][0][:] = torch.inf
    with pytest.raises(ValueError, match="on task 'b' is not finite; check the inputs"):
        ctl.disentanglement(net, states, ctl.planes("p", "ab", ALPHAS), streams)
