"""Tier 2: ε of mixes in closed form, samples, networks, remedies and scores, each rule tripped."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import epsilon, refused
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn

from ctl_helpers.engine import passes as engine_passes
from ctl_helpers.probing import passes_tier, remedies, scores_tier
from ctl_helpers.probing.curves import AVERAGE, REACHES, Curve, against, curves, summed_up
from ctl_helpers.probing.curves import remarks as curve_remarks
from ctl_helpers.probing.linearity_tier import Setup, measured, together
from ctl_helpers.probing.networks import CannotRunError, network
from ctl_helpers.probing.places import Place, on_disk
from ctl_helpers.probing.probe import probe
from ctl_helpers.probing.report import Report
from ctl_helpers.probing.samples import samples

State = dict[str, Tensor]


class Layer(nn.Module):
    """``x ↦ x + θ + (c θ_1 θ_2, 0)``: ε of two networks at the ends of the axes is cλ/√2."""

    def __init__(self, bend: float) -> None:
        super().__init__()
        self.weight, self.bend = nn.Parameter(torch.zeros(2, 1, dtype=torch.float64)), bend

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.weight.squeeze(1)
        return x + torch.stack([first + self.bend * first * second, second])


class Bending(nn.Module):
    def __init__(self, *bends: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(map(Layer, bends))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def ends(layers: int) -> tuple[State, State, State]:
    """θ_PT = 0, and two networks at the ends of the axes in each layer."""
    zero = torch.zeros(2, 1, dtype=torch.float64)
    axes = (
        zero,
        torch.eye(2, dtype=torch.float64)[:, :1],
        torch.eye(2, dtype=torch.float64)[:, 1:],
    )
    base, a, b = ({f"layers.{n}.weight": axis for n in range(layers)} for axis in axes)
    return base, a, b


INPUTS = [torch.zeros(3, 2, dtype=torch.float64)]


def setup(*bends: float) -> Setup:
    base, a, b = ends(len(bends))
    layers = [f"layers.{n}" for n in range(len(bends))]
    return Setup(Bending(*bends), {"BASE": base, "A": a, "B": b}, "BASE", INPUTS, layers)


@pytest.mark.parametrize("bend", [0.0, 2.0, 4.0])
def test_epsilon_over_lambda_is_what_it_is_in_closed_form(bend: float) -> None:
    rows = measured(setup(bend))
    assert [row["lam"] for row in rows] == pytest.approx([reach / 2 for reach in REACHES])
    expected = [bend * row["lam"] / math.sqrt(2) for row in rows]
    assert [row["epsilon"] for row in rows] == pytest.approx(expected, abs=1e-9)
    (curve,) = curves(rows)
    assert curve.at_average()[0] == pytest.approx(bend / 2 / math.sqrt(2), abs=1e-9)
    half = math.inf if bend == 0 else 0.5 * math.sqrt(2) / bend
    assert curve.half() == pytest.approx(half)
    (remark, *_) = curve_remarks([curve])
    assert remark.grade == {0.0: "note", 2.0: "doubt", 4.0: "stop"}[bend]
    assert (f"λ under {half:.2f}" in remark.remedy) == (bend > 0)


def test_any_number_of_task_vectors_agrees_with_an_oracle(
    net: nn.Module, around: Callable[..., dict[str, State]], inputs: Callable[..., Tensor]
) -> None:
    states = around(net, "PABC")
    x = inputs(7)
    asked = Setup(net, states, "P", [x[:4], x[4:]], ["0", "2"])
    assert asked.sets() == [("A", "B"), ("A", "C"), ("B", "C"), ("A", "B", "C")]
    rows = [row for row in measured(asked) if row["set"] == "A + B + C"]

    def features(coefficients: dict[str, float]) -> np.ndarray:
        base = states["P"]
        weights = {
            key: base[key] + sum(c * (states[n][key] - base[key]) for n, c in coefficients.items())
            for key in base
        }
        hidden = x @ weights["0.weight"].T + weights["0.bias"]
        return (hidden.relu() @ weights["2.weight"].T + weights["2.bias"]).numpy()

    for row in rows:
        if row["layer"] == "2":
            left = features(dict.fromkeys("ABC", row["lam"]))
            parts = [(1 / 3, features({name: 3 * row["lam"]})) for name in "ABC"]
            assert row["epsilon"] == pytest.approx(epsilon(left, parts), rel=1e-9)
    assert {row["lam"] for row in rows} == {reach / 3 for reach in REACHES}


def test_two_task_vectors_are_the_papers_second_equation() -> None:
    (one,) = together("P", ["i", "j"], [0.8])
    assert one.params["lam"] == 0.4
    assert dict(one.left) == pytest.approx({"P": 0.2, "i": 0.4, "j": 0.4})
    assert [(w, dict(mix)) for w, mix in one.right] == [
        (0.5, pytest.approx({"P": 0.2, "i": 0.8})),
        (0.5, pytest.approx({"P": 0.2, "j": 0.8})),
    ]
    assert len(one.baseline) == 1


def test_the_first_layer_that_breaks_is_named_beside_the_worst() -> None:
    rows = measured(setup(0.0, 3.0, 3.0))
    (curve,) = curves(rows)
    assert (curve.breaks, curve.at_average()[1]) == ("layers.1", "layers.2")
    part = {"set": "A + B", "k": 2, "lam": 0.5, "reach": 1.0}
    values = {"x.2": 0.2, "x.10": 0.6, "x.11": 0.9}
    (curve,) = curves([{**part, "layer": name, "epsilon": e} for name, e in values.items()])
    assert (curve.breaks, curve.at_average()) == ("x.10", (0.9, "x.11"))
    assert "x.10 is the first to break" in next(curve_remarks([curve])).fact


def test_layers_without_a_difference_are_left_out_of_the_curve() -> None:
    rows: list[dict[str, Any]] = [
        {"set": "s", "k": 2, "lam": 0.5, "reach": 1.0, "layer": name, "epsilon": value}
        for name, value in (("a", math.nan), ("b", 0.1))
    ]
    (curve,) = curves(rows)
    assert curve.worst == [0.1]
    assert curves([{**row, "epsilon": math.nan} for row in rows]) == []


def test_a_control_that_is_as_linear_is_noted() -> None:
    curve = Curve("s", 2, [0.5], [0.4], ["x"], "")
    for random, told in ((0.3, 1), (0.41, 1), (0.8, 0)):
        sets = summed_up([curve], [{"set": "s", "epsilon": random, "reach": AVERAGE}])
        assert (sets[0]["random"], sets[0]["half"]) == (random, None)
        assert len(list(against(sets))) == told


# Remedies.


def test_a_layer_that_breaks_is_left_out_for_a_trial() -> None:
    asked = setup(0.0, 4.0)
    trials = remedies.leaving_out(asked, ["A", "B"], measured(asked))
    found = {trial.remedy: trial for trial in trials}
    before = found["layers.1"].before
    assert before == pytest.approx(4 * 0.5 / math.sqrt(2) / 2)
    # Without it the left side lacks half of the way: |l − r|² = 2 λ², of 8 λ².
    assert found["layers.1"].after == pytest.approx(0.5)
    (remark,) = remedies.remarks([found["layers.1"]], [])
    assert "leave layers.1 out" in remark.remedy
    worse = remedies.Trial("A + B", "layers.1", 0.8, 0.6)
    assert list(remedies.remarks([worse], [])) == []


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3)
    ).double()


def test_statistics_are_recomputed_where_there_are_any(
    around: Callable[..., dict[str, State]],
) -> None:
    net = normed()
    images = [torch.randn(8, 3, 8, 8, dtype=torch.float64)]
    states = around(net, "PAB", 0.1)
    for state in states.values():
        state["1.running_var"] = state["1.running_var"].abs() + 0.5
    asked = Setup(net, states, "P", images, ["1", "3"])
    (trial,) = remedies.recomputing(asked, ["A", "B"], measured(asked))
    assert trial.remedy == "recomputed statistics"
    assert trial.before != trial.after
    assert remedies.recomputing(setup(1.0), ["A", "B"], measured(setup(1.0))) == []
    helps, does_not = (remedies.Trial("s", "", 0.6, after) for after in (0.3, 0.55))
    (remark,) = remedies.remarks([], [helps])
    assert (remark.rule, "recompute" in remark.remedy) == ("statistics", True)
    assert list(remedies.remarks([], [does_not])) == []


# Networks and samples.

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "film",
    "is",
    "good",
    "bad",
    "and",
    "very",
    "long",
    "short",
    "one",
]


def tokenizer(folder: Path) -> None:
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(folder / "tokenizer.json"))


def saved(model: Any, folder: Path, seed: int = 0, size: float = 0.02) -> Path:
    """A network of transformers in a folder, moved by a little where there is a seed."""
    if seed:
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += size * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer(folder)
    return folder


def bert(kind: str = "BertModel", **more: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes["initializer_range"] = 0.5
    config = transformers.BertConfig(vocab_size=len(WORDS), intermediate_size=12, **sizes, **more)
    return getattr(transformers, kind)(config)


def llama() -> Any:
    import transformers

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes["initializer_range"] = 0.5
    config = transformers.LlamaConfig(vocab_size=len(WORDS), intermediate_size=12, **sizes)
    return transformers.LlamaForCausalLM(config)


def t5() -> Any:
    import transformers

    torch.manual_seed(0)
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    config = transformers.T5Config(vocab_size=len(WORDS), **sizes, decoder_start_token_id=0)
    return transformers.T5ForConditionalGeneration(config)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    lines = ["a film is good", "bad", "a very very very long film is one film and one film"]
    path.write_text("\n".join(lines * 12))
    return path


def stops(report: Report) -> list[str]:
    return [f"{one.rule}: {one.fact}" for one in report.remarks if one.rule == "run"]


def test_an_encoder_is_run_on_texts_without_padding(tmp_path: Path, text: Path) -> None:
    base, a, b = (saved(bert(), tmp_path / name, seed) for seed, name in enumerate("pab"))
    told: list[str] = []
    report = probe(base, a, b, data=text, samples=9, tell=told.append)
    assert (report.tier, stops(report)) == (2, [])
    assert report.facts["network"] == "transformers' BertModel"
    assert report.facts["samples"] == "9 texts of texts.txt"
    assert report.facts["layers"] == "2 layers, encoder.layer.0 to encoder.layer.1"
    assert "tier 2 on 9 texts" in told[0]
    table = report.table("linearity")
    assert {*table["control"]} == {"task vectors", "random vectors"}
    assert table["epsilon"].notna().all()
    net = network(on_disk("BASE", str(base)), None, False)
    taken = samples(net, on_disk("BASE", str(base)), text, 9)
    shapes = [tuple(batch["input_ids"].shape) for batch in taken.batches]
    assert shapes == [(3, 4), (3, 1), (3, 8)]
    assert all(batch["attention_mask"].all() for batch in taken.batches)


def test_without_data_noise_is_run_and_said(tmp_path: Path) -> None:
    base, a, b = (saved(bert(), tmp_path / name, seed) for seed, name in enumerate("pab"))
    report = probe(base, a, b, samples=4)
    assert report.tier == 2
    assert stops(report) == ["run: was run on 4 samples of 32 random tokens, which no task sends"]


def test_heads_that_a_base_lacks_are_said(tmp_path: Path) -> None:
    config = json.loads((saved(bert(), tmp_path / "p") / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "p" / "config.json").write_text(json.dumps(config))
    a, b = (saved(bert(), tmp_path / name, seed) for seed, name in enumerate("ab", 1))
    report = probe(tmp_path / "p", a, b, samples=4)
    assert "gave 'classifier.weight', 'classifier.bias' random numbers" in "".join(stops(report))


def test_labels_give_accuracy(tmp_path: Path, text: Path) -> None:
    base, a, b = (
        saved(bert("BertForSequenceClassification", num_labels=2), tmp_path / name, seed, 0.1)
        for seed, name in enumerate("pab")
    )
    lines = text.read_text().splitlines()
    labelled = tmp_path / "texts.tsv"
    labelled.write_text("\n".join(f"{line}\t{n % 2}" for n, line in enumerate(lines)))
    report = probe(base, a, b, data=labelled, samples=12)
    table = report.table("accuracy").set_index("network")
    model = bert("BertForSequenceClassification", num_labels=2)
    model.load_state_dict(load_file(a / "model.safetensors"))
    hits = []
    for number, line in enumerate(lines[:12]):
        ids = [WORDS.index(word) for word in line.split()]
        ids = ids if len(ids) < 8 else ids[: len(ids) // 8 * 8]
        with torch.no_grad():
            logits = model.eval()(input_ids=torch.tensor([ids])).logits
        hits.append(int(logits.argmax()) == number % 2)
    assert table.loc["a", "accuracy"] == pytest.approx(sum(hits) / 12)
    labelled.write_text("a film\tgood")
    assert "is no text, tab and number" in "".join(stops(probe(base, a, b, data=labelled)))


def test_decoders_have_a_perplexity_in_memory_and_in_stages(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, a, b = (saved(llama(), tmp_path / name, seed, 0.1) for seed, name in enumerate("pab"))
    whole = probe(base, a, b, data=text, samples=3)
    assert whole.facts["network"] == "transformers' LlamaForCausalLM"
    found = whole.table("perplexity")
    model = llama()
    model.load_state_dict(load_file(a / "model.safetensors"), strict=False)
    ids = torch.tensor([WORDS.index(word) for word in text.read_text().split()])
    pieces = ids[: 3 * 64].view(3, 64)
    with torch.no_grad():
        loss = model.eval()(input_ids=pieces, labels=pieces).loss
    assert found.set_index("network").loc["a", "perplexity"] == pytest.approx(
        math.exp(loss), rel=1e-5
    )
    for module in (passes_tier, engine_passes):
        monkeypatch.setattr(module, "free_memory", lambda device: 4000.0)
    staged = probe(base, a, b, data=text, samples=3)
    assert staged.facts["network"] == "llama, stage by stage"
    assert staged.table("perplexity")["perplexity"].tolist() == pytest.approx(
        found["perplexity"].tolist(), rel=1e-5
    )
    assert staged.table("linearity")["epsilon"].notna().all()


def test_networks_that_do_not_fit_and_have_no_stages_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_tier, "free_memory", lambda device: 4000.0)
    base, a, b = (saved(bert(), tmp_path / name, seed) for seed, name in enumerate("pab"))
    report = probe(base, a, b)
    assert (report.tier, report.exit_code) == (1, 1)
    assert "bert has no stages" in "".join(stops(report))
    base, a, b = (saved(t5(), tmp_path / f"{n}5", seed) for seed, n in enumerate("pab"))
    staged = probe(base, a, b, samples=4)
    assert (staged.tier, staged.facts["network"]) == (2, "t5, stage by stage")


def test_a_t5_is_run_in_memory(tmp_path: Path, text: Path) -> None:
    base, a, b = (saved(t5(), tmp_path / name, seed) for seed, name in enumerate("pab"))
    report = probe(base, a, b, data=text, samples=4)
    assert (report.tier, stops(report)) == (2, [])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")
    return folder


def small_net() -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, 2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_images_are_cut_scaled_and_labelled(pictures: Path) -> None:
    place = Place("BASE", "")
    net = network(place, small_net(), False)
    taken = samples(net, place, pictures, 6)
    assert (taken.count, taken.labels, taken.classes) == (6, True, 2)
    (images, targets) = taken.batches[0]
    assert images.shape == (6, 3, 224, 224)
    assert targets.tolist() == [0, 0, 0, 0, 1, 1]
    assert samples(net, place, pictures / "cat", 9).labels is False
    net.model.default_cfg = {"input_size": (1, 8, 8), "mean": (0.5,), "std": (0.5,)}
    (images,) = samples(net, place, pictures / "cat", 9).batches
    assert images.shape == (4, 1, 8, 8)
    assert -1 <= images.min() < images.max() <= 1
    assert samples(net, place, None, 5).batches[0].shape == (5, 1, 8, 8)


def test_a_picture_is_what_pillow_makes_of_its_middle(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, 4:12] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    place = Place("BASE", "")
    net = network(place, small_net(), False)
    net.model.default_cfg = {"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3}
    (images,) = samples(net, place, tmp_path, 1).batches
    assert images.min() == 1


def test_a_network_of_images_is_run_with_its_own_module(
    pictures: Path, around: Callable[..., dict[str, State]]
) -> None:
    net = small_net()
    states = around(net, "AB", 0.05)
    report = probe(net, *states.values(), model=net, data=pictures, samples=8)
    assert (report.tier, stops(report)) == (2, [])
    assert {*report.table("remedies")["remedy"]} >= {"recomputed statistics"}
    assert "accuracy" in report.tables
    given = probe(net, *states.values(), data=[torch.randn(4, 3, 16, 16)])
    assert given.facts["samples"] == "4 samples that were given"
    assert given.facts["network"] == "Sequential"


def test_a_timm_network_is_built_from_its_configuration(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3)
    state = model.state_dict()
    for seed, name in enumerate("pab"):
        (tmp_path / name).mkdir()
        torch.manual_seed(seed)
        moved = {
            k: v + 0.01 * seed * torch.randn_like(v).abs() if v.is_floating_point() else v
            for k, v in state.items()
        }
        save_file(moved, tmp_path / name / "model.safetensors")
        config = {"architecture": "test_resnet", "num_classes": 3}
        config["pretrained_cfg"] = {"input_size": [3, 32, 32]}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    report = probe(*(tmp_path / name for name in "pab"), samples=4)
    assert (report.tier, report.facts["samples"]) == (2, "4 images of noise")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (None, "no configuration says which architecture"),
        ("resnet18", "'resnet18' names no architecture"),
        ("torchvision:resnet19", "cannot be built"),
        ("os.path:nothing", "cannot be built"),
        ("collections:OrderedDict", "gives a OrderedDict"),
    ],
)
def test_networks_that_cannot_be_told_are_said(model: str | None, sentence: str) -> None:
    with pytest.raises(CannotRunError, match=sentence):
        network(Place("BASE", ""), model, False)
    report = probe({"a.0.w": torch.ones(2, 2)}, {"a.0.w": torch.ones(2, 2) + 1}, model=model)
    assert report.exit_code == 1


def test_a_network_of_another_shape_is_said() -> None:
    net = small_net()
    states = [dict(net.state_dict()) for _ in range(3)]
    for n, state in enumerate(states):
        state["0.weight"] = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(3)) + n
    report = probe(*states, model=net)
    assert "has another shape than BASE at '0.weight'" in "".join(stops(report))
    report = probe(*states, model="torchvision:resnet18")
    assert "BASE does not fit ResNet" in "".join(stops(report))


def test_data_of_another_kind_is_said(tmp_path: Path, text: Path, pictures: Path) -> None:
    base, a, b = (saved(bert(), tmp_path / name, seed) for seed, name in enumerate("pab"))
    for data, sentence in (
        (pictures, "takes texts in a file"),
        (tmp_path / "none", "there is no"),
    ):
        assert sentence in "".join(stops(probe(base, a, b, data=data)))
    (base / "tokenizer.json").unlink()
    assert "has no tokenizer" in "".join(stops(probe(base, a, b, data=text)))
    net = network(Place("BASE", ""), small_net(), False)
    for data, sentence in ((text, "takes images in a folder"), (tmp_path / "p", "has no images")):
        with pytest.raises(CannotRunError, match=sentence):
            samples(net, Place("BASE", ""), data, 4)


def test_one_checkpoint_alone_is_looked_at_but_not_run() -> None:
    net = small_net()
    report = probe(net, {**net.state_dict(), "0.bias": torch.ones(4)}, model=net)
    assert (report.tier, report.exit_code) == (1, 1)
    assert "one checkpoint alone" in "".join(stops(report))


def test_what_a_network_raises_is_said() -> None:
    net = small_net()
    states = [net.state_dict() | {"0.bias": torch.full((4,), float(n))} for n in range(2)]
    report = probe(net, *states, model=net, data=[torch.zeros(2, 5, 8, 8)])
    assert "was not finished" in "".join(stops(report))


# Scores.


@pytest.mark.parametrize(
    ("measure", "base", "parts", "mix", "grade"),
    [
        ("perplexity", 9.0, [8.0, 7.0], 9.5, "note"),
        ("perplexity", 9.0, [8.0, 7.0], 15.0, "doubt"),
        ("perplexity", 9.0, [8.0, 7.0], math.nan, "doubt"),
        ("accuracy", 0.2, [0.9, 0.8], 0.8, "note"),
        ("accuracy", 0.2, [0.9, 0.8], 0.5, "doubt"),
    ],
)
def test_scores_of_the_average_are_judged(
    measure: str, base: float, parts: list[float], mix: float, grade: str
) -> None:
    rows = [
        {"network": name, "lam": math.nan, measure: value}
        for name, value in zip(("BASE", "A", "B"), (base, *parts), strict=True)
    ]
    rows += [{"network": "mix", "lam": reach / 2, measure: mix} for reach in REACHES]
    (remark,) = scores_tier.remarks({measure: rows}, 2)
    assert (remark.rule, remark.grade) == (measure, grade)


def test_checkpoints_that_are_base_itself_are_not_run(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    state = model.state_dict()
    report = probe(state, state, state, data=[torch.randn(6, 5)], model=model)
    assert (report.tier, {one.rule for one in report.remarks}) == (1, {"equal"})
    assert "is BASE itself" in str(report)
    report.save(tmp_path)
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"data": torch.zeros(2, 5)}, TypeError, r"data is one Tensor; give a list of batches"),
        ({"samples": 0}, ValueError, "samples is 0; give how many"),
        ({"tier": 7}, ValueError, "tier is 7; give 0 for headers"),
    ],
)
def test_arguments_of_a_probe_are_checked_first(options, kind, sentence: str) -> None:
    state = nn.Linear(5, 3).state_dict()
    with refused(kind, sentence):
        probe(state, state, state, **options)
