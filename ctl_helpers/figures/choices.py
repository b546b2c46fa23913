"""What a reader can choose in a figure of lines: other data, one group of several, a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ctl_helpers.figures.frame import ONLY, Menu, button
from ctl_helpers.findings.words import short


@dataclass(frozen=True)
class View:
    """What the vertical axes can show in turn, such as one measure of several.

    Attributes:
        key: what its lines name as their ``view``.
        label: what the menu calls it.
        axis: the axis's label.
        form: the axis's look; None for what goes back to plotly's own.
    """

    key: str
    label: str
    axis: str
    form: Mapping[str, object]


@dataclass(frozen=True)
class Line:
    """One trace: where it stands, how it looks, and its data for each choice of the first menu.

    A line with a single choice stays as it is. Lines of one ``group`` are shown together by the
    second menu, lines without a group always. Lines of a ``view`` are shown with it alone. One that
    is not ``listed`` is left out of the legend.
    """

    name: str
    colour: str
    data: Mapping[str, Mapping[str, Any]]
    row: int = 1
    column: int = 1
    group: str = ""
    look: Mapping[str, object] = field(default_factory=dict)
    listed: bool = True
    view: str = ""


def listed_once(lines: Sequence[Line]) -> list[bool]:
    """Whether a line stands for its name in the legend: the first of each view."""
    seen: set[tuple[str, str]] = set()
    listed = []
    for line in lines:
        key = (line.view, line.name)
        listed.append(line.listed and key not in seen)
        seen |= {key} if line.listed else set()
    return listed


def view_axes(
    views: Sequence[View], rows: Sequence[str], columns: int, viewed: Sequence[int]
) -> list[dict[str, dict[str, object]]]:
    """For each view, axis → its look."""
    listed = []
    for view in views:
        axes = {}
        for row, column in product(viewed, range(columns)):
            number = (row - 1) * columns + column + 1
            label = {"title": {"text": f"{rows[row - 1]}{view.axis}"}} if column == 0 else {}
            axes[f"yaxis{number if number > 1 else ''}"] = {**view.form, **label}
        listed.append(axes)
    return listed


def menus(
    lines: Sequence[Line],
    menu: str,
    slider: str,
    switches: Mapping[str, Mapping[str, object]],
    views: Sequence[View],
    axes: Sequence[Mapping[str, Mapping[str, object]]],
    columns: Sequence[str] = (),
) -> list[Menu]:
    """The menus of a figure, of those that have something to choose; see ``drawing.draw``."""
    all_menus = [
        Menu(menu, _choices(lines, columns)),
        Menu(slider, _groups(lines, f"every {slider}"), "slider"),
        Menu("measure", _view_buttons(lines, views, axes)),
        Menu("show", [button(*switch, "relayout") for switch in switches.items()]),
    ]
    return [choice for choice in all_menus if choice.buttons]


def _choices(lines: Sequence[Line], columns: Sequence[str]) -> list[dict[str, object]]:
    """Buttons that put other data into the lines that have more than one choice of it.

    A choice that some columns lack, as settings of fewer tasks do, says which ones have it. In the
    others it shows nothing.
    """
    places = [place for place, line in enumerate(lines) if len(line.data) > 1]
    if not places:
        return []
    moving = [lines[place] for place in places]
    keys = list(dict.fromkeys(key for line in moving for key in next(iter(line.data.values()))))
    known = dict.fromkeys(choice for line in moving for choice in line.data)
    # Where every line moves, plotly needs no list of them.
    traces = [] if len(places) == len(lines) else [places]
    return [
        button(
            choice + _only(choice, moving, columns),
            # Without "y" plotly would count the places along "x".
            {key: [line.data.get(choice, {}).get(key, []) for line in moving] for key in keys},
            "restyle",
            *traces,
        )
        for choice in known
    ]


def _only(choice: str, lines: Sequence[Line], columns: Sequence[str]) -> str:
    """Which columns have a choice, where some lack it."""
    every = {line.column for line in lines}
    having = sorted({line.column for line in lines if choice in line.data})
    if len(having) == len(every):
        return ""
    return f"{ONLY}{', '.join(short(columns[column - 1]) for column in having)})"


def _groups(lines: Sequence[Line], every: str) -> list[dict[str, object]]:
    """Buttons that show one group of lines, or every one."""
    groups = [group for group in dict.fromkeys(line.group for line in lines) if group]
    if len(groups) < 2:
        return []
    places = [place for place, line in enumerate(lines) if line.group]
    legend = listed_once(lines)
    buttons = []
    for name in (every, *groups):
        shown = [name in (every, lines[place].group) for place in places]
        # Visible is what a view is; a line of another group is there and not to be seen.
        change = {
            "opacity": [
                lines[place].look.get("opacity", 1) if is_shown else 0
                for place, is_shown in zip(places, shown, strict=True)
            ],
            # Of lines without a fill: nothing to point at.
            "hoveron": ["points" if is_shown else "fills" for is_shown in shown],
            "showlegend": [
                legend[place] and is_shown for place, is_shown in zip(places, shown, strict=True)
            ],
        }
        buttons.append(button(name, change, "restyle", places))
    return buttons


def _view_buttons(
    lines: Sequence[Line], views: Sequence[View], axes: Sequence[Mapping[str, Mapping[str, object]]]
) -> list[dict[str, object]]:
    """Buttons that show the lines of one view, and give the axes its look."""
    if len(views) < 2:
        return []
    buttons = []
    for view, forms in zip(views, axes, strict=True):
        layout = {
            f"{axis}.{key}": value
            for axis, form in forms.items()
            for key, value in {**form, "autorange": True}.items()
        }
        change = {"visible": [line.view in ("", view.key) for line in lines]}
        buttons.append(button(view.label, change, "update", layout))
    return buttons
