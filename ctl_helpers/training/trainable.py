"""Paradigms of fine-tuning, and which parameters of a transformer each of them trains."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum


class Paradigm(str, Enum):
    """What trains: all parameters, all of the linearized network, or some linear layers alone.

    The last four are (1) to (4) of Table 2 of Jin et al. 2024, in its order:

    1. the paper's method: the weights of the projections to queries, keys and values and of the
       output projection, in every attention.
    2. these and their biases.
    3. "all linear layers weights in the attention module".
    4. these and their biases.

    An attention has no linear layer but its four projections, so that (3) and (4) would be (1) and
    (2), whose numbers differ from theirs in the table; neither paper nor code says what else is
    meant. Here it is the attention *block*, whose feed-forward layers are linear ones too.
    """

    FULL = "full"
    TANGENT = "tangent"
    ATTENTION_WEIGHTS = "attention-weights"
    ATTENTION = "attention"
    BLOCK_WEIGHTS = "block-weights"
    BLOCK = "block"

    def __str__(self) -> str:
        return str(self.value)


VARIANTS = (
    Paradigm.ATTENTION_WEIGHTS,
    Paradigm.ATTENTION,
    Paradigm.BLOCK_WEIGHTS,
    Paradigm.BLOCK,
)
"""The paradigms that train linear layers alone."""

# The names that open_clip (one packed matrix for q, k and v), and transformers' CLIP, Llama, T5 and
# BERT give to the linear layers of a block.
_ATTENTION = (
    r"attn\.(in_proj_|out_proj\.)|self_attn\.([qkvo]|out)_proj\.|"
    r"(SelfAttention|EncDecAttention)\.[qkvo]\.|"
    r"attention\.(self\.(query|key|value)|output\.dense)\."
)
_FEED_FORWARD = (
    r"mlp\.(c_fc|c_proj|fc1|fc2|gate_proj|up_proj|down_proj)\.|"
    r"DenseReluDense\.(wi|wi_0|wi_1|wo)\.|(intermediate|output)\.dense\."
)
_BLOCK = f"{_ATTENTION}|{_FEED_FORWARD}"
_PATTERNS = {
    variant: re.compile(rf"(.*\.)?({layers})({kinds})")
    for variant, layers, kinds in zip(
        VARIANTS,
        (_ATTENTION, _ATTENTION, _BLOCK, _BLOCK),
        ("weight", "weight|bias", "weight", "weight|bias"),
        strict=True,
    )
}


def trainable(names: Iterable[str], paradigm: str) -> tuple[str, ...]:
    """The parameters that a paradigm trains, by name; all others stay as they were pretrained.

    Args:
        names: all parameters of a network; where linear layers alone train, in the names of
            open_clip or of transformers' CLIP, T5, Llama or BERT.
        paradigm: a :class:`Paradigm`, or its name.

    Returns:
        The chosen names, in their order.

    Raises:
        ValueError: an unknown paradigm; or linear layers alone, and they are none or all.
    """
    names = tuple(names)
    if paradigm in (Paradigm.FULL, Paradigm.TANGENT):
        return names
    if paradigm not in VARIANTS:
        known = ", ".join(map(str, Paradigm))
        raise ValueError(f"there is no paradigm {paradigm!r}; choose one of {known}")
    variant = Paradigm(paradigm)
    chosen = tuple(name for name in names if _PATTERNS[variant].fullmatch(name))
    if not chosen:
        raise ValueError(
            f"'{variant}' chooses none of the {len(names)} parameters ({', '.join(names[:3])}, …); "
            "it knows the names of open_clip and of transformers' CLIP, T5, Llama and BERT"
        )
    if len(chosen) == len(names):
        raise ValueError(
            f"'{variant}' chooses all {len(names)} parameters; pass the names of the whole network"
        )
    return chosen
