"""What all figures are drawn with: panels of lines under menus, and colours.

Every figure's title is its takeaway, computed from the table, and every figure carries a text
alternative in ``layout.meta.alt``. Without a kernel a reader chooses what is shown in a figure's
menus, and reads exact values by hovering.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from ctl_helpers.figures.choices import Line, View, listed_once, menus, view_axes
from ctl_helpers.figures.frame import PANEL, framed, wrapped
from ctl_helpers.findings.words import FLOOR

# Okabe and Ito's palette: told apart by colour-blind readers, in light and dark.
BLUE, GREEN, VERMILION, PURPLE, ORANGE = "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00"
COLOURS = (BLUE, GREEN, VERMILION, PURPLE, ORANGE)
GREY = "#8a8a8a"
SKY = "#56B4E9"
SYMBOLS = ("circle", "square", "diamond", "x")
ALL = "mean over pairs"
DOTTED = {"mode": "lines", "line_dash": "dot", "hoverinfo": "skip"}
_BAND = {"mode": "lines", "line_width": 0, "fill": "toself", "hoverinfo": "skip"}


def draw(
    lines: Sequence[Line],
    title: str | Sequence[str],
    alt: str,
    *,
    rows: Sequence[str] = ("",),
    columns: Sequence[str] = ("",),
    cells: Sequence[str] = (),
    height: int = 420,
    shared_x: bool = True,
    shared_y: bool = True,
    spacing: float = 0.06,
    gap: float = 0.05,
    menu: str = "show",
    slider: str = "α",
    switches: Mapping[str, Mapping[str, object]] | None = None,
    views: Sequence[View] = (),
    viewed: Sequence[int] = (1,),
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """Traces in a grid of panels, under menus of their data's keys, groups, views and switches.

    Args:
        lines: the traces, those in front last.
        title, alt, height, findings: as :func:`ctl_helpers.figures.frame.framed` takes them.
        rows: label of each row's vertical axis.
        columns: title of each column.
        cells: title of each panel, row by row, in place of the columns' titles.
        shared_x, shared_y: whether panels share axes, as in plotly's ``make_subplots``.
        spacing, gap: between rows and between columns, as shares of height and width.
        menu: what the first menu chooses, such as ``"pair"``.
        slider: what the groups are values of; the slider's first stop shows all.
        switches: a further menu, label → change to the layout, the first one being the figure as
            it is.
        views: what a further menu chooses; the first one is the figure as it is.
        viewed: the rows whose vertical axes show views; their label in ``rows`` stands before that
            of the view.
    """
    shared = {"shared_xaxes": len(rows) > 1 and shared_x, "shared_yaxes": shared_y}
    spaces = {"horizontal_spacing": gap, "vertical_spacing": spacing}
    figure = empty_panels(rows, columns, cells, **shared, **spaces)
    axes = view_axes(views, rows, len(columns), viewed)
    for name, form in (axes[0] if axes else {}).items():
        figure.layout[name].update({key: value for key, value in form.items() if value is not None})
    return framed(
        figure,
        title,
        alt,
        height=height,
        lines=1 + max(wrapped(title, len(columns)).count("<br>") for title in columns),
        min_width=PANEL * len(columns),
        names=_add(figure, lines),
        menus=menus(lines, menu, slider, switches or {}, views, axes, columns),
        findings=findings,
    )


def empty_panels(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[str] = (), **layout: Any
) -> Figure:
    """Panels without lines under their titles; ``layout`` goes to plotly's ``make_subplots``."""
    if cells:
        layout["subplot_titles"] = cells
    elif any(columns):
        layout["column_titles"] = [wrapped(title, len(columns)) for title in columns]
    figure = make_subplots(len(rows), len(columns), **layout)
    for number, label in enumerate(rows, 1):
        figure.update_yaxes(title_text=label, row=number, col=1)
    return figure


def _add(figure: Figure, lines: Sequence[Line]) -> list[str]:
    """Put lines into their panels; what the legend lists, once each."""
    listed = listed_once(lines)
    first = next((line.view for line in lines if line.view), "")
    for line, is_listed in zip(lines, listed, strict=True):
        trace = Scatter(
            name=line.name,
            legendgroup=line.name,
            showlegend=is_listed,
            visible=None if line.view in ("", first) else False,
            marker_color=line.colour,
            line_color=line.colour,
        )
        data = next(iter(line.data.values()))
        # Attribute paths as plotly.py writes them: error_y.array → error_y_array.
        trace.update(**line.look, **{key.replace(".", "_"): data[key] for key in data})
        figure.add_trace(trace, line.row, line.column)
    named = zip(lines, listed, strict=True)
    return list(dict.fromkeys(line.name for line, is_listed in named if is_listed))


# What lines are made of.


def in_panels(
    table: pd.DataFrame, panels: Mapping[str, str]
) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """Column, setting and rows of each panel."""
    for column, setting in enumerate(panels, 1):
        yield column, setting, table[table["setting"] == setting]


def significant(values: Iterable[float], digits: int = 4) -> list[float]:
    """Rounded to significant digits: what a reader can use, in a fraction of the page's size."""
    rounded = (float(f"{value:.{digits}g}") for value in values)
    return [int(value) if value.is_integer() else value for value in rounded]


def xy(rows: pd.DataFrame, x: str, y: str, digits: int = 4) -> dict[str, list[Any]]:
    """Two columns as a line's places."""
    return {"x": significant(rows[x], digits), "y": significant(rows[y], digits)}


def marks(
    hover: str, symbol: str = "", *, size: int = 9, mode: str = "lines+markers", **more: object
) -> dict[str, object]:
    """How markers look, and the text on the one that is pointed at."""
    look = {"mode": mode, "marker_size": size, "hovertemplate": hover, **more}
    return {**look, "marker_symbol": symbol} if symbol else look


def by_pair(table: pd.DataFrame, keys: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Pair → rows with seeds averaged, the mean over all pairs first."""
    named = table.assign(pair=table["i"] + " – " + table["j"])
    numbers = [c for c in named.select_dtypes("number") if c not in (*keys, "seed", "comparison")]

    def averaged(*apart: str) -> pd.DataFrame:
        return named.groupby([*apart, *keys], sort=False)[numbers].mean().reset_index()

    pairs = averaged("pair").groupby("pair", sort=False)
    return {ALL: averaged()} | {str(pair): own.drop(columns="pair") for pair, own in pairs}


def over_seeds(table: pd.DataFrame, column: str, measure: str = "mean") -> pd.DataFrame:
    """A measure against a numeric column: its mean, and its range over seeds.

    Returns:
        A row for each value of ``column``, rising: ``column``, ``mean``, ``low`` and ``high`` (the
        smallest and the largest mean of one seed), and ``q25`` and ``q75`` where the table has
        them, averaged.
    """
    grouped = table.groupby(column)
    seeds = table.groupby([column, "seed"])[measure].mean().groupby(column)
    columns = {"mean": grouped[measure].mean(), "low": seeds.min(), "high": seeds.max()}
    columns |= {name: grouped[name].mean() for name in ("q25", "q75") if name in table}
    return pd.DataFrame(columns).reset_index()


def drawable(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`over_seeds` that a log axis can show."""
    rows = frame[frame["mean"] >= FLOOR]
    return rows.assign(low=rows["low"].clip(lower=FLOOR))


def points(rows: pd.DataFrame) -> dict[str, list]:
    """Means with quartiles over samples, to two digits less, as error bars."""
    return {
        "y": significant(rows["mean"]),
        "error_y.array": significant((rows["q75"] - rows["mean"]).clip(lower=0), 2),
        "error_y.arrayminus": significant((rows["mean"] - rows["q25"]).clip(lower=0), 2),
    }


def point_look(symbol: str, label: str, place: str = "%{x}") -> dict[str, object]:
    """How :func:`points` look; ``place`` says in the hover text where a point stands."""
    # Plotly's text of a value has its error bar, such as "0.31 +0.12 / -0.05".
    return {
        **marks(f"{place}: %{{y}} to the quartiles<extra>{label}</extra>", symbol),
        "line_width": 1.5,
        "line_dash": "solid" if symbol == "circle" else "dot",
        "error_y": {"type": "data", "symmetric": False, "thickness": 1.2, "width": 4},
    }


def band(
    name: str,
    colour: str,
    frames: Mapping[str, pd.DataFrame],
    column: str,
    place: tuple[int, int],
    view: str = "",
) -> Line:
    """The area between ``low`` and ``high`` behind a line of the same name and colour.

    Args:
        frames: choice → :func:`over_seeds`.
        column: what stands on the horizontal axis.
        place: row and column of the panel.
        view: as a line's.
    """
    data = {}
    for choice, frame in frames.items():
        x = frame[column].tolist()
        low, high = (significant(frame[name]) for name in ("low", "high"))
        data[choice] = {"x": [*x, *reversed(x)], "y": [*low, *reversed(high)]}
    # Faint: it lets the page shine through.
    look = {**_BAND, "fillcolor": "rgba({},{},{},0.18)".format(*_channels(colour))}
    return Line(name, colour, data, *place, look=look, listed=False, view=view)


def sequence(count: int) -> list[str]:
    """Colours for an ordered series, from blue over purple to orange: lighter and lighter."""
    stops = [_channels(colour) for colour in (BLUE, PURPLE, ORANGE)]
    colours = []
    for number in range(count):
        place = (len(stops) - 1) * (number / (count - 1) if count > 1 else 0)
        start = min(int(place), len(stops) - 2)
        pairs = zip(stops[start], stops[start + 1], strict=True)
        between = [round(a + (place - start) * (b - a)) for a, b in pairs]
        colours.append("#{:02X}{:02X}{:02X}".format(*between))
    return colours


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
