"""More and more task vectors or networks, block by block (Theorems 4.3 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures import many
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.findings.editing import blocks
from ctl_helpers.findings.words import by_panel, extent
from ctl_helpers.results.labels import Scheme


def theorem(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length of both sides of Theorem 4.3 against the number of task vectors.

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.disentangled` with ``scheme``.
    """
    last = many.trends(table[table["scheme"] == Scheme.FALLING], panels)
    return many.growing(
        blocks(table).assign(kind=table["scheme"]),
        panels,
        [str(scheme) for scheme in Scheme],
        "task vectors",
        f"Task vectors {extent(table, 'k', panels)}: with (k+1)α = 0.8, as the theorem has it, "
        f"the distance {by_panel(panels, last)}, mean over blocks",
        "Against the number of task vectors: above on a log scale, mean of one minus cosine "
        "between the edited network's features and the sum of the single ones (circles for a "
        "fixed factor, squares for one that shrinks), with quartiles over samples, and the mean "
        "baseline between the edited network and the parts (diamonds); below, the length "
        "coefficient, with a dotted line at one.",
        "task vectors",
    )


def averages(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """:func:`ctl_helpers.figures.many.many` of transformers, whose layers are their blocks."""
    return many.many(blocks(table), panels)
