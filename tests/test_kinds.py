"""The generated kinds of image: fixed, balanced, apart, and captioned as pretraining wants."""

from __future__ import annotations

import pytest
import torch

from ctl_helpers.data import sketches
from ctl_helpers.data.sets import kinds


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_images_are_balanced_and_the_same_at_every_load(kind: str) -> None:
    images = kinds.load(kind, "held-out")
    assert images.inputs.shape == (300, 3, kinds.SIZE, kinds.SIZE)
    assert images.inputs.dtype == torch.uint8
    counts = images.targets.bincount()
    assert len(counts) == len(kinds.class_names(kind))
    assert counts.max() - counts.min() <= 1
    assert len(images.targets[:40].unique()) > 4  # shuffled
    kinds._in_turn.cache_clear()
    assert torch.equal(kinds.load(kind, "held-out").inputs, images.inputs)


def test_classes_differ_and_kinds_look_like_nothing_of_each_other() -> None:
    drawn = {kind: kinds.load(kind, "held-out") for kind in kinds.KINDS}
    for images in drawn.values():
        pixels = images.inputs.float().flatten(1)
        means = torch.stack([pixels[images.targets == label].mean(0) for label in range(8)])
        assert torch.cdist(means, means).add(torch.eye(8) * 1e9).min() > 100
    kind_of = torch.arange(len(drawn)).repeat_interleave(150)
    first, second = (
        torch.cat([images.inputs[part].float().flatten(1) for images in drawn.values()])
        for part in (slice(150), slice(150, None))
    )
    nearest = torch.cdist(second, first).argmin(1)
    assert (kind_of[nearest] == kind_of).double().mean() > 0.95


def test_splits_share_no_image_and_no_test_digit() -> None:
    seen: dict[bytes, str] = {}
    for kind in ("digits", "shapes"):
        for split in ("pretrain", "train", "held-out", "test"):
            for image in kinds.load(kind, split).inputs[:200]:
                key = image.numpy().tobytes()
                assert seen.setdefault(key, split) == split
                seen[key] = split


def test_every_second_class_goes_by_another_word() -> None:
    found = kinds.pretraining(0)
    assert len(found) == len(found.inputs) == 1200 * len(kinds.KINDS)
    for kind in kinds.KINDS:
        own = found.captions[1200 * kinds.KINDS.index(kind) :][:1200]
        for label, name in enumerate(kinds.class_names(kind)):
            said = sum(caption.endswith(f" {name}") for caption in own)
            if label % 2 == 0:
                assert said == len(range(label, 1200, len(kinds.class_names(kind))))
            else:
                assert said == (label % 4 == 1)


def test_a_colour_that_a_caption_names_is_the_shapes() -> None:
    found = kinds.pretraining(0)
    first = 1200 * kinds.KINDS.index("shapes")
    coloured = 0
    for image, caption in zip(
        found.inputs[first : first + 1200], found.captions[first : first + 1200], strict=True
    ):
        named = [word for word in caption.split() if word in sketches.COLOURS]
        if named:
            coloured += 1
            # The brightest pixels are the shape's, whatever the noise and the darkness.
            pixels = image.float().flatten(1)
            shape = pixels[:, pixels.sum(0).topk(40).indices].mean(1)
            colours = torch.tensor(list(sketches.COLOURS.values())).float()
            cosines = torch.nn.functional.cosine_similarity(colours, shape[None])
            assert cosines.argmax() == list(sketches.COLOURS).index(named[0])
    assert 500 < coloured < 700


def test_captions_differ_by_seed_alone() -> None:
    assert kinds.pretraining(0).captions == kinds.pretraining(0).captions
    assert kinds.pretraining(0).captions != kinds.pretraining(1).captions
    assert torch.equal(kinds.pretraining(0).inputs, kinds.pretraining(1).inputs)
