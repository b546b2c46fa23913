"""Tensors from other people's weight files, without running anything that a file asks for."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.lazy import LazyFile, LazyShards

_INDEX = ".index.json"
_TORCH = (".pt", ".pth", ".bin", ".th")
_CONTAINERS: dict[str, type] = {
    "collections.OrderedDict": dict,
    "builtins.set": set,
    "__builtin__.set": set,  # a pickle of protocol 2 has Python 2's name
}
_REBUILT = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size")
_DTYPES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_MODULES = (
    *("src.modeling.", "src.linearize."),
    *("open_clip.", "torch.nn.modules.", "torchvision.transforms."),
)
_ARCHITECTURE = "model_name"  # a string that tangent_task_arithmetic writes among the tensors


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file, on the CPU; mapped from the disk where the format allows.

    Arguments and errors as for :func:`lazy`.
    """
    return dict(lazy(path))


def lazy(path: str | Path) -> StateDict:
    """The tensors of a weight file, each read when it is asked for where the format allows.

    Safetensors files are opened for their headers alone; others are read, and mapped from the disk
    where they are archives.

    Args:
        path: a ``.safetensors`` file; the ``.index.json`` of a sharded one; or a state dict in a
            ``.pt``, ``.pth``, ``.bin`` or ``.th`` file, by itself or under ``state_dict``. A string
            ``model_name`` in it is left out.

    Returns:
        A mapping that serves as a checkpoint wherever a state dict does; the engine asks it for
        the tensors of a block when it comes to that block, if it streams.

    Raises:
        MissingDataError: the file or a shard is missing, damaged, or asks for foreign code.
        ValueError: another kind of file (OpenAI's own are programs), or no state dict in it.
    """
    path = Path(path)
    return _sharded(path) if path.name.endswith(_INDEX) else _single(path)


def read_module_pickle(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a whole module that ``torch.save`` pickled, without its classes.

    The pickle's classes become inert records, so that neither ``src`` nor an old open_clip is
    needed, and nothing of the file is ever called: tensors are built from the records afterwards.
    Made for ``zeroshot.pt``, ``finetuned.pt`` and ``head_*.pt`` of task_vectors (Ilharco et al.
    2023), and for a ``LinearizedImageEncoder`` of tangent_task_arithmetic that was saved whole.
    Its own ``save`` writes a state dict, which :func:`read` reads, since its function is a closure
    and no pickle holds one.

    Args:
        path: a file in the zip format of torch 1.6 and newer.

    Raises:
        MissingDataError: the file is missing, damaged, of the older format, holds no module, or
            asks for anything but modules of CLIP, its transforms and tensors, which is named.
    """
    path = Path(path)
    _check_there(path)
    if not zipfile.is_zipfile(path):
        raise MissingDataError(
            f"{path} is damaged, or in torch's format before 1.6: fetch it again, or save it anew "
            "with a newer torch where it was made"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            root = _Unpickler(io.BytesIO(archive.read(pickled))).load()
            storages = _Storages(archive, pickled.removesuffix(".pkl"))
            return dict(_tensors(root, "", storages))
    except _UnreadableError as error:
        raise MissingDataError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise _damaged(path, error) from None


def _sharded(index: Path) -> LazyShards:
    _check_there(index)
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(where.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(index, error) from None
    parts = []
    for shard in shards:
        if Path(shard).name != shard:
            raise ValueError(f"{index} names the shard {shard!r}, which is not beside it")
        tensors = _single(index.with_name(shard))
        promised = {name for name, owner in where.items() if owner == shard}
        if strange := sorted(promised ^ tensors.keys()):
            problem = "lacks" if strange[0] in promised else "has an unexpected"
            raise MissingDataError(
                f"{index.with_name(shard)} {problem} {strange[0]!r}, unlike {index.name} says: it "
                "is a shard of another checkpoint, so fetch both again"
            )
        parts.append(tensors)
    return LazyShards(parts)


def _single(path: Path) -> StateDict:
    if path.suffix != ".safetensors" and path.suffix not in _TORCH:
        known = ", ".join((".safetensors", _INDEX, *_TORCH))
        raise ValueError(f"{path} is no weight file of a known kind; give one of {known}")
    _check_there(path)
    if path.suffix in _TORCH:
        return _state_dict(path)
    try:
        return LazyFile(path)
    except ValueError:
        raise
    except Exception as error:  # SafetensorError is a plain Exception
        raise _damaged(path, error) from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _check_archive(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged pickle can raise anything
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise MissingDataError(
                f"{path} asks for {asked[1]}, so it is not weights alone and was not read: give "
                "its state dict, or use read_module_pickle if it is a module of task_vectors"
            ) from None
        raise _damaged(path, error) from None
    if not isinstance(held, Mapping):
        raise ValueError(f"{path} holds a {type(held).__name__}; give a file with a state dict")
    if isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if isinstance(held.get(_ARCHITECTURE), str):
        held = {name: value for name, value in held.items() if name != _ARCHITECTURE}
    if strange := [name for name, value in held.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"{path} has {strange[0]!r}, which is no tensor; give a file with a state dict alone"
        )
    return {name: value.detach() for name, value in held.items()}


def _check_archive(path: Path) -> None:
    """Refuse a program, and numbers that differ from their checksums, which torch leaves aside."""
    try:
        with zipfile.ZipFile(path) as archive:
            program = any(name.endswith("/constants.pkl") for name in archive.namelist())
            wrong = archive.testzip()
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from None
    if program:
        raise ValueError(
            f"{path} is a TorchScript program, as OpenAI's own files are; give a state dict, as "
            "the hub's copy openai/clip-vit-base-patch32 has"
        )
    if wrong:
        raise _damaged(path, ValueError(f"its record {wrong} has a wrong checksum"))


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"there is no weight file {path}: fetch it, or correct the path")


def _damaged(path: Path, error: Exception) -> MissingDataError:
    # The first sentence alone: torch's others recommend to let the file run what it asks for.
    reason = re.split(r"\.\s|\n", str(error).strip() or type(error).__name__)[0].rstrip(".")
    return MissingDataError(f"{path} is damaged or incomplete ({reason}): fetch it again")


class _UnreadableError(Exception):
    """What is wrong with a pickled module; the message follows the path."""


class _Record:
    """Whatever a pickle makes of a class or function: it keeps what it is given."""

    kind: ClassVar[str]
    args: tuple[Any, ...]
    state: object

    def __new__(cls, *args: object, **_: object) -> _Record:
        record = super().__new__(cls)
        record.args, record.state = args, None
        return record

    def __setstate__(self, state: object) -> None:
        self.state = state


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    key: str
    numel: int


class _Unpickler(pickle.Unpickler):
    """Every global is a class of this reading's own, so that no pickle can reach a real one."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._classes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> type:
        asked = f"{module}.{name}"
        if asked not in self._classes:
            if asked in _CONTAINERS:
                made = type(name, (_CONTAINERS[asked],), {})
            elif asked in _REBUILT or asked in _DTYPES or asked.startswith(_MODULES):
                made = type(name, (_Record,), {"kind": asked})
            else:
                raise _UnreadableError(
                    f"asks for {asked}, which no module of CLIP needs, and was not read: fetch it "
                    "from its authors"
                )
            self._classes[asked] = made
        return self._classes[asked]

    def persistent_load(self, pid: tuple[str, type[_Record], str, str, int]) -> _Storage:
        _, storage, key, _, numel = pid
        return _Storage(_DTYPES[storage.kind], key, numel)


class _Storages:
    """The numbers of an archive, read when a tensor wants them, shared ones once."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive, self._folder = archive, folder
        self._read: dict[_Storage, Tensor] = {}

    def tensor(self, record: _Record) -> Tensor:
        if record.kind.endswith("_rebuild_parameter"):
            record = record.args[0]
        storage, offset, size, stride = record.args[:4]
        if storage not in self._read:
            self._read[storage] = self._numbers(storage)
        return self._read[storage].as_strided(size, stride, offset)

    def _numbers(self, storage: _Storage) -> Tensor:
        if not storage.numel:
            return torch.empty(0, dtype=storage.dtype)
        content = bytearray(self._archive.read(f"{self._folder}/{storage.key}"))
        return torch.frombuffer(content, dtype=storage.dtype, count=storage.numel)


def _tensors(module: object, prefix: str, storages: _Storages) -> Iterator[tuple[str, Tensor]]:
    """What ``module.state_dict()`` would have given."""
    state = module.state if isinstance(module, _Record) else None
    if not isinstance(state, dict) or "_modules" not in state:
        raise _UnreadableError(
            f"holds no torch module{prefix and ' at ' + prefix[:-1]}: if it is a state dict, read "
            "it as one"
        )
    hidden = state.get("_non_persistent_buffers_set", ())
    for name, held in {**state["_parameters"], **state["_buffers"]}.items():
        if held is not None and name not in hidden:
            yield prefix + name, storages.tensor(held)
    for name, child in state["_modules"].items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.", storages)
