"""Accuracies on each task as dots, a colour for each kind of network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import Figure, draw, over_seeds, significant
from ctl_helpers.figures.rows import name_rows, row_marks

MEAN = "mean over tasks"


@dataclass(frozen=True)
class Kind:
    """A kind of network: its name and look, and its accuracies.

    Attributes:
        rows: ``setting``, ``seed``, ``task`` and ``accuracy``, of each task's own network.
    """

    name: str
    colour: str
    symbol: str
    rows: pd.DataFrame


def dots(
    kinds: Sequence[Kind],
    panels: Mapping[str, str],
    title: str | Sequence[str],
    alt: str,
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """A row for each task and one for their mean, with a dot for each kind of network.

    Dots are means over seeds, and bars go from the lowest seed to the highest.

    Args:
        kinds: what is told apart, from the top of a row down.
        title, alt, findings: as :func:`ctl_helpers.figures.drawing.draw` takes them.
    """
    tasks = {setting: _tasks(kinds, setting) for setting in panels}
    apart = 0.64 / len(kinds)
    lines = [
        _line(kind, setting, tasks[setting], column, apart * (number - (len(kinds) - 1) / 2))
        for column, setting in enumerate(panels, 1)
        for number, kind in enumerate(kinds)
    ]
    alike = len({tuple(names) for names in tasks.values()}) == 1
    most = max(len(names) for names in tasks.values())
    figure = draw(
        lines,
        title,
        alt,
        columns=list(panels.values()),
        height=160 + (20 + 9 * len(kinds)) * most,
        shared_y=alike,
        gap=0.05 if alike else 0.2,
        findings=findings,
    )
    for column, names in enumerate(tasks.values(), 1):
        name_rows(figure, names, col=column)
        for place in range(1, len(names)):
            bold = place == len(names) - 1
            figure.add_hline(y=place - 0.5, line_width=1 + bold, opacity=0.4, row=1, col=column)
    return figure.update_xaxes(title_text="test accuracy", tickformat=".0%")


def _line(kind: Kind, setting: str, tasks: Sequence[str], column: int, offset: float) -> Line:
    """One kind's dots in a panel, ``offset`` under the middle of each task's row."""
    rows = kind.rows[kind.rows["setting"] == setting]
    both = pd.concat([rows, rows.assign(task=MEAN)])
    frame = over_seeds(both, "task", "accuracy").set_index("task")
    places = {task: place for place, task in enumerate(tasks) if task in frame.index}
    frame = frame.loc[list(places)]
    data = {
        "x": significant(frame["mean"]),
        "y": [round(place + offset, 3) for place in places.values()],
        "text": list(places),
    }
    look = row_marks(f"%{{text}}: %{{x:.1%}}<extra>{kind.name}</extra>", kind.symbol)
    if rows["seed"].nunique() > 1:
        high, low = frame["high"] - frame["mean"], frame["mean"] - frame["low"]
        data["error_x.array"] = significant(high.clip(lower=0))  # rounding may go under
        data["error_x.arrayminus"] = significant(low.clip(lower=0))
    return Line(kind.name, kind.colour, {"": data}, 1, column, look=look)


def _tasks(kinds: Sequence[Kind], setting: str) -> list[str]:
    """A setting's tasks in their order, and their mean."""
    rows = pd.concat([kind.rows for kind in kinds])
    return [*rows.loc[rows["setting"] == setting, "task"].unique(), MEAN]
