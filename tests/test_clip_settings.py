"""Settings of CLIP: what is trained, from what, under which heads, and only once."""

from __future__ import annotations

import pytest
import torch
from conftest import same

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.project import SettingError
from ctl_helpers.settings import tuned
from ctl_helpers.settings.clip import ClipSetting
from ctl_helpers.training.steps import StepRecipe, steps


@pytest.fixture
def quick() -> ClipSetting:
    """The embedded setting, narrow and hardly trained."""
    loaded = settings.load("scenes-clip")
    sizes = {"width": 32, "layers": 2, "heads": 2, "embedding": 24, "text_width": 16}
    return loaded.model_copy(
        update={
            "model": loaded.model.model_copy(update=sizes),
            "pretraining": StepRecipe(6, 1e-3, 32),
            "finetuning": StepRecipe(4, 1e-3, 16),
        }
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of steps of each training that really runs."""
    runs = []

    def counting(model, loss, samples, start, recipe, seed):
        runs.append(recipe.steps - start.done)
        return steps(model, loss, samples, start, recipe, seed)

    monkeypatch.setattr(tuned, "steps", counting)
    return runs


def test_checkpoints_are_image_towers_from_one_start(quick: ClipSetting) -> None:
    found = quick.checkpoints(0, ["digits", "signs"])
    assert list(found) == ["PT", "digits", "signs"]
    assert all(state.keys() == quick.build().state_dict().keys() for state in found.values())
    whole = quick.pretrained(0).weights()
    assert same(found["PT"], {key: whole[key] for key in found["PT"]})
    model = [ctl.Evaluation({name: 1.0}, ["digits"], {"name": name}) for name in ("PT", "digits")]
    seen = {"digits": quick.images("digits", "train").batches(500)}
    heads = quick.heads(0, ["digits"])
    loss = ctl.evaluate(quick.build(), found, model, seen, heads=heads).set_index("name")["loss"]
    assert loss["digits"] < loss["PT"]


def test_heads_come_from_the_text_tower_and_all_templates(quick: ClipSetting) -> None:
    heads = quick.heads(0, quick.finetune)
    classes = {task: len(quick.data.module.class_names(task)) for task in quick.finetune}
    for task, head in heads.items():
        assert head.classes.shape == (classes[task], 24)
        assert head.scale == quick.logit_scale
    names = quick.data.module.class_names("digits")
    words, clip = quick._words(), quick.clip().eval()
    clip.load_state_dict(quick.pretrained(0).weights())
    with torch.no_grad():
        unit = torch.nn.functional.normalize
        each = [
            unit(clip.encode_text(words([form.format(names[3])])), dim=1)
            for form in quick.data.module.templates("digits")
        ]
    expected = unit(torch.stack(each).mean(0), dim=1)[0]
    assert torch.allclose(heads["digits"].classes[3], expected, atol=1e-6)


def test_what_is_stored_is_not_trained_again(quick: ClipSetting, trained: list[int]) -> None:
    first = quick.checkpoints(0, ["digits"])
    assert trained == [6, 4]
    assert same(quick.checkpoints(0, ["digits"])["digits"], first["digits"])
    assert trained == [6, 4]
    quick.finetuned(0, "digits", order=1)
    quick.finetuned(0, "digits", recipe=StepRecipe(5, 1e-3, 16))
    quick.finetuned(0, "signs")
    assert trained[2:] == [4, 5, 4]
    quick.finetuned(1, "digits")
    assert trained[5:] == [6, 4]
    quick.model_copy(update={"title": "Another"}).finetuned(0, "digits")
    quick.model_copy(update={"logit_scale": 20.0}).finetuned(0, "digits")
    assert trained[7:] == [4]


def test_a_shortened_setting_trains_a_share_of_the_steps(quick, trained: list[int]) -> None:
    quick.shortened(0.5).finetuned(0, "digits")
    assert trained == [3, 2]
    assert quick.shortened(1.0) == quick


def test_training_is_reproducible(quick: ClipSetting, tmp_path, monkeypatch) -> None:
    found = []
    for number in range(2):
        monkeypatch.setenv("CTL_STORE", str(tmp_path / f"store-{number}"))
        torch.manual_seed(number)  # what else draws numbers must not matter
        found.append(quick.checkpoints(0, ["signs"]))
    assert same(found[0]["PT"], found[1]["PT"])
    assert same(found[0]["signs"], found[1]["signs"])


def test_unknown_tasks_are_refused(quick: ClipSetting) -> None:
    with pytest.raises(SettingError, match="scenes-clip has no task 'cats'; its tasks are"):
        quick.images("cats", "test")
    with pytest.raises(SettingError, match="no task 'cats'"):
        quick.checkpoints(0, ["cats"])
