"""Parts of GTSRB, EuroSAT and Omniglot at 32×32 pixels, and what in them belongs together."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctl_helpers.data.images import Images, from_pixels
from ctl_helpers.weights.checksums import checked


@dataclass(frozen=True)
class Files:
    """Files of a set: its name in a sentence, its folder, and path → SHA-256."""

    title: str
    folder: str
    checksums: dict[str, str]

    def paths(self) -> list[Path]:
        """Where they are.

        Raises:
            MissingDataError: one is not in the data folder, or is damaged.
        """
        remedy = f"set CTL_DATA_DIR to a folder that holds {self.folder} (parts of public sets, "
        return checked(self.title, self.checksums, f"{remedy}resized)")


SIZE = 32  # pixels per side
GTSRB = Files(
    "The part of GTSRB",
    "GTSRB",
    {
        "GTSRB/gtsrb32_subset.npz": (
            "95d51929e627b4fc7d46aaf89e7df206d00d7e26770d3d646f57ec3aa3c944a3"
        ),
    },
)
EUROSAT = Files(
    "The part of EuroSAT",
    "EuroSAT",
    {
        "EuroSAT/eurosat_subset.zip": (
            "2d852a6292dd3d0a74f104d2aa1ae14c301b0863d7f86d237db92b515886a832"
        ),
        "EuroSAT/split.csv": "b22fac01444773157fdd3416ba283f76fd5be020bbaf6a03df4395e7a54c3c12",
    },
)
OMNIGLOT = Files(
    "Omniglot's small background sets",
    "Omniglot",
    {
        "Omniglot/images_background_small1.zip": (
            "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4"
        ),
        "Omniglot/images_background_small2.zip": (
            "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f"
        ),
    },
)
ALPHABETS = (
    "Balinese",
    "Early_Aramaic",
    "Greek",
    "Japanese_(katakana)",
    "Korean",
    "Latin",
    "Sanskrit",
    "Tagalog",
)


def gtsrb(split: str) -> tuple[Images, NDArray[np.int64]]:
    """Traffic signs (Stallkamp et al. 2012): 150 training images per class, 3,000 of the test set.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and the track of each: frames of one sign as a car drives by.

    Raises:
        MissingDataError: the file is not in the data folder, or is damaged; so the others below.
    """
    (path,) = GTSRB.paths()
    with np.load(path, allow_pickle=False) as arrays:
        images = from_pixels(arrays[f"x_{split}"], arrays[f"y_{split}"])
        names = arrays[f"{split}_files"]
    return images, np.array([int(name.rsplit("/", 1)[-1][:5]) for name in names])


def eurosat(split: str) -> tuple[Images, NDArray[np.int64]]:
    """Satellite images (Helber et al. 2019): 400 training, 100 test images per class, halved.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and a number for each, since each stands alone.
    """
    archive, listing = EUROSAT.paths()
    with listing.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    with zipfile.ZipFile(archive) as members:
        pixels = [_pixels(members.read(f"eurosat/2750/{row['file']}")) for row in rows]
    images = from_pixels(pixels, [int(row["label"]) for row in rows]).shuffled(0)
    return images, np.arange(len(images))


def omniglot(split: str) -> tuple[Images, NDArray[np.int64]]:
    """Handwritten characters of eight alphabets (Lake et al. 2015), labelled by their alphabet.

    The two small background sets hold twenty drawings of each character, by twenty drawers. Four
    drawers' are for test.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and the drawer of each.
    """
    drawn: dict[str, bytes] = {}
    for archive in OMNIGLOT.paths():  # two alphabets are in both
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                if name.endswith(".png"):
                    drawn.setdefault(name.split("/", 1)[1], members.read(name))
    drawers = {name: int(name[-6:-4]) for name in sorted(drawn)}
    chosen = [name for name, drawer in drawers.items() if (drawer % 5 == 3) == (split == "test")]
    labels = [ALPHABETS.index(name.split("/", 1)[0]) for name in chosen]
    images = from_pixels([_pixels(drawn[name]) for name in chosen], labels)
    return images, np.array([drawers[name] for name in chosen])


def _pixels(encoded: bytes) -> NDArray[np.uint8]:
    """An image file, in colour, averaged down."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX))
