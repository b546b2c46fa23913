"""Which merges work: how well each predictor foretells unseen ones, and accuracy against ε."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    Figure,
    draw,
    in_panels,
    marks,
    significant,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.rows import interval_bars, name_rows, row_marks
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.mergeability import PREDICTORS, merge_forecast
from ctl_helpers.findings.words import by_panel
from ctl_helpers.probing.track_record import KEPT

_KINDS = {
    "tasks left out, mean": (VERMILION, "circle", {"out": "task", "over": "folds"}),
    "tasks left out, pooled": (BLUE, "square", {"out": "task", "over": "all"}),
    "rates left out, mean": (GREY, "diamond", {"out": "rate", "over": "folds"}),
}
_SETS = {"pairs": (BLUE, "circle"), "three to six networks": (ORANGE, "square")}
_APART = 0.24
_PAIR = 2


def predicted(merges: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """A row for each predictor above, and merged accuracy against ε below, a panel per setting.

    Args:
        merges: a row for each merge.
        panels: setting → what it is called, in order.
    """
    table = merges[merges["setting"].isin(list(panels))]
    correlations = {
        (kind, name): merge_forecast.by_setting(table, by=name, **how)
        for kind, (_, _, how) in _KINDS.items()
        for name in PREDICTORS
    }
    lines = [
        line
        for column, setting, part in in_panels(table, panels)
        for line in (*_dots(correlations, setting, column), *_scatter(part, column))
    ]
    first = next(iter(_KINDS))
    told = [correlations[first, name] for name in ("epsilon_worst", "length", "apart")]
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "On tasks left out, a forecast by ε of the worst layer goes with accuracy at "
                "r = {}, one by the mean length of task vectors at {}, and one by how far features "
                "are apart at {}"
            ).format(*(by_panel(one, of) for of in told)),
        ),
        "Above, a row for each predictor of a merge: Pearson's correlation of its forecast with "
        "the normalized accuracy of merges that it has not seen, with tasks left out (circles: "
        "mean over tasks; squares: pooled) and with learning rates left out (diamonds). Bars are "
        "95% intervals over seeds or networks. Below, normalized accuracy against epsilon of the "
        f"worst layer, a dot for each merge of the first seed; the dotted line is {KEPT:.0%}.",
        rows=["", "normalized accuracy"],
        columns=list(panels.values()),
        height=860,
        shared_x=False,
        spacing=0.13,
        findings=quoted(*(of.values() for of in told)),
    )
    low, high = table["normalized"].min(), max(table["normalized"].max(), KEPT)
    figure.update_yaxes(tickformat=".0%", range=[low - 0.03, high + 0.03], row=2)
    figure.update_xaxes(**log_axis(table["epsilon_worst"]), row=2)
    return _with_axes(figure).add_hline(
        y=KEPT, line_dash="dot", line_width=1.5, line_color=GREY, row=2
    )


def _with_axes(figure: Figure) -> Figure:
    """The same figure, with an axis of predictors above and axes of numbers."""
    name_rows(figure, list(PREDICTORS.values()), row=1)
    figure.update_xaxes(title_text="correlation,<br>merges left out", range=[-1.05, 1.05], row=1)
    return figure.update_xaxes(title_text="ε, worst layer", row=2)


def _dots(
    correlations: Mapping[tuple[str, str], Mapping[str, Finding]], setting: str, column: int
) -> Iterator[Line]:
    """Each predictor's correlations of each kind, with their intervals."""
    for number, (kind, (colour, symbol, _)) in enumerate(_KINDS.items()):
        places = [
            (place, name, correlations[kind, name][setting])
            for place, name in enumerate(PREDICTORS)
            if setting in correlations[kind, name]
        ]
        data = {
            "y": [round(place + _APART * (number - 1), 2) for place, _, _ in places],
            "text": [f"{PREDICTORS[name]}: {one.words}" for _, name, one in places],
            **interval_bars(
                (one.value for _, _, one in places),
                (one.sample.interval() for _, _, one in places),
                digits=3,
            ),
        }
        look = row_marks(f"%{{text}}<extra>{kind}</extra>", symbol, size=8)
        yield Line(kind, colour, {"": data}, 1, column, look=look)


def _scatter(part: pd.DataFrame, column: int) -> Iterator[Line]:
    """The merges of the first seed, pairs apart from larger sets."""
    rows = part[part["seed"] == part["seed"].min()]
    for kind, (colour, symbol) in _SETS.items():
        some = rows[(rows["k"] == _PAIR) == (kind == "pairs")]
        told = [
            f"{one.models}<br>λ = {one.lam:.2g}, rate {one.rate:g}" for one in some.itertuples()
        ]
        data = {
            "x": significant(some["epsilon_worst"], 3),
            "y": significant(some["normalized"], 3),
            "text": told,
        }
        hover = f"%{{text}}: %{{y}} at ε = %{{x}}<extra>{kind}</extra>"
        look = marks(hover, symbol, size=5, mode="markers", opacity=0.7)
        yield Line(kind, colour, {"": data}, 2, column, look=look)
