"""More and more task vectors or networks, block by block (Theorems 4.3 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures import many
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.findings.editing import blocks
from ctl_helpers.results.labels import Scheme


def theorem(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """ε, distance or length of both sides of Theorem 4.3 against the number of task vectors.

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.disentangled` with ``scheme``.
        controls: the same with ``control``; drawn as bands.
    """
    return many.growing(
        blocks(table).assign(kind=table["scheme"]),
        panels,
        [str(scheme) for scheme in Scheme],
        ("Task vectors", "with (k+1)α = 0.8, as the theorem has it", "mean over blocks"),
        "Against the number of task vectors, for a fixed factor (circles) and one that shrinks "
        "(squares), with quartiles over samples: how far the edited network's features are from "
        "the sum of the single ones.",
        "task vectors",
        None if controls is None else blocks(controls),
    )


def averages(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """:func:`ctl_helpers.figures.many.many` of transformers, whose layers are their blocks."""
    return many.many(blocks(table), panels, controls=None if controls is None else blocks(controls))
