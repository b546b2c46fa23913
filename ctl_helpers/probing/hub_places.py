"""Checkpoints of the hub: headers by range requests, so that tier 0 fetches nothing large."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.places import INDEX, SIDE_FILES, Place, on_disk, weights_among
from ctl_helpers.probing.remarks import Remark, some

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_PATIENCE = 10  # seconds for the hub's first answer
_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model"]


def find(name: str, source: str) -> Place:
    """A checkpoint at a path, or else ``owner/name`` or ``owner/name@revision`` on the hub."""
    match = _ID.fullmatch(source)
    if match is None or Path(source).expanduser().exists() or source.startswith("."):
        return on_disk(name, source)
    return _on_hub(name, source, match["repo"], match["revision"])


def _on_hub(name: str, source: str, repo: str, revision: str | None) -> Place:
    # Imported here: it takes time, and files on a disk need none of it.
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=_PATTERNS, local_files_only=True
        )
    except Exception:  # the hub's client passes on those of its network library
        pass
    else:
        place = on_disk(name, folder)
        if place.weights is not None:
            return Place(name, source, place.files, place.listing, place.weights)
    try:
        return _remote(name, source, repo, revision)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        fact = f"{source} is neither a path nor in the hub's cache, and the hub says: {reason}"
        remark = Remark("file", "stop", name, fact, "correct the name, or connect to the network")
        return Place(name, source, listing=Listing(remarks=(remark,)))


def _remote(name: str, source: str, repo: str, revision: str | None) -> Place:
    """A repository whose small files are fetched, and of whose weights the headers are read."""
    import huggingface_hub

    api = huggingface_hub.HfApi()
    info = api.model_info(repo, revision=revision, timeout=_PATIENCE)
    there = [sibling.rfilename for sibling in info.siblings or ()]

    def fetched(file: str) -> Path:
        return Path(huggingface_hub.hf_hub_download(repo, file, revision=revision))

    files = {side: fetched(side) for side in SIDE_FILES if side in there}
    weights = weights_among([file for file in there if "/" not in file])
    remarks = []
    shards: list[str] = []
    if weights is None or not weights.removesuffix(INDEX).endswith(".safetensors"):
        fact = (
            f"{source} has no safetensors, so that its tensors are not known before it is fetched"
        )
        remarks.append(Remark("file", "doubt", name, fact, "fetch it, and probe the folder"))
    elif weights.endswith(INDEX):
        index = json.loads(fetched(weights).read_text(encoding="utf-8"))
        shards = sorted(set(index["weight_map"].values()))
    else:
        shards = [weights]
    if lost := [shard for shard in shards if shard not in there]:
        fact, remedy = f"the hub has no {some(lost)}, which {weights} names", "tell its authors"
        remarks.append(Remark("shards", "stop", name, fact, remedy))
    tensors: dict[str, Entry] = {}
    for shard in shards:
        if shard in there:
            header = api.parse_safetensors_file_metadata(repo, shard, revision=revision)
            for key, value in header.tensors.items():
                tensors[key] = Entry(tuple(value.shape), value.dtype)
    return Place(name, source, files, Listing(tensors, tuple(remarks)))


def fetched(place: Place) -> Place:
    """The same checkpoint with its weights on this machine; a local one as it is."""
    match = _ID.fullmatch(place.source)
    if place.weights is not None or match is None or not place.listing.tensors:
        return place
    import huggingface_hub

    folder = huggingface_hub.snapshot_download(
        match["repo"], revision=match["revision"], allow_patterns=_PATTERNS
    )
    found = on_disk(place.name, folder)
    return Place(place.name, place.source, found.files, found.listing, found.weights)
