"""CLIP's image sets: files in their true formats, splits, class names and prompts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import refused
from PIL import Image
from scipy.io import savemat
from test_data import write_cifar, write_mnist
from torch.utils.data import random_split
from torchvision import datasets

from ctl_helpers.data import prompts
from ctl_helpers.data.images import Images
from ctl_helpers.data.sets import clip8, clip8_files
from ctl_helpers.project import MissingDataError

SIZE = 24
COUNTS = {  # classes, templates, and training images that are held out
    "Cars": (196, 8, 814),
    "DTD": (47, 8, 376),
    "EuroSAT": (10, 3, 2_700),
    "GTSRB": (43, 3, 2_664),
    "MNIST": (10, 1, 5_000),
    "RESISC45": (45, 18, 1_890),
    "SUN397": (397, 2, 1_985),
    "SVHN": (10, 1, 5_000),
    "CIFAR10": (10, 18, None),
    "ImageNet": (1000, 80, None),
}
EUROSAT = {
    "AnnualCrop": "annual crop land",
    "Forest": "forest",
    "HerbaceousVegetation": "brushland or shrubland",
    "Highway": "highway or road",
    "Industrial": "industrial buildings or commercial buildings",
    "Pasture": "pasture land",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential buildings or homes or apartments",
    "River": "river",
    "SeaLake": "lake or sea",
}
SUN397 = {
    "/a/abbey": "abbey",
    "/a/apartment_building/outdoor": "apartment building outdoor",
    "/j/jail/indoor": "jail indoor",
    "/j/jail_cell": "jail cell",
    "/t/theater/indoor_seats": "theater indoor seats",
}

Held = dict[str, list[tuple[Image.Image, int]]]
"""What a set's files hold: ``"train"`` or ``"test"`` → images and labels."""


def picture(number: int, height: int = 30, width: int = 40) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(path: Path, number: int) -> Image.Image:
    """A picture written to a file, and what it is read back as."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tall = number % 2
    Image.fromarray(picture(number, 40, 30) if tall else picture(number)).save(path)
    with Image.open(path) as image:
        return image.convert("RGB")


def written(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def cars(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    folder, held = root / "stanford_cars", {}
    (folder / "devkit").mkdir(parents=True)
    names = np.array([clip8.class_names("Cars")], dtype=object)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    for part, file, labels in (
        ("train", "devkit/cars_train_annos.mat", [195, 0, 13, 0]),
        ("test", "cars_test_annos_withlabels.mat", [195, 2, 0]),
    ):
        rows = np.zeros((1, len(labels)), dtype=[(name, object) for name in fields])
        held[part] = []
        for number, label in enumerate(labels):
            name = f"{number + 1:05d}.jpg"
            rows[0, number] = (*map(np.uint16, (1, 2, 30, 20)), np.uint8(label + 1), name)
            held[part].append((saved(folder / f"cars_{part}" / name, number), label))
        savemat(folder / file, {"annotations": rows}, do_compression=True)
    return held


def dtd(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    held: Held = {"train": [], "test": []}
    folder = root / "dtd" / "dtd"
    for number, split in enumerate(("train", "val", "test")):
        lines = []
        for label, name in enumerate(clip8.class_names("DTD")):
            lines.append(f"{name}/{name}_{number:04d}.jpg")
            image = saved(folder / "images" / lines[-1], 3 * label + number)
            held["test" if split == "test" else "train"].append((image, label))
        written(folder / "labels" / f"{split}1.txt", lines)
    return held


def eurosat(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Which images are for test is not written anywhere; ``"whole"`` are all."""
    found = []
    for folder, name in EUROSAT.items():
        label = clip8.class_names("EuroSAT").index(name)
        for number in range(10):
            path = root / "eurosat" / "2750" / folder / f"{folder}_{number + 1}.jpg"
            found.append((saved(path, 10 * label + number), label))
    return {"whole": found}


def gtsrb(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    held: Held = {"train": [], "test": []}
    folder = root / "gtsrb"
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    for label in range(43):
        own = folder / "GTSRB" / "Training" / f"{label:05d}"
        held["train"].append((saved(own / "00000_00000.ppm", label), label))
        row = f"00000_00000.ppm;40;30;5;6;35;25;{label}"
        written(own / f"GT-{label:05d}.csv", [header, row])
    lines = [header]
    for number, label in enumerate([16, 1, 42]):
        path = folder / "GTSRB" / "Final_Test" / "Images" / f"{number:05d}.ppm"
        held["test"].append((saved(path, number), label))
        lines.append(f"{number:05d}.ppm;40;30;5;6;35;25;{label}")
    written(folder / "GT-final_test.csv", lines)
    return held


def handwritten(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    pixels = {
        part: (np.stack([picture(label, 28, 28)[..., 0] for label in labels]), labels)
        for part, labels in {"train": [5, 0, 4, 5], "test": [7, 2]}.items()
    }
    write_mnist(root, monkeypatch, pixels)
    return {
        part: [(Image.fromarray(row).convert("RGB"), y) for row, y in zip(*rows, strict=True)]
        for part, rows in pixels.items()
    }


def resisc45(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    folder, held = root / "resisc45", {}
    for first, part in enumerate(("train", "val", "test")):
        lines, held[part] = [], []
        for number, name in enumerate(("wetland", "airplane", "sea_ice", "railway_station")):
            lines.append(f"{name}_{first + 1:03d}.jpg")
            image = saved(folder / "NWPU-RESISC45" / name / lines[-1], 4 * first + number)
            label = clip8.class_names("RESISC45").index(name.replace("_", " "))
            held[part].append((image, label))
        written(folder / f"resisc45-{part}.txt", lines)
    return held


def sun397(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    folder, held = root / "SUN397", {}
    for first, (part, file) in enumerate((("train", "Training"), ("test", "Testing"))):
        lines, held[part] = [], []
        for number, (place, name) in enumerate(SUN397.items()):
            lines.append(f"{place}/sun_{part}{number}.jpg")
            image = saved(folder / lines[-1].lstrip("/"), 5 * first + number)
            held[part].append((image, clip8.class_names("SUN397").index(name)))
        written(folder / f"{file}_01.txt", lines)
    written(folder / "ClassName.txt", list(SUN397))
    return held


def svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    held, listed = {}, {}
    (root / "svhn").mkdir(parents=True)
    for part, labels in (("train", [1, 10, 9, 2]), ("test", [5, 10, 1])):
        pixels = np.stack([picture(label, 32, 32) for label in labels])
        path = root / "svhn" / f"{part}_32x32.mat"
        columns = np.array(labels, dtype=np.uint8)[:, None]
        savemat(path, {"X": pixels.transpose(1, 2, 3, 0), "y": columns}, do_compression=True)
        images = [Image.fromarray(each) for each in pixels]
        held[part] = [(image, label % 10) for image, label in zip(images, labels, strict=True)]
        listed[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    return held


def cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    held: Held = {"train": [], "test": []}
    batches: dict[str, list[tuple[str, object]]] = {"train": [], "test": []}
    for number in range(6):
        part = "train" if number < 5 else "test"
        pixels = np.stack([picture(10 * number + label, 32, 32) for label in (number, 9)])
        rows = pixels.transpose(0, 3, 1, 2).reshape(2, -1)
        name = f"data_batch_{number + 1}" if part == "train" else "test_batch"
        batches[part].append((name, {"data": rows, "labels": [number, 9]}))
        held[part] += zip(map(Image.fromarray, pixels), (number, 9), strict=True)
    meta = ("batches.meta", "label_names", list(clip8.class_names("CIFAR10")))
    write_cifar(root / "cifar-10-batches-py", monkeypatch, datasets.CIFAR10, batches, meta)
    return held


def imagenet(root: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    held: Held = {"train": [], "test": []}
    for first, (part, folder) in enumerate((("train", "train"), ("test", "val"))):
        for label, wordnet in enumerate(("n01440764", "n01443537", "n01484850")):
            path = root / "imagenet" / folder / wordnet / f"{wordnet}_1.JPEG"
            held[part].append((saved(path, 3 * first + label), label))
    return held


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], Held]] = {
    "Cars": cars,
    "DTD": dtd,
    "EuroSAT": eurosat,
    "GTSRB": gtsrb,
    "MNIST": handwritten,
    "RESISC45": resisc45,
    "SUN397": sun397,
    "SVHN": svhn,
    "CIFAR10": cifar10,
    "ImageNet": imagenet,
}


@pytest.fixture
def write(data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Held]:
    """Writes a set's files with a few images, after which no more are asked for."""

    def run(kind: str) -> Held:
        held = WRITERS[kind](data, monkeypatch)
        counts = {part: len(held[part]) for part in ("train", "test") if part in held}
        monkeypatch.setitem(clip8.SIZES, kind, counts or {"train": 90, "test": 10})
        return held

    return run


def prepared(image: Image.Image) -> bytes:
    """What CLIP's preprocessing makes of an image, by Pillow alone."""
    width, height = image.size
    short = min(width, height)
    wide, high = SIZE * width // short, SIZE * height // short
    resized = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - SIZE) // 2, (high - SIZE) // 2
    cropped = resized.crop((left, top, left + SIZE, top + SIZE))
    return np.asarray(cropped).transpose(2, 0, 1).tobytes()


def counted(*parts: Images) -> Counter[tuple[bytes, int]]:
    return Counter(
        (row.numpy().tobytes(), int(label))
        for part in parts
        for row, label in zip(part.inputs, part.targets, strict=True)
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_files_are_read_right(kind: str, write: Callable[[str], Held]) -> None:
    held = {
        part: Counter((prepared(image), label) for image, label in images)
        for part, images in write(kind).items()
    }
    found = {split: clip8.load(kind, split, size=SIZE) for split in ("train", "held-out", "test")}
    for part in found.values():
        assert part.inputs.shape[1:] == (3, SIZE, SIZE)
        assert part.inputs.dtype == torch.uint8
        assert part.targets.dtype == torch.long
    training = counted(found["train"], found["held-out"])
    assert len(found["held-out"]) == clip8.SIZES[kind]["train"] // (9 if kind == "EuroSAT" else 10)
    if "whole" in held:
        assert training + counted(found["test"]) == held["whole"]
        assert sorted(found["test"].targets.tolist()) == list(range(10))
    else:
        assert training == held["train"]
        assert counted(found["test"]) == held["test"]


def test_the_order_is_the_same_whatever_is_asked_for(write, monkeypatch) -> None:
    write("DTD")
    whole = clip8.load("DTD", "train", size=SIZE)
    assert whole.targets.tolist() != sorted(whole.targets.tolist())
    read, decoded = [], clip8_files.decoded

    def watched(source: Path, size: int) -> np.ndarray:
        read.append(source)
        return decoded(source, size)

    monkeypatch.setattr(clip8_files, "decoded", watched)
    part = clip8.load("DTD", "train", samples=7, size=SIZE)
    assert torch.equal(part.inputs, whole.inputs[:7])
    assert torch.equal(part.targets, whole.targets[:7])
    assert len(read) == 7
    assert len(clip8.load("DTD", "test", samples=0)) == 0
    assert clip8.load("DTD", "test", samples=1).inputs.shape == (1, 3, 224, 224)


def test_every_beginning_has_each_class_in_proportion() -> None:
    counts = np.array([5, 50, 500])
    targets = np.arange(3).repeat(counts)
    order = clip8_files.proportionate(targets)
    assert sorted(order) == list(range(555))
    for number in range(1, 556):
        expected = counts * number / 555
        found = np.bincount(targets[order[:number]], minlength=3)
        assert abs(found - expected).max() < 2
    assert set(targets[order[:111]]) == {0, 1, 2}
    assert np.array_equal(clip8_files.proportionate(targets), order)
    assert not np.array_equal(clip8_files.proportionate(targets, seed=1), order)
    targets = np.arange(10).repeat(200)
    for split in ("train", "held-out", "test"):
        own = targets[clip8._chosen("GTSRB", split, targets)]
        expected = np.bincount(own, minlength=10) * 100 / len(own)
        assert abs(np.bincount(own[:100], minlength=10) - expected).max() < 2


@pytest.mark.parametrize("kind", clip8.KINDS)
def test_the_held_out_part_is_task_vectors_own(kind: str) -> None:
    *_, count = COUNTS[kind]
    total = clip8.SIZES[kind]["train"]
    targets = np.zeros(total, dtype=np.int64)
    seeded = torch.Generator().manual_seed(0)
    kept, held_out = random_split(range(total), [total - count, count], seeded)
    for split, part in (("train", kept), ("held-out", held_out)):
        assert set(clip8._chosen(kind, split, targets).tolist()) == set(part.indices)
    if kind == "MNIST":
        assert kept.indices[0] == 36_044  # which task_vectors asserts


IMAGES = {
    "Cars": "stanford_cars/cars_test/00002.jpg",
    "DTD": "dtd/dtd/images/woven/woven_0002.jpg",
    "GTSRB": "gtsrb/GTSRB/Final_Test/Images/00001.ppm",
    "RESISC45": "resisc45/NWPU-RESISC45/sea_ice/sea_ice_003.jpg",
    "SUN397": "SUN397/j/jail/indoor/sun_test2.jpg",
    "ImageNet": "imagenet/val/n01443537/n01443537_1.JPEG",
}


# Nothing but their number tells that one of ImageNet's images is gone.
@pytest.mark.parametrize(
    ("kind", "gone"),
    [*((kind, False) for kind in IMAGES), *((kind, True) for kind in IMAGES if kind != "ImageNet")],
)
def test_a_damaged_image_is_named(kind: str, gone: bool, data: Path, write) -> None:
    write(kind)
    path = data / IMAGES[kind]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if gone:
        path.unlink()
    with refused(MissingDataError, f"{path} cannot be read as an image"):
        clip8.load(kind, "test", size=SIZE)
    clip8.load(kind, "train", size=SIZE)


LISTS = {
    "Cars": "stanford_cars/cars_test_annos_withlabels.mat",
    "DTD": "dtd/dtd/labels/test1.txt",
    "GTSRB": "gtsrb/GT-final_test.csv",
    "RESISC45": "resisc45/resisc45-test.txt",
    "SUN397": "SUN397/Testing_01.txt",
    "SVHN": "svhn/test_32x32.mat",
    "CIFAR10": "cifar-10-batches-py/test_batch",
}


@pytest.mark.parametrize("cut", [None, 0, 4, -9])
@pytest.mark.parametrize("kind", LISTS)
def test_a_damaged_list_is_one_sentence(kind: str, cut: int | None, data: Path, write) -> None:
    write(kind)
    path = data / LISTS[kind]
    if cut is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:cut])
    with refused(MissingDataError, str(data), "CTL_DATA_DIR|cannot be read as an image"):
        clip8.load(kind, "test", size=SIZE)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_short_set_is_refused(kind: str, data: Path, write, monkeypatch) -> None:
    write(kind)
    own = clip8.SIZES[kind]
    monkeypatch.setitem(clip8.SIZES, kind, {"train": own["train"], "test": 1_234})
    sentence = f"holds {own['test']} of the 1,234 test images of {kind}"
    with refused(MissingDataError, sentence, str(data), "CTL_DATA_DIR"):
        clip8.load(kind, "test")
    clip8.load(kind, "train", samples=1, size=SIZE)


REMEDIES = {
    "Cars": ("stanford_cars", "devkit", "7545"),
    "RESISC45": ("resisc45-test.txt", "NWPU-RESISC45/<class>", "TorchGeo"),
    "ImageNet": ("imagenet/val/<WordNet id>", "image-net.org"),
    "CIFAR10": ("`ctl data cifar10-vit-b-32`", "cifar-10-batches-py"),
    "SUN397": ("`ctl data clip8-vit-b-32`", "SUN397"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_set_is_said_with_the_remedy(kind: str, data: Path) -> None:
    words = ("CTL_DATA_DIR", *REMEDIES.get(kind, ["ctl data"]))
    with refused(MissingDataError, f"{kind} is not in {data}", *words):
        clip8.load(kind, "test")


def test_an_unknown_set_has_no_words_and_no_download() -> None:
    for ask in (clip8.class_names, clip8.templates, lambda kind: clip8.fetch([kind])):
        with refused(ValueError, "'Birds'"):
            ask("Birds")


@pytest.mark.parametrize("kind", ["Cars", "RESISC45", "ImageNet"])
def test_what_no_server_offers_is_said(kind: str, data: Path, write) -> None:
    with refused(MissingDataError, f"{kind} cannot be downloaded into {data}", *REMEDIES[kind]):
        clip8.fetch([kind])
    write(kind)
    clip8.fetch([kind])


@pytest.mark.parametrize("kind", [*clip8_files.DOWNLOADS, "MNIST"])
def test_a_download_that_fails_is_one_sentence(kind: str, data: Path, monkeypatch) -> None:
    module = {"CIFAR10": "cifar"}.get(kind, kind.lower())
    function = "download_url" if kind == "SVHN" else "download_and_extract_archive"

    unreachable = Mock(side_effect=URLError("no network"))
    monkeypatch.setattr(f"torchvision.datasets.{module}.{function}", unreachable)
    sentence = f"{kind} could not be downloaded into {data}"
    with refused(MissingDataError, sentence, "no network", "CTL_DATA_DIR"):
        clip8.fetch([kind])


@pytest.mark.parametrize("kind", [*clip8_files.DOWNLOADS, "MNIST"])
def test_nothing_is_downloaded_where_all_is_there(kind: str, write, monkeypatch) -> None:
    write(kind)
    monkeypatch.setattr("urllib.request.urlopen", None)
    clip8.fetch([kind])


def test_the_lists_of_sun397_are_downloaded_too(data: Path, write, monkeypatch) -> None:
    write("SUN397")
    (data / "SUN397" / "Testing_01.txt").unlink()
    asked = []
    monkeypatch.setattr(
        "torchvision.datasets.utils.download_and_extract_archive",
        lambda address, folder, md5: asked.append((address.rpartition("/")[2], folder, md5)),
    )
    clip8.fetch(["SUN397"])
    assert asked == [
        ("Partitions.zip", str(data / "SUN397"), "29a205c0a0129d21f36cbecfefe81881"),
    ]


def test_the_checksum_changes_with_the_words(monkeypatch) -> None:
    before = clip8.checksum()
    assert clip8.checksum() == before
    monkeypatch.setattr(prompts, "checksum", lambda: "other words")
    assert clip8.checksum() != before


@pytest.mark.parametrize("kind", COUNTS)
def test_names_and_prompts_are_whole(kind: str) -> None:
    names, templates = clip8.class_names(kind), clip8.templates(kind)
    assert (len(names), len(templates)) == COUNTS[kind][:2]
    assert len(set(names)) == (998 if kind == "ImageNet" else len(names))
    assert len(set(templates)) == len(templates)
    for words in (*names, *templates):
        assert isinstance(words, str)
        assert words == " ".join(words.split())
        assert "_" not in words
    for template in templates:
        assert template.count("{}") == 1
        assert "{" not in template.format("dog")


def test_the_eight_are_those_of_the_paper() -> None:
    assert list(clip8.KINDS) == list(COUNTS)[:8]


def test_names_stand_at_their_labels() -> None:
    for kind, label, name in (
        ("Cars", 0, "AM General Hummer SUV 2000"),
        ("Cars", 195, "smart fortwo Convertible 2012"),
        ("GTSRB", 14, "stop"),
        ("MNIST", 7, "7"),
        ("CIFAR10", 9, "truck"),
        ("ImageNet", 0, "tench"),
        ("ImageNet", 999, "toilet paper"),
    ):
        assert clip8.class_names(kind)[label] == name
    folders = [f"{name[0]}_{name.replace(' ', '_')}" for name in clip8.class_names("SUN397")]
    assert folders == sorted(folders)
    assert list(EUROSAT.values()) == list(clip8.class_names("EuroSAT"))
    for kind in ("DTD", "RESISC45"):
        assert list(clip8.class_names(kind)) == sorted(clip8.class_names(kind))


def test_the_real_mnist_is_whole(real_data) -> None:
    real_data("MNIST")
    found = clip8.load("MNIST", "test", samples=100)
    assert found.inputs.shape == (100, 3, 224, 224)
    assert found.targets.bincount().min() >= 8
