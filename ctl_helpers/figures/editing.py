"""Networks edited by task vectors: what they can do, and how linear their features are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    GREY,
    LOG_AXIS,
    SYMBOLS,
    Figure,
    Line,
    draw,
    offer_pairs,
    over_seeds,
    point_look,
    points,
    significant,
)
from ctl_helpers.figures.factors import layer_choices
from ctl_helpers.figures.lengths import in_view, length_axes, mean_length, step_look
from ctl_helpers.figures.linearity import times_nearer
from ctl_helpers.findings.words import FLOOR, by_panel

LAMBDA = 0.4
"""Where the paper reads its figures; figures start there, or at the nearest λ that they have."""


def nearest_to(values: Iterable[float], wanted: float) -> float:
    """The one of some values that is nearest to a wanted one."""
    return float(min(values, key=lambda value: abs(value - wanted)))


def by_edit(
    table: pd.DataFrame, keys: Sequence[str], panels: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """Edit → rows of all settings with seeds averaged, the mean over edits first.

    An edit is a pair of task vectors, or a single one where the table has no ``j``. Edits that a
    setting lacks are left out, since panels share a menu.

    Args:
        table: rows of ``setting``, ``i``, perhaps ``j``, ``keys`` and numbers.
        keys: what tells an edit's rows apart.
        panels: setting → panel title.
    """
    pair = "j" in table
    named = table.assign(edit=table["i"] + (" + " + table["j"] if pair else ""))
    left_out = (*keys, "seed", "comparison")
    numbers = [name for name in named.select_dtypes("number") if name not in left_out]
    sets = [set(named.loc[named["setting"] == setting, "edit"]) for setting in panels]
    common = set.intersection(*sets)

    def averaged(part: pd.DataFrame) -> pd.DataFrame:
        return part.groupby(["setting", *keys], sort=False)[numbers].mean().reset_index()

    whole = {f"mean over {'pairs' if pair else 'tasks'}": averaged(named)}
    edits = named.groupby("edit", sort=False)
    return whole | {edit: averaged(part) for edit, part in edits if edit in common}


def start_at(figure: Figure, label: str) -> Figure:
    """Show at first what a button of the figure's last menu shows, if it has one so called."""
    for number, menu in enumerate(figure.layout.updatemenus):
        for place, button in enumerate(menu.buttons):
            if button.label == label:
                figure.layout.updatemenus[number].active = place
                for trace, visible in zip(figure.data, button.args[0]["visible"], strict=True):
                    trace.visible = visible
    return figure


def blocks(table: pd.DataFrame) -> pd.DataFrame:
    """The table with each setting's layers called block 1, block 2, … in their order.

    Of a network with an encoder and a decoder they are encoder 1, …, decoder 1, ….
    """
    names = {}
    for setting, rows in table.groupby("setting", sort=False):
        counts: Counter[str] = Counter()
        for layer in dict.fromkeys(rows["layer"]):
            side = next((side for side in ("encoder", "decoder") if f".{side}." in layer), "block")
            counts[side] += 1
            names[setting, layer] = f"{side} {counts[side]}"
    both = zip(table["setting"], table["layer"], strict=True)
    return table.assign(layer=[names[key] for key in both])


def direction(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``1 − cosine`` of both sides of Eq. 2 or 3 by block (Figures 7, 19, 22 and 23).

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.addition`, or of
            :func:`ctl_helpers.negation`, with columns ``setting`` and ``seed``. Error bars are the
            lower and upper quartile over samples.
        panels: setting → panel title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    scalings = sorted(table["lam"].unique())
    edits = by_edit(table, ["lam", "metric", "layer"], panels)
    places = {
        setting: [name.removeprefix("block ") for name in dict.fromkeys(rows["layer"])]
        for setting, rows in blocks(table).groupby("setting")
    }
    lines = []
    for column, setting in enumerate(panels, 1):
        for n, lam in enumerate(scalings):
            for metric, colour, symbol in (
                ("baseline", GREY, "diamond"),
                ("distance", COLOURS[n % len(COLOURS)], "circle"),
            ):
                chosen = {"setting": setting, "lam": lam, "metric": metric}
                data = {edit: points(_where(rows, chosen)) for edit, rows in edits.items()}
                group = f"λ = {lam:g}"
                name = group if metric == "distance" else f"baseline, {group}"
                look = {"x": places[setting], **point_look(symbol, name, "block %{x}")}
                lines.append(Line(name, colour, data, 1, column, group, look))
    start = nearest_to(scalings, LAMBDA)
    middle = table[np.isclose(table["lam"], start)]
    nearer = {name: times_nearer(part) for name, part in middle.groupby("setting")}
    left, right = _sides(table)
    figure = draw(
        lines,
        f"At λ = {start:g} the {left} are nearer to {right} than those two are to each other, by "
        f"{by_panel(panels, nearer, '{:.0f} times')} in the median",
        "Mean of one minus cosine by block on a log scale. Circles compare the two sides of the "
        "equation, grey diamonds are the baseline between the two edited networks of its right "
        "side.",
        rows=["E[1 − cosine]"],
        columns=list(panels.values()),
        menu="pair" if "j" in table else "task",
        height=460,
        slider="λ",
    )
    figure.update_xaxes(title_text="block", type="category")
    if "j" in table:
        offer_pairs(figure, middle[middle["metric"] == "distance"], " + ")
    return start_at(figure.update_yaxes(**LOG_AXIS), f"λ = {start:g}")


def length(histograms: pd.DataFrame, panels: Mapping[str, str], last: int | None = None) -> Figure:
    """How the length coefficient of Eq. 2 or 3 is distributed, a row a block (Figures 8 and 20).

    Args:
        histograms: :meth:`ctl_helpers.Linearity.histogram` of ``coef`` with columns ``setting``
            and ``seed``; seeds are averaged.
        panels: setting → panel title, in order.
        last: how many blocks to show, from the last one; all when None.
    """
    table = blocks(histograms[histograms["setting"].isin(list(panels))])
    if last is not None:
        table = _ends(table, last)
    names = list(dict.fromkeys(table["layer"]))
    seen, ends = in_view(table)
    scalings = sorted(table["lam"].unique())
    edits = by_edit(seen, ["lam", "layer", "low", "high"], panels)
    lines = []
    for column, setting in enumerate(panels, 1):
        for row, layer in enumerate(names, 1):
            for n, lam in enumerate(scalings):
                chosen = {"setting": setting, "layer": layer, "lam": lam}
                bins = {edit: _where(rows, chosen) for edit, rows in edits.items()}
                first = next(iter(bins.values()))
                name = f"λ = {lam:g}"
                look = step_look(first, name)
                data = {edit: {"y": part["share"].round(3).tolist()} for edit, part in bins.items()}
                colour = COLOURS[n % len(COLOURS)]
                lines.append(Line(name, colour, data, row, column, name, look))
    start = nearest_to(scalings, LAMBDA)
    middle = table[np.isclose(table["lam"], start)]
    sides = _sides(histograms)
    figure = draw(
        lines,
        f"At λ = {start:g} the {sides[0]} have "
        f"{by_panel(panels, mean_length(middle), '{:.1%}')} of the length of the mean "
        f"of {sides[1]}",
        "For each block, the share of samples by length coefficient, where one means equal length "
        "of both sides of the equation.",
        rows=names,
        columns=list(panels.values()),
        menu="pair" if "j" in table else "task",
        height=190 + 110 * len(names),
        shared_y=False,
        slider="λ",
    )
    length_axes(figure, ends, len(names))
    return start_at(figure, f"λ = {start:g}")


def _ends(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows of each setting's last blocks, called by their place where depths differ."""
    layers = {
        setting: list(dict.fromkeys(rows["layer"]))[-count:]
        for setting, rows in table.groupby("setting", sort=False)
    }
    places = ["last block", *(f"last but {n}" for n in range(1, count))][::-1]
    alike = len(set(map(tuple, layers.values()))) == 1
    names = {
        (setting, layer): layer if alike else place
        for setting, found in layers.items()
        for layer, place in zip(found, places[-len(found) :], strict=True)
    }
    both = zip(table["setting"], table["layer"], strict=True)
    return table.assign(layer=[names.get(key) for key in both]).dropna(subset="layer")


def _where(table: pd.DataFrame, chosen: Mapping[str, object]) -> pd.DataFrame:
    found = [table[name] == value for name, value in chosen.items()]
    return table[np.logical_and.reduce(found)]


def _sides(table: pd.DataFrame) -> tuple[str, str]:
    """What the sides of the equation are called whose edits a table has."""
    if "j" in table:
        return "features with both task vectors", "those with either one, twice as long"
    return "pretrained network's features", "those with the task vector added and subtracted"


def against_lambda(eq2: pd.DataFrame, eq3: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and baseline of Equations 2 and 3 against λ, a row an equation.

    The menu chooses the block.

    Args:
        eq2, eq3: as :func:`direction`'s table; edits and seeds are averaged.
        panels: setting → panel title, in order.
    """
    lines, growth = [], {}
    choices = layer_choices(blocks(eq2), panels)
    for row, table in enumerate((eq2, eq3), 1):
        for column, setting in enumerate(panels, 1):
            chosen = blocks(table[table["setting"] == setting])
            for metric, name, colour, symbol in (
                ("baseline", "baseline", GREY, "diamond"),
                ("distance", "1 − cosine of both sides", BLUE, "circle"),
            ):
                rows = chosen[chosen["metric"] == metric]
                frames = {
                    choice: over_seeds(rows[rows["layer"].isin(layers[setting])], "lam")
                    for choice, layers in choices.items()
                }
                data = {
                    choice: {"x": significant(frame["lam"]), **points(frame)}
                    for choice, frame in frames.items()
                }
                look = point_look(symbol, name, "λ = %{x}")
                lines.append(Line(name, colour, data, row, column, look=look))
                if (row, metric) == (1, "distance"):
                    growth[setting] = [2**slope for slope in powers(next(iter(frames.values())))]
    said = {
        name: f"{few[0]:.0f} times at first and {few[-1]:.0f} times at last"
        if few
        else "by what a second λ would tell"
        for name, few in growth.items()
    }
    figure = draw(
        lines,
        f"As λ doubles, the distance of Equation 2 grows {by_panel(panels, said)}; of second order "
        "are 16 times",
        "Mean of one minus cosine against lambda, both on log scales, for Equation 2 above and "
        "Equation 3 below: both sides of the equation (circles), with quartiles over samples, and "
        "the baseline (diamonds). Second order would be a slope of four against two.",
        rows=["Eq. 2: E[1 − cos]", "Eq. 3: E[1 − cos]"],
        columns=list(panels.values()),
        menu="layer",
        height=620,
        shared_y="rows",
    )
    ticks = {"type": "log", "tickvals": sorted(set(eq2["lam"]) | set(eq3["lam"]))}
    figure.update_xaxes(**ticks)
    figure.update_xaxes(title_text="λ", row=2)
    return figure.update_yaxes(**LOG_AXIS)


def against_baseline(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance of Equation 2 against its baseline, a point a block and λ, for several networks.

    Of second order, the distance goes with the square of the baseline: a line of slope 2. Where a
    network stands above another's line, it is less linear at an equal change of its features.

    Args:
        table: as :func:`direction`'s; edits and seeds are averaged.
        panels: setting → what it is called, in order.
    """
    keys = ["setting", "layer", "lam"]
    named = blocks(table[table["setting"].isin(list(panels))])
    means = named.groupby([*keys, "metric"], sort=False)["mean"].mean().unstack().reset_index()
    means = means[(means["distance"] >= FLOOR) & (means["baseline"] >= FLOOR)]
    excess = {
        name: float(np.exp(np.log(rows["distance"] / rows["baseline"] ** 2).median()))
        for name, rows in means.groupby("setting")
    }
    lines = []
    for number, (setting, title) in enumerate(panels.items()):
        rows = means[means["setting"] == setting]
        data = {"x": significant(rows["baseline"]), "y": significant(rows["distance"])}
        said = rows["layer"] + ", λ = " + rows["lam"].map("{:g}".format)
        look = {
            "mode": "markers",
            "marker_symbol": SYMBOLS[number % len(SYMBOLS)],
            "text": said.tolist(),
            "hovertemplate": f"{title}<br>%{{text}}<br>baseline %{{x}}, distance %{{y}}"
            "<extra></extra>",
        }
        lines.append(Line(title, COLOURS[number % len(COLOURS)], {"": data}, look=look))
    figure = draw(
        lines,
        "At an equal baseline networks are not equally linear: the distance is "
        f"{by_panel(panels, excess, '{:.2g}')} times the baseline's square, in the median",
        "Mean distance of Equation 2 against its mean baseline, both on log scales, a point for "
        "each block and lambda, a colour for each network. Second order would be slope two.",
        rows=["E[1 − cosine] of both sides"],
        height=460,
    )
    return figure.update_xaxes(**LOG_AXIS, title_text="baseline").update_yaxes(**LOG_AXIS)


def powers(frame: pd.DataFrame) -> list[float]:
    """With which power of λ a mean grows, from each λ to the next."""
    logs = np.log(frame.sort_values("lam")[["lam", "mean"]].to_numpy(float))
    steps = np.diff(logs, axis=0)
    return (steps[:, 1] / steps[:, 0]).tolist()
