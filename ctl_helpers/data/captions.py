"""Images with captions, as contrastive pretraining wants them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Captioned:
    """``inputs`` (samples, channels, height, width) as bytes, and a caption for each."""

    inputs: Tensor
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)
