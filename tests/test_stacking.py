"""Panels in fewer columns: none is lost, none lies on another, and titles go with them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from plotly.graph_objects import Figure, Heatmap

from ctl_helpers.figures import drawing
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.frame import PANEL, framed
from ctl_helpers.figures.rows import name_rows
from ctl_helpers.site.sphinx_figures import figure_html
from ctl_helpers.site.stacking import Grid, arrangements


def layout_of(figure: Figure) -> dict[str, Any]:
    """The layout as a page has it: heights and margins of the plot alone."""
    layout = json.loads(figure.to_json())["layout"]
    meta = layout["meta"]
    return {**layout, "height": meta["heights"]["plot"], "margin": meta["margin"]}


def panels(columns: int, rows: int = 1, **options: Any) -> Grid:
    lines = [
        Line("line", drawing.BLUE, {"": {"x": [0, 1], "y": [0, 1]}}, row, column)
        for row in range(1, rows + 1)
        for column in range(1, columns + 1)
    ]
    figure = drawing.draw(
        lines, "T", "A.", rows=[f"row {n}" for n in range(rows)],
        columns=[f"column {n}" for n in range(columns)], height=600, **options,
    )  # fmt: skip
    for column in range(1, columns + 1):
        figure.update_xaxes(title_text="x", row=rows, col=column)
    return Grid(layout_of(figure), PANEL * columns, ["line"])


def maps() -> Grid:
    """Three columns of two rows, each row with a scale of colours."""
    figure = drawing.empty_panels(["y"] * 2, ["a", "b", "c"], shared_yaxes=True)
    for number in range(6):
        row, column = divmod(number, 3)
        trace = Heatmap(z=[[0, 1]], coloraxis=f"coloraxis{row + 1}")
        figure.add_trace(trace, row + 1, column + 1)
    figure.update_layout(coloraxis={"colorbar_len": 0.4}, coloraxis2={"colorscale": "Viridis"})
    figure.update_xaxes(title_text="x", row=2)
    return Grid(layout_of(framed(figure, "T", "A.", height=640, min_width=600)), 600)


def boxes(grid: Grid, arrangement: dict[str, Any]) -> dict[tuple[int, int], tuple[float, ...]]:
    changed = arrangement["layout"]
    return {
        place: (*changed[f"{x}.domain"], *changed[f"{y}.domain"])
        for place, (x, y) in grid.panels.items()
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(1, []), (2, [2, 1]), (3, [3, 2, 1]), (4, [4, 2, 1]), (5, [5, 3, 2, 1]), (6, [6, 3, 2, 1])],
)
def test_rows_are_as_even_as_can_be(columns: int, expected: list[int]) -> None:
    offered = arrangements(panels(columns))
    assert [each["columns"] for each in offered] == expected
    widths = [each["width"] for each in offered]
    assert widths == [PANEL * count if count > 1 else 0 for count in expected]


@pytest.mark.parametrize("grid", [panels(4), panels(4, 2), panels(3, 2, shared_x=False), maps()])
def test_no_panel_is_lost_or_lies_on_another(grid: Grid) -> None:
    for arrangement in arrangements(grid):
        places = boxes(grid, arrangement)
        assert len(places) == grid.rows * grid.columns
        for left, right, bottom, top in places.values():
            assert 0 <= left < right <= 1
            assert 0 <= bottom < top <= 1
        assert len({left for left, *_ in places.values()}) == arrangement["columns"]
        for one, other in combinations(places.values(), 2):
            apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2]
            assert apart or other[3] <= one[2]
        assert max(top for *_, top in places.values()) == 1
        assert min(bottom for _, _, bottom, _ in places.values()) == pytest.approx(0, abs=1e-4)


def test_the_widest_arrangement_is_the_figure_as_it_is() -> None:
    grid = panels(4, 2)
    widest = arrangements(grid)[0]["layout"]
    assert widest["height"] == grid.layout["height"]
    for note, given in zip(widest["annotations"], grid.layout["annotations"], strict=True):
        assert note == {**given, "x": pytest.approx(given["x"], abs=1e-4)}
    for axis in ("xaxis3", "yaxis7"):
        assert widest[f"{axis}.domain"] == pytest.approx(grid.layout[axis]["domain"], abs=1e-4)
    assert widest["yaxis2.showticklabels"] is False


def test_rows_of_a_column_stay_together() -> None:
    grid = panels(4, 2)
    places = boxes(grid, arrangements(grid)[-1])
    tops = {place: top for place, (*_, top) in places.items()}
    assert sorted(tops, key=tops.__getitem__, reverse=True) == [
        (row, column) for column in range(4) for row in range(2)
    ]


def test_rows_with_colours_of_their_own_stay_together_and_say_which_column() -> None:
    grid = maps()
    *_, last = arrangements(grid)
    tops = {place: top for place, (*_, top) in boxes(grid, last).items()}
    assert sorted(tops, key=tops.__getitem__, reverse=True) == sorted(tops)
    notes = {(note["text"], note["y"]) for note in last["layout"]["annotations"]}
    assert notes == {("abc"[column], top) for (_, column), top in tops.items()}
    first_row = {grid.panels[0, column][0] for column in range(3)}
    assert {axis for axis in last["titles"] if axis[0] == "x"} == first_row


def test_a_bar_of_colours_is_as_long_as_one_panel_of_a_stack() -> None:
    grid = maps()
    widest, *_, last = arrangements(grid)
    places = boxes(grid, last)
    for row, name in enumerate(("coloraxis", "coloraxis2")):
        length, middle = (last["layout"][f"{name}.colorbar.{key}"] for key in ("len", "y"))
        *_, bottom, top = places[row, 0]
        assert (length, middle) == pytest.approx((top - bottom, (top + bottom) / 2), abs=1e-3)
        # On a wide screen it is what the figure says.
        bar = grid.layout[name].get("colorbar", {})
        assert widest["layout"][f"{name}.colorbar.len"] == bar.get("len", 1)


def test_what_stands_on_the_left_has_ticks_and_a_title() -> None:
    grid = panels(4)
    _, two, one = arrangements(grid)
    assert two["layout"]["yaxis2.showticklabels"] is False
    assert two["layout"]["yaxis3.showticklabels"] is True
    assert two["titles"] == {"yaxis2": "", "yaxis3": "yaxis", "yaxis4": ""}
    assert set(one["titles"].values()) == {"yaxis"}


def test_titles_stand_over_their_panels() -> None:
    grid = panels(4)
    for arrangement in arrangements(grid):
        places = boxes(grid, arrangement)
        for number, note in enumerate(arrangement["layout"]["annotations"]):
            left, right, _, top = places[0, number]
            assert note["text"] == f"column {number}"
            assert (note["x"], note["y"]) == (pytest.approx((left + right) / 2, abs=1e-3), top)


def test_titles_of_more_lines_have_more_room() -> None:
    grid = panels(2)
    notes = [{**note, "text": "one<br>two<br>three"} for note in grid.layout["annotations"]]
    longer = Grid({**grid.layout, "annotations": notes}, grid.width)
    heights = [arrangements(each)[-1]["layout"]["height"] for each in (grid, longer)]
    assert heights[1] - heights[0] == 40


def test_a_legend_of_many_names_has_room_on_a_narrow_screen() -> None:
    few, many = (
        arrangements(Grid(panels(2).layout, 400, names))[-1]["layout"]["margin.b"]
        for names in (["a"], [f"a long name {n}" for n in range(9)])
    )
    # A line for each on the narrowest screen, for three of which the figure has room as it is.
    assert many == few + 29 * 6


def test_a_long_legend_of_one_panel_is_no_scrolling_box_on_a_phone() -> None:
    names = [f"a long name {n}" for n in range(9)]
    *_, last = arrangements(Grid(panels(1).layout, 400, names))
    assert last["layout"]["legend.maxheight"] == last["layout"]["height"]
    assert arrangements(Grid(panels(1).layout, 400, ["a"])) == []


def named_rows(columns: int, names: list[str]) -> Grid:
    lines = [
        Line("dots", drawing.BLUE, {"": {"x": [0], "y": [0]}}, 1, n + 1) for n in range(columns)
    ]
    figure = drawing.draw(lines, "T", "A.", columns=[f"column {n}" for n in range(columns)])
    name_rows(figure, names)
    return Grid(layout_of(figure), PANEL * columns)


@pytest.mark.parametrize("columns", [1, 2])
def test_long_names_of_rows_stand_over_them_on_a_phone(columns: int) -> None:
    names = ["a name of three words", "the second name is longer"]
    grid = named_rows(columns, names)
    widest, *_, last = arrangements(grid)
    assert (widest["width"] > 0, last["width"]) == (True, 0)
    assert widest["layout"]["height"] == grid.layout["height"]
    over = [note for note in last["layout"]["annotations"] if note["yref"] != "paper"]
    assert [(note["text"], note["yref"]) for note in over] == [
        (name, f"y{column or ''}") for column in [None, 2][:columns] for name in names
    ]
    assert all(
        row - 0.5 < note["y"] < row for note, row in zip(over, [0, 1] * columns, strict=True)
    )
    for _, y in grid.panels.values():
        assert last["layout"][f"{y}.showticklabels"] is False
    # A screen that is turned gets back what it had.
    for y, beside in zip(["yaxis", "yaxis2"][:columns], [True, False], strict=False):
        assert widest["layout"][f"{y}.range"] == grid.layout[y]["range"]
        assert widest["layout"][f"{y}.showticklabels"] is beside
    titles = len(grid.layout.get("annotations", ()))
    assert len(widest["layout"]["annotations"]) == titles


def test_a_row_of_several_marks_has_room_for_its_name_over_the_highest() -> None:
    names = ["a name of three words", "the second name is longer"]
    grid = named_rows(1, names)
    heights = []
    for highest in (0.0, 0.16, 0.3):
        drawn = [{"y": [0 - highest, 1 + highest]}, {"y": [0.5], "yaxis": "y2"}]
        *_, last = arrangements(replace(grid, traces=drawn))
        (low, high), height = last["layout"]["yaxis.range"], last["layout"]["height"]
        margins = grid.layout["margin"]
        row = (height - margins["t"] - margins["b"]) / len(names)
        over = [note for note in last["layout"]["annotations"] if note["yref"] != "paper"]
        # The name's line ends over the mark, half of which is 5 px.
        assert row * (-highest - over[0]["y"]) - 5 > 1.3 * over[0]["font"]["size"]
        assert low > high
        heights.append(row)
    assert heights == sorted(heights)


@pytest.mark.parametrize("grid", [panels(2), named_rows(2, ["a long name of a row", "b"])])
def test_marks_anywhere_leave_a_figure_its_arrangements(grid: Grid) -> None:
    drawn = [{"y": [0.49, 0.51, None, 7.5]}, {"y": [0.49], "yaxis": "y2"}, {"y": {"bdata": ""}}, {}]
    *_, last = arrangements(replace(grid, traces=drawn))
    assert 0 < last["layout"]["height"] < 2000


def test_short_names_of_rows_stay_beside_them() -> None:
    *_, last = arrangements(named_rows(2, ["a", "b"]))
    assert all(note["yref"] == "paper" for note in last["layout"]["annotations"])
    assert arrangements(named_rows(1, ["a", "b"])) == []


def test_long_ticks_of_numbers_are_no_names_of_rows() -> None:
    grid = named_rows(1, ["ten thousand steps", "a hundred thousand steps"])
    grid.layout["yaxis"]["tickvals"] = [4.0, 5.0]
    assert arrangements(grid) == []


def test_a_page_has_the_arrangements_beside_the_figure() -> None:
    one = [Line("line", drawing.BLUE, {"": {"x": [0, 1], "y": [0, 1]}})]
    single = json.loads(drawing.draw(one, "T", "A.").to_json())
    assert '"arrangements"' not in figure_html(single, "")
    figure = drawing.draw(one, "T", "A.", columns=["a", "b"])
    page = figure_html(json.loads(figure.to_json()), "")
    assert page.count('"columns":') == 2
