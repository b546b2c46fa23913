"""Still images of figures: what they show and refuse, and that pages have each once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from nbformat import v4
from sphinx.application import Sphinx

from ctl_helpers.figures import axes, drawing, heatmaps, static
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import BLUE, GREEN
from ctl_helpers.results.labels import MAIN_PARADIGMS
from ctl_helpers.site import gallery, sphinx_figures, stills

CONFIGURATION = """
extensions = ["myst_nb", "ctl_helpers.site.sphinx_figures", "ctl_helpers.site.stills"]
nb_execution_mode = "off"
"""


def figure(colour: str) -> dict:
    return json.loads(draw(line("a", colour)).to_json())


def page(path: Path, *figures: dict, name: str = "") -> None:
    """Write an executed notebook that shows figures, the first of them with a name."""
    cells = [v4.new_markdown_cell("# Page")]
    for shown in figures:
        output = v4.new_output("display_data", {sphinx_figures.PLOTLY_MIME: shown})
        cells.append(v4.new_code_cell("1", outputs=[output]))
    if name:
        cells[1].metadata["mystnb"] = {"figure": {"name": name, "caption": "C."}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells), path)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Builds ``tmp_path/source`` into a site."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONFIGURATION)
    names = ("fig-blue", "fig-drawing", "fig-green")
    figures = {name: gallery.Figure(page="index", title="T") for name in names}
    registry = gallery.Registry(papers={}, figures=figures)
    monkeypatch.setattr(gallery, "load", lambda: registry)

    def run() -> Path:
        site = tmp_path / "site"
        Sphinx(source, source, site, tmp_path / "doctrees", "html", status=None).build()
        return site

    return run


def images(html: Path) -> list[Path]:
    """The files that a page's still images name."""
    found = re.findall(r'<img class="figure-still"[^>]*src="([^"]*)"', html.read_text("utf-8"))
    return [(html.parent / source).resolve() for source in found]


def test_a_site_has_each_image_once_where_its_pages_look(
    tmp_path: Path, build: Callable[[], Path]
) -> None:
    source = tmp_path / "source"
    blue, green = figure(BLUE), figure(GREEN)
    page(source / "index.ipynb", blue, name="fig-blue")
    page(source / "runs" / "page.ipynb", blue, green)
    (source / "drawing.svg").write_text("<svg/>")
    (source / "more.md").write_text("# More\n\n```{figure} drawing.svg\n:name: fig-drawing\n```\n")
    site = build()
    (image,) = images(site / "index.html")
    first, second = images(site / "runs" / "page.html")
    assert image == first != second
    assert all(path.read_text("utf-8").startswith("<?xml") for path in (first, second))
    folder = image.parent
    small = folder / f"{image.stem}-small.svg"
    assert (folder / "fig-blue.svg").read_bytes() == small.read_bytes()
    assert (folder / "fig-drawing.svg").read_text() == "<svg/>"
    assert "not run yet" in (folder / "fig-green.svg").read_text()
    date = image.stat().st_mtime_ns
    page(source / "runs" / "page.ipynb", blue)
    build()
    assert not second.exists()
    assert image.stat().st_mtime_ns == date


def test_images_that_other_code_drew_are_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stills.missing(tmp_path, ["one"]) == ["one"]
    stills.draw(tmp_path, {"one": json.dumps(figure(BLUE))})
    assert stills.missing(tmp_path, ["one"]) == []
    monkeypatch.setattr(stills, "_code", lambda: "other")
    assert stills.missing(tmp_path, ["one"]) == ["one"]


def test_a_figure_that_cannot_be_drawn_is_no_quiet_gap(tmp_path: Path) -> None:
    pie = {**figure(BLUE), "data": [{"type": "pie"}]}
    with pytest.raises(ValueError, match="pie"):
        stills.draw(tmp_path, {"pie": json.dumps(pie)})


# What an image shows.


def made(figure: go.Figure) -> str:
    return static.svg(json.loads(figure.to_json()))


def written(image: str) -> list[tuple[str, float]]:
    """What is written in an image, each text with its parts joined, and its height."""
    found = ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}text")
    joined = ((each, " ".join("".join(each.itertext()).split())) for each in found)
    return [(text, float(each.get("y", "nan"))) for each, text in joined]


def texts(image: str) -> list[str]:
    return [text for text, _ in written(image)]


def test_a_thumbnail_is_the_first_panel_without_words() -> None:
    lines = [Line(name, BLUE, {"": {"x": [1, 2], "y": [1, 2]}}, 1, n, look={"mode": "lines"})
             for n, name in enumerate("ab", 1)]  # fmt: skip
    drawn = draw(*lines, rows=["label"], columns=["left", "right"])
    drawn.add_vline(x=1.5, line_dash="dot")
    image = static.thumbnail(json.loads(drawn.to_json()))
    assert texts(image) == []
    width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', image)[0])
    assert width / height == pytest.approx(4 / 3, rel=0.05)
    whole = static.svg(json.loads(drawn.to_json()))
    assert image.count("<path") < whole.count("<path")


def line(name: str, colour: str, *choices: str, group: str = "", **look: object) -> Line:
    data = {choice: {"x": [1, 2, 4], "y": [1.0, 0.1, 0.01]} for choice in choices or ("",)}
    return Line(name, colour, data, group=group, look={"mode": "lines+markers", **look})


def draw(*lines: Line, **options: object) -> go.Figure:
    return drawing.draw(list(lines), "Takeaway", "A.", **options)


def test_an_image_has_every_point_and_word_of_its_figure() -> None:
    lines = [line("α = 0.5", BLUE), line("baseline", GREEN, marker_symbol="square")]
    figure = draw(*lines, rows=["loss"], columns=["λ<sub>max</sub>"])
    figure.update_yaxes(**axes.LOG_AXIS).update_xaxes(title_text="epochs")
    image = made(figure)
    # Markers stand in the legend, too.
    assert image.count("<use") == 2 * (3 + 1)
    assert {"α = 0.5", "baseline", "loss", "λmax", "epochs", "10⁻¹"} <= set(texts(image))
    assert not any("Takeaway" in text for text in texts(image))
    assert image == made(figure)


def test_an_image_shows_what_menus_stand_at_and_says_so() -> None:
    lines = [line("a", BLUE, "mean", "pair", group="λ = 1"), line("b", GREEN, group="λ = 2")]
    figure = draw(*lines, slider="λ")
    assert "Shown: mean, every λ" in texts(made(figure))
    figure.data[1].visible = False
    hidden = made(figure)
    assert "b" not in texts(hidden)
    assert hidden.count("<use") == 3 + 1


def test_error_bars_and_areas_are_drawn() -> None:
    plain = made(draw(line("a", BLUE)))
    frame = pd.DataFrame({"x": [1, 2], "mean": [1.0, 2.0], "low": [0.5, 1.5], "high": [2.0, 3.0]})
    area = drawing.band("a", BLUE, {"": frame}, "x", (1, 1))
    assert "fill-opacity: 0.18" in made(draw(area, line("a", BLUE)))
    bars = {"array": [1, 1, 1], "arrayminus": [0, -1e-17, 0], "width": 4, "symmetric": False}
    with_bars = made(draw(line("a", BLUE, error_y=bars)))
    assert with_bars.count("<use") == plain.count("<use") + 2 * 3  # their caps


def test_a_line_at_a_value_is_in_view_on_every_panel() -> None:
    lines = [
        Line("a", BLUE, {"": {"x": [1, 2], "y": [30, 40]}}, 1, place, look={"mode": "lines"})
        for place in (1, 2)
    ]
    figure = draw(*lines, columns=["p", "q"])
    before = made(figure)
    figure.add_hline(y=1, line_dash="dot", row=1, col="all")
    after = made(figure)
    assert "10" in texts(after)
    assert "10" not in texts(before)
    (dotted,) = re.findall(r"\.(s\d+)\{[^}]*stroke-dasharray", after)
    assert after.count(f'class="{dotted}"') == 2


def test_categories_stand_in_the_figures_order_and_reversed_axes_are() -> None:
    table = pd.DataFrame(
        {"setting": "s", "seed": 0, "paradigm": p, "i": i, "j": j, "cosine": float(i == j)}
        for p in MAIN_PARADIGMS
        for i, j in product(("first", "second"), repeat=2)
    )
    image = made(heatmaps.cosines(table, {"s": "S"}))
    first, second = (
        min(y for text, y in written(image) if text == task) for task in ("first", "second")
    )
    assert first < second
    assert texts(image).count("1") == 6
    assert "cosine" in texts(image)
    assert image.count("<image") >= 3


def test_names_that_would_touch_are_turned_and_numbers_left_out() -> None:
    names = [f"layer{n}.conv" for n in range(12)]
    few = Line("a", BLUE, {"": {"x": names, "y": list(range(12))}}, look={"mode": "lines"})
    image = made(draw(few, columns=["p", "q", "r"]))
    assert set(names) <= set(texts(image))
    assert "rotate(-90" in image
    numbers = list(range(99))
    many = Line("a", BLUE, {"": {"x": numbers, "y": [1.0] * 99}}, look={"mode": "lines"})
    found = texts(made(draw(many).update_xaxes(tickvals=numbers)))
    assert 5 < sum(text.isdigit() for text in found) < 60


@pytest.mark.parametrize(
    ("trace", "named"),
    [
        (go.Bar(x=[1], y=[1]), "bar"),
        (go.Scatter(x=[1], y=[1], mode="markers", marker_symbol="hexagon", line_color=BLUE),
         "hexagon"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_by_its_name(trace: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        made(draw(line("a", BLUE)).add_trace(trace))


def test_numbers_keep_their_digits_where_an_image_is_shortened() -> None:
    figure = draw(line("a", BLUE))
    figure.update_yaxes(tickvals=list(np.array([0.123456, 0.5])), ticktext=["0.123456", "half"])
    assert "0.123456" in texts(made(figure))
