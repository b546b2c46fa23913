"""Menus and sliders above the figures of the built pages, by keyboard and by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

NARROW = {"width": 380, "height": 900}
VALUES = """(figure) => figure.data
    .filter((trace) => trace.visible !== false && trace.opacity !== 0)
    .map((trace) => JSON.stringify([trace.y, trace.z ?? null]))"""


def opened(browser: Browser, site: Path, name: str, figure: str, **view: Any) -> Locator:
    """A figure on its page, once it is drawn."""
    page = browser.new_page(**view)
    page.goto((site / "book" / f"{name}.html").as_uri())
    whole = page.locator(f"#{figure}")
    whole.scroll_into_view_if_needed()
    page.wait_for_function(f"document.querySelector('#{figure} .plotly-figure').data !== undefined")
    return whole


def settled(figure: Locator, before: list[str]) -> list[str]:
    """What a figure shows once that is another thing than before."""
    for _ in range(50):
        now = figure.evaluate(VALUES)
        if now != before:
            return now
        figure.page.wait_for_timeout(100)
    raise AssertionError("the figure stayed as it was")


@pytest.mark.slow
def test_a_slider_and_a_menu_change_what_a_figure_shows(site: Path, browser: Browser) -> None:
    whole = opened(browser, site, "4_1", "fig-4-1-direction")
    page, figure = whole.page, whole.locator(".plotly-figure")
    everything = figure.evaluate(VALUES)
    slider = whole.get_by_label("α", exact=True)
    assert slider.get_attribute("aria-valuetext") == "every α"
    slider.focus()
    page.keyboard.press("ArrowRight")
    one = settled(figure, everything)
    assert 0 < len(one) < len(everything)
    assert slider.get_attribute("aria-valuetext").startswith("α = ")
    assert whole.locator("output").inner_text() == slider.get_attribute("aria-valuetext")
    menu = whole.get_by_label("pair", exact=True)
    menu.focus()
    page.keyboard.press("ArrowDown")
    other = settled(figure, one)
    assert len(other) == len(one)
    assert figure.locator(".updatemenu-header").count() == 0


@pytest.mark.slow
def test_a_point_tells_its_quartiles(site: Path, browser: Browser) -> None:
    figure = opened(browser, site, "4_1", "fig-4-1-direction").locator(".plotly-figure")
    told = figure.evaluate("""(figure) => {
        const curveNumber = figure.data.findIndex((t) => t.visible !== false && t.error_y?.array);
        Plotly.Fx.hover(figure, [{ curveNumber, pointNumber: 0 }]);
        return figure.querySelector(".hovertext").textContent;
    }""")
    assert re.search(r": [\d.]+ \+[\d.]+ / -[\d.]+ to the quartiles$", told), told


@pytest.mark.slow
@pytest.mark.parametrize(("name", "figure"), [("4_1", "fig-4-1-direction"), ("4_3", "fig-4-3-eq2")])
def test_a_cell_of_the_heat_map_chooses_its_pair(
    site: Path, browser: Browser, name: str, figure: str
) -> None:
    whole = opened(browser, site, name, figure)
    drawn = whole.locator(".plotly-figure")
    before = drawn.evaluate(VALUES)
    whole.locator(".figure-pairs summary").click()
    one = whole.locator(".figure-pairs table").first
    cells = one.locator("button")
    tasks = one.locator("tbody tr").count() + 1
    assert cells.count() == tasks * (tasks - 1) // 2
    pair = cells.last.get_attribute("aria-label").removeprefix("Show ").partition(":")[0]
    cells.last.click()
    settled(drawn, before)
    menu = whole.get_by_label("pair", exact=True)
    assert menu.locator("option:checked").inner_text() == pair
    pressed = one.locator("button[aria-pressed=true]")
    assert pressed.get_attribute("aria-label").startswith(f"Show {pair}:")
    menu.select_option(index=0)
    assert pressed.count() == 0


@pytest.mark.slow
def test_the_tab_key_leads_from_a_figures_menu_to_a_cell_of_its_heat_map(
    site: Path, browser: Browser
) -> None:
    whole = opened(browser, site, "4_1", "fig-4-1-direction", viewport=NARROW)
    takeaway = whole.locator(".figure-takeaway").inner_text()
    controls = whole.get_by_role("group", name=takeaway, exact=True)
    drawn = whole.locator(".plotly-figure")
    controls.get_by_label("pair", exact=True).focus()
    before = drawn.evaluate(VALUES)
    # slider, measure, heat map, open, cell, choose
    for key in ("Tab", "Tab", "Tab", "Enter", "Tab", "Enter"):
        whole.page.keyboard.press(key)
    settled(drawn, before)
    assert controls.locator("button").first.get_attribute("aria-pressed") == "true"


@pytest.mark.slow
def test_what_scrolls_can_be_reached_by_keys_and_the_rest_is_passed_over(
    site: Path, browser: Browser
) -> None:
    page = browser.new_page(viewport=NARROW)
    page.goto((site / "book" / "3.html").as_uri())
    drawing = page.locator("figure.wide-drawing")
    assert drawing.evaluate("(box) => box.scrollWidth > box.clientWidth && box.tabIndex") == 0
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function("document.querySelector('figure.wide-drawing').tabIndex === -1")


@pytest.mark.slow
def test_a_menu_changes_a_heat_map(site: Path, browser: Browser) -> None:
    whole = opened(browser, site, "linear", "fig-linear-maps")
    figure = whole.locator(".plotly-figure")
    before = figure.evaluate(VALUES)
    menu = whole.locator("select")
    menu.select_option(index=menu.locator("option").count() - 1)
    settled(figure, before)
