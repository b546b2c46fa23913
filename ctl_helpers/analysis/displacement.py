"""How far features move when weights do, and which weights a feature hangs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, named_streams
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.inputs import Batch, Inputs
from ctl_helpers.engine.mix import Mix, MixKey, StateDict, mix_key
from ctl_helpers.engine.network import Network
from ctl_helpers.engine.outputs import feature_in
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.similarity import inner_products
from ctl_helpers.engine.stages import Staged
from ctl_helpers.engine.ties import first_names

_FEW = 2
"""Samples that show which weights a feature hangs on."""


def displacement(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    start: Mix,
    end: Mix,
    batches: Iterable[Batch],
    layers: Sequence[str],
    device: torch.device | str | None = None,
) -> Tensor:
    """``√(mean_x ‖f(end; x) − f(start; x)‖²)`` at each layer.

    Args:
        model, checkpoints, device: as for :func:`~ctl_helpers.compare`.
        start, end: the two models.
        batches: what to run on; targets are not used.
        layers: the tapped layers.

    Returns:
        Shape (layers,), float64, in the feature's own unit.
    """
    fold = _Moved(mix_key(start), mix_key(end), layers)
    run(model, checkpoints, {None: fold}, {None: batches}, layers, device)
    return (fold.squares / fold.samples).sqrt().cpu()


class _Moved(Fold):
    """Summed squared distances of two models' features."""

    needs_output = False

    def __init__(self, start: MixKey, end: MixKey, layers: Sequence[str]) -> None:
        self._start, self._end, self._layers = start, end, layers
        self.steps = [tuple(dict.fromkeys((start, end)))]
        self.squares, self.samples = torch.zeros(()), 0

    def reduce(
        self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]
    ) -> tuple[int, Tensor]:
        start, end = passes[self._start].features, passes[self._end].features
        moves = [end[layer] - start[layer] for layer in self._layers]
        squares = torch.stack([inner_products(move, [move])[0].sum() for move in moves])
        return len(moves[0]), squares

    def keep(self, results: Sequence[tuple[int, Tensor]]) -> None:
        ((samples, squares),) = results
        self.samples += samples
        self.squares = self.squares + squares


def stream_of(batches: Streams, task: str) -> Iterable[Batch]:
    """A task's batches, or those that all tasks share."""
    streams = named_streams(batches)
    return streams[None if None in streams else task]


def some(batches: Streams, task: str, samples: int) -> list[Batch]:
    """The first of a task's batches that have so many samples."""
    found: list[Batch] = []
    taken = 0
    for batch in stream_of(batches, task):
        found.append(batch)
        taken += Inputs.of(batch, torch.device("cpu")).size
        if taken >= samples:
            break
    return found


def first_layers(
    model: nn.Module,
    state: StateDict,
    batch: Batch,
    layers: Sequence[str],
    device: torch.device | str | None = None,
) -> dict[str, str]:
    """Parameter → the first of the tapped layers, in the order in which they run, that it reaches.

    A network of stages says so itself. Of any other, one forward pass on a batch is followed back
    through its graph of derivatives, without deriving anything.

    Args:
        model, device: as for :func:`~ctl_helpers.compare`.
        state: weights with which the model runs.
        batch: of which the first samples are run.
        layers: the tapped layers.

    Returns:
        Parameter's name → layer; the last one that ran for those that reach none, as a head's. A
        tensor that stands under several names, all of them parameters, has one layer.
    """
    if isinstance(model, Staged) and {*layers} <= {stage.layer for stage in model.stages()}:
        found, order = _by_stage(model, state, layers)
    else:
        found, order = _by_graph(model, state, batch, layers, device_for(model, device))
    names = first_names(model, buffers=False)
    return {name: found.get(names[name], order[-1]) for name in state if name in names}


def _by_stage(
    model: Staged, state: StateDict, layers: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Parameter → first layer, and the layers in their order."""
    found: dict[str, str] = {}
    read: list[str] = []
    order = []
    for stage in model.stages():
        read += [name for name in state if name.startswith(stage.prefixes)]
        if stage.layer is not None and stage.layer in layers:
            order.append(stage.layer)
            found = dict.fromkeys(read, stage.layer) | found
    return found, order


def _by_graph(
    model: nn.Module, state: StateDict, batch: Batch, layers: Sequence[str], place: torch.device
) -> tuple[dict[str, str], list[str]]:
    """Parameter → first layer, and the layers in their order."""
    names, inputs = first_names(model, buffers=False), Inputs.of(batch, place)
    inputs = inputs.part(slice(0, _FEW))
    given = inputs.given(inputs.tensors().keys())
    weights = {name: state[name].to(place) for name in state}
    known: dict[int, str] = {}
    found: dict[str, str] = {}
    seen: set[object] = set()
    order: list[str] = []

    def follow(layer: str, _: nn.Module, __: object, output: object) -> None:
        order.append(layer)
        waiting = [feature_in(output, layer).grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            leaf = known.get(id(getattr(node, "variable", None)))
            if leaf is not None:
                found.setdefault(leaf, layer)
            waiting += [before for before, _ in node.next_functions]

    def traced(network: nn.Module) -> None:
        for name, value in network.named_parameters(remove_duplicate=False):
            if value.is_floating_point():
                known[id(value.requires_grad_())] = names[name]
        with torch.enable_grad():
            network(*given.arguments, **given.keywords)

    network = Network(model, place)
    for layer in layers:
        network.model.get_submodule(layer).register_forward_hook(partial(follow, layer))
    network.run(weights, traced)
    return found, order
