"""CLIP through open_clip: the image tower that is compared, and a small CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

_BLOCK = "visual.transformer.resblocks."


class ImageTower(nn.Module):
    """Images (samples, 3, height, width) in [0, 1] → embeddings (samples, width of the projection).

    Its state dict has open_clip's own names, ``visual.…``. It can be run in two parts at any
    block, as stitching needs.

    Args:
        visual: open_clip's vision transformer.
        mean, std: of the pixels, by channel.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self, visual: VisionTransformer, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.visual = visual
        for name, values in (("_mean", mean), ("_std", std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.feature_layers = tuple(
            f"{_BLOCK}{number}" for number in range(len(visual.transformer.resblocks))
        )

    def forward(
        self, inputs: Tensor, *, until: str | None = None, after: str | None = None
    ) -> Tensor:
        """Embed images, or run a part of the way.

        Args:
            inputs: images, or with ``after`` the feature of that block, (samples, tokens, width).
            until: a block whose feature to return, (samples, tokens, width).
            after: a block whose feature ``inputs`` is (KeyError where there is no such block).
        """
        first = 0 if after is None else self._number(after) + 1
        last = len(self.feature_layers) if until is None else self._number(until) + 1
        transformer = self.visual.transformer
        x = inputs if after else self.visual._embeds((inputs - self._mean) / self._std)
        # Older releases of open_clip run their blocks with tokens first.
        x = x if transformer.batch_first else x.transpose(0, 1)
        for block in transformer.resblocks[first:last]:
            x = block(x)
        x = x if transformer.batch_first else x.transpose(0, 1)
        if until is not None:
            return x
        pooled, _ = self.visual._pool(x)
        return pooled @ self.visual.proj

    def _number(self, layer: str) -> int:
        if layer not in self.feature_layers:
            raise KeyError(f"the image tower has no block {layer!r}; it has {self.feature_layers}")
        return self.feature_layers.index(layer)


class Classifier(ImageTower):
    """An image tower that gives logits: a linear layer reads the unit embeddings.

    Args:
        visual, mean, std: as for :class:`ImageTower`.
        classes: how many logits.
    """

    def __init__(
        self, visual: VisionTransformer, mean: Sequence[float], std: Sequence[float], classes: int
    ) -> None:
        super().__init__(visual, mean, std)
        self.head = nn.Linear(visual.proj.shape[1], classes)

    def forward(
        self, inputs: Tensor, *, until: str | None = None, after: str | None = None
    ) -> Tensor:
        """As :meth:`ImageTower.forward`, with logits in place of embeddings."""
        output = super().forward(inputs, until=until, after=after)
        return output if until else self.head(F.normalize(output, dim=-1))


class Words:
    """A tokenizer by whole words, for a small CLIP.

    The end token has the largest id, since open_clip pools a text at its largest one.

    Args:
        captions: whose words to know.
        context: tokens per text, the end token among them.
    """

    def __init__(self, captions: Sequence[str], context: int) -> None:
        words = sorted({word for caption in captions for word in caption.split()})
        self._ids = {word: number for number, word in enumerate(words, 1)}
        self.size, self._context = len(words) + 2, context

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Tokens (texts, context), zeros after the end.

        Raises:
            ValueError: an unknown word, or a text that is too long.
        """
        tokens = torch.zeros(len(texts), self._context, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            words = text.split()
            if unknown := [word for word in words if word not in self._ids]:
                raise ValueError(f"{unknown[0]!r} in {text!r} is no word of the captions")
            if len(words) >= self._context:
                raise ValueError(f"{text!r} has more than {self._context - 1} words")
            row[: len(words)] = torch.tensor([self._ids[word] for word in words])
            row[len(words)] = self.size - 1
        return tokens


def small_clip(
    *,
    image_size: int,
    patch: int,
    width: int,
    layers: int,
    heads: int,
    embedding: int,
    text_width: int,
    text_layers: int,
    text_heads: int,
    context: int,
    vocabulary: int,
) -> CLIP:
    """A CLIP of any size, with random weights: open_clip's own class."""
    import open_clip  # takes seconds, and most commands build no network

    vision = {"image_size": image_size, "patch_size": patch, "layers": layers, "width": width}
    text = {"context_length": context, "vocab_size": vocabulary, "layers": text_layers}
    return open_clip.CLIP(
        embedding,
        vision | {"head_width": width // heads},
        text | {"width": text_width, "heads": text_heads},
    )
