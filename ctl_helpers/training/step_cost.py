"""What a step of training costs in time and memory."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.autograd.profiler import profile, record_function

from ctl_helpers.training.steps import Loss, StepRecipe, adamw, update

Trainer = Callable[[], object]
"""Each call does one step."""

_STEP = "the step whose memory is measured"


def trainer(
    build: Callable[[], nn.Module],
    loss: Loss,
    chosen: Tensor,
    recipe: StepRecipe,
) -> Trainer:
    """A fresh network in training: forward and backward pass, clipping, and AdamW's update.

    The work is that of :func:`~ctl_helpers.training.steps.steps`, again and again on the same
    samples.

    Args:
        build: gives the network, on the device where it trains.
        loss: of the network on the samples of the given indices.
        chosen: the indices of a step's samples, on that device.
        recipe: how to train; its schedule is not followed.
    """
    model = build()
    return partial(update, model, loss, chosen, adamw(model, recipe), recipe.clip)


def step_costs(
    jobs: Mapping[str, Callable[[], Trainer]], repeats: int, device: torch.device | str = "cpu"
) -> pd.DataFrame:
    """Seconds and peak memory of a step, for paradigms that take turns.

    Times are taken after a first step of each, with all trainers in memory at once; then each
    paradigm's memory is measured alone, as :func:`peak_memory` does.

    Args:
        jobs: paradigm → what makes its trainer anew, such as a ``partial`` of :func:`trainer`.
        repeats: timed steps of each, in rounds over all paradigms.
        device: where they train.

    Returns:
        A row a paradigm × repetition: ``paradigm``, ``repetition``, ``seconds`` of that step, and
        ``bytes``, the same in every repetition.

    Raises:
        ValueError: no jobs, or no repeats.
    """
    if not jobs or repeats < 1:
        raise ValueError(
            f"there are {len(jobs)} jobs and {repeats} repeats; ask for at least one of each"
        )
    device = torch.device(device)
    seconds = _seconds(jobs, repeats, device)
    peaks = {paradigm: peak_memory(job, device) for paradigm, job in jobs.items()}
    return pd.DataFrame(
        {"paradigm": paradigm, "repetition": repetition, "seconds": took, "bytes": peaks[paradigm]}
        for repetition, turn in enumerate(seconds)
        for paradigm, took in turn.items()
    )


def peak_memory(job: Callable[[], Trainer], device: torch.device | str = "cpu") -> int:
    """The most bytes that training holds at once: weights, gradients, states and activations.

    Counted is what torch's allocator gave since before the trainer was made and still holds at
    some time during its second step, as in the first there are no optimizer states yet. It is a
    sum of what was asked for, not a sample of what the process has, so that it is the same each
    time on one machine. What the job only refers to, such as its data, does not count. On a GPU a
    tensor takes a multiple of 512 bytes.

    Args:
        job: makes a trainer, with its network and optimizer.
        device: where it trains.
    """
    device = torch.device(device)
    gc.collect()  # what others left would count as freed by the trainer
    return _cuda_peak(job, device) if device.type == "cuda" else _cpu_peak(job)


def _cuda_peak(job: Callable[[], Trainer], device: torch.device) -> int:
    before = torch.cuda.memory_allocated(device)
    step = _begun(job)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before


def _cpu_peak(job: Callable[[], Trainer]) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells that there is no GPU, and more
    with profile(profile_memory=True, use_kineto=True) as found:
        step = _begun(job)
        with record_function(_STEP):
            step()
        # A block that the profiler saw come has to go in its sight, or the next one mistakes
        # another at the same address for it.
        del step
        gc.collect()
    held, peak, is_measured = 0, 0, False
    events = found.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == _STEP:
            is_measured = True
        elif event.name() == "[memory]" and event.device_type() == DeviceType.CPU:
            held += event.nbytes()
        if is_measured:
            peak = max(peak, held)
    return peak


def _begun(job: Callable[[], Trainer]) -> Trainer:
    """A trainer after its first step, without what that and its making left behind."""
    step = job()
    step()
    gc.collect()
    return step


def _seconds(
    jobs: Mapping[str, Callable[[], Trainer]], repeats: int, device: torch.device
) -> list[dict[str, float]]:
    """Round by round, paradigm → seconds of a step."""
    trainers = {paradigm: job() for paradigm, job in jobs.items()}
    for step in trainers.values():
        step()
    return [
        {paradigm: _timed(step, device) for paradigm, step in trainers.items()}
        for _ in range(repeats)
    ]


def _timed(step: Trainer, device: torch.device) -> float:
    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    start = now()
    step()
    return now() - start
