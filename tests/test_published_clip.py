"""Settings of published CLIPs: the whole way from files in their true formats to tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import jupytext
import open_clip
import pandas as pd
import pytest
import torch
from conftest import ROOT
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from test_clip8 import write  # noqa: F401
from test_names import cache, published, snapshot  # noqa: F401
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data import prompts
from ctl_helpers.data.images import Images
from ctl_helpers.data.sets import clip8
from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.engine.mix import check_compatible
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.settings import published_clip
from ctl_helpers.settings.published_clip import ModelSoup, PublishedClip
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import hub, names

pytestmark = pytest.mark.usefixtures("swept")

State = dict[str, Tensor]


def near(state: State, seed: int) -> State:
    """Weights that fine-tuning might have made of these, in half precision."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (value + 1e-3 * torch.randn(value.shape, generator=generator)).half()
        for name, value in state.items()
    }


@pytest.fixture
def pretrained(published: CLIPModel, cache: Path) -> State:  # noqa: F811
    """OpenAI's ViT-B/32 in the hub's cache, with random weights."""
    repo = "openai/clip-vit-base-patch32"
    state = published.state_dict()
    torch.save(state, snapshot(cache, repo, hub.COMMITS[repo]) / "pytorch_model.bin")
    return state


def one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """One class a set, with one prompt, and images of the training part held out.

    A text tower takes long on a CPU, random networks are right on nothing else, and a handful of
    images leaves none to hold out.
    """
    load = clip8.load

    def relabelled(kind: str, split: str, samples: int | None = None) -> Images:
        found = load(kind, split.replace("held-out", "train"), samples)
        return Images(found.inputs, torch.zeros_like(found.targets))

    monkeypatch.setattr(clip8, "load", relabelled)
    monkeypatch.setattr(clip8, "templates", lambda kind: prompts.templates(kind)[:1])
    monkeypatch.setattr(clip8, "class_names", lambda kind: prompts.class_names(kind)[:1])


def run(section: str, folder: Path, **parameters: object) -> Callable[[str], pd.DataFrame]:
    """Execute a section's cells here, and give its tables by name."""
    cells = jupytext.read(ROOT / "notebooks" / f"{section}.md").cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    space: dict[str, object] = {"In": [cell.source for cell in code]}
    with patch("IPython.get_ipython", lambda: SimpleNamespace(user_ns=space)):
        for cell in code:
            exec(cell.source, space)
            if "parameters" in cell.metadata.get("tags", []):
                assert parameters.keys() <= space.keys()
                space |= {**parameters, "results_folder": str(folder)}
    return lambda name: pd.read_parquet(folder / f"{name}.parquet")


@pytest.fixture
def small(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:  # noqa: F811
    """A small CLIP under the name and in the format of OpenAI's ViT-B/32."""
    vision = {"image_size": 224, "patch_size": 32, "layers": 4, "width": 128}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    shape = {"embed_dim": 32, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32-quickgelu", shape)
    tower = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2}
    words = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = CLIPConfig(
        vision_config=tower | {"intermediate_size": 512, "patch_size": 32},
        text_config=words | {"intermediate_size": 256},
        projection_dim=32,
    )
    torch.manual_seed(0)
    state = CLIPModel(config).state_dict()
    repo = "openai/clip-vit-base-patch32"
    torch.save(state, snapshot(cache, repo, hub.COMMITS[repo]) / "pytorch_model.bin")
    published_clip._clip_weights.cache_clear()
    yield state
    published_clip._clip_weights.cache_clear()


@pytest.mark.slow
def test_eight_sets_go_the_whole_way(small, write, cache, tmp_path, monkeypatch) -> None:  # noqa: F811
    setting = settings.load("clip8-vit-b-32")
    assert "(16 more files and sets are missing)" in setting.missing()
    for kind in (*clip8.KINDS, "ImageNet"):
        write(kind)
    assert "patch32_stanford-cars is not on this machine" in setting.missing()
    tower = {name: part for name, part in small.items() if name.startswith("vision_model.")}
    for number, (task, repo) in enumerate(setting.repositories.items()):
        revision = hub.COMMITS[repo] or f"{number:040x}"
        monkeypatch.setitem(hub.COMMITS, repo, revision)
        assert task in setting.finetune
        save_file(near(tower, number), snapshot(cache, repo, revision) / "model.safetensors")
    assert setting.missing() is None
    one_class(monkeypatch)
    found = setting.checkpoints(0)
    assert list(found) == ["PT", *clip8.KINDS]
    assert all(0 < hub.relative_distance(found[k], found["PT"]) < 1 for k in clip8.KINDS)
    # Pairs and mixes of all eight would take minutes.
    few = setting.model_copy(update={"finetune": ["DTD", "GTSRB"]})
    monkeypatch.setattr(settings, "load", lambda name: few)
    table = run(
        "4_3",
        tmp_path / "tables",
        setting_name=setting.name,
        samples=2,
        stitch_samples=2,
        scalings=[0.4],
        lambdas=[0.4],
        stitch_lambdas=[0.4],
        negation_lambdas=[0.5],
    )
    assert set(table("accuracy")["network"]) == {"PT", *few.finetune}
    eq2 = table("eq2")
    assert eq2[["i", "j"]].drop_duplicates().to_numpy().tolist() == [few.finetune]
    assert eq2["layer"].nunique() == 4
    wide = eq2.groupby("metric")["mean"].mean()
    assert 0 <= wide["distance"] < wide["baseline"]
    assert set(table("stitched_negation")["role"]) == {"D_i", "D_PT"}


@pytest.mark.slow
def test_what_no_state_dict_holds_is_as_open_clip_makes_it(pretrained, monkeypatch) -> None:
    setting = settings.load("clip8-vit-b-32")
    weights = setting.pretrained(0).weights()
    whole = open_clip.create_model("ViT-B-32-quickgelu").eval()
    whole.load_state_dict(weights)
    fresh = torch.empty_like
    monkeypatch.setattr(
        torch, "empty_like", lambda *args, **options: fresh(*args, **options).fill_(torch.nan)
    )
    made = setting.clip().eval()
    made.load_state_dict(weights)
    for name, buffer in whole.named_buffers():
        assert torch.equal(made.get_buffer(name), buffer), name
    with torch.no_grad():
        tokens = setting.tokens(["a photo of a cat."])
        assert torch.allclose(made.encode_text(tokens), whole.encode_text(tokens), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "patch", "missing"),
    [("clip8-vit-b-32", 32, "(17 more files"), ("clip8-vit-b-16", 16, "(9 more files")],
)
def test_a_setting_is_the_clip_of_its_repository(cache, data, name, patch, missing) -> None:  # noqa: F811
    setting = settings.load(name)
    assert missing in setting.missing()
    repo, size = setting.model.pretrained, f"patch{patch}"
    assert all(f"-{size}" in one for one in (repo, *setting.repositories.values()))
    file = snapshot(cache, repo, hub.COMMITS[repo]) / "pytorch_model.bin"
    torch.save({}, file)
    assert hub.weights_file(repo, local=True) == file
    with torch.device("meta"):
        saved = CLIPModel(CLIPConfig(vision_config={"patch_size": patch})).state_dict()
    built = setting.clip()
    described = names.from_huggingface(saved)
    # Without values, as of a checkpoint that is read when it is asked for.
    check_compatible({"saved": LazyState(described, described.__getitem__)}, built.state_dict())
    assert isinstance(built.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)


@pytest.mark.slow
def test_cifar10_is_fine_tuned_from_published_weights(pretrained, write, monkeypatch) -> None:  # noqa: F811
    write("CIFAR10")
    monkeypatch.setattr(clip8, "templates", lambda kind: prompts.templates(kind)[:1])
    setting = settings.load("cifar10-vit-b-32")
    assert isinstance(setting, PublishedClip)
    setting = setting.model_copy(update={"finetuning": StepRecipe(1, 1e-5, 2)})
    assert setting.missing() is None
    found = setting.variants(0, "CIFAR10", [1e-5, 1e-3], [0])
    start = names.image_tower(setting.pretrained(0).weights())
    far = [hub.relative_distance(state, start) for state in found.values()]
    assert 0 < far[0] < far[1]
    assert found.keys() == {"rate 1e-05 order 0", "rate 0.001 order 0"}


@pytest.fixture
def soup(published: CLIPModel, data: Path) -> ModelSoup:  # noqa: F811
    """Three models in the format of model soups."""
    base = names.from_huggingface(published.state_dict())
    tower = {f"model.{n}": part for n, part in base.items() if n.startswith("visual.")}
    head = {
        "classification_head.weight": torch.randn(1000, 512),
        "classification_head.bias": torch.randn(1000),
    }
    (data / "model-soups").mkdir(parents=True)
    for number in range(3):
        torch.save(near(tower | head, number), data / "model-soups" / f"model_{number}.pt")
    return settings.load("imagenet-vit-b-32").model_copy(update={"ingredients": [0, 1, 2]})


def test_a_soup_gives_logits_of_its_own_heads(soup: ModelSoup, write) -> None:  # noqa: F811
    assert "ImageNet is not in" in soup.missing()
    write("ImageNet")
    assert soup.missing() is None
    found = soup.variants(0, "ImageNet", [], [])
    start = soup.checkpoints(0, [])["PT"]
    for key, value in start.items():
        mean = torch.stack([state[key].double() for state in found.values()]).mean(0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-6)
    assert list(found) == ["model 00", "model 01", "model 02"]
    model, streams = soup.build(), soup.streams(["ImageNet"])
    mixes = [dict.fromkeys(found, 1 / 3), {"model 00": 1.0}]
    logits = ctl.logits(model, found, mixes, streams, heads=soup.heads(0, ["ImageNet"]))
    assert logits["ImageNet"].shape == (2, 3, 1000)
    (inputs, _) = streams["ImageNet"][0]
    model.load_state_dict(found["model 00"])
    with torch.no_grad():
        unit = torch.nn.functional.normalize(super(type(model), model).forward(inputs), dim=1)
        expected = unit @ found["model 00"]["head.weight"].T + found["model 00"]["head.bias"]
    assert torch.allclose(logits["ImageNet"][1].float(), expected, atol=1e-4)


def test_a_soup_has_nothing_to_choose_and_names_what_it_lacks(soup: ModelSoup, data: Path) -> None:
    with pytest.raises(SettingError, match="its networks are published"):
        soup.variants(0, "ImageNet", [1e-5], [0])
    (data / "model-soups" / "model_1.pt").unlink()
    with pytest.raises(MissingDataError, match=r"model_1\.pt is not there: run `ctl data imagenet"):
        soup.variants(0, "ImageNet", [], [])
