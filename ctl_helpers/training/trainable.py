"""Which parameters of a transformer train where only linear layers do (Jin et al. 2024)."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The names that open_clip (one packed matrix for q, k and v), and transformers' CLIP, Llama and T5
# give to the linear layers of a block.
_ATTENTION = (
    r"attn\.(in_proj_|out_proj\.)|self_attn\.([qkvo]|out)_proj\.|"
    r"(SelfAttention|EncDecAttention)\.[qkvo]\."
)
_FEED_FORWARD = (
    r"mlp\.(c_fc|c_proj|fc1|fc2|gate_proj|up_proj|down_proj)\.|DenseReluDense\.(wi|wi_0|wi_1|wo)\."
)
_BLOCK = f"{_ATTENTION}|{_FEED_FORWARD}"

_PATTERNS = {
    variant: re.compile(rf"(.*\.)?({layers})({kinds})")
    for variant, layers, kinds in (
        ("attention-weights", _ATTENTION, "weight"),
        ("attention", _ATTENTION, "weight|bias"),
        ("block-weights", _BLOCK, "weight"),
        ("block", _BLOCK, "weight|bias"),
    )
}

VARIANTS = tuple(_PATTERNS)
"""The paradigms (1) to (4) of Table 2, in its order."""


def trainable(names: Iterable[str], variant: str) -> tuple[str, ...]:
    """The parameters that train, by name; all others stay as they were pretrained.

    The variants are those of Table 2 of Jin et al. 2024:

    1. ``"attention-weights"``, the paper's method: the weights of the projections to queries,
       keys and values and of the output projection, in every attention.
    2. ``"attention"``: these and their biases.
    3. ``"block-weights"``: "all linear layers weights in the attention module".
    4. ``"block"``: these and their biases.

    An attention has no linear layer but its four projections, so that (3) and (4) would be (1) and
    (2), whose numbers differ from theirs in the table; neither paper nor code says what else is
    meant. Here it is the attention *block*, whose feed-forward layers are linear ones too.

    Args:
        names: all parameters of a network, in the names of open_clip or of transformers' CLIP, T5
            or Llama.
        variant: one of :data:`VARIANTS`.

    Returns:
        The chosen names, in their order.

    Raises:
        ValueError: an unknown variant; no parameter or every parameter is chosen.
    """
    if variant not in _PATTERNS:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    names = tuple(names)
    chosen = tuple(name for name in names if _PATTERNS[variant].fullmatch(name))
    if not chosen:
        raise ValueError(
            f"{variant!r} chooses none of the {len(names)} parameters ({', '.join(names[:3])}, …); "
            "it knows the names of open_clip and of transformers' CLIP, T5 and Llama"
        )
    if len(chosen) == len(names):
        raise ValueError(
            f"{variant!r} chooses all {len(names)} parameters; pass the names of the whole network"
        )
    return chosen
