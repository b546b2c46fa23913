"""Dot plots of where a claim's settings stand between their control and the ideal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from ctl_helpers import settings
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.site.claim_marks import css_class, position

_ZERO, _UNIT = 30.0, 112.0
WIDTH = 2 * _ZERO + _UNIT
_BEYOND = 0.14  # a dot further out than this is drawn here, with an arrow
_LANE, _RADIUS = 13.0, 5.5
_BORDERS = {0.0: "0", 0.25: "¼", 0.75: "¾", 1.0: "1"}


@dataclass(frozen=True)
class Dot:
    """One setting on a strip.

    Attributes:
        x, y: its centre, in px.
        low, high: where its whisker ends, in px; equal to ``x`` without an interval.
        beyond: an arrow where the number lies outside of the strip.
    """

    verdict: Verdict
    x: float
    y: float
    low: float
    high: float
    beyond: str


def place(value: float) -> float:
    """Where a position lies, in px: 0 is the control, 1 the ideal."""
    return _ZERO + _UNIT * min(max(value, -_BEYOND), 1 + _BEYOND)


def dots(judged: Sequence[Verdict]) -> list[Dot]:
    """A dot for each verdict that has a position; those that would touch lie in lanes."""
    placed: list[Dot] = []
    last: list[float] = []  # of each lane
    known = [(verdict.position, verdict) for verdict in judged if verdict.position is not None]
    for value, verdict in sorted(known, key=lambda each: each[0]):
        ends = verdict.parts[0].position_interval or (value, value)
        x, low, high = place(value), *sorted(map(place, ends))
        lane = next((n for n, right in enumerate(last) if low >= right), len(last))
        last[lane : lane + 1] = [max(high, x + 2 * _RADIUS)]
        beyond = "‹" if value < -_BEYOND else "›" if value > 1 + _BEYOND else ""
        placed.append(Dot(verdict, x, _LANE * (lane + 0.5) + 1, low, high, beyond))
    return placed


def axis() -> str:
    """The borders' names, to stand above strips."""
    texts = "".join(
        f'<text x="{place(at):g}" y="10">{text}</text>' for at, text in _BORDERS.items()
    )
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH:g} 14" width="{WIDTH:g}" aria-hidden="true">'
        f"{texts}</svg>"
    )


def strip(judged: Sequence[Verdict]) -> str:
    """A claim's dots with their whiskers; nothing where no verdict has a position."""
    placed = dots(judged)
    if not placed:
        return ""
    height = max(dot.y for dot in placed) + _LANE / 2 + 1
    borders = "".join(
        f'<line class="{"end" if at in (0, 1) else "border"}" x1="{place(at):g}" y1="0" '
        f'x2="{place(at):g}" y2="{height:g}"/>'
        for at in _BORDERS
    )
    told = "; ".join(_told(dot.verdict) for dot in placed)
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" role="img" '
        f'aria-label="Between control, 0, and ideal, 1: {html.escape(told)}.">'
        f"{borders}{''.join(map(_drawn, placed))}</svg>"
    )


def _told(verdict: Verdict) -> str:
    title = settings.describe(verdict.setting).title
    return f"{title} ({verdict.grade}) {position(verdict.parts[0])}"


def _drawn(dot: Dot) -> str:
    arrow = {"‹": -_RADIUS - 4, "›": _RADIUS + 4}.get(dot.beyond)
    beyond = f'<text x="{dot.x + arrow:g}" y="{dot.y + 3:g}">{dot.beyond}</text>' if arrow else ""
    return (
        f'<g class="{css_class(dot.verdict.word)}"><title>{html.escape(_told(dot.verdict))}</title>'
        f'<line class="whisker" x1="{dot.low:g}" y1="{dot.y:g}" x2="{dot.high:g}" y2="{dot.y:g}"/>'
        f'<circle cx="{dot.x:g}" cy="{dot.y:g}" r="{_RADIUS:g}"/>'
        f'<text class="grade-letter" x="{dot.x:g}" y="{dot.y + 2.8:g}">{dot.verdict.grade}</text>'
        f"{beyond}</g>"
    )
