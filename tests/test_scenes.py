"""The generated scenes: fixed, balanced, independent by class, neither trivial nor pure noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ctl_helpers.data.images import Images
from ctl_helpers.data.sets import scenes


@pytest.fixture(scope="module")
def train() -> Images:
    return scenes.read("train")


@pytest.fixture(scope="module")
def test() -> Images:
    return scenes.read("test")


def by_class(images: Images, label: int) -> Tensor:
    return images.inputs[images.targets == label]


def nearest_mean_accuracy(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
    means = torch.stack([train[labels == label].mean(0) for label in labels.unique()])
    return (torch.cdist(test, means).argmin(1) == truth).float().mean().item()


def spectrum(images: Images) -> Tensor:
    """Lengths of Fourier coefficients, which do not depend on where something is."""
    coefficients = torch.fft.rfft2(images.inputs.float()).abs().mean(1)
    coefficients[:, 0, 0] = 0
    return torch.nn.functional.normalize(coefficients.flatten(1))


def test_shapes_types_and_labels(train, test):
    for images, count in ((train, scenes.TRAIN), (test, scenes.TEST)):
        assert images.inputs.shape == (20 * count, 3, scenes.SIZE, scenes.SIZE)
        assert images.inputs.dtype == torch.uint8
        assert images.targets.dtype == torch.long
        assert images.targets.bincount().tolist() == [count] * 20
        assert len(images.targets[:count].unique()) > 10  # shuffled
    assert len(set(scenes.CLASS_NAMES)) == 20
    assert scenes.CLASS_NAMES[7] == "triangle on checks"


def test_same_images_at_every_load_and_none_twice(train, test):
    again = scenes.read("test")
    assert torch.equal(again.inputs, test.inputs)
    assert torch.equal(again.targets, test.targets)
    images = [image.numpy().tobytes() for image in torch.cat([train.inputs, test.inputs])]
    assert len(set(images)) == len(images)


def test_a_class_does_not_depend_on_those_asked_for(test):
    some = scenes.read("test", range(7, 10))
    assert some.targets.unique().tolist() == [7, 8, 9]
    for label in range(7, 10):
        wanted, found = (
            {image.numpy().tobytes() for image in by_class(images, label)}
            for images in (test, some)
        )
        assert found == wanted


def test_unknown_part_and_classes_are_refused():
    with pytest.raises(ValueError, match="parts 'train' and 'test', but not 'valid'"):
        scenes.read("valid")
    with pytest.raises(ValueError, match=r"classes 0 to 19, not range\(15, 25\)"):
        scenes.read("test", range(15, 25))


def test_classes_carry_signal_that_their_mean_images_hardly_show(train, test):
    pixels = [images.inputs.float().flatten(1) for images in (train, test)]
    seen = [spectrum(images) for images in (train, test)]
    assert nearest_mean_accuracy(pixels[0], train.targets, pixels[1], test.targets) < 0.2
    assert nearest_mean_accuracy(seen[0], train.targets, seen[1], test.targets) > 0.2
    shapes, grounds = (train.targets % 5, test.targets % 5), (train.targets // 5, test.targets // 5)
    assert nearest_mean_accuracy(seen[0], shapes[0], seen[1], shapes[1]) > 0.5
    assert nearest_mean_accuracy(seen[0], grounds[0], seen[1], grounds[1]) > 0.3


def test_a_ring_is_dark_inside_and_a_disc_is_not(train):
    centre = slice(scenes.SIZE // 2 - 2, scenes.SIZE // 2 + 2)
    for pattern in range(len(scenes.PATTERNS)):
        disc, ring = (by_class(train, 5 * pattern + shape).float() for shape in (0, 4))
        assert disc[..., centre, centre].mean() > 1.2 * ring[..., centre, centre].mean()
