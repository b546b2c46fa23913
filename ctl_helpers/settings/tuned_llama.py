"""The setting of a published language model, fine-tuned on prompts with answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast

import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.dataset import DataSet
from ctl_helpers.data.texts import Texts
from ctl_helpers.data.tokens import NO_TARGET, Batch, Coder, Row
from ctl_helpers.models.choices import BranchingLlama, Choices, Reading, each_token
from ctl_helpers.models.text import from_transformers
from ctl_helpers.settings.published_start import PublishedStart
from ctl_helpers.settings.schema import Checked, Network, Strangers
from ctl_helpers.settings.texts import OnTexts
from ctl_helpers.settings.tuned import Job
from ctl_helpers.store.artifacts import digest
from ctl_helpers.training.loop import default_device, initial_weights
from ctl_helpers.training.text_losses import answering
from ctl_helpers.weights.gguf_file import read_llama, read_tokenizer
from ctl_helpers.weights.published import NETWORKS

_PAD, _END = "<|endoftext|>", "<|im_end|>"
_READINGS: Mapping[str, Reading] = {
    "last token of the prompt": "last",
    "mean over the prompt": "prompt",
}


class ChoiceSet(DataSet, Protocol):
    """Prompts whose answers are labels."""

    def answers(self, task: str) -> tuple[str, ...]:
        """The answers of a task, in the order of its labels; none where it has no labels."""


class GgufLlama(Network, Checked):
    """A Llama in a GGUF file; sizes have the names of transformers' ``config.json``.

    Attributes:
        pretrained: one of :data:`ctl_helpers.weights.published.NETWORKS`.
        pool: what becomes a feature, as for :class:`ctl_helpers.models.choices.BranchingLlama`.
    """

    architecture: Literal["llama-gguf-published"]
    pretrained: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    pool: Reading = "last"

    def build(self) -> BranchingLlama:
        """The network, whose head is its embedding, with weights that nobody should use."""
        from transformers import LlamaConfig  # takes seconds

        sizes = self.model_dump(exclude={"architecture", "pretrained", "pool"})
        return BranchingLlama(LlamaConfig(**sizes, tie_word_embeddings=True), self.pool)

    def file(self) -> Path:
        """The file with its weights and its tokenizer.

        Raises:
            MissingDataError: it is not on this machine and cannot be fetched.
        """
        network = NETWORKS[self.pretrained]
        (name,) = network.checksums
        return network.file(name)


@dataclass(frozen=True)
class _Start:
    """The published weights, or with a seed random ones."""

    model: GgufLlama
    seed: int | None

    @property
    def key(self) -> str:
        if self.seed is None:
            return digest([self.model.pretrained, NETWORKS[self.model.pretrained].checksums])
        return digest(["random weights", self.model.model_dump(exclude={"pool"}), self.seed])

    def weights(self) -> Mapping[str, Tensor]:
        if self.seed is not None:
            return initial_weights(self.model.build, self.seed)
        with torch.device("meta"):
            model = self.model.build()
        return dict(from_transformers(model, read_llama(self.model.file()), self.model.pretrained))


class _Coder(Coder):
    """Prompts are cut before their last line, which asks; answers have no end.

    Args:
        tokenizer: adds nothing to a text.
        longest: tokens of a prompt.
    """

    def __init__(self, tokenizer: Tokenizer, longest: int | None) -> None:
        super().__init__(tokenizer, "left", None, _PAD, _END)
        self._longest = longest

    def prompts(self, texts: Any) -> list[list[int]]:
        """The tokens of prompts; errors as :meth:`Coder.plain`."""
        rows = []
        for text in texts:
            said, line, asked = text.rpartition("\n")
            (before, after) = self.plain([said, line + asked] if line else [asked, ""])
            left = None if self._longest is None else self._longest - len(after)
            rows.append([*before[:left], *after])
        return rows

    def rows(self, texts: Texts) -> list[Row]:
        """Prompts and answers: labels are compared, and nothing is written that has to end."""
        return list(zip(self.prompts(texts.sources), self.plain(texts.targets), strict=True))


class TunedLlama(PublishedStart, OnTexts):
    """A setting whose language model is published; it is fine-tuned here.

    A task's labels are answers, scored by the mean log-likelihood of their tokens. The control task
    is running text: each of its tokens from those before it, so that the loss is in nats per token
    and the accuracy is the share of tokens that are the likeliest ones.

    Attributes:
        model: the architecture.
        longest: tokens of a prompt, and of a piece of running text; longer ones are cut.
        fewer: task → which share of the samples asked for it has, where many answers take long.
    """

    usual_batch: ClassVar[int] = 16

    model: GgufLlama
    fewer: dict[str, float] = Field(default_factory=dict)

    @property
    def choices(self) -> ChoiceSet:
        """The data set, whose tasks have answers to choose among."""
        return cast(ChoiceSet, self.data.module)

    def build(self) -> BranchingLlama:
        """The network, with weights that nobody should use."""
        return self.model.build().to(default_device())

    def coder(self) -> _Coder:
        """The tokenizer of the published file."""
        return _coder(self.model.file(), self.longest)

    def published(self) -> _Start:
        """The published network."""
        return _Start(self.model, None)

    def random(self, seed: int) -> _Start:
        """The same network with random weights."""
        return _Start(self.model, seed)

    def strangers(self, seed: int, tasks: Sequence[str] | None = None, **how: Any) -> Strangers:
        """Networks fine-tuned from random weights: no other pretraining was published.

        They take as long to train as the others do, and are the same for every seed.
        """
        return {"foreign": super().strangers(0, tasks, **how)["foreign"]}

    def heads(self, seed: int, tasks: Sequence[str]) -> Mapping[str, Any]:
        """What scores each task's answers; of running text, each token."""
        found = {task: self._answers(task) for task in tasks}
        return {task: each_token if one is None else one for task, one in found.items()}

    def exact_heads(self, tasks: Sequence[str]) -> Mapping[str, Any]:
        """What says which label of each task greedy decoding writes."""
        found = {task: self._answers(task) for task in tasks}
        return {task: one.greedy for task, one in found.items() if one is not None}

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int | None = None,
        split: str = "test",
    ) -> dict[str, Batches[Batch]]:
        """Batches by task: task → batches of ``(keyword inputs, targets)``."""
        size, found = batch_size or self.usual_batch, {}
        for task in tasks:
            count = samples and max(round(samples * self.fewer.get(task, 1)), 2)
            found[task] = self._batches(task, self.texts(task, split, count), size)
        return found

    def _answers(self, task: str) -> Choices | None:
        answers = self.choices.answers(task)
        return Choices.of(self.coder().plain(answers)) if answers else None

    def _batches(self, task: str, texts: Texts, size: int) -> Batches[Batch]:
        coder, choices = self.coder(), self._answers(task)
        prompts, numbers = coder.prompts(texts.sources), self.choices.answers(task)
        # Texts of about the same length stand together, since padding takes time too.
        order = sorted(range(len(texts)), key=lambda number: len(prompts[number]))

        def batch(part: slice) -> Batch:
            chosen = [prompts[number] for number in order[part]]
            if choices is None:
                # What is predicted follows a prompt: here the first token alone.
                inputs, targets = coder.padded([(ids[:1], ids[1:]) for ids in chosen])
                return inputs, targets.flatten()
            inputs, _ = coder.padded([(ids, [NO_TARGET]) for ids in chosen])
            labels = [numbers.index(texts.targets[number]) for number in order[part]]
            return {**inputs, **choices.inputs(len(chosen))}, torch.tensor(labels)

        return Batches(len(texts), size, batch)

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The network, on a task's answers."""
        texts = self.texts(task, "train", samples)
        return self.build(), answering(self.coder(), texts), len(texts)

    def readings(self) -> dict[str, nn.Module]:
        """The network once for each way in which a text's states can become a feature."""
        models = {name: self.model.model_copy(update={"pool": p}) for name, p in _READINGS.items()}
        return {name: model.build() for name, model in models.items()}

    def sizes(self) -> dict[str, object]:
        """What of :attr:`model` decides the weights: not what becomes a feature."""
        return self.model.model_dump(exclude={"pool"})

    def facts(self) -> dict[str, object]:
        """How long a prompt may be."""
        return {"longest": self.longest}

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        data = f"data.sets.{self.data.set}", "data.tokens", "training.text_losses"
        training = (f"training.{module}" for module in ("checkpoints", "low_rank", "steps"))
        return "models.choices", *data, *training


@lru_cache(maxsize=2)
def _coder(path: Path, longest: int | None) -> _Coder:
    return _Coder(read_tokenizer(path), longest)
