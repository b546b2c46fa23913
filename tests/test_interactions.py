"""Inclusion–exclusion of task vectors: a plain oracle, what terms leave, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.analysis import interactions
from ctl_helpers.analysis.interactions import TERMS, Joining

NAMES = "abcde"
ALL = Joining(tuple(NAMES), (2, 3, 4, 5))
LAM = 0.4


@pytest.fixture
def states(net, around) -> dict[str, dict[str, Tensor]]:
    return around(net, f"{NAMES}p")


@pytest.fixture
def streams(inputs) -> dict[str, list[Tensor]]:
    """Batches of unequal sizes."""
    return {"one": list(inputs(11, 1).split((5, 5, 1))), "two": [inputs(4, 2)]}


def naive(net, states, members: str, most: int, x: Tensor, layer: int) -> tuple[Tensor, ...]:
    """θ_PT's feature, its change, and the sum of terms, each defined by those of its parts."""
    start = states["p"]
    head = net[: layer + 1]

    def f(few: tuple[str, ...]) -> Tensor:
        weights = {
            key: value + LAM * sum(states[name][key] - value for name in few)
            for key, value in start.items()
        }
        kept = {key: value for key, value in weights.items() if int(key.split(".")[0]) <= layer}
        return functional_call(head, kept, (x,)).detach()

    terms: dict[tuple[str, ...], Tensor] = {(): f(())}
    for size in range(1, len(members) + 1):
        for few in combinations(members, size):
            parts = (part for n in range(size) for part in combinations(few, n))
            terms[few] = f(few) - sum(terms[part] for part in parts)
    named = {few: term for few, term in terms.items() if few}
    change = f(tuple(members)) - terms[()]
    assert torch.allclose(sum(named.values()), change)
    return terms[()], change, sum(term for few, term in named.items() if len(few) <= most)


def shares(net, states, orders, streams, **options) -> pd.DataFrame:
    return interactions.unexplained(net, states, "p", orders, LAM, streams, **options)


def test_agrees_with_terms_that_are_defined_one_by_one(net, states, streams) -> None:
    orders = [ALL, Joining(tuple("dbcea"), (2, 3), draw=1)]
    table = shares(net, states, orders, streams, triples=4, layers=["1", "4"])
    x = torch.cat([batch for batches in streams.values() for batch in batches])
    for row in table.itertuples():
        members, most = row.models.replace(", ", ""), TERMS.index(row.terms) + 1
        start, change, said = naive(net, states, members, most, x, int(row.layer))
        expected = (change - said).square().sum() / change.square().sum()
        assert row.unexplained == pytest.approx(expected.item(), rel=1e-9)
        moved = (change.square().sum() / start.square().sum()).sqrt()
        assert row.moved == pytest.approx(moved.item(), rel=1e-9)
    assert (table["n"] == 15).all()
    assert (table["lam"] == LAM).all()
    rows = table[table["layer"] == "4"].groupby(["draw", "k"], sort=False)["terms"].agg(list)
    assert rows.to_dict() == {
        **{(0, k): list(TERMS[: min(k - 1, 3)]) for k in (2, 3, 4)},
        (0, 5): list(TERMS[:2]),
        **{(1, k): list(TERMS[: k - 1]) for k in (2, 3)},
    }


class Product(nn.Module):
    """A product of as many linear maps as its power: a polynomial in its weights."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(6, 6, bias=False) for _ in range(power))

    def forward(self, x: Tensor) -> Tensor:
        for one in self.maps:
            x = one(x)
        return x


@pytest.mark.parametrize("power", [1, 2, 3])
def test_terms_are_all_there_is_for_a_polynomial_of_their_degree(power, around, inputs) -> None:
    torch.manual_seed(0)
    model = Product(power).double()
    layer = f"maps.{power - 1}"
    states = around(model, f"{NAMES}p")
    table = shares(model, states, [ALL], [inputs(7)], triples=5, layers=layer)
    exact = table["terms"].map(TERMS.index) + 1 >= power
    assert table.loc[exact, "unexplained"].max() < 1e-24
    assert (table.loc[~exact, "unexplained"] > 1e-3).all()
    assert exact.sum() == {1: 9, 2: 5, 3: 2}[power]


def test_the_order_of_tasks_does_not_matter(net, states, streams) -> None:
    tables = [
        shares(net, states, [replace(ALL, names=tuple(names))], streams, triples=5)
        for names in (NAMES, "cedab")
    ]
    last = [table[table["k"] == 5].reset_index(drop=True) for table in tables]
    columns = ["layer", "terms", "n"]
    assert last[0][columns].equals(last[1][columns])
    for column in ("unexplained", "moved"):
        assert np.allclose(last[0][column], last[1][column], rtol=1e-9)


def test_each_model_runs_once_on_a_batch(net, states, inputs) -> None:
    runs = 0

    class Counted(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal runs
            runs += 1
            return super().forward(x)

    orders = [ALL, Joining(tuple("dbcea"), (3, 4), draw=1)]
    needed = {mix for order in orders for mix in interactions.mixes("p", order, LAM, 4)}
    # θ_PT, 5 single vectors, 10 pairs, the triples of two orders' first four, and the sums.
    assert len(needed) == 1 + 5 + 10 + (4 + 4 - 1) + 3
    counts = []
    for batches in (1, 3):
        runs = 0
        shares(Counted(*net), states, orders, list(inputs(9).split(9 // batches)), triples=4)
        counts.append(runs)
    assert (counts[1] - counts[0]) / 2 == len(needed)


def test_no_set_comes_twice_and_all_come_once() -> None:
    orders = interactions.joinings(NAMES, 4, seed=0)
    sets = [frozenset(order.names[:k]) for order in orders for k in order.sizes]
    assert len(set(sets)) == len(sets)
    assert sets.count(frozenset(NAMES)) == 1
    assert orders[0].sizes == (2, 3, 4, 5)
    assert len({len(few) for few in sets}) == 4
    assert [order.draw for order in orders] == sorted({order.draw for order in orders})


def test_nothing_that_moves_leaves_no_share(net, states, inputs) -> None:
    still = dict.fromkeys(f"{NAMES}p", states["p"])
    table = shares(net, still, [ALL], [inputs(3)], layers="4")
    assert table["unexplained"].isna().all()
    assert (table["moved"] == 0).all()


def test_a_sum_that_overflows_is_refused(net, states, inputs) -> None:
    huge = {
        name: {key: value * 1e200 if name == "a" else value for key, value in state.items()}
        for name, state in states.items()
    }
    with refused(ValueError, "features of layer '[04]' are not finite with 2 task vectors"):
        shares(net, huge, [replace(ALL, sizes=(2,))], [inputs(3)], layers=["0", "4"])
