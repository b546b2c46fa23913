"""Texts and images as people have them: a file, a folder, or a data set of the hub."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
from pyarrow import parquet, types

from ctl_helpers.probing.networks import CannotRunError

Kind = Literal["texts", "images"]
KINDS: dict[Kind, str] = {"texts": "texts in a file", "images": "images in a folder"}
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(/(?P<subset>[\w.-]+))?")
_TABLES = "refs/convert/parquet"  # the branch where the hub keeps each data set as parquet
_SPLITS = ("validation", "test", "train")  # tests of the hub often have no labels


@dataclass(frozen=True)
class Rows:
    """Samples before a network's tokenizer or preprocessing.

    Attributes:
        items: texts, or images as paths or open files.
        labels: a class for each; none where there are no classes.
        classes: how many there are.
        name: what they are called.
    """

    items: Sequence[Any]
    labels: Sequence[int]
    classes: int
    name: str


def rows(data: str | Path, kind: Kind, most: int | None) -> Rows:
    """Samples of a kind.

    Args:
        data: a text file, a text per line, or with the ending ``.tsv`` a text, a tab and a class's
            number; a folder of images, in which folders are classes; or ``owner/name`` or
            ``owner/name/subset`` of the hub.
        kind: what the network takes.
        most: how many to take; None for all of a file.

    Raises:
        CannotRunError: there are none, or they are of the other kind.
    """
    path = Path(data).expanduser()
    if not path.exists():
        match = _ID.fullmatch(str(data))
        if match is None or str(data).startswith("."):
            raise CannotRunError(f"there is no {data}: correct the path of the samples")
        return _of_hub(str(data), match["repo"], match["subset"], kind, most)
    if path.is_dir() == (kind == "texts"):
        what = "folder" if path.is_dir() else "file"
        raise CannotRunError(
            f"{data} is a {what}, and the network takes {KINDS[kind]}: give those with --data"
        )
    return _texts(path, most) if kind == "texts" else _images(path, most)


def _texts(path: Path, most: int | None) -> Rows:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if path.suffix != ".tsv":
        return Rows(lines[:most], [], 0, path.name)
    try:
        pairs = [line.rsplit("\t", 1) for line in lines]
        texts, labels = [text for text, _ in pairs], [int(label) for _, label in pairs]
    except ValueError:
        raise CannotRunError(
            f"{path} has a line that is no text, tab and number of a class: mend it, or give a "
            "file of texts alone"
        ) from None
    return Rows(texts[:most], labels[:most], 1 + max(labels, default=-1), path.name)


def _images(folder: Path, most: int | None) -> Rows:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
    if not files:
        raise CannotRunError(f"{folder} has no images: give a folder with {', '.join(IMAGES)}")
    kinds = sorted({path.relative_to(folder).parts[0] for path in files if path.parent != folder})
    # From all over the folder, since files of one class or kind stand together.
    step = max(1, len(files) // (most or len(files)))
    chosen = files[::step][:most]
    if len(kinds) < 2 or any(path.parent == folder for path in files):
        return Rows(chosen, [], 0, folder.name)
    labels = [kinds.index(path.relative_to(folder).parts[0]) for path in chosen]
    return Rows(chosen, labels, len(kinds), folder.name)


def _of_hub(source: str, repo: str, subset: str | None, kind: Kind, most: int | None) -> Rows:
    """The first rows of a data set; a few of its pages are read, not all of it."""
    # Imported here: it takes time, and files on a disk need none of it.
    import huggingface_hub

    hub = huggingface_hub.HfFileSystem()
    try:
        place = f"datasets/{repo}@{_TABLES}" + (f"/{subset}" if subset else "")
        files = [file for file in hub.find(place) if file.endswith(".parquet")]
        file = min(files, key=lambda file: (_split(file), file), default=None)
        if file is None:
            raise FileNotFoundError("it has no table there")
        with hub.open(file) as opened:
            table = _first(parquet.ParquetFile(opened), most)
    except Exception as error:  # the hub's client passes on those of its network library
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotRunError(
            f"{source} is neither a path nor a data set that the hub gives ({reason}): correct the "
            "name, or connect to the network"
        ) from None
    column = next((field.name for field in table.schema if _is_of(kind, field)), None)
    if column is None:
        raise CannotRunError(f"{source} has no column of {kind}: name another data set")
    items = table.column(column).to_pylist()
    if kind == "images":
        items = [_file(item) for item in items]
    labels = _labels(table)
    name = f"{source} ({Path(file).parent.name}, column {column})"
    return Rows(items, labels, 1 + max(labels, default=-1), name)


def _split(file: str) -> int:
    """How early a split is taken."""
    named = Path(file).parent.name
    return next((n for n, split in enumerate(_SPLITS) if split in named), len(_SPLITS))


def _first(file: Any, most: int | None) -> pa.Table:
    pages: Iterable[Any] = file.iter_batches(batch_size=most or 1024)
    return pa.Table.from_batches(list(islice(pages, 1)), file.schema_arrow)


def _is_of(kind: Kind, field: pa.Field) -> bool:
    if kind == "texts":
        return bool(types.is_string(field.type) or types.is_large_string(field.type))
    return types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0


def _file(item: dict[str, bytes]) -> BinaryIO:
    return io.BytesIO(item["bytes"])


def _labels(table: pa.Table) -> list[int]:
    """The classes; none where there are none, or where they are kept back as −1."""
    column = next(
        (f.name for f in table.schema if "label" in f.name and types.is_integer(f.type)), None
    )
    labels = [] if column is None else table.column(column).to_pylist()
    return labels if all(label is not None and label >= 0 for label in labels) else []
