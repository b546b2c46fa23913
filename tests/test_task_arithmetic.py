"""What Section 4.3's experiments share: roles, the λ that negation may take, shuffled vectors."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

import ctl_helpers as ctl
from ctl_helpers.analysis.task_arithmetic import controls, roles, shuffled, strongest
from ctl_helpers.engine.lazy_state import LazyState


def test_roles_are_the_own_task_and_the_mean_of_the_others_that_stand_for_pretraining() -> None:
    scores = pd.DataFrame(
        {
            "i": ["a"] * 4 + ["b"] * 4,
            "task": ["a", "b", "c", "d"] * 2,
            "lam": 0.5,
            "accuracy": [0.1, 0.5, 0.7, 0.0, 0.4, 0.2, 0.6, 0.0],
        }
    )
    found = roles(scores, ["a", "b", "c"]).set_index(["i", "lam", "role"])["accuracy"]
    assert found.to_dict() == pytest.approx(
        {
            ("a", 0.5, "D_i"): 0.1,
            ("a", 0.5, "D_PT"): 0.6,
            ("b", 0.5, "D_i"): 0.2,
            ("b", 0.5, "D_PT"): 0.5,
        }
    )


def by_lambda(accuracies: dict[float, float], i: str = "a") -> pd.DataFrame:
    right = pd.DataFrame({"lam": accuracies.keys(), "accuracy": accuracies.values()})
    other = right.assign(role="D_i", accuracy=0.0)
    return pd.concat([right.assign(role="D_PT"), other]).assign(i=i)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({0.0: 0.8, 0.5: 0.79, 1.0: 0.765, 2.0: 0.75}, 1.0),
        ({0.0: 0.8, 0.5: 0.7, 1.0: 0.8}, 0.0),
        ({1.0: 0.7, 0.5: 0.6, 0.0: 0.6}, 1.0),
        ({0.0: 0.0, 0.5: 0.0}, 0.5),
    ],
    ids=["the last that keeps enough", "no way around a gap", "in any order", "nothing to lose"],
)
def test_negation_takes_the_largest_lambda_that_keeps_enough(accuracies, expected) -> None:
    scores = pd.concat([by_lambda(accuracies), by_lambda({0.0: 1.0, 3.0: 1.0}, "b")])
    assert strongest(scores) == {"a": expected, "b": 3.0}


def test_shuffled_vectors_keep_their_entries_and_nothing_else() -> None:
    start = {"w": torch.zeros(50, 2), "n": torch.tensor(7)}
    tuned = {"w": torch.arange(100.0).view(50, 2), "n": torch.tensor(9)}
    checkpoints = {"PT": start, "a": tuned, "b": tuned}
    found = shuffled(checkpoints, "PT", ["a"], seed=0)
    assert list(found) == ["PT", "a"]
    assert found["PT"] is start
    assert torch.equal(found["a"]["w"].flatten().sort().values, torch.arange(100.0))
    assert not torch.equal(found["a"]["w"], tuned["w"])
    assert found["a"]["n"] == 7
    assert torch.equal(start["w"], torch.zeros(50, 2))


def test_a_factor_stretches_the_same_shuffled_vectors() -> None:
    start, tuned = {"w": torch.ones(10)}, {"w": torch.arange(10.0)}
    once, twice = (
        shuffled({"PT": start, "a": tuned}, "PT", ["a"], seed=3, factor=factor)["a"]["w"]
        for factor in (1.0, 2.0)
    )
    assert torch.allclose(twice - 1, 2 * (once - 1))


def test_shuffled_vectors_of_lazy_checkpoints_are_made_when_they_are_asked_for() -> None:
    held = {"v": torch.arange(4.0), "w": torch.arange(10.0)}
    start = {name: torch.ones_like(value) for name, value in held.items()}
    reads: list[str] = []
    lazy = LazyState(held, lambda name: reads.append(name) or held[name])
    found = shuffled({"PT": start, "a": lazy}, "PT", ["a"], seed=1)["a"]
    assert (list(found), "w" in found, reads) == (["v", "w"], True, [])
    plain = shuffled({"PT": start, "a": held}, "PT", ["a"], seed=1)["a"]
    assert torch.equal(found["w"], plain["w"])
    assert reads == ["w"]


def test_controls_are_equation_2_of_other_samples_and_shuffled_vectors(net, around, inputs) -> None:
    checkpoints = {"PT": net.state_dict(), **around(net, "ab")}
    streams = {"a": [inputs(20)], "b": [inputs(10)]}
    table = controls(net, checkpoints, "PT", ["a", "b"], 0.4, streams, seed=1)
    asked = ctl.addition("PT", ["a", "b"], [0.4])

    def rows(kind: str) -> pd.DataFrame:
        return table[table["control"] == kind]

    def same(kind: str, expected: pd.DataFrame) -> bool:
        found = rows(kind).drop(columns=["control", "stretch"]).reset_index(drop=True)
        return found.equals(expected)

    def moved(found: pd.DataFrame) -> float:
        return found.loc[found["metric"] == "baseline", "mean"].mean()

    long = rows("shuffled vectors, stretched")
    (stretch,) = long["stretch"].unique()
    assert stretch == pytest.approx(
        (moved(rows("task vectors")) / moved(rows("shuffled vectors"))) ** 0.5
    )
    assert (table.loc[table["control"] != "shuffled vectors, stretched", "stretch"] == 1).all()
    other = ctl.measure(net, checkpoints, asked, streams, permuted=True).table()
    assert same("task vectors", ctl.compare(net, checkpoints, asked, streams))
    assert same("other samples", other)
    for kind, factor in (("shuffled vectors", 1.0), ("shuffled vectors, stretched", stretch)):
        ends = shuffled(checkpoints, "PT", ["a", "b"], 1, factor)
        assert same(kind, ctl.compare(net, ends, asked, streams))
