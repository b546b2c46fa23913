"""Sphinx extension: a page's first use of a glossary term leads there, its definition as a tip.

The tip is the link's title, as for citations; ``tips.js`` shows both on hover, focus and tap.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY = "book/notation"
_NO_LINKS = (nodes.reference, nodes.title, nodes.literal, nodes.caption, nodes.term, nodes.math)


def definitions(glossary: nodes.document) -> dict[str, tuple[str, str]]:
    """Term → its anchor and its definition, of a page's ``glossary`` directives."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        (definition,) = item.findall(nodes.definition)
        for term in item.findall(nodes.term):
            if term["ids"]:
                text = " ".join(definition.astext().split())
                found[term.astext()] = (term["ids"][0], text)
    return found


def link_first_uses(page: nodes.document, terms: dict[str, tuple[str, str]], address: str) -> None:
    """Turn the first use of each term in a page's paragraphs into a link; the page is changed.

    Args:
        page: a resolved page.
        terms: :func:`definitions`.
        address: of the glossary's page, relative to this one.
    """
    left = dict(terms)
    for paragraph in list(page.findall(nodes.paragraph)):
        if any(paragraph.findall(nodes.raw)):  # HTML that may hold a link of its own
            continue
        for text in list(paragraph.findall(nodes.Text)):
            if any(isinstance(parent, _NO_LINKS) for parent in _parents(text)):
                continue
            found = _first(left, text.astext())
            if found:
                name, start, end = found
                anchor, definition = left.pop(name)
                whole = text.astext()
                link = nodes.reference(
                    "",
                    whole[start:end],
                    internal=True,
                    refuri=f"{address}#{anchor}",
                    reftitle=definition,
                    classes=["term"],
                )
                parts = [nodes.Text(whole[:start]), link, nodes.Text(whole[end:])]
                text.parent.replace(text, [part for part in parts if part.astext()])


def _first(terms: dict[str, tuple[str, str]], text: str) -> tuple[str, int, int] | None:
    """The term that a text uses first, the longest one of several, and from where to where."""
    found = [
        (match.start(), -len(name), name, match.end())
        for name in terms
        if (match := re.search(rf"(?<![\w-]){re.escape(name)}s?(?![\w-])", text, re.I))
    ]
    if not found:
        return None
    start, _, name, end = min(found)
    return name, start, end


def _parents(node: nodes.Node) -> list[nodes.Node]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def _on_resolved(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    runs = docname.startswith("book/runs/")
    if docname == GLOSSARY or runs or GLOSSARY not in app.env.all_docs:
        return
    terms = definitions(app.env.get_doctree(GLOSSARY))
    link_first_uses(doctree, terms, app.builder.get_relative_uri(docname, GLOSSARY))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("doctree-resolved", _on_resolved)
    app.add_js_file("tips.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
