"""Sphinx extension: the search finds chapters first, and shows what it found from files, too.

Sphinx's script fetches a page to show the words around a hit. A browser fetches nothing for a page
that was opened as a file, so the pages' texts come as a script of their own, for the search alone.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.site.contents import REFERENCE, RUNS, chapters

TEXTS = "search-texts.js"
_SKIPPED = (nodes.comment, nodes.raw, nodes.literal_block, nodes.math_block)


def text(node: nodes.Node) -> str:
    """The words of a page as HTML, of which sections with their anchors are all that is left."""
    if isinstance(node, _SKIPPED):
        return ""
    if isinstance(node, nodes.math):
        return "…"
    inner = "".join(map(text, node.children)) if node.children else html.escape(node.astext())
    if isinstance(node, nodes.section):
        anchors = "".join(f'<i id="{anchor}"></i>' for anchor in node["ids"][1:])
        return f'<section id="{node["ids"][0]}">{anchors}{inner}</section>'
    return inner if isinstance(node, (nodes.Text, nodes.Inline)) else f"{inner} "


def _keep(app: Sphinx, doctree: nodes.document) -> None:
    # With the page's metadata, which is kept for pages that the next build does not read.
    if not app.env.docname.startswith(RUNS):
        app.env.metadata[app.env.docname]["text"] = f'<div role="main">{text(doctree)}</div>'


def _write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        pages = {page: facts["text"] for page, facts in app.env.metadata.items() if "text" in facts}
        script = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
        (Path(app.outdir) / "_static" / TEXTS).write_text(f"const TEXTS={script};\n", "utf-8")


def _add_scripts(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if pagename == "search":
        app.add_js_file(TEXTS)
        app.add_js_file(None, body=f"const CHAPTERS = {json.dumps(app.config.ctl_ranked)};")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    ranked = chapters(Path(app.srcdir) / "_toc.yml", without=REFERENCE)
    app.add_config_value("ctl_ranked", ranked, "html")
    app.connect("doctree-read", _keep)
    app.connect("html-page-context", _add_scripts)
    app.connect("build-finished", _write)
    return {"env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
