"""The choice of λ on held-out examples, and what stitched and edited networks are asked."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest
import torch

import ctl_helpers as ctl
from ctl_helpers.analysis import editing, stitching

HELD_OUT = {0.0: 0.2, 0.4: 0.9, 0.8: 0.5}


def scored(split: str, points: Sequence[float]) -> pd.DataFrame:
    """Held-out examples like 0.4 best, test examples 0.8."""
    shares = [HELD_OUT[lam] if split == "held-out" else lam for lam in points]
    return pd.DataFrame({"split": split, "lam": points, "share": shares, "loss": points})


@pytest.mark.parametrize("everywhere", [False, True])
def test_held_out_examples_alone_choose(everywhere: bool) -> None:
    both = editing.search(scored, list(HELD_OUT), everywhere=everywhere)
    assert both.loc[both["chosen"], "lam"].unique().tolist() == [0.4]
    test = both.loc[both["split"] == "test", "lam"].tolist()
    assert test == ([0.0, 0.4, 0.8] if everywhere else [0.4])


def test_without_any_share_the_loss_decides() -> None:
    both = editing.search(lambda *asked: scored(*asked).assign(share=float("nan")), [0.4, 0.8])
    assert both.loc[both["chosen"], "lam"].unique().tolist() == [0.4]


def test_shares_divide_by_accuracies_of_their_own_split() -> None:
    """Networks are right on all test examples and on half of the held-out ones."""
    right = {"held-out": 0.5, "test": 1.0}

    def score(asked: Sequence[ctl.Evaluation], streams: dict[str, float]) -> pd.DataFrame:
        return pd.DataFrame(
            {**one.params, "task": task, "loss": 0.0, "accuracy": weight * streams["right"]}
            for one in asked
            for task in one.tasks
            for weight in [one.mix.get(task, 0.0)]
        )

    streams = {split: {"right": accuracy} for split, accuracy in right.items()}
    table = editing.addition(score, "PT", "ab", [0.25, 0.5], streams, column="alpha")
    assert table["share"].tolist() == table["alpha"].tolist()
    assert table.groupby("split")["accuracy"].max().to_dict() == {"held-out": 0.25, "test": 0.5}
    assert set(table.loc[table["chosen"], "alpha"]) == {0.5}
    few = editing.addition(score, "PT", "ab", [0.25, 0.5], streams, everywhere=False)
    assert few.loc[few["split"] == "test", "lam"].tolist() == [0.5, 0.5]
    streams["held-out"]["right"] = 0
    assert editing.addition(score, "PT", "ab", [0.5], streams)["share"].isna().sum() == 4


def test_outcomes_stand_beside_what_they_were_before() -> None:
    table = pd.DataFrame(
        {"split": "test", "i": i, "lam": lam, "role": role, "accuracy": 0.8 - lam / by}
        for i, lams in (("a", [0.0, 1.0]), ("b", [0.0]))
        for lam in lams
        for role, by in (("D_i", 2), ("D_PT", 10))
    ).assign(chosen=lambda rows: (rows["i"] == "b") | (rows["lam"] == 1))
    assert editing.outcomes(table).loc[("a", 1.0)].round(9).tolist() == [0.8, 0.3, 0.8, 0.7]
    assert editing.outcomes(table).loc[("b", 0.0)].tolist() == [0.8] * 4


def test_a_comparison_can_be_written_out() -> None:
    (asked,) = ctl.negation("PT", ["a"], [0.5])
    text = "f(1·PT)   against   0.5·f(0.5·PT + 0.5·a) + 0.5·f(1.5·PT + -0.5·a)"
    assert editing.equation(asked) == text


def test_what_is_stitched_adds_up_to_the_weights() -> None:
    fronts = stitching.added_fronts("PT", "a", "b", 0.25)
    fronts |= stitching.negated_fronts("PT", "a", 0.5)
    sums = {
        model: [
            sum(weight * mix.get(name, 0) for weight, mix in front) for name in ("PT", "a", "b")
        ]
        for model, front in fronts.items()
    }
    assert sums["averaged features"] == sums["merged weights"] == [0.5, 0.25, 0.25]
    assert sums["feature subtracted"] == sums["weights subtracted"] == [1.5, -0.5, 0]


def test_held_out_examples_choose_how_much_is_subtracted() -> None:
    """Features lose a tenth of D_PT by λ; on test examples everything is lost at once."""
    control = ["b", "c"]

    def stitch(asked: Sequence[ctl.Stitch], streams: dict[str, list]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                **one.params,
                "task": task,
                "accuracy": max(0.0, 1 - one.params["lam"] / (10 if "held" in streams else 1)),
            }
            for one in asked
            for task in "abc"
        )

    labels = [(None, torch.tensor([0, 1, 1])), (None, torch.tensor([1]))]
    test = {task: labels if task == "a" else [(None, torch.tensor([0, 1]))] for task in "abc"}
    streams = {"held-out": {**test, "held": labels}, "test": test}
    table = stitching.stitched_negation(
        stitch, "PT", ["a"], control, [0.25, 0.5, 1.0], "layer", 3, streams
    )
    assert set(table.loc[table["chosen"], "lam"]) == {0.5}
    assert set(table.loc[table["split"] == "held-out", "model"]) == {"feature subtracted"}
    assert table.groupby("role")["chance"].first().to_dict() == {"D_PT": 0.5, "D_i": 0.75}
    assert len(table) == 2 * 4 + 2 * 2 * 4


def test_nearest_samples_are_counted_by_kind_and_class() -> None:
    samples = {"kind": ["a", "a", "b", "b"], "label": [0, 0, 1, 0], "moved": [3.0, 2.0, 1.0, -1.0]}
    moved = pd.DataFrame({"i": "a", **samples})
    names = {"a": ["one"], "b": ["other", "third"]}
    (row,) = stitching.nearest(moved, names, count=3).to_dict("records")
    assert row == {
        "i": "a", "own": pytest.approx(2 / 3), "chance": 0.5, "commonest": "one",
        "share": pytest.approx(2 / 3), "classes": 2,
    }  # fmt: skip


def test_chance_is_the_commonest_label_and_nothing_where_labels_are_ranked() -> None:
    labels = {"a": torch.tensor([2, 2, 0]), "b": torch.tensor([0.5, 0.5, 1.0])}
    streams = {task: [(None, part) for part in parts.split(2)] for task, parts in labels.items()}
    assert stitching.commonest(streams) == {"a": pytest.approx(2 / 3), "b": 0.0}


def test_a_direction_is_the_mean_change_on_held_out_samples() -> None:
    model = torch.nn.Linear(2, 2, bias=False)
    checkpoints = {"PT": {"weight": torch.zeros(2, 2)}, "a": {"weight": torch.eye(2)}}
    samples = {
        split: {"a": [(torch.tensor(inputs), torch.tensor([0]))]}
        for split, inputs in (("held-out", [[1.0, 0.0]]), ("test", [[3.0, 4.0]]))
    }
    moved = stitching.directions(model, checkpoints, "PT", ["a"], 0.5, "", samples)
    assert moved.to_dict("records") == [{"kind": "a", "label": 0, "i": "a", "moved": 0.75}]
