"""More and more task vectors added, against one at a time (Theorem 4.3)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.drawing import Figure
from ctl_helpers.figures.editing import blocks
from ctl_helpers.figures.many import growing, trends
from ctl_helpers.findings.words import by_panel, extent

_SCHEMES = ("α = 0.1", "(k+1)α = 0.8")


def theorem(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length of both sides of Theorem 4.3 against the number of task vectors.

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.disentangled` with columns
            ``setting``, ``seed`` and ``scheme``; error bars are quartiles over samples.
        panels: setting → panel title, in order.
    """
    last = trends(table[table["scheme"] == _SCHEMES[-1]], panels)
    return growing(
        blocks(table).assign(kind=table["scheme"]),
        panels,
        _SCHEMES,
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
