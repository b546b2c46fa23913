"""T5 and Llama: transformers' own numbers, features by hand, and padding that reaches nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import epsilon, formulas
from torch import Tensor, nn
from transformers import LlamaForCausalLM, T5Config, T5ForConditionalGeneration

import ctl_helpers as ctl
from ctl_helpers.engine.hooks import taps
from ctl_helpers.models.llama import Llama, small_llama
from ctl_helpers.models.t5 import T5, small_t5
from ctl_helpers.models.text import TextNetwork, from_transformers

VOCABULARY = 40
PROMPTS = ([5, 9, 3, 7, 2, 11], [8, 4], [6, 6, 12, 30])
ANSWERS = ([13, 7, 1], [21, 1], [9])  # 1 ends an answer

T5_SIZES = {"vocabulary": VOCABULARY, "width": 16, "head_width": 4, "inner": 24, "layers": 2}
T5_SIZES |= {"decoder_layers": 3, "heads": 4, "buckets": 8, "distance": 20}
LLAMA_SIZES = {"vocabulary": VOCABULARY, "width": 16, "inner": 24, "layers": 3, "heads": 4}
LLAMA_SIZES |= {"key_value_heads": 2, "positions": 32}

NETWORKS = ["t5", "t5 v1.1", "llama", "llama tied", "llama answer"]


def network(kind: str) -> TextNetwork:
    """A random network in float64, in evaluation mode."""
    torch.manual_seed(0)
    if kind == "t5":
        made = small_t5(**T5_SIZES)
    elif kind == "t5 v1.1":
        config = small_t5(**T5_SIZES).config.to_diff_dict() | {"tie_word_embeddings": False}
        kept = {key: value for key, value in config.items() if key != "scale_decoder_outputs"}
        made = T5(T5Config(**kept | {"feed_forward_proj": "gated-gelu"}))
    else:
        made = small_llama(**LLAMA_SIZES, tied="tied" in kind)
        made = Llama(made.config, "answer" if "answer" in kind else "last")
    # Norms of ones, biases of relative positions near zero: let everything count.
    for value in made.parameters():
        value.data += 0.3 * torch.randn_like(value)
    return made.double().eval()


def theirs(model: TextNetwork) -> nn.Module:
    """transformers' own network with the same weights."""
    kind = T5ForConditionalGeneration if isinstance(model, T5) else LlamaForCausalLM
    made = kind(model.config).double().eval()
    if "lm_head.weight" in model.state_dict():
        made.lm_head.weight = nn.Parameter(torch.zeros_like(made.lm_head.weight))
    lacking = made.load_state_dict(model.state_dict(), strict=False)
    assert not lacking.unexpected_keys
    assert {name for names in model.tied.values() for name in names} >= set(lacking.missing_keys)
    return made


def padded(rows: list[list[int]], left: bool, value: int = 0) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor(
        [[value] * (longest - len(r)) * left + r + [value] * (longest - len(r)) * (not left)
         for r in rows]
    )  # fmt: skip


def batch(model: TextNetwork, which: list[int], answers: bool = True) -> dict[str, Tensor]:
    """Some of the prompts and answers, padded as the network wants them."""
    left = isinstance(model, Llama)
    prompts = [PROMPTS[n] for n in which]
    given = {
        "input_ids": padded(prompts, left),
        "attention_mask": padded([[1] * len(p) for p in prompts], left),
    }
    if answers:
        given["answer_ids"] = padded([ANSWERS[n][:-1] for n in which], False).long()
        if left:
            mask = padded([[1] * (len(ANSWERS[n]) - 1) for n in which], False).long()
            given["answer_mask"] = mask
    return given


def run(model: TextNetwork, given: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.no_grad(), taps(model.eval(), (*model.feature_layers, *model.norm_layers)) as seen:
        return model(**given), seen


def by_hand(model: TextNetwork, n: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and features of one sample without padding, from transformers' own pass."""
    other, found = theirs(model), {}
    prompt, answer = torch.tensor([PROMPTS[n]]), torch.tensor([ANSWERS[n]])

    def keep(module: nn.Module, name: str) -> None:
        module.register_forward_hook(
            lambda _, __, out: found.update({name: out[0] if isinstance(out, tuple) else out})
        )

    if isinstance(model, T5):
        for side, stack in (("encoder", other.encoder), ("decoder", other.decoder)):
            for number, block in enumerate(stack.block):
                keep(block, f"states.{side}.{number}")
            keep(stack.final_layer_norm, f"states.{side}.norm")
        start = torch.zeros(1, 1, dtype=torch.long)
        with torch.no_grad():
            decoded = torch.cat([start, answer[:, :-1]], 1)
            logits = other(input_ids=prompt, decoder_input_ids=decoded).logits
        return logits[0], {
            name: states[0].mean(0) if "encoder" in name else states[0, 0]
            for name, states in found.items()
        }
    for number, block in enumerate(other.model.layers):
        keep(block, f"states.{number}")
    keep(other.model.norm, "states.norm")
    with torch.no_grad():
        logits = other(torch.cat([prompt, answer[:, :-1]], 1)).logits[0, prompt.shape[1] - 1 :]
    first = prompt.shape[1] - 1
    last = first + (len(ANSWERS[n]) if model.pool == "answer" else 1)
    return logits, {name: states[0, first:last].mean(0) for name, states in found.items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_padded_batch_gives_what_transformers_gives_a_sentence_alone(kind: str) -> None:
    model = network(kind)
    output, seen = run(model, batch(model, [0, 1, 2]))
    for n in range(3):
        logits, features = by_hand(model, n)
        torch.testing.assert_close(output[n, : len(logits)], logits, rtol=1e-5, atol=1e-5)
        assert features.keys() == seen.keys()
        for layer, feature in features.items():
            torch.testing.assert_close(seen[layer][n], feature, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("which", [[1], [1, 2], [2, 0, 1, 0]])
def test_padding_never_leaks(kind: str, which: list[int]) -> None:
    """Not even from tokens that stand in the place of padding."""
    model = network(kind).float()
    alone, features = run(model, batch(model, [1]))
    given = batch(model, which)
    at = which.index(1)
    for ids, mask in (("input_ids", "attention_mask"), ("answer_ids", "answer_mask")):
        if mask in given:
            given[ids] = given[ids].where(given[mask] == 1, 17)
    output, seen = run(model, given)
    torch.testing.assert_close(output[at, :2], alone[0, :2], rtol=1e-5, atol=1e-5)
    for layer, feature in features.items():
        torch.testing.assert_close(seen[layer][at], feature[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_first_token_is_generated_from_the_prompt_alone(kind: str) -> None:
    model = network(kind)
    first, features = run(model, batch(model, [0, 1, 2], answers=False))
    output, seen = run(model, batch(model, [0, 1, 2]))
    assert first.shape == (3, 1, VOCABULARY)
    torch.testing.assert_close(output[:, :1], first, rtol=1e-9, atol=1e-9)
    if kind != "llama answer":
        for layer, feature in features.items():
            torch.testing.assert_close(seen[layer], feature, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_last_block_is_taken_before_the_final_norm(kind: str) -> None:
    model = network(kind)
    _, seen = run(model, batch(model, [0, 1, 2]))
    last, norm = model.feature_layers[-1], model.norm_layers[-1]
    final = model.decoder.final_layer_norm if kind == "t5" else model.model.norm
    torch.testing.assert_close(final(seen[last]), seen[norm], rtol=1e-9, atol=1e-9)
    assert (seen[last] - seen[norm]).abs().max() > 0.1


@pytest.mark.parametrize("kind", ["t5", "t5 v1.1", "llama", "llama tied"])
def test_teacher_forcing_scores_as_greedy_decoding(kind: str) -> None:
    """Answers are the network's own, and the same with one token changed."""
    model, own = network(kind).float(), []
    other = theirs(model)
    other.generation_config.eos_token_id = None  # answers of one length
    options = {"do_sample": False, "max_new_tokens": 4, "use_cache": False}
    for n in range(3):
        prompt = batch(model, [n], answers=False)
        made = other.generate(**prompt, **options)
        own.append(made[0, 1:] if isinstance(model, T5) else made[0, len(PROMPTS[n]) :])
    for changed in (None, 0, 2, 3):
        answers = torch.stack(own)
        if changed is not None:
            answers[1, changed] = (answers[1, changed] + 1) % VOCABULARY
        given = batch(model, [0, 1, 2], answers=False) | {"answer_ids": answers[:, :-1]}
        output, _ = run(model, given)
        hits = (output.argmax(-1) == answers).all(1)
        assert hits.tolist() == [True, changed is None, True]


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_tensor_is_in_the_state_dict_once_and_without_buffers(kind: str) -> None:
    model = network(kind)
    pointers = [value.data_ptr() for value in model.state_dict().values()]
    assert len(set(pointers)) == len(pointers)
    assert ("lm_head.weight" in model.state_dict()) == (
        kind in ("t5 v1.1", "llama", "llama answer")
    )
    assert {name for name, _ in model.named_parameters()} == model.state_dict().keys()


@pytest.mark.parametrize("kind", NETWORKS)
def test_stages_need_every_weight_and_pass_every_layer(kind: str) -> None:
    model = network(kind)
    stages = model.stages()
    for name in model.state_dict():
        assert any(name.startswith(stage.prefixes) for stage in stages), name
    layers = [stage.layer for stage in stages if stage.layer]
    assert sorted(layers) == sorted((*model.feature_layers, *model.norm_layers))


OLD_BUFFERS = (
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    "model.rotary_emb.inv_freq",
    "model.layers.0.self_attn.rotary_emb.inv_freq",
)


@pytest.mark.parametrize("kind", ["t5", "t5 v1.1", "llama", "llama tied"])
def test_the_state_dict_of_transformers_is_read_whichever_names_it_has(kind: str) -> None:
    model = network(kind)
    expected, whole = model.state_dict(), theirs(model).state_dict()
    whole |= {name: torch.ones(3) for name in OLD_BUFFERS if model.unused.fullmatch(name)}
    files = [whole]
    for own, others in model.tied.items():
        for kept in (own, *others):
            gone = {own, *others} - {kept}
            files.append({name: value for name, value in whole.items() if name not in gone})
    assert len(files) == {"t5": 5, "t5 v1.1": 4, "llama": 1, "llama tied": 3}[kind]
    for held in files:
        read = from_transformers(model, held, "a")
        assert set(read) == expected.keys()
        assert len(read) == len(expected)
        assert all(torch.equal(read[name], value) for name, value in expected.items())


def test_what_does_not_fit_is_named() -> None:
    model = network("t5")
    whole = theirs(model).state_dict()
    norm = "encoder.final_layer_norm.weight"
    cases = [
        ({**whole, "encoder.pooler": torch.ones(1)}, "'a' has 'encoder.pooler', unlike the model"),
        ({k: v for k, v in whole.items() if k != norm}, f"'a' lacks '{norm}'"),
        ({**whole, norm: torch.ones(3)}, rf"'a' has shape \(3,\) at '{norm}'"),
        (
            {**whole, "lm_head.weight": whole["shared.weight"] + 1},
            "'a' has other values at 'lm_head.weight' than at 'shared.weight'",
        ),
    ]
    for held, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            from_transformers(model, held, "a")


def test_wrong_batches_and_pools_get_one_sentence() -> None:
    t5, llama = network("t5"), network("llama answer")
    empty = batch(t5, [0, 1]) | {"attention_mask": torch.tensor([[1] * 6, [0] * 6])}
    with pytest.raises(ValueError, match="leaves no token of a sample; give each a prompt"):
        t5(**empty)
    with pytest.raises(ValueError, match="ends with padding; pad the prompts on the left"):
        llama(**batch(t5, [0, 1]))
    unmasked = {key: value for key, value in batch(llama, [0]).items() if key != "answer_mask"}
    with pytest.raises(ValueError, match="the pool 'answer' needs answer_mask"):
        llama(**unmasked)
    with pytest.raises(ValueError, match="pool is 'mean'; choose one of"):
        Llama(llama.config, "mean")


def oracle(model, checkpoints, comparisons, layers) -> pd.DataFrame:
    """One sample at a time through transformers' own network, formulas as in the paper."""
    rows = []
    for position, one in enumerate(comparisons):

        def features(mix: Mapping[str, float], tasks=one.tasks) -> dict[str, np.ndarray]:
            keys = model.state_dict()
            mixed = {key: sum(w * checkpoints[c][key] for c, w in mix.items()) for key in keys}
            model.load_state_dict(mixed)
            samples = [by_hand(model, TASKS[task])[1] for task in tasks]
            return {layer: np.stack([sample[layer] for sample in samples]) for layer in layers}

        left, parts = features(one.left), [(weight, features(mix)) for weight, mix in one.right]
        ((a, b),) = ((features(a), features(b)) for a, b in one.baseline)
        for layer in layers:
            right = sum(weight * part[layer] for weight, part in parts)
            at = [(weight, part[layer]) for weight, part in parts]
            means = {
                metric: values.mean()
                for metric, values in formulas(left[layer], right, [(a[layer], b[layer])]).items()
            }
            for metric, mean in (means | {"epsilon": epsilon(left[layer], at)}).items():
                row = {"comparison": position, "layer": layer, "metric": metric}
                rows.append(row | {"mean": mean})
    return pd.DataFrame(rows)


TASKS = {"a": 0, "b": 1}


@pytest.mark.parametrize("kind", ["t5", "t5 v1.1", "llama tied", "llama answer"])
def test_compare_agrees_with_the_oracle(kind: str, around) -> None:
    model = network(kind)
    checkpoints = around(model, "pab", scale=0.05)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layers = (*model.feature_layers, *model.norm_layers)
    streams = {task: [batch(model, [n])] for task, n in TASKS.items()}
    asked = [*ctl.pairs("ab", [0.3]), *ctl.addition("p", "ab", [0.4])]
    found = ctl.compare(model, checkpoints, asked, streams, layers)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    keys = ["comparison", "layer", "metric"]
    means = found.set_index(keys)["mean"].sort_index()
    expected = oracle(model, checkpoints, asked, layers).set_index(keys)["mean"].sort_index()
    pd.testing.assert_series_equal(means, expected, rtol=1e-5, atol=1e-9)
    assert means.loc[:, layers[-3], "distance"].min() > 1e-5


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_stream_of_batches_is_measured_sample_by_sample(kind: str, around) -> None:
    model = network(kind)
    checkpoints, asked = around(model, "ab", scale=0.05), ctl.pairs("ab", [0.5])
    whole = ctl.compare(model, checkpoints, asked, [batch(model, [0, 1, 2])])
    parts = ctl.compare(model, checkpoints, asked, [batch(model, [n]) for n in range(3)])
    assert list(dict.fromkeys(whole.layer)) == list(model.feature_layers)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_evaluate_scores_the_first_token(kind: str, around) -> None:
    model = network(kind)
    checkpoints = around(model, "ab", scale=0.05)
    given, targets = batch(model, [0, 1, 2], answers=False), torch.tensor([4, 9, 30])
    heads = {None: lambda output: output[:, 0]}
    found = ctl.evaluate(
        model, checkpoints, ctl.path("a", "b", [0.5]), [(given, targets)], heads=heads
    )
    model.load_state_dict(ctl.combine(checkpoints, {"a": 0.5, "b": 0.5}))
    expected = nn.functional.cross_entropy(model(**given)[:, 0], targets)
    assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_network_on_the_meta_device_keeps_its_frequencies() -> None:
    config = small_llama(**LLAMA_SIZES).config
    with torch.device("meta"):
        model = Llama(config)
    assert {value.device.type for value in model.parameters()} == {"meta"}
    real = Llama(config).model.rotary_emb.inv_freq
    assert torch.equal(model.model.rotary_emb.inv_freq, real)
