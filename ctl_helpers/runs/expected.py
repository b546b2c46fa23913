"""How long runs take, by when they were last stored: in which order, and until when."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product

from ctl_helpers.results import stored
from ctl_helpers.results.record import PROVENANCE
from ctl_helpers.runs.plan import Job


def last_seconds(todo: Sequence[Job]) -> dict[str, float]:
    """A run's label → how long it took when it was last stored, where that is known."""
    took: dict[tuple[str, str], float] = {}
    for folder, section in product(
        (stored.published_folder(), stored.current_folder()), {job.section for job in todo}
    ):
        for path in (folder / stored.folder_name(section)).glob(f"*/{PROVENANCE}"):
            # A damaged one is told where its numbers are shown.
            with suppress(OSError, ValueError, KeyError, TypeError):
                facts = json.loads(path.read_text(encoding="utf-8"))
                took[section, path.parent.name] = float(facts["seconds"])
    places = {job.label: (job.section, job.name) for job in todo}
    return {label: took[place] for label, place in places.items() if place in took}


def in_order(todo: Sequence[Job], workers: int) -> list[Job]:
    """By the time that each took last, so that no long run is left for the end.

    One whose time is not known may be long, too. The first to start are of different settings,
    since runs of one wait for each other's training.
    """
    took = last_seconds(todo)
    ordered = sorted(todo, key=lambda job: -took.get(job.label, math.inf))
    longest = {job.setting: job for job in reversed(ordered)}
    first = [job for job in ordered if job is longest[job.setting]][:workers]
    return first + [job for job in ordered if job not in first]


def seconds_left(
    last: Mapping[str, float], done: Mapping[str, float], waiting: Sequence[str], workers: int
) -> float | None:
    """How long the rest takes: its work over the workers, and at least its longest run.

    A machine is as fast on the rest as it was on what is done. What was never stored takes as long
    as the runs that are known do in the middle.

    Args:
        last: label → seconds when last stored.
        done: label → seconds of those that have just ended.
        waiting: the labels of the rest.
        workers: how many runs go on at once.

    Returns:
        None where nothing is known of any run.
    """
    both = [label for label in done if label in last]
    pace = sum(done[label] for label in both) / sum(last[label] for label in both) if both else 1.0
    known = {label: pace * seconds for label, seconds in last.items()} | dict(done)
    if not known:
        return None
    rest = [known.get(label, statistics.median(known.values())) for label in waiting]
    return max(sum(rest) / workers, max(rest, default=0.0))
