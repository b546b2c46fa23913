"""The book's figures, and the papers' figures and tables that they answer to.

A figure's cell says under ``ctl`` in its metadata what the figure answers to and what it is drawn
from; ``book/figures.yml`` lists the papers, and the book's drawings, which have no cell.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jupytext
import yaml
from IPython.display import HTML, Markdown
from pydantic import Field, ValidationError, model_validator

from ctl_helpers.project import ProjectError, root
from ctl_helpers.settings.schema import Checked
from ctl_helpers.site.contents import chapters

Text = Annotated[str, Field(min_length=1)]

_FILE = "book/figures.yml"
_IMAGES = "../_images/figures"  # where a page of the book finds still images


class Shown(Checked):
    """A figure or table of a paper.

    Attributes:
        what: what it shows, in a few words.
        place: where in the book its content stands, if in no figure: ``page.html#anchor``.
    """

    what: Text
    place: str = ""


class Paper(Checked):
    """A paper and what it shows, by name: ``"Figure 1"``, ``"Table 1"``."""

    title: Text
    cite: Text
    shows: dict[str, Shown]


class Figure(Checked):
    """A figure of the book.

    Attributes:
        page: the page's file name, without its ending.
        title: one line.
        paper: the paper that it answers to, if any.
        answers: that paper's figures and tables.
        tables: what it is drawn from, as ``"4_1/direction"``; none for a drawing.
    """

    page: Text
    title: Text
    paper: str = ""
    answers: tuple[Text, ...] = ()
    tables: tuple[Text, ...] = ()


class Registry(Checked):
    """All papers and figures, by name."""

    papers: dict[str, Paper]
    figures: dict[str, Figure]

    @model_validator(mode="after")
    def _answers_agree(self) -> Registry:
        for name, figure in self.figures.items():
            if bool(figure.paper) != bool(figure.answers):
                raise ValueError(f"{name} needs both a paper and what it answers to, or neither")
            shows = self.papers[figure.paper].shows if figure.paper in self.papers else {}
            if unknown := [answer for answer in figure.answers if answer not in shows]:
                raise ValueError(f"{name} answers to {unknown[0]!r}, which {figure.paper} has not")
        for name, paper in self.papers.items():
            for shown, row in paper.shows.items():
                if not (self.of(name, shown) or row.place):
                    raise ValueError(f"{name}, {shown}: say where in the book it is")
        return self

    def of(self, paper: str, shown: str) -> dict[str, Figure]:
        """The figures that answer to one of a paper's."""
        return {
            name: figure
            for name, figure in self.figures.items()
            if figure.paper == paper and shown in figure.answers
        }


def load() -> Registry:
    """The registry, figures in the book's order.

    Raises:
        ProjectError: ``book/figures.yml`` or a figure's cell is not written right.
    """
    content = yaml.safe_load((root() / _FILE).read_text(encoding="utf-8"))
    figures = content.pop("drawings", {})
    for page in chapters(root() / "_toc.yml"):
        figures |= _figures(root() / f"{page}.md")
    try:
        return Registry.model_validate({**content, "figures": figures})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ProjectError(
            f"{place}: {first['msg']}; see {_FILE}, or `ctl` in the metadata of the figure's cell"
        ) from None


def _figures(page: Path) -> dict[str, dict[str, Any]]:
    """Name → what the cell of each figure of a page says of it."""
    text = page.read_text(encoding="utf-8")
    cells = jupytext.reads(text, "md:myst").cells if text.startswith("---\njupytext:") else []
    facts = [cell.metadata for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    return {
        fact["mystnb"]["figure"]["name"]: {"page": page.stem, **fact.get("ctl", {})}
        for fact in facts
    }


def thumbnails(paper: str = "") -> HTML:
    """A grid of small images that lead to their figures.

    Args:
        paper: whose figures they answer to, in its order; empty for figures that are ours.
    """
    registry = load()
    order = list(registry.papers[paper].shows) if paper else []
    figures = [(name, row) for name, row in registry.figures.items() if row.paper == paper]
    if paper:
        figures.sort(key=lambda named: order.index(named[1].answers[0]))
    boxes = [
        f'<a href="{_address(name, figure)}">'
        f'<img src="{_IMAGES}/{name}.svg" alt="" loading="lazy">'
        f"<span>{html.escape(figure.title)}</span>"
        f"<small>{_together(figure.answers)}</small></a>"
        for name, figure in figures
    ]
    return HTML(f'<div class="thumbnails">{"".join(boxes)}</div>')


def crosswalk(paper: str) -> Markdown:
    """A table of a paper's figures and tables, and where the book has each."""
    registry = load()
    lines = ["| in the paper | what it shows | here |", "|:--|:--|:--|"]
    for shown, row in registry.papers[paper].shows.items():
        links = [
            f'<a href="{_address(name, figure)}">{html.escape(figure.title)}</a>'
            for name, figure in registry.of(paper, shown).items()
        ]
        if row.place:
            links.append(f'<a href="{row.place}">a table</a>')
        lines.append(f"| {shown.replace(' ', '&nbsp;')} | {row.what} | {'; '.join(links)} |")
    return Markdown("\n".join(lines))


def _address(name: str, figure: Figure) -> str:
    return f"{figure.page}.html#{name}"


def _together(answers: Sequence[str]) -> str:
    """Figures under one word: "Figures 2, 13"."""
    numbers: dict[str, list[str]] = {}
    for answer in answers:
        word, number = answer.split()
        numbers.setdefault(word, []).append(number)
    return ", ".join(f"{word}{'s' * (len(of) > 1)} {', '.join(of)}" for word, of in numbers.items())
