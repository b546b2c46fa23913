"""Plotly figures as still images for print: what a figure shows before its menus are touched."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ctl_helpers.figures.static_axes import Json, Panel, dress, mathtext, panels, thin_out
from ctl_helpers.figures.static_marks import INK, LINE, bars, heatmap, on, scatter, shapes

_WIDTH = 6.6  # inches between the outermost axes: with labels, the text's width on a page of A4
_SMALL = (2.4, 1.8)  # inches: a thumbnail, whose lines are as thick as those of a page
_PX = 1 / 104  # inches; figures are as high in relation to their width as in a page
_LOOK = {
    **seaborn.plotting_context("paper"),
    **seaborn.axes_style("whitegrid"),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial"],  # the first comes with matplotlib
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",  # texts stay texts: small, and a printed page can be searched
    "svg.hashsalt": "ctl",  # the same figure makes the same file
}


def svg(figure: Json) -> str:
    """Draw a Plotly figure on white, without its title, which pages set as text above it.

    Drawn is what the book's figures have: lines, markers, error bars and areas on linear,
    logarithmic or category axes, heat maps with colour bars, lines and rectangles on axes, titles
    of panels, and a legend. What the menus stand at is written above the panels.

    Args:
        figure: a Plotly figure as JSON (``data`` and ``layout``).

    Returns:
        An SVG image.

    Raises:
        ValueError: the figure has something that is not drawn here.
    """
    layout = figure["layout"]
    with matplotlib.rc_context(_LOOK):
        height = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
        # The plot fills the canvas, so that paper's coordinates are the canvas's; what stands
        # around it makes the saved image larger.
        canvas = Figure(figsize=(_WIDTH, height * _PX), dpi=200)
        traces = [trace for trace in figure["data"] if _is_seen(trace)]
        grid = panels(canvas, traces, layout)
        entries = _draw(grid, traces, layout)
        everywhere = list(grid.values())
        shapes(everywhere, layout)
        for panel in everywhere:
            dress(panel, "x")
            dress(panel, "y")
        bars(canvas, layout)
        canvas.draw_without_rendering()
        for panel in everywhere:
            thin_out(panel.axes)
        _titles(canvas, layout, everywhere)
        _shown(canvas, layout)
        _legend(canvas, entries)
        return _saved(canvas)


def thumbnail(figure: Json) -> str:
    """Draw a figure's first panel without any text, to be seen small.

    Args:
        figure: as :func:`svg` takes it.

    Returns:
        An SVG image, four wide and three high.

    Raises:
        ValueError: the figure has something that is not drawn here.
    """
    seen = [trace for trace in figure["data"] if _is_seen(trace)]
    names = [(trace.get("xaxis", "x"), trace.get("yaxis", "y")) for trace in seen]
    traces = [trace for trace, name in zip(seen, names, strict=True) if name == names[0]]
    axes = {f"{name[0]}axis{name[1:]}" for name in names[0]}
    whole = {"domain": (0, 1), "showticklabels": False, "title": {}, "matches": None}
    layout = {
        name: {**form, **whole} if name in axes else form
        for name, form in figure["layout"].items()
        if name in axes or name.startswith("coloraxis")
    }
    on_it = [
        shape
        for shape in figure["layout"].get("shapes", ())
        if (shape["xref"].split()[0], shape["yref"].split()[0]) == names[0]
    ]
    with matplotlib.rc_context(_LOOK):
        canvas = Figure(figsize=_SMALL, dpi=200)
        grid = panels(canvas, traces, layout)
        _draw(grid, traces, layout)
        shapes(list(grid.values()), {"shapes": on_it})
        for panel in grid.values():
            dress(panel, "x")
            dress(panel, "y")
        return _saved(canvas)


def _saved(canvas: Figure) -> str:
    file = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    canvas.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.04, metadata=nothing)
    return _shortened(file.getvalue().decode())


def _is_seen(trace: Json) -> bool:
    return trace.get("visible", True) is True and trace.get("opacity") != 0


def _draw(
    grid: Mapping[tuple[str, str], Panel], traces: Sequence[Json], layout: Json
) -> dict[str, Line2D]:
    """Draw each trace in its panel; name → what the legend shows."""
    entries: dict[str, Line2D] = {}
    for number, trace in enumerate(traces):
        panel = grid[trace.get("xaxis", "x"), trace.get("yaxis", "y")]
        kind, order = trace.get("type", "scatter"), 2 + number / 1000
        if kind == "heatmap":
            heatmap(panel, trace, layout[trace["coloraxis"]], order)
        elif kind == "scatter":
            line = scatter(panel, trace, order)
            if line is not None and trace["showlegend"]:
                entries[trace["name"]] = line
        else:
            raise ValueError(f"a trace of type {kind!r} has no still image")
    return entries


def _shortened(image: str) -> str:
    """The image in half the bytes: each style written once, no spaces, comments, far decimals."""
    styles: dict[str, str] = {}
    names: dict[str, str] = {}

    def numbers(match: re.Match[str]) -> str:
        shorter = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(match[1].split()))
        return f'="{shorter}"'

    def style(match: re.Match[str]) -> str:
        return f'class="{styles.setdefault(match[1], f"s{len(styles)}")}"'

    def name(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"n{len(names)}")

    image = re.sub(r'="([-\s\d.,MLCQz]+)"', numbers, image)
    image = re.sub(r' transform="rotate\(-0 [^)]*\)"| id="[a-z]+[\d_a-z.]*_\d+"', "", image)
    image = re.sub(r"\b[mp][0-9a-f]{10}\b", name, image)
    image = re.sub(r'style="([^"]*)"', style, image)
    rules = "".join(f".{short}{{{written}}}" for written, short in styles.items())
    image = image.replace("</style>", f"{rules}</style>", 1)
    return re.sub(r"<!--.*?-->|(?<=>)\s+(?=<)", "", image, flags=re.DOTALL)


def _titles(canvas: Figure, layout: Json, grid: Sequence[Panel]) -> None:
    """Texts in panels and titles of panels."""
    places = [panel.axes.get_position() for panel in grid]
    for note in layout.get("annotations", ()):
        x, y, written = note["x"], note["y"], note["text"]
        if note["xref"] != "paper":
            axes, transform = on(grid, note)
            look = {"ha": "center", "va": note["yanchor"], "fontsize": 7, "zorder": 5}
            axes.text(x, y, mathtext(written), transform=transform, **look)
            continue
        under = min(places, key=lambda place: abs((place.x0 + place.x1) / 2 - x))
        letters = max(int(under.width * _WIDTH * 15), 12)
        if "<br>" not in written and len(re.sub("<.*?>", "", written)) > letters:
            written = "<br>".join(textwrap.wrap(written, letters))
        look = {"ha": note["xanchor"], "va": note["yanchor"], "linespacing": 1.1}
        canvas.text(x, y, mathtext(written), **look)


def _shown(canvas: Figure, layout: Json) -> None:
    """Above all else, what the menus stand at."""
    menus = layout.get("updatemenus", ())
    labels = [menu["buttons"][menu.get("active", 0)]["label"] for menu in menus]
    if labels:
        top = max((title.get_window_extent().y1 for title in canvas.texts), default=0)
        high = canvas.bbox.height
        look: dict[str, Any] = {"color": LINE, "fontsize": 7, "va": "bottom"}
        canvas.text(0, max(top, high) / high + 12 / high, f"Shown: {', '.join(labels)}", **look)


def _legend(canvas: Figure, entries: Mapping[str, Line2D]) -> None:
    """The legend under everything else, in as many columns as have room."""
    if not entries:
        return
    names = list(entries)
    boxes = [box for axes in canvas.axes if (box := axes.get_tightbbox())]
    bottom = min(box.y0 for box in boxes)
    longest = max(map(len, names)) * 0.065 + 0.45  # inches
    columns = max(1, min(len(names), int(_WIDTH / longest)))
    # Read along rows, while matplotlib fills one column after another.
    order = [place for column in range(columns) for place in range(column, len(names), columns)]
    canvas.legend(
        [entries[names[place]] for place in order],
        [mathtext(names[place]) for place in order],
        loc="upper center",
        bbox_to_anchor=(0.5, (bottom - 8) / canvas.bbox.height),
        ncol=columns,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.4,
        handletextpad=0.5,
    )
