"""Every internal link of the built site leads somewhere; external ones are at least encrypted."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest


class Links(HTMLParser):
    """The ids of a page, and what it links to or loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if name in ("href", "src") and value is not None:
                self.targets.append(value)


def broken(site: Path) -> list[str]:
    """Links that lead nowhere, with the page that has them."""
    pages = {
        path.resolve(): Links(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    }
    found = []
    for path, page in pages.items():
        for target in page.targets:
            address, fragment = urldefrag(target)
            name = f"{path.relative_to(site.resolve())}: {target}"
            if ":" in address.partition("/")[0]:
                if not address.startswith(("https:", "mailto:", "data:")):
                    found.append(name)
                continue
            file = (path.parent / unquote(address.partition("?")[0])).resolve() if address else path
            ids = pages[file].ids if file in pages else {unquote(fragment)}
            inside = file.is_file() and file.is_relative_to(site.resolve())
            if not inside or (fragment and unquote(fragment) not in ids):
                found.append(name)
    return found


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "outside.html").touch()
    (site / "a.html").write_text(
        '<p id="here"></p><a href="#here"></a><a href="b.html#there"></a><a href="b.html?x#no"></a>'
        '<img src="c.png"><a href="http://example.org"></a><a href="https://example.org"></a>'
        '<a href="../outside.html"></a><a href="."></a>'
    )
    (site / "b.html").write_text('<p id="there"></p>')
    assert broken(site) == [
        "a.html: b.html?x#no",
        "a.html: c.png",
        "a.html: http://example.org",
        "a.html: ../outside.html",
        "a.html: .",
    ]


@pytest.mark.slow
def test_no_link_of_the_site_is_broken(site: Path) -> None:
    assert broken(site) == []
