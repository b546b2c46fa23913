"""The paper beside the book: what a claim's figure shows there, our number, whether they agree.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from IPython.display import Markdown

from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.words import markdown_table, short
from ctl_helpers.site.claim_marks import claim_link, link, marked, number

_PAPERS = {"llo": "https://arxiv.org/abs/2407.07089", "": "https://arxiv.org/abs/2402.03660"}
"""How a claim's name begins → where its paper is."""


def nearest(judged: Iterable[Verdict], panels: Mapping[str, str]) -> list[Verdict]:
    """Of each claim the verdict on the setting that is nearest to the paper's, of those that ran.

    Args:
        panels: setting → panel title, the nearest first. One that could judge a claim comes before
            one that could not.
    """
    order = {setting: place for place, setting in enumerate(panels)}
    ran = [each for each in judged if each.setting in order and each.word != "not run"]
    ran.sort(key=lambda each: (each.word == "not testable", order[each.setting]))
    first: dict[tuple[str, str], Verdict] = {}
    for each in ran:
        first.setdefault((each.claim, each.section), each)
    named = dict.fromkeys((each.claim, each.section) for each in judged)
    return [first[key] for key in named if key in first]


def strip(judged: Iterable[Verdict], panels: Mapping[str, str]) -> Markdown | None:
    """A row for each claim: the paper's figure and what is read off it, our number, the verdict.

    Args:
        panels: as :func:`nearest` takes them.

    Returns:
        None where nothing was run.
    """
    rows = [
        [
            f"{claim_link(each.claim, each.name)}. {each.paper} {link(_paper(each), 'Paper')}",
            f"{each.parts[0].effect}: {number(each.parts[0].number)} {each.parts[0].unit}".rstrip()
            + f" ({short(panels[each.setting])})",
            link(each.evidence, marked(each.word)),
        ]
        for each in nearest(judged, panels)
    ]
    head = ["the paper", "ours, with its 95% interval", "agrees?"]
    return Markdown(markdown_table(head, rows, texts=3)) if rows else None


def _paper(verdict: Verdict) -> str:
    return next(at for start, at in _PAPERS.items() if verdict.claim.startswith(start))
