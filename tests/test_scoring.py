"""Heads of one number, a model's own loss in any output, and classes in another dimension."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl

ONE = [ctl.Evaluation({"a": 1.0})]


def scored(model: nn.Module, *batches: Any) -> dict[str, Any]:
    return ctl.evaluate(model, {"a": model.state_dict()}, ONE, batches).iloc[0].to_dict()


class Head(nn.Module):
    """One number a sample, as a column, as it is, or without all dimensions of length 1."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.linear, self.form = nn.Linear(5, 1), form

    def forward(self, x: Tensor) -> Tensor:
        column = self.linear(x)
        return {"column": column, "flat": column[:, 0], "squeezed": column.squeeze()}[self.form]


@pytest.mark.parametrize("form", ["column", "flat"])
@pytest.mark.parametrize("is_column", [False, True])
def test_a_head_of_two_classes_is_scored_by_real_targets(form: str, is_column: bool) -> None:
    torch.manual_seed(0)
    model, x, targets = Head(form), torch.randn(6, 5), torch.tensor([0.0, 1, 1, 0, 1, 0])
    given = targets[:, None] if is_column else targets
    found = scored(model, (x[:4], given[:4]), (x[4:], given[4:]))
    wanted = F.binary_cross_entropy_with_logits(model.linear(x)[:, 0], targets)
    assert (found["n"], found["loss"]) == (6, pytest.approx(wanted.item(), rel=1e-6))


@pytest.mark.parametrize("form", ["column", "flat"])
@pytest.mark.parametrize("targets", [torch.tensor([0, 1, 1, 0]), torch.zeros(4).long()])
def test_classes_of_a_head_of_one_number_are_refused(form: str, targets: Tensor) -> None:
    with refused(ValueError, "gives one number a sample", r"pass targets.float\(\)"):
        scored(Head(form), (torch.randn(4, 5), targets))


def test_a_head_that_loses_the_samples_dimension_is_refused() -> None:
    x, targets = torch.randn(4, 5), torch.rand(4)
    with refused(ValueError, "one number for a whole batch", r"squeeze\(-1\)"):
        scored(Head("squeezed"), (x, targets), (x[:1], targets[:1]))


class Shifted(nn.Module):
    """Compares labels with the token before, and gives its loss in one of several forms."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.table, self.form = nn.Embedding(20, 20), form

    def forward(self, ids: Tensor, labels: Tensor | None = None) -> Any:
        logits = self.table(ids)
        if labels is None:
            return (torch.tensor(3.0), logits) if self.form == "tuple" else {"logits": logits}
        loss = F.cross_entropy(logits[:, :-1].mT, labels[:, 1:])
        return (loss, logits) if self.form == "tuple" else {"loss": loss, "logits": logits}


@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_the_models_own_loss_tells_where_labels_belong(form: str) -> None:
    torch.manual_seed(0)
    model, ids = Shifted(form), torch.randint(0, 20, (4, 7))
    logits = model.table(ids)
    shifted = F.cross_entropy(logits[:, :-1].mT, ids[:, 1:], reduction="sum").item() / 4
    assert scored(model, {"ids": ids, "labels": ids})["loss"] == pytest.approx(shifted, rel=1e-5)
    # The number that begins a tuple may be no loss of these targets.
    plain = F.cross_entropy(logits.mT, ids, reduction="sum").item() / 4
    assert scored(model, ({"ids": ids}, ids))["loss"] == pytest.approx(plain, rel=1e-5)


def test_classes_in_the_second_dimension_are_told() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 1)
    with refused(ValueError, "with classes in the second dimension", r"movedim\(1, -1\)"):
        scored(model, (torch.randn(2, 3, 5, 5), torch.randint(0, 4, (2, 5, 5))))
    square = torch.randn(2, 3, 4, 4), torch.randint(0, 4, (2, 4, 4))
    with pytest.warns(UserWarning, match="the last dimension is taken for the classes") as told:
        scored(model, square, square)
    assert len(told) == 1
    heads = {None: lambda output: output.movedim(1, -1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ctl.evaluate(model, {"a": model.state_dict()}, ONE, [square], heads=heads)
    wanted = F.cross_entropy(model(square[0]), square[1], reduction="sum").item() / 2
    assert found["loss"][0] == pytest.approx(wanted, rel=1e-5)


def test_logits_of_several_sizes_are_no_one_table() -> None:
    model = nn.Embedding(20, 20)
    with refused(ValueError, r"have \(4, 20\) and \(6, 20\) a sample"):
        ctl.logits(
            model,
            {"a": model.state_dict()},
            [{"a": 1.0}],
            [torch.zeros(2, n).long() for n in (4, 6)],
        )


def test_one_evaluation_is_a_list_of_one_and_a_mix_is_none() -> None:
    torch.manual_seed(0)
    model, batch = nn.Linear(5, 3), (torch.randn(4, 5), torch.tensor([0, 1, 2, 0]))
    states = {"a": model.state_dict()}
    alone = ctl.evaluate(model, states, ONE[0], [batch])
    assert alone.equals(ctl.evaluate(model, states, ONE, [batch]))
    with refused(TypeError, r"evaluations has \{'a': 1.0\}; give ctl.Evaluation\(mix\)"):
        ctl.evaluate(model, states, [{"a": 1.0}], [batch])
