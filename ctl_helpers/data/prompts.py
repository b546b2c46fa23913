"""Class names and prompt templates that zero-shot heads are made with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from ctl_helpers.weights.checksums import file_checksum

_FILE = Path(__file__).with_name("prompts.yaml")


def class_names(kind: str) -> tuple[str, ...]:
    """A set's classes as CLIP's prompts name them, in the order of their labels.

    ImageNet's come from open_clip, in the order of its sorted WordNet ids; two names stand there
    twice.

    Args:
        kind: one of the eight sets, ``"CIFAR10"`` or ``"ImageNet"``.

    Raises:
        ValueError: no such set.
    """
    if kind == "ImageNet":
        # Imported here: it takes seconds, and most callers want another set.
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        return tuple(IMAGENET_CLASSNAMES)
    return _known(kind)["classes"]


def templates(kind: str) -> tuple[str, ...]:
    """A set's prompts, ``{}`` standing for the class, as in Ilharco et al. (2023).

    Args:
        kind: as in :func:`class_names`.

    Raises:
        ValueError: no such set.
    """
    if kind == "ImageNet":
        from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    return _known(kind)["templates"]


def checksum() -> str:
    """SHA-256 of the file that holds the words."""
    return file_checksum(_FILE)


def _known(kind: str) -> dict[str, tuple[str, ...]]:
    if kind not in _words():
        raise ValueError(f"there are no prompts for {kind!r}; there are {[*_words(), 'ImageNet']}")
    return _words()[kind]


@cache
def _words() -> dict[str, dict[str, tuple[str, ...]]]:
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {
        kind: {name: tuple(words) for name, words in parts.items()}
        for kind, parts in content.items()
    }
