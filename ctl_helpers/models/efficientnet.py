"""EfficientNets through timm (Tan and Le 2019): images to pooled features, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_GREY = 0.5  # mean and deviation of pixels: to [−1, 1]


class EfficientNet(nn.Module):
    """Images (samples, 3, height, width) in [0, 1] → pooled features (samples, width).

    Images are enlarged, and their pixels taken to [−1, 1], here. Layers are the stem, the stages of
    blocks, and the pooled features. It can be run in two parts at any of them, as stitching needs.
    Its state dict has timm's names, without the classifier.

    Args:
        size: timm's name.
        pixels: a side of the images that the first layer sees.
        frozen_norm: whether BatchNorm keeps its statistics and uses them in training, too.
    """

    def __init__(self, size: str, pixels: int, frozen_norm: bool) -> None:
        import timm  # takes seconds

        super().__init__()
        network: Any = timm.create_model(size, num_classes=0)
        self.conv_stem, self.bn1, self.blocks = network.conv_stem, network.bn1, network.blocks
        self.conv_head, self.bn2 = network.conv_head, network.bn2
        self.global_pool = network.global_pool
        self.stem, self.pooled = nn.Identity(), nn.Identity()  # names for their outputs
        self.pixels, self.frozen_norm = pixels, frozen_norm
        stages = (f"blocks.{number}" for number in range(len(self.blocks)))
        self.feature_layers = ("stem", *stages, "pooled")

    def forward(
        self, inputs: Tensor, *, until: str | None = None, after: str | None = None
    ) -> Tensor:
        """The pooled features, or a part of the way.

        Args:
            inputs: images, or with ``after`` the feature of that layer.
            until: a layer whose feature to return.
            after: a layer whose feature ``inputs`` is (KeyError where there is no such layer).
        """
        first = 0 if after is None else self._number(after) + 1
        last = len(self.feature_layers) if until is None else self._number(until) + 1
        x = inputs
        for layer in self.feature_layers[first:last]:
            x = self._run(layer, x)
        return x

    def train(self, mode: bool = True) -> EfficientNet:
        """As of every module; BatchNorm stays as in evaluation where it is frozen."""
        super().train(mode)
        for module in self.modules():
            if self.frozen_norm and isinstance(module, _BatchNorm):
                module.eval()
        return self

    def _run(self, layer: str, x: Tensor) -> Tensor:
        if layer == "stem":
            return self.stem(self.bn1(self.conv_stem(self._prepared(x))))
        if layer == "pooled":
            return self.pooled(self.global_pool(self.bn2(self.conv_head(x))))
        return self.get_submodule(layer)(x)

    def _prepared(self, images: Tensor) -> Tensor:
        large = F.interpolate(images, (self.pixels, self.pixels), mode="bilinear", antialias=True)
        # Convolutions run a third faster with channels last.
        return ((large - _GREY) / _GREY).contiguous(memory_format=torch.channels_last)

    def _number(self, layer: str) -> int:
        if layer not in self.feature_layers:
            raise KeyError(f"the network has no layer {layer!r}; it has {self.feature_layers}")
        return self.feature_layers.index(layer)


def from_efficientnet_pytorch(
    size: str, state: Mapping[str, Tensor], name: str
) -> dict[str, Tensor]:
    """A checkpoint of the package efficientnet-pytorch and its kin, under timm's names.

    Both packages list the same tensors in the same order.

    Args:
        size: timm's name of the architecture, classifier included.
        state: what the file holds.
        name: what errors call it.

    Raises:
        ValueError: another number of tensors, or of another kind or shape.
    """
    import timm

    with torch.device("meta"):
        wanted = timm.create_model(size).state_dict()
    if len(state) != len(wanted):
        raise ValueError(f"{name} has {len(state)} tensors, and {size} has {len(wanted)}")
    for (theirs, value), (ours, like) in zip(state.items(), wanted.items(), strict=True):
        kinds = {key.rpartition(".")[2] for key in (theirs, ours)}
        if len(kinds) > 1 or value.shape != like.shape:
            raise ValueError(
                f"{name} has {theirs!r} of shape {tuple(value.shape)} where {size} has {ours!r} of "
                f"shape {tuple(like.shape)}; give the weights of that architecture"
            )
    return dict(zip(wanted, state.values(), strict=True))


@torch.no_grad()
def with_statistics(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the same function in evaluation, under other running statistics of BatchNorm.

    With mean m and variance v in place of m₀ and v₀, a norm with gain γ and shift β gets the gain
    ``γ √((v + ε) / (v₀ + ε))`` and the shift ``β + γ (m − m₀) / √(v₀ + ε)``.

    Args:
        model: the network; it stays as it is.
        state: a state dict with the other statistics, under the same names.
    """
    found = dict(model.state_dict())
    for name, norm in model.named_modules():
        if isinstance(norm, _BatchNorm):
            means, variances = (f"{name}.running_{kind}" for kind in ("mean", "var"))
            gain = found[f"{name}.weight"] / (found[variances] + norm.eps).sqrt()
            shift = gain * (state[means] - found[means])
            found[f"{name}.bias"] = found[f"{name}.bias"] + shift
            found[f"{name}.weight"] = gain * (state[variances] + norm.eps).sqrt()
            found |= {means: state[means], variances: state[variances]}
    return found


def imagenet_rows(wordnet_ids: Sequence[str]) -> list[int]:
    """Which of ImageNet-1k's classes some are, in the order of its classifiers.

    Raises:
        ValueError: one that is none of them.
    """
    from timm.data import ImageNetInfo

    places = {name: row for row, name in enumerate(ImageNetInfo().label_names())}
    if strange := [name for name in wordnet_ids if name not in places]:
        raise ValueError(f"{strange[0]!r} is the WordNet id of none of ImageNet's 1,000 classes")
    return [places[name] for name in wordnet_ids]
