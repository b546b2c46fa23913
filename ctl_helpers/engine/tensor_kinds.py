"""Kinds of tensors: which of them are mixed, which are counted, and which have no mix."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ctl_helpers.engine.lazy_state import LazyState, described

_REALS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
_INTEGERS = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint16, torch.uint32, torch.uint64),
)
_COUNTER = re.compile(
    r"(.*\.)?(num_batches_tracked|n_averaged|num_updates|global_step|step|iteration|epoch|count|counter)"
)
# How a scheme of quantization names what it stores beside the packed numbers of a module.
_SCHEMES: tuple[tuple[str, Callable[[Collection[str]], bool]], ...] = (
    ("bitsandbytes in 4 bits (nf4 or fp4)", lambda names: _has(names, r"quant_map|absmax|.*__nf4")),
    ("bitsandbytes in int8", lambda names: _has(names, r"SCB|weight_format")),
    ("GPTQ", lambda names: _has(names, "qweight") and _has(names, "g_idx")),
    ("AWQ", lambda names: _has(names, "qweight") and _has(names, "qzeros")),
    ("HQQ", lambda names: _has(names, "W_q")),
    ("compressed-tensors", lambda names: _has(names, "weight_packed")),
    ("torch's dynamic or static quantization", lambda names: _has(names, "_packed_params")),
    ("float8 with scales", lambda names: _has(names, "weight_scale_inv")),
)


def is_mixed(tensor: Tensor) -> bool:
    """Whether a mix is the sum of these tensors: real and complex numbers, no integers."""
    return tensor.is_floating_point() or tensor.is_complex()


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite."""
    # A sum is finite only if all of it is, and is ten times faster; it can overflow by itself.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def is_counter(name: str) -> bool:
    """Whether an integer tensor of this name counts something that no output depends on."""
    return bool(_COUNTER.fullmatch(name))


def is_filled(name: str) -> bool:
    """Whether a checkpoint may lack this tensor: BatchNorm's counter, younger than many files."""
    return name.endswith("num_batches_tracked")


def filling(name: str, tensor: Tensor) -> Tensor:
    """A network's own tensor for a checkpoint that lacks it; a counter without a value is zero."""
    is_counted = tensor.is_meta and is_filled(name)
    return torch.zeros_like(tensor, device="cpu") if is_counted else tensor.detach()


def is_extra_state(name: str) -> bool:
    """Whether this is what a module's ``get_extra_state`` gives: any object, perhaps no tensor."""
    return name.rpartition(".")[2] == "_extra_state"


def factors(names: Collection[str]) -> dict[str, str]:
    """The first LoRA factor of a product → the second, of those that stand among some names."""
    pairs = ((name, re.sub(r"\blora_(embedding_)?A\b", r"lora_\1B", name)) for name in names)
    return {a: b for a, b in pairs if a != b and b in names}


def kind(dtype: torch.dtype) -> str:
    """Real, complex or integer; tensors of different kinds have no mix."""
    if dtype in _INTEGERS:
        return "integer"
    return "complex" if dtype in _COMPLEX else "real"


def scheme(names: Collection[str]) -> str | None:
    """The scheme by which weights of these names are quantized, where the names tell."""
    return next((title for title, is_used in _SCHEMES if is_used(names)), None)


def packed(names: Collection[str]) -> str:
    """What to say of integer weights, of a checkpoint with these names."""
    used = scheme(names)
    return (
        f"weights quantized by {used} are integers that have no mix"
        if used
        else "integers that are no counters, such as quantized weights, have no mix"
    ) + "; give the checkpoints in floating point, as they were before they were quantized"


def same(a: object, b: object) -> bool:
    """Whether two tensors have the same values, where NaN is none, or two objects are equal."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a is b or (a.shape == b.shape and torch.equal(a, b.to(a.device)))
    try:
        return bool(a == b)
    except Exception:  # an object's own idea of equality, such as an array's
        return False


def check_initialized(owner: str, state: Mapping[str, Tensor]) -> None:
    """Refuse a network with tensors whose shape is not known yet (ValueError)."""
    if name := next((name for name, tensor in state.items() if is_lazy(tensor)), None):
        raise ValueError(f"{owner} has {name!r} not initialized; run it on one batch first")


def check_kinds(checkpoint: str, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that cannot be mixed, by name and kind (ValueError).

    Args:
        checkpoint: what the error calls it.
        state: name → tensor; a lazy one is not read. Extra state is left aside.
    """
    tensors = described(state)
    for name, tensor in tensors.items():
        if is_extra_state(name):
            continue
        if found := _problem(tensor, isinstance(state, LazyState)):
            what, remedy = found
            if used := scheme(tensors.keys()):
                remedy = f"it is quantized by {used}, so give it as it was before"
            raise ValueError(f"{checkpoint} has {name!r} {what}, which cannot be mixed; {remedy}")


def _problem(tensor: object, is_described: bool) -> tuple[str, str] | None:
    """What a tensor is, where that cannot be mixed, and what to do; None for any other."""
    if not isinstance(tensor, Tensor):
        return f"as a {type(tensor).__name__}", "give a state dict of tensors alone"
    if is_lazy(tensor):
        return "not initialized", "run the network on one batch before its state dict is taken"
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"as a {type(tensor).__name__}", "give a plain tensor of all of its values"
    if tensor.is_quantized:
        return f"quantized ({tensor.dtype})", "give it as it was before, in floating point"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})", "make it dense with to_dense()"
    if tensor.dtype not in (*_REALS, *_COMPLEX, *_INTEGERS):
        return (
            f"in {tensor.dtype}",
            "convert it to float32 or bfloat16, with its scale if it has one",
        )
    if tensor.is_meta and not is_described:
        return "on the meta device, without values", "load its weights, such as offloaded ones"
    return None


def _has(names: Collection[str], leaf: str) -> bool:
    return any(re.fullmatch(leaf, name.rpartition(".")[2]) for name in names)
