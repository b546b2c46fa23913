"""Theorem 5.1's bound on the deviation from linearity, against what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    SYMBOLS,
    Figure,
    Line,
    draw,
    log_axis,
    scales,
    significant,
)
from ctl_helpers.findings.words import by_panel

# Column → its name in a sentence and on an axis.
_REGRESSORS = {
    "product": ("the bound", "½ α(1−α) λ<sub>max</sub> ‖θ<sub>i</sub>−θ<sub>j</sub>‖²"),
    "curvature": ("the curvature λ_max", "λ<sub>max</sub>"),
    "squared_distance": ("the squared distance", "‖θ<sub>i</sub>−θ<sub>j</sub>‖²"),
}


def regression(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """δ against the bound and against each of its factors, with R², a row a setting (Section 5).

    Args:
        table: a row a pair of networks: ``setting``, ``start`` (the name of its ``θ_PT``),
            ``delta``, ``product`` (the bound ``½ α(1−α) λ_max ‖θ_i − θ_j‖²``), ``curvature``
            (``λ_max``) and ``squared_distance``; ``i``, ``j``, ``seed`` and ``alpha`` are told
            when pointed at, where the table has them.
        panels: setting → its title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    starts = list(dict.fromkeys(table["start"]))
    lines, cells, found, axes = [], [], {}, {}
    for row, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        found[setting] = {}
        for column, (name, (called, _)) in enumerate(_REGRESSORS.items(), 1):
            fitted, determination = _least_squares(chosen[name], chosen["delta"])
            found[setting][name] = determination
            number = len(cells) + 1 if cells else ""
            axes |= {f"xaxis{number}": chosen[name], f"yaxis{number}": chosen["delta"]}
            heading = called.removeprefix("the ").replace("_max", "<sub>max</sub>")
            cells.append(f"{heading}: R² = {determination:.2f}")
            look = {"mode": "lines", "line_dash": "dot", "hoverinfo": "skip"}
            lines.append(Line("least squares", GREY, {"": fitted}, row, column, look=look))
            for start, rows in chosen.groupby("start", sort=False):
                place = starts.index(start)
                data = {
                    "x": significant(rows[name]),
                    "y": significant(rows["delta"]),
                    "text": _described(rows),
                }
                look = _markers(SYMBOLS[place // len(COLOURS) % len(SYMBOLS)], called)
                colour = COLOURS[place % len(COLOURS)]
                lines.append(Line(start, colour, {"": data}, row, column, look=look))
    figure = draw(
        lines,
        _best(found, panels),
        "Scatter plots of the deviation from linearity, delta, for pairs of fine-tuned networks: "
        "against the bound, against the largest eigenvalue of the Hessian alone, and against the "
        "squared distance of the weights alone, each with the line of least squares. Colours are "
        "pretrained networks. Axes are linear or, by the menu, logarithmic.",
        rows=["δ" if len(panels) == 1 else f"δ, {title}" for title in panels.values()],
        columns=list(_REGRESSORS),
        cells=cells,
        height=150 + 310 * len(panels),
        shared_x=False,
        shared_y="rows",
        spacing=0.32 / len(panels),
        switches=scales(axes),
    )
    for column, (_, axis) in enumerate(_REGRESSORS.values(), 1):
        figure.update_xaxes(title_text=axis, nticks=6, col=column)
    return figure.update_annotations(font_size=14)


def inequality(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """δ and its second-order term against the bound, on log axes (Theorem 5.1).

    What lies between the two is of third order; a δ over the dotted line is over the bound.

    Args:
        table: as :func:`regression`'s, with ``second_order`` (``|½ α(1−α) dᵀHd|`` for
            ``d = θ_i − θ_j``). Values of 0 are not drawn.
        panels: setting → panel title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    series = (
        ("second_order", "second-order term", ORANGE, "diamond"),
        ("delta", "δ", BLUE, "circle"),
    )
    look = {"mode": "lines", "line_dash": "dot", "hoverinfo": "skip"}
    lines = []
    for column, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        ends = [chosen["product"].min() / 1.3, chosen["product"].max() * 1.3]
        lines.append(
            Line("equal to the bound", GREY, {"": {"x": ends, "y": ends}}, 1, column, look=look)
        )
        for name, called, colour, symbol in series:
            rows = chosen[(chosen[name] > 0) & (chosen["product"] > 0)]
            data = {
                "x": significant(rows["product"]),
                "y": significant(rows[name]),
                "text": _described(rows),
            }
            style = _markers(symbol, called)
            lines.append(Line(called, colour, {"": data}, 1, column, look=style))
    under = int((table["delta"] <= table["product"]).sum())
    held = f"all {len(table)}" if under == len(table) else f"{under} of {len(table)}"
    delta, second = (
        by_panel(
            panels,
            (100 * table[name] / table["product"]).groupby(table["setting"]).median(),
            "{:.2g}%",
        )
        for name in ("delta", "second_order")
    )
    figure = draw(
        lines,
        f"δ stays under the bound for {held} pairs of networks; in the median it is "
        f"{delta} of the bound, the second-order term alone {second}",
        "Scatter plot on log scales against the bound of second order. Circles are the deviation "
        "from linearity, delta; diamonds are the exact second-order term. The dotted line is where "
        "a value equals the bound; what lies under it keeps to the bound.",
        rows=["δ, second-order term"],
        columns=list(panels.values()),
        height=480,
    )
    drawn = table[["delta", "second_order"]].to_numpy()
    figure.update_xaxes(title_text=_REGRESSORS["product"][1], **log_axis(table["product"]))
    return figure.update_yaxes(**log_axis(drawn.ravel()))


def _least_squares(x: pd.Series, y: pd.Series) -> tuple[dict[str, list[float]], float]:
    """The fitted line, in enough points to be drawn on log axes too, and its R²."""
    # All pairs of a single pretrained network have one curvature, which explains nothing.
    slope = np.polyfit(x, y, 1)[0] if x.nunique() > 1 else 0.0
    intercept = y.mean() - slope * x.mean()
    rest = ((y - slope * x - intercept) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    spaced = np.geomspace if x.min() > 0 else np.linspace
    places = pd.Series(spaced(x.min(), x.max(), 40))
    heights = slope * places + intercept
    return {"x": significant(places), "y": significant(heights)}, float(1 - rest)


def _best(found: Mapping[str, Mapping[str, float]], panels: Mapping[str, str]) -> str:
    """Which regressor explains δ best, by setting."""
    ranked = {s: sorted(d, key=d.__getitem__, reverse=True) for s, d in found.items()}
    strength = {s: f"R² = {found[s][best]:.2f}" for s, (best, *_) in ranked.items()}
    winners = {best for best, *_ in ranked.values()}
    if len(winners) > 1:
        told = {s: f"by {_REGRESSORS[best][0]}, {strength[s]}" for s, (best, *_) in ranked.items()}
        return f"δ is explained best {by_panel(panels, told)}"
    text = f"δ is explained best by {_REGRESSORS[winners.pop()][0]}: {by_panel(panels, strength)}"
    if len(found) > 1:
        return text
    ((setting, (_, *others)),) = ranked.items()
    beaten = [f"{found[setting][other]:.2f} with {_REGRESSORS[other][0]}" for other in others]
    return f"{text}, against {' and '.join(beaten)}"


def _described(rows: pd.DataFrame) -> list[str]:
    """What a reader sees of each pair beside its numbers."""
    told = [name for name in ("start", "i", "j", "seed", "alpha") if name in rows]
    return [", ".join(f"{k} {v}" for k, v in row.items()) for row in rows[told].to_dict("records")]


def _markers(symbol: str, called: str) -> dict[str, object]:
    return {
        "mode": "markers",
        "marker_symbol": symbol,
        "marker_size": 8,
        "opacity": 0.8,
        "hovertemplate": f"%{{text}}<br>%{{x}} → %{{y}}<extra>{called}</extra>",
    }
