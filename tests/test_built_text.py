"""What is read in the built book: no number that is none, no raw subscript, no empty link."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

HIDDEN = re.compile(r"<(script|style|pre|code)\b.*?</\1>|\\\(.*?\\\)|\\\[.*?\\\]", re.S)
FIGURE = re.compile(r'<script type="application/json">(.*?)</script>', re.S)
RAW = re.compile(r"\bnan\b|[A-Za-zθλτ]_(?:max|min|i|j|PT)\b")
EMPTY = re.compile(r"<a [^>]*>\s*(?:<span[^>]*>\s*</span>\s*)?</a>")


def read(page: str) -> str:
    """What stands on a page outside of code and formulas, the words of its figures included."""
    figures = " ".join(
        re.findall(r'"(?:text|name|title|takeaway)":\s*"(.*?)"', " ".join(FIGURE.findall(page)))
    )
    return html.unescape(re.sub(r"<[^>]+>", "", HIDDEN.sub(" ", page))) + " " + figures


@pytest.mark.parametrize(
    "page",
    ["<p>nan times</p>", "<td>λ_max alone</td>", "<p>on D_PT</p>",
     '<script type="application/json">{"name": "D_i, weights"}</script>'],
)  # fmt: skip
def test_slips_are_found(page: str) -> None:
    assert RAW.search(read(page))
    assert EMPTY.search('<p>Theorem <a href="#x"></a></p>')


@pytest.mark.slow
def test_the_built_book_has_none(site: Path) -> None:
    pages = sorted((site / "book").glob("*.html"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in pages}
    assert len(texts) > 20
    slips = {name: RAW.findall(read(text)) for name, text in texts.items()}
    empty = {
        name: [
            link
            for link in EMPTY.findall(text)
            if "headerlink" not in link and "aria-label" not in link
        ]
        for name, text in texts.items()
    }
    assert {name: found for name, found in slips.items() if found} == {}
    assert {name: found for name, found in empty.items() if found} == {}
