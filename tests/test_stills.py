"""Still images of a site's figures: drawn once, named, and where the pages look for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from sphinx.application import Sphinx

from ctl_helpers.figures import drawing
from ctl_helpers.site import gallery, sphinx_figures, stills

CONFIGURATION = """
extensions = ["myst_nb", "ctl_helpers.site.sphinx_figures", "ctl_helpers.site.stills"]
nb_execution_mode = "off"
"""


def figure(colour: str) -> dict:
    line = drawing.Line("a", colour, {"": {"x": [1], "y": [2]}}, look={"mode": "markers"})
    return json.loads(drawing.draw([line], "Takeaway", "A.").to_json())


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
    blue, green = figure(drawing.BLUE), figure(drawing.GREEN)
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
    assert (folder / "fig-blue.svg").read_bytes() == image.read_bytes()
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
    stills.draw(tmp_path, {"one": json.dumps(figure(drawing.BLUE))})
    assert stills.missing(tmp_path, ["one"]) == []
    monkeypatch.setattr(stills, "_code", lambda: "other")
    assert stills.missing(tmp_path, ["one"]) == ["one"]


def test_a_figure_that_cannot_be_drawn_is_no_quiet_gap(tmp_path: Path) -> None:
    pie = {**figure(drawing.BLUE), "data": [{"type": "pie"}]}
    with pytest.raises(ValueError, match="pie"):
        stills.draw(tmp_path, {"pie": json.dumps(pie)})
