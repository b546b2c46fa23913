"""Settings: an architecture, its tasks, recipes and grids, each read from one YAML file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ctl_helpers.data import digits, mnist
from ctl_helpers.data.images import Images, MissingDataError
from ctl_helpers.models.mlp import MLP
from ctl_helpers.project import root
from ctl_helpers.sources import module_checksum
from ctl_helpers.store import Store, digest
from ctl_helpers.training import Recipe, initial_weights, train

PRETRAINED = "PT"


class SettingError(ValueError):
    """A setting or profile that does not exist or is not written right, in one sentence."""


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Checked):
    """Arguments of :class:`~ctl_helpers.models.mlp.MLP`."""

    inputs: int
    width: int
    hidden_layers: int
    classes: int


class Section(_Checked):
    """How a section's notebook runs on a setting: fixed parameters, and a grid of others."""

    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}


class Setting(_Checked):
    """One experimental setting; see ``settings/*.yaml``.

    Attributes:
        title: as a reader calls it.
        kind: ``embedded`` (a stand-in that needs no download), ``paper`` (the paper's own) or
            ``real`` (real data where the paper's cannot be had).
        about: what it is, and what it stands in for, in a sentence or two.
        model: the network's sizes.
        data: ``digits`` or ``mnist``; each task is the set rotated by the angle in its name.
        pretrain: the pretraining task ``D_PT``.
        finetune: the fine-tuning tasks ``D_i``.
        far: further fine-tuning tasks, farther from ``D_PT``, where linearity should weaken.
        pretraining, finetuning: recipes.
        sections: section number → how its notebook runs here.
    """

    name: str
    title: str
    kind: Literal["embedded", "paper", "real"]
    about: str
    model: Network
    data: Literal["digits", "mnist"]
    pretrain: str
    finetune: list[str]
    far: list[str] = []
    pretraining: Recipe
    finetuning: Recipe
    sections: dict[str, Section]

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return MLP(**self.model.model_dump())

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            _original(self.data, "test")
        except MissingDataError as error:
            return str(error)
        return None

    def fetch(self) -> None:
        """Download what :meth:`missing` names, where it can be downloaded."""
        if self.data == "mnist":
            mnist.fetch()

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, the first ``samples`` of them if given.

        Raises:
            SettingError: a task whose name is not an angle such as ``"22.5°"``.
            MissingDataError: the data set is not on this machine.
        """
        if not re.fullmatch(r"-?\d+(\.\d+)?°", task):
            raise SettingError(
                f"{self.name} has no task {task!r}; its tasks are {[self.pretrain, *self.finetune]}"
            )
        return _rotated(self.data, split, float(task[:-1])).first(samples)

    def streams(
        self, tasks: Sequence[str], samples: int | None = None, batch_size: int = 1000
    ) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Test batches by task: task → list of ``(inputs, targets)``."""
        return {task: self.images(task, "test", samples).batches(batch_size) for task in tasks}

    def checkpoints(
        self, seed: int, tasks: Sequence[str] | None = None, samples: int | None = None
    ) -> dict[str, Mapping[str, Tensor]]:
        """Pretrained and fine-tuned weights, trained here unless they are in the store.

        Args:
            seed: decides the initial weights and the order of samples.
            tasks: what to fine-tune on; by default :attr:`finetune`.
            samples: training images to use, all when None.

        Returns:
            ``"PT"`` and each task's name → state dict.
        """
        tasks = self.finetune if tasks is None else tasks
        pretrained = self._trained(self.pretrain, self.pretraining, seed, samples, None)
        found = {PRETRAINED: load_file(pretrained / _WEIGHTS)}
        for task in tasks:
            path = self._trained(task, self.finetuning, seed, samples, pretrained)
            found[task] = load_file(path / _WEIGHTS)
        return found

    def data_checksum(self) -> str:
        """Digest of the original data set, known without loading it."""
        return digits.checksum() if self.data == "digits" else mnist.checksum()

    def _trained(
        self, task: str, recipe: Recipe, seed: int, samples: int | None, start: Path | None
    ) -> Path:
        """The store's folder with the weights after training on ``task`` from ``start``."""
        key = digest(
            {
                "model": self.model.model_dump(),
                "data": self.data_checksum(),
                "task": task,
                "samples": samples,
                "recipe": asdict(recipe),
                "seed": seed,
                "start": start.name if start else None,
                # How a task's images and initial weights are made is written in this module.
                "code": module_checksum("settings"),
            }
        )

        def build(folder: Path) -> None:
            model = self.build()
            initial = load_file(start / _WEIGHTS) if start else initial_weights(self.build, seed)
            # Each task shuffles in its own order, as independent fine-tunes do.
            order = zlib.crc32(f"{task}/{seed}".encode())
            images = self.images(task, "train", samples)
            save_file(train(model, initial, images, recipe, order), folder / _WEIGHTS)

        return Store().make("checkpoints", key, build)


_WEIGHTS = "weights.safetensors"


@lru_cache
def _original(data: str, split: str) -> Images:
    return digits.digits(split) if data == "digits" else mnist.mnist(split)


@cache
def _rotated(data: str, split: str, degrees: float) -> Images:
    images = _original(data, split)
    return images.rotated(degrees) if degrees else images


def load(name: str) -> Setting:
    """The setting ``settings/<name>.yaml``.

    Raises:
        SettingError: there is no such file, or a key in it is unknown, missing or of a wrong type.
    """
    path = root() / "settings" / f"{name}.yaml"
    if name not in _stems():
        raise SettingError(f"there is no setting {name!r}; there are {_stems()}")
    return _read(path, lambda content: Setting(name=name, **content))


def names() -> list[str]:
    """The names of all settings, embedded ones first."""
    return sorted(_stems(), key=lambda name: (load(name).kind != "embedded", name))


def _stems() -> list[str]:
    files = sorted((root() / "settings").glob("*.yaml"))
    return [path.stem for path in files if path.stem != _PROFILES]


class Profile(_Checked):
    """Which kinds of setting to run, and parameters that replace the settings' own.

    Attributes:
        kinds: settings of these kinds.
        parameters: for every run, in place of what the setting says.
        grid: the same for grids.
        skip_missing: leave settings out whose data is not on this machine.
    """

    kinds: list[Literal["embedded", "paper", "real"]]
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    skip_missing: bool = False


def profile(name: str) -> Profile:
    """A profile of ``settings/profiles.yaml``; errors as :func:`load`."""
    known = _read(root() / "settings" / f"{_PROFILES}.yaml", dict)
    if name not in known:
        raise SettingError(f"there is no profile {name!r}; there are {sorted(known)}")
    return _read(root() / "settings" / f"{_PROFILES}.yaml", lambda found: Profile(**found[name]))


_PROFILES = "profiles"


def _read(path: Path, make: Any) -> Any:
    try:
        return make(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingError(f"{path.name}: {place!r}: {first['msg'].lower()}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"{path.name} is not a mapping in YAML: {reason}") from None
