"""How far fine-tuned networks are from their first-order Taylor expansions, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Inputs, Streams, named_streams, tasks_of
from ctl_helpers.engine.compare import METRICS
from ctl_helpers.engine.folds import checked
from ctl_helpers.engine.hooks import evaluating, feature_layers, taps
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.engine.mix import MixKey, StateDict, mix_key
from ctl_helpers.engine.passes import Engine
from ctl_helpers.engine.similarity import coef, cosine, inner_products, summarize


def taylor_errors(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    names: Sequence[str],
    batches: Streams,
    layers: Sequence[str] | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """How far the features of fine-tuned networks are from those linearized around θ_PT.

    For each sample x and layer ℓ, with ``f = f^(ℓ)(x; θ_i)`` and its post-hoc linearization
    ``l = f^(ℓ)(x; θ_PT) + J^(ℓ)(x; θ_PT)(θ_i − θ_PT)``: ``distance = 1 − cos[l, f]``,
    ``coef = ‖l‖ cos[l, f] / ‖f‖``, and ``baseline = 1 − cos[f^(ℓ)(x; θ_PT), f]``, which is how
    far fine-tuning moved the feature (CTL paper, Appendix A). BatchNorm's statistics are those of
    θ_i in f, and of θ_PT in l.

    Args:
        model: the architecture; its own weights are neither used nor changed, and it runs in
            evaluation mode.
        checkpoints: name → state dict.
        pretrained: the name of θ_PT.
        names: the fine-tuned networks i, each measured on the stream that bears its name.
        batches: task → iterable of batches; or one such iterable, on which all are measured. A
            batch is a tensor, a pair ``(inputs, targets)`` or a dict of keyword inputs, samples
            first.
        layers: as for :func:`~ctl_helpers.compare`.
        device: where to run; by default where the model's parameters are.

    Returns:
        A tidy frame, one row a name × layer × metric: ``i``, ``layer``, ``metric``, and ``n``,
        ``mean``, ``std``, ``q25``, ``median`` and ``q75`` over samples, as in
        :func:`~ctl_helpers.compare`.

    Raises:
        KeyError: an unknown checkpoint, task or layer.
        ValueError: no names, or one that occurs twice; checkpoints that do not fit the model or
            are not finite; a task without samples; features that are not finite.

    Example:
        >>> table = ctl.taylor_errors(model, checkpoints, "PT", ["a", "b"], batches)
    """
    names = list(names)
    if not names:
        raise ValueError("no names given; name the fine-tuned checkpoints to expand")
    if len(set(names)) < len(names):
        raise ValueError(f"a name occurs twice in {names}; name each checkpoint once")
    layers = tuple(feature_layers(model) if layers is None else layers)
    if not layers:
        raise ValueError("no layers to compare; name some of model.named_modules() in layers")
    streams = named_streams(batches)
    on_task: dict[str | None, list[str]] = {}
    for name in names:
        for task in tasks_of((name,), streams):
            on_task.setdefault(task, []).append(name)

    tuned = {task: [_single(name) for name in asked] for task, asked in on_task.items()}
    start = _single(pretrained)
    mixes = {task: [start, *keys] for task, keys in tuned.items()}
    if device is None:
        device = next(model.parameters()).device
    networks = Engine(model, checkpoints, mixes, streams, device)
    linearized = Linearized(model, dict(checkpoints[pretrained])).to(device)
    theta = {
        name: {key: checkpoints[name][key] for key in linearized.state_dict()} for name in names
    }
    expansions = Engine(linearized, theta, tuned, streams, device)

    values: dict[str, Tensor] = {}
    with evaluating(model), taps(model, layers) as seen, taps(linearized, layers) as expanded:

        def errors(asked: Sequence[str], batch: Inputs) -> Tensor:
            """Shape (names, layers, metrics, samples)."""
            before = _features(networks, start, layers, seen, batch)
            rows = []
            for name in asked:
                after = _features(networks, _single(name), layers, seen, batch)
                linear = _features(expansions, _single(name), layers, expanded, batch)
                rows += [
                    _errors(before[layer], after[layer], linear[layer], name, layer)
                    for layer in layers
                ]
            return torch.stack(rows).unflatten(0, (len(asked), len(layers))).cpu()

        for task, asked in on_task.items():
            found = torch.cat(list(networks.over(task, partial(errors, asked))), -1)
            values |= zip(asked, found, strict=True)
    return pd.DataFrame(
        {"i": name, "layer": layer, "metric": metric} | summarize(samples)
        for name in names
        for layer, by_metric in zip(layers, values[name], strict=True)
        for metric, samples in zip(METRICS, by_metric, strict=True)
    )


def _single(name: str) -> MixKey:
    return mix_key({name: 1.0})


def _features(
    engine: Engine, mix: MixKey, layers: Sequence[str], seen: dict[str, Tensor], batch: Inputs
) -> dict[str, Tensor]:
    """Layer → feature (samples, width) of one pass."""
    seen.clear()
    engine(mix, *batch.arguments, **batch.keywords)
    return checked(seen, layers, batch.size)


def _errors(before: Tensor, after: Tensor, linear: Tensor, name: str, layer: str) -> Tensor:
    """:data:`METRICS` of each sample: shape (metrics, samples), float64.

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
