"""What settings of every sort have in common."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

PRETRAINED = "PT"


class Checked(BaseModel):
    """Fields that are checked when they are read; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSet(Checked):
    """A data set, found by its name.

    Attributes:
        set: the module of :mod:`ctl_helpers.data.sets` that loads it.
    """

    set: str

    @field_validator("set")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if not name.isidentifier() or find_spec(f"ctl_helpers.data.sets.{name}") is None:
            raise ValueError(f"there is no data set {name!r}")
        return name

    @property
    def module(self) -> ModuleType:
        """Looked up by name, so that stored checkpoints depend on their own set's source alone."""
        return import_module(f"ctl_helpers.data.sets.{self.set}")


class Section(Checked):
    """How a section's notebook runs on a setting: fixed parameters, and a grid of others."""

    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}


class Described(Checked):
    """What a reader needs to know of a setting, and what a plan does.

    Attributes:
        title: as a reader calls it.
        kind: ``embedded`` (a stand-in that needs no download), ``paper`` (the paper's own) or
            ``real`` (real data where the paper's cannot be had).
        about: what it is, and what it stands in for, in a sentence or two.
        data: the data set, and how tasks are made from it.
        finetune: the fine-tuning tasks ``D_i``.
        sections: section → how its notebook runs here.
    """

    name: str
    title: str
    kind: Literal["embedded", "paper", "real"]
    about: str
    data: DataSet
    finetune: list[str]
    sections: dict[str, Section]

    def fetch(self) -> None:
        """Download what is not on this machine, where it can be downloaded."""
        self.data.module.fetch()

    def data_checksum(self) -> str:
        """Digest of the original data set, known without loading it."""
        return self.data.module.checksum()
