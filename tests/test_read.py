"""Checkpoints as people have them: whatever they are, the same lazy state dict."""

from __future__ import annotations

import copy
import json
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import refused, same, sharded
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.prefixes import prefixes, prefixes_of_some

COMMIT = "0123456789" * 4


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


# What a checkpoint is.


@pytest.mark.parametrize(
    "put_in",
    [
        lambda state: state,
        OrderedDict,
        lambda state: {name: nn.Parameter(t, False) for name, t in state.items()},
        lambda state: {name: tensor.numpy() for name, tensor in state.items()},
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}},
        lambda state: {"model": state, "rng": torch.ones(3), "args": {"lr": 0.1}},
        lambda state: {"params": state},
        lambda state: {"state_dict": {"model": state}},
        lambda state: {"my_network": state, "step": 4},
        lambda state: {**state, "epoch": 3, "optimizer": {"lr": 0.1}, "history": [1.0]},
        lambda state: prefixed("module.", state),
        lambda state: prefixed("_orig_mod.", state),
        lambda state: prefixed("module._orig_mod.", state),
        lambda state: {"model": prefixed("module.", state)},
        lambda state: {name.replace("0.", "0._orig_mod."): t for name, t in state.items()},
    ],
)
@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
def test_state_dicts_are_found_in_what_training_saves(network, put_in) -> None:
    state = network.state_dict()
    for like in (None, network):
        found = ctl.read(put_in(dict(state)), like=like)
        assert isinstance(found, LazyState)
        assert same(found, state)


def test_modules_are_read_by_reference(network) -> None:
    for module in (network, nn.DataParallel(network), torch.compile(network, backend="eager")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ctl.read(module)
        assert same(found, network.state_dict())
        assert found["0.weight"].data_ptr() == network[0].weight.data_ptr()


def test_of_several_state_dicts_one_has_to_be_named(network, tmp_path: Path) -> None:
    state = network.state_dict()
    average = {name: tensor + 1 for name, tensor in state.items()}
    both = {"model": state, "model_ema": average, "epoch": 3}
    torch.save(both, tmp_path / "both.pt")
    for source in (both, tmp_path / "both.pt"):
        with refused(ValueError, "weights at 'model', 'model_ema'; say which with key='model'"):
            ctl.read(source)
        assert same(ctl.read(source, key="model_ema"), average)
        with refused(ValueError, "no weights at 'ema'; it has 'model', 'model_ema'"):
            ctl.read(source, key="ema")
    with refused(ValueError, "weights at 'generator', 'critic'; say which with key='generator'"):
        ctl.read({"generator": state, "critic": state})


def test_what_is_no_checkpoint_is_refused(network) -> None:
    state = network.state_dict()
    for source, kind, said in [
        ([state], TypeError, "the checkpoint is a list; give a state dict, a module, the path"),
        ({}, ValueError, "holds no tensors"),
        ({"epoch": 3}, ValueError, "holds no tensors"),
        ({0: torch.ones(2)}, ValueError, "has the key 0; give a state dict"),
        ({**state, "odd": object()}, ValueError, "has 'odd' as a object, which cannot be mixed"),
        ({"text": np.array(["a"]), **state}, ValueError, "has 'text' as a ndarray"),
    ]:
        with refused(kind, said):
            ctl.read(source)


def test_a_note_is_a_warning_of_its_own_class(network) -> None:
    state = prefixed("module.", network.state_dict())
    with pytest.warns(ctl.CheckpointWarning, match="'module.'.*taken off"):
        ctl.read(state)
    with pytest.warns(ctl.CheckpointWarning, match="begin with 'module.', which was taken off"):
        ctl.read(state, like=network)
    with pytest.warns(ctl.CheckpointWarning, match="no tensors were left out: 'epoch'"):
        ctl.read({**network.state_dict(), "epoch": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ctl.read(network.state_dict(), like=network)


# Files, folders and repositories.


def test_files_are_mapped_and_not_loaded(network, tmp_path: Path, monkeypatch) -> None:
    state, made = network.state_dict(), []
    save_file(state, tmp_path / "model.safetensors")
    real = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *given: made.append(given[0]) or real(*given))
    found = ctl.read(tmp_path / "model.safetensors", like=network)
    assert made == []
    assert {name: (t.shape, t.dtype) for name, t in found.meta.items()} == {
        name: (t.shape, t.dtype) for name, t in state.items()
    }
    assert torch.equal(found["2.weight"], state["2.weight"])
    assert len(made) == 1


@pytest.mark.parametrize("kind", ["safetensors", "shards", "bin", "only"])
def test_a_folder_holds_its_weights_under_the_usual_names(network, tmp_path, kind: str) -> None:
    state = network.state_dict()
    (tmp_path / "config.json").write_text("{}")
    if kind == "shards":
        sharded(tmp_path, state, 2)
    elif kind == "bin":
        torch.save(state, tmp_path / "pytorch_model.bin")
    else:
        save_file(state, tmp_path / f"{'model' if kind == 'safetensors' else 'mine'}.safetensors")
    assert same(ctl.read(tmp_path), state)
    assert same(ctl.read(str(tmp_path), like=network), state)


def test_a_folder_without_weights_or_with_two_kinds_is_refused(network, tmp_path) -> None:
    with refused(MissingDataError, f"weight files in {tmp_path} are none"):
        ctl.read(tmp_path)
    for name in ("a.pt", "b.pt"):
        torch.save(network.state_dict(), tmp_path / name)
    with refused(MissingDataError, "are a.pt, b.pt, where one is looked for"):
        ctl.read(tmp_path)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    save_file(network.state_dict(), tmp_path / "adapter_model.safetensors")
    with refused(ValueError, "has both model.safetensors and adapter_model.safetensors"):
        ctl.read(tmp_path)


def test_a_missing_shard_is_named(network, tmp_path) -> None:
    sharded(tmp_path, network.state_dict(), 2)
    (tmp_path / "model-2.safetensors").unlink()
    with refused(MissingDataError, "checkpoint 'a': there is no weight file .*model-2"):
        ctl.combine({"a": tmp_path}, {"a": 1.0})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in the hub's cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "hub" / "models--some--one" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def test_a_repository_is_read_at_a_commit(repository: Path, network) -> None:
    state = network.state_dict()
    sharded(repository, state, 2)
    assert same(ctl.read(f"some/one@{COMMIT}"), state)
    assert same(ctl.read("some/one", revision=COMMIT, like=network), state)
    mixed = ctl.combine({"a": f"some/one@{COMMIT}", "b": network}, {"a": 0.5, "b": 0.5})
    assert same(mixed, state)
    with refused(MissingDataError, "no commit of some/one is pinned: .* as revision= of ctl.read"):
        ctl.read("some/one")
    with refused(MissingDataError, "'some/typo' is no file or folder here, and as a repository"):
        ctl.read("some/typo")
    repository.parents[1].rename(repository.parents[2] / "models--one")
    assert same(ctl.read("one", revision=COMMIT), state)  # as the oldest ones are called
    with refused(ValueError, "'main' is no commit of some/one"):
        ctl.read("some/one@main")
    with refused(MissingDataError, "model.safetensors of some/one is not on this machine"):
        ctl.read("some/one@" + "1" * 40)


def test_an_adapter_of_the_hub_is_read_with_its_configuration(repository: Path, network) -> None:
    factors = {"lora_A": torch.ones(1, 5), "lora_B": torch.ones(7, 1)}
    tensors = {f"base_model.model.0.{name}.weight": t for name, t in factors.items()}
    save_file(tensors, repository / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 2}
    (repository / "adapter_config.json").write_text(json.dumps(config))
    found = ctl.read(f"some/one@{COMMIT}", base=network)
    torch.testing.assert_close(found["0.weight"], network[0].weight.detach() + 2)


# For a network.


@pytest.mark.parametrize(
    ("prefix", "note"),
    [
        ("module.", "begin with 'module.'"),
        ("model.", "begin with 'model.'"),
        ("base_model.model.", "begin with 'base_model.model.'"),
        ("encoder.net.", "begin with 'encoder.net.'"),
        ("_orig_mod.", "_orig_mod"),
    ],
)
def test_prefixes_that_the_network_does_not_have_are_taken_off(network, prefix, note) -> None:
    state = network.state_dict()
    with pytest.warns(ctl.CheckpointWarning, match=note):
        assert same(ctl.read(prefixed(prefix, state), like=network), state)


def test_prefixes_that_the_network_has_are_put_before(network) -> None:
    outer = nn.ModuleDict({"model": network})
    with pytest.warns(ctl.CheckpointWarning, match="'model.', with which"):
        found = ctl.read(network.state_dict(), like=outer)
    assert same(found, outer.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(ctl.read(outer.state_dict(), like=outer), outer.state_dict())
    compiled = torch.compile(network, backend="eager")
    with pytest.warns(ctl.CheckpointWarning, match="_orig_mod"):
        assert same(ctl.read(network.state_dict(), like=compiled), compiled.state_dict())


def test_wrappers_inside_a_network_are_left_aside(network) -> None:
    state = network.state_dict()
    for wrapper in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
        wrapped = {name.replace(".", f".{wrapper}", 1): tensor for name, tensor in state.items()}
        with pytest.warns(ctl.CheckpointWarning, match="or another wrapper"):
            assert same(ctl.read(wrapped, like=network), state)
        with pytest.warns(ctl.CheckpointWarning, match="or another wrapper"):
            assert same(ctl.read(wrapped), state)


def test_an_attribute_of_the_same_name_is_no_list_of_ties(network) -> None:
    network.tied = True
    with pytest.warns(ctl.CheckpointWarning):
        found = ctl.read(prefixed("module.", network.state_dict()), like=network)
    assert same(found, network.state_dict())


def test_prefixes_are_those_by_which_most_names_agree() -> None:
    wanted = ["a.w", "a.b", "c.w"]
    assert prefixes(["a.w", "x.a.w"], wanted) == ("", "")
    assert prefixes(["x.a.w", "x.c.w", "head.w"], wanted) == ("x.", "")
    assert prefixes(["w", "b"], ["a.w", "a.b"]) == ("", "a.")
    assert prefixes(["x.w", "x.b"], ["a.w", "a.b"]) == ("x.", "a.")
    assert prefixes(["odd"], wanted) == ("", "")
    assert prefixes([], []) == ("", "")
    # Of a few names, nothing is put before them that others do not have.
    assert prefixes_of_some(["net.c.w"], wanted) == ("net.", "")
    assert prefixes_of_some(["net.odd.w"], wanted) == ("", "")
    assert prefixes_of_some(["c.w"], ["m.a.w", "m.c.w"]) == ("", "m.")


@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
def test_another_network_beside_it_is_refused_or_ignored(network) -> None:
    state = network.state_dict()
    both = prefixed("model.", state) | prefixed("model_ema.", state)
    with refused(
        ValueError, r"has 'model_ema\.0\.weight'", r"ignore=\['model_ema\.0\.\*'\] of ctl"
    ):
        ctl.read(both, like=network)
    assert same(ctl.read(both, like=network, ignore=["model_ema.*"]), state)


def test_counters_and_integers_of_another_release(network) -> None:
    class Placed(nn.Module):
        def __init__(self, size: int = 300) -> None:
            super().__init__()
            self.embed = nn.Embedding(size, 2)
            self.register_buffer("position_ids", torch.arange(size)[None])

    state = network.state_dict()
    del state["1.num_batches_tracked"]
    for like in (network, copy.deepcopy(network).to("meta")):
        assert same(ctl.read(state, like=like), network.state_dict())
    meta, x = copy.deepcopy(network).to("meta"), torch.randn(4, 5)
    table = ctl.compare(meta, {"a": state, "b": state}, ctl.pairs("ab", [0.5]), [x], device="cpu")
    assert set(table.layer) == {"0", "1", "2"}

    model = Placed()
    state = model.state_dict()
    lacking = {"embed.weight": state["embed.weight"]}
    with pytest.warns(
        ctl.CheckpointWarning, match="lacks 'position_ids', integers that the model comp"
    ):
        assert same(ctl.read(lacking, like=model), state)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int32):
        # In bfloat16 the numbers above 256 are rounded; the model has them whole.
        cast = {**state, "position_ids": state["position_ids"].to(dtype)}
        assert same(ctl.read(cast, like=model), state)
    odd = {**state, "position_ids": state["position_ids"].flip(1)}
    assert same(ctl.read({**odd, "position_ids": odd["position_ids"].float()}, like=model), odd)
    for wrong in (odd["position_ids"].bfloat16(), odd["position_ids"] + 0.5):
        with refused(ValueError, "'position_ids' in torch.*where the model has torch.int64"):
            ctl.read({**state, "position_ids": wrong}, like=model)


def test_leftovers_are_dropped_where_they_say_nothing_new() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.register_buffer("mask", torch.tril(torch.ones(3, 3)), persistent=False)

    model = Masked()
    state = model.state_dict()
    over = {"embeddings.position_ids": torch.arange(9)[None], "mask": model.mask.half()}
    with pytest.warns(ctl.CheckpointWarning, match="has 'embeddings.position_ids' and 1 more"):
        assert same(ctl.read(state | over, like=model), state)
    for change in (
        {"embeddings.position_ids": torch.arange(9).flip(0)},
        {"mask": torch.ones(3, 3)},
    ):
        with refused(ValueError, f"the checkpoint has '{next(iter(change))}', unlike the model"):
            ctl.read(state | change, like=model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: {k: v for k, v in s.items() if "running" not in k},
            "state_dict.., which has them",
        ),
        (
            lambda s: {k: v for k, v in s.items() if k != "0.bias"},
            "lacks '0.bias', unlike the model",
        ),
        (lambda s: {**s, "3.bias": torch.ones(2)}, "has '3.bias', unlike"),
        (lambda s: {**s, "0.bias": torch.ones(2)}, r"shape \(2,\) at '0.bias' where .* \(7,\)"),
        (lambda s: {**s, "0.bias": torch.ones(7).int()}, "in torch.int32 where the model has"),
        (lambda s: {**s, "0.bias": torch.ones(7).cfloat()}, "in torch.complex64 where the model"),
        (
            lambda s: {f"0.{k}": torch.ones(2).int() for k in ("qweight", "qzeros", "g_idx")},
            "quantized by GPTQ, .*unlike the model; give it as it was before",
        ),
    ],
)
def test_a_misfit_is_refused_with_its_tensor(network, change, said: str) -> None:
    changed = change(network.state_dict())
    with refused(ValueError, f"the checkpoint .*{said}"):
        ctl.read(changed, like=network)
    with refused(ValueError, f"checkpoint 'a' .*{said}"):
        ctl.compare(network, {"a": changed}, [ctl.Comparison({"a": 1}, [(1, {"a": 1})])], [])


def small(**more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return sizes | {"intermediate_size": 24} | more


MADE: dict[str, Callable[[], nn.Module]] = {
    # The head is the embedding, and not in the file.
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=30, n_embd=16, n_layer=1, n_head=2)
    ),
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**small(vocab_size=30))),
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=30, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    ),
    # The file has other names, and the experts one by one.
    "vit": lambda: transformers.ViTModel(
        transformers.ViTConfig(**small(image_size=16, patch_size=8))
    ),
    "mixtral": lambda: transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            **small(vocab_size=30, num_key_value_heads=2, num_local_experts=2)
        )
    ),
}


@pytest.mark.parametrize("made", MADE)
def test_folders_of_transformers_give_what_transformers_loads(tmp_path: Path, made: str) -> None:
    torch.manual_seed(0)
    model = MADE[made]()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="4KB")
    torch.save(model.state_dict(), tmp_path / "state.pt")
    loaded = type(model).from_pretrained(tmp_path / "whole").state_dict()
    other = MADE[made]().to("meta")
    before = torch.random.get_rng_state()
    for source in ("whole", "shards", "state.pt"):
        found = ctl.read(tmp_path / source, like=other)
        assert found.keys() == loaded.keys()
        assert all(torch.equal(found[name], loaded[name]) for name in loaded)
    assert (tmp_path / "shards" / "model.safetensors.index.json").is_file()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
def test_a_network_of_transformers_without_its_head_is_asked_for_it(tmp_path: Path) -> None:
    config = transformers.ViTConfig(**small(image_size=16, patch_size=8))
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    model = transformers.ViTModel(config)
    with refused(ValueError, r"lacks 'pooler.dense.weight'|has 'classifier"):
        ctl.read(tmp_path, like=model)
    bare = transformers.ViTModel(config, add_pooling_layer=False)
    with refused(ValueError, r"has 'classifier\.\w+'", r"ignore=\['classifier\.\*'\]"):
        ctl.read(tmp_path, like=bare)
    found = ctl.read(tmp_path, like=bare, ignore=["classifier.*"])
    loaded = transformers.ViTModel.from_pretrained(tmp_path, add_pooling_layer=False).state_dict()
    assert all(torch.equal(found[name], loaded[name]) for name in loaded)


# In measurements.


@pytest.mark.filterwarnings("ignore::ctl_helpers.CheckpointWarning")
def test_a_measurement_takes_them_all(tmp_path: Path, net, around, inputs) -> None:
    states, x = around(net, "abcdef"), inputs(9)
    save_file(states["b"], tmp_path / "b.safetensors")
    torch.save({"state_dict": prefixed("model.", states["c"])}, tmp_path / "c.ckpt.pt")
    (tmp_path / "d").mkdir()
    sharded(tmp_path / "d", states["d"], 2)
    net.load_state_dict(states["e"])
    given = {
        "a": {"model": states["a"], "epoch": 3},
        "b": str(tmp_path / "b.safetensors"),
        "c": tmp_path / "c.ckpt.pt",
        "d": tmp_path / "d",
        "e": net,
        "f": {name: tensor.numpy() for name, tensor in states["f"].items()},
    }
    asked = ctl.pairs("abcdef", [0.3])
    table = ctl.compare(net, given, asked, [x])
    assert table.equals(ctl.compare(net, states, asked, [x]))
    batches = [(x, torch.zeros(9, dtype=torch.int64))]
    path = ctl.path("a", "c", [0.0, 0.5, 1.0])
    assert ctl.evaluate(net, given, path, batches).equals(ctl.evaluate(net, states, path, batches))
    errors = ctl.taylor_errors(net, given, "a", ["b", "d"], [x])
    assert errors.equals(ctl.taylor_errors(net, states, "a", ["b", "d"], [x]))
    plain = {name: given[name] for name in "abdef"}  # no network says whose names are right
    assert ctl.cosines(plain, "a", list("bdef")).equals(ctl.cosines(states, "a", list("bdef")))
    assert same(ctl.task_vector(given["b"], given["d"]), ctl.task_vector(states["b"], states["d"]))
    lin = ctl.Linearized(net, given["c"])
    assert same(lin.state_dict(), ctl.Linearized(net, states["c"]).state_dict())


def test_tensors_that_are_ignored_are_the_models_own(inputs) -> None:
    torch.manual_seed(0)

    def network(classes: int) -> nn.Module:
        layers = OrderedDict(body=nn.Linear(6, 4), act=nn.Tanh(), head=nn.Linear(4, classes))
        return nn.Sequential(layers).double()

    model, states = network(2), {"two": network(2).state_dict(), "three": network(3).state_dict()}
    asked, x = ctl.pairs(["two", "three"], [0.25]), inputs(8)
    with refused(ValueError, "'three' has shape", r"leave it out with ignore=\['head\.\*'\]"):
        ctl.compare(model, states, asked, [x], ["act"])
    table = ctl.compare(model, states, asked, [x], ["act", "head"], ignore=["head.*"])
    own = {name: tensor for name, tensor in model.state_dict().items() if "head" in name}
    filled = {name: {**state, **own} for name, state in states.items()}
    assert table.equals(ctl.compare(model, filled, asked, [x], ["act", "head"]))
    with refused(ValueError, r"ignore has 'haed\.\*', which matches no tensor"):
        ctl.compare(model, states, asked, [x], ["act"], ignore=["haed.*"])
    with refused(TypeError, r"ignore is one string; give a list of globs, such as \['head\.\*'\]"):
        ctl.compare(model, states, asked, [x], ["act"], ignore="head.*")
    with refused(ValueError, "'head.weight' would be taken from the model, which is on the meta"):
        ctl.compare(model.to("meta"), states, asked, [x], ["act"], "cpu", ignore=["head.*"])


@pytest.mark.parametrize("given", [[{}], ({},), None, "a"])
def test_checkpoints_that_are_no_mapping_are_refused(net, inputs, given: object) -> None:
    with refused(TypeError, "checkpoints is a .*; give a mapping of name to checkpoint"):
        ctl.compare(net, given, ctl.pairs("ab", [0.5]), [inputs(3)])


def test_the_old_door_gives_the_same_readers(tmp_path: Path) -> None:
    from ctl_helpers import weight_files
    from ctl_helpers.weights import files, pickles

    assert weight_files.read is files.read
    assert weight_files.read_module_pickle is pickles.read_module_pickle


def test_weights_normalized_in_the_older_way_fit_the_newer_one() -> None:
    torch.manual_seed(0)
    older = nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 7)), nn.Tanh())
    newer = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 7)), nn.Tanh())
    wanted = copy.deepcopy(newer)
    wanted.load_state_dict(older.state_dict())
    with pytest.warns(ctl.CheckpointWarning, match="older weight normalization") as told:
        assert same(ctl.read(older.state_dict(), like=newer), wanted.state_dict())
    assert len(told) == 1
