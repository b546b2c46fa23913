"""Library networks compared by default, against features of one sample at a time in float64.

The page *Supported networks* shows a table of them, which this writes:

    python tests/test_supported_networks.py
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from conftest import ROOT, epsilon, formulas, same
from library_networks import NETWORKS, SAMPLES, Batch
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.pooling import pooling_of
from ctl_helpers.site.supported import COLUMNS, FILE

ALPHA = 0.3
WRITTEN = pd.read_csv(ROOT / FILE, keep_default_na=False).set_index("network")
LONG = ("torchvision.", "timm.")  # whose many blocks take seconds


def made(name: str) -> tuple[nn.Module, Batch, dict[str, dict[str, Tensor]]]:
    """A network in float64, its batch, and two checkpoints near its weights."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    model, batch = NETWORKS[name].make().double().eval(), NETWORKS[name].batch()
    states = {which: near(model) for which in "ab"}
    return model, batch, states


def near(model: nn.Module) -> dict[str, Tensor]:
    """A checkpoint near a network's weights, in which what is tied stays so."""
    network = copy.deepcopy(model)
    kept = network.state_dict()
    for value in {value.data_ptr(): value for value in kept.values()}.values():
        if value.is_floating_point():
            # All of one sign stays so: no variance of a norm may be negative.
            value.mul_(1 + 0.1 * torch.rand_like(value)).add_(0.01 * torch.rand_like(value))
    return {key: value.clone() for key, value in kept.items()}


def sample(batch: Batch, number: int) -> dict[str, Tensor] | Tensor:
    """One sample of a batch, as a batch."""
    if isinstance(batch, Mapping):
        return {name: value[number : number + 1] for name, value in batch.items()}
    return batch[number : number + 1]


def first_tensor(output: object) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, Mapping) else output))
    return output


def features(
    model: nn.Module, state: Mapping[str, Tensor], batch: Batch, layers: list[str]
) -> dict[str, np.ndarray]:
    """Layer → features (samples, width), by hooks, one sample at a time."""
    network = copy.deepcopy(model)
    for key, value in network.state_dict().items():
        value.copy_(state[key])
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for layer in layers:
        network.get_submodule(layer).register_forward_hook(
            lambda _, __, output, layer=layer: found[layer].append(
                first_tensor(output).detach().clone().double().flatten().numpy()
            )
        )
    for number in range(SAMPLES):
        given = sample(batch, number)
        with torch.no_grad():
            network(**given) if isinstance(given, dict) else network(given)
    return {layer: np.stack(rows) for layer, rows in found.items()}


def oracle(
    model: nn.Module, states: Mapping[str, Mapping[str, Tensor]], batch: Batch, layers: list[str]
) -> pd.Series:
    """The means of all metrics, formulas as in the paper."""
    mixed = {
        key: ALPHA * value + (1 - ALPHA) * states["b"][key] if value.is_floating_point() else value
        for key, value in states["a"].items()
    }
    left, a, b = (
        features(model, state, batch, layers) for state in (mixed, states["a"], states["b"])
    )
    means = {}
    for layer in layers:
        parts = [(ALPHA, a[layer]), (1 - ALPHA, b[layer])]
        right = sum(weight * part for weight, part in parts)
        values = formulas(left[layer], right, [(a[layer], b[layer])])
        means |= {(layer, metric): samples.mean() for metric, samples in values.items()}
        means[layer, "epsilon"] = epsilon(left[layer], parts)
    return pd.Series(means).sort_index()


def facts(name: str, model: nn.Module, layers: list[str]) -> dict[str, str]:
    """What the table says of a network."""
    places = dict.fromkeys(re.sub(r"\d+[a-z]?(?![a-z])", "*", layer) for layer in layers)
    kinds = dict.fromkeys(type(model.get_submodule(layer)).__name__ for layer in layers)
    (pooling,) = set(pooling_of(layers, None).values())
    told = (NETWORKS[name].library, ", ".join(places), ", ".join(kinds), pooling)
    return dict(zip(COLUMNS, told, strict=True))


def compared(name: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table of a comparison by default, and what is written of the network."""
    model, batch, states = made(name)
    table = ctl.compare(model, states, ctl.pairs(["a", "b"], ALPHA), [batch])
    return table, facts(name, model, list(dict.fromkeys(table.layer)))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name.startswith(LONG) else ())
        for name in NETWORKS
    ],
)
def test_a_librarys_network_is_compared_by_default(name: str) -> None:
    model, batch, states = made(name)
    before = copy.deepcopy((model.state_dict(), states))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing is ambiguous
        table = ctl.compare(model, states, ctl.pairs(["a", "b"], ALPHA), [batch])
    assert same(model.state_dict(), before[0])
    assert all(same(states[which], before[1][which]) for which in "ab")
    layers = list(dict.fromkeys(table.layer))
    means = table.set_index(["layer", "metric"])["mean"].sort_index()
    expected = oracle(model, states, batch, layers)
    pd.testing.assert_series_equal(means, expected, rtol=1e-4, atol=1e-8, check_names=False)
    assert means.xs("epsilon", level="metric").max() > 1e-4
    assert WRITTEN.loc[name].to_dict() == facts(name, model, layers)


def test_the_table_has_these_networks_and_no_others() -> None:
    assert list(WRITTEN.index) == list(NETWORKS)
    assert len(NETWORKS) >= 40
    assert {"transformers", "torchvision", "timm", "open_clip"} == set(WRITTEN["library"])


if __name__ == "__main__":
    rows = {name: compared(name)[1] for name in NETWORKS}
    pd.DataFrame.from_dict(rows, orient="index").rename_axis("network").to_csv(ROOT / FILE)
