"""The figure on BatchNorm's statistics, mixed or recomputed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.contrast import contrast
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.findings.words import by_panel


def statistics(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length by layer with mixed and with recomputed statistics.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed`` and ``statistics``
            (``"mixed"`` or ``"recomputed"``).
        panels: setting → panel title, in order.
    """
    layers = table.groupby("setting")["layer"].last()
    last = table[table["layer"] == table["setting"].map(layers)]
    means = last.groupby(["statistics", "metric", "setting"])["mean"].mean()

    def moved(metric: str, form: str) -> str:
        ends = zip(means["mixed", metric].items(), means["recomputed", metric], strict=True)
        said = {name: f"from {a:{form}} to {b:{form}}" for (name, a), b in ends}
        return by_panel(panels, said)

    return contrast(
        table,
        "statistics",
        panels,
        f"At the output, recomputing BatchNorm's statistics takes the length "
        f"{moved('coef', '.2f')} and the distance {moved('distance', '.3f')}",
        "By layer, one minus cosine above on a log scale and the length coefficient below: for "
        "BatchNorm statistics mixed like weights and recomputed on data of both tasks.",
    )
