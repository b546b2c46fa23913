"""Shapes and types in ``.pt`` files: the pickle is read with inert classes, no number is.

Every class that a file names becomes a record that keeps what it is given, so that nothing of the
file runs; and torch, which takes seconds to load, is not needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from ctl_helpers.errors import link
from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.remarks import Remark, count, some
from ctl_helpers.probing.safetensors_headers import POINTER
from ctl_helpers.weights.proportions import check_pickle, check_sizes, is_archive

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "params")
"""Where training scripts put a state dict."""

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
    "QInt8Storage": "I8",
    "QUInt8Storage": "U8",
    "UntypedStorage": "U8",
}
_NAMED_TYPES = {
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
}
_PLAIN = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor")
_DICTS = ("collections.OrderedDict", "collections.defaultdict")
_HARMLESS = ("torch.", "collections.", "numpy", "_codecs.", "builtins.set", "__builtin__.set")
_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's format before 1.6


class _UnreadableError(Exception):
    """What is wrong with a file; the message follows its name."""


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    numel: int


class _Record:
    """Whatever a pickle makes of a class or function: it keeps what it is given."""

    kind: ClassVar[str]
    args: tuple[Any, ...]

    def __new__(cls, *args: object, **_: object) -> _Record:
        record = super().__new__(cls)
        record.args = args
        return record

    def __setstate__(self, state: object) -> None:
        """What the pickle would put into the object is of no use here."""


class _Unpickler(pickle.Unpickler):
    """Every global is an inert class of this reading's own.

    Attributes:
        foreign: globals that weights alone do not need.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._classes: dict[str, type] = {}
        self.foreign: set[str] = set()

    def find_class(self, module: str, name: str) -> type:
        kind = f"{module}.{name}"
        if kind not in self._classes:
            if not kind.startswith(_HARMLESS):
                self.foreign.add(kind)
            base = dict if kind in _DICTS else _Record
            self._classes[kind] = type(name, (base,), {"kind": kind})
        return self._classes[kind]

    def persistent_load(self, pid: tuple[Any, ...]) -> _Storage:
        _, storage, key, _, numel, *_ = pid
        return _Storage(_STORAGES.get(storage.__name__, "U8"), str(key), int(numel))


def listing(path: Path, about: str) -> Listing:
    """The tensors of a state dict in a ``.pt``, ``.pth``, ``.bin`` or ``.th`` file.

    Args:
        path: a file that is there.
        about: what remarks call its checkpoint.
    """
    try:
        return _read(path, about)
    except _UnreadableError as error:
        link(error)
        fact, _, remedy = str(error).partition(": ")
        return Listing(remarks=(_broken(about, path, fact, remedy),))
    except Exception:  # a damaged pickle can raise anything
        return Listing(remarks=(_broken(about, path, "is damaged or incomplete"),))


def _broken(about: str, path: Path, fact: str, remedy: str = "") -> Remark:
    return Remark(
        "file", "stop", about, f"{path.name} {fact}", remedy or f"fetch {path.name} again"
    )


def _read(path: Path, about: str) -> Listing:
    with open(path, "rb") as file:
        start = file.read(len(POINTER))
        file.seek(0)
        if start == POINTER:
            raise _UnreadableError("is a pointer of Git LFS and no weights: run 'git lfs pull'")
        if is_archive(path):
            content, foreign, room = _from_archive(path)
        elif start.startswith(b"PK"):
            raise _UnreadableError("is cut off: the directory at its end is missing")
        else:
            content, foreign, room = _from_stream(file, path.stat().st_size)
    tensors = dict(_tensors(content))
    entries = {name: _entry(record) for name, record in tensors.items()}
    remarks = []
    if foreign:
        fact = f"asks for {some(sorted(foreign))}, so it is not weights alone"
        remarks.append(_broken(about, path, fact, "ask its authors for its state dict"))
    lost = [name for name, record in tensors.items() if _end(record) > room.get(_key(record), 0)]
    if lost:
        fact = f"lacks numbers of {count(len(lost), 'tensor')} ({some(lost)})"
        remarks.append(_broken(about, path, fact))
    return Listing(entries, tuple(remarks))


def _from_archive(path: Path) -> tuple[Any, set[str], dict[str, int]]:
    """A file of torch 1.6 and newer: content, foreign globals, and bytes by storage."""
    check_sizes(path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise _UnreadableError("is a TorchScript program: give its state dict")
        (pickled,) = [name for name in names if name.endswith("/data.pkl")]
        content, foreign = _loaded(io.BytesIO(archive.read(pickled)))
        folder = pickled.removesuffix(".pkl")
        room = {
            info.filename.removeprefix(f"{folder}/"): info.file_size
            for info in archive.infolist()
            if info.filename.startswith(f"{folder}/")
        }
    return content, foreign, room


def _from_stream(file: io.BufferedReader, size: int) -> tuple[Any, set[str], dict[str, int]]:
    """A file of torch before 1.6: pickles one after another, then the numbers."""
    if _loaded(file)[0] != _MAGIC:
        raise _UnreadableError("is no weight file of torch")
    _loaded(file), _loaded(file)
    content, foreign = _loaded(file)
    keys, _ = _loaded(file)
    storages = {_key(record): record.args[0] for _, record in _tensors(content)}
    position, room = file.tell(), {}
    for key in map(str, keys):
        storage = storages.get(key, _Storage("U8", key, 0))
        nbytes = Entry((storage.numel,), storage.dtype).nbytes
        room[key] = nbytes if position + 8 + nbytes <= size else 0
        position += 8 + nbytes
    return content, foreign, room


def _loaded(file: IO[bytes]) -> tuple[Any, set[str]]:
    """The next pickle of a file, and the foreign globals that it asks for."""
    start = file.tell()
    check_pickle(file)
    file.seek(start)
    unpickler = _Unpickler(file)
    return unpickler.load(), unpickler.foreign


def _tensors(content: object) -> Iterator[tuple[str, _Record]]:
    """Name → record of each tensor of a state dict, by itself or in a wrapper."""
    if not isinstance(content, Mapping):
        kind = getattr(content, "kind", type(content).__name__)
        raise _UnreadableError(f"holds a {kind} and no state dict: save its state_dict() instead")
    for wrapper in WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping) and any(map(_is_tensor, inner.values())):
            content = inner
            break
    found = {str(name): value for name, value in content.items() if _is_tensor(value)}
    if not found:
        raise _UnreadableError("holds no tensors by name: save the model's state_dict()")
    for name, value in found.items():
        record = value.args[0] if value.kind.endswith("_rebuild_parameter") else value
        kind = record.kind.rpartition(".")[2]
        if kind not in _PLAIN:
            raise _UnreadableError(
                f"has {name!r} made by {kind}, which is no plain tensor: save plain tensors"
            )
        yield name, record


def _is_tensor(value: object) -> bool:
    return isinstance(value, _Record) and "_rebuild_" in value.kind


def _key(record: _Record) -> str:
    storage = record.args[0]
    return storage.key if isinstance(storage, _Storage) else ""


def _entry(record: _Record) -> Entry:
    storage, _, size = record.args[:3]
    types = [_NAMED_TYPES.get(getattr(value, "__name__", "")) for value in record.args[4:]]
    return Entry(tuple(size), next(filter(None, types), storage.dtype))


def _end(record: _Record) -> int:
    """The byte of its storage at which a tensor ends."""
    storage, offset, size, stride = record.args[:4]
    if 0 in size:
        return 0
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    return Entry((last + 1,), storage.dtype).nbytes
