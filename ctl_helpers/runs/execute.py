"""Executing runs: papermill notebooks as tasks of a Dask cluster, each kept once it is whole."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import papermill
from dask.system import cpu_count
from distributed import Future, get_worker
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from ctl_helpers.project import SettingError, root
from ctl_helpers.runs.cluster import ended, local, remote, slots
from ctl_helpers.runs.expected import in_order, last_seconds, seconds_left
from ctl_helpers.runs.failures import (
    NOTEBOOK,
    dead_kernel,
    elsewhere,
    failed_cell,
    keep,
    lost_worker,
    other,
    other_checkout,
)
from ctl_helpers.runs.idle import ending_idle
from ctl_helpers.runs.kernels import file_sockets, prepare_kernels
from ctl_helpers.runs.plan import Job
from ctl_helpers.store.artifacts import Store

TABLES = "tables"
_TOPIC = "ctl-cells"
_OUTPUT_SECONDS = 120
_LATE_SECONDS = 60  # the longest that NFS keeps to what a folder held, unless told otherwise
IDLE_MINUTES = 15.0
"""How long a kernel may take no processor time before it is ended."""
# Workers whose kernel has just ended are slow to stop; Dask says so on the terminal.
logging.getLogger("distributed").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        job: the run.
        error: None, or what to tell a person, within one screen.
        seconds: how long it took.
        again: whether it is tried again.
        left: how many seconds the others will take, where that can be told.
        done: how many have ended for good.
    """

    job: Job
    error: str | None
    seconds: float
    again: bool = False
    left: float | None = None
    done: int = 0

    def rest(self, count: int) -> str:
        """How far the whole of so many runs is, to be put after what is told of this one."""
        again = "; it is tried again" * self.again
        if count == 1 or self.done == count:
            return again
        minutes = None if self.left is None else max(1, round(self.left / 60))
        time = "" if minutes is None else f", about {minutes} min left"
        return f"{again} ({self.done} of {count}{time})"


def check_parameters(job: Job) -> None:
    """Refuse a parameter that the notebook does not have; papermill itself would only warn.

    Raises:
        SettingError: an unknown parameter, or a section without a notebook.
    """
    if not job.notebook.is_file():
        raise SettingError(f"{job.setting}: section {job.section} has no {job.notebook.name}")
    parameters = papermill.inspect_notebook(str(job.notebook))
    for name in job.parameters:
        if name not in parameters:
            raise SettingError(
                f"{job.setting}: section {job.section} is given a parameter {name!r}, which "
                f"{job.notebook.name} does not have; it has {sorted(parameters)}"
            )


def run(
    todo: Sequence[Job],
    *,
    scheduler: str | None = None,
    resources: Mapping[str, float] | None = None,
    retries: int = 0,
    idle_minutes: float = IDLE_MINUTES,
    on_cell: Callable[[str, int, int], None],
    on_end: Callable[[Outcome], None],
) -> list[Outcome]:
    """Execute runs; one that fails leaves the others going.

    Args:
        todo: the runs. One whose result is stored, or is being made by another process, is not
            made again.
        scheduler: address of a Dask scheduler, whose workers must have this checkout, under
            whatever path, and share its work folder; by default a local cluster, with as many
            workers as runs and cores allow and torch's threads divided among them.
        resources: what each run asks of the worker of a scheduler, such as ``{"GPU": 1}``.
        retries: how often a run that failed, or that lost its worker, is tried again.
        idle_minutes: how long a kernel may take no processor time before it is ended, a worker of
            the local cluster be silent before it is begun anew, or a scheduler not answer; 0 for
            ever.
        on_cell: told a run's label, the cell that starts and the number of cells.
        on_end: told of each outcome as it comes.

    Returns:
        The last outcome of each run.

    Raises:
        KeyboardInterrupt: the workers are dead and the cluster is left open; the process should
            end at once.
        SettingError: no scheduler is there, or none any more; no worker offers what is asked for.
    """
    workers = min(len(todo), cpu_count())
    threads = max(1, cpu_count() // workers) if scheduler is None else None
    submitting: dict[str, Any] = {"pure": False, "resources": dict(resources or {}) or None}
    outcomes: list[Outcome] = []
    places: dict[str, int] = {}

    def at_cell(label: str, cell: int, cells: int) -> None:
        places[label] = cell
        on_cell(label, cell, cells)

    with ExitStack() as opened:
        cluster = remote(scheduler) if scheduler else local(workers, idle_minutes)
        client = opened.enter_context(cluster)
        if scheduler:
            workers = slots(client, scheduler, resources or {})
        client.subscribe_topic(_TOPIC, lambda event: at_cell(*event[1]))

        def begun(job: Job) -> Future:
            key = job.key() if scheduler else None
            return client.submit(execute, job, threads, idle_minutes, key, **submitting)

        waited = partial(ended, client=client, idle_minutes=idle_minutes)
        try:
            ordered = in_order(todo, workers)
            for outcome in _ends(ordered, begun, waited, workers, places, retries):
                if scheduler and outcome.error is None and not _is_seen(outcome.job):
                    outcome = replace(outcome, error=elsewhere())
                outcomes += [] if outcome.again else [outcome]
                on_end(replace(outcome, done=len(outcomes)))
        except KeyboardInterrupt:
            # A terminal interrupts the workers as well: nothing is left to be ended in order.
            # Without a reference the cluster would be closed, which waits for them.
            _left_open = opened.pop_all()
            for worker in active_children():
                worker.kill()
            raise
    return outcomes


def _ends(
    todo: Sequence[Job],
    begun: Callable[[Job], Future],
    waited: Callable[[Collection[Future]], Iterator[Future]],
    workers: int,
    places: Mapping[str, int],
    retries: int,
) -> Iterator[Outcome]:
    """How each try ends, as it does; one that failed is begun again where that is allowed."""
    last, ends = last_seconds(todo), Counter[str]()
    took: dict[str, float] = {}
    running = {begun(job): job for job in todo}
    for future in waited(running):
        job = running.pop(future)
        outcome = _outcome(job, future, places.get(job.label))
        ends[job.label] += 1
        again = outcome.error is not None and ends[job.label] <= retries
        if again:
            running[begun(job)] = job
        if outcome.error is None:
            took[job.label] = outcome.seconds
        left = seconds_left(last, took, [other.label for other in running.values()], workers)
        yield replace(outcome, again=again, left=left)


def _outcome(job: Job, future: Future, cell: int | None) -> Outcome:
    failed = future.exception()
    if failed:
        return Outcome(job, lost_worker(job, cell, failed), 0.0)
    outcome: Outcome = future.result()
    return outcome


def _is_seen(job: Job) -> bool:
    """Whether what a worker stored is there, which a shared file system may show late."""
    end = time.monotonic() + _LATE_SECONDS
    while job.artifact() is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def execute(
    job: Job, threads: int | None, idle_minutes: float = IDLE_MINUTES, key: str | None = None
) -> Outcome:
    """Make one run, in a Dask worker, and put it in the store.

    Args:
        job: the run.
        threads: for torch in the notebook's kernel, which inherits this process's environment.
        idle_minutes: how long that kernel may take no processor time; 0 for ever.
        key: the run's key in the process that asks for it; a worker whose own is another, since
            its checkout or data are, makes nothing.
    """
    if threads is not None:
        # Dask sets each of these to 1 in its workers, and torch takes the least.
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
    # On Linux, memory of freed tensors goes back to the system at once and is asked for again;
    # keeping it takes a quarter off a forward pass over small images.
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        os.environ.setdefault(name, str(2**30))
    prepare_kernels()
    start, error, places = time.monotonic(), None, [0]
    with ending_idle(60 * idle_minutes) as ended:
        try:
            if key not in (None, job.key()):
                return Outcome(job, other_checkout(), 0.0)
            Store().make("runs", job.key(), lambda folder: _execute(job, folder, places))
        except PapermillExecutionError as failure:
            error = failed_cell(job, failure)
        except DeadKernelError:
            error = dead_kernel(job, places[-1], idle_minutes if ended.is_set() else None)
        except Exception as failure:  # such as a disk that is full: the others go on
            error = other(failure)
    return Outcome(job, error, time.monotonic() - start)


def _execute(job: Job, folder: Path, places: list[int]) -> None:
    def report(cell: int, cells: int) -> None:
        places.append(cell)
        get_worker().log_event(_TOPIC, (job.label, cell, cells))

    try:
        papermill.execute_notebook(
            str(job.notebook),
            str(folder / NOTEBOOK),
            {**job.parameters, "results_folder": str(folder / TABLES)},
            engine_name=_ReportingEngine.name,
            report=report,
            kernel_name="python3",
            config=file_sockets(),
            # Or each kernel tells the terminal how it talks to this process and when it stops.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            cwd=str(root()),
            progress_bar=False,
            # What a run keeps is written by then, and torch takes a second to leave in order.
            shutdown_kernel="immediate",
            # On a busy machine a cell's outputs may come later than the 4 seconds that are usual.
            iopub_timeout=_OUTPUT_SECONDS,
        )
    except Exception:
        keep(job, folder)
        raise


class _ReportingEngine(NBClientEngine):
    """Papermill's own engine, which also tells each cell that it starts."""

    name = "ctl"

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, report: Callable[[int, int], None], **options: Any
    ) -> Mapping[str, Any]:
        begin = nb_man.cell_start

        def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
            report((cell_index or 0) + 1, len(nb_man.nb.cells))
            begin(cell, cell_index, **more)

        nb_man.cell_start = cell_start
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(_ReportingEngine.name, _ReportingEngine)
