"""What an image tower is pretrained for: each objective is a loss of a batch.

Supervision and random labels are :func:`ctl_helpers.training.steps.classification`, captions are
:func:`ctl_helpers.training.steps.contrastive`. Here is what needs no label: agreement of two views
of an image, and pixels that are hidden or noisy. What is drawn at random hangs on the samples of a
step alone, so that training may stop and go on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import floats
from ctl_helpers.training.steps import Loss

TEMPERATURE = 0.2
_SMALLEST = 0.6  # side of a view, as a share of the image's
_GAIN = 0.4  # the most by which a channel of a view gets brighter or darker, as a share
_GREY = 0.5

Spoilt = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Images → what the network sees of them, and which pixels count, each as large as the images."""


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The loss of SimCLR (Chen et al. 2020): each view has to find the other one of its image.

    Args:
        one, other: embeddings of two views, shape (images, width); of any length.
        temperature: that the cosines are divided by.

    Returns:
        The mean over all views of the cross-entropy of the other view among all views but itself.
    """
    both = F.normalize(torch.cat([one, other]), dim=-1)
    likeness = (both @ both.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(likeness, torch.arange(len(both), device=both.device).roll(len(one)))


def view(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random part of each image, enlarged to its size, each channel brighter or darker.

    Args:
        images: floats in [0, 1], shape (images, 3, height, width).
        generator: of chance.
    """
    count = len(images)
    side = 1 - (1 - _SMALLEST) * torch.rand(count, generator=generator)
    shift = (1 - side)[:, None] * (2 * torch.rand(count, 2, generator=generator) - 1)
    frames = torch.cat([torch.diag_embed(side[:, None].expand(-1, 2)), shift[..., None]], dim=-1)
    gains = 1 + _GAIN * (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1)
    grid = F.affine_grid(frames.to(images), list(images.shape), align_corners=False)
    part = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return (gains.to(images) * part).clamp(0, 1)


def agreement(inputs: Tensor) -> Loss:
    """SimCLR: :func:`nt_xent` of two views, as the model embeds them and its ``head`` projects.

    Args:
        inputs: images, bytes or floats.
    """

    def loss(model: Any, chosen: Tensor) -> Tensor:
        images, chance = floats(inputs[chosen]), _chance(chosen)
        one, other = (model.head(model(view(images, chance))) for _ in range(2))
        return nt_xent(one, other, TEMPERATURE)

    return loss


def masked(share: float, patch: int) -> Spoilt:
    """Some patches are grey, and these are what counts (as in SimMIM, Xie et al. 2022).

    Args:
        share: of the patches, rounded to whole patches.
        patch: pixels a side.
    """

    def spoil(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        count, _, height, width = images.shape
        places = (height // patch) * (width // patch)
        order = torch.rand(count, places, generator=generator).argsort(dim=1)
        small = (order < round(share * places)).view(count, 1, height // patch, width // patch)
        hidden = small.repeat_interleave(patch, 2).repeat_interleave(patch, 3).to(images.device)
        hidden = hidden.expand_as(images)
        return images.masked_fill(hidden, _GREY), hidden

    return spoil


def noisy(deviation: float) -> Spoilt:
    """Every pixel has normal noise on it, and every pixel counts (Vincent et al. 2008).

    Args:
        deviation: standard deviation of the noise, the range of pixels being 1.
    """

    def spoil(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(images.shape, generator=generator).to(images)
        return images + deviation * noise, torch.ones_like(images, dtype=torch.bool)

    return spoil


def restoring(inputs: Tensor, spoil: Spoilt, restored: Callable[[Any, Tensor], Tensor]) -> Loss:
    """The mean squared error of images that are restored from spoilt ones, where pixels count.

    Args:
        inputs: images, bytes or floats.
        spoil: :func:`masked` or :func:`noisy`.
        restored: the model and spoilt images → images.
    """

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        images = floats(inputs[chosen])
        seen, counts = spoil(images, _chance(chosen))
        return F.mse_loss(restored(model, seen)[counts], images[counts])

    return loss


def _chance(chosen: Tensor) -> torch.Generator:
    """A generator that depends on a step's samples and on their order."""
    return torch.Generator().manual_seed(zlib.crc32(chosen.cpu().numpy().tobytes()))
