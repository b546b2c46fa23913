"""BERT encoders: transformers' own numbers, features by hand, samples of two texts, and parts."""

from __future__ import annotations

import pytest
import torch
from conftest import refused
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import ctl_helpers as ctl
from ctl_helpers.engine.hooks import taps
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.models.bert import Bert
from ctl_helpers.models.text import from_transformers

TEXTS = ([5, 9, 3, 7, 2, 11], [8, 4], [6, 6, 12, 30])
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 12}


@pytest.fixture
def model() -> Bert:
    """A random network in float64, in evaluation mode."""
    torch.manual_seed(0)
    made = Bert(BertConfig(**SIZES))
    for value in made.parameters():
        value.data += 0.3 * torch.randn_like(value)
    return made.double().eval()


def batch(*which: int) -> dict[str, Tensor]:
    """Some of the texts, padded on the right."""
    rows = [torch.tensor(TEXTS[n]) for n in which]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    masks = [torch.ones_like(row) for row in rows]
    return {"input_ids": ids, "attention_mask": nn.utils.rnn.pad_sequence(masks, batch_first=True)}


def paired(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Samples of two texts each, a text and the one that is as far from the end."""
    return {name: torch.stack([part, part.flip(0)], 1) for name, part in given.items()}


def test_a_padded_batch_gives_what_transformers_gives_a_text_alone(model: Bert) -> None:
    other = BertModel(model.config, add_pooling_layer=False).double().eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad(), taps(model, model.feature_layers) as seen:
        output = model(**batch(0, 1, 2))
        for n, text in enumerate(TEXTS):
            alone = other(torch.tensor([text]), output_hidden_states=True)
            torch.testing.assert_close(output[n], alone.last_hidden_state[0].mean(0))
            for layer, states in zip(model.feature_layers, alone.hidden_states[1:], strict=True):
                torch.testing.assert_close(seen[layer][n], states[0].mean(0))


def test_what_stands_in_the_place_of_padding_does_not_count(model: Bert) -> None:
    given = batch(1, 0)
    other = {**given, "input_ids": given["input_ids"].where(given["attention_mask"] == 1, 17)}
    with torch.no_grad():
        torch.testing.assert_close(model(**given), model(**other))


def test_a_sample_may_be_several_texts(model: Bert) -> None:
    given = batch(0, 1, 2)
    with torch.no_grad():
        alone, both = model(**given), model(**paired(given))
    assert both.shape == (3, 2, 16)
    torch.testing.assert_close(both, torch.stack([alone, alone.flip(0)], 1))


@pytest.mark.parametrize("make", [dict, paired])
def test_it_can_be_run_in_two_parts(model: Bert, make) -> None:
    given = make(batch(0, 1, 2))
    with torch.no_grad():
        whole = model(**given)
        for layer in model.feature_layers:
            states = model(**given, until=layer)
            assert states.shape == (*given["input_ids"].shape, 16)
            torch.testing.assert_close(model(states, **given, after=layer), whole)
    with refused(KeyError, "no block 'states.9'; it has"):
        model(**given, until="states.9")


def test_streamed_and_linearized_it_gives_the_same(model: Bert, around) -> None:
    checkpoints = around(model, "ab", 0.05)
    streams = [(batch(0, 1, 2), torch.tensor([0, 1, 0]))]
    held, streamed = (
        ctl.compare(model, checkpoints, ctl.pairs("ab", [0.5]), streams, stream=stream)
        for stream in (False, True)
    )
    assert held["layer"].nunique() == 3
    assert (held["mean"] - streamed["mean"]).abs().max() < 1e-9
    linear = Linearized(model, model.state_dict())
    linear.load_state_dict(model.state_dict())
    torch.testing.assert_close(linear(**batch(0, 1)), model(**batch(0, 1)))


def test_a_published_file_has_more_than_is_read(model: Bert) -> None:
    whole = BertModel(model.config).state_dict()
    saved = {**whole, "embeddings.position_ids": torch.arange(12)[None]}
    read = from_transformers(model, saved, "published")
    assert read.keys() == model.state_dict().keys()
    assert saved.keys() - read.keys() == {
        "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"attention_mask": torch.zeros(3, 6, dtype=torch.long)}, ValueError, "no token of a text"),
        ({"attention_mask": None}, ValueError, "have padding .token 0. and no attention_mask"),
        ({"token_type_ids": torch.zeros(3, 6)}, TypeError, "does not take 'token_type_ids'"),
    ],
)
def test_a_batch_that_it_cannot_take_is_refused(model: Bert, change, kind, sentence) -> None:
    with refused(kind, sentence):
        model(**{**batch(0, 1, 2), **change})
