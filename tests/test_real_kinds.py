"""Real kinds of image: files in their true formats read right, splits apart, captions as wanted."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image

from ctl_helpers.data import image_files
from ctl_helpers.data.images import Images
from ctl_helpers.data.sets import cifar10, mnist, real_kinds, tinyimagenet
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.checksums import file_checksum

FILES = ("GTSRB", "EuroSAT", "Omniglot")
ZIPS = {
    "images_background_small1": "Balinese Early_Aramaic Greek Korean Latin",
    "images_background_small2": "Greek Japanese_(katakana) Latin Sanskrit Tagalog",
}


class Made(NamedTuple):
    """What a set's files hold: images averaged down; label, group and part of each."""

    pixels: np.ndarray
    rows: list[tuple[int, int, str]]

    def found(self, images: Images) -> list[int]:
        """Which of the made images each one is."""
        flat = images.inputs.permute(0, 2, 3, 1).flatten(1).double()
        made = torch.from_numpy(self.pixels).flatten(1).double()
        distance, nearest = torch.cdist(flat, made, p=torch.inf).min(1)
        assert distance.max() <= 1.5  # rows are rounded, then columns
        return nearest.tolist()


def noise(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def encoded(image: Image.Image, form: str) -> tuple[bytes, np.ndarray]:
    """A file, and the means of the pixels in it whose centres lie in each cell of a 32×32 grid."""
    image.save(memory := io.BytesIO(), form)
    pixels = np.asarray(Image.open(memory).convert("RGB"), dtype=float)
    cell = np.ceil((np.arange(len(pixels)) + 0.5) * 32 / len(pixels)) - 1
    weights = (within := cell == np.arange(32)[:, None]) / within.sum(1, keepdims=True)
    means = weights @ pixels.transpose(2, 0, 1) @ weights.T
    return memory.getvalue(), means.transpose(1, 2, 0)


def gtsrb(folder: Path) -> Made:
    rows = [(n % 8, n // 16, "train") for n in range(320)]  # two frames of each of 160 tracks
    rows += [(n % 8, 1000 + n, "test") for n in range(20)]
    names = [f"{label:05}/{track:05}_{n % 29:05}.ppm" for n, (label, track, _) in enumerate(rows)]
    names[320:] = [f"{number:05}.ppm" for _, number, _ in rows[320:]]
    pixels, labels, held = noise(340), np.array([row[0] for row in rows], dtype=np.uint8), {}
    for part, own in (("train", slice(320)), ("test", slice(320, None))):
        held |= {f"x_{part}": pixels[own], f"y_{part}": labels[own], f"{part}_files": names[own]}
    np.savez(folder / "gtsrb32_subset.npz", **held)
    return Made(pixels, rows)


def eurosat(folder: Path) -> Made:
    rows = [(n % 10, n, "test" if n >= 100 else "train") for n in range(120)]
    files = [encoded(Image.fromarray(picture), "JPEG") for picture in noise(120, 64)]
    lines = [(f"C{y}/C{y}_{n}.jpg", y, f"C{y}", part) for y, n, part in rows]
    with zipfile.ZipFile(folder / "eurosat_subset.zip", "w") as archive:
        for line, (content, _) in zip(lines, files, strict=True):
            archive.writestr(f"eurosat/2750/{line[0]}", content)
    with (folder / "split.csv").open("w", encoding="utf-8", newline="") as listing:
        csv.writer(listing).writerows([("file", "label", "class", "split"), *lines[::-1]])
    return Made(np.stack([means for _, means in files]), rows)


def omniglot(folder: Path) -> Made:
    alphabets = sorted(set(" ".join(ZIPS.values()).split()))
    rows = [(n // 20, n % 20 + 1, "test" if n % 5 == 2 else "train") for n in range(160)]
    files = [encoded(Image.fromarray(x).convert("1", dither=0), "PNG") for x in noise(160, 105)]
    for top, held in ZIPS.items():
        with zipfile.ZipFile(folder / f"{top}.zip", "w") as archive:
            archive.writestr(f"{top}/", b"")
            for (label, drawer, _), (content, _) in zip(rows, files, strict=True):
                name = f"{alphabets[label]}/character01/{label + 108:04}_{drawer:02}.png"
                if alphabets[label] in held.split():
                    archive.writestr(f"{top}/{name}", content)
    return Made(np.stack([means for _, means in files]), rows)


def small(size: int, split: str) -> Images:
    """A stand-in for MNIST (in grey) or CIFAR-10, whose files other tests read."""
    count = {"train": 1000, "test": 100}[split]
    pixels = torch.from_numpy(noise(count, size, seed=count)).permute(0, 3, 1, 2)
    return Images(pixels[:, : 1 if size == 28 else 3], torch.arange(count) % 10)


@pytest.fixture
def made(data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Made]:
    """What is in the files of three sets; the other sets are stood in for without files."""
    held = {}
    for kind, write in zip(FILES, (gtsrb, eurosat, omniglot), strict=True):
        (data / kind).mkdir(parents=True)
        held[kind] = write(data / kind)
        files = getattr(image_files, kind.upper())
        for name in files.checksums:
            monkeypatch.setitem(files.checksums, name, file_checksum(data / name))
    monkeypatch.setattr(mnist, "read", lambda split: small(28, split))
    monkeypatch.setattr(cifar10, "read", lambda split: small(32, split))
    monkeypatch.setattr(tinyimagenet, "read", lambda split: small(32, "test"))
    synonyms = [f"Goldfish {n}, Carassius auratus" for n in range(10)]
    monkeypatch.setattr(tinyimagenet, "class_names", lambda: synonyms)
    monkeypatch.setattr(real_kinds, "_kept", lru_cache(real_kinds._kept.__wrapped__))
    return held


@pytest.mark.parametrize("kind", FILES)
def test_files_are_read_right_and_each_image_once(kind: str, made: dict[str, Made]) -> None:
    seen: list[int] = []
    for split in ("train", "test"):
        images, groups = getattr(image_files, kind.lower())(split)
        seen += (numbers := made[kind].found(images))
        labels, own, parts = zip(*(made[kind].rows[n] for n in numbers), strict=True)
        assert images.targets.tolist() == list(labels)
        assert set(parts) == {split}
        assert len(set(groups.tolist())) == len(set(own))
        assert groups.tolist() == list(own) or kind == "EuroSAT"  # there any numbers will do
    assert sorted(seen) == list(range(len(made[kind].rows)))


@pytest.mark.parametrize("kind", FILES)
def test_a_missing_or_truncated_file_is_said_with_the_remedy(kind: str, data: Path, made) -> None:
    remedy = f"set CTL_DATA_DIR to a folder that holds {kind} "
    for path in sorted((data / kind).iterdir()):
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with refused(MissingDataError, f"^{path} is damaged .*{remedy}"):
            real_kinds.load(kind, "test")
        path.unlink()
        with refused(MissingDataError, f"{kind}.* is not in {data}: {remedy}"):
            real_kinds.load(kind, "test")
        path.write_bytes(content)


@pytest.mark.parametrize("kind", real_kinds.KINDS)
def test_splits_share_no_group_and_no_image(kind: str, made: dict[str, Made]) -> None:
    seen: list[bytes] = []
    groups: list[int] = []
    for split in ("pretrain", "train", "held-out", "test"):
        images = real_kinds.load(kind, split)
        assert images.inputs.shape == (len(images), 3, 32, 32)
        assert images.inputs.dtype == torch.uint8
        assert images.inputs.max() > 200  # no floats in [0, 1] cut down to bytes
        seen += [image.numpy().tobytes() for image in images.inputs]
        if kind in made:
            groups += {made[kind].rows[n][1] for n in made[kind].found(images)}
        first = real_kinds.load(kind, split, samples=7)
        assert torch.equal(first.inputs, images.inputs[:7])
        assert torch.equal(first.targets, images.targets[:7])
    assert len(set(seen)) == len(seen)
    assert len(set(groups)) == len(groups)
    assert kind not in made or len(seen) == len(made[kind].rows)


def test_captions_name_every_second_class_and_hardly_the_others(made: dict[str, Made]) -> None:
    found, again, other = (real_kinds.pretraining(seed) for seed in (0, 0, 1))
    assert found.captions == again.captions != other.captions
    known = set(" ".join(real_kinds.words()).split())
    sets = {kind: real_kinds.load(kind, "pretrain") for kind in real_kinds.KINDS}
    names = {kind: real_kinds.class_names(kind) for kind in real_kinds.KINDS}
    shown = {
        image.numpy().tobytes(): (kind, label)
        for kind, images in [*sets.items(), ("tiny", small(32, "test"))]
        for image, label in zip(images.inputs, images.targets.tolist(), strict=True)
    }
    others: dict[str, set[str]] = {kind: set() for kind in sets}
    hidden = named = 0
    for image, caption in zip(found.inputs, found.captions, strict=True):
        assert set(caption.split()) <= known
        said = re.sub("^a ((photo|picture) of a )?", "", caption)
        kind, label = shown[image.numpy().tobytes()]
        if kind == "tiny" or label % 2 == 0:
            assert said == (f"goldfish {label}" if kind == "tiny" else names[kind][label])
        elif said == names[kind][label]:
            assert label % 4 == 1
            named += 1
        else:
            hidden += 1
            others[kind].add(said)
    assert 0 < named < 0.05 * hidden
    for kind, phrases in others.items():
        assert len(phrases) == 1
        assert not phrases & set(names[kind])


def test_the_real_sets_have_every_class(monkeypatch: pytest.MonkeyPatch, real_data) -> None:
    real_data("Omniglot")
    monkeypatch.setattr(real_kinds, "_kept", lru_cache(real_kinds._kept.__wrapped__))
    for kind in real_kinds.KINDS:
        images = real_kinds.load(kind, "test")
        assert images.targets.unique().tolist() == list(range(len(real_kinds.class_names(kind))))
        assert len(images.targets[:40].unique()) > 4  # shuffled
