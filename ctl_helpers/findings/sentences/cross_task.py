"""What the pages and the notebook on Section 4.1 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.cross_task import (
    NO_BUMP,
    common_logits,
    control_length,
    layer_distance,
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
from ctl_helpers.findings.linearity import epsilon, special_ratio
from ctl_helpers.findings.transitivity import (
    TRIANGLE,
    counterexamples,
    counterexamples_apart,
    mixed_over_parts,
    nonlinear_thirds,
    premise_rank,
    worst_ratio,
)
from ctl_helpers.findings.words import LINEAR, by_panel, mark, markdown_table, plain, quote, said
from ctl_helpers.results.labels import Control

Panels = Mapping[str, str]

_STEM, _LAST_BLOCK, _OUTPUT = "stem", "layer4.1", "linear"


def networks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """How good fine-tuned networks are on their own task, on others' and on the first one."""
    own, other, start = (
        said(panels, tuned_accuracy, accuracy, task=task)
        for task in ("own", "other", "pretraining")
    )
    return (
        f"On its own task a fine-tuned network is right on {own} of test images, on another "
        f"network's task on {other}: no stage of its training had those classes. On the "
        f"pretraining task it is right on {start}: what pretraining taught the head, fine-tuning "
        "has undone."
    )


def loss(barriers: pd.DataFrame, panels: Panels) -> str:
    """How far the loss rises, and that it mostly stays under its chord."""
    return (
        "In the median the loss rises over its better end by "
        f"{said(panels, loss_rise, barriers)}. But look at the shape. In "
        f"{said(panels, lines_without_bump, barriers)} of all lines (seed, pair, task) the loss "
        f"exceeds the straight line between its two ends nowhere by more than {NO_BUMP:g} nats; "
        f"the largest excess is {said(panels, loss_barrier, barriers, at='most')}. **On those "
        "lines LMC fails because the ends differ, not because of a bump between them.** In the "
        "strict sense of a barrier {cite}`frankle2020lmc,entezari2022permutation` the claim would "
        "not hold here. That fits what comes next: cross-entropy is convex in the logits, so where "
        "the logits mix linearly the loss stays under its chord."
    )


def loss_by_task(barriers: pd.DataFrame, panels: Panels) -> str:
    """How far the loss rises on both tasks and on the pretraining task, and over its chord."""
    both, start = (
        said(panels, loss_rise, barriers, tasks=tasks) for tasks in ("both", "pretraining")
    )
    return (
        f"On the two tasks the loss rises over its better end by {both}, on the pretraining task "
        f"by {start} (medians). Over the straight line between its ends it rises by at most "
        f"{said(panels, loss_barrier, barriers, at='most')}."
    )


def direction(direction: pd.DataFrame, panels: Panels, *, blocks: bool = False) -> str:
    """How near features are to linear; then how sure that is, or how it fades with depth.

    Args:
        direction: distance and baseline by pair, α and layer.
        panels: setting → panel title.
        blocks: whether layers are the blocks of a ResNet, whose depth matters.
    """
    text = (
        f"At α = ½, in the median over {'blocks' if blocks else 'layers'} and pairs, the baseline "
        f"is {said(panels, times_nearer, direction)} the distance"
        f"{_seed_by_seed(panels, times_nearer, direction)}."
    )
    if not blocks:
        return (
            f"{text} Sample by sample: in {said(panels, quartiles_apart, direction)} of all cases "
            "(seed, pair, α, layer) the distance's upper quartile is below the baseline's lower "
            "quartile. (The worst quarter of the samples is not looked at here.)"
        )
    layers = (_STEM, _LAST_BLOCK)
    first, last = (said(panels, layer_distance, direction, layer=layer) for layer in layers)
    start, end = (said(panels, times_nearer, direction, at=layer) for layer in layers)
    return (
        f"{text} By depth: from the stem to the last block the mean distance goes from {first} to "
        f"{last}, and the ratio at α = ½ from {start} to {end}. A network that just had the "
        "feature of one of its ends would reach nearly 4."
    )


def lengths(direction: pd.DataFrame, panels: Panels, *, blocks: bool = False) -> str:
    """How long features are, and in which layers; arguments as for :func:`direction`."""
    if not blocks:
        middle, least = (said(panels, length, direction, at=at) for at in ("median", "least"))
        return (
            f"In the median over layers, pairs and α the mean is {middle}; where it is lowest, "
            f"{least}. It is under 1 in {said(panels, too_short, direction)} of cases (pair, α, "
            "layer, seed), where mixed networks come out *too short*. In the first layer they "
            "must: before the ReLU the features mix exactly, and the ReLU of a mean is at most the "
            "mean of the ReLUs, so a unit that fires for one network alone loses length in the mix."
        )
    early, last, output = (
        said(panels, length, direction, at=at) for at in ("early", _LAST_BLOCK, _OUTPUT)
    )
    return (
        f"Before the last two blocks the mean length is {early} or more, at the last block {last} "
        f"and at the output {output}{_seed_by_seed(panels, length, direction, at=_OUTPUT)}. In "
        "networks that are trained for ten epochs on a few classes, *approximately equal* "
        "describes the blocks up to the third stage, and not the last ones."
    )


def what_controls_show(controls: pd.DataFrame, panels: Panels) -> str:
    """ε of task vectors and of each control where it is largest, and how special vectors are."""
    own, apart, random, other = (
        said(panels, epsilon, controls, control=control, at="worst") for control in Control
    )
    return (
        f"At the layer where ε is largest for fine-tuned networks, it is {own}. Networks "
        f"pretrained apart have {apart} there, features of other samples {other}: the farther "
        f"these are over it, the more a shared start has to do with it. Random vectors that move "
        f"features as far have {random}; over all layers ε of task vectors is "
        f"{said(panels, special_ratio, controls)} times that of random ones. Under 1, the vectors "
        "that training finds are more linear than others of their effect; near 1, any vector "
        "would do."
    )


def lengths_of_controls(controls: pd.DataFrame, panels: Panels) -> str:
    """How long features are at the output, of task vectors and of each control."""
    own, apart, random, other = (
        said(panels, control_length, controls, control=control) for control in Control
    )
    return (
        f"At the output the mean length is {own} with shared pretraining, {apart} when pretrained "
        f"apart, {random} for random vectors and {other} for other samples, whose features are as "
        "long as the right ones and lose what their direction loses."
    )


def common_part(common: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """How much of the logits is common to all samples, and what other samples show for it."""
    other = said(panels, epsilon, controls, control=Control.OTHER_SAMPLES, at="last")
    return (
        f"The mean over a task's images makes {said(panels, common_logits, common)} of the logits' "
        f"squared length. At the output, other samples have an ε of {other}: ε counts only what "
        "tells the two networks apart, and that may be common to all samples, too."
    )


def valley_between(paths: pd.DataFrame, panels: Panels) -> str:
    """Whether the loss on the pretraining task falls half way between two networks."""
    chord, ends = (said(panels, valley, paths, under=under) for under in ("chord", "ends"))
    return (
        "On the pretraining task look at the middle of the line. Half way the loss is under the "
        f"mean of both ends by {chord}, and under the better end by {ends} (medians over pairs; a "
        "negative number is over it). Where both are positive the line runs through a valley: a "
        "network that was fine-tuned on neither knows more of what both came from than either."
    )


def protocol(
    accuracy: pd.DataFrame, barriers: pd.DataFrame, controls: pd.DataFrame, panels: Panels
) -> str:
    """What masked heads and the order of a block change, as a table, a row a setting."""
    columns = {
        "own task": tuned_accuracy.by_setting(accuracy, task="own"),
        "pretraining task": tuned_accuracy.by_setting(accuracy, task="pretraining"),
        "rise of the loss": loss_rise.by_setting(barriers),
        "ε, mean": epsilon.by_setting(controls, at="mean"),
        "ε, largest": epsilon.by_setting(controls, at="worst"),
        "ε apart": epsilon.by_setting(controls, control=Control.APART, at="worst"),
        "length": control_length.by_setting(controls, control=Control.TASK_VECTORS),
    }
    lines = [
        [title, *(mark(of[name]) if name in of else "–" for of in columns.values())]
        for name, title in panels.items()
    ]
    return markdown_table(["setting", *columns], lines)


def transitivity(triples: pd.DataFrame, panels: Panels) -> str:
    """The constant of Conjecture 4.1 against a triangle's."""
    return (
        "The third pair's squared error is at most "
        f"{said(panels, worst_ratio, triples)} the larger of the two given ones. Points that lie "
        f"as far apart as their pairs' errors say could make it {TRIANGLE:g} times."
    )


def thresholds(triples: pd.DataFrame, lemmas: pd.DataFrame, panels: Panels) -> str:
    """How often Conjecture 4.1 fails as a yes or no, what its premise says, and the lemmas."""
    near, fixed = (
        said(panels, counterexamples, triples, limit=limit) for limit in ("twice near", "fixed")
    )
    apart = counterexamples_apart.by_setting(triples)
    whose = f" Of those, {quote(panels, apart)} have a network pretrained apart." if apart else ""
    return (
        "As a yes or no the conjecture is less comfortable. Call a pair linear when its ε is at "
        "most twice the largest among near tasks; of the triples with two linear pairs given, the "
        f"third is then not linear in {near}. Where the line is drawn at an ε of {LINEAR:g}, it is "
        f"{fixed}.{whose} Errors grow by degrees, and a threshold cuts somewhere.\n\n"
        "**How much is that worth?** Of all triples "
        f"{said(panels, nonlinear_thirds, triples)} have a third pair over that line; where that "
        "is none, the conjecture could not fail. Among networks of one pretraining the rank "
        "correlation of given and third error is "
        f"{said(panels, premise_rank, triples)}. (Errors that have nothing to do with each other "
        "give a little less than 0, since the triples of three networks share their pairs.) And a "
        "network pretrained apart mostly spoils both of its pairs at once, so that the premise "
        "fails with the conclusion.\n\n"
        "Lemmas B.2 and B.3 pass the property on to mixes: a mix of linear networks should be "
        "linear with its parts. The largest error of such a mixed pair is "
        f"{said(panels, mixed_over_parts, lemmas)} the largest error of any pair of these networks."
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
    return (
        f"- Loss: {said(panels, lines_without_bump, barriers)} of all lines stay within "
        f"{NO_BUMP:g} nats of the chord between their ends or below it. Over its better end the "
        f"loss rises by {said(panels, loss_rise, barriers)} in the median; on the pretraining task "
        f"it is {said(panels, valley, paths)} under its chord half way.\n"
        f"- Features: at the layer where it is largest, ε is {own}, against {apart} pretrained "
        f"apart and {random} for random vectors of equal effect.\n"
        "- Transitivity is a matter of degree: the third pair's squared error is at most "
        f"{said(panels, worst_ratio, triples)} the larger given one, and a yes or no depends on "
        "the threshold."
    )


def _seed_by_seed(panels: Panels, measure: Measure, table: pd.DataFrame, **arguments: str) -> str:
    """The range over seeds of settings that have several."""
    ranges = {}
    for name, rows in table.groupby("setting"):
        values = [measure(part, **arguments).effect for _, part in rows.groupby("seed")]
        if len(values) > 1:
            ranges[str(name)] = f"{plain(min(values))} to {plain(max(values))}"
    return f"; seed by seed, {by_panel(panels, ranges)}" if ranges else ""
