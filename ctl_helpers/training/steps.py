"""Training a number of steps with AdamW, for transformers: contrastive, or under a frozen head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images, floats
from ctl_helpers.training.loop import AnyRecipe, Limits, Snapshot, training
from ctl_helpers.training.trainable import VARIANTS, Paradigm, trainable

Loss = Callable[[nn.Module, Tensor], Tensor]
"""Of a network on the samples of the given indices."""

_LARGEST_SCALE = 4.0  # of the logarithm; under it the softmax of a small batch stays soft


@dataclass(frozen=True)
class StepRecipe(AnyRecipe):
    """AdamW with a linear warm-up and a cosine down to 0; see :class:`AnyRecipe`.

    Attributes:
        steps: updates, each on samples drawn without replacement.
        warmup: steps of warm-up.
        clip: the largest norm of the gradient.
        paradigm: what trains; the weight decay is on those parameters.
        rank: of LoRA's factors, by which alone these weights move; 0 where they move freely.
    """

    steps: int
    lr: float
    batch_size: int
    weight_decay: float = 0.0
    warmup: int = 0
    clip: float = 1.0
    paradigm: Paradigm = Paradigm.FULL
    rank: int = 0

    def limits(self) -> Limits:
        """Of steps, warm-up, the gradient's norm, the paradigm and the rank."""
        weights_alone = [str(each) for each in VARIANTS if str(each).endswith("weights")]
        return {
            "steps": (self.steps >= 1, "1 or more"),
            "warmup": (0 <= self.warmup <= self.steps, "from 0 to the number of steps"),
            "clip": (self.clip > 0, "positive"),
            "paradigm": (
                self.paradigm in list(Paradigm),
                f"one of {', '.join(map(str, Paradigm))}",
            ),
            "rank": (
                self.rank == 0 or (self.rank > 0 and str(self.paradigm) in weights_alone),
                f"0, or positive with the paradigm {' or '.join(weights_alone)}",
            ),
        }

    def shortened(self, share: float) -> StepRecipe:
        """A share of the steps, one at least, and of the warm-up."""
        steps, warmup = (round(share * count) for count in (self.steps, self.warmup))
        return replace(self, steps=max(steps, 1), warmup=warmup)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.lr * (1 + math.cos(math.pi * done)) / 2


def adamw(model: nn.Module, recipe: StepRecipe) -> torch.optim.AdamW:
    """The optimizer of a model, which is set to train, and frozen where the recipe leaves it out.

    Raises:
        ValueError: no parameter that the recipe trains.
    """
    model.train()
    named = dict(model.named_parameters())
    trains = trainable(named, recipe.paradigm)
    for name in named.keys() - set(trains):
        named[name].requires_grad_(False)
    parameters = [named[name] for name in trains]
    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def update(
    model: nn.Module, loss: Loss, chosen: Tensor, optimizer: torch.optim.Optimizer, clip: float
) -> float:
    """One step of training, in place.

    Args:
        model: what is trained.
        loss: of the model on a step's samples.
        chosen: the indices of these samples.
        optimizer: of all parameters that train.
        clip: the largest norm of the gradient.

    Returns:
        The loss before the step.
    """
    optimizer.zero_grad()
    value = loss(model, chosen)
    value.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], clip)
    optimizer.step()
    return value.item()


def steps(
    model: nn.Module,
    loss: Loss,
    samples: int,
    start: Snapshot,
    recipe: StepRecipe,
    seed: int,
    every: int = 50,
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot now and then and after the last step.

    The last one lacks the optimizer's state, which is twice as large as the weights: the schedule
    ends there, and no training goes on from it.

    A step's samples depend on ``seed`` and its number alone, so that training may stop and go on
    at any snapshot, with the same weights in the end on the same machine.

    Args:
        model: trained in place, on the device where it stands; parameters that the recipe leaves
            out are frozen.
        loss: of the model on a step's samples.
        samples: how many there are to draw from.
        start: where to begin.
        recipe: how to train.
        seed: decides which samples a step sees.
        every: steps between snapshots.

    Raises:
        ValueError: fewer samples than a batch has; no parameter that the recipe trains; or the
            loss or a weight became NaN or infinite.
    """
    if samples < recipe.batch_size:
        raise ValueError(
            f"there are {samples} samples for batches of {recipe.batch_size}; use smaller batches"
        )
    model.load_state_dict(start.weights)
    optimizer = adamw(model, recipe)
    device = optimizer.param_groups[0]["params"][0].device

    def step(number: int) -> float:
        optimizer.param_groups[0]["lr"] = recipe.rate(number)
        generator = torch.Generator().manual_seed(seed * 100_003 + number)
        chosen = torch.randperm(samples, generator=generator)[: recipe.batch_size]
        return update(model, loss, chosen.to(device), optimizer, recipe.clip)

    snapshots = training(model, optimizer, start, recipe.steps, step, every)
    return (
        replace(snapshot, optimizer={}) if snapshot.done == recipe.steps else snapshot
        for snapshot in snapshots
    )


def contrastive(tower: Callable[[Tensor], Tensor], inputs: Tensor, tokens: Tensor) -> Loss:
    """The loss of CLIP (Radford et al. 2021) on captioned images.

    A batch has many images of one caption, so the softmax runs over its *distinct* captions; the
    other way, a caption's probability mass is spread evenly over its images.

    Args:
        tower: embeds images, with the weights of the CLIP that is trained.
        inputs: images, bytes or floats, (samples, 3, height, width).
        tokens: their captions, (samples, context).
    """

    def loss(model: Any, chosen: Tensor) -> Tensor:
        texts, which = tokens[chosen].unique(dim=0, return_inverse=True)
        images = F.normalize(tower(floats(inputs[chosen])), dim=-1)
        scale = model.logit_scale.clamp(max=_LARGEST_SCALE).exp()
        logits = scale * images @ F.normalize(model.encode_text(texts), dim=-1).T
        matches = F.one_hot(which, len(texts)).to(logits)
        by_text = (matches / matches.sum(0)).T
        return (F.cross_entropy(logits, which) + F.cross_entropy(logits.T, by_text)) / 2

    return loss


def classification(images: Images, head: Callable[[Tensor], Tensor]) -> Loss:
    """Cross-entropy of a model that embeds images, under a frozen head.

    Args:
        images: the training set.
        head: embeddings → logits.
    """

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        logits = head(model(floats(images.inputs[chosen])))
        return F.cross_entropy(logits, images.targets[chosen])

    return loss


def labelling(
    batch: Callable[[Tensor], tuple[Mapping[str, Tensor], Tensor]],
    head: Callable[[Tensor], Tensor],
) -> Loss:
    """Cross-entropy of a model that makes vectors of texts, under a frozen head.

    Args:
        batch: indices of samples → what the model takes as keywords, and labels.
        head: vectors → logits.
    """

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        inputs, targets = batch(chosen)
        return F.cross_entropy(head(model(**inputs)), targets)

    return loss
