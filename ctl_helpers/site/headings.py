"""Headings that a cell writes, as sections of its page, so that the page's contents list them."""

from __future__ import annotations

from itertools import takewhile

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class OutputSections(SphinxTransform):
    """Put what a cell writes in Markdown in the cell's place where it has headings.

    myst-nb makes rubrics of them, since a section may not be inside a cell.
    """

    default_priority = 700  # after ids went from targets to headings

    def apply(self, **kwargs: object) -> None:
        for output in list(self.document.findall(nodes.container)):
            if output.get("mime_type") == "text/markdown" and _is_heading(*output.children[:2]):
                cell = output
                while not isinstance(cell.parent, nodes.section):
                    cell = cell.parent
                cell.parent.replace(cell, _sections(output.children))


def _is_heading(*parts: nodes.Node) -> bool:
    return any(isinstance(part, nodes.rubric) for part in parts)


def _sections(children: list[nodes.Node]) -> list[nodes.Node]:
    sections = []
    for place, child in enumerate(children, 1):
        if _is_heading(child):
            section = nodes.section(ids=child["ids"], names=child["names"])
            section += nodes.title(child.rawsource, "", *child.children)
            section += takewhile(lambda part: not _is_heading(part), children[place:])
            sections.append(section)
    return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_transform(OutputSections)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
