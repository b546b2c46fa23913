"""Checksums of the results that come with the book, since a flipped bit still makes a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from ctl_helpers.project import TableError
from ctl_helpers.weights.checksums import file_checksum

NAME = "SHA256SUMS"
"""Beside the sections' folders; ``sha256sum --check SHA256SUMS`` reads it, too."""


def verify(path: Path, folder: Path) -> None:
    """Refuse a file whose bytes are not those that were published.

    Args:
        path: the file, below ``folder``.
        folder: of the published results; one without a list of checksums has none to hold.

    Raises:
        TableError: the file is not in the list, or was changed.
    """
    if not (folder / NAME).is_file():
        return
    listed = _listed(folder)
    name = path.relative_to(folder).as_posix()
    if name not in listed:
        raise TableError(f"{path} is not in {folder / NAME}: publish its run by `ctl publish`")
    if listed[name] != file_checksum(path):
        raise TableError(
            f"{path} is not what was published (its SHA-256 is another): restore it by "
            f"`git checkout -- {path.parent}`, or publish its run again by `ctl publish`"
        )


def update(folder: Path, runs: Iterable[Path]) -> None:
    """Write the checksums of some runs' files in place of those that they had.

    Args:
        folder: of the published results.
        runs: folders of runs below it; one that is gone is no longer listed.
    """
    path = folder / NAME
    listed = dict(_listed(folder)) if path.is_file() else {}
    for run in runs:
        own = f"{run.relative_to(folder).as_posix()}/"
        listed = {name: one for name, one in listed.items() if not name.startswith(own)}
        files = [file for file in run.rglob("*") if file.is_file()]
        listed |= {file.relative_to(folder).as_posix(): file_checksum(file) for file in files}
    lines = [f"{listed[name]}  {name}\n" for name in sorted(listed)]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _listed(folder: Path) -> Mapping[str, str]:
    """Name → checksum.

    Raises:
        TableError: the list is damaged.
    """
    path = folder / NAME
    listed, damaged = _parsed(path.read_text("utf-8"))
    if damaged is not None:
        raise TableError(
            f"line {damaged} of {path} is no checksum and name: restore it by "
            f"`git checkout -- {path}`"
        )
    return listed


@lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[Mapping[str, str], int | None]:
    """Name → checksum, and the first line that is no such thing."""
    listed: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        checksum, gap, name = line.partition("  ")
        if not gap:
            return listed, number
        listed[name] = checksum
    return listed, None
