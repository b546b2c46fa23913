"""Tied weights and shared modules: one tensor, mixed once, whichever of its names a file has."""

from __future__ import annotations

import pytest
import torch
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine import mixed_weights
from ctl_helpers.engine.tensor_sums import mixed_tensors
from ctl_helpers.engine.ties import first_names, places, read_once


class Tied(nn.Module):
    """A head that is the embedding, and a block that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 4), nn.Linear(4, 11, bias=False)
        self.head.weight = self.embed.weight
        self.first = nn.Linear(4, 4)
        self.second = self.first
        self.norm = nn.BatchNorm1d(11)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.head(self.second(torch.tanh(self.embed(x)))).mean(1))


@pytest.fixture
def model() -> Tied:
    torch.manual_seed(0)
    return Tied().double().eval()


@pytest.fixture
def states() -> dict[str, dict[str, Tensor]]:
    """Checkpoints whose tied tensors are equal, but lie in two places."""
    torch.manual_seed(1)
    found = {}
    for name in "ab":
        one = Tied().double()
        nn.init.normal_(one.embed.weight)
        found[name] = {key: value.clone() for key, value in one.state_dict().items()}
    return found


X = torch.arange(22).view(2, 11) % 11


def logits(model: Tied, state: dict[str, Tensor]) -> Tensor:
    other = Tied().double().eval()
    other.load_state_dict(state)
    return other(X).detach()


def test_names_of_one_tensor(model) -> None:
    first = first_names(model)
    assert first["head.weight"] == first["embed.weight"] == "embed.weight"
    assert first["second.bias"] == first["first.bias"] == "first.bias"
    assert {"embed.weight", "head.weight", "first.weight"} < places(model)
    assert not {"second.weight", "second.bias"} & places(model)
    assert first.keys() - {"second.weight", "second.bias"} == places(model)


def test_a_mix_is_that_of_loaded_networks_and_the_model_stays_as_it_is(model, states) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mixes = [{"a": 1.0}, {"a": 0.3, "b": 0.7}, {"a": 2.0, "b": -0.5}]
    found = ctl.logits(model, states, mixes, [X])[None]
    for mix, given in zip(mixes, found, strict=True):
        whole = {k: sum(w * states[n][k].double() for n, w in mix.items()) for k in states["a"]}
        torch.testing.assert_close(given, logits(model, whole), rtol=1e-12, atol=1e-12)
    ctl.compare(model, states, ctl.pairs("ab", [0.5]), [X], ["head"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.head.weight is model.embed.weight


def test_a_tied_tensor_is_mixed_once(model, states, monkeypatch) -> None:
    mixed: list[str] = []

    def watched(parts, mix, names):
        mixed.extend(names)
        return mixed_tensors(parts, mix, names)

    monkeypatch.setattr(mixed_weights, "mixed_tensors", watched)
    ctl.logits(model, states, [{"a": 0.5, "b": 0.5}], [X])
    assert sorted(mixed) == ["embed.weight", "first.bias", "first.weight"]


def test_a_checkpoint_may_have_any_of_the_names(model, states) -> None:
    given = {
        "a": {k: v for k, v in states["a"].items() if k not in ("embed.weight", "first.bias")},
        "b": {k: v for k, v in states["b"].items() if k not in ("head.weight", "second.weight")},
    }
    mixes = [{"a": 0.3, "b": 0.7}]
    found = ctl.logits(model, given, mixes, [X])[None]
    assert torch.equal(found, ctl.logits(model, states, mixes, [X])[None])
    read = ctl.read(given["a"], like=model)
    assert read.keys() == states["a"].keys()
    assert all(torch.equal(read[name], states["a"][name]) for name in read)
    bare = {name: tensor for name, tensor in given["b"].items() if name != "first.weight"}
    with refused(ValueError, r"lacks 'first\.weight', unlike the model \(2 tensors missing, 0 unk"):
        ctl.read(bare, like=model)


@pytest.mark.parametrize("name", ["head.weight", "second.bias"])
def test_several_values_for_one_tensor_are_refused(model, states, name: str) -> None:
    states["b"][name] = states["b"][name] + 1
    with refused(ValueError, f"checkpoint 'b' has other values at '{name}' than at"):
        ctl.logits(model, states, [{"a": 0.5, "b": 0.5}], [X])
    with refused(ValueError, f"the checkpoint has other values at '{name}' than at .*tie_word"):
        ctl.read(states["b"], like=model)


def test_a_combination_keeps_what_is_tied(model) -> None:
    other = Tied().double()
    both = {"a": model.state_dict(), "b": other.state_dict()}
    mixed = ctl.combine(both, {"a": 0.3, "b": 0.7})
    assert mixed["head.weight"] is mixed["embed.weight"]
    assert mixed["second.bias"] is mixed["first.bias"]
    expected = 0.3 * model.embed.weight + 0.7 * other.embed.weight
    torch.testing.assert_close(mixed["head.weight"], expected.detach(), rtol=1e-14, atol=1e-14)
    # Where one of the two has them apart, they are apart in the mix.
    both["b"] = {name: value.clone() for name, value in both["b"].items()}
    both["b"]["head.weight"] += 1
    mixed = ctl.combine(both, {"a": 0.3, "b": 0.7})
    torch.testing.assert_close(mixed["head.weight"], expected.detach() + 0.7)
    torch.testing.assert_close(mixed["embed.weight"], expected.detach())


def test_tensors_are_read_once(model, states) -> None:
    from ctl_helpers.engine.lazy_state import LazyState

    asked: list[str] = []
    lazy = LazyState(states["a"], lambda name: asked.append(name) or states["a"][name].clone())
    read = read_once(lazy, first_names(model))
    assert read["head.weight"] is read["embed.weight"]
    assert all(torch.equal(read[name], states["a"][name]) for name in states["a"])
    assert len(asked) == len(states["a"]) - 3


def test_angles_count_a_tied_tensor_once() -> None:
    torch.manual_seed(0)
    nets = {name: Tied().double() for name in "pab"}
    held = {name: net.state_dict() for name, net in nets.items()}
    once = {
        n: {k: v for k, v in s.items() if k not in ("head.weight", "second.weight", "second.bias")}
        for n, s in held.items()
    }
    found, expected = (ctl.cosines(each, "p", ["a", "b"]).cosine for each in (held, once))
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-14)
