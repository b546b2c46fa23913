"""Is a checkpoint quantized, and by which scheme? Integers with scales cannot be summed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ctl_helpers.probing.aligning import BUFFERS
from ctl_helpers.probing.entries import Entry
from ctl_helpers.probing.remarks import Remark, count, some

_MARKS = {
    "bitsandbytes, 8 bits": r".+\.(SCB|weight_format)",
    "bitsandbytes, 4 bits": r".+\.(absmax|quant_map|nested_absmax|quant_state\..+)",
    "GPTQ or AWQ": r".+\.(qweight|qzeros|g_idx)",
    "compressed-tensors": r".+\.(weight_packed|weight_shape)",
    "PyTorch's own quantization": r".+\.(_packed_params\S*|zero_point)",
    "integers or 8-bit floats with scales": r".+\.(weight_scale(_inv)?|input_scale)",
}
_MASK = re.compile(r"(.*\.)?(attn|attention)\.bias")  # GPT-2's causal mask, in bytes
_TYPES = ("I8", "U8", "I32", "U32")


def scheme(tensors: Mapping[str, Entry], config: Mapping[str, Any]) -> str | None:
    """What a quantized checkpoint's scheme is called, or None where it is not quantized.

    The configuration says it, or the names that a scheme gives its scales, or matrices of
    integers.
    """
    said = config.get("quantization_config")
    for title, pattern in _MARKS.items():
        if any(re.fullmatch(pattern, name) for name in tensors):
            return title
    if _matrices(tensors):
        return str(said.get("quant_method")) if isinstance(said, Mapping) else "integers"
    if any(entry.dtype.startswith(("F8", "F6", "F4")) for entry in tensors.values()):
        return "floats of 8 bits or fewer"
    return None


def _matrices(tensors: Mapping[str, Entry]) -> list[str]:
    """Names of weights that are integers: of two axes or more, and no masks or positions."""
    return [
        name
        for name, entry in tensors.items()
        if entry.dtype in _TYPES
        and len(entry.shape) > 1
        and not BUFFERS.fullmatch(name)
        and not _MASK.fullmatch(name)
    ]


def remarks(tensors: Mapping[str, Entry], config: Mapping[str, Any], about: str) -> list[Remark]:
    """A remark where a checkpoint is quantized."""
    found = scheme(tensors, config)
    if found is None:
        return []
    matrices = _matrices(tensors)
    where = f", as {count(len(matrices), 'weight')} ({some(matrices)})" if matrices else ""
    fact = f"is quantized ({found}){where}: its numbers are codes, whose sum means nothing"
    remedy = "fetch its float weights, or dequantize it and save that in half precision"
    return [Remark("quantized", "stop", about, fact, remedy)]
