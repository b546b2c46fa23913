"""Tapping the features of named layers while a module runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

_CONTAINERS = (nn.Sequential, nn.ModuleList)


def feature_layers(model: nn.Module) -> tuple[str, ...]:
    """The names of the layers whose features are compared by default.

    The models of this package list theirs in an attribute ``feature_layers``. Any other module
    gives its direct children, with ``Sequential`` and ``ModuleList`` opened.
    """
    listed = getattr(model, "feature_layers", None)
    return tuple(_children(model) if listed is None else listed)


def layers_to_tap(model: nn.Module, layers: Sequence[str] | None) -> tuple[str, ...]:
    """The given layers, or the default ones (ValueError where there are none)."""
    layers = tuple(feature_layers(model) if layers is None else layers)
    if not layers:
        raise ValueError("no layers to compare; name some of model.named_modules() in layers")
    return layers


def _children(module: nn.Module, prefix: str = "") -> Iterator[str]:
    for name, child in module.named_children():
        if isinstance(child, _CONTAINERS):
            yield from _children(child, f"{prefix}{name}.")
        else:
            yield prefix + name


def samples_first(module: nn.Module, output: object, layer: str) -> Tensor:
    """The feature in a module's output, a tensor with samples first.

    The output is a tensor (samples, …), or (tokens, samples, …) where the module's own attention
    takes that order, or a tuple or list that starts with one; ``layer`` is for the error.
    """
    tensor = output[0] if isinstance(output, (tuple, list)) and output else output
    if not isinstance(tensor, Tensor) or tensor.dim() == 0:
        raise TypeError(
            f"layer {layer!r} gives a {type(output).__name__}, not a tensor or a tuple that starts "
            "with one; tap a layer inside it"
        )
    is_tokens_first = any(
        isinstance(part, nn.MultiheadAttention) and not part.batch_first
        for part in (module, *module.children())
    )
    return tensor.transpose(0, 1) if is_tokens_first else tensor


@contextmanager
def taps(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """While open, each forward pass of ``model`` fills the yielded dict: layer → feature.

    The caller empties the dict between passes; the module is left without hooks. A transformer
    block whose attention is not batch-first gives the same feature, tokens × width, as one whose
    attention is.

    Args:
        model: any module.
        layers: names as in ``model.named_modules()``; ``""`` is the model's own output.

    Raises:
        KeyError: a layer that the model does not have.
        RuntimeError: (in a pass) a layer that runs twice, whose feature would be ambiguous.
    """
    modules = dict(model.named_modules())
    for layer in layers:
        if layer not in modules:
            near = [name for name in modules if layer.split(".")[-1] in name] or list(modules)[1:]
            raise KeyError(
                f"the model has no layer {layer!r}; it has {near[:8]}"
                f"{' and more' if len(near) > 8 else ''}"
            )
    seen: dict[str, Tensor] = {}

    def keep(layer: str, module: nn.Module, _: object, output: object) -> None:
        if layer in seen:
            raise RuntimeError(
                f"layer {layer!r} ran twice in one pass, so it has no single feature; "
                "tap a layer that runs once"
            )
        feature = samples_first(module, output, layer).detach()
        # A copy, since a later in-place layer (a ReLU, a residual sum) would change it.
        seen[layer] = feature.clone(memory_format=torch.contiguous_format).flatten(1)

    handles = [modules[layer].register_forward_hook(partial(keep, layer)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode without gradients; its modules' modes are put back after."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, training in modes.items():
            module.training = training
