"""Which tensors have a mix: complex ones have, integers and packed ones have none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.mix import check_finite
from ctl_helpers.engine.tensor_kinds import factors, is_counter, scheme

HALF = {"a": 0.5, "b": 0.5}


def two(make: Callable[[int], Tensor], name: str = "w") -> dict[str, dict[str, Tensor]]:
    return {checkpoint: {name: make(number)} for number, checkpoint in enumerate("ab", 1)}


def loop(tensors: list[Tensor], weights: list[float]) -> list[complex]:
    """A mix number by number, in double precision."""
    flat = [tensor.flatten().tolist() for tensor in tensors]
    return [
        sum(w * complex(v) for w, v in zip(weights, values, strict=True))
        for values in zip(*flat, strict=True)
    ]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_tensors_are_mixed(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    states = two(lambda _: torch.randn(3, 2, dtype=dtype))
    mixed = ctl.combine(states, {"a": 0.3, "b": -1.2})["w"]
    expected = loop([states["a"]["w"], states["b"]["w"]], [0.3, -1.2])
    assert mixed.dtype == dtype
    torch.testing.assert_close(mixed, torch.tensor(expected).view(3, 2).to(dtype))
    moved = ctl.task_vector(states["a"], states["b"])["w"]
    assert torch.equal(moved, states["a"]["w"] - states["b"]["w"])


def test_a_layer_that_is_linear_in_complex_weights_has_no_distance() -> None:
    class Fourier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 5, dtype=torch.cfloat))

        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * self.w, n=8)

    torch.manual_seed(0)
    model = nn.Sequential(Fourier())
    states = {name: Fourier().state_dict() for name in "ab"}
    states = {name: {f"0.{k}": v for k, v in state.items()} for name, state in states.items()}
    table = ctl.compare(model, states, ctl.pairs("ab", [0.3]), [torch.randn(6, 4, 8)])
    means = table.set_index("metric")["mean"]
    assert means["distance"] < 1e-12
    assert means["baseline"] > 0.1
    cosine = ctl.cosines(states | {"p": model.state_dict()}, "p", ["a", "b"])
    moved = [states[name]["0.w"] - model[0].w.detach() for name in "ab"]
    expected = (moved[0] * moved[1].conj()).sum().real / (moved[0].norm() * moved[1].norm())
    assert cosine.cosine[1] == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("types", "widest"),
    [
        ((torch.bfloat16, torch.float32), torch.float32),
        ((torch.float16, torch.bfloat16), torch.float32),
        ((torch.float32, torch.float64), torch.float64),
        ((torch.complex64, torch.complex128), torch.complex128),
        ((torch.bfloat16, torch.bfloat16), torch.bfloat16),
    ],
)
def test_a_mix_has_the_widest_type_whatever_the_names(types, widest: torch.dtype) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(50, dtype=dtype) for dtype in types]
    mixes = []
    for names in ("ab", "ba"):
        states = {name: {"w": tensor} for name, tensor in zip(names, tensors, strict=True)}
        mixes.append(ctl.combine(states, dict(zip(names, (0.3, 0.7), strict=True)))["w"])
    expected = torch.tensor(loop(tensors, [0.3, 0.7]))
    expected = expected if widest.is_complex else expected.real
    for mix in mixes:
        assert mix.dtype == widest
        torch.testing.assert_close(mix, expected.to(widest))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool])
def test_integers_that_differ_have_no_mix(dtype: torch.dtype) -> None:
    states = two(lambda number: torch.tensor([0, 1, number - 1]).to(dtype))
    for measure in (
        lambda: ctl.combine(states, HALF),
        lambda: ctl.task_vector(states["a"], states["b"]),
        lambda: ctl.cosines(states, "a", ["b"]),
    ):
        with refused(ValueError, f"have other values at 'w' .{dtype}.: integers .*as they were"):
            measure()
    assert torch.equal(ctl.combine(states, {"b": 1.0})["w"], states["b"]["w"])
    shared = {name: {"w": states["a"]["w"].clone()} for name in "ab"}
    for mix in (HALF, {"a": 2.0, "b": -1.5}):
        assert torch.equal(ctl.combine(shared, mix)["w"], states["a"]["w"])


def test_counters_are_taken_from_the_first_name() -> None:
    for name in ("num_batches_tracked", "1.num_batches_tracked", "ema.num_updates", "n_averaged"):
        assert is_counter(name)
        states = two(lambda number: torch.tensor(number), name)
        assert ctl.combine(states, HALF)[name] == 1
    for name in ("weight", "position_ids", "relative_position_index", "num_batches_tracked.w"):
        assert not is_counter(name)


def test_a_missing_counter_is_filled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    states = {name: dict(model.state_dict()) for name in "ab"}
    counter = "1.num_batches_tracked"
    del states["a"][counter]
    mixed = ctl.combine(states, HALF)
    assert mixed.keys() == states["b"].keys()
    model.load_state_dict(mixed)
    del states["b"][counter]
    table = ctl.compare(model, states, ctl.pairs("ab", [0.5]), [torch.randn(4, 3)])
    assert set(table.layer) == {"0", "1"}


def test_what_is_infinite_in_all_checkpoints_stays_infinite(inputs) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 3).double()
            self.register_buffer("mask", torch.tensor([[0.0, -torch.inf, 0.0]]))

        def forward(self, x: Tensor) -> Tensor:
            return (self.linear(x) + self.mask).softmax(-1)

    torch.manual_seed(0)
    model = Masked()
    states = {name: Masked().state_dict() for name in "ab"}
    for mix in (HALF, {"a": 2.0, "b": -1.0}, {"a": 0.5, "b": 0.7}, {"a": 0.5, "b": -0.7}):
        mixed = ctl.combine(states, mix)["mask"]
        assert mixed[0, 1] == -torch.inf
        assert mixed[0, ::2].tolist() == [0.0, 0.0]
    assert ctl.task_vector(states["a"], states["b"])["mask"].tolist() == [[0.0, 0.0, 0.0]]
    assert ctl.cosines(states | {"p": Masked().state_dict()}, "p", ["a", "b"]).notna().all(None)
    asked = [*ctl.pairs("ab", [0.5]), ctl.Comparison({"a": 2.0, "b": -1.0}, [(1, {"a": 0.5})])]
    assert ctl.compare(model, states, asked, [inputs(5)], ["linear"])["mean"].notna().all()
    # Weights are no masks, and neither is what only one has.
    states["a"]["linear.bias"][0] = states["b"]["linear.bias"][0] = torch.inf
    with refused(ValueError, r"'a' has NaN or infinite values at 'linear\.bias'"):
        ctl.compare(model, states, asked, [inputs(5)], ["linear"])
    for value in (torch.nan, 0.0):
        other = {"mask": torch.tensor([[0.0, value, 0.0]])}
        with pytest.raises(ValueError, match="NaN or infinite values at 'mask'"):
            check_finite({"a": {"mask": states["a"]["mask"]}, "b": other}, {"mask"})


def quantized() -> Tensor:
    torch.manual_seed(0)
    return torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)


class Part:
    """Stands for what a library puts in the place of a tensor."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.eye(3).to_sparse(), "sparse (torch.sparse_coo), .*to_dense"),
        (lambda: torch.eye(3).to_sparse_csr(), "sparse (torch.sparse_csr)"),
        (lambda: torch.ones(3).to(torch.float8_e4m3fn), "in torch.float8_e4m3fn.*with its scale"),
        (lambda: torch.ones(3).to(torch.float8_e5m2), "in torch.float8_e5m2"),
        (quantized, "quantized (torch.qint8)"),
        (lambda: torch.ones(3, device="meta"), "on the meta device, without values"),
        (lambda: nn.LazyLinear(3).state_dict()["weight"], "not initialized, .*one batch"),
        (Part, "as a Part, .*tensors alone"),
    ],
)
def test_what_cannot_be_mixed_is_named(make, said: str) -> None:
    good = {"w": torch.ones(3), "v": torch.ones(1)}
    said = said.replace("(", r"\(").replace(")", r"\)")
    for measure in (ctl.combine, lambda states, _: ctl.cosines(states, "a", ["b"])):
        with refused(ValueError, f"checkpoint 'b' has 'w' {said}"):
            measure({"a": {**good}, "b": {**good, "w": make()}}, HALF)


def test_extra_state_is_kept_where_all_share_it_and_refused_elsewhere(inputs) -> None:
    class Extra(nn.Module):
        def __init__(self, scale: object) -> None:
            super().__init__()
            self.linear, self.scale = nn.Linear(6, 2).double(), scale

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

        def get_extra_state(self) -> object:
            return self.scale

        def set_extra_state(self, state: object) -> None:
            self.scale = state

    torch.manual_seed(0)
    for scale in ({"scale": 1}, torch.ones(2), None):
        model = Extra(scale)
        states = {name: Extra(scale).state_dict() for name in "ab"}
        model.load_state_dict(ctl.combine(states, HALF))
        table = ctl.compare(model, states, ctl.pairs("ab", [0.5]), [inputs(4)], ["linear"])
        assert len(table) == 4
        wrapped = {f"module.{key}": value for key, value in states["a"].items()}
        with pytest.warns(ctl.CheckpointWarning, match=r"'module\.'"):
            assert ctl.read(wrapped, like=model).keys() == states["a"].keys()
    states["a"]["_extra_state"] = {"scale": 2}
    with refused(ValueError, "'a' has another extra state at '_extra_state' than the model"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [inputs(4)], ["linear"])
    with refused(ValueError, "'b' has another extra state at '_extra_state' than 'a'"):
        ctl.combine(states, HALF)


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (("0.weight", "0.weight.absmax", "0.weight.quant_map"), "bitsandbytes in 4 bits"),
        (("0.weight", "0.weight.quant_state.bitsandbytes__nf4"), "bitsandbytes in 4 bits"),
        (("0.weight", "0.SCB", "0.weight_format"), "bitsandbytes in int8"),
        (("0.qweight", "0.qzeros", "0.scales", "0.g_idx"), "GPTQ"),
        (("0.qweight", "0.qzeros", "0.scales"), "AWQ"),
        (("0.scale", "0.zero_point", "0._packed_params._packed_params"), "torch's dynamic"),
        (("0.weight_packed", "0.weight_scale", "0.weight_shape"), "compressed-tensors"),
    ],
)
def test_schemes_of_quantization_are_known_by_their_names(names, known: str) -> None:
    assert str(scheme(names)).startswith(known)
    states = two(lambda number: torch.tensor([number], dtype=torch.int32), names[0])
    for state in states.values():
        state |= {name: torch.ones(1) for name in names[1:]}
    with refused(ValueError, f"at '{names[0]}' .torch.int32.: weights quantized by {known}"):
        ctl.combine(states, HALF)
    assert scheme(("0.weight", "0.bias", "1.running_var")) is None


@pytest.mark.filterwarnings("ignore")
def test_torchs_own_quantization_is_named() -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh())
    packed = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    states = {name: packed.state_dict() for name in "ab"}
    with refused(ValueError, "checkpoint 'a' has '0._packed.*quantized by torch's dynamic"):
        ctl.compare(packed, states, ctl.pairs("ab", [0.5]), [torch.randn(3, 5)])


def test_factors_of_a_product_are_known_by_their_names() -> None:
    names = ("0.lora_A.default.weight", "0.lora_B.default.weight", "1.lora_A", "1.lora_B", "2.w")
    assert factors(names) == {names[0]: names[1], names[2]: names[3]}
    assert factors(("e.lora_embedding_A", "e.lora_embedding_B", "x.flora_A.w")) == {
        "e.lora_embedding_A": "e.lora_embedding_B"
    }


def test_a_network_that_is_not_initialized_is_named() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    state = nn.Sequential(nn.Linear(2, 3)).state_dict()
    with refused(ValueError, "the model has '0.weight' not initialized; run it on one batch"):
        ctl.compare(model, {"a": state}, [ctl.Comparison({"a": 1}, [(1, {"a": 1})])], [])
