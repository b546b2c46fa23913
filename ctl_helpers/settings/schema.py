"""What settings of every kind have in common; it imports no torch."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ctl_helpers.data.dataset import DataSet, data_set
from ctl_helpers.project import SettingError
from ctl_helpers.settings.needs import Needs

if TYPE_CHECKING:
    from torch import Tensor, nn
    from typing_extensions import Self

    from ctl_helpers.data.batches import Batches

PRETRAINED = "PT"

Grade = Literal["A", "B", "C", "D"]

Strangers = Mapping[Literal["foreign", "scratch"], Mapping[str, Any]]
"""Checkpoints that others are mixed with, and those from random weights."""

GRADES: dict[Grade, str] = {
    "A": "the paper's own",
    "B": "a real pretrained network on real data",
    "C": "trained here on real data",
    "D": "generated data, or few real ones",
}
"""What a verdict's setting is, from the paper's own down to stand-ins."""

_POINT = re.compile(r"[\w.,;°+()\[\]' -]+")  # a grid point in a name of a folder
_READERS = ("t5", "llama", "bert")  # in the names of networks that read text


class Checked(BaseModel):
    """Fields that are checked when they are read; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(BaseModel):
    """An architecture and its sizes, which the kinds of setting check."""

    model_config = ConfigDict(extra="allow", frozen=True)

    architecture: str


class Data(Checked):
    """A data set, found by its name.

    Attributes:
        set: its module in :mod:`ctl_helpers.data.sets`.
    """

    set: str

    @field_validator("set")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if not name.isidentifier() or find_spec(f"ctl_helpers.data.sets.{name}") is None:
            raise ValueError(f"there is no data set {name!r}")
        return name

    @property
    def module(self) -> DataSet:
        """The data set itself."""
        return data_set(self.set)


class Section(Checked):
    """How a section's notebook runs on a setting: fixed parameters, and a grid of others."""

    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}

    @field_validator("grid")
    @classmethod
    def _names_folders(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in grid.items():
            for value in values:
                if not _POINT.fullmatch(f"{name}-{value}"):
                    raise ValueError(
                        f"the grid value {value!r} of {name!r} names a folder; use letters, "
                        "digits, signs and spaces alone"
                    )
        return grid


class Described(BaseModel):
    """What a reader needs to know of a setting, and what a plan does.

    Attributes:
        title: as a reader calls it.
        kind: ``embedded`` (a stand-in that needs no download), ``paper`` (the paper's own) or
            ``real`` (real data where the paper's cannot be had).
        grade: one of :data:`GRADES`.
        part: whether a part of the data alone is at hand.
        about: what it is, and what it stands in for, in a sentence or two.
        model: the architecture.
        data: the data set.
        finetune: the fine-tuning tasks ``D_i``.
        control: what stands for the pretraining task where a task vector is subtracted; all other
            tasks when empty.
        sections: section → how its notebook runs here.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    title: str
    kind: Literal["embedded", "paper", "real"]
    grade: Grade
    part: bool = False
    about: str
    model: Network
    data: Data
    finetune: list[str]
    control: list[str] = Field(default_factory=list)
    sections: dict[str, Section]

    @property
    def architecture(self) -> str:
        """The name of the network's architecture."""
        return self.model.architecture

    @property
    def badge(self) -> str:
        """Its grade in a few words, as it stands beside a verdict: "real pretrained, in part"."""
        reads = any(part in self.architecture for part in _READERS)
        words = {
            "A": "paper's own",
            "B": "real pretrained",
            "C": f"trained here on real {'texts' if reads else 'images'}",
            "D": "small real digits" if self.data.set == "digits" else "generated",
        }
        return words[self.grade] + ", in part" * self.part

    def missing(self) -> str | None:
        """What is not on this machine and how to get it, in one sentence; None if all is here."""
        return Needs.model_validate(self.model_dump()).missing()

    def fetch(self) -> None:
        """Download what is not on this machine.

        Raises:
            MissingDataError: some cannot be downloaded.
        """
        Needs.model_validate(self.model_dump()).fetch()

    def data_checksum(self) -> str:
        """Digest of the original data set, known without loading it."""
        return self.data.module.checksum()


class Setting(Described):
    """What notebooks, runs and pages use of a setting of every kind; the kinds build on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def build(self) -> nn.Module:
        """The network whose checkpoints are compared, with weights that nobody should use."""

    @abstractmethod
    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int | None = None,
        split: str = "test",
    ) -> Mapping[str, Batches[Any]]:
        """Batches by task: task → batches of inputs and targets.

        Args:
            tasks: names of tasks.
            samples: how many of each, all when None.
            batch_size: samples per batch; by default as many as suit the kind.
            split: which part of the data.
        """

    @abstractmethod
    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set."""

    @abstractmethod
    def checkpoints(self, seed: int, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """Networks by name, ``"PT"`` and those of tasks: name → state dict."""

    def strangers(self, seed: int, tasks: Sequence[str] | None = None, **how: Any) -> Strangers:
        """Networks for the control of pretraining: those of another one.

        Args:
            seed: whose networks they are compared with.
            tasks, how: as for ``checkpoints``.

        Returns:
            Checkpoints, under the keywords of :func:`ctl_helpers.analysis.controls.controlled` that
            take them.
        """
        return {"foreign": self.checkpoints(_another(seed), tasks, **how)}

    def split_by(self, seed: int) -> Self:
        """The same with classes split otherwise, by a seed; here tasks are whole sets."""
        return self

    def check_task(self, task: str) -> None:
        """Refuse a task that the setting does not have.

        Raises:
            SettingError: no such task.
        """
        tasks = [*self.finetune, *self.control]
        if task not in tasks:
            raise SettingError(f"{self.name} has no task {task!r}; its tasks are {tasks}")

    def loaded(self, task: str, split: str, samples: int | None = None) -> Any:
        """What the data set has of a task, the first ``samples`` examples if given.

        Args:
            task: one of :attr:`finetune` or :attr:`control`.
            split: ``"train"``, ``"held-out"`` (where λ is chosen) or ``"test"``.
            samples: how many, all when None.

        Raises:
            SettingError: no such task.
            MissingDataError: the data set is not on this machine.
        """
        self.check_task(task)
        return self.data.module.load(task, split, samples)

    def shortened(self, share: float) -> Self:
        """The same with a share of the training, for a quick look; here nothing is trained."""
        return self

    def heads(self, seed: int, tasks: Sequence[str]) -> Mapping[str, Any] | None:
        """Frozen heads by task; None where networks give logits themselves."""
        return None

    def exact_heads(self, tasks: Sequence[str]) -> Mapping[str, Any] | None:
        """Heads whose hits are exact matches; None where nothing but :meth:`heads` is needed."""
        return None


def _another(seed: int) -> int:
    return 0 if seed else 1


class Start(Protocol):
    """A pretrained network: what it depends on, and its state dict."""

    @property
    def key(self) -> str:
        """Digest of all that the weights depend on."""

    def weights(self) -> Mapping[str, Tensor]:
        """All of it."""
