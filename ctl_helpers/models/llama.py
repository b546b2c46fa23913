"""Llama through transformers, block by block, one feature per sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ctl_helpers.engine.stages import Stage, State
from ctl_helpers.models.text import TextNetwork, mean_over, taps_for

if TYPE_CHECKING:
    from transformers import LlamaConfig

Pool = Literal["last", "answer"]


class Llama(TextNetwork):
    """Tokens → logits of the answer, ``model(input_ids, attention_mask, answer_ids=None)``.

    ``states.0 …`` are the blocks' outputs before the final norm, ``states.norm`` is the norm's.

    Args:
        config: its sizes; with ``tie_word_embeddings`` the head is the input embedding.
        pool: what becomes of a block's states. ``"last"``: that of the prompt's last token, which
            predicts the first token of the answer. ``"answer"``: the mean of those that predict
            the answer's tokens, from the prompt's last one on.

    Raises:
        ValueError: another pool.
    """

    # Older releases saved the frequencies of the rotary embedding.
    unused = re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq")

    def __init__(self, config: LlamaConfig, pool: Pool = "last") -> None:
        from transformers import LlamaForCausalLM  # takes seconds

        super().__init__()
        if pool not in get_args(Pool):
            raise ValueError(f"pool is {pool!r}; choose one of {get_args(Pool)}")
        self.config, self.pool = config, pool
        network = LlamaForCausalLM._from_config(config, attn_implementation="sdpa")
        self.model = network.model
        # It has no weights but frequencies, which the meta device would not hold.
        with torch.device("cpu"):
            self.model.rotary_emb = type(self.model.rotary_emb)(config)
        self.tied = {}
        if config.tie_word_embeddings:
            self.tied = {"model.embed_tokens.weight": ("lm_head.weight",)}
        else:
            self.lm_head = network.lm_head
        numbers = [str(number) for number in range(len(self.model.layers))]
        self.states = taps_for(*numbers, "norm")
        self.feature_layers = tuple(f"states.{number}" for number in numbers)
        self.norm_layers = ("states.norm",)

    def begin(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        answer_ids: Tensor | None = None,
        answer_mask: Tensor | None = None,
    ) -> State:
        """The tokens, masks and positions of a batch.

        Args:
            input_ids: the prompt's tokens, shape (samples, tokens), padded on the left.
            attention_mask: of that shape, 1 at tokens and 0 at padding.
            answer_ids: the answer's tokens but for the last, shape (samples, answer tokens − 1),
                padded on the right; none where only the first one is to be predicted.
            answer_mask: as ``attention_mask``, of the answer; for the pool ``"answer"`` alone.

        Returns:
            What stages make logits from, (samples, answer tokens, vocabulary), each token's from
            the right tokens before it.
        """
        if not attention_mask[:, -1].all():
            raise ValueError("attention_mask ends with padding; pad the prompts on the left")
        if answer_ids is None:
            answer_ids = answer_mask = input_ids[:, :0]
        if self.pool == "last":
            answer_mask = torch.zeros_like(answer_ids)
        if answer_mask is None:
            raise ValueError(
                "the pool 'answer' needs answer_mask beside answer_ids: 1 at tokens, 0 at padding"
            )
        ids = torch.cat([input_ids, answer_ids], 1)
        # Padding after the answer needs no mask, since no token before it attends to it.
        seen = torch.cat([attention_mask.bool(), torch.ones_like(answer_ids, dtype=torch.bool)], 1)
        length = ids.shape[1]
        square = torch.ones(length, length, dtype=torch.bool, device=ids.device)
        # Padding attends to itself, lest a softmax over nothing makes it NaN.
        mask = square.tril() & seen[:, None] | square.tril().triu()
        positions = seen.long().cumsum(1).sub(1).clamp(min=0)
        cos, sin = self.model.rotary_emb(torch.empty(0, device=ids.device), positions)
        counted = torch.cat([torch.ones_like(input_ids[:, -1:]), answer_mask], 1)
        return {"ids": ids, "mask": mask[:, None], "cos": cos, "sin": sin, "counted": counted}

    def stages(self) -> Sequence[Stage]:
        """Embedding, blocks, norm and head."""
        blocks = [
            Stage(str(number), (f"model.layers.{number}.",), layer, partial(self._block, number))
            for number, layer in enumerate(self.feature_layers)
        ]
        head = "model.embed_tokens." if self.config.tie_word_embeddings else "lm_head."
        return [
            Stage("embedding", ("model.embed_tokens.",), None, self._embed),
            *blocks,
            Stage("norm", ("model.norm.",), "states.norm", self._norm),
            Stage("head", (head,), None, self._head),
        ]

    def _embed(self, state: State) -> State:
        rest = {key: value for key, value in state.items() if key != "ids"}
        return {**rest, "hidden": self.model.embed_tokens(state["ids"])}

    def _block(self, number: int, state: State) -> State:
        hidden = state["hidden"]
        rotary = state["cos"].to(hidden.dtype), state["sin"].to(hidden.dtype)
        hidden = self.model.layers[number](
            hidden, attention_mask=state["mask"], position_embeddings=rotary
        )
        self.states[str(number)](self._pooled(self._predicting(hidden, state), state))
        return {**state, "hidden": hidden}

    def _norm(self, state: State) -> State:
        predicting = self.model.norm(self._predicting(state["hidden"], state))
        self.states["norm"](self._pooled(predicting, state))
        return {"hidden": predicting}

    def _head(self, state: State) -> State:
        if not self.config.tie_word_embeddings:
            return {"output": self.lm_head(state["hidden"])}
        return {"output": F.linear(state["hidden"], self.model.embed_tokens.weight)}

    def _predicting(self, hidden: Tensor, state: State) -> Tensor:
        """The states that predict the answer, from the prompt's last token on."""
        return hidden[:, -state["counted"].shape[1] :]

    def _pooled(self, predicting: Tensor, state: State) -> Tensor:
        return mean_over(predicting, state["counted"])


def small_llama(
    *,
    vocabulary: int,
    width: int,
    inner: int,
    layers: int,
    heads: int,
    key_value_heads: int | None = None,
    positions: int,
    tied: bool = False,
    pool: Pool = "last",
) -> Llama:
    """A Llama of any size, with random weights, padding 0 and end token 1.

    Args:
        vocabulary, positions: tokens that it knows, and the most of a prompt and its answer.
        width, inner: of a state, and between a block's linear layers.
        layers, heads, key_value_heads: blocks, heads of each attention, and keys where fewer.
        tied: whether the head is the input embedding.
        pool: as for :class:`Llama`.
    """
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=positions,
        tie_word_embeddings=tied,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return Llama(config, pool)
