"""Mixes: every model of the papers is a linear combination of named checkpoints."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Real

from torch import Tensor

from ctl_helpers.engine.checkpoints import Checkpoint, StateDict, opened
from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.tensor_kinds import (
    check_initialized,
    check_kinds,
    is_extra_state,
    is_filled,
    is_finite,
    is_mixed,
    kind,
    same,
)
from ctl_helpers.engine.tensor_sums import aliases, check_integers, difference, mixed_tensors

Mix = Mapping[str, float]
MixKey = tuple[tuple[str, float], ...]


def mix_key(mix: Mix) -> MixKey:
    """The canonical form of a mix: names sorted, zero weights dropped.

    Equal models get equal keys, so that each is run once. Weights are rounded to twelve decimals,
    because ``1 - 0.9`` and ``0.1`` mean the same model. ValueError: a weight is not finite, or
    nothing is left. TypeError: no mapping of names to numbers.
    """
    if not isinstance(mix, Mapping):
        raise TypeError(f"a mix is {mix!r}; give name → weight, such as {{'a': 0.5, 'b': 0.5}}")
    for name, weight in mix.items():
        if not isinstance(weight, (Real, Tensor)):
            raise TypeError(f"the weight of {name!r} in a mix is {weight!r}; give a number")
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} in a mix is {weight}; give a finite number")
    rounded = {name: round(float(weight), 12) for name, weight in mix.items()}
    key = tuple(sorted((name, weight) for name, weight in rounded.items() if weight != 0))
    if not key:
        raise ValueError(f"the mix {dict(mix)} has no checkpoint with a weight other than zero")
    return key


def interpolate(i: str, j: str, alpha: float) -> dict[str, float]:
    """``θ_α = αθ_i + (1 − α)θ_j``, with α on ``i`` (CTL paper, Section 4.1)."""
    return dict(mix_key({i: alpha, j: 1 - alpha} if i != j else {i: 1.0}))


def blend(parts: Sequence[tuple[float, Mix]]) -> dict[str, float]:
    """The mix ``Σ_m w_m · mix_m``: mixing is linear, so a mix of mixes is a mix."""
    total: dict[str, float] = {}
    for weight, mix in parts:
        for name, share in mix.items():
            total[name] = total.get(name, 0.0) + weight * share
    return dict(mix_key(total))


def check_compatible(
    checkpoints: Mapping[str, StateDict], reference: StateDict, owner: str = "the model"
) -> None:
    """Refuse checkpoints that differ from a reference in their tensors' names, shapes or kinds.

    One that lacks BatchNorm's counters passes, as old files do.

    Args:
        checkpoints: name → state dict; lazy ones are not read.
        reference: what they shall be like.
        owner: what errors call the reference.

    Raises:
        ValueError: one that differs, or with a tensor that cannot be mixed (sparse, quantized,
            float8, without values); no checkpoints.
    """
    if not checkpoints:
        raise ValueError("no checkpoints given; pass a mapping of name to state dict")
    wanted = described(reference)
    check_initialized(owner, wanted)
    for name, state in checkpoints.items():
        tensors = described(state)
        missing = sorted(key for key in wanted if key not in tensors and not is_filled(key))
        extra = sorted(key for key in tensors if key not in wanted and not is_filled(key))
        if missing or extra:
            culprit = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}"
            raise ValueError(
                f"checkpoint {name!r} {culprit}, unlike {owner} ({len(missing)} keys missing, "
                f"{len(extra)} unknown); load a checkpoint of the same architecture"
            )
        check_kinds(f"checkpoint {name!r}", state)
        for key in wanted.keys() & tensors.keys():
            _check_alike(f"checkpoint {name!r}", key, tensors[key], owner, wanted[key])


def _check_alike(checkpoint: str, key: str, tensor: Tensor, owner: str, like: Tensor) -> None:
    """Refuse a tensor of another shape or kind than a reference's."""
    if is_extra_state(key):
        if not same(tensor, like):
            raise ValueError(
                f"{checkpoint} has another extra state at {key!r} than {owner}, which cannot be "
                "mixed; give both the same, or leave it out of both"
            )
        return
    if tensor.shape != like.shape:
        raise ValueError(
            f"{checkpoint} has shape {tuple(tensor.shape)} at {key!r} where {owner} has "
            f"{tuple(like.shape)}; load a checkpoint of the same architecture"
        )
    if kind(tensor.dtype) != kind(like.dtype):
        raise ValueError(
            f"{checkpoint} has {key!r} in {tensor.dtype} where {owner} has {like.dtype}; convert "
            "it to that type, or if it is quantized give it as it was before"
        )


def check_finite(checkpoints: Mapping[str, StateDict], buffers: Collection[str] = ()) -> None:
    """Refuse checkpoints with NaN or infinite values (ValueError, naming the tensor).

    Args:
        checkpoints: name → state dict.
        buffers: names of tensors that may be infinite where all checkpoints are, as masks are.
    """
    for name, state in checkpoints.items():
        for key, tensor in state.items():
            if not isinstance(tensor, Tensor) or not is_mixed(tensor) or is_finite(tensor):
                continue
            others = [other[key] for other in checkpoints.values()]
            if key not in buffers or not all(same(tensor, other) for other in others):
                raise ValueError(
                    f"checkpoint {name!r} has NaN or infinite values at {key!r}: its training "
                    "diverged or its file is damaged, so train or fetch it again"
                )


def combine(checkpoints: Mapping[str, Checkpoint], mix: Mix) -> dict[str, Tensor]:
    """The weights of a mix: ``Σ_name weight · checkpoints[name]``, tensor by tensor.

    Real and complex tensors are summed in order of name, at least in single precision. The result
    has the widest type of its parts: float32 of bfloat16 and float32. Integer tensors have to be
    equal, but for counters, which are taken from the first name. BatchNorm's running statistics
    are buffers and are mixed like weights. A tensor that stands under several names in all
    checkpoints is mixed once, and stands under these names in the result.

    Args:
        checkpoints: name → state dict, all with the same keys and shapes, or what
            :func:`ctl_helpers.read` makes one of.
        mix: name → weight.

    Returns:
        A new state dict with tensors of its own. The mix of one checkpoint with weight 1 is that
        checkpoint, bit for bit.

    Raises:
        KeyError: the mix names an unknown checkpoint.
        ValueError: keys, shapes, kinds or integers differ; a tensor that cannot be mixed; a
            running variance would become negative (extrapolation with BatchNorm).
    """
    key = mix_key(mix)
    states = opened(checkpoints, [name for name, _ in key])
    first = states[key[0][0]]
    check_compatible(states, first, repr(key[0][0]))
    names = dict.fromkeys(name for state in states.values() for name in state)
    once = aliases(list(states.values()), names)
    mixed = mixed_tensors(states, key, dict.fromkeys(once.values()))
    return {name: mixed[once[name]] for name in names}


def task_vector(finetuned: Checkpoint, pretrained: Checkpoint) -> dict[str, Tensor]:
    """``τ = θ − θ_PT`` for every real or complex tensor (Ilharco et al. 2023).

    Args:
        finetuned, pretrained: state dicts with the same keys and shapes, or what
            :func:`ctl_helpers.read` makes one of.

    Raises:
        ValueError: as :func:`combine`; integers that differ and are no counters.
    """
    states = opened({"finetuned": finetuned, "pretrained": pretrained}, ("finetuned", "pretrained"))
    check_compatible({"finetuned": states["finetuned"]}, states["pretrained"], "the pretrained one")
    end, start = states["finetuned"], states["pretrained"]
    for name in described(end):
        if name in start and not is_extra_state(name) and not is_mixed(described(end)[name]):
            check_integers(name, {"finetuned": end[name], "pretrained": start[name]}, end)
    return {
        name: difference(end[name], start[name])
        for name, value in described(end).items()
        if isinstance(value, Tensor) and is_mixed(value)
    }
