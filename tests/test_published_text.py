"""Published text networks: files as transformers writes them give the networks that they had."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import refused
from test_instructions import made  # noqa: F401
from test_names import cache, snapshot  # noqa: F401
from test_nlp6 import WRITERS, small  # noqa: F401
from test_published_clip import run
from tokenizers import Tokenizer, processors
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.data import tokens
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.settings.published_text import PublishedText
from ctl_helpers.weights import hub

WORDS = ["the", "film", "a", "dog", "answers", "question", "context", "field", "look", "test"]
T5_SIZES = {"vocab_size": 300, "d_model": 16, "d_kv": 4, "d_ff": 24}
T5_SIZES |= {"num_layers": 3, "num_heads": 4}
LLAMA_SIZES = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 24, "rms_norm_eps": 1e-5}
LLAMA_SIZES |= {"num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 512}
Saver = Callable[[nn.Module, str], Path]


def tokenizer(before: bool) -> Tokenizer:
    """A small byte-level tokenizer with the marks of T5 (``</s>`` behind) or Llama (before)."""
    marks = ("<unk>", "<s>", "</s>") if before else ("<pad>", "</s>", "<unk>")
    found = tokens.byte_pairs(WORDS, 300, marks)
    single = ["<s>", "$A"] if before else ["$A", "</s>"]
    (mark,) = {*single} - {"$A"}
    found.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(mark, found.token_to_id(mark))]
    )
    return found


def near(model: nn.Module, seed: int, scale: float = 0.02) -> nn.Module:
    """A network that fine-tuning might have made of this one."""
    generator = torch.Generator().manual_seed(seed)
    tuned = copy.deepcopy(model)
    with torch.no_grad():
        for value in tuned.parameters():
            noise = torch.randn(value.shape, generator=generator)
            value.add_(scale * value.norm() / value.numel() ** 0.5 * noise)
    return tuned


def random_llama(tokens_added: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = LLAMA_SIZES | {"vocab_size": LLAMA_SIZES["vocab_size"] + tokens_added}
    return LlamaForCausalLM(LlamaConfig(**sizes)).eval()


@pytest.fixture
def save(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Saver:  # noqa: F811
    """Puts a network into the hub's cache as transformers saves it."""

    def into_cache(model: nn.Module, repo: str, **options: object) -> Path:
        revision = hub.COMMITS.get(repo) or f"{len(repo):040x}"
        monkeypatch.setitem(hub.COMMITS, repo, revision)
        monkeypatch.delitem(hub._FILES, repo, raising=False)
        folder = snapshot(cache, repo, revision)
        if options.pop("form", "safetensors") == "bin":
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        else:
            model.save_pretrained(folder, **options)
        return folder

    return into_cache


def shrunk(name: str, sizes: dict[str, object], tasks: list[str]) -> PublishedText:
    """A setting with a smaller network and fewer tasks."""
    setting = settings.load(name)
    model = setting.model.model_copy(update=sizes)
    return setting.model_copy(update={"model": model, "finetune": tasks})


@pytest.fixture
def t5(save: Saver) -> tuple[PublishedText, dict[str, nn.Module]]:
    """Three small T5s: sharded safetensors in bfloat16, one file, and an old ``.bin``."""
    setting = shrunk("nlp6-t5-base", T5_SIZES, ["IMDB", "SQuAD"])
    torch.manual_seed(0)
    marks = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    models = {"PT": T5ForConditionalGeneration(T5Config(**T5_SIZES, **marks)).eval()}
    models |= {task: near(models["PT"], number) for number, task in enumerate(setting.finetune)}
    models["IMDB"] = models["IMDB"].bfloat16()
    folder = save(models["PT"], setting.model.pretrained)
    tokenizer(before=False).save(str(folder / "tokenizer.json"))
    sharded = save(models["IMDB"], setting.repositories["IMDB"], max_shard_size="8KB")
    assert (sharded / "model.safetensors.index.json").is_file()
    save(models["SQuAD"], setting.repositories["SQuAD"], form="bin")
    return setting, models


def write_texts(root: Path, *kinds: str) -> None:
    for kind in kinds:
        folder, write = WRITERS[kind]
        write(root / folder)


@torch.no_grad()
def test_a_t5_of_files_gives_the_logits_and_features_that_it_had(t5, small: Path) -> None:  # noqa: F811
    setting, models = t5
    write_texts(small, "IMDB", "SQuAD")
    found, net = setting.checkpoints(0), setting.build()
    assert list(found) == ["PT", "IMDB", "SQuAD"]
    assert {value.device.type for value in net.state_dict().values()} == {"meta"}
    streams = setting.streams(["SQuAD"], 5, batch_size=5)
    ((batch, _),) = streams["SQuAD"]
    logits = ctl.logits(net, found, [{name: 1.0} for name in models], streams)["SQuAD"]
    for (name, model), given in zip(models.items(), logits, strict=True):
        start = torch.zeros(5, 1, dtype=torch.long)
        expected = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=torch.cat([start, batch["answer_ids"]], 1),
            output_hidden_states=True,
        )
        tolerance = 0.05 if name == "IMDB" else 1e-5  # half the digits
        assert torch.allclose(given.float(), expected.logits.float(), atol=tolerance)
    # A pair of mixes: the features behind the table against transformers' own hidden states.
    kept = batch["attention_mask"].unsqueeze(-1)
    after = {}
    for name in ("PT", "SQuAD"):
        seen = models[name](
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=torch.zeros(5, 1, dtype=torch.long),
            output_hidden_states=True,
        )
        encoder = (seen.encoder_hidden_states[1] * kept).sum(1) / kept.sum(1)
        after[name] = {"encoder": encoder, "decoder": seen.decoder_hidden_states[2][:, 0]}
    pair = ctl.Comparison({"PT": 1.0}, [(1.0, {"SQuAD": 1.0})], [({"PT": 1.0}, {"SQuAD": 1.0})])
    layers = ["states.encoder.0", "states.decoder.1"]
    table = ctl.compare(net, found, [pair], streams, layers=layers)
    distances = table[table.metric == "distance"].set_index("layer")["mean"]
    for layer, side in zip(layers, ("encoder", "decoder"), strict=True):
        one, other = (after[name][side].double() for name in ("PT", "SQuAD"))
        expected = 1 - torch.cosine_similarity(one, other)
        assert distances[layer] == pytest.approx(expected.mean().item(), abs=1e-6)


def test_files_are_not_read_before_a_tensor_is_wanted(t5, monkeypatch) -> None:
    setting, models = t5
    asked: list[str] = []
    plain = LazyState.__getitem__

    def counted(state: LazyState, name: str) -> Tensor:
        asked.append(name)
        return plain(state, name)

    monkeypatch.setattr(LazyState, "__getitem__", counted)
    found = setting.checkpoints(0)
    read = {name for name in asked if name.startswith(("encoder.block.1.", "decoder.block.1."))}
    assert read == set()  # the blocks at both ends tell the base
    assert any(name.startswith("encoder.block.0.") for name in asked)
    state = found["IMDB"]
    assert described(state)["encoder.final_layer_norm.weight"].dtype == torch.bfloat16
    expected = models["IMDB"].encoder.final_layer_norm.weight
    assert torch.equal(state["encoder.final_layer_norm.weight"], expected)
    assert asked[-1] == "encoder.final_layer_norm.weight"


@pytest.fixture
def llama(save: Saver) -> tuple[PublishedText, dict[str, nn.Module]]:
    """Three small Llamas: sharded, in bfloat16, and with two tokens more."""
    setting = shrunk("llama-2-13b", LLAMA_SIZES, ["mathematics", "code"])
    models = {"PT": random_llama()}
    models["mathematics"] = near(models["PT"], 1)
    models["code"] = random_llama(tokens_added=2)
    wide = models["code"].state_dict()  # whose tensors are the model's own
    for name, value in near(models["PT"], 2).state_dict().items():
        wide[name][: len(value)] = value
    models["mathematics"].bfloat16()
    folder = save(models["PT"], setting.model.pretrained, max_shard_size="8KB")
    tokenizer(before=True).save(str(folder / "tokenizer.json"))
    save(models["mathematics"], setting.repositories["mathematics"])
    save(models["code"], setting.repositories["code"], form="bin")
    return setting, models


@torch.no_grad()
def test_a_llama_of_files_gives_the_logits_that_it_had(llama, made: Path) -> None:  # noqa: F811
    setting, models = llama
    found, net = setting.checkpoints(0), setting.build()
    assert found["code"]["lm_head.weight"].shape == (300, 16)
    assert described(found["code"])["model.embed_tokens.weight"].shape == (300, 16)
    streams = setting.streams(["code"], 1)
    ((batch, targets),) = streams["code"]
    logits = ctl.logits(net, found, [{name: 1.0} for name in models], streams)["code"]
    ids = torch.cat([batch["input_ids"], batch["answer_ids"]], 1)
    for (name, model), given in zip(models.items(), logits, strict=True):
        expected = model(input_ids=ids).logits[:, -targets.shape[1] :, :300].float()
        tolerance = 0.05 if name == "mathematics" else 1e-5
        assert torch.allclose(given.float(), expected, atol=tolerance)


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_a_fine_tune_of_another_base_is_refused(name: str, request, save: Saver) -> None:
    setting, models = request.getfixturevalue(name)
    task = setting.finetune[0]
    torch.manual_seed(9)
    stranger = type(models["PT"])(models["PT"].config)
    save(stranger, "some/stranger")
    moved = setting.model_copy(update={"repositories": {task: "some/stranger"}})
    with refused(ValueError, r"'some/stranger' was not fine-tuned from these"):
        moved.checkpoints(0, [task])


@pytest.mark.parametrize(
    ("name", "size", "tensor"),
    [("t5", {"d_ff": 32}, "DenseReluDense"), ("llama", {"hidden_size": 32}, "model")],
)
def test_another_shape_is_named(name: str, size: dict, tensor: str, request) -> None:
    setting, _ = request.getfixturevalue(name)
    model = setting.model.model_copy(update=size)
    other = setting.model_copy(update={"model": model})
    repo = setting.model.pretrained
    with pytest.raises(ValueError, match=rf"checkpoint '{repo}' has shape .* at .*{tensor}"):
        other.checkpoints(0)


def test_what_is_missing_is_said_and_how_to_get_it(cache: Path, data: Path) -> None:  # noqa: F811
    sentence = settings.load("nlp6-t5-base").missing()
    assert sentence.startswith(f"IMDB is not in {data}: run `ctl data nlp6-t5-base`")
    assert sentence.endswith("(13 more files and sets are missing)")
    sentence = settings.load("llama-2-13b").missing()
    assert "get alpaca_data.json of the repository tatsu-lab/stanford_alpaca" in sentence
    assert sentence.endswith("(7 more files and sets are missing)")
    with pytest.raises(MissingDataError, match="files and sets are missing"):
        settings.load("llama-2-13b").fetch()


def test_nothing_is_missing_where_all_is_there(t5, small: Path) -> None:  # noqa: F811
    setting, _ = t5
    write_texts(small, "IMDB")
    repositories = {"IMDB": setting.repositories["IMDB"]}
    few = setting.model_copy(update={"finetune": ["IMDB"], "repositories": repositories})
    assert few.missing() is None
    few.fetch()
    unpinned = few.model_copy(update={"repositories": {"IMDB": "some/other"}})
    assert "no commit of some/other is pinned: set CTL_HUB_NEWEST=1" in unpinned.missing()


def test_what_is_damaged_or_gone_is_named(t5) -> None:
    setting, _ = t5
    repo = setting.repositories["IMDB"]
    index = hub.weights_file(repo, local=True)
    text = index.read_text()
    index.write_text(text[:-9])
    with pytest.raises(MissingDataError, match=r"index\.json is damaged or incomplete"):
        setting.checkpoints(0)
    index.write_text(text)
    shard = sorted(set(json.loads(text)["weight_map"].values()))[1]
    (index.parent / shard).unlink()
    with pytest.raises(MissingDataError, match=f"{shard} of {repo} is not on this machine"):
        hub.weights_file(repo, local=True)
    path = hub.weights_file(setting.model.pretrained, local=True).with_name("tokenizer.json")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(MissingDataError, match=r"tokenizer\.json is damaged or incomplete"):
        setting.coder()


def test_prompts_have_the_published_marks(t5, llama, small: Path) -> None:  # noqa: F811
    write_texts(small, "SQuAD")
    setting, _ = t5
    ((batch, _),) = setting.streams(["SQuAD"], 4)["SQuAD"]
    lengths = batch["attention_mask"].sum(1)
    last = batch["input_ids"].gather(1, lengths[:, None] - 1)
    assert last.flatten().tolist() == [1] * 4  # </s>
    assert batch["attention_mask"][:, 0].all()
    setting, _ = llama
    prompts = setting.coder().prompts(["question", "the film"])
    assert [ids[0] for ids in prompts] == [1, 1]  # <s>


@pytest.mark.parametrize(
    ("name", "parameters", "blocks"),
    [("nlp6-t5-base", 222_903_552, 24), ("llama-2-13b", 13_015_864_320, 40)],
)
def test_sizes_are_the_true_ones(name: str, parameters: int, blocks: int) -> None:
    """The numbers of parameters that the models' own pages give (tied ones once)."""
    net = settings.load(name).build()
    assert sum(value.numel() for value in net.parameters()) == parameters
    assert {value.device.type for value in net.parameters()} == {"meta"}
    assert len(net.feature_layers) == blocks


def test_a_published_network_is_not_trained_here() -> None:
    setting = settings.load("nlp6-t5-base")
    assert setting.shortened(0.1) is setting
    assert setting.heads(0, setting.finetune) is None
    assert len(setting.repositories) == 6  # 15 pairs
    with pytest.raises(SettingError, match="has no task 'TREC'"):
        setting.texts("TREC", "test")


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_the_notebook_goes_the_whole_way(name: str, request, tmp_path: Path, monkeypatch) -> None:
    setting, _ = request.getfixturevalue(name)
    if name == "t5":
        write_texts(request.getfixturevalue("small"), *setting.finetune)
    else:
        request.getfixturevalue("made")
    monkeypatch.setattr(settings, "load", lambda _: setting)
    table = run("4_3_text", tmp_path, samples=3, lambdas=[0.4], scalings=[0.5], draws=1)
    eq2 = table("eq2")
    assert eq2["layer"].nunique() == len(setting.build().feature_layers)
    distance = eq2[eq2["metric"] == "distance"]["mean"]
    assert distance.between(0, 0.1).all()
    readings = {"t5": 1, "llama": 2}[name]
    assert table("readings")["reading"].nunique() == readings
    assert set(table("accuracy")["task"]) == set(setting.finetune)
