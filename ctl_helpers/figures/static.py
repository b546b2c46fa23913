"""Plotly figures as still images for print: what a figure shows before its menus are touched."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import seaborn
from matplotlib import colors, ticker
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Transform, blended_transform_factory

from ctl_helpers.findings.words import power_of_ten

Json = Mapping[str, Any]

_WIDTH = 6.6  # inches between the outermost axes: with labels, the text's width on a page of A4
_PX = 1 / 104  # inches; figures are as high in relation to their width as in a page
_POINT = 0.7  # printed points of a pixel of a line or marker
_INK, _LINE = "#1a1a1a", "#6b7480"
_DASHES = {"solid": "-", "dot": ":", "dash": "--"}
_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "x": "X",
    "triangle-up": "^",
    "triangle-right": ">",
    "star": "*",
}
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
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "none",  # texts stay texts: small, and a printed page can be searched
    "svg.hashsalt": "ctl",  # the same figure makes the same file
}


@dataclass
class _Panel:
    """A pair of axes: their names in the layout, and what is drawn on them."""

    axes: Axes
    x: str
    y: str
    categories: dict[str, dict[str, int]] = field(default_factory=dict)


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
        shown = [trace for trace in figure["data"] if trace.get("visible", True) is True]
        panels = _panels(canvas, shown, layout)
        entries: dict[str, Line2D] = {}
        for order, trace in enumerate(shown):
            panel = panels[trace.get("xaxis", "x"), trace.get("yaxis", "y")]
            kind = trace.get("type", "scatter")
            if kind not in ("scatter", "heatmap"):
                raise ValueError(f"a trace of type {kind!r} has no still image")
            draw = _heatmap if kind == "heatmap" else _scatter
            entry = draw(panel, trace, layout, 2 + order / 1000)
            if entry is not None and trace["showlegend"]:
                entries[trace["name"]] = entry
        _shapes(panels.values(), layout.get("shapes", ()))
        for panel in panels.values():
            _axis(panel, layout, "x")
            _axis(panel, layout, "y")
        _bars(canvas, layout)
        canvas.draw_without_rendering()
        for panel in panels.values():
            _thin_out(panel.axes)
        _titles(canvas, layout, panels.values())
        _legend(canvas, entries)
        file = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.04, metadata=nothing)
    return _shortened(file.getvalue().decode())


def _shortened(image: str) -> str:
    """The image in half the bytes: each style written once, no spaces, comments, far decimals."""
    styles: dict[str, str] = {}
    names: dict[str, str] = {}

    def numbers(found: re.Match[str]) -> str:
        shorter = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(found[1].split()))
        return f'="{shorter}"'

    def style(found: re.Match[str]) -> str:
        return f'class="{styles.setdefault(found[1], f"s{len(styles)}")}"'

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"n{len(names)}")

    image = re.sub(r'="([-\s\d.,MLCQz]+)"', numbers, image)
    image = re.sub(r' transform="rotate\(-0 [^)]*\)"| id="[a-z]+[\d_a-z.]*_\d+"', "", image)
    image = re.sub(r"\b[mp][0-9a-f]{10}\b", name, image)
    image = re.sub(r'style="([^"]*)"', style, image)
    rules = "".join(f".{short}{{{written}}}" for written, short in styles.items())
    image = image.replace("</style>", f"{rules}</style>", 1)
    return re.sub(r"<!--.*?-->|(?<=>)\s+(?=<)", "", image, flags=re.DOTALL)


def _axis_of(layout: Json, name: str) -> Json:
    """An axis's layout: ``x2`` → ``xaxis2``."""
    return layout.get(f"{name[0]}axis{name[1:]}", {})


def _root(layout: Json, name: str) -> str:
    """The axis whose range an axis shares."""
    return _axis_of(layout, name).get("matches", name)


def _panels(canvas: Figure, shown: Sequence[Json], layout: Json) -> dict[tuple[str, str], _Panel]:
    """Empty axes at their domains, with shared ranges and the categories of what is shown."""
    panels: dict[tuple[str, str], _Panel] = {}
    first: dict[str, Axes] = {}
    categories: dict[str, dict[str, int]] = {}
    for trace in shown:
        x, y = trace.get("xaxis", "x"), trace.get("yaxis", "y")
        if (x, y) not in panels:
            (left, right), (bottom, top) = (
                _axis_of(layout, name).get("domain", (0, 1)) for name in (x, y)
            )
            axes = canvas.add_axes((left, bottom, right - left, top - bottom))
            for name, share in ((x, axes.sharex), (y, axes.sharey)):
                other = first.setdefault(_root(layout, name), axes)
                if other is not axes:
                    share(other)
            panels[x, y] = _Panel(axes, x, y, categories)
        for name in (x, y):
            values = trace.get(name[0], ())
            kind = _axis_of(layout, name).get("type")
            if kind == "category" or (kind is None and any(isinstance(v, str) for v in values)):
                places = categories.setdefault(_root(layout, name), {})
                for value in values:
                    places.setdefault(str(value), len(places))
    for panel in panels.values():
        for name, scale in ((panel.x, panel.axes.set_xscale), (panel.y, panel.axes.set_yscale)):
            if _axis_of(layout, name).get("type") == "log":
                scale("log")
        panel.axes.margins(0.05)
    return panels


def _placed(panel: _Panel, trace: Json, layout: Json, letter: str) -> list[float]:
    """A trace's coordinates along an axis; a category's is its number."""
    name = panel.x if letter == "x" else panel.y
    places = panel.categories.get(_root(layout, name))
    values = trace[letter]
    if places is not None:
        return [places[str(value)] for value in values]
    return [math.nan if value is None else float(value) for value in values]


def _scatter(panel: _Panel, trace: Json, layout: Json, order: float) -> Line2D | None:
    """Lines, markers and error bars, or a filled area; what the legend shows of them."""
    x, y = (_placed(panel, trace, layout, letter) for letter in "xy")
    line, marker = trace.get("line", {}), trace.get("marker", {})
    if trace.get("fill") == "toself":
        panel.axes.fill(x, y, color=_colour(trace["fillcolor"]), linewidth=0, zorder=order)
        return None
    drawn = trace["mode"].split("+")
    symbol = marker.get("symbol", "circle")
    colour = _colour(marker.get("color", line.get("color")))
    look: dict[str, Any] = {
        "color": _colour(line.get("color")),
        "linestyle": _DASHES[line.get("dash", "solid")] if "lines" in drawn else "none",
        "linewidth": line.get("width", 2) * _POINT,
        "alpha": trace.get("opacity"),
        "zorder": order,
    }
    if "markers" in drawn:
        plain = symbol.removesuffix("-open")
        if plain not in _MARKERS:
            raise ValueError(f"a marker {symbol!r} has no still image")
        slim = 0.8 if plain == "diamond" else 1
        look |= {
            "marker": _MARKERS[plain],
            "markersize": marker.get("size", 6) * _POINT * slim,
            "markerfacecolor": "white" if symbol != plain else colour,
            "markeredgecolor": colour if symbol != plain else "white",
            "markeredgewidth": 0.8 if symbol != plain else 0.3,
        }
    if line.get("shape") == "hvh":
        look["drawstyle"] = "steps-mid"
    for letter in "xy":
        found = trace.get(f"error_{letter}", {})
        if "array" in found:
            # Rounding may leave an end a hair inside its point.
            lengths = [[max(end, 0) for end in found[side]] for side in ("arrayminus", "array")]
            style = {
                f"{letter}err": lengths,
                "capsize": found["width"] * _POINT / 2,
                "elinewidth": 0.8,
                "capthick": 0.8,
            }
            panel.axes.errorbar(x, y, fmt="none", ecolor=colour, zorder=order, **style)
    (made,) = panel.axes.plot(x, y, **look)
    return made


def _heatmap(panel: _Panel, trace: Json, layout: Json, order: float) -> None:
    """Cells in colours, with their values where the figure writes them."""
    x, y = (_placed(panel, trace, layout, letter) for letter in "xy")
    z, scale = trace["z"], layout[trace["coloraxis"]]
    made = panel.axes.pcolormesh(
        x,
        y,
        z,
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
    if form := re.fullmatch(r"%\{z:(.+)\}", trace.get("texttemplate", "")):
        for row, values in zip(y, z, strict=True):
            for column, value in zip(x, values, strict=True):
                red, green, blue, _ = made.to_rgba(value)
                pale = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
                text = format(round(value, 2) + 0.0, form[1]).replace("-", "−")
                look = {"color": _INK if pale else "white", "fontsize": 6, "zorder": order + 1}
                panel.axes.text(column, row, text, ha="center", va="center", **look)


def _colours(scale: Json) -> colors.Colormap:
    stops = [(place, _colour(colour)) for place, colour in scale["colorscale"]]
    found = colors.LinearSegmentedColormap.from_list("scale", stops)
    return found.reversed() if scale.get("reversescale") else found


def _colour(written: str) -> Any:
    """A colour as matplotlib takes it, from one as CSS has it."""
    found = re.fullmatch(r"rgba?\((.+)\)", written.replace(" ", ""))
    if found is None:
        return written
    red, green, blue, *rest = map(float, found[1].split(","))
    return (red / 255, green / 255, blue / 255, *rest)


def _bars(canvas: Figure, layout: Json) -> None:
    """The colour bar of each colour scale."""
    for name, scale in layout.items():
        if not name.startswith("coloraxis"):
            continue
        bar = scale["colorbar"]
        length, middle = bar.get("len", 1), bar.get("y", 0.5)
        left = 1 + (bar["x"] - 1) / 2  # the title and the ticks take their room outside
        axes = canvas.add_axes((left, middle - length / 2, 0.015, length))
        made = canvas.colorbar(
            ScalarMappable(colors.Normalize(scale["cmin"], scale["cmax"]), _colours(scale)),
            cax=axes,
            ticks=bar["tickvals"],
            label=_text(bar["title"]["text"]),
        )
        made.ax.set_yticklabels(bar["ticktext"])
        made.outline.set_visible(False)


def _on(panels: Collection[_Panel], asked: Json) -> tuple[Axes, Transform]:
    """The axes that a shape or text names, and what its coordinates are measured in there."""
    (x, *across), (y, *up) = asked["xref"].split(), asked["yref"].split()
    found = [panel.axes for panel in panels if (panel.x, panel.y) == (x, y)]
    if not found:
        raise ValueError(f"what stands on axes {x!r} and {y!r} has no still image")
    (axes,) = found
    inside, measured = axes.transAxes, axes.transData
    return axes, blended_transform_factory(
        inside if across else measured, inside if up else measured
    )


def _shapes(panels: Collection[_Panel], shapes: Sequence[Json]) -> None:
    """Lines and rectangles in the panels whose axes they name."""
    for shape in shapes:
        axes, transform = _on(panels, shape)
        line = shape.get("line", {})
        look = {
            "linewidth": line.get("width", 2) * _POINT,
            "linestyle": _DASHES[line.get("dash", "solid")],
            "alpha": shape.get("opacity"),
            "transform": transform,
            "zorder": 4,
        }
        colour = _colour(line.get("color", _LINE))
        x0, x1, y0, y1 = (shape[key] for key in ("x0", "x1", "y0", "y1"))
        inside = {
            f"update{name[0]}": "domain" not in name for name in (shape["xref"], shape["yref"])
        }
        axes.update_datalim([(x0, y0), (x1, y1)], **inside)
        if shape["type"] == "line":
            axes.add_artist(Line2D([x0, x1], [y0, y1], color=colour, **look))
        elif shape["type"] == "rect":
            rectangle = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **look)
            axes.add_artist(rectangle)
        else:
            raise ValueError(f"a shape of type {shape['type']!r} has no still image")
    for panel in panels:
        panel.axes.autoscale_view()


def _axis(panel: _Panel, layout: Json, letter: str) -> None:
    """An axis's title, range and ticks."""
    name = panel.x if letter == "x" else panel.y
    asked = _axis_of(layout, name)
    axes = panel.axes
    axis = axes.xaxis if letter == "x" else axes.yaxis
    get_ends, set_ends = (
        (axes.get_xlim, axes.set_xlim) if letter == "x" else (axes.get_ylim, axes.set_ylim)
    )
    axis.set_label_text(_text(asked.get("title", {}).get("text") or ""))
    logarithmic = asked.get("type") == "log"
    if "range" in asked:
        set_ends(*(10.0**end if logarithmic else end for end in asked["range"]))
    elif asked.get("autorange") == "reversed":
        low, high = sorted(get_ends())
        set_ends(high, low)
    elif asked.get("rangemode") == "tozero":
        low, high = get_ends()
        set_ends(min(low, 0) if low < 0 else 0, high)
    axis.set_minor_locator(ticker.NullLocator())
    places = panel.categories.get(_root(layout, name))
    if places is not None:
        axis.set_ticks(list(places.values()), list(places))
    elif asked.get("tickvals") is not None:
        texts = asked.get("ticktext") or [f"{value:g}" for value in asked["tickvals"]]
        axis.set_ticks(asked["tickvals"], [_text(text).replace("-", "−") for text in texts])
    elif logarithmic:
        few = asked.get("dtick") == "D2"
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,), numticks=30))
        axis.set_major_formatter(
            lambda value, _: f"{value:.3g}" if few else power_of_ten(round(math.log10(value)))
        )
    else:
        step, most = asked.get("dtick"), asked.get("nticks")
        locator = (
            ticker.MultipleLocator(step)
            if step
            else ticker.MaxNLocator(most or 6, steps=[1, 2, 5, 10])
        )
        axis.set_major_locator(locator)
        if asked.get("tickformat", "").endswith("%"):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%".replace("-", "−"))
    if asked.get("showgrid") is False:
        axis.grid(False)
    if asked.get("showticklabels") is False:
        axis.set_tick_params(labelleft=False, labelbottom=False)


def _thin_out(axes: Axes) -> None:
    """Turn the texts under an axis that would touch, or leave out some where they are numbers."""
    low, high = sorted(axes.get_xlim())
    ticks = {
        tick.get_loc(): tick.label1
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
    }
    if len(ticks) < 2:
        return
    boxes = [label.get_window_extent() for label in ticks.values()]
    room = axes.bbox.width / len(ticks)
    needed = max(box.width for box in boxes) * 1.2
    if needed > room and not all(re.fullmatch(r"[−\d.%]+", t.get_text()) for t in ticks.values()):
        axes.tick_params(axis="x", rotation=90)
        needed = max(box.height for box in boxes)
    every = math.ceil(needed / room)
    if every > 1:
        kept = list(ticks.items())[::every]
        axes.set_xticks([place for place, _ in kept], [label.get_text() for _, label in kept])


def _titles(canvas: Figure, layout: Json, panels: Collection[_Panel]) -> None:
    """Texts in panels, titles of panels, and above them what the menus stand at."""
    places = [panel.axes.get_position() for panel in panels]
    for asked in layout.get("annotations", ()):
        if asked["xref"] != "paper":
            axes, transform = _on(panels, asked)
            look = {"ha": "center", "va": asked["yanchor"], "fontsize": 7, "zorder": 5}
            axes.text(asked["x"], asked["y"], _text(asked["text"]), transform=transform, **look)
            continue
        under = min(places, key=lambda place: abs((place.x0 + place.x1) / 2 - asked["x"]))
        letters = max(int(under.width * _WIDTH * 15), 12)
        fits = len(re.sub("<.*?>", "", asked["text"])) <= letters
        text = asked["text"] if fits else "<br>".join(textwrap.wrap(asked["text"], letters))
        look = {"ha": asked["xanchor"], "va": asked["yanchor"], "linespacing": 1.1}
        canvas.text(asked["x"], asked["y"], _text(text), **look)
    chosen = [
        menu["buttons"][menu.get("active", 0)]["label"] for menu in layout.get("updatemenus", ())
    ]
    if chosen:
        top = max((text.get_window_extent().y1 for text in canvas.texts), default=0)
        high = canvas.bbox.height
        look = {"color": _LINE, "fontsize": 7, "va": "bottom"}
        canvas.text(0, max(top, high) / high + 12 / high, f"Shown: {', '.join(chosen)}", **look)


def _legend(canvas: Figure, entries: Mapping[str, Line2D]) -> None:
    """The legend under everything else, in as many columns as have room."""
    if not entries:
        return
    names = list(entries)
    bottom = min(axes.get_tightbbox().y0 for axes in canvas.axes)
    longest = max(map(len, names)) * 0.065 + 0.45  # inches
    columns = max(1, min(len(names), int(_WIDTH / longest)))
    # Read along rows, while matplotlib fills one column after another.
    order = [place for column in range(columns) for place in range(column, len(names), columns)]
    canvas.legend(
        [entries[names[place]] for place in order],
        [_text(names[place]) for place in order],
        loc="upper center",
        bbox_to_anchor=(0.5, (bottom - 8) / canvas.bbox.height),
        ncol=columns,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.4,
        handletextpad=0.5,
    )


def _text(written: str) -> str:
    """Plotly's marks in matplotlib's: subscripts, and lines of a text."""
    plain = written.replace("$", r"\$").replace("<br>", "\n")
    return re.sub(r"<sub>(.*?)</sub>", r"$_{\\mathrm{\1}}$", plain)
