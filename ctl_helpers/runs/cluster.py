"""The Dask cluster that runs go to: a local one, or that of a scheduler with what runs ask for."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import CancelledError, Client, Future, LocalCluster, wait
from distributed import TimeoutError as DaskTimeoutError

from ctl_helpers.project import SettingError, work_folder

_ASK_SECONDS = 30


@contextmanager
def local(workers: int, idle_minutes: float) -> Iterator[Client]:
    """A client of a cluster on this machine, with so many workers of one thread each.

    A worker that is silent for so many minutes is begun anew; for 0, none is.
    """
    told = {
        "distributed.scheduler.worker-ttl": f"{60 * idle_minutes}s" if idle_minutes else None,
        "temporary-directory": str(work_folder() / "tools"),
    }
    # The memory is the kernels', which Dask does not see, so it is not to limit any.
    options: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0}
    # A free port; None would take 8787 and warn when taken.
    options["dashboard_address"] = ":0"
    with dask.config.set(told), LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def remote(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address.

    Raises:
        SettingError: none answers there.
    """
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}); start one there, "
            "or leave --scheduler out"
        ) from None
    with client:
        yield client


def ended(running: Collection[Future], client: Client, idle_minutes: float) -> Iterator[Future]:
    """Futures as they end, as long as the scheduler answers.

    Args:
        running: what to wait for; whoever takes a future that has ended removes it, and may add
            others.
        client: of the scheduler.
        idle_minutes: how long the scheduler may not answer; 0 for ever.

    Raises:
        SettingError: the scheduler has ended, or does not answer.
    """
    scheduler: Any = client.scheduler
    heard, limit = time.monotonic(), 60 * idle_minutes or math.inf
    while running:
        try:
            done = wait([*running], min(_ASK_SECONDS, limit), "FIRST_COMPLETED").done
            heard = time.monotonic()
        except CancelledError:
            raise _lost(scheduler.address, "has ended") from None
        except DaskTimeoutError:
            done = set()
            with suppress(DaskTimeoutError, OSError):
                client.sync(scheduler.identity, callback_timeout=min(_ASK_SECONDS, limit))
                heard = time.monotonic()
            if time.monotonic() - heard > limit:
                how = f"has not answered for {idle_minutes:g} minutes"
                raise _lost(scheduler.address, how) from None
        yield from done


def _lost(address: str, how: str) -> SettingError:
    # What Dask says from here on is of a connection that is known to be gone.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return SettingError(
        f"the Dask scheduler at {address} {how}: what is done is kept, so start "
        "one again and give the same command with its address"
    )


def slots(client: Client, address: str, resources: Mapping[str, float]) -> int:
    """How many runs a scheduler's workers take at once, each with the resources that it asks for.

    Raises:
        SettingError: no worker, or none that offers them, so that runs would wait without end.
    """
    offers: list[tuple[int, dict[str, float]]] = client.run_on_scheduler(
        lambda dask_scheduler: [
            (worker.nthreads, dict(worker.resources)) for worker in dask_scheduler.workers.values()
        ]
    )
    count = sum(
        min([threads, *(int(offer.get(name, 0) // need) for name, need in resources.items())])
        for threads, offer in offers
    )
    if count:
        return count
    asked = " ".join(f"{name}={need:g}" for name, need in resources.items())
    option = f" --resources {asked}" * bool(asked)
    raise SettingError(
        f"of {len(offers)} workers of {address!r} none offers {asked or 'a thread'}; start one by "
        f"`dask worker {address} --nthreads 1{option}`"
    )


def asked_for(text: str, address: str | None) -> dict[str, float]:
    """Resources as the command line has them, such as ``GPU=1`` or ``GPU=1,MEMORY=16e9``.

    Raises:
        SettingError: what is no name and number above 0; no scheduler, whose workers offer them.
    """
    if text and address is None:
        raise SettingError("--resources are those of a scheduler's workers; name it by --scheduler")
    resources = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        try:
            resources[name.strip()] = float(number)
        except ValueError:
            resources[name.strip()] = 0.0
        if not name.strip() or not 0 < resources[name.strip()] < float("inf"):
            raise SettingError(f"--resources has {part!r}; give names and numbers, such as GPU=1")
    return resources
