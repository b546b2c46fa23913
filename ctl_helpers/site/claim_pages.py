"""What pages write of claims: every verdict in full, what was missed, and a line a claim.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from IPython.display import Markdown

from ctl_helpers import settings
from ctl_helpers.findings.claims import Claim, load
from ctl_helpers.findings.verdicts import Part, Verdict, verdicts
from ctl_helpers.findings.words import by_panel
from ctl_helpers.site.claim_marks import (
    claim_link,
    digits,
    grade,
    link,
    marked,
    number,
    position,
    reason,
)

NOT_RUN = "*Not run yet.*"

_COLUMNS = (
    *("setting", "", "verdict", "number", "control", "ideal", "paper", "p", "units", "evidence"),
)


def failures(judged: Sequence[Verdict]) -> Markdown:
    """A table of where claims are contradicted or met in part: what was missed, where to look."""
    rows = [["claim", "setting", "verdict", "what was missed", "number", "control", "evidence"]]
    rows.append([":--"] * len(rows[0]))
    for verdict in judged:
        if verdict.word in ("contradicted", "partly"):
            missed = verdict.missed or verdict.parts[0]
            rows.append(
                [
                    claim_link(verdict.claim, verdict.name),
                    _titled(verdict),
                    marked(verdict.word),
                    missed.effect,
                    number(missed.number),
                    number(missed.control),
                    link(verdict.evidence, "figure"),
                ]
            )
    return Markdown("\n".join(map(_table_row, rows)))


def verdict_lines(panels: Mapping[str, str], *sections: str) -> Markdown:
    """A line per claim: what it came to in each setting that a page shows and that was run.

    Args:
        panels: setting → panel title.
        sections: whose claims, such as ``"4.1"``.
    """
    said: dict[tuple[str, str], dict[str, str]] = {}
    for verdict in (verdict for section in sections for verdict in verdicts(section)):
        if verdict.setting in panels and verdict.word != "not run":
            why = reason(verdict)
            text = marked(verdict.word) + (f", {why}" if why else "")
            said.setdefault((verdict.claim, verdict.name), {})[verdict.setting] = text
    lines = [f"- {claim_link(*key)}: {by_panel(panels, said[key])}." for key in said]
    return Markdown("\n".join(lines) or NOT_RUN)


def tally(judged: Sequence[Verdict]) -> Markdown:
    """How many claims are reproduced wherever they could be judged, in some settings, in none."""
    told = [each for each in judged if each.word not in ("not testable", "not run")]
    good = {verdict.claim for verdict in told if verdict.word == "reproduced"}
    other = {verdict.claim for verdict in told if verdict.word != "reproduced"}
    return Markdown(
        f"Of {len(load())} claims, {len(good - other)} are reproduced wherever they could be "
        f"judged, {len(good & other)} in some settings but not in all, and {len(other - good)} in "
        "none; the others could not be judged. A claim that is reproduced everywhere here was run "
        "on few settings, most of them small."
    )


def all_claims(judged: Sequence[Verdict]) -> Markdown:
    """Every claim under a heading, which links reach as ``claims.html#claim-NAME``."""
    parts = [
        f"(claim-{key})=\n## {claim.name}\n\n"
        + _one_claim(key, claim, [verdict for verdict in judged if verdict.claim == key])
        for key, claim in load().items()
    ]
    return Markdown("\n\n".join(parts))


def _one_claim(key: str, claim: Claim, judged: Sequence[Verdict]) -> str:
    """What is asked, why, what the paper has, and every setting's numbers."""
    sections = ", ".join(claim.sections)
    lines = [f"{claim.statement} (`{key}`, section {sections})", ""]
    lines += [f"*In the paper*: {claim.paper}", ""]
    if not judged:
        return "\n".join([*lines, f"**{marked('not run')}**: no setting has this section."])
    lines += _asked(judged[0])
    ran = [verdict for verdict in judged if verdict.word != "not run"]
    if ran:
        rows = [_COLUMNS, [":--"] * len(_COLUMNS), *(row for each in ran for row in _rows(each))]
        lines += ["", *map(_table_row, rows)]
    waiting = dict.fromkeys(_titled(each) for each in judged if each.word == "not run")
    if waiting:
        lines += ["", f"{marked('not run')}: {', '.join(waiting)}."]
    return "\n".join(lines)


def _asked(verdict: Verdict) -> Iterator[str]:
    """The parts that decide, those that are shown beside them, and the gates."""
    for place, part in enumerate((*verdict.parts, *verdict.shown), 1):
        shown = "" if place <= len(verdict.parts) else " Shown, decides nothing."
        unit = f" ({part.unit})" if part.unit else ""
        yield f"{place}. **{part.effect}**{unit}. {part.reason}{shown}"
    if verdict.gates:
        yield ""
    for gate in verdict.gates:
        yield (
            f"- *Not testable* where there is {gate.says}: `{gate.measure}` is asked for "
            f"{gate.threshold}."
        )


def _rows(verdict: Verdict) -> Iterator[list[str]]:
    """A setting's rows: a first one with its verdict, and one for each further part."""
    for place, part in enumerate((*verdict.parts, *verdict.shown), 1):
        word = "–" if place > len(verdict.parts) else marked(part.word)
        lead = [_titled(verdict), f"({place})", f"**{_word(verdict)}**"] if place == 1 else []
        lead = lead or ["", f"({place})", word]
        if place == 1 and len(verdict.parts) > 1 and part.word != verdict.word:
            lead[2] += f" ({place}: {word})"
        yield [*lead, *_numbers(part), link(verdict.evidence, "figure") if place == 1 else ""]


def _word(verdict: Verdict) -> str:
    """A verdict's word with the gate that is closed, or with what would decide."""
    if verdict.word == "not testable":
        return f"{marked(verdict.word)}: {_gate(verdict)}"
    needed = next((part.needed for part in verdict.parts if part.needed), None)
    waits = f"; {needed} would decide" if verdict.word == "undecided" and needed else ""
    return marked(verdict.word) + waits


def _gate(verdict: Verdict) -> str:
    closed = next((gate for gate in verdict.gates if gate.closed), None)
    if closed is None:
        return "–"
    return f"{closed.says} ({number(closed.number)}, asked for {closed.threshold})"


def _numbers(part: Part) -> list[str]:
    control = number(part.control)
    if part.control_effect and part.control is not None:
        control += f" ({part.control_effect})"
    ideal = "–" if part.ideal is None else digits(part.ideal)
    return [
        number(part.number),
        control,
        ideal,
        part.paper or "–",
        position(part),
        part.units or "–",
    ]


def _titled(verdict: Verdict) -> str:
    return f"{settings.describe(verdict.setting).title} {grade(verdict)}"


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
