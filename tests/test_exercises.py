"""Exercises: two or more on every section's page, each with a hidden solution whose code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = {
    name: (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("3", "4_1", "4_1_resnets", "4_1_pretrained", "4_2", "4_3", "4_3_clip",
                 "4_3_text", "5", "A", "batchnorm", "linear", "many_tasks", "objective",
                 "mergeability", "pointing", "signatures", "theory")
}  # fmt: skip
PARTS = re.compile(r"````\{(exercise|solution)\} (.*?)\n(.*?)\n````", re.S)


def parts(page: str, kind: str) -> list[tuple[str, str]]:
    return [(title, text) for found, title, text in PARTS.findall(PAGES[page]) if found == kind]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_exercises_with_hidden_solutions(page: str) -> None:
    labels = [re.search(r":label: (\S+)", text)[1] for _, text in parts(page, "exercise")]
    assert len(labels) >= 2
    assert [label for label, _ in parts(page, "solution")] == labels
    assert all(":class: dropdown" in text for _, text in parts(page, "solution"))


CODE = [
    pytest.param(code, id=f"{page}-{label}")
    for page in PAGES
    for label, text in parts(page, "solution")
    for code in re.findall(r"```python\n(.*?)```", text, re.S)
]


@pytest.mark.parametrize("code", CODE)
def test_a_solutions_code_runs(code: str) -> None:
    exec(compile(code, "solution", "exec"), {"__name__": "solution"})


def test_parameters_named_in_exercises_are_the_notebooks() -> None:
    asked = [
        found
        for text in PAGES.values()
        for found in re.findall(r"papermill (notebooks/\w+)\.ipynb \S+ -y '\{(\w+):", text)
    ]
    assert asked
    for notebook, parameter in asked:
        assert re.search(rf"^{parameter} = ", (ROOT / f"{notebook}.md").read_text(), re.M)


@pytest.mark.slow
def test_solutions_are_closed_in_the_site(site: Path) -> None:
    for page in PAGES:
        text = (site / "book" / f"{page}.html").read_text(encoding="utf-8")
        exercises = len(re.findall(r'class="[^"]*\bexercise\b[^"]*admonition', text))
        assert exercises == len(parts(page, "exercise"))
        closed = re.findall(r'class="solution dropdown admonition"', text)
        assert len(closed) == exercises
