"""Settings of CLIP as published: weights of the hub, and model soups of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.clip import Classifier, ImageTower
from ctl_helpers.project import MissingDataError, SettingError, data_folder
from ctl_helpers.settings.clip import AnyClip, OnImages
from ctl_helpers.settings.schema import PRETRAINED, Checked
from ctl_helpers.settings.tuned import device
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import hub as published_weights
from ctl_helpers.weights import names
from ctl_helpers.weights.files import read

_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pixels of CLIP's training images
_STD = (0.26862954, 0.26130258, 0.27577711)
_SOUPS = "https://github.com/mlfoundations/model-soups/releases/download/v0.0.2"


class OpenClip(Checked):
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
        return digest([self.repo, published_weights.commit(self.repo)])

    def weights(self) -> Mapping[str, Tensor]:
        return _whole(self.repo)


class PublishedClip(AnyClip):
    """A setting whose CLIP, and whose fine-tunes where there are any, are on the hub.

    Attributes:
        model: the architecture.
        repositories: task → the repository of its fine-tune; trained here where there is none.
    """

    model: OpenClip
    repositories: dict[str, str] = Field(default_factory=dict)

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        repos = [self.model.pretrained, *self.repositories.values()]
        return published_weights.first_missing(
            *(lambda task=task: self.images(task, "test", 0) for task in self._tasks()),
            *(lambda repo=repo: published_weights.weights_file(repo, local=True) for repo in repos),
        )

    def fetch(self) -> None:
        """Download images and weights, all that can be downloaded.

        Raises:
            MissingDataError: some cannot.
        """
        repos = [self.model.pretrained, *self.repositories.values()]
        sentence = published_weights.first_missing(
            *(lambda task=task: self.data.module.fetch(task) for task in self._tasks()),
            *(lambda repo=repo: published_weights.weights_file(repo) for repo in repos),
        )
        if sentence:
            raise MissingDataError(sentence)

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
        """As :meth:`AnyClip.checkpoints`, published fine-tunes first where no recipe is asked for.

        Raises:
            MissingDataError: weights are not on this machine and cannot be fetched.
            ValueError: a fine-tune that started from other weights.
        """
        chosen = self.finetune if tasks is None else tasks
        published = {} if recipe else self.repositories
        trained = [task for task in chosen if task not in published]
        found = super().checkpoints(seed, trained, samples, recipe)
        base = self.pretrained(seed).weights()
        for task in chosen:
            if task in published:
                repo = published[task]
                found[task] = names.image_tower(names.hub_clip(repo, base))
                published_weights.check_base(found[task], found[PRETRAINED], repo)
        return found

    def clip(self) -> nn.Module:
        """The whole CLIP's architecture, with weights that nobody should use."""
        return _architecture(self.model.size)

    def tower(self, model: nn.Module) -> ImageTower:
        """A CLIP's image tower."""
        return ImageTower(model.visual, _MEAN, _STD).to(device())

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Shape (texts, context)."""
        import open_clip  # takes seconds, and most commands need no tokens

        return open_clip.get_tokenizer(self.model.size)(texts)

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        return digest([super().source_checksum(), module_checksum("weights.names")])

    def _tasks(self) -> list[str]:
        return list(dict.fromkeys([*self.finetune, *self.control]))


class ModelSoup(OnImages):
    """Fine-tunes of one CLIP on ImageNet, with classifiers of their own (Wortsman et al. 2022).

    Attributes:
        model: the architecture.
        ingredients: numbers of the published models.
    """

    model: OpenClip
    ingredients: list[int]

    def shortened(self, share: float) -> ModelSoup:
        """The same: nothing is trained."""
        return self

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        (task,) = self.finetune
        return published_weights.first_missing(
            lambda: self.images(task, "test", 0),
            *(lambda number=number: _soup_file(number) for number in self.ingredients),
        )

    def fetch(self) -> None:
        """Download the models; ImageNet has to be got by hand."""
        for number in self.ingredients:
            path = data_folder() / _soup_name(number)
            if path.is_file():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(f"{_SOUPS}/{path.name}", str(path))
            except OSError as error:
                raise MissingDataError(
                    f"{path.name} of the model soups could not be downloaded into {path.parent} "
                    f"({error}): connect to the network"
                ) from None
        (task,) = self.finetune
        self.data.module.fetch(task)

    def build(self) -> ImageTower:
        """The image tower and its classifier, with weights that nobody should use."""
        (task,) = self.finetune
        classes = len(self.data.module.class_names(task))
        visual = _architecture(self.model.size).visual
        return Classifier(visual, _MEAN, _STD, classes).to(device())

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
        found = {}
        for number in self.ingredients:
            tower, head = names.from_model_soups(read(_soup_file(number)))
            found[f"model {number:02d}"] = tower | {f"head.{part}": v for part, v in head.items()}
        return found

    def heads(self, seed: int, tasks: Sequence[str]) -> None:
        """None: these networks give logits themselves."""

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        return digest(
            [
                module_checksum(part)
                for part in ("settings.published_clip", f"data.sets.{self.data.set}")
            ]
        )


def _soup_name(number: int) -> str:
    return f"model-soups/model_{number}.pt"


def _soup_file(number: int) -> Path:
    path = data_folder() / _soup_name(number)
    if not path.is_file():
        raise MissingDataError(
            f"{path} is not there: run `ctl data imagenet-vit-b-32` to download the models"
        )
    return path


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
def _whole(repo: str) -> StateDict:
    return names.hub_clip(repo)
