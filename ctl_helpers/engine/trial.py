"""A trial on a sample of the first batch: what a network does, and whether it repeats itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from ctl_helpers.engine import culprits
from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.memory import ran_out
from ctl_helpers.engine.network import ENTRY, OWN, WEIGHT, Network
from ctl_helpers.engine.outputs import alike, tensor_in
from ctl_helpers.engine.randomness import RandomState, same_draws
from ctl_helpers.engine.reading import Seen, Shape, Shorter, following
from ctl_helpers.engine.watching import Watch, WritesError

_OTHER_SIZE = 30.0
"""So many times farther may features be apart in batches of another size, for which torch adds up
in another order."""

_Given = Mapping[str, list[Tensor]]  # layer → its features, call by call


class Trial:
    """Runs one mix on a sample, before all other passes and again after those of a batch.

    The first time it runs on a copy of the network of its own, so that a difference shows what
    passes leave behind. What the network does to its inputs and weights is found out on the way.

    Args:
        network: which the other passes will use.
        weights: gives those of the mix.
        layers: the tapped layers; where there are none, the output is looked at.
    """

    def __init__(
        self,
        network: Network,
        weights: Callable[[], Mapping[str, Tensor]],
        layers: Sequence[str],
    ) -> None:
        self._network, self._weights = network, weights
        self._layers, self._has_taps = tuple(layers) or ("",), bool(layers)
        self._few: Inputs | None = None
        self._first: _Given = {}
        self._read: set[str] = set()
        self._may_split = False

    def attempt(self, batch: Inputs) -> None:
        """One pass on a copy of the network of its own, to see whether it takes the batch."""
        draws = self._network.draws
        try:
            self._guarded(batch)
        finally:
            self._network.draws = draws

    def begin(self, batch: Inputs) -> Inputs:
        """The batch, with its samples counted, once few of them have run.

        Raises:
            ValueError: entries of different lengths, where the layers follow none of them.
            RuntimeError: a module with values of an earlier pass in place of a parameter.
        """
        batch = self.counted(batch)
        # Some networks do not run on a single sample, and some on whole batches alone.
        for size in (*(few for few in (1, 2) if few < batch.size), batch.size):
            self._few = few = batch.part(slice(0, size))
            try:
                self._first = self._inspected(few)
                break
            except Exception as error:
                if ran_out(error) or size == batch.size:
                    raise
        return batch

    def seen(self) -> Seen:
        """What the passes that began it show, and more on fewer tokens."""
        assert self._few is not None
        return Seen(self._few.size, _shapes(self._first), list(self._shorter(self._few)))

    def end(self) -> None:
        """Run it again (RuntimeError where passes in between have changed what it gives)."""
        if self._few is None:
            return
        again, read = self._guarded(self._few, self._network)
        dtype = self._network.dtype
        are_alike = all(alike(self._first[at], again.get(at, []), dtype) for at in self._first)
        # What was made of weights may be kept outside of the network, for its copies, too.
        if not are_alike or self._read - read - self._network.changed:
            culprit = culprits.keeping_module(self._network, self._weights(), self._few)
            raise RuntimeError(
                f"{culprit}, so that a mix gives other features after other mixes than before; let "
                "its forward pass depend on weights and inputs alone, or have its train() drop "
                "what it keeps"
            )

    def check_split(self, batch: Inputs) -> None:
        """Refuse to split a batch whose parts give other features than the whole (RuntimeError)."""
        few = _few(batch.size)
        while not self._may_split and 2 * few <= batch.size:
            parts = [batch.part(slice(0, size)) for size in (few, 2 * few)]
            try:
                alone, beside = (self._run(self._network.fresh(), part) for part in parts)
                culprit = "" if self._rows_agree(alone, beside, few) else self._mixing(parts)
            except Exception as error:
                if ran_out(error) and few > 1:
                    few = 1
                    continue
                if ran_out(error):
                    raise
                said = str(error).partition("\n")[0]
                culprit = f"the model, which does not run on parts of it ({said})"
            if culprit:
                raise RuntimeError(not_to_split(culprit))
            self._may_split = True

    def counted(self, batch: Inputs) -> Inputs:
        """The batch with the number of samples that the layers follow, if lengths differ.

        ValueError where they follow none.
        """
        if not batch.rivals:
            return batch
        for size in dict.fromkeys(length for length in batch.rivals.values() if length > 1):
            one = batch.counting(size)
            few = _few(size)
            try:
                before, after = (
                    _shapes(self._guarded(one.part(slice(0, n)))[0]) for n in (few, few + 1)
                )
            except Exception as error:
                if ran_out(error):
                    raise
                continue
            ran = all(at in before and at in after for at in self._layers)
            if ran and all(following(before[at], after[at], few, few + 1) for at in self._layers):
                return one
        if whole := self._counted_whole(batch):
            return whole
        lengths = ", ".join(f"{name!r} has {length}" for name, length in batch.rivals.items())
        raise ValueError(
            f"the entries of a batch differ in length ({lengths}), and no such number is that of "
            f"the rows of layer {self._layers[0]!r}; pass entries with samples first"
        )

    def _counted_whole(self, batch: Inputs) -> Inputs | None:
        """The batch where it does not run in parts, as with several images a text: by its rows."""
        try:
            shapes = _shapes(self._guarded(batch)[0])
        except Exception as error:
            if ran_out(error):
                raise
            return None
        rows = {shapes[at][0] if shapes.get(at) else 0 for at in self._layers}
        size = rows.pop()
        return None if rows or size not in batch.rivals.values() else batch.counting(size)

    def _inspected(self, batch: Inputs) -> _Given:
        """What a pass gives, once it is known that it reads all its weights, and what it draws."""
        network, weights = self._network, self._weights()
        start = network.draws
        given, read = self._guarded(batch)
        self._check_own(read)
        self._read = read
        if network.draws is not start:
            module = culprits.drawing_module(network, weights, batch)
            warnings.warn(
                f"{module} draws random numbers in evaluation mode; they are the same in each pass "
                "of a batch",
                stacklevel=2,
            )
        parameters = {name for name, _ in network.model.named_parameters() if name in weights}
        unread = parameters - {key.removeprefix(WEIGHT) for key in read | network.changed}
        if stale := culprits.stale_module(network, weights, batch, unread):
            raise RuntimeError(
                f"{stale} values of an earlier pass in place of its parameters; pass a model that "
                "has not run, or empty it"
            )
        return given

    def _guarded(self, batch: Inputs, used: Network | None = None) -> tuple[_Given, set[str]]:
        """What a pass gives that changes nothing of the caller's, and what it reads.

        What it would change, and whether it draws random numbers, is kept by the network.

        Args:
            used: runs it in place of a fresh copy.
        """
        network, weights = self._network, self._network.apart(self._weights())
        start = RandomState.now(network.device)
        own = {OWN + name: one for name, one in network.own.items()}
        while True:
            fresh = used or network.fresh()
            lent = {WEIGHT + name: one for name, one in {**weights, **fresh.constants}.items()}
            lent |= {ENTRY + path: one for path, one in batch.tensors().items()}
            watched = {key: one for key, one in lent.items() if key not in network.changed}
            watch = Watch(watched | own)
            try:
                with watch:
                    given, end = same_draws(start, partial(self._run, fresh, batch, weights))
                break
            except WritesError as error:
                self._check_own(error.names)
                network.changed |= error.names
            except Exception as error:
                if ran_out(error):
                    raise
                # It may be the watch that it cannot run under.
                given, end = same_draws(
                    start, partial(self._run, used or network.fresh(), batch, weights)
                )
                return given, set(lent)
        if network.draws is None and not start.is_at(end):
            network.draws = start
        return given, watch.read

    def _shorter(self, batch: Inputs) -> Iterator[Shorter]:
        """What tapped layers give for fewer tokens, by the masks of the batch."""
        for mask, counted in batch.masks().items() if self._has_taps else ():
            for has_labels in (False, True):
                shorter = batch.shorter(mask, has_labels)
                try:
                    given = None if shorter is None else self._guarded(shorter)[0]
                except Exception as error:
                    if ran_out(error):
                        raise
                    continue  # it may need them all
                if shorter is not None and given is not None:
                    length = shorter.tensors()[mask].shape[1]
                    yield Shorter(mask, counted.shape[1], length, _shapes(given))
                break

    def _run(
        self, network: Network, batch: Inputs, weights: Mapping[str, Tensor] | None = None
    ) -> _Given:
        with _noted(network.model, self._layers) as given:
            network.forward(self._weights() if weights is None else weights, batch)
        return given

    def _check_own(self, names: set[str]) -> None:
        if own := sorted(name.removeprefix(OWN) for name in names if name.startswith(OWN)):
            raise RuntimeError(
                f"a pass takes {own[0]!r} of the model that was given in place of a checkpoint's: "
                "a function in place of a forward pass, a hook or a list holds on to a module or "
                "a tensor; hold modules as attributes, and let functions take them from the "
                "module that they are given"
            )

    def _rows_agree(self, alone: _Given, beside: _Given, few: int) -> bool:
        dtype = self._network.dtype
        return all(
            alike(*culprits.first_rows(alone[at], beside[at], few, 2 * few), dtype, _OTHER_SIZE)
            for at in alone
        )

    def _mixing(self, parts: Sequence[Inputs]) -> str:
        few, more = parts
        return culprits.mixing_module(self._network, self._weights(), few, more, _OTHER_SIZE)


def not_to_split(culprit: str) -> str:
    """What is said where a batch does not fit in memory, and its parts would give other numbers."""
    return (
        f"memory ran out, and the batch cannot be split because of {culprit}: a sample's features "
        "depend on the samples beside it; pass batches that fit, or raise max_memory where you set "
        "it"
    )


def _few(size: int) -> int:
    """So many samples that there may be twice as many, but for a single one."""
    return 2 if size > 3 else 1


def _shapes(given: _Given) -> dict[str, Shape]:
    """Layer → the shape of its feature, for those that ran and gave one."""
    return {layer: tuple(features[0].shape) for layer, features in given.items() if features}


@contextmanager
def _noted(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """While open, layer → copies of its features in a pass, call by call."""
    given: dict[str, list[Tensor]] = {}

    def note(layer: str, _: nn.Module, __: object, output: object) -> None:
        feature = tensor_in(output)
        given.setdefault(layer, []).extend([] if feature is None else [feature.detach().clone()])

    handles = [
        model.get_submodule(layer).register_forward_hook(partial(note, layer)) for layer in layers
    ]
    try:
        yield given
    finally:
        for handle in handles:
            handle.remove()
