"""Settings of CLIP: fine-tuned under frozen zero-shot heads, and pretrained here where need be."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from ctl_helpers.data.images import Batches, Images, MissingDataError
from ctl_helpers.models.clip import ImageTower, Words, ZeroShotHead, class_vectors, small_clip
from ctl_helpers.schema import PRETRAINED, Checked, Described, SettingError
from ctl_helpers.sources import module_checksum
from ctl_helpers.store import digest
from ctl_helpers.training import Snapshot, initial_weights
from ctl_helpers.trajectories import Checkpoint, stored
from ctl_helpers.tuning import StepRecipe, classification, contrastive, steps

_GREY = (0.5, 0.5, 0.5)  # mean and deviation of pixels: to [−1, 1]


class Start(Protocol):
    """A pretrained CLIP: what it depends on, and its state dict."""

    @property
    def key(self) -> str:
        """Digest of all that the weights depend on."""

    def weights(self) -> Mapping[str, Tensor]:
        """Both towers under open_clip's names."""


class OnImages(Described):
    """A setting whose tasks are kinds of image, each with a set of its own.

    Attributes:
        control: what stands for the pretraining task where a task vector is subtracted; all other
            tasks when empty.
    """

    control: list[str] = Field(default_factory=list)

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
        known = [*self.finetune, *self.control]
        if task not in known:
            raise SettingError(f"{self.name} has no task {task!r}; its tasks are {known}")
        return self.data.module.load(task, split, samples)

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int = 200,
        split: str = "test",
    ) -> dict[str, Batches]:
        """Batches by task: task → batches of ``(inputs, targets)``."""
        return {task: self.images(task, split, samples).batches(batch_size) for task in tasks}


class AnyClip(OnImages):
    """What settings of a whole CLIP have in common.

    Attributes:
        finetuning: the recipe.
        logit_scale: the factor on the cosines in the zero-shot heads.
    """

    finetuning: StepRecipe
    logit_scale: float

    @abstractmethod
    def pretrained(self, seed: int) -> Start:
        """The whole CLIP, which ``seed`` may decide."""

    @abstractmethod
    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""

    @abstractmethod
    def tower(self, model: nn.Module) -> ImageTower:
        """A CLIP's image tower."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return self.tower(self.clip())

    def shortened(self, share: float) -> AnyClip:
        """The same with a share of the training steps, for a quick look."""
        return self.model_copy(update={"finetuning": _short(self.finetuning, share)})

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
        recipe, start = recipe or self.finetuning, self.pretrained(seed)
        shuffle = zlib.crc32(f"{task}/{seed}/{order}".encode())

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            images = self.images(task, "train", samples)
            images = Images(images.inputs.to(device()), images.targets.to(device()))
            loss = classification(images, self.heads(seed, [task])[task])
            return steps(self.build().to(device()), loss, len(images), begin, recipe, shuffle)

        return self.kept(
            f"{self.name}, {task}, seed {seed}",
            {
                "start": start.key,
                "logit scale": self.logit_scale,
                "task": task,
                "order": shuffle,
                "samples": samples,
            },
            recipe,
            lambda: tower_weights(start),
            train,
        )

    def variants(
        self, seed: int, task: str, rates: Sequence[float], orders: Sequence[int]
    ) -> dict[str, Mapping[str, Tensor]]:
        """Networks fine-tuned on one task at each learning rate in each order of samples.

        Returns:
            What tells it from the others → state dict.
        """
        return {
            f"rate {rate:g}, order {order}": self.finetuned(
                seed, task, replace(self.finetuning, lr=rate), order
            ).weights()
            for rate in rates
            for order in orders
        }

    def heads(self, seed: int, tasks: Sequence[str]) -> dict[str, ZeroShotHead] | None:
        """The zero-shot head of each task, from the pretrained text tower and all templates."""
        model, data = self.clip(), self.data.module
        model.load_state_dict(self.pretrained(seed).weights())
        model.to(device()).eval()
        heads = {}
        for task in tasks:
            prompts = (
                self.tokens([form.format(name) for form in data.templates(task)]).to(device())
                for name in data.class_names(task)
            )
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

    def kept(
        self,
        label: str,
        facts: Mapping[str, object],
        recipe: StepRecipe,
        start: Callable[[], Mapping[str, Tensor]],
        train: Callable[[Snapshot, int], Iterator[Snapshot]],
    ) -> Checkpoint:
        """The end of a training run, from the store or trained now."""
        known = {
            "model": self.model.model_dump(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "recipe": asdict(recipe),
            "code": self.source_checksum(),
        }
        last = recipe.steps
        return stored(label, {**known, **facts}, [last], start, train, "steps")[last]


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


class ClipSetting(AnyClip):
    """A setting whose CLIP is pretrained here, on captioned images.

    Attributes:
        model: the sizes of the CLIP.
        pretraining: the recipe.
    """

    model: SmallClip
    pretraining: StepRecipe

    def shortened(self, share: float) -> ClipSetting:
        """The same with a share of the training steps, for a quick look."""
        update = {"pretraining": _short(self.pretraining, share)}
        return super().shortened(share).model_copy(update=update)

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            self.data.module.check()
        except MissingDataError as error:
            return str(error)
        return None

    def pretrained(self, seed: int) -> Checkpoint:
        """The whole CLIP, trained on images with captions.

        Args:
            seed: decides the initial weights, the captions and the order of samples.
        """

        def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
            images = self.data.module.pretraining(seed)
            tokens = self.tokens(images.captions).to(device())
            model = self.clip().to(device())
            loss = contrastive(self.tower(model).to(device()), images.inputs.to(device()), tokens)
            return steps(model, loss, len(images), begin, self.pretraining, seed)

        return self.kept(
            f"{self.name}, pretraining, seed {seed}",
            {"seed": seed},
            self.pretraining,
            lambda: initial_weights(self.clip, seed),
            train,
        )

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return self.tower(self._sized(1)).to(device())  # it does not depend on the words

    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""
        return self._sized(self._words().size)

    def tower(self, model: nn.Module) -> ImageTower:
        """A CLIP's image tower."""
        return ImageTower(model.visual, _GREY, _GREY)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""
        return self._words()(texts)

    def _words(self) -> Words:
        return Words(self.data.module.words(), self.model.context)

    def _sized(self, vocabulary: int) -> nn.Module:
        sizes = self.model.model_dump(exclude={"architecture"})
        return small_clip(**sizes, vocabulary=vocabulary)


def device() -> torch.device:
    """Where networks run: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def tower_weights(start: Start) -> dict[str, Tensor]:
    """The image tower's part of a whole CLIP's weights."""
    return {name: value for name, value in start.weights().items() if name.startswith("visual.")}


def _short(recipe: StepRecipe, share: float) -> StepRecipe:
    count, warmup = (round(share * part) for part in (recipe.steps, recipe.warmup))
    return replace(recipe, steps=max(count, 1), warmup=warmup)
