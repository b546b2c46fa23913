"""Headings that a cell writes are sections of its page."""

from __future__ import annotations

from types import SimpleNamespace

from docutils import nodes
from docutils.core import publish_doctree

from ctl_helpers.site.headings import OutputSections


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
