"""What changes around a centre: a row of ratios for each change, and runs of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.analysis import levels
from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    DOTTED,
    GREY,
    SYMBOLS,
    VERMILION,
    Figure,
    draw,
    in_panels,
    marks,
    significant,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.rows import interval_bars, name_rows, row_marks
from ctl_helpers.findings.architecture import explained_by_displacement
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Where

Ratios = Mapping[tuple[str, str, Where], Mapping[str, Finding]]
"""A change, a kind of it, and where → setting → doublings of ε from the centre to the change."""

Groups = Mapping[str, Sequence[str]]
"""Of a group of changes its name and the changes, in the order of rows."""

_LOOKS = ((BLUE, "circle", -0.16), (VERMILION, "square", 0.16))
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")


def ratio_rows(
    ratios: Ratios,
    panels: Mapping[str, str],
    groups: Groups,
    title: Sequence[str],
    alt: str,
    *,
    axis: str,
    findings: Sequence[Mapping[str, str]],
) -> Figure:
    """A row for each change and a panel for each setting, the centre being a line at 1.

    Bars are 95% intervals over seeds, where there are several. The menu chooses the layer.

    Args:
        ratios: what is drawn; two kinds at most.
        groups: of changes; lines part them.
        title, alt, findings: as :func:`ctl_helpers.figures.drawing.draw` takes them.
        axis: what the horizontal axis has.
    """
    there = {change for change, _, _ in ratios}
    changes = [change for few in groups.values() for change in few if change in there]
    lines = [
        line
        for column, setting in enumerate(panels, 1)
        for line in _dots(ratios, changes, setting, column)
    ]
    figure = draw(
        lines,
        title,
        alt,
        columns=list(panels.values()),
        height=170 + 36 * len(changes),
        menu="layer",
        gap=0.04,
        findings=findings,
    )
    _name_rows(figure, changes, groups, len(panels))
    ends = [
        2**end
        for of_settings in ratios.values()
        for one in of_settings.values()
        for end in (one.value, *(one.sample.interval() or ()))
    ]
    return figure.update_xaxes(title_text=axis, **log_axis([1, *ends]))


def runs_beside(
    snapshots: pd.DataFrame, panels: Mapping[str, str], column: str, groups: Groups, slider: str
) -> Figure:
    """ε against how far features have moved, along each network's run of fine-tuning.

    The menu chooses the layer, the slider a group; a group without a name is always there.

    Args:
        snapshots: :func:`ctl_helpers.compare` with ``steps`` and a column of changes.
        column: that column's name.
        groups: of its values.
        slider: what the slider chooses.
    """
    lines = [
        _run(_mean_curve(rows[rows[column] == change]), str(change), group, number, place, at)
        for at, _, rows in in_panels(snapshots, panels)
        for number, (group, changes) in enumerate(groups.items(), -1)
        for place, change in enumerate(changes)
        if change in set(rows[column])
    ]
    explained = explained_by_displacement.by_setting(snapshots)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "How far features moved explains "
                f"{by_panel(one, explained)} of how log ε varies over {column}s and snapshots"
            ),
        ),
        "The linearity error against the baseline distance between both networks' features, mean "
        f"over layers, a line for each {column} and a point for each snapshot of its run, both "
        "axes logarithmic.",
        rows=["linearity error ε"],
        columns=list(panels.values()),
        menu="layer",
        slider=slider,
        height=440,
        findings=quoted(explained.values()),
    )
    figure.update_yaxes(**log_axis(_drawn(lines, "y")))
    return figure.update_xaxes(title_text="distance of features", **log_axis(_drawn(lines, "x")))


def _dots(ratios: Ratios, changes: Sequence[str], setting: str, column: int) -> list[Line]:
    """The dots of one panel, of each kind, over the line at 1."""
    ends = {"x": [1, 1], "y": [-0.5, len(changes) - 0.5]}
    lines = [Line("centre", GREY, {"": ends}, 1, column, look=DOTTED, listed=False)]
    kinds = dict.fromkeys(kind for _, kind, _ in ratios)
    for kind, (colour, symbol, offset) in zip(kinds, _LOOKS, strict=False):
        data = {}
        for where in Where:
            places = [n for n, one in enumerate(changes) if setting in ratios[one, kind, where]]
            shown = [ratios[changes[n], kind, where][setting] for n in places]
            data[str(where)] = {
                "y": [n + offset for n in places],
                "text": [str(changes[n]) for n in places],
                **interval_bars(
                    (one.value for one in shown),
                    (one.sample.interval() for one in shown),
                    scale=lambda halvings: 2**halvings,
                ),
            }
        look = row_marks(f"%{{text}}: %{{x:.2f}} times<extra>{kind}</extra>", symbol)
        lines.append(Line(str(kind), colour, data, 1, column, look=look))
    return lines


def _name_rows(figure: Figure, changes: Sequence[str], groups: Groups, columns: int) -> None:
    """Name the rows, and part those of different groups."""
    count = len(changes)
    name_rows(figure, [str(one) for one in changes])
    group_of = {change: group for group, few in groups.items() for change in few}
    for place in range(1, count):
        if group_of[changes[place]] != group_of[changes[place - 1]]:
            for column in range(1, columns + 1):
                figure.add_hline(y=place - 0.5, line_width=1, opacity=0.4, row=1, col=column)


def _drawn(lines: Sequence[Line], letter: str) -> list[float]:
    """Where lines go on an axis, whatever is chosen."""
    values = (value for line in lines for data in line.data.values() for value in data[letter])
    return [value for value in values if value is not None]


def _mean_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """What is read off one change's runs, mean over seeds."""
    features = [levels.features(part) for _, part in rows.groupby("seed")]
    return pd.concat(features).groupby("steps").mean()


def _run(
    along: pd.DataFrame, change: str, group: str, number: int, place: int, column: int
) -> Line:
    """A group has a colour, the one without a name grey; its changes have symbols and dashes."""
    colour = COLOURS[number % len(COLOURS)] if group else GREY
    again = place + max(number, 0) // len(COLOURS)  # of the same colour
    symbol, dash = SYMBOLS[again % len(SYMBOLS)], _DASHES[again % len(_DASHES)]
    look = marks(f"%{{x}}: ε %{{y}}<extra>{change}</extra>", symbol, size=7)
    data = {
        str(where): {"x": significant(along["moved"]), "y": significant(along[where])}
        for where in Where
    }
    dashed = {**look, "line_dash": dash, "line_width": 1.5 if group else 3}
    return Line(change, colour, data, 1, column, group=group, look=dashed)
