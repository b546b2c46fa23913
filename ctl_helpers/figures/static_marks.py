"""What stands on the panels of still images: lines, markers, heat maps, shapes, colour bars."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Transform, blended_transform_factory

from ctl_helpers.figures.static_axes import Json, Panel, mathtext

INK, LINE = "#1a1a1a", "#6b7480"
_POINT = 0.7  # printed points of a pixel of a line or marker
_DASHES: dict[str, Any] = {
    "solid": "-",
    "dot": ":",
    "dash": "--",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "x": "X",
    "triangle-up": "^",
    "triangle-right": ">",
    "star": "*",
}


def scatter(panel: Panel, trace: Json, order: float) -> Line2D | None:
    """Lines, markers and error bars, or a filled area; what the legend shows of them."""
    x, y = (panel.along(trace, letter) for letter in "xy")
    line, marker = trace.get("line", {}), trace.get("marker", {})
    if trace.get("fill") == "toself":
        panel.axes.fill(x, y, color=_colour(trace["fillcolor"]), linewidth=0, zorder=order)
        return None
    modes = trace["mode"].split("+")
    colour = _colour(marker.get("color", line.get("color")))
    look: dict[str, Any] = {
        "color": _colour(line.get("color")),
        "linestyle": _DASHES[line.get("dash", "solid")] if "lines" in modes else "none",
        "linewidth": line.get("width", 2) * _POINT,
        "alpha": trace.get("opacity"),
        "zorder": order,
    }
    if "markers" in modes:
        look |= _marker(marker, colour)
    if line.get("shape") == "hvh":
        look["drawstyle"] = "steps-mid"
    for letter in "xy":
        bars = trace.get(f"error_{letter}", {})
        if "array" in bars:
            # Rounding may leave an end a hair inside its point.
            lengths = [[max(end or 0, 0) for end in bars[side]] for side in ("arrayminus", "array")]
            style = {
                f"{letter}err": lengths,
                "capsize": bars["width"] * _POINT / 2,
                "elinewidth": 0.8,
                "capthick": 0.8,
            }
            panel.axes.errorbar(x, y, fmt="none", ecolor=colour, zorder=order, **style)
    (drawn,) = panel.axes.plot(x, y, **look)
    if "text" in modes:
        _texts(panel.axes, zip(x, y, trace["text"], strict=True), trace["textposition"], order)
    return drawn


def _texts(
    axes: Axes, places: Iterable[tuple[float, float, str]], position: str, order: float
) -> None:
    """What stands beside markers, where Plotly's ``textposition`` has it."""
    up, across = position.split()
    sides = {"left": -6, "center": 0, "right": 6, "top": 6, "middle": 0, "bottom": -6}
    offset = sides[across], sides[up]
    look: dict[str, Any] = {
        "ha": {"left": "right", "center": "center", "right": "left"}[across],
        "va": {"top": "bottom", "middle": "center", "bottom": "top"}[up],
        "fontsize": 6.5,
        "zorder": order + 1,
    }
    for x, y, text in places:
        if text:
            axes.annotate(text, (x, y), offset, textcoords="offset points", color=INK, **look)


def _marker(marker: Json, colour: Any) -> dict[str, Any]:
    symbol = marker.get("symbol", "circle")
    plain = symbol.removesuffix("-open")
    if plain not in _MARKERS:
        raise ValueError(f"a marker {symbol!r} has no still image")
    is_open = symbol != plain
    return {
        "marker": _MARKERS[plain],
        "markersize": marker.get("size", 6) * _POINT * (0.8 if plain == "diamond" else 1),
        "markerfacecolor": "white" if is_open else colour,
        "markeredgecolor": colour if is_open else "white",
        "markeredgewidth": 0.8 if is_open else 0.3,
    }


def heatmap(panel: Panel, trace: Json, scale: Json, order: float) -> None:
    """Cells in colours, with their values where the figure writes them."""
    x, y = (panel.along(trace, letter) for letter in "xy")
    mesh = panel.axes.pcolormesh(
        x,
        y,
        trace["z"],
        shading="nearest",
        cmap=_colours(scale),
        vmin=scale["cmin"],
        vmax=scale["cmax"],
        edgecolors="white" if trace.get("xgap") else "none",
        linewidth=1 if trace.get("xgap") else 0,
        rasterized=True,  # cells as pixels are a fraction of the bytes
        zorder=order,
    )
    panel.axes.margins(0)
    panel.axes.grid(False)
    if "texttemplate" in trace:
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6, "zorder": order + 1}
        for row, values, texts in zip(y, trace["z"], trace["text"], strict=True):
            for column, value, text in zip(x, values, texts, strict=True):
                red, green, blue, _ = mesh.to_rgba(value)
                pale = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
                panel.axes.text(column, row, text, color=INK if pale else "white", **look)


def _colours(scale: Json) -> colors.Colormap:
    stops = [(place, _colour(colour)) for place, colour in scale["colorscale"]]
    forward = colors.LinearSegmentedColormap.from_list("scale", stops)
    return forward.reversed() if scale.get("reversescale") else forward


def _colour(written: str) -> Any:
    """A colour as matplotlib takes it, from one as CSS has it."""
    parts = re.fullmatch(r"rgba?\((.+)\)", written.replace(" ", ""))
    if parts is None:
        return written
    red, green, blue, *rest = map(float, parts[1].split(","))
    return (red / 255, green / 255, blue / 255, *rest)


def bars(canvas: Figure, layout: Json) -> None:
    """The colour bar of each colour scale."""
    for scale in (scale for name, scale in layout.items() if name.startswith("coloraxis")):
        bar = scale["colorbar"]
        length, middle = bar.get("len", 1), bar.get("y", 0.5)
        left = 1 + (bar["x"] - 1) / 2  # the title and the ticks take their room outside
        drawn = canvas.colorbar(
            ScalarMappable(colors.Normalize(scale["cmin"], scale["cmax"]), _colours(scale)),
            cax=canvas.add_axes((left, middle - length / 2, 0.015, length)),
            ticks=bar["tickvals"],
            label=mathtext(bar["title"]["text"]),
        )
        drawn.ax.set_yticklabels(bar["ticktext"])
        drawn.outline.set_visible(False)


def on(panels: Iterable[Panel], mark: Json) -> tuple[Axes, Transform]:
    """The axes that a shape or text names, and what its coordinates are measured in there."""
    (x, *across), (y, *up) = mark["xref"].split(), mark["yref"].split()
    for panel in panels:
        if panel.names == {"x": x, "y": y}:
            inside, measured = panel.axes.transAxes, panel.axes.transData
            return panel.axes, blended_transform_factory(
                inside if across else measured, inside if up else measured
            )
    raise ValueError(f"what stands on axes {x!r} and {y!r} has no still image")


def shapes(panels: Sequence[Panel], layout: Json) -> None:
    """Lines and rectangles in the panels whose axes they name."""
    for shape in layout.get("shapes", ()):
        axes, transform = on(panels, shape)
        line = shape.get("line", {})
        look = {
            "linewidth": line.get("width", 2) * _POINT,
            "linestyle": _DASHES[line.get("dash", "solid")],
            "alpha": shape.get("opacity"),
            "transform": transform,
            "zorder": 4,
        }
        colour = _colour(line.get("color", LINE))
        x0, x1, y0, y1 = (shape[key] for key in ("x0", "x1", "y0", "y1"))
        inside = {f"update{key[0]}": "domain" not in shape[key] for key in ("xref", "yref")}
        axes.update_datalim([(x0, y0), (x1, y1)], **inside)
        if shape["type"] == "line":
            axes.add_artist(Line2D([x0, x1], [y0, y1], color=colour, **look))
        elif shape["type"] == "rect":
            box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **look)
            axes.add_artist(box)
        else:
            raise ValueError(f"a shape of type {shape['type']!r} has no still image")
    for panel in panels:
        panel.axes.autoscale_view()
