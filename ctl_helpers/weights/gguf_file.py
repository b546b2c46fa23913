"""Llama networks in GGUF files, and their tokenizers, under the names that transformers has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from ctl_helpers.weights.files import check_there, damaged
from ctl_helpers.weights.published import check_reader

if TYPE_CHECKING:
    from gguf import GGUFReader

_KIND = "llama"
_ONCE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BY_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)")
_HEADS = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
_CONTROL = 3  # the type of a token that stands for no text


def read_llama(path: Path) -> dict[str, Tensor]:
    """The weights of a Llama, dequantized to float32.

    A block of some weights shares a scale and, in some formats, an offset; what is given is scale
    times the small whole number that is stored, plus the offset, which is what the file's network
    computes with. The projections to queries and keys stand in another order of rows in the file,
    where the two numbers that a rotary embedding turns are neighbours; transformers has one in the
    first half of a head and the other in the second.

    Args:
        path: a ``.gguf`` file.

    Returns:
        Name as transformers' ``LlamaForCausalLM`` has it → tensor.

    Raises:
        MissingDataError: no file, no package that reads it, or a damaged file.
        ValueError: another kind of network, or a tensor that a Llama does not have.
    """
    from gguf import dequantize

    reader = _reader(path)
    found = {}
    for tensor in reader.tensors:
        # The package gives what a file maps, which cannot be written to.
        weights = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        stem, _, end = tensor.name.rpartition(".")
        number, part = match.groups() if (match := _BLOCK.fullmatch(stem)) else (None, stem)
        names = _ONCE if number is None else _BY_BLOCK
        if end != "weight" or part not in names:
            raise ValueError(f"{path} has {tensor.name!r}, which is no tensor of a Llama")
        if part in _HEADS:
            weights = _halved(weights, int(_value(reader, _HEADS[part])))
        before = "" if number is None else f"model.layers.{number}."
        found[f"{before}{names[part]}.weight"] = weights
    return found


def read_tokenizer(path: Path) -> Tokenizer:
    """The byte-level BPE tokenizer of a GGUF file, whose digits are tokens by themselves.

    It adds nothing to a text. Arguments and errors as for :func:`read_llama`.
    """
    reader = _reader(path)
    kind = _value(reader, "tokenizer.ggml.model"), _value(reader, "tokenizer.ggml.pre")
    if kind != ("gpt2", "smollm"):
        raise ValueError(f"{path} has a tokenizer {kind}; only ('gpt2', 'smollm') is known here")
    tokens = _value(reader, "tokenizer.ggml.tokens")
    pairs = [tuple(pair.split(" ")) for pair in _value(reader, "tokenizer.ggml.merges")]
    numbers: Mapping[str, int] = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(dict(numbers), pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _value(reader, "tokenizer.ggml.token_type")
    marks = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    return tokenizer


def _reader(path: Path) -> GGUFReader:
    check_reader()
    check_there(path)
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        kind = _value(reader, "general.architecture")
    except Exception as error:  # of a file that is cut anything may be missing
        raise damaged(path, error) from None
    if kind != _KIND:
        raise ValueError(f"{path} holds a network of the kind {kind!r}; give one of a {_KIND!r}")
    return reader


def _value(reader: GGUFReader, name: str) -> Any:
    return reader.fields[name].contents()


def _halved(weights: Tensor, heads: int) -> Tensor:
    """Rows of each head, from pairs that are turned together to a half of firsts, then seconds."""
    pairs = weights.view(heads, -1, 2, weights.shape[-1])
    return pairs.transpose(1, 2).reshape(weights.shape)
