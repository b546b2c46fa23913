"""Library networks: the right numbers, and nothing of the caller's changed by any public call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import naive
import pytest
import torch
from conftest import same
from torch import Tensor, nn

import ctl_helpers as ctl

Make = Callable[[], nn.Module]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SIZES, "intermediate_size": 24, "vocab_size": 30}
SEQ2SEQ = {
    "vocab_size": 30, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    "decoder_start_token_id": 2,
}  # fmt: skip


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def ids(*shape: int) -> Tensor:
    return torch.randint(3, 30, shape, generator=torch.Generator().manual_seed(0))


def images(size: int, samples: int = 4) -> dict[str, Tensor]:
    return {"pixel_values": randn(samples, 3, size, size)}


def text(**more: Tensor) -> dict[str, Tensor]:
    mask = (torch.arange(6) < torch.tensor([[3], [6], [1], [5]])).long()
    return {"input_ids": ids(4, 6), "attention_mask": mask, **more}


def hf(name: str, config: str, **sizes: Any) -> nn.Module:
    import transformers

    return getattr(transformers, name)(getattr(transformers, config)(**sizes))


def timm(name: str, **options: Any) -> nn.Module:
    return pytest.importorskip("timm").create_model(name, num_classes=3, **options)


def vision(name: str, **options: Any) -> nn.Module:
    import torchvision

    return getattr(torchvision.models, name)(num_classes=3, weights=None, **options)


def parts(module: str, name: str, *arguments: Any, **options: Any) -> nn.Module:
    import importlib

    found = importlib.import_module(f"torchvision.models.{module}")
    kind = getattr(found, name)
    return kind(*(getattr(found, a) if isinstance(a, str) else a for a in arguments), **options)


def clip_tower() -> nn.Module:
    import open_clip

    vision = {"image_size": 16, "patch_size": 8, "width": 16, "layers": 2, "head_width": 8}
    words = {"context_length": 6, "vocab_size": 30, "width": 16, "heads": 2, "layers": 2}
    return open_clip.CLIP(8, vision, words)


Case = tuple[Make, Any, str]
BERT = partial(hf, config="BertConfig", **TEXT)
GPT2 = {"vocab_size": 30, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20}
T5 = {"vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
LLAMA = {**TEXT, "num_key_value_heads": 1}
VIT = {**SIZES, "intermediate_size": 24, "image_size": 16, "patch_size": 8}
LEVIT = {
    "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4],
    "depths": [1, 1, 1], "key_dim": [8, 8, 8], "attention_ratio": [2, 2, 2], "mlp_ratio": [2, 2, 2],
    "down_ops": [["Subsample", 8, 2, 4, 2, 2], ["Subsample", 8, 3, 4, 2, 2]],
}  # fmt: skip
TWO = {"decoder_input_ids": ids(4, 5)}
# Network → how it is built, a batch, and a layer whose output is samples first.
CASES: Mapping[str, Case] = {
    "bert": (partial(BERT, "BertModel"), text(), "pooler"),
    "bert classes": (
        partial(BERT, "BertForSequenceClassification"),
        text(labels=torch.tensor([0, 1, 1, 0])),
        "classifier",
    ),
    "roberta": (partial(hf, "RobertaModel", "RobertaConfig", **TEXT), text(), "pooler"),
    "distilbert": (
        partial(hf, "DistilBertModel", "DistilBertConfig", vocab_size=30, dim=16, n_layers=2,
                n_heads=2, hidden_dim=24), {"input_ids": ids(4, 6)}, "transformer.layer.1",
    ),
    "electra": (
        partial(hf, "ElectraForSequenceClassification", "ElectraConfig", **TEXT, embedding_size=8),
        text(), "classifier",
    ),
    "albert": (
        partial(hf, "AlbertModel", "AlbertConfig", **TEXT, embedding_size=8), text(), "pooler",
    ),
    "deberta": (
        partial(hf, "DebertaV2ForSequenceClassification", "DebertaV2Config", **TEXT), text(),
        "classifier",
    ),
    "gpt2": (partial(hf, "GPT2LMHeadModel", "GPT2Config", **GPT2), {"input_ids": ids(4, 6)},
             "transformer.h.1"),
    "gpt-neox": (partial(hf, "GPTNeoXForCausalLM", "GPTNeoXConfig", **TEXT),
                 {"input_ids": ids(4, 6)}, "gpt_neox.layers.1"),
    "opt": (
        partial(hf, "OPTForCausalLM", "OPTConfig", vocab_size=30, hidden_size=16, ffn_dim=24,
                num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=16),
        {"input_ids": ids(4, 6)}, "model.decoder.layers.1",
    ),
    "llama": (partial(hf, "LlamaForCausalLM", "LlamaConfig", **LLAMA), {"input_ids": ids(6, 6)},
              "model.layers.1"),
    "mistral": (partial(hf, "MistralModel", "MistralConfig", **LLAMA), {"input_ids": ids(4, 6)},
                "layers.1"),
    "qwen2": (partial(hf, "Qwen2ForCausalLM", "Qwen2Config", **LLAMA), {"input_ids": ids(4, 6)},
              "model.layers.1"),
    "gemma": (
        partial(hf, "GemmaForCausalLM", "GemmaConfig", **LLAMA, head_dim=8),
        {"input_ids": ids(4, 6)}, "model.layers.1",
    ),
    "mixtral": (
        partial(hf, "MixtralForCausalLM", "MixtralConfig", **LLAMA, num_local_experts=3),
        {"input_ids": ids(4, 6)}, "model.layers.1",
    ),
    "mamba": (
        partial(hf, "MambaModel", "MambaConfig", vocab_size=30, hidden_size=16,
                num_hidden_layers=2, state_size=4), {"input_ids": ids(4, 6)}, "layers.1",
    ),
    "t5": (partial(hf, "T5ForConditionalGeneration", "T5Config", **T5, decoder_start_token_id=0),
           {"input_ids": ids(4, 6), **TWO}, "decoder.block.1"),
    "bart": (partial(hf, "BartModel", "BartConfig", **SEQ2SEQ),
             {"input_ids": ids(4, 6), **TWO}, "decoder.layers.0"),
    "whisper": (
        partial(hf, "WhisperModel", "WhisperConfig", **SEQ2SEQ, num_mel_bins=8,
                max_source_positions=10), {"input_features": randn(4, 8, 20), **TWO},
        "decoder.layers.0",
    ),
    "wav2vec2": (
        partial(hf, "Wav2Vec2Model", "Wav2Vec2Config", **SIZES, intermediate_size=24,
                conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3),
                num_feat_extract_layers=2, num_conv_pos_embeddings=4,
                num_conv_pos_embedding_groups=2),
        {"input_values": randn(3, 200)}, "encoder.layers.1",
    ),
    "vit": (partial(hf, "ViTForImageClassification", "ViTConfig", **VIT), images(16), "classifier"),
    "deit": (partial(hf, "DeiTModel", "DeiTConfig", **VIT), images(16), "pooler"),
    "dinov2": (partial(hf, "Dinov2Model", "Dinov2Config", **{**SIZES, "image_size": 16},
                       patch_size=8), images(16), "layernorm"),
    "levit": (partial(hf, "LevitModel", "LevitConfig", **LEVIT), images(64), "encoder.stages.2"),
    "hf swin": (
        partial(hf, "SwinModel", "SwinConfig", image_size=32, patch_size=4, embed_dim=8,
                depths=[1, 1], num_heads=[2, 2], window_size=4), images(32), "encoder.layers.1",
    ),
    "hf convnext": (
        partial(hf, "ConvNextModel", "ConvNextConfig", depths=[1, 1], hidden_sizes=[8, 16],
                num_stages=2), images(32), "encoder.stages.1",
    ),
    "hf resnet": (
        partial(hf, "ResNetModel", "ResNetConfig", embedding_size=8, hidden_sizes=[8, 16],
                depths=[1, 1], layer_type="basic"), images(32), "encoder.stages.1",
    ),
    "resnet": (partial(parts, "resnet", "ResNet", "BasicBlock", [1, 1, 1, 1], num_classes=3),
               randn(4, 3, 32, 32), "layer3"),
    "densenet": (
        partial(parts, "densenet", "DenseNet", growth_rate=4, block_config=(1, 2),
                num_init_features=8, num_classes=3), randn(4, 3, 32, 32), "features.denseblock2",
    ),
    "squeezenet": (partial(vision, "squeezenet1_1"), randn(3, 3, 64, 64), "features.7"),
    "shufflenet": (partial(vision, "shufflenet_v2_x0_5"), randn(3, 3, 64, 64), "stage3"),
    "mobilenet": (partial(vision, "mobilenet_v3_small"), randn(3, 3, 64, 64), "features.5"),
    "torchvision vit": (
        partial(parts, "vision_transformer", "VisionTransformer", image_size=16, patch_size=8,
                num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24, num_classes=3),
        randn(5, 3, 16, 16), "encoder.layers.encoder_layer_1",
    ),
    "torchvision swin": (
        partial(parts, "swin_transformer", "SwinTransformer", patch_size=[4, 4], embed_dim=8,
                depths=[1, 1], num_heads=[2, 2], window_size=[4, 4], num_classes=3),
        randn(4, 3, 32, 32), "features.1",
    ),
    "timm levit": (
        partial(timm, "levit_128s", img_size=64, embed_dim=(16, 24, 32), key_dim=8, depth=(1, 1, 1),
                num_heads=(2, 3, 4)), randn(4, 3, 64, 64), "stages.1",
    ),
    "timm vit": (
        partial(timm, "vit_tiny_patch16_224", img_size=16, patch_size=8, embed_dim=16, depth=2,
                num_heads=2), randn(5, 3, 16, 16), "blocks.1",
    ),
    "timm mixer": (
        partial(timm, "mixer_s32_224", img_size=32), randn(3, 3, 32, 32), "blocks.1",
    ),
    "timm convnext": (
        partial(timm, "convnext_atto", dims=(8, 8, 8, 8), depths=(1, 1, 1, 1)),
        randn(4, 3, 32, 32), "stages.1",
    ),
    "open_clip": (clip_tower, {"image": randn(6, 3, 16, 16), "text": ids(6, 6)},
                  "transformer.resblocks.1"),
    "lstm": (partial(nn.LSTM, 5, 4, 2, batch_first=True), randn(4, 6, 5), ""),
    "transformer": (
        partial(nn.Transformer, 8, 2, 1, 1, 16, batch_first=True),
        {"src": randn(4, 5, 8), "tgt": randn(4, 3, 8)}, "decoder.layers.0",
    ),
}  # fmt: skip


ONLY_FLOAT32 = {"mixtral"}  # whose experts torch multiplies in no wider type


def described(model: nn.Module) -> list[object]:
    """All of a model that a call could change: modes, hooks, tensors, and what else it holds."""
    found: list[object] = []
    for module in model.modules():
        hooks = len(module._forward_hooks), len(module._forward_pre_hooks)
        held = {
            name: id(value) if isinstance(value, (Tensor, nn.Module)) else repr(value)
            for name, value in vars(module).items()
            if name not in ("_parameters", "_buffers", "_modules", "training", "config")
        }
        found += [module.training, hooks, held]
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_numbers_are_right_and_nothing_is_changed(name: str) -> None:
    make, batch, layer = CASES[name]
    torch.manual_seed(0)
    model = make().train()
    if name not in ONLY_FLOAT32:
        model = model.double()
    states = naive.around(model, scale=0.02)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    kept = {n: {key: value.clone() for key, value in s.items()} for n, s in states.items()}
    looks, generator = described(model), torch.get_rng_state()
    given = naive.copy.deepcopy(batch)
    asked = ctl.pairs("ab", [0.3])
    found = ctl.measure(model, states, asked, [given], [layer])
    ctl.logits(model, states, [{"a": 1.0}, {"a": 0.5, "b": 0.5}], [given])
    assert same(dict(model.state_dict()), before)
    assert all(same(states[n], kept[n]) for n in states)
    assert described(model) == looks
    assert torch.equal(torch.get_rng_state(), generator)
    for one, other in zip(*(_leaves(value) for value in (given, batch)), strict=True):
        assert torch.equal(one, other)
    wanted = naive.expected(model, states, 0.3, batch, layer)
    for metric in ("distance", "baseline", "coef"):
        off = {"rtol": 1e-4, "atol": 1e-5 if name in ONLY_FLOAT32 else 1e-9}
        torch.testing.assert_close(found.values[0, layer, metric], wanted[metric].double(), **off)


def _leaves(batch: Any) -> list[Tensor]:
    return list(batch.values()) if isinstance(batch, Mapping) else [batch]


def test_there_are_many_networks() -> None:
    assert len(CASES) >= 40


def test_what_draws_in_evaluation_mode_draws_the_same_in_each_pass() -> None:
    """A masked autoencoder chooses its patches at random in evaluation mode too."""
    torch.manual_seed(0)
    model = hf("ViTMAEModel", "ViTMAEConfig", **{**VIT, "image_size": 32}).double()
    states, batch, layer = naive.around(model, scale=0.02), images(32), "layernorm"

    def seed(*_: object) -> None:
        torch.manual_seed(7)

    seed()
    with pytest.warns(UserWarning, match=r"module 'embeddings' \(ViTMAEEmbeddings\) draws random"):
        found = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [batch], [layer])
    model.register_forward_pre_hook(seed)
    wanted = naive.expected(model, states, 0.3, batch, layer)["distance"]
    torch.testing.assert_close(found.values[0, layer, "distance"], wanted, rtol=1e-4, atol=1e-9)
