"""Published CLIP weights under open_clip's names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.weights.files import read
from ctl_helpers.weights.hub import weights_file

_QUICKGELU = ("openai", "fusionbench", "task_vectors", "model_soups")
_GELU = ("laion2b_s34b_b79k",)
_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "visual_projection.weight": "visual.proj",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_projection.weight": "text_projection",
    "logit_scale": "logit_scale",
}
_BLOCK = re.compile(r"(?P<tower>vision|text)_model\.encoder\.layers\.(?P<number>\d+)\.(?P<part>.+)")
_PARTS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_QKV = re.compile(r"self_attn\.(?P<letter>[qkv])_proj\.(?P<kind>weight|bias)")


def from_huggingface(state: StateDict, base: StateDict | None = None) -> dict[str, Tensor]:
    """A CLIP of Hugging Face's layout under open_clip's names.

    Query, key and value become one packed ``in_proj``, and projections are transposed, since
    open_clip multiplies by them from the right.

    Args:
        state: both towers, or the vision tower alone, with its prefix ``vision_model.`` or
            without (as transformers 5 writes it).
        base: the pretrained CLIP under open_clip's names, whose ``visual.proj`` a fine-tune of
            the vision tower leaves as it was; taken where ``state`` has none.

    Raises:
        ValueError: an unknown tensor, or a query, key, value or projection that is missing.
    """
    is_tower = any(name.startswith("encoder.layers.") for name in state)
    named: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        full = f"vision_model.{name}" if is_tower else name
        if full.endswith(".position_ids"):  # a counter that older releases saved
            continue
        target, letter = _renamed(full)
        if letter:
            packed.setdefault(target, {})[letter] = value
        else:
            transposed = full in ("visual_projection.weight", "text_projection.weight")
            named[target] = value.T.contiguous() if transposed else value
    for target, parts in packed.items():
        if missing := [letter for letter in "qkv" if letter not in parts]:
            raise ValueError(f"the checkpoint has no {missing[0]}_proj for {target!r}; load a CLIP")
        named[target] = torch.cat([parts[letter] for letter in "qkv"])
    if "visual.proj" not in named:
        if base is None or "visual.proj" not in base:
            raise ValueError(
                "the checkpoint has no 'visual_projection.weight'; pass its pretrained CLIP as base"
            )
        named["visual.proj"] = base["visual.proj"]
    return named


def _renamed(name: str) -> tuple[str, str]:
    """open_clip's name of a tensor, and the letter of the third of it that ``name`` is."""
    if not (match := _BLOCK.fullmatch(name)):
        return _replaced(name, _NAMES), ""
    tower = "visual." if match["tower"] == "vision" else ""
    block = f"{tower}transformer.resblocks.{match['number']}"
    if third := _QKV.fullmatch(match["part"]):
        return f"{block}.attn.in_proj_{third['kind']}", third["letter"]
    return f"{block}.{_replaced(match['part'], _PARTS)}", ""


def _replaced(name: str, names: Mapping[str, str]) -> str:
    stem, _, kind = name.rpartition(".")
    if name in names:
        return names[name]
    if stem in names and kind in ("weight", "bias"):
        return f"{names[stem]}.{kind}"
    raise ValueError(f"{name!r} is no tensor of a CLIP; load a checkpoint in CLIP's layout")


def from_model_soups(state: StateDict) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The image tower and the head (``weight``, ``bias``) of a model of Wortsman et al. 2022.

    The head reads unit embeddings. Leftovers of the text tower are dropped.

    Args:
        state: ``model.*`` in OpenAI's layout and ``classification_head.*``, perhaps all of it
            under ``module.`` (ValueError where the tower or the head is missing).
    """
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    prefix = "classification_head."
    head = {n.removeprefix(prefix): v.float() for n, v in bare.items() if n.startswith(prefix)}
    if "weight" not in head:
        raise ValueError(f"the checkpoint has no '{prefix}weight'; load one of model-soups")
    return from_task_vectors(bare), head


def from_task_vectors(state: StateDict) -> dict[str, Tensor]:
    """The image tower of an ``ImageEncoder`` of Ilharco et al. 2023: ``model.visual.*``."""
    return image_tower({name.removeprefix("model."): value for name, value in state.items()})


def image_tower(state: StateDict) -> dict[str, Tensor]:
    """The ``visual.*`` part of a CLIP, in float32 (ValueError where there is none)."""
    tower = {name: value.float() for name, value in state.items() if name.startswith("visual.")}
    if not tower:
        raise ValueError(f"the checkpoint has no 'visual.*' but {sorted(state)[:3]}; load a CLIP")
    return tower


def architecture(size: str, source: str) -> str:
    """open_clip's name for a size with the activation of a source's weights.

    OpenAI's want QuickGELU, ``x·σ(1.702x)``, and with them all fine-tunes of the papers; with GELU
    they run, but silently wrong.

    Args:
        size: such as ``ViT-B-32``.
        source: ``openai``, ``fusionbench``, ``task_vectors``, ``model_soups``, or open_clip's
            ``laion2b_s34b_b79k``.

    Raises:
        ValueError: a source whose activation is not known here.
    """
    if source in _GELU:
        return size
    if source not in _QUICKGELU:
        sources = ", ".join(_QUICKGELU + _GELU)
        raise ValueError(f"the activation of {source!r} is not known here; there are {sources}")
    return f"{size}-quickgelu"


def hub_clip(repo: str, base: StateDict | None = None) -> dict[str, Tensor]:
    """A CLIP of a repository of the hub under open_clip's names; see :func:`from_huggingface`."""
    return from_huggingface(read(weights_file(repo)), base)
