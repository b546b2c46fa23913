"""Mixes of many networks: linearity against how many there are (Theorem 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import number_axes
from ctl_helpers.figures.drawing import BLUE, VERMILION, Figure, draw
from ctl_helpers.figures.factors import CALLED, Series, layer_choices, layer_lines
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.views import BANDS, READ_AGAINST, Controls, views
from ctl_helpers.findings.changes import changes
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.linearity import mix_level
from ctl_helpers.findings.words import extent
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
    return growing(
        table.assign(kind=table["weights"] + " weights"),
        panels,
        ("equal weights", "unequal weights"),
        ("Networks in the mix", "with equal weights", "mean over layers"),
        "Against the number of networks in the mix, for equal weights (circles) and for random "
        "ones (squares), with quartiles over samples: how far the mixed network's features are "
        "from the mixed features.",
        "networks in the mix",
        controls,
    )


def growing(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    kinds: Sequence[str],
    title: tuple[str, str, str],
    alt: str,
    axis: str,
    controls: pd.DataFrame | None,
) -> Figure:
    """ε, distance with its baseline, or length against a number of parts ``k``.

    The menus choose the layer, as in :func:`ctl_helpers.figures.factors.factor`, and the measure.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed``, ``k`` and ``kind``.
        kinds: one value of ``kind`` or two, drawn as circles and as squares.
        title: what is counted, under which condition, and what is averaged; the takeaway is how
            what is shown first goes.
        alt: as :func:`ctl_helpers.figures.drawing.draw` takes it; to it is added what the menu
            chooses.
        axis: the horizontal axis's label, which says what is counted.
        controls: with ``control``; drawn as bands.
    """
    table = table[table["setting"].isin(list(panels))]
    shown, choices = views(table), layer_choices(table, panels)
    told = [
        Series(kind, *look, kind) for kind, look in zip(kinds, _LOOKS[: len(kinds)], strict=True)
    ]
    at, bands = f"%{{x}} {axis}", Controls(controls)
    metric, (counted, condition, mean) = Metric(shown[0].key), title
    first, last = (mix_level.by_setting(table, at=end, metric=metric) for end in ("fewest", "most"))
    figure = draw(
        layer_lines(table, panels, "k", told, at, choices, shown, controls=bands),
        by_setting(
            panels,
            lambda one: (
                f"{counted} {extent(table, 'k', one)}: {condition}, the {CALLED[metric]} "
                f"{changes(one, first, last)}, {mean}"
            ),
        ),
        f"{alt} {READ_AGAINST}{BANDS if controls is not None else ''}",
        rows=[""],
        columns=list(panels.values()),
        menu="layer",
        height=460,
        views=shown,
        findings=quoted(first.values(), last.values()),
    )
    number_axes(figure, table, "k", panels, axis)
    return figure
