"""LoRA adapters of peft: a base checkpoint with the product of the factors added to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.fitting import MisfitError
from ctl_helpers.weights.prefixes import prefixes_of_some

CONFIG = "adapter_config.json"
_WRAPPER = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.lora_(?P<where>embedding_)?(?P<factor>[AB])(\.(?!weight|bias)\w+)?"
    r"(\.(?P<leaf>weight|bias))?"
)
# What changes a forward pass beyond W + scaling · B·A, or the base that it is added to.
_OTHER_METHODS = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
    "layer_replication": "layer replication",
    "target_parameters": "LoRA of parameters (target_parameters)",
    "trainable_token_indices": "trainable tokens",
}
_OTHER_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass
class _Module:
    """What an adapter has of one module."""

    factors: dict[str, Tensor] = field(default_factory=dict)
    bias: Tensor | None = None
    is_embedding: bool = False


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration of an adapter, once it is one that is a sum of products.

    Raises:
        MissingDataError: there is none, or it is damaged.
        ValueError: another method than LoRA, or a kind of LoRA that is no such sum, by its name.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["peft_type"]
    except FileNotFoundError:
        raise MissingDataError(
            f"there is no {CONFIG} in {folder}, which says how the adapter is scaled: fetch it too"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise MissingDataError(f"{path} is damaged ({error}): fetch it again") from None
    used = [title for name, title in _OTHER_METHODS.items() if config.get(name)]
    start = str(config.get("init_lora_weights", True)).lower()
    if kind != "LORA":
        used = [kind]
    elif start.startswith(_OTHER_BASES):
        used = [f"LoRA with a changed base ({start})"]
    if used:
        raise ValueError(
            f"the adapter in {folder} is {used[0]}, which is no sum of weights and a product; "
            "merge it with peft's merge_and_unload() and give the merged weights"
        )
    return config


def has_factors(names: Any) -> bool:
    """Whether some names are those of an adapter's factors."""
    return any(map(_FACTOR.fullmatch, names))


def saved_whole(adapter: StateDict, network: Collection[str]) -> set[str]:
    """The tensors that an adapter has beside its factors, under a network's names."""
    modules, whole = _parsed(adapter, "the adapter")
    taken, put = prefixes_of_some({*whole, *(f"{name}.weight" for name in modules)}, network)
    return {put + name.removeprefix(taken) for name in whole}


def merged(base: StateDict, adapter: StateDict, config: Mapping[str, Any], owner: str) -> LazyState:
    """``W + scaling · B·A``, tensor by tensor as it is asked for.

    The scaling is α/r, or α/√r with rank stabilization (Kalajdzievski 2023), and both may differ
    by module (``rank_pattern``, ``alpha_pattern``). Sums are in the wider type of base and factors,
    at least float32, and kept in the wider type. A bias that was trained, and modules that were
    saved whole, as a new head is, take the place of the base's.

    Args:
        base: the weights that the adapter was trained on.
        adapter: its own tensors.
        config: as from :func:`config_of`.
        owner: what errors call it.

    Raises:
        MisfitError: a module that the base does not have.
        ValueError: a factor alone, or of another rank than the configuration has; a product that
            does not fit the base.
    """
    modules, whole = _parsed(adapter, owner)
    taken, put = prefixes_of_some({f"{name}.weight" for name in modules}, base.keys())

    def at(name: str) -> str:
        return put + name.removeprefix(taken)

    replaced = {at(name): tensor for name, tensor in whole.items()}
    meta = {**described(base), **replaced}
    added: dict[str, tuple[float, Tensor | _Product]] = {}
    for name, module in modules.items():
        weight, bias = at(f"{name}.weight"), at(f"{name}.bias")
        if weight not in meta or (module.bias is not None and bias not in meta):
            raise MisfitError(
                f"{owner} changes {weight!r}, which its base does not have; give the base that it "
                "was trained on with base= of ctl.read"
            )
        product = _Product.of(name, module, meta[weight].shape, config, owner)
        added[weight] = _scaling(name, product.rank, config), product
        if module.bias is not None:
            added[bias] = added[weight][0], module.bias
    meta |= {
        name: meta[name].to("meta", _type(meta[name], more)) for name, (_, more) in added.items()
    }

    def make(name: str) -> Tensor:
        start = replaced[name] if name in replaced else base[name]
        return _sum(start, *added[name]) if name in added else start

    return LazyState(meta, make)


@dataclass(frozen=True)
class _Product:
    """``B·A`` in the shape of a weight.

    Attributes:
        a, b: shapes (rank, …) and (…, rank).
        is_turned: whether the weight has inputs first, as an embedding and GPT-2's layers have.
    """

    a: Tensor
    b: Tensor
    is_turned: bool

    @classmethod
    def of(
        cls,
        name: str,
        module: _Module,
        shape: torch.Size,
        config: Mapping[str, Any],
        owner: str,
    ) -> _Product:
        """The factors of a module, once they fit its weight (ValueError)."""
        if module.factors.keys() != {"A", "B"}:
            raise ValueError(f"{owner} has one factor of two for {name!r}; fetch it again")
        a, b = (module.factors[factor].flatten(1) for factor in "AB")
        rank = _at(name, config.get("rank_pattern"), config["r"])
        if len(a) != rank or b.shape[1] != rank:
            raise ValueError(
                f"{owner} has the rank {len(a)} for {name!r}, where its {CONFIG} says {rank}; "
                "fetch both again"
            )
        is_turned = module.is_embedding or (len(shape) == 2 and bool(config.get("fan_in_fan_out")))
        if (a.shape[1], len(b)) != (shape[0], shape[1:].numel())[:: 1 if is_turned else -1]:
            raise ValueError(
                f"{owner} has a product of {len(b)} × {a.shape[1]} for {name!r}, whose weight has "
                f"the shape {tuple(shape)}; give its own base, and fan_in_fan_out in {CONFIG} as "
                "its layers are"
            )
        return cls(a, b, is_turned)

    @property
    def rank(self) -> int:
        return len(self.a)

    def tensor(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """The product, in the shape of its weight."""
        product = self.b.to(dtype) @ self.a.to(dtype)
        return (product.T if self.is_turned else product).reshape(shape)


def _parsed(adapter: StateDict, owner: str) -> tuple[dict[str, _Module], dict[str, Tensor]]:
    """The factors of each module, and the tensors that were saved whole."""
    modules: dict[str, _Module] = {}
    whole: dict[str, Tensor] = {}
    for full, tensor in adapter.items():
        name = full.removeprefix(_WRAPPER)
        if match := _FACTOR.fullmatch(name):
            module = modules.setdefault(match["module"], _Module())
            module.is_embedding |= match["where"] is not None
            if match["leaf"] == "bias":
                module.bias = tensor
            else:
                module.factors[match["factor"]] = tensor
        elif "lora_" in name:
            raise ValueError(
                f"{owner} has {full!r}, which is neither factor nor weight; merge it with peft's "
                "merge_and_unload() and give the merged weights"
            )
        else:
            whole[re.sub(r"\.(base_layer|modules_to_save(\.default)?)(?=\.)", "", name)] = tensor
    return modules, whole


def _scaling(name: str, rank: int, config: Mapping[str, Any]) -> float:
    """α/r, or α/√r with rank stabilization."""
    alpha = _at(name, config.get("alpha_pattern"), config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _at(module: str, pattern: Mapping[str, Any] | None, default: Any) -> Any:
    """What a pattern of peft has for a module: the first of its expressions that ends its name."""
    found = (value for key, value in (pattern or {}).items() if _ends(key, module))
    return next(found, default)


def _ends(expression: str, module: str) -> bool:
    return re.match(rf"(.*\.)?({expression})$", module) is not None


def _type(start: Tensor, more: Tensor | _Product) -> torch.dtype:
    """The wider type of a tensor and of what is added to it."""
    tensors = (more.a, more.b) if isinstance(more, _Product) else (more,)
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), start.dtype)


def _sum(start: Tensor, scaling: float, more: Tensor | _Product) -> Tensor:
    narrow = _type(start, more)
    wide = torch.promote_types(narrow, torch.float32)
    change = more.tensor(start.shape, wide) if isinstance(more, _Product) else more.to(wide)
    return start.to(wide).add(change, alpha=scaling).to(narrow)
