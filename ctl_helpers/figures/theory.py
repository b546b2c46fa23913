"""Theorem 5.1's bound on the deviation from linearity, against what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import log_axis, scales
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    DOTTED,
    GREY,
    ORANGE,
    SYMBOLS,
    Figure,
    draw,
    in_panels,
    marks,
    sequence,
    significant,
    xy,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.curvature import explained as explained_by
from ctl_helpers.findings.curvature import share_of_bound, start_name, under_bound
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.words import by_panel

_FIT = {**DOTTED, "line_width": 1.5}
REGRESSORS = {
    "product": ("the bound", "½ α(1−α) λ<sub>max</sub> ‖θ<sub>i</sub>−θ<sub>j</sub>‖²"),
    "curvature": ("the curvature", "λ<sub>max</sub>"),
    "squared_distance": ("the squared distance", "‖θ<sub>i</sub>−θ<sub>j</sub>‖²"),
}
"""Column → its name in a sentence and on an axis."""


def regression(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """δ against the bound or, by the menu, one of its factors, with R², a panel a setting (Sec. 5).

    Args:
        table: a row a pair of networks: ``setting``, ``start`` (the name of its ``θ_PT``),
            ``delta``, ``product`` (the bound ``½ α(1−α) λ_max ‖θ_i − θ_j‖²``), ``curvature``
            (``λ_max``) and ``squared_distance``; ``i``, ``j``, ``seed`` and ``alpha`` are told
            when pointed at, where the table has them.
    """
    table = table[table["setting"].isin(list(panels))]
    starts = sorted(table["start"].unique(), key=_by_number)
    colours = dict(zip(starts, sequence(len(starts)), strict=True))
    explained = {name: explained_by.by_setting(table, name=name) for name in REGRESSORS}
    seeds = table["seed"].nunique() if "seed" in table else 1
    lines = [
        line
        for name in REGRESSORS
        for column, _, rows in in_panels(table, panels)
        for line in _scattered(rows, name, colours, column)
    ]
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: f"{best(explained, one)}{', mean of the fits seed by seed' * (seeds > 1)}",
        ),
        "A scatter plot for each setting of the deviation from linearity, delta, for pairs of "
        "fine-tuned networks, with a line of least squares for every seed. The menu chooses what "
        "it is drawn against: the bound, the largest eigenvalue of the Hessian alone, or the "
        "squared distance of the weights alone, on logarithmic axes or on linear ones. Colours "
        "from blue to orange are pretrained networks.",
        rows=["δ"],
        columns=list(panels.values()),
        height=470,
        shared_x=False,
        switches=_regressors(table, panels, explained),
        findings=quoted(*(of.values() for of in explained.values())),
    )
    for menu in figure.layout.updatemenus:
        for number, choice in enumerate(menu.buttons):
            name = list(REGRESSORS)[number % len(REGRESSORS)]
            shown = {"visible": [line.view == name for line in lines]}
            choice.update(method="update", args=[shown, choice.args[0]])
        figure.update_layout(_nested(menu.buttons[0].args[1]))
    return figure


def _regressors(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    explained: Mapping[str, Mapping[str, Finding]],
) -> dict[str, dict[str, object]]:
    """What δ can be drawn against → the axes for it: the logarithmic ones first.

    A few large values would press all others into a corner of linear axes.
    """
    forms: dict[str, dict[str, dict[str, object]]] = {"log axes": {}, "linear axes": {}}
    for name, (called, axis) in REGRESSORS.items():
        titles: dict[str, object] = {}
        values: dict[str, pd.Series] = {}
        for column, setting, rows in in_panels(table, panels):
            number = column if column > 1 else ""
            strength = explained[name].get(setting, "–")
            titles[f"xaxis{number}.title.text"] = f"{axis}: R² = {strength}"
            values |= {f"xaxis{number}": rows[name], f"yaxis{number}": table["delta"]}
        for scale, change in scales(values).items():
            forms[scale][called if scale == "log axes" else f"{called}, {scale}"] = {
                **change,
                **titles,
            }
    return {**forms["log axes"], **forms["linear axes"]}


def _nested(changes: Mapping[str, object]) -> dict[str, object]:
    """Changes of a layout by dots in their names as plotly.py writes them."""
    return {key.replace(".", "_"): value for key, value in changes.items()}


def _scattered(
    rows: pd.DataFrame, name: str, colours: Mapping[str, str], column: int
) -> Iterator[Line]:
    """The pairs of a panel, a colour for each start, and each seed's line of least squares."""
    for start, part in rows.groupby("start", sort=False):
        place = list(colours).index(str(start))
        look = _markers(SYMBOLS[place % len(SYMBOLS)], REGRESSORS[name][0])
        data = {"": _data(part, name, "delta")}
        called, colour = start_name(str(start)), colours[str(start)]
        yield Line(called, colour, data, 1, column, look=look, view=name)
    for _, part in rows.groupby("seed") if "seed" in rows else [(0, rows)]:
        fitted = _least_squares(part[name], part["delta"])
        yield Line(
            "least squares, one per seed", GREY, {"": fitted}, 1, column, look=_FIT, view=name
        )


def _by_number(start: str) -> tuple[str, list[int]]:
    """The order of starts: "2 epochs" before "10 epochs"."""
    return re.sub(r"\d+", "", start), [int(number) for number in re.findall(r"\d+", start)]


def inequality(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """δ and its second-order term against the bound, on log axes (Theorem 5.1).

    What lies between the two is of third order; a δ over the dotted line is over the bound.

    Args:
        table: as :func:`regression`'s, with ``second_order`` (``|½ α(1−α) dᵀHd|`` for
            ``d = θ_i − θ_j``). Values of 0 are not drawn.
    """
    table = table[table["setting"].isin(list(panels))]
    lines = [
        line for column, _, rows in in_panels(table, panels) for line in _both_sides(rows, column)
    ]
    under = under_bound.by_setting(table)
    held = {
        name: "all" if float(share) == 1 else f"{share} of the" for name, share in under.items()
    }
    delta, second = (
        share_of_bound.by_setting(table, term=term) for term in ("delta", "second_order")
    )
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"δ stays under the bound for {by_panel(one, held)} pairs of networks; in "
                f"the median it is {by_panel(one, delta)} of the bound, the second-order term "
                f"alone {by_panel(one, second)}"
            ),
        ),
        "Scatter plot on log scales against the bound of second order. Circles are the deviation "
        "from linearity, delta; diamonds are the exact second-order term. The dotted line is where "
        "a value equals the bound; what lies under it keeps to the bound.",
        rows=["δ, second-order term"],
        columns=list(panels.values()),
        height=480,
        findings=quoted(under.values(), delta.values(), second.values()),
    )
    drawn = table[["delta", "second_order"]].to_numpy()
    figure.update_xaxes(title_text=REGRESSORS["product"][1], **log_axis(table["product"]))
    return figure.update_yaxes(**log_axis(drawn.ravel()))


def _both_sides(rows: pd.DataFrame, column: int) -> Iterator[Line]:
    """The line where a value equals the bound; the second-order terms, and each δ."""
    ends = [rows["product"].min() / 1.3, rows["product"].max() * 1.3]
    yield Line("equal to the bound", GREY, {"": {"x": ends, "y": ends}}, 1, column, look=DOTTED)
    for name, called, colour, symbol in (
        ("second_order", "second-order term", ORANGE, "diamond"),
        ("delta", "δ", BLUE, "circle"),
    ):
        drawn = rows[(rows[name] > 0) & (rows["product"] > 0)]
        data = {"": _data(drawn, "product", name)}
        yield Line(called, colour, data, 1, column, look=_markers(symbol, called))


def _data(rows: pd.DataFrame, x: str, y: str) -> dict[str, list[Any]]:
    return {**xy(rows, x, y), "text": _described(rows)}


def _least_squares(x: pd.Series, y: pd.Series) -> dict[str, list[float]]:
    """The fitted line, in enough points to be drawn on log axes too."""
    # All pairs of a single pretrained network have one curvature, which explains nothing.
    slope = np.polyfit(x, y, 1)[0] if x.nunique() > 1 else 0.0
    spaced = np.geomspace if x.min() > 0 else np.linspace
    places = pd.Series(spaced(x.min(), x.max(), 40))
    heights = slope * places + y.mean() - slope * x.mean()
    return {"x": significant(places), "y": significant(heights)}


def best(explained: Mapping[str, Mapping[str, Finding]], panels: Mapping[str, str]) -> str:
    """Which regressor explains δ best, by setting; two where their interval leaves that open."""
    texts = {}
    for setting in panels:
        known = [name for name in explained if setting in explained[name]]
        best, *others = sorted(known, key=lambda name: -float(explained[name][setting]))
        strength = {name: f"R² = {explained[name][setting]}" for name in known}
        texts[setting] = f"by {REGRESSORS[best][0]}, {strength[best]}"
        if others:
            pair = (explained[best][setting], explained[others[0]][setting])
            second = f"{REGRESSORS[others[0]][0]}, {strength[others[0]]}"
            sure = signed_words(*pair, "against", "", "or perhaps")
            texts[setting] += f", {sure} {second}"
    return f"δ is explained best {by_panel(panels, texts)}"


def _described(rows: pd.DataFrame) -> list[str]:
    """What tells each pair from the others of its trace."""
    named = [name for name in ("start", "i", "j", "seed", "alpha") if name in rows]
    told = [name for name in named if rows[name].nunique() > 1]
    return [", ".join(f"{k} {v}" for k, v in row.items()) for row in rows[told].to_dict("records")]


def _markers(symbol: str, called: str) -> dict[str, object]:
    hover = f"%{{text}}<br>%{{x}} → %{{y}}<extra>{called}</extra>"
    return marks(hover, symbol, size=8, mode="markers", opacity=0.8)
