"""Whether a flat loss goes with linear features: pairs of made-up tables, and what is said."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from test_agreement import in_text

from ctl_helpers.figures import flatness as figures
from ctl_helpers.findings import flatness
from ctl_helpers.findings.sentences import flatness as sentences
from ctl_helpers.results.labels import Role

PANEL = {"one": "Setting one (D)"}
ALPHAS = (0.0, 0.25, 0.5, 1.0)

Pair = tuple[float, float]  # how far the loss gets over its chord, and ε


def line(over: float, end: float = 0.3, **named: object) -> pd.DataFrame:
    """A loss that is 0.2 at α = 0 and gets over its chord by most at α = 0.25."""
    bump = {0.25: over, 0.5: over - 0.05}
    loss = [0.2 + alpha * (end - 0.2) + bump.get(alpha, 0.0) for alpha in ALPHAS]
    return pd.DataFrame({"alpha": ALPHAS, "loss": loss}).assign(setting="one", **named)


def layers(epsilon: float, **named: object) -> pd.DataFrame:
    """ε of two layers at α = ½, and more at another α; the worse layer's is ``epsilon``."""
    rows = [(0.5, "a", epsilon / 2), (0.5, "b", epsilon), (0.25, "b", 9.0)]
    table = pd.DataFrame(rows, columns=["alpha", "layer", "mean"])
    return table.assign(metric="epsilon", setting="one", **named)


def made(
    copies: list[Pair], tasks: list[Pair], apart: Pair = (0.9, 1.5), end: float = 0.25
) -> list[pd.DataFrame]:
    """The tables of Sections 4.1 and 3; the second task of a pair has the lower loss."""
    names = [{"seed": n % 3, "i": f"a{n}", "j": f"b{n}"} for n in range(len(tasks))]
    roles = {"i": Role.FIRST, "j": Role.SECOND}
    paths = [
        line(over - 0.3 * (end == "j"), task=name[end], role=str(role), **name)
        for name, (over, _) in zip(names, tasks, strict=True)
        for end, role in roles.items()
    ]
    start = {"task": "start", "role": str(Role.PRETRAINING)}
    paths += [line(7.0, **start, **name) for name in names]
    ks = [{"seed": n % 3, "k": n} for n in range(len(copies))]
    control = {"setting": "one", "seed": 0, "barrier": apart[0], "rise": 1.0, "epsilon": apart[1]}
    return [
        pd.concat(paths),
        pd.concat(layers(e, **name) for name, (_, e) in zip(names, tasks, strict=True)),
        pd.concat(line(over, end, **k) for k, (over, _) in zip(ks, copies, strict=True)),
        pd.concat(layers(e, **k) for k, (_, e) in zip(ks, copies, strict=True)),
        pd.DataFrame([control]),
    ]


def said(*tables: pd.DataFrame) -> str:
    return re.sub(r"<[^>]+>", "", sentences.answer(*tables, PANEL))


LINEAR = [(-0.1, 0.1), (-0.08, 0.2), (-0.06, 0.3), (-0.04, 0.4)]


def test_a_pair_has_its_larger_barrier_and_its_worst_layer() -> None:
    pairs = flatness.pairs(*made([(-0.1, 0.4)], [(0.2, 0.8)])).set_index("kin")
    assert pairs.loc["fine-tuned on two tasks", "barrier"] == pytest.approx(0.2)
    # At α = 0.25 the loss is 0.2 + 0.025 + 0.2.
    assert pairs.loc["fine-tuned on two tasks", "rise"] == pytest.approx(0.225)
    # Under its chord all along, the loss is largest at its higher end.
    assert pairs.loc["copies of one network", "barrier"] == pytest.approx(-0.1)
    assert pairs.loc["copies of one network", "rise"] == pytest.approx(0.05)
    assert pairs["epsilon"].tolist() == pytest.approx([0.4, 0.8, 1.5])
    assert pairs.loc["other random weights", "barrier"] == 0.9


@pytest.mark.parametrize(
    ("copies", "apart", "end", "answer"),
    [
        ([(0.1, 0.7), (0.2, 0.8)], (0.9, 1.5), 0.25, "**It cannot be told here.**"),
        (LINEAR, (0.9, 1.5), 0.25, "speaks against it.** All 8 pairs without a barrier"),
        ([*LINEAR, (-0.01, 0.7)], (0.9, 1.5), 3.0, "**It does not.** 1 of 9 pairs without a "
         "barrier have a layer with ε over 0.5. None of these has level ends"),
        ([*LINEAR, (0.005, 0.7)], (0.9, 1.5), 0.25, "better end: 1 of the 9 that have it. The "
         "clearest one (Setting one, k = 4, seed 1) has an ε of 0.7."),
        (LINEAR, (0.9, 1.5), 0.25, "of pairs with a barrier (1), none is linear"),
        (LINEAR, (0.9, 0.3), 0.25, "1 of 1 pairs with a barrier are linear at every layer"),
        (LINEAR, (0.0, 0.3), 0.25, "No pair has a barrier"),
    ],
)  # fmt: skip
def test_the_answer_goes_with_the_pairs(
    copies: list[Pair], apart: Pair, end: float, answer: str
) -> None:
    tasks = LINEAR if copies[0][0] < 0 else copies
    assert answer in said(*made(copies, tasks, apart, end))


def test_ranks_are_told_with_their_interval() -> None:
    steps = [(n / 100 + 0.001, (n + n % 3) / 20 + 0.1) for n in range(12)]
    rising = made(steps, steps)
    assert "the less linear features are, on the whole" in said(*rising)
    falling = [(-over, epsilon) for over, epsilon in steps]
    assert "the *more* linear features are" in said(*made(falling, falling))
    mixed = [(0.01 * (n % 5), 0.1 + (7 * n % 11) / 20) for n in range(12)]
    assert "does not put pairs in the order of their ε" in said(*made(mixed, mixed))
    text = sentences.table(*rising, PANEL)
    quotes = {name: words for name, _, words in in_text(text)}
    assert len(quotes) == 4
    assert "barrier_rank(kin=all that share a start)" in quotes
    assert "| Setting one, copies of one network | 12 | 1 | 0 | 1 | 0 |" in text
    assert re.search(r"\[\+0\.\d\d, \+1\.00\]", text)


def test_the_figure_has_a_dot_for_each_pair_and_counts_counterexamples() -> None:
    figure = figures.flatness(*made([*LINEAR, (-0.01, 0.7)], LINEAR), PANEL)
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in dots] == [5, 4, 1]
    assert (-0.01, 0.7) in zip(dots[0].x, dots[0].y, strict=True)
    assert figure.layout.meta["takeaway"] == (
        "1 of 9 pairs without a barrier have a layer with ε over 0.5"
    )
