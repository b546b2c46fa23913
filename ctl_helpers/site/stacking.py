"""Panels of a figure in fewer columns, for screens on which they do not fit side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

_ACROSS, _TICKS = 28, 36  # px between columns, and for the ticks of the right one
_BETWEEN = 24  # px between panels that share their horizontal ticks
_APART = 112  # px between others: ticks, turned ones too, their label, and the next panel's title
_TITLE = 20  # px of a further line of a title
_HIGHEST = 250  # px of a panel that stands over another
_LINE = 29  # px of a line of the legend
_SIGN, _LETTER = 45, 6.2  # px in it: a name's sign, with what is around both, and a letter
_SCREEN = 300  # px that the narrowest screen leaves to a figure
_WIDE = 600  # px from which a screen is no phone's
_LONG = 14  # letters of a row's name that take a third of that screen
_NAMED = 56  # px of a row under its name, at least
_NAME = 24  # px of a name over a row's highest mark, and of half of that
_HIGHEST_MARK = 0.35  # of a row, from its middle up to where a mark may stand
_OVER = 0.49  # of a row, from its middle up to the top of its name

_Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Grid:
    """The panels of a figure, as plotly's ``make_subplots`` lays them out.

    Attributes:
        layout: the figure's, as JSON; panels are counted from the top left.
        width: what all columns need side by side, in pixels.
        legend: the names that its legend lists.
        traces: what is drawn, as JSON.
    """

    layout: Mapping[str, Any]
    width: int
    legend: Sequence[str] = ()
    traces: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def panels(self) -> dict[tuple[int, int], tuple[str, str]]:
        """Row and column → names of the two axes."""
        pairs = [
            (name, "yaxis" + axis["anchor"][1:])
            for name, axis in self.layout.items()
            if name.startswith("xaxis") and axis.get("anchor", "").startswith("y")
        ]
        places = [(-self.span(y)[1], self.span(x)[0]) for x, y in pairs]
        tops, lefts = (
            (sorted(set(ends)) for ends in zip(*places, strict=True)) if pairs else ([], [])
        )
        return {
            (tops.index(top), lefts.index(left)): pair
            for (top, left), pair in zip(places, pairs, strict=True)
        }

    @property
    def rows(self) -> int:
        return 1 + max((row for row, _ in self.panels), default=-1)

    @property
    def columns(self) -> int:
        return 1 + max((column for _, column in self.panels), default=-1)

    @property
    def plot(self) -> float:
        """Height between the margins, in pixels."""
        margin = self.layout["margin"]
        return float(self.layout["height"] - margin["t"] - margin["b"])

    @property
    def by_rows(self) -> bool:
        """Whether a row stays together, since it has a scale of colours of its own."""
        return "coloraxis2" in self.layout

    @property
    def apart(self) -> int:
        """Pixels between panels that share nothing."""
        titles = [note["text"] for note in self.layout.get("annotations", ())]
        return _APART + _TITLE * max((title.count("<br>") for title in titles), default=0)

    def span(self, axis: str) -> tuple[float, float]:
        """Where an axis begins and ends, as shares of width or height."""
        low, high = self.layout[axis].get("domain", (0, 1))
        return round(low, 4), round(high, 4)

    def title(self, axis: str) -> str:
        return str(self.layout[axis].get("title", {}).get("text") or "")

    def has_ticks(self, axis: str) -> bool:
        return self.layout[axis].get("showticklabels") is not False

    def long_names(self, axis: str) -> list[str]:
        """The names of an axis' rows at 0, 1, … in one line each, where one of them is long."""
        look = self.layout[axis]
        names = [name.replace("<br>", " ") for name in look.get("ticktext", ())]
        is_long = max(map(len, names), default=0) > _LONG
        return names if is_long and look.get("tickvals") == list(range(len(names))) else []

    def row_height(self, axis: str) -> float:
        """Pixels of a row whose name stands over its marks, of which there may be several."""
        own = [trace for trace in self.traces if trace.get("yaxis", "y") == f"y{axis[5:]}"]
        places = [y for trace in own for y in trace.get("y", ()) if isinstance(y, int | float)]
        highest = max((round(y) - y for y in places), default=0.0)
        return max(_NAME / (_OVER - min(highest, _HIGHEST_MARK)), _NAMED)


def arrangements(grid: Grid) -> list[dict[str, Any]]:
    """How a figure's panels stand on screens of several widths, the widest first.

    Returns:
        For each arrangement its ``columns``; the ``width`` from which it fits, 0 for the one of
        phones; ``layout``, the changes to the figure's by paths of plotly's ``relayout``; and
        ``titles``, axis → the one whose title it takes over, or nothing. None for panels that are
        no grid, and for one column without long names of rows or a long legend.
    """
    if len(grid.panels) < grid.rows * grid.columns:
        return []
    counts = {math.ceil(grid.columns / lines) for lines in range(1, grid.columns + 1)} - {1}
    if grid.columns == 1:
        named = any(grid.long_names(y) for _, y in grid.panels.values())
        if not named and not _more_lines(grid, _SCREEN):
            return []
        counts = {1}
    wide = [_arranged(grid, columns) for columns in sorted(counts, reverse=True)]
    return [*wide, _arranged(grid, 1, phone=True)]


def _arranged(grid: Grid, columns: int, *, phone: bool = False) -> dict[str, Any]:
    width = 0 if phone else round(grid.width / grid.columns * columns)
    margin = grid.layout["margin"]
    within = max(width, _SCREEN) - margin["l"] - margin["r"]
    below = margin["b"] + _LINE * _more_lines(grid, within if phone else max(within, _WIDE))
    boxes, height = _boxes(grid, columns, within, phone=phone)
    layout: dict[str, Any] = {"height": round(height + margin["t"] + below), "margin.b": below}
    if grid.legend:
        layout["legend.maxheight"] = layout["height"]  # in place of half of it, and a scrollbar
    titles = {}
    for (row, column), (x, y) in grid.panels.items():
        left, right, bottom, top = boxes[row, column]
        layout |= {f"{x}.domain": [left, right], f"{y}.domain": [bottom, top]}
        first, last = grid.panels[row, 0][1], grid.panels[grid.rows - 1, column][0]
        if column:
            layout[f"{y}.showticklabels"] = left == 0 or grid.has_ticks(y)
        if column and not grid.title(y):
            titles[y] = first if left == 0 else ""
        if grid.by_rows and not grid.title(x):
            titles[x] = "" if columns == grid.columns else last
        if count := len(grid.long_names(y)):
            beside = bool(not phone and grid.has_ticks(y))
            ends = [count - 0.6, -0.65] if phone else grid.layout[y]["range"]
            layout |= {f"{y}.showticklabels": beside, f"{y}.range": ends}
    layout |= _bars(grid, columns, boxes)
    notes = _moved(grid, boxes, again=grid.by_rows and columns < grid.columns)
    named = _names_over_rows(grid)
    if notes or named:
        # Without names, too: a screen that was narrow before may have put some there.
        layout["annotations"] = notes + named if phone else notes
    return {
        "columns": columns, "width": width, "layout": layout, "titles": titles
    }  # fmt: skip


def _names_over_rows(grid: Grid) -> list[dict[str, Any]]:
    """Long names inside their panel, which is then as wide as the screen."""
    return [
        {
            "text": name, "showarrow": False, "font": {"size": 12}, "borderpad": 0,
            "x": 0, "xref": f"x{x[5:]} domain", "xanchor": "left",
            "y": round(place - _OVER, 2), "yref": f"y{y[5:]}", "yanchor": "top",
        }
        for x, y in grid.panels.values()
        for place, name in enumerate(grid.long_names(y))
    ]  # fmt: skip


def _bars(grid: Grid, columns: int, boxes: Mapping[tuple[int, int], _Box]) -> dict[str, float]:
    """Bars of colours: of a stack beside its first panel, which is the one that is seen with it."""
    places: dict[str, float] = {}
    names = sorted(name for name in grid.layout if name.startswith("coloraxis"))
    for row, name in enumerate(names):
        bar = grid.layout[name].get("colorbar", {})
        length, middle = bar.get("len", 1), bar.get("y", 0.5)
        if columns < grid.columns:
            _, _, bottom, top = boxes[row if grid.by_rows else 0, 0]
            length, middle = round(top - bottom, 4), round((top + bottom) / 2, 4)
        places |= {f"{name}.colorbar.len": length, f"{name}.colorbar.y": middle}
    return places


def _boxes(
    grid: Grid, columns: int, width: float, *, phone: bool
) -> tuple[dict[tuple[int, int], _Box], float]:
    """Panel → left, right, bottom and top as shares, and the height of all in pixels.

    Columns that have no place on the right go below: each with its rows, or row by row.
    """
    if columns == grid.columns and not phone:
        spans = {key: (*grid.span(x), *grid.span(y)) for key, (x, y) in grid.panels.items()}
        return spans, grid.plot
    groups = math.ceil(grid.columns / columns)
    order = [(row, group) for group in range(groups) for row in range(grid.rows)]
    if grid.by_rows:
        order.sort()
    tops, down = {}, 0.0
    for row, group in order:
        end = down + _height(grid, grid.panels[row, group * columns][1], phone=phone)
        tops[row, group] = (down, end)
        shared = row < grid.rows - 1 and not grid.has_ticks(grid.panels[row, 0][0])
        down = end + (_BETWEEN if shared and not grid.by_rows else grid.apart)
    height = max(end for _, end in tops.values())
    ticks = any(grid.has_ticks(y) for (_, column), (_, y) in grid.panels.items() if column)
    gap = (_ACROSS + _TICKS * ticks) / width
    wide = (1 - gap * (columns - 1)) / columns
    boxes = {}
    for row, column in grid.panels:
        group, place = divmod(column, columns)
        start, end = tops[row, group]
        left = round(place * (wide + gap), 4)
        bottom, top = round(1 - end / height, 4), round(1 - start / height, 4)
        boxes[row, column] = (left, round(left + wide, 4), bottom, top)
    return boxes, height


def _height(grid: Grid, axis: str, *, phone: bool) -> float:
    """Pixels of a panel that stands over another."""
    low, high = grid.span(axis)
    named = len(grid.long_names(axis)) if phone else 0
    if named:
        return named * grid.row_height(axis)
    return min((high - low) * grid.plot, _HIGHEST)


def _moved(grid: Grid, boxes: Mapping[tuple[int, int], _Box], again: bool) -> list[dict[str, Any]]:
    """Titles over their panels; with ``again`` those of columns over each panel."""
    notes = []
    for note in grid.layout.get("annotations", ()):
        places = [
            key
            for key, (x, y) in grid.panels.items()
            if note["xref"] == note["yref"] == "paper"
            and math.isclose(note["x"], sum(grid.span(x)) / 2, abs_tol=1e-3)
            and math.isclose(note["y"], grid.span(y)[1], abs_tol=1e-3)
        ]
        if not places:
            notes.append(note)
            continue
        ((row, column),) = places
        for shown in range(grid.rows) if again else [row]:
            left, right, _, top = boxes[shown, column]
            notes.append({**note, "x": round((left + right) / 2, 4), "y": top})
    return notes


def _more_lines(grid: Grid, width: int) -> int:
    """Lines that the legend takes beyond those that a wide figure has room for."""
    return max(_legend_lines(grid, width) - _legend_lines(grid, _WIDE), 0)


def _legend_lines(grid: Grid, width: int) -> int:
    """How many lines names take, each with its sign, as many in a line as fit."""
    lines, left = 0, 0.0
    for name in grid.legend:
        needed = _SIGN + _LETTER * len(name)
        lines, left = (lines, left) if needed <= left else (lines + 1, width)
        left -= needed
    return max(lines, 1)
