"""The book's figures, and the papers' figures and tables that they answer to.

``book/figures.yml`` lists both.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Annotated

import yaml
from IPython.display import HTML, Markdown
from pydantic import Field, ValidationError, model_validator

from ctl_helpers.project import ProjectError, root
from ctl_helpers.settings.schema import Checked

Text = Annotated[str, Field(min_length=1)]

_FILE = "figures.yml"
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
            known = self.papers[figure.paper].shows if figure.paper in self.papers else {}
            if unknown := [each for each in figure.answers if each not in known]:
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
    """The registry.

    Raises:
        ProjectError: ``book/figures.yml`` is not written right.
    """
    text = (root() / "book" / _FILE).read_text(encoding="utf-8")
    try:
        return Registry.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ProjectError(f"book/{_FILE}, {place}: {first['msg']}") from None


def thumbnails(paper: str = "") -> HTML:
    """A grid of small images that lead to their figures.

    Args:
        paper: whose figures they answer to, in its order; empty for figures that are ours.
    """
    registry = load()
    order = list(registry.papers[paper].shows) if paper else []
    found = {name: each for name, each in registry.figures.items() if each.paper == paper}
    places = {name: order.index(each.answers[0]) if paper else 0 for name, each in found.items()}
    boxes = [
        f'<a href="{_address(name, found[name])}">'
        f'<img src="{_IMAGES}/{name}.svg" alt="" loading="lazy">'
        f"<span>{html.escape(found[name].title)}</span>"
        f"<small>{_together(found[name].answers)}</small></a>"
        for name in sorted(found, key=places.__getitem__)
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
    words = dict.fromkeys(each.split()[0] for each in answers)
    said = []
    for word in words:
        numbers = [each.split()[1] for each in answers if each.startswith(word)]
        said.append(f"{word}{'s' * (len(numbers) > 1)} {', '.join(numbers)}")
    return ", ".join(said)
