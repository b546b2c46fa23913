"""A report as text, as wide as the terminal, or 100 characters."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctl_helpers.probing.estimates import duration, gigabytes
from ctl_helpers.probing.outcome import Outcome
from ctl_helpers.probing.remarks import joined
from ctl_helpers.probing.shown import shown, written

_WIDTH = 100


def summary(outcome: Outcome) -> str:
    """The verdict first, then what to do, then what was found."""
    return "\n".join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    verdict = outcome.verdict
    yield f"{verdict.word.upper()} (exit code {verdict.exit_code})"
    if not verdict.advice:
        for reason in verdict.reasons:
            yield from _wrapped(reason, "  ")
    for number, advice in enumerate(verdict.advice, 1):
        yield from _wrapped(advice, f"  {number}. ")
    yield ""
    width = max(map(len, outcome.sources))
    for name, source in outcome.sources.items():
        yield f"  {name:<{width}}  {source}"
    yield from _wrapped(size(outcome), "  ")
    yield from _wrapped(depth(outcome), "  ")
    yield ""
    for remark in joined(outcome.remarks):
        yield from _wrapped(f"{remark.about}: {remark.fact}", f"  {remark.grade:<6}")
        if remark.remedy:
            yield from _wrapped(remark.remedy, " " * 8 + "→ ")
    for title, words, rows in shown(outcome):
        yield f"\n  {title}"
        yield from _wrapped(words, "  ")
        yield from (f"    {line}" for line in columns(rows))


def size(outcome: Outcome) -> str:
    """Parameters, bytes and seconds in words."""
    found = outcome.estimate
    return (
        f"{found.parameters:,} parameters, {gigabytes(found.on_disk)} in all; a merge holds "
        f"{gigabytes(found.merge)}, reading takes {duration(found.reading)}"
    )


def depth(outcome: Outcome) -> str:
    """How deep the probe looked, on what, and how long that took."""
    took = ", ".join(f"{tier}: {duration(time)}" for tier, time in outcome.seconds.items())
    run = {
        key: outcome.facts[key] for key in ("network", "layers", "samples") if key in outcome.facts
    }
    return f"Looked as deep as tier {outcome.tier} ({took}){_run(run)}"


def _run(facts: Mapping[str, str]) -> str:
    return "; run: " + "; ".join(facts.values()) if facts else ""


def _wrapped(text: str, start: str) -> list[str]:
    indent = " " * len(start)
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=indent)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of equal keys as aligned lines, the keys above them."""
    texts = [[*rows[0]], *([written(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in texts
    ]
