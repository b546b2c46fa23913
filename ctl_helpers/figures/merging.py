"""Merging methods as rows: what each keeps of the own networks' accuracy, and ε beside it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.analysis.merge_names import MergeMethod
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import BLUE, VERMILION, Figure, draw
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.rows import interval_bars, name_rows, row_marks
from ctl_helpers.findings.finding import Measure, quoted
from ctl_helpers.findings.merge_methods import (
    ALL,
    PAIRS,
    merge_epsilon,
    merge_share,
    merge_strength,
)
from ctl_helpers.findings.words import by_panel

_LOOKS = {
    ALL: ("all networks merged", BLUE, "circle", -0.16),
    PAIRS: ("pairs merged", VERMILION, "square", 0.16),
}
_MEASURES = ((merge_share, "share of own accuracy"), (merge_epsilon, "ε, worst layer"))
_ROWS = list(MergeMethod)


def methods(merges: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """A row for each way of merging: the share of accuracy in one panel, ε in the one below.

    Args:
        merges: by merge, method and task.
    """
    lines = [
        line
        for row, (number, _) in enumerate(_MEASURES, 1)
        for column, setting in enumerate(panels, 1)
        for line in _dots(merges, number, setting, row, column)
    ]
    plain, other, epsilon = (
        merge_share.by_setting(merges, method=method)
        for method in (MergeMethod.ARITHMETIC, MergeMethod.TIES, MergeMethod.EPSILON)
    )
    strength = merge_strength.by_setting(merges, method=MergeMethod.EPSILON)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"All networks merged keep {by_panel(one, plain)} of their own accuracy as a plain "
                f"sum, {by_panel(one, other)} by TIES, and {by_panel(one, epsilon)} as a sum whose "
                f"strength ({by_panel(one, strength)}) ε chose without labels"
            ),
        ),
        "A row for each way of merging. Upper panels: accuracy over that of each task's own "
        "network, mean over tasks. Lower panels: the linearity error of the merge at its worst "
        "layer. Circles: all networks merged; squares: pairs. Bars: 95% intervals.",
        rows=["", ""],
        columns=list(panels.values()),
        height=200 + 2 * 24 * len(_ROWS),
        shared_x=False,
        spacing=0.14,
        findings=quoted(*(each.values() for each in (plain, other, epsilon, strength))),
    )
    for row, (_, axis) in enumerate(_MEASURES, 1):
        figure.update_xaxes(title_text=axis, tickformat=".0%" if row == 1 else "", row=row)
    name_rows(figure, list(map(str, _ROWS)))
    return figure


def _dots(merges: pd.DataFrame, number: Measure, setting: str, row: int, column: int) -> list[Line]:
    """The dots of one panel."""
    lines = []
    own = merges[merges["setting"] == setting]
    for of, (name, colour, symbol, offset) in _LOOKS.items():
        given = {place: number.by_setting(own, method=method, of=of)
                 for place, method in enumerate(_ROWS)}  # fmt: skip
        shown = {place: one[setting] for place, one in given.items() if setting in one}
        data = {
            "y": [place + offset for place in shown],
            "text": [str(_ROWS[place]) for place in shown],
            **interval_bars(
                (one.value for one in shown.values()),
                (one.sample.interval() for one in shown.values()),
            ),
        }
        look = row_marks(f"%{{text}}: %{{x}}<extra>{name}</extra>", symbol)
        lines.append(Line(name, colour, {"": data}, row, column, look=look))
    return lines
