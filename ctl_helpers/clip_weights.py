"""Published CLIP weights under open_clip's names, and the hub's repositories that hold them."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ctl_helpers.data.images import MissingDataError
from ctl_helpers.mix import StateDict, check_compatible
from ctl_helpers.weight_files import read

# The commit of each repository of the paper's CLIP settings; None: not known yet, see `commit`.
COMMITS: Mapping[str, str | None] = {
    "openai/clip-vit-base-patch32": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    "openai/clip-vit-large-patch14": "32bd64288804d66eefd0ccbe215aa642df71cc41",
    "tanganke/clip-vit-base-patch32_sun397": "4628de77c6c97ba178c65a0bdf5ce8f5c3045d63",
    "tanganke/clip-vit-base-patch32_stanford-cars": "0fa3456c60f15e5cec5275c5b88851c1dca503a8",
    "tanganke/clip-vit-base-patch32_resisc45": "24dc3a3a4f1eda0090829d399edcda9963f462a2",
    "tanganke/clip-vit-base-patch32_eurosat": "7c114f53697b7acca1147a0d1e8b7c769979b57b",
    "tanganke/clip-vit-base-patch32_svhn": None,
    "tanganke/clip-vit-base-patch32_gtsrb": "7b11ced426cc9cd0430650be19d75748f3bd64d0",
    "tanganke/clip-vit-base-patch32_mnist": "9dd72a0941ca32ac7a796f0975d1fea496645b7f",
    "tanganke/clip-vit-base-patch32_dtd": None,
    "tanganke/clip-vit-large-patch14_sun397": "3b814ef1bd89d1f4044018d41a09bf468a5e4d34",
    "tanganke/clip-vit-large-patch14_stanford-cars": "e863c1cb4999e1f630868d349de346db775e8242",
    "tanganke/clip-vit-large-patch14_resisc45": "18076dfd48e5a590057ded82835288bfa3f27ff9",
    "tanganke/clip-vit-large-patch14_eurosat": None,
    "tanganke/clip-vit-large-patch14_svhn": "f3f7a06382575652a8b2c74459253ecb1a6ec714",
    "tanganke/clip-vit-large-patch14_gtsrb": "6eacfe7af7432984b5352a676735d00e5a1ae9c4",
    "tanganke/clip-vit-large-patch14_mnist": "721ec5961afb977071c4124d43cf7f5fa4ba76af",
    "tanganke/clip-vit-large-patch14_dtd": None,
}
_FILES = {"openai/clip-vit-base-patch32": "pytorch_model.bin"}  # that commit has no safetensors
_QUICKGELU = ("openai", "fusionbench", "task_vectors", "model_soups")
_GELU = ("laion2b_s34b_b79k",)
_FARTHEST = 0.5
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

    The separate query, key and value projections become one packed ``in_proj``, and projections
    are transposed, since open_clip multiplies by them from the right.

    Args:
        state: both towers, or the vision tower alone, with its prefix ``vision_model.`` or
            without (as transformers 5 writes it).
        base: the pretrained CLIP under open_clip's names; its ``visual.proj`` is taken where
            ``state`` has none, for a fine-tune of the vision tower leaves it as it was.

    Raises:
        ValueError: an unknown tensor, a query, key or value without the other two, or no
            projection in either.
    """
    alone = any(name.startswith("encoder.layers.") for name in state)
    named: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        full = f"vision_model.{name}" if alone else name
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
            under ``module.``.

    Raises:
        ValueError: no image tower, or no head.
    """
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    prefix = "classification_head."
    head = {n.removeprefix(prefix): v.float() for n, v in bare.items() if n.startswith(prefix)}
    if "weight" not in head:
        raise ValueError(f"the checkpoint has no '{prefix}weight'; load one of model-soups")
    return from_task_vectors(bare), head


def from_task_vectors(state: StateDict) -> dict[str, Tensor]:
    """The image tower of an ``ImageEncoder`` of Ilharco et al. 2023: ``model.visual.*``.

    Leftovers of the text tower are dropped.

    Raises:
        ValueError: no image tower.
    """
    return image_tower({name.removeprefix("model."): value for name, value in state.items()})


def image_tower(state: StateDict) -> dict[str, Tensor]:
    """The ``visual.*`` part of a CLIP, in float32 (ValueError where there is none)."""
    tower = {name: value.float() for name, value in state.items() if name.startswith("visual.")}
    if not tower:
        raise ValueError(f"the checkpoint has no 'visual.*' but {sorted(state)[:3]}; load a CLIP")
    return tower


def relative_distance(state: StateDict, base: StateDict) -> float:
    """``‖θ − θ_base‖ / ‖θ_base‖`` over all tensors of two or more axes.

    Vectors are left out: gains near 1 are alike in all networks.
    """
    matrices = [name for name, value in base.items() if value.ndim > 1]
    moved = sum(float((state[name].float() - base[name].float()).norm()) ** 2 for name in matrices)
    return math.sqrt(moved / sum(float(base[name].float().norm()) ** 2 for name in matrices))


def check_base(finetuned: StateDict, pretrained: StateDict, name: str) -> None:
    """Refuse a checkpoint that was not fine-tuned from these pretrained weights.

    Another base of the same shape has the same keys, and mixes of the two are no network at all.
    Fine-tuning moves the matrices by 0.001 to 0.1 of their norm. Weights that have nothing to do
    with one another are orthogonal, up to chance, and so at least 1 apart whatever their norm
    (√2 where it is the same). The limit of 0.5 lies far from both.

    Args:
        finetuned, pretrained: state dicts of the same names, as from :func:`image_tower`.
        name: what the error calls the checkpoint.

    Raises:
        ValueError: other keys or shapes, or too far from the pretrained weights.
    """
    check_compatible({name: finetuned}, pretrained, "the pretrained model")
    distance = relative_distance(finetuned, pretrained)
    if distance > _FARTHEST:
        raise ValueError(
            f"checkpoint {name!r} was not fine-tuned from these pretrained weights: its matrices "
            f"are {distance:.2f} of their norm away, more than {_FARTHEST}; load the pretrained "
            "weights that it started from"
        )


def needs_quickgelu(source: str) -> bool:
    """Whether weights want QuickGELU, ``x·σ(1.702x)``, in place of GELU.

    OpenAI's do, and with them all fine-tunes of the papers; with the other activation they run,
    but silently wrong.

    Args:
        source: ``openai``, ``fusionbench``, ``task_vectors``, ``model_soups``, or open_clip's
            ``laion2b_s34b_b79k``.

    Raises:
        ValueError: a source whose activation is not known here.
    """
    if source not in _QUICKGELU + _GELU:
        known = ", ".join(_QUICKGELU + _GELU)
        raise ValueError(f"the activation of {source!r} is not known here; there are {known}")
    return source in _QUICKGELU


def architecture(size: str, source: str) -> str:
    """open_clip's name for a size with a source's activation: ``ViT-B-32-quickgelu``."""
    return f"{size}-quickgelu" if needs_quickgelu(source) else size


def commit(repo: str) -> str:
    """The commit at which a repository of the hub is read, so that results can be repeated.

    With ``CTL_HUB_NEWEST=1`` a repository that is not pinned is read at its newest commit, which
    a warning names.

    Raises:
        MissingDataError: none is pinned, or the newest cannot be asked for.
    """
    if pinned := COMMITS.get(repo):
        return pinned
    if os.environ.get("CTL_HUB_NEWEST") != "1":
        raise MissingDataError(
            f"no commit of {repo} is pinned: set CTL_HUB_NEWEST=1 to read its newest, and write "
            "the commit that is then named into COMMITS of ctl_helpers/clip_weights.py"
        )
    import huggingface_hub

    try:
        newest = huggingface_hub.HfApi().model_info(repo).sha
    except Exception as error:  # the hub's client passes on those of its network library
        raise MissingDataError(
            f"the newest commit of {repo} cannot be asked for ({_first_line(error)}): connect to "
            "the network, or pin one in COMMITS of ctl_helpers/clip_weights.py"
        ) from None
    warnings.warn(f"{repo} is not pinned; reading its newest commit {newest}", stacklevel=2)
    return newest


def hub(repo: str, revision: str, *files: str, local: bool = False) -> list[Path]:
    """Files of a repository of the hub, from the local cache or else the network.

    Args:
        repo: ``owner/name``.
        revision: the 40 digits of a commit; a branch would change under the results.
        files: names in the repository.
        local: look in the cache alone.

    Raises:
        ValueError: the revision is no commit.
        MissingDataError: a file is neither in the cache nor to be had.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"{revision!r} is no commit of {repo}; give the 40 digits of one")
    # Imported here: it takes time, and most commands fetch nothing.
    import huggingface_hub

    paths = []
    for file in files:
        try:
            found = huggingface_hub.hf_hub_download(
                repo, file, revision=revision, local_files_only=local
            )
            paths.append(Path(found))
        except Exception as error:  # the hub's client passes on those of its network library
            raise MissingDataError(
                f"{file} of {repo} is not on this machine and cannot be fetched "
                f"({_first_line(error)}): run 'hf download {repo} {file} --revision {revision}' "
                "with a network, and let HF_HOME name that cache"
            ) from None
    return paths


def hub_clip(repo: str, base: StateDict | None = None) -> dict[str, Tensor]:
    """A CLIP of one of ``COMMITS`` under open_clip's names; see :func:`from_huggingface`.

    Raises:
        MissingDataError, ValueError: as :func:`commit`, :func:`hub` and :func:`from_huggingface`.
    """
    return from_huggingface(read(weights_file(repo)), base)


def weights_file(repo: str, local: bool = False) -> Path:
    """The file with the weights of one of ``COMMITS``; see :func:`hub`."""
    (path,) = hub(repo, commit(repo), _FILES.get(repo, "model.safetensors"), local=local)
    return path


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
