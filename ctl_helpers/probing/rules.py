"""What a probe looks at: a line on each rule. Tests trip every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """One question of a probe.

    Attributes:
        tier: 0 for headers and configurations, 1 for weights, 2 for forward passes.
        asks: what it asks, in words.
    """

    tier: Literal[0, 1, 2]
    asks: str


RULES: Mapping[str, Rule] = {
    "file": Rule(0, "Is each weight file there, whole, and weights alone?"),
    "shards": Rule(0, "Are all shards there, and does the index say what is in them?"),
    "names": Rule(0, "Has each checkpoint BASE's tensors, and no others?"),
    "shape": Rule(0, "Has each tensor BASE's shape?"),
    "head": Rule(0, "Are there heads of other names or sizes, which a merge leaves out?"),
    "type": Rule(0, "Are the numbers of types that can be mixed, and of one type?"),
    "quantized": Rule(0, "Are weights stored as integers with scales?"),
    "adapter": Rule(0, "Is it an adapter, and does it fit BASE?"),
    "config": Rule(0, "Do configurations agree in what changes the function?"),
    "vocabulary": Rule(0, "Is the same id the same string?"),
    "tokenizer": Rule(0, "Are texts cut by the same rules?"),
    "memory": Rule(0, "Does a merge fit into this machine's memory?"),
    "finite": Rule(1, "Are all numbers finite?"),
    "pretraining": Rule(1, "Does each checkpoint come from BASE?"),
    "equal": Rule(1, "Is a checkpoint BASE itself, or equal to another?"),
    "length": Rule(1, "How long is each task vector, beside BASE and beside the others?"),
    "angle": Rule(1, "Do task vectors point apart, alike or against one another?"),
    "signs": Rule(1, "In how much of their magnitude do task vectors disagree in sign?"),
    "headroom": Rule(1, "Do weights of the mix fit into half precision?"),
    "run": Rule(2, "Could the networks be run, and on what?"),
    "linear": Rule(2, "Up to which λ are the mix's features the mix of features, layer by layer?"),
    "record": Rule(2, "How often did such an ε go with a merge that keeps its parts' accuracy?"),
    "control": Rule(2, "Are task vectors more linear than random vectors of the same effect?"),
    "statistics": Rule(2, "Does it help to recompute BatchNorm's statistics?"),
    "perplexity": Rule(2, "Does the mix still predict the text?"),
    "accuracy": Rule(2, "Does the mix still know the labels?"),
}
