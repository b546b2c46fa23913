"""What edited and stitched networks can do: accuracies against λ (Section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import number_axes
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    DOTTED,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    Figure,
    draw,
    in_panels,
    marks,
    significant,
    xy,
)
from ctl_helpers.figures.editing import by_edit, of_panel
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.editing import nearest_to
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.stitching import (
    TUNED,
    added_accuracy,
    added_lambda,
    negation_accuracy,
    stitch_accuracy,
    stitch_alone,
)
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import AddedModel, NegatedModel, Role, Split

_MODELS = {
    AddedModel.FEATURES: (BLUE, "circle"),
    AddedModel.WEIGHTS: (GREEN, "square"),
    AddedModel.FIRST: (VERMILION, "triangle-right"),
    AddedModel.SECOND: (PURPLE, "triangle-up"),
}
_NAMED = {  # where λ stands beside a point
    AddedModel.FEATURES: "bottom right",
    AddedModel.FIRST: "bottom center",
    AddedModel.SECOND: "middle right",
}
_EDITED = {NegatedModel.FEATURE: ("circle", "solid"), NegatedModel.WEIGHTS: ("square", "dot")}
_ROLES = {Role.PRETRAINING: GREEN, Role.FIRST: VERMILION}
_TOLD = {Role.PRETRAINING: "the pretraining task", Role.FIRST: "the vector's task"}


def added(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of all task vectors added, on each task, against λ.

    Args:
        table: rows of ``split``, ``lam``, ``task``, ``accuracy``, ``share`` (of what the task's own
            network reaches) and ``chosen`` (whether λ is the one chosen on held-out data).
    """
    test = table[table["split"] == Split.TEST]
    best, chosen = added_accuracy.by_setting(table, share=True), added_lambda.by_setting(table)
    start = added_accuracy.by_setting(table, share=True, before=True)

    def beside(name: str) -> str:
        if not float(chosen[name]):
            return "which adds nothing"
        harms = best[name].value < start[name].value and str(best[name]) != str(start[name])
        return f"the pretrained network {start[name]}{', so that adding does harm' * harms}"

    at = {
        name: f"{best[name]} of their accuracy at λ = {chosen[name]}, {beside(name)}"
        for name in best
    }
    lines = []
    for column, _, rows in in_panels(test, panels):
        for task, part in rows.groupby("task", sort=False):
            lines.append(_accuracy("a task", GREY, part, column, str(task), width=1))
        lines.append(_accuracy("mean over tasks", BLUE, rows, column, "mean over tasks", width=3))
    nothing = {"": {"x": [None], "y": [None]}}
    lines.append(Line("λ chosen on held-out data, a line per seed", GREY, nothing, look=DOTTED))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "One network with all task vectors added, beside the tasks' own networks, "
                f"reaches {by_panel(one, at)}; λ was chosen on held-out data"
            ),
        ),
        "Test accuracy against lambda: a thin grey line for each task and a thick one for their "
        "mean, from the pretrained network at zero. A dotted line marks the chosen lambda.",
        rows=["accuracy"],
        columns=list(panels.values()),
        height=440,
        findings=quoted(best.values(), chosen.values(), start.values()),
    )
    for column, _, rows in in_panels(test[test["chosen"]], panels):
        for place in sorted(rows["lam"].unique()):
            figure.add_vline(x=place, line_dash="dot", line_color=GREY, row=1, col=column)
    number_axes(figure, test, "lam", panels, "λ")
    return figure.update_yaxes(tickformat=".0%")


def _accuracy(
    name: str, colour: str, rows: pd.DataFrame, column: int, label: str, width: int
) -> Line:
    means = rows.groupby("lam")["accuracy"].mean()
    data = {"x": significant(means.index.to_series()), "y": significant(means)}
    hover = f"λ = %{{x}}: %{{y:.1%}}<extra>{label}</extra>"
    look = marks(hover, size=3 + 2 * width, line_width=width)
    return Line(name, colour, {"": data}, 1, column, look=look)


def addition(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of stitched models on both tasks of a pair, a curve in λ each (Figure 9).

    Args:
        table: rows of ``i``, ``j``, ``lam``, ``model``, ``D_i`` and ``D_j`` (accuracies).
    """
    table = table[table["setting"].isin(list(panels))]
    lam = nearest_to(table["lam"].unique(), TUNED)
    averaged = stitch_accuracy.by_setting(table, model=AddedModel.FEATURES)
    own, other = (stitch_alone.by_setting(table, own=own) for own in (True, False))
    start = stitch_accuracy.by_setting(table, model=AddedModel.WEIGHTS, lam=0.0)
    findings = [averaged, own, other, start]
    phrases = {
        name: f"{averaged[name]} of both tasks' samples, one network's on {own[name]} of its own "
        f"and {other[name]} of the other's, the pretrained ones on {start[name]}"
        for name in panels
    }
    figure = draw(
        _addition_lines(by_edit(table, ["model", "lam"], panels), panels),
        by_setting(
            panels,
            lambda one: (
                f"At λ = {lam:g} averaged features are right on {by_panel(one, phrases)}, "
                "mean over all pairs"
            ),
        ),
        "Accuracy on task j against accuracy on task i. Each of four stitched models draws a "
        "curve from the pretrained network on with growing lambda: averaged features (circles), "
        "merged weights (squares) and the features of either network alone (triangles). λ stands "
        "beside the points of the fine-tuned networks and of the largest λ.",
        rows=["accuracy on D<sub>j</sub>"],
        columns=list(panels.values()),
        menu="pair",
        height=500,
        shared_y=False,
        gap=0.12,
        findings=quoted(*(one.values() for one in findings)),
    )
    figure.update_xaxes(title_text="accuracy on D<sub>i</sub>", tickformat=".0%")
    return figure.update_yaxes(tickformat=".0%")


def _addition_lines(edits: Mapping[str, pd.DataFrame], panels: Mapping[str, str]) -> list[Line]:
    lines = []
    for column, setting in enumerate(panels, 1):
        for model, (colour, symbol) in _MODELS.items():
            curves = _curves(edits, setting=setting, model=model)
            data = {
                edit: {
                    **xy(curve, "D_i", "D_j"),
                    "customdata": curve["lam"].tolist(),
                    "text": [_named(lam, curve["lam"]) for lam in curve["lam"]],
                }
                for edit, curve in curves.items()
            }
            hover = (
                "λ = %{customdata}<br>D<sub>i</sub> %{x:.1%}, D<sub>j</sub> %{y:.1%}"
                f"<extra>{model}</extra>"
            )
            look = marks(hover, symbol, line_width=1.5)
            if model in _NAMED:
                look |= {"mode": "lines+markers+text", "textposition": _NAMED[model]}
                look["cliponaxis"] = False
            lines.append(Line(str(model), colour, data, 1, column, look=look))
    return lines


def _named(lam: float, lams: pd.Series) -> str:
    """What stands beside a point: the λ of the fine-tuned networks, and the largest one."""
    return f"{lam:g}" if lam in (nearest_to(lams, TUNED), lams.max()) else ""


def _curves(edits: Mapping[str, pd.DataFrame], **values: object) -> dict[str, pd.DataFrame]:
    """Edit → its rows of some values, by rising λ."""
    own = of_panel(edits, **values)
    return {edit: rows.sort_values("lam") for edit, rows in own.items()}


def negation(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy on ``D_i`` and ``D_PT`` after subtracting Δ, and after subtracting τ (Figure 10).

    Args:
        table: :func:`ctl_helpers.analysis.stitching.stitched_negation`.
    """
    table = table[table["setting"].isin(list(panels))]
    ends = {
        role: [negation_accuracy.by_setting(table, role=role, at=at) for at in ("start", "chosen")]
        for role in (Role.FIRST, Role.PRETRAINING)
    }
    phrases = {
        name: " and ".join(
            f"from {before[name]} to {after[name]} on {_TOLD[role]}"
            for role, (before, after) in ends.items()
        )
        for name in panels
    }
    test = table[table["split"] == Split.TEST]
    figure = draw(
        _negation_lines(by_edit(test, ["model", "role", "lam"], panels), panels),
        by_setting(
            panels,
            lambda one: (
                "With Δ(λτ) subtracted at the λ that keeps 95% of the pretraining task's accuracy "
                f"on held-out data, test accuracy goes {by_panel(one, phrases)}, mean over all "
                "tasks"
            ),
        ),
        "Test accuracy against lambda on the task whose vector is subtracted and on the "
        "pretraining task; held-out data choose the lambda of the title. Circles with solid "
        "lines: the pretrained network's feature less the task's; squares with dotted lines: the "
        "feature of the negated weights.",
        rows=["accuracy"],
        columns=list(panels.values()),
        menu="task",
        height=460,
        findings=quoted(*(one.values() for pair in ends.values() for one in pair)),
    )
    number_axes(figure, test, "lam", panels, "λ")
    return figure.update_yaxes(tickformat=".0%")


def _negation_lines(edits: Mapping[str, pd.DataFrame], panels: Mapping[str, str]) -> list[Line]:
    lines = []
    for column, setting in enumerate(panels, 1):
        for role, colour in _ROLES.items():
            for model, (symbol, dash) in _EDITED.items():
                curves = _curves(edits, setting=setting, model=model, role=role)
                data = {edit: xy(curve, "lam", "accuracy") for edit, curve in curves.items()}
                name = f"{_TOLD[role]}, {model}"
                hover = f"λ = %{{x}}: %{{y:.1%}}<extra>{name}</extra>"
                look = marks(hover, symbol, size=8, line_dash=dash)
                lines.append(Line(name, colour, data, 1, column, look=look))
    return lines
