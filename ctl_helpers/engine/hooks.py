"""Tapping the features of named layers while a module runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from ctl_helpers.engine.layers import named_layers
from ctl_helpers.engine.outputs import DECLARING, feature_in, is_tokens_first


@contextmanager
def taps(
    model: nn.Module, layers: str | Iterable[str], samples: int | None = None
) -> Iterator[dict[str, Tensor]]:
    """While open, each forward pass of ``model`` fills the yielded dict anew: layer → feature.

    The module is left without hooks. A layer that gives tokens first gives the same feature,
    tokens × width, as one that gives samples first.

    Args:
        model: any module.
        layers: names or globs, as for :func:`~ctl_helpers.engine.layers.named_layers`; ``""`` is
            the model's own output.
        samples: how many there are in a pass. It tells which dimension is theirs where a layer
            has an attention inside that takes tokens first.

    Raises:
        KeyError: a layer that the model does not have.
        RuntimeError: (in a pass) a layer that runs twice, whose feature would be ambiguous; one
            whose samples cannot be told.
    """
    with tapped(model, named_layers(model, layers), partial(_flat, samples)) as seen:
        yield seen


@contextmanager
def tapped(
    model: nn.Module, layers: Sequence[str], read: Callable[[nn.Module, object, str], Tensor]
) -> Iterator[dict[str, Tensor]]:
    """As :func:`taps`, with what ``read`` makes of a layer, its output and its name."""
    seen: dict[str, Tensor] = {}

    def keep(layer: str, module: nn.Module, _: object, output: object) -> None:
        if layer in seen:
            raise RuntimeError(
                f"layer {layer!r} ran twice in one pass, so it has no single feature; tap a layer "
                "that runs once, such as the module that calls it"
            )
        seen[layer] = read(module, output, layer)

    handles = [
        model.get_submodule(layer).register_forward_hook(partial(keep, layer)) for layer in layers
    ]
    handles.append(model.register_forward_pre_hook(lambda *_: seen.clear()))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _flat(samples: int | None, module: nn.Module, output: object, layer: str) -> Tensor:
    """A copy of a layer's feature, shape (samples, width)."""
    feature = feature_in(output, layer).detach()
    if samples is None:
        takes_tokens_first = any(
            isinstance(part, nn.MultiheadAttention) and not part.batch_first
            for part in module.children()
        )
        if takes_tokens_first and feature.dim() > 2 and not isinstance(module, DECLARING):
            raise RuntimeError(
                f"layer {layer!r} may give tokens or samples first; pass the number of samples"
            )
        axis = int(is_tokens_first(module, output))
    else:
        fits = [n for n in (0, 1) if n < feature.dim() and feature.shape[n] == samples]
        if not fits or (len(fits) > 1 and samples > 1):
            raise RuntimeError(
                f"layer {layer!r} gives {tuple(feature.shape)}, of which not one dimension alone "
                f"is that of {samples} samples; run another number of samples"
            )
        axis = fits[0]
    # A copy, since a later in-place layer (a ReLU, a residual sum) would change it.
    first = feature.movedim(axis, 0).clone(memory_format=torch.contiguous_format)
    return first.reshape(len(first), -1)
