"""Types of weights and inputs, and the noise that the narrowest type of a run makes."""

from __future__ import annotations

import pytest
import torch
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.precision import in_one_type, noise_floor, weights_type

HALVES = (torch.bfloat16, torch.float16)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 3))


def cast(state: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) for name, tensor in state.items()}


def means(table) -> dict[str, float]:
    return table.set_index(["layer", "metric"])["mean"].to_dict()


def test_all_networks_of_a_run_have_the_widest_type_of_any(model, around) -> None:
    states, x = around(model, "ab", scale=0.01), torch.randn(64, 5)
    asked = ctl.pairs("ab", [0.5])
    for dtype in HALVES:
        narrow = {"a": cast(states["a"], dtype), "b": states["b"]}
        right = means(
            ctl.compare(
                model, {"a": cast(narrow["a"], torch.float32), "b": narrow["b"]}, asked, [x]
            )
        )
        assert means(ctl.compare(model, narrow, asked, [x])) == right
        turned = {"b": narrow["a"], "a": narrow["b"]}
        found = means(ctl.compare(model, turned, asked, [x]))
        for key, value in right.items():
            assert found[key] == pytest.approx(value, rel=0.01, abs=1e-12)
    types = {"a": cast(states["a"], torch.bfloat16), "b": cast(states["b"], torch.float16)}
    assert {t.dtype for s in in_one_type(types, model).values() for t in s.values()} == {
        torch.float32
    }


def test_types_are_those_of_parameters_and_buffers_may_be_wider() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    half = cast(model.state_dict(), torch.bfloat16) | {"1.num_batches_tracked": torch.tensor(0)}
    wide = half | {"1.running_mean": torch.zeros(2, dtype=torch.float64)}
    found = in_one_type({"a": half, "b": wide}, model)
    for state in found.values():
        assert state["0.weight"].dtype == torch.bfloat16
        assert state["1.running_mean"].dtype == torch.float64
        assert state["1.num_batches_tracked"].dtype == torch.int64
    assert in_one_type({"a": half}, model)["a"] is half
    assert weights_type([half], model) == torch.bfloat16
    assert weights_type([half], nn.ReLU()) is None
    one = {**half, "0.bias": half["0.bias"].float()}
    assert {
        one.dtype for name, one in in_one_type({"a": one}, model)["a"].items() if "0." in name
    } == {torch.float32}


def test_lazy_checkpoints_are_converted_as_they_are_read(model) -> None:
    state, asked = cast(model.state_dict(), torch.bfloat16), []
    lazy = LazyState(state, lambda name: asked.append(name) or state[name])
    found = in_one_type({"a": lazy, "b": model.state_dict()}, model)["a"]
    assert asked == []
    assert {tensor.dtype for tensor in described(found).values()} == {torch.float32}
    assert torch.equal(found["0.weight"], state["0.weight"].float())
    assert asked == ["0.weight"]


@pytest.mark.parametrize("weights", [torch.float64, torch.float32, *HALVES])
@pytest.mark.parametrize("inputs", [torch.float64, torch.float32, *HALVES])
def test_floating_inputs_run_in_the_type_of_the_weights(model, around, weights, inputs) -> None:
    states = {name: cast(state, weights) for name, state in around(model, "ab", 0.3).items()}
    x = torch.randn(32, 5).to(inputs)
    asked = ctl.pairs("ab", [0.5])
    found = means(ctl.compare(model, states, asked, [x, x]))
    assert found == means(ctl.compare(model, states, asked, [x.to(weights), x.to(weights)]))
    exact = {name: cast(state, torch.float64) for name, state in states.items()}
    right = means(ctl.compare(model, exact, asked, [x.double(), x.double()]))
    eps = torch.finfo(weights).eps
    for (layer, metric), value in right.items():
        if metric != "epsilon":
            assert found[layer, metric] == pytest.approx(value, abs=3 * eps, rel=3 * eps)


@pytest.mark.parametrize("is_in_place", [False, True])
def test_a_network_that_converts_its_inputs_is_given_them_as_they_are(is_in_place: bool) -> None:
    given = []

    class Timed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 4)

        def forward(self, time: Tensor, mask: Tensor) -> Tensor:
            given.append((time.dtype, mask.dtype))
            time = time.div_(1000) if is_in_place else time / 1000
            return self.linear(time[:, None].to(self.linear.weight.dtype)) * mask

    model = Timed()
    states = {name: cast(Timed().state_dict(), torch.bfloat16) for name in "ab"}
    batch = {"time": torch.tensor([999.0, 1000.0]), "mask": torch.ones(2, 1, dtype=torch.int8)}
    ctl.compare(model, states, ctl.pairs("ab", [0.5]), [batch], ["linear"])
    assert set(given) == {(torch.float32, torch.int8)}
    assert batch["time"].tolist() == [999.0, 1000.0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_integer_inputs_that_the_network_does_not_take_are_refused(model, around, dtype) -> None:
    x = torch.ones(3, 5).to(dtype)
    with refused(TypeError, f"inputs in {dtype} with weights in torch.float32 .*images.float"):
        ctl.compare(model, around(model, "ab"), ctl.pairs("ab", [0.5]), [x])
    tokens = nn.Sequential(nn.Embedding(5, 3))
    ctl.compare(tokens, around(tokens, "ab"), ctl.pairs("ab", [0.5]), [x.long()])


def test_another_error_of_the_network_stays_what_it_is(model, around) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ctl.compare(model, around(model, "ab"), ctl.pairs("ab", [0.5]), [torch.ones(3, 4).double()])


def test_the_noise_floor_is_half_the_square_of_the_unit_roundoff() -> None:
    for dtype, bits in ((torch.bfloat16, 8), (torch.float16, 11), (torch.float32, 24)):
        state = {"w": torch.ones(2, dtype=dtype), "mask": torch.ones(2, dtype=torch.int64)}
        assert noise_floor(state) == 2.0 ** (-2 * bits) / 2
    assert noise_floor({"w": torch.ones(2, dtype=torch.float64)}) == 2.0**-52
    assert noise_floor({"w": torch.ones(2)}, torch.bfloat16) == 2.0**-17
    assert noise_floor({"w": torch.ones(2, dtype=torch.cfloat)}) == noise_floor(
        {"w": torch.ones(2)}
    )
    assert noise_floor({"n": torch.ones(2, dtype=torch.int64)}) == 2.0**-52


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_a_distance_of_zero_comes_out_near_the_noise_floor(dtype: torch.dtype) -> None:
    """A layer that is linear in its weights: what is left is rounding."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256, bias=False))
    states = {
        name: cast(nn.Sequential(nn.Linear(64, 256, bias=False)).state_dict(), dtype)
        for name in "ab"
    }
    table = ctl.compare(model, states, ctl.pairs("ab", [0.3]), [torch.randn(200, 64)])
    floor = table.attrs["noise_floor"]
    distance = table[table.metric == "distance"]["mean"].item()
    assert floor / 30 < distance < 30 * floor
    result = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [torch.randn(4, 64)])
    assert result.noise_floor == result.table().attrs["noise_floor"] == floor
