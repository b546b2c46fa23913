"""A small network and its tokenizer in a GGUF file, as llama.cpp's converter writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from ctl_helpers.data import tokens

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}
SIZES |= {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256}
SIZES |= {"vocab_size": 320, "rms_norm_eps": 1e-5, "rope_theta": 1e5}
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_HEADS = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}


def tokenizer() -> Tokenizer:
    """A byte-level tokenizer of that many tokens."""
    words = "Review Sentiment Question Kind of answer Tweet Emotion positive negative card 2024"
    return tokens.byte_pairs([words] * 3, SIZES["vocab_size"], MARKS)


def network(scale: float = 3.0) -> LlamaForCausalLM:
    """A network of these sizes whose features and logits depend on all of its blocks."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(scale if weights.dim() > 1 else 1)
    return model


def write(path: Path, model: LlamaForCausalLM, kind: str = "llama") -> None:
    """Write a network with 4-bit blocks, an 8-bit embedding and norms in float32."""
    gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")
    writer = gguf.GGUFWriter(path, kind)
    writer.add_head_count(SIZES["num_attention_heads"])
    writer.add_head_count_kv(SIZES["num_key_value_heads"])
    _add_tokenizer(writer)
    types = gguf.GGMLQuantizationType
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        stem = name.removesuffix(".weight")
        number, _, part = stem.removeprefix("model.layers.").partition(".")
        once = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
        new = once[stem] if stem in once else f"blk.{number}.{_NAMES[part]}"
        if weights.dim() == 1:
            writer.add_tensor(f"{new}.weight", weights.numpy())
            continue
        if part in _HEADS:
            weights = _in_pairs(weights, SIZES[_HEADS[part]])
        as_type = types.Q8_0 if stem in once else types.Q4_1
        stored = gguf.quantize(np.ascontiguousarray(weights.numpy()), as_type)
        writer.add_tensor(f"{new}.weight", stored, raw_dtype=as_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: object) -> None:
    made = tokenizer()
    model = json.loads(made.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(sorted(model["vocab"], key=model["vocab"].get))
    writer.add_token_types([3] * len(MARKS) + [1] * (SIZES["vocab_size"] - len(MARKS)))
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])


def _in_pairs(weights: Tensor, heads: int) -> Tensor:
    """Rows as the converter orders them: what a rotary embedding turns together is neighbours."""
    halves = weights.view(heads, 2, -1, weights.shape[-1])
    return halves.transpose(1, 2).reshape(weights.shape)
