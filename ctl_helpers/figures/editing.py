"""Networks edited by task vectors: how linear their features are, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import layer_axes
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.drawing import COLOURS, GREY, Figure, draw, in_panels, point_look, points
from ctl_helpers.figures.frame import by_setting, offer_pairs
from ctl_helpers.figures.lengths import in_view, last_layers, length_axes, row_spacing, step_line
from ctl_helpers.figures.views import BANDS, READ_AGAINST, Controls, references, series, views
from ctl_helpers.findings.editing import blocks, edit_drawn_length, nearest_to
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.how_linear import how_linear
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import PAPER_LAMBDA, Metric


def by_edit(
    table: pd.DataFrame, keys: Sequence[str], panels: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """Edit → rows of all settings with seeds averaged, the mean over edits first.

    An edit is a pair of task vectors, or a single one where the table has no ``j``. A setting may
    lack some.

    Args:
        table: rows of ``setting``, ``i``, perhaps ``j``, ``keys`` and numbers.
        keys: what tells an edit's rows apart.
    """
    pair = "j" in table
    named = table.assign(edit=table["i"] + (" + " + table["j"] if pair else ""))
    left_out = (*keys, "seed", "comparison")
    numbers = [name for name in named.select_dtypes("number") if name not in left_out]
    named = named[named["setting"].isin(list(panels))]

    def averaged(*apart: str) -> pd.DataFrame:
        return named.groupby([*apart, *keys], sort=False)[numbers].mean().reset_index()

    whole = {f"mean over {'pairs' if pair else 'tasks'}": averaged("setting")}
    edits = averaged("edit", "setting").groupby("edit", sort=False)
    return whole | {str(edit): own.drop(columns="edit") for edit, own in edits}


def of_panel(edits: Mapping[str, pd.DataFrame], **values: object) -> dict[str, pd.DataFrame]:
    """Edit → its rows of some values, such as a setting's; edits that have none are left out."""
    rows = {edit: with_values(table, values) for edit, table in edits.items()}
    return {edit: own for edit, own in rows.items() if len(own)}


def start_at(figure: Figure, label: str) -> Figure:
    """Show at first what a button of the figure's last menu shows, if it has one so called."""
    for number, menu in enumerate(figure.layout.updatemenus):
        for place, button in enumerate(menu.buttons):
            if button.label == label:
                figure.layout.updatemenus[number].active = place
                change, traces = button.args
                for key, values in change.items():
                    for trace, value in zip(traces, values, strict=True):
                        figure.data[trace][key] = value
    return figure


def direction(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    *,
    lam: float | None = None,
    controls: pd.DataFrame | None = None,
) -> Figure:
    """ε, ``1 − cosine`` or coef of both sides of Eq. 2 or 3 by block (Figures 7, 19, 22 and 23).

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.addition`, or of
            :func:`ctl_helpers.negation`.
        lam: the only λ to show; all under a slider when None.
        controls: the same at one λ with ``control``; drawn as bands.
    """
    table = table[table["setting"].isin(list(panels))]
    if lam is not None:
        table = table[np.isclose(table["lam"], lam)]
    start = nearest_to(table["lam"].unique(), PAPER_LAMBDA)
    left, right = _sides(table)
    told, shown = how_linear(table, controls), views(table)
    figure = draw(
        _direction_lines(table, panels, shown, None if controls is None else blocks(controls)),
        by_setting(
            panels,
            lambda one: (
                f"At λ = {start:g} the {left}, against {right}, are {told.phrase(one)}, "
                f"mean over all {_menu(table)}s"
            ),
        ),
        f"By block: how far both sides of the equation are apart. {READ_AGAINST}"
        f"{BANDS if controls is not None else ''}",
        rows=[""],
        columns=list(panels.values()),
        menu=_menu(table),
        height=460,
        slider="λ",
        views=shown,
        findings=told.quoted(),
    )
    rows = blocks(table)
    layer_axes(figure, [own["layer"].unique().tolist() for *_, own in in_panels(rows, panels)])
    figure.update_xaxes(title_text="block")
    if "j" in table:
        at = np.isclose(table["lam"], start) & (table["metric"] == shown[0].key)
        offer_pairs(figure, table[at], " + ", panels)
    return start_at(figure, f"λ = {start:g}")


def _direction_lines(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    shown: Sequence[View],
    controls: pd.DataFrame | None,
) -> list[Line]:
    edits = by_edit(table, ["lam", "metric", "layer"], panels)
    lines, bands = [], Controls(controls)
    for column, setting in enumerate(panels, 1):
        rows = blocks(table[table["setting"] == setting])
        names = {name: name.removeprefix("block ") for name in rows["layer"].unique()}
        places = list(names.values())
        here = of_panel(edits, setting=setting)
        for view in shown:
            lines += references(view, places, 1, column)
            lines += bands.by_layer(setting, view, names, 1, column)
            for n, lam in enumerate(sorted(table["lam"].unique())):
                for metric in series(view):
                    own = of_panel(here, lam=lam, metric=metric)
                    data = {edit: points(rows) for edit, rows in own.items()}
                    group = f"λ = {lam:g}"
                    name, colour, symbol = group, COLOURS[n % len(COLOURS)], "circle"
                    if metric == Metric.BASELINE:
                        name, colour, symbol = f"baseline, {group}", GREY, "diamond"
                    look = {"x": places, **point_look(symbol, name, "block %{x}")}
                    lines.append(Line(name, colour, data, 1, column, group, look, view=view.key))
    return lines


def length(histograms: pd.DataFrame, panels: Mapping[str, str], last: int | None = None) -> Figure:
    """How the length coefficient of Eq. 2 or 3 is distributed, a row per block (Figures 8 and 20).

    It is drawn at λ = 0.4, or at the nearest λ that there is.

    Args:
        histograms: :meth:`ctl_helpers.Linearity.histogram` of ``coef``.
        last: how many blocks to show, from the last one; all when None.
    """
    table = blocks(histograms[histograms["setting"].isin(list(panels))])
    lam = nearest_to(table["lam"].unique(), PAPER_LAMBDA)
    table = table[table["lam"] == lam]
    lengths = edit_drawn_length.by_setting(table, last=last, lam=lam)
    if last is not None:
        table = last_layers(table, last)
    names = list(table["layer"].unique())
    seen, ends = in_view(table)
    edits = by_edit(seen, ["layer", "low", "high"], panels)
    label = f"λ = {lam:g}"
    lines = []
    for column, setting in enumerate(panels, 1):
        here = of_panel(edits, setting=setting)
        for row, layer in enumerate(names, 1):
            bins = of_panel(here, layer=layer)
            lines.append(step_line(bins, label, COLOURS[0], row, column))
    left, right = _sides(histograms)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"At λ = {lam:g} the {left} have {by_panel(one, lengths)} of the length of "
                f"the mean of {right}, over all {_menu(table)}s"
            ),
        ),
        "For each block, the share of samples by length coefficient, where one means equal length "
        "of both sides of the equation.",
        rows=names,
        columns=list(panels.values()),
        menu=_menu(table),
        height=190 + 110 * len(names),
        spacing=row_spacing(len(names)),
        shared_y=False,
        slider="λ",
        findings=quoted(lengths.values()),
    )
    return length_axes(figure, table, ends, len(names))


def with_values(table: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    """The rows that have each of some values."""
    return table[np.logical_and.reduce([table[name] == value for name, value in values.items()])]


def _menu(table: pd.DataFrame) -> str:
    return "pair" if "j" in table else "task"


def _sides(table: pd.DataFrame) -> tuple[str, str]:
    """What the sides of the equation are called whose edits a table has."""
    if "j" in table:
        return "features with both task vectors", "those with either vector at twice the length"
    return "pretrained network's features", "those with the task vector added and subtracted"
