"""Settings of CLIP: fine-tuned under frozen zero-shot heads, and pretrained here where need be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from torch import Tensor, nn

from ctl_helpers.data.dataset import CaptionedSet
from ctl_helpers.models.clip import ImageTower, Words, small_clip
from ctl_helpers.settings.images import OnImages
from ctl_helpers.settings.schema import Checked, Network, Start
from ctl_helpers.settings.tuned import Job, PretrainedHere, under_head
from ctl_helpers.settings.zero_shot import Embed, ZeroShot
from ctl_helpers.training.loop import default_device
from ctl_helpers.training.steps import contrastive

_GREY = (0.5, 0.5, 0.5)  # mean and deviation of pixels: to [−1, 1]


class AnyClip(ZeroShot, OnImages):
    """What settings of a whole CLIP have in common: image towers are fine-tuned under frozen heads.

    The heads are made by the pretrained text tower.
    """

    @abstractmethod
    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""

    @abstractmethod
    def tower(self, clip: Any) -> ImageTower:
        """A CLIP's image tower."""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return self.tower(self.clip())

    def start_weights(self, start: Start) -> Mapping[str, Tensor]:
        """The image tower's part of a whole CLIP's weights."""
        weights = start.weights()
        return {name: weights[name] for name in weights if name.startswith("visual.")}

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The image tower, under the task's frozen zero-shot head."""
        images = self.images(task, "train", samples)
        return under_head(self.build(), images, self.heads(seed, [task])[task])

    def embedder(self, seed: int) -> Embed:
        """The pretrained text tower."""
        model: Any = self.clip()
        model.load_state_dict(self.pretrained(seed).weights())
        model.to(default_device()).eval()
        return lambda texts: model.encode_text(self.tokens(texts).to(default_device()))

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        data = f"data.sets.{self.data.set}"
        return "models.clip", "models.heads", data, "training.checkpoints", "training.steps"


class SmallClip(Network, Checked):
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
        images, device = self._captioned().pretraining(seed), default_device()
        tokens = self.tokens(images.captions).to(device)
        model = self.clip().to(device)
        loss = contrastive(self.tower(model).to(device), images.inputs.to(device), tokens)
        return model, loss, len(images)

    def whole(self) -> nn.Module:
        """The network that is pretrained."""
        return self.clip()

    def build(self) -> ImageTower:
        """The image tower, with weights that nobody should use."""
        return self.tower(self._sized(1)).to(default_device())  # it does not depend on the words

    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""
        return self._sized(self._words().size)

    def tower(self, clip: Any) -> ImageTower:
        """A CLIP's image tower."""
        return ImageTower(clip.visual, _GREY, _GREY)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""
        return self._words()(texts)

    def _captioned(self) -> CaptionedSet:
        return cast(CaptionedSet, self.data.module)

    def _words(self) -> Words:
        return Words(self._captioned().words(), self.model.context)

    def _sized(self, vocabulary: int) -> nn.Module:
        sizes = self.model.model_dump(exclude={"architecture"})
        return small_clip(**sizes, vocabulary=vocabulary)
