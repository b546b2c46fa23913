"""Cosines between task vectors against numpy, and how they read checkpoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.analysis import vector_angles
from ctl_helpers.engine.lazy_state import LazyState


def naive(states, i: str, j: str) -> float:
    """In numpy, with the whole vectors at once."""
    a, b = (
        np.concatenate(
            [
                (states[name][key].double().numpy() - value.double().numpy()).ravel()
                for key, value in states["p"].items()
            ]
        )
        for name in (i, j)
    )
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("values", [7, 2**20])
def test_agrees_with_numpy(net, around, values: int, monkeypatch) -> None:
    monkeypatch.setattr(vector_angles, "_VALUES", values)
    states = around(net.float(), "abcp", 1e-3)
    table = ctl.cosines(states, "p", "abc")
    assert list(table.columns) == ["i", "j", "cosine"]
    assert list(zip(table.i, table.j, strict=True)) == [(i, j) for i in "abc" for j in "abc"]
    for row in table.itertuples():
        assert row.cosine == pytest.approx(naive(states, row.i, row.j), rel=1e-12, abs=1e-14)


def test_small_differences_are_not_rounded_away() -> None:
    """In float32 the squares of these would be lost beside the first one's."""
    base = torch.zeros(10_001)
    a = base.clone()
    a[0], a[1:] = 1.0, 1e-4
    b = base.clone()
    b[1:] = 1e-4
    states = {name: {"w": value} for name, value in (("p", base), ("a", a), ("b", b))}
    found = ctl.cosines(states, "p", "ab").set_index(["i", "j"]).cosine
    small = 10_000 * float(torch.tensor(1e-4)) ** 2
    assert found["a", "b"] == pytest.approx(math.sqrt(small / (1 + small)), rel=1e-12)


def test_opposite_vectors_keep_their_sign_and_a_zero_has_none(net, around) -> None:
    states = around(net, "ap")
    states["minus"] = ctl.combine(states, ctl.edit("p", {"a": -2.0}))
    states["same"] = states["p"]
    found = ctl.cosines(states, "p", ["a", "minus", "same"]).set_index(["i", "j"]).cosine
    assert found["a", "minus"] == pytest.approx(-1)
    assert found["a", "a"] == 1
    assert found["same"].isna().all()
    assert math.isnan(found["a", "same"])


def test_counters_do_not_count() -> None:
    norm = nn.BatchNorm1d(2)
    states = {name: {k: v.clone() for k, v in norm.state_dict().items()} for name in "abp"}
    states["a"]["weight"][0] += 1
    states["b"]["weight"][1] += 1
    states["a"]["num_batches_tracked"] += 1000
    states["b"]["num_batches_tracked"] += 1000
    assert ctl.cosines(states, "p", "ab").set_index(["i", "j"]).cosine["a", "b"] == 0


def test_one_tensor_is_read_at_a_time(net, around) -> None:
    asked: list[tuple[str, str]] = []

    def watched(name: str, state: dict[str, Tensor]) -> LazyState:
        def read(key: str) -> Tensor:
            asked.append((key, name))
            return state[key]

        return LazyState(state, read)

    states = around(net, "abp")
    lazy = {name: watched(name, state) for name, state in states.items()}
    found = ctl.cosines(lazy, "p", "ab")
    assert found.equals(ctl.cosines(states, "p", "ab"))
    assert asked == [(key, name) for key in net.state_dict() for name in "pab"]


def test_bad_input_is_named(net, around) -> None:
    states = around(net, "abp")
    with pytest.raises(KeyError, match="no checkpoint named 'z'; there are"):
        ctl.cosines(states, "p", "az")
    for names in ("aa", "ap"):
        with pytest.raises(
            ValueError, match=r"'p' or a name occurs twice in .* the pretrained one"
        ):
            ctl.cosines(states, "p", names)
    with pytest.raises(ValueError, match=r"'b' lacks '0.bias', unlike 'p'"):
        ctl.cosines({**states, "b": {"0.weight": states["b"]["0.weight"]}}, "p", "ab")
    states["b"]["2.bias"][0] = torch.nan
    with pytest.raises(ValueError, match=r"'b' has NaN or infinite values at '2.bias'"):
        ctl.cosines(states, "p", "ab")
