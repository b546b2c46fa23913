"""Which module is to blame where passes do not depend on weights and samples alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.network import Network
from ctl_helpers.engine.outputs import alike, copies, tensors_in
from ctl_helpers.engine.randomness import RandomState
from ctl_helpers.engine.reading import following
from ctl_helpers.engine.watching import Watch

_COMPARED = (int, float, str, tuple, list)
_OF_MODULES = ("_parameters", "_buffers", "_modules", "training")


@dataclass(frozen=True)
class _Call:
    """One call of a module in a pass: what it was given, what it gave, and whether it drew."""

    name: str
    taken: list[Tensor]
    gave: list[Tensor]
    drew: bool


def keeping_module(network: Network, weights: Mapping[str, Tensor], batch: Inputs) -> str:
    """Which module gives other features after other passes, and what it keeps, as a sentence."""
    fresh = network.fresh()
    untouched = dict(network.fresh().model.named_modules())
    for before, after in zip(
        _calls(fresh, weights, batch), _calls(network, weights, batch), strict=False
    ):
        if before.name != after.name:
            break
        if alike(before.taken, after.taken) and not alike(before.gave, after.gave):
            used = network.model.get_submodule(after.name)
            kept = _other_attributes(untouched[after.name], used)
            keeps = f"{_called(network, after.name)} keeps something from one pass for the next"
            return f"{keeps} in {kept[0]!r}" if kept else keeps
    return f"{type(network.model).__name__} keeps something from one pass for the next"


def drawing_module(network: Network, weights: Mapping[str, Tensor], batch: Inputs) -> str:
    """The innermost module that draws random numbers first."""
    calls = _calls(network.fresh(), weights, batch)
    return _called(network, next((call.name for call in calls if call.drew), ""))


def mixing_module(
    network: Network, weights: Mapping[str, Tensor], few: Inputs, more: Inputs, slack: float
) -> str:
    """The first module that gives samples other features beside others than alone.

    Args:
        few, more: samples, and the same ones before others.
        slack: as for :func:`~ctl_helpers.engine.outputs.alike`.
    """
    alone, beside = (_calls(network.fresh(), weights, batch) for batch in (few, more))
    for one, other in zip(alone, beside, strict=False):
        taken, gave = (
            alike(*first_rows(*pair, few.size, more.size), network.dtype, slack)
            for pair in ((one.taken, other.taken), (one.gave, other.gave))
        )
        if taken and not gave:
            return _called(network, one.name)
    return f"some part of {type(network.model).__name__}"


def first_rows(
    few: list[Tensor], more: list[Tensor], before: int, after: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Tensors of so many samples, and their part of those of more samples."""
    if len(few) != len(more):
        return few, more
    pairs = []
    for a, b in zip(few, more, strict=True):
        axis = next(iter(following(tuple(a.shape), tuple(b.shape), before, after)), None)
        pairs.append((a, b if axis is None else b.narrow(axis, 0, before)))
    return [a for a, _ in pairs], [b for _, b in pairs]


def stale_module(
    network: Network, weights: Mapping[str, Tensor], batch: Inputs, unread: set[str]
) -> str | None:
    """Which module has values of an earlier pass in place of a parameter, if there is one.

    Args:
        unread: the parameters that no operation took in a pass.
    """
    for owner, names in _inside(unread).items():
        for attribute in _holding(network.model.get_submodule(owner)):
            emptied = network.fresh()
            _empty(emptied.model.get_submodule(owner), attribute)
            watch = Watch({name: weights[name] for name in names})
            try:
                with watch:
                    emptied.forward(weights, batch)
            except Exception:  # it was no cache, and is needed
                continue
            if watch.read:
                return f"{_called(network, owner)} has in {attribute!r}"
    return None


def _inside(names: set[str]) -> dict[str, set[str]]:
    """Module → those of some parameters that are its own or of a module in it, innermost first."""
    found: dict[str, set[str]] = {}
    for name in sorted(names):
        owner = name
        while owner:
            owner = owner.rpartition(".")[0]
            found.setdefault(owner, set()).add(name)
    return dict(sorted(found.items(), key=lambda item: -item[0].count(".")))


def _called(network: Network, name: str) -> str:
    kind = type(network.model.get_submodule(name)).__name__
    return f"module {name!r} ({kind})" if name else f"the model ({kind})"


def _calls(network: Network, weights: Mapping[str, Tensor], batch: Inputs) -> list[_Call]:
    """The calls of all modules in a pass, in the order in which they end."""
    with _recorded(network) as calls:
        network.forward(weights, batch)
    return calls


@contextmanager
def _recorded(network: Network) -> Iterator[list[_Call]]:
    names = {module: name for name, module in network.model.named_modules()}
    calls: list[_Call] = []
    begun: list[tuple[list[Tensor], RandomState]] = []

    def begin(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        begun.append((copies([*args, kwargs]), RandomState.now(network.device)))

    def end(module: nn.Module, _: object, output: object) -> None:
        taken, start = begun.pop()
        drew = not start.is_at(RandomState.now(network.device))
        calls.append(_Call(names[module], taken, copies(output), drew))

    handles = []
    for module in names:
        handles.append(module.register_forward_pre_hook(begin, with_kwargs=True))
        handles.append(module.register_forward_hook(end))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _other_attributes(before: nn.Module, after: nn.Module) -> list[str]:
    """What a module holds beside parameters that is not as it was."""
    others = {**vars(after), **after._buffers}
    own = {**vars(before), **before._buffers}
    return [
        name
        for name, value in others.items()
        if name not in _OF_MODULES and not _is_equal(own.get(name), value)
    ]


def _is_equal(a: object, b: object) -> bool:
    tensors = [*tensors_in(a)], [*tensors_in(b)]
    if any(map(len, tensors)):
        return alike(*tensors)
    return not isinstance(b, _COMPARED) or a == b


def _holding(module: nn.Module) -> list[str]:
    """The attributes of a module with tensors in them that are neither parameters nor buffers."""
    return [
        name
        for name, value in vars(module).items()
        if name not in _OF_MODULES and next(tensors_in(value), None) is not None
    ]


def _empty(module: nn.Module, attribute: str) -> None:
    value = getattr(module, attribute)
    setattr(module, attribute, type(value)() if isinstance(value, (dict, list)) else None)
