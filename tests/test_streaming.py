"""Networks larger than the memory: stage by stage, with the very numbers of the usual way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import refused, sharded
from safetensors.torch import save_file
from test_text_models import LLAMA_SIZES, T5_SIZES, VOCABULARY, theirs
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.analysis.controls import permuted
from ctl_helpers.engine import passes
from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.stages import Stage, Staged
from ctl_helpers.models.llama import Llama, small_llama
from ctl_helpers.models.t5 import small_t5
from ctl_helpers.models.text import TextNetwork, from_transformers
from ctl_helpers.weights.files import lazy

NETWORKS = ["t5", "llama", "llama tied"]


def network(kind: str) -> TextNetwork:
    torch.manual_seed(0)
    return small_t5(**T5_SIZES) if kind == "t5" else small_llama(**LLAMA_SIZES, tied="tied" in kind)


def on_meta(model: TextNetwork) -> TextNetwork:
    with torch.device("meta"):
        return type(model)(model.config)


def batches(model: TextNetwork, sizes: list[int], seed: int = 0) -> list[dict[str, Tensor]]:
    """Prompts of different lengths with answers of two tokens."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for size in sizes:
        draw = partial(torch.randint, 2, VOCABULARY, generator=generator)
        mask = torch.arange(7) < torch.randint(1, 8, (size, 1), generator=generator)
        mask = mask.flip(1) if isinstance(model, Llama) else mask
        given = {"input_ids": draw((size, 7)), "attention_mask": mask.long()}
        found.append(given | {"answer_ids": draw((size, 1))})
    return found


def saved(folder: Path, checkpoints: Mapping[str, StateDict], way: str) -> dict[str, StateDict]:
    """Checkpoints in files: in one or in shards, as they are or in bfloat16."""
    found = {}
    for name, state in checkpoints.items():
        kind = torch.bfloat16 if "bf16" in way else torch.float32
        state = {key: value.to(kind) for key, value in state.items()}
        if "sharded" not in way:
            save_file(state, folder / f"{name}.safetensors")
            found[name] = lazy(folder / f"{name}.safetensors")
            continue
        (folder / name).mkdir()
        found[name] = lazy(sharded(folder / name, state, 3))
    return found


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_transformers_saved_is_streamed(kind: str, around, tmp_path) -> None:
    """Tied, sharded and in bfloat16, as the hub has it."""
    model = network(kind)
    checkpoints, files = around(model, "ab", scale=0.05), {}
    for name, state in checkpoints.items():
        other = theirs(model).bfloat16()
        other.load_state_dict({key: value.bfloat16() for key, value in state.items()}, strict=False)
        other.save_pretrained(tmp_path / name, max_shard_size="9KB")
        index = tmp_path / name / "model.safetensors.index.json"
        files[name] = from_transformers(on_meta(model), lazy(index), name)
        checkpoints[name] = {key: value.bfloat16() for key, value in state.items()}
    asked, given = ctl.pairs("ab", [0.3]), batches(model, [4, 3])
    usual = ctl.measure(model, checkpoints, asked, given, stream=False)
    assert same(ctl.measure(on_meta(model), files, asked, given, stream=True), usual)


class Counting(LazyState):
    """A state dict that counts what is read of it."""

    def __init__(self, state: StateDict) -> None:
        self.reads: Counter[str] = Counter()
        super().__init__({key: value.to("meta") for key, value in state.items()}, state.__getitem__)

    def __getitem__(self, key: str) -> Tensor:
        self.reads[key] += 1
        return super().__getitem__(key)


def same(left: ctl.Linearity, right: ctl.Linearity) -> bool:
    """Whether two measurements are equal to the last bit."""
    return left.values.keys() == right.values.keys() and all(
        torch.equal(value, right.values[key]) for key, value in left.values.items()
    )


@pytest.mark.parametrize("way", ["memory", "files", "sharded", "sharded bf16"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_numbers_are_those_of_the_usual_way(kind, way, around, tmp_path) -> None:
    model = network(kind)
    checkpoints = around(model, "pab", scale=0.05)
    if way != "memory":
        checkpoints = saved(tmp_path, checkpoints, way)
    streams = {"a": batches(model, [4, 1, 3], 1), "b": batches(model, [5, 2], 2)}
    asked = [*ctl.pairs("ab", [0.3, 0.5]), *ctl.addition("p", "ab", [0.4])]
    asked += ctl.negation("p", "ab", [0.4])
    layers = (*model.feature_layers, *model.norm_layers)
    usual = ctl.measure(model, checkpoints, asked, streams, layers, stream=False)
    for architecture in (model, on_meta(model)):
        found = ctl.measure(architecture, checkpoints, asked, streams, layers, stream=True)
        assert same(found, usual)
    table = ctl.compare(model, checkpoints, asked, streams, layers, stream=True)
    pd.testing.assert_frame_equal(table, usual.table(), check_exact=True)
    assert usual.table().query("metric == 'distance'")["mean"].max() > 1e-4


@pytest.mark.parametrize("kind", NETWORKS)
def test_scores_and_logits_are_those_of_the_usual_way(kind: str, around) -> None:
    model = network(kind)
    checkpoints, given = around(model, "ab", scale=0.05), batches(model, [4, 1, 3])
    pairs = [(batch, batch["input_ids"][:, -1]) for batch in given]
    line, mixes = ctl.path("a", "b", [0, 0.3, 1]), [{"a": 1.0}, {"a": 0.5, "b": 0.5}]
    score = partial(ctl.evaluate, model, checkpoints, line, pairs)
    heads = {None: lambda output: output[:, 0]}
    tables = [score(heads=heads, stream=stream) for stream in (False, True)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    run = partial(ctl.logits, model, checkpoints, mixes, given)
    outputs = [run(stream=stream)[None] for stream in (False, True)]
    assert outputs[0].shape == (2, 8, 2, VOCABULARY)
    assert torch.equal(*outputs)


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_tensor_is_read_once_a_task_and_stage(kind: str, around) -> None:
    model = network(kind)
    streams = {"a": batches(model, [4, 1, 3], 1), "b": batches(model, [5, 2], 2)}
    checkpoints = {k: Counting(v) for k, v in around(model, "abc", scale=0.05).items()}
    ctl.compare(model, checkpoints, ctl.pairs("ab", [0.3, 0.5]), streams, stream=True)
    # No output is looked at, so that neither the head nor the last norm is run.
    unread = {"t5": {"decoder.final_layer_norm.weight"}}.get(kind, {"model.norm.weight"})
    unread = unread | {"lm_head.weight"}
    for name in "ab":
        assert checkpoints[name].reads == {k: 2 for k in checkpoints[name] if k not in unread}
    assert not checkpoints["c"].reads
    ctl.logits(model, checkpoints, [{"c": 1.0}], streams["a"], stream=True)
    shared = {"t5": "shared.weight", "llama tied": "model.embed_tokens.weight"}.get(kind)
    # What serves as embedding and as head is read for either.
    assert checkpoints["c"].reads == {key: 1 + (key == shared) for key in checkpoints["c"]}


def test_a_portion_is_as_large_as_the_memory_allows(around) -> None:
    model = network("t5")
    plain, given = around(model, "ab", scale=0.05), batches(model, [4] * 12)
    asked = ctl.pairs("ab", [0.5])
    usual = ctl.measure(model, plain, asked, given, stream=False)
    portions = []
    for memory in (90_000, 100_000, 200_000, 1e9):
        checkpoints = {k: Counting(v) for k, v in plain.items()}
        found = ctl.measure(model, checkpoints, asked, given, max_memory=memory, stream=True)
        assert same(found, usual)
        portions.append(checkpoints["a"].reads["encoder.final_layer_norm.weight"])
    assert portions[0] > portions[1] > portions[2] > portions[3] == 1
    assert portions[0] == len(given)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("llama", {"comparisons": permuted(ctl.pairs("ab", [0.5]))}),  # within their batch
        ("t5", {"dtype": torch.bfloat16}),
        ("t5", {"layers": ("encoder.block.1.layer.0", "states.decoder.0")}),  # inside a block
    ],
)
def test_options_mean_what_they_mean_in_the_usual_way(kind: str, options, around) -> None:
    model = network(kind)
    checkpoints, given = around(model, "ab", scale=0.05), batches(model, [4, 3])

    def ask(stream: bool, **options) -> ctl.Linearity:
        asked = {"comparisons": ctl.pairs("ab", [0.5]), **options}
        return ctl.measure(model, checkpoints, batches=given, stream=stream, **asked)

    found = ask(stream=True, **options)
    assert same(found, ask(stream=False, **options))
    assert not same(found, ask(stream=True))


@pytest.mark.parametrize("place", ["shared", "encoder.block.1", "decoder.final_layer_norm"])
def test_a_portion_that_runs_out_of_memory_is_halved(place: str, around) -> None:
    model = network("t5")
    checkpoints, asked = around(model, "ab", scale=0.05), ctl.pairs("ab", [0.5])
    given = batches(model, [4, 4, 1, 4])
    layers = (*model.feature_layers, *model.norm_layers)
    usual = ctl.measure(model, checkpoints, asked, given, layers)
    calls = []

    def limited(module: nn.Module, args: tuple[Tensor]) -> None:
        calls.extend([len(args[0])] * (len(args[0]) > 2))  # one is on trial
        if len(args[0]) > 2 and len(calls) % 4 == 0:
            raise torch.OutOfMemoryError

    model.get_submodule(place).register_forward_pre_hook(limited)
    with pytest.warns(UserWarning, match="at most"):
        found = ctl.measure(model, checkpoints, asked, given, layers, stream=True)
    assert found.values.keys() == usual.values.keys()
    for key, value in usual.values.items():
        torch.testing.assert_close(found.values[key], value, rtol=1e-4, atol=1e-7)


def test_one_sample_that_does_not_fit_is_said(around) -> None:
    model = network("t5")
    checkpoints, asked, given = around(model, "ab"), ctl.pairs("ab", [0.5]), batches(model, [4])
    sentence = r"one sample is too much .*activations take \d+ bytes.*raise max_memory"
    with refused(RuntimeError, sentence):
        ctl.compare(model, checkpoints, asked, given, max_memory=1000, stream=True)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way the engine went, call by call."""
    gone: list[str] = []
    for name in ("Streaming", "Engine"):
        real = getattr(passes, name)

        def watched(*args, name: str = name, real: type = real) -> object:
            gone.append(name)
            return real(*args)

        monkeypatch.setattr(passes, name, watched)
    return gone


def test_what_does_not_fit_is_streamed_by_itself(around, tmp_path, ways, monkeypatch) -> None:
    model = network("llama")
    held = around(model, "ab", scale=0.05)
    files = saved(tmp_path, held, "files")
    size = sum(value.nbytes for value in held["a"].values())
    asked, given = ctl.pairs("ab", [0.5]), batches(model, [2])

    def streamed(checkpoints: Mapping[str, StateDict]) -> set[float]:
        """With how much free memory, in sizes of a model, a comparison is streamed."""
        gone = {}
        for free in (0.9, 1.1, 2.9, 3.1):
            monkeypatch.setattr(passes, "free_memory", lambda device, free=free: free * size)
            ctl.compare(model, checkpoints, asked, given)
            gone[free] = ways.pop()
        return {free for free, way in gone.items() if way == "Streaming"}

    # What is in memory already takes no more of it; a mix does.
    assert streamed(held) == {0.9}
    assert streamed(files) == {0.9, 1.1, 2.9}
    monkeypatch.setattr(passes, "free_memory", lambda device: 0)
    ctl.compare(model, held, asked, given, stream=False)
    ctl.compare(model, held, asked, given, max_memory=10 * size)
    assert ways == ["Engine", "Engine"]


def test_a_network_without_stages_is_never_streamed(net, around, inputs, ways, monkeypatch) -> None:
    monkeypatch.setattr(passes, "free_memory", lambda device: 0)
    ctl.compare(net, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(4)])
    assert ways == ["Engine"]
    with refused(ValueError, "Sequential has no stages, so its weights cannot"):
        ctl.compare(net, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(4)], stream=True)


def test_a_tensor_that_is_not_finite_is_named_as_usual(around, tmp_path) -> None:
    model = network("llama")
    held = around(model, "ab", scale=0.05)
    held["b"]["model.layers.2.mlp.up_proj.weight"][3, 4] = torch.nan
    files = saved(tmp_path, held, "sharded")
    messages = []
    for stream in (False, True):
        with pytest.raises(ValueError, match="NaN") as caught:
            ctl.compare(model, files, ctl.pairs("ab", [0.5]), batches(model, [2]), stream=stream)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "checkpoint 'b' has NaN or infinite values at 'model.layers.2.mlp" in messages[0]


class Pair(Staged):
    """Two linear layers in two stages, the second of which forgets its bias."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.one, self.two, self._prefix = nn.Linear(6, 4), nn.Linear(4, 3), prefix

    def begin(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x}

    def stages(self) -> list[Stage]:
        return [
            Stage("one", ("one.",), "one", lambda state: {"x": self.one(state["x"])}),
            Stage("two", (self._prefix,), "two", lambda state: {"output": self.two(state["x"])}),
        ]


def test_any_network_of_stages_can_be_streamed(around, inputs) -> None:
    model, asked, layers = Pair("two."), ctl.pairs("ab", [0.3]), ["one", "two"]
    checkpoints, x = around(model, "ab"), inputs(5).float().split(2)
    usual, found = (
        ctl.measure(model, checkpoints, asked, x, layers, stream=stream) for stream in (False, True)
    )
    assert same(found, usual)
    with pytest.raises(ValueError, match=r"no stage of Pair reads 'two\.bias'; give its prefix"):
        ctl.compare(Pair("two.weight"), checkpoints, asked, x, ["one"], stream=True)


def test_a_layer_that_does_not_run_is_named(around) -> None:
    model = network("t5")
    model.idle = nn.Identity()
    checkpoints, asked = around(model, "ab"), ctl.pairs("ab", [0.5])
    with pytest.raises(RuntimeError, match="layer 'idle' did not run"):
        ctl.compare(model, checkpoints, asked, batches(model, [2]), ["idle"], stream=True)


class Odd(Pair):
    """Whose second stage does something beside its work."""

    def __init__(self, deed: str) -> None:
        super().__init__("two.")
        self.deed, self.number = deed, 0
        self.register_buffer("passes", torch.zeros(1), persistent=False)

    def begin(self, x: Tensor) -> dict[str, Tensor]:
        if self.deed == "changes the input":
            x.mul_(2.0)
        return {"x": x, "mask": torch.ones(len(x), 1)}

    def stages(self) -> list[Stage]:
        first, second = super().stages()
        kept = Stage("one", ("one.",), "one", lambda state: {**state, **first.run(state)})
        return [
            kept,
            Stage("two", ("two.",), "two", lambda state: self._odd(second.run(state), state)),
        ]

    def _odd(self, state: dict[str, Tensor], before: dict[str, Tensor]) -> dict[str, Tensor]:
        output = torch.tanh(state["output"])
        if self.deed == "counts":
            self.number += 1
            output = output * self.number
        if self.deed == "counts in a buffer":
            output = output * self.passes.add_(1)
        if self.deed == "draws":
            output = output + torch.rand(())
        if self.deed == "changes a mask":
            before["mask"].mul_(2.0)
        return {"output": output}


@pytest.mark.parametrize("deed", ["changes the input", "counts in a buffer", "draws"])
@pytest.mark.filterwarnings("ignore:.*draws random numbers")
def test_what_can_be_mended_is_right_either_way(deed: str, around, inputs) -> None:
    torch.manual_seed(0)
    model, asked, x = Odd(deed), ctl.pairs("ab", [0.3]), inputs(5).float()
    checkpoints, kept = around(model, "ab"), x.clone()
    found = []
    for stream in (False, True):
        torch.manual_seed(3)
        found.append(ctl.measure(model, checkpoints, asked, [x], ["one", "two"], stream=stream))
        assert torch.equal(x, kept)
        assert model.passes.item() == 0
    for key, values in found[0].values.items():
        # Random numbers begin anew in each stage.
        off = 1.0 if deed == "draws" and key[1] == "two" else 0.0
        torch.testing.assert_close(found[1].values[key], values, rtol=off, atol=off)


def test_what_a_stage_keeps_or_shares_is_refused(around, inputs) -> None:
    asked, x = ctl.pairs("ab", [0.3]), [inputs(5).float()]
    for deed, sentence in (
        ("counts", "stage 'two', with the weights .* keeps something from one pass for the next"),
        ("changes a mask", "a pass changed 'mask' of the first state in place"),
    ):
        model = Odd(deed)
        with refused(RuntimeError, sentence):
            ctl.compare(model, around(model, "ab"), asked, x, ["two"], stream=True)
    model = Odd("draws")
    with pytest.warns(UserWarning, match="stage 'two' draws random numbers in evaluation mode"):
        ctl.compare(model, around(model, "ab"), asked, x, ["two"], stream=True)


def test_samples_that_are_normalized_together_are_not_split(around, inputs) -> None:
    class Normed(Pair):
        def __init__(self) -> None:
            super().__init__("two.")
            self.one = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False))

    model = Normed()
    checkpoints, asked, x = around(model, "ab"), ctl.pairs("ab", [0.3]), [inputs(64).float()]
    assert len(ctl.compare(model, checkpoints, asked, x, ["one"], stream=True)) == 4
    with refused(RuntimeError, r"cannot be split because of module 'one\.1' \(BatchNorm1d\)"):
        ctl.compare(model, checkpoints, asked, x, ["one"], max_memory=5000, stream=True)
