"""Tier 0: what headers and configurations say, all of it at once, before a tensor is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctl_helpers.probing import adapters, configs, quantized, vocabularies
from ctl_helpers.probing.aligning import BUFFERS, aligned, is_head, is_tied
from ctl_helpers.probing.entries import MIXABLE, Entry
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.remarks import Remark, count, some

CONFIG = "config.json"
_EMBEDDINGS = ("embed", "wte", "shared.weight", "lm_head", "word_embeddings")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint beside BASE, by headers alone.

    Attributes:
        place: where it is.
        tensors: under BASE's names.
        renamed: BASE's name → its own, of those that both have; empty for an adapter.
        left_out: names that a merge leaves out: heads, and buffers that nothing trains.
        is_adapter: whether it has to be put on BASE.
    """

    place: Place
    tensors: Mapping[str, Entry]
    renamed: Mapping[str, str]
    left_out: Sequence[str]
    is_adapter: bool = False


@dataclass(frozen=True)
class Overview:
    """What tier 0 found.

    Attributes:
        base: BASE.
        checkpoints: the others.
        remarks: all that the rules said.
        shared: BASE's names of the tensors that all have in one shape: what can be mixed.
    """

    base: Checkpoint
    checkpoints: Sequence[Checkpoint]
    remarks: Sequence[Remark]
    shared: Sequence[str]


def overview(base: Place, others: Sequence[Place]) -> Overview:
    """Looks at every checkpoint by itself, and at each beside BASE.

    Args:
        base: the pretrained network's.
        others: those that are to be merged.
    """
    remarks: list[Remark] = []
    own = base.listing.tensors
    described = []
    for place in (base, *others):
        remarks += place.listing.remarks
        remarks += quantized.remarks(place.listing.tensors, place.json(CONFIG), place.name)
    if adapters.is_adapter(base):
        fact, remedy = "is an adapter and no whole network", "give the network it was trained on"
        remarks.append(Remark("adapter", "stop", base.name, fact, remedy))
    spoilt = {remark.about for remark in remarks if remark.grade == "stop"}
    for place in others:
        listed = place.listing.tensors and base.listing.tensors
        is_whole = bool(listed) and not {place.name, base.name} & spoilt
        checkpoint, found = _beside(place, base, is_whole)
        described.append(checkpoint)
        remarks += found
    first = Checkpoint(base, own, {name: name for name in own}, ())
    shared = [
        name
        for name, entry in own.items()
        if all(
            name in one.tensors
            and one.tensors[name].shape == entry.shape
            and name not in one.left_out
            for one in described
        )
    ]
    return Overview(first, described, remarks, shared)


def _beside(place: Place, base: Place, is_whole: bool) -> tuple[Checkpoint, list[Remark]]:
    """A checkpoint under BASE's names, and remarks on where they differ.

    ``is_whole`` is false where a file is broken, quantized or not here, so that more would be said
    of names than is true.
    """
    own = base.listing.tensors
    remarks = configs.compared(base.json(CONFIG), place.json(CONFIG), place.name)
    if adapters.is_adapter(place):
        adapted = adapters.adapted(place, own)
        remarks += [*adapted.remarks, *vocabularies.compared(base, place, None)]
        return Checkpoint(place, adapted.tensors, {}, (), is_adapter=True), remarks
    renamed = aligned(place.listing.tensors, own)
    tensors = {name: place.listing.tensors[theirs] for name, theirs in renamed.items()}
    left_out: list[str] = []
    if is_whole and len(own.keys() & tensors.keys()) < min(len(own), len(tensors)) / 2:
        fact = f"shares {len(own.keys() & tensors.keys())} of BASE's {len(own)} names of tensors"
        remedy = "give a checkpoint of the same architecture, saved by the same library"
        remarks.append(Remark("names", "stop", place.name, fact, remedy))
    elif is_whole:
        named, left_out = _names(own, tensors, base, place)
        remarks += [*named, *_shapes(own, tensors, place.name), *_prefix(renamed, place.name)]
        remarks += _types(own, tensors, place.name)
        left_out += [
            name for name in own.keys() & tensors.keys() if _other_head(own, tensors, name)
        ]
    remarks += vocabularies.compared(base, place, _input_rows(tensors))
    return Checkpoint(place, tensors, renamed, left_out), remarks


def _names(
    own: Mapping[str, Entry], tensors: Mapping[str, Entry], base: Place, place: Place
) -> tuple[list[Remark], list[str]]:
    """Remarks on tensors that one of the two lacks, and which of them a merge leaves out."""
    remarks, about = [], place.name
    config = {**base.json(CONFIG), **place.json(CONFIG)}
    lacking = [name for name in own if name not in tensors]
    extra = [name for name in tensors if name not in own]
    free = [n for n in (*lacking, *extra) if BUFFERS.fullmatch(n) or is_tied(n, config)]
    body = [name for name in lacking if name not in free and not is_head(name)]
    strange = [name for name in extra if name not in free and not is_head(name)]
    heads = [n for n in (*lacking, *extra) if n not in (*free, *body, *strange)]
    if body:
        fact = f"lacks {count(len(body), 'tensor')} of BASE: {some(body)}"
        remedy = "fetch it again, or give the checkpoint that has them"
        remarks.append(Remark("names", "stop", about, fact, remedy))
    if strange:
        fact = f"has {count(len(strange), 'tensor')} that BASE lacks: {some(strange)}"
        remedy = "give the base that it was trained from"
        remarks.append(Remark("names", "stop", about, fact, remedy))
    if heads:
        fact = f"has another head than BASE: {some(heads)} {'is' if len(heads) == 1 else 'are'}"
        remedy = "nothing: heads are left out of the merge, and each task keeps its own"
        remarks.append(Remark("head", "note", about, f"{fact} in one of the two alone", remedy))
    if free:
        fact = f"buffers or second names that only one of the two has: {some(free)}"
        remarks.append(Remark("names", "note", about, fact, "nothing: the mix needs them once"))
    return remarks, [*heads, *(name for name in free if name in own)]


def _shapes(own: Mapping[str, Entry], tensors: Mapping[str, Entry], about: str) -> list[Remark]:
    """Remarks on tensors of other shapes, those of embeddings by their rows."""
    other = [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    heads = [name for name in other if _other_head(own, tensors, name)]
    rows = [
        name
        for name in other
        if name not in heads
        and any(part in name for part in _EMBEDDINGS)
        and own[name].shape[1:] == tensors[name].shape[1:]
    ]
    body = [name for name in other if name not in (*heads, *rows)]
    remarks = []
    for name in rows[:1]:
        mine, theirs = own[name].shape[0], tensors[name].shape[0]
        fact = f"has {theirs:,} rows at {some(rows)} where BASE has {mine:,}"
        remedy = f"bring both to {min(mine, theirs):,} rows, once their ids are the same strings"
        remarks.append(Remark("shape", "stop", about, fact, remedy))
    if heads:
        sizes = f"{tensors[heads[0]].shape} and {own[heads[0]].shape}"
        fact = f"has a head of another size than BASE at {some(heads)}: {sizes}"
        remedy = "nothing: heads are left out of the merge, and each task keeps its own"
        remarks.append(Remark("head", "note", about, fact, remedy))
    if body:
        sizes = f"{tensors[body[0]].shape} where BASE has {own[body[0]].shape}"
        fact = f"has another shape at {count(len(body), 'tensor')}: {body[0]!r} is {sizes}"
        remedy = "give a checkpoint of the same size"
        remarks.append(Remark("shape", "stop", about, fact, remedy))
    return remarks


def _other_head(own: Mapping[str, Entry], tensors: Mapping[str, Entry], name: str) -> bool:
    is_other = own[name].shape != tensors[name].shape
    return is_other and is_head(name) and not any(part in name for part in _EMBEDDINGS)


def _prefix(renamed: Mapping[str, str], about: str) -> list[Remark]:
    """A remark where names were taken for BASE's under another prefix."""
    other = [(name, own) for name, own in renamed.items() if name != own]
    if not other:
        return []
    name, own = other[0]
    fact = f"calls {count(len(other), 'tensor')} by other names, as {own!r} for {name!r}"
    return [Remark("names", "note", about, fact, "nothing: they are read under BASE's names")]


def _types(own: Mapping[str, Entry], tensors: Mapping[str, Entry], about: str) -> list[Remark]:
    """A remark where floats are of another type than BASE's: the mix has the wider one."""
    kinds = {
        (tensors[name].dtype, entry.dtype)
        for name, entry in own.items()
        if name in tensors and tensors[name].dtype != entry.dtype
    }
    mixable = sorted(pair for pair in kinds if {*pair} <= {*MIXABLE})
    remarks = []
    if mixable:
        theirs, mine = mixable[0]
        fact = f"has weights in {theirs} where BASE has {mine}"
        remedy = "nothing: a mix has the wider type; half precision alone loses small changes"
        remarks.append(Remark("type", "note", about, fact, remedy))
    if strange := sorted(kinds - {*mixable}):
        theirs, mine = strange[0]
        fact = f"has tensors of the type {theirs} where BASE has {mine}"
        remarks.append(Remark("type", "stop", about, fact, "save both in one type of floats"))
    return remarks


def _input_rows(tensors: Mapping[str, Entry]) -> int | None:
    """Rows of the input embedding, which has one for each token."""
    endings = ("word_embeddings.weight", "embed_tokens.weight", "wte.weight", "shared.weight")
    rows = [tensors[name].shape[0] for name in tensors if name.endswith(endings)]
    return rows[0] if rows else None
