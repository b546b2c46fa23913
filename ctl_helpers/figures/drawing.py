"""What all figures are drawn with: panels of lines under menus, and colours.

Every figure's title is its takeaway, computed from the table, and every figure carries a text
alternative in ``layout.meta.alt``. Without a kernel a reader chooses what is shown in a figure's
menus, and reads exact values by hovering.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from ctl_helpers.figures.frame import PANEL, Menu, button, framed

# Okabe and Ito's palette: told apart by colour-blind readers, in light and dark.
BLUE, GREEN, VERMILION, PURPLE, ORANGE = "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00"
COLOURS = (BLUE, GREEN, VERMILION, PURPLE, ORANGE)
GREY = "#8a8a8a"
SYMBOLS = ("circle", "square", "diamond", "x")
ALL = "mean over pairs"
LOG_AXIS = {"type": "log", "exponentformat": "power", "dtick": 1}
_BAND = {"mode": "lines", "line_width": 0, "fill": "toself", "hoverinfo": "skip"}


@dataclass(frozen=True)
class Line:
    """One trace: where it stands, how it looks, and its data for each choice of the first menu.

    A line with a single choice stays as it is. Lines of one ``group`` are shown together by the
    second menu, lines without a group always. One that is not ``listed`` is left out of the legend.
    """

    name: str
    colour: str
    data: Mapping[str, Mapping[str, Any]]
    row: int = 1
    column: int = 1
    group: str = ""
    look: Mapping[str, object] = field(default_factory=dict)
    listed: bool = True


def draw(
    lines: Sequence[Line],
    title: str,
    alt: str,
    *,
    rows: Sequence[str] = ("",),
    columns: Sequence[str] = ("",),
    cells: Sequence[str] = (),
    height: int = 420,
    shared_x: bool = True,
    shared_y: str | bool = True,
    spacing: float = 0.06,
    gap: float = 0.05,
    menu: str = "show",
    slider: str = "α",
    switches: Mapping[str, Mapping[str, object]] | None = None,
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """Traces in a grid of panels, under menus of their data's keys, their groups and switches.

    Args:
        lines: the traces, those in front last.
        title: the takeaway.
        alt: what the figure shows, for those who do not see it.
        rows: label of each row's vertical axis.
        columns: title of each column.
        cells: title of each panel, row by row, in place of the columns' titles.
        height: in pixels, without the title.
        shared_x: whether panels of a column share their horizontal axis.
        shared_y: the same for vertical axes, as in plotly's ``make_subplots``.
        spacing: between rows, as a share of the height.
        gap: between columns, as a share of the width.
        menu: what the first menu chooses, such as ``"pair"``.
        slider: what the groups are values of; the slider's first stop shows all.
        switches: a further menu, label → change to the layout, the first one being the figure as
            it is.
        findings: as :func:`ctl_helpers.figures.frame.framed` takes them.
    """
    grid = {"subplot_titles": cells} if cells else {"column_titles": list(columns)}
    figure = make_subplots(
        len(rows),
        len(columns),
        shared_xaxes=len(rows) > 1 and shared_x,
        shared_yaxes=shared_y,
        horizontal_spacing=gap,
        vertical_spacing=spacing,
        **(grid if cells or any(columns) else {}),
    )
    for number, label in enumerate(rows, 1):
        figure.update_yaxes(title_text=label, row=number, col=1)
    named: dict[str, None] = {}
    for line in lines:
        trace = Scatter(
            name=line.name,
            legendgroup=line.name,
            showlegend=line.listed and line.name not in named,
            marker_color=line.colour,
            line_color=line.colour,
        )
        trace.update({**line.look, **_nested(next(iter(line.data.values())))})
        figure.add_trace(trace, line.row, line.column)
        if line.listed:
            named[line.name] = None
    switching = [button(name, change, "relayout") for name, change in (switches or {}).items()]
    menus = [
        Menu(menu, _choices(lines)),
        Menu(slider, _groups(lines, f"every {slider}"), "slider"),
        Menu("show", switching),
    ]
    return framed(
        figure,
        title,
        alt,
        height=height,
        min_width=PANEL * len(columns),
        menus=[each for each in menus if each.buttons],
        names=named,
        findings=findings,
    )


def _choices(lines: Sequence[Line]) -> list[dict[str, object]]:
    """Buttons that put other data into the lines that have more than one choice of it."""
    places = [place for place, line in enumerate(lines) if len(line.data) > 1]
    if not places:
        return []
    moving = [lines[place] for place in places]
    keys = list(dict.fromkeys(key for line in moving for key in next(iter(line.data.values()))))
    # Where every line moves, plotly needs no list of them.
    chosen = [] if len(places) == len(lines) else [places]
    return [
        button(
            choice,
            {key: [line.data[choice].get(key) for line in moving] for key in keys},
            "restyle",
            *chosen,
        )
        for choice in moving[0].data
    ]


def _groups(lines: Sequence[Line], every: str) -> list[dict[str, object]]:
    """Buttons that show one group of lines, or every one."""
    groups = [group for group in dict.fromkeys(line.group for line in lines) if group]
    if len(groups) < 2:
        return []
    shown = {every: [True] * len(lines)} | {
        group: [line.group in ("", group) for line in lines] for group in groups
    }
    return [button(name, {"visible": visible}) for name, visible in shown.items()]


def _nested(data: Mapping[str, list]) -> dict[str, list]:
    """Attribute paths as plotly.py writes them: ``error_y.array`` → ``error_y_array``."""
    return {key.replace(".", "_"): value for key, value in data.items()}


# What lines are made of.


def significant(values: pd.Series, digits: int = 4) -> list[float]:
    """Rounded to significant digits: what a reader can use, in a fraction of the page's size."""
    return [float(f"{value:.{digits}g}") for value in values]


def by_pair(table: pd.DataFrame, keys: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Pair → rows with seeds averaged, the mean over all pairs first."""
    named = table.assign(pair=table["i"] + " – " + table["j"])
    numbers = [c for c in named.select_dtypes("number") if c not in (*keys, "seed", "comparison")]

    def averaged(part: pd.DataFrame) -> pd.DataFrame:
        return part.groupby(list(keys), sort=False)[numbers].mean().reset_index()

    pairs = {pair: averaged(part) for pair, part in named.groupby("pair", sort=False)}
    return {ALL: averaged(named)} | pairs


def offer_pairs(figure: Figure, table: pd.DataFrame, joint: str) -> Figure:
    """Have the pages set a small heat map of pairs above a figure, which chooses one in its menu.

    Args:
        figure: a figure whose first menu is of pairs; it is changed.
        table: rows of ``i``, ``j`` and ``mean``: what is told of a pair is the mean over them.
        joint: what stands between two names in the menu.
    """
    means = table.groupby(["i", "j"], sort=False)["mean"].mean()
    told = dict(zip(means.index, significant(means, 2), strict=True))
    names = list(dict.fromkeys(name for pair in told for name in pair))
    options = [choice.label for choice in figure.layout.updatemenus[0].buttons]

    def cell(*pair: str) -> dict[str, float] | None:
        for i, j in (pair, pair[::-1]):
            if (i, j) in told and f"{i}{joint}{j}" in options:
                return {"option": options.index(f"{i}{joint}{j}"), "mean": told[i, j]}
        return None

    cells = [[cell(row, column) for column in names[:n]] for n, row in enumerate(names)][1:]
    meta = figure.layout.meta
    menu, *others = meta["controls"]
    pairs = {**menu, "kind": "pairs", "names": names, "cells": cells}
    return figure.update_layout(meta={**meta, "controls": [pairs, *others]})


def over_seeds(table: pd.DataFrame, column: str, measure: str = "mean") -> pd.DataFrame:
    """A measure against a numeric column: its mean, and its range over seeds.

    Returns:
        A row for each value of ``column``, rising: ``column``, ``mean``, ``low`` and ``high`` (the
        smallest and the largest mean of one seed), and ``q25`` and ``q75`` where the table has
        them, averaged.
    """
    grouped = table.groupby(column)
    seeds = table.groupby([column, "seed"])[measure].mean().groupby(column)
    found = {"mean": grouped[measure].mean(), "low": seeds.min(), "high": seeds.max()}
    found |= {name: grouped[name].mean() for name in ("q25", "q75") if name in table}
    return pd.DataFrame(found).reset_index()


def points(rows: pd.DataFrame) -> dict[str, list]:
    """Means with quartiles over samples, to a digit less, as error bars."""
    low, high = (significant(rows[name], 3) for name in ("q25", "q75"))
    return {
        "y": significant(rows["mean"]),
        "error_y.array": significant((rows["q75"] - rows["mean"]).clip(lower=0), 3),
        "error_y.arrayminus": significant((rows["mean"] - rows["q25"]).clip(lower=0), 3),
        "customdata": list(zip(low, high, strict=True)),
    }


def point_look(symbol: str, label: str, place: str = "%{x}") -> dict[str, object]:
    """How :func:`points` look; ``place`` says in the hover text where a point stands."""
    return {
        "mode": "lines+markers",
        "marker_symbol": symbol,
        "marker_size": 9,
        "line_width": 1.5,
        "line_dash": "solid" if symbol == "circle" else "dot",
        "error_y": {"type": "data", "symmetric": False, "thickness": 1.2, "width": 4},
        "hovertemplate": f"{place}: %{{y}}<br>quartiles %{{customdata[0]}} to %{{customdata[1]}}"
        f"<extra>{label}</extra>",
    }


def band(
    name: str,
    colour: str,
    frames: Mapping[str, pd.DataFrame],
    column: str,
    place: tuple[int, int],
) -> Line:
    """The area between ``low`` and ``high`` behind a line of the same name.

    Args:
        name: the line's.
        colour: the line's.
        frames: choice → :func:`over_seeds`.
        column: what stands on the horizontal axis.
        place: row and column of the panel.
    """
    data = {}
    for choice, frame in frames.items():
        x, low, high = (significant(frame[name]) for name in (column, "low", "high"))
        data[choice] = {"x": [*x, *reversed(x)], "y": [*low, *reversed(high)]}
    look = {**_BAND, "fillcolor": faint(colour)}
    return Line(name, colour, data, *place, look=look, listed=False)


def faint(colour: str) -> str:
    """A colour that lets the page shine through."""
    red, green, blue = _channels(colour)
    return f"rgba({red},{green},{blue},0.18)"


def sequence(count: int) -> list[str]:
    """Colours for an ordered series, from blue over purple to orange: lighter and lighter."""
    stops = [_channels(colour) for colour in (BLUE, PURPLE, ORANGE)]
    found = []
    for number in range(count):
        place = (len(stops) - 1) * (number / (count - 1) if count > 1 else 0)
        start = min(int(place), len(stops) - 2)
        between = [
            round(a + (place - start) * (b - a))
            for a, b in zip(stops[start], stops[start + 1], strict=True)
        ]
        found.append("#{:02X}{:02X}{:02X}".format(*between))
    return found


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def number_axis(figure: Figure, values: Iterable[float], label: str, **place: int) -> None:
    """Label a horizontal axis of numbers, and put its ticks at the values where they fit."""
    places = sorted({float(value) for value in values})
    nearest = min((b - a for a, b in pairwise(places)), default=0)
    ticks = {"tickvals": places} if nearest * 12 > places[-1] - places[0] else {}
    figure.update_xaxes(title_text=label, **ticks, **place)
    # Panels above share the ticks, and their line at 0.
    figure.update_xaxes(zeroline=False, col=place.get("col"))


def log_axis(values: Iterable[float]) -> dict[str, object]:
    """A logarithmic axis with a tick a power of ten, and at 2 and 5 where there are few powers."""
    drawn = [value for value in values if value > 0]
    wide = bool(drawn) and max(drawn) > 100 * min(drawn)
    return LOG_AXIS if wide else {**LOG_AXIS, "dtick": "D2"}


def scales(axes: Mapping[str, Iterable[float]]) -> dict[str, dict[str, object]]:
    """Switches between linear and logarithmic axes.

    Args:
        axes: an axis's name in the layout → the values that stand on it.
    """
    linear = dict.fromkeys(LOG_AXIS) | {"type": "linear"}
    return {
        label: {
            f"{axis}.{key}": value
            for axis, form in forms.items()
            for key, value in {**form, "autorange": True}.items()
        }
        for label, forms in {
            "linear axes": dict.fromkeys(axes, linear),
            "log axes": {axis: log_axis(values) for axis, values in axes.items()},
        }.items()
    }


def contrast(
    table: pd.DataFrame, column: str, panels: Mapping[str, str], title: str, alt: str
) -> Figure:
    """Distance above and length below, by layer, a line for each value of a column.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed`` and ``column``; pairs
            and seeds are averaged.
        column: what is told apart.
        panels: setting → panel title, in order.
        title: the takeaway.
        alt: what the figure shows, for those who do not see it.
    """
    kinds = list(dict.fromkeys(table[column]))
    measures = {"distance": "E[1 − cosine]", "coef": "coef"}
    lines = []
    for place, setting in enumerate(panels, 1):
        for n, kind in enumerate(kinds):
            for row, metric in enumerate(measures, 1):
                chosen = table[
                    (table["setting"] == setting)
                    & (table[column] == kind)
                    & (table["metric"] == metric)
                ]
                data = {ALL: points(by_pair(chosen, ["layer"])[ALL])}
                look = {
                    "x": list(dict.fromkeys(chosen["layer"])),
                    **point_look(SYMBOLS[n % len(SYMBOLS)], kind),
                }
                lines.append(Line(kind, COLOURS[n], data, row, place, "", look))
    figure = draw(
        lines,
        title,
        alt,
        rows=list(measures.values()),
        columns=list(panels.values()),
        height=600,
        shared_y="rows",
    )
    return figure.update_yaxes(**LOG_AXIS, row=1)
