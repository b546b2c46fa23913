"""Failure signatures as dots: ε where a condition holds, over ε where it does not."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    COLOURS,
    DOTTED,
    GREY,
    SYMBOLS,
    Figure,
    draw,
)
from ctl_helpers.figures.rows import interval_bars, name_rows, row_marks
from ctl_helpers.findings.sentences.signatures import Case, title_of
from ctl_helpers.findings.signatures import CONDITIONS
from ctl_helpers.results.labels import section_title

_CLOSED = "ε over ½ as usual, too"


def dots(cases: Sequence[Case]) -> Figure:
    """A row for each case: the ratio with its 95% interval, hollow where nothing is to break.

    Args:
        cases: of :func:`ctl_helpers.findings.sentences.signatures.cases`; at least one.
    """
    rows = [_label(case) for case in cases]
    conditions = [name for name in CONDITIONS if any(case.condition == name for case in cases)]
    height = len(rows) - 0.5
    ends = {name: {"x": [at, at], "y": [-0.5, height]} for name, at in (("no change", 1), ("", 2))}
    lines = [Line(name, GREY, {"": data}, look=DOTTED, listed=False) for name, data in ends.items()]
    for number, name in enumerate(conditions):
        for closed in (False, True):
            places = [
                place
                for place, case in enumerate(cases)
                if case.condition == name and case.closed == closed
            ]
            if places:
                lines.append(_dots(cases, places, number, closed))
    figure = draw(
        lines,
        _takeaway(cases),
        "A row for each setting: the linearity error with the condition divided by that without "
        "it, on a logarithmic axis, with lines at 1, which is no change, and at 2, which counts as "
        "broken. Bars are 95% intervals. Hollow dots: networks that are not linear without the "
        "condition either.",
        height=200 + 34 * len(rows),
        findings=[
            {"finding": case.part.measure, "setting": case.verdict.setting, "text": case.words}
            for case in _largest(cases)
        ],
    )
    name_rows(figure, rows)
    spans = [case.part.number.interval or (case.value, case.value) for case in cases]
    axis = log_axis([1, 2, *(2**end for span in spans for end in span)])
    return figure.update_xaxes(title_text="ε under the condition<br>over ε as usual", **axis)


def _dots(cases: Sequence[Case], places: Sequence[int], number: int, closed: bool) -> Line:
    """One condition's dots in rows of their own."""
    own = [cases[place] for place in places]
    name = f"{own[0].condition}{f' ({_CLOSED})' if closed else ''}"
    data = {
        "y": list(places),
        "text": [case.verdict.word for case in own],
        **interval_bars(
            (case.value for case in own),
            (case.part.number.interval for case in own),
            scale=lambda halvings: 2**halvings,
        ),
    }
    symbol = SYMBOLS[number] + "-open" * closed
    look = row_marks(f"%{{x:.2f}} times: %{{text}}<extra>{name}</extra>", symbol)
    return Line(name, COLOURS[number], {"": data}, look=look)


def _label(case: Case) -> str:
    verdict = case.verdict
    title = f"{title_of(verdict)} ({verdict.grade}), {section_title(verdict.section)}"
    return "<br>".join(textwrap.wrap(title, 24))


def _largest(cases: Sequence[Case]) -> list[Case]:
    """Of each condition the largest ratio where it can be tested."""
    ordered = sorted(cases, key=lambda case: case.value)
    return list({case.condition: case for case in ordered if not case.closed}.values())


def _takeaway(cases: Sequence[Case]) -> str:
    ratios = " and ".join(f"{case.words} ({case.condition})" for case in _largest(cases))
    if not ratios:
        return "No network is linear as usual, so that no condition can be tested"
    told = {case.verdict for case in cases if not case.closed}
    broken = sum(verdict.word == "reproduced" for verdict in told)
    plural = "s" * (len(told) != 1)
    return f"Broken in {broken} of {len(told)} testable verdict{plural}; ε is at most {ratios}"
