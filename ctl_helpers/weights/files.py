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
from ctl_helpers.weights.proportions import (
    DisproportionError,
    check_pickle,
    check_sizes,
    is_archive,
    most_bytes,
)
from ctl_helpers.weights.records import RecordError, check_records
from ctl_helpers.weights.wrappers import unwrapped

_INDEX = ".index.json"
_TORCH = (".pt", ".pth", ".bin", ".th", ".ckpt", ".pth.tar")
# In the order in which transformers and peft look for them.
_WHOLE = tuple(
    stem + end for stem in ("model.safetensors", "pytorch_model.bin") for end in ("", _INDEX)
)
_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file, on the CPU; mapped from the disk where the format allows.

    Arguments and errors as for :func:`lazy`.
    """
    return dict(lazy(path))


def is_weight_file(path: Path) -> bool:
    """Whether this is the name of a file with weights, there or not."""
    return path.name.endswith((".safetensors", _INDEX, *_TORCH))


def weights_in(folder: Path) -> Path:
    """The file with the weights of a folder, or the index of its shards.

    Raises:
        MissingDataError: none, or several of which none has the usual name.
        ValueError: an adapter beside whole weights.
    """
    whole = [folder / name for name in _WHOLE if (folder / name).is_file()]
    adapters = [folder / name for name in _ADAPTER if (folder / name).is_file()]
    if whole and adapters:
        raise ValueError(
            f"{folder} has both {whole[0].name} and {adapters[0].name}; name the file that is meant"
        )
    files = sorted(path for path in folder.iterdir() if path.is_file() and is_weight_file(path))
    if (whole or adapters) or len(files) == 1:
        return (whole or adapters or files)[0]
    held = ", ".join(path.name for path in files[:3]) or "none"
    raise MissingDataError(
        f"the weight files in {folder} are {held}, where one is looked for, such as {_WHOLE[0]}: "
        "name the file, or fetch the folder again"
    )


def lazy(path: str | Path, key: str | None = None) -> StateDict:
    """The tensors of a weight file, each read when it is asked for where the format allows.

    Safetensors files are opened for their headers alone; others are read, and mapped from the disk
    where they are archives.

    Args:
        path: a ``.safetensors`` file; the ``.index.json`` of a sharded one; or a state dict in a
            file of torch (``.pt``, ``.bin``, ``.ckpt`` and the like), by itself or in what a
            training loop saves.
        key: under which name the state dict is, where there are several.

    Raises:
        MissingDataError: the file or a shard is missing, damaged, or asks for foreign code.
        ValueError: another kind of file (OpenAI's own are programs), or no state dict in it.
    """
    path = Path(path)
    return _sharded(path) if path.name.endswith(_INDEX) else _single(path, key)


def _sharded(index: Path) -> StateDict:
    check_there(index)
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(where.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(index, error) from None
    if not shards:
        raise damaged(index, ValueError("it names no shard"))
    parts = []
    for shard in shards:
        if not isinstance(shard, str) or not shard or Path(shard).name != shard:
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


def _single(path: Path, key: str | None = None) -> StateDict:
    if not is_weight_file(path):
        kinds = ", ".join((".safetensors", _INDEX, *_TORCH))
        raise ValueError(f"{path} is no weight file of a known kind; give one of {kinds}")
    check_there(path)
    if path.name.endswith(_TORCH) and not _is_safetensors(path):
        return _state_dict(path, key)
    if is_archive(path):
        raise ValueError(
            f"{path} was saved by torch and is no safetensors file; call it "
            f"{path.with_suffix('.pt').name}"
        )
    try:
        return lazy_file(path)
    except ValueError:
        raise
    except Exception as error:  # SafetensorError is a plain Exception
        raise damaged(path, error) from None


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins with the length of a header in JSON, whatever it is called."""
    with open(path, "rb") as file:
        size, brace = int.from_bytes(file.read(8), "little"), file.read(1)
    return brace == b"{" and size < path.stat().st_size


def _state_dict(path: Path, key: str | None) -> Mapping[str, Tensor]:
    is_mapped = _check_archive(path) if is_archive(path) else _check_old(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # a damaged pickle can raise anything
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise MissingDataError(
                f"{path} asks for {wanted[1]}, so it is not weights alone and was not read: give "
                "its state dict, or use read_module_pickle if it is a module of task_vectors"
            ) from None
        raise damaged(path, error) from None
    try:
        state = unwrapped(content, key)
    except ValueError as error:
        raise ValueError(str(error).replace("the checkpoint", str(path))) from None
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and (size := tensor.nbytes) > most_bytes(path):
            raise damaged(path, ValueError(f"{name!r} takes {size} bytes, far more than it has"))
    return state


def _check_old(path: Path) -> bool:
    """Refuse what :func:`check_pickle` does, in the pickles that begin a file of the old format.

    Returns:
        False: such a file is not mapped.
    """
    try:
        with open(path, "rb") as file:
            for _ in range(5):  # magic number, version, machine, contents, order of storages
                check_pickle(file)
    except DisproportionError as error:
        raise damaged(path, error) from None
    except Exception:  # no pickle: torch reads it or refuses it
        pass
    return False


def _check_archive(path: Path) -> bool:
    """Whether an archive can be mapped, once its numbers are known to be there.

    Refuses a program, and numbers that differ from their checksums or are fewer than they should
    be, both of which torch leaves aside where it maps a file.
    """
    try:
        check_sizes(path)
        with zipfile.ZipFile(path) as archive:
            program = any(name.endswith("/constants.pkl") for name in archive.namelist())
            wrong = archive.testzip()
    except Exception as error:  # zipfile raises errors of many kinds
        raise damaged(path, error) from None
    if program:
        raise ValueError(
            f"{path} is a TorchScript program, as OpenAI's own files are; give a state dict, as "
            "the hub's copy openai/clip-vit-base-patch32 has"
        )
    if wrong:
        raise damaged(path, ValueError(f"its record {wrong} has a wrong checksum"))
    try:
        return check_records(path)
    except (RecordError, DisproportionError) as error:
        raise damaged(path, error) from None
    except Exception:  # a pickle of another kind: torch reads it, record by record, or refuses it
        return False


def check_there(path: Path) -> None:
    if not path.is_file():
        raise MissingDataError(f"there is no weight file {path}: fetch it, or correct the path")


def damaged(path: Path, error: Exception) -> MissingDataError:
    # The first sentence alone: torch's others recommend to let the file run what it asks for.
    reason = re.split(r"\.\s|\n", str(error).strip() or type(error).__name__)[0].rstrip(".")
    return MissingDataError(f"{path} is damaged or incomplete ({reason}): fetch it again")
