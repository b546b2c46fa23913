"""The choice of learning rates by held-out data, and what is asked of each paradigm's networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pytest
import torch
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.analysis import paradigms


def peaked(best: float) -> Callable[[float], pd.DataFrame]:
    """Accuracy falls with the ratio of a rate to the best one."""
    return lambda rate: pd.DataFrame({"accuracy": [min(rate / best, best / rate), 0.5]})


@pytest.mark.parametrize(
    ("best", "added", "chosen"),
    [
        (1e-3, {}, 1e-3),
        (1e-2, {9e-3: 1, 2.7e-2: 2}, 9e-3),
        (1.0, {9e-3: 1, 2.7e-2: 2}, 2.7e-2),
        (1e-4, {1e-4: 1, 3.3e-5: 2}, 1e-4),
    ],
)
def test_rates_are_added_where_the_best_is_at_an_edge(
    best: float, added: dict[float, int], chosen: float
) -> None:
    table = paradigms.widened(peaked(best), [3e-4, 1e-3, 3e-3], 2)
    found = table.groupby("rate")["widening"].first()
    assert found[found > 0].to_dict() == added
    assert set(table.loc[table["chosen"], "rate"]) == {chosen}
    assert table["rate"].is_monotonic_increasing


def test_a_grid_may_be_widened_on_both_sides() -> None:
    """A best rate that was seen too low at first: each side has its own count."""
    accuracy = {1.0: 0.5, 2.0: 0.4, 0.33: 0.3, 6.0: 0.9}

    def score(rate: float) -> pd.DataFrame:
        return pd.DataFrame({"accuracy": [accuracy.get(rate, 0.1)]})

    table = paradigms.widened(score, [1.0, 2.0], 1).set_index("rate")
    assert table["widening"].to_dict() == {0.33: 1, 1.0: 0, 2.0: 0}
    accuracy[2.0] = 0.6
    table = paradigms.widened(score, [1.0, 2.0], 1).set_index("rate")
    assert table["widening"].to_dict() == {1.0: 0, 2.0: 0, 6.0: 1}
    assert table.loc[6.0, "chosen"]


def test_one_rate_is_no_search() -> None:
    table = paradigms.widened(peaked(1.0), [1e-5], 3)
    assert table["rate"].unique().tolist() == [1e-5]
    assert table["chosen"].all()


TASKS = ["a", "b"]


class Slope(nn.Module):
    """Class 1 where the sample's own weight is over one half, else class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, which: torch.Tensor) -> torch.Tensor:
        own = self.weight[which]
        return torch.stack([0.5 - own, own - 0.5], 1)


def checkpoints(
    paradigm: str, rate: float, tasks: Sequence[str]
) -> Mapping[str, dict[str, torch.Tensor]]:
    """A task's vector has the length of the rate on its own sample, and spoils the other's.

    A tangent vector spoils it more.
    """
    spoils = {"full": -0.4, "tangent": -0.8}[paradigm]
    rows = {"a": [1.0, spoils], "b": [spoils, 1.0]}
    ends = {task: {"weight": rate * torch.tensor(rows[task])} for task in tasks}
    return {"PT": {"weight": torch.zeros(2)}, **ends}


@pytest.fixture
def networks() -> paradigms.Networks:
    return paradigms.Networks(
        checkpoints, lambda paradigm: Slope(), {task: nn.Identity() for task in TASKS}
    )


@pytest.fixture
def streams() -> dict[str, list[tuple[torch.Tensor, torch.Tensor]]]:
    return {
        task: [(torch.full((4,), n), torch.ones(4, dtype=torch.long))]
        for n, task in enumerate(TASKS)
    }


def test_own_networks_choose_a_rate_for_each_paradigm(networks, streams) -> None:
    search = paradigms.own_rates(networks, ["full", "tangent"], [0.4, 0.8], TASKS, streams, 2)
    assert paradigms.chosen_rates(search) == {"full": 0.8, "tangent": 0.8}
    assert search.groupby("rate")["widening"].first().to_dict() == {0.4: 0, 0.8: 0, 2.4: 1}
    assert search["network"].tolist() == search["task"].tolist()


def test_sums_choose_one_rate_for_all(networks, streams) -> None:
    """A full sum of 0.6 times the rate passes one half at a rate of 1, a tangent one at 3."""
    search = paradigms.common_rate(
        networks, ["full", "tangent"], [0.6, 1.0, 3.0, 9.0], TASKS, [0.5, 1.0], streams, 0
    )
    right = search.groupby(["rate", "paradigm"])["accuracy"].mean().unstack()
    assert right["full"].tolist() == [0, 1, 1, 1]
    assert right["tangent"].tolist() == [0, 0, 1, 1]
    assert set(search.loc[search["chosen"], "rate"]) == {3.0}
    assert len(search) == 4 * 2 * 2


def test_paradigms_are_scored_alone_and_added(networks, streams) -> None:
    rates = {"full": 1.0, "tangent": 3.0}
    alone = paradigms.single(networks, rates, TASKS, streams)
    keys = alone.set_index(["paradigm", "network", "task"])["accuracy"]
    assert keys["full", "PT"].tolist() == [0, 0]
    assert keys["full", "a", "a"] == keys["tangent", "b", "b"] == 1
    assert len(alone) == 2 + 4
    both = {"held-out": streams, "test": streams}
    table = paradigms.added(networks, rates, TASKS, [0.5, 1.0], both)
    test = table[table["split"] == "test"]
    assert test["alpha"].tolist() == [1.0] * 4
    assert test["share"].tolist() == [1.0] * 4
    assert test["paradigm"].tolist() == ["full", "full", "tangent", "tangent"]


def test_no_mix_is_scored_twice(networks, streams, monkeypatch) -> None:
    ran: list[str] = []

    def evaluate(model, states, evaluations, on, **options) -> pd.DataFrame:
        ran.extend(task for one in evaluations for task in one.tasks)
        return ctl.evaluate(model, states, evaluations, on, **options)

    rates, both = {"full": 1.0, "tangent": 3.0}, {"held-out": streams, "test": dict(streams)}
    plain = [paradigms.added(networks, rates, TASKS, [0.5, 1.0], both)]
    plain.append(paradigms.single(networks, rates, TASKS, both["test"]))
    monkeypatch.setattr(paradigms, "evaluate", evaluate)
    for _ in range(2):
        assert paradigms.added(networks, rates, TASKS, [0.5, 1.0], both).equals(plain[0])
        assert paradigms.single(networks, rates, TASKS, both["test"]).equals(plain[1])
    assert ran == []
    paradigms.common_rate(networks, ["full"], [1.0, 2.0], TASKS, [0.25, 1.0], streams, 0)
    # Of the rate that is known, one more sum; of the other three sums and both networks.
    assert len(ran) == 2 + (3 * 2 + 2)


def test_what_a_vector_moves_is_counted_by_task(networks, streams) -> None:
    def moved(model: nn.Module, states: Mapping[str, dict[str, torch.Tensor]]) -> pd.DataFrame:
        return paradigms.moved(model, states, TASKS, streams)

    table = networks.each({"full": 2.0}, TASKS, moved)
    found = table.set_index(["i", "task"])["moved"].to_dict()
    own, other = 2 * 2**0.5, 0.8 * 2**0.5
    assert found == pytest.approx(
        {("a", "a"): own, ("b", "a"): other, ("a", "b"): other, ("b", "b"): own}
    )
    cosines = networks.each(
        {"full": 2.0}, TASKS, lambda _, states: ctl.cosines(states, "PT", TASKS)
    )
    assert set(cosines["paradigm"]) == {"full"}
