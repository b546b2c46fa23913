"""Arguments that are nearly right: as they are meant, or one sentence that names the culprit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ctl_helpers as ctl
from ctl_helpers.engine.arguments import distinct, numbers
from ctl_helpers.engine.devices import device_for


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0.5, [0.5]),
        (1, [1.0]),
        (np.float32(0.5), [0.5]),
        (np.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        (torch.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        (torch.tensor(0.5), [0.5]),
        ([torch.tensor(0.25), 2], [0.25, 2.0]),
        ((x / 2 for x in range(2)), [0.0, 0.5]),
        (range(2), [0.0, 1.0]),
        ((-0.5, 1.5), [-0.5, 1.5]),
        ([], []),
    ],
)
def test_numbers_come_in_any_form(given: object, expected: list[float]) -> None:
    found = numbers(given, "alphas")
    assert found == expected
    assert {type(value) for value in found} <= {float}
    found = ctl.pairs(["a", "b"], given if not hasattr(given, "send") else iter(expected))
    assert [one.params["alpha"] for one in found] == expected


@pytest.mark.parametrize(
    ("given", "kind", "pattern"),
    [
        (None, TypeError, "alphas is None; give a list of numbers"),
        ("0.5", TypeError, "alphas has '0.5', which is no number"),
        ([0.5, "1"], TypeError, "alphas has '1', which is no number"),
        ([True], TypeError, "alphas has True"),
        ([None], TypeError, "alphas has None"),
        ([[0.5]], TypeError, r"alphas has \[0.5\]"),
        ([1j], TypeError, "alphas has 1j"),
        ([float("nan")], ValueError, "alphas has nan; give finite"),
        ([0.5, float("inf")], ValueError, "alphas has inf"),
        ([0.5, 1, 0.5], ValueError, "0.5 occurs twice in alphas"),
        ([1, 1.0], ValueError, "1.0 occurs twice"),
    ],
)
def test_what_is_no_number_is_named(given: object, kind: type[Exception], pattern: str) -> None:
    for ask in (ctl.pairs, lambda names, given: ctl.path(*names, given),
                lambda names, given: ctl.planes("p", names, given)):  # fmt: skip
        with refused(kind, pattern):
            ask(["a", "b"], given)
    for ask in (ctl.addition, ctl.negation):
        with refused(kind, pattern.replace("alphas", "lambdas")):
            ask("p", ["a", "b"], given)


def test_names_come_in_any_form() -> None:
    expected = ctl.pairs(["a", "b", "c"], [0.5])
    states = dict.fromkeys("abc")
    for names in (
        "abc",
        ("a", "b", "c"),
        states,
        states.keys(),
        iter("abc"),
        np.array(list("abc")),
    ):
        assert [dict(one.params) for one in ctl.pairs(names, [0.5])] == [
            dict(one.params) for one in expected
        ]
    assert len(ctl.disentangled("p", iter("abc"), {1: 0.1, 3: 0.1})) == 2
    with refused(ValueError, "'l' occurs twice", "the letters of 'legal'", "give a list of names"):
        ctl.pairs("legal", [0.5])
    with pytest.raises(TypeError, match="names are expected, not 3; give a list"):
        ctl.pairs(3, [0.5])
    with pytest.raises(TypeError, match=r"model is int; give a torch\.nn\.Module"):
        ctl.layers(3)
    with refused(ValueError, "'a' occurs twice in .*; name each once"):
        distinct(["a", "b", "a"])


def test_one_task_may_be_a_string(net, around, inputs) -> None:
    states = around(net, "ab")
    streams = {"mnist": [inputs(4)], "m": [inputs(3)]}
    average = ctl.averaging("ab", tasks="mnist")
    for asked in (ctl.pairs("ab", [0.5], tasks="mnist"), ctl.negation("a", "b", [0.4], "mnist"),
                  ctl.addition("a", ["b"], [0.4], "mnist") or average, average):  # fmt: skip
        assert ctl.compare(net, states, asked, streams)["n"].max() == 4
    scored = {"mnist": [(inputs(4), torch.zeros(4, dtype=torch.long))]}
    found = ctl.evaluate(net, states, ctl.path("a", "b", 0.5, tasks="mnist"), scored)
    assert found["task"].tolist() == ["mnist"]


def test_batches_may_be_tuples_of_one(net, around, inputs) -> None:
    states, asked, x = around(net, "ab"), ctl.pairs("ab", [0.5]), inputs(9)
    expected = ctl.compare(net, states, asked, [x])
    for batches in ([[x]], [(x,)], DataLoader(TensorDataset(x), batch_size=9)):
        pd.testing.assert_frame_equal(ctl.compare(net, states, asked, batches), expected)


def test_one_comparison_needs_no_list(net, around, inputs) -> None:
    states, asked = around(net, "ab"), ctl.pairs("ab", [0.5])
    expected = ctl.compare(net, states, asked, [inputs(9)])
    for given in (asked[0], iter(asked)):
        pd.testing.assert_frame_equal(ctl.compare(net, states, given, [inputs(9)]), expected)


CALLS = [
    ({"batches": None}, TypeError, "batches is None"),
    ({"batches": 3}, TypeError, "batches is one int; pass an iterable"),
    ({"batches": {"a": None}}, TypeError, "batches has for task 'a' is None"),
    ({"batches": {"a": "data"}}, TypeError, "batches has for task 'a' is one str"),
    ({"batches": TensorDataset(torch.zeros(3, 6))}, TypeError, "pass a DataLoader of it"),
    ({"batches": DataLoader(TensorDataset(torch.zeros(0, 6)))}, ValueError, "has no samples"),
    ({"model": "bert"}, TypeError, "model is str; give a torch.nn.Module"),
    ({"model": nn.Linear}, TypeError, "model is the class Linear"),
    ({"states": [{}, {}]}, TypeError, "checkpoints is a list; give a mapping"),
    ({"states": {}}, KeyError, "no checkpoint named 'a'; there are"),
    ({"states": {"model": {}, "b": {}}}, KeyError, r"there are \['b', 'model'\] \("),
    ({"states": {"model": {}, "base": {}}}, KeyError, "a string is read letter by letter"),
    ({"comparisons": []}, ValueError, "no comparisons given; ctl.pairs"),
    ({"comparisons": ["a"]}, TypeError, "comparisons has 'a'; give what ctl.pairs"),
    ({"comparisons": ctl.path("a", "b", [0.5])}, TypeError, "comparisons has Evaluation"),
    ({"layers": "5"}, KeyError, "no layer '5'"),
    ({"layers": []}, ValueError, "no layers to compare"),
    ({"device": "gpu"}, ValueError, "device is 'gpu'.*cuda.*leave it out"),
    ({"device": "cuda:99"}, ValueError, "device is 'cuda:99'"),
    ({"max_memory": "4GB"}, TypeError, "max_memory is '4GB'; give a number of bytes"),
    ({"max_memory": 0}, ValueError, "max_memory is 0"),
    ({"dtype": "bfloat16"}, ValueError, "dtype is bfloat16"),
]


@pytest.mark.parametrize(("change", "kind", "pattern"), CALLS)
def test_one_sentence_names_the_culprit(change, kind, pattern: str, net, around, inputs) -> None:
    given = {"model": net, "states": around(net, "ab"), "comparisons": ctl.pairs("ab", [0.5])}
    given |= {"batches": [inputs(3)], "layers": None} | change
    model, states, comparisons, batches = (
        given.pop(name) for name in ("model", "states", "comparisons", "batches")
    )
    with refused(kind, pattern):
        ctl.compare(model, states, comparisons, batches, **given)


def test_tables_that_lack_something_are_named(net, around, inputs) -> None:
    states = around(net, "abc")
    with refused(ValueError, r"no epsilon of the pair \('a', 'c'\); compare ctl.pairs of all"):
        two = [*ctl.pairs("ab", [0.5]), *ctl.pairs("bc", [0.5])]
        ctl.triples(ctl.compare(net, states, two, [inputs(3)]))
    measured = ctl.measure(net, states, ctl.pairs("ab", [0.5]), [inputs(3)])
    with refused(ValueError, "no metric 'cosine' was measured; there are .*'distance'"):
        measured.histogram("cosine", [0, 1])
    for edges in ([1, 0], [0.5], 0.5, [0, 0]):
        with refused(ValueError, "edges is .*; give two numbers or more, rising"):
            measured.histogram("coef", edges)
    scored = [(inputs(3), torch.zeros(3, dtype=torch.long))]
    with refused(ValueError, "no evaluations given; ctl.path makes them"):
        ctl.evaluate(net, states, [], scored)
    twice = ctl.evaluate(net, states, ctl.path("a", "b", [0, 1]), scored)
    with refused(ValueError, "the path from 'b' to 'a' has an alpha twice"):
        ctl.barriers(pd.concat([twice, twice]))


def test_a_model_runs_where_its_parameters_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(2, 2)
    assert device_for(model, None) == torch.device("cpu")
    assert device_for(model, torch.device("cpu")) == torch.device("cpu")
    assert device_for(nn.Identity(), None) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for(model, None) == torch.device("cpu")  # no GPU unless asked for
    assert device_for(nn.Linear(2, 2, device="meta"), None) == torch.device("cuda")
    for name in ("cuda", "cuda:1"):
        assert device_for(model, name) == torch.device(name)
    with refused(
        ValueError, r"'cuda:2', which is none of this machine's \['cpu', 'cuda:0', 'cuda:1"
    ):
        device_for(model, "cuda:2")


@pytest.mark.parametrize(
    ("mix", "sentence"),
    [
        (["a", "b"], r"a mix is \['a', 'b'\]; give name → weight"),
        ({"a": "0.5", "b": 0.5}, "the weight of 'a' in a mix is '0.5'; give a number"),
        ({"a": None}, "the weight of 'a' in a mix is None"),
    ],
)
def test_what_is_no_mix_is_refused(mix, sentence: str, net, around) -> None:
    with refused(TypeError, sentence):
        ctl.combine(around(net, "ab"), mix)


def test_a_comparison_without_a_right_side_is_refused() -> None:
    with refused(ValueError, "has nothing on its right side; give pairs"):
        ctl.Comparison({"a": 1.0}, [])


def test_a_compiled_program_is_refused(net, around, inputs) -> None:
    program = torch.jit.trace(net, inputs(2))
    with refused(TypeError, "model is a TorchScript program, .* that it was made from"):
        ctl.compare(program, around(net, "ab"), ctl.pairs("ab", [0.5]), [inputs(3)], ["2"])


def test_integers_that_differ_may_be_left_out(around, inputs) -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    model.register_buffer("n_calls", torch.tensor(0))
    states = around(model, "ab")
    states["b"]["n_calls"] = torch.tensor(7)
    asked = ctl.pairs("ab", [0.5]), [inputs(3).float()], ["0"]
    with refused(ValueError, r"leave them out with ignore=\['n_calls'\]"):
        ctl.compare(model, states, *asked)
    assert len(ctl.compare(model, states, *asked, ignore=["n_calls"]))
