"""The figure and the table of a failure signature, with links to where each number is shown.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

from collections.abc import Sequence

from IPython.display import Markdown
from plotly.graph_objects import Figure

from ctl_helpers import settings
from ctl_helpers.figures.signatures import dots
from ctl_helpers.findings.claims import load
from ctl_helpers.findings.sentences import signatures as sentences
from ctl_helpers.findings.sentences.signatures import Case
from ctl_helpers.findings.signatures import SIGNATURES
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.results.labels import section_title
from ctl_helpers.site.claim_marks import claim_link, grade, link, marked
from ctl_helpers.site.claim_pages import NOT_RUN
from ctl_helpers.site.stacked_tables import stacked_table

_HEAD = [
    "setting",
    "condition",
    "ε as usual",
    "ε under the condition",
    "ratio",
    "verdict",
    "shown in",
]


def answers(judged: Sequence[Verdict]) -> Markdown:
    """See :func:`ctl_helpers.findings.sentences.signatures.answers`."""
    return Markdown(sentences.answers(judged))


def said(judged: Sequence[Verdict], signature: str) -> Markdown:
    """See :func:`ctl_helpers.findings.sentences.signatures.signature`."""
    return Markdown(sentences.signature(judged, signature))


def figure(judged: Sequence[Verdict], signature: str) -> Figure | Markdown:
    """A signature's dots."""
    cases = sentences.cases(judged, signature)
    return dots(cases) if cases else _nothing(judged, signature)


def table(judged: Sequence[Verdict], signature: str) -> Markdown:
    """A row for each condition and setting: ε without and with it, the ratio, and the verdict."""
    rows = [_row(case) for case in sentences.cases(judged, signature)]
    return Markdown(stacked_table(_HEAD, rows)) if rows else _nothing(judged, signature)


def _nothing(judged: Sequence[Verdict], signature: str) -> Markdown:
    """Why there is no number: nothing ran, or what ran left nothing to compare."""
    claims = SIGNATURES[signature].claims
    ran = any(each.claim in claims and each.word != "not run" for each in judged)
    return Markdown("*No setting could be compared.*" if ran else NOT_RUN)


def _row(case: Case) -> list[str]:
    verdict, ends = case.verdict, case.part.number.interval
    marks = f'data-finding="{case.part.measure}" data-setting="{verdict.setting}"'
    ratio = f"<span {marks}>{case.words}</span>"
    if ends is not None:
        ratio += f" ({' to '.join(f'{2**end:.2f}' for end in ends)})"
    word = verdict.word if case.closed else case.part.word
    name = load()[verdict.claim].name
    return [
        f"{settings.describe(verdict.setting).title} {grade(verdict)}",
        case.condition,
        f"{case.before.value:.2f}",
        f"{case.after.value:.2f}",
        ratio,
        claim_link(verdict.claim, f'<span title="{name}">{marked(word)}</span>'),
        link(verdict.evidence, section_title(verdict.section)),
    ]
