"""The tables behind the figures as files of the site, for readers who want the numbers."""

from __future__ import annotations

import html
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ctl_helpers import results, settings

_FOLDER = "data"


def of_section(section: str) -> list[str]:
    """The tables that stored runs of a section have: ``["4_1/accuracy", …]``."""
    folder = results.folder_name(section)
    files = [path for run in results.runs(section) for path in run.folder.glob("*.parquet")]
    return sorted({f"{folder}/{path.stem}" for path in files})


def stored(tables: Sequence[str]) -> list[str]:
    """Those of some tables, such as ``"4_1/direction"``, that a stored run has."""
    sections = dict.fromkeys(table.partition("/")[0].replace("_", ".") for table in tables)
    there = {table for section in sections for table in of_section(section)}
    return [table for table in tables if table in there]


def write(site: Path) -> None:
    """Write every table of every section, with all its settings and seeds, as CSV and Parquet.

    In the built site they stand in ``data/4_1/direction.csv`` and the like; what stood there goes.
    """
    shutil.rmtree(site / _FOLDER, ignore_errors=True)
    sections = {part for name in settings.names() for part in settings.describe(name).sections}
    for section in sorted(sections):
        for table_name in of_section(section):
            path = site / _FOLDER / table_name
            path.parent.mkdir(parents=True, exist_ok=True)
            table = results.tables(section, path.name)
            table.to_parquet(path.with_suffix(".parquet"), index=False)
            table.to_csv(path.with_suffix(".csv"), index=False, float_format="%.7g")


def links(tables: Sequence[str], docname: str) -> str:
    """HTML that links to tables' files.

    Args:
        tables: such as ``"4_1/direction"``.
        docname: of the page that links, such as ``"book/4_1"``.
    """
    up = "../" * (len(PurePosixPath(docname).parts) - 1)
    names = [table.rpartition("/")[2] for table in tables]
    spans = []
    for table, own in zip(tables, names, strict=True):
        name = html.escape(table if names.count(own) > 1 else own)
        files = " ".join(
            f'<a href="{up}{_FOLDER}/{html.escape(table)}.{kind.lower()}" download '
            f'aria-label="Download {name} as {kind}">{kind}</a>'
            for kind in ("CSV", "Parquet")
        )
        spans.append(f"<span><code>{name}</code> {files}</span>")
    return " ".join(spans)
