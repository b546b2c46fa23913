"""Sphinx extension: what stands under each figure of the book, its code and its data as files.

The code is the lines of a notebook that compute what is drawn, and the cell that draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from ctl_helpers.site import computing, table_files

_ALL = "data-of-this-section"
_SETTINGS = "settings"  # the heading above what was run, from where that links to each run


class UnderFigures(SphinxPostTransform):
    """Puts a figure's code, hidden until opened, and links to its tables under the figure.

    The cell of a narrative page's figure names its tables, and its runs stand under the page's
    settings. A run's page shows its code above, and
    links to all tables of its section at its end.
    """

    default_priority = 250  # after myst-nb has hidden code (199)
    formats = ("html",)

    def run(self, **keywords: Any) -> None:
        """Change the page's doctree."""
        parts = self.env.docname.split("/")
        is_run = "runs" in parts
        is_told = any(_SETTINGS in each["ids"] for each in self.document.findall(nodes.section))
        runs = f' <a href="#{_SETTINGS}">Runs</a>' if is_told else ""
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") != "cell_code" or not any(cell.findall(nodes.figure)):
                continue
            if tables := cell["cell_metadata"].get("ctl", {}).get("tables"):
                links = table_files.links(table_files.stored(tables), self.env.docname)
                _add(cell, f"Data: {links or 'not run yet'}{runs}", tables)
            elif is_run:
                _add(cell, f'<a href="#{_ALL}">Data (CSV, Parquet)</a>')
        if is_run:
            tables = table_files.of_section(parts[2].replace("_", "."))
            links = table_files.links(tables, self.env.docname)
            text = f"Tables of this section, of all settings and seeds: {links}"
            self.document += nodes.raw(
                text=f'<p class="figure-data" id="{_ALL}">{text}</p>', format="html"
            )


def _add(cell: nodes.Element, links: str, tables: Sequence[str] = ()) -> None:
    under = nodes.container(classes=["under-figure"])
    for hidden in list(cell.findall(HideCodeCellNode)):
        hidden["prompt_show"], hidden["prompt_hide"] = "View code", "Hide code"
        hidden.parent.remove(hidden)
        hidden.insert(0, _computing(tables))
        under += hidden
    under += nodes.raw(text=f'<p class="figure-data">{links}</p>', format="html")
    cell += under


def _computing(tables: Sequence[str]) -> list[nodes.Node]:
    """The lines of the section's notebook that compute a figure's tables, and what they call."""
    code = computing.lines(tables)
    if not code:
        return []
    called = computing.functions(tables)
    said = f"What is drawn is computed in the notebook{f', by {called}' if called else ''}:"
    return [
        nodes.raw(text=f'<p class="figure-source">{said}</p>', format="html"),
        nodes.literal_block(code, code, language="python"),
        nodes.raw(text='<p class="figure-source">And drawn by this:</p>', format="html"),
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_post_transform(UnderFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
