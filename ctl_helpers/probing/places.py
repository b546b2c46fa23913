"""Where a checkpoint's files are: in a folder, one file, or a repository of the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctl_helpers.probing import pickle_headers, safetensors_headers
from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.remarks import Remark, some

INDEX = ".index.json"
ADAPTER = "adapter_config.json"
SIDE_FILES = (
    "config.json",
    ADAPTER,
    "tokenizer.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "preprocessor_config.json",
)
"""What lies beside weights and is small."""

_READERS: Mapping[str, Callable[[Path, str], Listing]] = {
    ".safetensors": safetensors_headers.listing,
    **dict.fromkeys((".pt", ".pth", ".bin", ".th", ".ckpt"), pickle_headers.listing),
}
# In the order in which a folder that has several is read.
_STEMS = (
    "model",
    "pytorch_model",
    "adapter_model",
    "open_clip_model",
    "open_clip_pytorch_model",
    "diffusion_pytorch_model",
)
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.\w+)")
_NO_WEIGHTS = (
    "training_args.bin",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
)


@dataclass(frozen=True)
class Place:
    """A checkpoint as it lies on a disk, or on the hub.

    Attributes:
        name: what the report calls it.
        source: as the person wrote it.
        files: names of side files → their paths, those that are there.
        listing: the tensors that its weight files have.
        weights: the file or index with the weights, or None where they are not on this machine.
    """

    name: str
    source: str
    files: Mapping[str, Path] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)
    weights: Path | None = None

    def json(self, name: str) -> dict[str, Any]:
        """What a side file holds; nothing where it is not there or is no JSON object."""
        if name not in self.files:
            return {}
        try:
            content = json.loads(self.files[name].read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


def on_disk(name: str, source: str) -> Place:
    """A checkpoint at a path: a folder, a weight file, or the index of a sharded one."""
    path = Path(source).expanduser()
    if not path.exists():
        missing = Remark(
            "file", "stop", name, f"there is no {source}", "correct the path, or fetch it"
        )
        return Place(name, source, listing=Listing(remarks=(missing,)))
    folder = path if path.is_dir() else path.parent
    files = {side: folder / side for side in SIDE_FILES if (folder / side).is_file()}
    weights: Path | None = path
    if path.is_dir():
        chosen = weights_among([each.name for each in folder.iterdir() if each.is_file()])
        weights = folder / chosen if chosen else None
    if weights is None:
        fact = f"{source} has no weight file of a known kind"
        if others := sorted({each.suffix for each in folder.iterdir()} & {".gguf", ".onnx"}):
            fact = f"{source} has its weights in {others[0]} alone, which cannot be mixed"
        listing = Listing(remarks=(Remark("file", "stop", name, fact, _KINDS),))
    else:
        listing = listed(weights, name)
    damaged = tuple(_damaged(files, name))
    return Place(name, source, files, Listing(listing.tensors, listing.remarks + damaged), weights)


def listed(weights: Path, name: str) -> Listing:
    """The tensors of a weight file, of an index's shards, or of shards that have no index."""
    if weights.name.endswith(INDEX):
        return _by_index(weights, name)
    if match := _SHARD.fullmatch(weights.name):
        return _without_index(weights, match, name)
    return _single(weights, name)


def _single(path: Path, name: str) -> Listing:
    reader = _READERS.get(path.suffix)
    if reader is None:
        fact = f"{path.name} is no weight file of a known kind"
        return Listing(remarks=(Remark("file", "stop", name, fact, _KINDS),))
    return reader(path, name)


def weights_among(names: Collection[str]) -> str | None:
    """Of a folder's files the one with the weights: by its usual name, or the only one it can be.

    Of shards without an index it is the first.
    """
    for stem in _STEMS:
        for ending in (".safetensors", ".bin"):
            for name in (stem + ending, f"{stem}{ending}{INDEX}"):
                if name in names:
                    return name
    others = sorted(n for n in names if Path(n).suffix in _READERS and n not in _NO_WEIGHTS)
    shards = list(filter(_SHARD.fullmatch, others))
    if shards or len(others) == 1:
        return (shards or others)[0]
    return None


def _by_index(index: Path, name: str) -> Listing:
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(where.values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        fact, remedy = f"{index.name} is damaged", f"fetch {index.name} again"
        return Listing(remarks=(Remark("file", "stop", name, fact, remedy),))
    tensors: dict[str, Entry] = {}
    remarks: list[Remark] = []
    for shard in shards:
        promised = sorted(key for key, owner in where.items() if owner == shard)
        path = index.with_name(Path(shard).name)
        if not path.is_file():
            fact = f"the shard {shard} is missing, and with it {some(promised)}"
            remarks.append(Remark("shards", "stop", name, fact, f"fetch {shard}"))
            continue
        found = _single(path, name)
        tensors |= found.tensors
        remarks += found.remarks
        if found.tensors and (strange := sorted(set(promised) ^ found.tensors.keys())):
            fact = f"{shard} and {index.name} disagree on {some(strange)}"
            remedy = "fetch both again: they are of different checkpoints"
            remarks.append(Remark("shards", "stop", name, fact, remedy))
    return Listing(tensors, tuple(remarks))


def _without_index(shard: Path, match: re.Match[str], name: str) -> Listing:
    """All shards beside one of them, where no index says which tensor is where."""
    tensors: dict[str, Entry] = {}
    remarks: list[Remark] = []
    for path in shards_of(shard):
        found = _single(path, name)
        tensors |= found.tensors
        remarks += found.remarks
    there = {path.name for path in shards_of(shard)}
    if lost := [path.name for path in _siblings(shard, match) if path.name not in there]:
        fact = f"of {int(match['count'])} shards {some(lost)} {'is' if len(lost) == 1 else 'are'}"
        remarks.append(Remark("shards", "stop", name, f"{fact} missing", f"fetch {some(lost)}"))
    return Listing(tensors, tuple(remarks))


def shards_of(weights: Path) -> list[Path]:
    """The files beside a shard that belong to it and are there; any other file by itself."""
    match = _SHARD.fullmatch(weights.name)
    return list(filter(Path.is_file, _siblings(weights, match))) if match else [weights]


def _siblings(shard: Path, match: re.Match[str]) -> list[Path]:
    return [
        shard.with_name(f"{match['stem']}-{number:05}-of-{match['count']}{match['ending']}")
        for number in range(1, int(match["count"]) + 1)
    ]


def _damaged(files: Mapping[str, Path], name: str) -> list[Remark]:
    """Remarks on configurations that are no JSON."""
    remarks = []
    for side in ("config.json", ADAPTER):
        if side in files:
            try:
                json.loads(files[side].read_text(encoding="utf-8"))
            except ValueError:
                fact = f"{side} is damaged: it is no JSON"
                remarks.append(Remark("file", "stop", name, fact, f"fetch {side} again"))
    return remarks


_KINDS = "give a folder of save_pretrained, or a .safetensors, .pt, .pth, .bin or .th file"
