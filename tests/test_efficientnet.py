"""EfficientNets: timm's own numbers, parts of the way, frozen BatchNorm, and names of old files."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from conftest import refused
from timm.data import ImageNetInfo
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.engine.hooks import taps
from ctl_helpers.models.efficientnet import (
    EfficientNet,
    from_efficientnet_pytorch,
    imagenet_rows,
    with_statistics,
)

SIZE = "test_efficientnet"


@pytest.fixture
def model() -> EfficientNet:
    """A random network in float64, in evaluation mode."""
    torch.manual_seed(0)
    return EfficientNet(SIZE, 48, frozen_norm=True).double().eval()


def images(count: int = 3) -> Tensor:
    return torch.rand(
        count, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def test_features_are_those_of_timms_own_network_on_larger_images(model: EfficientNet) -> None:
    other = timm.create_model(SIZE, num_classes=0).double().eval()
    other.load_state_dict(model.state_dict())
    large = F.interpolate(images(), scale_factor=1.5, mode="bilinear")
    theirs = ["bn1", *(f"blocks.{n}" for n in range(len(other.blocks))), "global_pool"]
    with (
        torch.no_grad(),
        taps(model, model.feature_layers) as seen,
        taps(other, theirs) as expected,
    ):
        torch.testing.assert_close(model(images()), other(2 * large - 1))
    assert ctl.feature_layers(model) == model.feature_layers == ("stem", *theirs[1:-1], "pooled")
    for layer, named in zip(model.feature_layers, theirs, strict=True):
        torch.testing.assert_close(seen[layer], expected[named])


def test_parts_make_the_whole(model: EfficientNet) -> None:
    with torch.no_grad():
        whole = model(images())
        for layer in model.feature_layers:
            front = model(images(), until=layer)
            assert len(front) == 3
            torch.testing.assert_close(model(front, after=layer), whole)
    with refused(KeyError, "no layer 'head'; it has .*'stem'"):
        model(images(), until="head")


@pytest.mark.parametrize("frozen", [True, False])
def test_batchnorm_trains_unless_it_is_frozen(frozen: bool) -> None:
    model = EfficientNet(SIZE, 32, frozen).double().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(images()).sum().backward()
    kept = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert kept == frozen
    assert model.bn1.weight.grad is not None
    assert model.training


def test_old_names_are_taken_in_their_order() -> None:
    state = timm.create_model(SIZE).state_dict()
    old = {f"_{n}.{name.rpartition('.')[2]}": part for n, (name, part) in enumerate(state.items())}
    found = from_efficientnet_pytorch(SIZE, old, "the file")
    assert found.keys() == state.keys()
    assert all(found[name] is state[name] for name in state)
    last = list(old)[-1]
    for broken, sentence in (
        ({name: old[name] for name in old if name != last}, f"the file has {len(old) - 1} tensors"),
        ({**old, last: torch.zeros(3)}, f"has '{last}' of shape .3,. where {SIZE} has"),
        (dict(reversed(old.items())), "give the weights of that architecture"),
    ):
        with refused(ValueError, sentence):
            from_efficientnet_pytorch(SIZE, broken, "the file")


def test_rows_of_imagenet_are_found_by_wordnet_id() -> None:
    assert imagenet_rows(["n01443537", "n01440764", "n15075141"]) == [1, 0, 999]
    assert "goldfish" in ImageNetInfo().index_to_description(1)
    with refused(ValueError, "'n00000000' is the WordNet id of none"):
        imagenet_rows(["n01443537", "n00000000"])


def test_other_statistics_leave_the_function_as_it_is(model: EfficientNet) -> None:
    torch.manual_seed(1)
    other = {
        name: torch.rand_like(value) + 0.5 if ".running_" in name else value
        for name, value in model.state_dict().items()
    }
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = with_statistics(model, other)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(found[name], other[name]) for name in other if ".running_" in name)
    moved = copy.deepcopy(model)
    moved.load_state_dict(found)
    torch.testing.assert_close(moved(images()), model(images()))
