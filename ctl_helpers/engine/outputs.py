"""The tensors in what a module gives, and whether two passes gave the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

_FEATURE = ("last_hidden_state", "logits", "out")
_LOGITS = ("logits", "out", "last_hidden_state")
"""What stands for an output with named parts, the first that it has; else its first tensor."""

DECLARING = (
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)
"""Modules of torch that say by ``batch_first`` whether they give samples or tokens first."""


def tensor_in(output: object, first: Sequence[str] = _FEATURE) -> Tensor | None:
    """The tensor that stands for an output, or None.

    It is the output itself, or the first tensor in its parts that is no single number; of named
    parts the first of some names that there is, ``last_hidden_state``, ``logits`` or ``out``. A
    packed sequence is padded, samples first, and so is a nested tensor, both with zeros.
    """
    found = _first_in(output, first)
    if isinstance(found, PackedSequence):
        return pad_packed_sequence(found, batch_first=True)[0]
    return found if found is None or not found.is_nested else found.to_padded_tensor(0.0)


def tokens_in(output: object) -> Tensor | None:
    """Which tokens of that tensor are no padding, shape (samples, tokens), where it had none."""
    found = _first_in(output, _FEATURE)
    if isinstance(found, PackedSequence):
        lengths = pad_packed_sequence(found)[1]
    elif found is not None and found.is_nested:
        lengths = torch.tensor([len(sample) for sample in found.unbind()])
    else:
        return None
    return torch.arange(int(lengths.max())) < lengths[:, None]


def _first_in(output: object, first: Sequence[str]) -> Tensor | PackedSequence | None:
    """What stands for an output, before it is padded."""
    if isinstance(output, (Tensor, PackedSequence)):
        return output
    parts = _parts(output)
    named = [parts[name] for name in first if parts.get(name) is not None] or parts.values()
    found = (_first_in(part, first) for part in named)
    return next((one for one in found if one is not None and not _is_number(one)), None)


def _is_number(value: Tensor | PackedSequence) -> bool:
    return isinstance(value, Tensor) and not value.is_nested and value.dim() == 0


def logits_in(output: object, whose: str) -> Tensor:
    """The logits in a model's output, as :func:`tensor_in` finds them (TypeError without any)."""
    found = tensor_in(output, _LOGITS)
    if found is None:
        raise TypeError(
            f"the model gives a {type(output).__name__} on {whose}, in which there is no tensor; "
            "let it give logits"
        )
    return found


def loss_in(output: object) -> Tensor | None:
    """What a model gives as its own loss: what is called so, or the number that begins a tuple."""
    parts = _parts(output)
    if (named := parts.get("loss", getattr(output, "loss", None))) is not None:
        return named if isinstance(named, Tensor) else None
    first = parts.get(0) if isinstance(output, tuple) and len(parts) > 1 else None
    return first if isinstance(first, Tensor) and _is_number(first) else None


def feature_in(output: object, layer: str) -> Tensor:
    """The tensor that stands for a layer's output, as :func:`tensor_in` finds it.

    Raises:
        TypeError: none, or several of which no name tells which it is; the layer is named.
    """
    found = tensor_in(output)
    if found is None or found.dim() == 0 or _rivals(output):
        raise TypeError(
            f"layer {layer!r} gives {_told(output)}, in which no tensor can be told to be its "
            "feature; tap a layer inside it, or wrap it so that it gives one tensor"
        )
    if found.layout != torch.strided or found.is_quantized:
        kind = "quantized" if found.is_quantized else str(found.layout).removeprefix("torch.")
        raise TypeError(
            f"layer {layer!r} gives a {kind} tensor, whose inner products are not defined here; "
            "tap a layer that gives a dense one"
        )
    return found


def _rivals(output: object) -> list[str]:
    """The named tensors of an output, if there are several and no name is a known one."""
    if isinstance(output, (tuple, list)):
        return next((_rivals(part) for part in output if tensor_in(part) is not None), [])
    parts = _parts(output)
    if any(parts.get(name) is not None for name in _FEATURE):
        return []
    named = [str(name) for name, part in parts.items() if isinstance(part, Tensor) and part.dim()]
    return named if len(named) > 1 else []


def _told(output: object) -> str:
    """An output in words: its type, and what is in it if that has names."""
    kind = type(output).__name__
    if isinstance(output, Tensor):
        return "one number for a whole batch"
    return f"{kind} with {sorted(map(str, output))}" if isinstance(output, Mapping) else f"a {kind}"


def is_tokens_first(module: nn.Module, output: object) -> bool:
    """Whether a module of torch says that its output is (tokens, samples, …)."""
    if isinstance(output, PackedSequence) or not isinstance(module, DECLARING):
        return False
    while isinstance(module, (nn.TransformerEncoder, nn.TransformerDecoder)):
        module = module.layers[0]
    attention = getattr(module, "self_attn", module)
    return not getattr(attention, "batch_first", True)


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors of an output or of a batch, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, PackedSequence):
        yield value.data
    else:
        for part in _parts(value).values():
            yield from tensors_in(part)


def _parts(value: object) -> Mapping[Any, object]:
    """The parts of a mapping, a tuple, a list or a dataclass, by name or number."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, (tuple, list)):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {}


def _closeness(tensor: Tensor, dtype: torch.dtype | None) -> float:
    """By which share two computations of a tensor may differ that do the same in another order."""
    kinds = [kind for kind in (tensor.dtype, dtype) if kind is not None]
    return max(torch.finfo(k).eps for k in kinds if k.is_floating_point or k.is_complex) ** (2 / 3)


def alike(
    a: Sequence[Tensor], b: Sequence[Tensor], dtype: torch.dtype | None = None, slack: float = 1.0
) -> bool:
    """Whether tensors are the same, but for what rounding in another order does to them.

    Args:
        dtype: of passes under autocast, if they are.
        slack: so many times farther may they be apart.
    """
    pairs = zip(a, b, strict=False)
    return len(a) == len(b) and all(_are_alike(*pair, dtype, slack) for pair in pairs)


def _are_alike(a: Tensor, b: Tensor, dtype: torch.dtype | None, slack: float) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    same = (a == b) | (a.isnan() & b.isnan())
    off = torch.where(same, 0, a - b).abs().double().norm()
    size = a.abs().double().nan_to_num(0, 0, 0).norm()
    return bool(off <= slack * _closeness(a, dtype) * size)


def copies(value: object) -> list[Tensor]:
    """Copies of all tensors in an output or in a batch."""
    dense = (one.to_padded_tensor(0.0) if one.is_nested else one for one in tensors_in(value))
    return [one.detach().clone() for one in dense]
