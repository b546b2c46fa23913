"""A checkpoint of any origin under the names of a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ctl_helpers.engine.checkpoints import note
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.tensor_kinds import filling, is_extra_state, is_filled, kind, same, scheme
from ctl_helpers.engine.ties import check_tied, first_names
from ctl_helpers.weights.prefixes import bare, prefixes

# Of rotary embeddings, which transformers computes and once saved in each layer.
_ROTARY = r"rotary_emb\.inv_freq$"
_NORMALIZED = re.compile(
    r"(?P<module>(.*\.)?)parametrizations\.(?P<weight>\w+)\.original(?P<number>[01])"
)


class MisfitError(ValueError):
    """Tensors that a network has and a checkpoint has not, or the other way round."""


def fit(state: StateDict, model: nn.Module, ignore: Sequence[str] = ()) -> LazyState:
    """A checkpoint as a state dict of a network; no weights are read, but tied ones compared.

    Prefixes are taken off or put before names. A tensor that the network has under several names
    has all of them, whichever the checkpoint has. Integer buffers that a network computes when it
    is built, as position ids are, may be missing, in a floating type, or left over from an older
    release. What was done is told by a :class:`~ctl_helpers.CheckpointWarning`.

    Args:
        state: name → tensor.
        model: the network.
        ignore: globs of names whose tensors are the model's own.

    Raises:
        MisfitError: tensors that are missing or unknown, or of another shape.
        ValueError: those of another kind; several values for one tensor of the network.
    """
    reference = {n: t for n, t in model.state_dict().items() if not is_extra_state(n)}
    is_ignored, notes = _matching(ignore), list[str]()
    wanted = {name: tensor for name, tensor in reference.items() if not is_ignored(name)}
    sources = _renamed(state, model, wanted, is_ignored, notes)
    extra = {name: state[sources.pop(name)] for name in [*sources] if is_extra_state(name)}
    _add_ties(sources, state, model, wanted)
    computed = _computed(sources, model, wanted, notes)
    _check_names(state, sources, model, wanted, computed, notes)
    tensors = described(state)
    own = {n: filling(n, t) for n, t in reference.items() if n not in wanted or n in computed}
    for name, like in wanted.items():
        if name in own:
            continue
        tensor = tensors[sources[name]]
        if tensor.shape != like.shape:
            raise MisfitError(
                f"the checkpoint has shape {tuple(tensor.shape)} at {name!r} where the model has "
                f"{tuple(like.shape)}; load a checkpoint of the same sizes, or if this is the head "
                f"of another task leave it out with {_remedy(name)}"
            )
        if tensor.dtype != like.dtype and "integer" in (kind(tensor.dtype), kind(like.dtype)):
            own[name] = _as_integers(name, state[sources[name]], like)
        elif kind(tensor.dtype) != kind(like.dtype):
            raise ValueError(
                f"the checkpoint has {name!r} in {tensor.dtype} where the model has {like.dtype}; "
                "convert it"
            )
    meta = {n: own[n] if n in own else tensors[sources[n]] for n in reference} | extra
    own |= extra

    def make(name: str) -> Tensor:
        tensor = own[name] if name in own else state[sources[name]]
        if isinstance(tensor, Tensor) and tensor.is_meta:
            raise ValueError(
                f"{name!r} would be taken from the model, which is on the meta device and has no "
                "values; build the model on a device with memory"
            )
        return tensor

    fitted = LazyState(meta, make)
    check_tied("the checkpoint", fitted, first_names(model))
    for text in notes:
        note(text)
    return fitted


def _matching(globs: Sequence[str]) -> Callable[[str], bool]:
    return lambda name: any(fnmatchcase(name, glob) for glob in globs)


def _renamed(
    state: StateDict,
    model: nn.Module,
    wanted: Mapping[str, Tensor],
    is_ignored: Callable[[str], bool],
    notes: list[str],
) -> dict[str, str]:
    """The network's name of each tensor → the checkpoint's."""
    real = {bare(name): name for name in (*_other_names(model), *wanted)}
    names = {bare(name): name for name in state if not is_ignored(name)}
    taken, put = prefixes(names, real)
    if names.keys() & real.keys() != set(names.values()) & set(real.values()):
        notes.append("'_orig_mod.' or another wrapper of torch in the names was left aside")
    older = {old: name for old, name in _old_names(wanted).items() if old not in real}
    real |= older
    if taken:
        notes.append(f"the names of the checkpoint begin with {taken!r}, which was taken off")
    if put:
        notes.append(
            f"{put!r}, with which the model's names begin, was put before the checkpoint's"
        )
    if told := sorted(names.keys() & older.keys()):
        notes.append(f"{_listed(told)} of torch's older weight normalization has its newer name")
    renamed = {}
    for name, source in names.items():
        target = put + name.removeprefix(taken) if name.startswith(taken) else name
        target = real.get(target, target)
        if not is_ignored(target):
            renamed[target] = source
    return renamed


def _old_names(wanted: Iterable[str]) -> dict[str, str]:
    """What torch's older weight normalization calls a tensor → the network's name of it."""
    pairs = ((name, _NORMALIZED.fullmatch(name)) for name in wanted)
    return {
        f"{found['module']}{found['weight']}_{'gv'[int(found['number'])]}": name
        for name, found in pairs
        if found
    }


def _other_names(model: nn.Module) -> dict[str, str]:
    """Another name of a tensor that the network has once → its name there."""
    tied = getattr(model, "tied", None)
    tied = tied if isinstance(tied, Mapping) else {}
    return {other: name for name, others in tied.items() for other in others}


def _add_ties(
    sources: dict[str, str], state: StateDict, model: nn.Module, wanted: Mapping[str, Tensor]
) -> None:
    """Give each name of a tied tensor the source of another, where it has none."""
    first, others = first_names(model), _other_names(model)
    for other, name in others.items():
        if (source := sources.pop(other, None)) is None:
            continue
        if not same(state[sources.setdefault(name, source)], state[source]):
            raise ValueError(
                f"the checkpoint has other values at {other!r} than at {name!r}, which are one "
                "tensor in the model: build the model with the two apart (in transformers "
                "tie_word_embeddings=False), or give the checkpoint one of them"
            )
    held = {first[name]: source for name, source in sources.items() if name in first}
    for name in wanted:
        if name not in sources and first.get(name) in held:
            sources[name] = held[first[name]]


def _computed(
    sources: Mapping[str, str], model: nn.Module, wanted: Mapping[str, Tensor], notes: list[str]
) -> list[str]:
    """Names that the checkpoint lacks and the model has computed: integer buffers."""
    buffers = dict(model.named_buffers(remove_duplicate=False))
    lacking = [name for name in wanted if name not in sources and name in buffers]
    computed = [name for name in lacking if kind(wanted[name].dtype) == "integer"]
    if told := [name for name in computed if not is_filled(name)]:
        notes.append(f"the checkpoint lacks {_listed(told)}, integers that the model computes")
    return computed


def _check_names(
    state: StateDict,
    sources: dict[str, str],
    model: nn.Module,
    wanted: Mapping[str, Tensor],
    computed: Iterable[str],
    notes: list[str],
) -> None:
    """Refuse missing and unknown tensors, but for leftovers of older releases."""
    missing = [name for name in wanted if name not in sources and name not in computed]
    unknown = [name for name in sources if name not in wanted]
    over = [name for name in unknown if _is_left_over(name, state[sources[name]], model)]
    if over:
        notes.append(f"the checkpoint has {_listed(over)} of an older release, which was left out")
    unknown = [name for name in unknown if name not in over]
    if not missing and not unknown:
        return
    used = scheme(state.keys())
    if used and not scheme(wanted.keys()):
        raise MisfitError(
            f"the checkpoint holds weights quantized by {used}, such as "
            f"{(unknown or missing)[0]!r}, unlike the model; give it as it was before"
        )
    buffers = dict(model.named_buffers(remove_duplicate=False))
    if not unknown and all(name in buffers for name in missing):
        raise MisfitError(
            f"the checkpoint lacks the buffers {_listed(missing)}, which named_parameters() leaves "
            "out; take its model's state_dict(), which has them, or those of this model with "
            f"{_remedy(missing[0])}"
        )
    culprit = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}"
    raise MisfitError(
        f"the checkpoint {culprit}, unlike the model ({len(missing)} tensors missing, "
        f"{len(unknown)} unknown); load a checkpoint of the same architecture, or leave out what "
        f"the two do not share with {_remedy((missing or unknown)[0])}"
    )


def _is_left_over(name: str, tensor: Tensor, model: nn.Module) -> bool:
    """Whether an older release saved this, which the model computes or does without."""
    buffers = dict(model.named_buffers(remove_duplicate=False))
    if name in buffers:
        return not buffers[name].is_meta and same(tensor, buffers[name].to(tensor.dtype))
    if name.rpartition(".")[2] == "position_ids":
        places = torch.arange(tensor.numel(), dtype=torch.float64)
        return same(tensor.flatten().double(), places.to(tensor.dtype).double())
    # A network of transformers says which names it does not read.
    unread: Iterable[str] | None = getattr(model, "_keys_to_ignore_on_load_unexpected", None)
    return unread is not None and any(re.search(each, name) for each in (_ROTARY, *unread))


def _as_integers(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor in the integer type of the model's, whatever type it was saved in."""
    if kind(like.dtype) == "integer":
        if not like.is_meta and same(like.to(tensor.device, tensor.dtype), tensor):
            return like.detach()
        # In a floating type integers are exact up to the first that it leaves out.
        exact = (
            not tensor.is_floating_point()
            or tensor.abs().max() <= 2 / torch.finfo(tensor.dtype).eps
        )
        converted = tensor.to(like.dtype)
        if exact and same(converted.to(tensor.dtype), tensor):
            return converted
    raise ValueError(
        f"the checkpoint has {name!r} in {tensor.dtype} where the model has {like.dtype}, with "
        "values that cannot be converted; give it in the model's type, and if it is quantized as "
        "it was before"
    )


def _listed(names: Sequence[str]) -> str:
    return repr(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _remedy(name: str) -> str:
    module = name.rpartition(".")[0]
    glob = f"{module}.*" if module else name
    return f"ignore=[{glob!r}] of ctl.compare or ctl.read"
