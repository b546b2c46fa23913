"""Heat maps by paradigm: planes of two task vectors, and cosines between task vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Heatmap

from ctl_helpers.figures.drawing import BLUE, VERMILION, by_pair, empty_panels, significant
from ctl_helpers.figures.frame import PANEL, Menu, button, by_setting, framed
from ctl_helpers.figures.three import LOOKS, of_three, quotes, ranked
from ctl_helpers.findings.finding import signed
from ctl_helpers.findings.paradigms import (
    by_paradigm,
    classification_inside,
    mean_cosine,
    representation_inside,
)
from ctl_helpers.findings.words import FLOOR, power_of_ten
from ctl_helpers.results.labels import PARADIGM_NAMES, Output

CLIP = 0.9
"""Colours tell errors up to this quantile apart; what is larger looks alike."""

_OUTPUTS = (Output.REPRESENTATION, Output.CLASSIFICATION)
# The title of each measure's colour bar, and what it counts in one.
_ERRORS = {
    Output.REPRESENTATION: ("distance of outputs, nats", 1),
    Output.CLASSIFICATION: ("changed predictions, %", 100),
}
_AROUND_ZERO = "#f4f4f4"


@dataclass(frozen=True)
class _Scale:
    """How a measure is drawn: as multiples of a unit, in colours up to ``top``."""

    factor: float
    unit: str
    top: float
    clipped: bool

    def written(self, plane: np.ndarray) -> list[list[float]]:
        """Two significant digits and at most one decimal: what colours show, in few bytes."""
        return [[_short(value * self.factor) for value in row] for row in plane.tolist()]


def maps(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """The disentanglement error on planes of two task vectors (Figures 4 and 7).

    A row for each measure and a column for each paradigm. The menu chooses the pair, and the
    setting where there are several. A rectangle marks where addition's α is searched.

    Args:
        table: :func:`ctl_helpers.disentanglement` with ``paradigm``.
    """
    table = of_three(table[table["measure"].isin(_OUTPUTS)], panels)
    scales = {name: _scale(table.loc[table["measure"] == name, "error"], name) for name in _OUTPUTS}
    choices = {name: _planes(rows, scales) for name, rows in _choices(table, panels).items()}
    figure = _grid(["α<sub>j</sub>"] * 2, spacing=0.1)
    _add_planes(figure, next(iter(choices.values())), scales)
    figure.update_xaxes(title_text="α<sub>i</sub>", row=2)
    figure.update_xaxes(tickvals=[-2, -1, 0, 1, 2], zeroline=False)
    figure.update_yaxes(tickvals=[-2, -1, 0, 1, 2], zeroline=False)
    changed = by_paradigm(classification_inside, table)
    moved = by_paradigm(representation_inside, table)
    return framed(
        figure,
        by_setting(
            panels,
            lambda one: (
                "For 0 ≤ α ≤ 1 the disentanglement error in predictions is "
                f"{ranked(one, changed)}, mean over all pairs"
            ),
        ),
        "Heat maps of the disentanglement error over two task vectors' factors: above between "
        "representations, below in predictions, a column for each paradigm. Light is small. A "
        "rectangle marks factors from zero to one, where the mean error in representations is "
        f"{ranked(panels, moved)}. The menu chooses the pair of tasks.",
        height=640,
        min_width=3 * PANEL,
        menus=[Menu("pair", [button(name, change) for name, change in choices.items()])],
        findings=quotes(changed, moved),
    )


def _add_planes(
    figure: Figure, shown: Mapping[str, Sequence[Any]], scales: Mapping[Output, _Scale]
) -> None:
    """A heat map in each panel, a colour bar for each row, and the rectangle of the search."""
    for number, z in enumerate(shown["z"]):
        row, column = divmod(number, len(LOOKS))
        output = _OUTPUTS[row]
        hover = (
            "α<sub>i</sub> = %{x}, α<sub>j</sub> = %{y}<br>"
            f"ξ = %{{z}} {scales[output].unit}<extra>{output}</extra>"
        )
        trace = Heatmap(x=shown["x"][0], y=shown["y"][0], z=z, hovertemplate=hover)
        figure.add_trace(trace.update(coloraxis=f"coloraxis{row + 1}"), row + 1, column + 1)
    for width, colour in ((4, "white"), (2, "black")):  # seen on any colour
        line = {"width": width, "color": colour}
        figure.add_shape(type="rect", x0=0, x1=1, y0=0, y1=1, line=line, row="all", col="all")
    for row, (output, scale) in enumerate(scales.items(), 1):
        title, per_unit = _ERRORS[output]
        ticks = [0, scale.top / 2, scale.top]
        bar = _bar(title, ticks, scale.clipped, per_unit / scale.factor)
        place = {"len": 0.5, "y": 0.77 - 0.54 * (row - 1)}
        axis = {"cmin": 0, "cmax": scale.top, "colorscale": "Viridis", "reversescale": True}
        figure.update_layout({f"coloraxis{row}": {**axis, "colorbar": {**bar, **place}}})


def cosines(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Cosines between task vectors, a map for each paradigm (Figure 5).

    Args:
        table: rows of ``paradigm``, ``i``, ``j`` and ``cosine``, for ordered pairs, each task with
            itself too.
        panels: setting → what it is called, in order; each has a row of its own.
    """
    table = of_three(table, panels)
    size = table.loc[table["i"] != table["j"], "cosine"].abs()
    # Half as much again as any two tasks have: the diagonal stands out, and texts can be read.
    top = float(f"{1.5 * max(size.max(), 0.01):.2g}")
    rows = list(panels.values()) if len(panels) > 1 else [""]
    figure = _grid(rows, spacing=0.3 / len(panels))
    tasks = {
        setting: list(table.loc[table["setting"] == setting, "i"].unique()) for setting in panels
    }
    for row, (setting, names) in enumerate(tasks.items(), 1):
        for column, paradigm in enumerate(LOOKS, 1):
            part = table[(table["setting"] == setting) & (table["paradigm"] == paradigm)]
            figure.add_trace(_cosine_map(part, names), row, column)
    bar = _bar("cosine", [-top, 0, top], clipped=True)
    shades = [[0, BLUE], [0.5, _AROUND_ZERO], [1, VERMILION]]
    axis = {"cmin": -top, "cmax": top, "colorscale": shades, "colorbar": bar}
    figure.update_layout(coloraxis=axis)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category", showgrid=False).update_yaxes(showgrid=False)
    means = by_paradigm(mean_cosine, table)
    side = 28 * max(map(len, tasks.values()))
    return framed(
        figure,
        by_setting(
            panels,
            lambda one: f"Between two tasks' vectors the mean |cosine| is {ranked(one, means)}",
        ),
        "A heat map for each paradigm of the cosines between the vectors of any two tasks, with "
        "the values written in the cells; the diagonal is one.",
        height=140 + max(side + 100, 200) * len(panels),
        min_width=max(3 * PANEL, 150 + 3 * side),
        findings=quotes(means),
    )


def _cosine_map(part: pd.DataFrame, tasks: Sequence[str]) -> Heatmap:
    means = part.pivot_table(index="i", columns="j", values="cosine", sort=False)
    rows = [significant(means.loc[task, tasks], 3) for task in tasks]
    return Heatmap(
        x=tasks,
        y=tasks,
        z=rows,
        text=[[_hundredths(value) for value in row] for row in rows],
        texttemplate="%{text}",
        textfont_size=10,
        hovertemplate="%{y} and %{x}: %{z}<extra></extra>",
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )


def _hundredths(cosine: float) -> str:
    """Two decimals as they fit in a cell of a narrow screen: .02, −.31, 0, 1."""
    return signed(f"{cosine:.2f}").removesuffix(".00").replace("0.", ".")


def _grid(rows: Sequence[str], spacing: float) -> Figure:
    """Empty panels, a column for each paradigm."""
    titles = [PARADIGM_NAMES[name] for name in LOOKS]
    spaces: dict[str, Any] = {"horizontal_spacing": 0.03, "vertical_spacing": spacing}
    return empty_panels(rows, titles, shared_xaxes=False, shared_yaxes=True, **spaces)


def _bar(
    title: str, ticks: Sequence[float], clipped: bool, per_unit: float = 1
) -> dict[str, object]:
    """A colour bar whose last tick says where colours are clipped.

    Args:
        per_unit: what is written at a tick, over where the tick stands.
    """
    texts = [f"{tick * per_unit:.3g}".replace("-", "−") for tick in ticks]
    if clipped:
        texts[-1] = f"≥ {texts[-1]}"
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 12,
        "x": 1.04,
        "outlinewidth": 0,
        "tickvals": list(ticks),
        "ticktext": texts,
    }


def _choices(table: pd.DataFrame, panels: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Pair → errors with seeds averaged; with several settings, setting and pair → errors."""
    keys = ["measure", "paradigm", "alpha_i", "alpha_j"]
    several = len(panels) > 1
    return {
        f"{title.split(' (')[0]}: {pair}" if several else pair: rows
        for setting, title in panels.items()
        for pair, rows in by_pair(table[table["setting"] == setting], keys).items()
    }


def _planes(table: pd.DataFrame, scales: Mapping[Output, _Scale]) -> dict[str, list[Any]]:
    """What a choice puts into the traces; all share the one grid of α."""
    wide = table.set_index(["measure", "paradigm", "alpha_j", "alpha_i"])["error"].unstack()
    planes = [
        scale.written(wide.loc[output, paradigm].to_numpy())
        for output, scale in scales.items()
        for paradigm in LOOKS
    ]
    alphas = [round(float(alpha), 3) for alpha in wide.columns]
    return {"x": [alphas], "y": [alphas], "z": planes}


def _scale(errors: pd.Series, output: Output) -> _Scale:
    highest = max(float(errors.quantile(CLIP)), FLOOR)
    if output == Output.CLASSIFICATION:
        factor, unit = 100.0, "%"
        highest = min(highest, 1.0)  # of both tasks together it may be more
    else:
        # A power of ten that leaves two digits before the point; the colour bar tells nats.
        power = max(0, 1 - math.floor(math.log10(highest)))
        factor, unit = 10.0**power, f"· {power_of_ten(-power)} nats" if power else "nats"
    top = float(f"{highest * factor:.2g}")
    return _Scale(factor, unit, top, clipped=bool(errors.max() * factor > top))


def _short(value: float) -> float:
    rounded = round(float(f"{value:.2g}"), 1)
    return int(rounded) if rounded == int(rounded) else rounded
