"""Networks of Llama's shape: transformers' own numbers of each family, whole and stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from conftest import epsilon, formulas, refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.models.llama import FAMILIES, Llama
from ctl_helpers.models.t5 import small_t5
from ctl_helpers.models.text import from_transformers

WINDOW = 3
SIZES = {
    "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32,
    "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
}  # fmt: skip
KINDS = ["full_attention", "sliding_attention", "full_attention"]
MORE = {
    "mistral": {"sliding_window": WINDOW},
    "qwen2": {"sliding_window": WINDOW, "use_sliding_window": True, "layer_types": KINDS},
    "qwen3": {"head_dim": 6},
    "gemma": {"head_dim": 4},
    "gemma2": {
        "head_dim": 4, "sliding_window": WINDOW, "attn_logit_softcapping": 0.5,
        "final_logit_softcapping": 0.7, "query_pre_attn_scalar": 4,
    },
    "gemma3_text": {
        "head_dim": 4, "sliding_window": WINDOW, "layer_types": KINDS, "query_pre_attn_scalar": 4,
    },
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"sliding_window": WINDOW},
    "stablelm": {"partial_rotary_factor": 0.5, "use_qkv_bias": True},
    "starcoder2": {"sliding_window": WINDOW},
    "granite": {
        "embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.5,
        "attention_multiplier": 0.4,
    },
    "cohere": {"logit_scale": 0.3},
    "smollm3": {"no_rope_layers": [1, 0, 1], "use_sliding_window": False},
}  # fmt: skip
PROMPTS = ([5, 9, 3, 7, 4, 11], [8, 4], [6, 6, 12, 30])


def config(family: str, **changes: object) -> transformers.PretrainedConfig:
    return transformers.AutoConfig.for_model(family, **SIZES | MORE.get(family, {}) | changes)


@cache
def networks(family: str, tied: bool) -> tuple[Llama, nn.Module]:
    """A network in stages, and transformers' own with the same weights, in float64."""
    torch.manual_seed(0)
    made = config(family, tie_word_embeddings=tied)
    model = Llama(made)
    for value in model.parameters():
        value.data += 0.3 * torch.randn_like(value)
    model = model.double().eval()
    attention = "eager" if "attn_logit_softcapping" in MORE.get(family, {}) else "sdpa"
    theirs = transformers.AutoModelForCausalLM.from_config(made, attn_implementation=attention)
    lacking = theirs.load_state_dict(model.state_dict(), strict=False)
    assert not lacking.unexpected_keys
    assert lacking.missing_keys == ["lm_head.weight"] * tied
    return model, theirs.double().eval()


def padded(prompts: tuple[list[int], ...] = PROMPTS) -> dict[str, Tensor]:
    longest = max(map(len, prompts))
    rows = [[0] * (longest - len(row)) + row for row in prompts]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in prompts]
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask)}


def alone(theirs: nn.Module, prompt: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
    """The last token's logits and states of one sample, by transformers' own forward pass."""
    found: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _, __, output, n=n: found.update({f"states.{n}": output[0, -1]})
        )
        for n, layer in enumerate(theirs.model.layers)
    ]
    with torch.no_grad():
        logits = theirs(torch.tensor([prompt]), use_cache=False).logits[0, -1]
    for hook in hooks:
        hook.remove()
    return logits, found


CASES = [*((family, False) for family in FAMILIES), ("gemma", True), ("qwen2", True)]


@pytest.mark.parametrize(("family", "tied"), CASES)
def test_a_padded_batch_gives_what_transformers_gives_alone(family: str, tied: bool) -> None:
    model, theirs = networks(family, tied)
    with torch.no_grad(), ctl.taps(model, model.feature_layers) as seen:
        logits = model(**padded())[:, 0]
    for n, prompt in enumerate(PROMPTS):
        expected, states = alone(theirs, prompt)
        torch.testing.assert_close(logits[n], expected, rtol=1e-5, atol=1e-6)
        assert len(states) == len(seen) == 3
        for layer, state in states.items():
            torch.testing.assert_close(seen[layer][n], state, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", [f for f in FAMILIES if "sliding_window" in MORE.get(f, {})])
def test_a_window_changes_what_is_beyond_it(family: str) -> None:
    model, _ = networks(family, False)
    wide = Llama(config(family, sliding_window=20, tie_word_embeddings=False)).double().eval()
    wide.load_state_dict(model.state_dict())
    with torch.no_grad():
        narrow, whole = (net(**padded())[:, 0] for net in (model, wide))
    assert (narrow[0] - whole[0]).abs().max() > 1e-4
    torch.testing.assert_close(narrow[1], whole[1], rtol=0, atol=1e-12)  # two tokens are within


def oracle(family: str, tied: bool, states: Mapping[str, Mapping[str, Tensor]]) -> pd.DataFrame:
    """Distances and ε of the mix of a and b by transformers' whole passes, one sample at a time."""
    model, theirs = networks(family, tied)

    def features(mix: Mapping[str, float]) -> dict[str, np.ndarray]:
        mixed = {key: sum(w * states[name][key] for name, w in mix.items()) for key in states["a"]}
        kept = {key: value.clone() for key, value in theirs.state_dict().items()}
        theirs.load_state_dict(mixed, strict=False)
        found = [alone(theirs, prompt)[1] for prompt in PROMPTS]
        theirs.load_state_dict(kept)
        return {layer: np.stack([one[layer] for one in found]) for layer in model.feature_layers}

    left, a, b = features({"a": 0.3, "b": 0.7}), features({"a": 1.0}), features({"b": 1.0})
    rows = []
    for layer in model.feature_layers:
        parts = [(0.3, a[layer]), (0.7, b[layer])]
        right = sum(weight * part for weight, part in parts)
        values = formulas(left[layer], right, [(a[layer], b[layer])])
        means = {metric: samples.mean() for metric, samples in values.items()}
        means["epsilon"] = epsilon(left[layer], parts)
        rows += [{"layer": layer, "metric": metric, "mean": mean} for metric, mean in means.items()]
    return pd.DataFrame(rows).set_index(["layer", "metric"])["mean"]


@pytest.mark.parametrize(("family", "tied"), CASES)
def test_stages_and_whole_passes_agree_with_the_oracle(family: str, tied: bool, around) -> None:
    model, _ = networks(family, tied)
    states, asked = around(model, "ab", scale=0.05), ctl.pairs("ab", [0.3])
    whole, staged = (
        ctl.compare(model, states, asked, [padded()], stream=stream) for stream in (False, True)
    )
    pd.testing.assert_frame_equal(whole, staged)
    found = whole.set_index(["layer", "metric"])["mean"]
    expected = oracle(family, tied, states)
    pd.testing.assert_series_equal(
        found.sort_index(), expected.sort_index(), rtol=1e-4, atol=1e-9, check_names=False
    )
    assert found.xs("distance", level="metric").min() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_meta_device_holds_the_weights_alone(family: str) -> None:
    with torch.device("meta"):
        model = Llama(config(family))
    assert {value.device.type for value in model.parameters()} == {"meta"}
    real = dict(Llama(config(family)).named_buffers())
    buffers = dict(model.named_buffers())
    assert buffers.keys() == real.keys() != set()
    for name, value in buffers.items():
        assert torch.equal(value, real[name]), name
    assert {name for name, _ in model.named_parameters()} == model.state_dict().keys()


@pytest.mark.parametrize("family", ["mistral", "gemma3_text", "phi"])
def test_a_saved_checkpoint_is_read_under_its_names(family: str) -> None:
    tied = family == "gemma3_text"
    model, theirs = networks(family, tied)
    read = from_transformers(model, theirs.state_dict(), "a")
    assert set(read) == set(model.state_dict())
    assert ("lm_head.weight" in read) == (not tied)


def test_a_batch_without_a_mask_is_all_tokens() -> None:
    model, _ = networks("llama", False)
    ids = torch.tensor([[5, 9, 3], [4, 8, 2]])
    with torch.no_grad():
        plain = model(ids)
        masked = model(ids, torch.ones_like(ids))
    assert torch.equal(plain, masked)
    t5 = small_t5(vocabulary=40, width=8, head_width=4, inner=8, layers=1, heads=2, buckets=4,
                  distance=8).eval()  # fmt: skip
    with torch.no_grad():
        assert torch.equal(t5(ids), t5(ids, torch.ones_like(ids)))
    for network, padding in ((model, [[0, 9, 3], [4, 8, 2]]), (t5, [[5, 9, 0], [4, 8, 2]])):
        with refused(ValueError, "have padding .token 0. and no attention_mask; pass one"):
            network(torch.tensor(padding))
        with refused(ValueError, r"attention_mask has the shape \(2, 2\) for input_ids \(2, 3\)"):
            network(ids, torch.ones(2, 2))
        with refused(TypeError, "does not take 'token_type_ids'; leave it out of the batch"):
            network(input_ids=ids, token_type_ids=ids)
        with torch.no_grad():
            assert torch.equal(network(input_ids=ids, labels=ids), network(ids))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: transformers.GPT2Config(), "GPT2Config is of the family 'gpt2', whose stages"),
        (lambda: transformers.MixtralConfig(), "give a LlamaConfig or one of mistral, qwen2"),
        (lambda: transformers.BertConfig(), "pass AutoModelForCausalLM.from_config"),
        (
            lambda: config("gemma3_text", use_bidirectional_attention=True),
            "has use_bidirectional_attention.*set it to False",
        ),
        (
            lambda: config("llama", rope_parameters={
                "rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
            "rotary embeddings of the type 'dynamic', whose frequencies hang",
        ),
        (
            lambda: config("phi", tie_word_embeddings=True),
            "PhiConfig ties the head to the embedding and gives it a bias",
        ),
    ],
)  # fmt: skip
def test_what_is_no_chain_of_these_stages_is_refused_by_name(made, sentence: str) -> None:
    with refused(ValueError, sentence):
        Llama(made())


@pytest.mark.parametrize("kind", ["linear", "llama3", "yarn"])
def test_scaled_rotary_embeddings_are_transformers_own(kind: str) -> None:
    rope = {"rope_type": kind, "factor": 4.0, "rope_theta": 1e4}
    if kind == "llama3":
        rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if kind != "linear":
        rope |= {"original_max_position_embeddings": 8}
    torch.manual_seed(0)
    made = config("llama", rope_parameters=rope)
    model = Llama(made).double().eval()
    theirs = transformers.LlamaForCausalLM(made)
    theirs.load_state_dict(model.state_dict())
    with torch.no_grad():
        logits = model(**padded())[:, 0]
    for n, prompt in enumerate(PROMPTS):
        expected, _ = alone(theirs.double().eval(), prompt)
        torch.testing.assert_close(logits[n], expected, rtol=1e-5, atol=1e-6)
