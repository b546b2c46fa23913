"""What a network can be pretrained for, by name; torch is not imported."""

from __future__ import annotations

from enum import Enum


class Objective(str, Enum):
    """What an image tower is pretrained for; the first is a random start."""

    NONE = "none"
    SUPERVISION = "supervision"
    CAPTIONS = "captions"
    SIMCLR = "SimCLR"
    MASKED = "masked autoencoding"
    DENOISING = "denoising autoencoding"
    RANDOM_LABELS = "random labels"

    def __str__(self) -> str:
        return str(self.value)
