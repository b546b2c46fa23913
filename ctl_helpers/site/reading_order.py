"""Sphinx extension: a reader goes from narrative page to narrative page, past those of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.site.contents import RUNS, chapters


def neighbours(page: str, chain: Sequence[str]) -> tuple[str | None, str | None]:
    """The pages before and after one in a chain; none of a page that is not in it."""
    if page not in chain:
        return None, None
    place = chain.index(page)
    after = chain[place + 1] if place + 1 < len(chain) else None
    return (chain[place - 1] if place else None), after


def _relink(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    def link(name: str | None) -> dict[str, str] | None:
        if name is None:
            return None
        address = app.builder.get_relative_uri(pagename, name)
        return {"link": address, "title": app.env.titles[name].astext()}

    before, after = neighbours(pagename, app.config.ctl_chapters)
    context["prev"], context["next"] = link(before), link(after)


def _hide_from_search(app: Sphinx, doctree: nodes.document) -> None:
    if app.env.docname.startswith(RUNS):
        app.env.metadata[app.env.docname]["nosearch"] = "true"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    # A config value, so that pages are written anew when the order changes.
    app.add_config_value("ctl_chapters", chapters(Path(app.srcdir) / "_toc.yml"), "html")
    app.connect("html-page-context", _relink)
    app.connect("doctree-read", _hide_from_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
