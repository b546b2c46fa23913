"""Two copies of one network, trained apart: how loss and features depend on when they part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import log_axis, number_axes
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    DOTTED,
    GREY,
    Figure,
    band,
    draw,
    drawable,
    in_panels,
    marks,
    over_seeds,
    sequence,
    significant,
    xy,
)
from ctl_helpers.figures.factors import CALLED, Series
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.views import BY_LOG, READ_AGAINST, references, series, views
from ctl_helpers.findings.changes import changes
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.spawning import NO_BARRIER, bound_used, inner, spawned
from ctl_helpers.findings.words import by_panel, extent
from ctl_helpers.results.labels import Metric


def spawning(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Loss barrier and features' linearity against the epochs before two copies part (Section 3).

    Args:
        table: rows of ``setting``, ``seed``, ``k`` (epochs trained before spawning), ``barrier``
            (of the loss on test data, nats) and, at α = 0.5 and mean over layers, ``distance``,
            ``baseline``, ``coef`` and ``epsilon``, as far as there are such columns. Rows of one
            seed and ``k`` are averaged; a band spans the seeds. Distances under ``FLOOR`` are not
            drawn.
    """
    measured = table.melt(
        ["setting", "seed", "k"],
        [metric for metric in Metric if metric in table],
        var_name="metric",
        value_name="mean",
    )
    shown = views(measured)
    metric = Metric(shown[0].key)
    ends = [spawned.by_setting(table, name=metric, at=at) for at in ("first", "last")]
    figure = draw(
        [*_barrier_lines(table, panels), *_spawned_lines(measured, panels, shown)],
        by_setting(
            panels,
            lambda one: (
                f"Epochs before spawning {extent(table, 'k', one)}: the loss barrier (nats) "
                f"{_barriers(table, one)}; the {CALLED[metric]} of the features "
                f"{changes(one, *ends)}"
            ),
        ),
        "Against the number of epochs that two copies of a network share before they are trained "
        "apart: above, the loss barrier between them in nats; below, mean over layers, how linear "
        f"their features are. {READ_AGAINST} Pale areas around lines span the seeds.",
        rows=["loss barrier (nats)", ""],
        columns=list(panels.values()),
        height=560,
        views=shown,
        viewed=(2,),
        findings=quoted(*_ends(table), *(of.values() for of in ends)),
    )
    number_axes(figure, table, "k", panels, "epochs before spawning", row=2)
    # Barriers of next to nothing look so.
    flat = table["barrier"].max() < 0.1
    figure.update_yaxes(**{"range": [-0.005, 0.1]} if flat else {"rangemode": "tozero"}, row=1)
    return figure


def _barrier_lines(table: pd.DataFrame, panels: Mapping[str, str]) -> Iterator[Line]:
    for column, _, part in in_panels(table, panels):
        frame = over_seeds(part, "k", "barrier")
        yield from _ranged(frame, ("loss barrier", BLUE, "circle"), (1, column))


def _spawned_lines(
    table: pd.DataFrame, panels: Mapping[str, str], shown: Sequence[View]
) -> Iterator[Line]:
    for column, _, part in in_panels(table, panels):
        for view in shown:
            yield from references(view, [part["k"].min(), part["k"].max()], 2, column)
            for metric in series(view):
                frame = over_seeds(part[part["metric"] == metric], "k")
                if metric in BY_LOG:
                    frame = drawable(frame)
                look = Series("at α = 0.5", COLOURS[2]).of(metric)
                yield from _ranged(frame, look, (2, column), view.key)


def _ranged(
    frame: pd.DataFrame, look: tuple[str, str, str], place: tuple[int, int], view: str = ""
) -> Iterator[Line]:
    """A line over its range of seeds, of :func:`over_seeds`; ``look`` as in :class:`Series`."""
    name, colour, symbol = look
    ends = zip(significant(frame["low"]), significant(frame["high"]), strict=True)
    data = {**xy(frame, "k", "mean"), "customdata": [list(pair) for pair in ends]}
    hover = (
        "spawned after %{x} epochs: %{y}<br>seeds %{customdata[0]} to "
        f"%{{customdata[1]}}<extra>{name}</extra>"
    )
    drawn = marks(hover, symbol, line_dash="solid" if symbol == "circle" else "dot")
    if not frame["low"].equals(frame["high"]):
        yield band(name, colour, {"": frame}, "k", place, view=view)
    yield Line(name, colour, {"": data}, *place, look=drawn, view=view)


def _barriers(table: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """How the mean over seeds of each one's barrier goes with k, in words."""
    first, last, most = (
        spawned.by_setting(table, name="barrier", at=at) for at in ("first", "last", "most")
    )
    none = [name for name in panels if name in most and float(most[name]) < NO_BARRIER]
    stays = by_panel(panels, dict.fromkeys(none, f"under {NO_BARRIER:g} throughout"))
    rest = [{name: of[name] for name in of if name not in none} for of in (first, last)]
    parts = [f"is {stays}" if none else "", changes(panels, *rest)]
    return ", and ".join(part for part in parts if part)


def _ends(table: pd.DataFrame) -> list[Iterable[Finding]]:
    """The barriers that :func:`_barriers` begins and ends with."""
    return [spawned.by_setting(table, name="barrier", at=at).values() for at in ("first", "last")]


def curves(table: pd.DataFrame, barriers: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Loss along ``θ_α`` between two copies for each spawning epoch ``k`` (Section 3).

    Args:
        table: rows of ``k``, ``alpha`` and ``loss`` (nats).
        barriers: rows of ``k`` and ``barrier`` (nats).
    """
    epochs = sorted(table["k"].unique())
    colours = dict(zip(epochs, sequence(len(epochs)), strict=True))
    lines = []
    for column, _, part in in_panels(table, panels):
        for k, rows in part.groupby("k"):
            loss = rows.groupby("alpha")["loss"].mean()
            name = f"k = {k:g}"
            data = {"x": significant(loss.index), "y": significant(loss)}
            look = marks(f"α = %{{x}}: loss %{{y:.3f}}<extra>{name}</extra>", size=6)
            lines.append(Line(name, colours[k], {"": data}, 1, column, name, look))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"Epochs before spawning {extent(table, 'k', one)}: the barrier between two "
                "copies (nats above the straight line between their losses) "
                f"{_barriers(barriers, one)}, mean over seeds"
            ),
        ),
        "Loss against alpha on the line between two copies of a network, a line for each number "
        "of epochs k that they share before they are trained apart, from blue (few) to orange "
        "(many).",
        rows=["loss (nats)"],
        columns=list(panels.values()),
        height=460,
        shared_y=False,  # what is flat on one network's scale is not on another's
        gap=0.1,
        slider="k",
        findings=quoted(*_ends(barriers)),
    )
    return figure.update_xaxes(title_text="α", zeroline=False)


def induced(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """How near the loss is to that of mixed logits, against the logits' error (Theorem 3.3).

    The theorem assumes exact linearity. Cross-entropy changes by at most √2 times the Euclidean
    length of a change in the logits, which bounds the gap where linearity is not exact.

    Args:
        table: rows of ``setting``, ``seed``, ``k``, ``alpha``, ``gap`` (``|L(θ_α) − L(mixed
            logits)|``) and ``error`` (mean norm of the logits' difference). The ends of the line,
            where both are 0, and rows without a positive gap and error are not drawn.
    """
    table = table[table["setting"].isin(list(panels))]
    shown = inner(table)
    shown = shown[(shown["gap"] > 0) & (shown["error"] > 0)]
    cases = {
        name: _cases(rows["gap"] <= math.sqrt(2) * rows["error"])
        for _, name, rows in in_panels(shown, panels)
    }
    middle, most = (bound_used.by_setting(table, at=at) for at in ("median", "most"))
    figure = draw(
        _induced_lines(shown, panels),
        by_setting(
            panels,
            lambda one: (
                "The gap in loss stays under √2 times the logits' error in "
                f"{by_panel(one, cases)} cases; it is {by_panel(one, middle)} of that bound in the "
                f"median and {by_panel(one, most)} at most"
            ),
        ),
        "Scatter plot on log scales. The horizontal place is the mean error of the mixed "
        "network's logits against the mixed logits, the vertical one the difference of the two "
        "losses; colours from blue to orange are epochs before spawning. The dotted line is the "
        "bound.",
        rows=["gap in loss (nats)"],
        columns=list(panels.values()),
        height=480,
        slider="k",
        findings=quoted(middle.values(), most.values()),
    )
    figure.update_xaxes(title_text="error of the logits", **log_axis(shown["error"]))
    return figure.update_yaxes(**log_axis(shown["gap"]))


def _cases(held: pd.Series) -> str:
    """Such as "all 12", or "11 of 12"."""
    return f"all {len(held)}" if held.all() else f"{held.sum()} of {len(held)}"


def _induced_lines(shown: pd.DataFrame, panels: Mapping[str, str]) -> list[Line]:
    epochs = sorted(shown["k"].unique())
    colours = dict(zip(epochs, sequence(len(epochs)), strict=True))
    ends = [shown["error"].min() / 1.3, shown["error"].max() * 1.3]
    bound = {"": {"x": ends, "y": [math.sqrt(2) * end for end in ends]}}
    hover = "%{text}<br>error of the logits %{x}<br>gap in loss %{y}<extra></extra>"
    look = marks(hover, size=8, mode="markers", opacity=0.75)
    lines = []
    for column, _, part in in_panels(shown, panels):
        lines.append(Line("bound √2 · error", GREY, bound, 1, column, look=DOTTED))
        for k, rows in part.groupby("k"):
            name = f"k = {k:g}"
            texts = [f"{name}, α = {r.alpha:g}, seed {r.seed}" for r in rows.itertuples()]
            data = {**xy(rows, "error", "gap"), "text": texts}
            lines.append(Line(name, colours[k], {"": data}, 1, column, name, look))
    return lines
