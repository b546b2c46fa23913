"""Residual networks: shapes, the published ResNet-20, and BatchNorm's statistics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from conftest import refused
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers import settings
from ctl_helpers.analysis import batchnorm
from ctl_helpers.models import build
from ctl_helpers.models.resnet import Projection, Subsample
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights import resnet as checkpoints
from ctl_helpers.weights.checksums import file_checksum


def test_resnet18_names_its_blocks_and_halves_its_images() -> None:
    model = build("resnet18", width=20, classes=7)
    blocks = [f"layer{stage}.{depth}" for stage in range(1, 5) for depth in range(2)]
    assert model.feature_layers == ("stem", *blocks, "linear")
    shapes: dict[str, tuple[int, ...]] = {}
    for name in model.feature_layers:
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: shapes.__setitem__(name, tuple(output.shape[1:]))
        )
    model(torch.rand(2, 3, 32, 32))
    assert shapes["stem"] == (20, 32, 32)
    assert [shapes[f"layer{stage}.1"] for stage in range(1, 5)] == [
        (20, 32, 32), (40, 16, 16), (80, 8, 8), (160, 4, 4),
    ]  # fmt: skip
    assert shapes["linear"] == (7,)
    usual = build("resnet18", width=64, classes=100)
    assert sum(p.numel() for p in usual.parameters()) == 11_220_132


def test_imagenet_resnet18_is_torchvisions_with_its_normalization() -> None:
    torch.manual_seed(0)
    ours, theirs = build("imagenet-resnet18", classes=5).eval(), torchvision.models.resnet18()
    theirs.fc = nn.Linear(512, 5)
    theirs.load_state_dict(ours.state_dict())
    pixels = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = theirs.eval()((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    torch.testing.assert_close(ours(pixels), expected)
    small = build("resnet18", width=4, classes=2)
    assert ctl.feature_layers(ours)[1:9] == small.feature_layers[1:9]


@pytest.mark.parametrize("channels", [3, 4, 8, 20])
def test_a_projection_is_the_strided_convolution_in_any_layout(channels: int) -> None:
    torch.manual_seed(0)
    ours = Projection(channels, 2 * channels, 1, 2, bias=False)
    exact = nn.Conv2d(channels, 2 * channels, 1, 2, bias=False).double()
    exact.load_state_dict(ours.state_dict())
    x = torch.randn(4, channels, 8, 8)
    ours.to(memory_format=torch.channels_last)
    found, expected = ours(x.contiguous(memory_format=torch.channels_last)), exact(x.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    for output in (found, expected):
        output.square().sum().backward()
    assert ours.weight.grad is not None
    assert exact.weight.grad is not None
    torch.testing.assert_close(ours.weight.grad.double(), exact.weight.grad, rtol=1e-4, atol=1e-3)


def test_option_a_takes_every_second_pixel_and_adds_zeros() -> None:
    x = torch.rand(1, 2, 4, 4)
    found = Subsample(2)(x)
    assert found.shape == (1, 4, 2, 2)
    assert torch.equal(found[:, 1:3], x[:, :, ::2, ::2])
    assert not found[:, [0, 3]].any()


def naive_norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{kind}"].view(-1, 1, 1)
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


@pytest.mark.parametrize("place", ["layer1.0", "layer2.0", "layer2.1"])
def test_a_split_block_has_its_relu_before_its_norm_and_a_bare_shortcut(place: str) -> None:
    torch.manual_seed(0)
    model = build("split-resnet18", width=4, classes=2).double()
    model(torch.rand(8, 3, 8, 8, dtype=torch.float64))  # gives the norms statistics of their own
    block = model.eval().get_submodule(place)
    for parameter in block.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    state = dict(block.state_dict())
    stride = 2 if place == "layer2.0" else 1
    x = torch.randn(3, block.conv1.in_channels, 8, 8, dtype=torch.float64)
    inner = F.conv2d(x, state["conv1.weight"], stride=stride, padding=1)
    inner = F.conv2d(naive_norm(inner.clamp(min=0), state, "bn1"), state["conv2.weight"], padding=1)
    past = x
    if stride == 2:
        past = torch.einsum(
            "oi,nihw->nohw", state["shortcut.0.weight"][:, :, 0, 0], x[..., ::2, ::2]
        )
    expected = naive_norm((inner + past).clamp(min=0), state, "bn2")
    torch.testing.assert_close(block(x), expected)
    assert (block(x) < 0).any()
    norms = [name for name, module in block.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == ["bn1", "bn2"]


def test_a_split_resnet18_has_the_usual_ones_layers() -> None:
    split, usual = (build(name, width=20, classes=100) for name in ("split-resnet18", "resnet18"))
    assert split.feature_layers == usual.feature_layers
    norms = 2 * (40 + 80 + 160)  # weight and bias of three shortcuts
    sizes = [sum(p.numel() for p in model.parameters()) for model in (usual, split)]
    assert sizes[0] - sizes[1] == norms


# Published are the accuracies on all 10,000 test images; here are 1,017 of them.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "published"), [(20, 0.917), (32, 0.926), (44, 0.931), (56, 0.934)]
)
def test_a_published_resnet_is_as_accurate_as_published(
    real_data, depth: int, published: float
) -> None:
    real_data("weights")
    setting = settings.load("cifar10-resnet20").of_depth(depth)
    model, state = setting.build(), setting.published().weights()
    convolutions = [one for one in model.modules() if isinstance(one, nn.Conv2d)]
    assert len(convolutions) == depth - 1
    table = ctl.evaluate(
        model, {"PT": state}, [ctl.Evaluation({"PT": 1.0})], setting.streams(["all"])
    )
    assert table["n"].item() == 1017
    two_standard_errors = 2 * (published * (1 - published) / 1017) ** 0.5
    assert table["accuracy"].item() == pytest.approx(published, abs=two_standard_errors)


class Foreign:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("foreign code ran",)


def test_weights_are_read_by_name_and_foreign_code_is_refused(data, monkeypatch, capsys) -> None:
    (name,) = checkpoints.FILES[20]
    path = data / name
    path.parent.mkdir(parents=True)
    model = build("cifar-resnet", depth=20, classes=10)
    held = {f"module.{key}": value for key, value in model.state_dict().items() if value.ndim}
    for content, sentence in (
        ({"state_dict": held, "best_prec1": 91.7}, None),
        ({"weights": held}, "holds no plain weights"),
        ({"state_dict": Foreign()}, "holds no plain weights"),
    ):
        torch.save(content, path)
        monkeypatch.setitem(checkpoints.FILES, 20, {name: file_checksum(path)})
        if sentence is None:
            found = checkpoints.published(20, model.state_dict())
            model.load_state_dict(found)
            assert torch.equal(found["linear.bias"], held["module.linear.bias"])
            continue
        with refused(MissingDataError, sentence, str(path)):
            checkpoints.published(20, model.state_dict())
    assert "foreign code ran" not in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MissingDataError, match="damaged"):
        checkpoints.published(20, model.state_dict())


@pytest.fixture
def normed() -> nn.Module:
    """Convolution, BatchNorm, ReLU and a head, in float64, with statistics of their own."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)]
    model = nn.Sequential(*layers).double()
    model(torch.randn(8, 2, 2, 2, dtype=torch.float64))
    return model


def test_running_statistics_are_mixed_like_weights(normed, around) -> None:
    both = around(normed, ["a", "b"], scale=0.1)
    mixed = ctl.combine(both, ctl.interpolate("a", "b", 0.3))
    for name in ("1.running_mean", "1.running_var", "1.weight", "0.weight"):
        expected = 0.3 * both["a"][name] + 0.7 * both["b"][name]
        torch.testing.assert_close(mixed[name], expected)
    assert mixed["1.num_batches_tracked"] == both["a"]["1.num_batches_tracked"]


def test_recomputed_statistics_are_those_of_the_data(normed: nn.Module) -> None:
    state = {name: value.clone() for name, value in normed.state_dict().items()}
    before = {name: value.clone() for name, value in state.items()}
    torch.manual_seed(1)
    batches = [torch.randn(5, 2, 2, 2, dtype=torch.float64) for _ in range(3)]
    found = batchnorm.recomputed(normed, state, [(batch, torch.zeros(5)) for batch in batches])
    maps = [torch.einsum("oi,nihw->nohw", state["0.weight"][:, :, 0, 0], x) for x in batches]
    maps = [x + state["0.bias"].view(1, -1, 1, 1) for x in maps]

    def averaged(statistic: str) -> Tensor:
        rows = [getattr(x.transpose(0, 1).flatten(1), statistic)(dim=1) for x in maps]
        return torch.stack(rows).mean(0)

    torch.testing.assert_close(found["1.running_mean"], averaged("mean"))
    torch.testing.assert_close(found["1.running_var"], averaged("var"))
    for name, value in before.items():
        assert torch.equal(state[name], value)
        assert torch.equal(normed.state_dict()[name], value)
        if "running" not in name and "tracked" not in name:
            assert torch.equal(found[name], value)


def test_a_renewed_comparison_has_new_statistics_on_its_left_alone(normed, around) -> None:
    both = around(normed, "ab", scale=0.1)
    for state in both.values():
        state["1.running_var"].abs_()
    torch.manual_seed(1)
    x = torch.randn(5, 2, 2, 2, dtype=torch.float64)
    asked = ctl.pairs("ab", [0.3, 0.5])
    networks, anew = batchnorm.renewed(normed, both, asked, lambda one: [x * one.left["a"]])
    assert len(networks) == 4
    for old, new in zip(asked, anew, strict=True):
        assert (new.right, new.baseline, new.params) == (old.right, old.baseline, old.params)
        ((name, weight),) = new.left.items()
        mixed = ctl.combine(both, old.left)
        expected = batchnorm.recomputed(normed, mixed, [x * old.left["a"]])
        assert weight == 1
        assert all(torch.equal(networks[name][key], value) for key, value in expected.items())
    assert all(networks[name] is both[name] for name in "ab")


def test_statistics_that_cannot_be_recomputed_are_refused(normed: nn.Module, net) -> None:
    state = dict(normed.state_dict())
    for model, weights, batches, sentence in (
        (net, net.state_dict(), [torch.ones(2, 6)], "no BatchNorm"),
        (normed, state, [], "no batch"),
        (normed, {**state, "more": torch.ones(1)}, [torch.ones(2, 2, 2, 2)], "'more'"),
    ):
        with refused(ValueError, sentence):
            batchnorm.recomputed(model, weights, batches)
