"""Ending kernels that stand still, since one that is stopped would be waited for without end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psutil  # type: ignore[import-untyped]


@contextmanager
def ending_idle(limit: float) -> Iterator[Event]:
    """While open, kernels of this process that take no processor time for too long are ended.

    A kernel that computes, waits for a lock or downloads takes some; one that was stopped, or that
    waits for what never comes, takes none.

    Args:
        limit: seconds; none is ended where this is 0.

    Yields:
        what is set once one was ended.
    """
    ended, closed = Event(), Event()
    watch = Thread(target=_watch, args=(limit, ended, closed), daemon=True)
    if limit:
        watch.start()
    try:
        yield ended
    finally:
        closed.set()


def _watch(limit: float, ended: Event, closed: Event) -> None:
    last: dict[psutil.Process, tuple[float, float]] = {}  # processor time, and since when
    while not closed.wait(min(limit / 4, 15)):
        for kernel in psutil.Process().children():
            with suppress(psutil.Error):
                if not any("ipykernel" in part for part in kernel.cmdline()):
                    continue
                family = [kernel, *kernel.children(recursive=True)]
                used, now = sum(map(_used, family)), time.monotonic()
                before, since = last.get(kernel, (-1.0, now))
                if used != before:
                    last[kernel] = used, now
                elif now - since > limit:
                    ended.set()
                    for process in family:
                        process.kill()


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
