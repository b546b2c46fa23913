"""Names of one checkpoint under those of another: wrappers put prefixes before them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

ALL = "all"
"""In tables, what is summed over all layers."""

_DEPTH = 3  # parts of a prefix, as "base_model.model.model."
_ROUNDS = 3
_COVERED = 1 / 3  # of all names that a wrapper's prefix stands before, at least
BUFFERS = re.compile(
    r"(.*\.)?(position_ids|inv_freq|masked_bias|num_batches_tracked|relative_position_index)"
)
"""What no training changes, and some releases save and others do not."""

STATISTICS = re.compile(r"(.*\.)?running_(mean|var)")
"""BatchNorm's, which no gradient moves and which can be thousands of times as long as weights."""

_HEAD = re.compile(
    r"\w*heads?|\w*classifier|fc|_fc|cls|pooler|score|qa_outputs|logits?|predictions|last_linear"
    r"|output_layer|vocab_\w+|\w*projector|\w*_projection|summary"
)
_TIED = re.compile(r"(.*\.)?(lm_head|embed_out|predictions\.decoder|embed_tokens|wte)\.weight")


def aligned(names: Collection[str], reference: Collection[str]) -> dict[str, str]:
    """The names as the reference would call them → the names as they are.

    A prefix is taken off, or put on, where more names are then those of the reference:
    ``module.``, ``model.``, ``bert.``. Both sides may have names that the other lacks, as heads.
    """
    known = set(reference)
    found = {name: name for name in names}
    for _ in range(_ROUNDS):
        shared = len(known & found.keys())
        ways = [
            *({_without(name, prefix): own for name, own in found.items()}
              for prefix in _prefixes(found)),
            *({_with(name, prefix, known): own for name, own in found.items()}
              for prefix in _prefixes(known)),
        ]  # fmt: skip
        best = max(ways, key=lambda way: len(known & way.keys()), default=found)
        if len(known & best.keys()) <= shared:
            break
        found = best
    return found


def _without(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)


def _with(name: str, prefix: str, known: Collection[str]) -> str:
    return prefix + name if prefix + name in known else name


def _prefixes(names: Collection[str]) -> list[str]:
    """The beginnings, up to a dot, that many names share."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for depth in range(1, min(_DEPTH, len(parts) - 1) + 1):
            if parts[depth - 1].isdigit():
                break
            found[".".join(parts[:depth]) + "."] += 1
    return [prefix for prefix, number in found.items() if number >= _COVERED * len(names)]


def is_tied(name: str, config: Mapping[str, object]) -> bool:
    """Whether it is an embedding or a head that may be the other one under a second name."""
    return config.get("tie_word_embeddings") is not False and bool(_TIED.fullmatch(name))


def is_head(name: str) -> bool:
    """Whether a tensor is of a head, by a word that stands before any number in its name."""
    before = re.split(r"(?:^|\.)\d+(?:\.|$)", name, maxsplit=1)[0]
    return any(map(_HEAD.fullmatch, before.split(".")))


def group(name: str) -> str:
    """The block that a tensor belongs to: up to the first number, else up to its own last part.

    ``"encoder.layer.3.attention.self.query.weight"`` is in ``"encoder.layer.3"``, and
    ``"embeddings.LayerNorm.bias"`` in ``"embeddings"``.
    """
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    if numbers:
        return ".".join(parts[: numbers[0] + 1])
    return parts[0] if len(parts) > 2 else ".".join(parts[:-1]) or name
