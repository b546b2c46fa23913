"""Files of a few kilobytes that would take gigabytes or hours are refused at once."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import read
from ctl_helpers.weights.pickles import read_module_pickle
from ctl_helpers.weights.prefixes import prefixes
from ctl_helpers.weights.proportions import DisproportionError, check_pickle
from ctl_helpers.weights.wrappers import unwrapped

FAR = b"\x80\x02}r" + struct.pack("<I", 2**29) + b"."
LONG_ARRAY = b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"."
COPIES = b"\x80\x02}(K\x01" + b"2\x86" * 60 + b"K\x01u."
TWICE_EACH = (
    b"\x80\x02)q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60)) + b"."
)
LONG_NAME = b"\x80\x02c" + b"x" * 10**5 + b"\ny\n)R."
LONG_CALLED = b"\x80\x02(X" + struct.pack("<I", 10**5) + b"x" * 10**5 + b"t)R."
READERS = [read, read_module_pickle]


def packed(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", "3\n")
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("pickled", "problem"),
    [
        (FAR, "keeps values at places far apart"),
        (LONG_ARRAY, "damaged"),
        (COPIES, "DUP, which torch does not write"),
        (TWICE_EACH, "tuples in tuples of more than a million values"),
        (LONG_NAME, "asks for a name of 100002 characters"),
        (LONG_CALLED, "calls what is no function"),
    ],
)
def test_a_pickle_that_grows_is_refused(tmp_path, reader, pickled: bytes, problem: str) -> None:
    with pytest.raises(MissingDataError, match=rf"odd\.pt is .*{problem}"):
        reader(packed(tmp_path / "odd.pt", pickled))


@pytest.mark.parametrize("pickled", [FAR, LONG_ARRAY, COPIES, TWICE_EACH, LONG_NAME, LONG_CALLED])
def test_the_probe_refuses_it_too(tmp_path: Path, pickled: bytes) -> None:
    path = packed(tmp_path / "odd.pt", pickled)
    assert "odd.pt is damaged or incomplete" in str(ctl.probe(path, path, tier=0))


def test_a_pickle_that_grows_is_refused_in_the_old_format(tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"}q", TWICE_EACH[2:-1] + b"}q", 1))
    with pytest.raises(MissingDataError, match="is damaged"):
        read(path)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "content",
    [
        {"state": OrderedDict(w=torch.ones(2, 3)), "list": [1, (2, (3, "x")), None, 2.5, b"x"]},
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        [(number, number) for number in range(3000)],
        torch.optim.Adam([nn.Parameter(torch.ones(3))]).state_dict(),
    ],
)
def test_what_torch_pickles_passes_and_is_read_to_its_end(content: object, protocol: int) -> None:
    file = io.BytesIO(pickle.dumps(content, protocol) + b"next")
    check_pickle(file)
    assert file.read() == b"next"


def test_a_pickle_may_hold_what_is_large() -> None:
    check_pickle(io.BytesIO(pickle.dumps([bytes(10**6), tuple(range(10**5))], 2)))
    with pytest.raises(DisproportionError, match="a million values"):
        check_pickle(io.BytesIO(pickle.dumps((tuple(range(2**20)),), 2)))


@pytest.mark.parametrize("reader", READERS)
def test_an_archive_that_unpacks_to_far_more_is_refused_before_it_is(tmp_path, reader) -> None:
    path = packed(tmp_path / "odd.pt", b"\x80\x02}." + bytes(2**27), zipfile.ZIP_DEFLATED)
    with pytest.raises(MissingDataError, match="bytes would unpack to 134217"):
        reader(path)


def test_an_archive_that_is_packed_is_read(tmp_path: Path) -> None:
    state = {"w": torch.randn(50, 50), "zero": torch.zeros(1000)}
    torch.save(state, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    kept = read(tmp_path / "packed.pt")
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.items())


def test_a_tensor_of_far_more_numbers_than_the_file_has_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1).expand(2**40)}, tmp_path / "odd.pt")
    with pytest.raises(MissingDataError, match="'w' takes 4398046511104 bytes"):
        read(tmp_path / "odd.pt")
    torch.save({"w": torch.ones(1).expand(9)}, tmp_path / "fine.pt")
    assert torch.equal(read(tmp_path / "fine.pt")["w"], torch.ones(9))


@pytest.mark.parametrize("shape", [[2**63], [2**62, 4], [2**32, 2**32], [-1], [1.5], ["4"]])
def test_a_shape_that_cannot_be_is_refused(tmp_path: Path, shape: list[object]) -> None:
    path, place = tmp_path / "odd.safetensors", {"dtype": "F32", "data_offsets": [0, 4]}
    header = json.dumps({"w": {**place, "shape": shape}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for reader in (read, ctl.read):
        with pytest.raises(MissingDataError, match=r"odd\.safetensors is damaged"):
            reader(path)
    assert "odd.safetensors" in str(ctl.probe(path, path, tier=0))


def test_a_module_that_holds_the_same_one_twice_and_so_on_is_refused(tmp_path: Path) -> None:
    module: nn.Module = nn.Sequential()
    for _ in range(40):
        module = nn.Sequential(module, module)
    torch.save(module, tmp_path / "odd.pt")
    with pytest.raises(MissingDataError, match=r"odd\.pt has over 100000 modules"):
        read_module_pickle(tmp_path / "odd.pt")


def test_mappings_that_hold_the_same_one_twice_and_so_on_hold_no_weights() -> None:
    inner: dict[str, object] = {"step": 1}
    for _ in range(400):
        inner = {"model": inner, "net": inner}
    with pytest.raises(ValueError, match="holds no tensors"):
        unwrapped(inner)


@pytest.mark.parametrize("name", ["." * 10**5, "model." * 20_000 + "weight", "a" * 10**5])
def test_a_name_of_thousands_of_parts_takes_no_longer(name: str) -> None:
    wanted = ["x.weight", "x.bias"]
    for pair in (prefixes([name], wanted), prefixes(wanted, [name])):
        assert len("".join(pair)) <= len(name)
    with pytest.raises(ValueError, match="unlike the model"):
        ctl.read({name: torch.ones(1)}, like=nn.Linear(1, 1))


@pytest.mark.parametrize("shard", [3, None, "", ["x"], {"a": 1}, 1.5])
def test_an_index_whose_shards_are_no_names_is_refused(tmp_path: Path, shard: object) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": shard}}))
    with pytest.raises((MissingDataError, ValueError), match=r"index\.json (is damaged|names the)"):
        read(index)


@pytest.mark.parametrize("content", ['{"weight_map": {}}', "[" * 10**5])
def test_an_index_of_nothing_or_too_deep_is_refused(tmp_path: Path, content: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with pytest.raises(MissingDataError, match="is damaged"):
        read(index)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("old", [False, True])
def test_a_flipped_bit_gives_a_sentence_or_a_state_dict(tmp_path: Path, old: bool) -> None:
    state = {"a.weight": torch.ones(4, 3), "a.counter": torch.tensor(3)}
    torch.save(state, tmp_path / "whole.pt", _use_new_zipfile_serialization=not old)
    content, draw = (tmp_path / "whole.pt").read_bytes(), random.Random(0)
    path, sentences = tmp_path / "flipped.pt", []
    for _ in range(60):
        place = draw.randrange(len(content))
        flipped = bytes([content[place] ^ 1 << draw.randrange(8)])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        for reader in (read, ctl.read):
            try:
                dict(reader(path))
            except (MissingDataError, ValueError) as error:
                sentences.append(str(error))
    assert 20 < len(sentences) < 120
    assert all("flipped.pt" in sentence or "checkpoint" in sentence for sentence in sentences)
