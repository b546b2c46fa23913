"""What pages write of claims: every verdict in full, what was missed, and a line a claim.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from IPython.display import Markdown

from ctl_helpers import settings
from ctl_helpers.findings.claims import Claim, load
from ctl_helpers.findings.signatures import CLAIMS
from ctl_helpers.findings.verdict import Number, Part, Verdict
from ctl_helpers.findings.verdicts import verdicts
from ctl_helpers.findings.words import plain, short
from ctl_helpers.results.labels import section_title
from ctl_helpers.site.claim_marks import (
    MARKS,
    claim_link,
    digits,
    grade,
    link,
    marked,
    missed,
    needed,
    number,
    position,
    words,
)
from ctl_helpers.site.stacked_tables import stacked_table

NOT_RUN = "*Not run yet.*"

_MISSED = "what was missed"

_FIXED = "\N{NO-BREAK SPACE}"

_COLUMNS = ["setting", "verdict", "part", "number", "control", "p", "over"]


def failures(judged: Sequence[Verdict]) -> Markdown:
    """A table of where claims are contradicted or met in part: what was missed, where to look."""
    rows = []
    for verdict in judged:
        if verdict.word in ("contradicted", "partly"):
            part = verdict.missed or verdict.parts[0]
            rows.append(
                [
                    f"{claim_link(verdict.claim, verdict.name)} ({section_title(verdict.section)})",
                    part.effect,
                    _titled(verdict),
                    link(verdict.evidence, _marked(verdict)),
                    *map(_unbroken, (number(part.number), number(part.control))),
                ]
            )
    head = ["claim", _MISSED, "setting", "verdict", "number", "control"]
    return Markdown(stacked_table(head, rows))


def verdict_lines(panels: Mapping[str, str], *sections: str) -> Markdown:
    """A table of claims: what each came to in the settings that a page shows and that were run.

    Without failure signatures, which have a page of their own.

    Args:
        panels: setting → panel title.
        sections: whose claims, such as ``"4.1"``.
    """
    said: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for each in (verdict for section in sections for verdict in verdicts(section)):
        if each.setting in panels and each.word != "not run" and each.claim not in CLAIMS:
            said.setdefault((each.claim, each.name, each.section), {})[each.setting] = each
    rows = []
    for (claim, name, section), judged in said.items():
        words = [_came_to(judged[key]) if key in judged else "" for key in panels]
        reasons = {key: missed(judged[key]) for key in panels if key in judged}
        parts = _named({key: why for key, why in reasons.items() if why}, panels)
        of_section = f" ({section_title(section)})" if len(sections) > 1 else ""
        rows.append([f"{claim_link(claim, name)}{of_section}", *words, parts])
    head = ["claim", *panels.values(), _MISSED]
    return Markdown(stacked_table(head, rows) if rows else NOT_RUN)


def _named(reasons: Mapping[str, str], panels: Mapping[str, str]) -> str:
    """Each reason once; where there are several, with the settings that it is of."""
    settings_of: dict[str, list[str]] = {}
    for key, why in reasons.items():
        settings_of.setdefault(why, []).append(short(panels[key]))
    if len(settings_of) < 2:
        return "".join(settings_of)
    return "; ".join(f"{', '.join(titles)}: {why}" for why, titles in settings_of.items())


def standing(judged: Sequence[Verdict], *claims: str) -> Markdown:
    """An item for each of some claims: which settings say what, and the number that decides.

    Args:
        claims: their keys in the file of claims.
    """
    return Markdown("\n".join(_stands([v for v in judged if v.claim == key]) for key in claims))


def _stands(of_claim: Sequence[Verdict]) -> str:
    head = f"- {claim_link(of_claim[0].claim, of_claim[0].name)}"
    ran = [each for each in of_claim if each.word != "not run"]
    if not ran:
        return f"{head}: not run yet."
    came = []
    words_of: dict[str, set[str]] = {}
    for each in ran:
        words_of.setdefault(each.setting, set()).add(each.word)

    def titled(each: Verdict) -> str:
        section = f" ({section_title(each.section)})" * (len(words_of[each.setting]) > 1)
        return f"{_titled(each)}{section}"

    for word in words(ran):
        own = [each for each in ran if each.word == word]
        gates = "; ".join(dict.fromkeys(filter(None, (each.gate for each in own))))
        titles = ", ".join(dict.fromkeys(map(titled, own)))
        came.append(f"{_marked(own[0])} in {titles}{f' ({gates})' if gates else ''}")
    return f"{head}: {'; '.join(came)}.{_decided_by(ran)}"


def _decided_by(ran: Sequence[Verdict]) -> str:
    """From where to where a claim's first number goes, and that of its measured control."""
    told = [each.parts[0] for each in ran if each.word != "not testable"]
    extent = _extent(part.number for part in told)
    if not extent:
        return ""
    text = f" *{told[0].effect}*: {' '.join(filter(None, (extent, told[0].unit)))}"
    apart = _extent(part.control for part in told) if told[0].control_effect else ""
    return f"{text}; {told[0].control_effect}: {apart}." if apart else f"{text}."


def _extent(numbers: Iterable[Number | None]) -> str:
    known = [one.value for one in numbers if one is not None and one.value is not None]
    ends = [plain(end) for end in (min(known), max(known))] if known else []
    return " to ".join(dict.fromkeys(ends))


def _came_to(verdict: Verdict) -> str:
    return ", ".join(filter(None, (_marked(verdict), needed(verdict))))


def _marked(verdict: Verdict) -> str:
    """A verdict's mark and word, on one line."""
    return marked(verdict.word).replace(" ", _FIXED, 1)


def _unbroken(shown: str) -> str:
    """A number whose interval stays on one line."""
    return shown.replace(", ", f",{_FIXED}")


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
    sections = ", ".join(map(section_title, claim.sections))
    lines = [f"{claim.statement} (`{key}`, in {sections})", ""]
    lines += [f"*In the paper*: {claim.paper}", ""]
    if not judged:
        return "\n".join([*lines, f"**{marked('not run')}**: no setting has this section."])
    judged = sorted(judged, key=lambda verdict: verdict.grade)
    ran = [verdict for verdict in judged if verdict.word != "not run"]
    lines += _asked((ran or judged)[0])
    several = len(claim.sections) > 1
    if ran:
        body = [row for each in ran for row in _rows(each, several)]
        lines += ["", stacked_table(_COLUMNS, body, flowing=True)]
    waiting = dict.fromkeys(
        f"{_titled(each)} {section_title(each.section)}" if several else _titled(each)
        for each in judged
        if each.word == "not run"
    )
    if waiting:
        lines += ["", f"{marked('not run')}: {', '.join(waiting)}."]
    return "\n".join(lines)


def _asked(verdict: Verdict) -> Iterator[str]:
    """The parts that decide, those that are shown beside them, and the gates."""
    for place, part in enumerate((*verdict.parts, *verdict.shown), 1):
        shown = "" if place <= len(verdict.parts) else " It is shown, but does not decide."
        unit = f" ({part.unit})" if part.unit else ""
        yield f"{place}. **{part.effect}**{unit}. {part.reason}{_between(part)}{shown}"
    if verdict.gates:
        yield ""
    yield from dict.fromkeys(
        f"- *Testable* only where this is {gate.threshold}: "
        f"{gate.effect[0].lower()}{gate.effect[1:]}. Otherwise: {gate.says}."
        for gate in verdict.gates
    )


def _between(part: Part) -> str:
    """What a part is held against: its control, the ideal, the paper."""
    constant = (part.control and digits(part.control.value or 0.0)) or ""
    at = f"the control, {part.control_effect}," if part.control_effect else constant
    unit = f" {part.unit}" if part.unit else ""
    ideal = f"{digits(part.ideal)}{unit}" if part.ideal is not None else "the paper's number"
    text = ""
    if part.ideal is not None or part.position is not None:
        text = f" *p* is 0 at {at} and 1 at {ideal}."
    return f"{text} *The paper*: {part.paper}." if part.paper else text


def _rows(verdict: Verdict, several: bool) -> Iterator[list[str]]:
    """A setting's rows, one for each part; the first has the verdict (and its section)."""
    section = f" {section_title(verdict.section)}" if several else ""
    lead = [
        f"{_titled(verdict)}{section}",
        link(verdict.evidence, f"<b>{_marked(verdict)}</b>"),
    ]
    lead[1] += _why(verdict)
    for place, part in enumerate((*verdict.parts, *verdict.shown), 1):
        word = verdict.word if verdict.word == "not testable" else part.word
        mark = f"{_FIXED}{MARKS[word]}" if place <= len(verdict.parts) else ""
        numbers = (number(part.number), number(part.control), position(part))
        yield [
            *(lead if place == 1 else ["", ""]),
            f"({place}){mark}",
            *(_unbroken(text).strip("–") for text in numbers),
            part.units or "",
        ]


def _why(verdict: Verdict) -> str:
    """The gate that is closed, or what would decide."""
    closed = next((gate for gate in verdict.gates if gate.closed), None)
    if verdict.word == "not testable" and closed is not None:
        return f": {closed.says} ({number(closed.number)}, asked for {closed.threshold})"
    return f"; {needs}" if (needs := needed(verdict)) else ""


def _titled(verdict: Verdict) -> str:
    return f"{settings.describe(verdict.setting).title} {grade(verdict)}"
