"""What stands around a figure's panels: its title, menus, legend and text alternative.

A notebook shows Plotly's own title and menus. A page of the book sets both above the figure, and
reads in ``layout.meta`` what to set there, and how high the plot alone is.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from plotly.graph_objects import Figure

from ctl_helpers.findings.words import short

PANEL = 200
"""What a panel needs at least, in pixels: three stand side by side in a page's column."""

ONLY = " (only "
"""In a menu, what stands between a choice and the settings that have it, where others lack it."""

_ABOVE_PLOT = 40  # titles of columns
_LETTERS = 28  # of a panel's title in a line, over a panel as narrow as it gets
_MENUS = 44
_LINE = 20  # of a title, in pixels
_TITLE = {"font": {"size": 15}, "x": 0.01, "y": 1, "yanchor": "top"}
_LEGEND = {"orientation": "h", "yanchor": "bottom", "yref": "container", "y": 0, "x": 0}


@dataclass(frozen=True)
class Menu:
    """What a reader can choose.

    Attributes:
        label: what the choices are of, such as ``"pair"``.
        buttons: of :func:`button`; the first is the figure as it is.
        kind: ``"menu"``, or ``"slider"`` for choices in an order; how pages show it.
    """

    label: str
    buttons: Sequence[Mapping[str, object]]
    kind: str = "menu"


def button(
    label: str, change: Mapping[str, object], method: str = "restyle", *more: object
) -> dict[str, object]:
    """An entry of a menu, and what it changes.

    Args:
        label: what the entry is called.
        change: what plotly's method takes first.
        method: plotly's.
        more: what it takes beside: traces, if not all, or a change to the layout for ``update``.
    """
    return {"label": label, "method": method, "args": [dict(change), *more]}


def by_setting(panels: Mapping[str, str], tell: Callable[[Mapping[str, str]], str]) -> list[str]:
    """A takeaway for each setting, which names its setting where there are several.

    Args:
        panels: setting → panel title, in order.
        tell: the takeaway of some of the panels.
    """
    if len(panels) < 2:
        return [tell(panels)]
    return [f"{tell({name: title})} ({short(title)})" for name, title in panels.items()]


def framed(
    figure: Figure,
    title: str | Sequence[str],
    alt: str,
    *,
    height: int,
    min_width: int,
    lines: int = 1,
    menus: Sequence[Menu] = (),
    names: Collection[str] = (),
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """Set a figure's panels under their title and menus and over their legend.

    Args:
        figure: the panels; it is changed.
        title: the takeaway, or :func:`by_setting`; pages show that of the first setting, and
            unfold the others.
        alt: what the figure shows, for those who do not see it.
        height: in pixels, without the title.
        min_width: in pixels; on narrower screens the figure scrolls sideways.
        lines: how many lines the panels' titles have.
        menus: side by side.
        names: what the legend lists.
        findings: numbers that the takeaway states: ``finding``, ``setting`` and ``text`` of each.
    """
    takeaway, *others = [title] if isinstance(title, str) else title
    wrapped = "<br>".join(textwrap.wrap(takeaway, 64))
    more_lines = wrapped.count("<br>")
    # Plotly sets the first of several lines on the edge, not under it as it does a single one.
    top = {"t": 24 if more_lines else 10}
    controls = _MENUS if menus else 0
    above = {"title": 30 + (more_lines and 4 + _LINE * more_lines), "controls": controls}
    over = _ABOVE_PLOT + _LINE * (lines - 1)
    plot = height - controls + over - _ABOVE_PLOT
    margin = {"l": 64, "r": 30, "t": over, "b": 65 + _legend_height(names, min_width)}
    place = {"xanchor": "left", "yanchor": "bottom", "y": 1 + (over - 10) / (plot - 112)}
    return figure.update_layout(
        title={"text": wrapped, **_TITLE, "pad": top},
        meta={
            "takeaway": takeaway,
            "others": others,
            "alt": f"{'. '.join([takeaway, *others])}. {alt}",
            "min_width": min_width,
            "heights": {**above, "plot": plot},
            "margin": margin,
            "controls": [{"kind": menu.kind, "label": menu.label} for menu in menus],
            "findings": [dict(finding) for finding in findings],
        },
        updatemenus=[
            {"buttons": menu.buttons, "x": 0.3 * number, **place, "font": {"size": 12}}
            for number, menu in enumerate(menus)
        ],
        height=plot + sum(above.values()),
        margin={**margin, "t": over + sum(above.values())},
        legend=_LEGEND,
        template="plotly_white",
    )


def wrapped(title: str, columns: int) -> str:
    """A panel's title in lines that fit above it; of a panel alone it has more room."""
    return "<br>".join(textwrap.wrap(title, _LETTERS if columns > 1 else 36))


def offer_pairs(
    figure: Figure, table: pd.DataFrame, joint: str, panels: Mapping[str, str]
) -> Figure:
    """Have the pages set a heat map of pairs for each setting above a figure, to choose one there.

    Args:
        figure: a figure whose first menu is of pairs; it is changed.
        table: rows of ``setting``, ``i``, ``j`` and ``mean``: what is told of a pair is the mean
            over them. ``attrs["tasks"]`` may say what numbered tasks are called: setting → number
            → name.
        joint: what stands between two names in the menu.
        panels: setting → panel title; each has a map of its own.
    """
    options = [choice.label.split(ONLY)[0] for choice in figure.layout.updatemenus[0].buttons]
    called = table.attrs.get("tasks", {})
    maps = [
        {"title": title, **_map(table[table["setting"] == name], options, joint, called.get(name))}
        for name, title in panels.items()
    ]
    meta = figure.layout.meta
    menu, *others = meta["controls"]
    pairs = {**menu, "kind": "pairs", "maps": maps}
    return figure.update_layout(meta={**meta, "controls": [pairs, *others]})


def _map(
    table: pd.DataFrame, options: Sequence[str], joint: str, called: Mapping[str, str] | None
) -> dict[str, object]:
    """The names on the sides of a setting's map, and its cells under the diagonal."""
    means = table.groupby(["i", "j"], sort=False)["mean"].mean()
    told = {(i, j): float(f"{mean:.2g}") for i, j, mean in means.reset_index().to_numpy()}
    names = list(dict.fromkeys(name for pair in told for name in pair))

    def cell(*pair: str) -> dict[str, float] | None:
        for i, j in (pair, pair[::-1]):
            if (i, j) in told and f"{i}{joint}{j}" in options:
                return {"option": options.index(f"{i}{joint}{j}"), "mean": told[i, j]}
        return None

    cells = [[cell(row, column) for column in names[:n]] for n, row in enumerate(names)][1:]
    sides = [f"{name} {called[name]}" if called and name in called else name for name in names]
    return {"names": sides, "cells": cells}


def _legend_height(names: Collection[str], min_width: int) -> int:
    width = sum(48 + 7 * len(name) for name in names)
    return 19 * max(math.ceil(width / max(min_width, 600)), 1)
