"""What the mixes are run on: texts, images, or noise where there is nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ctl_helpers.engine.inputs import Batch
from ctl_helpers.probing.networks import CannotRunError, Network
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.rows import Rows, rows
from ctl_helpers.probing.tokenizing import tokenizer_of

WINDOW = 64  # tokens of a text
_STEP = 8  # texts are cut to a multiple of it, so that none of a batch needs padding
_NOISE = 32  # random tokens of a sample
_BATCH = 16
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Samples:
    """Batches, and what they are.

    Attributes:
        batches: as :func:`~ctl_helpers.compare` takes them.
        count: of samples.
        words: what they are, for the report.
        is_real: false for noise.
        labels: whether the batches have targets that are classes.
        classes: how many classes those are.
    """

    batches: Sequence[Batch]
    count: int
    words: str
    is_real: bool = True
    labels: bool = False
    classes: int = 0


def samples(
    network: Network, base: Place, data: str | Path | Iterable[Batch] | None, most: int
) -> Samples:
    """Some samples for a network.

    Args:
        network: what they are for.
        base: whose tokenizer and preprocessing are used.
        data: what :func:`~ctl_helpers.probing.rows.rows` reads; batches; or nothing.
        most: how many to take.

    Raises:
        CannotRunError: data that this network does not take, or none that could be read.
    """
    if data is not None and not isinstance(data, (str, Path)):
        return _given(data, most)
    takes_tokens = network.input_name == "input_ids"
    if data is None:
        return _random_tokens(network, most) if takes_tokens else _noise(network, base, most)
    if takes_tokens:
        # A decoder's texts are one long text, cut into pieces.
        taken = rows(data, "texts", None if network.is_decoder else most)
        return _texts(network, base, taken, most)
    return _pictures(network, base, rows(data, "images", most))


def _given(batches: Iterable[Batch], most: int) -> Samples:
    taken, count = [], 0
    for batch in batches:
        taken.append(batch)
        count += _size(batch)
        if count >= most:
            break
    labels = bool(taken) and isinstance(taken[0], (tuple, list)) and len(taken[0]) == 2
    classes = 1 + max((int(batch[1].max()) for batch in taken), default=0) if labels else 0
    return Samples(taken, count, f"{count} samples that were given", True, labels, classes)


def _size(batch: Batch) -> int:
    first = batch[0] if isinstance(batch, (tuple, list)) else batch
    if isinstance(first, Mapping):
        first = next(value for value in first.values() if isinstance(value, Tensor))
    return len(first)


# Tokens.


def _random_tokens(network: Network, most: int) -> Samples:
    size = int(network.config.get("vocab_size") or _nested(network.config, "vocab_size") or 1000)
    ids = torch.randint(size, (most, _NOISE), generator=torch.Generator().manual_seed(0))
    batches = [network.tokens(part) for part in ids.split(_BATCH)]
    return Samples(batches, most, f"{most} samples of {_NOISE} random tokens", is_real=False)


def _texts(network: Network, base: Place, given: Rows, most: int) -> Samples:
    lines, labels = given.items, given.labels
    encode = tokenizer_of(base)
    if encode is None:
        raise CannotRunError(
            f"{base.source} has no tokenizer, so that texts cannot be read: put tokenizer.json "
            "beside its weights, or leave --data out"
        )
    if network.is_decoder:
        return _windows(network, encode.whole(lines), given.name, most)
    ids = [encode.cut(line, WINDOW) for line in lines]
    ids = [encode.cut(line, _rounded(len(x))) for line, x in zip(lines, ids, strict=False)]
    by_length: dict[int, list[int]] = {}
    for number, tokens in enumerate(ids):
        by_length.setdefault(len(tokens), []).append(number)
    batches: list[Batch] = []
    for numbers in by_length.values():
        for part in range(0, len(numbers), _BATCH):
            chosen = numbers[part : part + _BATCH]
            batch = network.tokens(torch.tensor([ids[n] for n in chosen]))
            targets = torch.tensor([labels[n] for n in chosen]) if labels else None
            batches.append(batch if targets is None else (batch, targets))
    words = f"{len(ids)} texts of {given.name}"
    return Samples(batches, len(ids), words, True, bool(labels), given.classes)


def _rounded(length: int) -> int:
    return length if length < _STEP else length // _STEP * _STEP


def _windows(network: Network, ids: Sequence[int], name: str, most: int) -> Samples:
    """Pieces of one long text, for networks that predict its next token."""
    length = min(WINDOW, len(ids))
    if length < 2:
        raise CannotRunError(f"{name} has too few tokens: give a text of some lines at least")
    count = min(most, len(ids) // length)
    pieces = torch.tensor(ids[: count * length]).view(count, length)
    batches = [(network.tokens(part), part[:, 1:]) for part in pieces.split(_BATCH)]
    return Samples(batches, count, f"{count} pieces of {length} tokens of {name}")


# Images.


@dataclass(frozen=True)
class _Look:
    """How a network wants its images."""

    channels: int
    height: int
    width: int
    mean: Sequence[float]
    std: Sequence[float]


def _look(network: Network, base: Place) -> _Look:
    """From timm's configuration or transformers' preprocessor, or else as ImageNet's are."""
    timm = network.config.get("pretrained_cfg") or getattr(network.model, "default_cfg", None) or {}
    processor = base.json("preprocessor_config.json")
    size = (
        timm.get("input_size")
        or _sides(processor.get("size"))
        or _sides(network.config.get("image_size"))
    )
    channels, height, width = size if size and len(size) == 3 else (3, *(size or (224, 224)))
    mean = timm.get("mean") or processor.get("image_mean") or _IMAGENET[0]
    std = timm.get("std") or processor.get("image_std") or _IMAGENET[1]
    return _Look(channels, height, width, mean, std)


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping):
        side = size.get("shortest_edge", 224)
        return size.get("height", side), size.get("width", side)
    return (size[0], size[1]) if isinstance(size, (list, tuple)) and len(size) == 2 else None


def _as_batch(network: Network, images: Tensor) -> Batch:
    return {network.input_name: images} if network.input_name == "pixel_values" else images


def _noise(network: Network, base: Place, most: int) -> Samples:
    look = _look(network, base)
    shape = (most, look.channels, look.height, look.width)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    batches = [_as_batch(network, part) for part in images.split(_BATCH)]
    return Samples(batches, most, f"{most} images of noise", is_real=False)


def _pictures(network: Network, base: Place, given: Rows) -> Samples:
    look = _look(network, base)
    images = torch.stack([_picture(file, look) for file in given.items])
    batches: list[Batch] = [_as_batch(network, part) for part in images.split(_BATCH)]
    if given.labels:
        targets = torch.tensor(given.labels).split(_BATCH)
        batches = list(zip(batches, targets, strict=True))
    words = f"{len(images)} images of {given.name}"
    return Samples(batches, len(images), words, True, bool(given.labels), given.classes)


def _picture(file: Path | BinaryIO, look: _Look) -> Tensor:
    """An image in the network's size, its middle if it has other proportions."""
    from PIL import Image

    with Image.open(file) as opened:
        image = opened.convert("L" if look.channels == 1 else "RGB")
    scale = max(look.width / image.width, look.height / image.height)
    width, height = math.ceil(image.width * scale), math.ceil(image.height * scale)
    left, top = (width - look.width) // 2, (height - look.height) // 2
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    image = image.crop((left, top, left + look.width, top + look.height))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
    pixels = pixels.unsqueeze(0) if pixels.dim() == 2 else pixels.permute(2, 0, 1)
    mean, std = (
        torch.tensor(values[: look.channels]).view(-1, 1, 1) for values in (look.mean, look.std)
    )
    return (pixels - mean) / std


def _nested(config: Mapping[str, Any], field: str) -> Any:
    """A field of a configuration that has one for texts within."""
    inner = config.get("text_config")
    return inner.get(field) if isinstance(inner, Mapping) else None
