"""The loss's curvature at one point: what bounds its deviation from linearity (Section 5)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ctl_helpers.engine.derivatives import differentiable, without_jit_warning
from ctl_helpers.engine.mix import StateDict, check_compatible, check_finite

with without_jit_warning():
    from curvlinops import HessianLinearOperator

Pairs = Iterable[tuple[Tensor, Tensor]]


def largest_eigenvalue(
    model: nn.Module,
    state: StateDict,
    batches: Pairs,
    *,
    tolerance: float = 1e-3,
    seed: int = 0,
    with_buffers: bool = True,
    device: torch.device | str | None = None,
) -> float:
    """The eigenvalue of ``∇²f(θ)`` of largest absolute value, with its sign (Section 5).

    ``f(θ)`` is the mean cross-entropy over all samples of ``batches``, in evaluation mode. θ is
    every floating tensor of the state dict, as in a mix: BatchNorm's running mean and variance
    are coordinates like any weight. Found by Lanczos iteration on Hessian-vector products.

    Args:
        model: the architecture and its floating type; its own weights are not used.
        state: θ, a state dict of that architecture.
        batches: pairs of inputs (samples, …) and classes (samples,); held, since each product
            reads them all.
        tolerance: the residual ``‖Hv − λv‖ / |λ|`` at which the iteration stops, and so at most
            the relative error; less than 1e-6 asks for a float64 model.
        seed: decides where the iteration starts.
        with_buffers: False leaves θ with the parameters alone, at the state's statistics.
        device: where to compute; by default where the model's parameters are.

    Returns:
        The eigenvalue; 0 where the Hessian is zero.

    Raises:
        TypeError: a batch that is no pair of tensors.
        ValueError: a state that does not fit the model or is not finite, no samples, a loss whose
            curvature is not finite there, or an iteration that does not converge.
    """
    operator = _hessian(model, state, batches, with_buffers, device).to_scipy()
    with differentiable():
        start = operator @ np.random.default_rng(seed).standard_normal(operator.shape[1])
        if not np.isfinite(start).all():
            raise ValueError(
                "the loss has no finite curvature at this state; check the inputs and the running "
                "variances for NaN, infinite or negative values"
            )
        if not start.any():
            return 0.0
        if len(start) == 1:
            return float((operator @ np.ones(1))[0])
        return _outermost(operator, start, tolerance)


def _outermost(operator: LinearOperator, start: NDArray[np.floating], tolerance: float) -> float:
    """The eigenvalue of largest absolute value, by Lanczos iteration from a vector."""
    # Networks' outermost eigenvalues stand apart: the usual 20 products are too many.
    options = {"ncv": min(8, len(start)), "tol": tolerance, "return_eigenvectors": False}
    try:
        (value,) = eigsh(operator, k=1, which="LM", v0=start, **options)
    except ArpackNoConvergence:
        raise ValueError(
            f"the largest eigenvalue is not found to a residual of {tolerance}; ask for a larger "
            "tolerance, or compute in float64"
        ) from None
    return float(value)


def quadratic_form(
    model: nn.Module,
    state: StateDict,
    direction: Mapping[str, Tensor],
    batches: Pairs,
    *,
    with_buffers: bool = True,
    device: torch.device | str | None = None,
) -> float:
    """``dᵀ∇²f(θ)d``, one Hessian-vector product, with f and θ of :func:`largest_eigenvalue`.

    For ``d = θ_i − θ_j`` it gives the second-order term that the theorem of Section 5 bounds:
    ``αf(θ_i) + (1−α)f(θ_j) − f(αθ_i + (1−α)θ_j) ≈ α(1−α)/2 · dᵀ∇²f d``.

    Args:
        model, state, batches, with_buffers, device: as in :func:`largest_eigenvalue`.
        direction: d, one tensor of the same shape for each of θ, such as
            :func:`ctl_helpers.engine.mix.task_vector` gives. Other entries are not looked at.

    Returns:
        The form, summed in float64.
    """
    names, theta = coordinates(model, with_buffers), model.state_dict()
    steps = {name: direction[name] for name in names if name in direction}
    check_compatible({"direction": steps}, {name: theta[name] for name in names})
    check_finite({"direction": steps})
    hessian = _hessian(model, state, batches, with_buffers, device)
    vector = [steps[name].to(hessian.device, hessian.dtype) for name in names]
    with differentiable():
        product = hessian @ vector
    return _dot(zip(vector, product, strict=True))


def squared_distance(
    model: nn.Module, a: StateDict, b: StateDict, *, with_buffers: bool = True
) -> float:
    """``‖θ_a − θ_b‖²`` in float64, over the same tensors as the Hessian's.

    Args:
        model, with_buffers: as in :func:`largest_eigenvalue`.
        a, b: state dicts of that architecture.
    """
    check_compatible({"a": a, "b": b}, model.state_dict())
    check_finite({"a": a, "b": b})
    steps = (a[name].double() - b[name].double() for name in coordinates(model, with_buffers))
    return _dot((step, step) for step in steps)


def coordinates(model: nn.Module, with_buffers: bool = True) -> list[str]:
    """The names of the tensors of θ: the parameters, tied ones once, then the floating buffers.

    Buffers outside the state dict, such as masks, are constants. ``with_buffers`` False leaves
    the others out too.
    """
    names = [name for name, _ in model.named_parameters()]
    if with_buffers:
        buffers, stored = dict(model.named_buffers()), model.state_dict()
        names += [n for n, b in buffers.items() if n in stored and b.is_floating_point()]
    return names


def _hessian(
    model: nn.Module,
    state: StateDict,
    batches: Pairs,
    with_buffers: bool,
    device: torch.device | str | None,
) -> HessianLinearOperator:
    """The operator over :func:`coordinates`, in their order, on a copy of the model."""
    check_compatible({"state": state}, model.state_dict())
    check_finite({"state": state})
    pairs = list(_checked(batches))
    samples = sum(len(targets) for _, targets in pairs)
    if samples == 0:
        raise ValueError(
            "the batches have no samples; an iterator that was read before is empty, so pass a "
            "list or a loader"
        )
    names = coordinates(model, with_buffers)
    network = copy.deepcopy(model).eval()
    network.load_state_dict(state)
    network.to(device)
    if with_buffers:
        _free_buffers(network, names)
    parameters = dict(network.named_parameters())
    return HessianLinearOperator(
        network,
        nn.CrossEntropyLoss(),
        [parameters[name] for name in names],
        pairs,
        # Evaluation mode on held batches: the check would cost two products and four gradients.
        check_deterministic=False,
        num_data=samples,
    )


def _checked(batches: Pairs) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches that are not empty, refused where inputs and targets do not pair up."""
    for number, batch in enumerate(batches):
        pair = tuple(batch) if isinstance(batch, (tuple, list)) else ()
        if len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
            raise TypeError(
                f"batch {number} is no pair of tensors, and a loss needs targets; pass a list of "
                "(inputs, targets)"
            )
        inputs, targets = pair
        if targets.shape != (len(inputs),):
            raise ValueError(
                f"batch {number} has {len(inputs)} inputs and targets of shape "
                f"{tuple(targets.shape)}; pass one class per sample"
            )
        if len(targets):
            yield inputs, targets


def _free_buffers(network: nn.Module, names: list[str]) -> None:
    """Turn a network's floating buffers into parameters, and BatchNorm into its formula.

    torch's own BatchNorm has no derivative with respect to its running statistics.
    """
    for name, buffer in list(network.named_buffers()):
        if name in names:
            owner, _, leaf = name.rpartition(".")
            module = network.get_submodule(owner)
            delattr(module, leaf)
            module.register_parameter(leaf, nn.Parameter(buffer))
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.__dict__["forward"] = partial(_normalize, module)


def _normalize(norm: _BatchNorm, inputs: Tensor) -> Tensor:
    """BatchNorm in evaluation mode: ``(x − mean) / √(var + ε) · weight + bias``, by channel."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    shape = (1, -1, *[1] * (inputs.dim() - 2))
    return inputs * scale.view(shape) + shift.view(shape)


def _dot(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The inner product of two lists of tensors, in float64."""
    return sum(
        torch.dot(a.detach().double().flatten(), b.detach().double().flatten()).item()
        for a, b in pairs
    )
