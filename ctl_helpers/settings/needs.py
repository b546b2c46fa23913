"""What a setting needs on this machine: its data set, and weights that others have published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ctl_helpers.data.dataset import complaints, data_set, downloading
from ctl_helpers.project import MissingDataError, data_folder

_SOUPS = "https://github.com/mlfoundations/model-soups/releases/download/v0.0.2"
TOKENIZER = "tokenizer.json"


class _Weights(BaseModel):
    architecture: str
    pretrained: str | None = None


class _Data(BaseModel):
    set: str


class Needs(BaseModel):
    """The fields of a setting, of whatever kind, that say what it needs."""

    model: _Weights
    data: _Data
    finetune: list[str]
    pretrain: str | None = None
    control: list[str] = []
    repositories: dict[str, str] = {}
    ingredients: list[int] = []

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        files = (partial(file, local=True) for file in self._files())
        sentences = data_set(self.data.set).missing(self._tasks())
        return _summary([*sentences, *complaints(*files)])

    def fetch(self) -> None:
        """Download all that can be downloaded.

        Raises:
            MissingDataError: some cannot.
        """
        files = (partial(file, local=False) for file in self._files())
        data = partial(data_set(self.data.set).fetch, self._tasks())
        if sentence := _summary(complaints(data, *files)):
            raise MissingDataError(sentence)

    def _tasks(self) -> list[str]:
        first = [self.pretrain] if self.pretrain else []
        return list(dict.fromkeys([*first, *self.finetune, *self.control]))

    def _files(self) -> list[Callable[..., object]]:
        """Each finds its file or raises MissingDataError; with ``local`` it downloads none."""
        if self.ingredients:
            return [partial(soup, number) for number in self.ingredients]
        if self.model.architecture == "cifar-resnet":
            resnet = _weights("resnet")
            return [partial(_placed, partial(resnet.published_file, n)) for n in resnet.FILES]
        if self.model.pretrained is None:
            return []
        networks = _weights("published").NETWORKS
        if self.model.pretrained in networks:
            network = networks[self.model.pretrained]
            return [partial(network.file, name) for name in network.checksums]
        hub = _weights("hub")
        files: list[Callable[..., object]] = [
            partial(hub.weights_file, repo)
            for repo in (self.model.pretrained, *self.repositories.values())
        ]
        if not self.model.architecture.startswith("clip"):
            files.append(partial(tokenizer, self.model.pretrained))
        return files


def _placed(find: Callable[[], object], local: bool = True) -> object:
    """A file that nothing can be downloaded for."""
    return find()


def soup(number: int, local: bool = True) -> Path:
    """The file of a published model of model soups.

    Raises:
        MissingDataError: it is not in the data folder, or cannot be downloaded.
    """
    path = data_folder() / f"model-soups/model_{number}.pt"
    if path.is_file():
        return path
    if local:
        raise MissingDataError(
            f"{path} is not there: run `ctl data imagenet-vit-b-32` to download the models"
        )
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    with downloading(f"{path.name} of the model soups", path.parent, "model-soups"):
        torch.hub.download_url_to_file(f"{_SOUPS}/{path.name}", str(path))
    return path


def tokenizer(repo: str, local: bool = False) -> Path:
    """The tokenizer's file of a repository of the hub.

    Raises:
        MissingDataError: it is neither in the cache nor, unless ``local``, to be had.
    """
    hub = _weights("hub")
    (path,) = hub.hub(repo, hub.commit(repo), TOKENIZER, local=local)
    return path


def _weights(module: str) -> Any:
    """Looked up by name: no result depends on what is asked here, and most settings ask nothing."""
    return import_module(f"ctl_helpers.weights.{module}")


def _summary(sentences: list[str]) -> str | None:
    if len(sentences) < 2:
        return sentences[0] if sentences else None
    others = len(sentences) - 1
    missing = f"{others} more files and sets are" if others > 1 else "one more file or set is"
    return f"{sentences[0]} ({missing} missing)"
