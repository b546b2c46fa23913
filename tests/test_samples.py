"""Which numbers belong to which sample: dimensions of features, and batches of every shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import naive
import numpy as np
import pytest
import torch
from conftest import refused
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, TensorDataset

import ctl_helpers as ctl
from ctl_helpers.engine.inputs import Inputs

CPU = torch.device("cpu")


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def check(
    model: nn.Module, batch: Any, layer: str, pick: naive.Pick = naive.first_tensor, **options: Any
) -> None:
    """All metrics of all samples are those of a plain way."""
    states = naive.around(model)
    wanted = naive.expected(model, states, 0.3, batch, layer, pick)
    found = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [batch], [layer], **options)
    for metric, values in wanted.items():
        off = {"rtol": 1e-8, "atol": 1e-6 if metric == "epsilon" else 1e-12, "equal_nan": True}
        torch.testing.assert_close(found.values[0, layer, metric], values, **off)


def tokens_first(output: Any) -> Tensor:
    return naive.first_tensor(output).transpose(0, 1)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **sizes: bool) -> None:
        super().__init__()
        self.rnn = kind(5, 4, **sizes)

    def forward(self, x: Tensor) -> Tensor:
        is_first = self.rnn.batch_first
        return self.rnn(x if is_first else x.transpose(0, 1))[0].mean(1 if is_first else 0)


@pytest.mark.parametrize(("samples", "tokens"), [(6, 6), (6, 4), (4, 6), (1, 4), (2, 2), (3, 3)])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.filterwarnings("error")
def test_recurrent_layers_of_either_order(kind, samples: int, tokens: int) -> None:
    torch.manual_seed(0)
    for first, pick in ((True, naive.first_tensor), (False, tokens_first)):
        model = Recurrent(kind, batch_first=first, bidirectional=True).double()
        check(model, randn(samples, tokens, 5), "rnn", pick)


class Encoder(nn.Module):
    def __init__(self, first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=first)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x if self.first else x.transpose(0, 1))


@pytest.mark.parametrize("samples", [5, 4])
@pytest.mark.parametrize("layer", ["", ".layers.1", ".layers.0.self_attn", ".layers.0.linear1"])
def test_encoders_of_either_order(layer: str, samples: int) -> None:
    """Parts of a layer say nothing of their order, and have as many tokens as samples."""
    torch.manual_seed(0)
    for first, pick in ((True, naive.first_tensor), (False, tokens_first)):
        check(Encoder(first).double(), randn(samples, 5, 8), f"encoder{layer}", pick)


class Pool(nn.Module):
    """Samples first, though its attention takes tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.attention = nn.Parameter(torch.randn(1, 1, 8)), nn.MultiheadAttention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        return self.attention(self.query.expand(1, x.shape[1], 8), x, x)[0][0]


@pytest.mark.parametrize("samples", [4, 8])
def test_a_module_that_owns_an_attention_keeps_its_own_order(samples: int) -> None:
    torch.manual_seed(0)
    check(nn.Sequential(Pool(), nn.Linear(8, 3)).double(), randn(samples, 5, 8), "0")


class Whatever(nn.Module):
    """Applies a function to the features of a linear layer."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.end, self._function = nn.Linear(5, 4), nn.Identity(), function

    def forward(self, x: Tensor) -> Any:
        return self.end(self._function(torch.tanh(self.fc(x))))


class Parts(dict):
    """As transformers' outputs are: parts by name, and by number."""

    def __getitem__(self, key: str | int) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else list(self.values())[key]


def by_name(output: dict[str, Tensor]) -> Tensor:
    return output["logits"]


GIVEN = {
    "one number per sample": (lambda f: f.sum(1), naive.first_tensor),
    "complex numbers": (
        lambda f: torch.fft.fft(f),
        lambda output: torch.view_as_real(output).flatten(1),
    ),
    "samples last": (lambda f: f.T, lambda output: output.T),
    "a tuple whose first part is a number": (lambda f: (f.sum(), f), lambda output: output[1]),
    "a tuple whose first part is missing": (lambda f: (None, [f]), lambda output: output[1][0]),
    "parts by name": (lambda f: Parts(loss=f.sum(), hidden=f[:, :1], logits=f), by_name),
    "a list": (lambda f: [f, f.sum()], naive.first_tensor),
}


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("samples", [6, 4, 3])
def test_whatever_a_layer_gives(kind: str, samples: int) -> None:
    torch.manual_seed(0)
    function, pick = GIVEN[kind]
    check(Whatever(function).double(), randn(samples, 5), "end", pick)


def test_a_complex_feature_has_the_angle_of_its_real_and_imaginary_parts() -> None:
    """``cos[a, b] = Re⟨a, b⟩ / (‖a‖‖b‖)``."""
    torch.manual_seed(0)
    model = Whatever(lambda f: torch.complex(f, f**2)).double()
    states, x = naive.around(model), randn(6, 5)
    found = ctl.measure(model, states, ctl.pairs("ab", [0.5]), [x], [""])
    a, b = (naive.feature(model, states[name], x, "").numpy() for name in "ab")
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.real((a * b.conj()).sum(1)) / norms
    np.testing.assert_allclose(found.values[0, "", "baseline"], 1 - cosines, rtol=1e-10)


BAD = {
    "tokens of all samples": (lambda f: f.flatten(), "gives 24 rows for 6 samples"),
    "no samples": (lambda f: f.mean(0), r"gives 4 rows for 6 samples: none of the dim.* \(4,\)"),
    "a number": (lambda f: f.sum(), "gives one number for a whole batch"),
    "nothing": (lambda f: None, "gives a NoneType"),
    "text": (lambda f: "text", "gives a str"),
    "a sparse tensor": (lambda f: f.to_sparse(), "gives a sparse_coo tensor"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_has_no_samples_is_refused(kind: str) -> None:
    function, sentence = BAD[kind]
    model = Whatever(function).double()
    with refused((RuntimeError, TypeError), "layer 'end' " + sentence):
        ctl.compare(
            model, naive.around(model), ctl.pairs("ab", [0.5]), [randn(6, 5)], ["end"]
        )  # fmt: skip


def test_positions_are_no_samples_though_there_are_as_many() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places, self.fc = nn.Embedding(6, 5), nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.fc(x + self.places(torch.arange(6))))

    torch.manual_seed(0)
    model = Placed().double()
    check(model, randn(6, 6, 5), "fc")
    with refused(RuntimeError, r"layer 'places' gives 6 rows for 6 samples: none of the dim"):
        check(model, randn(6, 6, 5), "places")


def test_where_few_samples_do_not_run_shapes_decide_and_what_they_leave_open_is_said() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:
            if len(x) != 6:
                raise ValueError("six samples, please")
            return torch.tanh(self.fc(x))

    torch.manual_seed(0)
    check(Fixed().double(), randn(6, 3, 5), "fc")
    with pytest.warns(UserWarning, match=r"layer 'fc' gives \(6, 6, 4\) .* first dimension is"):
        check(Fixed().double(), randn(6, 6, 5), "fc")


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(5, 4, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]


def unpacked(output: Any) -> Tensor:
    return pad_packed_sequence(output[0], batch_first=True)[0]


def test_packed_sequences_are_padded_with_zeros_in_their_order() -> None:
    torch.manual_seed(0)
    batch = {"x": randn(4, 6, 5), "lengths": torch.tensor([3, 5, 1, 2])}
    check(Packed().double(), batch, "rnn", unpacked)

    def last(output: Any) -> Tensor:
        return unpacked(output)[torch.arange(4), batch["lengths"] - 1]

    check(Packed().double(), batch, "rnn", last, pooling="last")


class Text(nn.Module):
    """Takes its inputs in every form."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.fc = nn.Embedding(30, 5), nn.Linear(5, 4)

    def forward(self, ids: Any, scale: Any = 1.0, inner: Any = None, names: Any = None) -> Tensor:
        assert names is None or len(names) == len(ids)
        shift = 0.0 if inner is None else inner["shift"][0].unsqueeze(1)
        return torch.tanh(self.fc(self.table(ids).mean(1) + shift)) * scale


IDS = torch.randint(30, (6, 3), generator=torch.Generator().manual_seed(0))


def also(**entries: Any) -> dict[str, Any]:
    return {"ids": IDS, **entries}


BATCHES = {
    "a number of no dimension first": {"scale": torch.tensor(2.0), "ids": IDS},
    "one row for all samples first": {"scale": torch.tensor([[2.0]]), "ids": IDS},
    "dicts and lists inside": also(inner={"shift": [randn(6, 5)]}),
    "text beside": also(names=["a"] * 6),
    "as many numbers as tokens": {"scale": torch.arange(4.0), "ids": IDS},
    "a longer entry that is not by sample first": {"scale": torch.ones(4), "ids": IDS},
}


@pytest.mark.parametrize("kind", BATCHES)
def test_the_samples_of_a_dict_are_counted(kind: str) -> None:
    torch.manual_seed(0)
    check(Text().double(), BATCHES[kind], "fc")


def test_rows_of_numbers_and_arrays_are_tensors() -> None:
    torch.manual_seed(0)
    model = Text().double()
    states = naive.around(model)
    wanted = naive.expected(model, states, 0.5, {"ids": IDS}, "fc")["distance"]
    forms = [{"ids": IDS}, {"ids": IDS.tolist()}, {"ids": IDS.numpy()}, IDS.numpy(), [IDS]]
    found = ctl.measure(model, states, ctl.pairs("ab", [0.5]), forms, ["fc"])
    values = found.values[0, "fc", "distance"].view(len(forms), -1)
    torch.testing.assert_close(values, wanted.expand(len(forms), -1), rtol=1e-9, atol=1e-12)


class Towers(nn.Module):
    """Two towers, for two kinds of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, texts: Tensor, images: Tensor) -> Tensor:
        return torch.tanh(self.left(texts)) @ torch.tanh(self.right(images)).T


@pytest.mark.parametrize(("layer", "samples"), [("left", 3), ("right", 4)])
def test_entries_of_different_lengths_are_told_apart_by_the_layer(layer: str, samples: int) -> None:
    torch.manual_seed(0)
    model, batch = Towers().double(), {"texts": randn(3, 5), "images": randn(4, 5)}
    check(model, batch, layer)
    states = naive.around(model)
    later = {"texts": randn(2, 5), "images": randn(6, 5)}
    table = ctl.compare(model, states, ctl.pairs("ab", [0.5]), [batch, later], [layer])
    assert set(table["n"]) == {samples + len(later["texts" if layer == "left" else "images"])}


def test_entries_that_were_as_long_as_the_samples_may_be_longer_later() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 4)

        def forward(self, scale: Tensor, x: Tensor) -> Tensor:
            return torch.tanh(self.fc(x)) * scale[:2].sum()

    torch.manual_seed(0)
    model, asked = Scaled().double(), ctl.pairs("ab", [0.5])
    batches = [{"scale": torch.ones(6), "x": randn(n, 5)} for n in (6, 4, 9)]
    states = naive.around(model)
    table = ctl.compare(model, states, asked, batches, [""])
    assert set(table["n"]) == {6 + 4 + 9}


def test_layers_of_different_numbers_of_samples_are_refused() -> None:
    model, batch = Towers().double(), {"texts": randn(3, 5), "images": randn(4, 5)}
    with refused(ValueError, r"differ in length \('texts' has 3, 'images' has 4\)"):
        ctl.compare(
            model, naive.around(model), ctl.pairs("ab", [0.5]), [batch], ["left", "right"]
        )  # fmt: skip


def test_a_batch_of_unlike_lengths_is_counted_before_it_is_split() -> None:
    torch.manual_seed(0)
    model, batch = Towers().double(), {"texts": randn(3, 5), "images": randn(8, 5)}
    states, asked = naive.around(model), ctl.pairs("ab", [0.5])
    whole = ctl.measure(model, states, asked, [batch], ["right"])
    with pytest.warns(UserWarning, match="memory ran out"):
        parts = ctl.measure(model, states, asked, [batch], ["right"], max_memory=900)
    for key, values in whole.values.items():
        torch.testing.assert_close(parts.values[key], values, rtol=1e-9, atol=1e-9)


PAIR = (randn(10, 5), randn(10, 5))
REFUSED = {
    "a pair of tensors": (PAIR, "batches is one pair of inputs and targets"),
    "a pair in a list": ([randn(10, 5), torch.arange(10)], "is one pair of inputs and targets"),
    "a dict and labels": (({"input": randn(4, 5)}, torch.arange(4)), "is one pair"),
    "a tensor": (randn(4, 5), "batches is one tensor"),
    "an array": (randn(4, 5).numpy(), "batches is one tensor"),
    "a dict": ({"input": randn(4, 5)}, "batches is one dict of tensors"),
    "a dict of rows": ({"input": [[1, 2], [3, 4]]}, "batches is one dict of tensors"),
    "text": ("text", "batches is one str"),
    "a number": (3, "batches is one int"),
    "a tensor for a task": ({"a": [randn(4, 5)], "b": randn(4, 5)}, "dict of tensors"),
    "a pair for a task": ({"a": [randn(4, 5)], "b": PAIR}, "for task 'b' is one pair"),
    "a dict for a task": ({"a": {"input": randn(4, 5)}, "b": []}, "for task 'a' is one dict"),
    "three parts": ([(randn(4, 5),) * 3], "a batch has 3 parts"),
    "text as a batch": (["text"], "a batch is a str"),
    "ragged rows": ([{"input": [[1.0], [1.0, 2.0]]}], "'input' .* rows of different lengths"),
    "no tensor": ([{"input": None}], "holds no tensor or list"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_stream_of_batches_is_refused(kind: str) -> None:
    batches, sentence = REFUSED[kind]
    model = nn.Linear(5, 5).double()
    with refused((TypeError, ValueError), sentence):
        ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), batches, [""])


TWO = {
    "split": randn(10, 5).split(5),
    "chunk": randn(10, 5).chunk(2),
    "a list": [randn(5, 5), randn(5, 5)],
    "a tuple of different lengths": (randn(6, 5), randn(4, 5)),
    "a list of pairs": [(randn(5, 5), torch.arange(5))] * 2,
}


@pytest.mark.parametrize("kind", TWO)
def test_two_batches_are_two_batches(kind: str) -> None:
    batches, model = TWO[kind], nn.Linear(5, 5).double()
    table = ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), batches, [""])
    assert set(table["n"]) == {10}


def test_targets_that_look_like_a_mask_are_said_to() -> None:
    model = Text().double()
    mask = (torch.arange(3) < torch.tensor([[1], [3], [2], [3], [3], [1]])).long()
    tags = torch.tensor([[0, 1, 0]] * 6)
    for targets, is_told in ((mask, True), (mask.flip(1), True), (tags, False), (IDS, False)):
        loader = DataLoader(TensorDataset(IDS, targets), batch_size=6)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), loader, ["fc"])
        assert any("look like an attention mask" in str(one.message) for one in told) == is_told


def test_parts_of_a_batch_are_its_rows() -> None:
    x, y = randn(5, 2), torch.arange(5)
    batch = ({"x": x, "inner": {"y": [y]}, "names": list("abcde"), "scale": torch.ones(1)}, y)
    first, second = Inputs.of(batch, CPU).halves()
    assert (first.size, second.size) == (3, 2)
    assert torch.equal(first.keywords["x"], x[:3])
    assert torch.equal(second.keywords["inner"]["y"][0], y[3:])
    assert second.keywords["names"] == ["d", "e"]
    assert torch.equal(first.keywords["scale"], torch.ones(1))
    assert torch.equal(second.targets, y[3:])
    assert first.by_sample == {"x", "inner.y[0]", "names"}


class Graph(nn.Module):
    """As many rows as nodes; edges name nodes, so that it runs on no part of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 8)

    def forward(self, edges: Tensor, x: Tensor) -> Tensor:
        h = self.a(x)
        return torch.zeros_like(h).index_add_(0, edges[1], h[edges[0]])


def test_samples_of_a_batch_that_runs_whole_alone_are_counted_by_its_rows() -> None:
    torch.manual_seed(0)
    check(Graph().double(), {"edges": torch.randint(0, 10, (2, 30)), "x": randn(10, 5)}, "")


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (nn.utils.rnn.pack_sequence([randn(3, 5), randn(2, 5)]), "a packed sequence, .* padded"),
        (randn(5, 5).to_sparse(), r"a sparse tensor .* to_dense\(\)"),
        (torch.nested.nested_tensor([randn(3, 5), randn(2, 5)]), "a nested tensor .* to_padded"),
    ],
)
@pytest.mark.parametrize("is_dict", [False, True])
def test_inputs_without_one_row_a_sample_are_refused(inputs, sentence: str, is_dict: bool) -> None:
    model = nn.Linear(5, 3).double()
    batch = {"input": inputs} if is_dict else inputs
    with refused(TypeError, sentence):
        ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.3]), [batch], [""])
