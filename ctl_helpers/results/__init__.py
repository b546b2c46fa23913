"""The tidy tables of runs, with their provenance.

- ``record``: a notebook's tables, written with where they come from.
- ``shapes``: which tables there are, and their columns.
- ``declared``: is a table one of them?
- ``column_groups``: columns that several of them have.
- ``columns``: a column's kind, unit and labels.
- ``labels``: what columns of labels may hold.
- ``checksums``: what the files of published results have to be.
- ``stored``: runs made here or published, and their tables for a page.
"""

from ctl_helpers.results.record import Provenance, Recorder, machine
from ctl_helpers.results.stored import (
    Run,
    benchmark,
    benchmark_provenance,
    current_folder,
    folder_name,
    joined,
    published_folder,
    published_runs,
    refuse_merged,
    runs,
    tables,
)

__all__ = [
    "Provenance",
    "Recorder",
    "Run",
    "benchmark",
    "benchmark_provenance",
    "current_folder",
    "folder_name",
    "joined",
    "machine",
    "published_folder",
    "published_runs",
    "refuse_merged",
    "runs",
    "tables",
]
