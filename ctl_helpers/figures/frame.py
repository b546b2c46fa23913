"""What stands around a figure's panels: its title, menus, legend and text alternative.

A notebook shows Plotly's own title and menus. A page of the book sets both above the figure, and
reads in ``layout.meta`` what to set there, and how high the plot alone is.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from plotly.graph_objects import Figure

PANEL = 200
"""What a panel needs at least, in pixels: three stand side by side in a page's column."""

_ABOVE_PLOT = 40  # titles of columns
_MENUS = 44


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
    label: str, change: Mapping[str, object], method: str = "restyle", *traces: list[int]
) -> dict[str, object]:
    """An entry of a menu, and what it changes (of some traces, or of all)."""
    return {"label": label, "method": method, "args": [dict(change), *traces]}


def framed(
    figure: Figure,
    title: str,
    alt: str,
    *,
    height: int,
    min_width: int,
    menus: Sequence[Menu] = (),
    names: Collection[str] = (),
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """Set a figure's panels under their title and menus and over their legend.

    Args:
        figure: the panels; it is changed.
        title: the takeaway.
        alt: what the figure shows, for those who do not see it.
        height: in pixels, without the title.
        min_width: in pixels; on narrower screens the figure scrolls sideways.
        menus: side by side.
        names: what the legend lists.
        findings: numbers that the takeaway states: ``finding``, ``setting`` and ``text`` of each.
    """
    wrapped = "<br>".join(textwrap.wrap(title, 64))
    controls = _MENUS if menus else 0
    heights = {
        "title": 30 + 18 * wrapped.count("<br>"),
        "controls": controls,
        "plot": height - controls,
    }
    margin = {"l": 64, "r": 30, "t": _ABOVE_PLOT, "b": 65 + _legend_height(names, min_width)}
    meta = {
        "takeaway": title,
        "alt": f"{title}. {alt}",
        "min_width": min_width,
        "heights": heights,
        "margin": margin,
        "controls": [{"kind": menu.kind, "label": menu.label} for menu in menus],
        "findings": [dict(finding) for finding in findings],
    }
    look = {"font": {"size": 15}, "x": 0.01, "y": 1, "yanchor": "top", "pad": {"t": 10}}
    place = {"xanchor": "left", "yanchor": "bottom", "y": 1 + 30 / (heights["plot"] - 112)}
    return figure.update_layout(
        title={"text": wrapped, **look},
        meta=meta,
        updatemenus=[
            {"buttons": menu.buttons, "x": 0.3 * number, **place, "font": {"size": 12}}
            for number, menu in enumerate(menus)
        ],
        height=sum(heights.values()),
        margin={**margin, "t": _ABOVE_PLOT + heights["title"] + controls},
        legend={"orientation": "h", "yanchor": "bottom", "yref": "container", "y": 0, "x": 0},
        template="plotly_white",
    )


def _legend_height(names: Collection[str], min_width: int) -> int:
    width = sum(48 + 7 * len(name) for name in names)
    return 19 * max(math.ceil(width / max(min_width, 600)), 1)
