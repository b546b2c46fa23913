"""Llama and networks of its shape through transformers, block by block, one feature per sample."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ctl_helpers.engine.pooling import mean_over
from ctl_helpers.engine.stages import Stage, State
from ctl_helpers.models.text import TextNetwork, additive, mask_of, refuse_rest, taps_for

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Pool = Literal["last", "answer"]

FAMILIES = (
    "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "olmo2",
    "stablelm", "starcoder2", "granite", "cohere", "smollm3",
)  # fmt: skip
"""The ``model_type`` of configurations whose networks are a Llama's chain: embedding, blocks, norm
and head, with what differs inside these."""

_FULL, _SLIDING = "full_attention", "sliding_attention"
_VARYING = ("dynamic", "longrope")  # rotary embeddings that hang on the longest text of a batch


class Llama(TextNetwork):
    """Tokens → logits of the answer, ``model(input_ids, attention_mask=None, answer_ids=None)``.

    Blocks, windows of attention, rotary embeddings and heads are the family's own, as transformers
    has them. ``states.0 …`` are the blocks' outputs before the final norm, ``states.norm`` is the
    norm's.

    Args:
        config: its sizes, of one of :data:`FAMILIES`; with ``tie_word_embeddings`` the head is the
            input embedding.
        pool: what becomes of a block's states. ``"last"``: that of the prompt's last token, which
            predicts the first token of the answer. ``"answer"``: the mean of those that predict
            the answer's tokens, from the prompt's last one on.

    Raises:
        ValueError: another pool or family, or a network of the family that is no such chain.
    """

    # Older releases saved the frequencies of the rotary embedding.
    unused = re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq")

    def __init__(self, config: PretrainedConfig, pool: Pool = "last") -> None:
        from transformers import AutoModelForCausalLM  # takes seconds

        super().__init__()
        if pool not in get_args(Pool):
            raise ValueError(f"pool is {pool!r}; choose one of {get_args(Pool)}")
        self.config, self.pool, self._kinds = config, pool, _kinds(config)
        # Scores that are capped want attention that is written out, and masks that are added.
        self._is_additive = getattr(config, "attn_logit_softcapping", None) is not None
        network = AutoModelForCausalLM.from_config(
            config, attn_implementation="eager" if self._is_additive else "sdpa"
        )
        self.model = network.model
        # They are no weights, and the meta device would not hold them.
        with torch.device("cpu"):
            self.model.rotary_emb = type(self.model.rotary_emb)(config)
            if hasattr(self.model.embed_tokens, "embed_scale"):
                scale = torch.tensor(self.model.embed_tokens.scalar_embed_scale)
                self.model.embed_tokens.embed_scale = scale
        _check(network, config)
        self._norm_name = "norm" if hasattr(self.model, "norm") else "final_layernorm"
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
        attention_mask: Tensor | None = None,
        answer_ids: Tensor | None = None,
        answer_mask: Tensor | None = None,
        **others: Any,
    ) -> State:
        """The tokens, masks and positions of a batch.

        Args:
            input_ids: the prompt's tokens, shape (samples, tokens), padded on the left.
            attention_mask: of that shape, 1 at tokens and 0 at padding; by default all are tokens.
            answer_ids: the answer's tokens but for the last, shape (samples, answer tokens − 1),
                padded on the right; none where only the first one is to be predicted.
            answer_mask: as ``attention_mask``, of the answer; for the pool ``"answer"`` alone.

        Returns:
            What stages make logits from, (samples, answer tokens, vocabulary), each token's from
            the right tokens before it.
        """
        refuse_rest(self, others)
        attention_mask = mask_of(input_ids, attention_mask, input_ids[:, 0], self.config)
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
        counted = torch.cat([torch.ones_like(input_ids[:, -1:]), answer_mask], 1)
        return {"ids": ids, "counted": counted, **self._attention(seen)}

    def _attention(self, seen: Tensor) -> State:
        """The mask and the rotary embedding of each kind of attention, for tokens that are seen."""
        square = torch.ones(seen.shape[1], seen.shape[1], dtype=torch.bool, device=seen.device)
        positions = seen.long().cumsum(1).sub(1).clamp(min=0)
        found: dict[str, Tensor] = {}
        for kind in dict.fromkeys(self._kinds):
            reach = square.tril()
            if kind == _SLIDING:
                reach = reach.triu(1 - self.config.sliding_window)
            # Padding attends to itself, lest a softmax over nothing makes it NaN.
            found[f"mask {kind}"] = (reach & seen[:, None] | square.tril().triu())[:, None]
            rotary = partial(self.model.rotary_emb, torch.empty(0, device=seen.device), positions)
            has_kinds = isinstance(self.model.rotary_emb.rope_type, Mapping)
            found[f"cos {kind}"], found[f"sin {kind}"] = rotary(kind) if has_kinds else rotary()
        return found

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
            Stage("norm", (f"model.{self._norm_name}.",), "states.norm", self._norm),
            Stage("head", (head,), None, self._head),
        ]

    def _embed(self, state: State) -> State:
        rest = {key: value for key, value in state.items() if key != "ids"}
        scale = getattr(self.config, "embedding_multiplier", 1)
        return {**rest, "hidden": self.model.embed_tokens(state["ids"]) * scale}

    def _block(self, number: int, state: State) -> State:
        hidden, kind = state["hidden"], self._kinds[number]
        mask, *rotary = (state[f"{name} {kind}"] for name in ("mask", "cos", "sin"))
        if self._is_additive:
            mask = additive(mask, hidden.dtype)
        hidden = self.model.layers[number](
            hidden,
            attention_mask=mask,
            position_embeddings=tuple(part.to(hidden.dtype) for part in rotary),
        )
        self.states[str(number)](self._pooled(self._predicting(hidden, state), state))
        return {**state, "hidden": hidden}

    def _norm(self, state: State) -> State:
        predicting = self.model.get_submodule(self._norm_name)(
            self._predicting(state["hidden"], state)
        )
        self.states["norm"](self._pooled(predicting, state))
        return {"hidden": predicting}

    def _head(self, state: State) -> State:
        if self.config.tie_word_embeddings:
            logits = F.linear(state["hidden"], self.model.embed_tokens.weight)
        else:
            logits = self.lm_head(state["hidden"])
        logits = logits * getattr(self.config, "logit_scale", 1)
        logits = logits / getattr(self.config, "logits_scaling", 1)
        cap = getattr(self.config, "final_logit_softcapping", None)
        return {"output": logits if cap is None else cap * torch.tanh(logits / cap)}

    def _predicting(self, hidden: Tensor, state: State) -> Tensor:
        """The states that predict the answer, from the prompt's last token on."""
        return hidden[:, -state["counted"].shape[1] :]

    def _pooled(self, predicting: Tensor, state: State) -> Tensor:
        return mean_over(predicting, state["counted"])


def _kinds(config: PretrainedConfig) -> list[str]:
    """The kind of attention of each block."""
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"{type(config).__name__} is of the family {config.model_type!r}, whose stages are not "
            f"known here; give a LlamaConfig or one of {', '.join(FAMILIES[1:])}, or pass "
            "AutoModelForCausalLM.from_config(config) to compare, which needs no stages"
        )
    if getattr(config, "use_bidirectional_attention", False):
        raise ValueError(
            f"{type(config).__name__} has use_bidirectional_attention, but an answer is predicted "
            "from the tokens before it; set it to False"
        )
    kind = _FULL if getattr(config, "sliding_window", None) is None else _SLIDING
    listed = getattr(config, "layer_types", None)
    return list(listed or [kind] * config.num_hidden_layers)


def _check(network: Any, config: PretrainedConfig) -> None:
    """Refuse what the stages would not compute as transformers does."""
    name, kinds = type(config).__name__, network.model.rotary_emb.rope_type
    for kind in kinds.values() if isinstance(kinds, Mapping) else [kinds]:
        if kind in _VARYING:
            raise ValueError(
                f"{name} has rotary embeddings of the type {kind!r}, whose frequencies hang on the "
                "longest text of a batch; set its rope type to one that does not, such as 'default'"
            )
    if config.tie_word_embeddings and network.lm_head.bias is not None:
        raise ValueError(
            f"{name} ties the head to the embedding and gives it a bias, which the stages leave "
            "out; set tie_word_embeddings=False"
        )


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
