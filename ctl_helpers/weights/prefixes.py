"""What DDP, torch.compile, Lightning and peft put before the names of a network's tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import takewhile

_WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch puts before the names of modules that it compiles, shards or runs twice."""


def bare(name: str) -> str:
    """A name as it was before torch wrapped modules, at any depth."""
    return _WRAPPERS.sub("", name)


def prefixes(names: Collection[str], wanted: Collection[str]) -> tuple[str, str]:
    """What the names begin with that the wanted ones do not, and the other way round.

    Of all pairs of prefixes, the one by which most names become wanted ones; the shortest of
    several, and so none where names are as wanted.

    Args:
        names: those of a checkpoint.
        wanted: those of a network.
    """
    found = {(taken, put): n for put in _shared(wanted) for taken, n in _before(names, wanted, put)}
    found |= {
        (taken, put): n for taken in _shared(names) for put, n in _before(wanted, names, taken)
    }
    return max(found, key=lambda pair: (found[pair], -len("".join(pair))), default=("", ""))


def _before(
    names: Collection[str], others: Collection[str], prefix: str
) -> Iterable[tuple[str, int]]:
    """What stands before names that others have behind a prefix, and how often."""
    behind = {name.removeprefix(prefix) for name in others}
    return Counter(
        name.removesuffix(tail) for name in names for tail in _tails(name) if tail in behind
    ).items()


def _tails(name: str) -> Iterator[str]:
    """A name without its first parts: itself, then without one of them, and so on."""
    parts = name.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _shared(names: Collection[str]) -> list[str]:
    """The prefixes that all names have, whole parts of them, from none to the longest."""
    places = sorted(name.split(".")[:-1] for name in names)
    pairs = zip(places[0], places[-1], strict=False) if places else ()
    parts = [part for part, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts) + 1)]
