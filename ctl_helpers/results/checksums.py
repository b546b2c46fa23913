"""Checksums of stored tables, since a flipped bit still makes a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from ctl_helpers.project import TableError, work_folder
from ctl_helpers.weights.checksums import file_checksum

NAME = "SHA256SUMS"
"""Beside the sections' folders; ``sha256sum --check SHA256SUMS`` reads it, too."""


def verify(path: Path, folder: Path) -> None:
    """Refuse a file whose bytes are not those that were listed.

    Args:
        path: the file, below ``folder``.
        folder: of results; one without a list of checksums has none to hold.

    Raises:
        TableError: the file is not in the list, or was changed.
    """
    if not (folder / NAME).is_file():
        return
    listed = _listed(folder)
    name = path.relative_to(folder).as_posix()
    if name not in listed:
        raise TableError(f"{path} is not in {folder / NAME}: {_again(folder)}")
    if listed[name] != file_checksum(path):
        raise TableError(
            f"{path} is not what was stored (its SHA-256 is another): {_again(folder)}"
        )


def check_complete(section: Path, folder: Path) -> None:
    """Refuse a section of which a listed file is gone, since its numbers would be of fewer runs.

    Args:
        section: its folder, below ``folder``.
        folder: of results; one without a list of checksums has none to hold.

    Raises:
        TableError: a file is missing.
    """
    if not (folder / NAME).is_file():
        return
    own = f"{section.relative_to(folder).as_posix()}/"
    for name in _listed(folder):
        if name.startswith(own) and not (folder / name).is_file():
            raise TableError(f"{folder / name} is listed and not there: {_again(folder)}")


def _again(folder: Path) -> str:
    if folder == work_folder() / "current":
        return "lay out the stored runs again by `ctl site`"
    return f"restore it by `git checkout -- {folder}`, or publish its run again by `ctl publish`"


def update(folder: Path, runs: Iterable[Path]) -> None:
    """Write the checksums of some runs' files in place of those that they had.

    Args:
        folder: of results.
        runs: folders of runs below it; one that is gone is no longer listed.
    """
    path = folder / NAME
    listed = dict(_listed(folder)) if path.is_file() else {}
    for run in runs:
        own = f"{run.relative_to(folder).as_posix()}/"
        listed = {name: one for name, one in listed.items() if not name.startswith(own)}
        files = [file for file in run.rglob("*") if file.is_file()]
        listed |= {file.relative_to(folder).as_posix(): file_checksum(file) for file in files}
    fresh = path.with_suffix(".new")  # a list that is half written would refuse what is whole
    fresh.write_bytes(written(listed))
    fresh.replace(path)


def written(listed: Mapping[str, str]) -> bytes:
    """A list's content, from each file's name and checksum."""
    return "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)).encode()


def _listed(folder: Path) -> Mapping[str, str]:
    """Name → checksum.

    Raises:
        TableError: the list is damaged.
    """
    path = folder / NAME
    listed, damaged = _parsed(path.read_bytes())
    if damaged is not None:
        raise TableError(f"line {damaged} of {path} is no checksum and name: {_again(folder)}")
    return listed


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> tuple[Mapping[str, str], int | None]:
    """Name → checksum, and the first line that is no such thing."""
    listed: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        checksum, gap, name = line.partition("  ")
        if not gap:
            return listed, number
        listed[name] = checksum
    return listed, None
