"""Archives that torch saved: whether their records hold the numbers that their tensors take."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ctl_helpers.weights.proportions import check_pickle

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "QInt32Storage": torch.qint32,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "UntypedStorage": torch.uint8,
}
"""The type of the numbers of each class of storage that a pickle names."""


class RecordError(Exception):
    """What is wrong with an archive's record, as a clause."""


def check_records(path: Path) -> bool:
    """Whether a file can be mapped from the disk, once its records are known to be whole.

    ``torch.load`` maps from a record's first byte as many as a tensor takes, whatever the record
    has: a short one would give the bytes after it as numbers, and a compressed one the compressed
    bytes. The pickle that says what tensors take is read without making anything of it.

    Args:
        path: an archive of torch's format since 1.6.

    Raises:
        RecordError: a record that is missing or of another size.
        DisproportionError: a pickle that grows out of all proportion.
        Exception: zipfile's and pickle's own, for a damaged archive.
    """
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: info for info in archive.infolist()}
        (pickled,) = [name for name in records if name.endswith("/data.pkl")]
        content = archive.read(pickled)
    check_pickle(io.BytesIO(content))
    storages = _Storages(io.BytesIO(content))
    storages.load()
    for key, taken in storages.sizes.items():
        name = f"{pickled.removesuffix('.pkl')}/{key}"
        size = records[name].file_size if name in records else 0
        if size != taken:
            raise RecordError(f"its record {name} has {size} bytes of {taken} that a tensor takes")
    return all(info.compress_type == zipfile.ZIP_STORED for info in records.values())


class _Inert:
    """Stands for every class and function that a pickle names, and does nothing."""

    name = ""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def append(self, _: object) -> None:
        pass

    def extend(self, _: object) -> None:
        pass

    def add(self, _: object) -> None:
        pass


class _Storages(pickle.Unpickler):
    """Reads of a pickle how many bytes each storage has; nothing of it is called."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.sizes: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_Inert,), {"name": name})

    def persistent_load(self, pid: tuple[str, type[_Inert], str, str, int]) -> _Inert:
        _, storage, key, _, count = pid
        self.sizes[key] = count * DTYPES[storage.name].itemsize
        return _Inert()
