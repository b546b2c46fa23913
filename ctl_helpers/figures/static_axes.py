"""Panels of still images: their axes as a Plotly figure's layout has them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from ctl_helpers.findings.words import power_of_ten

Json = Mapping[str, Any]


@dataclass
class Panel:
    """A pair of axes.

    Attributes:
        axes: what is drawn on.
        names: letter → the axis's name in the layout, such as ``"x2"``.
        layouts: letter → the axis's layout.
        places: letter → what stands on the axis, category → number; None where numbers do.
    """

    axes: Axes
    names: Mapping[str, str]
    layouts: Mapping[str, Json]
    places: Mapping[str, dict[str, int] | None]

    def along(self, trace: Json, letter: str) -> list[float]:
        """A trace's coordinates along an axis; a category's is its number."""
        places = self.places[letter]
        if places is not None:
            return [places[str(value)] for value in trace[letter]]
        return [math.nan if value is None else float(value) for value in trace[letter]]


def panels(canvas: Figure, traces: Sequence[Json], layout: Json) -> dict[tuple[str, str], Panel]:
    """Empty axes at their domains, with shared ranges and the categories of the traces."""

    def axis(name: str) -> Json:
        return layout.get(f"{name[0]}axis{name[1:]}", {})

    def root(name: str) -> str:
        """The axis whose range an axis shares."""
        return axis(name).get("matches") or name

    pairs = dict.fromkeys((trace.get("xaxis", "x"), trace.get("yaxis", "y")) for trace in traces)
    categories: dict[str, dict[str, int]] = {}
    for trace in traces:
        for name in (trace.get("xaxis", "x"), trace.get("yaxis", "y")):
            values, kind = trace.get(name[0], ()), axis(name).get("type")
            if kind == "category" or (kind is None and any(isinstance(v, str) for v in values)):
                places = categories.setdefault(root(name), {})
                for value in values:
                    places.setdefault(str(value), len(places))
    made: dict[tuple[str, str], Panel] = {}
    first: dict[str, Axes] = {}
    for pair in pairs:
        names = dict(zip("xy", pair, strict=True))
        (left, right), (bottom, top) = (axis(name).get("domain", (0, 1)) for name in pair)
        axes = canvas.add_axes((left, bottom, right - left, top - bottom))
        for name, share in zip(pair, (axes.sharex, axes.sharey), strict=True):
            other = first.setdefault(root(name), axes)
            if other is not axes:
                share(other)
        made[pair] = Panel(
            axes,
            names,
            {letter: axis(name) for letter, name in names.items()},
            {letter: categories.get(root(name)) for letter, name in names.items()},
        )
    for panel in made.values():
        for letter, own in panel.layouts.items():
            if own.get("type") == "log":
                panel.axes.set(**{f"{letter}scale": "log"})
        panel.axes.margins(0.05)
    return made


def dress(panel: Panel, letter: str) -> None:
    """An axis's title, range and ticks."""
    layout, axes = panel.layouts[letter], panel.axes
    axis: Axis = getattr(axes, f"{letter}axis")
    axis.set_label_text(mathtext(layout.get("title", {}).get("text") or ""))
    _set_range(axes, letter, layout)
    axis.set_minor_locator(ticker.NullLocator())
    places = panel.places[letter]
    if places is not None:
        axis.set_ticks(list(places.values()), list(places))
    else:
        _set_ticks(axis, layout)
    if layout.get("showgrid") is False:
        axis.grid(False)
    if layout.get("showticklabels") is False:
        axis.set_tick_params(labelleft=False, labelbottom=False)


def _set_range(axes: Axes, letter: str, layout: Json) -> None:
    low, high = sorted(getattr(axes, f"get_{letter}lim")())
    if "range" in layout:
        logarithmic = layout.get("type") == "log"
        ends = [10.0**end if logarithmic else end for end in layout["range"]]
    elif layout.get("autorange") == "reversed":
        ends = [high, low]
    elif layout.get("rangemode") == "tozero":
        ends = [min(low, 0), high]
    else:
        return
    axes.set(**{f"{letter}lim": ends})


def _set_ticks(axis: Axis, layout: Json) -> None:
    if layout.get("tickvals") is not None:
        texts = layout.get("ticktext") or [f"{value:g}" for value in layout["tickvals"]]
        low, high = sorted(axis.get_view_interval())  # which a tick outside would widen
        seen = [
            (value, mathtext(text).replace("-", "−"))
            for value, text in zip(layout["tickvals"], texts, strict=True)
            if low <= value <= high
        ]
        axis.set_ticks([value for value, _ in seen], [text for _, text in seen])
    elif layout.get("type") == "log":
        axis.set_major_locator(ticker.LogLocator(subs=(1,), numticks=30))
        axis.set_major_formatter(lambda value, _: power_of_ten(round(math.log10(value))))
    else:
        if step := layout.get("dtick"):
            axis.set_major_locator(ticker.MultipleLocator(step))
        else:
            most = layout.get("nticks") or 6
            axis.set_major_locator(ticker.MaxNLocator(most, steps=[1, 2, 5, 10]))
        if layout.get("tickformat", "").endswith("%"):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%".replace("-", "−"))


def thin_out(axes: Axes) -> None:
    """Turn the texts under an axis that would touch, or leave out some where they are numbers."""
    low, high = sorted(axes.get_xlim())
    labels = {
        tick.get_loc(): tick.label1
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
    }
    if len(labels) < 2:
        return
    boxes = [label.get_window_extent() for label in labels.values()]
    room = axes.bbox.width / len(labels)
    needed = max(box.width for box in boxes) * 1.2
    if needed > room and not all(re.fullmatch(r"[−\d.%]+", t.get_text()) for t in labels.values()):
        axes.tick_params(axis="x", rotation=90)
        needed = max(box.height for box in boxes)
    every = math.ceil(needed / room)
    if every > 1:
        some = list(labels.items())[::every]
        axes.set_xticks([place for place, _ in some], [label.get_text() for _, label in some])


def mathtext(written: str) -> str:
    """Plotly's marks in matplotlib's: subscripts, and lines of a text."""
    plain = written.replace("$", r"\$").replace("<br>", "\n")
    return re.sub(r"<sub>(.*?)</sub>", r"$_{\\mathrm{\1}}$", plain)
