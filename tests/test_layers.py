"""Which layers can be tapped: lists of blocks, names and globs, and what an output's feature is."""

from __future__ import annotations

import re

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from conftest import one_line, refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.blocks import repeated
from ctl_helpers.engine.layers import named_layers


class Block(nn.Module):
    """Two matrices and a residual."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x).relu())


class Stage(nn.Module):
    """Blocks of one class after one matrix."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.downsample, self.blocks = nn.Linear(4, 4), nn.ModuleList(Block() for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x


class Experts(nn.Module):
    """An attention of its own beside a list of alike parts, which is no stage."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.experts = Block(), nn.ModuleList(Block() for _ in range(8))


class Sides(nn.Module):
    """A block of unlike parts in a list, as T5's are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Block(), nn.Sequential(Block(), Block()), Stage(1)])


def named(*names: str) -> tuple[str, ...]:
    return names


BLOCKS = {
    "module list": (nn.ModuleDict({"layers": nn.ModuleList(Block() for _ in range(3))}),
                    named("layers.0", "layers.1", "layers.2")),
    "one block": (nn.ModuleDict({"layers": nn.ModuleList([Block()])}), named("layers.0")),
    "sequential": (nn.Sequential(nn.Linear(4, 4), Block(), nn.ReLU(), Block(), Stage(1)),
                   named("1", "3")),
    "parts of one kind each": (nn.Sequential(Block(), Stage(3)),
                               named("1.blocks.0", "1.blocks.1", "1.blocks.2")),
    "stages": (nn.ModuleDict({"stages": nn.ModuleList([Stage(1), Stage(2)])}),
               named("stages.0.blocks.0", "stages.1.blocks.0", "stages.1.blocks.1")),
    "stages in containers": (nn.Sequential(nn.Sequential(Block(), Block()), nn.Sequential(Block())),
                             named("0.0", "0.1", "1.0")),
    "numbered names": (nn.ModuleDict({"mixed3a": Block(), "mixed3b": Experts(), "head": Block()}),
                       named("mixed3a", "mixed3b")),
    "experts": (nn.ModuleDict({"layers": nn.ModuleList(Experts() for _ in range(2))}),
                named("layers.0", "layers.1")),
    "unlike parts": (nn.ModuleDict({"block": nn.ModuleList(Sides() for _ in range(2))}),
                     named("block.0", "block.1")),
    "encoder and decoder": (
        nn.ModuleDict({side: nn.ModuleDict({"layers": nn.ModuleList(Block() for _ in range(n))})
                       for side, n in (("encoder", 2), ("decoder", 3))}),
        named("encoder.layers.0", "encoder.layers.1",
              "decoder.layers.0", "decoder.layers.1", "decoder.layers.2")),
}  # fmt: skip


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_are_those_of_the_longest_list(kind: str) -> None:
    model, blocks = BLOCKS[kind]
    found = repeated(model)[0]
    assert sorted(found) == sorted(blocks)
    order = [name for name, _ in model.named_modules() if name in blocks]
    assert kind == "encoder and decoder" or list(found) == order


LIBRARIES = {
    "resnet50": (lambda: torchvision.models.resnet50(), "Bottleneck", 16, "layer4.2"),
    "googlenet": (
        lambda: torchvision.models.googlenet(init_weights=False), "Inception", 9, "inception5b"
    ),
    "swin": (
        lambda: torchvision.models.swin_t(), "SwinTransformerBlock", 12, "features.7.1"
    ),
    "densenet": (
        lambda: torchvision.models.densenet121(), "_DenseLayer", 58,
        "features.denseblock4.denselayer16",
    ),
    "efficientnet": (
        lambda: timm.create_model("efficientnet_lite0"), "InvertedResidual", 16, "blocks.6.0"
    ),
    "bert": (
        lambda: transformers.BertForSequenceClassification(transformers.BertConfig()), "BertLayer",
        12, "bert.encoder.layer.11",
    ),
    "t5": (
        lambda: transformers.T5ForConditionalGeneration(transformers.T5Config()), "T5Block", 12,
        "decoder.block.5",
    ),
    "clip": (
        lambda: transformers.CLIPModel(transformers.CLIPConfig()), "CLIPEncoderLayer", 24,
        "vision_model.encoder.layers.11",
    ),
    "jamba": (
        lambda: transformers.JambaForCausalLM(
            transformers.JambaConfig(num_hidden_layers=9, use_mamba_kernels=False)
        ), "JambaMambaDecoderLayer", 9, "model.layers.8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIBRARIES)
def test_blocks_of_published_networks(kind: str) -> None:
    make, kind_of_block, count, last = LIBRARIES[kind]
    with torch.device("meta"):
        model = make()
    found = ctl.feature_layers(model)
    assert (len(found), found[-1]) == (count, last)
    assert kind_of_block in {type(model.get_submodule(name)).__name__ for name in found}


def test_without_blocks_the_children_are_the_default() -> None:
    plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    assert ctl.feature_layers(plain) == ("0", "1", "2.0", "2.1")
    wrapped = nn.ModuleDict({"net": torchvision.models.alexnet()})
    assert ctl.feature_layers(wrapped)[:2] == ("net.features.0", "net.features.1")
    assert ctl.feature_layers(nn.Linear(2, 2)) == ("",)


def test_a_model_that_lists_its_layers_is_asked() -> None:
    model = nn.Sequential(Block(), Block())
    model.feature_layers = ["1.up"]
    assert ctl.feature_layers(model) == ("1.up",)


def test_the_table_lists_what_can_be_tapped() -> None:
    model = nn.ModuleDict({"stem": nn.Linear(3, 4), "layers": nn.ModuleList([Block(), Block()])})
    model.register_module("tied", model["stem"])
    table = ctl.layers(model)
    assert list(table.columns) == ["layer", "class", "parameters", "default"]
    rows = table.set_index("layer")
    assert "layers" not in rows.index  # a ModuleList has no forward pass, nor has a ModuleDict
    assert list(rows.index) == [
        "stem", "layers.0", "layers.0.up", "layers.0.down", "layers.1", "layers.1.up",
        "layers.1.down", "tied",
    ]  # fmt: skip
    assert rows.loc["stem"].tolist() == rows.loc["tied"].tolist() == ["Linear", 16, False]
    assert rows.loc["layers.0"].tolist() == ["Block", 40, True]
    assert list(table[table["default"]].layer) == list(ctl.feature_layers(model))


BERT = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 11, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**BERT, intermediate_size=8))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("pooler", ["pooler"]),
        ("encoder.layer.1", ["encoder.layer.1"]),
        ("encoder.layer.*", [f"encoder.layer.{n}" for n in range(11)]),
        ("encoder.layer.[0-2]", [f"encoder.layer.{n}" for n in range(3)]),
        ("encoder.layer.?.output", [f"encoder.layer.{n}.output" for n in range(10)]),
        ("**.self.query", [f"encoder.layer.{n}.attention.self.query" for n in range(11)]),
        ("**.query", [f"encoder.layer.{n}.attention.self.query" for n in range(11)]),
        (["pooler", "embeddings"], ["pooler", "embeddings"]),
        (["encoder.layer.10", "encoder.layer.1*"], ["encoder.layer.10", "encoder.layer.1"]),
        ((name for name in ("pooler", "encoder")), ["pooler", "encoder"]),
        (np.array(["pooler"]), ["pooler"]),
        ({"pooler": None}.keys(), ["pooler"]),
        ("", [""]),
    ],
)
def test_names_and_globs(bert: nn.Module, given: object, expected: list[str]) -> None:
    assert list(named_layers(bert, given)) == expected


@pytest.mark.parametrize(
    ("given", "kind", "patterns"),
    [
        ("pooller", KeyError, ["no layer 'pooller'", "'pooler'"]),
        ("layer.3", KeyError, ["no layer 'layer.3'", "'encoder.layer.3'", r"ctl\.layers"]),
        (["encoder.layer.11"], KeyError, ["'encoder.layer.11'", "'encoder.layer.1'"]),
        ("encoder.layers.*", KeyError, [r"no layer that fits 'encoder\.layers\.\*'"]),
        ("encoder.layer", KeyError, ["is a ModuleList", "tap what is in it", "'encoder.layer.0'"]),
        (["pooler", "pooler"], ValueError, ["'pooler' occurs twice"]),
        ([], ValueError, ["no layers to compare"]),
        (3, TypeError, ["layers is a int", "'encoder.layer.0'"]),
        ([3], TypeError, ["layers has 3; give its name"]),
    ],
)
def test_other_names_are_refused(bert, given, kind, patterns: list[str]) -> None:
    with pytest.raises(kind) as caught:
        named_layers(bert, given)
    sentence = one_line(caught)
    assert all(re.search(pattern, sentence) for pattern in patterns), sentence
    assert len(sentence) < 350  # it does not list all layers


def test_a_module_in_place_of_its_name_is_named(bert: nn.Module) -> None:
    with refused(TypeError, "the module 'encoder.layer.2' itself"):
        named_layers(bert, [bert.encoder.layer[2]])
    with refused(TypeError, "layers is a BertEncoder; give names"):
        named_layers(bert, bert.encoder)
