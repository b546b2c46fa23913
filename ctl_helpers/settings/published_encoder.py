"""The setting of a published sentence encoder, fine-tuned under heads made of label prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.labelled_texts import Batch, Encoded, LabelledTexts
from ctl_helpers.data.tokens import Coder
from ctl_helpers.models.bert import Bert
from ctl_helpers.models.text import from_transformers
from ctl_helpers.settings.needs import TOKENIZER
from ctl_helpers.settings.published_start import PublishedStart
from ctl_helpers.settings.schema import Checked, Network
from ctl_helpers.settings.tuned import Job
from ctl_helpers.settings.zero_shot import Embed, ZeroShot
from ctl_helpers.store.artifacts import digest
from ctl_helpers.training.loop import default_device, initial_weights
from ctl_helpers.training.steps import labelling
from ctl_helpers.weights.files import read
from ctl_helpers.weights.published import NETWORKS

WEIGHTS = "model.safetensors"


class PublishedBert(Network, Checked):
    """A BERT; sizes have the names of its ``config.json``.

    Attributes:
        pretrained: one of :data:`ctl_helpers.weights.published.NETWORKS`.
    """

    architecture: Literal["bert-published"]
    pretrained: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int

    def build(self) -> Bert:
        """The network without dropout, with weights that nobody should use."""
        from transformers import BertConfig  # takes seconds

        sizes = self.model_dump(exclude={"architecture", "pretrained"})
        return Bert(BertConfig(**sizes, hidden_dropout_prob=0, attention_probs_dropout_prob=0))


@dataclass(frozen=True)
class _Published:
    """The published weights."""

    model: PublishedBert

    @property
    def key(self) -> str:
        return digest([self.model.pretrained, NETWORKS[self.model.pretrained].checksums[WEIGHTS]])

    def weights(self) -> Mapping[str, Tensor]:
        with torch.device("meta"):
            model = self.model.build()
        path = NETWORKS[self.model.pretrained].file(WEIGHTS)
        return dict(from_transformers(model, read(path), self.model.pretrained))


@dataclass(frozen=True)
class _Random:
    """The same network with random weights."""

    model: PublishedBert
    seed: int

    @property
    def key(self) -> str:
        return digest(["random weights", self.model.model_dump(), self.seed])

    def weights(self) -> Mapping[str, Tensor]:
        return initial_weights(self.model.build, self.seed)


class PublishedEncoder(ZeroShot, PublishedStart):
    """A setting whose sentence encoder is published; it is fine-tuned here.

    Attributes:
        model: the architecture.
        longest: tokens of a text, marks included; longer ones are cut.
    """

    usual_batch: ClassVar[int] = 50

    model: PublishedBert
    longest: int

    def build(self) -> Bert:
        """The network, with weights that nobody should use."""
        return self.model.build().to(default_device())

    def published(self) -> _Published:
        """The published network."""
        return _Published(self.model)

    def random(self, seed: int) -> _Random:
        """The same network with random weights."""
        return _Random(self.model, seed)

    def coder(self) -> Coder:
        """The published tokenizer.

        Raises:
            MissingDataError: it is not on this machine and cannot be fetched.
        """
        path = NETWORKS[self.model.pretrained].file(TOKENIZER)
        return Coder(Tokenizer.from_file(str(path)), "right", self.longest, "[PAD]", "[SEP]")

    def streams(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        batch_size: int | None = None,
        split: str = "test",
    ) -> dict[str, Batches[Batch]]:
        """Batches by task: task → batches of ``(keyword inputs, targets)``."""
        coder, size = self.coder(), batch_size or self.usual_batch
        return {
            task: Encoded(coder, self.loaded(task, split, samples)).batches(size) for task in tasks
        }

    def embedder(self, seed: int) -> Embed:
        """The published network itself."""
        model, coder, device = self.build().eval(), self.coder(), default_device()
        model.load_state_dict(self.published().weights())

        def embed(texts: Sequence[str]) -> Tensor:
            alone = LabelledTexts(tuple((text,) for text in texts), torch.zeros(len(texts)))
            inputs, _ = Encoded(coder, alone).batch(range(len(texts)))
            return model(**{name: part.to(device) for name, part in inputs.items()})

        return embed

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The network, under the task's frozen head."""
        texts, device = Encoded(self.coder(), self.loaded(task, "train", samples)), default_device()

        def batch(chosen: Tensor) -> Batch:
            inputs, targets = texts.batch(chosen.tolist())
            return {name: part.to(device) for name, part in inputs.items()}, targets.to(device)

        return self.build(), labelling(batch, self.heads(seed, [task])[task]), len(texts)

    def facts(self) -> dict[str, object]:
        """The scale of the logits, and how long a text may be."""
        return {**super().facts(), "longest": self.longest}

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        data = (f"data.sets.{self.data.set}", "data.labelled_texts", "data.tokens")
        return "models.bert", "models.heads", *data, "training.checkpoints", "training.steps"
