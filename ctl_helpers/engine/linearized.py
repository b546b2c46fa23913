"""A network linearized around given weights: the first-order Taylor expansion in its parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from ctl_helpers.engine.checkpoints import Checkpoint, fitted
from ctl_helpers.engine.derivatives import along
from ctl_helpers.engine.layers import feature_layers
from ctl_helpers.engine.mix import check_finite
from ctl_helpers.engine.outputs import feature_in, is_tokens_first


class Linearized(nn.Module):
    """``f_lin(x; θ) = f(x; θ_0) + J(x; θ_0)(θ − θ_0)``, with the Jacobian J by the parameters.

    It is trained, stored, mixed and measured like any other network: its parameters are θ, under
    the network's own names, and it is linear in them. Trained, it is fine-tuning in the tangent
    space (Ortiz-Jimenez et al. 2023; the "NTK linearization" of Jin et al. 2024); at weights that
    were fine-tuned without it, it is their *post-hoc* linearization (CTL paper, Appendix A).

    A tapped layer gives its linearized feature, ``f^(ℓ)(x; θ_0) + J^(ℓ)(x; θ_0)(θ − θ_0)``. The
    network runs in evaluation mode, with the buffers of θ_0, which are no part of the state dict.

    Args:
        network: the architecture; it is neither kept nor changed.
        base: θ_0 with its buffers, a checkpoint of the network; also the first value of θ
            (ValueError where it does not fit the network or is not finite).
    """

    def __init__(self, network: nn.Module, base: Checkpoint) -> None:
        super().__init__()
        base = fitted(network, {"base": base}, ["base"])["base"]
        check_finite({"base": base}, {name for name, _ in network.named_buffers()})
        self.feature_layers = feature_layers(network)
        places = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
        # In a tuple, so that what serves as a function is no part of the model.
        self._function = (_without_values(network).eval(),)
        _grow(self, places)
        starts: dict[int, Tensor] = {}
        named = [*network.named_parameters(remove_duplicate=False)]
        for name, value in (*named, *network.named_buffers(remove_duplicate=False)):
            if id(value) not in starts or name in base:
                starts[id(value)] = base.get(name, value).detach().clone()
        # A tied tensor stands under each of its names, as in the network's own state dict.
        theta = {id(value): nn.Parameter(starts[id(value)].clone()) for _, value in named}
        for name, value in named:
            place, leaf = self._place(name)
            place.register_parameter(leaf, theta[id(value)])
        self._base = _grow(_Place(), places)
        for name, value in (*named, *network.named_buffers(remove_duplicate=False)):
            place, leaf = self._place(f"_base.{name}")
            place.register_buffer(leaf, starts[id(value)], persistent=False)

    def forward(self, *arguments: Any, **keywords: Any) -> Tensor:
        """``f_lin`` for the arguments of the network, which has to give one tensor."""
        base = dict(self._base.named_buffers(remove_duplicate=False))
        # All of them: a state dict may hold one tensor under two names.
        theta = dict(self.named_parameters(remove_duplicate=False))
        direction = {name: value - base[name] for name, value in theta.items()}
        (network,) = self._function
        ran: list[str] = []

        def function(weights: Mapping[str, Tensor]) -> list[Tensor]:
            ran.clear()
            with _copies(network, self._tapped(), ran) as features:
                given = {**base, **weights}
                output = functional_call(network, given, arguments, keywords, tie_weights=False)
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"{type(network).__name__} gives a {type(output).__name__}, which cannot be "
                    "linearized; wrap it so that it gives one tensor"
                )
            return [output, *features]

        try:
            values, slopes = along(function, {name: base[name] for name in direction}, direction)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"{type(network).__name__} cannot be linearized, since torch has no derivative of "
                f"one of its operations ({str(error).partition('.')[0]}); use another in its place"
            ) from error
        output, *features = (value + slope for value, slope in zip(values, slopes, strict=True))
        for layer, feature in zip(ran, features, strict=True):
            self.get_submodule(layer)(feature)
        return output

    def _place(self, name: str) -> tuple[nn.Module, str]:
        where, _, leaf = name.rpartition(".")
        return self.get_submodule(where), leaf

    def _tapped(self) -> list[str]:
        return [
            name
            for name, place in self.named_modules()
            if isinstance(place, _Place) and place.is_tapped
        ]


class _Place(nn.Module):
    """Stands where a module of the network does: holds its θ, and its feature passes through."""

    @property
    def is_tapped(self) -> bool:
        return bool(self._forward_hooks)

    def forward(self, feature: Tensor) -> Tensor:
        return feature


def _grow(root: nn.Module, places: list[str]) -> nn.Module:
    """The root, with a place under it for each name; a module comes before those in it."""
    for name in places:
        where, _, leaf = name.rpartition(".")
        root.get_submodule(where).add_module(leaf, _Place())
    return root


def _without_values(network: nn.Module) -> nn.Module:
    """A copy that takes no memory for tensors; tied ones stay tied."""
    memo: dict[int, Tensor] = {
        id(value): nn.Parameter(value.detach().to("meta"), requires_grad=False)
        for value in network.parameters()
    }
    memo |= {id(value): value.detach().to("meta") for value in network.buffers()}
    return copy.deepcopy(network, memo)


@contextmanager
def _copies(network: nn.Module, layers: list[str], ran: list[str]) -> Iterator[list[Tensor]]:
    """While open, the features of some layers are copied, and their names kept in ``ran``."""
    features: list[Tensor] = []

    def copy_feature(layer: str, module: nn.Module, _: object, output: object) -> None:
        ran.append(layer)
        feature = feature_in(output, layer)
        first = feature.transpose(0, 1) if is_tokens_first(module, output) else feature
        # A copy, since a later in-place layer would change it.
        features.append(first.clone())

    with ExitStack() as hooks:
        for layer in layers:
            hook = partial(copy_feature, layer)
            hooks.enter_context(network.get_submodule(layer).register_forward_hook(hook))
        yield features
