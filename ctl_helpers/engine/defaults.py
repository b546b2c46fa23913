"""The layers of a comparison: those that are named, or the default ones that run once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import length_hint
from typing import Any

from torch import nn

from ctl_helpers.engine.batches import ByTask, Task
from ctl_helpers.engine.inputs import Batch, Inputs
from ctl_helpers.engine.layers import candidates, listed_layers, named_layers, summary
from ctl_helpers.engine.memory import ran_out
from ctl_helpers.engine.mix import MixKey, StateDict
from ctl_helpers.engine.outputs import tensor_in
from ctl_helpers.engine.passes import Engine
from ctl_helpers.engine.reading import Shape, following

_LOG = logging.getLogger(__name__)
_FEW = 2
_SHOWN = 3

_Runs = Mapping[str, Sequence[Shape]]  # layer → the shape of its feature at each run


@dataclass(frozen=True)
class Layers:
    """The layers to tap, and the batches to tap them on.

    Attributes:
        names: of the layers.
        note: what was chosen, in words; empty where the caller or the model chose.
        streams: the batches that were given, with what was read for the choice put back.
    """

    names: tuple[str, ...]
    note: str
    streams: ByTask


def layers_to_tap(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mix: MixKey,
    streams: ByTask,
    task: Task,
    layers: str | Iterable[str] | None,
    **options: Any,
) -> Layers:
    """The given layers, or those that the model lists, or its blocks that run once.

    Of a model that lists none, few samples of the first batch are run, to see which layers run
    once and give one row per sample. The first of
    :func:`~ctl_helpers.engine.layers.candidates` in which one does is taken, without what is idle
    in it, such as an auxiliary head in evaluation mode.

    Args:
        model, checkpoints, layers: as for :func:`~ctl_helpers.compare`.
        mix: the weights to run.
        streams: task → batches.
        task: whose first batch to run.
        options: those of :class:`~ctl_helpers.engine.passes.Engine`.

    Raises:
        RuntimeError: a model that gives no layer's feature for each sample, by default.
    """
    chosen = listed_layers(model) if layers is None else layers
    if chosen is not None:
        return Layers(named_layers(model, chosen), "", streams)
    first = _Begun(streams.get(task, ()))
    possible = list(candidates(model))
    given = {task: first.reading()} if task in streams else {}
    engine = Engine(model, checkpoints, {task: [mix]}, given, **options)
    with _watched(engine.model, set(chain(*possible))) as runs:
        tried = engine.over(task, partial(_tried, engine, mix, runs))
        few, more, before, after = next(iter(tried))
    for whole in possible:
        if names := tuple(name for name in whole if _is_feature(name, few, more, before, after)):
            note = _note(model, whole, names)
            _LOG.info("layers: %s", note)
            return Layers(names, note, {**streams, task: first})
    raise RuntimeError(
        f"no layer of {type(model).__name__} runs once and gives one row for each sample; name the "
        "layers to compare, which ctl.layers(model) lists"
    )


class _Begun(Iterable[Batch]):
    """A stream of which some batches were read already."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._length = length_hint(batches, -1)
        self._unread, self._read = iter(batches), list[Batch]()

    def reading(self) -> Iterator[Batch]:
        """The batches one by one, each of which will come again."""
        for batch in self._unread:
            self._read.append(batch)
            yield batch

    def __iter__(self) -> Iterator[Batch]:
        return chain(self._read, self._unread)

    def __length_hint__(self) -> int:
        return self._length if self._length >= 0 else NotImplemented


@contextmanager
def _watched(model: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, list[Shape]]]:
    """While open, layer → the shape of each feature that it gives, () where it gives none."""
    runs: dict[str, list[Shape]] = {layer: [] for layer in layers}

    def note(layer: str, _: nn.Module, __: object, output: object) -> None:
        feature = tensor_in(output)
        is_one = feature is not None and (feature.is_floating_point() or feature.is_complex())
        runs[layer].append(tuple(feature.shape) if feature is not None and is_one else ())

    handles = [
        model.get_submodule(layer).register_forward_hook(partial(note, layer)) for layer in runs
    ]
    try:
        yield runs
    finally:
        for handle in handles:
            handle.remove()


def _tried(
    engine: Engine, mix: MixKey, runs: Mapping[str, list[Shape]], batch: Inputs
) -> tuple[_Runs, _Runs, int, int]:
    """What layers give for few samples and for one more, and how many those are.

    Where a network runs on the whole batch alone, both are what they give for that.
    """

    def on(part: Inputs) -> _Runs:
        for shapes in runs.values():
            shapes.clear()
        engine.forward(mix, part)
        return {layer: tuple(shapes) for layer, shapes in runs.items()}

    before, after = min(_FEW, batch.size - 1), min(_FEW + 1, batch.size)
    if before > 0:
        try:
            few, more = (on(batch.part(slice(0, size))) for size in (before, after))
            return few, more, before, after
        except Exception as error:
            if ran_out(error):
                raise
    whole = on(batch)
    return whole, whole, batch.size, batch.size


def _is_feature(layer: str, few: _Runs, more: _Runs, before: int, after: int) -> bool:
    """Whether a layer ran once, and one dimension of its feature was the samples."""
    if len(few[layer]) != 1 or len(more[layer]) != 1:
        return False
    (a,), (b,) = few[layer], more[layer]
    return before in a[:2] if before == after else bool(following(a, b, before, after))


def _note(model: nn.Module, whole: tuple[str, ...], names: tuple[str, ...]) -> str:
    idle = [name for name in whole if name not in names]
    more = " and more" if len(idle) > _SHOWN else ""
    rest = f", without {idle[:_SHOWN]}{more}, which do not run once" if idle else ""
    return f"{summary(model, names)}, chosen by default{rest}"
