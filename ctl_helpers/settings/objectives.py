"""The setting of one image tower that is pretrained for one objective or another."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.dataset import PromptedSet
from ctl_helpers.data.images import Images
from ctl_helpers.models.clip import ImageTower, Words, small_clip
from ctl_helpers.models.linear_head import LinearHead
from ctl_helpers.settings.clip import SmallClip
from ctl_helpers.settings.images import OnImages
from ctl_helpers.settings.trained import Trained
from ctl_helpers.training import objectives
from ctl_helpers.training.by_steps import sgd_steps
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.training.loop import Recipe, Snapshot, default_device, initial_weights
from ctl_helpers.training.pretrained_for import Objective
from ctl_helpers.training.steps import Loss, StepRecipe, classification, contrastive, steps

if TYPE_CHECKING:
    from typing_extensions import Self

_GREY = (0.5, 0.5, 0.5)  # mean and deviation of pixels: to [−1, 1]
_MASKED = 0.6  # of the patches
_NOISE = 0.3


class _Tower(SmallClip):
    """A small CLIP, of whose image tower the embedding is the mean over all patches."""

    architecture: Literal["clip-objectives"]  # type: ignore[assignment]


class ByObjective(Trained, OnImages):
    """A setting whose image tower is pretrained for an objective.

    The head of each task is a logistic regression on the pretrained tower's embeddings of that
    task's training images, of which the mean is taken away and which are scaled to a variance of 1,
    since objectives give embeddings of other sizes. It stays as it is in fine-tuning.

    Attributes:
        model: the tower, and the text tower that captions need.
        kinds: the tasks whose images pretraining sees.
        objective: what for.
        pretraining, finetuning: recipes.
        head_decay, head_samples: of the logistic regression.
    """

    model: _Tower
    kinds: list[str]
    objective: Objective = Objective.NONE
    pretraining: StepRecipe
    finetuning: Recipe
    head_decay: float
    head_samples: int

    def with_objective(self, objective: str) -> Self:
        """The same with another objective."""
        return self.model_copy(update={"objective": Objective(objective)})

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return _tower(self._clip(1)).to(default_device())

    def whole(self) -> nn.Module:
        """The tower with what its pretraining needs besides: a head, or a text tower."""
        captioned = self.objective == Objective.CAPTIONS
        clip = self._clip(self._words().size if captioned else 1)
        if captioned:
            return clip
        tower, width = _tower(clip), self.model.embedding
        heads = {
            Objective.SIMCLR: lambda: nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
            ),
            Objective.MASKED: self._decoder,
            Objective.DENOISING: self._decoder,
        }
        labels = partial(nn.Linear, width, len(self._names()))
        tower.add_module("head", heads.get(self.objective, labels)())
        return tower

    def pretrained(self, seed: int, samples: int | None = None) -> Checkpoint:
        """The whole network after pretraining, or at its start where there is no objective.

        Args:
            seed: decides the initial weights, the order of samples, and what else is drawn.
            samples: images to use of each kind, all when None.
        """
        last = 0 if self.objective == Objective.NONE else self.pretraining.steps

        def train(begin: Snapshot, until: int) -> Iterator[Snapshot]:
            images, model = self._seen(samples), self.whole().to(default_device())
            loss = self._loss(model, images, seed)
            return steps(model, loss, len(images), begin, self.pretraining, seed)

        run = self.run(
            f"{self.objective}, seed {seed}",
            {"objective": self.objective, "kinds": self.kinds, "order": seed, "samples": samples},
            self.pretraining,
            lambda: initial_weights(self.whole, seed),
            train,
            "steps",
        )
        return run.checkpoints([last])[last]

    def start(self, seed: int, samples: int | None = None) -> Mapping[str, Tensor]:
        """The image tower's part of the pretrained network."""
        return _visual(self.pretrained(seed, samples))

    def heads(
        self, seed: int, tasks: Sequence[str], samples: int | None = None
    ) -> dict[str, LinearHead]:
        """The head of each task, fitted to the pretrained tower's embeddings."""
        model = self.build()
        model.load_state_dict(self.start(seed, samples))
        heads = {}
        for task in tasks:
            images = self.images(task, "train", self.head_samples)
            embeddings = [_embedded(model, inputs) for inputs, _ in images.batches(200)]
            heads[task] = _head(torch.cat(embeddings), images.targets, self.head_decay)
        return heads

    def finetuned(
        self,
        seed: int,
        task: str,
        *,
        start: Checkpoint | None = None,
        recipe: Recipe | None = None,
        order: int | None = None,
        samples: int | None = None,
    ) -> Checkpoint:
        """As :meth:`Trained.finetuned`, the seed deciding order and start where none is given."""
        recipe = recipe or self.finetuning
        batches = len(self.images(task, "train", samples)) // recipe.batch_size
        own = self.model_copy(update={"finetuning": recipe})
        last, begin = recipe.epochs * batches, start or self.pretrained(seed, samples)
        shuffle = seed if order is None else order
        return own.finetuning_steps(shuffle, task, [last], begin, samples)[last]

    def finetuning_steps(
        self,
        seed: int,
        task: str,
        wanted: Sequence[int],
        start: Checkpoint,
        samples: int | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints of the tower along fine-tuning, from one run: steps → checkpoint.

        Args:
            seed: decides the order of samples, together with the task.
            task: what to fine-tune on.
            wanted: after which steps, 0 giving the start.
            start: the pretrained checkpoint.
            samples: training images to use, all when None.
        """
        order = zlib.crc32(f"{task}/{seed}".encode())

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            model, head = self.build(), self.heads(seed, [task], samples)[task]
            # The head is no part of what is trained, nor of the weights that are kept.
            model.register_forward_hook(lambda _, __, embeddings: head(embeddings))
            images = self.images(task, "train", samples)
            until = [number for number in wanted if number <= last]
            return sgd_steps(model, begin, images, self.finetuning, order, until)

        facts = {
            "task": task, "order": order, "start": start.key, "samples": samples,
            "head": ["scaled", self.head_decay, self.head_samples],
        }  # fmt: skip
        recipe = replace(self.finetuning, epochs=0)  # all lengths are one run
        label = f"{task} after {self.objective}, seed {seed}"
        run = self.run(label, facts, recipe, lambda: _visual(start), train, "steps")
        return run.checkpoints(wanted)

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        data, network = f"data.sets.{self.data.set}", ("models.clip", "models.linear_head")
        training = ("by_steps", "checkpoints", "objectives", "steps")
        return *network, data, *(f"training.{part}" for part in training)

    def _clip(self, vocabulary: int) -> Any:
        sizes = self.model.model_dump(exclude={"architecture"})
        return small_clip(**sizes, vocabulary=vocabulary)

    def _decoder(self) -> nn.Module:
        """From a patch's state to its pixels."""
        return nn.Linear(self.model.width, 3 * self.model.patch**2)

    def _names(self) -> list[str]:
        """Captions, a class each, in the order of :meth:`_seen`'s labels."""
        data = cast(PromptedSet, self.data.module)
        return [
            data.templates(kind)[0].format(name)
            for kind in self.kinds
            for name in data.class_names(kind)
        ]

    def _words(self) -> Words:
        return Words(self._names(), self.model.context)

    def _seen(self, samples: int | None) -> Images:
        """What pretraining sees, with labels over the classes of all kinds."""
        data = cast(PromptedSet, self.data.module)
        parts = [cast(Images, data.load(kind, "pretrain", samples)) for kind in self.kinds]
        counts = [len(data.class_names(kind)) for kind in self.kinds]
        firsts = [sum(counts[:place]) for place in range(len(counts))]
        inputs = torch.cat([part.inputs for part in parts])
        labels = [part.targets + first for part, first in zip(parts, firsts, strict=True)]
        return Images(inputs.to(default_device()), torch.cat(labels).to(default_device()))

    def _loss(self, model: Any, images: Images, seed: int) -> Loss:
        """The objective's loss of the network that is pretrained."""
        if self.objective == Objective.CAPTIONS:
            tokens = self._words()(self._names()).to(default_device())
            return contrastive(_tower(model), images.inputs, tokens[images.targets])
        if self.objective == Objective.SIMCLR:
            return objectives.agreement(images.inputs)
        if self.objective in (Objective.MASKED, Objective.DENOISING):
            hide = objectives.masked(_MASKED, self.model.patch)
            spoil = hide if self.objective == Objective.MASKED else objectives.noisy(_NOISE)
            return objectives.restoring(images.inputs, spoil, self._restored)
        if self.objective == Objective.RANDOM_LABELS:
            chance = torch.Generator().manual_seed(seed)
            labels = torch.randint(len(self._names()), (len(images),), generator=chance)
            images = Images(images.inputs, labels.to(images.targets))
        return classification(images, model.head)

    def _restored(self, model: Any, images: Tensor) -> Tensor:
        """Images that the decoder makes of the states of the last block's patches."""
        states = model(images, until=model.feature_layers[-1])
        _, patches = model.visual._pool(states)
        return F.fold(
            model.head(patches).transpose(1, 2),
            images.shape[-2:], self.model.patch, stride=self.model.patch,
        )  # fmt: skip


def _tower(clip: Any) -> ImageTower:
    """A CLIP's image tower, whose embedding is the mean over patches."""
    clip.visual.pool_type = "avg"
    return ImageTower(clip.visual, _GREY, _GREY)


def _visual(start: Checkpoint) -> dict[str, Tensor]:
    """The image tower's part of a pretrained network."""
    weights = start.weights()
    return {name: weights[name] for name in weights if name.startswith("visual.")}


def _head(embeddings: Tensor, targets: Tensor, decay: float) -> LinearHead:
    """The logistic regression on scaled embeddings, as one that reads them as they are."""
    mean, size = embeddings.mean(0), embeddings.std(0).square().mean().sqrt()
    scaled = LinearHead.fitted((embeddings - mean) / size, targets, decay)
    weight = scaled.weight / size
    return LinearHead(weight, scaled.bias - weight @ mean)


@torch.no_grad()
def _embedded(model: nn.Module, inputs: Tensor) -> Tensor:
    return model.eval()(inputs.to(default_device())).cpu()
