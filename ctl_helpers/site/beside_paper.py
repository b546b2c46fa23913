"""The paper beside the book: what a claim's figure shows there, our number, whether they agree.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from IPython.display import Markdown

from ctl_helpers.findings.sentences.answers import OURS, nearest
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.words import short
from ctl_helpers.site.claim_marks import claim_link, link, marked, number
from ctl_helpers.site.stacked_tables import stacked_table

_PAPERS = {"llo": "https://arxiv.org/abs/2407.07089", "": "https://arxiv.org/abs/2402.03660"}
"""How a claim's name begins → where its paper is."""


def strip(judged: Iterable[Verdict], panels: Mapping[str, str]) -> Markdown | None:
    """A row for each claim of a paper: what is read off its figure, our number, the verdict.

    Args:
        panels: as :func:`ctl_helpers.findings.sentences.answers.nearest` takes them.

    Returns:
        None where nothing was run.
    """
    rows = [
        [
            claim_link(each.claim, each.name),
            f"{each.paper} {link(_paper(each), 'Paper')}",
            f"{each.parts[0].effect}: {number(each.parts[0].number)} {each.parts[0].unit}".rstrip()
            + f" ({short(panels[each.setting])})",
            link(each.evidence, marked(each.word).replace(" ", "&nbsp;")),
        ]
        for each in nearest(judged, panels)
        if each.claim not in OURS
    ]
    head = ["claim", "the paper", "ours, with its 95% interval", "agrees?"]
    return Markdown(stacked_table(head, rows)) if rows else None


def _paper(verdict: Verdict) -> str:
    return next(at for start, at in _PAPERS.items() if verdict.claim.startswith(start))
