"""Networks of other libraries, tiny from their configurations, and a batch for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import open_clip
import timm
import torch
import torchvision.models as tv
import transformers as tf
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.densenet import DenseNet
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.resnet import BasicBlock, ResNet

SAMPLES, TOKENS, VOCABULARY, SIDE = 3, 5, 40, 16

Batch = Mapping[str, Tensor] | Tensor


@dataclass(frozen=True)
class Library:
    """A network of a library.

    Attributes:
        library: its name.
        make: gives the network.
        batch: gives what it takes.
    """

    library: str
    make: Callable[[], nn.Module]
    batch: Callable[[], Batch]


def ids() -> Tensor:
    return torch.randint(3, VOCABULARY, (SAMPLES, TOKENS))


def text() -> Batch:
    return {"input_ids": ids()}


def texts() -> Batch:
    return {"input_ids": ids(), "decoder_input_ids": ids()[:, :4]}


def image(side: int = SIDE) -> Tensor:
    return torch.randn(SAMPLES, 3, side, side, dtype=torch.float64)


def pixels(side: int = SIDE) -> Batch:
    return {"pixel_values": image(side)}


def both() -> Batch:
    return {"input_ids": ids(), "pixel_values": image()}


def speech() -> Batch:
    features = torch.randn(SAMPLES, 8, 20, dtype=torch.float64)
    return {"input_features": features, "decoder_input_ids": ids()[:, :4]}


def sound() -> Batch:
    return {"input_values": torch.randn(SAMPLES, 400, dtype=torch.float64)}


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
WORDS = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "pad_token_id": 0}
GROUPED = {"num_key_value_heads": 1, "head_dim": 8}
PATCHES = {"image_size": SIDE, "patch_size": 8}
SIDES = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
}
STAGES = {"depths": [1, 2], "num_channels": 3}


def _transformers(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    kind = getattr(tf, name)
    return kind(kind.config_class(**sizes))


def _tf(batch: Callable[[], Batch], *sizes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in (*sizes, more):
        merged |= part
    return {"sizes": merged, "batch": batch}


TRANSFORMERS = {
    "BertModel": _tf(text, SMALL, WORDS),
    "RobertaForSequenceClassification": _tf(text, SMALL, WORDS),
    "DistilBertModel": _tf(
        text, WORDS, dim=16, n_layers=2, n_heads=2, hidden_dim=24
    ),
    "AlbertModel": _tf(text, SMALL, WORDS, embedding_size=8),
    "ElectraModel": _tf(text, SMALL, WORDS, embedding_size=8),
    "DebertaV2Model": _tf(text, SMALL, WORDS, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "MPNetModel": _tf(text, SMALL, WORDS),
    "ModernBertModel": _tf(text, SMALL, WORDS),
    "XLNetModel": _tf(text, vocab_size=VOCABULARY, d_model=16, n_layer=2, n_head=2, d_inner=24),
    "LongformerModel": _tf(text, SMALL, WORDS, attention_window=4),
    "GPT2LMHeadModel": _tf(text, vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2),
    "GPTNeoXForCausalLM": _tf(text, SMALL, WORDS),
    "OPTForCausalLM": _tf(text, WORDS, hidden_size=16, num_hidden_layers=2,
                          num_attention_heads=2, ffn_dim=24, word_embed_proj_dim=16),
    "BloomForCausalLM": _tf(text, vocab_size=VOCABULARY, hidden_size=16, n_layer=2, n_head=2),
    "FalconForCausalLM": _tf(text, SMALL, WORDS),
    "MptForCausalLM": _tf(text, vocab_size=VOCABULARY, d_model=16, n_layers=2, n_heads=2),
    "LlamaForCausalLM": _tf(text, SMALL, WORDS, GROUPED),
    "MistralForCausalLM": _tf(text, SMALL, WORDS, GROUPED, sliding_window=3),
    "MixtralForCausalLM": _tf(text, SMALL, WORDS, GROUPED, num_local_experts=3,
                               experts_implementation="eager"),
    "Qwen2ForCausalLM": _tf(text, SMALL, WORDS, num_key_value_heads=1),
    "Qwen3ForCausalLM": _tf(text, SMALL, WORDS, GROUPED),
    "GemmaForCausalLM": _tf(text, SMALL, WORDS, GROUPED),
    "Gemma2ForCausalLM": _tf(text, SMALL, WORDS, GROUPED, sliding_window=3),
    "Gemma3ForCausalLM": _tf(text, SMALL, WORDS, GROUPED, sliding_window=3),
    "PhiForCausalLM": _tf(text, SMALL, WORDS),
    "Phi3ForCausalLM": _tf(text, SMALL, WORDS),
    "StableLmForCausalLM": _tf(text, SMALL, WORDS, num_key_value_heads=1),
    "Olmo2ForCausalLM": _tf(text, SMALL, WORDS, num_key_value_heads=1),
    "MambaForCausalLM": _tf(text, vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2,
                            state_size=4),
    "T5ForConditionalGeneration": _tf(texts, vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=24,
                                      num_layers=2, num_heads=2),
    "BartForConditionalGeneration": _tf(texts, WORDS, SIDES),
    "MarianMTModel": _tf(texts, WORDS, SIDES),
    "WhisperForConditionalGeneration": _tf(
        speech, SIDES, vocab_size=VOCABULARY, num_mel_bins=8, max_source_positions=10,
        max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "Wav2Vec2Model": _tf(
        sound, SMALL, conv_dim=[8, 8], conv_kernel=[8, 4], conv_stride=[4, 4],
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, num_feat_extract_layers=2,
    ),
    "ViTForImageClassification": _tf(pixels, SMALL, PATCHES),
    "DeiTModel": _tf(pixels, SMALL, PATCHES),
    "BeitModel": _tf(pixels, SMALL, PATCHES),
    "Dinov2Model": _tf(pixels, SMALL, PATCHES, mlp_ratio=2),
    "SwinModel": _tf(
        partial(pixels, 32), image_size=32, patch_size=4, embed_dim=8, depths=[1, 2],
        num_heads=[1, 2], window_size=2,
    ),
    "ConvNextModel": _tf(partial(pixels, 32), STAGES, hidden_sizes=[8, 12], num_stages=2),
    "ResNetModel": _tf(partial(pixels, 32), STAGES, hidden_sizes=[8, 12], embedding_size=8),
    "SegformerModel": _tf(
        partial(pixels, 32), num_encoder_blocks=2, depths=[1, 2], sr_ratios=[2, 1],
        hidden_sizes=[8, 16], num_attention_heads=[1, 2], patch_sizes=[7, 3], strides=[4, 2],
        mlp_ratios=[2, 2],
    ),
    "CLIPVisionModel": _tf(pixels, SMALL, PATCHES),
    "CLIPModel": _tf(both, text_config={**SMALL, **WORDS, "eos_token_id": 2},
                     vision_config={**SMALL, **PATCHES}, projection_dim=8),
    "SiglipModel": _tf(both, text_config={**SMALL, **WORDS, "projection_size": 16},
                       vision_config={**SMALL, **PATCHES}),
}  # fmt: skip


def _regnet() -> nn.Module:
    sizes = {"depths": [1, 2], "widths": [8, 16], "group_widths": [4, 4], "strides": [2, 2]}
    blocks = BlockParams(bottleneck_multipliers=[1.0, 1.0], **sizes)
    return RegNet(blocks, num_classes=5, stem_width=8)


TORCHVISION = {
    "ResNet": lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5, width_per_group=64),
    "DenseNet": lambda: DenseNet(4, (2, 2, 2, 2), 8, num_classes=5),
    "GoogLeNet": lambda: tv.googlenet(num_classes=5, init_weights=False),
    "SqueezeNet": lambda: tv.squeezenet1_1(num_classes=5),
    "ShuffleNetV2": lambda: tv.shufflenet_v2_x0_5(num_classes=5),
    "MobileNetV2": lambda: tv.mobilenet_v2(num_classes=5, width_mult=0.25),
    "MobileNetV3": lambda: tv.mobilenet_v3_small(num_classes=5, width_mult=0.25),
    "MNASNet": lambda: tv.MNASNet(0.35, num_classes=5),
    "EfficientNet": lambda: tv.efficientnet_b0(num_classes=5),
    "RegNet": _regnet,
    "ConvNeXt": lambda: tv.ConvNeXt(
        [CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 2)], num_classes=5
    ),
    "VisionTransformer": lambda: tv.VisionTransformer(32, 8, 2, 2, 16, 24, num_classes=5),
    "SwinTransformer": lambda: tv.SwinTransformer([4, 4], 8, [1, 2], [1, 2], [2, 2], num_classes=5),
}

TIMM = (
    "test_vit", "test_resnet", "test_efficientnet", "test_convnext", "test_byobnet", "test_nfnet",
    "test_mambaout",
)  # fmt: skip


def _open_clip() -> nn.Module:
    vision = {"image_size": SIDE, "patch_size": 8, "width": 16, "layers": 2, "head_width": 8}
    words = {"context_length": TOKENS, "vocab_size": VOCABULARY, "width": 16, "heads": 2}
    return open_clip.CLIP(8, vision, words | {"layers": 2})


NETWORKS = {
    **{
        name: Library("transformers", partial(_transformers, name, case["sizes"]), case["batch"])
        for name, case in TRANSFORMERS.items()
    },
    **{
        f"torchvision.{name}": Library("torchvision", make, partial(image, 32))
        for name, make in TORCHVISION.items()
    },
    **{
        f"timm.{name}": Library("timm", partial(timm.create_model, name), partial(image, 64))
        for name in TIMM
    },
    "open_clip.CLIP": Library("open_clip", _open_clip, lambda: {"image": image(), "text": ids()}),
}
