"""How far fine-tuned networks are from their first-order Taylor expansions, feature by feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.arguments import distinct
from ctl_helpers.engine.batches import ByTask, Streams, by_task, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint, StateDict, fitted
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.engine.mix import MixKey, mix_key
from ctl_helpers.engine.passes import Engine
from ctl_helpers.engine.pooling import pooling_of
from ctl_helpers.engine.similarity import coef, cosine, inner_products, summarize

_METRICS = ("distance", "baseline", "coef")


def taylor_errors(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    pretrained: str,
    names: Sequence[str],
    batches: Streams,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """How far the features of fine-tuned networks are from those linearized around θ_PT.

    For each sample x and layer ℓ, with ``f = f^(ℓ)(x; θ_i)`` and its post-hoc linearization
    ``l = f^(ℓ)(x; θ_PT) + J^(ℓ)(x; θ_PT)(θ_i − θ_PT)``: ``distance = 1 − cos[l, f]``,
    ``coef = ‖l‖ cos[l, f] / ‖f‖``, and ``baseline = 1 − cos[f^(ℓ)(x; θ_PT), f]``, which is how
    far fine-tuning moved the feature (CTL paper, Appendix A). BatchNorm's statistics are those of
    θ_i in f, and of θ_PT in l.

    Args:
        model, checkpoints, layers, device: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        names: the fine-tuned networks i, each measured on the stream that bears its name.
        batches: task → iterable of batches; or one such iterable, on which all are measured.

    Returns:
        One row per name, layer and metric: ``i``, ``layer``, ``metric``, and what
        :func:`~ctl_helpers.compare` gives over samples.

    Raises:
        KeyError, ValueError: as :func:`~ctl_helpers.compare`; no names, or one twice.
    """
    names, streams = distinct(names), named_streams(batches)
    if not names:
        raise ValueError("no names given; name the fine-tuned checkpoints to expand")
    task = next(iter(by_task([(names[0],)], streams)))
    states = fitted(model, checkpoints, [pretrained, *names])
    chosen = layers_to_tap(model, states, _single(pretrained), streams, task, layers, device=device)
    layers = chosen.names
    values = _values(model, states, pretrained, names, chosen.streams, layers, device)
    return pd.DataFrame(
        {"i": name, "layer": layer, "metric": metric} | summarize(samples)
        for name in names
        for layer, by_metric in zip(layers, values[name], strict=True)
        for metric, samples in zip(_METRICS, by_metric, strict=True)
    )


def _values(
    model: nn.Module,
    states: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    streams: ByTask,
    layers: Sequence[str],
    device: torch.device | str | None,
) -> dict[str, Tensor]:
    """Name → :data:`_METRICS` of every sample, shape (layers, metrics, samples)."""
    positions = by_task(((name,) for name in names), streams)
    on_task = {task: [names[n] for n in numbers] for task, numbers in positions.items()}
    tuned = {task: [_single(name) for name in group] for task, group in on_task.items()}
    mixes = {task: [_single(pretrained), *keys] for task, keys in tuned.items()}
    ways = pooling_of(layers, None)
    engine = Engine(model, states, mixes, streams, device, pooling=ways)
    linearized = Linearized(model, dict(states[pretrained])).to(device_for(model, device))
    keys = linearized.state_dict().keys()
    theta = {name: {key: states[name][key] for key in keys} for name in names}
    expansions = Engine(linearized, theta, tuned, streams, device, pooling=ways)
    values: dict[str, Tensor] = {}
    for task, group in on_task.items():
        work = partial(_errors, engine, expansions, pretrained, group)
        values |= zip(group, torch.cat(list(engine.over(task, work)), -1), strict=True)
    return values


def _single(name: str) -> MixKey:
    return mix_key({name: 1.0})


def _errors(
    engine: Engine, expansions: Engine, pretrained: str, names: Sequence[str], batch: Inputs
) -> Tensor:
    """:data:`_METRICS` of each sample of a batch: shape (names, layers, metrics, samples)."""
    with expansions.trying(batch):
        of_network, of_expansion = engine.passes(batch), expansions.passes(batch)
        before, rows = of_network(_single(pretrained)).features, []
        for name in names:
            after, linear = (of(_single(name)).features for of in (of_network, of_expansion))
            by_layer = [_metrics(before[at], after[at], linear[at], name, at) for at in after]
            rows.append(torch.stack(by_layer))
    return torch.stack(rows).cpu()


def _metrics(before: Tensor, after: Tensor, linear: Tensor, name: str, layer: str) -> Tensor:
    """:data:`_METRICS` of each sample: shape (metrics, samples), float64.

    Args:
        before, after, linear: the feature at θ_PT, at θ_i, and linearized; (samples, width).
        name, layer: whose they are, for the error.
    """
    aa, ab, al = inner_products(after, (after, before, linear))
    (bb,), (ll,) = inner_products(before, (before,)), inner_products(linear, (linear,))
    if not torch.stack((aa, bb, ll)).isfinite().all():
        raise ValueError(
            f"the features of layer {layer!r} are not finite for {name!r} or its expansion; check "
            "the inputs and the checkpoints"
        )
    return torch.stack([1 - cosine(al, ll, aa), 1 - cosine(ab, bb, aa), coef(al, ll, aa)])
