"""Stored runs, made here or published, and their tables for a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from ctl_helpers import settings
from ctl_helpers.project import TableError, root, work_folder
from ctl_helpers.results import checksums
from ctl_helpers.results.record import PROVENANCE, Provenance
from ctl_helpers.weights.checksums import file_checksum

GRID = "grid_"
"""Begins the names of columns of grid parameters other than the seed."""


@dataclass(frozen=True)
class Run:
    """One stored run: its tables' folder, its provenance, and whether it was made here."""

    folder: Path
    facts: Mapping[str, Any]
    published: bool

    def has(self, name: str) -> bool:
        """Whether it has a table; one published before its notebook made that has not."""
        return (self.folder / f"{name}.parquet").is_file()

    def point(self) -> dict[str, Any]:
        """Its values of the parameters that its setting's section has a grid of."""
        section = settings.describe(self.facts["setting"]).sections.get(self.facts["section"])
        grid = section.grid if section else {}
        return {name: self.facts["parameters"].get(name) for name in grid}

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables, with columns ``setting``, ``seed``, and ``grid_NAME`` of the rest.

        Raises:
            TableError: its bytes are not those that were stored.
        """
        path = self.folder / f"{name}.parquet"
        checksums.verify(path, self.folder.parent.parent)
        table = _read(path, file_checksum(path)).copy(deep=False)
        table.insert(0, "setting", self.facts["setting"])
        table.insert(1, "seed", self.facts["parameters"].get("seed", 0))
        for parameter, value in self.point().items():
            if parameter != "seed":
                table[GRID + parameter] = str(value) if isinstance(value, list) else value
        # Alone, since what runs differ in (such as a noise floor) is lost when they are joined.
        table.attrs = {"table": f"{self.facts['section']}/{name}"}
        return table


@lru_cache(maxsize=256)  # a page's tables, of each of which it tells several things
def _read(path: Path, checksum: str) -> pd.DataFrame:
    return pd.read_parquet(path)


def refuse_merged(*tables: pd.DataFrame) -> None:
    """Refuse tables in which one setting has runs of several grid points, seeds apart.

    Raises:
        TableError: they differ in a grid parameter, which a mean over rows would hide.
    """
    for table in tables:
        for column in [name for name in table.columns if str(name).startswith(GRID)]:
            for setting, values in table.groupby("setting")[column]:
                if values.nunique() > 1:
                    raise TableError(
                        f"{setting}: runs differ in {column.removeprefix(GRID)} "
                        f"({', '.join(map(str, values.unique()))}), over which no number may go; "
                        f"choose one value of the column {column!r}"
                    )


def current_folder() -> Path:
    """Where the latest run of each notebook on this machine is kept."""
    return work_folder() / "current"


def published_folder() -> Path:
    """The results that come with the book."""
    return root() / "results"


def folder_name(section: str) -> str:
    """A section's name in paths: ``4.1`` → ``4_1``, ``many-tasks`` → ``many_tasks``."""
    return section.replace(".", "_").replace("-", "_")


def runs(section: str) -> list[Run]:
    """The stored runs of a section: for each setting those made here, else the published ones."""
    local = list(_stored(current_folder() / folder_name(section), published=False))
    published = published_runs(section)
    here = {run.facts["setting"] for run in local}
    return local + [run for run in published if run.facts["setting"] not in here]


def published_runs(section: str) -> list[Run]:
    """The runs of a section that come with the book."""
    return list(_stored(published_folder() / folder_name(section), published=True))


def benchmark(script: str, name: str) -> pd.DataFrame:
    """A table that a script of ``benchmarks/`` has stored with the book.

    Raises:
        TableError: its bytes are not those that were published.
    """
    path = published_folder() / script / f"{name}.parquet"
    checksums.verify(path, published_folder())
    return pd.read_parquet(path)


def benchmark_provenance(script: str) -> Provenance:
    """What made the tables of a script of ``benchmarks/``.

    Raises:
        TableError: as :func:`benchmark`.
    """
    path = published_folder() / script / PROVENANCE
    checksums.verify(path, published_folder())
    return Provenance(json.loads(path.read_text(encoding="utf-8")))


def tables(section: str, name: str) -> pd.DataFrame:
    """One table of all stored runs of a section that have it, with ``setting`` and ``seed``.

    Raises:
        FileNotFoundError: no run of the section is stored, or none has such a table.
    """
    table = joined(runs(section), name)
    if table is None:
        raise FileNotFoundError(
            f"no results of section {section} with a table {name!r} are stored: run "
            f"`make book SECTION={section}`"
        )
    return table


def joined(stored: Sequence[Run], name: str) -> pd.DataFrame | None:
    """One table of those runs that have it; None where none has."""
    parts = [run.table(name) for run in stored if run.has(name)]
    return pd.concat(parts, ignore_index=True) if parts else None


def _stored(folder: Path, *, published: bool) -> Iterator[Run]:
    checksums.check_complete(folder, folder.parent)
    for path in sorted(folder.glob(f"*/{PROVENANCE}")):
        checksums.verify(path, folder.parent)
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        yield Run(path.parent, facts, published)
