"""A Llama that scores many answers to one prompt in one pass, and heads that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ctl_helpers.engine.pooling import mean_over
from ctl_helpers.engine.stages import State
from ctl_helpers.models.llama import Llama
from ctl_helpers.models.text import taps_for

if TYPE_CHECKING:
    from transformers import LlamaConfig

Reading = Literal["last", "prompt"]


class BranchingLlama(Llama):
    """A :class:`Llama` that also takes answers which branch, and so share what they begin with.

    ``model(input_ids, attention_mask, answer_ids, answer_parents=…)`` has a token at each node of a
    tree, whose root is the prompt's last token. A node attends to the prompt and to the nodes on
    its way from the root, and stands as far behind the prompt as that way is long. So each node has
    the state that it would have in an answer of its own, and the prompt is read once for all.

    Args:
        config: its sizes.
        pool: what becomes of a block's states: that of the prompt's last token (``"last"``), or
            the mean over the prompt's tokens (``"prompt"``).
    """

    def __init__(self, config: LlamaConfig, pool: Reading = "last") -> None:
        super().__init__(config)
        self._is_mean = pool == "prompt"
        if self._is_mean:
            numbers = [str(number) for number in range(len(self.model.layers))]
            self.means = taps_for(*numbers)
            self.feature_layers = tuple(f"means.{number}" for number in numbers)

    def begin(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        answer_ids: Tensor | None = None,
        answer_mask: Tensor | None = None,
        answer_parents: Tensor | None = None,
        **others: Any,
    ) -> State:
        """The tokens, masks and positions of a batch.

        Args:
            input_ids, attention_mask, answer_ids, answer_mask: as :meth:`Llama.begin` takes them.
            answer_parents: of the shape of ``answer_ids``, where these are nodes of a tree: the
                place of the token before, 0 for the prompt's last one and n for the n-th node,
                which comes earlier. None where they are one answer after the other.

        Returns:
            What stages make logits from, (samples, 1 + nodes, vocabulary): what comes after the
            prompt, and after each node.
        """
        state = super().begin(input_ids, attention_mask, answer_ids, answer_mask, **others)
        if answer_parents is not None:
            state = {**state, **self._branched(state, answer_parents)}
        if self._is_mean:
            seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            state = {**state, "prompt": seen}
        return state

    def _branched(self, state: State, parents: Tensor) -> State:
        """Masks and rotary embeddings of a tree."""
        (kind,) = dict.fromkeys(self._kinds)
        samples, nodes = parents.shape
        rows = torch.arange(samples, device=parents.device)
        above = torch.eye(nodes + 1, dtype=torch.bool, device=parents.device)
        above = above.repeat(samples, 1, 1)
        for node in range(nodes):
            above[:, node + 1] |= above[rows, parents[:, node]]
        mask = state[f"mask {kind}"].clone()
        mask[:, 0, -nodes - 1 :, -nodes - 1 :] = above
        # A token's place is the number of tokens that it sees before it; padding sees itself alone.
        places = mask[:, 0].sum(-1) - 1
        cos, sin = self.model.rotary_emb(torch.empty(0, device=places.device), places)
        return {f"mask {kind}": mask, f"cos {kind}": cos, f"sin {kind}": sin}

    def _block(self, number: int, state: State) -> State:
        after = super()._block(number, state)
        if self._is_mean:
            prompt = after["hidden"][:, : state["prompt"].shape[1]]
            self.means[str(number)](mean_over(prompt, state["prompt"]))
        return after


@dataclass(frozen=True)
class Choices:
    """Answers to choose among, as a tree of their tokens; called on logits it scores them.

    Attributes:
        ids, parents: (nodes,), as :class:`BranchingLlama` takes them; an answer's last token
            predicts nothing and has no node.
        places, tokens, owners: (tokens of all answers,): after which place a token is predicted,
            which it is, and of which answer.
    """

    ids: Tensor
    parents: Tensor
    places: Tensor
    tokens: Tensor
    owners: Tensor

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]]) -> Choices:
        """Those of the tokens of each answer."""
        place_of: dict[tuple[int, ...], int] = {(): 0}
        ids, parents, predicted = [], [], []
        for owner, answer in enumerate(answers):
            for length, token in enumerate(answer):
                begun = tuple(answer[:length])
                if begun not in place_of:
                    place_of[begun] = len(place_of)
                    ids.append(begun[-1])
                    parents.append(place_of[begun[:-1]])
                predicted.append((place_of[begun], token, owner))
        places, tokens, owners = torch.tensor(predicted).unbind(1)
        return cls(torch.tensor(ids).long(), torch.tensor(parents).long(), places, tokens, owners)

    def inputs(self, samples: int) -> dict[str, Tensor]:
        """The entries of a batch that ask for them all."""
        parts = {"answer_ids": self.ids, "answer_parents": self.parents}
        return {name: part.repeat(samples, 1) for name, part in parts.items()}

    def __call__(self, logits: Tensor) -> Tensor:
        """The mean log-likelihood of each answer's tokens.

        Args:
            logits: what the network gives for :meth:`inputs`.

        Returns:
            Shape (samples, answers).
        """
        likely = logits[:, self.places, self.tokens] - logits.logsumexp(-1)[:, self.places]
        return self._by_answer(likely) / self._lengths(logits)

    def greedy(self, logits: Tensor) -> Tensor:
        """Which answer greedy decoding writes: the highest score is its, or that of no answer.

        A label is an exact match where each of its tokens is the likeliest after those before it.
        Of two such labels, of which one begins the other, the longer is written.

        Args:
            logits: as the scores take them.

        Returns:
            Shape (samples, answers + 1); the last is the score of none of them.
        """
        misses = logits.argmax(-1)[:, self.places] != self.tokens.to(logits.device)
        written = (self._by_answer(misses.to(logits.dtype)) == 0) * self._lengths(logits)
        return torch.cat([written, written.new_full((len(logits), 1), 0.5)], 1)

    def _by_answer(self, values: Tensor) -> Tensor:
        """Sums over each answer's tokens, of (samples, tokens of all answers)."""
        sums = values.new_zeros(len(values), int(self.owners.max()) + 1)
        return sums.index_add(1, self.owners.to(values.device), values)

    def _lengths(self, logits: Tensor) -> Tensor:
        """How many tokens each answer has, as numbers of the logits' kind."""
        return self.owners.bincount().to(logits)


def each_token(logits: Tensor) -> Tensor:
    """Logits of running text, (samples, tokens, vocabulary), as those of so many single tokens."""
    return logits.flatten(0, 1)
