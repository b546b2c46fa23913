"""Still images in built pages: one beside each figure, drawn once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ctl_helpers.figures import drawing
from ctl_helpers.site import sphinx_figures, stills

JSON = {
    colour: json.loads(
        drawing.draw([drawing.Line("a", colour, {"": {"x": [1], "y": [2]}})], "T", "A.")
        .update_traces(mode="markers")
        .to_json()
    )
    for colour in (drawing.BLUE, drawing.GREEN)
}
BLUE, GREEN = map(sphinx_figures.figure_html, JSON.values())


def images(page: Path) -> list[Path]:
    """The files that a page's still images name."""
    found = re.findall(r'<img class="figure-still"[^>]*src="([^"]*)"', page.read_text("utf-8"))
    return [(page.parent / source).resolve() for source in found]


def test_an_image_follows_its_figure() -> None:
    page, figures = stills.beside(f"<p>{BLUE}</p><p>{GREEN}</p>", "../images")
    blue, green = figures
    assert page.index(BLUE) < page.index(blue) < page.index(GREEN) < page.index(green)
    assert f'loading="lazy" src="../images/{blue}"' in page
    assert json.loads(figures[blue])["data"][0]["name"] == "a"
    assert stills.beside(page, "../images") == (page, figures)


def test_a_site_has_each_image_once_and_no_others(tmp_path: Path) -> None:
    first, second = tmp_path / "index.html", tmp_path / "book" / "runs" / "page.html"
    second.parent.mkdir(parents=True)
    first.write_text(f'<figure class="align-default" id="fig-blue">{BLUE}</figure>', "utf-8")
    second.write_text(BLUE + GREEN, "utf-8")
    stills.add(tmp_path)
    (blue,) = images(first)
    assert images(second)[0] == blue
    assert all(path.read_text("utf-8").startswith("<?xml") for path in images(second))
    folder = tmp_path / stills.FOLDER
    assert (folder / "fig-blue.svg").read_bytes() == blue.read_bytes()
    date = blue.stat().st_mtime_ns
    second.write_text("nothing", "utf-8")
    stills.add(tmp_path)
    assert {path.name for path in folder.iterdir()} == {blue.name, "fig-blue.svg"}
    assert blue.stat().st_mtime_ns == date


def test_a_figure_that_was_not_run_has_an_image_that_says_so(tmp_path: Path) -> None:
    named = f'<figure class="align-default" id="fig-blue">{BLUE}</figure>'
    sources = [f"{stills.FOLDER}/fig-{name}.svg" for name in ("blue", "green")]
    thumbnails = "".join(f'<a href="#x"><img src="{source}" alt=""></a>' for source in sources)
    (tmp_path / "index.html").write_text(named + thumbnails, "utf-8")
    stills.add(tmp_path)
    blue, green = (tmp_path / source for source in sources)
    assert "not run yet" in green.read_text("utf-8")
    assert "not run yet" not in blue.read_text("utf-8")


def test_a_figure_that_cannot_be_drawn_is_no_quiet_gap(tmp_path: Path) -> None:
    figure = {**JSON[drawing.BLUE], "data": [{"type": "pie"}]}
    (tmp_path / "index.html").write_text(sphinx_figures.figure_html(figure), "utf-8")
    with pytest.raises(ValueError, match="pie"):
        stills.add(tmp_path)
