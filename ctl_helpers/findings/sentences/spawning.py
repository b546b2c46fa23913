"""What the page and the notebook on Section 3 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.finding import Finding
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
from ctl_helpers.findings.words import LINEAR, by_panel, mark, quote, said

Panels = Mapping[str, str]


def barriers(spawning: pd.DataFrame, panels: Panels) -> str:
    """From which k on the loss is flat, and where it is so from the random start."""
    start, end = (_spawned(panels, spawning, "barrier", at) for at in ("first", "last"))
    highest = spawned.by_setting(spawning, name="barrier", at="most")
    never = [name for name, finding in highest.items() if finding.value < NO_BARRIER]
    titles = ", ".join(panels[name].split(" (")[0] for name in panels if name in never)
    text = (
        f"Call the loss flat where it rises by at most {FLAT:g} nats over its better end. It is "
        f"flat {_from(panels, flat_from.by_setting(spawning))}. The barrier, the height over the "
        f"straight line between the ends, is {start} at the smallest $k$ and {end} at the largest "
        "(nats)."
    )
    if not never:
        return text
    return (
        f"{text}\n\n**Where the copies part right at the random start and still have no barrier** "
        f"({titles}), the spawning epoch has nothing to show: sharing the random weights is "
        "enough. Earlier work saw the same for the smallest network on MNIST, while larger "
        "networks need some common training first {cite}`frankle2020lmc`. The null control below "
        "tells that the measure can fail."
    )


def features(spawning: pd.DataFrame, panels: Panels) -> str:
    """From which k on features are linear, and how far ε and the baseline fall."""
    start, end = (_spawned(panels, spawning, "epsilon", at) for at in ("first", "last"))
    falls, alike = (
        said(panels, spawned_fall, spawning, name=name) for name in ("distance", "baseline")
    )
    least, most = (spawned.by_setting(spawning, name="coef", at=at) for at in ("least", "most"))
    spans = {name: f"{mark(least[name])} to {mark(most[name])}" for name in least}
    return (
        f"Call features linear where ε is at most {LINEAR:g}, mean over layers. They are linear "
        f"{_from(panels, linear_from.by_setting(spawning))}: ε is {start} at the smallest $k$ and "
        f"{end} at the largest. The raw distance at the smallest $k$ is {falls} times that at the "
        f"largest, and the baseline {alike} times: copies that stay more alike have less of both, "
        "which ε does not count. LLFC does not ask for length; the coefficient is "
        f"{by_panel(panels, spans)}, where 1 is equal length."
    )


def theorem(induced: pd.DataFrame, panels: Panels) -> str:
    """How Theorem 3.3's two steps hold, and what either does to the loss."""
    gap, jensen = (said(panels, induced_mean, induced, name=name) for name in ("gap", "jensen"))
    return (
        f"Both steps hold in {_held(induced, panels)}; theory leaves them no choice. Between our "
        f"copies the gap is {gap} on average, and in the median only "
        f"{said(panels, bound_used, induced)} of its bound, which is for samples where a network "
        f"is sure and wrong. Convexity takes away {jensen}, so that "
        f"{said(panels, under_chord, induced)} of all mixes have a loss *under* the chord.\n\n"
        "Does the gap go *with* the error, which only limits it? The claim `llfc-implies-lmc` on "
        "the page of [claims](claims.md) asks for that, which is more than the theorem. Over $k$, "
        "at $\\alpha = \\frac12$, the largest gap is "
        f"{said(panels, largest_gap, induced)}, the errors span "
        f"{said(panels, error_span, induced)}, and their rank correlation is "
        f"{said(panels, gap_rank, induced)}. It can be judged only where a gap reaches "
        f"{NO_BARRIER:g} nats and the errors differ."
    )


def null_control(control: pd.DataFrame, induced: pd.DataFrame, panels: Panels) -> str:
    """Loss and features between two networks from different random weights."""
    barrier, epsilon, coef = (
        said(panels, from_other_weights, control, name=name)
        for name in ("barrier", "epsilon", "coef")
    )
    error, gap = (
        said(panels, other_weights_over_copies, control, induced, name=name)
        for name in ("error", "gap")
    )
    ridges = from_other_weights.by_setting(control, name="barrier").values()
    why = (
        " Since the second part of the split is never positive, it is the first that makes the "
        "barrier: a barrier takes logits that are not linear."
        if all(ridge.value > FLAT for ridge in ridges)
        else ""
    )
    return (
        "Two networks from *different* random weights, trained on the same task in the same two "
        f"orders, have a barrier of {barrier} nats, an ε of {epsilon} and a length of {coef}. "
        "Compared with copies that part at the smallest $k$, "
        f"the error of their logits is {error} as large and the gap in loss {gap}.{why}"
    )


def summary(
    spawning: pd.DataFrame, control: pd.DataFrame, induced: pd.DataFrame, panels: Panels
) -> str:
    """What was seen of loss and features, of the null control and of the theorem, an item each."""
    flat, linear = (_from(panels, one.by_setting(spawning)) for one in (flat_from, linear_from))
    barrier, epsilon = (
        said(panels, from_other_weights, control, name=name) for name in ("barrier", "epsilon")
    )
    together = f"{': both come together' if flat == linear and 'at no k' not in flat else ''}"
    return (
        f"- The loss is flat {flat}, and features are linear {linear}{together}.\n"
        f"- Trained from different weights, two networks have a barrier of {barrier} nats and an "
        f"ε of {epsilon}; copies that share their random weights and part at the "
        f"smallest $k$, a barrier of {_spawned(panels, spawning, 'barrier', 'first')} nats.\n"
        f"- The two steps behind Theorem 3.3 hold in {_held(induced, panels)}. Of all mixes "
        f"{said(panels, under_chord, induced)} lie under the chord: there convexity takes away "
        "more than the gap adds."
    )


def _spawned(panels: Panels, spawning: pd.DataFrame, name: str, at: str) -> str:
    return said(panels, spawned, spawning, name=name, at=at)


def _from(panels: Panels, findings: Mapping[str, Finding]) -> str:
    """From which k on something is so; settings without a finding have it at no k."""
    return by_panel(
        panels,
        {
            name: f"from k = {mark(findings[name])} on" if name in findings else "at no k"
            for name in panels
        },
    )


def _held(induced: pd.DataFrame, panels: Panels) -> str:
    """In how many cases the two steps of the proof hold."""
    broken = broken_steps.by_setting(induced)
    cases = f"all {len(inner(induced))} cases"
    if all(finding.value == 0 for finding in broken.values()):
        return cases
    return f"{cases} but {quote(panels, broken)}"
