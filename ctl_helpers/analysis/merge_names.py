"""The networks that are compared where networks are merged, by name; torch is not imported."""

from __future__ import annotations

from enum import Enum


class MergeMethod(str, Enum):
    """Where nothing is merged, methods of merging, and ways to choose a plain sum's strength."""

    START = "pretrained network"
    AVERAGE = "uniform average"
    ARITHMETIC = "task arithmetic"
    TIES = "TIES"
    DARE = "DARE"
    BREADCRUMBS = "Breadcrumbs"
    REGMEAN = "RegMean"
    EPSILON = "strength by ε"
    ENTROPY = "strength by entropy"
    LAYERS = "strength per layer by ε"

    def __str__(self) -> str:
        return str(self.value)


METHODS = (
    MergeMethod.ARITHMETIC,
    MergeMethod.TIES,
    MergeMethod.DARE,
    MergeMethod.BREADCRUMBS,
    MergeMethod.REGMEAN,
)
"""Those whose strength is chosen by labels."""
