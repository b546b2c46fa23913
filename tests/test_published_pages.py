"""Each published run has a page that says where it comes from, and pages link to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT

from ctl_helpers import results
from ctl_helpers.site import build, pages, published

PROVENANCES = sorted((ROOT / "results").glob("*/*/provenance.json"))


def test_each_published_run_is_a_row_of_a_page() -> None:
    texts = {path: text for path, text in published.pages().items() if "published" in path.name}
    rows = {path: re.findall(r"^\| (?!:--)", text, re.M) for path, text in texts.items()}
    assert sum(map(len, rows.values())) == len(PROVENANCES) + len(texts)  # and a head each
    for path in PROVENANCES:
        facts = json.loads(path.read_text(encoding="utf-8"))
        text = texts[published.page_of(results.Run(path.parent, facts, published=True))]
        seed, code = facts["parameters"]["seed"], facts["code"]
        (row,) = re.findall(rf"^\| {seed} \| .*", text, re.M)
        for fact in (code, str(facts["seconds"]), facts["device"], facts["finished"][:10]):
            assert f"| {fact}" in row
        for package, version in facts["packages"].items():
            assert f"{package} {version}" in text


def test_each_section_has_a_page_above_those_of_its_runs() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    named = re.findall(r"file: book/(runs/\w+)$", contents, re.M)
    above = {str(path) for path in published.pages() if "published" not in path.name}
    assert above == {f"{name}.md" for name in named}
    assert re.findall(r"glob: book/(runs/\w+)/\*$", contents, re.M) == named


def test_a_fact_that_differs_between_seeds_is_in_the_table(tmp_path: Path) -> None:
    facts = json.loads(PROVENANCES[0].read_text(encoding="utf-8"))
    other = facts | {"python": "9.9.9", "parameters": facts["parameters"] | {"seed": 7}}
    runs = [results.Run(tmp_path, each, published=True) for each in (facts, other)]
    text = published._page(runs)
    head = re.search(r"^\| seed .*", text, re.M)[0]
    assert "| python |" in head
    assert "*python*" not in text
    assert "| 9.9.9 |" in re.search(r"^\| 7 .*", text, re.M)[0]


def test_settings_link_to_their_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results.stored, "current_folder", lambda: tmp_path)
    said = pages.Page("4.1", "mlp").settings().data
    assert "](runs/4_1/mnist-mlp-published.md)" in said
    run = next(run for run in results.runs("4.1") if run.facts["setting"] == "digits-mlp")
    for seed in (0, 1):
        here = tmp_path / "4_1" / f"digits-mlp-seed-{seed}"
        here.mkdir(parents=True)
        facts = {**run.facts, "parameters": {**run.facts["parameters"], "seed": seed}}
        (here / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    said = pages.Page("4.1", "mlp").settings().data
    assert "seeds [0](runs/4_1/digits-mlp-seed-0.ipynb), [1](runs/4_1/digits-mlp-seed-1." in said


def test_their_built_pages_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid, built = tmp_path / "laid", tmp_path / "built"
    names = [path.relative_to("runs") for path in published.pages()]
    for folder, kind in ((laid, ".md"), (built, ".html")):
        for name in names[1:] if folder == laid else names:
            (folder / name.with_suffix(kind)).parent.mkdir(parents=True, exist_ok=True)
            (folder / name.with_suffix(kind)).touch()
    monkeypatch.setattr(build, "pages_folder", lambda: laid)
    build.sweep(built)
    kept = {path.relative_to(built).with_suffix(".md") for path in built.rglob("*.html")}
    assert kept == set(map(Path, names[1:]))
