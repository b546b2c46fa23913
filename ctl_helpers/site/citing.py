"""How to cite the book, its version and its date, from ``CITATION.cff`` and the history."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from IPython.display import Markdown

from ctl_helpers.project import root


def citation(checkout: Path) -> Mapping[str, Any]:
    """What ``CITATION.cff`` of a checkout says."""
    text = (checkout / "CITATION.cff").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def dated(checkout: Path) -> str:
    """The day of the last commit, ``2026-11-28``; that of the release outside of a repository."""
    git = shutil.which("git")
    if git and (checkout / ".git").exists():
        asked = [git, "-C", str(checkout), "log", "-1", "--format=%cs"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if told:
            return told
    return str(citation(checkout)["date-released"])


def entries() -> Markdown:
    """The paper and the book as BibTeX."""
    book = citation(root())
    paper = book["preferred-citation"]
    both = [
        _entry(
            "inproceedings",
            "zhou2024ctl",
            title=paper["title"],
            author=_authors(paper),
            booktitle=paper["collection-title"],
            year=paper["year"],
        ),
        _entry(
            "software",
            "ctlbook",
            title=book["title"],
            author=_authors(book),
            version=book["version"],
            year=str(book["date-released"])[:4],
        ),
    ]
    return Markdown("```bibtex\n{}\n```".format("\n\n".join(both)))


def _authors(work: Mapping[str, Any]) -> str:
    return " and ".join(
        f"{{{each['name']}}}"
        if "name" in each
        else f"{each['family-names']}, {each['given-names']}"
        for each in work["authors"]
    )


def _entry(kind: str, key: str, **fields: object) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
