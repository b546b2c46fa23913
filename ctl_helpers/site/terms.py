"""Sphinx extension: a page's first use of a glossary term leads there, its definition as a tip.

The tip is the link's title, as for citations; ``tips.js`` shows both on hover, focus and tap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.site.contents import RUNS

GLOSSARY = "book/notation"
_NO_LINKS = (nodes.reference, nodes.title, nodes.literal, nodes.caption, nodes.term, nodes.math)


def definitions(glossary: nodes.document) -> dict[str, tuple[str, str]]:
    """Term → its anchor and its definition, of a page's ``glossary`` directives."""
    terms = {}
    for item in glossary.findall(nodes.definition_list_item):
        (definition,) = item.findall(nodes.definition)
        for term in item.findall(nodes.term):
            if term["ids"]:
                terms[term.astext()] = (term["ids"][0], " ".join(definition.astext().split()))
    return terms


def link_first_uses(page: nodes.document, terms: dict[str, tuple[str, str]], address: str) -> None:
    """Turn the first use of each term in a page's paragraphs into a link; the page is changed.

    Args:
        page: a resolved page.
        terms: :func:`definitions`.
        address: of the glossary's page, relative to this one.
    """
    unused = dict(terms)
    for text in [text for text in page.findall(nodes.Text) if _may_have_links(text)]:
        written = text.astext()
        if use := _first_use(unused, written):
            name, start, end = use
            anchor, definition = unused.pop(name)
            link = nodes.reference(
                "",
                written[start:end],
                internal=True,
                refuri=f"{address}#{anchor}",
                reftitle=definition,
                classes=["term"],
            )
            parts = [nodes.Text(written[:start]), link, nodes.Text(written[end:])]
            text.parent.replace(text, [part for part in parts if part.astext()])


def _may_have_links(text: nodes.Text) -> bool:
    """Whether a text stands in a paragraph that holds no HTML, which may have links of its own."""
    node, paragraph = text.parent, None
    while node is not None and not isinstance(node, _NO_LINKS):
        if isinstance(node, nodes.paragraph):
            paragraph = node
        node = node.parent
    return node is None and paragraph is not None and not any(paragraph.findall(nodes.raw))


def _first_use(terms: Iterable[str], text: str) -> tuple[str, int, int] | None:
    """The term that a text uses first, the longest one of several, and from where to where."""
    uses = [
        (match.start(), -len(name), name, match.end())
        for name in terms
        if (match := re.search(rf"(?<![\w-]){re.escape(name)}s?(?![\w-])", text, re.I))
    ]
    if not uses:
        return None
    start, _, name, end = min(uses)
    return name, start, end


def _on_resolved(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    is_run = docname.startswith(RUNS)
    if docname == GLOSSARY or is_run or GLOSSARY not in app.env.all_docs:
        return
    terms = definitions(app.env.get_doctree(GLOSSARY))
    link_first_uses(doctree, terms, app.builder.get_relative_uri(docname, GLOSSARY))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("doctree-resolved", _on_resolved)
    app.add_js_file("tips.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
