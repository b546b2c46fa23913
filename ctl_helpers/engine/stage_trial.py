"""The trial of a network that is run stage by stage, whose stages all mixes pass side by side."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.network import ENTRY, WEIGHT, Network
from ctl_helpers.engine.outputs import alike, tensors_in
from ctl_helpers.engine.randomness import RandomState, same_draws
from ctl_helpers.engine.stages import Stage, Staged, State
from ctl_helpers.engine.watching import Watch, WritesError


class StageTrial:
    """Runs one mix on two samples through each stage, before the other mixes and after them.

    The first time it runs on a copy of the network of its own, as
    :class:`~ctl_helpers.engine.trial.Trial` does.

    Args:
        network: which the other passes use, a copy of a network of stages.
        batch: of which the first two samples are run.
    """

    def __init__(self, network: Network, batch: Inputs) -> None:
        self._used, self._fresh = network, network.fresh()
        few = batch.part(slice(0, 2))  # a norm over the batch needs two
        self._first = self._guarded("", {}, few)
        self._again = network.run({}, partial(_begun, network, few))

    def before(self, stage: Stage, weights: Mapping[str, Tensor]) -> None:
        """Let the mix pass a stage of the network of its own."""
        start = self._used.draws
        self._first = self._guarded(stage.name, weights, self._first)
        if self._used.draws is not start:
            warnings.warn(
                f"stage {stage.name!r} draws random numbers in evaluation mode; they are the same "
                "for all mixes",
                stacklevel=2,
            )

    def after(self, stage: Stage, weights: Mapping[str, Tensor]) -> None:
        """Let it pass again, where others have (RuntimeError if it comes out another)."""
        self._again = self._used.run(weights, lambda _: stage.run(self._again))
        first, again = ([*tensors_in(state)] for state in (self._first, self._again))
        if not alike(first, again, self._used.dtype):
            raise RuntimeError(
                f"stage {stage.name!r}, with the weights {stage.prefixes}, keeps something from "
                "one pass for the next, so that a mix comes out of it otherwise after other mixes; "
                "let it depend on weights and inputs alone"
            )

    def _guarded(self, stage: str, weights: Mapping[str, Tensor], given: State | Inputs) -> State:
        """What comes out of a stage, or a batch's first state, without changing what is lent."""
        start = RandomState.now(self._used.device)
        tensors = given.tensors() if isinstance(given, Inputs) else {}
        changed = self._used.changed
        while True:
            lent = {WEIGHT + k: t for k, t in {**weights, **self._fresh.constants}.items()}
            lent |= {ENTRY + path: tensor for path, tensor in tensors.items()}
            work = (
                partial(_begun, self._fresh, given)
                if isinstance(given, Inputs)
                else partial(_passed, stage, given)
            )
            run = partial(self._fresh.run, weights, work)
            try:
                with Watch({key: one for key, one in lent.items() if key not in changed}):
                    state, end = same_draws(start, run)
            except WritesError as error:
                changed |= error.names
                self._fresh = self._used.fresh()
                continue
            if self._used.draws is None and not start.is_at(end):
                self._used.draws = self._fresh.draws = start
            return state


def _begun(network: Network, batch: Inputs, model: Staged) -> State:
    given = network.given(batch)
    return model.begin(*given.arguments, **given.keywords)


def _passed(name: str, state: State, model: Staged) -> State:
    (stage,) = (stage for stage in model.stages() if stage.name == name)
    return stage.run(state)
