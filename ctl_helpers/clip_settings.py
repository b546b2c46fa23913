"""Settings of CLIP: pretrained on images with captions, fine-tuned under frozen zero-shot heads."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import torch
from torch import Tensor, nn

from ctl_helpers.data.images import Images, MissingDataError
from ctl_helpers.models.clip import ImageTower, Words, ZeroShotHead, class_vectors, small_clip
from ctl_helpers.schema import PRETRAINED, Checked, Described, SettingError
from ctl_helpers.sources import module_checksum
from ctl_helpers.store import digest
from ctl_helpers.training import Snapshot, initial_weights
from ctl_helpers.trajectories import Checkpoint, stored
from ctl_helpers.tuning import StepRecipe, classification, contrastive, steps

_GREY = (0.5, 0.5, 0.5)  # mean and deviation of pixels: to [−1, 1]


class SmallClip(Checked):
    """:func:`ctl_helpers.models.clip.small_clip`; the vocabulary is the captions'."""

    architecture: Literal["clip"]
    image_size: int
    patch: int
    width: int
    layers: int
    heads: int
    embedding: int
    text_width: int
    text_layers: int
    text_heads: int
    context: int


class ClipSetting(Described):
    """A setting whose networks are image towers of a CLIP that is pretrained here.

    A task is a kind of image.

    Attributes:
        model: the sizes of the CLIP.
        pretraining, finetuning: recipes.
        logit_scale: the factor on the cosines in the zero-shot heads.
    """

    model: SmallClip
    pretraining: StepRecipe
    finetuning: StepRecipe
    logit_scale: float

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return _tower(self._clip())

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            self.images(self.finetune[0], "test")
        except MissingDataError as error:
            return str(error)
        return None

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, the first ``samples`` of them if given.

        Args:
            task: a kind of image.
            split: ``"train"``, ``"held-out"`` (where λ is chosen) or ``"test"``.
            samples: how many, all when None.

        Raises:
            SettingError: no such task.
            MissingDataError: the data set is not on this machine.
        """
        if task not in self.data.module.KINDS:
            raise SettingError(
                f"{self.name} has no task {task!r}; its tasks are {list(self.data.module.KINDS)}"
            )
        return self.data.module.load(task, split).first(samples)

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int = 200,
        split: str = "test",
    ) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Batches by task: task → list of ``(inputs, targets)``."""
        return {task: self.images(task, split, samples).batches(batch_size) for task in tasks}

    def pretrained(self, seed: int) -> Checkpoint:
        """The whole CLIP, trained on images with captions.

        Args:
            seed: decides the initial weights, the captions and the order of samples.
        """
        device = _device()

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            images = self.data.module.pretraining(seed)
            tokens = self._words()(images.captions).to(device)
            model = self._clip().to(device)
            loss = contrastive(_tower(model).to(device), images.inputs.to(device), tokens)
            return steps(model, loss, len(images), begin, self.pretraining, seed)

        return self._stored(
            f"{self.name}, pretraining, seed {seed}",
            {"seed": seed},
            self.pretraining,
            lambda: initial_weights(self._clip, seed),
            train,
        )

    def finetuned(
        self,
        seed: int,
        task: str,
        recipe: StepRecipe | None = None,
        order: int = 0,
        samples: int | None = None,
    ) -> Checkpoint:
        """The image tower, fine-tuned on a task under its frozen zero-shot head.

        Args:
            seed: whose pretrained CLIP to start from; it decides the order of samples, together
                with the task.
            task: a kind of image.
            recipe: in place of :attr:`finetuning`.
            order: another number, another order.
            samples: training images to use, all when None.
        """
        recipe, device = recipe or self.finetuning, _device()
        start, shuffle = self.pretrained(seed), zlib.crc32(f"{task}/{seed}/{order}".encode())

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            images = self.images(task, "train", samples)
            images = Images(images.inputs.to(device), images.targets.to(device))
            loss = classification(images, self.heads(seed, [task])[task])
            return steps(self.build().to(device), loss, len(images), begin, recipe, shuffle)

        return self._stored(
            f"{self.name}, {task}, seed {seed}",
            {"start": start.key, "task": task, "order": shuffle, "samples": samples},
            recipe,
            lambda: tower_weights(start),
            train,
        )

    def heads(self, seed: int, tasks: Sequence[str]) -> dict[str, ZeroShotHead]:
        """The zero-shot head of each task, from the pretrained text tower and all templates."""
        model, words, data = self._clip(), self._words(), self.data.module
        model.load_state_dict(self.pretrained(seed).weights())
        model.eval()
        heads = {}
        for task in tasks:
            names = data.class_names(task)
            prompts = [
                words([form.format(name) for form in data.templates(task)]) for name in names
            ]
            heads[task] = ZeroShotHead(class_vectors(model, prompts), self.logit_scale)
        return heads

    def checkpoints(
        self, seed: int, tasks: Sequence[str] | None = None, samples: int | None = None
    ) -> dict[str, Mapping[str, Tensor]]:
        """Image towers, trained here unless they are in the store.

        Args:
            seed: decides the initial weights, the captions and the order of samples.
            tasks: what to fine-tune on; by default :attr:`finetune`.
            samples: training images to use for fine-tuning, all when None.

        Returns:
            ``"PT"`` and each task's name → state dict.
        """
        chosen = self.finetune if tasks is None else tasks
        tuned = {task: self.finetuned(seed, task, samples=samples).weights() for task in chosen}
        return {PRETRAINED: tower_weights(self.pretrained(seed)), **tuned}

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        parts = ("models.clip", f"data.{self.data.set}", "trajectories", "tuning")
        return digest([module_checksum(part) for part in parts])

    def _words(self) -> Words:
        return Words(self.data.module.words(), self.model.context)

    def _clip(self) -> nn.Module:
        sizes = self.model.model_dump(exclude={"architecture"})
        return small_clip(**sizes, vocabulary=self._words().size)

    def _stored(
        self,
        label: str,
        facts: Mapping[str, object],
        recipe: StepRecipe,
        start: Callable[[], Mapping[str, Tensor]],
        train: Callable[[Snapshot, int], Iterator[Snapshot]],
    ) -> Checkpoint:
        known = {
            "model": self.model.model_dump(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "recipe": asdict(recipe),
            "logit scale": self.logit_scale,
            "code": self.source_checksum(),
        }
        return stored(label, {**known, **facts}, [recipe.steps], start, train, "steps")[
            recipe.steps
        ]


def _tower(model: nn.Module) -> ImageTower:
    return ImageTower(model.visual, _GREY, _GREY)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def tower_weights(start: Checkpoint) -> dict[str, Tensor]:
    """The image tower's part of a whole CLIP's weights."""
    return {name: value for name, value in start.weights().items() if name.startswith("visual.")}
