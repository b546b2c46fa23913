"""Tier 0: each rule with a case that trips it and one that does not, and all at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file
from torch import nn

from ctl_helpers.probing import aligning, configs, estimates, quantized
from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.overview import Overview, overview
from ctl_helpers.probing.places import Place, on_disk
from ctl_helpers.probing.probe import probe
from ctl_helpers.probing.remarks import count, some
from ctl_helpers.probing.rules import RULES

BLOCK = "encoder.layer.{}.query.{}"
TENSORS = {
    "embeddings.word_embeddings.weight": Entry((10, 4), "F32"),
    **{BLOCK.format(n, "weight"): Entry((4, 4), "F32") for n in range(3)},
    **{BLOCK.format(n, "bias"): Entry((4,), "F32") for n in range(3)},
    "pooler.weight": Entry((4, 4), "F32"),
}
TOKENS = {
    token: number
    for number, token in enumerate(["[PAD]", "a", "b", "c", "d", "e", "f", "g", "h", "i"])
}


def place(
    name: str, tensors: Mapping[str, Entry] = TENSORS, folder: Path | None = None, **files: Any
) -> Place:
    """A checkpoint with side files: ``config={…}`` is ``config.json``."""
    there = {}
    for stem, content in files.items():
        assert folder is not None
        path = folder / name / (stem.replace("_txt", ".txt") if "_txt" in stem else f"{stem}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        there[path.name] = path
    return Place(name, name, there, Listing(dict(tensors)))


def told(seen: Overview, rule: str) -> list[tuple[str, str]]:
    return [(one.grade, one.fact) for one in seen.remarks if one.rule == rule]


def seen(tensors: Mapping[str, Entry], base: Mapping[str, Entry] = TENSORS) -> Overview:
    return overview(place("BASE", base), [place("A", tensors)])


def without(*names: str) -> dict[str, Entry]:
    return {name: entry for name, entry in TENSORS.items() if name not in names}


def test_equal_headers_have_no_remark() -> None:
    found = seen(TENSORS)
    assert found.remarks == []
    assert found.shared == list(TENSORS)


# names, shape, head, type


def test_missing_and_unknown_tensors() -> None:
    name = BLOCK.format(1, "weight")
    ((grade, fact),) = told(seen(without(name)), "names")
    assert (grade, fact) == ("stop", f"lacks 1 tensor of BASE: {name!r}")
    ((grade, fact),) = told(seen({**TENSORS, "encoder.layer.3.x": Entry((4,), "F32")}), "names")
    assert (grade, fact) == ("stop", "has 1 tensor that BASE lacks: 'encoder.layer.3.x'")
    ((grade, fact),) = told(seen({"other": Entry((1,), "F32")}), "names")
    assert (grade, fact) == ("stop", f"shares 0 of BASE's {len(TENSORS)} names of tensors")


def test_buffers_and_second_names_are_noted_alone() -> None:
    more = {
        "embeddings.position_ids": Entry((1, 512), "I64"),
        "lm_head.weight": Entry((10, 4), "F32"),
    }
    found = seen({**TENSORS, **more})
    ((grade, _),) = told(found, "names")
    assert grade == "note"
    assert found.shared == list(TENSORS)
    assert told(seen(TENSORS, {**TENSORS, **more}), "names")[0][0] == "note"
    assert seen(TENSORS, {**TENSORS, **more}).shared == list(TENSORS)


def test_a_head_that_is_not_tied_is_no_second_name(tmp_path: Path) -> None:
    config = {"tie_word_embeddings": False}
    more = {**TENSORS, "lm_head.weight": Entry((10, 4), "F32")}
    other = place("A", more, tmp_path, config=config)
    found = overview(place("BASE", TENSORS, tmp_path, config=config), [other])
    assert [remark.rule for remark in found.remarks] == ["head"]


def test_heads_are_left_out() -> None:
    tuned = without("pooler.weight") | {"classifier.weight": Entry((3, 4), "F32")}
    found = seen(tuned)
    ((grade, fact),) = told(found, "head")
    assert grade == "note"
    assert "'pooler.weight', 'classifier.weight' are in one of the two alone" in fact
    assert found.shared == list(without("pooler.weight"))
    other = {**TENSORS, "pooler.weight": Entry((2, 4), "F32")}
    assert (
        "another size than BASE at 'pooler.weight': (2, 4) and (4, 4)"
        in told(seen(other), "head")[0][1]
    )
    assert "pooler.weight" not in seen(other).shared


def test_shapes_and_rows() -> None:
    name = BLOCK.format(0, "weight")
    ((grade, fact),) = told(seen({**TENSORS, name: Entry((4, 8), "F32")}), "shape")
    assert (grade, fact.split(":")[0]) == ("stop", "has another shape at 1 tensor")
    rows = {**TENSORS, "embeddings.word_embeddings.weight": Entry((11, 4), "F32")}
    ((grade, fact),) = told(seen(rows), "shape")
    assert grade == "stop"
    assert "has 11 rows at 'embeddings.word_embeddings.weight' where BASE has 10" in fact


def test_types() -> None:
    half = {name: Entry(entry.shape, "BF16") for name, entry in TENSORS.items()}
    assert told(seen(half), "type") == [("note", "has weights in BF16 where BASE has F32")]
    assert told(seen(half, half), "type") == []
    counts = {**TENSORS, "pooler.weight": Entry((4, 4), "I64")}
    assert told(seen(counts), "type")[0][0] == "stop"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.bert.", "base_model.model."])
def test_prefixes_are_taken_off_and_put_on(prefix: str) -> None:
    wrapped = {prefix + name: entry for name, entry in TENSORS.items()}
    for base, tuned in ((TENSORS, wrapped), (wrapped, TENSORS)):
        found = seen(tuned, base)
        ((grade, fact),) = told(found, "names")
        assert grade == "note"
        assert f"calls {len(TENSORS)} tensors by other names" in fact
        assert found.shared == list(base)
        (checkpoint,) = found.checkpoints
        assert [checkpoint.renamed[name] for name in base] == list(tuned)


def test_a_body_in_a_model_with_a_head_is_found() -> None:
    tuned = {f"bert.{name}": entry for name, entry in without("pooler.weight").items()}
    tuned["classifier.weight"] = Entry((3, 4), "F32")
    renamed = aligning.aligned(tuned, TENSORS)
    assert renamed["classifier.weight"] == "classifier.weight"
    assert TENSORS.keys() - renamed.keys() == {"pooler.weight"}


@pytest.mark.parametrize(
    ("name", "is_head", "group"),
    [
        ("classifier.weight", True, "classifier"),
        ("bert.pooler.dense.weight", True, "bert"),
        ("conv1.weight", False, "conv1"),
        ("layer1.0.conv1.weight", False, "layer1.0"),
        ("encoder.layer.2.attention.head.weight", False, "encoder.layer.2"),
        ("lm_head.weight", True, "lm_head"),
        ("classifier.1.weight", True, "classifier.1"),
        ("embeddings.LayerNorm.weight", False, "embeddings"),
        ("scale", False, "scale"),
    ],
)
def test_heads_and_blocks_by_name(name: str, is_head: bool, group: str) -> None:
    assert (aligning.is_head(name), aligning.group(name)) == (is_head, group)


# quantized


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"encoder.layer.0.query.SCB": Entry((4,), "F32")}, "bitsandbytes, 8 bits"),
        ({"encoder.layer.0.query.weight.absmax": Entry((4,), "F32")}, "bitsandbytes, 4 bits"),
        ({"encoder.layer.0.query.qweight": Entry((4, 4), "I32")}, "GPTQ or AWQ"),
        ({"pooler.weight": Entry((4, 4), "I8")}, "integers"),
        ({"pooler.weight": Entry((4, 4), "F8_E4M3")}, "floats of 8 bits"),
    ],
)
def test_quantized_checkpoints_are_stopped_by_their_scheme(
    more: dict[str, Entry], title: str
) -> None:
    found = seen({**TENSORS, **more})
    ((grade, fact),) = told(found, "quantized")
    assert grade == "stop"
    assert title in fact
    assert [one.rule for one in found.remarks if one.grade == "stop"] == ["quantized"]


def test_masks_and_counters_are_no_quantized_weights() -> None:
    more = {
        "h.0.attn.bias": Entry((1, 1, 9, 9), "U8"),
        "embeddings.position_ids": Entry((1, 9), "I32"),
        "num_batches_tracked": Entry((), "I64"),
    }
    assert quantized.scheme({**TENSORS, **more}, {}) is None
    said = {"quantization_config": {"quant_method": "quanto"}}
    assert quantized.scheme({"a": Entry((2, 2), "I8")}, said) == "quanto"


# adapter


def factors(rank: int = 2, width: int = 4, **more: Entry) -> dict[str, Entry]:
    root = "base_model.model.encoder.layer.0.query"
    return {
        f"{root}.lora_A.weight": Entry((rank, width), "F32"),
        f"{root}.lora_B.weight": Entry((4, rank), "F32"),
        **more,
    }


def with_adapter(folder: Path, tensors: Mapping[str, Entry], **config: Any) -> Overview:
    config = {"peft_type": "LORA", "r": 2, **config}
    return overview(place("BASE"), [place("A", tensors, folder, adapter_config=config)])


def test_an_adapter_that_fits_is_noted(tmp_path: Path) -> None:
    found = with_adapter(tmp_path, factors())
    ((grade, fact),) = told(found, "adapter")
    assert (grade, fact) == ("note", "is a LoRA adapter of rank 2 on 1 tensors")
    assert found.shared == list(TENSORS)
    saved = {"base_model.model.pooler.modules_to_save.default.weight": Entry((4, 4), "F32")}
    assert with_adapter(tmp_path, factors() | saved).shared == list(TENSORS)
    wrapped = {key.replace(".model.", ".model.bert."): one for key, one in factors().items()}
    assert told(with_adapter(tmp_path, wrapped), "adapter")[0][0] == "note"


@pytest.mark.parametrize(
    ("tensors", "config", "fact"),
    [
        (factors(width=5), {}, "has factors of another shape than BASE"),
        (dict([*factors().items()][:1]), {}, "has one factor of two"),
        ({k.replace("layer.0", "layer.9"): v for k, v in factors().items()}, {}, "BASE has not"),
        (factors(), {"use_dora": True}, "DoRA"),
        (factors(), {"peft_type": "IA3"}, "the kind IA3"),
    ],
)
def test_an_adapter_that_does_not_fit_is_stopped(
    tmp_path: Path, tensors: dict[str, Entry], config: dict[str, Any], fact: str
) -> None:
    found = told(with_adapter(tmp_path, tensors, **config), "adapter")
    assert found[0][0] == "stop"
    assert fact in found[0][1]


def test_dora_is_known_by_its_tensors_and_a_base_is_no_adapter(tmp_path: Path) -> None:
    name = "base_model.model.encoder.layer.0.query.lora_magnitude_vector"
    found = with_adapter(tmp_path, {**factors(), name: Entry((4,), "F32")})
    assert "DoRA" in told(found, "adapter")[0][1]
    found = overview(place("BASE", factors()), [place("A", factors())])
    assert ("stop", "is an adapter and no whole network") in told(found, "adapter")


# config

PLAIN = {"rope_type": "default"}
BERT = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_size": 4}


@pytest.mark.parametrize(
    ("mine", "theirs", "grade"),
    [
        (BERT, BERT, None),
        (BERT, {}, None),
        (BERT, {**BERT, "transformers_version": "5", "_name_or_path": "x", "dtype": "f"}, None),
        (BERT, {**BERT, "hidden_dropout_prob": 0.3, "num_labels": 6, "id2label": {"0": "x"}}, None),
        (BERT, {**BERT, "position_embedding_type": "absolute"}, None),
        (BERT, {**BERT, "hidden_act": "relu"}, "stop"),
        (BERT, {**BERT, "num_attention_heads": 2}, "doubt"),
        ({**BERT, "num_attention_heads": 4}, {**BERT, "num_attention_heads": 2}, "stop"),
        (BERT, {**BERT, "layer_norm_eps": 1e-5}, "doubt"),
        (BERT, {**BERT, "chunk_size": 3}, "note"),
        ({"rope_theta": 1e4}, {"rope_theta": 1e6}, "stop"),
        (
            {"rope_theta": 1e4},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
            None,
        ),
        ({"rope_theta": 1e4}, {"rope_parameters": {"rope_theta": 5e5}}, "stop"),
        ({"rope_theta": 1e4, "rope_scaling": None}, {"rope_theta": 10000}, None),
        ({"rope_theta": 1.0}, {"rope_theta": 1.0, "rope_scaling": {"type": "linear"}}, "doubt"),
        ({"text_config": {"hidden_act": "gelu"}}, {"text_config": {"hidden_act": "silu"}}, "stop"),
        ({"sliding_window": 4096}, {"sliding_window": 512}, "doubt"),
        ({"architecture": "resnet18"}, {"architecture": "resnet26"}, "stop"),
    ],
)
def test_fields_that_change_the_function(
    mine: dict[str, Any], theirs: dict[str, Any], grade: str | None
) -> None:
    found = configs.compared(mine, theirs, "A")
    assert [one.grade for one in found] == ([] if grade is None else [grade])
    assert [one.grade for one in configs.compared(theirs, mine, "A")] == [
        one.grade for one in found
    ]


# vocabulary, tokenizer


def tokenizer(
    tokens: Mapping[str, int], added: Mapping[str, int] = {}, **more: Any
) -> dict[str, Any]:
    listed = [{"id": number, "content": token} for token, number in added.items()]
    return {"model": {"type": "WordPiece", "vocab": dict(tokens)}, "added_tokens": listed, **more}


def tokenizers(folder: Path, mine: dict[str, Any], theirs: dict[str, Any]) -> Overview:
    return overview(place("BASE", TENSORS, folder, **mine), [place("A", TENSORS, folder, **theirs)])


def test_the_same_id_is_the_same_string(tmp_path: Path) -> None:
    mine = {"tokenizer": tokenizer(TOKENS)}
    assert tokenizers(tmp_path, mine, mine).remarks == []
    lines = "\n".join(TOKENS)
    assert tokenizers(tmp_path, mine, {"vocab_txt": lines}).remarks == []
    swapped = {**TOKENS, "a": 2, "b": 1}
    for other in ({"tokenizer": tokenizer(swapped)}, {"vocab": swapped}):
        ((grade, fact),) = told(tokenizers(tmp_path, mine, other), "vocabulary")
        assert grade == "stop"
        assert "other strings for 2 ids: 1 is 'a' in BASE and 'b'; 2 is 'b' in BASE" in fact


def test_added_tokens_are_part_of_the_vocabulary(tmp_path: Path) -> None:
    mine = {"tokenizer": tokenizer(TOKENS)}
    short = {"tokenizer": tokenizer({t: n for t, n in TOKENS.items() if t != "i"})}
    for more in (
        {"tokenizer": tokenizer(TOKENS, {"i": 9})},
        {**short, "added_tokens": {"i": 9}},
        {**short, "tokenizer_config": {"added_tokens_decoder": {"9": {"content": "i"}}}},
    ):
        assert tokenizers(tmp_path, mine, more).remarks == []
        ((grade, fact),) = told(tokenizers(tmp_path, short, more), "vocabulary")
        assert (grade, fact) == ("note", "has 1 token that BASE lacks, from id 9 on: 'i'")
    ((grade, fact),) = told(tokenizers(tmp_path, mine, short), "vocabulary")
    assert (grade, fact) == ("note", "lacks 1 token of BASE, from id 9 on: 'i'")


def test_a_vocabulary_larger_than_the_embedding_is_anothers(tmp_path: Path) -> None:
    many = tokenizer({**TOKENS, "new": 10})
    found = told(
        tokenizers(tmp_path, {"tokenizer": tokenizer(TOKENS)}, {"tokenizer": many}), "vocabulary"
    )
    assert ("stop", "has a token with the id 10, and an embedding of 10 rows") in found


def test_rules_of_tokenizers(tmp_path: Path) -> None:
    lower = {"tokenizer": tokenizer(TOKENS, normalizer={"lowercase": True})}
    upper = {"tokenizer": tokenizer(TOKENS, normalizer={"lowercase": False}, truncation={"n": 3})}
    ((grade, fact),) = told(tokenizers(tmp_path, lower, upper), "tokenizer")
    assert (grade, "normalizer" in fact) == ("doubt", True)
    cut = {"tokenizer": tokenizer(TOKENS, normalizer={"lowercase": True}, truncation={"n": 3})}
    assert tokenizers(tmp_path, lower, cut).remarks == []
    merges = [
        {"model": {"vocab": TOKENS, "merges": each}} for each in (["a b"], [["a", "b"]], ["b a"])
    ]
    assert tokenizers(tmp_path, {"tokenizer": merges[0]}, {"tokenizer": merges[1]}).remarks == []
    found = tokenizers(tmp_path, {"tokenizer": merges[0]}, {"tokenizer": merges[2]})
    assert told(found, "tokenizer")[0][0] == "doubt"


def test_damaged_and_unread_tokenizers(tmp_path: Path) -> None:
    mine = {"tokenizer": tokenizer(TOKENS)}
    ((grade, fact),) = told(tokenizers(tmp_path, mine, {"tokenizer": "{"}), "vocabulary")
    assert (grade, "tokenizer.json is damaged" in fact) == ("stop", True)
    for name, content in (("x", b"1"), ("y", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.model").write_bytes(content)
        save_file({"a": torch.zeros(1)}, tmp_path / name / "model.safetensors")
    base, same, other = (
        on_disk(n, str(tmp_path / p)) for n, p in (("BASE", "x"), ("A", "x"), ("B", "y"))
    )
    (remark,) = overview(base, [same, other]).remarks
    assert (remark.rule, remark.grade, remark.about) == ("tokenizer", "doubt", "B")


# memory, and everything together


def test_memory_is_estimated_from_headers() -> None:
    found = estimates.estimate(overview(place("BASE"), [place("A"), place("B")]))
    numbers = 40 + 3 * 20 + 16
    assert (found.parameters, found.on_disk) == (numbers, 3 * 4 * numbers)
    assert found.merge == 4 * numbers + 3 * 4 * 40
    assert estimates.remarks(found, found.merge, "BASE") == []
    (remark,) = estimates.remarks(found, found.merge - 1, "BASE")
    assert (remark.rule, remark.grade) == ("memory", "note")


def test_numbers_in_words() -> None:
    assert [estimates.gigabytes(x) for x in (91e6, 13.46e9)] == ["91 MB", "13.5 GB"]
    words = ["under a second", "40 s", "12 min", "3.5 h"]
    assert [estimates.duration(x) for x in (0.2, 40.4, 720, 12600)] == words
    assert (count(1, "id"), count(1234, "id")) == ("1 id", "1,234 ids")
    assert some(["a", "b", "c", "d"]) == "'a', 'b', 'c' and 1 more"


def test_all_problems_come_at_once_and_soon(tmp_path: Path) -> None:
    for name in ("base", "one", "two"):
        (tmp_path / name).mkdir()
        state = {key: torch.zeros(entry.shape) for key, entry in TENSORS.items()}
        if name == "two":
            del state[BLOCK.format(2, "bias")]
            state["pooler.weight"] = torch.zeros(4, 4, dtype=torch.int8)
        save_file(state, tmp_path / name / "model.safetensors")
        theta = 1e4 if name == "base" else 1e6
        (tmp_path / name / "config.json").write_text(json.dumps({"rope_theta": theta}))
    path = tmp_path / "one" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    begun = time.perf_counter()
    report = probe(tmp_path / "base", tmp_path / "one", tmp_path / "two", tmp_path / "no", tier=0)
    assert time.perf_counter() - begun < 1
    stops = {(one.about, one.rule) for one in report.remarks if one.grade == "stop"}
    assert stops == {
        ("one", "file"),
        ("one", "config"),
        ("two", "quantized"),
        ("two", "config"),
        ("no", "file"),
    }
    assert (report.verdict.word, report.exit_code) == ("not mergeable", 2)
    assert json.loads(report.to_json())["verdict"] == "not mergeable"
    assert "one: model.safetensors lacks 4 of" in str(report)


def test_every_remark_is_of_a_rule_and_tier_0_loads_no_torch(tmp_path: Path) -> None:
    assert {rule.tier for rule in RULES.values()} == {0, 1, 2}
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "b.pt")
    code = (
        "import sys; from ctl_helpers.probing.probe import probe; "
        f"report = probe({str(tmp_path / 'a.safetensors')!r}, {str(tmp_path / 'b.pt')!r}, tier=0); "
        "print(report.exit_code, {'torch', 'pandas', 'transformers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "0 set()\n", done.stderr


def test_what_is_in_memory_is_probed_as_files_are() -> None:
    net = nn.Linear(3, 2)
    report = probe(net, net.state_dict(), {"weight": torch.zeros(2, 3)}, tier=0)
    assert report.sources == {"BASE": "in memory", "A": "in memory", "B": "in memory"}
    assert [(one.about, one.rule) for one in report.remarks] == [("B", "names")]
    with pytest.raises(TypeError, match="checkpoint 'A' is a int; give a path"):
        probe(net, 3, tier=0)
