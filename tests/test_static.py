"""Still images of figures: what they show, and what they refuse."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from ctl_helpers.figures import axes, drawing, heatmaps, static
from ctl_helpers.figures.drawing import BLUE, GREEN, Line


def made(figure: go.Figure) -> str:
    return static.svg(json.loads(figure.to_json()))


def texts(image: str) -> list[str]:
    """What is written in an image, each text with its parts joined."""
    found = ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}text")
    return [" ".join("".join(each.itertext()).split()) for each in found]


def line(name: str, colour: str, *choices: str, group: str = "", **look: object) -> Line:
    data = {choice: {"x": [1, 2, 4], "y": [1.0, 0.1, 0.01]} for choice in choices}
    return Line(name, colour, data, group=group, look={"mode": "lines+markers", **look})


def test_an_image_has_every_point_and_word_of_its_figure() -> None:
    lines = [line("α = 0.5", BLUE, ""), line("baseline", GREEN, "", marker_symbol="square")]
    figure = drawing.draw(lines, "Takeaway", "A.", rows=["loss"], columns=["λ<sub>max</sub>"])
    figure.update_yaxes(**axes.LOG_AXIS).update_xaxes(title_text="epochs")
    image = made(figure)
    # Markers stand in the legend, too.
    assert image.count("<use") == 2 * (3 + 1)
    assert {"α = 0.5", "baseline", "loss", "λmax", "epochs", "10⁻¹"} <= set(texts(image))
    assert not any("Takeaway" in text for text in texts(image))
    assert image == made(figure)


def test_an_image_shows_what_menus_stand_at_and_says_so() -> None:
    lines = [line("a", BLUE, "mean", "pair", group="λ = 1"), line("b", GREEN, "", group="λ = 2")]
    figure = drawing.draw(lines, "T", "A.", slider="λ")
    assert "Shown: mean, every λ" in texts(made(figure))
    figure.data[1].visible = False
    hidden = made(figure)
    assert "b" not in texts(hidden)
    assert hidden.count("<use") == 3 + 1


def test_error_bars_and_areas_are_drawn() -> None:
    plain = made(drawing.draw([line("a", BLUE, "")], "T", "A."))
    frame = pd.DataFrame({"x": [1, 2], "mean": [1.0, 2.0], "low": [0.5, 1.5], "high": [2.0, 3.0]})
    area = drawing.band("a", BLUE, {"": frame}, "x", (1, 1))
    assert "fill-opacity: 0.18" in made(drawing.draw([area, line("a", BLUE, "")], "T", "A."))
    whiskers = {
        "error_y": {
            "array": [1, 1, 1],
            "arrayminus": [0, -1e-17, 0],
            "width": 4,
            "symmetric": False,
        }
    }
    with_bars = made(drawing.draw([line("a", BLUE, "", **whiskers)], "T", "A."))
    assert with_bars.count("<use") == plain.count("<use") + 2 * 3  # their caps


def test_a_line_at_a_value_is_in_view_on_every_panel() -> None:
    lines = [
        Line("a", BLUE, {"": {"x": [1, 2], "y": [30, 40]}}, 1, place, look={"mode": "lines"})
        for place in (1, 2)
    ]
    figure = drawing.draw(lines, "T", "A.", columns=["p", "q"])
    before = made(figure)
    figure.add_hline(y=1, line_dash="dot", row=1, col="all")
    after = made(figure)
    assert "10" in texts(after)
    assert "10" not in texts(before)
    (dotted,) = re.findall(r"\.(s\d+)\{[^}]*stroke-dasharray", after)
    assert after.count(f'class="{dotted}"') == 2


def test_categories_stand_in_the_figures_order_and_reversed_axes_are() -> None:
    table = pd.DataFrame(
        [
            {"setting": "s", "seed": 0, "paradigm": p, "i": i, "j": j, "cosine": float(i == j)}
            for p in ("full", "tangent", "attention-weights")
            for i in ("first", "second")
            for j in ("first", "second")
        ]
    )
    image = made(heatmaps.cosines(table, {"s": "S"}))
    places: dict[str, list[float]] = {"first": [], "second": []}
    for text in ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}text"):
        if text.text in places:
            places[text.text].append(float(text.get("y", "nan")))
    assert min(places["first"]) < min(places["second"])
    assert texts(image).count("1.00") == 6
    assert "cosine" in texts(image)
    assert image.count("<image") >= 3


def test_names_that_would_touch_are_turned_and_numbers_left_out() -> None:
    names = [f"layer{n}.conv" for n in range(12)]
    figure = drawing.draw(
        [Line("a", BLUE, {"": {"x": names, "y": list(range(12))}}, look={"mode": "lines"})],
        "T",
        "A.",
        columns=["p", "q", "r"],
    )
    image = made(figure)
    assert set(names) <= set(texts(image))
    assert "rotate(-90" in image
    many = drawing.draw(
        [Line("a", BLUE, {"": {"x": list(range(99)), "y": [1.0] * 99}}, look={"mode": "lines"})],
        "T",
        "A.",
    )
    written = texts(made(many.update_xaxes(tickvals=list(range(99)))))
    assert 5 < sum(text.isdigit() for text in written) < 60


@pytest.mark.parametrize(
    ("trace", "named"),
    [(go.Bar(x=[1], y=[1]), "bar"), (go.Scatter(x=[1], y=[1], mode="markers"), "hexagon")],
)
def test_what_cannot_be_drawn_is_refused_by_its_name(trace: object, named: str) -> None:
    figure = drawing.draw([line("a", BLUE, "")], "T", "A.")
    if named == "hexagon":
        trace.update(marker_symbol="hexagon", line_color=BLUE)
    figure.add_trace(trace)
    with pytest.raises(ValueError, match=named):
        made(figure)


def test_numbers_keep_their_digits_where_an_image_is_shortened() -> None:
    figure = drawing.draw([line("a", BLUE, "")], "T", "A.")
    figure.update_yaxes(tickvals=list(np.array([0.123456, 0.5])), ticktext=["0.123456", "half"])
    assert "0.123456" in texts(made(figure))
