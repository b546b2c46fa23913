"""Settings whose networks are fine-tuned under frozen heads that the pretrained one makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor

from ctl_helpers.data.dataset import PromptedSet
from ctl_helpers.models.heads import LikenessHead, ZeroShotHead, class_vectors
from ctl_helpers.settings.tuned import Tuned

Embed = Callable[[Sequence[str]], Tensor]
"""Texts → embeddings (texts, width)."""

Head = Callable[[Any], Tensor]


class ZeroShot(Tuned):
    """A setting whose heads are made of class names, by the pretrained network, and stay frozen.

    Attributes:
        logit_scale: the factor on the cosines in the heads.
    """

    logit_scale: float

    @abstractmethod
    def embedder(self, seed: int) -> Embed:
        """What the pretrained network makes of prompts."""

    def facts(self) -> dict[str, object]:
        """The scale of the logits."""
        return {"logit scale": self.logit_scale}

    def heads(self, seed: int, tasks: Sequence[str]) -> dict[str, Head]:
        """The head of each task, from all templates; a task without classes is of pairs."""
        embed, data = self.embedder(seed), cast(PromptedSet, self.data.module)
        heads: dict[str, Head] = {}
        for task in tasks:
            names = data.class_names(task)
            if names:
                forms = data.templates(task)
                prompts = ([form.format(name) for form in forms] for name in names)
                heads[task] = ZeroShotHead(class_vectors(embed, prompts), self.logit_scale)
            else:
                heads[task] = LikenessHead()
        return heads
