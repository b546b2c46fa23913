"""Default layers as the first batch shows them: what runs once, and gives one row per sample."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pandas as pd
import pytest
import torch
import torchvision
import transformers
from conftest import refused
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ctl_helpers as ctl
from ctl_helpers.analysis.controls import random_vectors
from ctl_helpers.engine.stages import Stage, Staged, State


class Tutorial(nn.Module):
    """A pooling layer that runs twice, a criterion and a head that do not run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(16, 2)
        self.criterion, self.spare = nn.CrossEntropyLoss(), nn.Linear(2, 2)
        self.chosen, self.shape = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x).relu())
        x = self.fc(self.pool(self.conv2(x).relu())[:, :, :2, :2].flatten(1))
        self.chosen(x.argmax(-1))  # no feature, but a number that jumps
        self.shape(x[0])
        return x


class Shared(nn.Module):
    """A block that runs three times, as ALBERT's does, in a module that runs once."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers = nn.Linear(6, 4), nn.ModuleList([nn.GRUCell(4, 4)])
        self.encoder = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for _ in range(3):
            x = self.layers[0](x, x)
        return self.encoder(x)


class WithHead(nn.Module):
    """Blocks of which one is a head that is idle in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2 = (
            type("Block", (nn.Sequential,), {})(nn.Linear(6, 6), nn.Linear(6, 6)) for _ in range(2)
        )
        self.block3 = type("Head", (nn.Sequential,), {})(nn.Linear(6, 2), nn.Linear(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.block1(x))
        return self.block3(x) if self.training else x


def compared(model: nn.Module, around, batches, **options) -> pd.DataFrame:
    states = around(model, "ab", 0.05)  # so that no running variance is negative
    return ctl.compare(model, states, ctl.pairs("ab", [0.5]), batches, **options)


def layers_of(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table.layer))


def test_what_does_not_run_once_is_left_out_and_named(around, caplog) -> None:
    model, x = Tutorial().double(), torch.randn(4, 3, 16, 16, dtype=torch.float64)
    with caplog.at_level(logging.INFO, "ctl_helpers"):
        table = compared(model, around, [x])
    assert layers_of(table) == ["conv1", "conv2", "fc"]
    note = table.attrs["layers"]
    assert note == (
        "2 Conv2d, 1 Linear ('conv1' … 'fc'), chosen by default, without ['pool', 'criterion', "
        "'spare'] and more, which do not run once"
    )
    assert [record.getMessage() for record in caplog.records] == [f"layers: {note}"]
    named = compared(model, around, [x], layers=["conv1", "conv2", "fc"])
    pd.testing.assert_frame_equal(table, named)
    assert "layers" not in named.attrs


def test_a_block_that_runs_several_times_gives_way_to_what_runs_once(around, inputs) -> None:
    table = compared(Shared().double(), around, [inputs(5)])
    assert layers_of(table) == ["embed", "encoder"]


def test_albert_gives_its_encoder(around) -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.AlbertConfig(
        vocab_size=20, embedding_size=4, num_hidden_layers=3, num_hidden_groups=1, **sizes
    )
    model = transformers.AlbertModel(config).double()
    ids = torch.randint(2, 20, (3, 5))
    assert "encoder" in layers_of(compared(model, around, [{"input_ids": ids}]))
    shared = "encoder.albert_layer_groups.0.albert_layers.0"
    with refused(RuntimeError, f"layer '{shared}' ran twice", "tap a layer that runs once"):
        compared(model, around, [{"input_ids": ids}], layers=shared)


def test_a_block_that_is_idle_in_evaluation_is_left_out(around, inputs) -> None:
    table = compared(WithHead().double(), around, [inputs(5)])
    assert layers_of(table) == ["block1", "block2"]
    assert "without ['block3']" in table.attrs["layers"]


def test_auxiliary_heads_of_googlenet_are_no_blocks(around) -> None:
    torch.manual_seed(0)
    model = torchvision.models.googlenet(num_classes=2, init_weights=False)
    table = compared(model, around, [torch.randn(1, 3, 32, 32)], layers=None)
    assert layers_of(table)[0] == "inception3a"
    assert table.layer.nunique() == 9


def test_the_layers_of_a_tower_that_does_not_run_are_not_chosen(around) -> None:
    """A CLIP is asked for its texts' features alone."""

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            small = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
            text = {"num_hidden_layers": 2, "vocab_size": 20, "eos_token_id": 2, **small}
            image = {"num_hidden_layers": 3, "image_size": 8, "patch_size": 4, **small}
            config = transformers.CLIPConfig(text_config=text, vision_config=image)
            self.clip = transformers.CLIPModel(config)

        def forward(self, input_ids: Tensor) -> Tensor:
            return self.clip.text_model(input_ids).last_hidden_state

    table = compared(Texts().double(), around, [{"input_ids": torch.randint(3, 20, (2, 5))}])
    assert layers_of(table) == [f"clip.text_model.encoder.layers.{n}" for n in range(2)]


def test_a_model_of_no_layers_gives_its_output(around, inputs) -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 2, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.weight).tanh()

    assert layers_of(compared(Bare(), around, [inputs(4)])) == [""]


def test_a_model_without_a_row_per_sample_is_refused(around, inputs) -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 2, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.weight).sum()

    with refused(RuntimeError, "no layer of Sums runs once", "name the layers"):
        compared(Sums(), around, [inputs(4)])


@pytest.mark.parametrize("kind", ["list", "iterator", "loader", "empty first"])
def test_no_sample_is_lost_to_the_choice(kind: str, net, around, inputs) -> None:
    x = inputs(20)

    def batches() -> object:
        parts = list(x.split(7))
        return {
            "list": parts,
            "iterator": iter(parts),
            "loader": DataLoader(TensorDataset(x), batch_size=7),
            "empty first": [x[:0], *parts],
        }[kind]

    expected = compared(net, around, [x], layers=list("01234"))
    found = compared(net, around, batches())
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12, atol=1e-14)
    assert found["n"].max() == 20


def test_the_choice_takes_few_samples(net, around, inputs) -> None:
    sizes: list[int] = []
    net.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    compared(net, around, inputs(20).split(8), layers=list("01234"))
    named = sizes.copy()
    sizes.clear()
    compared(net, around, inputs(20).split(8))
    assert sizes[-len(named) :] == named
    assert max(sizes[: -len(named)]) <= 3


def test_the_choice_reads_the_stream_of_a_task(net, around, inputs) -> None:
    def once(samples: int) -> Iterator[Tensor]:
        yield inputs(samples)

    streams = {"other": iter([]), "b": once(4), "a": once(5)}
    table = compared(net, around, streams)
    assert layers_of(table) == list("01234")
    assert table["n"].max() == 9


def test_a_first_batch_that_is_too_large_is_tried_in_parts(around, inputs) -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 4:
                raise torch.OutOfMemoryError
            return self.fc(x)

    with pytest.warns(UserWarning, match="memory ran out"):
        table = compared(Small().double(), around, [inputs(8)])
    assert layers_of(table) == ["fc"]
    assert table["n"].max() == 8


def test_mistakes_are_named_before_anything_runs(net, around, inputs) -> None:
    states, asked = around(net, "ab"), ctl.pairs("ab", [0.5], tasks=["c"])
    with refused(KeyError, "no batches for task 'c'"):
        ctl.compare(net, states, asked, {"a": [inputs(3)]})
    with refused(KeyError, "no checkpoint named 'x'"):
        ctl.compare(net, states, ctl.pairs(["x", "b"], [0.5]), [inputs(3)])
    with refused(ValueError, "the stream has no samples"):
        ctl.compare(net, states, ctl.pairs("ab", [0.5]), [])


class Chain(Staged):
    """A network of stages that lists no layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 4), nn.Linear(4, 2)
        self.state = nn.Identity()

    def begin(self, x: Tensor) -> State:
        return {"x": x}

    def stages(self) -> list[Stage]:
        def first(state: State) -> State:
            return {"x": self.state(self.first(state["x"]).relu())}

        def second(state: State) -> State:
            return {"output": self.second(state["x"])}

        return [Stage("0", ("first.",), "state", first), Stage("1", ("second.",), None, second)]


def test_a_network_of_stages_gives_theirs_without_a_pass(around, inputs) -> None:
    model = Chain().double()
    assert ctl.feature_layers(model) == ("state",)
    tables = [compared(model, around, [inputs(5)], stream=stream) for stream in (False, True)]
    pd.testing.assert_frame_equal(*tables)
    assert layers_of(tables[0]) == ["state"]


def test_random_vectors_and_expansions_take_the_same_layers(around) -> None:
    torch.manual_seed(0)
    model, x = Tutorial().double(), torch.randn(4, 3, 16, 16, dtype=torch.float64)
    states = around(model, "pa", 0.05)
    _, moved = random_vectors(model, states, "p", ["a"], [x], seed=0, rounds=1)
    assert list(moved.layer) == ["conv1", "conv2", "fc"]
    errors = ctl.taylor_errors(model, states, "p", ["a"], iter([x]))
    assert layers_of(errors) == ["conv1", "conv2", "fc"]
