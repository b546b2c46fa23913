"""T5 through transformers: encoder and decoder block by block, one feature per sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.engine.pooling import mean_over
from ctl_helpers.engine.stages import Stage, State
from ctl_helpers.models.text import TextNetwork, additive, mask_of, refuse_rest, taps_for

if TYPE_CHECKING:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack


class T5(TextNetwork):
    """Tokens → logits of the answer, ``model(input_ids, attention_mask=None, answer_ids=None)``.

    Features are the paper's: an encoder block gives the mean of its output over the tokens that
    are no padding, a decoder block its state at the first position, where the first token is
    generated. ``states.encoder.0 …`` and ``states.decoder.0 …`` are the blocks' outputs before
    the final norms, ``states.encoder.norm`` and ``states.decoder.norm`` the norms'.

    The input embedding is shared by encoder and decoder. T5 v1.0 reads its logits with it too,
    from states that are scaled by ``d_model ** -0.5``; v1.1 has a head of its own, unscaled.

    Args:
        config: its sizes; ``tie_word_embeddings=False`` means v1.1.
    """

    unused = re.compile(
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
    )

    def __init__(self, config: T5Config) -> None:
        from transformers import T5ForConditionalGeneration  # takes seconds

        super().__init__()
        self.config = config
        # transformers 5 keeps what the config said of tying under this name, and always ties.
        self._is_tied = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
        network = T5ForConditionalGeneration(config)
        self.shared, self.encoder, self.decoder = network.shared, network.encoder, network.decoder
        for stack in (self.encoder, self.decoder):
            del stack.embed_tokens
        if not self._is_tied:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
            nn.init.normal_(self.lm_head.weight, std=config.initializer_factor)
        blocks = {"encoder": len(self.encoder.block), "decoder": len(self.decoder.block)}
        self.states = nn.ModuleDict(
            {side: taps_for(*map(str, range(count)), "norm") for side, count in blocks.items()}
        )
        self.feature_layers = tuple(
            f"states.{side}.{number}" for side, count in blocks.items() for number in range(count)
        )
        self.norm_layers = ("states.encoder.norm", "states.decoder.norm")
        embeddings = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
        self.tied = {
            "shared.weight": (*embeddings, "lm_head.weight") if self._is_tied else embeddings
        }

    def begin(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        answer_ids: Tensor | None = None,
        **others: Any,
    ) -> State:
        """The tokens and masks of a batch.

        Args:
            input_ids: the prompt's tokens, shape (samples, tokens), padded on the right.
            attention_mask: of that shape, 1 at tokens and 0 at padding; by default all are tokens.
            answer_ids: the answer's tokens but for the last, shape (samples, answer tokens − 1),
                padded on the right; none where only the first one is to be predicted.

        Returns:
            What stages make logits from, (samples, answer tokens, vocabulary), each token's from
            the right tokens before it.
        """
        refuse_rest(self, others)
        prompt = mask_of(input_ids, attention_mask, input_ids[:, -1], self.config).bool()
        if not prompt.any(1).all():
            raise ValueError("attention_mask leaves no token of a sample; give each a prompt")
        first = input_ids.new_full((len(input_ids), 1), self._start)
        answer = first if answer_ids is None else torch.cat([first, answer_ids], 1)
        length = answer.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=answer.device).tril()
        return {
            "input_ids": input_ids,
            "answer_ids": answer,
            "prompt": prompt,
            "causal": causal.expand(len(answer), 1, -1, -1),
        }

    def stages(self) -> Sequence[Stage]:
        """Embedding, encoder blocks and norm, decoder blocks and norm, and the head."""
        stages = [Stage("embedding", ("shared.",), None, self._embed)]
        for side in ("encoder", "decoder"):
            for number in range(len(self._stack(side).block)):
                name, run = f"{side}.{number}", partial(self._block, side, number)
                stages.append(Stage(name, (f"{side}.block.{number}.",), f"states.{name}", run))
            name, run = f"{side}.norm", partial(self._norm, side)
            stages.append(Stage(name, (f"{side}.final_layer_norm.",), f"states.{name}", run))
        head = "shared." if self._is_tied else "lm_head."
        return [*stages, Stage("head", (head,), None, self._head)]

    def _stack(self, side: str) -> T5Stack:
        return self.get_submodule(side)

    @property
    def _start(self) -> int:
        start = getattr(self.config, "decoder_start_token_id", None)
        return self.config.pad_token_id if start is None else start

    def _embed(self, state: State) -> State:
        encoder = self.encoder.dropout(self.shared(state["input_ids"]))
        decoder = self.decoder.dropout(self.shared(state["answer_ids"]))
        masks = {"prompt": state["prompt"], "causal": state["causal"]}
        return {**masks, "encoder": encoder, "decoder": decoder}

    def _block(self, side: str, number: int, state: State) -> State:
        hidden, bias = state[side], f"{side}_bias"
        mask = prompt_mask = additive(state["prompt"][:, None, None], hidden.dtype)
        context: dict[str, Tensor] = {}
        if side == "decoder":
            mask = additive(state["causal"], hidden.dtype)
            context["encoder_hidden_states"] = state["encoder"]
            context["encoder_attention_mask"] = prompt_mask
        hidden, position_bias, *_ = self._stack(side).block[number](
            hidden,
            attention_mask=mask,
            # Block 0 owns the bias of relative positions, which the others are given.
            position_bias=state.get(bias),
            # Wanted by releases before 5.
            cache_position=torch.arange(hidden.shape[1], device=hidden.device),
            **context,
        )
        self.get_submodule(f"states.{side}.{number}")(self._pooled(side, hidden, state))
        return {**state, side: hidden, bias: position_bias}

    def _norm(self, side: str, state: State) -> State:
        stack = self._stack(side)
        hidden = stack.dropout(stack.final_layer_norm(state[side]))
        self.get_submodule(f"states.{side}.norm")(self._pooled(side, hidden, state))
        rest = {key: value for key, value in state.items() if key != f"{side}_bias"}
        return {**rest, side: hidden}

    def _head(self, state: State) -> State:
        if not self._is_tied:
            return {"output": self.lm_head(state["decoder"])}
        scaled = state["decoder"] * self.config.d_model**-0.5
        return {"output": F.linear(scaled, self.shared.weight)}

    def _pooled(self, side: str, hidden: Tensor, state: State) -> Tensor:
        return mean_over(hidden, state["prompt"]) if side == "encoder" else hidden[:, 0]


def small_t5(
    *,
    vocabulary: int,
    width: int,
    head_width: int,
    inner: int,
    layers: int,
    decoder_layers: int | None = None,
    heads: int,
    buckets: int,
    distance: int,
) -> T5:
    """A T5 v1.0 of any size, with random weights, no dropout, padding 0 and end token 1.

    Args:
        vocabulary: tokens that it knows.
        width, head_width, inner: of a state, of a head, and between a block's linear layers.
        layers, decoder_layers, heads: blocks of the encoder, of the decoder where they differ,
            and heads of each attention.
        buckets, distance: of relative positions, and the distance from which all are one.
    """
    from transformers import T5Config

    return T5(
        T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=head_width,
            d_ff=inner,
            num_layers=layers,
            num_decoder_layers=decoder_layers,
            num_heads=heads,
            relative_attention_num_buckets=buckets,
            relative_attention_max_distance=distance,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
