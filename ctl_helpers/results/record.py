"""A notebook's tables on disk, with where they come from."""

from __future__ import annotations

import ast
import html
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from ctl_helpers.project import SettingError, root
from ctl_helpers.results.declared import check
from ctl_helpers.settings.schema import Described

PROVENANCE = "provenance.json"
_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn")


class Recorder:
    """Collects a run's tables and says where they come from.

    Args:
        setting: what is run.
        section: the paper's section, such as ``"4.1"``.
        parameters: the notebook's parameters.
        folder: where to write; a folder beside the notebook when it is run by hand.
    """

    def __init__(
        self,
        setting: Described,
        section: str,
        parameters: Mapping[str, object],
        folder: str | None = None,
    ) -> None:
        self._folder = Path(folder) if folder else Path("results-by-hand") / section / setting.name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._setting, self._section, self._parameters = setting, section, dict(parameters)
        self._code, self._start = _code_version(), time.monotonic()

    @classmethod
    def of_notebook(cls, setting: Described, section: str) -> Recorder:
        """For the notebook that is running: its parameters are what its parameters cell sets.

        That cell also sets ``setting_name`` and ``results_folder``, which are not among them.

        Raises:
            SettingError: no such cell was run.
        """
        parameters = _notebook_parameters()
        folder = parameters.pop("results_folder")
        del parameters["setting_name"]
        return cls(setting, section, parameters, None if folder is None else str(folder))

    def save(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as ``<name>.parquet``; see :func:`ctl_helpers.results.declared.check`."""
        check(self._section, name, table)
        table.to_parquet(self._folder / f"{name}.parquet", index=False)

    def finish(self) -> Provenance:
        """Write the provenance beside the tables, and return it for display."""
        provenance = Provenance(
            {
                "setting": self._setting.name,
                "section": self._section,
                "parameters": self._parameters,
                "data": self._setting.data.set,
                "data checksum": self._setting.data_checksum(),
                **made_with(),
                "code": self._code,
                "seconds": round(time.monotonic() - self._start, 1),
                **_memory(),
            }
        )
        text = json.dumps(provenance.facts, indent=1, ensure_ascii=False)
        (self._folder / PROVENANCE).write_text(text, encoding="utf-8")
        return provenance


@dataclass(frozen=True)
class Provenance:
    """What made a result: fact → value."""

    facts: Mapping[str, object]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        return f"<table class='provenance'><tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        return [(name, plain(value)) for name, value in self.facts.items()]


def made_with() -> dict[str, object]:
    """The code and the machine that make a result now."""
    return {
        "code": _code_version(),
        "device": _device(),
        "packages": {name: _package(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def machine() -> str:
    """What a notebook runs with: versions, the device, and where a GPU is to be had."""
    import torch  # reading results takes none

    names = ("ctl-helpers", *_PACKAGES, "plotly")
    versions = ", ".join(f"{name} {_package(name)}" for name in names)
    hint = (
        "The default setting needs no GPU. For the larger ones choose one in Colab under Runtime, "
        "Change runtime type, before the first cell."
    )
    lines = [f"Python {platform.python_version()}, {versions}", f"It runs on: {_device()}."]
    return "\n".join(lines if torch.cuda.is_available() else [*lines, hint])


def _notebook_parameters() -> dict[str, object]:
    """What the parameters cell sets, with its values now: a runner may have set others."""
    from IPython import get_ipython  # no notebook, no IPython

    shell = get_ipython()
    for cell in shell.user_ns["In"] if shell else ():
        names = _assigned(cell)
        if {"setting_name", "results_folder"} <= set(names):
            return {name: shell.user_ns[name] for name in names}
    raise SettingError(
        "no cell that sets setting_name and results_folder was run; run the notebook from the top"
    )


def _assigned(cell: str) -> list[str]:
    """The names that a cell assigns, in their order; none where it is not whole."""
    try:
        statements = ast.parse(cell).body
    except SyntaxError:
        return []
    targets = [one for each in statements if isinstance(each, ast.Assign) for one in each.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _code_version() -> str:
    """The commit of this checkout, with a note where code or settings differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "ctl_helpers", "notebooks", "settings")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"ctl-helpers {_package('ctl-helpers')}"


def _device() -> str:
    import torch  # reading results takes none

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _memory() -> dict[str, str]:
    """The most memory that this process had, where the system counts it."""
    try:
        import resource
    except ImportError:  # on Windows
        return {}
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak memory": f"{most / (2**30 if sys.platform == 'darwin' else 2**20):.1f} GB"}


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def plain(value: object) -> str:
    """A fact of provenance as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(plain, value)) + "]"
    return str(value)
