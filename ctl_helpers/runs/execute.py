"""Executing runs: papermill notebooks as tasks of a Dask cluster, each kept once it is whole."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import dask
import papermill
from dask.system import cpu_count
from distributed import CancelledError, Client, Future, LocalCluster, get_worker, wait
from distributed import TimeoutError as DaskTimeoutError
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from ctl_helpers.project import SettingError, keep_tools_in_work_folder, root, work_folder
from ctl_helpers.results import stored
from ctl_helpers.results.record import PROVENANCE
from ctl_helpers.runs.failures import NOTEBOOK, dead_kernel, failed_cell, keep, lost_worker, other
from ctl_helpers.runs.idle import ending_idle
from ctl_helpers.runs.plan import Job
from ctl_helpers.store.artifacts import Store

TABLES = "tables"
_TOPIC = "ctl-cells"
_OUTPUT_SECONDS = 120
_ASK_SECONDS = 30
IDLE_MINUTES = 15.0
"""How long a kernel may take no processor time before it is ended."""
# Workers whose kernel has just ended are slow to stop; Dask says so on the terminal.
logging.getLogger("distributed").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``error`` is None, or what to tell a person, within one screen."""

    job: Job
    error: str | None
    seconds: float


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
    idle_minutes: float = IDLE_MINUTES,
    on_cell: Callable[[str, int, int], None],
    on_end: Callable[[Outcome], None],
) -> list[Outcome]:
    """Execute runs; one that fails leaves the others going.

    Args:
        todo: the runs. One whose result is stored, or is being made by another process, is not
            made again.
        scheduler: address of a Dask scheduler, whose workers must see this checkout and its work
            folder under the same paths; by default a local cluster, with as many workers as runs
            and cores allow and torch's threads divided among them.
        idle_minutes: how long a kernel may take no processor time before it is ended, a worker of
            the local cluster be silent before it is begun anew, or a scheduler not answer; 0 for
            ever.
        on_cell: told a run's label, the cell that starts and the number of cells.
        on_end: told of each outcome as it comes.

    Raises:
        KeyboardInterrupt: the workers are dead and the cluster is left open; the process should
            end at once.
        SettingError: no scheduler is there, or none any more.
    """
    cores = cpu_count()
    workers = min(len(todo), cores)
    # The memory is the kernels', which Dask does not see, so it is not to limit any.
    local: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0}
    local["dashboard_address"] = ":0"  # a free port; None would take 8787 and warn when taken
    threads = max(1, cores // workers) if scheduler is None else None
    outcomes = []
    places: dict[str, int] = {}

    def at_cell(label: str, cell: int, cells: int) -> None:
        places[label] = cell
        on_cell(label, cell, cells)

    told = {
        "distributed.scheduler.worker-ttl": f"{60 * idle_minutes}s" if idle_minutes else None,
        "temporary-directory": str(work_folder() / "tools"),
    }
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(told))
        cluster = scheduler or opened.enter_context(LocalCluster(**local))
        client = opened.enter_context(_connected(cluster))
        client.subscribe_topic(_TOPIC, lambda event: at_cell(*event[1]))
        ordered = _in_order(todo, workers)
        running = {
            client.submit(execute, job, threads, idle_minutes, pure=False): job for job in ordered
        }
        try:
            for future in _ended(running, client, idle_minutes):
                job, failed = running[future], future.exception()
                if failed:
                    outcome = Outcome(job, lost_worker(job, places.get(job.label), failed), 0.0)
                else:
                    outcome = future.result()
                outcomes.append(outcome)
                on_end(outcome)
        except KeyboardInterrupt:
            # A terminal interrupts the workers as well: nothing is left to be ended in order.
            opened.pop_all()
            for worker in active_children():
                worker.kill()
            raise
    return outcomes


def _in_order(todo: Sequence[Job], workers: int) -> list[Job]:
    """By the time that each took when it was last stored, so that no long run is left for the end.

    One whose time is not known may be long, too. The first to start are of different settings,
    since runs of one wait for each other's training.
    """
    took: dict[tuple[str, str], float] = {}
    for folder, section in product(
        (stored.published_folder(), stored.current_folder()), {job.section for job in todo}
    ):
        for path in (folder / stored.folder_name(section)).glob(f"*/{PROVENANCE}"):
            # A damaged one is told where its numbers are shown.
            with suppress(OSError, ValueError, KeyError, TypeError):
                facts = json.loads(path.read_text(encoding="utf-8"))
                took[section, path.parent.name] = float(facts["seconds"])
    ordered = sorted(todo, key=lambda job: -took.get((job.section, job.name), math.inf))
    longest = {job.setting: job for job in reversed(ordered)}
    first = [job for job in ordered if job is longest[job.setting]][:workers]
    return first + [job for job in ordered if job not in first]


def _connected(cluster: LocalCluster | str) -> Client:
    try:
        return Client(cluster)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"no Dask scheduler answers at {cluster!r} ({type(error).__name__}); start one there, "
            "or leave --scheduler out"
        ) from None


def _ended(running: Iterable[Future], client: Client, idle_minutes: float) -> Iterator[Future]:
    """Futures as they end, as long as the scheduler answers."""
    scheduler: Any = client.scheduler
    waiting, heard = set(running), time.monotonic()
    while waiting:
        limit = 60 * idle_minutes or math.inf
        try:
            done = wait(waiting, min(_ASK_SECONDS, limit), "FIRST_COMPLETED").done
            heard = time.monotonic()
        except CancelledError:
            raise _lost(scheduler.address, "has ended") from None
        except DaskTimeoutError:
            done = set()
            with suppress(DaskTimeoutError, OSError):
                client.sync(scheduler.identity, callback_timeout=min(_ASK_SECONDS, limit))
                heard = time.monotonic()
            if time.monotonic() - heard > limit:
                raise _lost(
                    scheduler.address, f"has not answered for {idle_minutes:g} minutes"
                ) from None
        yield from done
        waiting -= done


def _lost(address: str, how: str) -> SettingError:
    # What Dask says from here on is of a connection that is known to be gone.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return SettingError(
        f"the Dask scheduler at {address} {how}: what is done is kept, so start "
        "one again and give the same command with its address"
    )


def prepare_kernels() -> None:
    """Keep tqdm, which libraries import, from asking for widgets on a page that has none.

    And keep kernels from writing into the user's home.
    """
    keep_tools_in_work_folder()
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")


def execute(job: Job, threads: int | None, idle_minutes: float = IDLE_MINUTES) -> Outcome:
    """Make one run, in a Dask worker, and put it in the store.

    Args:
        job: the run.
        threads: for torch in the notebook's kernel, which inherits this process's environment.
        idle_minutes: how long that kernel may take no processor time; 0 for ever.
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
            # Or each kernel tells the terminal how it talks to this process and when it stops.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            cwd=str(root()),
            progress_bar=False,
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
