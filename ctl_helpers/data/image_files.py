"""Parts of GTSRB, EuroSAT and Omniglot at 32×32 pixels, and what in them belongs together."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ctl_helpers.data.images import Images
from ctl_helpers.weights.checksums import checked

SIZE = 32  # pixels a side
GTSRB = {
    "GTSRB/gtsrb32_subset.npz": "95d51929e627b4fc7d46aaf89e7df206d00d7e26770d3d646f57ec3aa3c944a3",
}
EUROSAT = {
    "EuroSAT/eurosat_subset.zip": (
        "2d852a6292dd3d0a74f104d2aa1ae14c301b0863d7f86d237db92b515886a832"
    ),
    "EuroSAT/split.csv": "b22fac01444773157fdd3416ba283f76fd5be020bbaf6a03df4395e7a54c3c12",
}
OMNIGLOT = {
    "Omniglot/images_background_small1.zip": (
        "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4"
    ),
    "Omniglot/images_background_small2.zip": (
        "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f"
    ),
}
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
REMEDY = "set CTL_DATA_DIR to a folder that holds {} (parts of public sets, resized)"


def gtsrb(split: str) -> tuple[Images, Tensor]:
    """Traffic signs (Stallkamp et al. 2012): 150 training images a class, 3,000 of the test set.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and the track of each: frames of one sign as a car drives by.

    Raises:
        MissingDataError: the file is not in the data folder, or is damaged; so the others below.
    """
    (path,) = checked("The part of GTSRB", GTSRB, REMEDY.format("GTSRB"))
    with np.load(path, allow_pickle=False) as held:
        pixels, labels = held[f"x_{split}"], held[f"y_{split}"]
        names = held[f"{split}_files"]
    tracks = [int(name.rsplit("/", 1)[-1][:5]) for name in names]
    return _images(pixels, labels), torch.tensor(tracks)


def eurosat(split: str) -> tuple[Images, Tensor]:
    """Satellite images (Helber et al. 2019): 400 training and 100 test images a class, halved.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and a number for each, since each stands alone.
    """
    archive, listing = checked("The part of EuroSAT", EUROSAT, REMEDY.format("EuroSAT"))
    with listing.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    with zipfile.ZipFile(archive) as held:
        pixels = [_pixels(held.read(f"eurosat/2750/{row['file']}")) for row in rows]
    images = _images(np.stack(pixels), [int(row["label"]) for row in rows]).shuffled(0)
    return images, torch.arange(len(images))


def omniglot(split: str) -> tuple[Images, Tensor]:
    """Handwritten characters of eight alphabets (Lake et al. 2015), labelled by their alphabet.

    The two small background sets hold twenty drawings of each character, by twenty drawers. Four
    drawers' are for test.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, and the drawer of each.
    """
    archives = checked("Omniglot's small background sets", OMNIGLOT, REMEDY.format("Omniglot"))
    drawn: dict[str, bytes] = {}
    for archive in archives:  # two alphabets are in both
        with zipfile.ZipFile(archive) as held:
            for name in held.namelist():
                if name.endswith(".png"):
                    drawn.setdefault(name.split("/", 1)[1], held.read(name))
    drawers = {name: int(name[-6:-4]) for name in sorted(drawn)}
    chosen = [name for name, drawer in drawers.items() if (drawer % 5 == 3) == (split == "test")]
    labels = [ALPHABETS.index(name.split("/", 1)[0]) for name in chosen]
    images = _images(np.stack([_pixels(drawn[name]) for name in chosen]), labels)
    return images, torch.tensor([drawers[name] for name in chosen])


def _pixels(encoded: bytes) -> np.ndarray:
    """An image file, in colour, averaged down."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX))


def _images(pixels: np.ndarray, labels: Iterable[int]) -> Images:
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return Images(inputs, torch.as_tensor(np.asarray(labels, dtype=np.int64)))
