"""The store: artifacts whole or not at all, built once, and noticed when damaged."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.weights.checksums import file_checksum

# Forked: a fresh interpreter would spend its time on importing torch.
FORK = multiprocessing.get_context("fork")


def write(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "table.bin").write_bytes(b"whole" * 1000)


def files(store: Store) -> set[str]:
    """All that is under the store's root but locks."""
    paths = (path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(store.root).as_posix() for path in paths}


def test_an_artifact_is_built_once_and_found_by_kind_and_key(work_folder: Path) -> None:
    store = Store()
    assert store.get("runs", "k") is None
    folder = store.make("runs", "k", write)
    assert folder == work_folder / "store" / "runs" / "k"
    assert files(store) == {"runs/k/inner/table.bin", "runs/k/manifest.json"}
    assert store.make("runs", "k", pytest.fail) == store.get("runs", "k") == folder
    for kind, key in (("runs", "other"), ("checkpoints", "k")):
        assert store.get(kind, key) is None


def test_a_build_that_raises_leaves_nothing_and_passes_the_error_on(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        write(folder)
        raise ZeroDivisionError("half way")

    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError, match="half way"):
        store.make("runs", "k", half)
    assert files(store) == set()
    assert store.get("runs", "k") is None
    assert store.make("runs", "k", write).is_dir()


@pytest.mark.parametrize("name", ["inner/table.bin", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "emptied", "deleted"])
def test_a_damaged_artifact_is_noticed_and_built_anew(tmp_path, name: str, damage: str) -> None:
    store = Store(tmp_path)
    path = store.make("runs", "k", write) / name
    content = path.read_bytes()
    changed = {
        "truncated": content[:-1],
        "altered": bytes([content[0], content[1] ^ 1, *content[2:]]),
        "emptied": b"",
    }
    path.unlink() if damage == "deleted" else path.write_bytes(changed[damage])
    assert store.get("runs", "k") is None
    store.make("runs", "k", write)
    assert path.read_bytes() == content
    assert store.get("runs", "k") == tmp_path / "runs" / "k"


def test_an_artifact_in_the_place_of_another_and_a_list_of_nothing_are_noticed(tmp_path) -> None:
    store = Store(tmp_path)
    one, other = store.make("runs", "k", write), store.make("runs", "l", write)
    one.rename(tmp_path / "kept")
    other.rename(one)
    (tmp_path / "kept").rename(other)
    assert store.get("runs", "k") is store.get("runs", "l") is None
    (store.make("runs", "k", write) / "manifest.json").write_text("{}")
    assert store.get("runs", "k") is None


def test_an_artifact_of_an_older_list_without_its_place_is_whole(tmp_path: Path) -> None:
    path = Store(tmp_path).make("runs", "k", write) / "manifest.json"
    listed = json.loads(path.read_text())
    assert listed.pop("") == "runs/k"
    path.write_text(json.dumps(listed))
    assert Store(tmp_path).get("runs", "k") == path.parent


def die_half_way(root: Path) -> None:
    def build(folder: Path) -> None:
        write(folder)
        os.kill(os.getpid(), signal.SIGKILL)

    Store(root).make("runs", "k", build)


def test_a_killed_build_leaves_no_artifact_and_the_next_builds_it(tmp_path: Path) -> None:
    process = FORK.Process(target=die_half_way, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    store = Store(tmp_path)
    assert any(name.endswith("table.bin") for name in files(store))  # what the killed one had done
    assert store.get("runs", "k") is None
    store.make("runs", "k", write)
    assert files(store) == {"runs/k/inner/table.bin", "runs/k/manifest.json"}


def build_slowly(root: Path, log: Path, together, key: str) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as file:
            file.write(f"{key}\n")
        time.sleep(0.5)
        write(folder)

    together.wait()
    found = Store(root).make("runs", key, build)
    assert (found / "inner" / "table.bin").stat().st_size == 5000


def test_two_processes_build_one_artifact_once_and_both_get_it(tmp_path: Path) -> None:
    log, together = tmp_path / "log.txt", FORK.Barrier(2)
    processes = [
        FORK.Process(target=build_slowly, args=(tmp_path / "store", log, together, "k"))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text().split() == ["k"]


def test_a_digest_ignores_the_order_of_keys_alone() -> None:
    value = {"a": [1, 2], "b": {"x": None, "y": "α"}}
    assert digest(value) == digest({"b": {"y": "α", "x": None}, "a": [1, 2]})
    others = [{**value, "a": [2, 1]}, {**value, "b": {"x": None, "y": "a"}}, {**value, "a": [1]}]
    assert len({digest(other) for other in [value, *others, {}]}) == 5


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_digest_of_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"lr": number})


@pytest.mark.parametrize("size", [0, 5, 2**20, 2**20 + 1])
def test_a_file_checksum_is_sha256_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    assert file_checksum(tmp_path / "file") == hashlib.sha256(content).hexdigest()
