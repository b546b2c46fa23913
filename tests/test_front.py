"""The front page and the furniture: what a page says of itself, how long it takes, what is next."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT
from docutils import nodes
from docutils.core import publish_doctree
from plotly.offline import get_plotlyjs_version

from ctl_helpers.site import citing, contents, page_head, reading_path, search, theme
from ctl_helpers.site.sphinx_figures import PLOTLY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = ROOT / "book" / "_static"
READ = contents.chapters(ROOT / "_toc.yml", without=contents.REFERENCE)


def test_the_path_goes_through_chapters_in_their_order() -> None:
    assert len(reading_path.PATH) == 5
    places = [READ.index(page) for page in reading_path.PATH]
    assert places == sorted(places)
    assert reading_path.BEYOND in READ


def test_each_step_leads_to_the_next_and_the_last_beyond() -> None:
    page, walked = reading_path.PATH[0], []
    while (step := reading_path.step(page)) is not None:
        walked.append(step[0])
        page = step[1]
    assert (walked, page) == ([1, 2, 3, 4, 5], reading_path.BEYOND)


def test_reference_is_looked_up_and_not_read() -> None:
    everything = contents.chapters(ROOT / "_toc.yml")
    assert {"book/settings", "book/claims", "book/about"} <= set(everything) - set(READ)
    assert {"book/index", "book/own", "book/linear"} <= set(READ)


def test_minutes_are_of_words_that_are_read() -> None:
    words = "word " * 99
    page = publish_doctree(f"Title\n=====\n\n{words}\n\n{words}\n")
    assert reading_path.minutes(page) == 1
    page += nodes.paragraph("", words * 2)
    assert reading_path.minutes(page) == 2
    page += nodes.figure("", nodes.image())
    page += nodes.figure("", nodes.image())
    assert reading_path.minutes(page) == 3
    page += nodes.literal_block("", words * 9)
    page += nodes.math_block("", words * 9)
    page += nodes.table("", nodes.paragraph("", words * 9))
    assert reading_path.minutes(page) == 3


def test_a_description_is_what_a_page_asks_and_no_longer_than_previews_show() -> None:
    page = publish_doctree("T\n=\n\n**What this page asks.** Do two\nthings agree?\n\nMore.\n")
    assert page_head.description(page) == "Do two things agree?"
    long = publish_doctree("T\n=\n\n" + "word " * 100)
    assert 150 < len(page_head.description(long)) <= 200


def test_heads_are_escaped() -> None:
    lines = page_head.tags('A "b"', "", "", "").splitlines()
    (line,) = [line for line in lines if "og:title" in line]
    assert 'content="A &quot;b&quot;"' in line


def test_the_footer_has_version_date_and_where_to_cite_from(tmp_path: Path) -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    (tmp_path / "CITATION.cff").write_text(text, "utf-8")
    released = re.search(r"date-released: (\S+)", text)
    assert released
    assert citing.dated(tmp_path) == released[1]
    said = theme.footer("1.2", "2026-01-02", "about.html")
    assert "Version 1.2" in said
    assert 'datetime="2026-01-02"' in said
    assert 'href="about.html"' in said


def test_the_citation_names_paper_and_book() -> None:
    said = citing.entries().data
    assert said.count("@") == 2
    assert "Zhou, Zhanpeng and Chen, Zijun" in said
    assert re.search(r"version = \{\d+\.\d+\.\d+(\.dev\d+)?\}", said)
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert version
    assert f"version = {{{version[1]}}}" in said


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_the_logo_is_seen_in_light_and_dark(ground: str) -> None:
    shapes = list(ET.parse(STATIC / "logo.svg").getroot())
    colours = {shape.get(name) for shape in shapes for name in ("fill", "stroke")} - {None}
    assert len(colours) == 3
    assert [c for c in colours if contrast(str(c), ground) < 3] == []


def test_links_are_blue_enough_on_every_ground_of_either_theme() -> None:
    style = (STATIC / "custom.css").read_text("utf-8")
    for mode, grounds in {"light": ["#ffffff", "#f3f4f5"], "dark": ["#121212", "#29313d"]}.items():
        (block,) = re.findall(
            rf'html\[data-theme="{mode}"\] \{{\n  --pst-color-link(.*?)\}}', style, re.S
        )
        (link,) = re.findall(r"^: (#\w+);", block)
        assert [ground for ground in grounds if contrast(link, ground) < 4.5] == []


def test_plotlys_script_is_the_part_of_the_installed_version() -> None:
    with (STATIC / PLOTLY).open(encoding="utf-8") as script:
        head = [next(script) for _ in range(5)]
    assert f"plotly.js (cartesian - minified) v{get_plotlyjs_version()}" in head[1]
    assert (STATIC / PLOTLY).stat().st_size < 1_600_000


def test_the_search_has_the_words_of_sections_and_no_code() -> None:
    page = publish_doctree(
        "T\n=\n\nHead ``x < y``.\n\nPart\n----\n\nWords.\n\n::\n\n   code\n\nMore\n----\n\nEnd.\n"
    )
    said = search.text(page)
    assert "code" not in said
    assert "x &lt; y" in said
    assert re.search(r'<section id="part">Part Words\. +</section>', said)


def test_theme_mends_what_it_should() -> None:
    page = (
        '<a/>\n  <script src="../_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=d"></script>'
    )
    for pattern, correct in theme.MENDED:
        page = pattern.sub(correct, page)
    assert page == "<a/>"


# The built site.

HREFS = "links => links.map((link) => link.getAttribute('href'))"


class Head(HTMLParser):
    """Titles, descriptions, icons and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.metas: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            self.metas[name] = str(given["content"])
        if tag == "link" and given.get("rel"):
            self.links[str(given["rel"])] = str(given["href"])
        if tag == "script" and given.get("src"):
            self.scripts.append(str(given["src"]))


def built(site: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted((site / "book").glob("*.html"))}


@pytest.mark.slow
def test_each_page_says_what_it_is(site: Path) -> None:
    described = set()
    for name, text in built(site).items():
        head = Head(text)
        title, *_ = re.findall(r"<title>(.*?)</title>", text, re.S)  # drawings have titles, too
        assert title.count("Cross-Task Linearity, measured") == 1, name
        described.add(head.metas["description"])
        assert head.metas["description"], name
        assert head.metas["og:title"], name
        assert (site / "book" / head.metas["og:image"]).is_file()
        assert (site / "book" / head.links["icon"]).is_file()
        assert re.search(r"Version \d+\.\d+\.\d+(\.dev\d+)? of <time", text), name
        assert not [source for source in head.scripts if "fontawesome" in source]
        whole = [source for source in head.scripts if "plotly" in source]
        assert all(PLOTLY in source for source in whole)
    assert len(described) == len(built(site))


@pytest.mark.slow
def test_pages_have_a_time_and_the_path_takes_an_hour(site: Path) -> None:
    pages = built(site)
    minutes = {}
    for name in READ[1:]:
        (time,) = re.findall(
            r'class="reading-time">(\d+) minute', pages[name.removeprefix("book/")]
        )
        minutes[name] = int(time)
    assert 40 <= sum(minutes[page] for page in reading_path.PATH) <= 75
    for page in reading_path.PATH:
        place, after = reading_path.step(page) or (0, "")
        text = pages[page.removeprefix("book/")]
        assert f"step {place} of 5 on the" in text
        (further,) = re.findall(r'class="reading-next">.*?href="([\w.]+)"', text)
        assert further == f"{after.removeprefix('book/')}.html"
    assert "reading-time" not in pages["settings"]


@pytest.mark.slow
def test_the_front_page_has_three_doors_and_is_short(site: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((site / "book" / "index.html").as_uri())
    doors = page.locator(".doors .sd-card")
    assert doors.locator("a").evaluate_all(HREFS) == ["live.html", "3.html", "own.html"]
    tops = {box["y"] for box in (door.bounding_box() for door in doors.all()) if box}
    assert len(tops) == 1
    assert page.get_by_text("What this build lacked").count() == 0
    assert page.locator("article .plotly-figure").count() == 1
    page.set_viewport_size({"width": 380, "height": 900})
    tops = {box["y"] for box in (door.bounding_box() for door in doors.all()) if box}
    assert len(tops) == 3
    page.close()


DRAWN = """() => [...document.querySelectorAll(".plotly-figure")]
    .every((figure) => figure.querySelector(".main-svg"))"""
PANELS = """() => [...document.querySelectorAll(".plotly-figure")].map((figure) => {
    const box = figure.parentElement;
    const right = box.getBoundingClientRect().right + 1;
    const drawn = [...figure.querySelectorAll(".plotbg > rect, .bglayer rect.bg")]
        .map((panel) => panel.getBoundingClientRect());
    const axes = Object.keys(figure.layout).filter((name) => /^xaxis/.test(name));
    const lefts = new Set(axes.map((name) => (figure.layout[name].domain ?? [0])[0].toFixed(2)));
    return {
        name: figure.closest("figure")?.id ?? "",
        hidden: box.scrollWidth - box.clientWidth,
        outside: drawn.filter((panel) => panel.right > right).length,
        columns: lefts.size,
        most: Math.max(1, ...(JSON.parse(figure.nextElementSibling.textContent).arrangements ?? [])
            .map((each) => each.columns)),
    };
})"""
# Plotly draws anew a tenth of a second after the size has changed.
REDRAWN = """() => new Promise((done) => requestAnimationFrame(
    () => requestAnimationFrame(() => setTimeout(done, 250))))"""
WIDTHS = (360, 599, 600, 1280, 1600, 1920)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "3", "4_1", "4_1_resnets", "4_2", "linear", "theory"])
def test_no_panel_is_hidden_at_any_width(site: Path, browser: Browser, name: str) -> None:
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    page.goto((site / "book" / f"{name}.html").as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(REDRAWN)
        for figure in page.evaluate(PANELS):
            where = f"{figure['name']} at {width} px"
            assert figure["hidden"] <= 0, where
            assert figure["outside"] == 0, where
            if width < 600:
                assert figure["columns"] == 1, where
            elif figure["most"] == 4 and width < 1280:
                assert figure["columns"] in (2, 4), where
    page.close()


@pytest.mark.slow
def test_a_measure_that_is_chosen_names_every_axis_of_a_stack(site: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 380, "height": 900})
    page.goto((site / "book" / "index.html").as_uri())
    page.wait_for_function(DRAWN, timeout=60_000)
    titles = ".plotly-figure text[class^=y][class$=title]"
    before = page.locator(titles).all_text_contents()
    menu = page.get_by_label("measure", exact=True)
    menu.select_option(index=menu.locator("option").count() - 1)
    page.wait_for_timeout(1000)
    after = page.locator(titles).all_text_contents()
    assert len(set(before)) == len(set(after)) == 1
    assert len(before) == len(after)
    assert before != after
    page.close()


SMALL = """() => {
    document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
    const text = "p a, li a, td a, dd a, figcaption a, .caption a, h1 a, h2 a, h3 a";
    const inText = (e) => e.matches(text) && !e.matches(".verdict, nav a, .btn");
    const targets = "button, select, summary, input, a, label[for], [role=button]";
    return [...document.querySelectorAll(targets)]
        .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
        .filter((e) => !inText(e))
        .map((e) => [e.outerHTML.slice(0, 90), e.getBoundingClientRect(), e.tagName])
        .filter(([, box]) => box.width > 1 && box.height > 1)
        .filter(([, box, tag]) => box.height < 23.9 || (tag !== "LABEL" && box.width < 23.9))
        .map(([html, box]) => `${html} ${box.width.toFixed(1)} x ${box.height.toFixed(1)}`);
}"""
PALE = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
        const [r, g, b] = numbers(colour).slice(0, 3).map((value) => value / 255)
            .map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((numbers(colour)[3] ?? 1) === 1) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.querySelectorAll("a")]
        .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
        .filter((e) => e.textContent.trim() && !e.matches(".headerlink"))
        .map((e) => {
            const both = [luminance(getComputedStyle(e).color), luminance(ground(e))];
            const [dark, light] = both.sort((one, other) => one - other);
            return [(light + 0.05) / (dark + 0.05), e.outerHTML.slice(0, 90)];
        })
        .filter(([ratio]) => ratio < 4.5);
}"""


def opened(browser: Browser, path: Path, width: int = 380) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_timeout(1000)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "live", "4_1", "claims", "settings", "linear"])
def test_targets_are_large_and_links_blue_enough(site: Path, browser: Browser, name: str) -> None:
    page = opened(browser, site / "book" / f"{name}.html")
    assert page.evaluate(SMALL) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_timeout(500)
        assert page.evaluate(PALE) == [], scheme
    page.close()


SAYS_MORE = """labels => labels.every((label) =>
    label.closest("td").textContent.trim().length > label.textContent.trim().length)"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "column"), [("notation", "Meaning: "), ("own", "claim: ")])
def test_tables_of_texts_are_blocks_on_a_phone_and_say_what_each_line_is(
    site: Path, browser: Browser, name: str, column: str
) -> None:
    page = opened(browser, site / "book" / f"{name}.html", width=1280)
    label = page.locator("table .column-name").first
    assert label.is_hidden()
    page.set_viewport_size({"width": 380, "height": 900})
    page.wait_for_timeout(300)
    assert label.is_visible()
    assert label.inner_text().strip() == column.strip()
    assert page.locator("table .column-name").evaluate_all(SAYS_MORE)  # an empty cell says nothing
    boxes = page.locator(".pst-scrollable-table-container")
    assert boxes.evaluate_all("all => all.every((box) => box.scrollWidth <= box.clientWidth + 1)")
    page.close()


FORMULAS = """() => [...document.querySelectorAll(".bd-content div.math")].map((box) => {
    const start = box.querySelector("mjx-container").getBoundingClientRect().left;
    return [start - box.getBoundingClientRect().left, box.scrollWidth - box.clientWidth];
})"""


@pytest.mark.slow
def test_a_formula_that_is_wider_than_a_phone_starts_in_view(site: Path, browser: Browser) -> None:
    page = opened(browser, site / "book" / "linear.html")
    page.wait_for_selector("div.math mjx-container", state="attached")
    starts, hidden = zip(*page.evaluate(FORMULAS), strict=True)
    assert min(starts) >= -1
    assert max(hidden) > 50
    page.close()


@pytest.mark.slow
def test_what_scrolls_shows_that_it_does_until_its_end(site: Path, browser: Browser) -> None:
    page = opened(browser, site / "book" / "index.html")
    grid = page.locator(".verdict-box")
    assert grid.get_attribute("data-more") is not None
    grid.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    page.wait_for_timeout(300)
    assert grid.get_attribute("data-more") is None
    page.close()


@pytest.mark.slow
def test_numbers_in_tables_stay_on_their_line(site: Path, browser: Browser) -> None:
    page = opened(browser, site / "book" / "4_1.html")
    broken = page.evaluate(
        """() => [...document.querySelectorAll("article td.text-right")]
            .filter((cell) => /\\d/.test(cell.textContent) && cell.checkVisibility())
            .filter((cell) => {
                const words = document.createRange();
                const tops = [];
                const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
                while (texts.nextNode()) {
                    words.selectNode(texts.currentNode);
                    tops.push(...[...words.getClientRects()].map((box) => box.top));
                }
                return Math.max(...tops) - Math.min(...tops) > 8;  // a superscript is no line
            }).map((cell) => cell.textContent)"""
    )
    assert broken == []
    page.close()


@pytest.mark.slow
def test_the_search_finds_chapters_first_and_shows_what_it_found(
    site: Path, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{(site / 'search.html').as_uri()}?q=transitivity")
    page.wait_for_selector("#search-results li", timeout=20_000)
    page.wait_for_timeout(3000)
    found = page.locator("#search-results li > a").evaluate_all(HREFS)
    chapters = [f"book/{Path(address.partition('#')[0]).stem}" in READ for address in found]
    assert chapters[0]
    assert chapters == sorted(chapters, reverse=True)
    assert "ransitiv" in page.locator("#search-results .context").first.inner_text()
    page.close()
