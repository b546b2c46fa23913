"""What edited and stitched networks can do: accuracies against λ (Section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    Figure,
    Line,
    draw,
    number_axis,
    significant,
)
from ctl_helpers.figures.editing import by_edit, nearest_to
from ctl_helpers.findings.words import by_panel

ENDS = 0.5
"""The λ where the single networks of Figure 9 are the fine-tuned ones: 2λ = 1."""

_MODELS = {
    "averaged features": (BLUE, "circle"),
    "merged weights": (GREEN, "square"),
    "features of i": (VERMILION, "triangle-right"),
    "features of j": (PURPLE, "triangle-up"),
}
_CURVES = {"feature subtracted": ("circle", "solid"), "weights subtracted": ("square", "dot")}
_ROLES = {"D_PT": GREEN, "D_i": VERMILION}


def added(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of all task vectors added, on each task, against λ.

    Args:
        table: rows of ``setting``, ``seed``, ``split``, ``lam``, ``task``, ``accuracy``, ``share``
            (of what the task's own network reaches) and ``chosen`` (whether λ is the one chosen
            on held-out data).
        panels: setting → panel title, in order.
    """
    test = table[table["split"] == "test"]
    lines, best, marks = [], {}, {}
    for column, setting in enumerate(panels, 1):
        rows = test[test["setting"] == setting]
        marks[column] = sorted(rows.loc[rows["chosen"], "lam"].unique())
        best[setting] = rows.loc[rows["chosen"], "share"].mean()
        for task, part in rows.groupby("task", sort=False):
            lines.append(_accuracy("a task", GREY, part, column, str(task), width=1))
        lines.append(_accuracy("mean over tasks", BLUE, rows, column, "mean over tasks", width=3))
    figure = draw(
        lines,
        "One network with all task vectors added has, at the λ chosen on held-out data, "
        f"{by_panel(panels, best, '{:.0%}')} of the accuracy of the tasks' own networks",
        "Test accuracy against lambda: a thin grey line for each task and a thick one for their "
        "mean, from the pretrained network at zero. A dotted line marks the chosen lambda.",
        rows=["accuracy"],
        columns=list(panels.values()),
        height=440,
    )
    for column, places in marks.items():
        for place in places:
            figure.add_vline(x=place, line_dash="dot", line_color=GREY, row=1, col=column)
        number_axis(figure, test["lam"], "λ", row=1, col=column)
    return figure.update_yaxes(tickformat=".0%")


def _accuracy(
    name: str, colour: str, rows: pd.DataFrame, column: int, label: str, width: int
) -> Line:
    means = rows.groupby("lam")["accuracy"].mean()
    data = {"x": significant(means.index.to_series()), "y": significant(means)}
    look = {
        "mode": "lines+markers",
        "line_width": width,
        "marker_size": 3 + 2 * width,
        "hovertemplate": f"λ = %{{x}}: %{{y:.1%}}<extra>{label}</extra>",
    }
    return Line(name, colour, {"": data}, 1, column, look=look)


def addition(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of stitched models on both tasks of a pair, a curve in λ each (Figure 9).

    Args:
        table: rows of ``setting``, ``seed``, ``i``, ``j``, ``lam``, ``model``, ``D_i`` and ``D_j``
            (accuracies).
        panels: setting → panel title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    edits = by_edit(table, ["model", "lam"], panels)
    lines = []
    for column, setting in enumerate(panels, 1):
        for model, (colour, symbol) in _MODELS.items():
            data = {}
            for edit, rows in edits.items():
                curve = rows[(rows["setting"] == setting) & (rows["model"] == model)]
                curve = curve.sort_values("lam")
                data[edit] = {
                    "x": significant(curve["D_i"]),
                    "y": significant(curve["D_j"]),
                    "customdata": curve["lam"].tolist(),
                }
            look = {
                "mode": "lines+markers",
                "marker_symbol": symbol,
                "marker_size": 9,
                "line_width": 1.5,
                "hovertemplate": "λ = %{customdata}<br>D_i %{x:.1%}, D_j %{y:.1%}"
                f"<extra>{model}</extra>",
            }
            lines.append(Line(model, colour, data, 1, column, look=look))
    lam = nearest_to(table["lam"].unique(), ENDS)
    said = {setting: _both(table[table["setting"] == setting], lam) for setting in panels}
    figure = draw(
        lines,
        f"At λ = {lam:g} averaged features are right on {by_panel(panels, said)}",
        "Accuracy on task j against accuracy on task i. Each of four stitched models draws a "
        "curve from the pretrained network on with growing lambda: averaged features (circles), "
        "merged weights (squares) and the features of either network alone (triangles).",
        rows=["accuracy on D_j"],
        columns=list(panels.values()),
        menu="pair",
        height=500,
        shared_y=False,
        gap=0.12,
    )
    figure.update_xaxes(title_text="accuracy on D_i", tickformat=".0%")
    return figure.update_yaxes(tickformat=".0%")


def _both(table: pd.DataFrame, lam: float) -> str:
    """Accuracies at a λ of averaged features and of one network's, mean over pairs."""
    mean = table[table["lam"] == lam].groupby("model")[["D_i", "D_j"]].mean()
    one, other = mean.loc["features of i"], mean.loc["features of j"]
    own, foreign = (one["D_i"] + other["D_j"]) / 2, (one["D_j"] + other["D_i"]) / 2
    start = table.loc[table["lam"] == 0, ["D_i", "D_j"]].mean().mean()
    return (
        f"{mean.loc['averaged features'].mean():.0%} of both tasks' images, one network's on "
        f"{own:.0%} of its own and {foreign:.0%} of the other's, the pretrained ones on {start:.0%}"
    )


def negation(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy on ``D_i`` and ``D_PT`` after subtracting Δ, and after subtracting τ (Figure 10).

    Args:
        table: rows of ``setting``, ``seed``, ``i``, ``lam``, ``model``, ``role`` and ``accuracy``.
        panels: setting → panel title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    edits = by_edit(table, ["model", "role", "lam"], panels)
    lines = []
    for column, setting in enumerate(panels, 1):
        for role, colour in _ROLES.items():
            for model, (symbol, dash) in _CURVES.items():
                data = {}
                for edit, rows in edits.items():
                    found = (rows["setting"] == setting) & (rows["model"] == model)
                    curve = rows[found & (rows["role"] == role)].sort_values("lam")
                    x, y = significant(curve["lam"]), significant(curve["accuracy"])
                    data[edit] = {"x": x, "y": y}
                name = f"{role}, {model}"
                look = {
                    "mode": "lines+markers",
                    "marker_symbol": symbol,
                    "marker_size": 8,
                    "line_dash": dash,
                    "hovertemplate": f"λ = %{{x}}: %{{y:.1%}}<extra>{name}</extra>",
                }
                lines.append(Line(name, colour, data, 1, column, look=look))
    whole = nearest_to(table["lam"].unique(), 1)
    said = {setting: _forgotten(table[table["setting"] == setting], whole) for setting in panels}
    figure = draw(
        lines,
        f"With Δ(λτ) subtracted at λ = {whole:g}, the accuracy goes {by_panel(panels, said)}",
        "Accuracy against lambda on the task whose vector is subtracted and on the pretraining "
        "task. Circles with solid lines: the pretrained network's feature less the task's; "
        "squares with dotted lines: the feature of the negated weights.",
        rows=["accuracy"],
        columns=list(panels.values()),
        menu="task",
        height=460,
    )
    for column, setting in enumerate(panels, 1):
        values = table.loc[table["setting"] == setting, "lam"]
        number_axis(figure, values, "λ", row=1, col=column)
    return figure.update_yaxes(tickformat=".0%")


def _forgotten(table: pd.DataFrame, lam: float) -> str:
    """From where to where the accuracy goes on both tasks up to a λ, mean over task vectors."""
    chosen = table[table["model"] == "feature subtracted"]
    means = chosen.groupby(["role", "lam"])["accuracy"].mean()
    said = [
        f"from {means[role].iloc[0]:.0%} to {means[role, lam]:.0%} on {role}"
        for role in ("D_i", "D_PT")
    ]
    return " and ".join(said)
