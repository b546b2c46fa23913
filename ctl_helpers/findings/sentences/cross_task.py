"""What the pages and the notebook on Section 4.1 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.cross_task import (
    NO_BUMP,
    common_logits,
    control_length,
    length,
    lines_without_bump,
    loss_barrier,
    loss_rise,
    quartiles_apart,
    times_nearer,
    too_short,
    tuned_accuracy,
    valley,
)
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.linearity import controls_in, epsilon, special_ratio
from ctl_helpers.findings.transitivity import worst_ratio
from ctl_helpers.findings.words import (
    cells,
    number_table,
    plain,
    said,
)
from ctl_helpers.results.labels import Control

Panels = Mapping[str, str]

_WHOSE = {"own": "its own", "other": "another network's", "pretraining": "the pretraining"}
_STEM, _LAST_BLOCK, _OUTPUT = "stem", "layer4.1", "linear"


def networks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """How good fine-tuned networks are on their own task, on others' and on the first one."""
    rows = {
        f"on {whose} task": cells(panels, tuned_accuracy, accuracy, task=task)
        for task, whose in _WHOSE.items()
    }
    return (
        "The share of test samples that a fine-tuned network gets right. It was never trained on "
        "the classes of another network's task, and may have lost those of the pretraining task."
        f"{number_table(panels, rows)}"
    )


def loss(barriers: pd.DataFrame, panels: Panels) -> str:
    """How far the loss rises, and that it mostly stays under its chord."""
    both, start = (
        cells(panels, loss_rise, barriers, tasks=tasks) for tasks in ("both", "pretraining")
    )
    rows = {
        "rise on the two tasks, median": both,
        "rise on the pretraining task, median": start,
        f"lines with a barrier up to {NO_BUMP:g} nats": cells(panels, lines_without_bump, barriers),
        "largest barrier, mean over seeds": cells(panels, loss_barrier, barriers, at="most"),
    }
    return (
        "The *rise* is how far the loss gets above that of the better end, the network with the "
        "lower loss. The *barrier* is how far it gets above the chord, which joins the losses of "
        "both ends {cite}`frankle2020lmc,entezari2022permutation`. There is one line per seed, "
        f"pair and task.{number_table(panels, rows)}"
        "**Where LMC fails without a barrier, it is because the ends differ, not because of a bump "
        "between them.** That fits what comes next: cross-entropy is convex in the logits, so "
        "where the logits mix linearly the loss stays under the chord."
    )


def valley_between(paths: pd.DataFrame, panels: Panels) -> str:
    """Whether the loss on the pretraining task falls half way between two networks."""
    rows = {
        "below the mean of both ends": cells(panels, valley, paths, under="chord"),
        "below the better end": cells(panels, valley, paths, under="ends"),
    }
    return (
        "Now look at the middle of the line on the pretraining task. How far is the loss at "
        "$\\alpha = \\frac12$ below that of the ends? (Medians over pairs; where a number is "
        f"negative, the loss is higher.){number_table(panels, rows)}"
        "Where both numbers are positive the line runs through a valley: the mixed network is "
        "better on the pretraining task than either of the two."
    )


def direction(direction: pd.DataFrame, panels: Panels, *, blocks: bool = False) -> str:
    """How near features are to linear; then how sure that is, or how it fades with depth.

    Args:
        direction: distance and baseline by pair, α and layer.
        panels: setting → panel title.
        blocks: whether layers are the blocks of a ResNet, whose depth matters.
    """
    layers = "blocks" if blocks else "layers"
    rows = {
        f"median over {layers} and pairs": cells(panels, times_nearer, direction),
        "the same, seed by seed": _seed_by_seed(panels, times_nearer, direction),
    }
    text = "The baseline over the distance at $\\alpha = \\frac12$; more is more linear."
    if not blocks:
        rows["cases whose quartiles are apart"] = cells(panels, quartiles_apart, direction)
        return (
            f"{text}{number_table(panels, rows)}"
            "The last row looks at the spread over samples: in how many cases (seed, pair, α, "
            "layer) is the distance's upper quartile below the baseline's lower quartile? It "
            "leaves out the worst quarter of the samples."
        )
    for name, layer in (("at the stem", _STEM), ("at the last block", _LAST_BLOCK)):
        rows[name] = cells(panels, times_nearer, direction, at=layer)
    return (
        f"{text}{number_table(panels, rows)}"
        "A mixed network that just had the feature of one of the two would reach nearly 4. Under "
        "that mark, its features point farther away from the mix than the two networks' own do. ε "
        "can be under 1 all the same: it looks at lengths, too, and long features count for more."
    )


def lengths(direction: pd.DataFrame, panels: Panels, *, blocks: bool = False) -> str:
    """How long features are, and in which layers; arguments as for :func:`direction`."""
    if not blocks:
        rows = {
            "median over layers, pairs and α": cells(panels, length, direction, at="median"),
            "least": cells(panels, length, direction, at="least"),
            "cases under 1": cells(panels, too_short, direction),
        }
        return (
            "The mean of coef over samples, one case per seed, pair, α and layer."
            f"{number_table(panels, rows)}"
            "Below 1, the mixed network's features are *too short*. In the first layer they must "
            "be. Before the ReLU the features mix exactly, and the ReLU of a mean is at most the "
            "mean of the ReLUs. So a unit that fires for one network alone loses length."
        )
    half = {"alpha": 0.5}
    rows = {
        "before the last two blocks, least": cells(panels, length, direction, at="early", **half),
        "at the last block": cells(panels, length, direction, at=_LAST_BLOCK, **half),
        "at the output": cells(panels, length, direction, at=_OUTPUT, **half),
        "at the output, seed by seed": _seed_by_seed(panels, length, direction, at=_OUTPUT, **half),
    }
    return (
        "The mean of coef over samples and pairs, at $\\alpha = \\frac12$. Below 1, the mixed "
        f"network's features are too short.{number_table(panels, rows)}"
    )


def what_controls_show(controls: pd.DataFrame, panels: Panels) -> str:
    """ε of task vectors and of each control where it is largest, and how special vectors are."""
    rows = {
        str(control): cells(panels, epsilon, controls, control=control, at="worst")
        for control in controls_in(controls)
    }
    rows["task vectors over random vectors, all layers"] = cells(panels, special_ratio, controls)
    return (
        "ε at the layer where it is largest for task vectors. The larger it is for networks "
        "pretrained apart, the more a shared start has to do with it. With other samples it has to "
        "be large: these are features that have nothing to do with each other."
        f"{number_table(panels, rows)}"
        "The last row divides by the ε of random vectors that move features as far, over all "
        "layers and not at the worst alone. Below 1, task vectors are more linear than these, but "
        "above ¾ by too little to call them special."
    )


def lengths_of_controls(controls: pd.DataFrame, panels: Panels) -> str:
    """How long features are at the output, of task vectors and of each control."""
    rows = {
        str(one): cells(panels, control_length, controls, control=one)
        for one in controls_in(controls)
    }
    return (
        "The mean of coef at the output, at $\\alpha = \\frac12$. It is small where the two sides "
        "point in different directions, however long they are."
        f"{number_table(panels, rows)}"
    )


def common_part(common: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """How much of the logits is common to all samples, and what other samples show for it."""
    rows = {
        "common part of the logits, of their squared length": cells(panels, common_logits, common),
        "ε with other samples, at the output": cells(
            panels, epsilon, controls, control=Control.OTHER_SAMPLES, at="last"
        ),
    }
    return (
        "The mean of the logits over a task's samples is that common part. ε compares with what "
        "differs between the two networks; some of that may be common to all samples, too."
        f"{number_table(panels, rows)}"
    )


def summary(
    barriers: pd.DataFrame,
    paths: pd.DataFrame,
    controls: pd.DataFrame,
    triples: pd.DataFrame,
    panels: Panels,
) -> str:
    """What was seen of loss, features and transitivity, an item each."""
    own, apart, random = (
        said(panels, epsilon, controls, control=control, at="worst")
        for control in (Control.TASK_VECTORS, Control.APART, Control.RANDOM)
    )
    both, start = (
        said(panels, loss_rise, barriers, tasks=tasks) for tasks in ("both", "pretraining")
    )
    return (
        f"- Loss: at its highest, ends included, it is {both} above that of the better end on the "
        f"two tasks, and {start} on the pretraining task (medians). On the pretraining task it is, "
        f"half way, {said(panels, valley, paths)} below the mean of both ends. Of all lines "
        f"{said(panels, lines_without_bump, barriers)} stay within {NO_BUMP:g} nats of the chord "
        "or below it.\n"
        f"- Features: at the layer where it is largest, ε is {own}, against {apart} pretrained "
        f"apart and {random} for random vectors of equal effect.\n"
        "- Transitivity is a matter of degree: the third pair's squared error is at most "
        f"{said(panels, worst_ratio, triples)} the larger given one, and a yes or no depends on "
        "the threshold."
    )


def _seed_by_seed(
    panels: Panels, measure: Measure, table: pd.DataFrame, **arguments: object
) -> list[str]:
    """The range over seeds in each panel; a dash where there is one seed."""
    ranges = []
    for name in panels:
        rows = table[table["setting"] == name]
        values = [measure(part, **arguments).effect for _, part in rows.groupby("seed")]
        ends = f"{plain(min(values))} to {plain(max(values))}" if len(values) > 1 else "–"
        ranges.append(ends)
    return ranges
