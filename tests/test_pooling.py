"""Features of tokens: every way of pooling, and padding that does not count."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import naive
import numpy as np
import pytest
import torch
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl

LENGTHS = torch.tensor([3, 5, 1, 2])
RIGHT = torch.arange(5) < LENGTHS[:, None]
LEFT = RIGHT.flip(1)


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Tokens(nn.Module):
    """Each token on its own, and something of all."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.fc, self.whole = nn.Linear(5, width), nn.Identity()

    def forward(self, x: Tensor, **masks: Tensor) -> Tensor:
        features = torch.tanh(self.fc(x))
        return self.whole(features.mean(1))


WAYS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "flatten": np.ravel,
    "mean": lambda states: states.mean(0),
    "first": lambda states: states[0],
    "last": lambda states: states[-1],
}


def by_hand(states: Tensor, mask: Tensor | None, way: str) -> Tensor:
    """Sample by sample, of the tokens that count alone."""
    rows = []
    for n, sample in enumerate(states.numpy()):
        kept = sample if mask is None else sample[mask[n].numpy()]
        row = WAYS[way](kept)
        rows.append(np.pad(row, (0, sample.size - row.size)) if way == "flatten" else row)
    return torch.from_numpy(np.stack(rows))


def metrics(
    model: nn.Module, states: Mapping[str, naive.State], batch: Any, layer: str, **options: Any
) -> dict[str, Tensor]:
    found = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [batch], [layer], **options)
    return {metric: values for (_, _, metric), values in found.values.items()}


@pytest.mark.parametrize("mask", [None, RIGHT, LEFT], ids=["no mask", "right", "left"])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_agrees_with_a_plain_loop(way: str, mask: Tensor | None) -> None:
    torch.manual_seed(0)
    model, x = Tokens().double(), randn(4, 5, 5)
    states = naive.around(model)
    wanted = naive.expected(model, states, 0.3, x, "fc", lambda output: by_hand(output, mask, way))
    batch = {"x": x} if mask is None else {"x": x, "attention_mask": mask.long()}
    found = metrics(model, states, batch, "fc", pooling=way)
    assert found.keys() == wanted.keys()
    for metric, values in wanted.items():
        off = {"rtol": 1e-9, "atol": 1e-6 if metric == "epsilon" else 1e-12}
        torch.testing.assert_close(found[metric], values, **off)
    if way == "flatten":
        default = metrics(model, states, batch, "fc")
        assert all(torch.equal(default[metric], found[metric]) for metric in found)


def test_masks_of_either_sense_are_known_by_their_names() -> None:
    torch.manual_seed(0)
    model, x = Tokens().double(), randn(4, 5, 5)
    states = naive.around(model)
    same = [
        {"attention_mask": RIGHT.long()},
        {"attention_mask": RIGHT},
        {"attention_mask": RIGHT.double()},
        {"attention_mask": torch.zeros(4, 5).masked_fill(~RIGHT, -torch.inf)},
        {"encoder_attention_mask": RIGHT.long()},
        {"key_padding_mask": ~RIGHT},
        {"padding_mask": ~RIGHT},
    ]
    found = [metrics(model, states, {"x": x, **mask}, "fc")["baseline"] for mask in same]
    assert all(torch.equal(one, found[0]) for one in found)
    whole = metrics(model, states, {"x": x}, "fc")["baseline"]
    assert not torch.allclose(found[0], whole)
    others = {"global_attention_mask": RIGHT.long(), "padding_mask": RIGHT.long()}
    for name, mask in others.items():  # what they say is another thing, or not known
        assert torch.equal(metrics(model, states, {"x": x, name: mask}, "fc")["baseline"], whole)


def test_a_way_for_each_layer_and_a_function() -> None:
    torch.manual_seed(0)
    model, x = Tokens().double(), randn(4, 5, 5)
    states, seen = naive.around(model), []

    def largest(features: Tensor, mask: Tensor | None) -> Tensor:
        seen.append(mask)
        return features.masked_fill(~mask[:, :, None], -9).amax(1)

    batch, layers = {"x": x, "attention_mask": RIGHT.long()}, ["fc", "whole"]
    asked, ways = ctl.pairs("ab", [0.3]), {"fc": largest}
    found = ctl.measure(model, states, asked, [batch], layers, pooling=ways)

    def pick(output: Tensor) -> Tensor:
        return torch.stack([one[n].amax(0) for one, n in zip(output, RIGHT, strict=True)])

    wanted = naive.expected(model, states, 0.3, x, "fc", pick)
    torch.testing.assert_close(found.values[0, "fc", "distance"], wanted["distance"])
    assert all(torch.equal(mask, RIGHT) for mask in seen)
    plain = metrics(model, states, batch, "whole")
    assert torch.equal(found.values[0, "whole", "distance"], plain["distance"])


def test_what_has_no_tokens_stays_as_it_is() -> None:
    """A vector per sample, though it is as wide as there are tokens; and channels beside tokens."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv1d(2, 5, 3), nn.Linear(5, 5)

        def forward(self, x: Tensor, image: Tensor, attention_mask: Tensor) -> Tensor:
            return self.fc((x * attention_mask[..., None]).mean(1)) + self.conv(image).mean(2)

    torch.manual_seed(0)
    model = Both().double()
    batch = {"x": randn(4, 5, 5), "image": randn(4, 2, 7), "attention_mask": RIGHT.long()}
    states = naive.around(model)
    for layer, ways in (("fc", WAYS), ("conv", ["flatten"])):
        wanted = naive.expected(model, states, 0.3, batch, layer)["baseline"]
        for way in ways:
            found = metrics(model, states, batch, layer, pooling=way)["baseline"]
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


class Padded(nn.Module):
    """An encoder of torch, whose padding is told by a mask of any name, or by a token."""

    def __init__(self, is_first: bool, is_nested: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=is_first, dropout=0.0)
        self.table, self.is_first = nn.Embedding(9, 8), is_first
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=is_nested)

    def forward(self, ids: Tensor, hidden: Tensor | None = None) -> Tensor:
        hidden = ids == 0 if hidden is None else hidden
        x = self.table(ids)
        x = x if self.is_first else x.transpose(0, 1)
        x = self.encoder(x, src_key_padding_mask=hidden)
        return x if self.is_first else x.transpose(0, 1)


IDS = torch.randint(1, 9, (4, 5), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("is_first", "is_nested"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layer", ["encoder.layers.0", "encoder", "table"])
@pytest.mark.filterwarnings("ignore:.*nested tensors")
def test_padding_that_torchs_modules_are_told_of(is_first, is_nested, way: str, layer: str) -> None:
    torch.manual_seed(0)
    model = Padded(is_first, is_nested).double()
    states = naive.around(model)

    def pick(output: Tensor) -> Tensor:
        dense = output.to_padded_tensor(0.0, (4, 5, 8)) if output.is_nested else output
        dense = dense if is_first or layer == "table" else dense.transpose(0, 1)
        return by_hand(dense, RIGHT, way)

    for batch in ({"ids": IDS * RIGHT}, {"ids": IDS, "hidden": ~RIGHT}):
        wanted = naive.expected(model, states, 0.3, batch, layer, pick)["baseline"]
        # Twice, since the trial of the first batch leaves nothing to the second.
        asked = ctl.pairs("ab", [0.3])
        found = ctl.measure(model, states, asked, [batch, batch], [layer], pooling=way)
        values = found.values[0, layer, "baseline"].view(2, -1)
        torch.testing.assert_close(values, wanted.expand(2, -1), rtol=1e-8, atol=1e-12)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(5, 1, batch_first=True)
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor, memory: Tensor, hidden: Tensor) -> Tensor:
        return torch.tanh(self.fc(self.attention(x, memory, memory, key_padding_mask=hidden)[0]))


def test_a_mask_of_what_is_attended_to_is_no_mask_of_what_attends() -> None:
    torch.manual_seed(0)
    model, batch = Attending().double(), {"x": randn(4, 5, 5), "memory": -randn(4, 5, 5)}
    batch["hidden"] = ~RIGHT
    states = naive.around(model)
    wanted = naive.expected(model, states, 0.3, batch, "fc")["baseline"]
    found = metrics(model, states, batch, "fc")["baseline"]
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_tokens_that_a_mask_does_not_fit_are_said_to_count() -> None:
    class Halving(Tokens):
        def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
            return super().forward(x[:, ::2] + x[:, 1::2])

    torch.manual_seed(0)
    model, x = Halving().double(), randn(4, 6, 5)
    mask = (torch.arange(6) < LENGTHS[:, None]).long()
    states, asked = naive.around(model), ctl.pairs("ab", [0.5])
    with pytest.warns(UserWarning, match="tokens of layer 'fc' are not those of 'attention_mask'"):
        ctl.compare(model, states, asked, [{"x": x, "attention_mask": mask}], ["fc"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # without padding there is nothing to say
        batch = {"x": x, "attention_mask": torch.ones_like(mask)}
        ctl.compare(model, states, asked, [batch], ["fc"])


BAD = {
    "a name": ("middle", ValueError, "pooling of layer 'fc' is 'middle'; choose one of"),
    "a layer": ({"whole": "mean"}, KeyError, "pooling names the layer 'whole', which is none of"),
    "a shape": (lambda states, mask: states[:2], ValueError, r"pooling of layer 'fc' gives \(2, "),
    "a thing": (lambda states, mask: None, ValueError, "pooling of layer 'fc' gives NoneType"),
    "a mask": ("mean", ValueError, "a mask leaves no token of a sample, so that layer 'fc'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pooling_is_refused(kind: str) -> None:
    pooling, error, sentence = BAD[kind]
    model = Tokens().double()
    mask = RIGHT.long() * (kind != "a mask")
    with refused(error, sentence):
        metrics(model, naive.around(model), {"x": randn(4, 5, 5), "attention_mask": mask}, "fc",
                pooling=pooling)  # fmt: skip


def test_maps_have_no_tokens_to_pool() -> None:
    model = nn.Conv2d(3, 4, 3).double()
    states, batch = naive.around(model), randn(4, 3, 6, 6)
    with refused(ValueError, r"pooling 'mean' of layer '' needs features .* \(4, 4, 4, 4\)"):
        metrics(model, states, batch, "", pooling="mean")
    found = metrics(model, states, batch, "", pooling=lambda maps, mask: maps.mean((2, 3)))
    wanted = naive.expected(model, states, 0.3, batch, "", lambda output: output.mean((2, 3)))
    torch.testing.assert_close(found["baseline"], wanted["baseline"], rtol=1e-9, atol=1e-12)


def small_models() -> dict[str, tuple[nn.Module, str, bool]]:
    """Kind → network of transformers, a layer, and whether it is padded on the left."""
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "vocab_size": 30}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 64}
    torch.manual_seed(0)
    bert = transformers.BertModel(transformers.BertConfig(**sizes, **heads))
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**sizes, **heads, num_key_value_heads=1)
    )
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=30, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2)
    )
    return {
        "bert": (bert, "encoder.layer.1", False),
        "llama": (llama, "model.layers.1", True),
        "t5": (t5, "encoder.block.1", False),
    }


@pytest.mark.parametrize("way", [None, *WAYS])
@pytest.mark.parametrize("kind", ["bert", "llama", "t5"])
def test_a_texts_numbers_do_not_depend_on_the_longest_text_beside_it(kind: str, way) -> None:
    model, layer, is_left = small_models()[kind]
    states = naive.around(model, scale=0.05)
    found = []
    for padding in (0, 9):
        ids, mask = torch.cat([IDS, IDS.new_zeros(4, padding)], 1), RIGHT.long()
        mask = torch.cat([mask, mask.new_zeros(4, padding)], 1)
        given = (ids.flip(1), mask.flip(1)) if is_left else (ids, mask)
        batch = dict(zip(("input_ids", "attention_mask"), given, strict=True))
        found.append(metrics(model, states, batch, layer, pooling=way)["distance"])
    torch.testing.assert_close(*found, rtol=1e-2, atol=1e-6)


class Dual(nn.Module):
    """Two texts of their own lengths, each with its mask."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.query, self.doc = nn.Embedding(30, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, **given: Tensor) -> Tensor:
        def mean(name: str, layer: nn.Module) -> Tensor:
            counted = given[f"{name}_attention_mask"][..., None]
            states = layer(self.table(given[f"{name}_input_ids"]))
            return (states * counted).sum(1) / counted.sum(1)

        return (mean("query", self.query) * mean("doc", self.doc)).sum(1)


@pytest.mark.parametrize("padding", [0, 3, 40])
@pytest.mark.parametrize("layer", ["query", "doc"])
@pytest.mark.filterwarnings("error")
def test_each_of_two_texts_has_a_mask_of_its_own(padding: int, layer: str) -> None:
    torch.manual_seed(0)
    model, ids = Dual().double(), torch.randint(1, 30, (4, 5))
    states = naive.around(model)
    batch = {"query_input_ids": ids, "doc_input_ids": ids.flip(1)}
    batch |= {f"{name}_attention_mask": torch.ones(4, 5).long() for name in ("query", "doc")}
    wanted = metrics(model, states, batch, layer)
    padded = {
        name: torch.cat([one, torch.zeros(4, padding).long()], 1) if name.startswith(layer) else one
        for name, one in batch.items()
    }
    found = metrics(model, states, padded, layer)
    for metric, values in wanted.items():
        torch.testing.assert_close(found[metric], values, rtol=1e-9, atol=1e-6)
