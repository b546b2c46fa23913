"""Settings of text networks: pretrained on documents, fine-tuned on prompts with answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, cast

from torch import nn

from ctl_helpers.data.dataset import DocumentSet
from ctl_helpers.data.texts import Texts
from ctl_helpers.data.tokens import ANSWER, END, START, Coder, framed
from ctl_helpers.settings.schema import Checked, Network
from ctl_helpers.settings.texts import OnTexts
from ctl_helpers.settings.tuned import Job, PretrainedHere
from ctl_helpers.training.loop import default_device
from ctl_helpers.training.steps import Loss
from ctl_helpers.training.text_losses import Corruption, answering, continuing, filling


class TextSetting(PretrainedHere, OnTexts):
    """A text network that is pretrained here.

    Attributes:
        examples: how many examples of each task pretraining sees, beside the documents: without
            any, a network does not know what it is asked, and nothing can be added to that.
    """

    examples: int

    @property
    def documents(self) -> DocumentSet:
        """The data set, which has documents to pretrain on."""
        return cast(DocumentSet, self.data.module)

    @abstractmethod
    def objective(self, seed: int, coder: Coder, documents: Sequence[str], shown: Texts) -> Loss:
        """The loss of pretraining on documents and examples."""

    def pretraining_job(self, seed: int) -> Job:
        """The network, on documents and a few examples of each task."""
        documents, shown = self.documents.pretraining(), self._shown()
        loss = self.objective(seed, self.coder(), documents, shown)
        return self.build().to(default_device()), loss, len(documents) + len(shown)

    def task_job(self, seed: int, task: str, samples: int | None) -> Job:
        """The network, on a task's answers."""
        texts = self.texts(task, "train", samples)
        return self.build().to(default_device()), answering(self.coder(), texts), len(texts)

    def facts(self) -> dict[str, object]:
        """How long a prompt may be."""
        return {"longest": self.longest}

    def pretraining_facts(self) -> dict[str, object]:
        """That, and how many examples there are."""
        return {**self.facts(), "examples": self.examples, "tasks": self.finetune}

    def sizes(self) -> dict[str, object]:
        """What of :attr:`model` decides the weights: not what becomes a feature."""
        return self.model.model_dump(exclude={"pool"})

    def source_parts(self) -> tuple[str, ...]:
        """The modules of this package that trained weights depend on."""
        network, data = f"models.{self.architecture}", f"data.sets.{self.data.set}"
        return network, data, "training.text_losses", "training.checkpoints", "training.steps"

    def _shown(self) -> Texts:
        """The examples that pretraining sees."""
        parts = [self.texts(task, "pretrain", self.examples) for task in self.finetune]
        return Texts.of(pair for part in parts for pair in part.pairs())


class SmallT5(Network, Checked):
    """:func:`ctl_helpers.models.t5.small_t5`; the vocabulary is the tokenizer's."""

    architecture: Literal["t5"]
    width: int
    head_width: int
    inner: int
    layers: int
    decoder_layers: int | None = None
    heads: int
    buckets: int
    distance: int


class T5Setting(TextSetting):
    """A T5, pretrained by span corruption.

    Attributes:
        model: the sizes.
        corruption: how much of a document is taken out.
    """

    model: SmallT5
    corruption: Corruption

    def coder(self) -> Coder:
        """Prompts end with their end token, and are padded on the right."""
        tokenizer = framed(self.documents.tokenizer(), after=[END])
        return Coder(tokenizer, "right", self.longest)

    def build(self) -> nn.Module:
        """The network, with weights that nobody should use."""
        from ctl_helpers.models.t5 import small_t5

        sizes = self.model.model_dump(exclude={"architecture"})
        return small_t5(**sizes, vocabulary=self.documents.vocabulary())

    def pretraining_facts(self) -> dict[str, object]:
        """Those of every text setting, and the corruption."""
        return {**super().pretraining_facts(), "corruption": asdict(self.corruption)}

    def objective(self, seed: int, coder: Coder, documents: Sequence[str], shown: Texts) -> Loss:
        """Spans of documents are asked for."""
        return filling(coder, documents, shown, self.corruption, seed)


class SmallLlama(Network, Checked):
    """:func:`ctl_helpers.models.llama.small_llama`; the vocabulary is the tokenizer's."""

    architecture: Literal["llama"]
    width: int
    inner: int
    layers: int
    heads: int
    positions: int
    pool: Literal["last", "answer"] = "last"


class LlamaSetting(TextSetting):
    """A Llama, pretrained to continue documents.

    Attributes:
        model: the sizes, and what becomes a feature.
    """

    model: SmallLlama

    def coder(self) -> Coder:
        """A prompt stands between the start and the mark that asks for an answer, at the right."""
        tokenizer = framed(self.documents.tokenizer(), before=[START], after=[ANSWER])
        return Coder(tokenizer, "left", self.longest)

    def build(self) -> nn.Module:
        """The network, with weights that nobody should use."""
        from ctl_helpers.models.llama import small_llama

        sizes = self.model.model_dump(exclude={"architecture"})
        return small_llama(**sizes, vocabulary=self.documents.vocabulary())

    def objective(self, seed: int, coder: Coder, documents: Sequence[str], shown: Texts) -> Loss:
        """Each token from those before it."""
        return continuing(coder, documents, shown)
