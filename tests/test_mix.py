"""Mixes: keys, exact ends, and refusals that name the culprit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ctl_helpers.engine.mix import (
    blend,
    check_compatible,
    check_finite,
    combine,
    interpolate,
    mix_key,
    task_vector,
)


def test_equal_models_have_equal_keys() -> None:
    assert mix_key({"b": 0.1, "a": 0.9}) == mix_key({"a": 0.9, "b": 1 - 0.9, "c": 0.0})
    assert mix_key(interpolate("a", "b", 1.0)) == (("a", 1.0),)
    assert mix_key(interpolate("a", "b", 0.0)) == (("b", 1.0),)


def test_blend_of_mixes_is_a_mix() -> None:
    half = interpolate("a", "b", 0.5)
    assert blend([(0.5, half), (0.5, {"b": 1.0})]) == {"a": 0.25, "b": 0.75}
    assert blend([(1.0, half), (-0.5, {"a": 1.0})]) == {"b": 0.5}


@pytest.mark.parametrize("mix", [{}, {"a": 0.0}, {"a": math.nan}, {"a": math.inf}])
def test_a_mix_of_nothing_or_of_no_number_is_refused(mix: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        mix_key(mix)


def test_combine_agrees_with_the_sum_and_changes_nothing(net, around) -> None:
    checkpoints = around(net, "abc")
    before = {n: {k: v.clone() for k, v in state.items()} for n, state in checkpoints.items()}
    mixed = combine(checkpoints, {"a": 0.2, "b": -0.5, "c": 1.3})
    for key, value in mixed.items():
        expected = sum(w * before[n][key] for n, w in (("a", 0.2), ("b", -0.5), ("c", 1.3)))
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-14)
        value.zero_()
    for name, state in checkpoints.items():
        assert all(torch.equal(state[key], before[name][key]) for key in state)


def test_the_ends_are_exact_and_copies(net, around) -> None:
    checkpoints = around(net, "ab")
    for alpha, name in ((1.0, "a"), (0.0, "b")):
        mixed = combine(checkpoints, interpolate("a", "b", alpha))
        for key, value in mixed.items():
            assert torch.equal(value, checkpoints[name][key])
            assert value.data_ptr() != checkpoints[name][key].data_ptr()


def test_half_precision_is_summed_wide() -> None:
    checkpoints = {name: {"w": torch.full((1,), 1 / 3, dtype=torch.float16)} for name in "abcdef"}
    mixed = combine(checkpoints, dict.fromkeys("abcdef", 1 / 6))["w"]
    assert mixed.dtype == torch.float16
    assert torch.equal(mixed, checkpoints["a"]["w"])


def test_batchnorm_buffers_are_mixed_and_counters_kept() -> None:
    norm = nn.BatchNorm1d(2)
    states = {}
    for number, name in enumerate("ab", 1):
        state = {key: value.clone() for key, value in norm.state_dict().items()}
        state["running_var"] += number
        state["num_batches_tracked"] += number
        states[name] = state
    mixed = combine(states, interpolate("b", "a", 0.25))
    assert mixed["running_var"].tolist() == [2.25, 2.25]
    assert mixed["num_batches_tracked"] == states["a"]["num_batches_tracked"]
    with pytest.raises(ValueError, match=r"'running_var' negative"):
        combine(states, {"a": 1.0, "b": -1.0})


def test_task_vector_is_the_difference(net, around) -> None:
    checkpoints = around(net, "pi")
    tau = task_vector(checkpoints["i"], checkpoints["p"])
    mixed = combine(checkpoints, {"p": 0.6, "i": 0.4})
    for key, value in mixed.items():
        torch.testing.assert_close(value, checkpoints["p"][key] + 0.4 * tau[key])


def test_checkpoints_that_do_not_fit_are_named(net, around) -> None:
    good = around(net, "a")["a"]
    reference = net.state_dict()
    lacking = {key: value for key, value in good.items() if key != "2.bias"}
    cases = [
        (lacking, "'odd' lacks '2.bias'"),
        ({**good, "extra": torch.zeros(1)}, "'odd' has 'extra'"),
        ({**good, "0.bias": torch.zeros(9)}, r"'odd' has shape \(9,\) at '0.bias'"),
    ]
    for state, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            check_compatible({"good": good, "odd": state}, reference)
        with pytest.raises(ValueError, match=r"unlike|shape"):
            combine({"good": good, "odd": state}, {"good": 0.5, "odd": 0.5})
    with pytest.raises(ValueError, match=r"'odd' has NaN or infinite values at '0\.bias'"):
        check_finite({"odd": {**good, "0.bias": good["0.bias"] * torch.nan}})
    with pytest.raises(ValueError, match=r"'odd' has NaN or infinite values at '0\.bias'"):
        check_finite({"odd": {**good, "0.bias": torch.tensor([torch.inf, -torch.inf])}})
    check_finite({"large": {"a": torch.full((4,), 6e4, dtype=torch.float16)}})  # its sum is not
    with pytest.raises(ValueError, match="no checkpoints"):
        check_compatible({}, reference)
    with pytest.raises(KeyError, match="no checkpoint named 'b'"):
        combine({"a": good}, {"a": 0.5, "b": 0.5})
