"""What the page and the notebook on the objectives of pretraining say in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.objective import (
    KINDS,
    directions,
    objective_doublings,
    objective_epsilon,
    objectives_of,
    probe_accuracy,
    that_teach,
)
from ctl_helpers.findings.sentences.predictions import Prediction, came, side_of
from ctl_helpers.findings.words import cells, in_each, listed, mark, number_table, short
from ctl_helpers.results.labels import Control
from ctl_helpers.training.pretrained_for import Objective

Panels = Mapping[str, str]


def answer(matched: pd.DataFrame, panels: Panels) -> str:
    """Directions, surroundings, and what is sure or could not be tested, as a list."""
    setting = next(iter(panels))
    able = that_teach(matched, setting)
    own, random = (_changes(matched, able, setting, kind) for kind in KINDS)
    if len(own) < 2 or len(random) < 2:
        return "Too few objectives gave features that a head can read, and moved them equally far."
    ends = [sorted(of, key=lambda one: of[one].value)[:: len(of) - 1] for of in (own, random)]
    (low, high), (least, most) = ends
    return (
        "- **Directions.** Where features have moved equally far, the worst layer's ε of task "
        f"vectors is from {mark(own[low])} that of a random start ({low}) to {mark(own[high])} "
        f"({high}), on {short(panels[setting])}.\n"
        f"- **Surroundings.** That of random vectors is from {mark(random[least])} ({least}) to "
        f"{mark(random[most])} ({most}).\n"
        f"- **How sure is that?** {_ways(matched, able, setting)} {_untestable(matched, able)}"
    )


def _untestable(matched: pd.DataFrame, able: Iterable[Objective]) -> str:
    left = set(objectives_of(matched)) - {*able, Objective.RANDOM_LABELS}
    named = [str(one) for one in Objective if one in left]
    if not named:
        return "After each of them a head reads features better than those of a random start."
    return (
        "Not testable, since a head reads their features no better than a random start's: "
        f"{', '.join(named)}."
    )


def _ways(matched: pd.DataFrame, able: Iterable[Objective], setting: str) -> str:
    """What pretraining has shaped, by whole intervals, and after which objectives."""
    told: dict[str, list[str]] = {}
    for one in able:
        task, random = (
            objective_doublings.by_setting(matched, objective=one, control=kind) for kind in KINDS
        )
        own = directions.by_setting(matched, objective=one)
        for of, words in (
            (task, ("task vectors are less linear", "task vectors are more linear")),
            (random, ("random vectors are less linear", "random vectors are more linear")),
            (own, ("pretraining does more for task vectors than for random ones",
                   "pretraining does less for task vectors than for random ones")),
        ):  # fmt: skip
            way = side_of(of.get(setting))
            if way:
                told.setdefault(words[way < 0], []).append(str(one))
    clauses = [f"{words} after {listed(names)}" for words, names in told.items()]
    if not clauses:
        return "Neither surroundings nor directions differ with 95% certainty over seeds."
    return f"With 95% certainty over seeds, against a random start {'; '.join(clauses)}."


def predictions(matched: pd.DataFrame, panels: Panels) -> str:
    """What was expected of both kinds of vectors, after objectives that teach and random labels."""

    def change(objective: Objective, kind: Control) -> dict[str, Finding]:
        return objective_doublings.by_setting(matched, objective=objective, control=kind)

    able = dict.fromkeys(one for setting in panels for one in that_teach(matched, setting))
    task, random = KINDS
    return came(
        panels,
        [
            *(Prediction(f"{one}: *a* is under 1", change(one, task), -1) for one in able),
            Prediction(
                f"{Objective.RANDOM_LABELS}: *a* is 1", change(Objective.RANDOM_LABELS, task), 0
            ),
            *(Prediction(f"{one}: *b* is 1", change(one, random), 0) for one in able),
        ],
    )


def table(matched: pd.DataFrame, panels: Panels, *, control: str = Control.TASK_VECTORS) -> str:
    """ε of the worst layer after each objective over a random start's, with 95% intervals."""
    kind = Control(control)
    rows = {"ε from a random start": cells(panels, objective_epsilon, matched, control=kind)}
    for one in objectives_of(matched):
        rows[str(one)] = in_each(
            panels, objective_doublings.by_setting(matched, objective=one, control=kind)
        )
    return (
        f"ε of {kind} at the worst layer, as a multiple of that from a random start. In brackets "
        "is the 95% interval over seeds, and a dash stands where features do not move so far:"
        f"{number_table(panels, rows)}"
    )


def shaped(matched: pd.DataFrame, panels: Panels) -> str:
    """How much more pretraining does for task vectors than for random ones, and the probes."""
    rows = {}
    for one in objectives_of(matched):
        rows[f"{one}, random vectors' change over task vectors'"] = in_each(
            panels, directions.by_setting(matched, objective=one)
        )
    for one in (Objective.NONE, *objectives_of(matched)):
        rows[f"{one}, accuracy of the heads"] = cells(
            panels, probe_accuracy, matched, objective=one
        )
    return (
        "By how much pretraining multiplies ε of random vectors, over how much it multiplies that "
        "of task vectors; and how well heads read the pretrained features:"
        f"{number_table(panels, rows)}"
        "A ratio over 1 means that pretraining has raised ε of task vectors by less than that of "
        "random vectors, or lowered it by more; a ratio of 1, that it has done the same to all "
        "directions."
    )


def _changes(
    matched: pd.DataFrame, able: Iterable[Objective], setting: str, kind: Control
) -> dict[Objective, Finding]:
    both = {
        one: objective_doublings.by_setting(matched, objective=one, control=kind) for one in able
    }
    return {one: of[setting] for one, of in both.items() if setting in of}
