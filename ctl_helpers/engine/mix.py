"""Mixes: every model of the papers is a linear combination of named checkpoints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ctl_helpers.engine.lazy_state import described

Mix = Mapping[str, float]
MixKey = tuple[tuple[str, float], ...]
StateDict = Mapping[str, Tensor]
Names = TypeVar("Names", bound=Collection[Hashable])


def mix_key(mix: Mix) -> MixKey:
    """The canonical form of a mix: names sorted, zero weights dropped.

    Equal models get equal keys, so that each is run once. Weights are rounded to twelve decimals,
    because ``1 - 0.9`` and ``0.1`` mean the same model. ValueError: a weight is not finite, or
    nothing is left.
    """
    for name, weight in mix.items():
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} in a mix is {weight}; give a finite number")
    rounded = {name: round(float(weight), 12) for name, weight in mix.items()}
    key = tuple(sorted((name, weight) for name, weight in rounded.items() if weight != 0))
    if not key:
        raise ValueError(f"the mix {dict(mix)} has no checkpoint with a weight other than zero")
    return key


def distinct(names: Names) -> Names:
    """The names, refused where one of them occurs twice (ValueError)."""
    if repeated := [name for name, count in Counter(list(names)).items() if count > 1]:
        raise ValueError(f"{repeated[0]!r} occurs twice in {list(names)}; name each once")
    return names


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
    """Refuse checkpoints whose keys or shapes differ from a reference's, and none (ValueError)."""
    if not checkpoints:
        raise ValueError("no checkpoints given; pass a mapping of name to state dict")
    reference = described(reference)
    for name, state in checkpoints.items():
        tensors = described(state)
        missing = sorted(reference.keys() - tensors.keys())
        extra = sorted(tensors.keys() - reference)
        if missing or extra:
            culprit = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}"
            raise ValueError(
                f"checkpoint {name!r} {culprit}, unlike {owner} ({len(missing)} keys missing, "
                f"{len(extra)} unknown); load a checkpoint of the same architecture"
            )
        for key, tensor in reference.items():
            if tensors[key].shape != tensor.shape:
                raise ValueError(
                    f"checkpoint {name!r} has shape {tuple(tensors[key].shape)} at {key!r} where "
                    f"{owner} has {tuple(tensor.shape)}; load a checkpoint of the same architecture"
                )


def check_finite(checkpoints: Mapping[str, StateDict]) -> None:
    """Refuse checkpoints with NaN or infinite values (ValueError, naming the tensor)."""
    for name, state in checkpoints.items():
        for key, tensor in state.items():
            if tensor.is_floating_point() and not _is_finite(tensor):
                raise ValueError(
                    f"checkpoint {name!r} has NaN or infinite values at {key!r}: its training "
                    "diverged or its file is damaged, so train or fetch it again"
                )


def _is_finite(tensor: Tensor) -> bool:
    # A sum is finite only if all of it is, and is ten times faster; it can overflow by itself.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def combine(checkpoints: Mapping[str, StateDict], mix: Mix) -> dict[str, Tensor]:
    """The weights of a mix: ``Σ_name weight · checkpoints[name]``, tensor by tensor.

    Floating tensors are summed in order of name, at least in float32, and returned in their own
    type; integer ones (counters) are taken from the first name. BatchNorm's running statistics
    are buffers and are mixed like weights.

    Args:
        checkpoints: name → state dict, all with the same keys and shapes.
        mix: name → weight.

    Returns:
        A new state dict with tensors of its own. The mix of one checkpoint with weight 1 is that
        checkpoint, bit for bit.

    Raises:
        KeyError: the mix names an unknown checkpoint.
        ValueError: keys or shapes differ; a running variance would become negative
            (extrapolation with BatchNorm).
    """
    key = mix_key(mix)
    for name, _ in key:
        if name not in checkpoints:
            raise KeyError(f"no checkpoint named {name!r}; there are {sorted(checkpoints)}")
    (first, weight), *others = key
    check_compatible({name: checkpoints[name] for name, _ in key}, checkpoints[first], repr(first))
    mixed = {}
    for tensor_name, tensor in checkpoints[first].items():
        if not tensor.is_floating_point() or key == ((first, 1.0),):
            mixed[tensor_name] = tensor.clone()
            continue
        wide = torch.promote_types(tensor.dtype, torch.float32)
        total = tensor.to(wide) * weight
        for name, share in others:
            total.add_(checkpoints[name][tensor_name].to(wide), alpha=share)
        if tensor_name.endswith("running_var") and (total < 0).any():
            raise ValueError(
                f"the mix {dict(key)} makes {tensor_name!r} negative; choose weights nearer to an "
                "interpolation, or recompute the statistics on data"
            )
        mixed[tensor_name] = total.to(tensor.dtype)
    return mixed


def task_vector(finetuned: StateDict, pretrained: StateDict) -> dict[str, Tensor]:
    """``τ = θ − θ_PT`` for every floating tensor (Ilharco et al. 2023)."""
    return {
        name: value - pretrained[name]
        for name, value in finetuned.items()
        if value.is_floating_point()
    }
