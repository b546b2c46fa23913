"""Losses of text networks for training by steps: pretraining, and answers alone.

Each is the mean cross-entropy per token, and depends on the samples it is given alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.texts import Texts
from ctl_helpers.data.tokens import SENTINELS, START, Coder, Row
from ctl_helpers.training.steps import Loss


@dataclass(frozen=True)
class Corruption:
    """How much of a document span corruption takes out.

    Attributes:
        rate: share of the tokens; one at least.
        mean_span: tokens a span, on average.

    Raises:
        ValueError: a number that is none such, named with what it has to be.
    """

    rate: float = 0.15
    mean_span: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"rate is {self.rate!r} in a corruption; it has to be between 0 and 1")
        if not self.mean_span >= 1:
            raise ValueError(
                f"mean_span is {self.mean_span!r} in a corruption; it has to be 1 or more"
            )


def answering(coder: Coder, texts: Texts) -> Loss:
    """The loss of answers alone, for fine-tuning.

    Args:
        coder: makes tokens.
        texts: prompts and answers; a sample is one of them.
    """
    rows = coder.rows(texts)
    return _loss(coder, lambda chosen: [rows[number] for number in chosen])


def continuing(coder: Coder, documents: Sequence[str], examples: Texts) -> Loss:
    """Next-token prediction of whole documents.

    Args:
        coder: makes tokens.
        documents: the first samples, each between the tokens that start and end a text.
        examples: the samples after those; prompt and answer are one document.

    Raises:
        ValueError: a coder without the start token, or whose prompts do not begin with it.
    """
    start = coder.number(START)
    texts = [[start, *ids, coder.end] for ids in coder.plain(documents)]
    texts += [[*prompt, *answer] for prompt, answer in coder.rows(examples)]
    if any(ids[0] != start for ids in texts):
        raise ValueError(f"a prompt does not begin with {START!r}; frame the tokenizer with it")
    # What is predicted follows a prompt: here the start alone.
    rows = [(ids[:1], ids[1:]) for ids in texts]
    return _loss(coder, lambda chosen: [rows[number] for number in chosen])


def filling(
    coder: Coder, documents: Sequence[str], examples: Texts, corruption: Corruption, seed: int
) -> Loss:
    """T5's pretraining: spans of a document are taken out and asked for (Raffel et al. 2020).

    A batch draws its spans by its samples, so that a document is corrupted anew each time.

    Args:
        coder: makes tokens, and has the sentinels.
        documents: the first samples.
        examples: the samples after those, prompts with answers; nothing is taken out of them.
        corruption: how much is taken out.
        seed: decides which spans.

    Raises:
        ValueError: a document of fewer than two tokens, or of so many that sentinels run out.
    """
    texts = coder.plain(documents)
    sentinels = [coder.number(mark) for mark in SENTINELS]
    for document, ids in zip(documents, texts, strict=True):
        if len(ids) < 2 or _counts(len(ids), corruption)[1] >= len(sentinels):
            raise ValueError(
                f"the document {document[:40]!r} has {len(ids)} tokens: span corruption needs two "
                f"at least, and a sentinel for each span, of which there are {len(sentinels)}; "
                "divide documents"
            )
    rows = coder.rows(examples)

    def chosen_rows(chosen: Sequence[int]) -> list[Row]:
        rng = np.random.default_rng([seed, *chosen])
        return [
            corrupted(texts[number], corruption, sentinels, coder.end, rng)
            if number < len(texts)
            else rows[number - len(texts)]
            for number in chosen
        ]

    return _loss(coder, chosen_rows)


def corrupted(
    ids: Sequence[int],
    corruption: Corruption,
    sentinels: Sequence[int],
    end: int,
    rng: np.random.Generator,
) -> Row:
    """One document with spans taken out, and those as the answer.

    As in the published code of T5, kept and corrupted spans alternate, a kept one is first, and
    the document's end is always in the last corrupted one.

    Args:
        ids: a document's tokens, two at least.
        corruption: how much is taken out.
        sentinels: stand for the spans, one each, and one more ends the answer.
        end: the token at the end of both.
        rng: draws the spans.
    """
    taken, spans = _counts(len(ids), corruption)
    kept_lengths = _partition(len(ids) - taken, spans, rng)
    taken_lengths = _partition(taken, spans, rng)
    prompt: list[int] = []
    answer: list[int] = []
    place = 0
    for sentinel, kept, out in zip(sentinels, kept_lengths, taken_lengths, strict=False):
        prompt += [*ids[place : place + kept], sentinel]
        answer += [sentinel, *ids[place + kept : place + kept + out]]
        place += kept + out
    return [*prompt, end], [*answer, sentinels[spans], end]


def _counts(length: int, corruption: Corruption) -> tuple[int, int]:
    """How many tokens are taken out, in how many spans, so that as many can be kept."""
    taken = min(max(round(length * corruption.rate), 1), length - 1)
    spans = max(round(taken / corruption.mean_span), 1)
    return taken, min(spans, length - taken)


def _partition(total: int, parts: int, rng: np.random.Generator) -> list[int]:
    """Lengths of parts, one or more each, any partition as likely as another."""
    cuts = np.sort(rng.permutation(total - 1)[: parts - 1]) + 1
    return np.diff([0, *cuts, total]).tolist()


def _loss(coder: Coder, rows: Callable[[Sequence[int]], Sequence[Row]]) -> Loss:
    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        keywords, targets = coder.padded(rows(chosen.tolist()))
        keywords = {name: value.to(chosen.device) for name, value in keywords.items()}
        logits = model(**keywords)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten().to(chosen.device))

    return loss
