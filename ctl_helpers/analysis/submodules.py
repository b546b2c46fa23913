"""How linear attention, MLP and norms of transformer blocks are by themselves, on clean input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint, StateDict, fitted
from ctl_helpers.engine.compare import by_layer
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.folds import Pass
from ctl_helpers.engine.hooks import taps
from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.layers import feature_layers
from ctl_helpers.engine.linearity import Comparison, Linearity, LinearityFold
from ctl_helpers.engine.mix import combine
from ctl_helpers.engine.precision import noise_floor
from ctl_helpers.engine.stages import Staged

KINDS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "attention": (("self_attn",), ("attn",), ("attention.self", "attention.output.dense")),
    "MLP": (("mlp",), ("intermediate", "output.dense")),
    "norm": (
        *(("input_layernorm",), ("post_attention_layernorm",)),
        *(("ln_1",), ("ln_2",)),
        *(("attention.output.LayerNorm",), ("output.LayerNorm",)),
    ),
}
"""Kind → what it is called inside a block, in Llama, open_clip and BERT: the modules with its
weights, of which the last one gives its output."""


@dataclass(frozen=True)
class Submodule:
    """A part of a transformer's block.

    Attributes:
        layer: the block's feature layer.
        block: the block's name.
        kind: one of :data:`KINDS`.
        modules: names inside the block, the one that gives the output last.
    """

    layer: str
    block: str
    kind: str
    modules: tuple[str, ...]

    def owns(self, name: str) -> bool:
        """Whether a tensor of the state dict is one of its own."""
        return any(name.startswith(f"{self.block}.{one}.") for one in self.modules)


def submodules(model: nn.Module) -> list[Submodule]:
    """A network's attentions, MLPs and norms, block by block; none where blocks have no such names.

    Without attention in it, as in a convolutional network, a block has none of them.
    """
    if isinstance(model, Staged):
        stages = [stage for stage in model.stages() if stage.layer and stage.prefixes]
        blocks = {str(stage.layer): stage.prefixes[0].rstrip(".") for stage in stages}
    else:
        blocks = {layer: layer for layer in feature_layers(model)}
    named = dict(model.named_modules())
    return [
        Submodule(layer, block, kind, modules)
        for layer, block in blocks.items()
        if any(f"{block}.{modules[-1]}" in named for modules in KINDS["attention"])
        for kind, choices in KINDS.items()
        for modules in choices
        if all(f"{block}.{one}" in named for one in modules)
    ]


def compare_submodules(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    pretrained: str,
    comparisons: Sequence[Comparison],
    batches: Streams,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """As :func:`~ctl_helpers.compare`, with one submodule mixed at a time, at its own output.

    All other weights stay θ_PT's, so that the submodule has the input that it has in θ_PT, on both
    sides of the equation. What a residual connection carries past it is no part of its output. Its
    output becomes a feature as its block's does: flattened, or by the tokens that a network of this
    package counts. Submodule Linearity (Dai et al. 2025) asks this of attention and MLP.

    Args:
        model, checkpoints, comparisons, device: as for :func:`~ctl_helpers.compare`; a comparison's
            ``tasks`` do not count.
        pretrained: the name of θ_PT.
        batches: as there.

    Returns:
        Its table, submodule by submodule, with a column ``part``: the kind; ``layer`` is the
        block's. It has no rows where :func:`submodules` has none.
    """
    place = device_for(model, device)
    named = {name for one in comparisons for mix in one.mixes() for name in mix}
    states = fitted(model, checkpoints, sorted({pretrained, *named}))
    network = deepcopy(model).to(place).eval()
    network.load_state_dict({**states[pretrained]})
    streams, parts = named_streams(batches), submodules(model)
    asked = dict(enumerate(comparisons))
    folds = {part: [LinearityFold(asked, [part.layer]) for _ in streams] for part in parts}
    with torch.no_grad():
        for number, stream in enumerate(streams.values() if parts else ()):
            for batch in stream:
                inputs = Inputs.of(batch, place)
                for layer, run in _blocks(network, inputs, parts):
                    for part in (one for one in parts if one.layer == layer):
                        _measured(network, states, part, run, folds[part][number], inputs.size)
                        _load(network, states[pretrained], part)
    return _table(comparisons, folds, noise_floor(states[pretrained], None))


def _table(
    comparisons: Sequence[Comparison],
    folds: Mapping[Submodule, Sequence[LinearityFold]],
    floor: float,
) -> pd.DataFrame:
    tables = []
    for part, by_task in folds.items():
        measured = by_layer(comparisons, [part.layer], [fold.metrics() for fold in by_task])
        table = Linearity(comparisons, [part.layer], *measured, floor).table()
        tables.append(table.assign(part=part.kind))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"part": []})


def _blocks(
    network: nn.Module, inputs: Inputs, parts: Sequence[Submodule]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each block's layer, and how it runs on the input that it has in the network as it is."""
    blocks = {part.layer: part.block for part in parts}
    if isinstance(network, Staged):
        state = network.begin(*inputs.arguments, **inputs.keywords)
        for stage in network.stages():
            if stage.layer in blocks:
                yield str(stage.layer), partial(stage.run, state)
            state = stage.run(state)
        return
    calls: dict[str, Callable[[], object]] = {}

    def keep(layer: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        calls[layer] = partial(module, *args, **kwargs)

    handles = [
        network.get_submodule(block).register_forward_pre_hook(
            partial(keep, layer), with_kwargs=True
        )
        for layer, block in blocks.items()
    ]
    network(*inputs.arguments, **inputs.keywords)
    for handle in handles:
        handle.remove()
    yield from calls.items()


def _measured(
    network: nn.Module,
    states: Mapping[str, StateDict],
    part: Submodule,
    run: Callable[[], object],
    fold: LinearityFold,
    samples: int,
) -> None:
    """Let a fold keep what a submodule gives under each mix of its own weights."""
    own = {
        name: {key: tensor for key, tensor in state.items() if part.owns(key)}
        for name, state in states.items()
    }
    passes = {}
    with _instead(network, part), taps(network, part.layer, samples) as seen:
        for mix in dict.fromkeys(mix for step in fold.steps for mix in step):
            _load(network, combine(own, dict(mix)), part)
            seen.clear()
            run()
            passes[mix] = Pass({part.layer: seen[part.layer]}, None)
    fold.keep([fold.reduce(step, None, passes) for step in range(len(fold.steps))])


@contextmanager
def _instead(network: nn.Module, part: Submodule) -> Iterator[None]:
    """While open, a block gives what its submodule gives."""
    given: list[Tensor] = []
    block = network.get_submodule(part.block)
    last = block.get_submodule(part.modules[-1])

    def keep(module: nn.Module, args: object, output: Any) -> None:
        # Attention may give its weights beside its output.
        given.append(output[0] if isinstance(output, tuple) else output)

    handles = [
        last.register_forward_hook(keep),
        block.register_forward_hook(lambda *_: given.pop()),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _load(network: nn.Module, state: StateDict, part: Submodule) -> None:
    """Give a submodule its weights of a state dict."""
    tensors = network.state_dict()
    for name in filter(part.owns, tensors):
        tensors[name].copy_(state[name])
