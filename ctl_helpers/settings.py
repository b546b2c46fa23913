"""Settings: an architecture, its tasks, recipes and grids, each read from one YAML file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError
from torch import Tensor, nn

from ctl_helpers import checkpoints, models
from ctl_helpers.clip_settings import ClipSetting
from ctl_helpers.data.images import Images, MissingDataError
from ctl_helpers.project import root
from ctl_helpers.published_clip import ModelSoup, PublishedClip
from ctl_helpers.published_text import PublishedText
from ctl_helpers.schema import PRETRAINED, Checked, Described, SettingError
from ctl_helpers.sources import module_checksum
from ctl_helpers.store import digest
from ctl_helpers.tasks import Data
from ctl_helpers.text_settings import LlamaSetting, T5Setting
from ctl_helpers.training import Recipe, initial_weights
from ctl_helpers.trajectories import Checkpoint, trajectory


class _Network(Checked):
    """An architecture and its sizes, which are the arguments of its class in ``models``."""

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return models.build(**self.model_dump())


class MLP(_Network):
    """:class:`ctl_helpers.models.mlp.MLP`."""

    architecture: Literal["mlp"]
    inputs: int
    width: int
    hidden_layers: int
    classes: int


class ResNet18(_Network):
    """:class:`ctl_helpers.models.resnet.ResNet18`."""

    architecture: Literal["resnet18"]
    width: int
    classes: int


class OtherResNet(_Network):
    """A network of :mod:`ctl_helpers.models.resnet` whose widths are given."""

    architecture: Literal["resnet20", "imagenet-resnet18"]
    classes: int


Network = Annotated[MLP | ResNet18 | OtherResNet, Field(discriminator="architecture")]


class Setting(Described):
    """A setting whose networks are trained from scratch; see ``settings/*.yaml``.

    Attributes:
        model: the network and its sizes.
        pretrain: the pretraining task ``D_PT``.
        far: further fine-tuning tasks, farther from ``D_PT``, where linearity should weaken.
        pretraining, finetuning: recipes.
    """

    model: Network
    data: Data
    pretrain: str
    far: list[str] = Field(default_factory=list)
    pretraining: Recipe
    finetuning: Recipe

    def build(self) -> nn.Module:
        """The architecture, with weights that nobody should use."""
        return self.model.build()

    def shortened(self, share: float) -> Setting:
        """The same with a share of the training epochs, one at least, for a quick look."""

        def short(recipe: Recipe) -> Recipe:
            return replace(recipe, epochs=max(round(share * recipe.epochs), 1))

        recipes = {"pretraining": short(self.pretraining), "finetuning": short(self.finetuning)}
        return self.model_copy(update=recipes)

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        try:
            self.data.images(self.pretrain, "test")
            if self.model.architecture == "resnet20":
                checkpoints.resnet20(self.build().state_dict())
        except MissingDataError as error:
            return str(error)
        return None

    def images(self, task: str, split: str, samples: int | None = None) -> Images:
        """The images of a task, the first ``samples`` of them (in the set's order) if given.

        Raises:
            SettingError: a task that the data does not have.
            MissingDataError: the data set is not on this machine.
        """
        if not self.data.knows(task):
            raise SettingError(
                f"{self.name} has no task {task!r}; its tasks are {[self.pretrain, *self.finetune]}"
            )
        return self.data.images(task, split).first(samples)

    def streams(
        self, tasks: Sequence[str], samples: int | None = None, batch_size: int = 500
    ) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Test batches by task: task → list of ``(inputs, targets)``."""
        return {task: self.images(task, "test", samples).batches(batch_size) for task in tasks}

    def pretrained(
        self,
        seed: int,
        epochs: Sequence[int] | None = None,
        samples: int | None = None,
        task: str | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along pretraining, from one run: epoch → checkpoint.

        Args:
            seed: decides the initial weights and the order of samples.
            epochs: which to give, 0 being the initial weights; the recipe's last when None.
            samples: training images to use, all when None.
            task: in place of :attr:`pretrain`.
        """
        task = task or self.pretrain
        return self._trained(
            task,
            self.pretraining,
            epochs,
            {"initial": seed, "samples": samples},
            lambda: initial_weights(self.build, seed),
            lambda: self.images(task, "train", samples),
            seed,
        )

    def finetuned(
        self,
        start: Checkpoint,
        task: str,
        seed: int,
        epochs: Sequence[int] | None = None,
        samples: int | None = None,
        recipe: Recipe | None = None,
        replaced: tuple[str, float] | None = None,
    ) -> dict[int, Checkpoint]:
        """Checkpoints along fine-tuning, from one run: epoch → checkpoint.

        Args:
            start: the pretrained checkpoint.
            task: what to fine-tune on.
            seed: decides the order of samples, together with the task.
            epochs: which to give, 0 being the start; the recipe's last when None.
            samples: training images to use, all when None.
            recipe: in place of :attr:`finetuning`.
            replaced: (donor task, ratio): that share of the images is replaced by the donor's.
        """

        swapped = replaced if replaced and replaced[1] else None

        def images() -> Images:
            own = self.images(task, "train", samples)
            if swapped is None:
                return own
            donor, ratio = swapped
            return own.replaced(self.images(donor, "train", samples), ratio, seed)

        return self._trained(
            task,
            recipe or self.finetuning,
            epochs,
            {"start": start.key, "samples": samples, "replaced": swapped},
            start.weights,
            images,
            seed,
        )

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
        (start,) = self.pretrained(seed, samples=samples).values()
        found = {PRETRAINED: start.weights()}
        for task in self.finetune if tasks is None else tasks:
            (tuned,) = self.finetuned(start, task, seed, samples=samples).values()
            found[task] = tuned.weights()
        return found

    def heads(self, seed: int, tasks: Sequence[str]) -> None:
        """None: these networks give logits themselves."""

    def published(self) -> Checkpoint:
        """The pretrained weights that others have published for this network.

        Raises:
            SettingError: none are known.
            MissingDataError: they are not on this machine.
        """
        if self.model.architecture != "resnet20":
            raise SettingError(f"{self.name}: no published weights of {self.model.architecture}")
        return self._trained(
            self.pretrain,
            self.pretraining,
            [0],
            {"published": checkpoints.RESNET20},
            lambda: checkpoints.resnet20(self.build().state_dict()),
            lambda: self.images(self.pretrain, "train"),
            0,
        )[0]

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""
        parts = (models.source(self.model.architecture), f"data.{self.data.set}", "trajectories")
        return digest([module_checksum(part) for part in (*parts, "tasks", "checkpoints")])

    def _trained(
        self,
        task: str,
        recipe: Recipe,
        epochs: Sequence[int] | None,
        facts: Mapping[str, object],
        start: Callable[[], Mapping[str, Tensor]],
        images: Callable[[], Images],
        seed: int,
    ) -> dict[int, Checkpoint]:
        known = {
            "model": self.model.model_dump(),
            "data": [self.data.model_dump(), self.data_checksum()],
            "task": task,
            "code": self.source_checksum(),
        }
        # Each task shuffles in its own order, as independent fine-tunes do.
        order = zlib.crc32(f"{task}/{seed}".encode())
        wanted = [recipe.epochs] if epochs is None else epochs
        label = f"{self.name}, {task}, seed {seed}"
        return trajectory(
            label, {**known, **facts}, recipe, wanted, self.build, start, images, order
        )


AnySetting = (
    Setting | ClipSetting | PublishedClip | ModelSoup | T5Setting | LlamaSetting | PublishedText
)
_OWN = {
    "clip": ClipSetting,
    "t5": T5Setting,
    "llama": LlamaSetting,
    "t5-published": PublishedText,
    "llama-published": PublishedText,
}


def load(name: str) -> AnySetting:
    """The setting ``settings/<name>.yaml``.

    Raises:
        SettingError: there is no such file, or a key in it is unknown, missing or of a wrong type.
    """
    path = root() / "settings" / f"{name}.yaml"
    if name not in _stems():
        raise SettingError(f"there is no setting {name!r}; there are {_stems()}")
    return _parsed(path.name, path.read_text(encoding="utf-8"))


# Plans ask for every setting again and again.
@lru_cache(maxsize=64)
def _parsed(file: str, text: str) -> AnySetting:
    name = file.removesuffix(".yaml")
    return _read(file, text, lambda content: _sort(content)(name=name, **content))


def _sort(content: object) -> type[AnySetting]:
    model = content.get("model") if isinstance(content, Mapping) else None
    architecture = model.get("architecture") if isinstance(model, Mapping) else None
    if architecture == "clip-published":
        return ModelSoup if "ingredients" in content else PublishedClip
    return _OWN.get(architecture, Setting)


def names() -> list[str]:
    """The names of all settings, embedded ones first."""
    return sorted(_stems(), key=lambda name: (load(name).kind != "embedded", name))


def _stems() -> list[str]:
    files = sorted((root() / "settings").glob("*.yaml"))
    return [path.stem for path in files if path.stem != _PROFILES]


class Profile(Checked):
    """Which kinds of setting to run, and parameters that replace the settings' own.

    Attributes:
        kinds: settings of these kinds.
        parameters: for every run, in place of what the setting says.
        sections: the same for the runs of one section.
        grid: the same for grids.
        skip_missing: leave settings out whose data is not on this machine.
    """

    kinds: list[Literal["embedded", "paper", "real"]]
    parameters: dict[str, Any] = Field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    skip_missing: bool = False


def profile(name: str) -> Profile:
    """A profile of ``settings/profiles.yaml``; errors as :func:`load`."""
    path = root() / "settings" / f"{_PROFILES}.yaml"
    text = path.read_text(encoding="utf-8")
    known = _read(path.name, text, dict)
    if name not in known:
        raise SettingError(f"there is no profile {name!r}; there are {sorted(known)}")
    return _read(path.name, text, lambda found: Profile(**found[name]))


_PROFILES = "profiles"


def _read(file: str, text: str, make: Any) -> Any:
    try:
        return make(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingError(f"{file}: {place!r}: {first['msg'].lower()}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"{file} is not a mapping in YAML: {reason}") from None
