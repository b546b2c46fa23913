"""Tensors that are read from safetensors files when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import sharded
from safetensors.torch import save_file
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.mix import check_compatible
from ctl_helpers.weights.files import lazy, read

TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


@pytest.fixture
def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {str(kind): torch.randn(7, 3, generator=generator).mul(9).to(kind) for kind in TYPES}
    return made | {"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every mapping that is made from now on."""
    sizes, real = [], np.memmap

    def watched(path: Path, dtype: type, mode: str, start: int, shape: tuple[int]) -> np.memmap:
        sizes.append(*shape)
        return real(path, dtype, mode, start, shape)

    monkeypatch.setattr(np, "memmap", watched)
    return sizes


@pytest.mark.parametrize("is_sharded", [False, True])
def test_tensors_are_what_was_saved_and_read_one_by_one(tmp_path, state, counted, is_sharded):
    path = sharded(tmp_path, state, 2) if is_sharded else tmp_path / "model.safetensors"
    if not is_sharded:
        save_file(state, path)
    held = lazy(path)
    assert set(held) == state.keys()
    assert len(held) == len(state)
    for name, tensor in held.meta.items():
        assert (tensor.shape, tensor.dtype) == (state[name].shape, state[name].dtype)
    check_compatible({"a": held}, state)
    assert counted == []
    for name, tensor in state.items():
        assert torch.equal(held[name], tensor)
        assert held[name].dtype == tensor.dtype
    assert sorted(set(counted)) == sorted({t.nbytes for t in state.values()} - {0})
    held["scalar"].add_(1)
    held["torch.float32"].zero_()
    assert all(torch.equal(held[name], tensor) for name, tensor in state.items())


def test_a_header_that_was_not_padded_is_read(tmp_path: Path) -> None:
    value = torch.arange(5.0)
    header = json.dumps({"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}).encode()
    header += b" " * (3 - len(header) % 4)
    assert (8 + len(header)) % 4
    path = tmp_path / "old.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + value.numpy().tobytes())
    held = lazy(path)["a"]
    assert torch.equal(held, value)
    assert held.data_ptr() % 4 == 0


def test_a_type_that_is_not_known_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "eight.safetensors")
    with pytest.raises(ValueError, match=r"eight\.safetensors has 'a' in the type F8_E4M3; conv"):
        lazy(tmp_path / "eight.safetensors")


def test_other_shapes_and_names_are_noticed_without_reading(tmp_path, state, counted) -> None:
    save_file(state, tmp_path / "model.safetensors")
    held = lazy(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="'a' lacks 'more'"):
        check_compatible({"a": held}, state | {"more": torch.ones(1)})
    with pytest.raises(ValueError, match=r"'a' has shape \(\) at 'scalar' where the model has"):
        check_compatible({"a": held}, state | {"scalar": torch.ones(2)})
    assert counted == []


def test_the_engine_takes_it_for_a_state_dict(tmp_path: Path, net, around, inputs) -> None:
    checkpoints, files = around(net, "ab"), {}
    for name, held in checkpoints.items():
        save_file(held, tmp_path / f"{name}.safetensors")
        files[name] = lazy(tmp_path / f"{name}.safetensors")
    asked, batches = ctl.pairs("ab", [0.3]), [inputs(9)]
    table = ctl.compare(net, files, asked, batches)
    assert table.equals(ctl.compare(net, checkpoints, asked, batches))
    mixed, expected = (ctl.combine(c, {"a": 2.0, "b": -1.0}) for c in (files, checkpoints))
    assert all(torch.equal(mixed[name], tensor) for name, tensor in expected.items())


def test_files_that_torch_saved_serve_as_well(tmp_path: Path, state) -> None:
    torch.save(state, tmp_path / "pytorch_model.bin")
    held = lazy(tmp_path / "pytorch_model.bin")
    assert described(held) is held
    assert all(torch.equal(held[name], tensor) for name, tensor in state.items())
    assert type(read(tmp_path / "pytorch_model.bin")) is dict
