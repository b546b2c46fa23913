"""Tensors from other people's weight files, without running anything that a file asks for."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.lazy import lazy_file, lazy_shards

_INDEX = ".index.json"
_TORCH = (".pt", ".pth", ".bin", ".th")


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
            ``.pt``, ``.pth``, ``.bin`` or ``.th`` file, by itself or under ``state_dict``.

    Raises:
        MissingDataError: the file or a shard is missing, damaged, or asks for foreign code.
        ValueError: another kind of file (OpenAI's own are programs), or no state dict in it.
    """
    path = Path(path)
    return _sharded(path) if path.name.endswith(_INDEX) else _single(path)


def _sharded(index: Path) -> StateDict:
    check_there(index)
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(where.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(index, error) from None
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
    return lazy_shards(parts)


def _single(path: Path) -> StateDict:
    if path.suffix != ".safetensors" and path.suffix not in _TORCH:
        kinds = ", ".join((".safetensors", _INDEX, *_TORCH))
        raise ValueError(f"{path} is no weight file of a known kind; give one of {kinds}")
    check_there(path)
    if path.suffix in _TORCH:
        return _state_dict(path)
    try:
        return lazy_file(path)
    except ValueError:
        raise
    except Exception as error:  # SafetensorError is a plain Exception
        raise damaged(path, error) from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged pickle can raise anything
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise MissingDataError(
                f"{path} asks for {wanted[1]}, so it is not weights alone and was not read: give "
                "its state dict, or use read_module_pickle if it is a module of task_vectors"
            ) from None
        raise damaged(path, error) from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; give a file with a state dict")
    if isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if strange := [name for name, value in content.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"{path} has {strange[0]!r}, which is no tensor; give a file with a state dict alone"
        )
    return {name: value.detach() for name, value in content.items()}


def _check_archive(path: Path) -> None:
    """Refuse a program, and numbers that differ from their checksums, which torch leaves aside."""
    try:
        with zipfile.ZipFile(path) as archive:
            program = any(name.endswith("/constants.pkl") for name in archive.namelist())
            wrong = archive.testzip()
    except zipfile.BadZipFile as error:
        raise damaged(path, error) from None
    if program:
        raise ValueError(
            f"{path} is a TorchScript program, as OpenAI's own files are; give a state dict, as "
            "the hub's copy openai/clip-vit-base-patch32 has"
        )
    if wrong:
        raise damaged(path, ValueError(f"its record {wrong} has a wrong checksum"))


def check_there(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"there is no weight file {path}: fetch it, or correct the path")


def damaged(path: Path, error: Exception) -> MissingDataError:
    # The first sentence alone: torch's others recommend to let the file run what it asks for.
    reason = re.split(r"\.\s|\n", str(error).strip() or type(error).__name__)[0].rstrip(".")
    return MissingDataError(f"{path} is damaged or incomplete ({reason}): fetch it again")
