"""Whole modules that others pickled, read without their classes and without running anything."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import check_there, damaged
from ctl_helpers.weights.proportions import check_pickle, check_sizes, is_archive
from ctl_helpers.weights.records import DTYPES

_CONTAINERS: dict[str, type] = {
    "collections.OrderedDict": dict,
    "builtins.set": set,
    "__builtin__.set": set,  # a pickle of protocol 2 has Python 2's name
}
_REBUILT = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size")
_DTYPES = {f"torch.{storage}": dtype for storage, dtype in DTYPES.items()}
_MOST_MODULES = 10**5
_MODULES = ("src.modeling.", "open_clip.", "torch.nn.modules.", "torchvision.transforms.")


def read_module_pickle(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a whole module that ``torch.save`` pickled, without its classes.

    The pickle's classes become inert records, so that neither ``src`` nor an old open_clip is
    needed, and nothing of the file is ever called: tensors are built from the records afterwards.
    Made for ``zeroshot.pt``, ``finetuned.pt`` and ``head_*.pt`` of task_vectors (Ilharco et al.
    2023).

    Args:
        path: a file in the zip format of torch 1.6 and newer.

    Raises:
        MissingDataError: the file is missing, damaged, of the older format, holds no module, or
            asks for anything but modules of CLIP, its transforms and tensors, which is named.
    """
    path = Path(path)
    check_there(path)
    if not is_archive(path):
        raise MissingDataError(
            f"{path} is damaged, or in torch's format before 1.6: fetch it again, or save it anew "
            "with a newer torch where it was made"
        )
    try:
        check_sizes(path)
        with zipfile.ZipFile(path) as archive:
            (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            content = archive.read(pickled)
            check_pickle(io.BytesIO(content))
            root = _Unpickler(io.BytesIO(content)).load()
            storages = _Storages(archive, pickled.removesuffix(".pkl"))
            return dict(_tensors(root, "", storages, count(1)))
    except _UnreadableError as error:
        raise MissingDataError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise damaged(path, error) from None


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
        kind = f"{module}.{name}"
        if kind not in self._classes:
            if kind in _CONTAINERS:
                made = type(name, (_CONTAINERS[kind],), {})
            elif kind in _REBUILT or kind in _DTYPES or kind.startswith(_MODULES):
                made = type(name, (_Record,), {"kind": kind})
            else:
                raise _UnreadableError(
                    f"asks for {kind}, which no module of CLIP needs, and was not read: fetch it "
                    "from its authors"
                )
            self._classes[kind] = made
        return self._classes[kind]

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


def _tensors(
    module: object, prefix: str, storages: _Storages, seen: Iterator[int]
) -> Iterator[tuple[str, Tensor]]:
    """What ``module.state_dict()`` would have given."""
    if next(seen) > _MOST_MODULES:  # each in two places of the next, and so on
        raise _UnreadableError(f"has over {_MOST_MODULES} modules: fetch it from its authors")
    state = module.state if isinstance(module, _Record) else None
    if not isinstance(state, dict) or "_modules" not in state:
        raise _UnreadableError(
            f"holds no torch module{prefix and ' at ' + prefix[:-1]}: if it is a state dict, read "
            "it as one"
        )
    hidden = state.get("_non_persistent_buffers_set", ())
    for name, record in {**state["_parameters"], **state["_buffers"]}.items():
        if record is not None and name not in hidden:
            yield prefix + name, storages.tensor(record)
    for name, child in state["_modules"].items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.", storages, seen)
