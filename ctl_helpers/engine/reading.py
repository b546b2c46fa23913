"""From what layers give to features: which dimension is the samples, and which tokens count."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.outputs import feature_in, is_tokens_first, tokens_in
from ctl_helpers.engine.pooling import Pooling, pooled

Shape = tuple[int, ...]

# Modules that are told which tokens are padding: the place and the name of that argument.
_PADDED = {
    nn.TransformerEncoder: (2, "src_key_padding_mask"),
    nn.TransformerEncoderLayer: (2, "src_key_padding_mask"),
    nn.TransformerDecoder: (4, "tgt_key_padding_mask"),
    nn.TransformerDecoderLayer: (4, "tgt_key_padding_mask"),
    nn.MultiheadAttention: (3, "key_padding_mask"),
}


@dataclass(frozen=True)
class Shorter:
    """The shapes of layers on a batch with fewer tokens, as told by a mask.

    Attributes:
        mask: the mask's name in the batch.
        before, after: how many tokens there are, and how many were left.
        shapes: layer → shape.
    """

    mask: str
    before: int
    after: int
    shapes: Mapping[str, Shape]


@dataclass
class Seen:
    """What is known of layers from passes on few samples of a batch.

    Attributes:
        samples: how many.
        shapes: layer → shape.
        shorter: the same samples with fewer tokens, for each mask.
    """

    samples: int = 0
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    shorter: list[Shorter] = field(default_factory=list)


class Reader:
    """Makes features (samples, width) of what layers give.

    The samples are the dimension that was as long as the samples in two passes on different
    numbers of them; tokens are told likewise. Where there was one pass alone, shapes decide.

    Args:
        pooling: layer → how its feature is made of its tokens, for every tapped layer.

    Attributes:
        seen: from passes on few samples.
    """

    def __init__(self, pooling: Mapping[str, Pooling]) -> None:
        self._pooling = pooling
        self.seen = Seen()
        self._axes: dict[str, int] = {}
        self._declared: dict[str, bool] = {}
        self._ragged: dict[str, Tensor | None] = {}
        self._told: set[str] = set()
        self._padding: dict[int, Tensor] = {}

    @contextmanager
    def watching_padding(self, model: nn.Module) -> Iterator[None]:
        """While open, masks that are made in a pass and given to modules of torch are known."""
        handles = [model.register_forward_pre_hook(lambda *_: self._padding.clear())]
        handles += [
            part.register_forward_pre_hook(self._keep_padding, with_kwargs=True)
            for part in _told_of_padding(model)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def read(self, module: nn.Module, output: object, layer: str) -> Tensor:
        """A copy of the tensor in a layer's output."""
        self._declared[layer] = is_tokens_first(module, output)
        self._ragged[layer] = tokens_in(output)
        # A copy, since a later in-place layer (a ReLU, a residual sum) would change it.
        feature = feature_in(output, layer).detach()
        return feature.clone(memory_format=torch.contiguous_format)

    def features(self, outputs: Mapping[str, Tensor], batch: Inputs) -> dict[str, Tensor]:
        """Layer → feature (samples, width), from what :meth:`read` gave in the last pass.

        Raises:
            RuntimeError: a layer that gives no row per sample.
            ValueError: as :func:`~ctl_helpers.engine.pooling.pooled`.
        """
        masks, features = batch.masks(), {}
        for layer, states in outputs.items():
            way, axis = self._pooling[layer], self._sample_axis(layer, states, batch)
            tokens, counted = self._tokens(layer, states, axis, masks)
            states = states.movedim(axis, 0)
            if counted is not None:
                states = states.movedim(tokens + (tokens < axis), 1)
            feature = pooled(states, counted, way, layer)
            feature = torch.view_as_real(feature) if feature.is_complex() else feature
            features[layer] = feature.reshape(len(feature), -1)
        return features

    def complete(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The features of all layers (RuntimeError where one did not run)."""
        for layer in self._pooling:
            if layer not in features:
                raise RuntimeError(
                    f"layer {layer!r} did not run in the forward pass; choose layers that do"
                )
        return {layer: features[layer] for layer in self._pooling}

    def _sample_axis(self, layer: str, states: Tensor, batch: Inputs) -> int:
        """The dimension of the samples."""
        shape, few = tuple(states.shape), self.seen.shapes.get(layer)
        is_known = few is not None and len(few) == len(shape) and self.seen.samples != batch.size
        if layer not in self._axes and few is not None and is_known:
            follow = following(few, shape, self.seen.samples, batch.size)
            self._axes |= {layer: follow[0]} if follow else {}
            if not follow:
                raise RuntimeError(_no_rows(layer, shape, batch))
        axis = self._axes.get(layer)
        if axis is None:
            return self._axis_by_shape(layer, shape, batch)
        if axis >= len(shape) or shape[axis] != batch.size:
            raise RuntimeError(_no_rows(layer, shape, batch))
        return axis

    def _axis_by_shape(self, layer: str, shape: Shape, batch: Inputs) -> int:
        fits = [axis for axis in (0, 1) if axis < len(shape) and shape[axis] == batch.size]
        fits = fits if len(shape) > 2 else [axis for axis in fits if axis == 0]
        if not fits:
            raise RuntimeError(_no_rows(layer, shape, batch))
        if len(fits) == 1 or batch.size == 1:
            return fits[0]
        if not self._declared[layer]:
            self._tell(
                layer,
                f"layer {layer!r} gives {shape} for {batch.size} samples, of which the first "
                "dimension is taken for the samples; pass batches of another size to be sure",
            )
        return int(self._declared[layer])

    def _tokens(
        self, layer: str, states: Tensor, axis: int, masks: Mapping[str, Tensor]
    ) -> tuple[int, Tensor | None]:
        """The dimension of the tokens, and which of them count where a mask says so."""
        ragged = self._ragged[layer]
        if ragged is not None:
            return 1, ragged.to(states.device)
        shape = tuple(states.shape)
        for one in self.seen.shorter:
            few, fewer = self.seen.shapes.get(layer, ()), one.shapes.get(layer, ())
            follow = following(fewer, few, one.after, one.before)
            place = next((a for a in follow if a != axis), None)
            if place is not None:
                return place, masks.get(one.mask)
            if fewer != few and one.mask in masks and not masks[one.mask].all():
                self._tell(
                    layer,
                    f"the tokens of layer {layer!r} are not those of {one.mask!r}, so that padding "
                    "counts in its features; pass samples of one length, or a function as pooling",
                )
        known = {one.mask for one in self.seen.shorter}
        unknown = [mask for name, mask in masks.items() if name not in known]
        place = 1 - min(axis, 1)
        for mask in (*unknown, *self._padding.values()):
            if states.dim() > 2 and shape[place] == mask.shape[1] and len(mask) == shape[axis]:
                return place, mask
        return place, None

    def _keep_padding(self, module: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> None:
        place, name = next(_PADDED[kind] for kind in _PADDED if isinstance(module, kind))
        mask = args[place] if len(args) > place else kwargs.get(name)
        if isinstance(module, nn.MultiheadAttention):
            query, key = (*args, *(kwargs.get(part) for part in ("query", "key")[len(args) :]))[:2]
            mask = mask if query is key else None  # else it is about other tokens
        if isinstance(mask, Tensor) and mask.dim() == 2:
            counted = ~mask if mask.dtype == torch.bool else mask == 0
            self._padding.setdefault(mask.shape[1], counted)

    def _tell(self, layer: str, sentence: str) -> None:
        if layer not in self._told:
            warnings.warn(sentence, stacklevel=2)
            self._told.add(layer)


def following(few: Shape, many: Shape, before: int, after: int) -> list[int]:
    """The dimensions that are as long as what there are few and then many of."""
    if len(few) != len(many) or before == after:
        return []
    pairs = zip(few, many, strict=True)
    return [axis for axis, lengths in enumerate(pairs) if lengths == (before, after)]


def _no_rows(layer: str, shape: Shape, batch: Inputs) -> str:
    counted = f", counted by {sorted(batch.by_sample)}" if batch.keywords else ""
    return (
        f"layer {layer!r} gives {shape[0]} rows for {batch.size} samples{counted}: none of the "
        f"dimensions {shape} is the samples; tap a layer that keeps samples apart"
    )


def _told_of_padding(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that are told which tokens are padding.

    A hook inside of one would cost its fast path.
    """
    if isinstance(module, tuple(_PADDED)):
        yield module
    else:
        for child in module.children():
            yield from _told_of_padding(child)
