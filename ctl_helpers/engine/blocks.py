"""The blocks that a network repeats, found in its tree of modules."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NUMBER = re.compile(r"\d+[a-z]?(?![a-z])")  # "4", and the "3b" of "inception3b"


def repeated(model: nn.Module) -> list[tuple[str, ...]]:
    """The lists of blocks of a network, the longest one first.

    A block is a module with two matrices or more, so more than one layer with its norm. Blocks
    stand in a ``ModuleList``, in a ``Sequential`` with others of their class, or side by side under
    numbered names, such as ``inception3a``. A list of stages, which hold little but such lists, is
    opened. Lists of the same name, such as the ``layers`` of an encoder and of a decoder, are one.

    Returns:
        The blocks' names, in the model's order within each list.
    """
    lists = _Search(model).lists(model)
    found = sorted(lists.items(), key=lambda one: -len(one[1]))
    joined: list[tuple[str, ...]] = []
    while found:
        tail = _tail(found[0][0])
        joined.append(tuple(name for path, names in found if _tail(path) == tail for name in names))
        found = [(path, names) for path, names in found if _tail(path) != tail]
    return joined


class _Search:
    """Finds lists of blocks; whether a class is one of stages is found out once."""

    def __init__(self, model: nn.Module) -> None:
        self._instances: dict[type[nn.Module], list[nn.Module]] = defaultdict(list)
        for module in model.modules():
            self._instances[type(module)].append(module)
        self._are_stages: dict[type[nn.Module], bool] = {}

    def lists(self, module: nn.Module, path: str = "") -> dict[str, list[str]]:
        """Name with ``*`` for numbers → the names of the blocks in that list.

        Args:
            path: such a name of the module itself, where it stands in a list.
        """
        lists: dict[str, list[str]] = defaultdict(list)
        for pattern, name in self._blocks(module, "", path):
            lists[pattern].append(name)
        return lists

    def _blocks(self, module: nn.Module, prefix: str, path: str) -> Iterator[tuple[str, str]]:
        members = _members(module, "*" in path)
        for name, child in module.named_children():
            place, pattern = f"{prefix}{name}", f"{path}{_NUMBER.sub('*', name)}"
            if name in members and not self._is_stage(child):
                yield pattern, place
            else:
                yield from self._blocks(child, f"{place}.", f"{pattern}.")

    def _is_stage(self, module: nn.Module) -> bool:
        """Whether there are blocks in it, and its class is one of stages."""
        kind = type(module)
        if kind not in self._are_stages:
            self._are_stages[kind] = False  # where it holds others of its class
            self._are_stages[kind] = any(map(self._is_list, self._instances[kind]))
        return self._are_stages[kind] and bool(self.lists(module, "*."))

    def _is_list(self, module: nn.Module) -> bool:
        """Whether it is little but blocks of one class, beside what changes the resolution."""
        names = max(self.lists(module, "*.").values(), key=len, default=[])
        kinds = Counter(type(module.get_submodule(name)) for name in names)
        if not names or (len(names) > 1 and max(kinds.values()) == 1):
            return False
        inside = sum(_matrices(module.get_submodule(name)) for name in names)
        return _matrices(module) - inside <= 1


def _members(module: nn.Module, is_numbered: bool) -> set[str]:
    """The names of the children that are blocks of one list.

    Outside of other lists one block alone is none, but in a ``ModuleList``. In a ``Sequential``,
    whose every part has a number, they are those of a class that comes twice.
    """
    found = {
        name: (_NUMBER.sub("*", name), type(child) if type(module) is nn.Sequential else None)
        for name, child in module.named_children()
        if _NUMBER.search(name) and type(child) not in CONTAINERS and _matrices(child) > 1
    }
    if is_numbered or isinstance(module, nn.ModuleList):
        return set(found)
    counts = Counter(found.values())
    return {name for name, kind in found.items() if counts[kind] > 1}


def _matrices(module: nn.Module) -> int:
    """How many parameters have two dimensions or more, those of size 1 not counted."""
    return sum(sum(size > 1 for size in weight.shape) > 1 for weight in module.parameters())


def _tail(path: str) -> str:
    """The last part of a list's name that is not a number alone, such as ``"layers"``."""
    return next((part for part in reversed(path.split(".")) if part != "*"), "")
