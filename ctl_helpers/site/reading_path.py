"""Sphinx extension: how long a page takes to read, and the way through the book in an hour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.site.contents import REFERENCE, chapters

PATH = ("book/3", "book/4_1", "book/4_2", "book/4_3", "book/theory")
"""The pages that a reader with an hour reads, in order."""
BEYOND = "book/own"
"""What comes after the path."""

_A_MINUTE = 200  # words, of a text with formulas
_A_FIGURE = 0.5  # minutes
_NOT_READ = {"comment", "literal_block", "math", "math_block", "raw", "solution_node", "table"}


def minutes(page: nodes.Node) -> int:
    """How long a page takes to read: its words, without code, tables and solutions, and figures."""
    words = sum(
        len(text.astext().split()) for text in page.findall(nodes.Text) if not _is_passed(text)
    )
    figures = sum(1 for _ in page.findall(nodes.figure))
    return max(round(words / _A_MINUTE + figures * _A_FIGURE), 1)


def _is_passed(node: nodes.Node | None) -> bool:
    while node is not None:
        if node.tagname in _NOT_READ:
            return True
        node = node.parent
    return False


def step(page: str) -> tuple[int, str] | None:
    """A page's place on the path, from 1, and the page after it; None of one that is not on it."""
    if page not in PATH:
        return None
    place = PATH.index(page) + 1
    return place, (*PATH, BEYOND)[place]


def _note(app: Sphinx, doctree: nodes.document) -> None:
    app.env.metadata[app.env.docname]["minutes"] = minutes(doctree)


def _say(app: Sphinx, doctree: nodes.document, page: str) -> None:
    section = next(iter(doctree.findall(nodes.section)), None)
    if page not in app.config.ctl_read or section is None:
        return
    time = app.env.metadata[page]["minutes"]
    line = nodes.paragraph(classes=["reading-time"])
    line += nodes.Text(f"{time} minute{'s' * (time > 1)}")
    place = step(page)
    if place is not None:
        line += nodes.Text(f" · step {place[0]} of {len(PATH)} on the ")
        line += _link(app, page, "book/index", "reading path", "#doors")
        further = nodes.paragraph(classes=["reading-next"])
        further += nodes.Text("Next on the path: " if place[1] in PATH else "After the path: ")
        further += _link(app, page, place[1], app.env.titles[place[1]].astext())
        section += further
    section.insert(1, line)


def _link(app: Sphinx, page: str, target: str, text: str, anchor: str = "") -> nodes.reference:
    address = app.builder.get_relative_uri(page, target) + anchor
    return nodes.reference("", text, internal=True, refuri=address)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    read = chapters(Path(app.srcdir) / "_toc.yml", without=REFERENCE)[1:]
    # A config value, so that pages are written anew when it changes.
    app.add_config_value("ctl_read", read, "html")
    app.connect("doctree-read", _note)
    app.connect("doctree-resolved", _say)
    return {"env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
