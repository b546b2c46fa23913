"""Settings of published text networks: T5-base and Llama 2 with their fine-tunes, from the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor

from ctl_helpers.data.tokens import END, PAD, Coder
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.text import TextNetwork, from_transformers
from ctl_helpers.project import MissingDataError
from ctl_helpers.settings.needs import tokenizer
from ctl_helpers.settings.schema import PRETRAINED, Checked, Network
from ctl_helpers.settings.texts import OnTexts
from ctl_helpers.store.artifacts import digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.weights.files import lazy
from ctl_helpers.weights.hub import check_base, weights_file

_BY_TOKEN = ("shared.weight", "embed_tokens.weight", "lm_head.weight")


class HubT5(Network, Checked):
    """A T5 v1.0 of the hub; sizes have the names of its ``config.json``.

    Attributes:
        pretrained: the repository of the pretrained network and of the tokenizer.
    """

    architecture: Literal["t5-published"]
    pretrained: str
    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int

    def build(self) -> TextNetwork:
        """The network, with weights that nobody should use."""
        from transformers import T5Config  # takes seconds

        from ctl_helpers.models.t5 import T5

        sizes = self.model_dump(exclude={"architecture", "pretrained"})
        return T5(T5Config(**sizes, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0))

    def coder(self, tokenizer: Tokenizer, longest: int | None) -> Coder:
        """The tokenizer ends a prompt itself."""
        return Coder(tokenizer, "right", longest, PAD, END)


class HubLlama(Network, Checked):
    """A Llama 2 of the hub; sizes have the names of its ``config.json``.

    Attributes:
        pretrained: the repository of the pretrained network and of the tokenizer.
        pool: what becomes a feature, as for :class:`ctl_helpers.models.llama.Llama`.
    """

    architecture: Literal["llama-published"]
    pretrained: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    pool: Literal["last", "answer"] = "last"

    def build(self) -> TextNetwork:
        """The network, with weights that nobody should use."""
        from transformers import LlamaConfig  # takes seconds

        from ctl_helpers.models.llama import Llama

        sizes = self.model_dump(exclude={"architecture", "pretrained", "pool"})
        return Llama(LlamaConfig(**sizes), self.pool)

    def coder(self, tokenizer: Tokenizer, longest: int | None) -> Coder:
        """The tokenizer starts a prompt itself; it has no padding, and any token will do."""
        return Coder(tokenizer, "left", longest, "<unk>", END)


class PublishedText(OnTexts):
    """A setting whose network and its fine-tunes are on the hub.

    Their weights are read when they are asked for, so that a network larger than the memory can
    be run block by block.

    Attributes:
        model: the architecture.
        repositories: task → the repository of its fine-tune.
    """

    usual_batch: ClassVar[int] = 16  # texts are long
    usual_answers: ClassVar[str] = "held-out"  # nothing is trained here

    model: Annotated[HubT5 | HubLlama, Field(discriminator="architecture")]
    repositories: dict[str, str]

    def coder(self) -> Coder:
        """The published tokenizer, as the network takes it.

        Raises:
            MissingDataError: it is not on this machine and cannot be fetched.
        """
        published = _tokenizer(str(tokenizer(self.model.pretrained)))
        return self.model.coder(published, self.longest)

    def build(self) -> TextNetwork:
        """The architecture on the meta device, where weights take no memory."""
        with torch.device("meta"):
            return self.model.build()

    def checkpoints(
        self, seed: int, tasks: Sequence[str] | None = None, samples: int | None = None
    ) -> dict[str, Mapping[str, Tensor]]:
        """Published weights, the same for every seed, each tensor read when it is asked for.

        Args:
            seed, samples: not used.
            tasks: whose fine-tunes; by default :attr:`finetune`.

        Returns:
            ``"PT"`` and each task's name → state dict.

        Raises:
            MissingDataError: weights are not on this machine and cannot be fetched.
            ValueError: another architecture, or a fine-tune that started from other weights.
        """
        model = self.build()
        base = self._weights(model, self.model.pretrained)
        found = {PRETRAINED: base}
        for task in self.finetune if tasks is None else tasks:
            repo = self.repositories[task]
            found[task] = self._weights(model, repo)
            check_base(_ends(model, found[task]), _ends(model, base), repo)
        return found

    def _weights(self, model: TextNetwork, repo: str) -> StateDict:
        state = _first_rows(lazy(weights_file(repo)), self.model.vocab_size)
        return from_transformers(model, state, repo)

    def source_checksum(self) -> str:
        """Digest of the code behind this setting's own network and data set, and of the commits."""
        network = self.model.architecture.removesuffix("-published")
        parts = (f"models.{network}", f"data.sets.{self.data.set}", "settings.published_text")
        return digest([module_checksum(part) for part in parts])


def _first_rows(state: StateDict, rows: int) -> LazyState:
    """A state dict without the rows of tokens that a fine-tune has added, which come last."""

    def cut(name: str, value: Tensor) -> Tensor:
        return value[:rows] if name.endswith(_BY_TOKEN) else value

    meta = {name: cut(name, value) for name, value in described(state).items()}
    return LazyState(meta, lambda name: cut(name, state[name]))


def _ends(model: TextNetwork, state: StateDict) -> dict[str, Tensor]:
    """The weights of the first and the last block: enough to know a base by, and soon read."""
    _, first, *_, last, _, _ = model.stages()
    prefixes = (*first.prefixes, *last.prefixes)
    return {name: state[name] for name in state if name.startswith(prefixes)}


@lru_cache(maxsize=2)
def _tokenizer(path: str) -> Tokenizer:
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # the library's own is no narrower
        raise MissingDataError(
            f"{path} is damaged or incomplete ({error}): fetch it again"
        ) from None
