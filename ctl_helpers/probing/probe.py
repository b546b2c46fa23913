"""The probe: from headers to weights to forward passes, as far as nothing stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctl_helpers.errors import link
from ctl_helpers.probing import estimates, hub_places, sources
from ctl_helpers.probing.outcome import Table
from ctl_helpers.probing.overview import Overview, overview
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.remarks import Remark
from ctl_helpers.probing.report import Report
from ctl_helpers.probing.sources import Source

if TYPE_CHECKING:
    from torch import nn

    from ctl_helpers.engine.inputs import Batch

# Where one of these stops, weights cannot be read side by side.
_UNREADABLE = ("file", "shards", "names", "shape", "quantized", "adapter", "type")


def probe(
    base: Source,
    *checkpoints: Source,
    tier: int = 2,
    data: str | Path | Iterable[Batch] | None = None,
    model: nn.Module | str | None = None,
    samples: int = 32,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Will these checkpoints merge, and if not, where does it break?

    Tier 0 reads headers and configurations, tier 1 all weights once, tier 2 runs the mixes on some
    samples. A tier is not begun where the one before found what makes it meaningless. Which rules
    there are is in :data:`~ctl_helpers.probing.rules.RULES`, and their limits are in
    :mod:`ctl_helpers.probing.limits`.

    Args:
        base: the pretrained network θ_PT: a path, an id of the hub, a state dict or a module.
        checkpoints: what is to be merged, likewise.
        tier: how deep to look.
        data: unlabelled samples: a folder of images, a text file with a text per line, a data set
            of the hub as ``owner/name`` or ``owner/name/subset``, or batches as for
            :func:`~ctl_helpers.compare`; by default noise. With classes (folders in the folder,
            ``.tsv`` with a text, a tab and a number, a column of labels, or targets) accuracy is
            measured too.
        model: the architecture, where BASE is no module and has no ``config.json``: a module,
            ``"timm:NAME"``, ``"torchvision:NAME"``, ``"open_clip:NAME"``, or
            ``"package.module:function"``.
        samples: how many samples to take, 8 to 64 are enough.
        tell: what is told the estimate of tier 2's time, before it begins.

    Returns:
        The report: ``print`` shows it, ``report.save(folder)`` writes it as HTML and JSON.

    Raises:
        TypeError: a checkpoint or data of another kind.
        ValueError: no such tier, or no samples.
    """
    begun = time.perf_counter()
    _check(tier, data, samples)
    places = sources.places(base, checkpoints)
    seen = overview(places[0], places[1:])
    size = estimates.estimate(seen)
    found = _Found([*seen.remarks, *estimates.remarks(size, estimates.memory(), sources.BASE)])
    found.seconds["tier 0"] = time.perf_counter() - begun
    stopped = {one.rule for one in found.remarks if one.grade == "stop"}
    if tier > 0 and seen.shared and not stopped & {*_UNREADABLE}:
        model = sources.module_of(base) if model is None else model
        asked = _Asked((base, *checkpoints), tier, data, model, samples, tell)
        _look_deeper(seen, places, asked, found)
    return Report(
        sources={place.name: place.source for place in places},
        tier=found.tier,
        remarks=found.remarks,
        estimate=size,
        tables=found.tables,
        facts=found.facts,
        seconds=found.seconds,
    )


def _check(tier: int, data: object, samples: int) -> None:
    if tier not in (0, 1, 2):
        raise ValueError(f"tier is {tier!r}; give 0 for headers, 1 for weights or 2 for passes")
    if samples < 1:
        raise ValueError(f"samples is {samples}; give how many to take, such as 32")
    if hasattr(data, "dtype"):
        raise TypeError(f"data is one {type(data).__name__}; give a list of batches, such as [x]")


@dataclass(frozen=True)
class _Asked:
    """The arguments of :func:`probe`."""

    given: Sequence[Source]
    tier: int
    data: str | Path | Iterable[Batch] | None
    model: nn.Module | str | None
    samples: int
    tell: Callable[[str], None]


@dataclass
class _Found:
    """What the tiers found so far."""

    remarks: list[Remark]
    tier: int = 0
    tables: dict[str, Table] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def _look_deeper(seen: Overview, places: Sequence[Place], asked: _Asked, found: _Found) -> None:
    """Tiers 1 and 2, which take in ``found`` what they find."""
    from ctl_helpers.probing import checkpoints, scan, weights_tier  # load torch

    begun = time.perf_counter()
    try:
        here = [hub_places.fetched(place) for place in places]
        whole, states = checkpoints.states(here, asked.given, seen.shared)
        read = scan.scan(states, sources.BASE)
    except (ValueError, RuntimeError, OSError) as error:  # the reader's, in one sentence
        link(error)
        fact, _, remedy = f"a file cannot be read: {error}".rpartition(": ")
        found.remarks.append(Remark("file", "stop", "tier 1", fact, remedy))
        return
    rows = weights_tier.tables(read)
    found.tables |= rows
    found.remarks += weights_tier.remarks(read, rows)
    found.seconds["tier 1"], found.tier = time.perf_counter() - begun, 1
    are_equal = not any(row["length"] for row in rows["vectors"])
    if asked.tier < 2 or are_equal or any(one.grade == "stop" for one in found.remarks):
        return
    from ctl_helpers.probing.passes_tier import passes

    begun = time.perf_counter()
    run = passes(here[0], states, whole, asked.model, asked.data, asked.samples, asked.tell)
    found.tables |= run.tables
    found.facts |= run.facts
    found.remarks += run.remarks
    if run.tables:
        found.seconds["tier 2"], found.tier = time.perf_counter() - begun, 2
