"""The plan of a profile: which notebook runs on which setting and grid point, under which key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from ctl_helpers import settings
from ctl_helpers.project import SettingError, root
from ctl_helpers.results import folder_name
from ctl_helpers.store import code_keys
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.weights.checksums import file_checksum

_PACKAGE = Path(__file__).parents[1]
_OF_CLASS = "class.json"

State = tuple[tuple[str, int, int], ...]
"""A package's modules, and when each was written last, at which size."""


@dataclass(frozen=True)
class Job:
    """One run to make: a section's notebook with its parameters.

    Attributes:
        section: the paper's section, such as ``"4.1"``.
        setting: the setting's name.
        parameters: all that the notebook gets, but for the folder to write to.
        point: the part of them that comes from the grid.
    """

    section: str
    setting: str
    parameters: Mapping[str, Any]
    point: Mapping[str, Any]

    @property
    def name(self) -> str:
        """A file name: the setting and the grid point."""
        return "-".join([self.setting, *(f"{key}-{value}" for key, value in self.point.items())])

    @property
    def label(self) -> str:
        """What a person calls it."""
        point = [f"{key}={value}" for key, value in self.point.items()]
        return " ".join([self.section, self.setting, *point])

    @property
    def title(self) -> str:
        """The heading of its page."""
        point = [f"{key} {value}" for key, value in self.point.items()]
        return " · ".join([self.section, settings.describe(self.setting).title, *point])

    @property
    def notebook(self) -> Path:
        """The notebook to run."""
        return root() / "notebooks" / f"{folder_name(self.section)}.ipynb"

    def key(self) -> str:
        """Digest of all that the result depends on, the helpers that the notebook uses included."""
        if not self.notebook.is_file():
            raise SettingError(
                f"{self.setting}: section {self.section} has no notebook {self.notebook.name}"
            )
        cells = json.loads(self.notebook.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        state = _state()
        return digest(
            {
                "parameters": dict(self.parameters),
                "data": settings.describe(self.setting).data_checksum(),
                **_of_class(self.setting, state),
                "notebook": cells,
                "helpers": _helpers("\n".join(code), state),
            }
        )

    def artifact(self) -> Path | None:
        """The folder of the stored run, if it is there and whole."""
        return Store().get("runs", self.key())


def _state() -> State:
    found = []
    for folder, _, names in os.walk(_PACKAGE):
        for path in (f"{folder}/{name}" for name in names if name.endswith(".py")):
            stat = os.stat(path)
            found.append((path, stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))


# Runs share notebooks and settings, and while no module is written, each is looked through once.


@lru_cache
def _helpers(code: str, state: State) -> str:
    return code_keys.checksum(code)


@lru_cache(maxsize=1)
def _modules(state: State) -> list[list[str]]:
    paths = sorted(Path(path) for path, _, _ in state)
    return [[str(path.relative_to(_PACKAGE)), file_checksum(path)] for path in paths]


def _of_class(name: str, state: State) -> dict[str, Any]:
    """What a setting's class adds to a run's key.

    Classes import torch, which takes longer than all else in a plan, so that what one says is
    stored until the setting's file or any of this package changes.
    """

    def ask(folder: Path) -> None:
        setting: settings.Setting = settings.load(name)
        module = type(setting).__module__.split(".", 1)[1]
        said = {
            "setting": setting.model_dump(mode="json", exclude={"sections"}),
            "kind": code_keys.module_checksum(module),
            "network and data": setting.source_checksum(),
        }
        (folder / _OF_CLASS).write_text(json.dumps(said, allow_nan=False), encoding="utf-8")

    own = file_checksum(root() / "settings" / f"{name}.yaml")
    key = digest({"name": name, "file": own, "code": _modules(state)})
    stored = Store().make("settings", key, ask) / _OF_CLASS
    return dict(json.loads(stored.read_text(encoding="utf-8")))


def jobs(profile: str, section: str | None = None, setting: str | None = None) -> list[Job]:
    """The runs of a profile, all of them or those of one section or setting.

    A setting that is named is run whatever kinds the profile lists.

    Raises:
        SettingError: an unknown profile, setting or section.
    """
    how = settings.profile(profile)
    described = [settings.describe(name) for name in ([setting] if setting else settings.names())]
    run = [each for each in described if setting or each.kind in how.kinds]
    planned = [job for each in run for job in _expand(each, how)]
    sections = sorted({job.section for job in planned})
    if section is not None and section not in sections:
        raise SettingError(
            f"no setting of profile {profile!r} has a section {section!r}; there are {sections}"
        )
    return [job for job in planned if section in (None, job.section)]


def _expand(setting: settings.Described, profile: settings.Profile) -> Iterable[Job]:
    own = profile.settings.get(setting.name, {})
    for number, section in setting.sections.items():
        replaced = profile.parameters | profile.sections.get(number, {}) | own.get(number, {})
        grid = section.grid | {k: v for k, v in profile.grid.items() if k in section.grid}
        for values in product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            named = {"setting_name": setting.name}
            yield Job(number, setting.name, named | section.parameters | replaced | point, point)
