"""What stands around a figure, as a notebook shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plotly.graph_objects import Figure, Scatter

from ctl_helpers.figures.frame import Menu, button, framed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GAPS = """() => {
    const box = (name) => document.querySelector(name).getBoundingClientRect();
    const title = box(".gtitle"), above = title.top - box(".svg-container").top;
    return [above, box(".updatemenu-container").top - title.bottom];
}"""


@pytest.mark.parametrize("words", [2, 20, 40], ids=["one line", "two lines", "four lines"])
def test_a_title_is_seen_whole_in_a_notebook(browser: Browser, tmp_path: Path, words: int) -> None:
    menu = Menu("pair", [button("a, b", {}), button("a, c", {})])
    about = {"height": 344, "min_width": 600, "menus": [menu]}
    figure = framed(Figure(Scatter(x=[0, 1], y=[0, 1])), "word " * words, "A line", **about)
    path = tmp_path / "figure.html"
    figure.write_html(path, include_plotlyjs=True)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".gtitle")
    above, below = page.evaluate(GAPS)
    page.close()
    assert above > 3
    assert below > 3
