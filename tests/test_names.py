"""Published CLIP weights: every layout gives the same network, and the wrong base is noticed."""

from __future__ import annotations

import re
import warnings
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub
import open_clip
import pytest
import torch
from conftest import refused
from huggingface_hub import constants
from safetensors.torch import save_file
from test_files import ImageEncoder, saved
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel

from ctl_helpers.engine.mix import check_compatible, check_finite
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import read
from ctl_helpers.weights.hub import COMMITS, check_base, commit, hub, relative_distance
from ctl_helpers.weights.names import (
    architecture,
    from_huggingface,
    from_model_soups,
    from_task_vectors,
    hub_clip,
    image_tower,
)
from ctl_helpers.weights.pickles import read_module_pickle

pytestmark = pytest.mark.usefixtures("swept")

State = dict[str, Tensor]
REPO = "tanganke/clip-vit-base-patch32_sun397"
COMMIT = COMMITS[REPO]


@pytest.fixture(scope="module")
def published() -> CLIPModel:
    """Hugging Face's CLIP of the true ViT-B/32 shape; all weights random, biases and gains too."""
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig()).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(0.1 * torch.randn_like(value))
    return model


@pytest.fixture(scope="module")
def clip() -> nn.Module:
    """open_clip's ViT-B/32, whose weights each test sets."""
    return open_clip.create_model("ViT-B-32-quickgelu").eval()


@pytest.fixture(scope="module")
def base(published: CLIPModel) -> State:
    return from_huggingface(published.state_dict())


@pytest.fixture(scope="module")
def other() -> State:
    """Another random vision tower of that shape, alone, as transformers 5 writes it."""
    torch.manual_seed(7)
    return CLIPVisionModel(CLIPConfig().vision_config).state_dict()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def image_features(model: nn.Module, state: State, images: Tensor) -> Tensor:
    """Features with the image tower of ``state``, which has to be whole."""
    visual = {name.removeprefix("visual."): value for name, value in state.items()}
    model.visual.load_state_dict(visual)
    return model.encode_image(images)


@pytest.mark.parametrize("shard", ["10GB", "200MB"])
def test_a_saved_clip_gives_the_same_features(published, clip, images, tmp_path, shard) -> None:
    published.save_pretrained(tmp_path, max_shard_size=shard)
    whole = tmp_path / "model.safetensors"
    path = whole if whole.exists() else tmp_path / "model.safetensors.index.json"
    assert whole.exists() == (shard == "10GB")
    clip.load_state_dict(from_huggingface(read(path)))
    tokens = open_clip.tokenize(["a photo of a dog", "many boats at sea"])
    with torch.no_grad():
        image = published.visual_projection(published.vision_model(images).pooler_output)
        text = published.text_projection(published.text_model(tokens).pooler_output)
        torch.testing.assert_close(clip.encode_image(images), image, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(clip.encode_text(tokens), text, atol=1e-5, rtol=1e-5)
    assert torch.equal(clip.logit_scale, published.logit_scale)


@pytest.mark.parametrize("prefix", ["vision_model.", ""])
def test_a_vision_tower_alone_takes_its_projection_from_the_base(other, base, prefix: str) -> None:
    """With the prefix as FusionBench's copies have it, without as transformers 5 writes it."""
    state = {f"{prefix}{name}": value for name, value in other.items()}
    state[f"{prefix}embeddings.position_ids"] = torch.arange(50)
    mapped = from_huggingface(state, base)
    tower = image_tower(base)
    check_compatible({"mapped": mapped}, tower)
    assert torch.equal(mapped["visual.conv1.weight"], other["embeddings.patch_embedding.weight"])
    assert torch.equal(mapped["visual.proj"], base["visual.proj"])
    with pytest.raises(ValueError, match=r"no 'visual_projection\.weight'; pass its pretrained"):
        from_huggingface(state)


def test_what_is_no_clip_is_named(published) -> None:
    state = dict(published.state_dict())
    key = "vision_model.encoder.layers.3.self_attn.k_proj.bias"
    lacking = {name: value for name, value in state.items() if name != key}
    with pytest.raises(ValueError, match=r"no k_proj for 'visual\..*\.3\.attn\.in_proj_bias'"):
        from_huggingface(lacking)
    for strange in ("vision_model.encoder.layers.0.mlp.fc3.weight", "classifier.weight"):
        with pytest.raises(ValueError, match=r"is no tensor of a CLIP"):
            from_huggingface({**state, strange: torch.ones(1)})
    with pytest.raises(ValueError, match=r"no 'visual\.\*' but \['fc\.weight'\]"):
        image_tower({"fc.weight": torch.ones(1)})


def test_a_task_vectors_file_gives_the_image_tower(base, clip, images, tmp_path) -> None:
    clip.load_state_dict(base)
    with torch.no_grad():
        expected = clip.encode_image(images)
    text, clip.transformer = clip.transformer, None
    try:
        path = saved(tmp_path / "finetuned.pt", ImageEncoder(clip))
    finally:
        clip.transformer = text
    state = read_module_pickle(path)
    assert len(state) == 158
    assert sum(name.startswith("model.visual.") for name in state) == 152
    tower = from_task_vectors(state)
    assert tower.keys() == image_tower(base).keys()
    image_features(clip, {name: value * 0 for name, value in tower.items()}, images)
    assert torch.equal(image_features(clip, tower, images), expected)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_model_soups_file_gives_tower_and_head(base, tmp_path: Path, prefix: str) -> None:
    bare = {f"model.{n}": v for n, v in base.items() if not n.startswith("transformer.")}
    head = {"weight": torch.randn(10, 512).half(), "bias": torch.zeros(10).half()}
    bare |= {f"classification_head.{name}": value for name, value in head.items()}
    torch.save({prefix + name: value for name, value in bare.items()}, tmp_path / "model_0.pt")
    tower, found = from_model_soups(read(tmp_path / "model_0.pt"))
    check_base(tower, image_tower(base), "model_0")
    assert relative_distance(tower, image_tower(base)) == 0
    assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(
        ("weight", "bias"), torch.float32
    )
    assert torch.equal(found["weight"], head["weight"].float())
    with pytest.raises(ValueError, match=r"no 'classification_head\.weight'"):
        from_model_soups({n: v for n, v in bare.items() if n.startswith("model.")})


def test_an_image_tower_is_float32(base) -> None:
    tower = image_tower({name: value.half() for name, value in base.items()})
    assert len(tower) == 152
    assert {value.dtype for value in tower.values()} == {torch.float32}


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.1])
def test_a_fine_tune_is_accepted(base, scale: float) -> None:
    tower = image_tower(base)
    tuned = {name: value * (1 + scale) for name, value in tower.items()}
    assert relative_distance(tuned, tower) == pytest.approx(scale, rel=1e-3, abs=1e-9)
    check_base(tuned, tower, "EuroSAT")


@pytest.mark.parametrize(("gain", "distance"), [(0.1, 1.0), (1.0, 2**0.5)])
def test_a_fine_tune_of_another_base_is_refused(base, other, gain, distance: float) -> None:
    tower = image_tower(base)
    tuned = {name: gain * value for name, value in from_huggingface(other, base).items()}
    assert relative_distance(tuned, tower) == pytest.approx(distance, rel=0.05)
    with pytest.raises(ValueError, match=r"'EuroSAT' was not fine-tuned from .*; load the pretr"):
        check_base(tuned, tower, "EuroSAT")


def test_another_shape_is_refused_and_nan_left_to_its_own_check(base) -> None:
    tower = image_tower(base)
    key = "visual.conv1.weight"
    with pytest.raises(ValueError, match=rf"'DTD' has shape .* at '{re.escape(key)}'"):
        check_base({**tower, key: torch.ones(768, 3, 16, 16)}, tower, "DTD")
    with pytest.raises(ValueError, match=r"'DTD' has 'logit_scale'"):
        check_base({**tower, "logit_scale": torch.ones(())}, tower, "DTD")
    broken = {**tower, key: tower[key] * torch.nan}
    check_base(broken, tower, "DTD")
    with pytest.raises(ValueError, match="NaN"):
        check_finite({"DTD": broken})


def test_the_wrong_activation_gives_other_features(base, clip, images) -> None:
    plain = open_clip.create_model(architecture("ViT-B-32", "laion2b_s34b_b79k")).eval()
    right = image_features(clip, image_tower(base), images)
    wrong = image_features(plain, image_tower(base), images)
    assert (right - wrong).norm() > 1e-3 * right.norm()


def test_activations_agree_with_open_clip_and_are_never_guessed() -> None:
    sizes = ("ViT-B-32", "ViT-B-16", "ViT-L-14")
    for size, source in product(sizes, ("openai", "fusionbench", "task_vectors", "model_soups")):
        assert open_clip.get_model_config(architecture(size, source))["quick_gelu"]
    for source in ("openai", "laion2b_s34b_b79k"):
        known = open_clip.get_pretrained_cfg("ViT-B-32", source).get("quick_gelu", False)
        assert (architecture("ViT-B-32", source) == "ViT-B-32-quickgelu") == known
    with pytest.raises(ValueError, match="activation of 'my own' is not known"):
        architecture("ViT-B-32", "my own")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("CTL_HUB_NEWEST", raising=False)
    return tmp_path / "hub"


def snapshot(cache: Path, repo: str, revision: str) -> Path:
    folder = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder


def test_a_file_in_the_cache_needs_no_network_and_another_is_named(cache: Path) -> None:
    save_file({"a": torch.ones(2)}, snapshot(cache, REPO, "0" * 40) / "model.safetensors")
    command = f"run 'hf download {REPO} model.safetensors --revision {COMMIT}'"
    with refused(MissingDataError, re.escape(command)):
        hub(REPO, COMMIT, "model.safetensors")
    (path,) = hub(REPO, "0" * 40, "model.safetensors")
    assert torch.equal(read(path)["a"], torch.ones(2))


@pytest.mark.parametrize("revision", ["main", "4628de7", "", "G" * 40])
def test_a_branch_is_no_commit(cache: Path, revision: str) -> None:
    with pytest.raises(ValueError, match="is no commit of"):
        hub(REPO, revision, "model.safetensors")


def test_what_is_not_pinned_is_refused_unless_asked_for(cache: Path, monkeypatch) -> None:
    asked = SimpleNamespace(model_info=lambda repo: SimpleNamespace(sha="a" * 40))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: asked)
    assert commit(REPO) == COMMIT
    with pytest.raises(
        MissingDataError,
        match=r"no commit of some/repo is pinned: set CTL_HUB",
    ):
        commit("some/repo")
    monkeypatch.setenv("CTL_HUB_NEWEST", "1")
    with pytest.warns(UserWarning, match=f"some/repo is not pinned.*{'a' * 40}"):
        assert commit("some/repo") == "a" * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert commit(REPO) == COMMIT
    monkeypatch.setattr(huggingface_hub, "HfApi", Mock(side_effect=ConnectionError("no route")))
    with pytest.raises(MissingDataError, match=r"cannot be asked for \(no route\)"):
        commit("some/repo")


@pytest.mark.parametrize(
    ("repo", "file", "write"),
    [
        ("openai/clip-vit-base-patch32", "pytorch_model.bin", torch.save),
        ("openai/clip-vit-base-patch16", "pytorch_model.bin", torch.save),
        ("openai/clip-vit-large-patch14", "model.safetensors", save_file),
    ],
)
def test_a_clip_of_the_hub_is_read(cache: Path, repo: str, file: str, write) -> None:
    layers = {"vision_model.pre_layrnorm.bias": torch.ones(3), "logit_scale": torch.tensor(4.6)}
    write(layers, snapshot(cache, repo, COMMITS[repo]) / file)
    mapped = hub_clip(repo, {"visual.proj": torch.zeros(1)})
    assert mapped.keys() == {"visual.ln_pre.bias", "logit_scale", "visual.proj"}


def test_the_pinned_commits_are_whole() -> None:
    pinned = [commit for commit in COMMITS.values() if commit is not None]
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for commit in pinned)
    assert len(set(pinned)) == len(pinned)
