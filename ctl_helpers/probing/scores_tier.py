"""Tier 2's scores: the perplexity of the mix on a text, and its accuracy where there are labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ctl_helpers.engine.evaluate import Evaluation, evaluate
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.scoring import Heads
from ctl_helpers.probing import limits
from ctl_helpers.probing.curves import AVERAGE, REACHES, Rows
from ctl_helpers.probing.linearity_tier import Setup
from ctl_helpers.probing.remarks import Grade, Remark


def _asked(setup: Setup) -> list[Evaluation]:
    """BASE, each checkpoint, and the mix of all at every λ."""
    single = [
        Evaluation({name: 1.0}, None, {"network": name, "lam": math.nan}) for name in setup.states
    ]
    k = len(setup.names)
    mixes = [
        Evaluation(
            edit(setup.base, dict.fromkeys(setup.names, reach / k)),
            None,
            {"network": "mix", "lam": reach / k},
        )
        for reach in REACHES
    ]
    return [*single, *mixes]


def _logits(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.logits


def perplexities(setup: Setup) -> Rows:
    """``exp`` of the mean loss of a token, for a network that predicts the next one.

    The batches' targets are the tokens after the first, shape (samples, tokens − 1).
    """
    tokens = setup.batches[0][1].shape[1]
    heads: Heads = {None: lambda output: _before_the_last(_logits(output), tokens)}
    table = evaluate(
        setup.model, setup.states, _asked(setup), setup.batches, None, heads, stream=setup.stream
    )
    return [
        {"network": row["network"], "lam": row["lam"], "perplexity": _exp(row["loss"] / tokens)}
        for row in table.to_dict("records")
    ]


def _before_the_last(logits: Tensor, tokens: int) -> Tensor:
    """Those that predict a token which is there; a network in stages gives no others."""
    return logits[:, :tokens]


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 100 else math.inf


def accuracies(setup: Setup) -> Rows:
    """Accuracy and mean loss on the labels."""
    table = evaluate(
        setup.model,
        setup.states,
        _asked(setup),
        setup.batches,
        None,
        {None: _logits},
        stream=setup.stream,
    )
    return table[["network", "lam", "accuracy", "loss"]].to_dict("records")


def remarks(scores: Mapping[str, Rows], k: int) -> Iterator[Remark]:
    """What the scores of the average say.

    Args:
        scores: ``"perplexity"`` and ``"accuracy"`` → rows, as far as they were measured.
        k: how many task vectors are mixed.
    """
    for measure, rows in scores.items():
        (mix,) = [
            row[measure]
            for row in rows
            if row["network"] == "mix" and math.isclose(row["lam"], AVERAGE / k)
        ]
        parts = [row[measure] for row in rows if row["network"] != "mix"]
        about = "the average of all"
        if measure == "perplexity":
            worst = max(parts)
            fact = f"has a perplexity of {mix:.3g} where the parts have at most {worst:.3g}"
            remedy = "try a smaller λ, or leave out the layers that break"
            grave = not mix <= limits.PERPLEXITY * worst
        else:
            mean = sum(parts[1:]) / len(parts[1:])
            fact = f"has an accuracy of {mix:.0%} where the checkpoints have {mean:.0%} on average"
            remedy = "compare on each task's own data, and try other λ"
            grave = mix < limits.ACCURACY * mean
        grade: Grade = "doubt" if grave else "note"
        yield Remark(measure, grade, about, fact, remedy if grave else "")
