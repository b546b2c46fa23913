"""Sphinx extension: links in pages' headers, what is in their footers, the theme's flaws mended."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.project import repository
from ctl_helpers.site.citing import citation, dated
from ctl_helpers.site.contents import RUNS

MENDED = (
    # The theme preloads its icon fonts across origins, which browsers refuse on pages opened as
    # files. The style sheet loads them anyway.
    (re.compile(r'\s*<link rel="preload" as="font"[^>]*>'), ""),
    # What opens a section in the sidebar has an icon and no name.
    (
        re.compile(r'<summary>(?=<span class="toctree-toggle")'),
        '<summary aria-label="Show or hide its pages">',
    ),
    # The icons come twice, as fonts and as drawings that a script of 1.5 MB puts in their place.
    (re.compile(r'\s*<script src="[^"]*/fontawesome/[^"]*/js/all\.min\.js[^"]*"></script>'), ""),
    # A list whose children are no list items.
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
)


def colab_address(address: str, docname: str, root: Path, named: str | None = None) -> str | None:
    """Where the notebook behind a page opens in Colab.

    Args:
        address: the repository's, ``https://github.com/OWNER/NAME``.
        docname: a section's page ``book/4_1`` or one of its runs ``book/runs/4_1/digits-mlp``.
        root: the source tree; a page whose section has no notebook there has no address.
        named: the notebook that the page's front matter names, where it is not the page's own.
    """
    parts = PurePosixPath(docname).parts
    section = named or (parts[2] if docname.startswith(RUNS) else parts[-1])
    notebook = f"notebooks/{section}.ipynb"
    if not (root / notebook).is_file():
        return None
    name = address.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{name}/blob/main/{notebook}"


def _link(url: str, tooltip: str, icon: str, label: str, text: str = "") -> dict[str, str]:
    look = {"tooltip": tooltip, "icon": icon, "label": label}
    return {"type": "link", "url": url, "text": text, **look}


def _add_header_links(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    address = app.config.ctl_repository
    if address is None:
        return
    links = [_link(address, "Source repository", "fab fa-github", "source-repository-button")]
    named = (context.get("meta") or {}).get("notebook")
    colab = colab_address(address, pagename, Path(app.srcdir), named)
    if colab is not None:
        logo = "_static/images/logo_colab.png"
        tooltip = "Run this section's notebook in Google Colab"
        links.insert(0, _link(colab, tooltip, logo, "colab-button", "Open in Colab"))
    context["header_buttons"][:0] = links


def footer(version: str, day: str, about: str) -> str:
    """The version and date of the book, and where licence, changes and how to cite it stand.

    Args:
        version, day: of the book.
        about: the address of that page.
    """
    return (
        f'<p>Version {version} of <time datetime="{day}">{day}</time>. '
        f'<a href="{about}">Citing, licence, changes</a>.</p>'
    )


def _add_footer(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    about = app.builder.get_relative_uri(pagename, "book/about")
    version, day = app.config.ctl_edition
    context["theme_extra_footer"] += footer(version, day, about)


def _mend(app: Sphinx, exception: Exception | None) -> None:
    """Correct what the theme writes, in pages that are built."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = mended = page.read_text(encoding="utf-8")
            for pattern, correct in MENDED:
                mended = pattern.sub(correct, mended)
            if mended != text:
                page.write_text(mended, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    # A config value, so that pages are written anew when the address changes.
    app.add_config_value("ctl_repository", repository(Path(app.srcdir)), "html")
    app.add_js_file("scrolling.js", loading_method="defer")
    app.add_js_file("tables.js", loading_method="defer")
    folder = Path(app.srcdir)
    edition = [str(citation(folder)["version"]), dated(folder)]
    app.add_config_value("ctl_edition", edition, "html")
    app.connect("html-page-context", _add_footer)
    # After the theme has made its own list of header buttons (priority 501).
    app.connect("html-page-context", _add_header_links, priority=502)
    app.connect("build-finished", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
