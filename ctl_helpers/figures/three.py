"""What figures on the three paradigms of fine-tuning share: looks, and words of takeaways."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.drawing import BLUE, GREEN, VERMILION
from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.paradigms import ByParadigm, in_order
from ctl_helpers.findings.words import by_panel, listed
from ctl_helpers.results.labels import Paradigm

LOOKS = {
    Paradigm.FULL: (BLUE, "circle"),
    Paradigm.TANGENT: (VERMILION, "square"),
    Paradigm.ATTENTION_WEIGHTS: (GREEN, "diamond"),
}
"""Each paradigm with its colour and symbol."""

HOW = {
    Paradigm.FULL: "with all parameters",
    Paradigm.TANGENT: "in the tangent space",
    Paradigm.ATTENTION_WEIGHTS: "with linear layers only",
}
"""What a takeaway says after a number."""


def of_three(table: pd.DataFrame, panels: Mapping[str, str]) -> pd.DataFrame:
    """The rows of the three paradigms in the settings that are shown."""
    return table[table["paradigm"].isin(list(LOOKS)) & table["setting"].isin(list(panels))]


def ranked(panels: Mapping[str, str], findings: ByParadigm, best: str = "lowest") -> str:
    """Findings as one phrase: "0.1 in the tangent space and 0.2 with …"; see :func:`in_order`."""
    own = {
        name: {setting: of[setting] for setting in panels if setting in of}
        for name, of in findings.items()
    }
    order = in_order({name: of for name, of in own.items() if of}, best)
    if not order:
        return "–"
    return listed([f"{by_panel(panels, own[name])} {HOW[name]}" for name in order])


def quotes(*groups: ByParadigm) -> list[dict[str, str]]:
    """Findings of each paradigm, for a figure that quotes them in its title."""
    return quoted(*(of.values() for findings in groups for of in findings.values()))


def undecided(difference: Finding) -> str:
    """What is added to a difference whose sign its interval leaves open."""
    return signed_words(difference, 0.0, "", "", " (undecided)")


def reaching_most(reached: ByParadigm, setting: str) -> str:
    """How what reaches most is fine-tuned, with all that its interval does not tell from it.

    A dash where none has a number, as the share of networks that are never right.
    """
    own = {name: reached[name][setting] for name in LOOKS if setting in reached[name]}
    if not own:
        return "–"
    best, *others = sorted(own, key=lambda name: -float(own[name]))
    level = [name for name in others if not signed_words(own[best], own[name], "more", "", "")]
    if len(level) == len(LOOKS) - 1:
        return "with no one paradigm for sure"
    return " or perhaps ".join(HOW[name] for name in (best, *level))
