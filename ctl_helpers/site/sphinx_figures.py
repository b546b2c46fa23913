"""Sphinx extension: Plotly figures in the book's pages.

Listed in ``_config.yml`` as an extension; :class:`PlotlyRenderer` is found by myst-nb through the
entry point group ``myst_nb.mime_renderers``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers.site.stacking import Grid, arrangements

if TYPE_CHECKING:
    from myst_nb.core.render import MimeData, NbElementRenderer
    from sphinx.writers.html5 import HTML5Translator

PLOTLY_MIME = "application/vnd.plotly.v1+json"
PLOTLY = "plotly-cartesian.min.js"
"""The part of plotly's script that draws on two straight axes, a third of the whole."""
STILLS = "figures"  # where still images are, in the site's folder of images
DEFAULT_HEIGHT = 450  # what Plotly takes for a figure that names none

# Plots other than those on two straight axes, and scales of colours, which figures bring along.
_OTHERS = ("colorscale", "geo", "mapbox", "polar", "scene", "smith", "ternary")


class PlotlyFigure(nodes.General, nodes.Element):
    """A figure in a page: ``figure``, its JSON as text, and ``digest``, which names its still."""


def figure_html(figure: Mapping[str, Any], image: str) -> str:
    """The HTML of one figure: an empty box for ``figures.js`` to draw in, its JSON and its still.

    Args:
        figure: a Plotly figure as JSON. What :func:`ctl_helpers.figures.frame.framed` says in
            ``layout.meta`` is set as text above the figure, where it wraps, and as controls.
        image: the still's address, seen from the page.
    """
    layout = dict(figure["layout"])
    meta = layout.pop("meta", {})
    above, controls = "", []
    if "takeaway" in meta:
        del layout["title"]
        menus = layout.pop("updatemenus", ())
        controls = [
            {**control, "buttons": menu["buttons"], "active": menu.get("active", 0)}
            for control, menu in zip(meta["controls"], menus, strict=True)
        ]
        layout |= {"height": meta["heights"]["plot"], "margin": meta["margin"]}
        above = _above(meta)
    if template := layout.get("template"):
        # Most of a template is the look of traces and plots that the figure does not have.
        kinds = {trace.get("type", "scatter") for trace in figure["data"]}
        looks = {kind: look for kind, look in template.get("data", {}).items() if kind in kinds}
        flat = {key: look for key, look in template.get("layout", {}).items() if key not in _OTHERS}
        layout["template"] = {**template, "data": looks, "layout": flat}
    spec = {"data": figure["data"], "layout": layout, "controls": controls}
    if "min_width" in meta and (stacks := _stacks(figure["data"], layout, meta["min_width"])):
        spec["arrangements"] = stacks
    style = f"height:{layout.get('height', DEFAULT_HEIGHT)}px"
    if "min_width" in meta:
        style += f";min-width:{meta['min_width']}px"
    # A "<" in a text of the figure could close the script element.
    data = _compact(spec).replace("<", r"\u003c")
    return (
        f'{above}<div class="plotly-scroll">'
        f'<div class="plotly-figure" role="img" aria-label="{html.escape(meta.get("alt", ""))}"'
        f' style="{style}"></div>'
        f'<script type="application/json">{data}</script></div>'
        # The box has the figure's text alternative.
        f'<img class="figure-still" loading="lazy" src="{image}" alt="">'
    )


def _stacks(
    data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], width: int
) -> list[dict[str, Any]]:
    listed = [t["name"] for t in data if t.get("name") and t.get("showlegend") is not False]
    return arrangements(Grid(layout, width, list(dict.fromkeys(listed)), data))


def _above(meta: Mapping[str, Any]) -> str:
    """The takeaways, and a place for the controls, which a page has many of: whose are these?"""
    takeaway = html.escape(meta["takeaway"])
    stated = meta["findings"]
    findings = f' data-findings="{html.escape(_compact(stated))}"' if stated else ""
    heading = f'<p class="figure-takeaway"{findings}>{takeaway}</p>'
    if others := meta["others"]:
        listed = "".join(f"<li>{html.escape(text)}</li>" for text in others)
        told = f"{len(others)} other settings" if len(others) > 1 else "the other setting"
        summary = f"<summary>The same in {told}</summary>"
        heading += f'<details class="figure-others">{summary}<ul>{listed}</ul></details>'
    if not meta["controls"]:
        return heading
    return f'{heading}<div class="figure-controls" role="group" aria-label="{takeaway}"></div>'


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class PlotlyRenderer:
    """Renders Plotly outputs for myst-nb, which would leave them blank."""

    mime_priority_overrides: ClassVar[Sequence[tuple[str, str, int]]] = [
        (builder, PLOTLY_MIME, 1) for builder in ("html", "dirhtml", "singlehtml")
    ]

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the figure's node, or None for an output that is no block-level Plotly figure."""
        if inline or data.mime_type != PLOTLY_MIME:
            return None
        figure: Mapping[str, Any] = data.content
        if not figure["layout"].get("meta", {}).get("alt"):
            renderer.logger.warning(
                "Plotly figure without alternative text: set layout.meta.alt",
                subtype="plotly_alt",
                line=data.line,
            )
        # Both keys belong to this page alone, so a page without a figure loads neither script.
        renderer.add_js_file("plotly", PLOTLY, {"defer": "defer"})
        renderer.add_js_file("plotly_figures", "figures.js", {"defer": "defer"})
        text = _compact(figure)
        digest = sha256(text.encode()).hexdigest()[:16]
        return [PlotlyFigure(figure=text, digest=digest)]


def _write(translator: HTML5Translator, node: PlotlyFigure) -> None:
    image = f"{translator.builder.imgpath}/{STILLS}/{node['digest']}.svg"
    translator.body.append(figure_html(json.loads(node["figure"]), image))
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_node(PlotlyFigure, html=(_write, None))
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
