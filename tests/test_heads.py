"""Frozen heads: scaled cosines with classes, and how alike two texts are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ctl_helpers.models.heads import LikenessHead, ZeroShotHead, class_vectors


def test_heads_are_scaled_cosines() -> None:
    classes = F.normalize(torch.randn(3, 8), dim=-1)
    embeddings = torch.randn(5, 8)
    logits = ZeroShotHead(classes, 20.0)(embeddings)
    expected = 20 * torch.cosine_similarity(embeddings[:, None], classes[None], dim=-1)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.allclose(ZeroShotHead(classes, 20.0)(3 * embeddings), logits, atol=1e-5)


def test_class_vectors_are_means_of_unit_prompts() -> None:
    vectors = {word: torch.randn(4) for word in ("a cat", "two cats", "a dog", "two dogs")}

    def embed(texts: Sequence[str]) -> Tensor:
        return torch.stack([vectors[text] for text in texts])

    found = class_vectors(embed, [("a cat", "two cats"), ("a dog", "two dogs")])
    assert torch.allclose(found.norm(dim=1), torch.ones(2))
    for row, word in zip(found, ("cat", "dog"), strict=True):
        each = [F.normalize(vectors[text], dim=0) for text in (f"a {word}", f"two {word}s")]
        assert torch.allclose(row, F.normalize(sum(each), dim=0), atol=1e-6)


def test_two_texts_are_as_alike_as_their_angle_says() -> None:
    pair = torch.tensor([[[1.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [3.0, 0.0]]])
    assert LikenessHead()(pair).tolist() == pytest.approx([5 * 0.4, -5 * 0.6])
