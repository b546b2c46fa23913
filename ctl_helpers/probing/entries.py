"""What is known of a tensor before its numbers are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ctl_helpers.probing.remarks import Remark

BITS: Mapping[str, int] = {
    **dict.fromkeys(("C128",), 128),
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Type, under safetensors' name → bits of a number."""

MIXABLE = ("F64", "F32", "F16", "BF16")
"""The types whose numbers can be summed as they are."""


@dataclass(frozen=True)
class Entry:
    """A tensor's shape and type, the latter under safetensors' name, such as ``"BF16"``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return -(-self.numel * BITS.get(self.dtype, 8) // 8)


@dataclass(frozen=True)
class Listing:
    """The tensors that files say they have, and what is wrong with the files.

    Attributes:
        tensors: name → shape and type.
        remarks: of missing, truncated and damaged files, about the checkpoint of that name.
    """

    tensors: Mapping[str, Entry] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
