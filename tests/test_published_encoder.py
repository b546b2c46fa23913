"""The setting of a published sentence encoder: the whole way from its files to tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import same
from safetensors.torch import save_file
from test_published_clip import run
from test_text_kinds import WORDS, forget, texts  # noqa: F401
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertModel

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.settings import published_encoder
from ctl_helpers.settings.published_encoder import PublishedEncoder
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.weights import published
from ctl_helpers.weights.checksums import file_checksum

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4}
SIZES |= {"num_attention_heads": 2, "max_position_embeddings": 16}
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
FEW = ["SST-2", "TREC", "Subj"]


def tokenizer() -> Tokenizer:
    """A tokenizer in the format of the published one, which pads by itself."""
    vocabulary = [*MARKS, *WORDS, "good", "bad", "a", "number", "question"]
    numbers = {token: n for n, token in enumerate(vocabulary)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_padding(length=128)
    made.enable_truncation(128)
    return made


@pytest.fixture
def tiny(texts: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedEncoder:  # noqa: F811
    """The setting with a small network in the published one's format, and a short recipe."""
    setting = settings.load("real-minilm")
    sizes = {**SIZES, "vocab_size": tokenizer().get_vocab_size()}
    folder = texts / "weights" / setting.model.pretrained
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    state = BertModel(BertConfig(**sizes)).state_dict()
    save_file(
        {name: 10 * part for name, part in state.items()}
        | {"embeddings.position_ids": torch.arange(sizes["max_position_embeddings"])[None]},
        folder / "model.safetensors",
    )
    tokenizer().save(str(folder / "tokenizer.json"))
    known = published.NETWORKS[setting.model.pretrained]
    sums = {name: file_checksum(folder / name) for name in known.checksums}
    networks = {setting.model.pretrained: replace(known, checksums=sums)}
    for module in (published, published_encoder):
        monkeypatch.setattr(module, "NETWORKS", networks)
    update = {
        "model": setting.model.model_copy(update=sizes),
        "finetuning": StepRecipe(2, 1e-3, 8, warmup=1),
        "longest": 12,
    }
    return setting.model_copy(update=update)


def test_what_is_missing_is_said(tiny: PublishedEncoder, texts: Path) -> None:  # noqa: F811
    assert tiny.missing() is None
    (texts / "weights" / "all-MiniLM-L6-v2" / "model.safetensors").unlink()
    assert re.match(r"all-MiniLM-L6-v2 is not in \S+: run `ctl data real-minilm`", tiny.missing())
    (texts / "TREC" / "TREC_10.label").unlink()
    assert tiny.missing().startswith("TREC is not in")
    assert tiny.missing().endswith("(one more file or set is missing)")


def test_heads_are_the_networks_own_vectors_of_prompts(tiny: PublishedEncoder) -> None:
    model, coder = tiny.build().eval(), tiny.coder()
    model.load_state_dict(tiny.pretrained(0).weights())

    def vector(text: str) -> Tensor:
        with torch.no_grad():
            return F.normalize(model(torch.tensor(coder.prompts([text]))), dim=1)[0]

    names, forms = (f("TREC") for f in (tiny.data.module.class_names, tiny.data.module.templates))
    expected = torch.stack(
        [F.normalize(sum(vector(form.format(name)) for form in forms), dim=0) for name in names]
    )
    heads = tiny.heads(0, ["TREC", "STS-B"])
    assert torch.allclose(heads["TREC"].classes, expected, atol=1e-5)
    assert heads["TREC"].scale == tiny.logit_scale
    assert heads["STS-B"](torch.eye(2).expand(3, 2, 2)).tolist() == pytest.approx([-3.0] * 3)


def test_streams_have_each_sample_once_by_length(tiny: PublishedEncoder) -> None:
    stream = tiny.streams(["TREC"], 33, 10)["TREC"]
    whole, coder = tiny.loaded("TREC", "test", 33), tiny.coder()
    rows = {tuple(coder.prompts(t)[0]): y for t, y in zip(whole.texts, whole.targets, strict=True)}
    seen = []
    for inputs, targets in stream:
        lengths = inputs["attention_mask"].sum(1).tolist()
        ids = [tuple(row[:n].tolist()) for row, n in zip(inputs["input_ids"], lengths, strict=True)]
        assert all(rows[row] == target for row, target in zip(ids, targets, strict=True))
        seen.append(ids)
    assert sorted(row for ids in seen for row in ids) == sorted(rows)
    spans = sorted((min(map(len, ids)), max(map(len, ids))) for ids in seen)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    inputs, targets = tiny.streams(["STS-B"], 6)["STS-B"][0]
    assert inputs["input_ids"].shape[:2] == (6, 2)
    assert targets.is_floating_point()


def test_networks_start_from_the_published_one_or_from_none(tiny: PublishedEncoder) -> None:
    found = tiny.checkpoints(0, FEW)
    assert same(found["PT"], tiny.checkpoints(1, [])["PT"])
    assert not same(found["SST-2"], tiny.checkpoints(1, ["SST-2"])["SST-2"])
    assert found["SST-2"].keys() == found["PT"].keys()
    scratch = tiny.strangers(0, FEW)["scratch"]
    assert scratch.keys() == found.keys()
    assert not same(scratch["PT"], found["PT"])
    assert not same(scratch["PT"], tiny.strangers(1, [])["scratch"]["PT"])
    moved = [(scratch[name]["embeddings.LayerNorm.weight"] - 1).abs().max() for name in FEW]
    assert all(0 < far < 0.1 for far in moved)
    variants = tiny.variants(0, "TREC", [1e-3, 1e-2], [0])
    strange = tiny.strange_variants(0, "TREC", [1e-3, 1e-2], [0])["foreign"]
    assert [*strange] == ["PT", *variants]
    assert same(strange["PT"], scratch["PT"])


SECTIONS = {
    "4_3": {"samples": 4, "feature_samples": 3, "stitch_samples": 2, "scalings": [0.4]},
    "4_1": {"test_samples": 3, "alphas": [0.5]},
    "4_2": {"task": "TREC", "rates": [1e-3, 3e-3, 1e-2], "orders": [0], "samples": 6},
    "4_2_many": {"tasks": FEW, "draws": 1, "test_samples": 3},
    "many_tasks": {"tasks": FEW, "draws": 1, "test_samples": 3, "score_samples": 3},
    "A": {"samples": 3, "scalings": [0.4]},
    "linear": {
        "steps": None, "rates": [1e-3, 3e-3], "widenings": 0, "common_rate": 1e-3,
        "search_tasks": ["TREC"], "samples": 3, "held_out_samples": 3, "map_tasks": FEW[:2],
        "alpha_steps": 4, "map_alphas": [-1.0, 0.0, 1.0], "map_samples": 2, "batch_size": 8,
        "repeats": 1,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_goes_the_whole_way(
    section: str, tiny: PublishedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tiny.model_copy(update={"finetune": FEW})
    monkeypatch.setattr(settings, "load", lambda name: few)
    table = run(section, tmp_path / "tables", setting_name=few.name, **SECTIONS[section])
    name = {"4_3": "eq2_controls"}.get(section, "controls")
    found = table(name)
    wanted = ["task vectors", "pretrained apart", "from random weights", "random vectors"]
    assert list(dict.fromkeys(found["control"])) == [*wanted, "other samples"]
    assert found["layer"].nunique() == SIZES["num_hidden_layers"]
    if section == "4_3":
        negation = table("stitched_negation")
        assert set(negation.loc[negation["role"] == "D_PT", "chance"]) == {0.0}
        assert table("nearest")["i"].tolist() == FEW
    if section == "4_1":
        assert set(table("accuracy")["task"]) == {"STS-B", *FEW}


def accuracy(setting: PublishedEncoder, tasks: Sequence[str], samples: int | None) -> list[float]:
    """The pretrained network's."""
    asked = [ctl.Evaluation({"PT": 1.0}, tasks)]
    weights, heads = {"PT": setting.pretrained(0).weights()}, setting.heads(0, tasks)
    table = ctl.evaluate(
        setting.build(), weights, asked, setting.streams(tasks, samples), heads=heads
    )
    return table["accuracy"].tolist()


@pytest.mark.slow
def test_the_published_network_is_the_one_that_was_published(real_data) -> None:
    real_data("weights/all-MiniLM-L6-v2")
    forget()
    setting = settings.load("real-minilm")
    assert setting.missing() is None
    (likeness,) = accuracy(setting, ["STS-B"], 500)
    assert likeness == pytest.approx(0.867, abs=0.005)
    known = pytest.approx([0.78, 0.55], abs=0.08)
    assert accuracy(setting, ["AG News", "TREC"], 300) == known
