"""The setting of a published image network, fine-tuned under heads fitted to its own features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.swa_utils import update_bn

from ctl_helpers.data.dataset import DataSet
from ctl_helpers.data.images import Images
from ctl_helpers.models.efficientnet import (
    EfficientNet,
    from_efficientnet_pytorch,
    imagenet_rows,
    with_statistics,
)
from ctl_helpers.models.linear_head import LinearHead
from ctl_helpers.project import SettingError
from ctl_helpers.settings.images import OnImages
from ctl_helpers.settings.published_start import PublishedStart
from ctl_helpers.settings.schema import Checked, Network, Start
from ctl_helpers.settings.tuned import Job, under_head
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.checkpoints import Checkpoint
from ctl_helpers.training.loop import default_device, initial_weights
from ctl_helpers.weights.files import read
from ctl_helpers.weights.published import NETWORKS

if TYPE_CHECKING:
    from typing_extensions import Self

_CLASSIFIER, _HEAD = "classifier.", "head.safetensors"
_BATCH = 32  # larger ones take longer an image on a CPU
_SEEN = 512  # images that random networks take BatchNorm's statistics from


class _WordNetSet(DataSet, Protocol):
    """Images, those of one task with classes of ImageNet."""

    def wordnet_ids(self) -> tuple[str, ...]:
        """The classes of that task in the order of their labels."""


class PublishedEfficientNet(Network, Checked):
    """An EfficientNet.

    Attributes:
        pretrained: one of :data:`ctl_helpers.weights.published.NETWORKS`.
        size: timm's name.
        pixels: a side of the images that the first layer sees.
    """

    architecture: Literal["efficientnet-published"]
    pretrained: str
    size: str
    pixels: int

    def build(self, frozen_norm: bool = True) -> EfficientNet:
        """The network, with weights that nobody should use."""
        return EfficientNet(self.size, self.pixels, frozen_norm)

    def file(self) -> str:
        """The name of its file with weights."""
        (name,) = NETWORKS[self.pretrained].checksums
        return name

    def whole(self) -> dict[str, Tensor]:
        """All of the published weights, the classifier's included."""
        state = read(NETWORKS[self.pretrained].file(self.file()))
        return from_efficientnet_pytorch(self.size, state, self.pretrained)


@dataclass(frozen=True)
class _Published:
    """The published weights."""

    model: PublishedEfficientNet

    @property
    def key(self) -> str:
        checksums = NETWORKS[self.model.pretrained].checksums
        return digest([self.model.pretrained, checksums[self.model.file()]])

    def weights(self) -> Mapping[str, Tensor]:
        whole = self.model.whole()
        return {name: whole[name] for name in whole if not name.startswith(_CLASSIFIER)}

    def classifier(self) -> LinearHead:
        """Its own head, over ImageNet's classes."""
        whole = self.model.whole()
        return LinearHead(whole[f"{_CLASSIFIER}weight"], whole[f"{_CLASSIFIER}bias"])


@dataclass(frozen=True)
class _Random:
    """The same network with random weights, under the published statistics of BatchNorm.

    So far as they differ from those of what random weights give, gains and shifts make up for it,
    exactly. With other statistics a sum with negative weights could have a negative variance.
    """

    setting: PublishedImages
    seed: int

    @property
    def key(self) -> str:
        facts = [self.setting.model.model_dump(), self.seed, self.setting.data_checksum()]
        published = self.setting.published().key
        return digest(["random weights", *facts, published, _SEEN, _BATCH])

    def weights(self) -> Mapping[str, Tensor]:
        def build() -> EfficientNet:
            return self.setting.model.build(frozen_norm=False)

        model, images = build(), self.setting.images(self.setting.pretrain, "head", _SEEN)
        model.load_state_dict(initial_weights(build, self.seed))
        update_bn(images.batches(_BATCH), model)
        return with_statistics(model, self.setting.published().weights())


class PublishedImages(PublishedStart, OnImages):
    """A setting whose image network is published; it is fine-tuned here.

    The head of each task is a logistic regression on the published network's features of images
    that fine-tuning never sees; that of the pretraining task is the network's own.

    Attributes:
        model: the architecture.
        head_decay: of the logistic regression.
        others: tasks that some sections have beside :attr:`finetune`.
        frozen_norm: whether BatchNorm keeps the pretrained statistics, and uses them, in
            fine-tuning.
        replaced: (donor task, ratio): in fine-tuning, that share of the images is replaced by the
            donor's, labels included. The head is then that of all classes which have images.
    """

    usual_batch: ClassVar[int] = _BATCH

    model: PublishedEfficientNet
    head_decay: float
    others: list[str] = Field(default_factory=list)
    frozen_norm: bool = True
    replaced: tuple[str, float] | None = None

    def build(self) -> EfficientNet:
        """The network, with weights that nobody should use."""
        return self.model.build(self.frozen_norm).to(default_device())

    def with_trained_norm(self) -> Self:
        """The same with BatchNorm's statistics trained in fine-tuning."""
        return self.model_copy(update={"frozen_norm": False})

    def check_task(self, task: str) -> None:
        """As :meth:`Setting.check_task`, with :attr:`others`."""
        if task not in self.others:
            super().check_task(task)

    def published(self) -> _Published:
        """The published network."""
        return _Published(self.model)

    def random(self, seed: int) -> _Random:
        """The same network with random weights."""
        return _Random(self, seed)

    def pretrained(self, seed: int, samples: int | None = None, task: str | None = None) -> Start:
        """As of every published network, which has no other pretraining to ask for.

        Raises:
            SettingError: another pretraining task.
        """
        if task not in (None, self.pretrain):
            raise SettingError(
                f"{self.name}: its network is published, so its pretraining task is "
                f"{self.pretrain!r}, not {task!r}"
            )
        return super().pretrained(seed)

    def finetuned(
        self, seed: int, task: str, *, replaced: tuple[str, float] | None = None, **how: Any
    ) -> Checkpoint:
        """As :meth:`Trained.finetuned`, which takes the same, but for :attr:`replaced`."""
        share = replaced if replaced and replaced[1] else None  # no share is none at all
        setting = self.model_copy(update={"replaced": share})
        return super(PublishedImages, setting).finetuned(seed, task, **how)

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The network, under the frozen head of the task, or of all classes that have images."""
        images, (head,) = self.images(task, "train", samples), self.heads(seed, [task]).values()
        if self.replaced:
            donor, ratio = self.replaced
            kept = range(len(head.bias) if ratio < 1 else 0)
            head = head.rows(kept).beside(self.heads(seed, [donor])[donor])
            donors = self.images(donor, "train", samples)
            shifted = Images(donors.inputs, donors.targets + len(kept))
            images = images.replaced(shifted, ratio, seed)
        return under_head(self.build(), images, head)

    def heads(self, seed: int, tasks: Sequence[str]) -> dict[str, LinearHead]:
        """The head of each task, the same for every seed."""
        return {
            name: self._own_head() if name in self.control else self._head(name) for name in tasks
        }

    def _own_head(self) -> LinearHead:
        """The published network's classifier, of the pretraining task's classes alone."""
        names = cast(_WordNetSet, self.data.module).wordnet_ids()
        return self.published().classifier().rows(imagenet_rows(names))

    def _head(self, task: str) -> LinearHead:
        """A logistic regression, from the store or fitted now."""
        code = [module_checksum(part) for part in self._head_parts()]
        facts = [self.published().key, self.model.model_dump(), self.data_checksum(), task]

        def fit(folder: Path) -> None:
            head = LinearHead.fitted(*self._features(task), self.head_decay)
            save_file({"weight": head.weight, "bias": head.bias}, folder / _HEAD)

        folder = Store().make("heads", digest([*facts, self.head_decay, code]), fit)
        return LinearHead(**load_file(folder / _HEAD))

    @torch.no_grad()
    def _features(self, task: str) -> tuple[Tensor, Tensor]:
        """What the published network makes of the images that are kept for a task's head."""
        model, images = self.build().eval(), self.images(task, "head")
        model.load_state_dict(self.published().weights())
        batches = images.batches(_BATCH)
        found = [model(inputs.to(default_device())).cpu() for inputs, _ in batches]
        return torch.cat(found), images.targets

    def _head_parts(self) -> tuple[str, ...]:
        return "models.efficientnet", "models.linear_head", f"data.sets.{self.data.set}"

    def facts(self) -> dict[str, object]:
        """How heads are fitted, whether BatchNorm trains, and which images are replaced."""
        heads = [self.published().key, self.head_decay]
        facts: dict[str, object] = {"frozen norm": self.frozen_norm, "heads": heads}
        return {**facts, "replaced": self.replaced} if self.replaced else facts

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return *self._head_parts(), "training.checkpoints", "training.steps"
