"""Narrative pages, executed side by side into the book tool's cache."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, ProjectNb
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import v4

from ctl_helpers.runs.kernels import file_sockets

_CELL_SECONDS = 1800  # as in `_config.yml`
# No page sees another's names. What was imported stays, and is no more looked through for garbage.
_FORGET = """%reset -f
import gc

gc.freeze()
del gc"""


def execute_pages(folder: Path, cache_folder: Path) -> None:
    """Execute what is stale of a folder's pages of text and code (MyST), with one kernel a core.

    The book tool would take one after another, each in a kernel of its own, which imports for
    longer than most pages run. It finds them in its cache and leaves them alone, all but a page
    that failed, which it executes again to report it.

    Args:
        folder: where they are, and run.
        cache_folder: the book tool's, made where it is missing.
    """
    cache = get_cache(str(cache_folder))
    pages = sorted(path for path in folder.glob("*.md") if _is_executed(path))
    for page in pages:
        cache.add_nb_to_project(str(page), read_data={"name": "myst_nb_md", "type": "plugin"})
    waiting: SimpleQueue[ProjectNb] = SimpleQueue()
    for record in cache.list_unexecuted(filter_uris=[str(page) for page in pages]):
        waiting.put(cache.get_project_notebook(record.pk))
    kernels = min(os.cpu_count() or 1, waiting.qsize())
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        working = [pool.submit(_executed, waiting, folder) for _ in range(kernels)]
    for page in [page for work in working for page in work.result()]:
        bundle = CacheBundleIn(page.nb, page.uri)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _is_executed(page: Path) -> bool:
    return page.read_text(encoding="utf-8").startswith("---\njupytext:")


def _executed(waiting: SimpleQueue[ProjectNb], folder: Path) -> list[ProjectNb]:
    """Execute pages in one kernel until none waits, or one fails; those that did not."""
    done = []
    forget = v4.new_notebook(cells=[v4.new_code_cell(_FORGET)])
    path = {"metadata": {"path": str(folder)}}
    # A record of times would be part of what the cache knows a page by.
    client = NotebookClient(
        forget,
        resources=path,
        timeout=_CELL_SECONDS,
        record_timing=False,
        config=file_sockets(),
        # A kernel that listens to ports warns at its start that it does, to this machine alone.
        extra_arguments=["--log-level=ERROR"],
    )
    with client.setup_kernel():
        try:
            while True:
                page = waiting.get_nowait()
                for notebook in (forget, page.nb):
                    client.nb = notebook
                    client.execute(cleanup_kc=False)
                done.append(page)
        except (Empty, CellControlSignal, DeadKernelError):
            return done
