"""Files of a data set in the data folder: is each there, and is it the published one?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ctl_helpers.project import MissingDataError, data_folder


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            total.update(block)
    return total.hexdigest()


def checked(title: str, checksums: Mapping[str, str], remedy: str) -> list[Path]:
    """The paths of a data set's files, once their bytes are those that are expected.

    Args:
        title: what a person calls the data set.
        checksums: path under the data folder → SHA-256.
        remedy: how to get the files, after a colon.

    Raises:
        MissingDataError: a file is not there, or its bytes are others.
    """
    root = data_folder()
    for name, expected in checksums.items():
        path = root / name
        if not path.is_file():
            raise MissingDataError(f"{title} is not in {root}: {remedy}")
        if file_checksum(path) != expected:
            raise MissingDataError(
                f"{path} is damaged or incomplete (its SHA-256 is not the one expected): delete "
                f"it, then {remedy}"
            )
    return [root / name for name in checksums]
