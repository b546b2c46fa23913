"""BERT encoders through transformers: texts to vectors, block by block, one feature per sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ctl_helpers.engine.pooling import mean_over
from ctl_helpers.engine.stages import Stage, State
from ctl_helpers.models.text import TextNetwork, additive, mask_of, refuse_rest, taps_for

if TYPE_CHECKING:
    from transformers import BertConfig


class Bert(TextNetwork):
    """Tokens → a text's vector, ``model(input_ids, attention_mask=None)``.

    The vector is the mean of the last block's states over the tokens that are no padding, as
    sentence encoders have it (Reimers and Gurevych 2019), and each block's feature is that mean of
    its own states. A sample may be several texts, such as two that are compared. It can be run in
    two parts at any block, as stitching needs.

    Args:
        config: its sizes.
    """

    unused = re.compile(r"pooler\..*|embeddings\.position_ids")
    norm_layers = ()

    def __init__(self, config: BertConfig) -> None:
        from transformers import AutoModel  # takes seconds

        super().__init__()
        self.config, self.tied = config, {}
        options: dict[str, Any] = {"add_pooling_layer": False, "attn_implementation": "sdpa"}
        network = AutoModel.from_config(config, **options)
        self.embeddings, self.encoder = network.embeddings, network.encoder
        numbers = [str(number) for number in range(len(self.encoder.layer))]
        self.states = taps_for(*numbers)
        self.feature_layers = tuple(f"states.{number}" for number in numbers)

    def forward(
        self, *arguments: Tensor, until: str | None = None, after: str | None = None, **batch: Any
    ) -> Tensor:
        """The vectors of texts, or a part of the way.

        Args:
            arguments: what :meth:`begin` takes; with ``after`` the states of that block, (samples,
                tokens, width), beside the batch that they are of.
            until: a block whose states to return.
            after: a block whose states are given (KeyError where there is no such block).
            batch: what :meth:`begin` takes.
        """
        stages = list(self.stages())
        layers = [stage.layer for stage in stages]
        for layer in (until, after):
            if layer is not None and layer not in layers:
                raise KeyError(f"the network has no block {layer!r}; it has {self.feature_layers}")
        state = self.begin(*(() if after else arguments), **batch)
        if after:
            state = {"mask": state["mask"], "hidden": arguments[0].flatten(0, -3)}
        first = layers.index(after) + 1 if after else 0
        last = layers.index(until) + 1 if until else len(stages)
        for stage in stages[first:last]:
            state = stage.run(state)
        if until:
            return state["hidden"].unflatten(0, state["mask"].shape[:-1])
        return state["output"]

    def begin(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **others: Any
    ) -> State:
        """The tokens and mask of a batch.

        Args:
            input_ids: tokens, shape (samples, tokens), or (samples, texts, tokens) where a sample
                is several texts, padded on the right.
            attention_mask: of that shape, 1 at tokens and 0 at padding; by default all are tokens.

        Returns:
            What stages make vectors from, (samples, width) or (samples, texts, width).
        """
        refuse_rest(self, others)
        mask = mask_of(input_ids, attention_mask, input_ids[..., -1], self.config).bool()
        if not mask.any(-1).all():
            raise ValueError("attention_mask leaves no token of a text; leave such samples out")
        return {"input_ids": input_ids, "mask": mask}

    def stages(self) -> Sequence[Stage]:
        """Embedding, blocks, and the mean over tokens."""
        stages = [Stage("embedding", ("embeddings.",), None, self._embed)]
        for number, layer in enumerate(self.feature_layers):
            prefixes, run = (f"encoder.layer.{number}.",), partial(self._block, number)
            stages.append(Stage(f"block.{number}", prefixes, layer, run))
        return [*stages, Stage("mean", (), None, self._mean)]

    def _embed(self, state: State) -> State:
        return {"mask": state["mask"], "hidden": self.embeddings(state["input_ids"].flatten(0, -2))}

    def _block(self, number: int, state: State) -> State:
        seen = state["mask"].flatten(0, -2)[:, None, None]
        output = self.encoder.layer[number](
            state["hidden"], attention_mask=additive(seen, state["hidden"].dtype)
        )
        # A tuple in releases before 5.
        hidden = output if isinstance(output, Tensor) else output[0]
        self.states[str(number)](self._pooled(hidden, state["mask"]))
        return {**state, "hidden": hidden}

    def _mean(self, state: State) -> State:
        return {"output": self._pooled(state["hidden"], state["mask"])}

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return mean_over(hidden, mask.flatten(0, -2)).unflatten(0, mask.shape[:-1])
