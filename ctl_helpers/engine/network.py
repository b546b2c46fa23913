"""A model as the engine runs it: a copy in evaluation mode, under given weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from ctl_helpers.engine.copies import private
from ctl_helpers.engine.inputs import LABELS, Inputs, label
from ctl_helpers.engine.randomness import RandomState, same_draws
from ctl_helpers.engine.ties import first_names, places
from ctl_helpers.engine.watching import storage_of

Result = TypeVar("Result")

WEIGHT, ENTRY, OWN = "model.", "batch.", "own."
"""What the names of weights and of a batch's entries begin with among :attr:`Network.changed`, and
those of the given model's own tensors where a trial watches what passes take."""


class Network:
    """A copy of a model whose passes leave the model, the weights and the inputs as they are.

    Modes are set by ``train()`` and ``eval()``, which a model may have overridden. In that case
    both are called in each pass, under its weights, so that what they merge, cache or clear is of
    these weights.

    Args:
        model: it is neither changed nor run itself.
        device: where weights will be.
        dtype: for passes under autocast.

    Attributes:
        model: the copy.
        changed: the weights, buffers and entries of a batch that passes change in place; each pass
            is given copies of them.
        draws: where random numbers begin in each pass of a batch; None where none are drawn.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        self._origin, self.device, self.dtype = model, device, dtype
        self._bare = _Bare(private(model, device))
        self.model: nn.Module = self._bare.model
        self.changed: set[str] = set()
        self.draws: RandomState | None = None
        self._drawn: RandomState | None = None
        kept = model.state_dict().keys()
        self.constants = {
            name: buffer for name, buffer in self.model.named_buffers() if name not in kept
        }
        self._tied, self._places = first_names(self.model), places(self.model)
        self._modes = {
            part: part.training for part in self.model.modules() if _overrides_modes(part)
        }
        if not self._modes:
            self.model.eval()

    def fresh(self) -> Network:
        """Another copy of the model, in which no pass has left anything."""
        other = Network(self._origin, self.device, self.dtype)
        other.changed, other.draws = self.changed, self.draws
        return other

    @property
    def own(self) -> dict[str, Tensor]:
        """The tensors of the model that was given, of which no pass is to take any."""
        held = (*self._origin.named_parameters(), *self._origin.named_buffers())
        return {name: tensor for name, tensor in held if name not in self.constants}

    def apart(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same weights, with copies of those that are the given model's own tensors."""
        own = {storage_of(tensor) for tensor in self.own.values()} - {None}
        return {n: t.clone() if storage_of(t) in own else t for n, t in weights.items()}

    def next_batch(self) -> None:
        """Let random numbers of the next batch begin where those of the last one ended."""
        self.draws = self._drawn if self.draws is not None else None

    @contextmanager
    def drawing_as_known(self) -> Iterator[None]:
        """While open, passes that draw random numbers where none did before are refused.

        They would have been given other ones for each mix (RuntimeError).
        """
        start = RandomState.now(self.device)
        yield
        if self.draws is None and not start.is_at(RandomState.now(self.device)):
            start.restore()
            raise RuntimeError(
                "passes on a batch drew random numbers in evaluation mode, which those on the "
                "first one did not, so that each mix was given others; pass such a batch first, or "
                "let the forward pass draw none"
            )

    def given(self, batch: Inputs) -> Inputs:
        """A batch for one pass: copies of what passes change in place, and of objects."""
        return batch.given(self._entries)

    def lending(self, batch: Inputs) -> AbstractContextManager[None]:
        """While open, a batch that is given to one pass (RuntimeError where it is changed)."""
        return unchanged(batch.tensors(), self._entries, label)

    @property
    def _entries(self) -> set[str]:
        return {key.removeprefix(ENTRY) for key in self.changed if key.startswith(ENTRY)}

    def forward(
        self, weights: Mapping[str, Tensor], batch: Inputs, *arguments: Any, **options: Any
    ) -> Any:
        """The model's output on a batch, with more keywords of its own.

        ``arguments`` stand in for a batch's tensor, and before the entries of one that is a dict.
        """
        given = self.given(batch)
        arguments = arguments or given.arguments
        keywords = {
            k: v for k, v in given.keywords.items() if k not in LABELS or _takes(self.model, k)
        }
        with self.lending(given):
            return self.run(weights, lambda model: model(*arguments, **keywords, **options))

    def run(self, weights: Mapping[str, Tensor], work: Callable[[nn.Module], Result]) -> Result:
        """What some work on the model gives, with other weights in place of its own."""
        # Detached: another tensor of the same numbers, in case a pass sets its data.
        given = {
            WEIGHT + name: tensor.detach()
            for name, tensor in weights.items()
            if name in self._places
        }
        copies: dict[str, Tensor] = {}
        for key in self.changed:
            name = key.removeprefix(WEIGHT)
            lent = given.get(key, self.constants.get(name))
            if lent is not None:
                given[key] = copies.setdefault(self._tied.get(name, name), lent.clone())

        def call() -> Result:
            return functional_call(self._bare, given, (self._evaluating(work),), tie_weights=False)

        half = self.dtype is not None
        autocast = torch.autocast(self.device.type, self.dtype) if half else nullcontext()
        with torch.no_grad(), autocast, unchanged(given, self.changed, _weight):
            if self.draws is None:
                return call()
            result, self._drawn = same_draws(self.draws, call)
            return result

    def _evaluating(self, work: Callable[[nn.Module], Result]) -> Callable[[nn.Module], Result]:
        """The same work in evaluation mode, where modes have to be set anew for each pass."""
        if not self._modes:
            return work

        def evaluated(model: nn.Module) -> Result:
            # In this order, so that what was kept from other weights is dropped first.
            model.train()
            model.eval()
            try:
                _check_norms(model)
                return work(model)
            finally:
                for part, mode in self._modes.items():
                    part.train(mode)

        return evaluated


class _Bare(nn.Module):
    """Runs some work on a model under weights that are given to a functional call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[nn.Module], Any]) -> Any:
        return work(self.model)


@contextmanager
def unchanged(
    tensors: Mapping[str, Tensor], others: Collection[str], called: Callable[[str], str]
) -> Iterator[None]:
    """Refuse a pass that changed in place what it was lent, all but the others."""
    lent = {k: t for k, t in tensors.items() if k not in others and not t.is_inference()}
    before = [tensor._version for tensor in lent.values()]
    yield
    for (name, tensor), version in zip(lent.items(), before, strict=True):
        if tensor._version != version:
            raise RuntimeError(
                f"a pass changed {called(name)} in place, so that the next one is given other "
                "values; let the forward pass work on a copy"
            )


def _weight(key: str) -> str:
    return f"the tensor {key.removeprefix(WEIGHT)!r} of a checkpoint"


def _takes(model: nn.Module, keyword: str) -> bool:
    """Whether a forward pass may be given a keyword."""
    known = inspect.signature(model.forward).parameters
    return keyword in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def _overrides_modes(module: nn.Module) -> bool:
    if {"train", "eval"} & vars(module).keys():
        return True
    # Those of transformers do more than torch's only where kernels of the hub are used.
    plain = () if getattr(module, "use_kernels", True) else ("transformers.modeling_utils",)
    methods = {name: getattr(type(module), name) for name in ("train", "eval")}
    return any(
        method is not getattr(nn.Module, name) and getattr(method, "__module__", None) not in plain
        for name, method in methods.items()
    )


def _check_norms(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if module.training and isinstance(module, _NormBase) and module.running_mean is not None:
            raise RuntimeError(
                f"module {name!r} ({type(module).__name__}) stays in training mode after eval(), "
                "so that it normalizes by the batch and changes its running statistics; let eval() "
                "reach it, or build it with track_running_stats=False if that is meant"
            )
