"""Under a figure: the notebook's lines that compute it, and where their functions are written."""

from __future__ import annotations

import inspect
import re

import pytest
from conftest import ROOT
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode

import ctl_helpers as ctl
from ctl_helpers.site import computing, table_files, under_figures

TABLES = sorted(
    {
        table
        for page in (ROOT / "book").glob("*.md")
        for found in re.findall(r"^  tables: \[(.*)\]", page.read_text(encoding="utf-8"), re.M)
        for table in found.split(", ")
    }
)


@pytest.mark.parametrize("table", TABLES)
def test_each_figures_table_is_computed_by_lines_of_its_notebook(table: str) -> None:
    lines = computing.lines([table])
    assert lines
    assert "recorder" not in lines
    text = (ROOT / "notebooks" / f"{table.partition('/')[0]}.md").read_text(encoding="utf-8")
    assert all(line in text for line in lines.splitlines())


def test_functions_are_named_with_their_file_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["4_1/direction", "4_1/controls"]
    said = computing.functions(asked)
    named = re.findall(r"<code>(.*?)</code> \((.*?), line (\d+)\)", said)
    assert [name for name, _, _ in named] == ["ctl.measure", "ctl.pairs", "controls.controlled"]
    assert named[0][2] == str(inspect.getsourcelines(inspect.unwrap(ctl.measure))[1])
    for name, path, line in named:
        text = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        assert text.startswith(f"def {name.partition('.')[2]}(")
    monkeypatch.setattr(computing, "repository", lambda _: "https://github.com/owner/name")
    link = f'<a href="https://github.com/owner/name/blob/main/{named[0][1]}#L{named[0][2]}">'
    assert link in computing.functions(asked)


def test_a_function_of_another_package_is_not_named() -> None:
    assert "pd.concat(" in computing.lines(["3/barriers"])
    assert re.findall("<code>(.*?)<", computing.functions(["3/barriers"])) == ["ctl.barriers"]


def test_the_lines_stand_before_the_cell_that_draws() -> None:
    cell, hidden = nodes.container(), HideCodeCellNode()
    hidden += nodes.literal_block("draw()", "draw()")
    cell += hidden
    under_figures._add(cell, "links", ["4_1/length"])
    first, second = (block.astext() for block in cell.findall(nodes.literal_block))
    assert "measured.histogram" in first
    assert second == "draw()"
    under_figures._add(plain := nodes.container("", HideCodeCellNode()), "links")
    assert not list(plain.findall(nodes.literal_block))


def test_only_stored_tables_are_linked_and_two_of_one_name_are_told_apart() -> None:
    asked = ["4_3/eq2", "4_3_text/eq2", "4_1/no_such_table"]
    assert table_files.stored(asked) == asked[:2]
    linked = table_files.links(table_files.stored(asked), "book/4_3_text")
    assert re.findall("<code>(.*?)<", linked) == asked[:2]
    assert '"../data/4_3/eq2.csv"' in linked
    assert "<code>eq2<" in table_files.links(asked[:1], "book/4_3")
