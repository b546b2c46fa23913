"""Which layers of a network can be tapped, and which of them are where nobody names any."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import pandas as pd
from torch import nn

from ctl_helpers.engine.arguments import check_model, distinct
from ctl_helpers.engine.blocks import CONTAINERS, repeated
from ctl_helpers.engine.stages import Staged

_ANY_DEPTH = "**"
_SHOWN = 5


def layers(model: nn.Module) -> pd.DataFrame:
    """What can be tapped: one row per module that has a forward pass, in the model's order.

    Returns:
        Columns ``layer`` (its name, as ``layers=`` takes it; ``""`` is the model's own output),
        ``class``, ``parameters`` (how many numbers, buffers left out) and ``default`` (whether it
        is one of :func:`feature_layers`).

    Raises:
        TypeError: no network.
    """
    check_model(model)
    default = set(feature_layers(model))
    rows = [
        {
            "layer": name,
            "class": type(module).__name__,
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "default": name in default,
        }
        for name, module in _tappable(model).items()
    ]
    return pd.DataFrame(rows, columns=["layer", "class", "parameters", "default"])


def feature_layers(model: nn.Module) -> tuple[str, ...]:
    """The names of the layers whose features are compared by default.

    The models of this package list theirs in an attribute ``feature_layers``. Of any other module
    they are the blocks of its longest repeated list, such as a transformer's ``encoder.layer.0``
    to ``encoder.layer.11`` or a ResNet's ``layer1.0`` to ``layer4.2``, together with lists of the
    same name elsewhere, such as a decoder's. A module without a list of blocks gives its direct
    children, with ``Sequential`` and ``ModuleList`` opened. :func:`~ctl_helpers.compare` leaves
    out those that do not run once.
    """
    listed = listed_layers(model)
    return next(candidates(model)) if listed is None else listed


def listed_layers(model: nn.Module) -> tuple[str, ...] | None:
    """The default layers that a model lists itself, if it does."""
    listed = getattr(model, "feature_layers", None)
    if listed is None and isinstance(model, Staged):
        return tuple(stage.layer for stage in model.stages() if stage.layer is not None)
    return None if listed is None else tuple(listed)


def candidates(model: nn.Module) -> Iterator[tuple[str, ...]]:
    """Layers that might be the default ones, the best choice first; the last is the output."""
    yield from repeated(model)
    if children := tuple(_children(model)):
        yield children
    yield ("",)


def named_layers(model: nn.Module, names: str | Iterable[str]) -> tuple[str, ...]:
    """The layers of those names, in the order given, and of globs in the model's order.

    Args:
        names: one or several, as in ``model.named_modules()``. In a glob, ``*`` stands for any
            part of a name between two dots, as in ``"encoder.layer.*"``, and ``**`` for any
            number of such parts.

    Raises:
        KeyError: a name that the model does not have, or a glob that fits none.
        TypeError: what is no name.
        ValueError: a name twice; no name at all.
    """
    given = (names,) if isinstance(names, str) else _each(names, model)
    known = _tappable(model)
    chosen = [layer for name in distinct(given) for layer in _fitting(name, known, model)]
    if not chosen:
        raise ValueError(
            "no layers to compare; leave layers out, or name some of ctl.layers(model)"
        )
    return tuple(dict.fromkeys(chosen))


def summary(model: nn.Module, names: Sequence[str]) -> str:
    """Layers in a few words: how many of which classes, the first and the last."""
    modules = dict(model.named_modules(remove_duplicate=False))
    counts = Counter(type(modules[name]).__name__ for name in names)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    ends = dict.fromkeys((names[0], names[-1]))
    return f"{kinds} ({' … '.join(map(repr, ends))})"


def _each(names: Iterable[str], model: nn.Module) -> list[str]:
    if isinstance(names, nn.Module) or not isinstance(names, Iterable):
        raise TypeError(
            f"layers is a {type(names).__name__}; give names of modules, such as "
            f"{list(feature_layers(model))[:2]}, or a glob"
        )
    given = list(names)
    for name in given:
        if not isinstance(name, str):
            owner = [other for other, module in model.named_modules() if module is name]
            what = f"the module {owner[0]!r} itself" if owner else repr(name)
            raise TypeError(f"layers has {what}; give its name, as ctl.layers(model) lists it")
    return given


def _fitting(name: str, known: Mapping[str, nn.Module], model: nn.Module) -> list[str]:
    """The layers that a name or a glob means."""
    if name in known:
        return [name]
    parts = name.split(".")
    if fitting := [other for other in known if other and _fits(other.split("."), parts)]:
        return fitting
    if inside := [other for other in known if other.startswith(f"{name}.")]:
        kind = type(model.get_submodule(name)).__name__
        raise KeyError(
            f"layer {name!r} is a {kind}, which has no forward pass of its own; tap what is in it, "
            f"such as {inside[:_SHOWN]}"
        )
    what = "no layer that fits" if "*" in name else "no layer"
    raise KeyError(
        f"the model has {what} {name!r}; the nearest are {_nearest(name, list(known))}, and "
        "ctl.layers(model) lists all"
    )


def _tappable(model: nn.Module) -> dict[str, nn.Module]:
    """Name → module, of those that have a forward pass; a shared one under each of its names."""
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if getattr(type(module), "forward", None) is not nn.Module.forward
    }


def _fits(parts: Sequence[str], globs: Sequence[str]) -> bool:
    """Whether the parts of a name fit those of a glob."""
    if not globs:
        return not parts
    if globs[0] == _ANY_DEPTH:
        return any(_fits(parts[n:], globs[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], globs[0]) and _fits(parts[1:], globs[1:])


def _nearest(name: str, names: Sequence[str]) -> list[str]:
    """The few names that are most like one that is not there."""
    end = name.rpartition(".")[2].strip("*")
    same_end = [other for other in names if end and other.rpartition(".")[2] == end]
    alike = difflib.get_close_matches(name, names, _SHOWN, 0.5)
    near = [*same_end[:2], *alike] or [other for other in names if other]
    return list(dict.fromkeys(near))[:_SHOWN]


def _children(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Direct children, with containers opened, and what is alone in a module."""
    children = list(module.named_children())
    for name, child in children:
        is_wrapped = len(children) == 1 and any(child.children())
        if isinstance(child, CONTAINERS) or is_wrapped:
            yield from _children(child, f"{prefix}{name}.")
        else:
            yield prefix + name
