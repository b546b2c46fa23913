"""The pages of the book, in the order of its table of contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


def chapters(toc: Path) -> list[str]:
    """The pages that the book's ``_toc.yml`` names, ``"book/index"``; those of runs are globs."""
    content = yaml.safe_load(toc.read_text(encoding="utf-8"))

    def files(entry: Mapping[str, Any]) -> Iterator[str]:
        if "file" in entry:
            yield entry["file"]
        for key in ("parts", "chapters", "sections"):
            for inner in entry.get(key, ()):
                yield from files(inner)

    return [content["root"], *files(content)]
