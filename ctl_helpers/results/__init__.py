"""The tidy tables of runs, with their provenance.

- ``record``: a notebook's tables, written with where they come from.
- ``labels``: what columns of labels may hold.
- ``stored``: runs made here or published, and their tables for a page.
"""

from ctl_helpers.results.record import Provenance, Recorder
from ctl_helpers.results.stored import (
    Run,
    current_folder,
    folder_name,
    published_folder,
    runs,
    tables,
)

__all__ = [
    "Provenance",
    "Recorder",
    "Run",
    "current_folder",
    "folder_name",
    "published_folder",
    "runs",
    "tables",
]
