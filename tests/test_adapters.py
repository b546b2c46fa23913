"""LoRA adapters as peft saves them: their base plus scaling · B·A, or refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import refused
from safetensors.torch import save_file
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.project import MissingDataError

PREFIX = "base_model.model."


class Small(nn.Module):
    """Each kind of layer that peft puts factors beside; all matrices have two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 6)
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(6, 2)


@pytest.fixture
def network() -> Small:
    torch.manual_seed(0)
    return Small().double()


def factors(module: str, out: int, into: int, rank: int, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, into, generator=draw, dtype=torch.float64)
    b = torch.randn(out, rank, generator=draw, dtype=torch.float64)
    return {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}


@pytest.fixture
def saved(tmp_path: Path, network: Small) -> Callable[..., Path]:
    """Writes an adapter's folder beside that of its base."""
    (tmp_path / "base").mkdir()
    save_file(network.state_dict(), tmp_path / "base" / "model.safetensors")

    def write(tensors: dict[str, Tensor], suffix: str = "safetensors", **config: Any) -> Path:
        folder = tmp_path / "adapter"
        folder.mkdir()
        named = {PREFIX + name: tensor.contiguous() for name, tensor in tensors.items()}
        path = folder / f"adapter_model.{suffix}"
        save_file(named, path) if suffix == "safetensors" else torch.save(named, path)
        known = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "use_dora": False}
        known |= {"base_model_name_or_path": str(tmp_path / "base")}
        (folder / "adapter_config.json").write_text(json.dumps(known | config))
        return folder

    return write


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("config", "scaling"), [({}, 3.0), ({"use_rslora": True}, 6 / math.sqrt(2))]
)
def test_a_weight_is_the_base_plus_the_scaled_product(saved, network, suffix, config, scaling):
    tensors = factors("up", 8, 6, 2)
    merged, base = ctl.read(saved(tensors, suffix, **config)), network.state_dict()
    a, b = tensors.values()
    expected = torch.empty(8, 6, dtype=torch.float64)
    for row in range(8):
        for column in range(6):
            added = sum(b[row, k].item() * a[k, column].item() for k in range(2))
            expected[row, column] = base["up.weight"][row, column] + scaling * added
    torch.testing.assert_close(merged["up.weight"], expected, rtol=1e-12, atol=1e-12)
    assert merged.keys() == base.keys()
    assert all(torch.equal(merged[name], base[name]) for name in base if name != "up.weight")


def test_ranks_and_alphas_differ_by_module(saved, network) -> None:
    tensors = factors("up", 8, 6, 2) | factors("down", 6, 8, 3, seed=1)
    patterns = {"rank_pattern": {"down": 3}, "alpha_pattern": {"^down": 12, "p": 5}}
    merged = ctl.read(saved(tensors, **patterns))
    for name, scaling in (("up", 6 / 2), ("down", 12 / 3)):
        product = tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
        expected = network.state_dict()[f"{name}.weight"] + scaling * product
        torch.testing.assert_close(merged[f"{name}.weight"], expected, rtol=1e-12, atol=1e-12)


def test_layers_with_inputs_first_are_changed_by_the_transposed_product(saved, network) -> None:
    tensors = factors("up", 6, 8, 2)  # as if the weight were (inputs, outputs)
    merged = ctl.read(saved(tensors, fan_in_fan_out=True))["up.weight"]
    a, b = tensors.values()
    expected = network.state_dict()["up.weight"] + 3 * (b @ a).T
    torch.testing.assert_close(merged, expected, rtol=1e-12, atol=1e-12)


def test_a_transposition_that_the_configuration_does_not_say_is_refused(saved) -> None:
    with refused(ValueError, r"product of 6 × 8 for 'up', .*\(8, 6\); .*fan_in_fan_out"):
        ctl.read(saved(factors("up", 6, 8, 2)))


def test_embeddings_and_convolutions(saved, network) -> None:
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    tensors = {"embed.lora_embedding_A": random(2, 7), "embed.lora_embedding_B": random(6, 2)}
    tensors |= {"conv.lora_A.weight": random(2, 3, 3, 3), "conv.lora_B.weight": random(4, 2, 1, 1)}
    merged = ctl.read(saved(tensors))
    tokens, image = torch.arange(7), random(5, 3, 6, 6)
    a, b, c, d = tensors.values()
    # What peft computes in a pass, where factors stay apart.
    beside = network.embed(tokens) + 3 * a.T[tokens] @ b.T
    torch.testing.assert_close(merged["embed.weight"][tokens], beside, rtol=1e-12, atol=1e-12)
    beside = network.conv(image) + 3 * nn.functional.conv2d(nn.functional.conv2d(image, c), d)
    found = nn.functional.conv2d(image, merged["conv.weight"], merged["conv.bias"])
    torch.testing.assert_close(found, beside, rtol=1e-10, atol=1e-10)


def test_biases_and_modules_that_were_saved_whole(saved, network) -> None:
    new = {"head.weight": torch.ones(5, 6).double(), "down.base_layer.bias": torch.ones(6).double()}
    new |= {"up.lora_B.bias": torch.arange(8.0).double()}
    merged, base = ctl.read(saved(factors("up", 8, 6, 2) | new, bias="all")), network.state_dict()
    assert torch.equal(merged["head.weight"], new["head.weight"])
    assert merged.meta["head.weight"].shape == (5, 6)
    assert torch.equal(merged["down.bias"], new["down.base_layer.bias"])
    expected = base["up.bias"] + 3 * new["up.lora_B.bias"]
    torch.testing.assert_close(merged["up.bias"], expected, rtol=1e-12, atol=1e-12)


def test_the_sum_has_the_wider_type(saved, network, tmp_path) -> None:
    half = {name: tensor.bfloat16() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor.float() for name, tensor in factors("up", 8, 6, 2).items()}
    merged = ctl.read(saved(tensors), base=half)
    a, b = tensors.values()
    assert merged["up.weight"].dtype == merged.meta["up.weight"].dtype == torch.float32
    assert merged["down.weight"].dtype == torch.bfloat16
    torch.testing.assert_close(merged["up.weight"], half["up.weight"].float() + 3 * b @ a)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "is DoRA"),
        ({"peft_type": "IA3"}, "is IA3"),
        ({"peft_type": "LOHA"}, "is LOHA"),
        ({"init_lora_weights": "pissa_niter_4"}, "changed base .pissa"),
        ({"alora_invocation_tokens": [1]}, "is activated LoRA"),
        ({"trainable_token_indices": [1]}, "is trainable tokens"),
        ({"r": 4}, "rank 2 for 'up', where its adapter_config.json says 4"),
    ],
)
def test_other_methods_are_refused_by_name(saved, config: dict[str, Any], said: str) -> None:
    with refused(ValueError, said):
        ctl.read(saved(factors("up", 8, 6, 2), **config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"up.lora_magnitude_vector.weight": torch.ones(8)}, "'base_.*magnitude_vector.*merge"),
        ({"down.lora_A.weight": torch.ones(2, 8)}, "one factor of two for 'down'"),
        ({"down.lora_B.bias": torch.ones(6)}, "one factor of two for 'down'"),
        (factors("absent", 8, 6, 2), "changes 'absent.weight', which its base does not have"),
        (factors("down", 6, 9, 2), "product of 6 × 9 for 'down'"),
    ],
)
def test_factors_that_fit_nothing_are_refused(saved, change, said: str) -> None:
    with refused(ValueError, said):
        ctl.read(saved(factors("up", 8, 6, 2) | change))


def test_a_name_that_only_ends_alike_is_not_taken(saved) -> None:
    """Both matrices have the same size."""
    with refused(ValueError, "changes 'net.up.other.weight', which its base does not have"):
        ctl.read(saved(factors("net.up.other", 8, 6, 2)))


def test_a_base_that_is_not_there_is_asked_for(saved, network) -> None:
    folder = saved(factors("up", 8, 6, 2), base_model_name_or_path="some/where")
    with refused(MissingDataError, "needs its base 'some/where', .*give it with base="):
        ctl.read(folder)
    with refused(MissingDataError, "checkpoint 'a': the adapter in .* needs its base"):
        ctl.combine({"a": folder}, {"a": 1.0})
    assert "up.weight" in ctl.read(folder, base=network)


def test_factors_without_their_configuration_are_refused(saved, tmp_path, network) -> None:
    folder = saved(factors("up", 8, 6, 2))
    (folder / "adapter_config.json").unlink()
    held = {PREFIX + name: tensor for name, tensor in factors("up", 8, 6, 2).items()}
    both = {PREFIX + name.replace("up.", "up.base_layer."): t for name, t in held.items()} | held
    for source in (folder, held, both):
        with refused(ValueError, "the LoRA factor 'base_model.*adapter_config.*merge_and_unload"):
            ctl.read(source)
    other = {name: tensor + 1 for name, tensor in held.items()}
    with refused(ValueError, "'a' and 'b' have other LoRA factors"):
        ctl.combine({"a": held, "b": other}, {"a": 0.5, "b": 0.5})
    with refused(ValueError, "checkpoint 'a' has the LoRA factor"):
        ctl.compare(network, {"a": held}, [ctl.Comparison({"a": 1}, [(1, {"a": 1})])], [], ["up"])


class Factored(nn.Module):
    """As peft puts factors beside a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = nn.Linear(4, 4, bias=False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


def test_factors_are_never_mixed_apart(around) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Factored(), nn.Tanh())
    states, x = around(model, "ab"), torch.randn(5, 4)
    for measure in (
        lambda: ctl.combine(states, {"a": 0.5, "b": 0.5}),
        lambda: ctl.compare(model, states, ctl.pairs("ab", [0.5]), [x], ["0"]),
    ):
        with refused(ValueError, "'a' and 'b' have other LoRA factors at '0.lora_A.*merge"):
            measure()
    # With one factor that all share, a mix of the other one is the mix of products.
    frozen = "0.lora_A.default.weight"
    states["b"][frozen] = states["a"][frozen]
    table = ctl.compare(model, states, ctl.pairs("ab", [0.3]), [x], ["0"])
    assert table[table.metric == "distance"]["mean"].item() < 1e-12
    assert table[table.metric == "baseline"]["mean"].item() > 1e-3


class Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids).logits


@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
def test_an_adapter_serves_as_a_checkpoint_of_its_network(tmp_path: Path) -> None:
    """The base has another prefix than the network, and no head, which the adapter brings."""
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24}
    config = transformers.BertConfig(num_attention_heads=2, **sizes)
    torch.manual_seed(0)
    base = transformers.BertModel(config)
    base.save_pretrained(tmp_path / "base")
    model = transformers.BertForSequenceClassification(config).eval()
    place = "bert.encoder.layer.0.attention.self.query"
    tensors = {name: tensor.float() for name, tensor in factors(place, 16, 16, 2).items()}
    head = {"classifier.weight": torch.randn(2, 16), "classifier.bias": torch.randn(2)}
    (tmp_path / "adapter").mkdir()
    named = {PREFIX + name: tensor for name, tensor in (tensors | head).items()}
    save_file(named, tmp_path / "adapter" / "adapter_model.safetensors")
    known = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
    known |= {"base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(known))

    expected = transformers.BertForSequenceClassification(config).eval()
    expected.bert.load_state_dict(base.state_dict())
    a, b = tensors.values()
    with torch.no_grad():
        expected.get_submodule(place).weight += b @ a
        for name, tensor in head.items():
            expected.get_parameter(name).copy_(tensor)
    for like in (model, transformers.BertForSequenceClassification(config).to("meta")):
        found = ctl.read(tmp_path / "adapter", like=like)
        assert found.keys() == expected.state_dict().keys()
        for name, tensor in expected.state_dict().items():
            torch.testing.assert_close(found[name], tensor)
    ids = torch.randint(30, (3, 5))
    adapter = {"adapter": tmp_path / "adapter"}
    (logits,) = ctl.logits(Logits(model), adapter, [{"adapter": 1.0}], [ids]).values()
    torch.testing.assert_close(logits[0], expected(ids).logits.detach())


@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
@pytest.mark.parametrize("names", ["the file's", "the network's"])
def test_an_adapter_may_have_the_names_of_another_release(tmp_path: Path, names: str) -> None:
    """transformers 5 saves a ViT under the names of release 4, and builds it with others."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24}
    config = transformers.ViTConfig(image_size=16, patch_size=8, num_attention_heads=2, **sizes)
    torch.manual_seed(0)
    model = transformers.ViTModel(config)
    model.save_pretrained(tmp_path / "base")
    (place,) = [name for name, _ in model.named_modules() if name.endswith("q_proj")]
    saved_as = "encoder.layer.0.attention.attention.query"
    assert f"{saved_as}.weight" in ctl.read(tmp_path / "base")
    module = saved_as if names == "the file's" else place
    tensors = {name: tensor.float() for name, tensor in factors(module, 16, 16, 2).items()}
    (tmp_path / "adapter").mkdir()
    named = {PREFIX + name: tensor for name, tensor in tensors.items()}
    save_file(named, tmp_path / "adapter" / "adapter_model.safetensors")
    known = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    known |= {"base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(known))
    found = ctl.read(tmp_path / "adapter", like=transformers.ViTModel(config))
    a, b = tensors.values()
    expected = model.state_dict() | {
        f"{place}.weight": model.state_dict()[f"{place}.weight"] + 2 * b @ a
    }
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)
