"""What task vectors point at, on tables with a known answer: measures, sentences and figures."""

from __future__ import annotations

import re
from itertools import product

import pandas as pd
import pytest

from ctl_helpers.figures import pointing as figures
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import pointing as sentences
from ctl_helpers.results import declared
from ctl_helpers.results.labels import Direction, Reads

SEEDS = (0, 1, 2)
PANEL = {"digits-mlp": "Digits MLP (D)"}


def pointed(
    samples: float,
    classes: float,
    random: float = 0.2,
    own: float | None = None,
    random_own: float = 0.2,
    step: float = 0.0,
) -> pd.DataFrame:
    """Shares of task vectors; those of the second task are a tenth larger."""
    known = {
        ("samples", Direction.TASK): samples,
        ("samples", Direction.RANDOM): random,
        ("samples", Direction.FEATURE): 0.5,
        ("classes", Direction.TASK): classes,
        ("classes", Direction.RANDOM): random,
    }
    if own is not None:
        known["samples", Direction.TASK_OWN] = own
        known["samples", Direction.RANDOM_OWN] = random_own
    return pd.DataFrame(
        {
            "seed": seed, "i": task, "at": at, "direction": str(direction),
            "share": share * (1 + 0.1 * (task == "b")) + step * seed, "chance": 0.1,
        }
        for seed, task, ((at, direction), share) in product(SEEDS, "ab", known.items())
    )  # fmt: skip


def probes(own: float, start: float, merged: float) -> pd.DataFrame:
    """Accuracies at the last layer, those at the first are by chance; λ = 0.8 reads half."""
    known = {
        (Reads.OWN, 1.0): own, (Reads.OTHER, 1.0): start, (Reads.START, 1.0): start,
        (Reads.MERGED, 0.4): merged, (Reads.MERGED, 0.8): merged / 2,
    }  # fmt: skip
    return pd.DataFrame(
        {
            "seed": seed, "task": task, "reads": str(reads), "lam": lam, "layer": layer,
            "accuracy": accuracy if layer == "x.1" else 0.1, "chance": 0.1,
        }
        for seed, task, layer, ((reads, lam), accuracy) in product(
            SEEDS, "ab", ("x.0", "x.1"), known.items()
        )
    )  # fmt: skip


def test_shares_are_means_over_tasks() -> None:
    table = pointed(0.6, 0.8)
    declared.check("pointing", "pointed", table.drop(columns="seed"))
    for arguments, known in (
        ({"at": "samples"}, 0.63),
        ({"at": "classes"}, 0.84),
        ({"at": "samples", "direction": "random vector"}, 0.21),
    ):
        assert MEASURES["pointed_share"](table, **arguments).effect == pytest.approx(known)
    assert MEASURES["pointed_chance"](table, at="classes").effect == pytest.approx(0.1)


def test_what_a_probe_keeps_is_over_chance_and_at_the_last_layer() -> None:
    table = probes(0.9, 0.3, 0.7)
    declared.check("pointing", "probes", table.drop(columns="seed"))
    kept = MEASURES["probe_kept"]
    assert kept(table).effect == pytest.approx(0.75)
    assert kept(table, lam=0.8).effect == pytest.approx(0.25 / 0.8)
    assert kept(table, reads=Reads.START).effect == pytest.approx(0.25)
    assert kept(table, reads=Reads.OWN).effect == pytest.approx(1)
    assert MEASURES["task_probe_accuracy"](table).effect == pytest.approx(0.7)


def test_the_page_says_what_was_read() -> None:
    tables = [
        part.assign(setting="digits-mlp") for part in (pointed(0.6, 0.8), probes(0.9, 0.3, 0.7))
    ]
    text = re.sub(r"<[^>]+>", "", sentences.answer(*tables, PANEL))
    assert "nearest to Δ, 63% are of the same class; with random vectors 21%, by chance 10%" in text
    assert "own direction in 84% of the classes; by chance in 10%" in text
    assert "keeps 75% of what it reads over chance on its own network, and 25% on" in text
    listed = re.sub(r"<[^>]+>", "", sentences.table(*tables, PANEL))
    assert "| right class at the samples, pretrained feature | 52% |" in listed
    assert "| accuracy of the probe, merged network | 70% |" in listed
    assert "| accuracy of the commonest answer | 10% |" in listed


@pytest.mark.parametrize(
    ("whole", "own", "random", "step", "means"),
    [
        (0.2, 0.5, 0.1, 0.0, "So Δ did not point away from its own class to begin with."),
        (0.05, 0.04, 0.1, 0.001, "the samples of a task share in Δ is not the reason"),
        (0.05, 0.06, 0.1, 0.04, "That cannot be told from chance"),
        (0.05, 0.4, 0.2, 0.01, "points at its class, more often than with random vectors."),
        (0.05, 0.4, 0.6, 0.01, "treated alike, 64%. So it is what all samples"),
    ],
)
def test_what_the_mean_of_a_task_hides_is_told(
    whole: float, own: float, random: float, step: float, means: str
) -> None:
    table = pointed(whole, 0.8, own=own, random_own=random, step=step)
    declared.check("pointing", "pointed", table.drop(columns="seed"))
    table = table.assign(setting="digits-mlp")
    text = re.sub(r"<[^>]+>", "", sentences.less_mean(table, PANEL))
    assert means in text
    assert sentences.less_mean(pointed(whole, 0.8).assign(setting="digits-mlp"), PANEL) == ""
    figure = figures.pointed(table, PANEL)
    assert str(Direction.TASK_OWN) in [trace.name for trace in figure.data]


def test_figures_have_a_dot_for_each_task_and_a_line_for_each_network() -> None:
    figure = figures.pointed(pointed(0.6, 0.8).assign(setting="digits-mlp"), PANEL)
    dots = {trace.name: list(trace.x) for trace in figure.data}
    assert list(dots) == ["task vector", "pretrained feature", "random vector", "chance"]
    assert dots["task vector"] == pytest.approx([0.6, 0.66, 0.63])
    classes = figures.pointed(pointed(0.6, 0.8).assign(setting="digits-mlp"), PANEL, at="classes")
    assert [trace.name for trace in classes.data] == ["task vector", "random vector", "chance"]
    lines = figures.probes(probes(0.9, 0.3, 0.7).assign(setting="digits-mlp"), PANEL)
    named = {trace.name: list(trace.y) for trace in lines.data}
    assert named["merged network, λ = 0.4"] == pytest.approx([0.1, 0.7])
    assert named["own network"] == pytest.approx([0.1, 0.9])
    assert "chance" not in named
    assert "right on 90% of its own network's features, on 70%" in lines.layout.meta["takeaway"]
