"""Training a number of steps with AdamW, for transformers: contrastive, or under a frozen head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images, floats
from ctl_helpers.training.loop import Snapshot, kept
from ctl_helpers.training.trainable import VARIANTS, trainable

PARADIGMS = ("full", "tangent", *VARIANTS)
"""What trains: all parameters, all of the linearized network, or some linear layers alone."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
_LARGEST_SCALE = 4.0  # of the logarithm; under it the softmax of a small batch stays soft


def trained(names: Iterable[str], paradigm: str) -> tuple[str, ...]:
    """Of a network's parameters, by name, those that a paradigm trains.

    Raises:
        ValueError: as :func:`ctl_helpers.training.trainable.trainable`.
    """
    return trainable(names, paradigm) if paradigm in VARIANTS else tuple(names)


@dataclass(frozen=True)
class StepRecipe:
    """AdamW with a linear warm-up and a cosine down to 0.

    Attributes:
        steps: updates.
        lr: the highest learning rate.
        batch_size: samples a step, drawn without replacement.
        weight_decay: AdamW's, on all parameters that train.
        warmup: steps of warm-up.
        clip: the largest norm of the gradient.
        paradigm: what trains, one of :data:`PARADIGMS`: all parameters (``"full"``); all of the
            network linearized around where it starts (``"tangent"``); or linear layers alone, a
            variant of :data:`ctl_helpers.training.trainable.VARIANTS`.

    Raises:
        ValueError: a number or word that is none such, named with what it has to be.
    """

    steps: int
    lr: float
    batch_size: int
    weight_decay: float = 0.0
    warmup: int = 0
    clip: float = 1.0
    paradigm: str = "full"

    def __post_init__(self) -> None:
        asked = {
            "steps": (self.steps >= 1, "1 or more"),
            "lr": (0 < self.lr < math.inf, "positive"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "warmup": (0 <= self.warmup <= self.steps, "from 0 to the number of steps"),
            "clip": (self.clip > 0, "positive"),
            "paradigm": (self.paradigm in PARADIGMS, f"one of {', '.join(PARADIGMS)}"),
        }
        for name, (fits, wanted) in asked.items():
            if not fits:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r} in a recipe; it has to be {wanted}"
                )

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
    trains = trained(named, recipe.paradigm)
    for name in named.keys() - set(trains):
        named[name].requires_grad_(False)
    parameters = [named[name] for name in trains]
    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def update(
    model: nn.Module,
    loss: Callable[[nn.Module, Tensor], Tensor],
    chosen: Tensor,
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> float:
    """One step of training, in place.

    Args:
        model: what is trained.
        loss: of the model on the samples of the given indices.
        chosen: the indices of this step's samples.
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
    loss: Callable[[nn.Module, Tensor], Tensor],
    samples: int,
    start: Snapshot,
    recipe: StepRecipe,
    seed: int,
    every: int = 50,
) -> Iterator[Snapshot]:
    """Train from ``start`` on, and give a snapshot now and then and after the last step.

    A step's samples depend on ``seed`` and its number alone, so that training may stop and go on
    at any snapshot, with the same weights in the end on the same machine.

    Args:
        model: trained in place, on the device where it stands; parameters that the recipe leaves
            out are frozen.
        loss: of the model on the samples of the given indices.
        samples: how many there are to draw from.
        start: where to begin; its ``epoch`` counts steps.
        recipe: how to train.
        seed: decides which samples a step sees.
        every: steps between snapshots.

    Raises:
        ValueError: fewer samples than a batch has; no parameter that the recipe trains; or the
            loss became NaN or infinite.
    """
    if samples < recipe.batch_size:
        raise ValueError(
            f"there are {samples} samples for batches of {recipe.batch_size}; use smaller batches"
        )
    model.load_state_dict(start.weights)
    optimizer = adamw(model, recipe)
    named = {name: value for name, value in model.named_parameters() if value.requires_grad}
    for name, parameter in named.items():
        if start.epoch:
            state = {kind: start.momentum[f"{name}/{kind}"].to(parameter) for kind in _MOMENTS}
            optimizer.state[parameter] = state | {"step": torch.tensor(float(start.epoch))}
    device = next(iter(named.values())).device
    total, count = 0.0, 0
    for step in range(start.epoch, recipe.steps):
        optimizer.param_groups[0]["lr"] = recipe.rate(step)
        generator = torch.Generator().manual_seed(seed * 100_003 + step)
        chosen = torch.randperm(samples, generator=generator)[: recipe.batch_size]
        value = update(model, loss, chosen.to(device), optimizer, recipe.clip)
        total, count = total + value, count + 1
        if not math.isfinite(total):
            raise ValueError(
                f"the loss is not finite at step {step + 1}; lower the learning rate from "
                f"{recipe.lr}"
            )
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            yield Snapshot(
                step + 1,
                {name: kept(value) for name, value in model.state_dict().items()},
                {
                    f"{name}/{kind}": kept(optimizer.state[parameter][kind])
                    for name, parameter in named.items()
                    for kind in _MOMENTS
                },
                total / count,
            )
            total, count = 0.0, 0


def contrastive(
    tower: nn.Module, inputs: Tensor, tokens: Tensor
) -> Callable[[nn.Module, Tensor], Tensor]:
    """The loss of CLIP (Radford et al. 2021) on captioned images.

    A batch has many images of one caption, so the softmax runs over its *distinct* captions; the
    other way, a caption's probability mass is spread evenly over its images.

    Args:
        tower: embeds images, with the weights of the CLIP that is trained.
        inputs: images, bytes or floats, (samples, 3, height, width).
        tokens: their captions, (samples, context).
    """

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        texts, which = tokens[chosen].unique(dim=0, return_inverse=True)
        images = F.normalize(tower(floats(inputs[chosen])), dim=-1)
        scale = model.logit_scale.clamp(max=_LARGEST_SCALE).exp()
        logits = scale * images @ F.normalize(model.encode_text(texts), dim=-1).T
        own = F.one_hot(which, len(texts)).to(logits)
        by_text = (own / own.sum(0)).T
        return (F.cross_entropy(logits, which) + F.cross_entropy(logits.T, by_text)) / 2

    return loss


def classification(
    images: Images, head: Callable[[Tensor], Tensor]
) -> Callable[[nn.Module, Tensor], Tensor]:
    """Cross-entropy of a model that embeds images, under a frozen head.

    Args:
        images: the training set.
        head: embeddings → logits.
    """

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        logits = head(model(floats(images.inputs[chosen])))
        return F.cross_entropy(logits, images.targets[chosen])

    return loss
