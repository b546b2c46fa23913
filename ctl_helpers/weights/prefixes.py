"""What DDP, torch.compile, Lightning and peft put before the names of a network's tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import takewhile

_WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch puts before the names of modules that it compiles, shards or runs twice."""


def bare(name: str) -> str:
    """A name as it was before torch wrapped modules, at any depth."""
    return _WRAPPERS.sub("", name)


def prefixes(names: Collection[str], wanted: Collection[str]) -> tuple[str, str]:
    """What the names begin with that the wanted ones do not, and the other way round.

    Of all pairs of prefixes of which one is all names', or all wanted ones', the pair by which most
    names become wanted ones; the shortest of several, and so none where names are as wanted. It is
    a guess, right where in the end no name is missing.

    Args:
        names: those of a checkpoint.
        wanted: those of a network.
    """
    put_before = {(taken, put): n for (put, taken), n in _counted(wanted, names).items()}
    return _best(_counted(names, wanted) | put_before)


def prefixes_of_some(names: Collection[str], wanted: Collection[str]) -> tuple[str, str]:
    """As :func:`prefixes`, for a few names: what is put before them is before all wanted ones."""
    return _best(_counted(names, wanted))


def _best(found: Mapping[tuple[str, str], int]) -> tuple[str, str]:
    return max(found, key=lambda pair: (found[pair], -len("".join(pair))), default=("", ""))


def _counted(names: Collection[str], wanted: Collection[str]) -> dict[tuple[str, str], int]:
    """Any prefix of names, and one that all wanted ones have → how many names agree behind them."""
    counted: dict[tuple[str, str], int] = Counter()
    split = [(name, name.split(".")) for name in names]
    longest = max((len(parts) for _, parts in split), default=0)
    for put in _shared(wanted, longest):
        behind = {name.removeprefix(put) for name in wanted}
        # A name of thousands of parts has no other ends that could agree.
        lengths = sorted({tail.count(".") + 1 for tail in behind}, reverse=True)
        for name, parts in split:
            for length in lengths:
                tail = ".".join(parts[-length:])
                if length <= len(parts) and tail in behind:
                    counted[name.removesuffix(tail), put] += 1
    return counted


def _shared(names: Collection[str], longest: int) -> list[str]:
    """The prefixes that all names have, whole parts of them, from the shortest to the longest.

    Left out are those behind which every name still has more than ``longest`` parts.
    """
    split = sorted(name.split(".") for name in names)
    pairs = zip(split[0][:-1], split[-1][:-1], strict=False) if split else ()
    parts = [part for part, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    first = max(0, min(map(len, split), default=0) - longest)
    return ["".join(f"{part}." for part in parts[:n]) for n in range(first, len(parts) + 1)]
