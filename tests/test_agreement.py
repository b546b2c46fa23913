"""One finding on one setting reads the same wherever the book states it."""

from __future__ import annotations

import ast
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partialmethod
from pathlib import Path
from typing import Any

import jupytext
import pytest
from conftest import ROOT, command

from ctl_helpers.findings.claims import MEASURES
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.findings.verdicts import verdicts

PAGES = [
    path
    for path in sorted((ROOT / "book").glob("*.md"))
    if path.read_text(encoding="utf-8").startswith("---\njupytext:")
]
SPAN = re.compile(r'<span data-finding="([^"]*)" data-setting="([^"]*)">([^<]*)</span>')
TAKEAWAY = re.compile(r'data-findings="([^"]*)"')

Quote = tuple[str, str, str]  # finding, setting, text


def in_text(text: str) -> list[Quote]:
    return [tuple(map(html.unescape, found)) for found in SPAN.findall(text)]


def in_takeaway(findings: Iterable[Mapping[str, str]]) -> list[Quote]:
    return [(one["finding"], one["setting"], one["text"]) for one in findings]


def outputs(page: Path) -> Iterator[Any]:
    """What each cell of a page shows."""
    names: dict[str, Any] = {}
    for cell in jupytext.read(page).cells:
        body = ast.parse(cell.source).body if cell.cell_type == "code" else []
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), page.name, "exec"), names)
        if isinstance(last, ast.Expr):
            yield eval(compile(ast.Expression(last.value), page.name, "eval"), names)


def on_page(page: Path) -> Iterator[Quote]:
    for output in outputs(page):
        if hasattr(output, "layout"):
            yield from in_takeaway(output.layout.meta["findings"])
        elif isinstance(getattr(output, "data", None), str):
            yield from in_text(output.data)


def disagreements(quotes: Iterable[Quote], judged: Iterable[Mapping[str, Any]]) -> list[str]:
    """Findings with two texts, and claims' numbers that a page writes otherwise."""
    texts = defaultdict(set)
    for finding, setting, text in quotes:
        texts[finding, setting].add(text)
    for verdict in judged:
        for check in verdict["checks"]:
            key = check["measure"], verdict["setting"]
            if key in texts and check["value"] is not None:
                texts[key].add(MEASURES[check["measure"].partition("(")[0]].write(check["value"]))
    return [f"{key}: {sorted(found)}" for key, found in texts.items() if len(found) > 1]


def test_a_disagreement_is_found() -> None:
    quotes = [("worst_distance(4.1/direction)", "digits-mlp", "0.03")] * 2
    check = {"measure": "worst_distance(4.1/direction)", "value": 0.03}
    judged = [{"setting": "digits-mlp", "checks": [check]}]
    assert disagreements(quotes, judged) == []
    assert len(disagreements(quotes, [{**judged[0], "checks": [{**check, "value": 0.5}]}])) == 1
    assert len(disagreements([*quotes, (*quotes[0][:2], "0.04")], [])) == 1


def test_published_results_say_one_thing_on_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sample, "interval", partialmethod(Sample.interval, 2))
    quotes = [quote for page in PAGES for quote in on_page(page)]
    judged = [verdict.to_json() for verdict in verdicts()]
    asked = {(check["measure"], one["setting"]) for one in judged for check in one["checks"]}
    assert asked & {quote[:2] for quote in quotes}
    assert disagreements(quotes, judged) == []


@pytest.mark.slow
def test_the_built_site_says_one_thing_on_all_pages(site: Path) -> None:
    quotes: list[Quote] = []
    for path in (site / "book").glob("*.html"):
        quotes += in_text(text := path.read_text(encoding="utf-8"))
        for found in TAKEAWAY.findall(text):
            quotes += in_takeaway(json.loads(html.unescape(found)))
    assert quotes
    done = command(site.parents[1], "claims", "--json")
    assert disagreements(quotes, json.loads(done.stdout)) == []
