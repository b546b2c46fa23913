"""The setting of a published language model: the whole way from its GGUF file to tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gguf_files
import pytest
import torch
import torch.nn.functional as F
from conftest import refused, same
from test_published_clip import run
from test_real_texts import squad
from test_text_kinds import forget, texts  # noqa: F401
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data.sets import prompted_kinds
from ctl_helpers.data.sets.prompted_kinds import RUNNING
from ctl_helpers.models.choices import Choices
from ctl_helpers.project import MissingDataError
from ctl_helpers.settings import tuned_llama
from ctl_helpers.settings.tuned_llama import TunedLlama
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import gguf_file, published
from ctl_helpers.weights.checksums import file_checksum

FEW = ["SST-2", "TREC", "Banking77"]
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def small(texts: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TunedLlama]:  # noqa: F811
    """The setting with a small network in the published one's format, and a short recipe."""
    setting = settings.load("real-smollm2")
    known = published.NETWORKS[setting.model.pretrained]
    folder = texts / known.folder
    folder.mkdir(parents=True)
    gguf_files.write(folder / FILE, gguf_files.network())
    networks = {setting.model.pretrained: replace(known, checksums=sums(folder, FILE))}
    for module in (published, tuned_llama):
        monkeypatch.setattr(module, "NETWORKS", networks)
    files = prompted_kinds.FILES
    (texts / files.folder).mkdir()
    squad(texts / files.folder)
    files = replace(files, checksums=sums(texts / files.folder, *files.checksums))
    monkeypatch.setattr(prompted_kinds, "FILES", files)
    update = {
        "model": setting.model.model_copy(update=gguf_files.SIZES),
        "finetuning": StepRecipe(2, 1e-3, 8, warmup=1),
        "finetune": FEW,
    }
    prompted_kinds._paragraphs.cache_clear()
    yield setting.model_copy(update=update)
    prompted_kinds._paragraphs.cache_clear()
    forget()


def sums(folder: Path, *names: str) -> dict[str, str]:
    return {name: file_checksum(folder / name) for name in names}


def test_a_file_gives_the_network_that_was_written(tmp_path: Path) -> None:
    whole = gguf_files.network()
    gguf_files.write(tmp_path / FILE, whole)
    found = gguf_file.read_llama(tmp_path / FILE)
    expected = {k: v for k, v in whole.state_dict().items() if k != "lm_head.weight"}
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        # 16 numbers between the least and the largest of 32 weights, or 255, or all of them.
        off = (found[name] - weights).abs().max() / weights.abs().max()
        assert off < (1e-9 if weights.dim() == 1 else 0.08), name
        assert found[name].dtype == torch.float32
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(found[name], expected[name])


def test_a_file_gives_the_tokenizer_that_was_written(tmp_path: Path) -> None:
    gguf_files.write(tmp_path / FILE, gguf_files.network())
    found, expected = gguf_file.read_tokenizer(tmp_path / FILE), gguf_files.tokenizer()
    text = " positive card, Emotion é\n"
    assert found.encode(text).ids == expected.encode(text, add_special_tokens=False).ids
    assert found.decode(found.encode("Review: a card\nof 2024").ids) == "Review: a card\nof 2024"
    digits = [token for token in found.encode("card 2024").tokens if token.strip("Ġ").isdigit()]
    assert digits == ["2", "0", "2", "4"]
    assert found.encode("<|im_end|>").ids == [2]


def test_another_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    path = tmp_path / FILE
    with refused(MissingDataError, "there is no weight file"):
        gguf_file.read_llama(path)
    path.write_bytes(b"GGUF")
    with refused(MissingDataError, "is damaged or incomplete"):
        gguf_file.read_llama(path)
    gguf_files.write(path, gguf_files.network(), kind="qwen2")
    with refused(ValueError, "holds a network of the kind 'qwen2'"):
        gguf_file.read_llama(path)


def test_what_is_missing_is_said(small: TunedLlama, texts: Path, monkeypatch) -> None:  # noqa: F811
    assert small.missing() is None
    with monkeypatch.context() as patched:
        patched.setattr(published, "find_spec", lambda name: None)
        assert "run `pip install 'ctl-helpers[gguf]'`" in small.missing()
    (texts / "weights" / "SmolLM2-135M-Instruct" / FILE).unlink()
    assert "run `ctl data real-smollm2` to download it" in small.missing()
    (texts / "SQuAD" / "squad_v1.1_20_articles.json").unlink()
    assert small.missing().startswith("The part of SQuAD is not in")


def pretrained(setting: TunedLlama) -> torch.nn.Module:
    model = setting.build().eval()
    model.load_state_dict(setting.pretrained(0).weights())
    return model


@torch.no_grad()
@pytest.mark.parametrize("task", ["SST-2", "Banking77"])
def test_answers_score_as_they_do_one_by_one(task: str, small: TunedLlama) -> None:
    model, coder = pretrained(small), small.coder()
    inputs, targets = small.streams([task], 12, 5)[task][0]
    scores = small.heads(0, [task])[task](model(**inputs))
    answers = prompted_kinds.answers(task)
    assert scores.shape == (len(targets), len(answers))
    for row, ids in enumerate(inputs["input_ids"]):
        prompt = ids[inputs["attention_mask"][row].bool()][None]
        for number, answer in enumerate(coder.plain(answers)):
            likely = model(prompt, answer_ids=torch.tensor([answer[:-1]]).long())[0].log_softmax(-1)
            alone = likely[range(len(answer)), answer].mean()
            assert scores[row, number] == pytest.approx(alone.item(), abs=1e-4)


def test_answers_share_what_they_begin_with() -> None:
    choices = Choices.of([[5, 6], [5, 6, 7], [5, 8], [9]])
    assert choices.ids.tolist() == [5, 6]
    assert choices.parents.tolist() == [0, 1]
    assert choices.places.tolist() == [0, 1, 0, 1, 2, 0, 1, 0]
    assert choices.inputs(3)["answer_ids"].tolist() == [[5, 6]] * 3


@torch.no_grad()
def test_exact_match_is_that_of_greedy_decoding(small: TunedLlama) -> None:
    model, coder = pretrained(small), small.coder()
    prompt = torch.tensor(coder.prompts(["Review: a card\nSentiment:"]))
    written: list[int] = []
    for _ in range(3):
        likeliest = model(prompt, answer_ids=torch.tensor([written]).long())[0, -1].argmax()
        written.append(int(likeliest))
    other = [written[0], written[1] + 1]
    for answers, expected in (
        ([other, written], 1),
        ([written[:1], other, written], 2),  # the longer of two that are written
        ([other, [*written[1:], written[0] + 1]], 2),  # none of them
    ):
        choices = Choices.of(answers)
        scores = choices.greedy(model(prompt, **choices.inputs(1)))
        assert scores.shape == (1, len(answers) + 1)
        assert scores.argmax(-1).tolist() == [expected]


def test_prompts_are_cut_before_the_line_that_asks(small: TunedLlama) -> None:
    coder = small.model_copy(update={"longest": 30}).coder()
    asked = (f"Review: {said}\nSentiment:" for said in (50 * "a b ", "a"))
    long, short = coder.prompts(asked)
    (last,) = coder.plain(["\nSentiment:"])
    assert len(long) == 30
    assert long[-len(last) :] == last == short[-len(last) :]
    assert coder.rows(small.texts("SST-2", "train", 1))[0][1] in coder.plain(
        prompted_kinds.answers("SST-2")
    )


@torch.no_grad()
def test_running_text_is_scored_token_by_token(small: TunedLlama) -> None:
    model, stream = pretrained(small), small.streams([RUNNING], 5, 2)
    table = ctl.evaluate(
        model,
        {"PT": model.state_dict()},
        [ctl.Evaluation({"PT": 1.0})],
        stream,
        heads=small.heads(0, [RUNNING]),
    )
    pieces = small.coder().prompts(small.texts(RUNNING, "test", 5).sources)
    losses: list[Tensor] = []
    for ids in map(torch.tensor, pieces):
        logits = model(ids[None, :1], answer_ids=ids[None, 1:-1])[0]
        losses.append(F.cross_entropy(logits, ids[1:], reduction="none"))
    assert table["n"].item() == sum(map(len, losses))
    assert table["loss"].item() == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)


def test_networks_start_from_the_published_one_or_from_none(small: TunedLlama) -> None:
    found = small.checkpoints(0, FEW[:1])
    assert same(found["PT"], small.checkpoints(1, [])["PT"])
    assert not same(found["SST-2"], small.checkpoints(1, FEW[:1])["SST-2"])
    foreign = small.strangers(0, FEW[:1])["foreign"]
    assert foreign.keys() == found.keys()
    assert not same(foreign["PT"], found["PT"])


def test_streamed_and_held_runs_agree(small: TunedLlama) -> None:
    checkpoints = small.checkpoints(0, FEW[:2])
    asked, streams = ctl.pairs(FEW[:2], [0.5]), small.streams([*FEW, RUNNING], 4)
    for model in small.readings().values():
        held, streamed = (
            ctl.compare(model, checkpoints, asked, streams, stream=way) for way in (False, True)
        )
        assert held["layer"].nunique() == gguf_files.SIZES["num_hidden_layers"]
        close = pytest.approx(streamed["mean"].to_numpy(), rel=1e-4, abs=1e-6)
        assert held["mean"].to_numpy() == close
    score = [ctl.Evaluation({"SST-2": 0.5, "TREC": 0.5})]
    heads = small.heads(0, [*FEW, RUNNING])
    held, streamed = (
        ctl.evaluate(model, checkpoints, score, streams, heads=heads, stream=way)
        for way in (False, True)
    )
    assert held["loss"].to_numpy() == pytest.approx(streamed["loss"].to_numpy(), rel=1e-5)


SECTIONS = {
    "4_3_text": {
        "samples": 4,
        "feature_samples": 3,
        "scalings": [0.4],
        "lambdas": [0.4],
        "draws": 1,
    },
    "4_1": {"test_samples": 3, "alphas": [0.5]},
    "4_2_many": {"tasks": FEW, "draws": 1, "test_samples": 3},
    "A": {"samples": 3, "scalings": [0.4]},
}


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_goes_the_whole_way(
    section: str, small: TunedLlama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "load", lambda name: small)
    table = run(section, tmp_path / "tables", setting_name=small.name, **SECTIONS[section])
    found = table("eq2_controls" if section == "4_3_text" else "controls")
    wanted = ["task vectors", "pretrained apart", "random vectors", "other samples"]
    assert list(dict.fromkeys(found["control"])) == wanted
    assert found["layer"].nunique() == gguf_files.SIZES["num_hidden_layers"]
    if section == "4_3_text":
        assert set(table("kept")["task"]) == {RUNNING}
        assert table("accuracy")["exact"].between(0, 1).all()
        assert table("readings")["reading"].nunique() == 2


@pytest.mark.slow
@torch.no_grad()
def test_the_published_network_is_the_one_that_was_published(real_data) -> None:
    real_data("weights/SmolLM2-135M-Instruct")
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    setting = settings.load("real-smollm2")
    model, coder = pretrained(setting), setting.coder()
    assert sum(weights.numel() for weights in model.parameters()) == 134_515_008
    (ids,) = coder.plain(["The capital of France is Paris. It lies on the river Seine."])
    ids = torch.tensor([ids])
    logits = model(ids[:, :1], answer_ids=ids[:, 1:-1])
    assert F.cross_entropy(logits[0], ids[0, 1:]).item() == pytest.approx(2.40, abs=0.01)
    (asked,) = coder.plain(["The capital of France is"])
    assert coder.plain([" Paris"])[0] == model(torch.tensor([asked]))[0].argmax(-1).tolist()
