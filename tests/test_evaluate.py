"""Scores of mixes against a plain loop, and barriers against curves made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.scoring import PADDING, Scorer

MIXES = [{"a": 1.0}, {"a": 0.3, "b": 0.7}, {"p": -1.0, "a": 1.0, "b": 1.0}]


def labelled(inputs, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return inputs(samples, seed), torch.randint(3, (samples,), generator=generator)


def naive_logits(checkpoints, mix: dict[str, float], x: np.ndarray) -> np.ndarray:
    """Logits in numpy alone, one sample at a time, for the network of the fixture."""
    weights = {
        key: sum(weight * checkpoints[name][key].numpy() for name, weight in mix.items())
        for key in checkpoints["a"]
    }
    found = []
    for sample in x:
        h = sample
        for layer in "024":
            h = weights[f"{layer}.weight"] @ h + weights[f"{layer}.bias"]
            h = h if layer == "4" else np.maximum(h, 0)
        found.append(h)
    return np.array(found)


HEADS = {"s": lambda x: 2 * x, "t": lambda x: x[..., [2, 1, 0]]}


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("heads", [None, HEADS], ids=["no heads", "a head a task"])
def test_agrees_with_a_plain_loop(size: int, heads, net, around, inputs) -> None:
    checkpoints = around(net, "abp", scale=1.0)
    data = {"s": labelled(inputs, 23, 1), "t": labelled(inputs, 17, 2)}
    streams = {
        task: list(zip(x.split(size), y.split(size), strict=True)) for task, (x, y) in data.items()
    }
    expected = {}
    for task, (x, _) in data.items():
        plain = [naive_logits(checkpoints, mix, x.numpy()) for mix in MIXES]
        expected[task] = [heads[task](each) if heads else each for each in plain]
    asked = [ctl.Evaluation(mix, params={"number": n}) for n, mix in enumerate(MIXES)]
    asked.append(ctl.Evaluation(MIXES[0], tasks=["t"], params={"number": 3}))
    table = ctl.evaluate(net, checkpoints, asked, streams, heads=heads)
    assert list(table.columns) == ["number", "task", "n", "loss", "accuracy"]
    assert list(zip(table.number, table.task, strict=True)) == [
        *((n, task) for n in range(3) for task in "st"),
        (3, "t"),
    ]
    for row in table.itertuples():
        outputs, y = expected[row.task][row.number % 3], data[row.task][1].numpy()
        losses = np.log(np.exp(outputs).sum(1)) - outputs[np.arange(len(y)), y]
        assert row.loss == pytest.approx(losses.mean(), rel=1e-12)
        assert (row.n, row.accuracy) == (len(y), (outputs.argmax(1) == y).mean())
    found = ctl.logits(net, checkpoints, MIXES, streams, heads=heads)
    alone = {task: x.split(size) for task, (x, _) in data.items()}  # it needs no targets
    again = ctl.logits(net, checkpoints, MIXES, alone, heads=heads)
    assert list(found) == ["s", "t"]
    for task, logits in found.items():
        np.testing.assert_allclose(logits, expected[task], rtol=1e-12)
        assert torch.equal(again[task], logits)
        assert not logits.requires_grad


@pytest.mark.parametrize("call", [ctl.evaluate, ctl.logits])
def test_a_task_without_a_head_is_named(call, net, around, inputs) -> None:
    asked = [ctl.Evaluation({"a": 1.0})] if call is ctl.evaluate else [{"a": 1.0}]
    streams = {task: [labelled(inputs, 4, 0)] for task in "st"}
    with refused(KeyError, "no head for task 't'"):
        call(net, around(net, "a"), asked, streams, heads={"s": nn.Identity()})
    found = call(net, around(net, "a"), asked, streams["t"], heads={None: nn.Identity()})
    assert len(found) == 1


def test_float32_logits_are_scored_in_float64(net, around, inputs) -> None:
    """A loss that float32 would round to nothing: ln(1 + 2e⁻³⁰) for logits (30, 0, 0)."""
    net = net.float()
    state = {key: torch.zeros_like(value) for key, value in net.state_dict().items()}
    state["4.bias"] = torch.tensor([30.0, 0.0, 0.0])
    batch = (inputs(4).float(), torch.zeros(4, dtype=torch.long))
    (loss,) = ctl.evaluate(net, {"a": state}, [ctl.Evaluation({"a": 1.0})], [batch]).loss
    assert loss == pytest.approx(2 * np.exp(-30), rel=1e-2, abs=0)


def test_answers_of_several_tokens_agree_with_a_plain_loop() -> None:
    """Loss of an answer is the sum over its tokens; a hit has all of them right."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(40, 3, 4, generator=generator)
    targets = torch.randint(4, (40, 3), generator=generator)
    lengths = torch.randint(1, 4, (40,), generator=generator)
    targets[torch.arange(3) >= lengths[:, None]] = PADDING
    losses, hits = [], []
    for rows, wanted in zip(logits.double().numpy(), targets.numpy(), strict=True):
        chances = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        known = [(place, token) for place, token in enumerate(wanted) if token != PADDING]
        losses.append(-sum(np.log(chances[place, token]) for place, token in known))
        hits.append(all(rows[place].argmax() == token for place, token in known))
    assert 0 < sum(hits) < 40
    found = Scorer(None)(logits, targets).tolist()
    assert found == pytest.approx([40, sum(losses), sum(hits)], rel=1e-12)
    flat = Scorer(None)(logits[:, 0], targets[:, 0])
    assert torch.equal(flat, Scorer(None)(logits[:, :1], targets[:, :1]))


def test_logits_of_another_number_of_tokens_are_refused() -> None:
    sentence = r"logits of 't' have the shape \(5, 1, 4\) for targets \(5, 3\); pass .* answer_ids"
    with pytest.raises(ValueError, match=sentence):
        Scorer("t")(torch.zeros(5, 1, 4), torch.zeros(5, 3, dtype=torch.long))


def test_equal_mixes_run_once_and_come_in_the_order_asked(net, around, inputs) -> None:
    counted = []
    net.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    first, again = {"a": 0.1, "b": 1 - 0.1}, {"b": 0.9, "a": 1 - 0.9, "c": 0.0}
    checkpoints, (x, y) = around(net, "abc"), labelled(inputs, 9, 0)
    asked = [ctl.Evaluation(first), ctl.Evaluation(again), ctl.Evaluation({"a": 1.0}, tasks=["s"])]
    batches = list(zip(x.split(6), y.split(6), strict=True))
    table = ctl.evaluate(net, checkpoints, asked, {"s": batches, "t": batches})
    assert sorted(counted) == [1, 1, 3, 3, 3, 6, 6, 6]  # with one sample on trial, twice
    assert table.loss[0] == table.loss[2]
    assert len(table) == 5
    counted.clear()
    found = ctl.logits(net, checkpoints, [{"b": 1.0}, first, {"a": 1.0}, again], x.split(6))
    assert sorted(counted) == [1, 1, 3, 3, 3, 6, 6, 6]  # with one sample on trial, twice
    assert list(found) == [None]
    in_order = [{"b": 1.0}, first, {"a": 1.0}, first]
    expected = [naive_logits(checkpoints, mix, x.numpy()) for mix in in_order]
    np.testing.assert_allclose(found[None], expected, rtol=1e-12)
    assert torch.equal(found[None][1], found[None][3])


def test_the_ends_of_a_path_are_its_networks(net, around, inputs) -> None:
    checkpoints = around(net, "ab")
    stream = [labelled(inputs, 10, 0)]
    alone = ctl.evaluate(net, checkpoints, [ctl.Evaluation({n: 1.0}) for n in "ba"], stream)
    line = ctl.evaluate(net, checkpoints, ctl.path("a", "b", [0, 0.5, 1]), stream)
    assert line[["i", "j", "alpha"]].values.tolist() == [["a", "b", x] for x in (0, 0.5, 1)]
    assert line.loss[[0, 2]].tolist() == alone.loss.tolist()
    assert [point.tasks for point in ctl.path("a", "b", [0.5], ["t"])] == [["t"]]
    assert ctl.barriers(line).loc[0, ["loss_j", "loss_i"]].tolist() == alone.loss.tolist()


def curve(loss: list[float], alphas: list[float] | None = None, task: str | None = "t"):
    alphas = np.linspace(0, 1, len(loss)).tolist() if alphas is None else alphas
    return pd.DataFrame({"i": "a", "j": "b", "alpha": alphas, "task": task, "loss": loss})


@pytest.mark.parametrize(
    ("loss", "barrier", "rise"),
    [
        ([1.0, 1.0, 1.0], 0.0, 0.0),
        ([1.0, 3.0, 1.0], 2.0, 2.0),  # a bump
        ([1.0, 2.0, 3.0], 0.0, 2.0),  # unequal ends alone
        ([3.0, 2.5, 1.0], 0.5, 2.0),  # both, the larger end at j
        ([2.0, 0.5, 2.0], 0.0, 0.0),  # a valley
    ],
)
def test_a_bump_is_a_barrier_and_unequal_ends_a_rise(loss, barrier: float, rise: float) -> None:
    (found,) = ctl.barriers(curve(loss)).to_dict("records")
    ends = {"loss_i": loss[-1], "loss_j": loss[0]}
    assert found == {"i": "a", "j": "b", "task": "t", **ends, "barrier": barrier, "rise": rise}


def test_each_pair_and_task_has_its_barrier_whatever_the_order_of_alphas() -> None:
    bump = curve([1, 3, 1], [1.0, 0.5, 0.0])
    parts = [bump, curve([1, 1, 1], task="u"), bump.assign(i="c")]
    table = ctl.barriers(pd.concat(parts))
    assert table[["i", "task", "barrier"]].values.tolist() == [
        ["a", "t", 2], ["a", "u", 0], ["c", "t", 2],
    ]  # fmt: skip
    assert len(ctl.barriers(curve([1, 3, 1], task=None))) == 1  # the task of a single stream


@pytest.mark.parametrize("alphas", [[0.0, 0.5], [0.5, 1.0]])
def test_a_path_without_an_end_is_refused(alphas: list[float]) -> None:
    with pytest.raises(ValueError, match="from 'b' to 'a' lacks an end; include alpha 0 and 1"):
        ctl.barriers(curve([1.0, 2.0], alphas))


@pytest.mark.parametrize(("named", "whose"), [(True, "'t'"), (False, "the stream")])
def test_batches_without_targets_are_refused(named: bool, whose, net, around, inputs) -> None:
    streams = {"t": [inputs(4)]} if named else [inputs(4)]
    with refused(ValueError, f"{whose} have no targets; pass"):
        ctl.evaluate(net, around(net, "a"), [ctl.Evaluation({"a": 1.0})], streams)


@pytest.mark.parametrize("form", ["pairs", "labels in the dict", "a label in the dict"])
def test_samples_without_a_label_do_not_count(form: str, net, around, inputs) -> None:
    checkpoints, (x, y) = around(net, "a"), labelled(inputs, 11, 0)
    y[[0, 3, 4]] = PADDING
    parts = list(zip(x.split(4), y.split(4), strict=True))
    name = "label" if form == "a label in the dict" else "labels"
    batches = parts if form == "pairs" else [{"input": a, name: b} for a, b in parts]
    (row,) = ctl.evaluate(net, checkpoints, [ctl.Evaluation({"a": 1.0})], batches).itertuples()
    outputs = naive_logits(checkpoints, {"a": 1.0}, x.numpy())
    kept = np.flatnonzero(y != PADDING)
    wanted = y.numpy()[kept]
    losses = np.log(np.exp(outputs).sum(1))[kept] - outputs[kept, wanted]
    assert row.n == len(kept) == 8
    assert row.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert row.accuracy == (outputs[kept].argmax(1) == wanted).mean()


def transformer(kind: str) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 11}
    heads = {"num_attention_heads": 2, "num_labels": 3}
    if kind == "causal":
        config = transformers.LlamaConfig(**sizes, **heads, num_key_value_heads=1)
        return transformers.LlamaForCausalLM(config)
    if kind == "answers":
        config = transformers.T5Config(
            vocab_size=11, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
            decoder_start_token_id=0,
        )  # fmt: skip
        return transformers.T5ForConditionalGeneration(config)
    name = "Sequence" if kind == "classes" else "Token"
    model = getattr(transformers, f"BertFor{name}Classification")
    return model(transformers.BertConfig(**sizes, **heads))


@pytest.mark.parametrize("kind", ["classes", "tags", "causal", "answers"])
@torch.no_grad()
def test_networks_of_transformers_are_scored_by_their_own_loss(kind: str) -> None:
    """Labels are in the dict; a causal model compares each with the token before it."""
    model = transformer(kind).eval()
    ids = torch.randint(1, 11, (6, 5), generator=torch.Generator().manual_seed(0))
    labels = {"classes": ids[:, 0] % 3, "tags": ids % 3, "causal": ids, "answers": ids[:, :4]}[kind]
    labels = labels.clone()
    if labels.dim() == 2:
        labels[1, 2:] = PADDING
    batch = {"input_ids": ids, "labels": labels}
    state = dict(model.state_dict())
    asked = [ctl.Evaluation({"a": 1.0})]
    parts = [{name: part[rows] for name, part in batch.items()} for rows in (slice(2), slice(2, 6))]
    (row,) = ctl.evaluate(model, {"a": state}, asked, parts).itertuples()
    output = model(**batch)
    logits, wanted = output.logits.double(), labels
    if kind == "causal":
        logits, wanted = logits[:, :-1], labels[:, 1:]
    counted = int((wanted != PADDING).sum())
    per_sample = counted / len(ids) if labels.dim() == 2 else 1.0  # an answer's loss is a sum
    assert row.loss == pytest.approx(output.loss.item() * per_sample, rel=1e-5)
    right = (logits.argmax(-1) == wanted) | (wanted == PADDING)
    assert row.accuracy == right.view(6, -1).all(1).double().mean().item()
    if kind in ("classes", "tags"):
        pairs = [({"input_ids": ids}, labels)]
        (alone,) = ctl.evaluate(model, {"a": state}, asked, pairs).itertuples()
        assert alone.loss == pytest.approx(row.loss, rel=1e-5)
    given = batch if kind == "answers" else {"input_ids": ids}  # T5 makes its own input of labels
    (found,) = ctl.logits(model, {"a": state}, [{"a": 1.0}], [given]).values()
    torch.testing.assert_close(found[0], output.logits, rtol=1e-4, atol=1e-5)


def test_a_loss_of_another_kind_is_refused() -> None:
    class Smoothed(nn.Linear):
        def forward(self, x: Tensor, labels: Tensor) -> object:
            output = type("Output", (dict,), {})(logits=super().forward(x))
            output.loss = torch.tensor(100.0)
            return output

    model, ids = Smoothed(4, 3), torch.arange(10).view(2, 5) % 3
    batch = {"x": torch.randn(2, 5, 4), "labels": ids}
    with refused(ValueError, "own loss on the stream is 100, which is that of targets neither"):
        ctl.evaluate(model, {"a": model.state_dict()}, [ctl.Evaluation({"a": 1.0})], [batch])


BAD_TARGETS = {
    "real numbers": (torch.rand(4), TypeError, "are of the type torch.float32; pass .* whole"),
    "text": (["a"] * 4, TypeError, "are of the type list; pass a tensor of whole numbers"),
    "too large": (torch.tensor([0, 1, 2, 3]), ValueError, "go from 0 to 3, .* of 3 classes"),
    "negative": (torch.tensor([0, 1, 2, -1]), ValueError, "go from -1 to 2, .* mark .* by -100"),
    "none that counts": (torch.full((4,), PADDING), ValueError, "no sample has a target other"),
    "too many": (torch.zeros(4, 2).long(), ValueError, r"have the shape \(4, 3\) for targets"),
}


@pytest.mark.parametrize("kind", BAD_TARGETS)
def test_targets_that_are_no_classes_are_refused(kind: str, net, around, inputs) -> None:
    targets, error, sentence = BAD_TARGETS[kind]
    with refused(error, sentence):
        ctl.evaluate(net, around(net, "a"), [ctl.Evaluation({"a": 1.0})], [(inputs(4), targets)])


def test_real_targets_are_ranked(net, around, inputs) -> None:
    """Over all batches together, and with ties, which share their mean rank."""
    graded = torch.tensor([0.2, 0.9, 0.2, 0.5, 1.0, 0.0, 0.5], dtype=torch.float64)
    x, states = inputs(7), around(net, "ab")
    batches = [(x[:3], graded[:3]), (x[3:], graded[3:])]
    heads = {None: lambda output: output[:, 1]}
    asked = [ctl.Evaluation(mix) for mix in ({"a": 1.0}, {"a": 0.5, "b": 0.5})]
    table = ctl.evaluate(net, states, asked, batches, heads=heads)
    for row, one in zip(table.itertuples(), asked, strict=True):
        z = naive_logits(states, dict(one.mix), x.numpy())[:, 1]
        p = 1 / (1 + np.exp(-z))
        loss = -(graded * np.log(p) + (1 - graded) * np.log(1 - p)).mean()
        ranks = pd.Series(z).rank().corr(pd.Series(graded.numpy()).rank())
        assert (row.n, row.loss) == (7, pytest.approx(loss.item()))
        assert row.accuracy == pytest.approx(ranks)


@pytest.mark.parametrize("targets", [torch.rand(4, 2), torch.tensor([0.0, 0.5, 1.0, 5.0])])
def test_grades_out_of_range_are_refused(targets: Tensor, net, around, inputs) -> None:
    heads = {None: lambda output: output[:, 0]}
    with refused(ValueError, "one number for each of 4 samples, .* from 0 to 1 a sample"):
        asked = [ctl.Evaluation({"a": 1.0})]
        ctl.evaluate(net, around(net, "a"), asked, [(inputs(4), targets)], heads=heads)


def test_an_output_without_a_tensor_is_refused(around, inputs) -> None:
    class Empty(nn.Linear):
        def forward(self, x: Tensor) -> dict[str, None]:
            return {"logits": None}

    model = Empty(6, 3).double()
    with refused(TypeError, "gives a dict on the stream, in which there is no tensor"):
        ctl.logits(model, around(model, "a"), [{"a": 1.0}], [inputs(4)])
