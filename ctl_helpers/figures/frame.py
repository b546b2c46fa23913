"""What stands around a figure's panels: its title, menus, legend and text alternative."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence

from plotly.graph_objects import Figure

Menu = Sequence[Mapping[str, object]]
"""The buttons of a menu, the first of which is the figure as it is."""

PANEL = 200
"""What a panel needs at least, in pixels: three stand side by side in a page's column."""


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
    """
    wrapped = "<br>".join(textwrap.wrap(title, 64))
    # The book's pages set the title above the figure, and take its space away.
    title_height = 30 + 18 * wrapped.count("<br>")
    menus_height = 44 if menus else 0  # which the pages take away, too: their menus stand above
    controls_height = 40 + menus_height
    legend_width = sum(48 + 7 * len(name) for name in names)
    legend_height = 19 * math.ceil(legend_width / max(min_width, 600))
    return figure.update_layout(
        title={
            "text": wrapped,
            "font": {"size": 15},
            "x": 0.01,
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 10},
        },
        meta={
            "alt": f"{title}. {alt}",
            "min_width": min_width,
            "title_height": title_height,
            "menus_height": menus_height,
        },
        updatemenus=[
            {"buttons": menu, "x": 0.3 * place, "xanchor": "left", "yanchor": "bottom"}
            | {"y": 1 + 30 / (height - controls_height - 72), "font": {"size": 12}}
            for place, menu in enumerate(menus)
        ],
        height=height + title_height,
        margin={
            "l": 64,
            "r": 30,
            "t": title_height + controls_height,
            "b": 65 + max(legend_height, 19),
        },
        legend={"orientation": "h", "yanchor": "bottom", "yref": "container", "y": 0, "x": 0},
        template="plotly_white",
    )
