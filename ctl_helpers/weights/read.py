"""Checkpoints as people have them, whatever they are, as lazy state dicts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ctl_helpers.engine.checkpoints import Checkpoint, note
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.tensor_kinds import check_kinds
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.adapters import CONFIG, config_of, has_factors, merged, saved_whole
from ctl_helpers.weights.files import is_weight_file, lazy, weights_in
from ctl_helpers.weights.fitting import MisfitError, fit
from ctl_helpers.weights.hub import repository_files
from ctl_helpers.weights.prefixes import bare
from ctl_helpers.weights.pretrained import as_pretrained
from ctl_helpers.weights.wrappers import unwrapped

_REPOSITORY = re.compile(r"(?P<name>([\w.-]+/)?[\w.-]+?)(@(?P<revision>[\w./-]+))?")


def read(
    source: Checkpoint,
    *,
    like: nn.Module | None = None,
    ignore: Sequence[str] = (),
    base: Checkpoint | None = None,
    revision: str | None = None,
    key: str | None = None,
) -> LazyState:
    """A checkpoint as a state dict whose tensors are read when they are asked for.

    Args:
        source: one of

            - a state dict, or a mapping with one in it, as training loops save them;
            - a module, whose own tensors are given, not copies of them;
            - the path of a ``.safetensors`` file, of the ``.index.json`` of shards, or of a file of
              torch (``.pt``, ``.bin``, ``.ckpt`` and the like), of which only tensors are read;
            - a folder of transformers' ``save_pretrained``;
            - a folder of a LoRA adapter of peft: its base plus scaling · B·A;
            - a repository of the hub, ``"owner/name"`` or ``"owner/name@commit"``.
        like: the network that the checkpoint is for. Its names decide: prefixes as DDP, Lightning
            and torch.compile add are taken off, tied and renamed tensors are found, as
            transformers finds them, and all shapes are checked. Without it ``_orig_mod.`` and a
            ``module.`` before all names are taken off, and all else stays.
        ignore: globs of names of ``like`` whose tensors are its own, as a head's of another size.
        base: the weights under an adapter; by default those that its configuration names.
        revision: the commit of a repository, 40 digits.
        key: under which name the weights are, where there are several state dicts.

    Returns:
        A mapping from name to tensor. Files are mapped, not loaded.

    Raises:
        MissingDataError: a file that is missing, damaged or asks for foreign code; a repository
            without a commit, or that is not to be had.
        ValueError: a checkpoint that does not fit ``like``; several state dicts; an adapter of
            another kind than LoRA; factors of an adapter without their configuration.
        TypeError: something else than a checkpoint.
    """
    if isinstance(source, LazyState):
        state: StateDict = source
    elif isinstance(source, (Mapping, nn.Module)):
        state = unwrapped(source, key)
        check_kinds("the checkpoint", state)
    elif isinstance(source, (str, os.PathLike)):
        path = _found(source, revision)
        if (path.parent / CONFIG).is_file() and path.name.startswith("adapter_"):
            return _adapted(path, base, like, ignore)
        state = lazy(path, key)
    else:
        raise TypeError(
            f"the checkpoint is a {type(source).__name__}; give a state dict, a module, the path "
            "of a file or folder, or a repository of the hub"
        )
    _check_factors(state, like)
    return _as_lazy(_bare(state)) if like is None else _fitted(state, like, ignore)


def _found(source: str | os.PathLike[str], revision: str | None) -> Path:
    """The file that a path or the name of a repository stands for."""
    path = Path(source)
    if path.is_dir():
        return weights_in(path)
    name = _REPOSITORY.fullmatch(source) if isinstance(source, str) else None
    if path.is_file() or is_weight_file(path) or name is None:
        return path
    try:
        return repository_files(name["name"], revision or name["revision"])
    except MissingDataError as error:
        raise MissingDataError(
            f"{source!r} is no file or folder here, and as a repository of the hub: {error}"
        ) from None


def _adapted(
    path: Path, base: Checkpoint | None, like: nn.Module | None, ignore: Sequence[str]
) -> LazyState:
    """An adapter on its base."""
    config, adapter, owner = config_of(path.parent), lazy(path), f"the adapter in {path.parent}"
    under = _base(config, owner) if base is None else read(base)
    if like is None:
        return merged(under, adapter, config, owner)
    try:
        whole = saved_whole(adapter, like.state_dict().keys())
        named = _fitted(under, like, (*ignore, *whole))
        return _fitted(merged(named, adapter, config, owner), like, ignore)
    except MisfitError as error:
        # An adapter may have the names that the base's file has, and transformers has others now.
        try:
            return _fitted(merged(under, adapter, config, owner), like, ignore)
        except MisfitError:
            raise error from None


def _base(config: Mapping[str, Any], owner: str) -> LazyState:
    """The weights that an adapter's configuration says it was trained on."""
    name = config.get("base_model_name_or_path")
    try:
        if not name:
            raise ValueError("its configuration does not name it")
        return read(name, revision=config.get("revision"))
    except (MissingDataError, ValueError) as error:
        raise MissingDataError(
            f"{owner} needs its base {name!r}, which cannot be read ({error}): give it with base= "
            "of ctl.read"
        ) from None


def _fitted(state: StateDict, like: nn.Module, ignore: Sequence[str]) -> LazyState:
    """A checkpoint under a network's names, which transformers may know better."""
    try:
        return fit(state, like, ignore)
    except MisfitError:
        if (known := as_pretrained(state, like)) is None:
            raise
    return fit(known, like, ignore)


def _check_factors(state: StateDict, like: nn.Module | None) -> None:
    """Refuse an adapter's factors where the network does not have them itself."""
    if not has_factors(state) or (like is not None and has_factors(like.state_dict())):
        return
    factor = next(name for name in state if has_factors((name,)))
    raise ValueError(
        f"the checkpoint has the LoRA factor {factor!r}, whose product with another one is what "
        f"counts: give the adapter's folder, with its {CONFIG}, or merge it into the weights with "
        "peft's merge_and_unload()"
    )


def _bare(state: StateDict) -> Mapping[str, Any]:
    """Without the prefixes that no network's own names have."""
    names = {name: bare(name) for name in state}
    if all(name.startswith("module.") for name in names.values()):
        names = {name: new.removeprefix("module.") for name, new in names.items()}
    if all(name == new for name, new in names.items()):
        return state
    note("'module.', '_orig_mod.' or another wrapper in the names of the checkpoint was taken off")
    meta = described(state)
    sources = {new: name for name, new in names.items()}
    return LazyState(
        {new: meta[name] for new, name in sources.items()}, lambda new: state[sources[new]]
    )


def _as_lazy(state: StateDict) -> LazyState:
    return state if isinstance(state, LazyState) else LazyState(state, state.__getitem__)
