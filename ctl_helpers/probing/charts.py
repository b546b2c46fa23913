"""Figures of a report as inline SVG: they take the page's colours, light or dark, and its width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 340, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 12, 40
_CLASSES = 6  # colours that a page defines: --c0 to --c5


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        label: in the legend.
        points: x and y; a point whose y is not finite is left out.
        colour: number of the colour.
        is_dashed: for controls.
    """

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    is_dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart of lines.

    Attributes:
        title: what it shows.
        x: what the axis is.
        lines: what is drawn.
        ticks: places on the x axis → their labels.
        bound: a level to draw across, with its label, or None.
    """

    title: str
    x: str
    lines: Sequence[Line]
    ticks: Mapping[float, str]
    bound: tuple[float, str] | None = None


def svg(chart: Chart) -> str:
    """The chart, with a title and a description for those who do not see it."""
    points = [p for line in chart.lines for p in line.points if math.isfinite(p[1])]
    highest = max((y for _, y in points), default=1.0)
    if chart.bound is not None:
        highest = max(highest, chart.bound[0])
    step = _step(highest)
    top = step * math.ceil(highest / step - 1e-9)
    low, high = min(chart.ticks), max(chart.ticks)
    across = (_WIDTH - _LEFT - _RIGHT) / ((high - low) or 1)
    up = (_HEIGHT - _TOP - _BOTTOM) / (top or 1)

    def place(x: float, y: float) -> str:
        return f"{_LEFT + (x - low) * across:.1f},{_HEIGHT - _BOTTOM - y * up:.1f}"

    parts = [_grid(step, top, up), _ticks(chart, low, across)]
    if chart.bound is not None:
        level = _HEIGHT - _BOTTOM - chart.bound[0] * up
        parts.append(
            f'<line class="bound" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" '
            f'y2="{level:.1f}"/>'
            f'<text class="small" x="{_LEFT + 4}" y="{level - 4:.1f}">'
            f"{escape(chart.bound[1])}</text>"
        )
    for line in chart.lines:
        known = [place(x, y) for x, y in line.points if math.isfinite(y)]
        style = f'style="--c:var(--c{line.colour % _CLASSES})"'
        dashed = " dashed" if line.is_dashed else ""
        parts.append(f'<polyline class="line{dashed}" {style} points="{" ".join(known)}"/>')
        parts += [_dot(spot, style) for spot in known]
    parts.append(
        f'<text class="small" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">'
        f"{escape(chart.x)}</text>"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_said(chart))}">'
        f"{''.join(parts)}</svg>"
    )


def legend(lines: Sequence[Line]) -> str:
    """The lines' names beside their colours."""
    items = []
    for line in lines:
        kind = "key dashed" if line.is_dashed else "key"
        style = f'style="--c:var(--c{line.colour % _CLASSES})"'
        items.append(f'<span><i class="{kind}" {style}></i>{escape(line.label)}</span>')
    return f'<p class="legend">{"".join(items)}</p>'


def _said(chart: Chart) -> str:
    ends = []
    for line in chart.lines:
        known = [y for _, y in line.points if math.isfinite(y)]
        if known:
            ends.append(f"{line.label} from {known[0]:.2g} to {known[-1]:.2g}")
    return f"{chart.title}: {'; '.join(ends)}"


def _dot(spot: str, style: str) -> str:
    x, y = spot.split(",")
    return f'<circle class="dot" {style} cx="{x}" cy="{y}" r="2.4"/>'


def _grid(step: float, top: float, up: float) -> str:
    parts = []
    for number in range(round(top / step) + 1):
        y = _HEIGHT - _BOTTOM - number * step * up
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="small" x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">'
            f"{number * step:.4g}</text>"
        )
    return "".join(parts)


def _ticks(chart: Chart, low: float, across: float) -> str:
    """The labels of the x axis, as many as have room."""
    every = max(1, math.ceil(len(chart.ticks) / 9))
    return "".join(
        f'<text class="small" x="{_LEFT + (x - low) * across:.1f}" y="{_HEIGHT - _BOTTOM + 14}" '
        f'text-anchor="{"end" if x == max(chart.ticks) else "middle"}">{escape(label)}</text>'
        for x, label in [*chart.ticks.items()][::every]
    )


def _step(highest: float) -> float:
    """A round distance of grid lines, so that there are three to six of them."""
    if highest <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(highest))
    return next(power * n for n in (0.2, 0.25, 0.5, 1, 2) if highest / (power * n) <= 5)
