"""Where the book's files are, and the errors that every wing raises at a user."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class ProjectError(ValueError):
    """The project's own files are not as they should be; the message says so in one sentence."""


class SettingError(ProjectError):
    """A setting or profile that does not exist or is not written right, in one sentence."""


class TableError(ProjectError):
    """A stored table that is not as it is declared, in one sentence."""


class MissingDataError(RuntimeError):
    """A data set is not on this machine; the message says in one sentence how to get it."""


_WHEEL = Path(__file__).resolve().parent / "checkout"  # which setup.py puts into a wheel
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?")


def root() -> Path:
    """The checkout: the current folder if it is one, or that of this package.

    A package that was installed from a wheel has a folder of its own with what notebooks read.
    """
    here = Path.cwd()
    if (here / "_toc.yml").is_file() and (here / "settings").is_dir():
        return here
    return _WHEEL if _WHEEL.is_dir() else _WHEEL.parents[1]


def work_folder() -> Path:
    """Where runs and trained checkpoints are kept: ``$CTL_STORE``, or ``.ctl`` in the checkout.

    Without a checkout it is ``.ctl`` in the current folder.
    """
    place = Path.cwd() if root() == _WHEEL else root()
    return Path(os.environ.get("CTL_STORE") or place / ".ctl").absolute()


def data_folder() -> Path:
    """Where data sets are looked for: ``$CTL_DATA_DIR``, or a folder in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CTL_DATA_DIR") or cache / "ctl-helpers").absolute()


def keep_tools_in_work_folder() -> None:
    """Let what tools would leave in the user's home or among temporary files go to the work folder.

    IPython makes a profile, matplotlib a list of fonts, and torch a folder for compiled code. Where
    the environment says another place, that counts.
    """
    for variable in ("IPYTHONDIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ.setdefault(variable, str(work_folder() / "tools" / variable.lower()))


def repository(checkout: Path) -> str | None:
    """The repository's address, from ``[project.urls]`` in pyproject.toml; None while not set.

    Raises:
        ProjectError: an address that Colab cannot open.
    """
    text = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    address = tomllib.loads(text)["project"].get("urls", {}).get("Repository")
    if address is None:
        return None
    match = _GITHUB.fullmatch(address)
    if match is None:
        raise ProjectError(
            f"[project.urls] Repository in pyproject.toml is {address!r}; "
            "give https://github.com/OWNER/NAME"
        )
    return f"https://github.com/{match[1]}"
