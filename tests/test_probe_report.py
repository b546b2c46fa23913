"""A report as text, JSON, page and exit code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from ctl_helpers.cli import app
from ctl_helpers.probing.charts import Chart, Line, svg
from ctl_helpers.probing.estimates import Estimate
from ctl_helpers.probing.figures import figures, short
from ctl_helpers.probing.remarks import Remark, joined
from ctl_helpers.probing.report import Report
from ctl_helpers.probing.rules import RULES
from ctl_helpers.probing.verdict import judged

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STOP = Remark("pretraining", "stop", "A", "does not come from BASE", "stop here")
DOUBT = Remark("angle", "doubt", "A and B", "undo one another", "merge one of them")
NOTES = [
    Remark("names", "note", name, "calls 'x' by another name", "nothing to do") for name in "AB"
]
LAYERS = [f"encoder.layer.{number}.with.a.very.long.name" for number in range(12)]
SETS = ["first-long-checkpoint + second-long-checkpoint", "A + <B> & C"]


def tables() -> dict[str, list[dict[str, Any]]]:
    """What three tiers give, with numbers that are not there."""
    linearity = [
        {"set": name, "k": 2, "lam": reach / 2, "reach": reach, "layer": layer, "control": control}
        | {"epsilon": math.nan if n == 0 else reach * n / 15, "distance": 0.1, "coef": 1.0}
        for name in SETS
        for control in ("task vectors", "random vectors")
        for reach in ((0.2, 1.0, 2.0) if control == "task vectors" else (1.0,))
        for n, layer in enumerate(LAYERS)
    ]
    vectors = [
        {"layer": layer, "checkpoint": name, "length": 1.0, "relative": 0.01, "correlation": 0.99}
        for layer in (*LAYERS, "all")
        for name in "AB"
    ]
    pairs = [
        {"layer": layer, "i": "A", "j": "B", "cosine": math.nan, "correlation": 0.9}
        | {"conflict": 0.5, "entries": 0.4}
        for layer in (*LAYERS, "all")
    ]
    sets = [
        {"set": name, "average": 0.5, "worst": 0.7, "layer": LAYERS[-1], "breaks": LAYERS[-2]}
        | {"half": half, "most": 1.0, "random": 0.9}
        for name, half in zip(SETS, (0.31, None), strict=True)
    ]
    remedies = [{"members": SETS[0], "remedy": LAYERS[3], "before": 0.7, "after": 0.4}]
    scores = [{"network": name, "lam": math.nan, "perplexity": 9.0} for name in ("BASE", "A")]
    scores.append({"network": "mix", "lam": 0.5, "perplexity": math.inf})
    return {
        "linearity": linearity,
        "vectors": vectors,
        "pairs": pairs,
        "sets": sets,
        "remedies": remedies,
        "perplexity": scores,
    }


def report(*remarks: Remark, tier: int = 2, **more: Any) -> Report:
    sources = {"BASE": "a/very/long/path/to/some/base", "A": "x", "<B>": "y & z"}
    facts = {"samples": "9 texts", "network": "Bert", "layers": "12 layers", "estimate": "1 s"}
    size = Estimate(22_713_728, 10**9, 10**9, 10**9, 3.0)
    return Report(sources, tier, remarks, size, more.get("tables", {}), facts, {"tier 0": 0.1})


def whole() -> Report:
    return report(STOP, DOUBT, *NOTES, tables=tables())


# The verdict.


@pytest.mark.parametrize(
    ("remarks", "word", "code"),
    [
        ([], "mergeable", 0),
        (NOTES, "mergeable", 0),
        ([*NOTES, DOUBT], "doubtful", 1),
        ([DOUBT, STOP], "not mergeable", 2),
    ],
)
def test_the_gravest_remark_decides(remarks: Sequence[Remark], word: str, code: int) -> None:
    verdict = judged(remarks, 2)
    assert (verdict.word, verdict.exit_code) == (word, code)
    assert [line.split(":")[0] for line in verdict.advice] == [
        one.about for one in joined(remarks) if one.grade != "note"
    ]


def test_a_verdict_says_how_deep_it_looked() -> None:
    last = [judged([], tier).reasons[-1] for tier in range(3)]
    assert "no weight was read" in last[0]
    assert "no network was run" in last[1]
    assert "not yet accuracy" in last[2]
    linear = [Remark("linear", "note", name, "is linear") for name in ("A + B", "A + B + C")]
    assert judged(linear, 2).reasons[0] == "A + B + C: is linear"


def test_what_is_said_of_several_is_said_once() -> None:
    assert [one.about for one in joined([*NOTES, STOP])] == ["A", "A, B"]


# Text and JSON.


def test_the_text_has_the_verdict_first_and_fits_a_terminal() -> None:
    text = str(whole())
    lines = text.splitlines()
    assert lines[0] == "NOT MERGEABLE (exit code 2)"
    assert lines[1] == "  1. A: stop here"
    assert "  note  A, B: calls 'x' by another name" in lines
    assert "22,713,728 parameters, 1.0 GB in all" in text
    assert max(map(len, lines)) <= 130  # tables are as wide as their names
    assert "ε passes ½ at λ" in text
    assert "over 1" in text


def test_json_has_everything_and_no_number_that_is_not_finite() -> None:
    content = json.loads(whole().to_json(), parse_constant=lambda name: pytest.fail(name))
    assert (content["verdict"], content["exit_code"]) == ("not mergeable", 2)
    assert content["tables"]["perplexity"][-1]["perplexity"] is None
    assert content["remarks"][0]["rule"] == "pretraining"
    assert content["estimate"]["parameters"] == 22_713_728


# The page.


class Outline(HTMLParser):
    """Tags that are opened and closed, and the page's words."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    whole().save(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert not {"script", "link", "img", "iframe"} & {*outline.seen}
    assert re.findall(r"https?://|url\(|@import", text) == []
    assert outline.seen.count("svg") == 4
    assert "Not mergeable" in outline.words
    assert "A + <B> & C" in outline.words
    assert "nan" not in text.lower().replace("finance", "")
    assert whole()._repr_html_() in text
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["tier"] == 2


def test_a_page_of_headers_alone_has_no_figure() -> None:
    assert figures(report(STOP, tier=0)) == []
    assert "<svg" not in report(STOP, tier=0).to_html()


def test_layers_on_an_axis_are_told_apart() -> None:
    layers = ["blocks.0.1", "layer1.0", "encoder.layer.11", "3", "bn2", "embeddings"]
    assert [short(layer) for layer in layers] == ["0.1", "1.0", "11", "3", "bn2", "embed…"]


def test_charts_stay_in_their_frame() -> None:
    line = Line("a", [(0.0, 0.0), (0.5, math.nan), (1.0, 3.7)], 7)
    image = svg(Chart("title", "x", [line], {0.0: "0", 1.0: "1"}, (0.5, "half")))
    (points,) = re.findall(r'points="([^"]*)"', image)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert places == [(38.0, 160.0), (328.0, pytest.approx(12 + 148 * 0.3 / 4, abs=0.1))]
    assert 'aria-label="title: a from 0 to 3.7"' in image
    assert "--c1" in image
    empty = svg(Chart("title", "x", [Line("a", [(0.0, math.nan)], 0)], {0.0: "0"}))
    assert 'points=""' in empty


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_on_a_telephone(browser: Browser, scheme: Any) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme=scheme)
    page.set_content(whole().to_html())
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    found = axe_playwright.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert min(sizes) > 300
    page.close()


# The command.


def folder(path: Path, state: dict[str, torch.Tensor]) -> str:
    path.mkdir()
    save_file(state, path / "model.safetensors")
    return str(path)


def test_the_command_ends_with_the_verdicts_code(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    base = {"block.0.weight": torch.randn(6, 6, generator=generator)}
    near = {
        "block.0.weight": base["block.0.weight"] + 0.01 * torch.randn(6, 6, generator=generator)
    }
    far = {"block.0.weight": torch.randn(6, 6, generator=generator)}
    names = {"p": base, "a": near, "b": far}
    paths = {name: folder(tmp_path / name, state) for name, state in names.items()}
    run = CliRunner().invoke
    done = run(app, ["probe", paths["p"], paths["a"], "--tier", "1"])
    assert (done.exit_code, done.output.splitlines()[0]) == (0, "MERGEABLE (exit code 0)")
    done = run(app, ["probe", paths["p"], paths["a"]])
    assert done.exit_code == 1
    assert "DOUBTFUL" in done.output
    out = tmp_path / "out"
    done = run(app, ["probe", paths["p"], paths["a"], paths["b"], "--out", str(out), "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["verdict"] == "not mergeable"
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json"}


def test_every_rule_asks_a_question() -> None:
    assert [name for name, rule in RULES.items() if not rule.asks.endswith("?")] == []
