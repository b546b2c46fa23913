"""The site layer: figures in pages, links to Colab, and the built pages as a browser sees them."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from html import unescape
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from conftest import ROOT

from ctl_helpers.figures import drawing
from ctl_helpers.figures.choices import Line
from ctl_helpers.findings.verdicts import verdicts
from ctl_helpers.project import repository
from ctl_helpers.site import sphinx_figures, theme

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = "https://github.com/owner/name"
COLAB = "https://colab.research.google.com/github/owner/name/blob/main/notebooks/4_1.ipynb"


def drawn(title: str = "T", **options: Any) -> dict[str, Any]:
    """A figure with a menu of two and a slider of three."""
    data = {"mean": {"x": [1], "y": [2]}, "other": {"x": [1], "y": [3]}}
    lines = [Line(name, drawing.BLUE, data, group=name) for name in ("α = 1", "α = 2")]
    return json.loads(drawing.draw(lines, title, "A.", menu="pair", **options).to_json())


def spec(html: str) -> dict[str, Any]:
    """What the page's script reads."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    return json.loads(text)


def test_a_page_has_the_takeaway_the_plot_alone_and_what_its_controls_are() -> None:
    figure = drawn('Low & "far" ' * 9, rows=["</script>"])
    stated = [{"finding": "times", "setting": "s", "text": "21 'times'"}]
    figure["layout"]["meta"]["findings"] = stated
    html = sphinx_figures.figure_html(figure, "../x.svg")
    heading, box = html.split('<div class="plotly-scroll">')
    assert heading.count("Low &amp; &quot;far&quot; " * 9) == 2  # the controls' name, too
    assert json.loads(unescape(re.findall('data-findings="([^"]*)"', heading)[0])) == stated
    meta = figure["layout"]["meta"]
    assert f'style="height:{meta["heights"]["plot"]}px;min-width:200px"' in box
    assert 'aria-label="Low &amp; &quot;far&quot;' in box
    assert 'src="../x.svg"' in box
    assert "figure-others" not in heading
    page = spec(html)
    assert page["data"] == figure["data"]
    layout = page["layout"]
    assert layout.keys() == figure["layout"].keys() - {"title", "updatemenus", "meta"}
    assert (layout["height"], layout["margin"]) == (meta["heights"]["plot"], meta["margin"])
    kinds = [(control["kind"], control["label"], control["active"]) for control in page["controls"]]
    assert kinds == [("menu", "pair", 0), ("slider", "α", 0)]
    menus = figure["layout"]["updatemenus"]
    assert [control["buttons"] for control in page["controls"]] == [m["buttons"] for m in menus]


def test_the_takeaways_of_other_settings_unfold() -> None:
    figure = drawn("First (A)")
    figure["layout"]["meta"]["others"] = ["Second <b> (B)"]
    heading = sphinx_figures.figure_html(figure, "x.svg").split("</details>")[0]
    assert "The same in the other setting" in heading
    assert heading.endswith("<ul><li>Second &lt;b&gt; (B)</li></ul>")
    figure["layout"]["meta"]["others"] *= 2
    assert "The same in 2 other settings" in sphinx_figures.figure_html(figure, "x.svg")


def test_a_figure_without_a_frame_stays_as_it_is() -> None:
    layout = {"meta": {"alt": "A."}, "title": {"text": "T"}, "updatemenus": [{"buttons": []}]}
    html = sphinx_figures.figure_html({"data": [], "layout": layout}, "x.svg")
    assert html.startswith('<div class="plotly-scroll">')
    del layout["meta"]
    assert spec(html) == {"data": [], "layout": layout, "controls": []}


def test_a_template_keeps_the_looks_that_its_figure_has() -> None:
    figure = drawn()
    page = spec(sphinx_figures.figure_html(figure, ""))["layout"]["template"]
    given = figure["layout"]["template"]
    assert page["layout"].items() <= given["layout"].items()
    assert {"xaxis", "yaxis", "font", "colorway"} <= page["layout"].keys()
    assert {"scene", "polar"} <= given["layout"].keys() - page["layout"].keys()
    assert page["data"] == {"scatter": given["data"]["scatter"]}


def test_only_figures_are_rendered_and_one_without_alternative_text_warns() -> None:
    renderer = Mock()

    def render(
        content: object, kind: str = sphinx_figures.PLOTLY_MIME, inline: bool = False
    ) -> Any:
        data = SimpleNamespace(mime_type=kind, content=content, line=1)
        return sphinx_figures.PlotlyRenderer.handle_mime(renderer, data, inline)

    assert render(drawn(), inline=True) is None
    assert render("", "image/png") is None
    assert not renderer.mock_calls
    (node,) = render(drawn())
    assert json.loads(node["figure"]) == drawn()
    scripts = [call.args[1] for call in renderer.add_js_file.call_args_list]
    assert scripts == ["plotly-cartesian.min.js", "figures.js"]
    assert not renderer.logger.warning.called
    assert render({"data": [], "layout": {}})
    assert renderer.logger.warning.call_count == 1


def test_the_repository_address_comes_from_pyproject(tmp_path: pathlib.Path) -> None:
    def read(line: str) -> str | None:
        (tmp_path / "pyproject.toml").write_text(f"[project]\n[project.urls]\n{line}\n")
        return repository(tmp_path)

    assert read("") is None
    for end in ("", ".git", "/"):
        assert read(f'Repository = "{REPOSITORY}{end}"') == REPOSITORY
    with pytest.raises(ValueError, match=r"example\.org"):
        read('Repository = "https://example.org/owner/name"')


@pytest.mark.parametrize(
    ("docname", "named", "expected"),
    [
        ("book/4_1", None, COLAB),
        ("book/runs/4_1/digits-mlp", None, COLAB),
        ("book/theory", "4_1", COLAB),
        ("book/theory", None, None),
        ("search", None, None),
    ],
)
def test_pages_link_to_the_notebook_of_their_section_or_the_one_they_name(
    tmp_path: pathlib.Path, docname: str, named: str | None, expected: str | None
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "4_1.ipynb").touch()
    assert theme.colab_address(REPOSITORY, docname, tmp_path, named) == expected
    for address, links in ((REPOSITORY, {expected, REPOSITORY} - {None}), (None, set())):
        app = SimpleNamespace(config=SimpleNamespace(ctl_repository=address), srcdir=tmp_path)
        context: dict[str, Any] = {"header_buttons": [], "meta": {"notebook": named}}
        theme._add_header_links(app, docname, "page.html", context, None)  # type: ignore[arg-type]
        assert {button["url"] for button in context["header_buttons"]} == links


def test_every_page_names_a_notebook_that_is_there() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    named = [found[1] for text in pages for found in re.finditer(r"^notebook: (\w+)$", text, re.M)]
    assert named
    assert [name for name in named if not (ROOT / "notebooks" / f"{name}.ipynb").is_file()] == []


# The built pages, in a browser.

DRAWN = """() => [...document.querySelectorAll(".plotly-figure")]
    .every((figure) => figure.querySelector(".main-svg"))"""
PROBE = """() => {
    const root = document.documentElement;
    const prose = (document.querySelector("main") ?? document.body).cloneNode(true);
    prose.querySelectorAll("pre, code, script, mjx-container").forEach((e) => e.remove());
    const texts = [".xtick text", ".ytick text", ".legendtext", ".gtitle", ".annotation-text",
        "text[class$=title]"].map((name) => ".plotly-figure " + name);
    return {
        theme: root.dataset.theme,
        overflow: root.scrollWidth - root.clientWidth,
        crowded: [...document.querySelectorAll(".plotly-figure")].filter((figure) => {
            const box = figure.closest(".plotly-scroll");
            const axes = Object.entries(figure.layout ?? {}).filter(([key]) => /^xaxis/.test(key));
            const columns = new Set(axes.map(([, axis]) => (axis.domain ?? [0])[0].toFixed(2)));
            return columns.size <= 3 && box.scrollWidth > box.clientWidth;
        }).length,
        "figures without a label": document.querySelectorAll(".plotly-figure:not([aria-label]), "
            + ".plotly-figure[aria-label='']").length,
        "formulas with an error":
            document.querySelectorAll("mjx-merror, mjx-mtext[style*='red']").length,
        prose: prose.textContent,
        warning: document.querySelector(".output.stderr")?.textContent,
        background: getComputedStyle(document.body).backgroundColor,
        colours: [...new Set([...document.querySelectorAll(texts)]
            .map((text) => getComputedStyle(text).fill))],
    };
}"""
UNRENDERED = re.compile(r"\$\$|\\\(|\\\[|MathJax error|Math input error")


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours written as CSS's ``rgb(r, g, b)``."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


UNFOLDED = """() => {
    document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
    document.querySelectorAll(".toggle-hidden").forEach((e) => e.classList.remove("toggle-hidden"));
    // Scripts may answer to the new sizes; what is opened may fade in, and half faded it is pale.
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    return frame().then(frame).then(() => document.getAnimations()
        .filter((a) => Number.isFinite(a.effect.getComputedTiming().endTime))
        .forEach((a) => a.finish()));
}"""
# A label stands for each drawing, whose texts' colours have been seen to.
EMPTIED = """() => document.querySelectorAll(".plotly-figure")
    .forEach((figure) => figure.replaceWith(figure.cloneNode(false)))"""
# Contrast is dear: of texts that look alike, as all that they stand in, the first is measured.
ALIKE = """(measured) => {
    (window.restored ?? []).forEach((restore) => restore());
    window.restored = [];
    const known = new Set(measured);
    const looks = new Map([[null, ""]]);
    const look = (element) => {
        if (!looks.has(element)) {
            const { color, backgroundColor, backgroundImage, opacity, fontSize, fontWeight } =
                getComputedStyle(element);
            const own = [look(element.parentElement), element.tagName, element.className,
                element.getAttribute("style"), color, backgroundColor, backgroundImage, opacity,
                fontSize, fontWeight].join();
            // Two hashes of 32 bits.
            let [a, b] = [0xdeadbeef, 0x41c6ce57];
            for (let n = 0; n < own.length; n++) {
                a = Math.imul(a ^ own.charCodeAt(n), 2654435761);
                b = Math.imul(b ^ own.charCodeAt(n), 1597334677);
            }
            looks.set(element, `${(a ^ b >>> 16) >>> 0},${(b ^ a >>> 13) >>> 0}`);
        }
        return looks.get(element);
    };
    const texts = new Map();
    const others = [];
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (all.nextNode()) {
        const text = all.currentNode;
        if (!text.data.trim()) continue;
        const one = look(text.parentElement);
        if (texts.has(one) || known.has(one)) others.push(text);
        else texts.set(one, text);
    }
    if (!texts.size) return [];
    const needed = new Set();
    for (const text of texts.values())
        for (let e = text.parentElement; e && !needed.has(e); e = e.parentElement) needed.add(e);
    // Something empty stays in its place, so that style sheets count rows as before.
    for (const text of others) {
        if (!text.isConnected) continue;
        let highest = text;
        while (!needed.has(highest.parentElement)) highest = highest.parentElement;
        const empty = highest === text ? new Text() : document.createElement(highest.tagName);
        if (highest !== text) empty.style.display = "none";
        highest.replaceWith(empty);
        window.restored.push(() => empty.replaceWith(highest));
    }
    return [...texts.keys()];
}"""
MEASURED: set[str] = set()
"""The looks of texts whose contrast was measured in this process."""
# What depends on the width of the screen, and on the theme.
NARROW = ["scrollable-region-focusable", "target-size"]
CONTRAST = "color-contrast"


def barriers(page: Page, *rules: str) -> Iterator[str]:
    """What axe-core finds of serious or critical hurdles for readers with disabilities.

    Solutions, code and tables that are folded up are opened first. Without rules, it takes all
    but contrast.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(UNFOLDED)
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    else:
        options["rules"] = {CONTRAST: {"enabled": False}}
    for found in Axe().run(page, options=options).response["violations"]:
        if found["impact"] in ("serious", "critical"):
            places = [node["target"] for node in found["nodes"]]
            yield f"{found['id']} ({found['impact']}): {places[:3]}"


def pale(page: Page, measured: set[str]) -> Iterator[str]:
    """What has too little contrast, of texts that look like none measured before."""
    if looks := page.evaluate(ALIKE, sorted(measured)):
        yield from barriers(page, CONTRAST)
        measured.update(looks)


def seen(page: Page, scheme: str, width: int) -> Iterator[str]:
    """What a reader with some theme and screen would stumble over."""
    probe = page.evaluate(PROBE)
    if probe["theme"] != scheme:
        yield f"theme is {probe['theme']!r}"
    if probe["overflow"] > 0:
        yield f"{probe['overflow']} px wider than the screen"
    if probe["crowded"] and width > 1000:
        yield f"{probe['crowded']} figures of up to three panels have to be scrolled sideways"
    for key in ("figures without a label", "formulas with an error", "warning"):
        if probe[key]:
            yield f"{key}: {str(probe[key]).strip()[:200]}"
    if found := UNRENDERED.search(probe["prose"]):
        yield f"mathematics not rendered: {probe['prose'][found.start() :][:60]!r}"
    for colour in probe["colours"]:
        if contrast(colour, probe["background"]) < 4.5:
            yield f"figure text in {colour} on {probe['background']}"


def listen(page: Page) -> list[str]:
    """A list to which a page's errors and requests to elsewhere are added."""
    noise: list[str] = []
    page.on("console", lambda m: noise.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    local = ("file:", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(local) else noise.append(r.url))
    return noise


def looked_at(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    """All pages but those of runs, which are alike: the largest of each folder stands for them."""
    folders: dict[pathlib.Path, list[pathlib.Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    return [
        path
        for path in paths
        if "runs" not in path.parts
        or path == max(folders[path.parent], key=lambda one: one.stat().st_size)
    ]


def schemes(path: pathlib.Path) -> list[str]:
    """How a page is looked at: those of runs are alike, and one colour scheme is enough."""
    return ["light"] if "runs" in path.parts else ["light", "dark"]


def show(page: Page, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})


def problems(page: Page, path: pathlib.Path) -> Iterator[str]:
    """Open a page once, and look at it dark, wide and narrow."""
    from playwright.sync_api import TimeoutError as NotInTime

    page.goto(path.as_uri(), wait_until="load")
    try:
        page.wait_for_function(DRAWN, timeout=20_000)
    except NotInTime:
        yield "a figure is not drawn"
    page.evaluate("() => window.MathJax?.startup?.promise")
    both = schemes(path)
    views = [*((scheme, 1280) for scheme in reversed(both)), ("light", 380)]
    for scheme, width in views:
        show(page, scheme, width)
        for _ in range(100):  # figures follow the theme and the screen a little later
            if not (found := list(seen(page, scheme, width))):
                break
            page.wait_for_timeout(50)
        yield from (f"{problem} ({scheme}, {width} px)" for problem in found)


def barriers_in_all_views(page: Page, path: pathlib.Path) -> Iterator[str]:
    """What keeps readers from a page that is shown narrow."""
    page.evaluate(EMPTIED)
    yield from (f"{problem} (380 px)" for problem in barriers(page, *NARROW))
    show(page, "light", 1280)
    yield from barriers(page)
    for scheme in schemes(path):
        show(page, scheme, 1280)
        yield from (f"{problem} ({scheme})" for problem in pale(page, MEASURED))


@pytest.mark.slow
def test_the_evidence_for_each_claim_is_on_its_page(site: pathlib.Path) -> None:
    texts = {path.name: path.read_text("utf-8") for path in (site / "book").glob("*.html")}
    for verdict in verdicts():
        page, _, anchor = verdict.evidence.partition("#")
        assert f'id="{anchor}"' in texts[page], (
            f"{verdict.claim}, {verdict.setting}: {verdict.evidence}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_pages_in_a_browser(site: pathlib.Path, browser: Browser, part: int) -> None:
    paths = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)
    paths.remove(site / "index.html")  # leads to the first page, and is none
    found = [
        f"{path.relative_to(site)}: {path.stat().st_size} bytes"
        for path in paths
        if path.stat().st_size > 700_000
    ]
    shown = looked_at(paths)
    runs = [path for path in shown if "runs" in path.parts]
    alike = {path for path in runs if path.stat().st_size < max(p.stat().st_size for p in runs)}
    page = browser.new_page()
    noise = listen(page)
    for path in shown[part::8]:
        name = path.relative_to(site)
        show(page, schemes(path)[-1], 1280)
        noise.clear()
        found += [f"{name}: {problem}" for problem in (*problems(page, path), *noise)]
        if path not in alike:
            found += [f"{name}: {barrier}" for barrier in barriers_in_all_views(page, path)]
    page.close()
    assert not found, "\n".join(found)


def test_contrast_is_measured_where_a_text_looks_unlike_those_before(browser: Browser) -> None:
    dark = "@media (prefers-color-scheme: dark)"
    sheet = f".pale {{ color: #eee }} {dark} {{ body {{ background: #000; color: #fff }}"
    row, found = "<tr><td><code>bold</code></td></tr>", ["color-contrast"]
    for other, expected in (
        ("<tr", {"light": [], "dark": []}),
        ("<tr style='opacity: .1'", {"light": found, "dark": found}),
        ("<tr class='pale'", {"light": found, "dark": []}),
        ("<tr class='dim'", {"light": [], "dark": found}),
    ):
        page = browser.new_page()
        rows = 3 * row + row.replace("<tr", other)
        page.set_content(f"<style>{sheet} .dim {{ color: #111 }} }}</style><table>{rows}</table>")
        for scheme in expected:
            show(page, scheme, 1280)
            measured: set[str] = set()
            assert [one.split()[0] for one in pale(page, measured)] == expected[scheme], other
            assert len(measured) == 1 + (other != "<tr")
            assert len(page.evaluate("document.body.innerText").split()) == len(measured)
            assert list(pale(page, measured)) == []
        page.close()


@pytest.mark.parametrize("name", ["custom.css", "hero.css"])
def test_a_style_sheet_closes_what_it_opens(name: str) -> None:
    text = (ROOT / "book" / "_static" / name).read_text("utf-8")
    depth = 0
    for line in re.sub(r"/\*.*?\*/", "", text, flags=re.S).splitlines():
        # A rule that begins while another is open would be lost with all that follow.
        assert depth == 0 or not line.startswith((".", "@", "#")), line
        depth += line.count("{") - line.count("}")
    assert depth == 0


@pytest.mark.slow
def test_a_still_image_stands_for_each_figure_where_no_script_runs(
    site: pathlib.Path, browser: Browser
) -> None:
    shown = """() => [...document.querySelectorAll(".figure-still")]
        .map((image) => [image.complete && image.naturalWidth > 0, image.offsetHeight > 0])"""
    address = (site / "book" / "4_1.html").as_uri()
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        loaded: list[str] = []
        page.on("request", lambda request, loaded=loaded: loaded.append(request.url))
        page.goto(address, wait_until="load")
        figures = page.locator(".plotly-figure").count()
        images = page.locator(".figure-still")
        assert images.count() == figures > 3
        if scripts:
            page.wait_for_function(DRAWN)
            assert page.evaluate(shown) == [[False, False]] * figures
            assert not [url for url in loaded if "_images/figures" in url]
            page.emulate_media(media="print")
        for image in images.all():
            image.scroll_into_view_if_needed()
            image.wait_for(state="visible")  # it is loaded only now
            assert image.is_visible()
        assert page.locator(".plotly-figure:visible").count() == 0
        context.close()
