"""The book as one PDF: the built site's chapters, printed by a browser and joined."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, ViewportSize, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, Fit, FloatObject, NameObject, NullObject

from ctl_helpers.project import ProjectError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_WIDTH = 640  # px, a little less than between the margins of a page of A4
_READY = """async () => {
    await window.MathJax?.startup?.promise;
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
    for (const formula of document.querySelectorAll("mjx-container[display]")) {
        const share = (0.97 * formula.clientWidth) / formula.scrollWidth;
        const size = getComputedStyle(formula).fontSize;
        if (share < 0.97) formula.style.fontSize = `calc(${share} * ${size})`;
    }
    await Promise.all([...document.images].map((image) => {
        image.loading = "eager";
        return image.decode();
    }));
}"""
_HEADINGS = """() => [...document.querySelectorAll("article section[id] > :is(h1, h2, h3)")].map(
    (heading) => {
        const copy = heading.cloneNode(true);
        copy.querySelectorAll(".headerlink").forEach((link) => link.remove());
        return [Number(heading.tagName[1]), copy.textContent.trim(), heading.parentNode.id];
    })"""
# A browser notes the places of those anchors alone that the page itself links to.
_LINK = """(anchors) => anchors.forEach((anchor) => {
    const link = document.body.appendChild(document.createElement("a"));
    link.href = "#" + anchor;
    link.hidden = true;
})"""


def make(site: Path, names: Sequence[str], target: Path) -> int:
    """Print pages of a built site into one PDF with an outline.

    Links between the pages lead to their places in the PDF; those to other pages of the site are
    left as plain text.

    Args:
        site: the folder of the built site.
        names: the pages, in order: ``"book/index"``.
        target: the PDF to write.

    Returns:
        The number of pages of paper.

    Raises:
        ProjectError: the site is not built, or this machine has no Chromium.
    """
    paths = [site / f"{name}.html" for name in names]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise ProjectError(f"the site has no {missing[0]}: build it with `make site`, then print")
    anchors = _anchors(paths)
    writer = PdfWriter()
    outline: list[tuple[int, str, str]] = []
    starts: dict[int, str] = {}
    places: dict[str, tuple[int, float | None]] = {}
    with sync_playwright() as playwright, _browser(playwright) as browser:
        size = ViewportSize(width=_WIDTH, height=1000)
        page = browser.new_context(color_scheme="light", viewport=size).new_page()
        # Still images stand for the figures.
        page.route(re.compile(r"/(plotly-cartesian\.min|figures)\.js"), lambda route: route.abort())
        for path in paths:
            address, first = path.as_uri(), len(writer.pages)
            page.goto(address)
            headings = page.evaluate(_HEADINGS)
            page.evaluate(_LINK, [*anchors[path.name], *(anchor for _, _, anchor in headings)])
            part = PdfReader(BytesIO(_printed(page, first)))
            starts[first], places[address] = address, (first, None)
            for name, place in part.named_destinations.items():
                number = first + (part.get_destination_page_number(place) or 0)
                places[f"{address}#{name.removeprefix('/')}"] = (number, float(place.top or 0))
            writer.append(part, import_outline=False)
            outline += [(*heading, f"{address}#{anchor}") for *heading, anchor in headings]
    _outline(writer, outline, places)
    _relink(writer, starts, places)
    writer.add_metadata({"/Title": "Cross-Task Linearity"})
    writer.compress_identical_objects()
    whole = target.with_suffix(".new")
    writer.write(whole)
    whole.replace(target)
    return len(writer.pages)


def _browser(playwright: Playwright) -> Browser:
    installed = next(filter(None, map(shutil.which, _BROWSERS)), None)
    program = installed or playwright.chromium.executable_path
    if not Path(program).is_file():
        raise ProjectError(
            "printing needs Chromium, which is not on this machine: install your system's package "
            "`chromium`, or run `.venv/bin/playwright install chromium`"
        )
    return playwright.chromium.launch(executable_path=program)


def _anchors(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Page → the anchors in it that any page links to."""
    anchors: dict[str, dict[str, None]] = {path.name: {} for path in paths}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for page, anchor in re.findall(r'href="(?:[^"#]*/)?([\w-]+\.html)#([^"]+)"', text):
            anchors.get(page, {})[anchor] = None
    return {name: list(linked) for name, linked in anchors.items()}


def _printed(page: Page, before: int) -> bytes:
    """The open page of the site as PDF, its pages counted from how many there are before."""
    page.emulate_media(media="print")
    page.add_style_tag(content=f"html {{ counter-reset: page {before}; }}")
    page.evaluate(_READY)
    return page.pdf(prefer_css_page_size=True, tagged=False)


def _outline(
    writer: PdfWriter,
    headings: Sequence[tuple[int, str, str]],
    places: Mapping[str, tuple[int, float | None]],
) -> None:
    """Bookmarks of the headings, each under the last one of a level above."""
    parents: dict[int, Any] = {}
    for level, title, address in headings:
        number, top = places[address]
        parents[level] = writer.add_outline_item(
            title=title, page_number=number, parent=parents.get(level - 1), fit=Fit.xyz(top=top)
        )


def _relink(
    writer: PdfWriter, starts: Mapping[int, str], places: Mapping[str, tuple[int, float | None]]
) -> None:
    """Let links between the printed pages lead to where those stand in the PDF."""
    address = ""
    for number, page in enumerate(writer.pages):
        address = starts.get(number, address)
        links = ArrayObject()
        for reference in page.get("/Annots", ()):
            link = reference.get_object()
            named = link.get("/Dest")
            target = link["/A"]["/URI"] if named is None else f"{address}#{named[1:]}"
            if target.startswith("file:"):
                place = places.get(target) or places.get(target.partition("#")[0])
                if place is None:
                    continue
                link.pop("/A", None)
                height = NullObject() if place[1] is None else FloatObject(place[1])
                aim = [writer.pages[place[0]].indirect_reference, NameObject("/XYZ"), NullObject()]
                link[NameObject("/Dest")] = ArrayObject([*aim, height, NullObject()])
            links.append(reference)
        page[NameObject("/Annots")] = links
