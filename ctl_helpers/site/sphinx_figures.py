"""Sphinx extension of the book: Plotly figures in its pages, and links to Colab and its source.

Listed in ``_config.yml`` as an extension; :class:`PlotlyRenderer` is found by myst-nb through the
entry point group ``myst_nb.mime_renderers``.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from ctl_helpers.project import repository
from ctl_helpers.site import stills

if TYPE_CHECKING:
    from myst_nb.core.render import MimeData, NbElementRenderer

PLOTLY_MIME = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 450  # what Plotly takes for a figure that names none

MENDED = (
    # The theme preloads its icon fonts across origins, which browsers refuse on pages opened as
    # files. The style sheet loads them anyway.
    (re.compile(r'\s*<link rel="preload" as="font"[^>]*>'), ""),
    # What opens a section in the sidebar has an icon and no name.
    (
        re.compile(r'<summary>(?=<span class="toctree-toggle")'),
        '<summary aria-label="Show or hide its pages">',
    ),
    # A list whose children are no list items.
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
)

# Plots other than those on two straight axes, and scales of colours, which figures bring along.
_OTHERS = ("colorscale", "geo", "mapbox", "polar", "scene", "smith", "ternary")


def figure_html(figure: Mapping[str, Any]) -> str:
    """The HTML of one figure: an empty box for ``figures.js`` to draw in, then its JSON.

    Args:
        figure: a Plotly figure as JSON; ``layout.meta`` may hold ``alt`` (what a screen reader
            says), ``min_width`` (px; on narrower screens the figure scrolls sideways) and
            ``title_height`` (px). The title, its takeaway, is set as text above the figure, where
            it wraps.
    """
    layout = dict(figure.get("layout", {}))
    meta = layout.get("meta", {})
    heading = ""
    if title := layout.pop("title", {}).get("text"):
        text = html.escape(title.replace("<br>", " "))
        heading = f'<p class="figure-takeaway">{text}</p>'
        # The space that the title leaves inside the figure.
        freed = meta.get("title_height", 0)
        layout["height"] = layout.get("height", DEFAULT_HEIGHT) - freed
        margin = layout.get("margin", {})
        layout["margin"] = {**margin, "t": max(margin.get("t", 0) - freed, 0)}
    if template := layout.get("template"):
        # Most of a template is the look of traces and plots that the figure does not have.
        kinds = {trace.get("type", "scatter") for trace in figure.get("data", [])}
        looks = {kind: look for kind, look in template.get("data", {}).items() if kind in kinds}
        flat = {key: look for key, look in template.get("layout", {}).items() if key not in _OTHERS}
        layout["template"] = {**template, "data": looks, "layout": flat}
    style = f"height:{layout.get('height', DEFAULT_HEIGHT)}px"
    if "min_width" in meta:
        style += f";min-width:{meta['min_width']}px"
    data = json.dumps(
        {"data": figure.get("data", []), "layout": layout},
        ensure_ascii=False,
        separators=(",", ":"),
    ).replace("<", r"\u003c")  # or a text in the figure could close the script element
    return (
        f'{heading}<div class="plotly-scroll">'
        f'<div class="plotly-figure" role="img" aria-label="{html.escape(meta.get("alt", ""))}"'
        f' style="{style}"></div>'
        f'<script type="application/json">{data}</script>'
        "</div>"
    )


class PlotlyRenderer:
    """Renders Plotly outputs for myst-nb, which would leave them blank."""

    mime_priority_overrides: ClassVar[Sequence[tuple[str, str, int]]] = [
        (builder, PLOTLY_MIME, 1) for builder in ("html", "dirhtml", "singlehtml")
    ]

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the figure's nodes, or None for an output that is no block-level Plotly figure."""
        if inline or data.mime_type != PLOTLY_MIME:
            return None
        figure: Mapping[str, Any] = data.content  # type: ignore[assignment]
        if not figure.get("layout", {}).get("meta", {}).get("alt"):
            renderer.logger.warning(
                "Plotly figure without alternative text: set layout.meta.alt",
                subtype="plotly_alt",
                line=data.line,
            )
        # Both keys belong to this page alone, so a page without a figure loads neither script.
        renderer.add_js_file("plotly", "plotly.min.js", {"defer": "defer"})
        renderer.add_js_file("plotly_figures", "figures.js", {"defer": "defer"})
        return [nodes.raw(text=figure_html(figure), format="html", classes=["output"])]


def colab_address(address: str, docname: str, root: Path, named: str | None = None) -> str | None:
    """Where the notebook behind a page opens in Colab.

    Args:
        address: the repository's, ``https://github.com/OWNER/NAME``.
        docname: a section's page ``book/4_1`` or one of its runs ``book/runs/4_1/digits-mlp``.
        root: the source tree; a page whose section has no notebook there has no address.
        named: the notebook that the page's front matter names, where it is not the page's own.
    """
    parts = PurePosixPath(docname).parts
    section = named or (parts[2] if docname.startswith("book/runs/") else parts[-1])
    notebook = f"notebooks/{section}.ipynb"
    if not (root / notebook).is_file():
        return None
    name = address.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{name}/blob/main/{notebook}"


def _link(address: str, tooltip: str, icon: str, label: str, text: str = "") -> dict[str, str]:
    return {
        "type": "link",
        "url": address,
        "tooltip": tooltip,
        "icon": icon,
        "label": label,
        "text": text,
    }


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


def _serve_plotly(app: Sphinx, config: Config) -> None:
    # Plotly's script comes from the installed package, so that it always fits the figures' JSON.
    plotly = files("plotly").joinpath("package_data", "plotly.min.js")
    config.html_static_path = [*config.html_static_path, str(plotly)]


def _mend(app: Sphinx, exception: Exception | None) -> None:
    """Correct what the theme writes, in pages that are built."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = mended = page.read_text(encoding="utf-8")
            for pattern, correct in MENDED:
                mended = pattern.sub(correct, mended)
            if mended != text:
                page.write_text(mended, encoding="utf-8")


def _add_stills(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        stills.add(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    # A config value, so that pages are written anew when the address changes.
    app.add_config_value("ctl_repository", repository(Path(app.srcdir)), "html")
    app.add_js_file("scrolling.js", loading_method="defer")
    app.connect("config-inited", _serve_plotly)
    # After the theme has made its own list of header buttons (priority 501).
    app.connect("html-page-context", _add_header_links, priority=502)
    app.connect("build-finished", _mend)
    app.connect("build-finished", _add_stills)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
