"""Settings of CLIP as published: weights of the hub, and model soups of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ctl_helpers.data.dataset import PromptedSet
from ctl_helpers.engine.mix import StateDict, combine
from ctl_helpers.models.clip import Classifier, ImageTower
from ctl_helpers.project import SettingError
from ctl_helpers.settings.clip import AnyClip
from ctl_helpers.settings.images import OnImages
from ctl_helpers.settings.needs import soup
from ctl_helpers.settings.schema import PRETRAINED, Checked, Network
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.loop import default_device
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import hub, names
from ctl_helpers.weights.files import read

_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pixels of CLIP's training images
_STD = (0.26862954, 0.26130258, 0.27577711)


class OpenClip(Network, Checked):
    """An architecture of open_clip with published weights.

    Attributes:
        size: open_clip's name without what it says of the activation.
        pretrained: a repository of :data:`ctl_helpers.weights.hub.COMMITS`.
    """

    architecture: Literal["clip-published"]
    size: str
    pretrained: str


@dataclass(frozen=True)
class _OnHub:
    """The pretrained CLIP of a repository."""

    repo: str

    @property
    def key(self) -> str:
        return digest([self.repo, hub.commit(self.repo)])

    def weights(self) -> Mapping[str, Tensor]:
        return _clip_weights(self.repo)


class PublishedClip(AnyClip):
    """A setting whose CLIP, and whose fine-tunes where there are any, are on the hub.

    Attributes:
        model: the architecture.
        repositories: task → the repository of its fine-tune; trained here where there is none.
    """

    model: OpenClip
    repositories: dict[str, str] = Field(default_factory=dict)

    def pretrained(self, seed: int) -> _OnHub:
        """The published CLIP, the same for every seed."""
        return _OnHub(self.model.pretrained)

    def checkpoints(
        self,
        seed: int,
        tasks: Sequence[str] | None = None,
        samples: int | None = None,
        recipe: StepRecipe | None = None,
    ) -> dict[str, Mapping[str, Tensor]]:
        """As of every setting, published fine-tunes first where no recipe is asked for.

        Raises:
            MissingDataError: weights are not on this machine and cannot be fetched.
            ValueError: a fine-tune that started from other weights.
        """
        tasks = self.finetune if tasks is None else tasks
        published = {} if recipe else self.repositories
        trained = [task for task in tasks if task not in published]
        found = super().checkpoints(seed, trained, samples, recipe)
        base = self.pretrained(seed).weights()
        for task, repo in ((task, published[task]) for task in tasks if task in published):
            found[task] = names.image_tower(names.hub_clip(repo, base))
            hub.check_base(found[task], found[PRETRAINED], repo)
        return found

    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""
        return _architecture(self.model.size)

    def tower(self, clip: Any) -> ImageTower:
        """A CLIP's image tower."""
        return ImageTower(clip.visual, _MEAN, _STD).to(default_device())

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""
        import open_clip  # takes seconds, and most commands need no tokens

        return open_clip.get_tokenizer(self.model.size)(texts)

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        return *super().source_parts(), "weights.names"


class ModelSoup(OnImages):
    """Fine-tunes of one CLIP on ImageNet, with classifiers of their own (Wortsman et al. 2022).

    Attributes:
        model: the architecture.
        ingredients: numbers of the published models.
    """

    model: OpenClip
    ingredients: list[int]

    def build(self) -> ImageTower:
        """The image tower and its classifier, with weights that nobody should use."""
        (task,) = self.finetune
        classes = len(cast(PromptedSet, self.data.module).class_names(task))
        visual: Any = _architecture(self.model.size).visual
        return Classifier(visual, _MEAN, _STD, classes).to(default_device())

    def variants(
        self, seed: int, task: str, rates: Sequence[float], orders: Sequence[int]
    ) -> dict[str, Mapping[str, Tensor]]:
        """The published models, which differ in their hyper-parameters: number → state dict.

        Raises:
            SettingError: rates or orders, of which there is nothing to choose.
            MissingDataError: a model is not in the data folder.
        """
        if rates or orders:
            raise SettingError(f"{self.name}: its networks are published; leave rates and orders")
        models: dict[str, Mapping[str, Tensor]] = {}
        for number in self.ingredients:
            tower, head = names.from_model_soups(read(soup(number)))
            named = {f"head.{part}": value for part, value in head.items()}
            models[f"model {number:02d}"] = tower | named
        return models

    def checkpoints(
        self, seed: int, tasks: Sequence[str] | None = None
    ) -> dict[str, Mapping[str, Tensor]]:
        """The mean of all published models, for θ_PT too: their own start was not published.

        Raises:
            MissingDataError: a model is not in the data folder.
        """
        models = self.variants(seed, "", [], [])
        mean = combine(models, dict.fromkeys(models, 1 / len(models)))
        return dict.fromkeys([PRETRAINED, *(self.finetune if tasks is None else tasks)], mean)

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        parts = ("settings.published_clip", f"data.sets.{self.data.set}")
        return digest([module_checksum(part) for part in parts])


def _architecture(size: str) -> nn.Module:
    """A CLIP whose weights are whatever was in memory: drawing them takes seconds."""
    import open_clip  # takes seconds, and most commands build no network

    name = names.architecture(size, "openai")
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config(name))
    model.to_empty(device="cpu")
    # No state dict holds it: a token of a text attends to those before it.
    model.attn_mask.fill_(float("-inf")).triu_(1)
    return model


@lru_cache(maxsize=1)
def _clip_weights(repo: str) -> StateDict:
    return names.hub_clip(repo)
