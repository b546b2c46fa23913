"""Changed pages: terms lead to the glossary, with tips for all; cells' headings are sections."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from ctl_helpers.site import terms
from ctl_helpers.site.headings import OutputSections

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TERMS = {
    "task vector": ("term-task-vector", "A difference."),
    "vector": ("term-vector", "Numbers."),
}


def test_the_first_use_of_a_term_is_a_link() -> None:
    page = publish_doctree(
        "Task vectors\n============\n\n``vector`` *Task vectors* are added. A task vector has a "
        "length, a vector too; subvector not.\n\nA vector."
    )
    before = page.astext()
    terms.link_first_uses(page, TERMS, "notation.html")
    assert page.astext() == before
    found = page.findall(nodes.reference)
    assert [(link.astext(), link["refuri"], link["reftitle"]) for link in found] == [
        ("Task vectors", "notation.html#term-task-vector", "A difference."),
        ("vector", "notation.html#term-vector", "Numbers."),
    ]


def test_definitions_are_those_of_the_glossary() -> None:
    term = nodes.term("", "loss barrier", ids=["term-loss-barrier"])
    definition = nodes.definition("", nodes.paragraph("", "How far\nit rises."))
    item = nodes.definition_list_item("", term, definition)
    page = nodes.document(None, None, "", nodes.definition_list("", item))
    assert terms.definitions(page) == {"loss barrier": ("term-loss-barrier", "How far it rises.")}


def test_headings_that_a_cell_writes_are_sections_in_its_place() -> None:
    page = publish_doctree("Page\n====\n\nBefore.\n\nHere\n----\n\nA cell.\n\nAfter.")
    here = page.next_node(nodes.section)
    cell, output = nodes.container(), nodes.container(mime_type="text/markdown")
    for name in ("one", "two"):
        output += nodes.rubric(name, name, ids=[name, f"claim-{name}"])
        output += nodes.paragraph("", f"On {name}.")
    plain = nodes.container(mime_type="text/markdown")
    plain += nodes.paragraph("", "No heading.")
    cell += output
    here.insert(2, cell)
    here.insert(3, plain)
    OutputSections(page, SimpleNamespace()).apply()
    one, two = page.findall(lambda node: isinstance(node, nodes.section) and len(node["ids"]) == 2)
    assert (one.parent, two.parent, cell in here) == (here, here, False)
    assert [one["ids"], one.astext()] == [["one", "claim-one"], "one\n\nOn one."]
    assert [two["ids"], two.astext()] == [["two", "claim-two"], "two\n\nOn two."]
    assert plain in here


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 380])
def test_tips_of_terms_and_citations_show_on_hover_and_focus(
    site: Path, browser: Browser, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((site / "book" / "4_1.html").as_uri())
    for kind, text in (("a.term.has-tip", None), ("a.has-tip[href^='bibliography']", "2021")):
        link = page.locator(f"main {kind}").first
        told = link.get_attribute("data-tip")
        assert len(told) > 30
        assert text is None or text in told
        for act in (link.hover, link.focus):
            link.scroll_into_view_if_needed()
            page.wait_for_timeout(200)
            act()
            tip = page.locator("#tip")
            assert tip.is_visible()
            assert tip.inner_text() == told
            box = tip.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            page.mouse.move(1, 1)
            page.keyboard.press("Escape")
            assert not tip.is_visible()
            page.evaluate("document.activeElement.blur()")
