"""Stored runs, made here or published, and their tables for a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ctl_helpers.project import root, work_folder
from ctl_helpers.results.record import PROVENANCE


@dataclass(frozen=True)
class Run:
    """One stored run: its tables' folder, its provenance, and whether it was made here."""

    folder: Path
    facts: Mapping[str, object]
    published: bool

    def has(self, name: str) -> bool:
        """Whether it has a table; one published before its notebook made that has not."""
        return (self.folder / f"{name}.parquet").is_file()

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables, with the setting's name and the seed as first columns."""
        table = pd.read_parquet(self.folder / f"{name}.parquet")
        table.insert(0, "setting", self.facts["setting"])
        table.insert(1, "seed", dict(self.facts["parameters"]).get("seed", 0))
        return table


def current_folder() -> Path:
    """Where the latest run of each notebook on this machine is kept."""
    return work_folder() / "current"


def published_folder() -> Path:
    """The results that come with the book."""
    return root() / "results"


def folder_name(section: str) -> str:
    """A section's name in paths: ``4.1`` → ``4_1``."""
    return section.replace(".", "_")


def runs(section: str) -> list[Run]:
    """The stored runs of a section: for each setting those made here, else the published ones."""
    local, published = (
        list(_stored(folder / folder_name(section), folder == published_folder()))
        for folder in (current_folder(), published_folder())
    )
    here = {run.facts["setting"] for run in local}
    return local + [run for run in published if run.facts["setting"] not in here]


def tables(section: str, name: str) -> pd.DataFrame:
    """One table of all stored runs of a section that have it, with ``setting`` and ``seed``.

    Raises:
        FileNotFoundError: no run of the section is stored, or none has such a table.
    """
    found = [run.table(name) for run in runs(section) if run.has(name)]
    if not found:
        raise FileNotFoundError(
            f"no results of section {section} with a table {name!r} are stored: run "
            f"`make book SECTION={section}`"
        )
    return pd.concat(found, ignore_index=True)


def _stored(folder: Path, published: bool) -> Iterator[Run]:
    for path in sorted(folder.glob(f"*/{PROVENANCE}")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        yield Run(path.parent, facts, published)
