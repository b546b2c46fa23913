"""Theorem 3.3's chain: its two parts against the loss itself, and the bounds on either."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.analysis import loss_chord

ALPHAS = [0.0, 0.1, 0.3, 0.5, 0.9, 1.0]


def line(net, around, x: Tensor, scale: float) -> Tensor:
    """Logits along the line between two networks."""
    mixes = [ctl.interpolate("a", "b", alpha) for alpha in ALPHAS]
    return ctl.logits(net, around(net, "ab", scale), mixes, [x])[None]


def labels(samples: int) -> Tensor:
    return torch.randint(3, (samples,), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
def test_the_excess_is_a_bounded_part_and_one_that_is_never_positive(
    scale: float, net, around, inputs
) -> None:
    x, y = inputs(40), labels(40)
    table = loss_chord.over_chord(line(net, around, x, scale), ALPHAS, y)
    curve = ctl.evaluate(
        net, around(net, "ab", scale), ctl.path("a", "b", ALPHAS), [(x, y)]
    ).set_index("alpha")["loss"]
    assert table["loss"].tolist() == pytest.approx(curve.tolist(), rel=1e-12)
    for row in table.itertuples():
        chord = row.alpha * curve[1.0] + (1 - row.alpha) * curve[0.0]
        assert row.excess == pytest.approx(curve[row.alpha] - chord, abs=1e-12)
        assert row.gap == pytest.approx(abs(row.excess - row.jensen), abs=1e-12)
    assert (table["jensen"] <= 1e-12).all()
    assert (table["gap"] <= math.sqrt(2) * table["error"] + 1e-12).all()
    inner = table[table["alpha"].between(0, 1, inclusive="neither")]
    assert (inner[["gap", "error"]] > 0).all(axis=None)
    assert table.loc[[0, 5], ["gap", "error", "jensen", "excess"]].to_numpy() == pytest.approx(
        np.zeros((2, 4)), abs=1e-12
    )


def test_masked_classes_do_not_count(net, around, inputs) -> None:
    outputs, y = line(net, around, inputs(40), 0.3), labels(40)
    kept = [1, 4, 6]  # of seven classes
    masked = torch.full((*outputs.shape[:2], 7), -torch.inf, dtype=outputs.dtype)
    masked[..., kept] = outputs
    found = loss_chord.over_chord(masked, ALPHAS, torch.tensor(kept)[y])
    pd.testing.assert_frame_equal(found, loss_chord.over_chord(outputs, ALPHAS, y))


def test_the_chain_in_numbers_done_by_hand() -> None:
    """One sample, two classes: logits (0, 0) and (2, 0) at the ends, (3, 4) off their mean."""
    outputs = torch.tensor([[[0.0, 0.0]], [[1.0 + 3.0, 0.0 + 4.0]], [[2.0, 0.0]]])
    table = loss_chord.over_chord(outputs, [0.0, 0.5, 1.0], torch.tensor([0]))

    def loss(a: float, b: float) -> float:
        return math.log(math.exp(a) + math.exp(b)) - a

    chord = 0.5 * loss(0, 0) + 0.5 * loss(2, 0)
    found = table.loc[1].to_dict()
    assert found == pytest.approx(
        {
            "alpha": 0.5,
            "loss": loss(4, 4),
            "gap": loss(4, 4) - loss(1, 0),
            "error": 5.0,
            "jensen": loss(1, 0) - chord,
            "excess": loss(4, 4) - chord,
        }
    )


def test_no_loss_gets_nearer_to_the_bound_than_a_wrong_and_certain_one() -> None:
    """√2 is the least constant: the gradient is (1, −1) where a network is sure of a mistake."""
    outputs = torch.tensor([[[50.0, -50.0]], [[50.1, -50.1]], [[50.0, -50.0]]])
    row = loss_chord.over_chord(outputs, [0.0, 0.5, 1.0], torch.tensor([1])).loc[1]
    assert row["gap"] == pytest.approx(math.sqrt(2) * row["error"], rel=1e-6)


def test_exactly_linear_logits_have_no_gap() -> None:
    """A linear network: LLFC holds with equality, so the loss stays under its chord."""
    torch.manual_seed(0)
    net = torch.nn.Linear(6, 3).double()
    states = {n: {k: torch.randn_like(v) for k, v in net.state_dict().items()} for n in "ab"}
    x, y = torch.randn(20, 6, dtype=torch.float64), labels(20)
    outputs = ctl.logits(net, states, [ctl.interpolate("a", "b", a) for a in ALPHAS], [x])[None]
    table = loss_chord.over_chord(outputs, ALPHAS, y)
    assert table[["gap", "error"]].to_numpy() == pytest.approx(np.zeros((6, 2)), abs=1e-12)
    assert table["excess"].tolist() == pytest.approx(table["jensen"].tolist())
    assert (table["excess"][1:5] < 0).all()


@pytest.mark.parametrize("alphas", [[0.0, 0.5], [0.5, 1.0]])
def test_a_line_without_an_end_is_refused(alphas: list[float]) -> None:
    with pytest.raises(ValueError, match="include 0 and 1"):
        loss_chord.over_chord(torch.zeros(2, 1, 3), alphas, torch.tensor([0]))
