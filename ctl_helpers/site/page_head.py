"""Sphinx extension: what a page's head tells search engines, previews, and who runs no script."""

from __future__ import annotations

import html
import re
import textwrap
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

CARD = "_static/card.png"
"""The picture of the book in previews."""
_NO_SCRIPT = (
    "<noscript><style>.figure-still{display:block!important}.plotly-figure{height:0!important;"
    "min-width:0!important;overflow:hidden}.no-data{display:none}</style></noscript>\n"
)
"""Shows the still images of figures where no script draws these."""

_LONGEST = 200  # characters of a description
_ASKS = re.compile(r"^What this page asks\.\s*")


def description(doctree: nodes.document) -> str:
    """The first sentences of a page's first paragraph, as far as previews show them."""
    own = (p for p in doctree.findall(nodes.paragraph) if "reading-time" not in p["classes"])
    said = (part.astext() for part in own)
    first = next(filter(None, (_ASKS.sub("", " ".join(text.split())) for text in said)), "")
    return textwrap.shorten(first, _LONGEST, placeholder=" …")


def tags(title: str, about: str, site: str, picture: str) -> str:
    """A description and Open Graph's tags.

    Args:
        title: the page's.
        about: its description.
        site: the book's title.
        picture: the picture's address.
    """
    told = {
        "og:type": "article",
        "og:site_name": site,
        "og:title": title,
        "og:description": about,
        "og:image": picture,
        "og:image:alt": "Two arrows from one point, their mean between them, and the book's title",
    }
    lines = [f'<meta name="description" content="{html.escape(about)}"/>']
    lines += [
        f'<meta property="{key}" content="{html.escape(text)}"/>' for key, text in told.items()
    ]
    return "\n".join(lines) + "\n"


def _add(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    if pagename == app.config.root_doc:
        context["docstitle"] = ""  # the page has the book's title already
    if doctree is None:
        return
    title = app.env.titles[pagename].astext()
    base = app.config.html_baseurl  # previews want a whole address, where there is one
    picture = f"{base.rstrip('/')}/{CARD}" if base else context["pathto"](CARD, 1)
    context["metatags"] += _NO_SCRIPT
    context["metatags"] += tags(title, description(doctree), app.config.html_title, picture)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
