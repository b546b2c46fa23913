"""LoRA adapters by their headers: what each changes of its base, and whether it fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctl_helpers.probing.aligning import aligned
from ctl_helpers.probing.entries import Entry
from ctl_helpers.probing.places import ADAPTER, Place
from ctl_helpers.probing.remarks import Remark, count, some

FACTOR = re.compile(r"(?P<module>.+)\.lora_(embedding_)?(?P<side>[AB])(\.\w+)?(\.weight)?")
_MAGNITUDE = re.compile(r".+\.lora_magnitude_vector(\.\w+)?(\.weight)?")
_SAVED = re.compile(r"\.(modules_to_save|base_layer)(\.default)?(?=\.)")
ROOT = "base_model.model."


@dataclass(frozen=True)
class Adapted:
    """A base with an adapter on it, by headers.

    Attributes:
        tensors: of the base as the adapter leaves them, under the base's names.
        changed: the base's names of what the factors change.
        remarks: on what does not fit.
    """

    tensors: Mapping[str, Entry]
    changed: Sequence[str]
    remarks: Sequence[Remark]


def is_adapter(place: Place) -> bool:
    """Whether a checkpoint is an adapter: by its configuration, or by its tensors' names."""
    return ADAPTER in place.files or any(map(FACTOR.fullmatch, place.listing.tensors))


def adapted(place: Place, base: Mapping[str, Entry]) -> Adapted:
    """What an adapter makes of a base's tensors.

    Args:
        place: the adapter's.
        base: the base's tensors.
    """
    entries = {
        _SAVED.sub("", name.removeprefix(ROOT)): entry
        for name, entry in place.listing.tensors.items()
    }
    config, about = place.json(ADAPTER), place.name
    factors: dict[str, dict[str, Entry]] = {}
    others: dict[str, Entry] = {}
    has_magnitude = bool(config.get("use_dora"))
    for name, entry in entries.items():
        if match := FACTOR.fullmatch(name):
            factors.setdefault(f"{match['module']}.weight", {})[match["side"]] = entry
        elif _MAGNITUDE.fullmatch(name):
            has_magnitude = True
        else:
            others[name] = entry
    own = aligned([*factors, *others], base)
    tensors = {**base, **{name: others[own[name]] for name in own if own[name] in others}}
    targets = {name: factors[own[name]] for name in own if own[name] in factors}
    remarks = list(_kind(config, has_magnitude, about))
    remarks += _fit(targets, base, about)
    if targets and not remarks:
        ranks = sorted({sides["A"].shape[0] for sides in targets.values()})
        fact = f"is a LoRA adapter of rank {', '.join(map(str, ranks))} on {len(targets)} tensors"
        remedy = "nothing: it is read as the base with scaling · B·A added"
        remarks.append(Remark("adapter", "note", about, fact, remedy))
    return Adapted(tensors, sorted(targets), remarks)


def _kind(config: Mapping[str, Any], has_magnitude: bool, about: str) -> list[Remark]:
    remedy = "merge it into its base with peft's merge_and_unload, and probe what that saves"
    if has_magnitude:
        fact = "is a DoRA adapter, whose weights are no sum of base and factors"
        return [Remark("adapter", "stop", about, fact, remedy)]
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        fact = f"is an adapter of the kind {kind}, which is not read"
        return [Remark("adapter", "stop", about, fact, remedy)]
    return []


def _fit(
    targets: Mapping[str, Mapping[str, Entry]], base: Mapping[str, Entry], about: str
) -> list[Remark]:
    """Remarks on factors without a partner, without a tensor to change, or of another shape."""
    remarks = []
    remedy = "name the base that it was trained on, or fetch the adapter again"
    if half := [name for name, sides in targets.items() if len(sides) < 2]:
        fact = f"has one factor of two for {count(len(half), 'tensor')} ({some(half)})"
        remarks.append(Remark("adapter", "stop", about, fact, remedy))
    if strange := [name for name in targets if name not in base]:
        fact = f"changes {count(len(strange), 'tensor')} that BASE has not ({some(strange)})"
        remarks.append(Remark("adapter", "stop", about, fact, remedy))
    whole = [name for name, sides in targets.items() if len(sides) == 2 and name in base]
    if other := [name for name in whole if not _fits(targets[name], base[name])]:
        fact = f"has factors of another shape than BASE at {some(other)}"
        remarks.append(Remark("adapter", "stop", about, fact, remedy))
    return remarks


def _fits(sides: Mapping[str, Entry], weight: Entry) -> bool:
    """Whether B·A has a weight's shape, as it is or transposed; convolutions by their product."""
    a, b = sides["A"].shape, sides["B"].shape
    if len(a) == len(b) == 2:
        # Embeddings have their factors transposed, and so have layers of GPT-2's kind.
        return b[1] == a[0] and {b[0], a[1]} == set(weight.shape[:2])
    return a[0] == b[1] and (b[0], *a[1:]) == weight.shape
