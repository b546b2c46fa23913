"""What the page on split ResNets says of two protocols, and of the MLPs of Section 4.1."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.cross_task import (
    common_logits,
    control_length,
    loss_rise,
    tuned_accuracy,
)
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.linearity import epsilon
from ctl_helpers.findings.sentences.predictions import pairwise
from ctl_helpers.findings.words import cells, mark, markdown_table, number_table
from ctl_helpers.results.labels import Control

Panels = Mapping[str, str]

_MASKED, _USUAL = "tinyimagenet-resnet18", "tinyimagenet-resnet18-usual"


def protocol(
    accuracy: pd.DataFrame,
    barriers: pd.DataFrame,
    controls: pd.DataFrame,
    common: pd.DataFrame,
    panels: Panels,
) -> str:
    """What masked heads and the order of a block change, as a table, a row a setting."""
    kept = tuned_accuracy.by_setting(accuracy, task="pretraining")
    shared = common_logits.by_setting(common)
    columns = {
        "own task": tuned_accuracy.by_setting(accuracy, task="own"),
        "pretraining task": kept,
        "rise of its loss": loss_rise.by_setting(barriers, tasks="pretraining"),
        "ε, mean": epsilon.by_setting(controls, at="mean"),
        "ε, largest": epsilon.by_setting(controls, at="worst"),
        "ε apart": epsilon.by_setting(controls, control=Control.APART, at="worst"),
        "length": control_length.by_setting(controls, control=Control.TASK_VECTORS),
        "common part": shared,
    }
    lines = [
        [title, *(mark(of[name]) if name in of else "–" for of in columns.values())]
        for name, title in panels.items()
    ]
    told = markdown_table(["setting", *columns], lines)
    if not {_MASKED, _USUAL} <= set(panels):
        return f"{told}\n\nOne of the two readings was not run. So the prediction is open."
    lost, alike = (
        signed_words(of[_USUAL], of[_MASKED], *words)
        for of, words in ((kept, ("wrong", "right", "open")), (shared, ("right", "wrong", "open")))
    )
    worst = columns["ε, largest"]
    return (
        f"{told}\n\nThe prediction that networks without a mask are lost on the pretraining task "
        f"is {lost}: {mark(kept[_USUAL])}, against {mark(kept[_MASKED])}. That a large part of "
        f"their logits is common to all images is {alike}: {mark(shared[_USUAL])} against "
        f"{mark(shared[_MASKED])}. Features {_nearer_to_linear(worst[_USUAL], worst[_MASKED])}."
    )


def _nearer_to_linear(usual: Finding, masked: Finding) -> str:
    word = signed_words(
        usual, masked, "are less linear", "are more linear", "are not told apart by ε"
    )
    return f"{word} at the block where it is largest"


def beside_mlps(controls: pd.DataFrame, panels: Panels) -> str:
    """ε of the MLPs beside that of the ResNets, and whether these are less linear."""
    worst = epsilon.by_setting(controls, at="worst")
    mlps, resnets = (
        {name: worst[name] for name in panels if name in worst and kind in name}
        for kind in ("mlp", "resnet")
    )
    shown = {name: title for name, title in panels.items() if name in mlps | resnets}
    rows = {
        f"ε, {where}": cells(shown, epsilon, controls, at=at)
        for at, where in (("mean", "mean over layers"), ("worst", "where it is largest"))
    }
    return (
        f"ε of task vectors in MLPs ({{doc}}`4_1`) and in ResNets:{number_table(shown, rows)}"
        "The prediction is that ResNets are less linear, where ε is largest. "
        f"{pairwise(mlps, resnets, 'an MLP and a ResNet')}"
    )
