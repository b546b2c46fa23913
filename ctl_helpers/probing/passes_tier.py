"""Tier 2 as a whole: network, samples, linearity, control, remedies and scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ctl_helpers.analysis.displacement import displacement
from ctl_helpers.engine.batches import named_streams
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.inputs import Batch
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import StateDict, mix_key
from ctl_helpers.errors import link
from ctl_helpers.probing import limits, linearity_tier, remedies, scores_tier
from ctl_helpers.probing.curves import Rows, against, curves, summed_up
from ctl_helpers.probing.curves import remarks as linearity_remarks
from ctl_helpers.probing.estimates import duration
from ctl_helpers.probing.linearity_tier import Setup
from ctl_helpers.probing.networks import CannotRunError, Network, fitted, network
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.remarks import Remark, some
from ctl_helpers.probing.samples import Samples, samples
from ctl_helpers.probing.sources import BASE

Tell = Callable[[str], None]


@dataclass
class Passes:
    """What tier 2 found.

    Attributes:
        tables: ``linearity``, ``sets``, and as far as there are any ``remedies``, ``perplexity``
            and ``accuracy``.
        facts: what was run on what, in words.
        remarks: what its rules said.
    """

    tables: dict[str, Rows] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def passes(
    base: Place,
    states: Mapping[str, StateDict],
    whole: StateDict,
    model: nn.Module | str | None,
    data: str | Path | Iterable[Batch] | None,
    most: int,
    tell: Tell,
) -> Passes:
    """Runs the mixes, or says why not.

    Args:
        base: BASE's place.
        states: name → what is shared, under BASE's names.
        whole: BASE's own state dict.
        model: as for :func:`~ctl_helpers.probing.networks.network`.
        data: as for :func:`~ctl_helpers.probing.samples.samples`.
        most: how many samples to take.
        tell: what is told how long it will take.
    """
    found = Passes()
    try:
        if len(states) < 3:
            raise CannotRunError("one checkpoint alone mixes with nothing: give two or more")
        net = network(base, model, _is_large(states))
        named, random = fitted(net.model, states, whole)
        taken = samples(net, base, data, most)
        streams, alone = named_streams(taken.batches), mix_key({BASE: 1.0})
        layers = layers_to_tap(net.model, named, alone, streams, None, None).names
        setup = Setup(net.model, named, BASE, taken.batches, layers)
        found.facts |= _facts(net, taken, setup)
        found.remarks += _notes(taken, random)
        _run(setup, net, taken, found, tell)
    except CannotRunError as error:
        link(error)
        fact, _, remedy = str(error).partition(": ")
        found.remarks.append(Remark("run", "doubt", "tier 2", f"was not run: {fact}", remedy))
    except Exception as error:  # a network of others can raise anything
        link(error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        fact = f"was not finished: {reason}"
        remedy = "give a model and batches that fit it to ctl.probe"
        found.remarks.append(Remark("run", "doubt", "tier 2", fact, remedy))
    return found


def _is_large(states: Mapping[str, StateDict]) -> bool:
    """Whether all checkpoints and two mixes, in float32, are more than is free."""
    numbers = sum(tensor.numel() for tensor in described(states[BASE]).values())
    return 4 * numbers * (len(states) + 2) > free_memory(torch.device("cpu"))


def _facts(net: Network, taken: Samples, setup: Setup) -> dict[str, str]:
    layers = setup.layers
    return {
        "network": net.made_from,
        "samples": taken.words,
        "layers": f"{len(layers)} layers, {layers[0]} to {layers[-1]}",
    }


def _notes(taken: Samples, random: list[str]) -> list[Remark]:
    remarks = []
    if not taken.is_real:
        fact = f"was run on {taken.words}, which no task sends"
        remedy = "give texts or images of the tasks with --data: they tell more"
        remarks.append(Remark("run", "note", "tier 2", fact, remedy))
    if random:
        fact = f"gave {some(random)} random numbers, since BASE has none"
        remedy = "nothing for features; outputs of that head mean nothing"
        remarks.append(Remark("run", "note", "tier 2", fact, remedy))
    return remarks


def _run(setup: Setup, net: Network, taken: Samples, found: Passes, tell: Tell) -> None:
    seconds = _seconds(setup)
    found.facts["estimate"] = duration(seconds)
    tell(f"tier 2 on {taken.words}: about {duration(seconds)}")
    rows = linearity_tier.measured(setup)
    found.tables["linearity"] = rows
    lines = curves(rows)
    found.remarks += linearity_remarks(lines)
    controls = linearity_tier.control(setup)
    found.tables["linearity"] = [*rows, *controls]
    found.tables["sets"] = summed_up(lines, controls)
    found.remarks += against(found.tables["sets"])
    _try_remedies(setup, rows, found)
    scores: dict[str, Rows] = {}
    if net.is_decoder and taken.is_real:
        scores["perplexity"] = scores_tier.perplexities(setup)
    if taken.labels:
        scores["accuracy"] = scores_tier.accuracies(setup)
    found.tables |= scores
    found.remarks += scores_tier.remarks(scores, len(setup.names))


def _try_remedies(setup: Setup, rows: Rows, found: Passes) -> None:
    """What helps the set that breaks most, and statistics wherever there are any."""
    worst = max(curves(rows), key=lambda curve: curve.at_average()[0])
    (names,) = [names for names in setup.sets() if " + ".join(names) == worst.members]
    left_out = []
    if worst.at_average()[0] > limits.LINEAR:
        left_out = remedies.leaving_out(setup, names, rows)
    renewed = remedies.recomputing(setup, names, rows)
    found.remarks += remedies.remarks(left_out, renewed)
    if trials := [*left_out, *renewed]:
        found.tables["remedies"] = [vars(trial).copy() for trial in trials]


def _seconds(setup: Setup) -> float:
    """How long all passes take, by one of BASE over the first batch."""
    start = {setup.base: 1.0}
    begun = time.perf_counter()
    displacement(setup.model, setup.states, start, start, setup.batches[:1], setup.layers)
    once = time.perf_counter() - begun
    count = linearity_tier.passes_of(len(setup.sets()), len(setup.names))
    return once * count * len(setup.batches)
