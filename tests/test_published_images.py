"""The setting of a published image network: the whole way from its files to tables."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from conftest import refused, same
from test_image_kinds import IDS, forget, kinds  # noqa: F401
from test_published_clip import run
from test_real_kinds import made  # noqa: F401
from timm.data import ImageNetInfo
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data.images import Images, floats
from ctl_helpers.models.linear_head import LinearHead
from ctl_helpers.project import SettingError
from ctl_helpers.settings import published_images
from ctl_helpers.settings.published_images import PublishedImages
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import published
from ctl_helpers.weights.checksums import file_checksum

FEW = ["MNIST", "CIFAR10", "Tiny ImageNet 1–10"]
WHOLE = "Tiny ImageNet"


@pytest.fixture
def whole() -> nn.Module:
    """A small network with its classifier, as its authors have it."""
    torch.manual_seed(0)
    return timm.create_model("test_efficientnet").eval()


@pytest.fixture
def tiny(kinds: Path, whole: nn.Module, monkeypatch: pytest.MonkeyPatch) -> PublishedImages:  # noqa: F811
    """The setting with that network in the published one's format, and a short recipe."""
    setting = settings.load("real-efficientnet")
    known = published.NETWORKS[setting.model.pretrained]
    (name,) = known.checksums
    path = kinds / known.folder / name
    path.parent.mkdir(parents=True)
    state = whole.state_dict()
    torch.save({f"_{n}.{k.rpartition('.')[2]}": state[k] for n, k in enumerate(state)}, path)
    fresh = replace(known, checksums={name: file_checksum(path)})
    for module in (published, published_images):
        monkeypatch.setattr(module, "NETWORKS", {setting.model.pretrained: fresh})
    update = {
        "model": setting.model.model_copy(update={"size": "test_efficientnet", "pixels": 32}),
        "finetuning": StepRecipe(2, 1e-3, 8, warmup=1),
        "finetune": FEW,
    }
    return setting.model_copy(update=update)


def test_what_is_missing_is_said(tiny: PublishedImages, kinds: Path) -> None:  # noqa: F811
    assert tiny.missing() is None
    next((kinds / "weights" / "efficientnet-lite0").iterdir()).unlink()
    wanted = r"EfficientNet-Lite0 is not in \S+: run `ctl data real-efficientnet`"
    assert re.match(wanted, tiny.missing())


def test_heads_are_fitted_to_features_or_the_networks_own(
    tiny: PublishedImages, whole: nn.Module
) -> None:
    def features(images: Images) -> Tensor:
        with torch.no_grad():
            inputs = 2 * floats(images.inputs) - 1
            return whole.forward_head(whole.forward_features(inputs), pre_logits=True)

    heads, kept = tiny.heads(0, ["MNIST", WHOLE]), tiny.loaded("MNIST", "head")
    expected = LinearHead.fitted(features(kept), kept.targets, tiny.head_decay)
    torch.testing.assert_close(vars(heads["MNIST"]), vars(expected), atol=1e-3, rtol=0.05)
    rows = [ImageNetInfo().label_names().index(name) for name in IDS]
    some = features(tiny.loaded(WHOLE, "test", 4))
    torch.testing.assert_close(heads[WHOLE](some), whole.classifier(some)[:, rows])
    assert same(vars(heads["MNIST"]), vars(tiny.heads(1, ["MNIST"])["MNIST"]))


def test_networks_start_from_the_published_one_or_from_none(tiny: PublishedImages) -> None:
    found = tiny.checkpoints(0)
    assert same(found["PT"], tiny.checkpoints(1, [])["PT"])
    assert not same(found["MNIST"], tiny.checkpoints(1, ["MNIST"])["MNIST"])
    moving = [name for name in found["PT"] if "running" in name]
    assert all(torch.equal(found["MNIST"][name], found["PT"][name]) for name in moving)
    trained = tiny.with_trained_norm().checkpoints(0, ["MNIST"])
    assert same(trained["PT"], found["PT"])
    assert not any(torch.equal(trained["MNIST"][name], found["PT"][name]) for name in moving)
    scratch = tiny.strangers(0)["scratch"]
    assert scratch.keys() == found.keys()
    assert not same(scratch["PT"], found["PT"])
    assert not same(scratch["PT"], tiny.strangers(1, [])["scratch"]["PT"])
    assert all(torch.equal(scratch["MNIST"][name], scratch["PT"][name]) for name in moving)
    model = tiny.build().eval()
    model.load_state_dict(scratch["PT"])
    (images, _), *_ = tiny.streams([WHOLE], 30)[WHOLE]
    with torch.no_grad():
        assert 0.1 < model(images, until="stem").std() < 3  # statistics are of images


def test_images_are_replaced_with_their_labels(
    tiny: PublishedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def under_head(model, images, head):
        seen.append((images, head))
        raise InterruptedError

    monkeypatch.setattr(published_images, "under_head", under_head)
    for ratio in (0.0, 0.5, 1.0):
        with pytest.raises(InterruptedError):
            tiny.finetuned(0, "CIFAR10", replaced=("MNIST", ratio))
    (own, alone), (mixed, both), (other, donors) = seen
    heads = tiny.heads(0, ["CIFAR10", "MNIST"])
    assert same(vars(alone), vars(heads["CIFAR10"]))
    assert same(vars(both), vars(heads["CIFAR10"].beside(heads["MNIST"])))
    assert same(vars(donors), vars(heads["MNIST"]))
    assert len(own) == len(mixed) == len(other)
    kept = mixed.targets < 10
    assert kept.double().mean() == pytest.approx(0.5, abs=0.01)
    mnist = tiny.loaded("MNIST", "train")
    labels = {x.numpy().tobytes(): y for x, y in zip(mnist.inputs, mnist.targets, strict=True)}
    for image, label in zip(mixed[~kept].inputs, mixed[~kept].targets, strict=True):
        assert labels[image.numpy().tobytes()] == label - 10
    assert all(x.numpy().tobytes() in labels for x in other.inputs)
    assert other.targets.max() < 10


def test_no_other_task_and_no_other_pretraining(tiny: PublishedImages) -> None:
    with refused(SettingError, "has no task 'dogs'"):
        tiny.loaded("dogs", "test")
    with refused(SettingError, "its pretraining task is 'Tiny ImageNet', not 'MNIST'"):
        tiny.pretrained(0, task="MNIST")


SECTIONS = {
    "4_1": {"test_samples": 12, "alphas": [0.5]},
    "4_1_batchnorm": {"test_samples": 12, "statistics_samples": 50},
    "4_2": {"task": "MNIST", "rates": [1e-3, 3e-3, 1e-2], "orders": [0], "samples": 12},
    "4_2_many": {"tasks": [*FEW, "Tiny ImageNet 11–20"], "draws": 1, "test_samples": 12},
    "4_3": {
        "samples": 12, "feature_samples": 6, "stitch_samples": 6, "scalings": [0.4],
        "stitch_lambdas": [0.5], "negation_lambdas": [0.5], "depth": 0.5,
    },
    "many_tasks": {
        "tasks": [*FEW, WHOLE], "draws": 1, "test_samples": 12, "score_samples": 12,
    },
    "5_similarity": {
        "pretraining_task": WHOLE, "tasks": ["CIFAR10", "MNIST"], "ratios": [0.0, 1.0],
        "test_samples": 12,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_goes_the_whole_way(
    section: str, tiny: PublishedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "load", lambda name: tiny)
    table = run(section, tmp_path / "tables", setting_name=tiny.name, **SECTIONS[section])
    if section == "5_similarity":
        assert table("to_pretraining")["replaced"].unique().tolist() == [0, 1]
        assert set(table("to_each_other")["layer"]) == set(tiny.build().feature_layers)
        return
    found = table({"4_3": "eq2_controls"}.get(section, "controls"))
    wanted = {"task vectors", "pretrained apart", "random vectors", "other samples"}
    only = set() if section == "4_1_batchnorm" else {"from random weights"}
    assert set(found["control"]) == wanted | only
    assert set(found["layer"]) == set(tiny.build().feature_layers)
    if section == "4_3":
        assert set(table("stitched_negation")["role"]) == {"D_i", "D_PT"}
        assert table("nearest")["i"].tolist() == FEW


@pytest.mark.slow
def test_the_published_network_is_the_one_that_was_published(real_data) -> None:
    real_data("weights/efficientnet-lite0")
    forget()
    setting = settings.load("real-efficientnet")
    assert setting.missing() is None
    asked, streams = [ctl.Evaluation({"PT": 1.0})], setting.streams([WHOLE], 400)
    weights, heads = {"PT": setting.pretrained(0).weights()}, setting.heads(0, [WHOLE])
    (accuracy,) = ctl.evaluate(setting.build(), weights, asked, streams, heads=heads)["accuracy"]
    # Of 100 classes, images of 32 pixels a side.
    assert accuracy == pytest.approx(0.31, abs=0.06)
    assert len(set(setting.data.module.wordnet_ids())) == 100
