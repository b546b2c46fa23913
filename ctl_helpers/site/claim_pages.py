"""What pages show of claims: verdicts, each with its numbers, and what was missed.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from IPython.display import HTML, Markdown

from ctl_helpers import settings
from ctl_helpers.findings.claims import Claim, load
from ctl_helpers.findings.verdicts import Check, Verdict, verdicts
from ctl_helpers.findings.words import by_panel

NOT_RUN = "*Not run yet.*"

_MARKS = {"holds": "✓ holds", "fails": "✗ fails", "not run": "– not run"}


def dashboard(judged: Sequence[Verdict]) -> HTML:
    """Every claim, how many settings say what of it, and on a click each setting's number.

    Counts and filters are for readers with a script; without one all is there, unfiltered.
    """
    titles = {name: settings.describe(name).title for name in settings.names()}
    words = [word for word in _MARKS if _count(judged, word)]
    counts = ", ".join(f"{_count(judged, word)} {_MARKS[word]}" for word in words)
    shown = dict.fromkeys(verdict.setting for verdict in judged)
    sections = dict.fromkeys(verdict.section for verdict in judged)
    menus = [
        ("section", {name: name for name in sections}),
        ("setting", {name: titles[name] for name in shown}),
        ("verdict", {word: _MARKS[word] for word in words}),
    ]
    rows = [
        _row(name, claim, [verdict for verdict in judged if verdict.claim == name], titles)
        for name, claim in load().items()
    ]
    return HTML(
        f'<div class="dashboard"><p><strong>{len(rows)} claims, {len(judged)} verdicts</strong>: '
        f"{counts}.</p><form>{''.join(_menu(*menu) for menu in menus)}</form>"
        f'<p class="dashboard-shown" aria-live="polite"></p>{"".join(rows)}</div>'
    )


def _count(judged: Sequence[Verdict], word: str) -> int:
    return sum(verdict.verdict == word for verdict in judged)


def _menu(name: str, choices: Mapping[str, str]) -> str:
    options = "".join(
        f'<option value="{value}">{html.escape(text)}</option>' for value, text in choices.items()
    )
    every = '<option value="">all</option>'
    return f'<label>{name} <select name="{name}">{every}{options}</select></label>'


def _row(name: str, claim: Claim, judged: Sequence[Verdict], titles: Mapping[str, str]) -> str:
    marks = " ".join(
        f'<span class="{word.replace(" ", "-")}">{mark}: {_count(judged, word)}</span>'
        for word, mark in _MARKS.items()
        if _count(judged, word)
    )
    first = claim.conditions[0]
    unit = f" ({first.unit})" if first.unit else ""
    cells = "".join(
        f'<tr data-section="{verdict.section}" data-setting="{verdict.setting}" '
        f'data-verdict="{verdict.verdict}"><td>{html.escape(titles[verdict.setting])}</td>'
        f"<td>{_word(verdict)}</td><td>{_number(verdict.checks[0])}</td>"
        f"<td>{_link(verdict.evidence, 'figure') if verdict.effect is not None else '–'}</td></tr>"
        for verdict in judged
    )
    return (
        f'<details id="row-{name}"><summary><strong>{name}</strong> '
        f"{html.escape(claim.statement)} <span class='marks'>{marks}</span></summary>"
        f"<p><em>In the paper</em>: {html.escape(claim.paper)}</p>"
        f"<table><thead><tr><th>setting</th><th>verdict</th>"
        f"<th>{html.escape(first.effect + unit)}: {first.threshold}</th><th>evidence</th></tr>"
        f"</thead><tbody>{cells}</tbody></table>"
        f"<p>{_claim_link(name, 'All conditions and the reasons')}</p></details>"
    )


def failures(judged: Sequence[Verdict]) -> Markdown:
    """A table of the claims that fail somewhere: the first condition missed, and where to look."""
    lines = ["| claim | setting | what was missed | number | evidence |", "|:--|:--|:--|:--|:--|"]
    for verdict in judged:
        if verdict.verdict == "fails":
            missed = next(check for check in verdict.checks if check.holds is False)
            condition = f"{missed.effect}: {missed.threshold}".replace("|", "\\|")
            titled = settings.describe(verdict.setting).title
            cells = [_claim_link(verdict.claim), titled, condition]
            cells += [_number(missed), _link(verdict.evidence, "figure")]
            lines.append(f"| {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def verdict_lines(panels: Mapping[str, str], *sections: str) -> Markdown:
    """A line per claim: what it came to in each setting that a page shows and that was run.

    Args:
        panels: setting → panel title.
        sections: whose claims, such as ``"4.1"``.
    """
    words: dict[str, dict[str, str]] = {}
    for verdict in (verdict for section in sections for verdict in verdicts(section)):
        if verdict.setting in panels and verdict.verdict != "not run":
            words.setdefault(verdict.claim, {})[verdict.setting] = _word(verdict)
    lines = [f"- {_claim_link(name)}: {by_panel(panels, words[name])}." for name in words]
    return Markdown("\n".join(lines) or NOT_RUN)


def tally(judged: Sequence[Verdict]) -> Markdown:
    """How many claims hold in all settings, in some, and in none."""
    failing = {verdict.claim for verdict in judged if verdict.verdict == "fails"}
    holding = {verdict.claim for verdict in judged if verdict.verdict == "holds"}
    return Markdown(
        f"Of {len(load())} claims, {len(holding - failing)} hold wherever they were run, "
        f"{len(holding & failing)} hold in some settings and fail in others, and "
        f"{len(failing - holding)} fail wherever they were run. A claim that holds everywhere here "
        "was run on few settings, most of them small."
    )


def all_claims(judged: Sequence[Verdict]) -> Markdown:
    """Every claim under a heading, which links reach as ``claims.html#claim-NAME``."""
    parts = [
        f"(claim-{name})=\n## `{name}`\n\n"
        + _one_claim(claim, [verdict for verdict in judged if verdict.claim == name])
        for name, claim in load().items()
    ]
    return Markdown("\n\n".join(parts))


def _one_claim(claim: Claim, judged: Sequence[Verdict]) -> str:
    """What is asked, why, what the paper has, and every setting's numbers."""
    lines = [claim.statement, "", f"*In the paper*: {claim.paper}", ""]
    for number, condition in enumerate(claim.conditions, 1):
        limit = f"**{condition.threshold}**" if condition.threshold else "shown, decides nothing"
        unit = f" ({condition.unit})" if condition.unit else ""
        lines.append(f"{number}. {condition.effect}{unit}: {limit}. {condition.reason}")
    if not judged:
        return "\n".join([*lines, "", "**– not run**: no setting has this section."])
    columns = [f"({number})" for number in range(1, len(claim.conditions) + 1)]
    table = [["setting", "verdict", *columns, "interval over", "evidence"]]
    table.append([":--"] * len(table[0]))
    for verdict in judged:
        seen = any(check.value is not None for check in verdict.checks)
        table.append(
            [
                settings.describe(verdict.setting).title,
                f"**{_word(verdict)}**",
                *map(_number, verdict.checks),
                verdict.replicates or "–",
                _link(verdict.evidence, "figure") if seen else "–",
            ]
        )
    return "\n".join([*lines, "", *(f"| {' | '.join(cells)} |" for cells in table)])


def _word(verdict: Verdict) -> str:
    """A verdict with its mark; a reader need not see colours."""
    unsure = verdict.verdict != "not run" and not verdict.clear
    return _MARKS[verdict.verdict] + (", not clearly" if unsure else "")


def _number(check: Check) -> str:
    """A number with its interval and, where it is asked for something, whether it is met."""
    if check.value is None:
        return "–"
    met = {True: " ✓", False: " ✗", None: ""}[check.holds]
    ends = ", ".join(map(_digits, check.interval or ()))
    interval = f" [{ends}]" if ends else ""
    return f"{_digits(check.value)}{interval}{met}"


def _digits(value: float) -> str:
    # What rounding alone leaves of a difference is nothing.
    return f"{round(value, 12) + 0.0:.3g}".replace("-", "−")


def _link(address: str, text: str) -> str:
    """A link to a page that the book tool need not know."""
    return f'<a href="{address}">{text}</a>'


def _claim_link(name: str, text: str = "") -> str:
    return _link(f"claims.html#claim-{name}", text or name)
