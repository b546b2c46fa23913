"""The image tower against open_clip itself, its two parts, zero-shot heads and the tokenizer."""

from __future__ import annotations

import open_clip
import pytest
import torch
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.models.clip import ImageTower, Words, small_clip

SIZES = {"image_size": 16, "patch": 8, "width": 32, "layers": 3, "heads": 2, "embedding": 24}
SIZES |= {"text_width": 16, "text_layers": 1, "text_heads": 2, "context": 6}
WORDS = Words(["a red cat", "a photo of"], 6)


@pytest.fixture
def clip() -> nn.Module:
    torch.manual_seed(0)
    return small_clip(**SIZES, vocabulary=WORDS.size).eval()


@pytest.fixture
def tower(clip: nn.Module) -> ImageTower:
    return ImageTower(clip.visual, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).eval()


@torch.no_grad()
def test_the_tower_is_open_clips(clip: nn.Module, tower: ImageTower) -> None:
    images = torch.rand(5, 3, 16, 16)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))
    expected = clip.encode_image((images - mean) / std)
    assert torch.allclose(tower(images), expected, atol=1e-6)
    whole = clip.state_dict()
    assert set(tower.state_dict()) == {name for name in whole if name.startswith("visual.")}


@torch.no_grad()
def test_it_runs_in_two_parts(tower: ImageTower) -> None:
    images = torch.rand(4, 3, 16, 16)
    with ctl.taps(tower, tower.feature_layers) as seen:
        whole = tower(images)
    for layer in tower.feature_layers:
        feature = tower(images, until=layer)
        assert feature.shape == (4, 5, 32)
        assert torch.equal(feature.flatten(1), seen[layer])
        assert torch.equal(tower(feature, after=layer), whole)
    between = tower(tower(images, until=tower.feature_layers[0]), after=tower.feature_layers[0])
    assert torch.equal(between, whole)
    with pytest.raises(KeyError, match=r"no block 'visual\.conv1'; it has"):
        tower(images, until="visual.conv1")


@torch.no_grad()
def test_blocks_that_take_tokens_first_give_the_same(tower: ImageTower) -> None:
    images = torch.rand(4, 3, 16, 16)
    layer = tower.feature_layers[1]
    expected, feature = tower(images), tower(images, until=layer)
    tower.visual.transformer.batch_first = False
    for block in tower.visual.transformer.resblocks:
        block.attn.batch_first = False
    assert torch.allclose(tower(images), expected, atol=1e-6)
    assert torch.allclose(tower(images, until=layer), feature, atol=1e-6)
    assert torch.allclose(tower(feature, after=layer), expected, atol=1e-6)


def test_the_true_vit_b_32_is_a_tower() -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu").eval()
    tower = ImageTower(model.visual, model.visual.image_mean, model.visual.image_std).eval()
    images = torch.rand(2, 3, 224, 224)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (tower.visual.image_mean, tower.visual.image_std)
    )
    with torch.no_grad():
        expected = model.encode_image((images - mean) / std)
        assert torch.allclose(tower(images), expected, atol=1e-5)
    assert len(tower.feature_layers) == 12


def test_words_are_numbered_and_end_with_the_largest() -> None:
    tokens = WORDS(["a red cat", "a photo of a cat"])
    assert tokens.shape == (2, 6)
    assert tokens[0].argmax() == 3
    assert tokens[1].argmax() == 5
    assert tokens[0, 0] == tokens[1, 0] == tokens[1, 3] > 0
    assert tokens.max() == WORDS.size - 1
    with pytest.raises(ValueError, match="'dog' in 'a dog' is no word of the captions"):
        WORDS(["a dog"])
    with pytest.raises(ValueError, match="has more than 5 words"):
        WORDS(["a a a a a a"])
