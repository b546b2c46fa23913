"""Settings of text networks: what is trained, from what, only once, and how answers are scored."""

from __future__ import annotations

import pytest
import torch
from conftest import same
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data.tokens import END, Coder
from ctl_helpers.project import SettingError
from ctl_helpers.settings import tuned
from ctl_helpers.settings.text import TextSetting
from ctl_helpers.training.steps import StepRecipe, steps
from ctl_helpers.training.text_losses import Corruption

NAMES = ["text-t5", "text-llama"]


@pytest.fixture(params=NAMES)
def quick(request: pytest.FixtureRequest) -> TextSetting:
    """An embedded setting, narrow and hardly trained."""
    loaded = settings.load(request.param)
    sizes = {"width": 16, "inner": 16, "layers": 2, "heads": 2}
    return loaded.model_copy(
        update={
            "model": loaded.model.model_copy(update=sizes),
            "pretraining": StepRecipe(6, 1e-3, 32),
            "finetuning": StepRecipe(4, 1e-2, 16),
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


def test_what_is_stored_is_not_trained_again(quick: TextSetting, trained: list[int]) -> None:
    first = quick.checkpoints(0, ["topic"])
    assert trained == [6, 4]
    assert same(quick.checkpoints(0, ["topic"])["topic"], first["topic"])
    assert trained == [6, 4]
    quick.finetuned(0, "topic", order=1)
    quick.finetuned(0, "colour")
    quick.finetuned(0, "topic", samples=100)
    assert trained[2:] == [4, 4, 4]
    quick.finetuned(1, "topic")
    assert trained[5:] == [6, 4]
    quick.model_copy(update={"title": "Another"}).finetuned(0, "topic")
    assert trained[7:] == []
    quick.model_copy(update={"examples": 3}).finetuned(0, "topic")
    assert trained[7:] == [6, 4]


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


def test_a_shortened_setting_trains_a_share_of_the_steps(quick, trained: list[int]) -> None:
    quick.shortened(0.5).finetuned(0, "topic")
    assert trained == [3, 2]
    assert quick.shortened(1.0) == quick


def test_training_is_reproducible(quick: TextSetting, tmp_path, monkeypatch) -> None:
    found = []
    for number in range(2):
        monkeypatch.setenv("CTL_STORE", str(tmp_path / f"store-{number}"))
        torch.manual_seed(number)  # what else draws numbers must not matter
        found.append(quick.checkpoints(0, ["next"]))
    assert same(found[0]["PT"], found[1]["PT"])
    assert same(found[0]["next"], found[1]["next"])


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


def test_unknown_tasks_are_refused(quick: TextSetting) -> None:
    with pytest.raises(SettingError, match=f"{quick.name} has no task 'cats'; its tasks are"):
        quick.texts("cats", "test")
    with pytest.raises(SettingError, match="no task 'cats'"):
        quick.checkpoints(0, ["cats"])
    with pytest.raises(SettingError, match="no task 'cats'"):
        quick.streams(["cats"])


def test_missing_data_is_said(quick: TextSetting, monkeypatch) -> None:
    sentence = "the texts are not here: write some"
    monkeypatch.setattr(quick.data.module, "missing", lambda tasks: [sentence])
    assert quick.missing() == sentence
