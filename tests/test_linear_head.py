"""Heads fitted to features: the minimum that is asked for, and heads of some or more classes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import refused
from torch import Tensor

from ctl_helpers.models.linear_head import LinearHead


def features(classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % classes
    return torch.randn(60, 5, generator=generator) + F.one_hot(targets, 5), targets


def test_logistic_regression_is_at_its_minimum() -> None:
    given, targets = features()
    head, decay = LinearHead.fitted(given, targets, 0.1), 0.1
    weight, bias = head.weight.clone().requires_grad_(), head.bias.clone().requires_grad_()
    loss = F.cross_entropy(given @ weight.T + bias, targets) + decay / 2 * weight.square().sum()
    loss.backward()
    for part in (weight, bias):
        assert part.grad.abs().max() < 1e-3
    assert (head(given).argmax(1) == targets).double().mean() > 0.5


def test_heads_of_some_classes_and_of_more() -> None:
    given, targets = features()
    one = LinearHead.fitted(given, targets, 0.1)
    some = one.rows([2, 0])
    torch.testing.assert_close(some(given), one(given)[:, [2, 0]])
    assert torch.equal(one.beside(some)(given), torch.cat([one(given), some(given)], 1))
    assert torch.equal(one.rows([]).beside(some)(given), some(given))


@pytest.mark.parametrize("targets", [torch.tensor([0, 1] * 30), 1 + torch.arange(60) % 3])
def test_classes_without_samples_are_refused(targets: Tensor) -> None:
    with refused(ValueError, "give some of every class, three or more"):
        LinearHead.fitted(features()[0], targets, 0.1)
