"""What each notebook has for a reader: where it runs, one quantity by hand, readings, a try."""

from __future__ import annotations

import ast
import platform
import re
from itertools import pairwise
from pathlib import Path

import jupytext
import pytest
from conftest import ROOT, RUN_ELSEWHERE
from test_published_encoder import SECTIONS as OF_TEXTS
from test_published_images import SECTIONS as OF_IMAGES
from test_tuned_llama import SECTIONS as OF_TOKENS

from ctl_helpers import results
from ctl_helpers.results import folder_name

SOURCES = sorted((ROOT / "notebooks").glob("*.md"))
_SAID = re.compile(r"Markdown\(\w*sentences\.")


def cells(source: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in jupytext.read(source).cells]


def shows(code: str) -> bool:
    """Whether a cell ends in a value that the notebook shows, or prints."""
    last = ast.parse(code).body[-1:]
    shown = ast.unparse(last[0]) if last and isinstance(last[0], ast.Expr) else "recorder"
    return not shown.startswith(("recorder", "Markdown"))


def test_what_the_site_does_not_run_is_run_elsewhere() -> None:
    run = {*OF_TEXTS, *OF_IMAGES, *OF_TOKENS}
    assert {folder_name(section) for section in RUN_ELSEWHERE} <= run


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_teaches(source: Path) -> None:
    parts = cells(source)
    text = source.read_text(encoding="utf-8")
    first = next(code for kind, code in parts if kind == "code" and "print(" in code)
    assert first == "print(results.machine())"
    assert text.count("\n**Try it.** ") == 1
    assert text.index("\n**Try it.** ") > text.index("## What was seen")
    assert re.search(r"by.hand", text)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_sentence_follows_each_output(source: Path) -> None:
    parts = cells(source)
    bare = [
        code
        for (kind, code), (after, text) in pairwise(parts)
        if kind == after == "code" and shows(code) and not _SAID.match(text)
    ]
    assert bare == []


def test_a_notebook_says_what_it_runs_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    versions, device, hint = results.machine().splitlines()
    assert f"Python {platform.python_version()}" in versions
    assert f"torch {torch.__version__.partition('+')[0]}" in versions
    assert "CPU" in device
    assert "Runtime" in hint
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A card")
    assert results.machine().splitlines()[1:] == ["It runs on: A card."]
