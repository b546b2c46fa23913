"""The book as one PDF: chapters in order, an outline, links that lead somewhere."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT
from small_runs import small_site

printed = pytest.importorskip("ctl_helpers.site.printed", reason="playwright or pypdf is missing")
pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")

from ctl_helpers.project import ProjectError  # noqa: E402
from ctl_helpers.site import contents  # noqa: E402

needs_chromium = pytest.mark.skipif(
    not shutil.which("chromium"), reason="no Chromium on this machine"
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A site of two pages that link to each other, to a page of a run and to the web."""
    return small_site(tmp_path)


def make(*arguments: object) -> int:
    """In a thread, since a browser that another test has open holds this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(printed.make, *arguments).result()


def titles(outline: list[object], depth: int = 0) -> list[tuple[int, str]]:
    found = []
    for each in outline:
        deeper = isinstance(each, list)
        found += titles(each, depth + 1) if deeper else [(depth, str(each.title))]
    return found


def links(book: pypdf.PdfReader) -> list[tuple[int, object]]:
    """Page of each link, and the page or address that it leads to."""
    found = []
    for number, page in enumerate(book.pages):
        for each in page.get("/Annots", ()):
            link = each.get_object()
            if "/Dest" in link:
                target = book.get_page_number(link["/Dest"][0].get_object())
                found.append((number, target))
            else:
                found.append((number, link["/A"]["/URI"]))
    return found


def test_chapters_are_the_pages_of_the_contents_without_those_of_runs() -> None:
    names = contents.chapters(ROOT / "_toc.yml")
    assert names[0] == "book/index"
    assert names.index("book/4_1") < names.index("book/4_1_resnets") < names.index("book/4_2")
    listed = re.findall(r"file: (\S+)", (ROOT / "_toc.yml").read_text("utf-8"))
    assert names[1:] == [name for name in listed if not name.startswith("book/runs/")]
    assert len(names) <= len(listed)


@needs_chromium
def test_pages_are_joined_with_an_outline_and_links(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "book.pdf"
    count = make(small, ["book/one", "book/two"], target)
    book = pypdf.PdfReader(target)
    texts = [page.extract_text() for page in book.pages]
    assert count == len(texts)
    assert "Chapter one" in texts[0]
    assert any("inside the image" in text for text in texts)
    assert "What was folded up" in texts[-1]
    assert [f"page {number + 1}" in text for number, text in enumerate(texts)] == [True] * count
    assert titles(book.outline) == [(0, "Chapter one"), (0, "Chapter two"), (1, "A part")]
    assert links(book) == [(0, count - 1), (0, "https://example.org/")]


def test_a_site_that_is_not_built_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="make site"):
        make(tmp_path, ["book/index"], tmp_path / "book.pdf")


def test_without_chromium_a_sentence_says_what_to_install(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printed, "_BROWSERS", ())
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ProjectError, match=r"needs Chromium.*install"):
        make(small, ["book/one"], tmp_path / "book.pdf")


@pytest.mark.slow
@needs_chromium
def test_a_chapter_of_the_site_is_printed_whole(site: Path, tmp_path: Path) -> None:
    names = ["book/4_1", "book/notation"]
    make(site, names, tmp_path / "book.pdf")
    book = pypdf.PdfReader(tmp_path / "book.pdf")
    text = " ".join("".join(page.extract_text() for page in book.pages).split())
    assert "4.1 From LMC and LLFC to CTL" in text
    assert "What was seen, and its limits" in text
    assert "Shown: mean over pairs, every α" in text
    assert "View code" not in text
    assert "Contents Settings" not in text
    tops = [title for depth, title in titles(book.outline) if depth == 0]
    assert tops == ["4.1 From LMC and LLFC to CTL", "Notation and terms"]
    assert not [target for _, target in links(book) if str(target).startswith("file:")]
    heights = {round(float(page.mediabox.height)) for page in book.pages}
    assert heights == {842}  # points of A4
