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
    times_farther,
    times_nearer,
    too_short,
    tuned_accuracy,
)
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.transitivity import (
    LINEAR,
    counterexamples,
    counterexamples_apart,
    mixed_over_parts,
    premise_rank,
    worst_ratio,
)
from ctl_helpers.findings.words import by_panel, plain, quote, said
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
        "The loss is far from flat: in the median it rises over its better end by "
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
            f"{text} Nor is it a matter of the mean: in {said(panels, quartiles_apart, direction)} "
            "of all cases (seed, pair, α, layer) the distance's upper quartile is below the "
            "baseline's lower quartile. (The worst quarter of the samples is not looked at here.)"
        )
    layers = (_STEM, _LAST_BLOCK)
    first, last = (said(panels, layer_distance, direction, layer=layer) for layer in layers)
    start, end = (said(panels, times_nearer, direction, at=layer) for layer in layers)
    return (
        f"{text} But linearity fades with depth. From the stem to the last block the mean distance "
        f"grows from {first} to {last}, and the ratio at α = ½ falls from {start} to {end}. A "
        "network that just had the feature of one of its ends would reach nearly 4."
    )


def lengths(direction: pd.DataFrame, panels: Panels, *, blocks: bool = False) -> str:
    """How long features are, and in which layers; arguments as for :func:`direction`."""
    if not blocks:
        middle, least = (said(panels, length, direction, at=at) for at in ("median", "least"))
        return (
            f"In the median over layers, pairs and α the mean is {middle}; where it is lowest, "
            f"{least}. It is under 1 in {said(panels, too_short, direction)} of cases (pair, α, "
            "layer, seed): mixed networks come out a little *too short*. In the first layer they "
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


def what_controls_show(direction: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """That networks pretrained apart are under their baseline, too, and what gives them away."""
    apart = said(panels, times_nearer, controls, control=Control.APART)
    return (
        "They do break it, and they show which evidence to trust. **Being far under the baseline "
        "is not enough**: networks pretrained apart, too, have distances under their baseline, by "
        f"{apart} in the median, against {said(panels, times_nearer, direction)} with shared "
        "pretraining (all at α = 0.5). A mean of two features resembles each of its parts; and in "
        "the first layer the features before the ReLU mix exactly, for *any* two networks. What "
        "tells the two cases apart is the distance itself in the deeper layers, and above all the "
        "length."
    )


def at_the_output(controls: pd.DataFrame, panels: Panels) -> str:
    """How far controls are from linear at the output, and how long."""
    apart, other = (
        said(panels, times_farther, controls, control=control)
        for control in (Control.APART, Control.OTHER_SAMPLES)
    )
    long, short, random_length, other_length = (
        said(panels, control_length, controls, control=control) for control in Control
    )
    return (
        f"At the output, networks pretrained apart are {apart} as far from linear as those with "
        f"shared pretraining, and the features of other samples {other} (medians over pairs); the "
        f"lengths are {long} with shared pretraining, {short} when pretrained apart, "
        f"{random_length} for random vectors and {other_length} for other samples. The claim "
        "[null](claims.md) is judged there, as was fixed beforehand."
    )


def common_part(common: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """How much of the logits is common to all samples, and what the last block tells apart."""
    kind = {"control": Control.OTHER_SAMPLES, "layer": _LAST_BLOCK}
    return (
        f"The mean over a task's images makes {said(panels, common_logits, common)} of the logits' "
        "squared length. Looked at afterwards, the last block tells the control apart where the "
        "output hardly does: there, other samples are "
        f"{said(panels, times_farther, controls, **kind)} as far from linear."
    )


def transitivity(triples: pd.DataFrame, panels: Panels) -> str:
    """The largest error of a third pair."""
    return (
        f"The third pair's error is at most {said(panels, worst_ratio, triples)} the larger of the "
        "two given ones."
    )


def thresholds(triples: pd.DataFrame, lemmas: pd.DataFrame, panels: Panels) -> str:
    """How often Conjecture 4.1 fails as a yes or no, what its premise says, and the lemmas."""
    near, fixed = (
        said(panels, counterexamples, triples, limit=limit) for limit in ("twice near", "fixed")
    )
    apart = counterexamples_apart.by_setting(triples)
    whose = (
        f" Of those, {quote(panels, apart)} have a network pretrained apart, whose pairs can pass "
        "as linear because the first layers mix nearly exactly for any two networks."
        if apart
        else ""
    )
    return (
        "As a yes or no the conjecture is less comfortable. Call a pair linear when its error is "
        "at most twice the largest among near rotations; of the triples with two linear pairs "
        f"given, the third is then not linear in {near}. Where the line is drawn at an error of "
        f"{LINEAR:g}, as on the page of [claims](claims.md), it is {fixed}.{whose} Errors grow by "
        "degrees, and a threshold cuts somewhere.\n\n"
        "**How much is that worth?** Among networks of one pretraining the premise says little "
        "about the conclusion: the rank correlation of the two errors is "
        f"{said(panels, premise_rank, triples)}. (Errors that have nothing to do with each other "
        "give a little less than 0, since the triples of three networks share their pairs.) And a "
        "network pretrained apart mostly spoils both of its pairs at once, so that the premise "
        "fails with the conclusion. The conjecture is hardly put to the test by these settings.\n\n"
        "Lemmas B.2 and B.3 pass the property on to mixes: a mix of linear networks should be "
        "linear with its parts. The largest error of such a mixed pair is "
        f"{said(panels, mixed_over_parts, lemmas)} the largest error of any pair of these networks."
    )


def summary(
    barriers: pd.DataFrame,
    direction: pd.DataFrame,
    controls: pd.DataFrame,
    triples: pd.DataFrame,
    panels: Panels,
) -> str:
    """What was seen of loss, features and transitivity, an item each."""
    apart = said(panels, control_length, controls, control=Control.APART)
    return (
        f"- Loss: {said(panels, lines_without_bump, barriers)} of all lines stay within "
        f"{NO_BUMP:g} nats of the chord between their ends or below it. Over its better end the "
        f"loss rises by {said(panels, loss_rise, barriers)} in the median.\n"
        f"- Features: the baseline is {said(panels, times_nearer, direction)} the distance at "
        f"α = ½, and the length is {said(panels, length, direction, at='median')}, both in the "
        f"median. Pretrained apart, networks have a length of {apart} at the output: length tells "
        "better than the comparison with the baseline what shared pretraining does.\n"
        "- Transitivity is a matter of degree: the third pair's error is at most "
        f"{said(panels, worst_ratio, triples)} the larger given one, a yes or no depends on the "
        "threshold, and pairs that could break it are few."
    )


def _seed_by_seed(panels: Panels, measure: Measure, table: pd.DataFrame, **arguments: str) -> str:
    """The range over seeds of settings that have several."""
    ranges = {}
    for name, rows in table.groupby("setting"):
        values = [measure(part, **arguments).effect for _, part in rows.groupby("seed")]
        if len(values) > 1:
            ranges[str(name)] = f"{plain(min(values))} to {plain(max(values))}"
    return f"; seed by seed, {by_panel(panels, ranges)}" if ranges else ""
