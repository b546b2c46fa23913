"""What the page and the notebook on Section 3 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.sentences.predictions import Prediction, came
from ctl_helpers.findings.spawning import (
    FLAT,
    NO_BARRIER,
    bound_used,
    broken_steps,
    error_span,
    flat_from,
    from_other_weights,
    gap_rank,
    induced_mean,
    inner,
    largest_gap,
    linear_from,
    other_weights_over_copies,
    spawned,
    spawned_fall,
    under_chord,
)
from ctl_helpers.findings.words import (
    LINEAR,
    cells,
    in_turn,
    mark,
    number_table,
    quote,
    said,
    spans,
)

Panels = Mapping[str, str]


def barriers(spawning: pd.DataFrame, panels: Panels) -> str:
    """From which k on the loss is flat, and where it is so from the random start."""
    rows = {
        "flat from": _from(panels, flat_from.by_setting(spawning)),
        "barrier at the smallest k, nats": _spawned(panels, spawning, "barrier", "first"),
        "barrier at the largest k, nats": _spawned(panels, spawning, "barrier", "last"),
    }
    text = (
        f"Call the loss flat where it rises by at most {FLAT:g} nats above that of the better end. "
        "The barrier is how far it rises above the chord, the straight line that joins the losses "
        "of both ends."
        f"{number_table(panels, rows)}"
    )
    highest = spawned.by_setting(spawning, name="barrier", at="most")
    never = [name for name, finding in highest.items() if finding.value < NO_BARRIER]
    if not never:
        return text
    titles = ", ".join(panels[name].split(" (")[0] for name in panels if name in never)
    return (
        f"{text}**Some copies have no barrier for any k, not even if they part at the random "
        f"start** ({titles}). There a larger k cannot show an effect: sharing the random weights "
        "is enough. Earlier work saw the same for the smallest network on MNIST, while larger "
        "networks need some common training first {cite}`frankle2020lmc`. The null control below "
        "shows that the measure can fail."
    )


def features(spawning: pd.DataFrame, panels: Panels) -> str:
    """From which k on features are linear, and how far ε and the baseline fall."""
    falls, alike = (
        cells(panels, spawned_fall, spawning, name=name) for name in ("distance", "baseline")
    )
    least, most = (spawned.by_setting(spawning, name="coef", at=at) for at in ("least", "most"))
    rows = {
        "linear from": _from(panels, linear_from.by_setting(spawning)),
        "ε at the smallest k": _spawned(panels, spawning, "epsilon", "first"),
        "ε at the largest k": _spawned(panels, spawning, "epsilon", "last"),
        "distance at the smallest k, divided by that at the largest": falls,
        "the same for the baseline": alike,
        "length": spans(panels, least, most),
    }
    return (
        f"Call features linear where ε is at most {LINEAR:g}, mean over layers."
        f"{number_table(panels, rows)}"
        "Copies that are more alike have a smaller distance and a smaller baseline. ε does not "
        "count that as linearity. Length is coef, where 1 is equal length; LLFC does not ask for "
        "it."
    )


def predictions(spawning: pd.DataFrame, panels: Panels) -> str:
    """What became of the section's prediction."""
    barrier, epsilon = (
        spawned.by_setting(spawning, name=name, at="first") for name in ("barrier", "epsilon")
    )
    fall = spawned_fall.by_setting(spawning, name="epsilon")
    return came(
        panels,
        [
            Prediction(
                f"copies that part at the smallest k have a barrier over {NO_BARRIER:g} nats",
                barrier, 1, NO_BARRIER,
            ),
            Prediction(f"their features do not mix: ε is over {LINEAR:g}", epsilon, 1, LINEAR),
            Prediction("ε falls: at the smallest k over that at the largest", fall, 1, 1.0),
        ],
    )  # fmt: skip


def theorem(induced: pd.DataFrame, panels: Panels) -> str:
    """How Theorem 3.3's two steps hold, and what either does to the loss."""
    rows = {
        "gap in loss, mean": cells(panels, induced_mean, induced, name="gap"),
        "gap as a share of its bound, median": cells(panels, bound_used, induced),
        "what convexity takes away, mean": cells(panels, induced_mean, induced, name="jensen"),
        "mixes with a loss *below* the chord": cells(panels, under_chord, induced),
        "largest gap over k": cells(panels, largest_gap, induced),
        "largest error of the logits, divided by the smallest": cells(panels, error_span, induced),
        "rank correlation of gap and error": cells(panels, gap_rank, induced),
    }
    return (
        f"Both steps of the proof must hold; they hold in {held(induced, panels)}. The gap comes "
        "near its bound only on samples where a network is sure and wrong."
        f"{number_table(panels, rows)}"
        "The error is an upper bound of the gap. Does the gap also grow *with* the error? The "
        "claim *Linear features, flat loss* on the page of [claims](claims.md) says so, which is "
        "more than the theorem. It looks at the last three rows, which are over $k$ at "
        "$\\alpha = \\frac12$. "
        f"It can be judged only where a gap reaches {NO_BARRIER:g} nats and the errors differ."
    )


def null_control(control: pd.DataFrame, induced: pd.DataFrame, panels: Panels) -> str:
    """Loss and features between two networks from different random weights."""
    barrier, epsilon, coef = (
        cells(panels, from_other_weights, control, name=name)
        for name in ("barrier", "epsilon", "coef")
    )
    error, gap = (
        cells(panels, other_weights_over_copies, control, induced, name=name)
        for name in ("error", "gap")
    )
    rows = {
        "barrier, nats": barrier,
        "ε, mean over layers": epsilon,
        "length": coef,
        "error of the logits, divided by that of the copies": error,
        "gap in loss, divided by that of the copies": gap,
    }
    ridges = from_other_weights.by_setting(control, name="barrier").values()
    why = (
        "The second part of the split above is never positive. So the barrier comes from the "
        "first part: there is no barrier unless the logits are not linear."
        if all(ridge.value > FLAT for ridge in ridges)
        else ""
    )
    return (
        "Two networks from *different* random weights are trained on the same task, in the same "
        "two orders. The last two rows compare them with copies that part at the smallest $k$."
        f"{number_table(panels, rows)}{why}"
    )


def summary(spawning: pd.DataFrame, induced: pd.DataFrame, panels: Panels) -> str:
    """The answers to the section's three questions."""
    flat, linear = (
        in_turn(panels, _from(panels, one.by_setting(spawning))) for one in (flat_from, linear_from)
    )
    return (
        f"1. *Is the loss flat?* From {flat} on.\n"
        f"2. *Are features linear?* From {linear} on.\n"
        "3. *If features are linear, is the loss flat?* The two steps behind Theorem 3.3 hold in "
        f"{held(induced, panels)}. Of all mixes {said(panels, under_chord, induced)} lie below the "
        "chord: there convexity takes away more than the gap adds."
    )


def _spawned(panels: Panels, spawning: pd.DataFrame, name: str, at: str) -> list[str]:
    return cells(panels, spawned, spawning, name=name, at=at)


def _from(panels: Panels, findings: Mapping[str, Finding]) -> list[str]:
    """From which k on something is so; settings without a finding have it at no k."""
    return [f"k = {mark(findings[name])}" if name in findings else "no k" for name in panels]


def held(induced: pd.DataFrame, panels: Panels) -> str:
    """In how many cases the two steps of Theorem 3.3's proof hold: "all 720 cases"."""
    broken = broken_steps.by_setting(induced)
    cases = f"all {len(inner(induced))} cases"
    if all(finding.value == 0 for finding in broken.values()):
        return cases
    return f"{cases} but {quote(panels, broken)}"
