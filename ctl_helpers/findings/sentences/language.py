"""What the page on language models says of its predictions, and of networks for images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.editing import blocks, edit_excess, edit_mean, worst_block
from ctl_helpers.findings.sentences.predictions import pairwise
from ctl_helpers.findings.words import by_panel, cells, listed, number_table, short
from ctl_helpers.results.labels import PAPER_LAMBDA, Metric

Panels = Mapping[str, str]


def least_linear(eq2: pd.DataFrame, panels: Panels) -> str:
    """At which block ε is largest, and whether that is the last one."""
    of = {str(name): rows for name, rows in eq2.groupby("setting")}
    worst = {name: worst_block(of[name], Metric.EPSILON) for name in panels}
    last = {name: blocks(of[name])["layer"].iloc[-1] for name in panels}
    right, wrong = (
        [short(panels[name]) for name in panels if (worst[name] == last[name]) == is_last]
        for is_last in (True, False)
    )
    told = "; ".join(
        f"{word} in {listed(names)}" for word, names in (("so", right), ("not so", wrong)) if names
    )
    return (
        f"ε of Equation 2 at λ = {PAPER_LAMBDA:g}, median over pairs, is largest at "
        f"{by_panel(panels, worst)}. The prediction is that this is the last block: {told}."
    )


def decoders(eq2: pd.DataFrame, panels: Panels) -> str:
    """ε of the blocks that make one token's state: T5's decoders beside networks of one stack."""
    states = eq2[~eq2["layer"].str.contains("encoder")]
    rows = {"ε": cells(panels, edit_mean, states, metric=Metric.EPSILON)}
    found = edit_mean.by_setting(states, metric=Metric.EPSILON)
    two = set(eq2.loc[eq2["layer"].str.contains("encoder"), "setting"])
    stacks, single = (
        {name: found[name] for name in panels if (name in two) == is_two}
        for is_two in (True, False)
    )
    pair = "a T5 and a network of one stack"
    return (
        "ε of Equation 2 in decoders, mean over pairs and blocks. The prediction is that both "
        f"kinds are alike.{number_table(panels, rows)}Is the network of one stack less linear? "
        f"{pairwise(stacks, single, pair)}"
    )


def curved(eq2: pd.DataFrame, panels: Panels, *, beside: tuple[pd.DataFrame, Panels] | None) -> str:
    """Whether networks for texts are more curved than those for images, at equal displacement."""
    texts = edit_excess.by_setting(blocks(eq2))
    images = edit_excess.by_setting(blocks(beside[0])) if beside else {}
    return (
        "Are networks for texts more curved than those for images, by the number above the figure? "
        f"{pairwise(images, texts, 'a network for images and one for texts')}"
    )
