"""What networks edited by task vectors can do, and the λ that held-out examples choose.

Functions that score take ``score``, such as ``partial(ctl.evaluate, model, checkpoints)``, and
streams by split: ``{"held-out": …, "test": …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ctl_helpers.analysis.task_arithmetic import roles, strongest
from ctl_helpers.engine.batches import Streams, Task, named_streams, tasks_of
from ctl_helpers.engine.compare import Comparison
from ctl_helpers.engine.evaluate import Evaluation
from ctl_helpers.engine.mix import Mix, MixKey, mix_key
from ctl_helpers.engine.questions import disentangled, edit

Score = Callable[[Sequence[Evaluation], Streams], pd.DataFrame]


def once(score: Score) -> Score:
    """The same scores, those of a mix on a stream computed when they are first asked for.

    Args:
        score: see the module. Streams are told apart by identity, so hand over the same ones.
    """
    known: dict[tuple[int, MixKey, Task], dict[str, float]] = {}
    streams_seen: list[Streams] = []  # kept, so that no other takes the place of one in memory

    def scored(evaluations: Sequence[Evaluation], streams: Streams) -> pd.DataFrame:
        streams_seen.append(streams)
        asked = [
            (one, (id(streams), mix_key(one.mix), task))
            for one in evaluations
            for task in tasks_of(one.tasks, named_streams(streams))
        ]
        new = {
            key: Evaluation(one.mix, None if key[2] is None else [key[2]])
            for one, key in asked
            if key not in known
        }
        if new:
            table = score(list(new.values()), streams)[["n", "loss", "accuracy"]]
            known.update(zip(new, table.to_dict("records"), strict=True))
        return pd.DataFrame({**one.params, "task": key[2], **known[key]} for one, key in asked)

    return scored


def search(
    score: Callable[[str, Sequence[float]], pd.DataFrame],
    points: Sequence[float],
    column: str = "lam",
    everywhere: bool = False,
) -> pd.DataFrame:
    """Score a grid on held-out examples, and the point that is :func:`best` there on test examples.

    Args:
        score: split (``"held-out"`` or ``"test"``) and points → a table with ``column``, ``share``
            and ``loss``.
        points: the grid.
        column: what its points are called in the tables.
        everywhere: score all points on test examples, to show them; none but the best if not.

    Returns:
        Both splits' rows with ``chosen``, whether they are of the best point.
    """
    held_out = score("held-out", points)
    chosen = best(held_out, column)
    test = score("test", points if everywhere else [chosen])
    both = pd.concat([held_out, test])
    return both.assign(chosen=both[column] == chosen)


def best(scores: pd.DataFrame, column: str = "lam") -> float:
    """The point with the largest mean ``share``, or smallest mean ``loss`` if no share is known."""
    means = scores.groupby(column)[["share", "loss"]].mean()
    quality = means["share"] if means["share"].notna().any() else -means["loss"]
    return float(quality.index.tolist()[int(quality.argmax())])


def addition(
    score: Score,
    pretrained: str,
    tasks: Sequence[str],
    scalings: Sequence[float],
    streams: Mapping[str, Streams],
    *,
    column: str = "lam",
    everywhere: bool = True,
) -> pd.DataFrame:
    """Accuracy of ``θ_PT + λ Σ τ_i`` on each task, and the λ that held-out examples choose.

    Shares on a split are of what the tasks' own networks reach on that split, so that test examples
    have no say in the choice.

    Args:
        score, streams: see the module.
        pretrained: the name of θ_PT.
        tasks: the names of the fine-tuned networks, which are their tasks'.
        scalings: the λ to try beside 0.
        column: what λ is called in the table.
        everywhere: as for :func:`search`.

    Returns:
        A row per split × λ × task: ``split``, ``lam``, scores, ``share`` of the accuracy of the
        task's own network (none where that is never right), ``chosen``.
    """

    def added(split: str, points: Sequence[float]) -> pd.DataFrame:
        return sums(score, pretrained, tasks, points, streams[split], column).assign(split=split)

    return search(added, [0.0, *scalings], column, everywhere)


def sums(
    score: Score,
    pretrained: str,
    tasks: Sequence[str],
    scalings: Sequence[float],
    streams: Streams,
    column: str = "lam",
) -> pd.DataFrame:
    """Accuracy of ``θ_PT + λ Σ τ_i`` on each task, and its share of that of the task's own network.

    Args:
        score, pretrained, tasks, column: as for :func:`addition`.
        scalings: the λ.
        streams: examples of one split by task.

    Returns:
        A row per λ × task: ``lam``, scores, ``share``.
    """
    asked = [
        Evaluation(edit(pretrained, dict.fromkeys(tasks, lam)), tasks, {column: lam})
        for lam in scalings
    ]
    table = score(asked, streams)
    own = score(own_networks(tasks), streams).set_index("task")["accuracy"]
    return table.assign(share=table["accuracy"] / table["task"].map(own[own > 0]))


def own_networks(tasks: Sequence[str], **known: object) -> list[Evaluation]:
    """Each network on its own task, labelled by ``network`` and what else is known."""
    return [Evaluation({task: 1.0}, [task], {**known, "network": task}) for task in tasks]


def negation(
    score: Score,
    pretrained: str,
    tasks: Sequence[str],
    control: Sequence[str],
    lambdas: Sequence[float],
    streams: Mapping[str, Streams],
) -> pd.DataFrame:
    """Accuracy of ``θ_PT − λτ_i`` by role, and the λ that held-out examples allow.

    Args:
        score, streams: see the module.
        pretrained: the name of θ_PT.
        tasks: whose task vectors are subtracted, one at a time.
        control: the tasks that stand for the pretraining task.
        lambdas: the λ to try beside 0.

    Returns:
        :func:`~ctl_helpers.analysis.task_arithmetic.roles` of all λ on held-out examples, and on
        test examples of 0 and the one that :func:`~ctl_helpers.analysis.task_arithmetic.strongest`
        chooses, which is marked by ``chosen``.
    """

    def subtracted(split: str, edits: Sequence[tuple[str, float]]) -> pd.DataFrame:
        asked = [
            Evaluation(
                edit(pretrained, {i: -lam}),
                list(dict.fromkeys([i, *control])),
                {"split": split, "i": i, "lam": lam},
            )
            for i, lam in edits
        ]
        return roles(score(asked, streams[split]), control)

    held_out = subtracted("held-out", [(i, lam) for i in tasks for lam in [0.0, *lambdas]])
    chosen = strongest(held_out)
    ends = [(i, lam) for i in tasks for lam in dict.fromkeys([0.0, chosen[i]])]
    both = pd.concat([held_out, subtracted("test", ends)])
    return both.assign(chosen=both["lam"] == both["i"].map(chosen))


def outcomes(negation: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy before and after :func:`negation`: a row per ``i``, with its λ."""
    test = negation[negation["split"] == "test"]
    after = test[test["chosen"]]
    ends = pd.concat([test[test["lam"] == 0].assign(when="before"), after.assign(when="after")])
    ends["λ"] = ends["i"].map(after.groupby("i")["lam"].first())
    wide = ends.pivot(index=["i", "λ"], columns=["role", "when"], values="accuracy")
    return wide[[(role, when) for role in ("D_i", "D_PT") for when in ("before", "after")]]


def theorem(
    pretrained: str, tasks: Sequence[str], fixed: float = 0.1, reach: float = 0.8
) -> list[Comparison]:
    """Theorem 4.3 with more and more task vectors, on all tasks' examples.

    Args:
        pretrained: the name of θ_PT.
        tasks: the networks in the order in which their task vectors join.
        fixed: the α of a scheme where it stays.
        reach: the (k+1)α of a scheme where that stays, as the theorem has it.

    Returns:
        :func:`~ctl_helpers.disentangled`'s comparisons, labelled by ``scheme``.
    """
    counts = range(1, len(tasks) + 1)
    schemes = {
        f"α = {fixed:g}": dict.fromkeys(counts, fixed),
        f"(k+1)α = {reach:g}": {k: reach / (k + 1) for k in counts},
    }
    return [
        comparison
        for scheme, alphas in schemes.items()
        for comparison in disentangled(pretrained, tasks, alphas, tasks, {"scheme": scheme})
    ]


def equation(comparison: Comparison) -> str:
    """Both sides of a comparison, written out."""

    def mixed(mix: Mix) -> str:
        return " + ".join(f"{weight:g}·{name}" for name, weight in mix.items())

    right = " + ".join(f"{weight:g}·f({mixed(mix)})" for weight, mix in comparison.right)
    return f"f({mixed(comparison.left)})   against   {right}"
