"""What a report draws: ε over λ and over layers, lengths and cosines of task vectors by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctl_helpers.probing.aligning import ALL
from ctl_helpers.probing.charts import Chart, Line
from ctl_helpers.probing.outcome import Outcome

Row = Mapping[str, Any]
_MOST = 6  # lines of a chart; of more sets those with the largest numbers are drawn
_HALF = (0.5, "one half")


def figures(outcome: Outcome) -> list[Chart]:
    """The charts of all tables that there are."""
    tables, charts = outcome.tables, []
    if rows := tables.get("linearity"):
        own = [row for row in rows if row["control"] == "task vectors"]
        charts += [_over_lambda(own), _over_layers(rows)]
    if rows := [row for row in tables.get("vectors", ()) if row["layer"] != ALL]:
        lines = _lines(rows, "checkpoint", "relative")
        charts.append(_by_layer("Length of τ beside BASE, by layer", rows, lines))
    if rows := [row for row in tables.get("pairs", ()) if row["layer"] != ALL]:
        named = [{**row, "pair": f"{row['i']} + {row['j']}"} for row in rows]
        lines = _lines(named, "pair", "conflict")
        title = "Share of magnitude with signs that disagree, by layer"
        charts.append(_by_layer(title, named, lines, _HALF))
    return charts


def _grouped(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found


def _over_lambda(rows: Sequence[Row]) -> Chart:
    """The worst layer's ε of each set."""
    lines = []
    for number, (members, own) in enumerate(_first(_grouped(rows, "set"), _worst)):
        by_lam = _grouped(own, "lam")
        points = [(float(lam), _worst(part)) for lam, part in by_lam.items()]
        lines.append(Line(members, [(0.0, 0.0), *points], number))
    places = sorted({x for line in lines for x, _ in line.points})
    step = 0.2 if places[-1] <= 1.2 else 0.5
    ticks = {n * step: f"{n * step:.1f}" for n in range(math.ceil(places[-1] / step - 1e-9) + 1)}
    return Chart("ε of the worst layer over λ", "λ", lines, ticks, _HALF)


def _over_layers(rows: Sequence[Row]) -> Chart:
    """ε at the average by layer, beside random vectors."""
    at = [row for row in rows if row["reach"] == 1.0]
    layers = [*dict.fromkeys(row["layer"] for row in at)]
    lines = []
    for number, (members, own) in enumerate(_first(_grouped(at, "set"), _worst)):
        for control, part in _grouped(own, "control").items():
            points = [(float(layers.index(row["layer"])), float(row["epsilon"])) for row in part]
            is_random = control != "task vectors"
            label = f"{members}, random" if is_random else members
            lines.append(Line(label, points, number, is_random))
    ticks = {float(n): short(layer) for n, layer in enumerate(layers)}
    title = "ε at the average, by layer; dashed: random vectors"
    return Chart(title, "layer", lines, ticks, _HALF)


def _lines(rows: Sequence[Row], key: str, value: str) -> list[Line]:
    layers = [*dict.fromkeys(row["layer"] for row in rows)]

    def largest(part: Sequence[Row]) -> float:
        return max((row[value] for row in part if math.isfinite(row[value])), default=0.0)

    return [
        Line(name, [(float(layers.index(row["layer"])), row[value]) for row in part], number)
        for number, (name, part) in enumerate(_first(_grouped(rows, key), largest))
    ]


def _by_layer(
    title: str,
    rows: Sequence[Row],
    lines: Sequence[Line],
    bound: tuple[float, str] | None = None,
) -> Chart:
    layers = [*dict.fromkeys(row["layer"] for row in rows)]
    ticks = {float(n): short(layer) for n, layer in enumerate(layers)}
    return Chart(title, "layer", lines, ticks, bound)


def _first(
    groups: Mapping[str, list[Row]], size: Callable[[Sequence[Row]], float]
) -> list[tuple[str, list[Row]]]:
    """The largest groups, in the order in which they came."""
    chosen = sorted(groups, key=lambda name: -size(groups[name]))[:_MOST]
    return [(name, part) for name, part in groups.items() if name in chosen]


def _worst(rows: Sequence[Row]) -> float:
    return max((row["epsilon"] for row in rows if math.isfinite(row["epsilon"])), default=0.0)


def short(layer: str) -> str:
    """What tells a layer from the others on an axis: its numbers, or a few letters."""
    numbers = re.search(r"\d+(\.\d+)+$|(?<![^.])\d+$", layer)
    last = numbers[0] if numbers else layer.rpartition(".")[2]
    return last if len(last) < 7 else f"{last[:5]}…"
