"""The tensor that stands for an output with several parts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import transformers
from conftest import refused
from torch import Tensor

from ctl_helpers.engine.outputs import feature_in


@dataclass
class Detected:
    boxes: Tensor
    scores: Tensor


@dataclass
class Encoded:
    states: Tensor
    length: int = 1


X = torch.arange(6.0).view(3, 2)


@pytest.mark.parametrize(
    "output",
    [
        X,
        (X, None),
        [X, 2 * X],
        {"only": X, "length": 3},
        {"loss": 2 * X, "last_hidden_state": X, "logits": 3 * X},
        {"loss": 2 * X, "logits": X},
        {"out": X, "aux": 2 * X},
        transformers.modeling_outputs.BaseModelOutputWithPooling(X, 2 * X),
        (transformers.modeling_outputs.BaseModelOutput(X), 1),
        Encoded(X),
    ],
)
def test_the_feature_in_an_output(output: object) -> None:
    assert feature_in(output, "0") is X


@pytest.mark.parametrize(
    ("output", "pattern"),
    [
        ({"boxes": X, "scores": X}, r"'block' gives dict with \['boxes', 'scores'\]"),
        (Detected(X, X), "'block' gives a Detected"),
        ((), "'block' gives a tuple"),
        (None, "'block' gives a NoneType"),
        (torch.tensor(1.0), "'block' gives one number for a whole batch"),
    ],
)
def test_an_output_without_a_feature_is_refused(output: object, pattern: str) -> None:
    with refused(TypeError, pattern, "tap a layer inside it"):
        feature_in(output, "block")
