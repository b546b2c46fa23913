"""What the page on linear layers only says in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctl_helpers.findings import published
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.paradigms import (
    by_paradigm,
    classification_beyond,
    classification_inside,
    in_order,
    interference,
    mean_cosine,
    paradigm_accuracy,
    paradigm_epsilon,
    scale_free_beyond,
    step_cost,
    sum_alpha,
    sum_reached,
)
from ctl_helpers.findings.words import (
    by_panel,
    cells,
    in_columns,
    markdown_table,
    number_table,
    plain,
    quote,
)
from ctl_helpers.results.labels import MAIN_PARADIGMS, PARADIGM_NAMES, Paradigm

Vector = NDArray[np.float64]


def rates(search: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """The learning rates that held-out data chose, and what became of the range of those tried."""
    lines = []
    for setting, title in _titles(panels):
        own = search[search["setting"] == setting]
        tasks = " and ".join(own["task"].unique())
        for paradigm in MAIN_PARADIGMS:
            found = own[own["paradigm"] == paradigm]
            lines.append([title, PARADIGM_NAMES[paradigm], *_search(found, f"tried on {tasks}")])
    return markdown_table(["setting", "paradigm", "learning rate", "chosen"], lines, texts=4)


def one_rate(search: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """The one learning rate for all paradigms that held-out data chose by their sums."""
    by_setting = {
        setting: ", ".join(_search(search[search["setting"] == setting], "tried"))
        for setting in panels
    }
    return f"Sums of all task vectors choose one learning rate: {by_panel(panels, by_setting)}."


def _search(found: pd.DataFrame, how: str) -> tuple[str, str]:
    """The chosen rates, and where they are among those that were tried."""
    chosen = found.loc[found["chosen"], "rate"]
    ends = dict.fromkeys(plain(rate) for rate in (chosen.min(), chosen.max()))
    edge = "the smallest " * bool(chosen.min() == found["rate"].min())
    edge = "the largest " if chosen.max() == found["rate"].max() else edge
    if found["rate"].nunique() == 1:
        return plain(found["rate"].iloc[0]), "given, not searched for"
    tried = f"{edge}of {found['rate'].nunique()} that were {how}"
    if added := found.loc[found["widening"] > 0, "rate"].nunique():
        tried += f", {added} of them added because the best was at an edge"
    return " and ".join(ends), tried


def alone_at_one_rate(single: pd.DataFrame, common: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Accuracy of networks on their own tasks, with rates of their own and with one rate."""

    def reached(table: pd.DataFrame, paradigm: Paradigm) -> list[str]:
        return _cells(panels, paradigm_accuracy.by_setting(table, paradigm=paradigm))

    return _at_both_rates("accuracy on the network's own task", single, common, panels, reached)


def sums(addition: pd.DataFrame, single: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Table 1: absolute / normalized accuracy of all task vectors added, beside the paper's."""
    start = paradigm_accuracy.by_setting(single, paradigm="PT")
    paper = published.SUMS.values()
    lines = [
        ["pretrained", *_cells(panels, start), *(numbers["pretrained"] for numbers in paper)],
        *(
            [
                PARADIGM_NAMES[paradigm],
                *_cells(panels, *_sum(addition, paradigm)),
                *(numbers[paradigm] for numbers in paper),
            ]
            for paradigm in MAIN_PARADIGMS
        ),
    ]
    head = ["", *_names(panels), *(f"paper, {size}" for size in published.SUMS)]
    return markdown_table(head, lines)


def sums_at_one_rate(
    addition: pd.DataFrame, common: pd.DataFrame, panels: Mapping[str, str]
) -> str:
    """Table 1's accuracies, with rates of their own and with one rate."""

    def reached(table: pd.DataFrame, paradigm: Paradigm) -> list[str]:
        alpha = sum_alpha.by_setting(table, paradigm=paradigm)
        both = _cells(panels, *_sum(table, paradigm))
        return [
            f"{cell} (α {alpha[name]})" if name in alpha else "–"
            for name, cell in zip(panels, both, strict=True)
        ]

    return _at_both_rates("absolute / normalized", addition, common, panels, reached)


def ablation(addition: pd.DataFrame, single: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Table 2: single / absolute / normalized accuracy by which linear layers train."""
    addition, single = _with_all_rows(addition), _with_all_rows(single)
    lines = [
        [
            f"({number}) {PARADIGM_NAMES[paradigm]}",
            *_cells(
                panels,
                paradigm_accuracy.by_setting(single, paradigm=paradigm),
                *_sum(addition, paradigm),
            ),
            paper,
        ]
        for number, (paradigm, paper) in enumerate(published.LINEAR_LAYERS.items(), 1)
    ]
    head = ["single / absolute / normalized", *_names(panels), "paper, ViT-B/32"]
    return markdown_table(head, lines)


def regions(maps: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """How disentangled weights are for 0 ≤ α ≤ 1, and the errors where both α are over 1."""
    rows = {
        f"error of classification, {PARADIGM_NAMES[paradigm]}": in_columns(panels, findings)
        for paradigm, findings in by_paradigm(classification_inside, maps).items()
    }
    beyond = {
        "change of embeddings, as a share of the own vector's": cells(
            panels, scale_free_beyond, maps
        ),
        "predictions changed by the other vector": cells(panels, classification_beyond, maps),
    }
    return (
        "The mean error for 0 ≤ α ≤ 1 over pairs, summed over both tasks:"
        f"{number_table(panels, rows)}"
        "Now linear layers only, where both α are above 1: how much the other task's vector "
        f"changes, compared with the task's own vector.{number_table(panels, beyond)}"
    )


def orthogonality(cosines: pd.DataFrame, moved: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """|Cosine| between task vectors, and what they do to other tasks' embeddings."""
    angles, changes = by_paradigm(mean_cosine, cosines), by_paradigm(interference, moved)
    lines = [
        [
            PARADIGM_NAMES[name],
            *in_columns(panels, angles[name]),
            *in_columns(panels, changes[name]),
        ]
        for name in MAIN_PARADIGMS
    ]
    numbers = ("mean \\|cosine\\|", "change on other tasks, divided by own task's")
    head = ["", *(f"{number}, {name}" for number in numbers for name in _names(panels))]
    return markdown_table(head, lines)


def two_regressions(panels: Mapping[str, str]) -> str:
    """Do orthogonal vectors leave each other's data alone? Two regressions in 20 dimensions."""
    draw = np.random.default_rng(0)
    start = draw.normal(size=20)

    def vector(data: Vector) -> Vector:
        """The shortest step from the start that fits random targets on a task's data."""
        missing = draw.normal(size=len(data)) - data @ start
        return np.linalg.lstsq(data, missing, rcond=None)[0].astype(np.float64)

    def line(name: str, one: Vector, other: Vector, data: Vector) -> list[str]:
        change = np.linalg.norm(data @ other) / np.linalg.norm(data @ one)
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        return [name, f"{abs(cosine):.2f}", f"{change:.2f}"]

    apart = [np.pad(draw.normal(size=(8, 10)), ((0, 0), pad)) for pad in ((0, 10), (10, 0))]
    shared = [draw.normal(size=(8, 20)) for _ in range(2)]
    one, other = map(vector, shared)
    turned = other - (other @ one) / (one @ one) * one
    return markdown_table(
        [
            "tasks",
            "cosine of the vectors",
            "change by the other vector, divided by that by the own one",
        ],
        [
            line("data in orthogonal subspaces", vector(apart[0]), vector(apart[1]), apart[0]),
            line("data that overlap", one, other, shared[0]),
            line("the same, second vector made orthogonal to the first", one, turned, shared[0]),
        ],
    )


def costs(cost: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Time and peak memory of a training step, each over that of all parameters."""
    seconds, size = (by_paradigm(step_cost, cost, value=value) for value in ("seconds", "bytes"))
    lines = []
    for name in MAIN_PARADIGMS:
        both = zip(in_columns(panels, seconds[name]), in_columns(panels, size[name]), strict=True)
        lines.append([PARADIGM_NAMES[name], *(" / ".join(pair) for pair in both)])
    head = "time / peak memory of a training step, divided by that of all parameters"
    return markdown_table([head, *_names(panels)], lines)


def orders(
    single: pd.DataFrame, addition: pd.DataFrame, linear: pd.DataFrame, panels: Mapping[str, str]
) -> str:
    """The paradigms in the order of their accuracies, alone and added, and of their linearity."""

    groups = {
        "Alone, from best to worst": (by_paradigm(paradigm_accuracy, single), "highest"),
        "Added": (by_paradigm(sum_reached, addition, value="accuracy"), "highest"),
        "Added, normalized": (by_paradigm(sum_reached, addition), "highest"),
        "From most to least linear (ε)": (by_paradigm(paradigm_epsilon, linear), "lowest"),
    }
    lines = []
    for what, (findings, best) in groups.items():
        texts = [
            f"{PARADIGM_NAMES[name]} {quote(panels, findings[name])}"
            for name in in_order(findings, best)
        ]
        lines.append(f"- {what}: {', '.join(texts)}.")
    return "\n".join(lines)


def _titles(panels: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(setting, title.split(" (")[0]) for setting, title in panels.items()]


def _names(panels: Mapping[str, str]) -> list[str]:
    return [title for _, title in _titles(panels)]


def _at_both_rates(
    what: str,
    own: pd.DataFrame,
    common: pd.DataFrame,
    panels: Mapping[str, str],
    reached: Callable[[pd.DataFrame, Paradigm], list[str]],
) -> str:
    """A cell per paradigm, setting and kind of rates, over the seeds that ran one rate."""
    tables = own.merge(common[["setting", "seed"]].drop_duplicates()), common
    lines = []
    for paradigm in MAIN_PARADIGMS:
        pairs = zip(*(reached(table, paradigm) for table in tables), strict=True)
        lines.append([PARADIGM_NAMES[paradigm], *(cell for pair in pairs for cell in pair)])
    head = [f"{name}, {of}" for name in _names(panels) for of in ("rates of their own", "one rate")]
    return markdown_table([what, *head], lines)


def _sum(table: pd.DataFrame, paradigm: Paradigm) -> list[dict[str, Finding]]:
    """Absolute and normalized accuracy."""
    return [
        sum_reached.by_setting(table, paradigm=paradigm, value=value)
        for value in ("accuracy", "share")
    ]


def _cells(panels: Mapping[str, str], *findings: Mapping[str, Finding]) -> list[str]:
    """Several accuracies of each setting, in percent: "44.9 / 61.9"."""
    return [
        " / ".join(f"{100 * float(of[name]):.1f}" for of in findings if name in of) or "–"
        for name in panels
    ]


def _with_all_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The seeds that ran every row of Table 2."""
    seeds = table.groupby(["setting", "seed"])
    return seeds.filter(lambda rows: set(published.LINEAR_LAYERS) <= set(rows["paradigm"]))
