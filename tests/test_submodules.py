"""Submodules mixed one at a time: against the modules called by hand, and by what is linear."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig

import ctl_helpers as ctl
from ctl_helpers.analysis import submodules
from ctl_helpers.models.bert import Bert
from ctl_helpers.models.clip import ImageTower, small_clip
from ctl_helpers.models.llama import small_llama

IDS = torch.tensor([[5, 9, 3, 7], [8, 4, 2, 6], [6, 6, 12, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])
ASKED = ctl.averaging("ab", ["ab", {"a": 0.7, "b": 0.3}])


def bert() -> tuple[nn.Module, object]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(vocab_size=20, intermediate_size=24, max_position_embeddings=8, **sizes)
    return Bert(config), {"input_ids": IDS, "attention_mask": MASK}


def llama() -> tuple[nn.Module, object]:
    sizes = {"vocabulary": 20, "width": 16, "inner": 24, "layers": 2, "heads": 2, "positions": 8}
    return small_llama(**sizes), {"input_ids": IDS, "attention_mask": MASK.flip(1)}


def clip() -> tuple[nn.Module, object]:
    visual = small_clip(
        image_size=8, patch=4, width=16, layers=2, heads=2, embedding=8, text_heads=2,
        text_width=16, text_layers=1, context=4, vocabulary=9,
    ).visual  # fmt: skip
    return ImageTower(visual, [0.5] * 3, [0.3] * 3), torch.rand(3, 3, 8, 8).double()


NETWORKS = {"bert": bert, "llama": llama, "clip": clip}


@pytest.fixture(params=list(NETWORKS))
def measured(request, around):
    """A network, its states around a random one, a batch, and the table, in float64."""
    torch.manual_seed(0)
    model, batch = NETWORKS[request.param]()
    model = model.double().eval()
    states = around(model, "abp")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    table = submodules.compare_submodules(model, states, "p", ASKED, {"t": [batch]})
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    return model, states, batch, table.query("metric == 'epsilon'")


def test_every_block_has_its_parts(measured) -> None:
    model, _, _, errors = measured
    counts = errors.query("comparison == 0").groupby(["layer", "part"]).size()
    assert counts.to_dict() == {
        (layer, part): 1 + (part == "norm")
        for layer in model.feature_layers
        for part in submodules.KINDS
    }


def test_a_norm_is_linear_in_its_weights_and_the_others_are_not(measured) -> None:
    _, _, _, errors = measured
    norms = errors["part"] == "norm"
    assert errors.loc[norms, "mean"].max() < 1e-6
    assert errors.loc[~norms, "mean"].min() > 1e-3


@pytest.mark.parametrize("measured", ["llama", "clip"], indirect=True)
def test_an_mlp_before_the_sum_has_the_error_of_its_block(measured) -> None:
    """The residual is common to both sides. BERT has a norm after the sum, which is not linear."""
    model, states, batch, errors = measured
    for part in submodules.submodules(model):
        if part.kind != "MLP":
            continue
        alone = {
            name: {key: state[key] if part.owns(key) else states["p"][key] for key in state}
            for name, state in states.items()
        }
        whole = ctl.compare(model, alone, ASKED, [batch], [part.layer])
        own = errors[(errors["layer"] == part.layer) & (errors["part"] == "MLP")]
        wanted = whole.query("metric == 'epsilon'")["mean"].tolist()
        assert own["mean"].tolist() == pytest.approx(wanted)


def test_submodules_of_bert_are_those_of_modules_called_by_hand(around) -> None:
    torch.manual_seed(0)
    model, batch = bert()
    model = model.double().eval()
    states = around(model, "abp")
    table = submodules.compare_submodules(model, states, "p", ASKED, [batch])
    layer = model.encoder.layer[1]
    model.load_state_dict(states["p"])
    taken: dict[str, tuple] = {}
    for name in ("attention.self", "intermediate"):
        layer.get_submodule(name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: taken.update({name: (args, kwargs)}),
            with_kwargs=True,
        )
    with torch.no_grad():
        model(**batch)
    given = dict(taken)

    def feature(first: str, last: str, mix: dict[str, float]) -> Tensor:
        for name in (first, last):
            module, prefix = layer.get_submodule(name), f"encoder.layer.1.{name}."
            module.load_state_dict(
                {
                    key: sum(share * states[who][prefix + key] for who, share in mix.items())
                    for key in module.state_dict()
                }
            )
        args, kwargs = given[first]
        with torch.no_grad():
            inner = layer.get_submodule(first)(*args, **kwargs)
            inner = inner[0] if isinstance(inner, tuple) else inner
            output = layer.get_submodule(last)(inner)
        return torch.stack(
            [row[: int(n)].mean(0) for row, n in zip(output, MASK.sum(1), strict=True)]
        )

    for kind, first, last in (
        ("attention", "attention.self", "attention.output.dense"),
        ("MLP", "intermediate", "output.dense"),
    ):
        rows = table.query(f"part == '{kind}' and layer == 'states.1' and metric == 'epsilon'")
        for row in rows.itertuples():
            mix = dict(ASKED[row.comparison].left)
            ends = {name: feature(first, last, {name: 1.0}) for name in mix}
            right = sum(share * ends[name] for name, share in mix.items())
            missed = (feature(first, last, mix) - right).square().sum()
            spread = sum(share * (ends[n] - right).square().sum() for n, share in mix.items())
            assert row.mean == pytest.approx(float((missed / spread).sqrt()), rel=1e-9)


def test_a_network_without_attention_has_none(net, around, inputs) -> None:
    assert submodules.submodules(net) == []
    states = around(net, "abp")
    assert submodules.compare_submodules(net, states, "p", ASKED, [inputs(4)]).empty
