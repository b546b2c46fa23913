"""Content-addressed artifacts: made once, whole or not at all, by one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ctl_helpers.project import work_folder
from ctl_helpers.store.status import waiting_for
from ctl_helpers.weights.checksums import file_checksum

_MANIFEST = "manifest.json"
_PLACE = ""  # in a manifest, beside the names of files


def digest(value: object) -> str:
    """SHA-256 of a JSON-like value, independent of the order of its keys; 16 hex digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Store:
    """Folders of files, each found by what it is (``kind``) and all it depends on (``key``).

    An artifact appears under its name only when it is complete, so an interrupted build leaves
    nothing behind that could be taken for a result, and two processes that want the same artifact
    build it once.

    Args:
        root: the folder to keep artifacts in; by default ``store`` in the project's work folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else work_folder() / "store"

    def get(self, kind: str, key: str) -> Path | None:
        """The artifact's folder, or None where it is not there or its files are damaged."""
        folder = self.root / kind / key
        try:
            manifest: dict[str, str] = json.loads((folder / _MANIFEST).read_text("utf-8"))
            # Of an artifact that was stored before names were kept, the place is not known.
            is_own = bool(manifest) and manifest.pop(_PLACE, place := f"{kind}/{key}") == place
            whole = all(file_checksum(folder / name) == found for name, found in manifest.items())
        except (OSError, ValueError, AttributeError, TypeError):
            return None
        return folder if whole and is_own else None

    def make(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """The artifact's folder, built first where it is missing.

        Args:
            kind: what sort of artifact, such as ``"checkpoints"``.
            key: :func:`digest` of its configuration, its inputs' checksums and its sources.
            build: writes the artifact's files into the empty folder that it is given. Whatever it
                raises is passed on, and nothing is stored.
        """
        if (stored := self.get(kind, key)) is not None:
            return stored  # whole, and nobody's to change: no lock is needed
        folder = self.root / kind / key
        folder.parent.mkdir(parents=True, exist_ok=True)
        with waiting_for(folder.parent / f"{key}.lock", f"making of {kind}/{key}"):
            found = self.get(kind, key)
            if found is not None:
                return found
            # Under the lock, what an interrupted build left behind is nobody's.
            for left in folder.parent.glob(f".{key}-*"):
                shutil.rmtree(left, ignore_errors=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
            try:
                build(fresh)
                files = sorted(path for path in fresh.rglob("*") if path.is_file())
                manifest = {_PLACE: f"{kind}/{key}"} | {
                    path.relative_to(fresh).as_posix(): file_checksum(path) for path in files
                }
                (fresh / _MANIFEST).write_text(json.dumps(manifest, indent=1))
                # Only a damaged artifact can stand here: get() found none that is whole.
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(fresh, folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return folder
