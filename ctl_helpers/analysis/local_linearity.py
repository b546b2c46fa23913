"""How linear each layer is by itself, where no error of the layers before reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import torch
from torch import nn

from ctl_helpers.analysis.displacement import first_layers
from ctl_helpers.engine.batches import Streams, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint, fitted
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import mix_key


def compare_alone(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    pretrained: str,
    comparisons: Sequence[Comparison],
    batches: Streams,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """As :func:`~ctl_helpers.compare`, with one layer mixed at a time.

    A layer's parameters are those that reach no tapped layer before it. All others stay θ_PT's, so
    that the layer has the input that it has in θ_PT, on both sides of the equation: what is
    measured is its own error. What a residual connection carries past it is common to both sides,
    and does not count in ε.

    Args:
        model, checkpoints, comparisons, layers, device: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        batches: as there, but read several times.

    Returns:
        :func:`~ctl_helpers.compare`'s table, layer by layer; ε is NaN at a layer without
        parameters of its own.
    """
    streams = named_streams(batches)
    named = {name for one in comparisons for mix in one.mixes() for name in mix}
    states = fitted(model, checkpoints, sorted({pretrained, *named}))
    start, (task, stream) = mix_key({pretrained: 1.0}), next(iter(streams.items()))
    tapped = layers_to_tap(model, states, start, streams, task, layers, device=device).names
    origin = states[pretrained]
    layer_of = first_layers(model, origin, next(iter(stream)), tapped, device)
    tables = []
    for layer in tapped:
        own = [name for name, first in layer_of.items() if first == layer]
        alone = {
            name: {**origin, **{key: state[key] for key in own}} for name, state in states.items()
        }
        tables.append(compare(model, alone, comparisons, batches, [layer], device))
    return pd.concat(tables, ignore_index=True)
