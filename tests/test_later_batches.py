"""What a network does on a later batch alone is found out as what it does on the first one."""

from __future__ import annotations

import pytest
import torch
from conftest import refused, same
from torch import Tensor, nn

import ctl_helpers as ctl

PAIR = ctl.pairs(["a", "b"], [0.5])


class Crop(nn.Module):
    """A random window of what is long."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > 8:
            begin = int(torch.randint(0, x.shape[1] - 7, ()))
            x = x[:, begin : begin + 8]
        return torch.tanh(self.a(x)).mean(1)


@pytest.mark.parametrize("lengths", [(6, 30), (30, 6), (6, 7, 30)])
def test_random_numbers_of_a_later_batch_are_the_same_in_each_pass(lengths) -> None:
    torch.manual_seed(0)
    model = Crop()
    batches = [torch.randn(4, length, 5) for length in lengths]
    before = torch.get_rng_state()
    with pytest.warns(UserWarning, match="random numbers"):
        found = ctl.compare(model, {n: model.state_dict() for n in "ab"}, PAIR, batches, [""])
    assert found.set_index("metric")["mean"][["distance", "baseline"]].abs().max() < 1e-6
    assert torch.equal(before, torch.get_rng_state())


class Noisy(nn.Module):
    """Random numbers where a value says so, which no shape tells."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x + torch.randn(5)) if (x > 10).any() else self.a(x)


def test_random_numbers_that_only_values_bring_about_are_refused() -> None:
    torch.manual_seed(0)
    model, usual = Noisy(), torch.randn(4, 5)
    before = torch.get_rng_state()
    with refused(RuntimeError, "drew random numbers", "pass such a batch first"):
        states = {n: model.state_dict() for n in "ab"}
        ctl.compare(model, states, PAIR, [usual, usual + 20], [""])
    assert torch.equal(before, torch.get_rng_state())


class Keeping(nn.Module):
    """Keeps what it made of its weights for each length beyond a first one."""

    def __init__(self, kept: dict[int, Tensor]) -> None:
        super().__init__()
        self.table, self.a, self.kept = nn.Parameter(torch.randn(64, 8)), nn.Linear(8, 8), kept

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length > 4 and length not in self.kept:
            self.kept[length] = 2 * self.table[:length]
        return self.a(x + (self.table[:length] if length <= 4 else self.kept[length]))


@pytest.mark.parametrize("lengths", [(4, 9), (9, 4)])
def test_a_module_that_keeps_something_from_a_later_batch_on_is_refused(lengths, around) -> None:
    model = Keeping({})
    batches = [torch.randn(5, length, 8) for length in lengths]
    with refused(RuntimeError, r"the model \(Keeping\) keeps something", "'kept'"):
        ctl.compare(model, around(model, "ab", 0.5), PAIR, batches, ["a"])


GLOBAL: dict[int, Tensor] = {}


class KeepingOutside(Keeping):
    def __init__(self) -> None:
        super().__init__({})

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length not in GLOBAL:
            GLOBAL[length] = 2 * self.table[:length]
        return self.a(x + GLOBAL[length])


def test_what_is_kept_outside_of_a_network_is_noticed(around) -> None:
    GLOBAL.clear()
    model = KeepingOutside()
    with refused(RuntimeError, "KeepingOutside keeps something from one pass for the next"):
        ctl.compare(model, around(model, "ab", 0.5), PAIR, [torch.randn(5, 9, 8)], ["a"])


class Writing(nn.Module):
    """Changes its input where a mask is given."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x[~mask] = 0
        return self.b(torch.tanh(self.a(x)).mean(1))


def test_a_batch_that_a_later_pass_would_change_stays_as_it_is(around) -> None:
    torch.manual_seed(0)
    model = Writing()
    plain = {"x": torch.randn(4, 3, 5)}
    masked = {"x": torch.randn(4, 3, 5), "mask": torch.rand(4, 3) > 0.5}
    kept, states = masked["x"].clone(), around(model, "ab")
    found = [
        ctl.compare(model, states, PAIR, batches, ["b"])["mean"].tolist()
        for batches in ([plain, masked], [masked, plain])
    ]
    assert found[0] == pytest.approx(found[1])
    assert torch.equal(kept, masked["x"])


class Renormalizing(nn.Module):
    """The second of two inputs is looked up in a table that lookups change."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.bounded = nn.Embedding(20, 8), nn.Embedding(20, 8, max_norm=0.5)
        self.a = nn.Linear(8, 3)

    def forward(self, u: Tensor | None = None, v: Tensor | None = None) -> Tensor:
        return self.a((self.bounded(v) if u is None else self.plain(u)).mean(1))


def test_weights_that_a_later_task_would_change_stay_as_they_are(around) -> None:
    torch.manual_seed(0)
    model = Renormalizing()
    states = around(model, "ab")
    kept = {name: value.clone() for name, value in states["a"].items()}
    tokens, targets = torch.randint(0, 20, (6, 4)), torch.randint(0, 3, (6,))
    streams = {"plain": [({"u": tokens}, targets)], "bounded": [({"v": tokens}, targets)]}
    path = ctl.path("a", "b", [1, 0.5, 0])
    found = ctl.evaluate(model, states, path, streams).set_index(["task", "alpha"])["loss"]
    other = dict(reversed(streams.items()))
    again = ctl.evaluate(model, states, path, other).set_index(["task", "alpha"])["loss"]
    assert same(kept, states["a"])
    assert found.to_dict() == pytest.approx(again.to_dict())
