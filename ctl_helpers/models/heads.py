"""Frozen heads that a network makes itself, from prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_STEEPNESS, _EVEN = 5.0, 0.6


class ZeroShotHead:
    """Embeddings → logits ``scale · cos(embedding, class)``, with frozen class vectors.

    Args:
        classes: unit vectors, shape (classes, width).
        scale: the factor on the cosines.
    """

    def __init__(self, classes: Tensor, scale: float) -> None:
        self.classes, self.scale = classes, scale

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Shape (samples, width) → (samples, classes)."""
        return self.scale * F.normalize(embeddings, dim=-1) @ self.classes.to(embeddings).T


class LikenessHead:
    """Embeddings of two texts → a logit, ``5 · (cos(one, other) − 0.6)``, of their being alike.

    Both numbers are about what logistic regression gives for a published sentence encoder's cosines
    and how alike people found pairs of sentences.
    """

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Shape (samples, 2, width) → (samples,)."""
        one, other = embeddings.unbind(1)
        return _STEEPNESS * (F.cosine_similarity(one, other, dim=-1) - _EVEN)


@torch.no_grad()
def class_vectors(
    embed: Callable[[Sequence[str]], Tensor], prompts: Iterable[Sequence[str]]
) -> Tensor:
    """One unit vector per class: the mean of its prompts' unit embeddings (Radford et al. 2021).

    Args:
        embed: texts → embeddings (texts, width).
        prompts: a class's texts, class by class.
    """
    means = [F.normalize(embed(texts), dim=-1).mean(0) for texts in prompts]
    return F.normalize(torch.stack(means), dim=-1)
