"""What to tell a person of a run that failed, within one screen, and what is kept of it."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path

from distributed import KilledWorker
from papermill.exceptions import PapermillExecutionError

from ctl_helpers.project import data_folder, root, work_folder
from ctl_helpers.runs.plan import Job
from ctl_helpers.store.artifacts import Store

NOTEBOOK = "notebook.ipynb"
"""What the notebook of a run is called in its folder."""

_KERNEL_BYTES = 2**16
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def failed_notebook(job: Job) -> Path:
    """Where the notebook of a failed run is kept, as far as it got."""
    return work_folder() / "failed" / f"{job.section}-{job.name}.ipynb"


def keep(job: Job, folder: Path) -> None:
    """Keep the notebook of a failed run, where there is one and room for it."""
    copy = failed_notebook(job)
    with suppress(OSError):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / NOTEBOOK, copy)


def failed_cell(job: Job, failure: PapermillExecutionError) -> str:
    """A failed cell and the end of its error."""
    if full := _full(failure.evalue):
        return f"cell {failure.cell_index}: {full}"
    source = failure.source.strip().splitlines()
    trace = _ANSI.sub("", "\n".join(failure.traceback)).splitlines()
    shown = [f"cell {failure.cell_index}:", *(f"    {line}" for line in source[:12])]
    shown += ["    …"] if len(source) > 12 else []
    shown += ["", *trace[-16:], f"{failure.ename}: {failure.evalue}", ""]
    lines = [line if len(line) < 160 else f"{line[:160]} …" for line in shown]
    return "\n".join([*lines, _kept(job)])


def dead_kernel(job: Job, cell: int, idle_minutes: float | None) -> str:
    """A kernel that ended by itself, or was ended since it stood still for so long."""
    why = "was killed, or ran out of memory"
    if idle_minutes is not None:
        why = (
            f"took no processor time for {idle_minutes:g} minutes and was ended (--idle-minutes "
            "allows more, 0 any number)"
        )
    return f"the kernel {why}, at cell {cell}\n{_kept(job)}"


def lost_worker(job: Job, cell: int | None, failure: BaseException) -> str:
    """A worker that ended each time, or an error outside the run."""
    if not isinstance(failure, KilledWorker):
        return repr(failure)
    left = sorted((Store().root / "runs").glob(f".{job.key()}-*"), key=os.path.getmtime)
    for folder in left[-1:]:
        keep(job, folder)
    return (
        f"the worker was killed, or ran out of memory, at cell {cell or 'none'}, each time that it "
        f"was tried\n{_kept(job)}"
    )


def other_checkout() -> str:
    """A worker whose code, settings or data differ from those of the process that asks."""
    return (
        f"the checkout {root()} of this worker, on {platform.node()}, or its data folder "
        f"{data_folder()} is not like that of the process that asks for the run: bring both to one "
        "commit and the same data, and start the worker again"
    )


def elsewhere() -> str:
    """A run that was stored where the process that asks does not see it."""
    return (
        f"the worker stored it, and it is not in {work_folder()}: set CTL_STORE, for the worker "
        "and here, to one folder that both see"
    )


def other(failure: Exception) -> str:
    """An error outside the cells of a run."""
    return _full(str(failure)) or f"{type(failure).__name__}: {failure}"


def _kept(job: Job) -> str:
    return f"The notebook as far as it got: {failed_notebook(job)}"


def _full(said: str) -> str | None:
    # A kernel that finds no room for its own files dies without saying why.
    died = "Kernel died" in said and shutil.disk_usage(work_folder()).free < _KERNEL_BYTES
    if os.strerror(errno.ENOSPC) not in said and not died:
        return None
    return (
        f"no space is left on the disk of {work_folder()}: make room; what is done is kept, and "
        "the same command goes on"
    )
