"""Data sets: what ships, what is made here, and loaders on files in their true formats."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image
from torchvision import datasets
from torchvision.datasets import mnist as torchvision_mnist

from ctl_helpers import settings
from ctl_helpers.data import tasks
from ctl_helpers.data.images import Images, floats
from ctl_helpers.data.sets import cifar10, cifar100, digits, imagenet, mnist, tinyimagenet
from ctl_helpers.project import MissingDataError
from ctl_helpers.settings.scratch import Scratch
from ctl_helpers.weights.checksums import file_checksum


def test_digits_are_split_once_and_apart() -> None:
    parts = {split: digits.read(split) for split in ("train", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 1200, "test": 597}
    rows = [part.inputs.flatten(1).numpy() for part in parts.values()]
    train_rows, test_rows = ({row.tobytes() for row in part} for part in rows)
    assert not train_rows & test_rows
    assert torch.equal(digits.read("test").inputs, parts["test"].inputs)
    for part in parts.values():
        assert part.inputs.shape[1:] == (1, 28, 28)
        assert 0 <= part.inputs.min() < part.inputs.max() <= 1
        assert part.targets.unique().tolist() == list(range(10))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_right_angles_are_exact_rotations(turns: int) -> None:
    original = digits.read("test").first(20)
    turned = original.rotated(90 * turns)
    expected = torch.rot90(original.inputs, turns, (-2, -1))
    torch.testing.assert_close(turned.inputs, expected, rtol=0, atol=1e-4)
    assert torch.equal(turned.targets, original.targets)


def test_tasks_are_turned_images_in_the_same_order() -> None:
    quick = settings.load("digits-mlp")
    upright, tilted = (quick.images(task, "test") for task in ("0°", "22.5°"))
    assert torch.equal(upright.inputs, digits.read("test").inputs)
    assert tilted.inputs.shape == upright.inputs.shape
    assert torch.equal(tilted.inputs, upright.rotated(22.5).inputs)
    assert torch.equal(tilted.targets, upright.targets)
    streams = quick.streams(["0°", "22.5°"], samples=25, batch_size=10)
    sizes = {task: [len(y) for _, y in stream] for task, stream in streams.items()}
    assert sizes == {"0°": [10, 10, 5], "22.5°": [10, 10, 5]}
    assert torch.equal(torch.cat([x for x, _ in streams["22.5°"]]), tilted.inputs[:25])


def write_mnist(
    root: Path, monkeypatch: pytest.MonkeyPatch, held: Mapping[str, tuple[np.ndarray, list[int]]]
) -> None:
    """MNIST's four files with these pixels (samples, height, width) and labels."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, (pixels, labels) in held.items():
        prefix = raw / ("t10k" if part == "test" else part)
        header = struct.pack(">IIII", 0x803, *pixels.shape)
        Path(f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">II", 0x801, len(labels))
        Path(f"{prefix}-labels-idx1-ubyte").write_bytes(header + bytes(labels))
    checksums = {name: file_checksum(raw / name) for name in mnist.CHECKSUMS}
    monkeypatch.setattr(mnist, "CHECKSUMS", checksums)


@pytest.fixture
def tiny_mnist(data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    """MNIST's four files with a few images of 4×5 pixels; what they hold."""
    held = {
        split: ((np.arange(n * 4 * 5) * 7 % 256).astype(np.uint8).reshape(n, 4, 5), list(range(n)))
        for split, n in {"train": 3, "test": 4}.items()
    }
    write_mnist(data, monkeypatch, held)
    return {
        split: Images(torch.from_numpy(pixels).unsqueeze(1), torch.tensor(labels))
        for split, (pixels, labels) in held.items()
    }


def test_mnist_files_are_read_right(tiny_mnist: dict[str, Images]) -> None:
    setting = settings.load("mnist-mlp")
    assert setting.missing() is None
    for split, held in tiny_mnist.items():
        found = setting.images("0°", split)
        assert torch.equal(found.inputs, held.inputs)
        assert torch.equal(found.targets, held.targets.long())
        ((pixels, _),) = found.batches(100)
        assert torch.equal(pixels, held.inputs / 255)


@pytest.mark.parametrize("name", sorted(mnist.CHECKSUMS))
def test_a_truncated_mnist_file_is_refused_by_name(name: str, data: Path, tiny_mnist) -> None:
    path = data / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:-1])
    sentence = settings.load("mnist-mlp").missing()
    assert f"{path} is damaged" in sentence
    assert "`ctl data mnist-mlp`" in sentence
    with refused(MissingDataError, re.escape(sentence)):
        mnist.read("train")


@pytest.mark.parametrize("unwritable", [False, True])
def test_a_download_that_fails_is_one_sentence(data: Path, monkeypatch, unwritable: bool) -> None:
    unreachable = Mock(side_effect=URLError("no network"))
    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", unreachable)
    if unwritable:
        data.write_text("a file where a folder is wanted")
    why = "^((?!no network).)*$" if unwritable else "no network"
    with refused(MissingDataError, f"could not be downloaded into {data}", "CTL_DATA_DIR", why):
        settings.load("mnist-mlp").fetch()


def test_nothing_is_downloaded_where_all_is_there(tiny_mnist, monkeypatch) -> None:
    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", None)
    for name in ("mnist-mlp", "digits-mlp"):
        settings.load(name).fetch()


def test_the_real_mnist_is_whole(real_data) -> None:
    real_data("MNIST")
    for split, samples, label in (("train", 60_000, 5), ("test", 10_000, 7)):
        found = mnist.read(split)
        assert found.inputs.shape == (samples, 1, 28, 28)
        assert found.targets[0] == label
        assert found.targets.unique().tolist() == list(range(10))


def numbered(samples: int, label: int) -> Images:
    inputs = torch.arange(samples, dtype=torch.float32).reshape(-1, 1, 1, 1) / 1000
    return Images(inputs, torch.full((samples,), label))


def test_bytes_and_floats_are_the_same_pixels() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(floats(pixels), torch.tensor([0, 0.2, 1]))
    assert torch.equal(floats(floats(pixels)), floats(pixels))


def test_replaced_samples_nest_and_keep_their_number() -> None:
    own, donors = numbered(20, 0), numbered(30, 1)
    before = own.inputs.clone()
    gone: set[float] = set()
    for ratio, count in ((0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)):
        found = own.replaced(donors, ratio, seed=3)
        assert len(found) == 20
        assert found.targets.sum() == count
        kept = set(found.inputs[found.targets == 0].flatten().tolist())
        now = set(own.inputs.flatten().tolist()) - kept
        assert len(now) == count
        assert gone <= now
        assert len(set(found.inputs[found.targets == 1].flatten().tolist())) == count
        gone = now
    assert torch.equal(own.inputs, before)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, 1.0])
def test_a_ratio_that_cannot_be_is_refused(ratio: float) -> None:
    with refused(ValueError, r"cannot replace .* of 20 samples by some of 5"):
        numbered(20, 0).replaced(numbered(5, 1), ratio, 0)


def pictures(count: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def check_split(setting: Scratch, split: str, pixels: np.ndarray, labels: list[int]) -> None:
    """A task of two classes holds exactly the images of their labels, under those labels."""
    for task, held in (("classes 2–3", (1, 2)), ("classes 4, 1", (3, 0))):
        found = setting.images(task, split)
        wanted = {(pixels[n].tobytes(), label) for n, label in enumerate(labels) if label in held}
        rows = found.inputs.permute(0, 2, 3, 1).numpy()
        pairs = zip(rows, found.targets, strict=True)
        assert {(row.tobytes(), int(y)) for row, y in pairs} == wanted
        assert len(found) == len(wanted)
        assert found.inputs.is_contiguous()


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("classes 2–4", [1, 2, 3]),
        ("classes 4, 1, 3", [3, 0, 2]),
        ("classes 7", [6]),
        ("classes 0–4", None),
        ("classes 4–2", None),
        ("classes 3, 0", None),
        ("classes 3,2", None),
        ("45°", None),
        ("all", None),
    ],
)
def test_a_part_of_the_classes_names_its_labels(task: str, labels: list[int] | None) -> None:
    found = tasks.labels_of(task)
    assert (found if found is None else list(found)) == labels
    assert tasks.is_task(task) == (labels is not None or task in ("45°", "all"))


def test_a_range_of_classes_counts_places_in_another_order() -> None:
    order = [4, 2, 0, 1, 3]
    assert tasks.reordered("classes 2–4", order) == "classes 3, 1, 2"
    assert tasks.reordered("classes 2–4", range(5)) == "classes 2, 3, 4"
    for task in ("all", "45°", "classes 3, 1"):
        assert tasks.reordered(task, order) == task


def write_cifar(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    batches: Mapping[str, list[tuple[str, object]]],
    meta: tuple[str, str, list[str]],
) -> None:
    """Pickled batches and class names, whose checksums torchvision's class then asks for."""
    folder.mkdir(parents=True)

    def stored(name: str, content: object) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    for part, files in batches.items():
        monkeypatch.setattr(kind, f"{part}_list", [stored(*file) for file in files])
    name, key, classes = meta
    _, md5 = stored(name, {key: classes})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": key, "md5": md5})


def test_cifar100_files_are_read_right(data: Path, monkeypatch) -> None:
    folder, pixels, labels = data / "cifar-100-python", pictures(8), [0, 1, 2, 3] * 2
    rows = pixels.transpose(0, 3, 1, 2).reshape(8, -1)
    content = {"data": rows, "fine_labels": labels, "coarse_labels": [0] * 8}
    batches = {split: [(split, content)] for split in ("train", "test")}
    meta = ("meta", "fine_label_names", list("abcd"))
    write_cifar(folder, monkeypatch, datasets.CIFAR100, batches, meta)
    setting = settings.load("cifar100-resnet18")
    for split in batches:
        check_split(setting, split, pixels, labels)
        assert len(cifar100.read(split)) == 8
    (folder / "train").write_bytes((folder / "train").read_bytes()[:-1])
    with refused(MissingDataError, "damaged", "`ctl data cifar100-resnet18`"):
        cifar100.read("train")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist-mlp", ("MNIST is not in", "`ctl data mnist-mlp`", "CTL_DATA_DIR")),
        ("cifar100-resnet18", ("CIFAR-100 is not in", "`ctl data cifar100-resnet18`")),
        ("imagenet-resnet18", ("holds 0 class folders", "image-net.org", "CTL_DATA_DIR")),
        ("tinyimagenet-resnet18", ("Tiny ImageNet 32×32 is not in", "CTL_DATA_DIR")),
        ("cifar10-resnet20", ("CIFAR-10 is not in", "CTL_DATA_DIR")),
    ],
)
def test_missing_sets_are_said_with_the_remedy(name: str, words: tuple[str], data: Path) -> None:
    setting, embedded = settings.load(name), settings.load("digits-mlp")
    sentence = setting.missing()
    assert "\n" not in sentence
    assert all(word in sentence for word in (*words, str(data)))
    with refused(MissingDataError, str(data)):
        setting.checkpoints(0)
    assert setting.data_checksum() != embedded.data_checksum()
    assert embedded.missing() is None


def test_imagenet_folders_are_read_right(data: Path, monkeypatch) -> None:
    monkeypatch.setattr(imagenet, "_CLASSES", 4)
    for split in ("train", "val"):
        for label, wordnet in enumerate(("n01440764", "n01443537", "n01484850", "n01491361")):
            folder = data / "imagenet" / split / wordnet
            folder.mkdir(parents=True)
            for number in range(2):
                shape = (300 + 50 * number, 400, 3)
                flat = np.full(shape, 60 * label + 10 * number, dtype=np.uint8)
                Image.fromarray(flat).save(folder / f"{wordnet}_{number}.JPEG", quality=95)
    (data / "imagenet" / "train" / "LOC_synset_mapping.txt").write_text("not a class")
    setting = settings.load("imagenet-resnet18")
    for split in ("train", "test"):
        found = setting.images("classes 2–3", split)
        assert found.inputs.shape == (4, 3, 224, 224)
        assert found.inputs.dtype == torch.uint8
        shade = found.inputs.flatten(1).float().mean(1)
        expected = found.targets * 60.0
        assert sorted((shade - expected).round().tolist()) == [0, 0, 10, 10]
        assert found.targets.bincount().tolist() == [0, 2, 2]
    broken = data / "imagenet" / "val" / "n01443537" / "n01443537_1.JPEG"
    broken.write_bytes(broken.read_bytes()[:100])
    with refused(MissingDataError, f"{broken} cannot be read as an image"):
        imagenet.read("test", range(1, 2))


def test_tiny_imagenet_files_are_read_right(data: Path, monkeypatch) -> None:
    """Both containers with a few JPEG images."""
    folder, held = data / "TinyImageNet32", {}
    folder.mkdir(parents=True)
    for split, name in (("train", "train"), ("test", "val")):
        labels, files, decoded = [0, 1, 2, 1, 2, 3], [], []
        for picture in pictures(6):
            memory = io.BytesIO()
            Image.fromarray(picture).save(memory, "JPEG")
            files.append(memory.getvalue())
            decoded.append(np.asarray(Image.open(memory)))
        np.savez(
            folder / f"{name}.npz",
            blob=np.frombuffer(b"".join(files), dtype=np.uint8),
            offset=np.cumsum([0, *map(len, files)]),
            label=np.array(labels, dtype=np.uint8),
        )
        held[split] = (np.stack(decoded), labels)
    pinned = {name: file_checksum(data / name) for name in tinyimagenet.CHECKSUMS}
    monkeypatch.setattr(tinyimagenet, "CHECKSUMS", pinned)
    setting = settings.load("tinyimagenet-resnet18")
    for split, (pixels, labels) in held.items():
        check_split(setting, split, pixels, labels)
        assert len(tinyimagenet.read(split)) == 6
    path = folder / "val.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with refused(MissingDataError, f"{path} is damaged"):
        tinyimagenet.read("train")


def test_cifar10_file_is_read_right(data: Path, monkeypatch) -> None:
    (data / "CIFAR10").mkdir(parents=True)
    path = data / "CIFAR10" / "cifar10_exact_part.npz"
    pixels, labels = pictures(3), np.array([2, 0, 9], dtype=np.uint8)
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels[:1], y_test=labels[:1])
    monkeypatch.setattr(
        cifar10, "CHECKSUMS", {"CIFAR10/cifar10_exact_part.npz": file_checksum(path)}
    )
    found = settings.load("cifar10-resnet20").images("all", "train")
    assert np.array_equal(found.inputs.permute(0, 2, 3, 1).numpy(), pixels)
    assert found.targets.tolist() == [2, 0, 9]
    assert len(settings.load("cifar10-resnet20").images("all", "test")) == 1
    path.write_bytes(b"")
    with pytest.raises(MissingDataError, match="damaged"):
        cifar10.read("test")
