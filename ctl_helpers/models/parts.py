"""Small networks whose parts are chosen one by one: an MLP, a residual network, a transformer.

Each is a stem, blocks of one kind, and a linear head. Features are the stem's, every block's
output, and the logits: ``stem``, ``blocks.0 … blocks.N`` and ``head``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import Normalize

Norm = Literal["none", "batch", "group", "layer"]
Activation = Literal["relu", "gelu", "tanh", "linear"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}
_GROUPS = 4
_PATCH = 4
_HEADS = 4
# The mean and standard deviation of ImageNet's channels.
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def norm_of(kind: Norm, channels: int, batch: type[nn.Module]) -> nn.Module:
    """A normalization of ``(samples, channels, …)``; LayerNorm is GroupNorm of a single group.

    Args:
        batch: BatchNorm for inputs of this shape.
    """
    if kind == "batch":
        return batch(channels)
    if kind == "none":
        return nn.Identity()
    return nn.GroupNorm(_GROUPS if kind == "group" else 1, channels)


class _Stem(nn.Module):
    """A map into the width, its normalization and activation; all inputs pass ``before`` first."""

    def __init__(
        self, before: nn.Module, into: nn.Module, norm: nn.Module, activation: Activation
    ) -> None:
        super().__init__()
        self.before, self.into, self.norm = before, into, norm
        self.activate = _ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(self.norm(self.into(self.before(x))))


class _Block(nn.Module):
    """``act(shortcut(x) + norm(map(act(norm(map(x))))))``, without the shortcut if so asked."""

    def __init__(
        self,
        maps: tuple[nn.Module, nn.Module],
        norms: tuple[nn.Module, nn.Module],
        activation: Activation,
        shortcut: nn.Module | None,
    ) -> None:
        super().__init__()
        self.map1, self.map2 = maps
        self.norm1, self.norm2 = norms
        self.activate, self.shortcut = _ACTIVATIONS[activation], shortcut

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.map2(self.activate(self.norm1(self.map1(x)))))
        return self.activate(inner if self.shortcut is None else inner + self.shortcut(x))


class _AttentionBlock(nn.TransformerEncoderLayer):
    """torch's block with the norm first; its two shortcuts and its norms can be left out."""

    def __init__(self, width: int, residual: bool, norm: Norm, activation: Activation) -> None:
        super().__init__(
            width, _HEADS, 2 * width, 0.0, _ACTIVATIONS[activation],
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.residual = residual
        if norm == "none":
            self.norm1, self.norm2 = nn.Identity(), nn.Identity()  # type: ignore[assignment]

    def forward(self, src: Tensor, *args: object, **kwargs: object) -> Tensor:
        attended = self._sa_block(self.norm1(src), None, None)
        x = src + attended if self.residual else attended
        fed = self._ff_block(self.norm2(x))
        return x + fed if self.residual else fed


class _Patches(nn.Module):
    """Patches of 4×4 pixels as tokens, with learned places."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, width, _PATCH, _PATCH)
        self.places = nn.Parameter(0.02 * torch.randn((size // _PATCH) ** 2, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x).flatten(2).transpose(1, 2) + self.places


class PartsNetwork(nn.Module):
    """A stem, blocks, what is done to their output, and a linear head."""

    def __init__(
        self, stem: nn.Module, blocks: Sequence[nn.Module], pool: nn.Module, head: nn.Module
    ) -> None:
        super().__init__()
        self.stem, self.blocks, self.pool, self.head = stem, nn.Sequential(*blocks), pool, head
        self.feature_layers = ("stem", *(f"blocks.{n}" for n in range(len(blocks))), "head")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))))


class MeanOver(nn.Module):
    """The mean over some dimensions."""

    def __init__(self, *dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dimensions)


class PartsMLP(PartsNetwork):
    """Blocks of two linear maps.

    Args:
        inputs: values of one flattened image.
        width: units of each layer.
        depth: blocks.
        classes: logits.
        residual: whether blocks have shortcuts.
        norm, activation: of every layer but the head.
    """

    def __init__(
        self, inputs: int = 784, width: int = 64, depth: int = 2, classes: int = 10,
        residual: bool = True, norm: Norm = "layer", activation: Activation = "relu",
    ) -> None:  # fmt: skip
        make_norm = partial(norm_of, norm, width, nn.BatchNorm1d)
        stem = _Stem(nn.Flatten(), nn.Linear(inputs, width), make_norm(), activation)
        blocks = [
            _Block(
                (nn.Linear(width, width), nn.Linear(width, width)), (make_norm(), make_norm()),
                activation, nn.Identity() if residual else None,
            )
            for _ in range(depth)
        ]  # fmt: skip
        super().__init__(stem, blocks, nn.Identity(), nn.Linear(width, classes))


class PartsResNet(PartsNetwork):
    """A residual network for 32×32 pixels: three stages, each half as large and twice as wide.

    Shortcuts have no parameters where the shape stays, and are 1×1 convolutions where it changes.

    Args:
        width: channels of the first stage.
        depth: blocks of a stage.
        classes, residual, norm, activation: as for :class:`PartsMLP`.
    """

    def __init__(
        self, width: int = 16, depth: int = 1, classes: int = 100,
        residual: bool = True, norm: Norm = "batch", activation: Activation = "relu",
    ) -> None:  # fmt: skip
        make_norm = partial(norm_of, norm, batch=nn.BatchNorm2d)
        into = nn.Conv2d(3, width, 3, padding=1)
        stem = _Stem(Normalize(**_IMAGENET), into, make_norm(width), activation)
        blocks: list[nn.Module] = []
        inputs = width
        for outputs in (width, 2 * width, 4 * width):
            for number in range(depth):
                stride = 2 if outputs > width and number == 0 else 1
                maps = (
                    nn.Conv2d(inputs, outputs, 3, stride, 1),
                    nn.Conv2d(outputs, outputs, 3, padding=1),
                )
                shortcut = _projected(inputs, outputs, stride) if residual else None
                norms = (make_norm(outputs), make_norm(outputs))
                blocks.append(_Block(maps, norms, activation, shortcut))
                inputs = outputs
        super().__init__(stem, blocks, MeanOver(2, 3), nn.Linear(inputs, classes))


class PartsViT(PartsNetwork):
    """A small vision transformer: patches of 4×4 pixels, four heads, the mean over tokens.

    Args:
        width: of a token.
        depth: blocks.
        size: pixels per side.
        norm: LayerNorm or none.
        classes, residual, activation: as for :class:`PartsMLP`; the activation is that of the
            feed-forward part.
    """

    def __init__(
        self, width: int = 64, depth: int = 4, classes: int = 100, size: int = 32,
        residual: bool = True, norm: Literal["none", "layer"] = "layer",
        activation: Activation = "gelu",
    ) -> None:  # fmt: skip
        stem = nn.Sequential(Normalize(**_IMAGENET), _Patches(width, size))
        blocks: list[nn.Module] = [
            _AttentionBlock(width, residual, norm, activation) for _ in range(depth)
        ]
        super().__init__(stem, blocks, MeanOver(1), nn.Linear(width, classes))


def _projected(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    # Pooled first: a strided 1×1 convolution of few channels has wrong gradients (oneDNN#6035).
    return nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1))
