"""What explains the loss's deviation from linearity, ours beside the paper's (Theorem 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import COLOURS, SYMBOLS, Figure, draw
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.rows import interval_bars, name_rows, row_marks
from ctl_helpers.figures.theory import REGRESSORS, best
from ctl_helpers.findings.curvature import explained as explained_by
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.published import EXPLAINED
from ctl_helpers.results.labels import Buffers

_PAPER = "the paper, ResNet-20<br>on CIFAR-10"


def explained(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """R² of δ on the bound and on each of its factors: the paper's row, then one a setting.

    A setting with BatchNorm has a second row, for the reading in which θ has the running
    statistics, too. Bars are 95% intervals.

    Args:
        table: as :func:`ctl_helpers.figures.theory.regression`'s, with ``product_buffers`` and the
            like for that reading.
    """
    readings = {
        (setting, theta): title if theta == Buffers.PARAMETERS else f"{title},<br>{theta}"
        for setting, title in panels.items()
        for theta in _readings(table[table["setting"] == setting])
    }
    rows = [_PAPER, *readings.values()]
    own = {name: explained_by.by_setting(table, name=name) for name in REGRESSORS}
    lines = []
    for number, (name, (called, _)) in enumerate(REGRESSORS.items()):
        of = {
            theta: explained_by.by_setting(table, name=name, theta=theta)
            for theta in dict.fromkeys(theta for _, theta in readings)
        }
        shown = [of[theta].get(setting) for setting, theta in readings]
        data = _dots(float(EXPLAINED[name]), shown, rows, 0.2 * (number - 1))
        look = row_marks(f"%{{text}}: R² = %{{x}}<extra>{called}</extra>", SYMBOLS[number])
        lines.append(Line(called, COLOURS[number], {"": data}, look=look))
    paper = f"in the paper, on other networks, by the bound, R² = {EXPLAINED['product']}"
    figure = draw(
        lines,
        by_setting(panels, lambda one: f"{best(own, one)}; {paper}"),
        "A row for the paper and one for each setting: how much of the deviation delta a line "
        "through the bound (circles), the largest eigenvalue (squares) and the squared distance "
        "(diamonds) explains, as R squared, negative where the line falls; bars are 95% intervals.",
        height=170 + 62 * len(rows),
        findings=quoted(*(of.values() for of in own.values())),
    )
    name_rows(figure, rows)
    return figure.update_xaxes(title_text="R²")


def _readings(rows: pd.DataFrame) -> list[Buffers]:
    """What θ may hold: with BatchNorm the running statistics make a difference."""
    both = "product_buffers" in rows and bool((rows["product"] != rows["product_buffers"]).any())
    return list(Buffers) if both else [Buffers.PARAMETERS]


def _dots(
    paper: float, shown: Sequence[Finding | None], rows: Sequence[str], offset: float
) -> dict[str, list]:
    """One regressor's dots with their intervals, ``offset`` under the middle of each row."""
    known = {place: one for place, one in enumerate(shown, 1) if one is not None}
    return {
        "y": [round(place + offset, 2) for place in (0, *known)],
        "text": [rows[place].replace("<br>", " ") for place in (0, *known)],
        **interval_bars(
            (paper, *map(float, known.values())),
            (None, *(one.sample.interval() for one in known.values())),
        ),
    }
