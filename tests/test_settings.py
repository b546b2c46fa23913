"""Settings: what is written in YAML, the data behind it, and the checkpoints trained from it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import yaml
from conftest import ROOT
from torch import Tensor, nn
from torchvision.datasets import mnist as torchvision_mnist

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data import mnist
from ctl_helpers.data.digits import digits
from ctl_helpers.data.images import Images, MissingDataError
from ctl_helpers.settings import Setting, SettingError
from ctl_helpers.store import file_checksum
from ctl_helpers.training import Recipe, initial_weights, train

NAMES = sorted(path.stem for path in (ROOT / "settings").glob("*.yaml"))
PROFILES = sorted(yaml.safe_load((ROOT / "settings" / "profiles.yaml").read_text()))
REAL_DATA = os.environ.get("CTL_DATA_DIR")  # before a test sets its own


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, with nothing remembered of another."""
    monkeypatch.setenv("CTL_DATA_DIR", str(tmp_path / "data"))
    for name in ("_original", "_rotated"):
        monkeypatch.setattr(settings, name, cache(getattr(settings, name).__wrapped__))
    return tmp_path / "data"


@pytest.fixture
def quick() -> Setting:
    """The embedded setting with a recipe for few samples."""
    recipe = Recipe(epochs=10, lr=0.1, batch_size=8)
    setting = settings.load("digits-mlp")
    return setting.model_copy(update={"pretraining": recipe, "finetuning": recipe})


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# What is written.


@pytest.mark.parametrize("name", [name for name in NAMES if name != "profiles"])
def test_every_setting_loads_and_builds(name: str) -> None:
    setting = settings.load(name)
    assert setting.name == name
    assert ctl.feature_layers(setting.build())
    assert setting.sections
    tasks = [setting.pretrain, *setting.finetune, *setting.far]
    assert len(set(tasks)) == len(tasks)


def test_settings_are_listed_embedded_first() -> None:
    found = settings.names()
    assert sorted(found) == [name for name in NAMES if name != "profiles"]
    kinds = [settings.load(name).kind == "embedded" for name in found]
    assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_and_has_settings(name: str) -> None:
    kinds = settings.profile(name).kinds
    assert any(settings.load(name).kind in kinds for name in settings.names())


NETWORK = {"inputs": 784, "width": 100, "hidden_layers": 3, "classes": 10}
RECIPE = {"epochs": 1, "lr": 0.1, "batch_size": 64}


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"finetuning_rate": 1}, "'finetuning_rate'"),
        ({"title": 3}, "'title'"),
        ({"title": None}, "'title'"),
        ({"kind": "toy"}, "'kind'"),
        ({"data": "cifar"}, "'data'"),
        ({"finetune": "0°"}, "'finetune'"),
        ({"pretraining": {**RECIPE, "momentum": 0.9}}, "'pretraining.momentum'"),
        ({"pretraining": {"epochs": 1, "batch_size": 64}}, "'pretraining.lr'"),
        ({"finetuning": {**RECIPE, "epochs": "many"}}, "'finetuning.epochs'"),
        ({"model": {**NETWORK, "width": "wide"}}, "'model.width'"),
        ({"model": {**NETWORK, "widht": 3}}, "'model.widht'"),
        ({"finetuning": {**RECIPE, "epochs": -1}}, "'finetuning'"),
        ({"sections": {"4.1": {"gird": {}}}}, "'sections.4.1.gird'"),
        ("", "mapping"),
        ("- a list", "mapping"),
        ("title: [", "expected"),
    ],
)
def test_a_setting_not_written_right_is_refused(checkout, monkeypatch, change, culprit) -> None:
    monkeypatch.chdir(checkout)
    content = yaml.safe_load((checkout / "settings" / "digits-mlp.yaml").read_text())
    text = change if isinstance(change, str) else yaml.safe_dump(content | change)
    (checkout / "settings" / "odd.yaml").write_text(text)
    with pytest.raises(SettingError) as caught:
        settings.load("odd")
    assert one_line(caught).startswith("odd.yaml")
    assert culprit in one_line(caught)


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("fast: {kinds: [embedded], seeds: 3}", "'seeds'"),
        ("fast: {kinds: [toy]}", "'kinds.0'"),
        ("fast:", "mapping"),
        ("- fast", "mapping"),
        ("fast: [", "expected"),
        ("slow: {kinds: []}", "no profile 'fast'; there are ['slow']"),
    ],
)
def test_a_profile_not_written_right_is_refused(checkout, monkeypatch, text, culprit) -> None:
    monkeypatch.chdir(checkout)
    (checkout / "settings" / "profiles.yaml").write_text(text)
    with pytest.raises(SettingError) as caught:
        settings.profile("fast")
    assert culprit in one_line(caught)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda _: settings.load("nowhere"), "no setting 'nowhere'; there are ['digits-mlp'"),
        (lambda _: settings.load("profiles"), "no setting 'profiles'"),
        (lambda _: settings.profile("slow"), "no profile 'slow'; there are ['embedded'"),
        (lambda s: s.images("dogs", "test"), "digits-mlp has no task 'dogs'; its tasks are ['0°'"),
        (lambda s: s.images("left°", "test"), "digits-mlp has no task 'left°'"),
        (lambda s: s.streams(["dogs"]), "no task 'dogs'"),
        (lambda s: s.checkpoints(0, ["dogs"], 16), "no task 'dogs'"),
    ],
)
def test_unknown_names_are_refused(call: Callable[[Setting], object], sentence, quick) -> None:
    with pytest.raises(SettingError) as caught:
        call(quick)
    assert sentence in one_line(caught)


# Training.


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_checkpoints_are_trained_from_the_pretrained_one(quick: Setting) -> None:
    found = quick.checkpoints(0, samples=200)
    assert list(found) == ["PT", "22.5°", "45°", "67.5°", "90°"]
    assert all(state.keys() == quick.build().state_dict().keys() for state in found.values())
    found["start"] = initial_weights(quick.build, 0)
    seen = {task: quick.images(task, "train", 200).batches(200) for task in ("0°", "90°")}
    models = [ctl.Evaluation({name: 1.0}, params={"name": name}) for name in found]
    loss = ctl.evaluate(quick.build(), found, models, seen).set_index(["name", "task"])["loss"]
    assert loss["PT", "0°"] < 0.5 * loss["start", "0°"]
    assert loss["90°", "90°"] < 0.5 * loss["PT", "90°"]


def test_training_is_reproducible_and_seeded(quick, tmp_path, monkeypatch) -> None:
    found = []
    for number, seed in enumerate([0, 0, 1]):
        monkeypatch.setenv("CTL_STORE", str(tmp_path / f"store-{number}"))
        torch.manual_seed(number)  # what else draws numbers must not matter
        found.append(quick.checkpoints(seed, ["90°"], samples=64))
    for name in ("PT", "90°"):
        assert same(found[0][name], found[1][name])
        assert not same(found[0][name], found[2][name])


def test_what_is_stored_is_not_trained_again(quick: Setting, monkeypatch) -> None:
    trained = []

    def counting(*arguments):
        trained.append(len(arguments[2]))
        return train(*arguments)

    monkeypatch.setattr(settings, "train", counting)
    first = quick.checkpoints(0, ["45°", "90°"], samples=20)
    assert len(trained) == 3
    again = quick.checkpoints(0, ["90°", "45°"], samples=20)
    assert len(trained) == 3
    assert list(again) == ["PT", "90°", "45°"]
    assert all(same(first[name], again[name]) for name in first)
    slower = Recipe(epochs=1, lr=0.01, batch_size=20)
    for changed, seed, samples, more in [
        ({"finetuning": slower}, 0, 20, 1),
        ({"pretraining": slower}, 0, 20, 2),
        ({"model": quick.model.model_copy(update={"width": 7})}, 0, 20, 2),
        ({}, 1, 20, 2),
        ({}, 0, 19, 2),
        ({"title": "Another", "about": "Words."}, 0, 20, 0),
    ]:
        before = len(trained)
        quick.model_copy(update=changed).checkpoints(seed, ["90°"], samples)
        assert trained[before:] == [samples] * more, (changed, seed)


def images(samples: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, 1, 2, 3, generator=generator)
    return Images(inputs, torch.arange(samples) % 3)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


def test_training_changes_none_of_its_inputs() -> None:
    random = torch.get_rng_state()
    start = initial_weights(small, 1)
    assert torch.equal(torch.get_rng_state(), random)
    model, data = small().eval(), images(10)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    copies = {key: value.clone() for key, value in start.items()}
    inputs, random = data.inputs.clone(), torch.get_rng_state()
    found = train(model, start, data, Recipe(2, 0.1, 4), 0)
    assert not same(found, start)
    assert same(model.state_dict(), state)
    assert same(start, copies)
    assert torch.equal(data.inputs, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    untrained = train(model, start, data, Recipe(0, 0.1, 4), 0)
    assert same(untrained, start)
    assert all(untrained[key].data_ptr() != start[key].data_ptr() for key in start)


@pytest.mark.parametrize(
    ("samples", "lr", "sentence"),
    [
        (0, 0.1, "training set is empty"),
        (10, 1e38, r"loss or weights are not finite after epoch \d; lower the learning rate"),
    ],
)
def test_training_that_cannot_go_well_is_refused(samples: int, lr: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        train(small(), initial_weights(small, 0), images(samples), Recipe(3, lr, 2), 0)
    one_line(caught)


# Data.


def test_digits_are_split_once_and_apart() -> None:
    parts = {split: digits(split) for split in ("train", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 1200, "test": 597}
    rows = [part.inputs.flatten(1).numpy() for part in parts.values()]
    train_rows, test_rows = ({row.tobytes() for row in part} for part in rows)
    assert not train_rows & test_rows
    assert torch.equal(digits("test").inputs, parts["test"].inputs)
    for part in parts.values():
        assert part.inputs.shape[1:] == (1, 28, 28)
        assert 0 <= part.inputs.min() < part.inputs.max() <= 1
        assert part.targets.unique().tolist() == list(range(10))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_right_angles_are_exact_rotations(turns: int) -> None:
    original = digits("test").first(20)
    turned = original.rotated(90 * turns)
    expected = torch.rot90(original.inputs, turns, (-2, -1))
    torch.testing.assert_close(turned.inputs, expected, rtol=0, atol=1e-4)
    assert torch.equal(turned.targets, original.targets)


def test_tasks_are_turned_images_in_the_same_order(quick: Setting) -> None:
    upright, tilted = (quick.images(task, "test") for task in ("0°", "22.5°"))
    assert torch.equal(upright.inputs, digits("test").inputs)
    assert tilted.inputs.shape == upright.inputs.shape
    assert torch.equal(tilted.inputs, upright.rotated(22.5).inputs)
    assert torch.equal(tilted.targets, upright.targets)
    streams = quick.streams(["0°", "22.5°"], samples=25, batch_size=10)
    assert {task: [len(y) for _, y in stream] for task, stream in streams.items()} == {
        "0°": [10, 10, 5],
        "22.5°": [10, 10, 5],
    }
    assert torch.equal(torch.cat([x for x, _ in streams["22.5°"]]), tilted.inputs[:25])


@pytest.fixture
def tiny_mnist(data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    """MNIST's four files with a few images of 4×5 pixels; what they hold."""
    raw, held = data / "MNIST" / "raw", {}
    raw.mkdir(parents=True)
    for n, (split, prefix) in enumerate([("train", "train"), ("test", "t10k")], 3):
        pixels = (torch.arange(n * 4 * 5) * 7 % 256).to(torch.uint8).reshape(n, 4, 5)
        labels = torch.arange(n, dtype=torch.uint8)
        header = struct.pack(">IIII", 0x803, n, 4, 5)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels.numpy().tobytes())
        header = struct.pack(">II", 0x801, n)
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.numpy().tobytes())
        held[split] = Images(pixels.unsqueeze(1), labels)
    checksums = {name: file_checksum(raw / name) for name in mnist.CHECKSUMS}
    monkeypatch.setattr(mnist, "CHECKSUMS", checksums)
    return held


def test_mnist_files_are_read_right(tiny_mnist: dict[str, Images]) -> None:
    setting = settings.load("mnist-mlp")
    assert setting.missing() is None
    for split, held in tiny_mnist.items():
        found = setting.images("0°", split)
        assert torch.equal((found.inputs * 255).round().to(torch.uint8), held.inputs)
        assert torch.equal(found.targets, held.targets.long())
        assert found.inputs.max() <= 1


@pytest.mark.parametrize("name", sorted(mnist.CHECKSUMS))
def test_a_truncated_mnist_file_is_refused_by_name(name: str, data: Path, tiny_mnist) -> None:
    path = data / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:-1])
    sentence = settings.load("mnist-mlp").missing()
    assert f"{path} is damaged" in sentence
    assert "`ctl data mnist-mlp`" in sentence
    with pytest.raises(MissingDataError) as caught:
        mnist.mnist("train")
    assert one_line(caught) == sentence


def test_missing_mnist_is_said_with_the_remedy(data: Path) -> None:
    setting = settings.load("mnist-mlp")
    sentence = setting.missing()
    assert sentence is not None
    assert "\n" not in sentence
    for part in (f"MNIST is not in {data}", "`ctl data mnist-mlp`", "CTL_DATA_DIR"):
        assert part in sentence
    with pytest.raises(MissingDataError):
        setting.checkpoints(0)
    assert setting.data_checksum() != settings.load("digits-mlp").data_checksum()
    assert settings.load("digits-mlp").missing() is None


@pytest.mark.parametrize("unwritable", [False, True])
def test_a_download_that_fails_is_one_sentence(data: Path, monkeypatch, unwritable: bool) -> None:
    def unreachable(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", unreachable)
    if unwritable:
        data.write_text("a file where a folder is wanted")
    with pytest.raises(MissingDataError) as caught:
        settings.load("mnist-mlp").fetch()
    for part in (f"could not be downloaded into {data}", "CTL_DATA_DIR"):
        assert part in one_line(caught)
    assert ("no network" in one_line(caught)) is not unwritable


def test_nothing_is_downloaded_where_all_is_there(tiny_mnist, monkeypatch) -> None:
    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", None)
    for name in ("mnist-mlp", "digits-mlp"):
        settings.load(name).fetch()


def test_the_real_mnist_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    if REAL_DATA is None or not (Path(REAL_DATA) / "MNIST").is_dir():
        pytest.skip("CTL_DATA_DIR names no folder that holds MNIST")
    monkeypatch.setenv("CTL_DATA_DIR", REAL_DATA)
    for split, samples, label in (("train", 60_000, 5), ("test", 10_000, 7)):
        found = mnist.mnist(split)
        assert found.inputs.shape == (samples, 1, 28, 28)
        assert found.targets[0] == label
        assert found.targets.unique().tolist() == list(range(10))
