"""Mixes of many networks: linearity against how many there are (Theorem 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import number_axes
from ctl_helpers.figures.drawing import BLUE, VERMILION, Figure, draw
from ctl_helpers.figures.factors import CALLED, Series, goes, layer_choices, layer_lines
from ctl_helpers.figures.views import BANDS, READ_AGAINST, Controls, views
from ctl_helpers.findings.words import by_panel, extent
from ctl_helpers.results.labels import Metric

_LOOKS = ((BLUE, "circle"), (VERMILION, "square"))


def many(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """``f(Σα_iθ_i)`` against ``Σα_i f(θ_i)`` for more and more networks, a panel a setting.

    Args:
        table: :func:`ctl_helpers.compare` with ``k`` (networks in the mix) and ``weights``
            (``"equal"`` or ``"unequal"``); draws are averaged.
        controls: the same with ``control``; drawn as bands.
    """
    metric, trends = trend_of(table[table["weights"] == "equal"], panels)
    return growing(
        table.assign(kind=table["weights"] + " weights"),
        panels,
        ("equal weights", "unequal weights"),
        f"Networks in the mix {extent(table, 'k', panels)}: the {metric} {trends}, equal weights, "
        "mean over layers",
        "Against the number of networks in the mix, for equal weights (circles) and for random "
        "ones (squares), with quartiles over samples: how far the mixed network's features are "
        "from the mixed features.",
        "networks in the mix",
        controls,
    )


def trend_of(table: pd.DataFrame, panels: Mapping[str, str]) -> tuple[str, str]:
    """What a figure shows first is called, and how it goes with ``k``, mean over layers."""
    metric = Metric(views(table)[0].key)
    return CALLED[metric], by_panel(panels, goes(table, panels, "k", metric))


def growing(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    kinds: Sequence[str],
    title: str,
    alt: str,
    axis: str,
    controls: pd.DataFrame | None,
) -> Figure:
    """ε, distance with its baseline, or length against a number of parts ``k``.

    The menus choose the layer, as in :func:`ctl_helpers.figures.factors.factor`, and the measure.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed``, ``k`` and ``kind``.
        kinds: two values of ``kind``, drawn as circles and as squares.
        title, alt: as :func:`ctl_helpers.figures.drawing.draw` takes them; to the text alternative
            is added what the menu chooses.
        axis: the horizontal axis's label, which says what is counted.
        controls: with ``control``; drawn as bands.
    """
    table = table[table["setting"].isin(list(panels))]
    shown, choices = views(table), layer_choices(table, panels)
    told = [Series(kind, *look, kind) for kind, look in zip(kinds, _LOOKS, strict=True)]
    at, bands = f"%{{x}} {axis}", Controls(controls)
    figure = draw(
        layer_lines(table, panels, "k", told, at, choices, shown, controls=bands),
        title,
        f"{alt} {READ_AGAINST}{BANDS if controls is not None else ''}",
        rows=[""],
        columns=list(panels.values()),
        menu="layer",
        height=460,
        views=shown,
    )
    number_axes(figure, table, "k", panels, axis)
    return figure
