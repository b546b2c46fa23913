"""What stands beside the pages: data and code under figures, and no page of a run long gone."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from ctl_helpers import results
from ctl_helpers.site import build, gallery, table_files

FIGURES = gallery.load().figures
TABLES = {table for figure in FIGURES.values() for table in figure.tables}
PAGES = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
CELLS = {
    match[1]: cell
    for page in PAGES
    for cell in re.findall(r"```\{code-cell\} ipython3\n---\n(.*?)```", page, re.S)
    if (match := re.search(r"name: (fig-\S+)", cell))
}


def test_every_figure_names_its_tables_and_shows_its_code() -> None:
    assert len(CELLS) > 50
    for name, cell in CELLS.items():
        metadata, code = cell.split("\n---\n")
        assert "tags: [hide-input]" in metadata, name
        tables = {table.rpartition("/")[2] for table in FIGURES[name].tables}
        read = set(re.findall(r'"(\w+)"', code)) & {table.rpartition("/")[2] for table in TABLES}
        assert tables, name
        assert read <= tables, name


def test_the_files_hold_the_results(tmp_path: Path) -> None:
    table_files.write(tmp_path)
    for section, name in (("4.1", "direction"), ("A", "taylor")):
        path = tmp_path / "data" / results.folder_name(section) / name
        stored = results.tables(section, name)
        pd.testing.assert_frame_equal(pd.read_parquet(path.with_suffix(".parquet")), stored)
        written = pd.read_csv(path.with_suffix(".csv"))
        assert list(written) == list(stored)
        assert written["mean"].to_numpy() == pytest.approx(stored["mean"].to_numpy(), rel=1e-6)
    (tmp_path / "data" / "old.csv").touch()
    table_files.write(tmp_path)
    assert not (tmp_path / "data" / "old.csv").exists()


def test_links_lead_from_a_page_to_the_files() -> None:
    html = table_files.links(["4_1/direction"], "book/runs/4_1/digits-mlp")
    assert re.findall('href="([^"]+)" download', html) == [
        "../../../data/4_1/direction.csv",
        "../../../data/4_1/direction.parquet",
    ]
    assert 'aria-label="Download direction as CSV"' in html


def test_pages_of_runs_that_are_laid_out_no_more_are_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, built = tmp_path / "pages", tmp_path / "built"
    monkeypatch.setattr(build, "pages_folder", lambda: pages)
    for path in (pages / "3" / "a-0.5.ipynb", built / "3" / "a-0.5.html", built / "3" / "b.html"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    build.sweep(built)
    assert [path.name for path in built.rglob("*.html")] == ["a-0.5.html"]
    build.sweep(tmp_path / "never built")


@pytest.mark.slow
def test_under_each_figure_of_the_site_are_its_code_and_data(site: Path) -> None:
    pages = [path for path in (site / "book").rglob("*.html") if path.parent.name != "_static"]
    figures = 0
    for path in pages:
        text = path.read_text(encoding="utf-8")
        count = len(re.findall(r"<figure", text))
        drawn = text.count('class="plotly-figure"')
        assert text.count('class="figure-data"') >= min(count, drawn), path
        if "runs" not in path.parts:
            figures += text.count("View code")
    assert figures == len(CELLS)
