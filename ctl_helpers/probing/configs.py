"""Configurations side by side: which of their differences change the function."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ctl_helpers.probing.remarks import Grade, Remark

# Fields that say how a network was made, stored or called, and nothing of what it computes.
_HARMLESS = re.compile(
    r"_.*|.*dropout.*|.*drop_rate.*|.*drop_path.*|initializer_.*|.*_token_id|output_.*|.*init.*"
    r"|transformers_version|dtype|torch_dtype|architectures|use_cache|id2label|label2id"
    r"|num_labels|num_classes|problem_type|finetuning_task|gradient_checkpointing|auto_map"
    r"|return_dict|task_specific_params|quantization_config|label_.*|pretrained_cfg.*|tokenizer_.*"
    r"|use_return_dict|torchscript|model_max_length|unsloth.*|license|tags|name_or_path|global_pool"
)
# Weights mean something else under another value of these; of others it is likely.
_STOPS = re.compile(
    r"model_type|architecture|hidden_act|activation\w*|hidden_activation|feed_forward_proj"
    r"|rope\..+|.*num_attention_heads|num_key_value_heads|num_heads|n_head|head_dim"
    r"|position_embedding_type|rotary_pct|partial_rotary_factor|parallel_residual"
    r"|use_parallel_residual|alibi|scale_attn\w*|attention_multiplier|query_pre_attn_scalar"
    r"|residual_multiplier|embedding_multiplier|logits_scaling|attn_logit_softcapping"
    r"|final_logit_softcapping|relative_attention_\w+|patch_size|norm_type|hidden_size|d_model"
    r"|num_hidden_layers|num_layers|n_layer|d_kv|layer_norm_type|pre_norm|use_qk_norm|qk_norm"
)
_RENAMED = {"n_embd": "hidden_size", "n_head": "num_attention_heads"}
_NOTHING: tuple[object, ...] = (None, False, "", {}, [])
_PLAIN = {
    "rope.type": "default",
    "rope.factor": 1.0,
    "position_embedding_type": "absolute",
    "tie_word_embeddings": True,
}
"""What a field that is not there means, where every architecture agrees."""


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Field → value, with those of nested configurations as ``"text_config.hidden_size"``.

    Rotary embeddings are ``"rope.theta"``, ``"rope.type"``, … both as transformers 5 saves them
    (``rope_parameters``) and as it did before (``rope_theta`` and ``rope_scaling``).
    """
    fields: dict[str, Any] = {}
    for key, value in config.items():
        if key in ("rope_parameters", "rope_scaling") and isinstance(value, Mapping):
            fields |= {f"rope.{_rope(name)}": each for name, each in value.items()}
        elif key == "rope_theta":
            fields["rope.theta"] = value
        elif _HARMLESS.fullmatch(key):
            continue
        elif isinstance(value, Mapping) and key.endswith(("_config", "_cfg")):
            fields |= {f"{key}.{name}": each for name, each in flattened(value).items()}
        else:
            fields[_RENAMED.get(key, key)] = value
    return fields


def _rope(name: str) -> str:
    return name.removeprefix("rope_")


def compared(base: Mapping[str, Any], other: Mapping[str, Any], about: str) -> list[Remark]:
    """Remarks on fields that change the function and are not equal.

    Args:
        base, other: what their ``config.json`` hold; nothing is said where one is empty.
        about: the other checkpoint's name.
    """
    if not base or not other:
        return []
    mine, theirs = flattened(base), flattened(other)
    remarks: list[Remark] = []
    unsaid: list[str] = []
    for field in sorted(mine.keys() | theirs.keys()):
        name = field.rpartition(".")[2]
        if name == "vocab_size":  # which rows of embeddings tell
            continue
        a, b = (side.get(field, _PLAIN.get(field)) for side in (mine, theirs))
        if _equal(a, b):
            continue
        known = field in mine and field in theirs
        stops = bool(_STOPS.fullmatch(field) or _STOPS.fullmatch(name))
        if known or stops:
            remarks.append(_differs(field, a, b, about, known and stops))
        else:
            unsaid.append(f"{field} = {_shown(b if field in theirs else a)}")
    if unsaid:
        # Files of other releases leave defaults out.
        fact = f"fields that only one of the two configurations has: {', '.join(unsaid)}"
        remedy = "nothing, if these are the defaults of the architecture"
        remarks.append(Remark("config", "note", about, fact, remedy))
    return remarks


def _differs(field: str, mine: object, theirs: object, about: str, stops: bool) -> Remark:
    grade: Grade = "stop" if stops else "doubt"
    fact = f"has {field} = {_shown(theirs)} in its configuration where BASE has {_shown(mine)}"
    remedy = "find out which one the weights were trained with, and save the mix with that"
    if stops:
        remedy = "do not mix them: the same weights compute another function under each"
    return Remark("config", grade, about, fact, remedy)


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9)
    return a == b or (a in _NOTHING and b in _NOTHING)
