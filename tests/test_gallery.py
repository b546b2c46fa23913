"""The registry of figures: it knows every figure, and its gallery leads to each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from ctl_helpers import results
from ctl_helpers.project import ProjectError
from ctl_helpers.site import build, gallery, table_files

REGISTRY = gallery.load()
PAGES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "book").glob("*.md"))}


def test_drawings_are_where_the_registry_says() -> None:
    drawings = [name for name, figure in REGISTRY.figures.items() if not figure.tables]
    for name in drawings:
        assert f":name: {name}\n" in PAGES[REGISTRY.figures[name].page]
    assert len(drawings) < len(REGISTRY.figures) - 50


def test_captions_and_the_registry_name_the_same_figures_of_the_papers() -> None:
    text = "\n".join(PAGES.values())
    for name, figure in REGISTRY.figures.items():
        block = re.split(r"^(?:---|```)$", text.split(f"name: {name}\n")[1], maxsplit=1, flags=re.M)
        if said := re.search(r"Figures? (\d+(?:(?:, | and )\d+)*)", block[0]):
            numbers = re.findall(r"\d+", said[1])
            assert [f"Figure {number}" for number in numbers] == list(figure.answers), name


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"answers": ["Figure 9"]}, "answers to 'Figure 9', which p has not"),
        ({"answers": []}, "needs both"),
        ({"paper": "other"}, "answers to 'Figure 1', which other has not"),
        ({"colour": "red"}, r"figures.fig-a.colour: Extra inputs .* metadata of the figure's cell"),
        ({"title": ""}, "figures.fig-a.title"),
    ],
)
def test_a_cell_that_contradicts_the_papers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], complaint: str
) -> None:
    paper = {"title": "P", "cite": "p", "shows": {"Figure 1": {"what": "w"}}}
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "figures.yml").write_text(yaml.safe_dump({"papers": {"p": paper}}))
    (tmp_path / "_toc.yml").write_text("root: book/3")
    monkeypatch.setattr(gallery, "root", lambda: tmp_path)
    facts = {"title": "T", "paper": "p", "answers": ["Figure 1"], "tables": ["3/t"]}

    def load(facts: dict[str, Any]) -> gallery.Registry:
        metadata = yaml.safe_dump({"mystnb": {"figure": {"name": "fig-a"}}, "ctl": facts})
        cell = f"```{{code-cell}} ipython3\n---\n{metadata}---\n1\n```\n"
        (tmp_path / "book" / "3.md").write_text(f"---\njupytext:\n  formats: md\n---\n\n{cell}")
        return gallery.load()

    assert load(facts).figures == {"fig-a": gallery.Figure(page="3", **facts)}
    with pytest.raises(ProjectError, match=complaint):
        load({**facts, **change})


def test_the_book_has_all_that_the_papers_show() -> None:
    shown = {"papers": {"p": {"title": "P", "cite": "p", "shows": {"Table 1": {"what": "w"}}}}}
    with pytest.raises(ValueError, match="Table 1: say where in the book it is"):
        gallery.Registry.model_validate({**shown, "figures": {}})


@pytest.mark.parametrize(
    ("paper", "figures", "tables", "fourth"),
    [("ctl", 24, 1, "4_2.html#fig-4-2-ensembles"), ("linear", 7, 2, "linear.html#fig-linear-maps")],
)
def test_a_table_leads_from_each_of_a_papers_figures_to_ours(
    paper: str, figures: int, tables: int, fourth: str
) -> None:
    lines = gallery.crosswalk(paper).data.splitlines()[2:]
    numbers = [line.split("|")[1].strip().replace("&nbsp;", " ") for line in lines]
    counted = (("Figure", figures), ("Table", tables))
    assert numbers == [f"{kind} {n + 1}" for kind, count in counted for n in range(count)]
    assert all("href=" in line for line in lines)
    assert f'<a href="{fourth}">' in lines[3]


def test_thumbnails_stand_in_the_papers_order() -> None:
    grid = gallery.thumbnails("ctl").data
    first = [int(number) for number in re.findall(r"<small>Figures? (\d+)", grid)]
    assert first == sorted(first)
    assert len(first) == sum(figure.paper == "ctl" for figure in REGISTRY.figures.values())
    assert "<small>Figures 5, 6, 17, 18</small>" in grid


@pytest.mark.slow
def test_the_gallery_shows_and_leads_to_every_figure(site: Path) -> None:
    text = (site / "book" / "gallery.html").read_text("utf-8")
    thumbnails = re.findall(r'<a href="([^"]+)"><img src="([^"]+)" alt="" loading="lazy">', text)
    assert len(thumbnails) == len(REGISTRY.figures)
    main = text.split("<main")[1].split("</main>")[0]
    assert {*re.findall(r'href="(\w+\.html#[\w-]+)"', main)} >= {link for link, _ in thumbnails}


# Data and code under figures: every named figure has its tables, as files with the results.

TABLES = {table for figure in REGISTRY.figures.values() for table in figure.tables}
CELLS = {
    match[1]: cell
    for page in PAGES.values()
    for cell in re.findall(r"```\{code-cell\} ipython3\n---\n(.*?)```", page, re.S)
    if (match := re.search(r"name: (fig-\S+)", cell))
}


def test_every_figure_names_its_tables_and_shows_its_code() -> None:
    assert len(CELLS) > 50
    for name, cell in CELLS.items():
        metadata, code = cell.split("\n---\n")
        assert "tags: [hide-input]" in metadata, name
        tables = {table.rpartition("/")[2] for table in REGISTRY.figures[name].tables}
        read = set(re.findall(r'"(\w+)"', code)) & {table.rpartition("/")[2] for table in TABLES}
        assert tables, name
        assert read <= tables, name


def test_the_files_hold_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table_files.write(tmp_path)
    for section, name in (("4.1", "direction"), ("A", "taylor")):
        path = tmp_path / "data" / results.folder_name(section) / name
        stored = results.tables(section, name)
        pd.testing.assert_frame_equal(pd.read_parquet(path.with_suffix(".parquet")), stored)
        written = pd.read_csv(path.with_suffix(".csv"))
        assert list(written) == list(stored)
        assert written["mean"].to_numpy() == pytest.approx(stored["mean"].to_numpy(), rel=1e-6)
    (tmp_path / "data" / "old.csv").touch()
    monkeypatch.setattr(table_files, "of_section", lambda section: [])
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
            figures += text.count("View code") if drawn else 0
    assert figures == len(CELLS)
