"""Settings of CLIP and text networks: what is trained, from what, only once, how it is scored."""

from __future__ import annotations

import pytest
import torch
from conftest import refused, same
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data.tokens import END, Coder
from ctl_helpers.project import SettingError
from ctl_helpers.settings import tuned
from ctl_helpers.settings.clip import ClipSetting
from ctl_helpers.settings.text import TextSetting
from ctl_helpers.settings.tuned import Tuned
from ctl_helpers.training.steps import StepRecipe, steps
from ctl_helpers.training.text_losses import Corruption

NAMES = ["text-t5", "text-llama"]
SIZES = {name: {"width": 16, "inner": 16, "layers": 2, "heads": 2} for name in NAMES}
SIZES["scenes-clip"] = {"width": 32, "layers": 2, "heads": 2, "embedding": 24, "text_width": 16}


def hardly_trained(name: str) -> Tuned:
    """An embedded setting, narrow and with few steps."""
    loaded = settings.load(name)
    return loaded.model_copy(
        update={
            "model": loaded.model.model_copy(update=SIZES[name]),
            "pretraining": StepRecipe(6, 1e-3, 32),
            "finetuning": StepRecipe(4, 1e-3 if name == "scenes-clip" else 1e-2, 16),
        }
    )


@pytest.fixture(params=NAMES)
def quick(request: pytest.FixtureRequest) -> TextSetting:
    return hardly_trained(request.param)


@pytest.fixture
def quick_clip() -> ClipSetting:
    return hardly_trained("scenes-clip")


@pytest.fixture(params=SIZES)
def any_quick(request: pytest.FixtureRequest) -> Tuned:
    return hardly_trained(request.param)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of steps of each training that really runs."""
    runs = []

    def counting(model, loss, samples, start, recipe, seed):
        runs.append(recipe.steps - start.done)
        return steps(model, loss, samples, start, recipe, seed)

    monkeypatch.setattr(tuned, "steps", counting)
    return runs


def test_fine_tuning_starts_at_the_pretrained_network(quick: TextSetting) -> None:
    found = quick.checkpoints(0, ["topic", "next"])
    assert list(found) == ["PT", "topic", "next"]
    assert all(state.keys() == quick.build().state_dict().keys() for state in found.values())
    assert same(found["PT"], quick.pretrained(0).weights())
    model = [ctl.Evaluation({name: 1.0}, ["topic"], {"name": name}) for name in ("PT", "topic")]
    seen = {"topic": quick.coder().batches(quick.texts("topic", "train", 400), 200)}
    loss = ctl.evaluate(quick.build(), found, model, seen).set_index("name")["loss"]
    assert loss["topic"] < loss["PT"]
    assert quick.heads(0, ["topic"]) is None
    assert quick.missing() is None


def test_what_is_stored_is_not_trained_again(any_quick: Tuned, trained: list[int]) -> None:
    task, other = any_quick.finetune[:2]
    first = any_quick.checkpoints(0, [task])
    assert trained == [6, 4]
    assert same(any_quick.checkpoints(0, [task])[task], first[task])
    assert trained == [6, 4]
    any_quick.finetuned(0, task, order=1)
    any_quick.finetuned(0, other)
    any_quick.finetuned(0, task, recipe=StepRecipe(5, 1e-3, 16))
    assert trained[2:] == [4, 4, 5]
    any_quick.finetuned(1, task)
    assert trained[5:] == [6, 4]
    any_quick.model_copy(update={"title": "Another"}).finetuned(0, task)
    assert trained[7:] == []
    clip = isinstance(any_quick, ClipSetting)
    change = {"logit_scale": 20.0} if clip else {"examples": 3}
    any_quick.model_copy(update=change).finetuned(0, task)
    assert trained[7:] == ([4] if clip else [6, 4])


def test_a_number_of_samples_is_another_training(quick: TextSetting, trained: list[int]) -> None:
    quick.finetuned(0, "topic")
    quick.finetuned(0, "topic", samples=100)
    assert trained == [6, 4, 4]


def test_a_shortened_setting_trains_a_share_of_the_steps(any_quick, trained: list[int]) -> None:
    any_quick.shortened(0.5).finetuned(0, any_quick.finetune[0])
    assert trained == [3, 2]
    assert any_quick.shortened(1.0) == any_quick


def test_training_is_reproducible(any_quick: Tuned, tmp_path, monkeypatch) -> None:
    found, last = [], any_quick.finetune[-1]
    for number in range(2):
        monkeypatch.setenv("CTL_STORE", str(tmp_path / f"store-{number}"))
        torch.manual_seed(number)  # what else draws numbers must not matter
        found.append(any_quick.checkpoints(0, [last]))
    assert same(found[0]["PT"], found[1]["PT"])
    assert same(found[0][last], found[1][last])


def test_unknown_tasks_are_refused(any_quick: Tuned) -> None:
    load = any_quick.images if isinstance(any_quick, ClipSetting) else any_quick.texts
    with refused(SettingError, f"{any_quick.name} has no task 'cats'; its tasks are"):
        load("cats", "test")
    for ask in (lambda: any_quick.checkpoints(0, ["cats"]), lambda: any_quick.streams(["cats"])):
        with refused(SettingError, "no task 'cats'"):
            ask()


def test_checkpoints_are_image_towers_from_one_start(quick_clip: ClipSetting) -> None:
    found = quick_clip.checkpoints(0, ["digits", "signs"])
    assert list(found) == ["PT", "digits", "signs"]
    assert all(state.keys() == quick_clip.build().state_dict().keys() for state in found.values())
    whole = quick_clip.pretrained(0).weights()
    assert same(found["PT"], {key: whole[key] for key in found["PT"]})
    model = [ctl.Evaluation({name: 1.0}, ["digits"], {"name": name}) for name in ("PT", "digits")]
    seen = {"digits": quick_clip.images("digits", "train").batches(500)}
    heads = quick_clip.heads(0, ["digits"])
    table = ctl.evaluate(quick_clip.build(), found, model, seen, heads=heads)
    loss = table.set_index("name")["loss"]
    assert loss["digits"] < loss["PT"]


def test_heads_come_from_the_text_tower_and_all_templates(quick_clip: ClipSetting) -> None:
    heads = quick_clip.heads(0, quick_clip.finetune)
    classes = {task: len(quick_clip.data.module.class_names(task)) for task in quick_clip.finetune}
    for task, head in heads.items():
        assert head.classes.shape == (classes[task], 24)
        assert head.scale == quick_clip.logit_scale
    names = quick_clip.data.module.class_names("digits")
    words, clip = quick_clip._words(), quick_clip.clip().eval()
    clip.load_state_dict(quick_clip.pretrained(0).weights())
    with torch.no_grad():
        unit = torch.nn.functional.normalize
        each = [
            unit(clip.encode_text(words([form.format(names[3])])), dim=1)
            for form in quick_clip.data.module.templates("digits")
        ]
    expected = unit(torch.stack(each).mean(0), dim=1)[0]
    assert torch.allclose(heads["digits"].classes[3], expected, atol=1e-6)


def test_weights_depend_on_corruption_and_not_on_what_becomes_a_feature(trained) -> None:
    recipes = {"pretraining": StepRecipe(2, 1e-3, 8)}
    t5, llama = (settings.load(name).model_copy(update=recipes) for name in NAMES)
    t5.pretrained(0)
    t5.model_copy(update={"corruption": Corruption(0.5, 2)}).pretrained(0)
    llama.pretrained(0)
    assert trained == [2, 2, 2]
    pooled = llama.model_copy(update={"model": llama.model.model_copy(update={"pool": "answer"})})
    assert same(pooled.pretrained(0).weights(), llama.pretrained(0).weights())
    assert trained == [2, 2, 2]
    assert (llama.build().pool, pooled.build().pool) == ("last", "answer")


def test_pretraining_sees_documents_and_examples_of_each_task(quick: TextSetting) -> None:
    _, loss, samples = quick.model_copy(update={"examples": 7}).pretraining_job(0)
    documents = len(quick.data.module.pretraining())
    assert samples == documents + 7 * len(quick.finetune)
    seen = Recorder(quick.build())
    loss(seen, torch.tensor([documents, documents + 7, samples - 1]))
    first, second, last = seen.texts(quick.coder())
    for text, task in ((first, "sentiment"), (second, "topic"), (last, "next")):
        shown = quick.texts(task, "pretrain", 7)
        place = 6 if task == "next" else 0
        assert shown.sources[place] in text
        assert text.endswith(f"{shown.targets[place]} {END}")


class Recorder(nn.Module):
    """Runs a network and keeps what it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **keywords: Tensor) -> Tensor:
        self.keywords = keywords
        return self.model(**keywords)

    def texts(self, coder: Coder) -> list[str]:
        """All tokens of each sample, padding left out, and the end that is to be predicted."""
        ids = torch.cat([self.keywords["input_ids"], self.keywords["answer_ids"]], 1)
        rows = [[*row[row != coder.pad].tolist(), coder.end] for row in ids]
        return [coder._tokenizer.decode(row, skip_special_tokens=False) for row in rows]


def test_accuracy_is_exact_match_of_greedy_decoding(quick: TextSetting) -> None:
    """On the network's own answers, some of them changed, since it was hardly trained."""
    from transformers import LlamaForCausalLM, T5ForConditionalGeneration

    model, coder = quick.build().eval(), quick.coder()
    kind = T5ForConditionalGeneration if "t5" in quick.name else LlamaForCausalLM
    theirs = kind(model.config).eval()
    theirs.load_state_dict(model.state_dict(), strict=False)
    prompts = coder.prompts(quick.texts("topic", "test", 20).sources)
    rows, hits = [], 0
    for number, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        made = theirs.generate(ids, do_sample=False, max_new_tokens=1 + number % 4)[0].tolist()
        answer = made[1:] if "t5" in quick.name else made[len(prompt) :]
        if number % 3 == 0:
            place = number % len(answer)
            answer[place] = (answer[place] + 1) % model.config.vocab_size
        hits += number % 3 != 0
        rows.append((prompt, answer))
    batches = [coder.padded(rows[:13]), coder.padded(rows[13:])]
    weights = {"a": model.state_dict()}
    (row,) = ctl.evaluate(model, weights, [ctl.Evaluation({"a": 1.0})], batches).to_dict("records")
    assert (row["n"], row["accuracy"]) == (20, pytest.approx(hits / 20))


def test_features_do_not_depend_on_the_batch(quick: TextSetting) -> None:
    names, weights = quick.finetune[:2], quick.checkpoints(0, quick.finetune[:2])
    pairs = ctl.addition("PT", names, [0.4])
    model = quick.build()
    small, large = (
        ctl.compare(model, weights, pairs, quick.streams(names, 30, batch_size=size))
        for size in (7, 60)
    )
    values = ["mean", "median"]
    assert (small[values] - large[values]).abs().max().max() < 1e-5
    assert set(small.n) == {60}


def test_the_majority_answer_is_a_baseline(quick: TextSetting) -> None:
    train, test = (quick.texts("sentiment", split) for split in ("train", "test"))
    most = max(["good", "bad"], key=train.targets.count)
    assert quick.majority("sentiment") == test.targets.count(most) / len(test)


def test_missing_data_is_said(quick: TextSetting, monkeypatch) -> None:
    sentence = "the texts are not here: write some"
    monkeypatch.setattr(quick.data.module, "missing", lambda tasks: [sentence])
    assert quick.missing() == sentence
