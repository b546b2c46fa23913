"""Three ways to fine-tune: all parameters, the tangent space, linear layers only (Jin et al. 2024).

Tables say in a column ``paradigm`` which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pandas as pd

from ctl_helpers.figures.dots import Kind, dots
from ctl_helpers.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    LOG_AXIS,
    VERMILION,
    Figure,
    Line,
    band,
    draw,
    number_axis,
    over_seeds,
    significant,
)
from ctl_helpers.figures.editing import LAMBDA, blocks, nearest_to
from ctl_helpers.findings.words import FLOOR, by_panel, plain, power_of_ten

NAMES = {
    "full": "all parameters",
    "tangent": "tangent space",
    "attention-weights": "linear layers only",
    "attention": "linear layers with biases",
    "block-weights": "linear layers of whole blocks",
    "block": "linear layers of whole blocks with biases",
}
"""What a paradigm is called: the three of the paper's figures, then the variants of its Table 2."""

LOOKS = {
    "full": (BLUE, "circle"),
    "tangent": (VERMILION, "square"),
    "attention-weights": (GREEN, "diamond"),
}
"""The three paradigms of the figures, each with its colour and symbol."""

_HOW = {
    "full": "with all parameters",
    "tangent": "in the tangent space",
    "attention-weights": "with linear layers only",
}
_MEASURES = {"normalized accuracy": "share", "absolute accuracy": "accuracy"}


def ranked(
    panels: Mapping[str, str],
    values: pd.Series,
    form: Callable[[float], str],
    best: str = "lowest",
) -> str:
    """Numbers of the paradigms as one phrase: "0.1 in the tangent space and 0.2 with …".

    Args:
        panels: setting → panel title, in order.
        values: by ``paradigm`` and ``setting``.
        form: how a number is written.
        best: which comes first, the ``"lowest"`` or the ``"highest"`` on average over settings.
    """
    means = values.groupby("paradigm").mean().sort_values(ascending=best == "lowest")
    *most, last = [
        f"{by_panel(panels, values[name].map(form))} {_HOW[name]}" for name in means.index
    ]
    return f"{', '.join(most)} and {last}" if most else last


def of_three(table: pd.DataFrame, panels: Mapping[str, str]) -> pd.DataFrame:
    """The rows of the three paradigms in the settings that are shown."""
    return table[table["paradigm"].isin(list(LOOKS)) & table["setting"].isin(list(panels))]


def single(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Test accuracy of each task's own network, and of the pretrained one (Figures 3 and 6).

    Args:
        table: rows of ``setting``, ``seed``, ``paradigm``, ``network`` (a task, or ``"PT"``, the
            pretrained network, under the paradigm ``"full"``), ``task`` and ``accuracy``.
        panels: setting → panel title, in order.
    """
    rows = of_three(table, panels)
    own = rows[rows["network"] == rows["task"]]
    kinds = [Kind("pretrained", GREY, "x", rows[rows["network"] == "PT"])]
    kinds += [
        Kind(NAMES[name], *look, own[own["paradigm"] == name]) for name, look in LOOKS.items()
    ]
    means = own.groupby(["paradigm", "setting"])["accuracy"].mean()
    short, tangent = (
        by_panel(panels, {s: _beside(means[name, s], means["full", s]) for s in panels})
        for name in ("attention-weights", "tangent")
    )
    return dots(
        kinds,
        panels,
        f"On a network's own task, fine-tuning linear layers only is {short}, the tangent space "
        f"{tangent} all parameters (mean over tasks)",
        "A row for each task and one for their mean: test accuracy of the pretrained network "
        "(crosses) and of the task's own network, fine-tuned in all parameters (circles), in the "
        "tangent space (squares) and in linear layers only (diamonds); bars from the lowest seed "
        "to the highest.",
    )


def _beside(value: float, other: float) -> str:
    """How far one share is behind another: "1.2 points behind"."""
    points = f"{100 * abs(value - other):.1f}"
    if points == "0.0":
        return "level with"
    return f"{points} points {'behind' if value < other else 'ahead of'}"


def addition(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of all task vectors added, mean over tasks, against α (Table 1).

    Args:
        table: rows of ``setting``, ``seed``, ``paradigm``, ``split`` (``"held-out"`` or
            ``"test"``), ``alpha``, ``task``, ``accuracy``, ``share`` (of the accuracy of the
            task's own network) and ``chosen`` (whether α is the one chosen on held-out data).
        panels: setting → panel title, in order.
    """
    table = of_three(table, panels)
    chosen = at_chosen(table)
    held_out = table[table["split"] == "held-out"]
    lines = []
    for column, setting in enumerate(panels, 1):
        for name, (colour, _) in LOOKS.items():
            rows = _where(held_out, setting, name)
            frames = {
                label: over_seeds(rows, "alpha", measure) for label, measure in _MEASURES.items()
            }
            if rows["seed"].nunique() > 1:
                lines.append(band(NAMES[name], colour, frames, "alpha", (1, column)))
            data = {
                label: {"x": significant(frame["alpha"]), "y": significant(frame["mean"])}
                for label, frame in frames.items()
            }
            lines.append(Line(NAMES[name], colour, data, 1, column, look=_look(name, "held-out")))
        for name, (colour, _) in LOOKS.items():
            rows = _where(chosen, setting, name)
            data = {
                label: {"x": significant(rows["alpha"]), "y": significant(rows[measure])}
                for label, measure in _MEASURES.items()
            }
            look = _look(name, "test")
            lines.append(Line(NAMES[name], colour, data, 1, column, look=look, listed=False))
    nothing = {"": {"x": [None], "y": [None]}}
    look = {**_look("full", "test"), "hoverinfo": "skip"}
    lines.append(Line("test, at the α chosen on held-out data", GREY, nothing, look=look))
    best = chosen.groupby(["paradigm", "setting"])["share"].mean()
    figure = draw(
        lines,
        "One network with all task vectors added reaches, of the accuracy of the tasks' own "
        f"networks, {ranked(panels, best, '{:.0%}'.format, 'highest')}",
        "Accuracy, mean over tasks, against the factor of the task vectors: a curve on held-out "
        "data for each paradigm, and a star a seed for test data at the chosen factor. The menu "
        "chooses between normalized accuracy, a share of that of the task's own network, and "
        "absolute accuracy.",
        rows=["mean over tasks"],
        columns=list(panels.values()),
        height=460,
    )
    for column, setting in enumerate(panels, 1):
        values = table.loc[table["setting"] == setting, "alpha"]
        number_axis(figure, values, "α", row=1, col=column)
    return figure.update_yaxes(tickformat=".0%")


def at_chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy at the chosen α, mean over tasks: a row a setting, paradigm and seed."""
    rows = table[(table["split"] == "test") & table["chosen"]]
    keys = ["setting", "paradigm", "seed"]
    return rows.groupby(keys, sort=False)[["alpha", "accuracy", "share"]].mean().reset_index()


def _where(table: pd.DataFrame, setting: str, paradigm: str) -> pd.DataFrame:
    return table[(table["setting"] == setting) & (table["paradigm"] == paradigm)]


def _look(paradigm: str, split: str) -> dict[str, object]:
    """Curves on held-out data, and a star for test data."""
    hover = f"α = %{{x}}: %{{y:.1%}}<extra>{NAMES[paradigm]}, {split}</extra>"
    if split == "test":
        star = {"marker_symbol": "star", "marker_size": 17}
        return {"mode": "markers", **star, "hovertemplate": hover}
    symbol = LOOKS[paradigm][1]
    return {
        "mode": "lines+markers",
        "marker_symbol": symbol,
        "marker_size": 6,
        "hovertemplate": hover,
    }


def linearity(linear: pd.DataFrame, addition: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Equation 2 by block, and its mean against what task addition reaches; no paper has it.

    Args:
        linear: :func:`ctl_helpers.compare` of :func:`ctl_helpers.addition` with columns
            ``setting``, ``seed`` and ``paradigm``; the λ nearest to :data:`LAMBDA` is shown.
            Errors under :data:`FLOOR` are drawn there, as exact.
        addition: as :func:`addition`'s table; the points are of seeds that both tables have.
        panels: setting → what it is called, in order; each has a row of its own.
    """
    rows = of_three(blocks(linear), panels)
    lam = nearest_to(rows["lam"].unique(), LAMBDA)
    rows = rows[np.isclose(rows["lam"], lam)]
    reached = at_chosen(of_three(addition, panels))
    lines = []
    for row, setting in enumerate(panels, 1):
        for metric, name in product(("distance", "baseline"), LOOKS):
            colour, symbol = LOOKS[name]
            label = NAMES[name] if metric == "distance" else f"baseline, {NAMES[name]}"
            means = _where(rows, setting, name).query("metric == @metric")
            means = means.groupby("layer", sort=False)["mean"].mean()
            places = [layer.removeprefix("block ") for layer in means.index]
            data = {"x": places, **_floored(means)}
            look = _error_look(symbol, metric, f"block %{{x}}: %{{text}}<extra>{label}</extra>")
            lines.append(Line(label, colour, {"": data}, row, 1, look=look))
        for name, (colour, symbol) in LOOKS.items():
            share = _where(reached, setting, name).set_index("seed")["share"]
            errors = _where(rows, setting, name).query("metric == 'distance'")
            errors = errors.groupby("seed")["mean"].mean()
            both = share.index.intersection(errors.index)
            data = {"x": significant(share[both]), **_floored(errors[both])}
            hover = f"%{{x:.1%}} after addition, error %{{text}}<extra>{NAMES[name]}</extra>"
            look = {"mode": "markers", "marker_symbol": symbol, "marker_size": 12}
            look["hovertemplate"] = hover
            lines.append(Line(NAMES[name], colour, {"": data}, row, 2, look=look))
    error = rows[rows["metric"] == "distance"].groupby(["paradigm", "setting"])["mean"].mean()
    best = reached.groupby(["setting", "paradigm"])["share"].mean()
    winner = {setting: _HOW[best[setting].idxmax()] for setting in panels}
    figure = draw(
        lines,
        f"At λ = {lam:g} Equation 2 is off by {ranked(panels, error, plain)} (1 − cosine, mean "
        f"over blocks); task addition reaches most {by_panel(panels, winner)}",
        "Left, by block on a log scale, mean of one minus cosine of both sides of Equation 2 "
        "(solid) for each paradigm, and its baseline (dotted); what cannot be told from zero "
        "stands at the lower end, as exact. Right, the mean over blocks against the normalized "
        "accuracy of all task vectors added, a point a seed.",
        rows=["E[1 − cosine]"] * len(panels),
        cells=[text for title in panels.values() for text in (title, "against task addition")],
        columns=["", ""],
        height=180 + 260 * len(panels),
        shared_x=False,
        shared_y="rows",
        spacing=0.3 / len(panels),
    )
    figure.update_xaxes(title_text="block", type="category", col=1)
    figure.update_xaxes(title_text="normalized accuracy", tickformat=".0%", col=2)
    return figure.update_yaxes(**_exact_axis(rows))


def _error_look(symbol: str, metric: str, hover: str) -> dict[str, object]:
    baseline = metric == "baseline"
    return {
        "mode": "lines+markers",
        "marker_symbol": f"{symbol}-open" if baseline else symbol,
        "marker_size": 6 if baseline else 9,
        "line_width": 1 if baseline else 1.5,
        "line_dash": "dot" if baseline else "solid",
        "hovertemplate": hover,
    }


def _floored(means: pd.Series) -> dict[str, list]:
    """Means on a log axis, where what cannot be told from 0 stands at the lower end."""
    texts = ["exact" if value < FLOOR else plain(value) for value in means]
    return {"y": significant(means.clip(lower=FLOOR)), "text": texts}


def _exact_axis(rows: pd.DataFrame) -> dict[str, object]:
    """A logarithmic axis; its lower end is "exact" where something drawn is under the floor."""
    drawn = rows[rows["metric"] != "coef"]
    means = drawn.groupby(["setting", "paradigm", "metric", "layer"])["mean"].mean()
    if means.min() >= FLOOR:
        return LOG_AXIS
    low, high = (round(np.log10(FLOOR)), int(np.ceil(np.log10(max(means.max(), 10 * FLOOR)))))
    exponents = range(low, high + 1)
    return {
        "type": "log",
        "tickvals": [10.0**each for each in exponents],
        "ticktext": ["exact", *(power_of_ten(each) for each in exponents[1:])],
    }
