"""Settings of CLIP: fine-tuned under frozen zero-shot heads, and pretrained here where need be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ctl_helpers.data.images import Batches, Images
from ctl_helpers.models.clip import ImageTower, Words, ZeroShotHead, class_vectors, small_clip
from ctl_helpers.settings.schema import Checked
from ctl_helpers.settings.tuned import ByTask, Job, PretrainedHere, Start, Tuned, device
from ctl_helpers.training.steps import classification, contrastive

_GREY = (0.5, 0.5, 0.5)  # mean and deviation of pixels: to [−1, 1]


class OnImages(ByTask):
    """A setting whose tasks are kinds of image."""

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, as :meth:`ByTask.loaded`."""
        return self.loaded(task, split, samples)

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int = 200,
        split: str = "test",
    ) -> dict[str, Batches]:
        """Batches by task: task → batches of ``(inputs, targets)``."""
        return {task: self.images(task, split, samples).batches(batch_size) for task in tasks}


class AnyClip(Tuned, OnImages):
    """What settings of a whole CLIP have in common: image towers are fine-tuned under frozen heads.

    Attributes:
        logit_scale: the factor on the cosines in the zero-shot heads.
    """

    logit_scale: float

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

    def start_weights(self, start: Start) -> dict[str, Tensor]:
        """The image tower's part of a whole CLIP's weights."""
        return {
            name: value for name, value in start.weights().items() if name.startswith("visual.")
        }

    def facts(self) -> dict[str, object]:
        """The scale of the logits."""
        return {"logit scale": self.logit_scale}

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The image tower, under the task's frozen zero-shot head."""
        images = self.images(task, "train", samples)
        images = Images(images.inputs.to(device()), images.targets.to(device()))
        loss = classification(images, self.heads(seed, [task])[task])
        return self.build().to(device()), loss, len(images)

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

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return "models.clip", f"data.sets.{self.data.set}", "training.checkpoints", "training.steps"


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


class ClipSetting(AnyClip, PretrainedHere):
    """A setting whose CLIP is pretrained here, on captioned images."""

    model: SmallClip

    def pretraining_job(self, seed: int) -> Job:
        """The whole CLIP, on images with captions that ``seed`` decides."""
        images = self.data.module.pretraining(seed)
        tokens = self.tokens(images.captions).to(device())
        model = self.clip().to(device())
        loss = contrastive(self.tower(model).to(device()), images.inputs.to(device()), tokens)
        return model, loss, len(images)

    def whole(self) -> nn.Module:
        """The network that is pretrained."""
        return self.clip()

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
