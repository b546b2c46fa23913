"""Stitched models against a plain loop, and which parts of a model run how often."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl


class Blocks(nn.Module):
    """Five blocks that can be run in two parts; the last works on its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(6, 6) for _ in range(4)] + [nn.Linear(6, 3)])

    def forward(self, x: Tensor, *, until: str | None = None, after: str | None = None) -> Tensor:
        first = 0 if after is None else int(after.split(".")[1]) + 1
        last = 4 if until is None else int(until.split(".")[1])
        for block in self.blocks[first : last + 1]:
            x = block(x.tanh_() if after is not None else x.tanh())
        return x


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Blocks().double()


@pytest.fixture
def states(model, around) -> dict[str, dict[str, Tensor]]:
    return around(model, "abp")


@pytest.fixture
def streams(inputs) -> dict[str, list[tuple[Tensor, Tensor]]]:
    def labelled(samples: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return inputs(samples, seed), torch.randint(3, (samples,), generator=generator)

    return {"s": [labelled(9, 1), labelled(4, 2)], "t": [labelled(6, 3)]}


def through(state: dict[str, Tensor], x: Tensor, numbers) -> Tensor:
    for number in numbers:
        weight, bias = (state[f"blocks.{number}.{part}"] for part in ("weight", "bias"))
        x = x.tanh() @ weight.T + bias
    return x


def mixed(states, mix: dict[str, float]) -> dict[str, Tensor]:
    return {key: sum(w * states[n][key] for n, w in mix.items()) for key in states["p"]}


def logits(states, one: ctl.Stitch, x: Tensor) -> Tensor:
    """One stitched model on all samples, by hand."""
    layer = int(one.layer.split(".")[1])
    feature = sum(w * through(mixed(states, mix), x, range(layer + 1)) for w, mix in one.prefix)
    return through(mixed(states, one.tail), feature, range(layer + 1, 5))


P = {"p": 1.0}
PLUS = ctl.edit("p", {"a": 0.4})
STITCHES = [
    ctl.Stitch(
        [(0.5, PLUS), (0.5, ctl.edit("p", {"b": 0.4}))], P, "blocks.2", params={"stitch": 0}
    ),
    ctl.Stitch([(1.0, PLUS)], P, "blocks.2", params={"stitch": 1}),
    ctl.Stitch([(2.0, P), (-1.0, PLUS)], P, "blocks.2", params={"stitch": 2}),
    ctl.Stitch([(1.0, PLUS)], P, "blocks.1", params={"stitch": 3}),
    ctl.Stitch([(1.0, P)], {"a": 0.5, "b": 0.5}, "blocks.2", params={"stitch": 4}),
    ctl.Stitch([(1.0, {"b": 1.0})], P, "blocks.4", ["t"], params={"stitch": 5}),
]


def test_scores_agree_with_a_plain_loop(model, states, streams) -> None:
    heads = {"s": lambda x: x.flip(-1) ** 3, "t": lambda x: 2 * x}
    for chosen in (None, heads):
        table = ctl.stitch(model, states, STITCHES, streams, chosen)
        assert list(table.columns) == ["stitch", "task", "n", "loss", "accuracy"]
        rows = [(n, task) for n in range(5) for task in "st"] + [(5, "t")]
        assert list(zip(table.stitch, table.task, strict=True)) == rows
        for row in table.itertuples():
            x, y = (torch.cat(parts) for parts in zip(*streams[row.task], strict=True))
            output = logits(states, STITCHES[row.stitch], x)
            output = output if chosen is None else chosen[row.task](output)
            assert row.n == len(y)
            assert row.loss == pytest.approx(F.cross_entropy(output, y).item(), rel=1e-12)
            assert row.accuracy == pytest.approx((output.argmax(-1) == y).double().mean().item())


def test_only_the_prefix_and_the_tail_run_and_each_once(model, states, streams) -> None:
    ran = Counter()

    def count(args: tuple[Tensor], number: int) -> None:
        ran.update({number: len(args[0])} if len(args[0]) > 1 else {})  # one is on trial

    for number, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda _, args, n=number: count(args, n))
    ctl.stitch(model, states, STITCHES[:3], {"t": streams["t"]})
    # Fronts up to block 2: +0.4τ_a, +0.4τ_b and θ_PT. Tails: one a stitch.
    assert ran == dict.fromkeys(range(5), 6 * 3)
    ran.clear()
    ctl.stitch(model, states, STITCHES[1:4], {"t": streams["t"]})
    # +0.4τ_a and θ_PT up to block 2, +0.4τ_a up to block 1; two tails from 3 on, one from 2.
    assert ran == {0: 18, 1: 18, 2: 12 + 6, 3: 18, 4: 18}
    ran.clear()
    equal = [[(1.0, P)], [(0.5, P), (0.5, ctl.edit("p", {"a": 0.0}))], [(2.0, P), (-1.0, P)]]
    ctl.stitch(model, states, [ctl.Stitch(one, P, "blocks.2") for one in equal], streams)
    # Whatever they are called, these are one model.
    assert ran == dict.fromkeys(range(5), 6 + 9 + 4)


@pytest.mark.parametrize("layer", [f"blocks.{number}" for number in range(5)])
def test_a_models_own_feature_changes_nothing(layer: str, model, states, streams) -> None:
    own = ctl.evaluate(model, states, [ctl.Evaluation(PLUS)], streams)
    prefixes = ([(1.0, PLUS)], [(0.5, PLUS), (0.5, PLUS)], [(2.0, PLUS), (-1.0, PLUS)])
    for prefix in prefixes:
        stitched = ctl.stitch(model, states, [ctl.Stitch(prefix, PLUS, layer)], streams)
        assert stitched.equals(own)


def test_the_tail_is_the_one_named_whatever_the_model_holds(model, states, streams) -> None:
    before = ctl.stitch(model, states, STITCHES, streams)
    model.load_state_dict(states["b"])
    backwards = ctl.stitch(model, states, STITCHES[::-1], streams)
    after = backwards.sort_values(["stitch", "task"], ignore_index=True)
    assert after.equals(before)
    assert before.loss.nunique() == len(before)
    assert all(torch.equal(value, states["b"][key]) for key, value in model.state_dict().items())


def test_a_single_stream_and_halved_batches(model, states, streams) -> None:
    """A tail that runs out of memory: the batch is begun again, and no sample counts twice."""
    whole = ctl.stitch(model, states, STITCHES[:3], streams["s"], {None: nn.Identity()})
    assert whole.task.isna().all()

    def limited(module, args):
        if len(args[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.blocks[4].register_forward_pre_hook(limited)
    with pytest.warns(UserWarning, match="at most 3 samples"):
        halved = ctl.stitch(model, states, STITCHES[:3], streams["s"])
    assert halved["n"].tolist() == whole["n"].tolist()
    assert halved.loss.tolist() == pytest.approx(whole.loss.tolist(), rel=1e-12)


class Masked(nn.Module):
    """Means of the states that a mask counts, after two layers that can be run apart."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(
        self, feature: Tensor | None = None, /, *, until=None, after=None, **batch: Tensor
    ) -> Tensor:
        states = self.first(batch["x"]).tanh() if after is None else feature
        if until:
            return states
        mask = batch["mask"][..., None]
        return self.second((states.tanh() * mask).sum(1) / mask.sum(1))


def test_both_parts_are_given_the_entries_of_a_dict(around) -> None:
    torch.manual_seed(0)
    model = Masked().double()
    states, mask = around(model, "ap"), torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    given = {"x": torch.randn(4, 3, 6, dtype=torch.float64), "mask": mask}
    streams = [(given, torch.tensor([0, 1, 2, 0]))]
    fronts = {"own": [(1.0, P)], "averaged": [(0.5, P), (0.5, {"a": 1.0})]}
    stitches = [ctl.Stitch(front, P, "first", params={"front": n}) for n, front in fronts.items()]
    stitched = ctl.stitch(model, states, stitches, streams).set_index("front").loss
    alone = ctl.evaluate(model, states, [ctl.Evaluation(P)], streams).loss[0]
    assert stitched["own"] == pytest.approx(alone, rel=1e-12)
    assert stitched["averaged"] != pytest.approx(alone, rel=1e-3)


def test_bad_input_gets_one_sentence(model, net, around, states, streams) -> None:
    one, x = STITCHES[:1], streams["s"]

    class Whole(Blocks):
        def forward(self, inputs, *, until=None, after=None):
            return super().forward(inputs, until=until, after=after).T

    broken = Whole().double()
    calls = [
        (lambda: ctl.stitch(net, around(net, "abp"), one, x), TypeError, "Sequential cannot be"),
        (lambda: ctl.stitch(broken, states, one, x), RuntimeError, r"gives \(6, 9\) until"),
        (lambda: ctl.stitch(model, {"p": states["p"]}, one, x), KeyError, "no checkpoint named"),
        (lambda: ctl.stitch(model, states, one, {"t": x}, {"s": None}), KeyError, "head .* 't'"),
        (lambda: ctl.stitch(model, states, one, [x[0][0]]), ValueError, "have no targets"),
        (
            lambda: ctl.stitch(model, states, [ctl.Stitch([], P, "blocks.1")], x),
            ValueError,
            "empty prefix",
        ),
    ]
    for call, kind, sentence in calls:
        with refused(kind, sentence):
            call()
