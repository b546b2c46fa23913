"""One finding on one setting reads the same wherever the book states it."""

from __future__ import annotations

import ast
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import jupytext
import pandas as pd
import pytest
from conftest import ROOT, RUN_ELSEWHERE, command
from made_verdicts import verdict as made

from ctl_helpers.findings import claims
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.linearity import epsilon
from ctl_helpers.findings.verdicts import verdicts
from ctl_helpers.results.labels import Control

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


def is_of_what_the_site_shows_as_published(page: Path) -> bool:
    sections = re.findall(r'\bPage\("([^"]+)"', page.read_text(encoding="utf-8"))
    return bool(sections) and set(sections) <= set(RUN_ELSEWHERE)


def on_page(page: Path) -> Iterator[Quote]:
    for output in outputs(page):
        if hasattr(output, "layout"):
            yield from in_takeaway(output.layout.meta["findings"])
        elif isinstance(getattr(output, "data", None), str):
            yield from in_text(output.data)


def numbers(verdict: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """A verdict's numbers by their findings' names: those that decide, gates and others."""
    for one in [*verdict["parts"], *verdict["gates"], *verdict["shown"]]:
        yield one["measure"], one["number"]["value"]


def disagreements(quotes: Iterable[Quote], judged: Iterable[Mapping[str, Any]]) -> list[str]:
    """Findings with two texts, and claims' numbers that a page writes otherwise."""
    texts = defaultdict(set)
    for finding, setting, text in quotes:
        texts[finding, setting].add(text)
    for verdict in judged:
        for finding, value in numbers(verdict):
            key = finding, verdict["setting"]
            if key in texts and value is not None:
                texts[key].add(MEASURES[finding.partition("(")[0]].write(value))
    return [f"{key}: {sorted(found)}" for key, found in texts.items() if len(found) > 1]


@pytest.mark.parametrize("place", ["parts", "gates", "shown"])
def test_a_disagreement_is_found(place: str) -> None:
    name = "epsilon(4.1/controls, at=worst)"
    quotes = [(name, "digits-mlp", "0.41")] * 2

    def judged(value: float | None) -> list[dict[str, Any]]:
        verdict = made("ctl-direction", "digits-mlp", "reproduced").to_json()
        verdict[place] = [{"measure": name, "number": {"value": value, "interval": None}}]
        return [verdict]

    assert disagreements(quotes, judged(0.4123)) == disagreements(quotes, judged(None)) == []
    assert len(disagreements(quotes, judged(0.5))) == 1
    assert len(disagreements([*quotes, (name, "digits-mlp", "0.5")], [])) == 1


def test_published_results_say_one_thing_on_all_pages() -> None:
    """Pages that the built site shows with the same results are compared there."""
    here = [page for page in PAGES if not is_of_what_the_site_shows_as_published(page)]
    assert 0 < len(here) < len(PAGES)
    quotes = [quote for page in here for quote in on_page(page)]
    judged = [verdict.to_json() for verdict in verdicts()]
    asked = {(name, one["setting"]) for one in judged for name, _ in numbers(one)}
    assert asked & {quote[:2] for quote in quotes}
    assert disagreements(quotes, judged) == []


@pytest.mark.parametrize(("control", "at"), [("task vectors", "worst"), (Control.APART, "last")])
def test_a_page_and_a_claim_call_a_finding_alike(control: str, at: str) -> None:
    rows = product((0, 1), "ab", (Control.TASK_VECTORS, Control.APART), ("first", "last"))
    table = pd.DataFrame(rows, columns=["seed", "i", "control", "layer"])
    table = table.assign(setting="digits-mlp", metric="epsilon", mean=0.5)
    table.attrs["table"] = "4.1/controls"
    (finding,) = epsilon.by_setting(table, control=control, at=at).values()
    judged = claims.load()
    parts = [*judged["ctl-direction"].parts, *judged["null"].parts]
    names = {MEASURES[part.measure].title(["4.1/controls"], part.arguments) for part in parts}
    assert finding.name in names


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
