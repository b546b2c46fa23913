"""Null controls of linearity: what a comparison of features gives without what it is about.

Labels tell them apart in a column ``control``: ``"task vectors"`` is the comparison itself;
``"pretrained apart"`` has every second network from another pretraining, or from none;
``"from random weights"`` has all of them from none; ``"random vectors"`` has task vectors
whose entries are shuffled and which move the features as far; ``"other samples"`` has the left side
of a sample against the right side of the next.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.analysis.displacement import displacement, first_layers, some, stream_of
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.inputs import Batch
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import Mix, StateDict, mix_key
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.ties import first_names

_STEP = 10.0
"""The most that a factor may grow or shrink by in one round."""

_CLOSE = 0.005
"""How near to equal displacement, as a share of it, every layer is when no round follows."""

_PRIME = "′"


def random_vectors(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    batches: Streams,
    seed: int,
    reach: float = 1.0,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
    *,
    samples: int = 256,
    rounds: int = 12,
) -> tuple[dict[str, StateDict], pd.DataFrame]:
    """Networks at the ends of random vectors that move features as far as the task vectors do.

    The entries of ``τ_i = θ_i − θ_PT`` are shuffled within each tensor, and multiplied by one
    factor for each tapped layer ℓ, that of the first layer that the tensor reaches. The factors
    are such that ``m_ℓ(v) = √(mean_x ‖f^(ℓ)(θ_PT + reach·v; x) − f^(ℓ)(θ_PT; x)‖²)`` is that of
    the task vector. They are found by a fixed-point iteration on all of them at once: each is
    multiplied by a power of ``m_ℓ(τ)/m_ℓ(v)``, which begins at 1, rises by half where the ratio
    stays on the same side of 1, and is halved where it does not; the best round stays. Where the
    layers before move a feature farther than the task vector does, no factor makes up for that.

    Parameters alone are random: buffers, such as BatchNorm's running statistics, stay those of
    θ_PT, so that no variance becomes negative. A parameter that no tapped layer hangs on, as a
    head's, is multiplied by the last layer's factor.

    Args:
        model, checkpoints, layers, device: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        names: whose task vectors to shuffle.
        batches: name → iterable of batches, which is read several times; or one such iterable.
        seed: of the order of entries, together with the network's and the tensor's name.
        reach: where on its way the displacement is matched, such as 2λ for Equation 2.
        samples: how many of each stream the factors are found on; whole batches are taken.
        rounds: how often factors are tried at most.

    Returns:
        ``pretrained``, as it is, and ``names`` → state dict, whose tensors are made when they are
        asked for where the checkpoint's are; and a table with a row per name and layer: ``i``,
        ``layer``, and ``moved``, ``m_ℓ(v)/m_ℓ(τ)`` on the whole stream, 1 for equal displacement,
        NaN where the task vector moves nothing.
    """
    start, few = checkpoints[pretrained], some(batches, names[0], 1)
    key = mix_key({pretrained: 1.0})
    layers = layers_to_tap(model, checkpoints, key, {None: few}, None, layers, device=device).names
    layer_of = first_layers(model, start, few[0], layers, device)
    places = {name: layers.index(layer) for name, layer in layer_of.items()}
    moved = partial(_displacement, model, start, reach, layers, device)
    networks: dict[str, StateDict] = {pretrained: start}
    tables = []
    for name in names:
        vector = _shuffled(
            start, checkpoints[name], f"{seed}/{name}", first_names(model, buffers=False)
        )
        end = partial(_end, start, vector, places)
        few, every = some(batches, name, samples), stream_of(batches, name)
        factors = _matched(partial(moved, batches=few), checkpoints[name], end, len(layers), rounds)
        networks[name] = end(factors)
        ratios = moved(networks[name], every) / moved(checkpoints[name], every)
        tables.append(pd.DataFrame({"i": name, "layer": layers, "moved": ratios.tolist()}))
    return networks, pd.concat(tables, ignore_index=True)


def controlled(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    comparisons: Sequence[Comparison],
    batches: Streams,
    *,
    random: Mapping[str, StateDict],
    foreign: Mapping[str, StateDict] | None = None,
    scratch: Mapping[str, StateDict] | None = None,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """The same comparisons of task vectors and of each control, row for row.

    Args:
        model, checkpoints, batches, layers, device: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        names: the fine-tuned networks, in the order in which every second one is replaced.
        comparisons: such as :func:`~ctl_helpers.pairs` at one α, or
            :func:`~ctl_helpers.addition` at one λ.
        random: the networks of :func:`random_vectors`.
        foreign: networks of another pretraining, or from random weights, that stand in for those
            of the same name, and their own θ_PT. The control is left out where there are none, or
            where that θ_PT is no other, as where the only pretraining there is was published.
        scratch: networks of the same names that were fine-tuned from random weights, and these.

    Returns:
        :func:`~ctl_helpers.compare`'s tables one below the other, told apart by ``control``;
        networks pretrained apart bear the names of those that they stand in for.
    """

    def compared(weights: Mapping[str, StateDict], asked: Sequence[Comparison]) -> pd.DataFrame:
        return compare(model, weights, asked, batches, layers, device)

    # One after the other, so that one pass of each network serves both.
    pairs = zip(comparisons, permuted(comparisons), strict=True)
    both = compared(checkpoints, [one for pair in pairs for one in pair])
    own, others = (
        both[both["comparison"] % 2 == part].assign(comparison=both["comparison"] // 2)
        for part in (0, 1)
    )
    tables = {"task vectors": own}
    if foreign is not None and not _equal(foreign[pretrained], checkpoints[pretrained]):
        strangers = {name + _PRIME: foreign[name] for name in names if name in foreign}
        asked = apart(comparisons, names)
        tables["pretrained apart"] = compared({**checkpoints, **strangers}, asked)
    if scratch is not None:
        tables["from random weights"] = compared(scratch, comparisons)
    tables["random vectors"] = compared(random, comparisons)
    tables["other samples"] = others
    return pd.concat(
        [table.assign(control=label) for label, table in tables.items()], ignore_index=True
    )


def apart(comparisons: Sequence[Comparison], names: Sequence[str]) -> list[Comparison]:
    """Comparisons whose every second network, or only one, bears its name with a prime.

    Where ``θ_j`` becomes ``θ_j′`` of another pretraining, ``τ_j`` becomes ``θ_j′ − θ_PT``: θ_PT
    itself stays.

    Args:
        comparisons: of any kind; their params stay as they are.
        names: the fine-tuned networks, in the order in which they count.
    """

    def away(comparison: Comparison) -> Comparison:
        mixes = [comparison.left, *(mix for _, mix in comparison.right)]
        members = [name for name in names if any(name in mix for mix in mixes)]
        primed = {name: name + _PRIME for name in members[1::2] or members}

        def renamed(mix: Mix) -> Mix:
            return {primed.get(name, name): weight for name, weight in mix.items()}

        return replace(
            comparison,
            left=renamed(comparison.left),
            right=[(weight, renamed(mix)) for weight, mix in comparison.right],
            baseline=[(renamed(a), renamed(b)) for a, b in comparison.baseline],
        )

    return list(map(away, comparisons))


def permuted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, with the left side of a sample against the right side of the next."""
    return [replace(comparison, permuted=True) for comparison in comparisons]


def _equal(a: StateDict, b: StateDict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


def _displacement(
    model: nn.Module,
    start: StateDict,
    reach: float,
    layers: Sequence[str],
    device: torch.device | str | None,
    end: StateDict,
    batches: Iterable[Batch],
) -> Tensor:
    """How far features move on the way from one network to another, shape (layers,)."""
    ends, left = {"start": start, "end": end}, {"start": 1.0}
    right = edit("start", {"end": reach})
    return displacement(model, ends, left, right, batches, layers, device)


def _matched(
    moved: Callable[[StateDict], Tensor],
    tuned: StateDict,
    end: Callable[[Tensor], StateDict],
    layers: int,
    rounds: int,
) -> Tensor:
    """The factors, shape (layers,), whose network moves features most nearly as another does."""
    target, factors = moved(tuned), torch.ones(layers, dtype=torch.float64)
    best, power, before, least = factors, factors, torch.zeros_like(factors), math.inf
    for _ in range(rounds):
        ratio = (target / moved(end(factors))).nan_to_num(1.0, _STEP).clamp(1 / _STEP, _STEP)
        off = ratio.log()
        if off.abs().mean() < least:
            best, least = factors, off.abs().mean().item()
        if off.abs().max() < _CLOSE:
            break
        power = (power * (1 + off.sign() * before.sign() / 2)).clamp(max=_STEP)
        factors, before = factors * (power * off).exp(), off
    return best


def _shuffled(
    start: StateDict, end: StateDict, seed: str, first_names: Mapping[str, str]
) -> StateDict:
    """A task vector, parameters alone, its entries in another order within each tensor."""

    def make(name: str) -> Tensor:
        origin = start[name]
        wide = torch.promote_types(origin.dtype, torch.float32)
        vector = (end[name].to(wide) - origin.to(wide)).flatten()
        key = zlib.crc32(f"{seed}/{first_names[name]}".encode())
        order = torch.randperm(vector.numel(), generator=torch.Generator().manual_seed(key))
        return vector[order.to(vector.device)].view_as(origin)

    meta = described(start)
    is_random = {n: t for n, t in meta.items() if n in first_names and t.is_floating_point()}
    return _like(end, LazyState(is_random, make))


def _end(
    start: StateDict, vector: StateDict, places: Mapping[str, int], factors: Tensor
) -> StateDict:
    """The network at the end of a vector that is stretched layer by layer."""

    def make(name: str) -> Tensor:
        origin = start[name]
        if name not in vector:
            return origin
        return (origin + factors[places[name]].item() * vector[name]).to(origin.dtype)

    return _like(vector, LazyState(described(start), make))


def _like(state: StateDict, lazy: LazyState) -> StateDict:
    """In memory where the other one is."""
    return lazy if isinstance(state, LazyState) else dict(lazy)
