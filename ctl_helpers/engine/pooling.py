"""One feature of each sample from the states of its tokens, those of padding left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Way = Literal["flatten", "mean", "first", "last"]
Pooling = Way | Callable[[Tensor, Tensor | None], Tensor]
"""A name, or a function of states (samples, tokens, …) and of which tokens count, (samples, tokens)
or None where nothing says so, that gives (samples, …)."""

Poolings = Pooling | Mapping[str, Pooling] | None


def pooling_of(layers: Sequence[str], pooling: Poolings) -> dict[str, Pooling]:
    """Layer → how its feature is made; ``"flatten"`` where nothing is said.

    Raises:
        KeyError: a layer that is not tapped.
        ValueError: an unknown name.
    """
    given = pooling if isinstance(pooling, Mapping) else dict.fromkeys(layers, pooling or "flatten")
    for layer, way in given.items():
        if layer not in layers:
            raise KeyError(f"pooling names the layer {layer!r}, which is none of {list(layers)}")
        if not callable(way) and way not in get_args(Way):
            raise ValueError(
                f"the pooling of layer {layer!r} is {way!r}; choose one of {get_args(Way)}, or a "
                "function of states and mask"
            )
    return {layer: given.get(layer, "flatten") for layer in layers}


def pooled(states: Tensor, counted: Tensor | None, way: Pooling, layer: str) -> Tensor:
    """The feature of each sample.

    Args:
        states: samples first, then tokens where ``counted`` is given.
        counted: shape (samples, tokens), true where a token counts; None for all.
        way: see :data:`Pooling`. ``"flatten"`` keeps all tokens, with zeros where one does not
            count; ``"mean"``, ``"first"`` and ``"last"`` are of those that count. A feature of one
            vector per sample has no tokens, and stays as it is under every name.
        layer: for errors.

    Returns:
        Shape (samples, …).

    Raises:
        ValueError: a sample no token of which counts; a feature whose tokens are unknown; a
            function that gives another number of samples.
    """
    if callable(way):
        feature = way(states, counted)
        if not isinstance(feature, Tensor) or feature.dim() == 0 or len(feature) != len(states):
            given = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
            raise ValueError(
                f"the pooling of layer {layer!r} gives {given} for {len(states)} samples; let the "
                "function give (samples, …)"
            )
        return feature
    if way == "flatten":
        return states if counted is None or counted.all() else _without(states, counted)
    if counted is None:
        if states.dim() < 3:
            return states
        if states.dim() > 3:
            raise ValueError(
                f"the pooling {way!r} of layer {layer!r} needs features (samples, tokens, width), "
                f"and these have the shape {tuple(states.shape)}; pass a function of states and "
                "mask"
            )
        counted = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    if not counted.any(1).all():
        raise ValueError(
            f"a mask leaves no token of a sample, so that layer {layer!r} has no {way!r} feature; "
            "leave such samples out"
        )
    if way == "mean":
        return mean_over(states, counted)
    order = counted.int() if way == "first" else counted.int().flip(1)
    place = order.argmax(1)  # the first that counts
    place = place if way == "first" else counted.shape[1] - 1 - place
    return states[torch.arange(len(states), device=states.device), place]


def mean_over(states: Tensor, counted: Tensor) -> Tensor:
    """The mean of the counted tokens' states, at least in float32.

    Args:
        states: shape (samples, tokens, …).
        counted: shape (samples, tokens), not zero where a token counts.

    Returns:
        Shape (samples, …).
    """
    wide = states.to(torch.promote_types(states.dtype, torch.float32))
    number = counted.ne(0).sum(1).reshape(-1, *(1,) * (states.dim() - 2))
    return _without(wide, counted).sum(1) / number


def _without(states: Tensor, counted: Tensor) -> Tensor:
    """The states, with zeros where a token does not count."""
    left_out = counted == 0
    return states.masked_fill(left_out.reshape(*counted.shape, *(1,) * (states.dim() - 2)), 0)
