"""Axes of numbers, linear and logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

import pandas as pd
from plotly.graph_objects import Figure

from ctl_helpers.findings.words import plain

LOG_AXIS: dict[str, object] = {
    "type": "log",
    "exponentformat": "power",
    "tickmode": "linear",
    "dtick": 1,
}
LINEAR_AXIS: dict[str, object] = {**dict.fromkeys(LOG_AXIS), "type": "linear", "tickmode": "auto"}
"""What takes a logarithmic axis back to a linear one."""


def number_axis(figure: Figure, values: Iterable[float], label: str, **place: int) -> None:
    """Label a horizontal axis of numbers, and put its ticks at the values where they fit."""
    places = sorted({float(value) for value in values})
    nearest = min((b - a for a, b in pairwise(places)), default=0)
    ticks = {"tickvals": places} if nearest * 12 > places[-1] - places[0] else {}
    figure.update_xaxes(title_text=label, **ticks, **place)
    # Panels above share the ticks, and their line at 0.
    figure.update_xaxes(zeroline=False, col=place.get("col"))


def number_axes(
    figure: Figure,
    table: pd.DataFrame,
    column: str,
    panels: Mapping[str, str],
    label: str,
    row: int = 1,
) -> None:
    """:func:`number_axis` under each panel of a row, of what its setting has in a column."""
    for place, setting in enumerate(panels, 1):
        values = table.loc[table["setting"] == setting, column]
        number_axis(figure, values, label, row=row, col=place)


def log_axis(values: Iterable[float]) -> dict[str, object]:
    """A logarithmic axis with a tick a power of ten, and at 2 and 5 where there are few powers."""
    drawn = [value for value in values if value > 0]
    if not drawn or max(drawn) > 100 * min(drawn):
        return LOG_AXIS
    low, high = (math.floor(math.log10(end)) for end in (min(drawn), max(drawn)))
    # A power more to either side, for what reaches farther than the values do.
    ticks = [digit * 10.0**power for power in range(low - 1, high + 2) for digit in (1, 2, 5)]
    texts = [plain(tick) for tick in ticks]
    return {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": texts}


def scales(axes: Mapping[str, Iterable[float]]) -> dict[str, dict[str, object]]:
    """Switches between linear and logarithmic axes.

    Args:
        axes: an axis's name in the layout → the values that stand on it.
    """
    return {
        label: {
            f"{axis}.{key}": value
            for axis, form in forms.items()
            for key, value in {**form, "autorange": True}.items()
        }
        for label, forms in {
            "linear axes": dict.fromkeys(axes, LINEAR_AXIS),
            "log axes": {axis: log_axis(values) for axis, values in axes.items()},
        }.items()
    }
