"""Averages of fine-tuned networks: against ensembles, and block by block (Section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import every_layer
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.drawing import (
    BLUE,
    DOTTED,
    GREY,
    Figure,
    draw,
    in_panels,
    marks,
    point_look,
    points,
    xy,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.views import BANDS, READ_AGAINST, Controls, references, series, views
from ctl_helpers.findings.averaging import (
    ensemble_correlation,
    ensemble_lead,
    length_of_all,
)
from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.how_linear import how_linear
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Metric

_LOOKS = (("averaged network", BLUE, "circle"), ("baseline", GREY, "diamond"))

_WHICH = ("averaged weights are ahead", "the ensemble is ahead", "which is ahead is undecided")


def ensembles(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of averaged weights against that of the ensemble, one point per triple (Figure 4).

    Args:
        table: rows of ``models``, ``averaged`` and ``ensemble`` (accuracies).
    """
    correlations = ensemble_correlation.by_setting(table)
    leads = ensemble_lead.by_setting(table)
    which = {name: f"{lead} ({signed_words(lead, 0.0, *_WHICH)})" for name, lead in leads.items()}
    lines = []
    for column, _, rows in in_panels(table, panels):
        both = rows[["averaged", "ensemble"]].to_numpy()
        margin = 0.05 * (both.max() - both.min()) + 0.001
        ends = [float(both.min() - margin), float(both.max() + margin)]
        same = {"": {"x": ends, "y": ends}}
        lines.append(Line("equal accuracy", GREY, same, 1, column, look=DOTTED))
        data = {**xy(rows, "ensemble", "averaged"), "text": rows["models"].tolist()}
        hover = "%{text}<br>ensemble %{x:.1%}, averaged weights %{y:.1%}<extra></extra>"
        look = marks(hover, size=8, mode="markers", opacity=0.7)
        lines.append(Line("a triple of networks", BLUE, {"": data}, 1, column, look=look))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "The accuracy of averaged weights, less that of the ensemble of the same three, is "
                f"{by_panel(one, which)}, mean over triples; over triples the two correlate at "
                f"{by_panel(one, correlations)}"
            ),
        ),
        "Scatter plot. Each point is a triple of fine-tuned networks: across, the accuracy of "
        "their averaged logits; up, that of the network with their averaged weights. A dotted "
        "line marks equal accuracy.",
        rows=["accuracy, averaged weights"],
        columns=list(panels.values()),
        height=460,
        shared_y=False,
        gap=0.12,
        findings=quoted(leads.values(), correlations.values()),
    )
    figure.update_xaxes(title_text="accuracy, ensemble", tickformat=".0%")
    return figure.update_yaxes(tickformat=".0%")


def blocks(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """``f(mean θ_i)`` against ``mean f(θ_i)`` by block (Eq. 1; Figures 5, 6, 17 and 18).

    The menus choose how many networks are averaged, and the measure.

    Args:
        table: :func:`ctl_helpers.compare` with ``k``; averages of as many networks are averaged.
        controls: :func:`ctl_helpers.compare` with ``control``; drawn as bands.
    """
    lengths, told = length_of_all.by_setting(table), how_linear(table, controls)
    averaged = "all networks" if controls is None else "two networks"
    shown = views(table)
    figure = draw(
        _block_lines(table, panels, shown, Controls(controls)),
        by_setting(
            panels,
            lambda one: (
                f"Features of averages of {averaged} are {told.phrase(one)}; those of the "
                f"average of all are {by_panel(one, lengths)} as long as the averaged features"
            ),
        ),
        "By block of the transformer: how far the averaged network's features are from the "
        f"averaged features, with quartiles over samples. {READ_AGAINST}"
        f"{BANDS if controls is not None else ''}",
        rows=[""],
        columns=list(panels.values()),
        height=460,
        views=shown,
        findings=[*told.quoted(), *quoted(lengths.values())],
    )
    for column, _, own in in_panels(table, panels):
        step = every_layer(own["layer"].nunique())
        figure.update_xaxes(title_text="block", tick0=1, dtick=step, zeroline=False, col=column)
    return figure


def _block_lines(
    table: pd.DataFrame, panels: Mapping[str, str], shown: Sequence[View], controls: Controls
) -> list[Line]:
    """What each view shows, for as many networks as the menu offers."""
    counts = [set(table.loc[table["setting"] == setting, "k"]) for setting in panels]
    common = set.intersection(*counts) - {max(numbers) for numbers in counts}
    lines = []
    for column, setting, part in in_panels(table, panels):
        every = {"all networks": part["k"].max()}
        fewer = {f"{k} networks": k for k in sorted(common, reverse=True)}
        # What the takeaway tells comes first: with controls, averages of two.
        pairs = {f"{k} networks": k for k in common if k == 2 and controls.table is not None}
        choices = {**pairs, **every, **fewer}
        places = {layer: n for n, layer in enumerate(part["layer"].unique(), 1)}
        x = list(places.values())
        for view in shown:
            lines += references(view, x, 1, column)
            lines += controls.by_layer(setting, view, places, 1, column)
            for metric in series(view):
                data = {}
                for choice, k in choices.items():
                    rows = part[(part["metric"] == metric) & (part["k"] == k)]
                    means = rows.groupby("layer", sort=False)[["mean", "q25", "q75"]].mean()
                    data[choice] = points(means.reset_index())
                name, colour, symbol = _LOOKS[metric == Metric.BASELINE]
                look = {"x": x, **point_look(symbol, name, "block %{x}")}
                lines.append(Line(name, colour, data, 1, column, look=look, view=view.key))
    return lines
