"""The pages of the book, in the order of its table of contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

RUNS = "book/runs/"
"""Where the pages of runs begin."""
REFERENCE = "Reference"
"""The part of the contents whose pages are looked up, not read."""


def chapters(toc: Path, without: str = "") -> list[str]:
    """The narrative pages of the book's ``_toc.yml``, ``"book/index"`` first; not those of runs.

    Args:
        toc: the file.
        without: the caption of a part to leave out.
    """
    content = yaml.safe_load(toc.read_text(encoding="utf-8"))

    def files(entry: Mapping[str, Any]) -> Iterator[str]:
        if without and entry.get("caption") == without:
            return
        if "file" in entry:
            yield entry["file"]
        for key in ("parts", "chapters", "sections"):
            for inner in entry.get(key, ()):
                yield from files(inner)

    return [name for name in (content["root"], *files(content)) if not name.startswith(RUNS)]
