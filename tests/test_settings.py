"""Settings: what is written in YAML, the data behind it, and the checkpoints trained from it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT, refused, same

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data import sets
from ctl_helpers.data.dataset import DataSet, data_set
from ctl_helpers.data.tasks import is_task
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.settings import scratch
from ctl_helpers.settings.schema import GRADES
from ctl_helpers.settings.scratch import Scratch
from ctl_helpers.training.loop import Recipe, epochs, initial_weights

NAMES = sorted(path.stem for path in (ROOT / "settings").glob("*.yaml"))
PROFILES = sorted(yaml.safe_load((ROOT / "settings" / "profiles.yaml").read_text()))


@pytest.fixture
def quick() -> Scratch:
    """The embedded setting with a recipe for few samples."""
    recipe = Recipe(epochs=10, lr=0.1, batch_size=8)
    setting = settings.load("digits-mlp")
    return setting.model_copy(update={"pretraining": recipe, "finetuning": recipe})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "profiles"])
def test_every_setting_loads_and_builds(name: str) -> None:
    setting = settings.load(name)
    assert setting.name == name
    assert ctl.feature_layers(setting.build())
    assert setting.sections
    described = settings.describe(name)
    for field in (
        "title",
        "kind",
        "grade",
        "badge",
        "about",
        "data",
        "finetune",
        "sections",
        "architecture",
    ):
        assert getattr(described, field) == getattr(setting, field)
    if not isinstance(setting, Scratch):
        module = setting.data.module
        assert {*setting.finetune, *setting.control} <= set(getattr(module, "SIZES", module.KINDS))
        return
    tasks = [setting.pretrain, *setting.finetune, *setting.far]
    assert all(map(is_task, tasks))
    assert len(set(tasks)) == len(tasks) or set(tasks) == {"all"}


SETS = {path.stem for path in Path(sets.__path__[0]).glob("[a-z]*.py")} - {"clip8_files"}


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_data_set_has_the_same_functions(name: str) -> None:
    module = data_set(name)
    for function in ("checksum", "missing", "fetch", "load"):
        theirs = inspect.signature(getattr(module, function)).parameters
        wanted = inspect.signature(getattr(DataSet, function)).parameters
        assert [*theirs][: len(wanted) - 1] == [*wanted][1:]
    assert isinstance(module.checksum(), str)
    with refused(ValueError, "'dogs'"):
        module.load("dogs", "test")


@pytest.mark.parametrize(
    ("name", "task", "split"),
    [
        *(("clip8", "DTD", "val"), ("kinds", "digits", "all"), ("real_kinds", "GTSRB", "all")),
        ("image_kinds", "GTSRB", "pretrain"),
        *(
            ("instructions", "code", "train"),
            ("nlp6", "IMDB", "dev"),
            ("real_texts", "IMDB", "dev"),
        ),
        ("sentences", "topic", "tset"),
    ],
)
def test_a_task_or_split_that_is_not_there_is_refused(name: str, task: str, split: str) -> None:
    for asked in (("cats", "test"), (task, split)):
        with refused(ValueError, "no (images|texts) '{}', '{}'; tasks are".format(*asked)):
            data_set(name).load(*asked)


@pytest.mark.parametrize(
    "code",
    [
        "settings.describe('text-t5'); [settings.missing(name) for name in settings.names()]",
        "from ctl_helpers.data.sets import clip8; assert len(clip8.missing(['DTD'])) == 1",
        "from ctl_helpers.runs import plan; [job.title for job in plan.jobs('paper')]",
        "from ctl_helpers.cli import app; app(['--help'], standalone_mode=False)",
        "from ctl_helpers.cli import app; app(['status', '--help'], standalone_mode=False)",
        "from ctl_helpers.findings.verdicts import verdicts; verdicts('4.2')",
        "from ctl_helpers.site.pages import Page; Page('4.1').settings(); Page('4.1').verdicts()",
    ],
)
def test_what_reads_and_plans_imports_no_torch(code: str, data: Path) -> None:
    names = {"torch", "torchvision", "transformers", "papermill", "scipy.stats"}
    heavy = f"{names} & sys.modules.keys()"
    code = f"import sys; from ctl_helpers import results, settings\n{code}\nprint({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["set()"], done.stderr


def test_settings_are_listed_embedded_first() -> None:
    found = settings.names()
    assert sorted(found) == [name for name in NAMES if name != "profiles"]
    kinds = [settings.load(name).kind == "embedded" for name in found]
    assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize(
    ("name", "grade", "badge"),
    [
        ("mnist-mlp", "A", "paper's own"),
        ("cifar10-resnet20", "B", "real pretrained, in part"),
        ("real-minilm", "B", "real pretrained, in part"),
        ("real-efficientnet", "B", "real pretrained, in part"),
        ("real-smollm2", "B", "real pretrained, in part"),
        ("real-smollm2-lora", "B", "real pretrained, in part"),
        ("tinyimagenet-resnet18", "C", "trained here on real images"),
        ("small-clip", "C", "trained here on real images"),
        ("small-t5", "C", "trained here on real texts"),
        ("digits-mlp", "D", "small real digits"),
        ("text-llama", "D", "generated"),
    ],
)
def test_a_badge_says_what_was_run(name: str, grade: str, badge: str) -> None:
    setting = settings.describe(name)
    assert (setting.grade, setting.badge) == (grade, badge)


def test_grades_follow_from_where_data_and_weights_come_from() -> None:
    """No stand-in passes for the paper's own, and what is trained here for nothing else."""
    graded = {name: settings.describe(name) for name in settings.names()}
    assert {one.grade for one in graded.values()} == set(GRADES)
    for name, setting in graded.items():
        assert (setting.grade == "D") == (setting.kind == "embedded"), name
        assert (setting.grade == "C") <= (setting.kind == "real"), name


def test_frozen_batchnorm_can_be_trained() -> None:
    setting = settings.load("cifar10-resnet20")
    assert setting.finetuning.frozen_norm
    assert not setting.with_trained_norm().finetuning.frozen_norm
    usual = settings.load("scenes-resnet")
    assert usual.with_trained_norm() == usual


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_and_has_settings(name: str) -> None:
    kinds = settings.profile(name).kinds
    assert any(settings.load(name).kind in kinds for name in settings.names())


NETWORK = {"architecture": "mlp", "inputs": 784, "width": 100, "hidden_layers": 3, "classes": 10}
RECIPE = {"epochs": 1, "lr": 0.1, "batch_size": 64}


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"finetuning_rate": 1}, "'finetuning_rate'"),
        ({"title": 3}, "'title'"),
        ({"title": None}, "'title'"),
        ({"kind": "toy"}, "'kind'"),
        ({"grade": "E"}, "'grade'"),
        ({"data": "cifar"}, "'data'"),
        ({"data": {"set": "cifar"}}, "there is no data set 'cifar'"),
        ({"data": {"set": "os.path"}}, "there is no data set 'os.path'"),
        ({"data": {"set": "digits", "tasks": "parts"}}, "'data.tasks'"),
        ({"finetune": "0°"}, "'finetune'"),
        ({"pretraining": {**RECIPE, "nesterov": True}}, "'pretraining.nesterov'"),
        ({"pretraining": {"epochs": 1, "batch_size": 64}}, "'pretraining.lr'"),
        ({"finetuning": {**RECIPE, "epochs": "many"}}, "'finetuning.epochs'"),
        ({"model": {**NETWORK, "width": "wide"}}, "'model.mlp.width'"),
        ({"model": {**NETWORK, "widht": 3}}, "'model.mlp.widht'"),
        ({"model": {"architecture": "vgg"}}, "'model'"),
        ({"finetuning": {**RECIPE, "precision": "float8"}}, "'finetuning.precision'"),
        ({"finetuning": {**RECIPE, "epochs": -1}}, "'finetuning'"),
        ({"sections": {"4.1": {"gird": {}}}}, "'sections.4.1.gird'"),
        ("", "mapping"),
        ("- a list", "mapping"),
        ("title: [", "expected"),
        ("title: a\ntitle: b", "the key 'title' is there twice"),
        ("a: " + "[" * 50_000, "it nests too deep"),
        ({"finetuning": {**RECIPE, "lr": float("nan")}}, "lr is nan"),
        ("finetuning: {lr: 2020-01-01}", "'title'"),
        ({"sections": {"4.1": {"grid": {"t": ["../../x"]}}}}, "grid value '../../x' of 't'"),
        ({"sections": {"4.1": {"grid": {"t": ["a\\b"]}}}}, "names a folder"),
    ],
)
def test_a_setting_not_written_right_is_refused(checkout, monkeypatch, change, culprit) -> None:
    monkeypatch.chdir(checkout)
    content = yaml.safe_load((checkout / "settings" / "digits-mlp.yaml").read_text())
    text = change if isinstance(change, str) else yaml.safe_dump(content | change)
    (checkout / "settings" / "odd.yaml").write_text(text)
    with refused(SettingError, "^odd.yaml", re.escape(culprit)):
        settings.load("odd")


@pytest.mark.parametrize("name", ["settings/odd.yaml", "settings/profiles.yaml"])
@pytest.mark.parametrize("content", [b"title: \xff", None])
def test_a_file_that_is_no_text_is_refused(checkout, monkeypatch, name: str, content) -> None:
    monkeypatch.chdir(checkout)
    path = checkout / name
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)
    with refused(SettingError, f"^{path.name} cannot be read: .*; give a text in UTF-8"):
        settings.load("odd") if path.stem == "odd" else settings.profile("fast")


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
    with refused(SettingError, re.escape(culprit)):
        settings.profile("fast")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda _: settings.load("nowhere"), "no setting 'nowhere'; there are ["),
        (lambda _: settings.load("profiles"), "no setting 'profiles'"),
        (lambda _: settings.profile("slow"), "no profile 'slow'; there are ['embedded'"),
        (lambda s: s.images("dogs", "test"), "digits-mlp has no task 'dogs'; its tasks are ['0°'"),
        (lambda s: s.images("left°", "test"), "digits-mlp has no task 'left°'"),
        (lambda s: s.streams(["dogs"]), "no task 'dogs'"),
        (lambda s: s.checkpoints(0, ["dogs"], 16), "no task 'dogs'"),
    ],
)
def test_unknown_names_are_refused(call: Callable[[Scratch], object], sentence, quick) -> None:
    with refused(SettingError, re.escape(sentence)):
        call(quick)


def test_checkpoints_are_trained_from_the_pretrained_one(quick: Scratch) -> None:
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


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples of each training that really runs."""
    runs = []

    def counting(model, start, images, *rest):
        runs.append(len(images))
        return epochs(model, start, images, *rest)

    monkeypatch.setattr(scratch, "epochs", counting)
    return runs


def test_what_is_stored_is_not_trained_again(quick: Scratch, trained: list[int]) -> None:
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


def test_one_run_of_training_gives_all_its_epochs(quick: Scratch, trained: list[int]) -> None:
    starts = quick.pretraining_path(0, [0, 2, 5], samples=32)
    assert list(starts) == [0, 2, 5]
    assert same(starts[0].weights(), initial_weights(quick.build, 0))
    assert len(trained) == 1
    last = quick.pretrained(0, samples=32)  # its tenth epoch, from the fifth on
    assert len(trained) == 2
    tuned = quick.finetuning_path(0, "90°", [0, 3], start=starts[2], samples=32)
    assert same(tuned[0].weights(), starts[2].weights())
    assert not same(tuned[3].weights(), last.weights())
    other = quick.finetuning_path(0, "90°", [3], start=starts[5], samples=32)
    assert other[3].key != tuned[3].key
    own = quick.finetuned(0, "90°", samples=32)
    assert own.key == quick.finetuned(0, "90°", start=last, samples=32).key
    assert own.key != quick.finetuned(0, "90°", order=1, samples=32).key


def test_replaced_samples_are_another_training(quick: Scratch, trained: list[int]) -> None:
    start = quick.pretraining_path(0, [1], samples=32)[1]

    def key(ratio: float | None) -> str:
        replaced = None if ratio is None else ("0°", ratio)
        how = {"start": start, "samples": 32, "replaced": replaced}
        return quick.finetuning_path(0, "90°", [1], **how)[1].key

    assert key(0.0) == key(None)
    assert len({key(ratio) for ratio in (0.0, 0.5, 1.0)}) == 3
    assert trained == [32] * 4


@pytest.fixture
def scenes() -> Scratch:
    """The embedded setting whose tasks are classes, with a recipe for few samples."""
    recipe = Recipe(epochs=1, lr=0.05, batch_size=8, masked=True)
    setting = settings.load("scenes-resnet")
    return setting.model_copy(update={"pretraining": recipe, "finetuning": recipe})


def labels(setting: Scratch, task: str) -> set[int]:
    return set(setting.images(task, "test").targets.tolist())


def test_a_seed_splits_the_classes_otherwise(scenes: Scratch) -> None:
    tasks = [scenes.pretrain, *scenes.finetune]
    splits = {seed: [labels(scenes.split_by(seed), task) for task in tasks] for seed in range(4)}
    assert splits[0] == [labels(scenes, task) for task in tasks]
    assert splits[0] == [set(range(first, first + 4)) for first in range(0, 20, 4)]
    for parts in splits.values():
        assert [len(part) for part in parts] == [4] * 5
        assert set().union(*parts) == set(range(20))
    assert len({tuple(map(frozenset, parts)) for parts in splits.values()}) == 4
    assert labels(scenes.split_by(2), tasks[1]) == splits[2][1]


def test_images_keep_their_labels_however_classes_are_split(scenes: Scratch) -> None:
    whole = scenes.images("all", "test")
    apart = scenes.split_by(3).images(scenes.finetune[0], "test")
    for label in apart.targets.unique():
        ours, theirs = (each.inputs[each.targets == label] for each in (apart, whole))
        rows = [{row.tobytes() for row in each.flatten(1).numpy()} for each in (ours, theirs)]
        assert rows[0] == rows[1]


def test_a_rotation_has_no_classes_to_split(quick: Scratch, trained: list[int]) -> None:
    first = quick.checkpoints(0, ["90°"], samples=16)
    again = quick.split_by(1).checkpoints(0, ["90°"], samples=16)
    assert same(first["90°"], again["90°"])
    assert len(trained) == 2


def test_networks_of_another_split_are_other_networks(scenes: Scratch, trained) -> None:
    first, task = scenes.finetuned(0, scenes.finetune[0], samples=16), scenes.finetune[0]
    assert first.key == scenes.split_by(0).finetuned(0, task, samples=16).key
    assert first.key != scenes.split_by(1).finetuned(0, task, samples=16).key
    assert len(trained) == 4
    # Another initial seed leaves the split as it is.
    assert labels(scenes.split_by(1), task) != labels(scenes, task)
    mixed = scenes.split_by(1).finetuned(0, task, samples=16, replaced=(scenes.pretrain, 1.0))
    assert len(trained) == 5
    bias = (
        mixed.weights()["linear.bias"]
        - scenes.split_by(1).pretrained(0, 16).weights()["linear.bias"]
    )
    donor = labels(scenes.split_by(1), scenes.pretrain)
    assert set(bias.nonzero().flatten().tolist()) <= donor


def test_heads_mask_all_but_the_classes_of_their_task(scenes: Scratch, quick: Scratch) -> None:
    setting, tasks = scenes.split_by(1), [scenes.pretrain, scenes.finetune[2]]
    heads = setting.heads(1, tasks)
    assert list(heads) == tasks
    logits = torch.randn(3, 20)
    for task, head in heads.items():
        kept = (head(logits) > -torch.inf).all(0).nonzero().flatten().tolist()
        assert set(kept) == labels(setting, task)
        assert torch.equal(head(logits)[:, kept], logits[:, kept])
    assert quick.heads(0, quick.finetune) is None
    # An image is then never taken for one of a class that its task has not.
    weights = {"PT": initial_weights(setting.build, 0)}
    streams = setting.streams(tasks, 32)
    answers = ctl.logits(setting.build(), weights, [{"PT": 1.0}], streams, heads=heads)
    assert all(set(z[0].argmax(1).tolist()) <= labels(setting, task) for task, z in answers.items())


def test_published_weights_are_named_where_there_are_some(quick: Scratch, data: Path) -> None:
    with pytest.raises(SettingError, match="digits-mlp: no published weights of mlp"):
        quick.published()
    with refused(MissingDataError, f"The pretrained ResNet-20 is not in {data}"):
        settings.load("cifar10-resnet20").published()
