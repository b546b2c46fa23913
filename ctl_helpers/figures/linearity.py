"""Cross-task linearity by layer: direction, length, null controls and transitivity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import layer_axes, layer_places, log_axis
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.contrast import contrast
from ctl_helpers.figures.drawing import (
    COLOURS,
    DOTTED,
    GREY,
    SYMBOLS,
    Figure,
    by_pair,
    draw,
    in_panels,
    marks,
    point_look,
    points,
    xy,
)
from ctl_helpers.figures.frame import by_setting, offer_pairs
from ctl_helpers.figures.lengths import (
    MOST_ROWS,
    in_view,
    last_layers,
    length_axes,
    row_spacing,
    step_line,
)
from ctl_helpers.figures.views import BANDS, READ_AGAINST, Controls, references, series, views
from ctl_helpers.findings.cross_task import drawn_length
from ctl_helpers.findings.editing import nearest_to
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.how_linear import beside_controls, how_linear
from ctl_helpers.findings.transitivity import worst_ratio
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Control, Metric, Triple

_OF = {
    Control.TASK_VECTORS: "for task vectors",
    Control.APART: "pretrained apart",
    Control.SCRATCH: "from random weights",
    Control.RANDOM: "for random vectors",
    Control.OTHER_SAMPLES: "for other samples",
}


def direction(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """ε, ``E[1 − cosine_α]`` or coef by layer, a panel a setting (Figures 2, 13, 15).

    Args:
        table: :func:`ctl_helpers.compare` over pairs.
        controls: the same at one α with ``control``; drawn as bands.
    """
    shown, against = views(table), Controls(controls)
    lines = [
        line
        for column, setting, chosen in in_panels(table, panels)
        for view in shown
        for line in _direction_lines(chosen, view, setting, against, column)
    ]
    middle = table[np.isclose(table["alpha"], nearest_to(table["alpha"].unique(), 0.5))]
    told = how_linear(table, controls)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"At α = 0.5 the mixed networks' features are {told.phrase(one)}, mean over "
                "all pairs"
            ),
        ),
        "By layer, a line for each alpha: how far the interpolated network's features are from the "
        f"interpolated features. {READ_AGAINST}{BANDS if controls is not None else ''}",
        rows=[""],
        columns=list(panels.values()),
        menu="pair",
        height=460,
        views=shown,
        findings=told.quoted(),
    )
    layer_axes(
        figure, [list(layer_places(own["layer"]).values()) for *_, own in in_panels(table, panels)]
    )
    return offer_pairs(figure, middle[middle["metric"] == shown[0].key], " – ", panels)


def _direction_lines(
    rows: pd.DataFrame, view: View, setting: str, controls: Controls, column: int
) -> list[Line]:
    """One panel's lines of one view, those in front last."""
    places = layer_places(rows["layer"])
    layers = list(places.values())
    lines = references(view, layers, 1, column)
    lines += controls.by_layer(setting, view, places, 1, column)
    alphas = sorted(rows["alpha"].unique())
    for metric in series(view):
        for n, alpha in enumerate(alphas):
            group = f"α = {alpha:g}"
            look = (group, COLOURS[n], "circle")
            if metric == Metric.BASELINE:
                if n:  # it has no α
                    continue
                look, group = ("baseline", GREY, "diamond"), ""
            name, colour, symbol = look
            part = rows[(rows["metric"] == metric) & (rows["alpha"] == alpha)]
            data = {pair: points(each) for pair, each in by_pair(part, ["layer"]).items()}
            drawn = {"x": layers, **point_look(symbol, name)}
            lines.append(Line(name, colour, data, 1, column, group, drawn, view=view.key))
    return lines


def length(
    histograms: pd.DataFrame, panels: Mapping[str, str], *, last: int | None = None
) -> Figure:
    """How ``coef_α`` is distributed over samples, a row a layer (Figures 3, 14, 16).

    Args:
        histograms: :meth:`ctl_helpers.Linearity.histogram` of ``coef``.
        last: how many layers to draw, the last ones; as many as fit if None.
    """
    histograms = last_layers(
        histograms[histograms["setting"].isin(list(panels))], last or MOST_ROWS
    )
    layers = list(histograms["layer"].unique())
    lengths = drawn_length.by_setting(histograms)
    seen, ends = in_view(histograms)
    lines = []
    for column, setting in enumerate(panels, 1):
        for row, layer in enumerate(layers, 1):
            part = seen[(seen["setting"] == setting) & (seen["layer"] == layer)]
            for n, (alpha, rows) in enumerate(part.groupby("alpha")):
                name = f"α = {alpha:g}"
                bins = by_pair(rows, ["low", "high"])
                lines.append(step_line(bins, name, COLOURS[n], row, column))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "Along the mixed features, the mixed network's have "
                f"{by_panel(one, lengths)} of their length, mean over all pairs, layers and α "
                "that are drawn"
            ),
        ),
        "For each layer, the share of samples by coefficient: the length of the interpolated "
        "network's feature along the interpolated features, where one means equal length.",
        rows=layers,
        columns=list(panels.values()),
        menu="pair",
        height=170 + 130 * len(layers),
        spacing=row_spacing(len(layers)),
        shared_y=False,
        findings=quoted(lengths.values()),
    )
    return length_axes(figure, histograms, ends, len(layers))


def controls(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε, distance or coef by layer of task vectors and of the controls, which should be far off.

    Args:
        table: :func:`ctl_helpers.compare` with ``control``.
    """
    told = beside_controls(table)
    phrases = {
        name: ", ".join(f"{of[name]} {_OF[control]}" for control, of in told.items() if name in of)
        for name in panels
    }
    stored = {name: phrase for name, phrase in phrases.items() if phrase}
    return contrast(
        table,
        "control",
        panels,
        by_setting(
            panels,
            lambda one: (
                f"Can ε fail? Where task vectors are least linear, it is {by_panel(one, stored)}"
            ),
        ),
        "By layer: for task vectors as in the paper, and for controls, such as networks pretrained "
        "apart, random vectors that move features as far, and permuted samples.",
        findings=quoted(*(of.values() for of in told.values())),
        log=True,
    )


def _group(group: str, triples: pd.DataFrame) -> str:
    """What a group of triples is called; without far tasks none is near."""
    is_alone = group == Triple.NEAR and not (triples["group"] == Triple.FAR).any()
    return "shared pretraining" if is_alone else group


def transitivity(triples: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε of (i, k) against the larger of those of (i, j) and (j, k) (Conjecture 4.1).

    Args:
        triples: rows of ``i``, ``j``, ``k``, ``group``, ``premise`` (the larger error of the two
            given pairs) and ``conclusion`` (the third pair's error).
    """
    lines = []
    errors = triples[["premise", "conclusion"]].to_numpy()
    low, top = errors.min() / 1.3, errors.max() * 1.3
    hover = "i, j, k: %{text}<br>(i,j), (j,k) up to %{x}<br>(i,k) %{y}<extra></extra>"
    for column, _, chosen in in_panels(triples, panels):
        diagonal = {"": {"x": [low, top], "y": [low, top], "text": ["", ""]}}
        lines.append(Line("equal errors", GREY, diagonal, 1, column, look=DOTTED))
        for n, (group, rows) in enumerate(chosen.groupby("group", sort=False)):
            texts = [f"{r.i}, {r.j}, {r.k}, seed {r.seed}" for r in rows.itertuples()]
            data = {**xy(rows, "premise", "conclusion", 3), "text": texts}
            symbol = SYMBOLS[n % len(SYMBOLS)]
            look = marks(hover, symbol, size=8, mode="markers", opacity=0.75)
            name = _group(str(group), chosen)
            lines.append(Line(name, COLOURS[n], {"": data}, 1, column, look=look))
    shown = triples[triples["setting"].isin(list(panels))]
    worst = worst_ratio.by_setting(shown)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"The third pair's squared error is at most {by_panel(one, worst)} the larger of "
                "the two given pairs', over all triples"
            ),
        ),
        "Scatter plot on log scales. Each point is a triple of networks; the horizontal place is "
        "the larger linearity error of the two given pairs, the vertical one the third pair's.",
        rows=["ε of (i, k)"],
        columns=list(panels.values()),
        height=480,
        findings=quoted(worst.values()),
    )
    axis = log_axis(errors.ravel())
    figure.update_xaxes(title_text="larger ε of (i, j), (j, k)", **axis)
    return figure.update_yaxes(**axis)
