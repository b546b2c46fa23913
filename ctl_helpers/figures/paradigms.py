"""Three ways to fine-tune: all parameters, the tangent space, linear layers only (Jin et al. 2024).

Tables say in a column ``paradigm`` which it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import number_axes, percent_axis
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.dots import Kind, dots
from ctl_helpers.figures.drawing import (
    GREY,
    Figure,
    band,
    draw,
    in_panels,
    marks,
    over_seeds,
    significant,
    xy,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.three import (
    HOW,
    LOOKS,
    of_three,
    quotes,
    ranked,
    reaching_most,
    undecided,
)
from ctl_helpers.figures.views import (
    BANDS,
    BY_LOG,
    READ_AGAINST,
    Controls,
    references,
    series,
    views,
)
from ctl_helpers.findings.editing import blocks, nearest_to
from ctl_helpers.findings.paradigms import (
    ByParadigm,
    by_paradigm,
    paradigm_epsilon,
    single_behind,
    sum_alpha,
    sum_reached,
)
from ctl_helpers.findings.words import FLOOR, by_panel, plain, power_of_ten
from ctl_helpers.results.labels import PAPER_LAMBDA, PARADIGM_NAMES, Metric, Paradigm, Split

_VALUES = {"normalized accuracy": "share", "absolute accuracy": "accuracy"}
_WHOLE = {"cliponaxis": False}  # the tangent space is exact, and its marks stand on the axis


def single(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Test accuracy of each task's own network, and of the pretrained one (Figures 3 and 6).

    Args:
        table: rows of ``setting``, ``seed``, ``paradigm``, ``network`` (a task, or ``"PT"``, the
            pretrained network, under the paradigm ``"full"``), ``task`` and ``accuracy``.
    """
    rows = of_three(table, panels)
    own = rows[rows["network"] == rows["task"]]
    kinds = [Kind("pretrained", GREY, "x", rows[rows["network"] == "PT"])]
    kinds += [
        Kind(PARADIGM_NAMES[name], *look, own[own["paradigm"] == name])
        for name, look in LOOKS.items()
    ]
    behind = by_paradigm(single_behind, rows)
    ours, tangent = (
        {name: f"{one}{undecided(one)}" for name, one in behind[paradigm].items()}
        for paradigm in (Paradigm.ATTENTION_WEIGHTS, Paradigm.TANGENT)
    )
    return dots(
        kinds,
        panels,
        by_setting(
            panels,
            lambda one: (
                "Accuracy on a network's own task, compared with all parameters: linear "
                f"layers only {by_panel(one, ours)}, the tangent space {by_panel(one, tangent)} "
                "(mean over tasks)"
            ),
        ),
        "A row for each task and one for their mean: test accuracy of the pretrained network "
        "(crosses) and of the task's own network, fine-tuned in all parameters (circles), in the "
        "tangent space (squares) and in linear layers only (diamonds); bars from the lowest seed "
        "to the highest.",
        findings=quotes({name: of for name, of in behind.items() if name != Paradigm.FULL}),
    )


def addition(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of all task vectors added, mean over tasks, against α (Table 1).

    Args:
        table: rows of ``setting``, ``seed``, ``paradigm``, ``split`` (``"held-out"`` or
            ``"test"``), ``alpha``, ``task``, ``accuracy``, ``share`` (of the accuracy of the
            task's own network) and ``chosen`` (whether α is the one chosen on held-out data).
    """
    table = of_three(table, panels)
    nothing = {"": {"x": [None], "y": [None]}}
    look = {**_look(Paradigm.FULL, Split.TEST), "hoverinfo": "skip"}
    best, alphas = (by_paradigm(one, table) for one in (sum_reached, sum_alpha))
    nothing_added = bool(_adds_nothing(alphas, panels))
    figure = draw(
        [
            *(line for panel in enumerate(panels, 1) for line in _searched(table, *panel)),
            Line("test, at the α chosen on held-out data", GREY, nothing, look=look),
        ],
        by_setting(
            panels,
            lambda one: (
                "One network with all task vectors added reaches, of the accuracy of the "
                f"tasks' own networks, {ranked(one, best, 'highest')}{_adds_nothing(alphas, one)}"
            ),
        ),
        "Accuracy, mean over tasks, against the factor of the task vectors: a curve on held-out "
        "data for each paradigm, one star per seed for test data at the chosen factor. The menu "
        "chooses between normalized accuracy, a share of that of the task's own network, and "
        "absolute accuracy.",
        rows=["mean over tasks"],
        columns=list(panels.values()),
        height=460,
        findings=quotes(best, alphas if nothing_added else {}),
    )
    number_axes(figure, table, "alpha", panels, "α")
    return figure.update_yaxes(tickformat=".0%")


def _adds_nothing(alphas: ByParadigm, panels: Mapping[str, str]) -> str:
    """With which paradigms the chosen α is 0 in a setting, for the end of a takeaway."""
    which = [
        HOW[name]
        for name, of in alphas.items()
        if any(float(of[setting]) == 0 for setting in panels if setting in of)
    ]
    return f"; {' and '.join(which)} the chosen α is 0, which adds nothing" if which else ""


def _searched(table: pd.DataFrame, column: int, setting: str) -> Iterator[Line]:
    """Each paradigm's curve on held-out data over its range of seeds, then its stars."""
    table = table[table["setting"] == setting]
    held_out, chosen = table[table["split"] == Split.HELD_OUT], _at_chosen(table)
    for name, (colour, _) in LOOKS.items():
        rows = held_out[held_out["paradigm"] == name]
        frames = {label: over_seeds(rows, "alpha", value) for label, value in _VALUES.items()}
        if rows["seed"].nunique() > 1:
            yield band(PARADIGM_NAMES[name], colour, frames, "alpha", (1, column))
        data = {label: xy(frame, "alpha", "mean") for label, frame in frames.items()}
        look = _look(name, Split.HELD_OUT)
        yield Line(PARADIGM_NAMES[name], colour, data, 1, column, look=look)
    for name, (colour, _) in LOOKS.items():
        rows = chosen[chosen["paradigm"] == name]
        data = {label: xy(rows, "alpha", value) for label, value in _VALUES.items()}
        look = _look(name, Split.TEST)
        yield Line(PARADIGM_NAMES[name], colour, data, 1, column, look=look, listed=False)


def _at_chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy at the chosen α, mean over tasks: a row a setting, paradigm and seed."""
    rows = table[(table["split"] == Split.TEST) & table["chosen"]]
    keys = ["setting", "paradigm", "seed"]
    return rows.groupby(keys, sort=False)[["alpha", "accuracy", "share"]].mean().reset_index()


def _look(paradigm: Paradigm, split: Split) -> dict[str, object]:
    """Curves on held-out data, and a star for test data."""
    hover = f"α = %{{x}}: %{{y:.1%}}<extra>{PARADIGM_NAMES[paradigm]}, {split}</extra>"
    if split == Split.TEST:
        edge = {"marker_line_width": 1.5, "marker_line_color": GREY}  # seen on a line of its colour
        return marks(hover, "star", size=13, mode="markers", **edge)
    return marks(hover, LOOKS[paradigm][1], size=6)


def linearity(
    linear: pd.DataFrame,
    addition: pd.DataFrame,
    panels: Mapping[str, str],
    *,
    controls: pd.DataFrame | None = None,
) -> Figure:
    """Equation 2 by block, and its mean against what task addition reaches; no paper has it.

    Args:
        linear: :func:`ctl_helpers.compare` of :func:`ctl_helpers.addition` with columns
            ``setting``, ``seed`` and ``paradigm``; the λ nearest to :data:`PAPER_LAMBDA` is shown.
            Distances under :data:`FLOOR` are drawn there, as exact.
        addition: as :func:`addition`'s table; the points are of seeds that both tables have.
        panels: setting → what it is called, in order; each has a row of its own.
        controls: as ``linear``, with ``control``; drawn as bands.
    """
    rows = of_three(blocks(linear), panels)
    lam = nearest_to(rows["lam"].unique(), PAPER_LAMBDA)
    rows = rows[np.isclose(rows["lam"], lam)]
    reached = _at_chosen(of_three(addition, panels))
    errors = by_paradigm(paradigm_epsilon, linear)
    best = by_paradigm(sum_reached, addition)
    winner = {setting: reaching_most(best, setting) for setting in panels}
    shown = [_exact(view, rows) for view in views(rows)]
    bands = Controls(None if controls is None else blocks(controls))
    lines = [
        line
        for row, setting, own in in_panels(rows, panels)
        for view in shown
        for line in _row(own, reached[reached["setting"] == setting], row, view, bands)
    ]
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"At λ = {lam:g} the linearity error ε of Equation 2 is "
                f"{ranked(one, errors)} (mean over blocks); the sum of task vectors is best "
                f"{by_panel(one, winner)}"
            ),
        ),
        "Left, by block, how far both sides of Equation 2 are apart for each paradigm; right, the "
        "mean over blocks against the normalized accuracy of all task vectors added, one point per "
        f"seed. {READ_AGAINST} On the log scale, what cannot be told from zero stands at the lower "
        f"end, as exact.{BANDS if controls is not None else ''}",
        rows=[""] * len(panels),
        cells=[text for title in panels.values() for text in (title, "against task addition")],
        columns=["", ""],
        height=180 + 260 * len(panels),
        shared_x=False,
        spacing=0.3 / len(panels),
        views=shown,
        viewed=range(1, len(panels) + 1),
        findings=quotes(errors),
    )
    figure.update_xaxes(title_text="block", type="category", col=1)
    form = percent_axis(reached["share"])
    return figure.update_xaxes(title_text="normalized accuracy", nticks=5, **form, col=2)


def _row(
    rows: pd.DataFrame, reached: pd.DataFrame, row: int, view: View, controls: Controls
) -> Iterator[Line]:
    """One setting's errors by block, and their means against what sums reach."""
    names = {name: name.removeprefix("block ") for name in rows["layer"].unique()}
    yield from references(view, list(names.values()), row, 1)
    yield from controls.by_layer(rows["setting"].iloc[0], view, names, row, 1)
    for metric, (name, (colour, symbol)) in product(series(view), LOOKS.items()):
        label = "baseline, " * (metric == Metric.BASELINE) + PARADIGM_NAMES[name]
        own = rows[(rows["paradigm"] == name) & (rows["metric"] == metric)]
        means = own.groupby("layer", sort=False)["mean"].mean()
        look = _error_look(symbol, metric, f"block %{{x}}: %{{text}}<extra>{label}</extra>")
        data = {"": {"x": [names[layer] for layer in means.index], **_floored(means)}}
        yield Line(label, colour, data, row, 1, look=look, view=view.key)
    for name, (colour, symbol) in LOOKS.items():
        share = reached[reached["paradigm"] == name].set_index("seed")["share"]
        errors = rows[(rows["paradigm"] == name) & (rows["metric"] == view.key)]
        errors = errors.groupby("seed")["mean"].mean()
        both = share.index.intersection(errors.index)
        label = PARADIGM_NAMES[name]
        hover = f"%{{x:.1%}} after addition, %{{text}}<extra>{label}</extra>"
        look = marks(hover, symbol, size=12, mode="markers") | _WHOLE
        data = {"": {"x": significant(share[both]), **_floored(errors[both])}}
        yield Line(label, colour, data, row, 2, look=look, view=view.key)


def _error_look(symbol: str, metric: Metric, hover: str) -> dict[str, object]:
    if metric == Metric.BASELINE:
        return marks(hover, f"{symbol}-open", size=6, line_width=1, line_dash="dot")
    return marks(hover, symbol, line_width=1.5, line_dash="solid") | _WHOLE


def _floored(means: pd.Series) -> dict[str, list]:
    """Means on a log axis, where what cannot be told from 0 stands at the lower end."""
    texts = ["exact" if value < FLOOR else plain(value) for value in means]
    return {"y": significant(means.clip(lower=FLOOR)), "text": texts}


def _exact(view: View, rows: pd.DataFrame) -> View:
    """A view whose log axis ends in "exact" where something drawn is under the floor."""
    drawn = rows[rows["metric"].isin(BY_LOG)]
    means = drawn.groupby(["setting", "paradigm", "metric", "layer"])["mean"].mean()
    if view.key != Metric.DISTANCE or means.min() >= FLOOR:
        return view
    low, high = (round(np.log10(FLOOR)), int(np.ceil(np.log10(max(means.max(), 10 * FLOOR)))))
    exponents = range(low, high + 1)
    ticks = {
        "tickmode": "array",
        "tickvals": [10.0**each for each in exponents],
        "ticktext": ["exact", *(power_of_ten(each) for each in exponents[1:])],
    }
    return replace(view, form={**view.form, **ticks})
