"""Residual networks with named blocks (He et al. 2016): for small images, and for ImageNet.

Each takes pixels in [0, 1] and normalizes them itself. Features are those of the paper's
Figures 15 and 16: the stem and every residual block's output, then the logits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.transforms import Normalize

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Subsample(nn.Module):
    """Shortcut "option A": every second pixel, and zeros for the new channels; no parameters."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        half = self.added // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.added - half))


class Block(nn.Module):
    """Two 3×3 convolutions with BatchNorm around a shortcut; its output is after the last ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class SplitBlock(Block):
    """The block of continual learning: ReLU before BatchNorm, and no norm on the shortcut.

    ``r = BN(ReLU(conv(x)))``, then ``BN(ReLU(conv(r) + shortcut(x)))``, in the order of Mirzadeh et
    al.'s published code (stable-continual-learning). That code makes the second convolution and
    never runs it; here it runs, since without it there are not 18 layers.
    """

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(self.bn1(F.relu(self.conv1(x))))
        return self.bn2(F.relu(inner + self.shortcut(x)))


class Projection(nn.Conv2d):
    """A 1×1 convolution that takes its pixels, one in each stride, before it mixes channels.

    The same function as the strided one. With channels last on a CPU, that one gives wrong
    gradients or crashes where its input has fewer channels than a register holds numbers, 8 or 16
    (uxlfoundation/oneDNN#6035).
    """

    def forward(self, input: Tensor) -> Tensor:
        down, right = self.stride
        return F.conv2d(input[:, :, ::down, ::right], self.weight)


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Shortcut "option B": a 1×1 convolution with BatchNorm where the shape changes."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        Projection(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
    )


def _bare_projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The same without BatchNorm."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(Projection(inputs, outputs, 1, stride, bias=False))


def _subsample(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential() if stride == 1 else Subsample(outputs - inputs)


class _SmallImageResNet(nn.Module):
    """A 3×3 stem, stages of blocks that halve the image and double the width, and a linear head."""

    def __init__(
        self,
        widths: list[int],
        blocks: int,
        classes: int,
        shortcut: Callable[[int, int, int], nn.Module],
        block: Callable[[int, int, int, nn.Module], nn.Module] = Block,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(**_IMAGENET)
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.stem = nn.ReLU()
        inputs = widths[0]
        for stage, outputs in enumerate(widths, 1):
            made = []
            for depth in range(blocks):
                stride = 2 if stage > 1 and depth == 0 else 1
                made.append(block(inputs, outputs, stride, shortcut(inputs, outputs, stride)))
                inputs = outputs
            self.add_module(f"layer{stage}", nn.Sequential(*made))
        self.linear = nn.Linear(inputs, classes)
        self._stages = [f"layer{stage}" for stage in range(1, len(widths) + 1)]
        names = [f"{stage}.{depth}" for stage in self._stages for depth in range(blocks)]
        self.feature_layers = ("stem", *names, "linear")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.bn1(self.conv1(self.normalize(x))))
        for stage in self._stages:
            x = self.get_submodule(stage)(x)
        return self.linear(x.mean((2, 3)))


class ResNet18(_SmallImageResNet):
    """The usual ResNet-18 for 32×32 images: four stages of two blocks, projection shortcuts.

    Args:
        width: channels of the first stage.
        classes: logits.
    """

    def __init__(self, width: int = 64, classes: int = 100) -> None:
        super().__init__([width, 2 * width, 4 * width, 8 * width], 2, classes, _projection)


class SplitResNet18(_SmallImageResNet):
    """The ResNet-18 of continual learning, which the paper takes from Mirzadeh et al. (2021).

    Args:
        width: channels of the first stage, 20 there.
        classes: logits of all tasks; each task's loss masks those of the others.
    """

    def __init__(self, width: int = 20, classes: int = 100) -> None:
        widths = [width, 2 * width, 4 * width, 8 * width]
        super().__init__(widths, 2, classes, _bare_projection, SplitBlock)


class CifarResNet(_SmallImageResNet):
    """ResNet-20, 32, 44 or 56 for CIFAR-10: three stages, shortcuts without parameters.

    Its keys are those of Y. Idelbayev's published weights (BSD licence).

    Args:
        depth: layers with weights, two in each of ``(depth − 2) / 6`` blocks of a stage.
        classes: logits.
    """

    def __init__(self, depth: int = 20, classes: int = 10) -> None:
        super().__init__([16, 32, 64], (depth - 2) // 6, classes, _subsample)


class ImageNetResNet18(ResNet):
    """torchvision's ResNet-18 for 224×224 images (Figure 12)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=classes)
        self.normalize = Normalize(**_IMAGENET)
        blocks = [f"layer{stage}.{depth}" for stage in range(1, 5) for depth in range(2)]
        self.feature_layers = ("maxpool", *blocks, "fc")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.normalize(x))
