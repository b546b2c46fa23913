"""The architecture that runs the mixes: from a configuration, by name, or as it is given."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ctl_helpers.engine.checkpoints import CheckpointWarning
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.ties import first_names
from ctl_helpers.models.text import TextNetwork
from ctl_helpers.probing.aligning import aligned, is_head
from ctl_helpers.probing.checkpoints import filled, in_float32
from ctl_helpers.probing.overview import CONFIG
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.remarks import some
from ctl_helpers.probing.staged import is_decoder, staged, tokens, under_names
from ctl_helpers.weights.read import read


class CannotRunError(Exception):
    """Why the networks cannot be run, in one sentence; and after a colon what to do."""


@dataclass(frozen=True)
class Network:
    """What runs the mixes.

    Attributes:
        model: the architecture; its own weights are not used, but where no checkpoint has them.
        config: its configuration, as far as there is one.
        made_from: where it comes from, in words.
    """

    model: nn.Module
    config: Mapping[str, Any]
    made_from: str

    @property
    def input_name(self) -> str:
        """What it takes.

        ``"input_ids"`` for tokens, ``"pixel_values"`` for images of transformers, and nothing for
        images as the only argument.
        """
        if isinstance(self.model, TextNetwork):
            return "input_ids"
        return str(getattr(self.model, "main_input_name", ""))

    @property
    def is_decoder(self) -> bool:
        """Whether it predicts the next token."""
        name = type(self.model).__name__
        return is_decoder(self.model) or name.endswith(("ForCausalLM", "LMHeadModel"))

    def tokens(self, ids: Tensor) -> dict[str, Tensor]:
        """A batch of texts without padding, shape (samples, tokens), as the network takes it."""
        if isinstance(self.model, TextNetwork):
            return tokens(self.model, ids)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.config.get("is_encoder_decoder"):
            start = self.config.get("decoder_start_token_id") or 0
            batch["decoder_input_ids"] = torch.full((len(ids), 1), start)
        return batch


def network(base: Place, model: nn.Module | str | None, is_large: bool) -> Network:
    """The architecture of a base.

    Args:
        base: whose ``config.json`` says it where ``model`` does not.
        model: a module; ``"timm:NAME"``, ``"torchvision:NAME"``, ``"open_clip:NAME"``; or
            ``"package.module:function"``, which is called without arguments.
        is_large: whether it has to run stage by stage.

    Raises:
        CannotRunError: it cannot be told or built.
    """
    if isinstance(model, nn.Module):
        return Network(model, base.json(CONFIG), type(model).__name__)
    config = base.json(CONFIG)
    try:
        if model is not None:
            return Network(_named(model, config), config, model)
        if "architecture" in config:
            named = f"timm:{config['architecture']}"
            return Network(_named(named, config), config, named)
        if "model_type" in config:
            return _of_transformers(base, config, is_large)
    except CannotRunError:
        raise
    except Exception as error:  # any library's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotRunError(
            f"the architecture cannot be built ({reason}): install what it needs, or name another"
        ) from None
    raise CannotRunError(
        "no configuration says which architecture to run: put config.json beside BASE's weights, "
        "or name it with --model"
    )


def _named(model: str, config: Mapping[str, Any]) -> nn.Module:
    where, _, name = model.partition(":")
    classes = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    if where == "timm":
        built = import_module("timm").create_model(name, pretrained=False, **classes)
    elif where == "torchvision":
        built = import_module("torchvision.models").get_model(name, weights=None, **classes)
    elif where == "open_clip":
        built = import_module("open_clip").create_model(name).visual
    elif name:
        built = getattr(import_module(where), name)()
    else:
        raise CannotRunError(
            f"{model!r} names no architecture: write timm:NAME, torchvision:NAME, open_clip:NAME "
            "or package.module:function"
        )
    if not isinstance(built, nn.Module):
        raise CannotRunError(
            f"{model!r} gives a {type(built).__name__}: name what gives a torch module"
        )
    return built


def _of_transformers(base: Place, config: Mapping[str, Any], is_large: bool) -> Network:
    import transformers

    folder = base.files[CONFIG].parent
    built = transformers.AutoConfig.from_pretrained(folder)
    if is_large:
        kind = config["model_type"]
        try:
            return Network(staged(built), built.to_dict(), f"{kind}, stage by stage")
        except Exception:  # transformers' or the package's, where the family has no stages
            raise CannotRunError(
                f"the networks do not fit into memory, and {kind} has no stages: use a larger "
                "machine, or fewer checkpoints at a time"
            ) from None
    named = [str(name) for name in config.get("architectures") or ()]
    kind = next(
        (getattr(transformers, name) for name in named if hasattr(transformers, name)), None
    )
    model = (kind or transformers.AutoModel)._from_config(built) if kind else None
    if model is None:
        model = transformers.AutoModel.from_config(built)
    return Network(model, built.to_dict(), f"transformers' {type(model).__name__}")


def fitted(
    model: nn.Module, states: Mapping[str, StateDict], whole: StateDict
) -> tuple[dict[str, StateDict], list[str]]:
    """The states with the model's names, no more and no fewer.

    What the checkpoints do not share is the same for all: BASE's, or the model's own where BASE
    has none, as buffers and the heads of a body that was published without one.

    Args:
        model: the architecture.
        states: name → what is shared, under BASE's names.
        whole: BASE's own state dict, all of it.

    Returns:
        Name → state dict in float32, and what BASE lacks and the model was given at random.

    Raises:
        CannotRunError: a body that is not the model's.
    """
    complete = {name: filled(state, whole) for name, state in states.items()}
    if isinstance(model, TextNetwork):
        return under_names(model, complete), []
    own, shapes = model.state_dict(), described(whole)
    renamed = {name: theirs for name, theirs in aligned(shapes, own).items() if name in own}
    first = first_names(model)
    sources = {n: renamed.get(n, renamed.get(first.get(n, n), "")) for n in own}
    random = [n for n, theirs in sources.items() if not theirs and own[n].is_floating_point()]
    if any(not is_head(name) for name in random):
        return _as_read(model, complete), []
    other = [n for n, theirs in renamed.items() if shapes[theirs].shape != own[n].shape]
    if other:
        raise CannotRunError(
            f"{type(model).__name__} has another shape than BASE at {some(other)}: name the "
            "architecture that BASE has"
        )

    def under(state: StateDict) -> StateDict:
        def make(name: str) -> torch.Tensor:
            return state[sources[name]] if sources[name] else own[name]

        return in_float32(LazyState(own, make))

    return {name: under(state) for name, state in complete.items()}, random


def _as_read(model: nn.Module, states: Mapping[str, StateDict]) -> dict[str, StateDict]:
    """The states under names that transformers alone knows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            return {name: in_float32(read(state, like=model)) for name, state in states.items()}
    except ValueError as error:
        fact = str(error).partition(";")[0]
        raise CannotRunError(
            f"BASE does not fit {type(model).__name__} ({fact}): name the architecture of BASE"
        ) from None
