"""Axes of numbers, linear and logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import pandas as pd
from plotly.graph_objects import Figure

from ctl_helpers.findings.words import plain

LOG_AXIS: dict[str, object] = {
    "type": "log",
    "exponentformat": "power",
    "tickmode": "linear",
    "dtick": 1,
}
LINEAR_AXIS: dict[str, object] = {**dict.fromkeys(LOG_AXIS), "type": "linear", "tickmode": "auto"}
"""What takes a logarithmic axis back to a linear one."""

MOST_LAYERS = 12
"""How many layers' names have room under a panel, turned."""

MOST_NUMBERS = 8
"""How many layers' numbers have room side by side."""

FEWEST_TICKS = 3
"""Fewer ticks than these do not tell how far apart values are."""

DIGITS_FROM = 0.001
"""A tick from here on is written in digits, a smaller one as :func:`plain` has it."""

DIGITS_TO = 10_000
"""Up to here an axis of powers of ten is written in digits, beyond it in powers."""

MOST_PLACES = 24
"""How many ticks of a few characters have room side by side, in all panels of a row."""

DECIMALS_UNDER = 0.05
"""Shares that span less need a decimal of a percent, so that no two ticks have one text."""


def number_axis(figure: Figure, values: Iterable[float], label: str, **place: int) -> None:
    """Label a horizontal axis of numbers, and put its ticks at the values where they fit."""
    places = sorted({float(value) for value in values})
    nearest = min((b - a for a, b in pairwise(places)), default=0)
    span = places[-1] - places[0]
    if fits := nearest * 12 > span:
        panels = sum(1 for _ in figure.select_xaxes(row=place.get("row")))
        places = _apart(places, span * min(panels / MOST_PLACES, 1))
    ticks = {"tickvals": places} if fits else {}
    figure.update_xaxes(title_text=label, **ticks, **place)
    # Panels above share the ticks, and their line at 0.
    figure.update_xaxes(zeroline=False, col=place.get("col"))


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Of sorted places those that are at least so far from the one before, up to rounding."""
    kept: list[float] = []
    for place in places:
        if not kept or place - kept[-1] >= least * (1 - 1e-9):
            kept.append(place)
    return kept


def number_axes(
    figure: Figure,
    table: pd.DataFrame,
    column: str,
    panels: Mapping[str, str],
    label: str,
    row: int = 1,
) -> None:
    """:func:`number_axis` under each panel of a row, of what its setting has in a column."""
    for place, setting in enumerate(panels, 1):
        values = table.loc[table["setting"] == setting, column]
        number_axis(figure, values, label, row=row, col=place)


def log_axis(values: Iterable[float]) -> dict[str, object]:
    """A logarithmic axis with at least three ticks among the values, each with its number in full.

    Ticks are powers of ten, if there are three among the values; else 1 and 3 of each power, or 1,
    2 and 5; and what spans less has the ticks of a linear axis. Powers of ten are written in digits
    as long as these are few: 0.1, 1, 10, and 10⁻⁶.
    """
    drawn = [float(value) for value in values if value > 0]
    if not drawn:
        return LOG_AXIS
    ticks = _log_ticks(min(drawn), max(drawn))
    return LOG_AXIS if _in_powers(ticks, drawn) else _ticks_at(ticks)


def axis_of_logarithms(values: Iterable[float]) -> dict[str, object]:
    """The ticks of :func:`log_axis` on a linear axis that has the values' decimal logarithms."""
    drawn = [float(value) for value in values]
    ticks = _log_ticks(min(drawn), max(drawn))
    places = [round(math.log10(tick), 6) for tick in ticks]
    return {**_ticks_at(ticks), "type": "linear", "tickvals": places}


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = (math.floor(math.log10(end)) for end in (low, high))
    for digits in ((1,), (1, 3), (1, 2, 5)):
        # A power more to either side, for what reaches farther than the values do.
        powers = range(first - 1, last + 2)
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        if sum(low <= tick <= high for tick in ticks) >= FEWEST_TICKS:
            return ticks
    return _even(low, high)


def _in_powers(ticks: Sequence[float], drawn: Sequence[float]) -> bool:
    """Whether ticks are powers of ten, some of which have many digits among the values."""
    seen = [tick for tick in ticks if min(drawn) <= tick <= max(drawn)]
    powers = all(math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9) for tick in ticks)
    return powers and not DIGITS_FROM <= min(seen) <= max(seen) <= DIGITS_TO


def _even(low: float, high: float) -> list[float]:
    """Round numbers at equal distances, as far beyond both ends as these are apart."""
    span = (high - low) or low
    power = 10.0 ** math.floor(math.log10(span))
    step = power * next(part for part in (0.2, 0.5, 1, 2) if span < 6 * part * power)
    places = range(math.floor((low - span) / step), math.ceil((high + span) / step) + 1)
    return [place * step for place in places if place > 0]


def _ticks_at(ticks: Iterable[float]) -> dict[str, object]:
    places = [float(f"{tick:.6g}") for tick in ticks]
    texts = [f"{tick:,g}" if tick >= DIGITS_FROM else plain(tick) for tick in places]
    return {"type": "log", "tickmode": "array", "tickvals": places, "ticktext": texts}


def percent_axis(values: Iterable[float]) -> dict[str, object]:
    """The form of shares on a linear axis: in percent, with a decimal where two ticks need it."""
    known = [float(value) for value in values if not math.isnan(value)]
    close = bool(known) and max(known) - min(known) < DECIMALS_UNDER
    return {"tickformat": ".1%" if close else ".0%"}


def layer_places(layers: Iterable[str]) -> dict[str, str]:
    """Layer → what stands under its axis: its number, from 1 on, if all are of one list of blocks.

    Args:
        layers: in their order, such as ``"states.0"``, ``"states.1"``.
    """
    names = list(dict.fromkeys(layers))
    lists = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2].isdigit()}
    of_one_list = len(lists) == 1 and "" not in lists and all("." in name for name in names)
    return {name: str(n) if of_one_list else name for n, name in enumerate(names, 1)}


def layer_axes(figure: Figure, panels: Sequence[Sequence[str]]) -> None:
    """Have the axes under a row of panels name their own layers, of many as many as can be read.

    Args:
        panels: of each panel what :func:`layer_places` has.
    """
    for column, places in enumerate(panels, 1):
        numbered = all(map(str.isdigit, places))
        title = {"title_text": "block"} if numbered else {}
        step = every_layer(len(places), numbered)
        figure.update_xaxes(type="category", tickmode="linear", dtick=step, col=column, **title)
        if len(places) > MOST_LAYERS:
            figure.update_traces(marker_size=5, error_y_width=0, col=column)


def every_layer(count: int, numbered: bool = True) -> int:
    """Which of so many layers an axis names: each, each second, and so on."""
    return math.ceil(count / (MOST_NUMBERS if numbered else MOST_LAYERS))


def scales(axes: Mapping[str, Iterable[float]]) -> dict[str, dict[str, object]]:
    """Switches between linear and logarithmic axes.

    Args:
        axes: an axis's name in the layout → the values that stand on it.
    """
    return {
        label: {
            f"{axis}.{key}": value
            for axis, form in forms.items()
            for key, value in {**form, "autorange": True}.items()
        }
        for label, forms in {
            "linear axes": dict.fromkeys(axes, LINEAR_AXIS),
            "log axes": {axis: log_axis(values) for axis, values in axes.items()},
        }.items()
    }
