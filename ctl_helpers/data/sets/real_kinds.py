"""Six kinds of real image at 32×32 pixels, and Tiny ImageNet with captions to pretrain on.

They stand in for the eight data sets of the paper's CLIP, of which only small parts are at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ctl_helpers.data import image_files, prompts
from ctl_helpers.data.dataset import check_names, complaints
from ctl_helpers.data.images import Captioned, Images
from ctl_helpers.data.sets import cifar10, digits, mnist, tinyimagenet
from ctl_helpers.store.artifacts import digest

SIZE = image_files.SIZE
_SEED = 20261125
_MOST = {"pretrain": 1500, "train": 5000, "held-out": 500, "test": 2000}
_TURNS = 3  # how often pretraining has each image of a kind for one of Tiny ImageNet
_OWN_NAME = 0.03  # how often a class that is not wholly nameless goes by its name

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Kind → its classes as noun phrases, and the phrase that names none of them.
_CLASSES = {
    "MNIST": (tuple(f"digit {name}" for name in _DIGITS), "digit"),
    "GTSRB": (tuple(f"{name} sign" for name in prompts.class_names("GTSRB")), "traffic sign"),
    "EuroSAT": (
        tuple(f"land from above with {name}" for name in prompts.class_names("EuroSAT")),
        "land from above",
    ),
    "CIFAR10": (prompts.class_names("CIFAR10"), "thing"),
    "Omniglot": (
        tuple(f"character of {name}" for name in image_files.ALPHABETS),
        "character of an alphabet",
    ),
    "digits": (tuple(f"blurred digit {name}" for name in _DIGITS), "blurred digit"),
}
KINDS = tuple(_CLASSES)
_TEMPLATES = ("a {}", "a photo of a {}", "a picture of a {}")


def checksum() -> str:
    """Digest of all sets' checksums."""
    parts = (mnist.SET, cifar10.SET, tinyimagenet.SET, digits.SET, prompts)
    files = (image_files.GTSRB, image_files.EUROSAT, image_files.OMNIGLOT)
    sums = [part.checksums for part in files]
    return digest([*sums, *(part.checksum() for part in parts)])


def missing(tasks: Sequence[str]) -> list[str]:
    """Which files are not here or are damaged; pretraining sees those of all kinds."""
    sets = (mnist.SET, cifar10.SET, tinyimagenet.SET)
    files = (image_files.GTSRB, image_files.EUROSAT, image_files.OMNIGLOT)
    return complaints(*(part.check for part in sets), *(part.paths for part in files))


def fetch(tasks: Sequence[str]) -> None:
    """Download MNIST; of the other sets only :func:`missing` says where the files belong."""
    mnist.SET.fetch(tasks)


def class_names(task: str) -> tuple[str, ...]:
    """The classes of a kind as noun phrases, in the order of their labels."""
    return _CLASSES[task][0]


def templates(task: str) -> tuple[str, ...]:
    """The same prompts for each kind, ``{}`` standing for a class."""
    return _TEMPLATES


def load(task: str, split: str, samples: int | None = None) -> Images:
    """Images of 32×32 pixels in colour, ``inputs`` uint8 of shape (samples, 3, 32, 32).

    Frames of one traffic sign, and characters of one drawer, are in one split only.

    Args:
        task: one of ``KINDS``.
        split: ``"pretrain"`` (a fifth), ``"train"`` and ``"held-out"`` (a tenth) of the set's
            training part, or ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    check_names("images", task, KINDS, split, _MOST)
    return _kept(task, split).first(samples)


@lru_cache(maxsize=32)
def _kept(kind: str, split: str) -> Images:
    """At most so many images of a split, in a seeded order."""
    import torch

    images, groups = _READERS[kind]("test" if split == "test" else "train")
    if split != "test":
        tenths = {"held-out": [0], "pretrain": [1, 2]}.get(split, range(3, 10))
        images = images[torch.from_numpy(np.isin(groups % 10, tenths))]
    return images.shuffled(0).first(_MOST[split])


def pretraining(seed: int) -> Captioned:
    """Tiny ImageNet and a share of each kind, several times, each image with a caption.

    Of every second class of a kind the caption names only the kind, so that a zero-shot head,
    which asks by the class's name, has something left to learn from fine-tuning. Half of those
    classes go by their name now and then; the others never do.

    Args:
        seed: decides which words stand around a name.

    Raises:
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    import torch

    rng = np.random.default_rng([_SEED, seed])
    tiny = tinyimagenet.read("train")
    names = _short_names()
    inputs, said = [tiny.inputs], [names[label] for label in tiny.targets.tolist()]
    for kind in KINDS * _TURNS:
        images = load(kind, "pretrain")
        inputs.append(images.inputs)
        said += [_said(rng, kind, label) for label in images.targets.tolist()]
    forms = rng.choice(_TEMPLATES, len(said))
    captions = tuple(str(form).format(name) for form, name in zip(forms, said, strict=True))
    return Captioned(torch.cat(inputs), captions)


def words() -> tuple[str, ...]:
    """Sentences that hold every word of any caption.

    Raises:
        MissingDataError: Tiny ImageNet, whose classes have to be known, is not at hand.
    """
    names = [name for classes, nameless in _CLASSES.values() for name in (*classes, nameless)]
    return (*_TEMPLATES, *names, *_short_names())


def _said(rng: np.random.Generator, kind: str, label: int) -> str:
    classes, nameless = _CLASSES[kind]
    named = label % 2 == 0 or (label % 4 == 1 and rng.random() < _OWN_NAME)
    return classes[label] if named else nameless


def _short_names() -> list[str]:
    """The first name of each of Tiny ImageNet's classes."""
    return [name.split(",")[0].lower() for name in tinyimagenet.class_names()]


def _alone(images: Images) -> tuple[Images, NDArray[np.int64]]:
    """Images in colour at the common size, each in a group of its own."""
    import torch.nn.functional as F

    inputs = images.inputs
    if inputs.is_floating_point():
        inputs = (255 * inputs).round().byte()
    margin = (SIZE - inputs.shape[-1]) // 2
    inputs = F.pad(inputs, [margin] * 4).expand(-1, 3, -1, -1).contiguous()
    shuffled = Images(inputs, images.targets).shuffled(1)
    return shuffled, np.arange(len(shuffled))


_READERS: dict[str, Callable[[str], tuple[Images, NDArray[np.int64]]]] = {
    "MNIST": lambda split: _alone(mnist.read(split)),
    "GTSRB": image_files.gtsrb,
    "EuroSAT": image_files.eurosat,
    "CIFAR10": lambda split: _alone(cifar10.read(split)),
    "Omniglot": image_files.omniglot,
    "digits": lambda split: _alone(digits.read(split, size=SIZE)),
}
