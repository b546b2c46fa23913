"""The dashboard: a grid of verdicts, claims by settings, with a dot plot beside each claim.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from IPython.display import HTML, Markdown

from ctl_helpers import settings
from ctl_helpers.findings.claims import Claim, load
from ctl_helpers.findings.sentences import found
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.results.labels import section_title
from ctl_helpers.settings.schema import GRADES, Described
from ctl_helpers.site import claim_strips
from ctl_helpers.site.claim_marks import (
    MARKS,
    chip,
    claim_link,
    count,
    css_class,
    described,
    marked,
    words,
)

_MISSED = ("contradicted", "partly", "undecided")


@dataclass(frozen=True)
class _Column:
    """A setting, and whether any of its verdicts comes from results."""

    setting: Described
    run: bool

    @property
    def folded(self) -> str:
        """A class attribute for the cells of settings that were not run."""
        return "" if self.run else ' class="never"'


def answer(judged: Sequence[Verdict]) -> Markdown:
    """See :func:`ctl_helpers.findings.sentences.found.between_tasks`."""
    return Markdown(found.between_tasks(judged))


def answers(judged: Sequence[Verdict]) -> Markdown:
    """See :func:`ctl_helpers.findings.sentences.found.found`."""
    return Markdown(found.found(judged))


def dashboard(judged: Sequence[Verdict]) -> HTML:
    """Every verdict's mark in a grid, each a link to its figure, and each claim's dot plot.

    What was missed, and settings that were not run, are folded away by checkboxes, which need no
    script.
    """
    columns, claims = _columns(judged), load()
    ran = sum(verdict.word != "not run" for verdict in judged)
    rows = "".join(
        _row(name, claim, [verdict for verdict in judged if verdict.claim == name], columns)
        for name, claim in claims.items()
    )
    return HTML(
        f'<div class="dashboard"><p><strong>{len(claims)} claims, {ran} verdicts</strong>, each '
        f"a link to its figure ({len(judged) - ran} more were not run). Point at a mark, or tap "
        "it, for its number, and for its section where a cell has a mark for each of several.</p>"
        f"{_legend(judged)}{_grades(columns)}"
        f"{_switch('show-missed', 'Show what was missed')}"
        f"{_switch('show-not-run', 'Show what was not run')}"
        f'<div class="verdict-box"><table class="verdict-grid"><thead>{_head(columns)}'
        f"</thead><tbody>{rows}</tbody></table></div></div>"
    )


def _switch(name: str, label: str) -> str:
    return f'<input type="checkbox" id="{name}"><label for="{name}">{label}</label>'


def _columns(judged: Sequence[Verdict]) -> list[_Column]:
    """Settings by grade, within a grade those that were run first."""
    ran = {verdict.setting for verdict in judged if verdict.word != "not run"}
    names = dict.fromkeys(verdict.setting for verdict in judged)
    listed = [_Column(settings.describe(name), name in ran) for name in names]
    return sorted(listed, key=lambda each: (each.setting.grade, not each.run, each.setting.title))


def _legend(judged: Sequence[Verdict]) -> str:
    counts = "".join(
        f"<li>{chip(word)} {word}: {count(judged, word)}</li>" for word in words(judged)
    )
    return f'<ul class="verdict-legend">{counts}</ul>'


def _grades(columns: Sequence[_Column]) -> str:
    shown = dict.fromkeys(column.setting.grade for column in columns)
    told = "".join(f'<li><b class="grade">{grade}</b> {GRADES[grade]}</li>' for grade in shown)
    return f'<ul class="verdict-legend">{told}</ul>'


def _head(columns: Sequence[_Column]) -> str:
    names = "".join(
        f'<th{column.folded} scope="col"><span title="{html.escape(column.setting.badge)}">'
        f'{html.escape(column.setting.title)}</span><b class="grade">{column.setting.grade}</b>'
        "</th>"
        for column in columns
    )
    return (
        f'<tr><th scope="col">claim</th>{names}<th scope="col">'
        f"between control (0) and ideal (1){claim_strips.axis()}</th></tr>"
    )


def _row(name: str, claim: Claim, judged: Sequence[Verdict], columns: Sequence[_Column]) -> str:
    cells = "".join(
        f"<td{column.folded}>{_cell(judged, column.setting.name)}</td>" for column in columns
    )
    sections = ", ".join(map(section_title, claim.sections))
    return (
        f'<tr id="row-{name}"><th scope="row">{claim_link(name, html.escape(claim.name))} '
        f"<small>{sections}</small></th>{cells}<td>{claim_strips.strip(judged)}</td></tr>"
        f"{_missed(judged, len(columns) + 2)}"
    )


def _cell(judged: Sequence[Verdict], setting: str) -> str:
    """A link for each section in which a setting has a verdict on the claim."""
    return "".join(
        f'<a class="verdict {css_class(verdict.word)}" href="{verdict.evidence}" '
        f'title="{html.escape(described(verdict))}" aria-label="{html.escape(_label(verdict))}">'
        f"{MARKS[verdict.word]}</a>"
        for verdict in judged
        if verdict.setting == setting
    )


def _label(verdict: Verdict) -> str:
    title = settings.describe(verdict.setting).title
    return f"{verdict.name} ({section_title(verdict.section)}), {title}: {verdict.word}"


def _missed(judged: Sequence[Verdict], width: int) -> str:
    """What a claim missed, and where: a line for each word and part."""
    where: dict[tuple[str, str], list[str]] = {}
    for verdict in judged:
        if verdict.word in _MISSED and verdict.missed is not None:
            key = marked(verdict.word), verdict.missed.effect
            where.setdefault(key, []).append(settings.describe(verdict.setting).title)
    if not where:
        return ""
    lines = "".join(_line(*key, titles) for key, titles in where.items())
    return f'<tr class="missed"><td colspan="{width}"><ul>{lines}</ul></td></tr>'


def _line(word: str, missed: str, titles: Sequence[str]) -> str:
    where = ", ".join(dict.fromkeys(titles))
    return f"<li>{word} in {html.escape(where)}: {html.escape(missed)}</li>"
