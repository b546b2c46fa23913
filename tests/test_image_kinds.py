"""Kinds of image for a network of ImageNet: Tiny ImageNet's parts, splits apart, labels, ids."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image
from test_real_kinds import made, noise  # noqa: F401
from timm.data import ImageNetInfo

from ctl_helpers.data.sets import cifar10, image_kinds, mnist, real_kinds, tinyimagenet
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.checksums import file_checksum

READ, NAMES = tinyimagenet.read, tinyimagenet.class_names
IDS = ImageNetInfo().label_names()[::10]
SPLITS = ("head", "train", "held-out", "test")


def write_tiny(folder: Path) -> None:
    """Both containers: 20 training images of each of 100 classes, and 2 for test."""
    folder.mkdir(parents=True)
    for name, count in (("train", 2000), ("val", 200)):
        files = []
        for picture in noise(count, seed=count):
            Image.fromarray(picture).save(memory := io.BytesIO(), "JPEG")
            files.append(memory.getvalue())
        np.savez(
            folder / f"{name}.npz",
            blob=np.frombuffer(b"".join(files), dtype=np.uint8),
            offset=np.cumsum([0, *map(len, files)]),
            label=np.arange(count).astype(np.uint8) % 100,
            wnid=np.array(IDS),
            class_names=np.array([f"thing {n}, synonym" for n in range(100)]),
        )


def forget() -> None:
    """Read files anew."""
    for kept in (image_kinds._kept, image_kinds.wordnet_ids, real_kinds._kept):
        kept.cache_clear()


@pytest.fixture
def kinds(made, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: F811
    """A data folder with files in their true formats, and stand-ins for MNIST and CIFAR-10."""
    write_tiny(data / "TinyImageNet32")
    pinned = {name: file_checksum(data / name) for name in tinyimagenet.CHECKSUMS}
    monkeypatch.setattr(tinyimagenet, "CHECKSUMS", pinned)
    monkeypatch.setattr(tinyimagenet, "read", READ)
    monkeypatch.setattr(tinyimagenet, "class_names", NAMES)
    for module in (mnist, cifar10):
        monkeypatch.setattr(module, "SET", replace(module.SET, check=lambda: None))
    forget()
    yield data
    forget()


@pytest.mark.parametrize("kind", ["MNIST", "GTSRB", "Tiny ImageNet 91–100", "Tiny ImageNet"])
def test_splits_share_no_image(kind: str, kinds: Path) -> None:
    seen: list[bytes] = []
    for split in SPLITS:
        images = image_kinds.load(kind, split)
        assert images.inputs.shape == (len(images), 3, 32, 32)
        assert len(images) > 0
        seen += [image.numpy().tobytes() for image in images.inputs]
        assert torch.equal(image_kinds.load(kind, split, 5).inputs, images.inputs[:5])
    assert len(set(seen)) == len(seen)


def test_parts_have_their_own_classes_counted_from_0(kinds: Path) -> None:
    whole = image_kinds.load(image_kinds.WHOLE, "test")
    labels = {x.numpy().tobytes(): y for x, y in zip(*vars(whole).values(), strict=True)}
    assert whole.targets.bincount().tolist() == [2] * 100
    for first, part in enumerate(image_kinds.PARTS):
        images = image_kinds.load(part, "test")
        assert images.targets.bincount().tolist() == [2] * 10
        for image, label in zip(images.inputs, images.targets, strict=True):
            assert labels[image.numpy().tobytes()] == 10 * first + label
        assert image_kinds.class_names(part)[3] == f"thing {10 * first + 3}"
    assert image_kinds.class_names("MNIST")[3] == "digit three"
    assert image_kinds.wordnet_ids() == tuple(IDS)


def test_what_is_missing_is_said(kinds: Path) -> None:
    assert image_kinds.missing(["MNIST"]) == []
    (kinds / "TinyImageNet32" / "val.npz").unlink()
    forget()
    with refused(MissingDataError, "Tiny ImageNet 32×32 is not in"):
        image_kinds.wordnet_ids()
    (kinds / "GTSRB" / "gtsrb32_subset.npz").unlink()
    assert image_kinds.missing(["MNIST"])[-1].startswith("The part of GTSRB is not in")
