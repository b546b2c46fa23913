"""Eigenvalues and quadratic forms against the exact Hessian of the whole loss, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import refused
from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers import Evaluation, evaluate, task_vector
from ctl_helpers.analysis import curvature
from ctl_helpers.analysis.curvature import (
    coordinates,
    largest_eigenvalue,
    quadratic_form,
    squared_distance,
)

SAMPLES, CLASSES = 12, 3


class Plain(nn.Module):
    """BatchNorm in evaluation mode, written out, with torch's names for its tensors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            tensor.reshape(-1, *[1] * (x.dim() - 2))
            for tensor in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, CLASSES))


def rectified() -> nn.Module:
    layers = [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(3, CLASSES))


def normed(norm: Callable[[int], nn.Module] = nn.BatchNorm1d) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), norm(3), nn.Tanh(), norm(3), nn.Linear(3, CLASSES))


def convolved(norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Module:
    front = [nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 2, padding=1, bias=False), norm(2)]
    return nn.Sequential(*front, nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(2, CLASSES))


class Attention(nn.Module):
    """Four inputs as two tokens that attend to each other, by torch's fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.head = nn.Linear(2, 6), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.map(x.view(-1, 1, 2, 2)).chunk(3, dim=-1)
        return self.head(F.scaled_dot_product_attention(query, key, value).flatten(1))


NETS = {
    "smooth": (smooth, smooth),
    "relu": (rectified, rectified),
    "batchnorm": (normed, lambda: normed(Plain)),
    "convolution": (convolved, lambda: convolved(Plain)),
    "attention": (Attention, Attention),
}


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build().double()


def point(model: nn.Module, seed: int = 1) -> dict[str, Tensor]:
    """A state away from the model's own; running variances stay positive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in model.state_dict().items():
        noise = 0.7 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        noise = noise.abs() if name.endswith("running_var") else noise
        state[name] = value + noise if value.is_floating_point() else value + 3
    return state


def data(samples: int = SAMPLES, seed: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (samples,), generator=generator)


def exact(
    model: nn.Module, state: dict[str, Tensor], names: list[str], x: Tensor, y: Tensor
) -> np.ndarray:
    """The Hessian over ``names``, by differentiating the mean loss twice."""
    sizes = [state[name].numel() for name in names]

    def loss(flat: Tensor) -> Tensor:
        parts = [
            part.view(state[name].shape)
            for name, part in zip(names, flat.split(sizes), strict=True)
        ]
        values = {**state, **dict(zip(names, parts, strict=True))}
        return F.cross_entropy(functional_call(model.eval(), values, (x,)), y)

    flat = torch.cat([state[name].flatten() for name in names])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.autograd.functional.hessian(loss, flat, vectorize=False).numpy()


def outermost(hessian: np.ndarray) -> float:
    values = np.linalg.eigvalsh(hessian)
    return float(values[np.abs(values).argmax()])


@pytest.mark.parametrize("with_buffers", [True, False])
@pytest.mark.parametrize("kind", NETS)
def test_agrees_with_the_exact_hessian(kind: str, with_buffers: bool) -> None:
    build, plain = NETS[kind]
    model, (x, y) = seeded(build), data()
    state, other = point(model), point(model, 5)
    names = coordinates(model, with_buffers)
    hessian = exact(seeded(plain), state, names, x, y)
    found = largest_eigenvalue(model, state, [(x, y)], with_buffers=with_buffers)
    assert found == pytest.approx(outermost(hessian), rel=1e-3)
    fine = largest_eigenvalue(model, state, [(x, y)], tolerance=1e-9, with_buffers=with_buffers)
    assert fine == pytest.approx(outermost(hessian), rel=1e-9)

    step = {name: other[name] - state[name] for name in names}
    flat = torch.cat([step[name].flatten() for name in names]).numpy()
    form = quadratic_form(model, state, step, [(x, y)], with_buffers=with_buffers)
    assert form == pytest.approx(flat @ hessian @ flat, rel=1e-10)
    distance = squared_distance(model, state, other, with_buffers=with_buffers)
    assert distance == pytest.approx(flat @ flat, rel=1e-12)


def over_second_order(
    kind: str, ts: list[float], alpha: float = 0.3, samples: int = SAMPLES
) -> list[float]:
    """Theorem 5.1: ``αf(θ_i) + (1−α)f(θ_j) − f(θ_α)`` over ``½α(1−α) dᵀHd``, both drawn to θ_0.

    ``θ_i(t) = θ_0 + t(θ_i − θ_0)``, and so for j; for three derivatives the ratio is 1 + O(t).
    """
    model, batch = seeded(NETS[kind][0]), [data(samples)]
    states = {"0": point(model), "i": point(model, 5), "j": point(model, 6)}
    form = quadratic_form(model, states["0"], task_vector(states["i"], states["j"]), batch)
    found = []
    for t in ts:
        shares = [(t, 0.0), (0.0, t), (alpha * t, (1 - alpha) * t)]
        mixes = [Evaluation({"0": 1 - t, "i": at_i, "j": at_j}) for at_i, at_j in shares]
        f_i, f_j, mixed = evaluate(model, states, mixes, batch)["loss"]
        signed = alpha * f_i + (1 - alpha) * f_j - mixed
        found.append(signed / (alpha * (1 - alpha) / 2 * t**2 * form))
    return found


@pytest.mark.parametrize("kind", ["smooth", "batchnorm"])
def test_near_the_start_the_deviation_is_the_quadratic_form(kind: str) -> None:
    """BatchNorm's running statistics are mixed here, and differentiated there."""
    far, near = over_second_order(kind, [1e-2, 1e-3])
    assert near == pytest.approx(1, abs=2e-2)
    assert near - 1 == pytest.approx((far - 1) / 10, rel=0.3)


def test_kinks_count_like_a_second_order_term() -> None:
    """Over many samples a ReLU's kinks bend the loss by O(t²) until no sample crosses one."""
    *between, nearest = over_second_order("relu", [1e-2, 1e-3, 1e-4, 1e-6], samples=20_000)
    assert all(abs(ratio - 1) > 0.1 for ratio in between)
    assert nearest == pytest.approx(1, abs=1e-2)


def test_coordinates_are_what_a_mix_mixes() -> None:
    model = seeded(normed)
    floats = {name for name, v in model.state_dict().items() if v.is_floating_point()}
    assert set(coordinates(model)) == floats
    assert set(coordinates(model, False)) == {name for name, _ in model.named_parameters()}
    assert len(floats) == len(coordinates(model, False)) + 4


class Bilinear(nn.Module):
    """Logits ``(l, 0)`` with ``l = uv + b(u² + v²)``, at ``u = v = 0``."""

    def __init__(self, bend: float) -> None:
        super().__init__()
        self.uv, self.bend = nn.Parameter(torch.zeros(2)), bend
        self.still = nn.Parameter(torch.zeros(1))  # reaches no output

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.uv
        logit = u * v + self.bend * (u**2 + v**2) + 0 * x.sum(1)
        return torch.stack([logit, torch.zeros_like(logit)], 1)


@pytest.mark.parametrize(("bend", "expected"), [(0.1, -0.6), (-0.1, 0.6)])
def test_the_sign_is_kept(bend: float, expected: float) -> None:
    """All of class 0: ``f = ln(1 + e⁻ˡ)``, so ``∇²f = −½ (2b 1; 1 2b)``, ``λ = −b ± ½``."""
    model = Bilinear(bend).double()
    batch = (torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.long))
    found = largest_eigenvalue(model, model.state_dict(), [batch], tolerance=1e-6)
    assert found == pytest.approx(expected, rel=1e-9)


def test_softmax_regression_is_the_formula() -> None:
    """``∇²f = 1/n Σ (diag p − ppᵀ) ⊗ xxᵀ``, never negative."""
    model = seeded(lambda: nn.Linear(4, CLASSES, bias=False))
    state, (x, y) = point(model), data()
    hessian = np.zeros((CLASSES * 4, CLASSES * 4))
    for sample in x.numpy():
        e = np.exp(state["weight"].numpy() @ sample)
        p = e / e.sum()
        hessian += np.kron(np.diag(p) - np.outer(p, p), np.outer(sample, sample)) / len(x)
    found = largest_eigenvalue(model, state, [(x, y)], tolerance=1e-8)
    assert found == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-9)


def test_a_flat_loss_has_eigenvalue_zero() -> None:
    model = Bilinear(0.0).double()
    x, y = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1])
    assert largest_eigenvalue(model, model.state_dict(), [(x, y)]) == 0


def test_batches_and_seeds_do_not_matter() -> None:
    model, (x, y) = seeded(normed), data()
    state = point(model)
    whole = largest_eigenvalue(model, state, [(x, y)], tolerance=1e-6)
    for seed, sizes in enumerate([[1, 11], [5, 0, 7]]):
        parts = zip(x.split(sizes), y.split(sizes), strict=True)
        found = largest_eigenvalue(model, state, parts, tolerance=1e-6, seed=seed)
        assert found == pytest.approx(whole, rel=1e-6)


def test_the_same_seed_gives_the_same_number_whatever_the_global_ones() -> None:
    model, batch = seeded(rectified), data()
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        found.append(largest_eigenvalue(model, point(model), [batch]))
    assert found[0] == found[1]


def test_float32_is_near_float64() -> None:
    model, (x, y) = seeded(normed), data()
    state = point(model)
    wide = largest_eigenvalue(model, state, [(x, y)])
    narrow = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    assert largest_eigenvalue(model.float(), narrow, [(x.float(), y)]) == pytest.approx(wide, 1e-3)


def test_tied_weights_are_one_coordinate() -> None:
    def tied() -> nn.Module:
        net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, CLASSES))
        net[2].weight = net[0].weight
        return net

    model, (x, y) = seeded(tied), data()
    state, names = point(model), coordinates(model)
    state["2.weight"] = state["0.weight"]
    assert names.count("0.weight") == 1
    assert "2.weight" not in names
    # The oracle's functional_call ties the one name that it is given.
    once = {name: state[name] for name in names}
    found = largest_eigenvalue(model, state, [(x, y)], tolerance=1e-8)
    assert found == pytest.approx(outermost(exact(model, once, names, x, y)), rel=1e-9)


def test_nothing_that_is_passed_in_changes() -> None:
    model, (x, y) = seeded(normed), data()
    model.train()
    model[0].weight.requires_grad_(False)
    state, other = point(model), point(model, 5)
    kept = [{k: v.clone() for k, v in d.items()} for d in (model.state_dict(), state, other)]
    own = model.state_dict()
    largest_eigenvalue(model, state, [(x, y)])
    quadratic_form(model, state, other, [(x, y)])
    squared_distance(model, state, other)
    for before, after in zip(kept, (own, state, other), strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * 7]
    assert all(p.grad is None for p in model.parameters())
    assert isinstance(model[1].running_mean, Tensor)
    assert "1.running_mean" in dict(model.named_buffers())
    assert "forward" not in vars(model[1])


def test_the_models_own_weights_are_not_used() -> None:
    batch, state = data(), point(seeded(normed))
    found = {largest_eigenvalue(seeded(normed, seed), state, [batch]) for seed in (0, 9)}
    assert len(found) == 1


def broken(state: dict[str, Tensor], name: str, value: float) -> dict[str, Tensor]:
    return {k: torch.full_like(v, value) if k == name else v for k, v in state.items()}


@pytest.mark.parametrize(
    ("batches", "error", "sentence"),
    [
        ([], ValueError, "the batches have no samples; .* pass a list"),
        ([(data()[0][:0], data()[1][:0])], ValueError, "the batches have no samples"),
        ([data()[0]], TypeError, "batch 0 is no pair of tensors, .* needs targets; pass"),
        (data(), TypeError, "batch 0 is no pair of tensors"),
        ([data(), (data()[0], None)], TypeError, "batch 1 is no pair of tensors"),
        ([(data()[0], data()[1][:3])], ValueError, r"batch 0 has 12 inputs .* \(3,\); pass one"),
        ([(data()[0] * torch.nan, data()[1])], ValueError, "no finite curvature .* check the inp"),
    ],
)
def test_bad_batches_are_refused(batches, error: type[Exception], sentence: str) -> None:
    model = seeded(normed)
    with refused(error, sentence):
        largest_eigenvalue(model, point(model), batches)


def test_bad_weights_are_refused() -> None:
    model, batch = seeded(normed), data()
    state = point(model)
    for bad, sentence in [
        (broken(state, "1.running_var", torch.inf), "'state' has NaN or infinite .* '1.running_v"),
        (broken(state, "1.running_var", -1.0), "no finite curvature .* running variances"),
        (point(seeded(smooth)), "'state' (lacks|has) .* same architecture"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            largest_eigenvalue(model, bad, [batch])
    for bad, sentence in [
        ({}, "'direction' lacks '0.bias'"),
        (broken(state, "0.bias", torch.nan), "'direction' has NaN"),
        (state | {"0.bias": torch.zeros(2)}, r"'direction' has shape \(2,\) at '0.bias'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            quadratic_form(model, state, bad, [batch])
    with pytest.raises(ValueError, match="'b' has NaN"):
        squared_distance(model, state, broken(state, "0.bias", torch.nan))


def test_one_coordinate_is_its_own_eigenvalue() -> None:
    class Slope(nn.Module):
        """Logits ``wx`` and ``0``."""

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.w * x[:, 0], torch.zeros_like(x[:, 0])], dim=1)

    x, y = data()
    state = {"w": torch.tensor(0.4, dtype=torch.float64)}
    p = torch.sigmoid(0.4 * x[:, 0])
    known = (p * (1 - p) * x[:, 0] ** 2).mean().item()
    assert largest_eigenvalue(Slope(), state, [(x, y % 2)]) == pytest.approx(known)


def test_an_iteration_that_does_not_converge_is_one_sentence(monkeypatch) -> None:
    def endless(*arguments: object, **options: object) -> None:
        raise curvature.ArpackNoConvergence("no", np.empty(0), np.empty(0))

    monkeypatch.setattr(curvature, "eigsh", endless)
    model = seeded(NETS["convolution"][0])
    with pytest.raises(ValueError, match=r"not found to a residual of 0\.01; ask for a larger"):
        largest_eigenvalue(model, point(model), [data()], tolerance=0.01)
