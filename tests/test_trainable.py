"""Which parameters train in linear-layers-only fine-tuning, name by name."""

from __future__ import annotations

import pytest
from conftest import small_tower
from torch import nn

from ctl_helpers.models.bert import Bert
from ctl_helpers.models.llama import small_llama
from ctl_helpers.models.t5 import small_t5
from ctl_helpers.training.trainable import VARIANTS, trainable


def transformers_clip() -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 16, "patch_size": 8}
    return CLIPVisionModel(CLIPVisionConfig(num_hidden_layers=2, num_attention_heads=2, **sizes))


def t5() -> nn.Module:
    sizes = {"width": 8, "head_width": 4, "inner": 8, "layers": 1, "decoder_layers": 2, "heads": 2}
    return small_t5(vocabulary=11, buckets=4, distance=8, **sizes)


def llama() -> nn.Module:
    return small_llama(vocabulary=11, width=8, inner=8, layers=2, heads=2, positions=8)


def bert() -> nn.Module:
    from transformers import BertConfig

    sizes = {"hidden_size": 8, "intermediate_size": 12, "vocab_size": 11}
    return Bert(BertConfig(num_hidden_layers=2, num_attention_heads=2, **sizes))


# What a layer's names begin with, its attention's linear layers, its feed-forward's, and what of
# the network has a bias.
NETWORKS = {
    "open_clip": (
        small_tower,
        [f"visual.transformer.resblocks.{n}." for n in (0, 1)],
        ["attn.in_proj_", "attn.out_proj."],
        ["mlp.c_fc.", "mlp.c_proj."],
        True,
    ),
    "transformers' CLIP": (
        transformers_clip,
        [f"encoder.layers.{n}." for n in (0, 1)],
        [f"self_attn.{part}_proj." for part in ("k", "v", "q", "out")],
        ["mlp.fc1.", "mlp.fc2."],
        True,
    ),
    "T5's encoder": (
        t5,
        ["encoder.block.0.layer."],
        [f"0.SelfAttention.{part}." for part in "qkvo"],
        ["1.DenseReluDense.wi.", "1.DenseReluDense.wo."],
        False,
    ),
    "T5's decoder": (
        t5,
        [f"decoder.block.{n}.layer." for n in (0, 1)],
        [f"{n}.{kind}Attention.{p}." for n, kind in enumerate(("Self", "EncDec")) for p in "qkvo"],
        ["2.DenseReluDense.wi.", "2.DenseReluDense.wo."],
        False,
    ),
    "Llama": (
        llama,
        [f"model.layers.{n}." for n in (0, 1)],
        [f"self_attn.{part}_proj." for part in "qkvo"],
        [f"mlp.{part}_proj." for part in ("gate", "up", "down")],
        False,
    ),
    "BERT": (
        bert,
        [f"encoder.layer.{n}." for n in (0, 1)],
        [f"attention.{p}." for p in ("self.query", "self.key", "self.value", "output.dense")],
        ["intermediate.dense.", "output.dense."],
        True,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_chosen_names(name: str) -> None:
    build, layers, attention, feed_forward, has_bias = NETWORKS[name]
    names = [n for n, _ in build().named_parameters()]
    part = layers[0].split(".")[0]
    for variant in VARIANTS:
        linear = attention if variant.startswith("attention") else attention + feed_forward
        kinds = ["weight"] if variant.endswith("weights") or not has_bias else ["weight", "bias"]
        expected = [f"{a}{b}{kind}" for a in layers for b in linear for kind in kinds]
        chosen = trainable(names, variant)
        assert [n for n in names if n in chosen] == list(chosen)
        assert {n for n in chosen if n.split(".")[0] == part} == set(expected), variant
        assert len(expected) == len(set(expected)) > 0


def test_the_paper_s_method_is_the_projections_of_attention() -> None:
    chosen = trainable([n for n, _ in small_tower().named_parameters()], "attention-weights")
    block = "visual.transformer.resblocks"
    assert chosen == (
        f"{block}.0.attn.in_proj_weight",
        f"{block}.0.attn.out_proj.weight",
        f"{block}.1.attn.in_proj_weight",
        f"{block}.1.attn.out_proj.weight",
    )


def test_what_is_chosen_is_linear_layers() -> None:
    for build, *_ in NETWORKS.values():
        network = build()
        linear = set()
        for place, module in network.named_modules():
            if isinstance(module, nn.Linear):
                linear |= {f"{place}.weight", f"{place}.bias"}
            if isinstance(module, nn.MultiheadAttention):
                linear |= {f"{place}.in_proj_weight", f"{place}.in_proj_bias"}
        names = [name for name, _ in network.named_parameters()]
        linear &= set(names)
        assert set(trainable(names, "block")) == {n for n in linear if not n.startswith("lm_head")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_none_or_all_chosen_is_refused(variant: str) -> None:
    mlp = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    names = [name for name, _ in mlp.named_parameters()]
    with pytest.raises(ValueError, match=rf"'{variant}' chooses none of the 4 parameters \(0.wei"):
        trainable(names, variant)
    with pytest.raises(ValueError, match=rf"'{variant}' chooses all 1 parameters; pass the names"):
        trainable(["0.attn.in_proj_weight"], variant)


def test_an_unknown_paradigm_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no paradigm 'qkv'; choose one of full, tangent, attention-weights, att"
    ):
        trainable(["0.attn.in_proj_weight", "head"], "qkv")


def test_similar_names_are_not_chosen() -> None:
    others = ["attn_mask.weight", "mlp.c_fc.weight_g", "layer.0.SelfAttention.relative.weight"]
    chosen = trainable([*others, "xself_attn.q_proj.weight", "self_attn.q_proj.weight"], "block")
    assert chosen == ("self_attn.q_proj.weight",)
