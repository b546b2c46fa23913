"""Where linearity ends: ε and merged accuracy over steps and rates, and what predicts ε."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Heatmap, Scatter

from ctl_helpers.figures.axes import axis_of_logarithms, log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    DOTTED,
    GREY,
    SYMBOLS,
    VERMILION,
    draw,
    empty_panels,
    in_panels,
    marks,
    sequence,
    significant,
    wrapped,
)
from ctl_helpers.figures.frame import PANEL, Menu, button, by_setting, framed
from ctl_helpers.findings.boundary import PREDICTORS, apart_at_half, beyond, cells, lost, predicted
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import LINEAR, by_panel

_ALL = "mean over tasks"
_ROWS = {"epsilon": "linearity error ε", "merged": "merged accuracy"}
_KEYS = ("x", "y", "z", "text")  # of a trace, which a choice changes


def plane(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε above and merged accuracy below, over steps and rates, with the contour ε = ½ on both.

    The menu chooses the pair of tasks.

    Args:
        table: a row for each cell and layer; layers and seeds are averaged.
        panels: setting → what it is called, in order; each has a column of its own.
    """
    table = table[table["setting"].isin(list(panels))]
    means = cells(table)
    choices = [_ALL, *means["tasks"].unique()]
    first, *others = [_drawn(means, panels, choice) for choice in choices]
    figure = _grid(panels, means.groupby(["setting", "tasks", "rate", "steps"])["merged"].mean())
    for number, trace in enumerate(first):
        row, column = divmod(number // 2, len(panels))
        figure.add_trace(trace, row + 1, column + 1)
    menu = [
        button(name, {key: [_shown(trace, key) for trace in traces] for key in _KEYS})
        for name, traces in zip(choices, [first, *others], strict=True)
    ]
    over, half = beyond.by_setting(table), apart_at_half.by_setting(table)
    inside, outside = (lost.by_setting(table, side=side) for side in ("inside", "beyond"))
    return framed(
        figure,
        by_setting(
            panels,
            lambda one: (
                f"ε is over ½ in {by_panel(one, over)} of the cells; merging loses "
                f"{by_panel(one, inside)} of accuracy inside the contour and "
                f"{by_panel(one, outside)} beyond it, on average"
            ),
        ),
        "Heat maps over the number of fine-tuning steps (across) and the learning rate (up), both "
        "logarithmic, a column for each setting. Above, the linearity error epsilon, mean over "
        "layers: light is linear. Below, the accuracy of the merged network, mean over both tasks: "
        "light is accurate. A line of circles marks where epsilon is one half; where there is no "
        "line, it is so nowhere. The menu chooses the pair of tasks.",
        height=620,
        min_width=PANEL * len(panels) + 80,
        menus=[Menu("tasks", menu)],
        names=["ε = ½"],
        lines=1 + max(wrapped(title, len(panels)).count("<br>") for title in panels.values()),
        findings=quoted(over.values(), inside.values(), outside.values(), half.values()),
    )


def _grid(panels: Mapping[str, str], merged: pd.Series) -> Figure:
    """Empty panels with their axes and colour bars; accuracies are told apart where they are."""
    figure = empty_panels(
        ["learning rate"] * len(_ROWS),
        list(panels.values()),
        shared_xaxes=False,
        shared_yaxes=False,
        horizontal_spacing=0.24 / len(panels),
        vertical_spacing=0.16,
    )
    look = {"zeroline": False, "showgrid": False}
    for column, setting in enumerate(panels, 1):
        cell = merged.xs(setting, level="setting").index
        rates, steps = (axis_of_logarithms(cell.unique(name)) for name in ("rate", "steps"))
        figure.update_xaxes(**look, **steps, title_text="steps", col=column)
        figure.update_yaxes(**look, **rates, col=column)
    low, high = np.floor(10 * merged.min()) / 10, np.ceil(10 * merged.max()) / 10
    ends = {"epsilon": (0.0, 1.0), "merged": (float(low), float(high))}
    for row, (name, title) in enumerate(_ROWS.items(), 1):
        first, last = ends[name]
        of_error = name == "epsilon"
        bar = {
            "title": {"text": title, "side": "right", "font": {"size": 12}},
            "tickvals": [first, (first + last) / 2, last],
            "ticktext": ["0", "½", "≥ 1"]
            if of_error
            else [f"{tick:.0%}" for tick in (first, (first + last) / 2, last)],
            "thickness": 12,
            "outlinewidth": 0,
            "x": 1.04,
            "len": 0.46,
            "y": 0.79 - 0.58 * (row - 1),
        }
        scale = {"colorscale": "Viridis", "reversescale": of_error, "cmin": first, "cmax": last}
        figure.update_layout({f"coloraxis{row}": {**scale, "colorbar": bar}})
    return figure


def _drawn(means: pd.DataFrame, panels: Mapping[str, str], choice: str) -> list[Heatmap | Scatter]:
    """A heat map and its contour for each panel, row by row."""
    rows = means if choice == _ALL else means[means["tasks"] == choice]
    traces: list[Heatmap | Scatter] = []
    for number, name in enumerate(_ROWS, 1):
        for _, _, part in in_panels(rows, panels):
            wide = {
                key: part.pivot_table(index="rate", columns="steps", values=key)
                for key in ("epsilon", "merged", "own")
            }
            traces.append(_map(wide, name, number))
            traces.append(_contour(wide["epsilon"], listed=not traces[1:]))
    return traces


def _map(wide: Mapping[str, pd.DataFrame], name: str, number: int) -> Heatmap:
    shown = wide[name]
    texts = [
        [
            f"{steps:,} steps at rate {rate:g}<br>ε = {wide['epsilon'].loc[rate, steps]:.2f}, "
            f"merged {wide['merged'].loc[rate, steps]:.0%}, own {wide['own'].loc[rate, steps]:.0%}"
            for steps in shown.columns
        ]
        for rate in shown.index
    ]
    return Heatmap(
        x=_logs(shown.columns),
        y=_logs(shown.index),
        z=[[None if np.isnan(z) else round(z, 2) for z in row] for row in shown.to_numpy()],
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        coloraxis=f"coloraxis{number}",
    )


def _contour(epsilon: pd.DataFrame, listed: bool) -> Scatter:
    """Where ε reaches ½, along rates at each number of steps, between the two cells around it."""
    rates, places = _logs(epsilon.index), []
    for steps, column in zip(_logs(epsilon.columns), epsilon.to_numpy().T, strict=True):
        over = np.flatnonzero(column > LINEAR)
        if len(over) and over[0] > 0:
            after, before = over[0], over[0] - 1
            share = (LINEAR - column[before]) / (column[after] - column[before])
            places.append((steps, rates[before] + share * (rates[after] - rates[before])))
    x, y = zip(*places, strict=True) if places else ([], [])
    return Scatter(
        x=significant(x, 3),
        y=significant(y, 3),
        name="ε = ½",
        mode="lines+markers",
        line={"color": VERMILION, "width": 2},
        marker={"color": VERMILION, "size": 8, "symbol": "circle"},
        hoverinfo="skip",
        showlegend=listed,
        legendgroup="half",
    )


def _shown(trace: Heatmap | Scatter, key: str) -> Any:
    """What a choice puts into a trace."""
    return trace.to_plotly_json().get(key)


def _logs(places: pd.Index) -> list[float]:
    return significant(np.log10(places.to_numpy(float)), 4)


def scattered(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """log ε against log of what may predict it, a point a cell, a panel a setting.

    The menu chooses the predictor, at first how far the networks' features are apart.

    Args:
        table: a row for each cell and layer; layers are averaged.
        panels: setting → what it is called, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    means = cells(table)
    lines = [line for column, _, part in in_panels(means, panels) for line in _points(part, column)]
    by_rate, by_tasks = (predicted.by_setting(table, out=out) for out in ("rate", "tasks"))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"How far features are apart predicts ε with R² = {by_panel(one, by_rate)} on "
                f"learning rates that the line has not seen, and {by_panel(one, by_tasks)} on tasks"
            ),
        ),
        "Scatter plots on log scales: the linearity error epsilon, mean over layers, against what "
        "the menu chooses, a point for each pair of tasks, learning rate, number of steps and "
        "seed. Colours from blue to orange are rates from small to large. A dotted line marks "
        "epsilon one half; a grey one is the line of least squares.",
        rows=["linearity error ε"],
        columns=list(panels.values()),
        height=500,
        menu="against",
        findings=quoted(by_rate.values(), by_tasks.values()),
    )
    figure.update_xaxes(type="log", exponentformat="power", nticks=5)
    figure.update_yaxes(**log_axis(means["epsilon"]))
    return _named_by_menu(figure)


def _named_by_menu(figure: Figure) -> Figure:
    """The same figure, whose menu of predictors names the horizontal axes, too."""
    figure = Figure(figure)
    axes = [axis for axis in figure.layout if axis.startswith("xaxis")]
    for entry in figure.layout.updatemenus[0].buttons:
        titles = {f"{axis}.title.text": entry.label for axis in axes}
        entry.update(method="update", args=[entry.args[0], titles])
    return figure.update_xaxes(title_text=figure.layout.updatemenus[0].buttons[0].label)


def _points(part: pd.DataFrame, column: int) -> Iterator[Line]:
    """A panel's cells, a colour for each rate, the line of least squares and ε = ½."""
    rates = sorted(part["rate"].unique())
    colours = sequence(len(rates))
    for number, (rate, colour) in enumerate(zip(rates, colours, strict=True)):
        rows = part[part["rate"] == rate]
        told = [f"{row.tasks}, {row.steps:,} steps" for row in rows.itertuples()]
        data = {
            called: {
                "x": significant(rows[name], 3),
                "y": significant(rows["epsilon"], 3),
                "text": told,
            }
            for name, called in PREDICTORS.items()
        }
        called = "smallest rate" if number == 0 else "largest rate"
        listed = number in (0, len(rates) - 1)
        hover = f"%{{text}}, rate {rate:g}: ε = %{{y}} at %{{x}}<extra></extra>"
        look = marks(hover, SYMBOLS[number % len(SYMBOLS)], size=6, mode="markers")
        yield Line(called if listed else f"rate {rate:g}", colour, data, 1, column, look=look,
                   listed=listed)  # fmt: skip
    fits, half = {}, {}
    for name, called in PREDICTORS.items():
        ends = [part[name].min(), part[name].max()]
        slope, offset = np.polyfit(np.log(part[name]), np.log(part["epsilon"]), 1)
        fits[called] = {
            "x": significant(ends),
            "y": significant(np.exp(offset + slope * np.log(ends))),
        }
        half[called] = {"x": significant(ends), "y": [LINEAR, LINEAR]}
    yield Line("least squares", GREY, fits, 1, column, look={"mode": "lines", "hoverinfo": "skip"})
    yield Line("ε = ½", GREY, half, 1, column, look={**DOTTED, "line_width": 1.5})
