"""Headers: of whole, truncated, damaged and foreign files, and where a checkpoint's files are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import sharded
from safetensors.torch import save_file
from torch import Tensor

from ctl_helpers.probing import pickle_headers, places, safetensors_headers
from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.hub_places import fetched, find
from ctl_helpers.probing.places import on_disk
from ctl_helpers.probing.sources import labels

STATE = {
    "a.weight": torch.arange(12.0).view(3, 4),
    "a.bias": torch.ones(3, dtype=torch.bfloat16),
    "counter": torch.tensor(7),
}
LISTED = {
    "a.weight": Entry((3, 4), "F32"),
    "a.bias": Entry((3,), "BF16"),
    "counter": Entry((), "I64"),
}


def facts(listing: Listing) -> str:
    return "\n".join(remark.fact for remark in listing.remarks)


def stops(listing: Listing) -> set[tuple[str, str]]:
    return {(remark.rule, remark.grade) for remark in listing.remarks}


# safetensors


def test_a_header_has_shapes_and_types(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "x.safetensors")
    listing = safetensors_headers.listing(tmp_path / "x.safetensors", "A")
    assert (listing.tensors, listing.remarks) == (LISTED, ())
    assert [entry.nbytes for entry in LISTED.values()] == [48, 6, 8]


def test_a_truncated_file_says_which_tensors_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(100), "b": torch.zeros(100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    listing = safetensors_headers.listing(path, "A")
    assert listing.tensors.keys() == {"a", "b"}
    assert "lacks 4 of" in facts(listing)
    assert "1 tensor ('b') is cut off" in facts(listing)
    path.write_bytes(content[:-404])
    assert "2 tensors ('a', 'b') are cut off" in facts(safetensors_headers.listing(path, "A"))


def header(text: str) -> bytes:
    return len(text).to_bytes(8, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "ends within its header"),
        (b"\x40\0\0\0\0\0\0\0{", "ends within its header"),
        (b"\x02\0\0\0\0\0\0\0[]", "damaged header"),
        *(
            (header(text), "damaged header")
            for text in (
                "[" * 10**5,
                '{"a": {"dtype": "x", "shape": [1], "data_offsets": [0, null]}}',
                '{"a": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 4]}}',
            )
        ),
        (b"\x02\0\0\0\0\0\0\0{}more", "4 bytes more"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS"),
    ],
)
def test_what_is_no_whole_file_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    listing = safetensors_headers.listing(path, "A")
    assert told in facts(listing)
    assert stops(listing) == {("file", "stop")}


def test_a_header_whose_places_and_shapes_disagree_is_damaged(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert "damaged header" in facts(safetensors_headers.listing(path, "A"))


# .pt


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_a_pickle_has_shapes_and_types(tmp_path: Path, zipped: bool, wrap: str | None) -> None:
    content: object = {**STATE, "a.weight": torch.nn.Parameter(STATE["a.weight"])}
    path = tmp_path / "x.pt"
    save = content if wrap is None else {wrap: content, "epoch": 3}
    torch.save(save, path, _use_new_zipfile_serialization=zipped)
    listing = pickle_headers.listing(path, "A")
    assert (dict(listing.tensors), listing.remarks) == (LISTED, ())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.uint16, torch.complex64])
def test_newer_types_are_named(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({"a": torch.zeros(2, 3).to(dtype)}, tmp_path / "x.pt")
    names = {torch.float8_e4m3fn: "F8_E4M3", torch.uint16: "U16", torch.complex64: "C64"}
    assert pickle_headers.listing(tmp_path / "x.pt", "A").tensors == {
        "a": Entry((2, 3), names[dtype])
    }


def test_a_shared_storage_is_no_truncated_one(tmp_path: Path) -> None:
    whole = torch.zeros(4, 5)
    torch.save({"a": whole, "b": whole[1:, 2:], "c": whole.T, "d": whole[:0]}, tmp_path / "x.pt")
    assert pickle_headers.listing(tmp_path / "x.pt", "A").remarks == ()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_is_cut_off_is_told(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.zeros(500)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-600])
    listing = pickle_headers.listing(path, "A")
    assert ("is cut off" if zipped else "lacks numbers of 1 tensor ('a')") in facts(listing)
    assert stops(listing) == {("file", "stop")}


class Wicked:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run!",)


def test_nothing_of_a_pickle_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.zeros(3), "b": Wicked()}, tmp_path / "x.pt")
    listing = pickle_headers.listing(tmp_path / "x.pt", "A")
    assert capsys.readouterr().out == ""
    assert "builtin__.print'" in facts(listing)
    assert listing.tensors == {"a": Entry((3,), "F32")}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (torch.nn.Linear(2, 2), "holds a torch.nn.modules.linear.Linear"),
        ({"epoch": 3}, "no tensors by name"),
        ({"a": torch.eye(3).to_sparse()}, "no plain tensor"),
    ],
)
def test_a_pickle_of_something_else_is_told(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert told in facts(pickle_headers.listing(tmp_path / "x.pt", "A"))


def test_a_script_and_a_pointer_are_told(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "x.pt")
    assert "TorchScript" in facts(pickle_headers.listing(tmp_path / "x.pt", "A"))
    (tmp_path / "y.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "Git LFS" in facts(pickle_headers.listing(tmp_path / "y.bin", "A"))
    (tmp_path / "z.bin").write_bytes(b"nothing of the kind")
    assert "damaged" in facts(pickle_headers.listing(tmp_path / "z.bin", "A"))


# Folders


def test_a_folder_is_read_by_its_usual_file(tmp_path: Path) -> None:
    torch.save({"old": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    torch.save({"no": torch.zeros(1)}, tmp_path / "training_args.bin")
    assert on_disk("A", str(tmp_path)).listing.tensors == {"old": Entry((1,), "F32")}
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    place = on_disk("A", str(tmp_path))
    assert dict(place.listing.tensors) == LISTED
    assert place.json("config.json") == {"hidden_size": 3}
    assert place.json("tokenizer.json") == {}
    assert on_disk("A", str(tmp_path / "model.safetensors")).files.keys() == {"config.json"}


def many(count: int) -> dict[str, Tensor]:
    return {f"layer.{n}": torch.full((4,), float(n)) for n in range(count)}


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    index = sharded(tmp_path, many(6), 3)
    for source in (tmp_path, index):
        place = on_disk("A", str(source))
        assert place.listing.tensors.keys() == many(6).keys()
        assert place.listing.remarks == ()


def test_all_that_is_wrong_with_shards_is_told_at_once(tmp_path: Path) -> None:
    sharded(tmp_path, many(6), 3)
    (tmp_path / "model-1.safetensors").unlink()
    broken = tmp_path / "model-2.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    save_file(
        {"layer.2": torch.zeros(4), "strange": torch.zeros(1)}, tmp_path / "model-3.safetensors"
    )
    listing = on_disk("A", str(tmp_path)).listing
    assert "model-1.safetensors is missing, and with it 'layer.0', 'layer.3'" in facts(listing)
    assert "model-2.safetensors lacks 1 of" in facts(listing)
    assert "disagree on 'layer.5', 'strange'" in facts(listing)
    assert {rule for rule, _ in stops(listing)} == {"file", "shards"}


def test_shards_without_an_index_are_counted(tmp_path: Path) -> None:
    for number in (1, 3):
        state = {f"layer.{number}": torch.zeros(2)}
        save_file(state, tmp_path / f"model-0000{number}-of-00003.safetensors")
    listing = on_disk("A", str(tmp_path)).listing
    assert listing.tensors.keys() == {"layer.1", "layer.3"}
    assert "of 3 shards 'model-00002-of-00003.safetensors' is missing" in facts(listing)


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    assert "there is no" in facts(on_disk("A", str(tmp_path / "none")).listing)
    assert "no weight file" in facts(on_disk("A", str(tmp_path)).listing)
    (tmp_path / "x.gguf").touch()
    assert ".gguf alone" in facts(on_disk("A", str(tmp_path)).listing)
    assert "no weight file" in facts(on_disk("A", str(tmp_path / "x.gguf")).listing)
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    assert "config.json is damaged" in facts(on_disk("A", str(tmp_path)).listing)


def test_names_are_short_and_different() -> None:
    assert labels(["x/a", "y/b.pt", {}]) == ["a", "b.pt", "C"]
    assert labels(["x/run/model", "y/run/model/"]) == ["x/run/model", "y/run/model"]
    assert labels(["a", "a"]) == ["a (1)", "a (2)"]
    assert labels(["x/BASE"]) == ["x/BASE"]


# The hub


class Hub:
    """A repository, as far as the reader asks: small files are fetched, headers are parsed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def snapshot_download(self, repo: str, **options: object) -> str:
        if options.get("local_files_only"):
            raise FileNotFoundError("not in the cache")
        return str(self.folder)

    def hf_hub_download(self, repo: str, file: str, revision: str | None) -> str:
        self.asked.append(file)
        return str(self.folder / file)

    def model_info(self, repo: str, **_: object) -> object:
        names = [path.name for path in self.folder.iterdir()]
        return type("Info", (), {"siblings": [type("S", (), {"rfilename": n}) for n in names]})

    def parse_safetensors_file_metadata(self, repo: str, file: str, revision: str | None) -> object:
        tensors = safetensors_headers.listing(self.folder / file, "").tensors
        return type("Header", (), {"tensors": tensors})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    import huggingface_hub

    hub = Hub(tmp_path / "repository")
    hub.folder.mkdir()
    for name in ("snapshot_download", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(hub, name))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    return hub


def test_headers_of_the_hub_are_read_without_fetching_weights(hub: Hub) -> None:
    index = sharded(hub.folder, many(4), 2)
    (hub.folder / "config.json").write_text("{}")
    place = find("A", "owner/name@main")
    assert place.listing.tensors.keys() == many(4).keys()
    assert place.weights is None
    assert hub.asked == ["config.json", index.name]
    (hub.folder / "model-1.safetensors").unlink()
    assert "the hub has no 'model-1.safetensors'" in facts(find("A", "owner/name").listing)


def test_weights_of_the_hub_are_fetched_when_they_are_read(hub: Hub) -> None:
    sharded(hub.folder, many(4), 2)
    place = find("A", "owner/name")
    here = fetched(place)
    assert here.weights == hub.folder / "model.safetensors.index.json"
    assert (here.source, here.listing.tensors) == ("owner/name", place.listing.tensors)
    assert fetched(here) is here


def test_a_repository_of_pickles_has_to_be_fetched(hub: Hub) -> None:
    torch.save(STATE, hub.folder / "pytorch_model.bin")
    listing = find("A", "owner/name").listing
    assert "no safetensors" in facts(listing)
    assert stops(listing) == {("file", "doubt")}


def test_what_the_hub_does_not_give_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no such repository\nmore words")

    monkeypatch.setattr(hub, "model_info", refuse)
    assert "the hub says: no such repository" in facts(find("A", "owner/name").listing)
    assert facts(find("A", "./owner/name").listing) == "there is no ./owner/name"


def test_every_reader_has_an_ending() -> None:
    assert places.weights_among(["a.txt", "b.pt"]) == "b.pt"
    assert places.weights_among(["a.pt", "b.pt"]) is None
