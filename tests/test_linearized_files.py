"""Linearized checkpoints of tangent_task_arithmetic: each tensor goes where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import open_clip
import pytest
import torch
from test_files import LinearizedImageEncoder, clip, encoder, same, saved
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import ctl_helpers as ctl
from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.models.clip import ImageTower
from ctl_helpers.weights.files import read, read_module_pickle
from ctl_helpers.weights.names import architecture, from_tangent_task_arithmetic

pytestmark = pytest.mark.filterwarnings("ignore:We've integrated functorch")
State = dict[str, Tensor]
HALF = (0.5, 0.5, 0.5)
BLOCK = (
    *("ln_1.weight", "ln_1.bias", "attn.in_proj_weight", "attn.in_proj_bias"),
    *("attn.out_proj.weight", "attn.out_proj.bias", "ln_2.weight", "ln_2.bias"),
    *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
)


def linearized(seeds: Sequence[int]) -> list[LinearizedImageEncoder]:
    """Fine-tunes of one encoder, all of whose weights are random, in the tangent space."""

    def moved(seed: int, scale: float) -> nn.Module:
        model = encoder()
        generator = torch.Generator().manual_seed(100)
        with torch.no_grad():
            for value in model.parameters():
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
            generator.manual_seed(seed)
            for value in model.parameters():
                value.add_(scale * torch.randn(value.shape, generator=generator))
        return model

    return [LinearizedImageEncoder(moved(seed, 0.02), moved(seed, 0.0)) for seed in seeds]


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention with a forward derivative, as all of it was in the authors' torch."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.fixture
def state(tmp_path: Path) -> State:
    (model,) = linearized([1])
    model.save(tmp_path / "linear_finetuned.pt")
    return read(tmp_path / "linear_finetuned.pt")


def test_it_gives_what_the_original_does_alone_and_mixed(tmp_path: Path) -> None:
    originals = dict(zip("ab", linearized([1, 2]), strict=True))
    checkpoints, bases = {}, {}
    for name, original in originals.items():
        path = tmp_path / name / "linear_finetuned.pt"
        path.parent.mkdir()
        original.save(path)
        checkpoints[name], bases[name] = from_tangent_task_arithmetic(read(path), clip())
    assert same(bases["a"], bases["b"])
    tower = ImageTower(clip().visual, HALF, HALF)
    assert checkpoints["a"].keys() == bases["a"].keys() == tower.state_dict().keys()
    model = Linearized(tower, bases["a"])
    images = torch.rand(3, 3, 32, 32)
    plain = functional_call(tower.eval(), checkpoints["a"], (images,))
    mixes: list[ctl.Mix] = [{"a": 1.0}, {"b": 1.0}, {"a": 0.3, "b": 0.7}]
    original = originals["a"]
    lists = {name: [p.detach().clone() for p in o.model.params] for name, o in originals.items()}
    for mix in mixes:
        with plain_attention():
            for number, value in enumerate(original.model.params):
                value.copy_(sum(weight * lists[name][number] for name, weight in mix.items()))
            expected = original((images - 0.5) / 0.5)
            found = functional_call(model, ctl.combine(checkpoints, mix), (images,))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(plain, expected, atol=1e-3)


def test_a_whole_module_is_read_without_its_classes(tmp_path: Path, state: State) -> None:
    (model,) = linearized([1])
    with pytest.raises(Exception, match="lambda"):
        saved(tmp_path / "closure.pt", model)
    del model.model.func0
    whole = read_module_pickle(saved(tmp_path / "whole.pt", model))
    assert same(whole, state)
    assert same(whole, model.state_dict())


@pytest.mark.parametrize(("size", "blocks"), [("ViT-B-32", 12), ("ViT-B-16", 12), ("ViT-L-14", 24)])
def test_the_order_is_that_of_the_open_clip_they_were_saved_with(size: str, blocks: int) -> None:
    """Read off open_clip 2.10.1 and 2.0.2, with the text transformer deleted."""
    with torch.device("meta"):
        config = open_clip.get_model_config(architecture(size, "tangent_task_arithmetic"))
        model = open_clip.CLIP(**config)
    expected = [
        *("positional_embedding", "text_projection", "logit_scale"),
        *("visual.class_embedding", "visual.positional_embedding", "visual.proj"),
        *("visual.conv1.weight", "visual.ln_pre.weight", "visual.ln_pre.bias"),
        *(f"visual.transformer.resblocks.{n}.{part}" for n in range(blocks) for part in BLOCK),
        *("visual.ln_post.weight", "visual.ln_post.bias"),
        *("token_embedding.weight", "ln_final.weight", "ln_final.bias"),
    ]
    values = dict(model.named_parameters())
    lists = {
        f"model.{listed}.{number}": torch.empty(values[name].shape, device="meta")
        for listed in ("params", "params0")
        for number, name in enumerate(expected)
    }
    tower = [name for name in expected if name.startswith("visual.")]
    for mapped in from_tangent_task_arithmetic(lists, model):
        assert list(mapped) == tower
        assert all(value.shape == values[name].shape for name, value in mapped.items())
    assert [name for name in values if not name.startswith("transformer.")] == expected


def swapped(state: State, listed: str, one: int, other: int) -> State:
    first, second = f"model.{listed}.{one}", f"model.{listed}.{other}"
    return {**state, first: state[second], second: state[first]}


def without(state: State, key: str) -> State:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda state: without(state, "model.params.4"),
            "no 'model.params.4', which is 'visual.positional_embedding' of shape (5, 64)",
        ),
        (
            lambda state: without(state, "model.params0.37"),
            "no 'model.params0.37', which is 'ln_final.bias' of shape (32,)",
        ),
        (
            lambda state: swapped(state, "params", 5, 6),
            "'model.params.5' has shape (64, 3, 16, 16), but 'visual.proj' has (64, 16)",
        ),
        (
            lambda state: swapped(state, "params0", 12, 14),
            "'model.params0.12' has shape (64,), but "
            "'visual.transformer.resblocks.0.attn.in_proj_bias' has (192,)",
        ),
        (
            lambda state: {**state, "model.params0.38": torch.ones(2)},
            "has 'model.params0.38' of shape (2,), but this CLIP has 38 parameters",
        ),
    ],
)
def test_a_list_that_does_not_fit_is_refused(state: State, change, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as caught:
        from_tangent_task_arithmetic(change(state), clip())
    assert "\n" not in str(caught.value)


def test_another_size_and_another_layout_are_refused(state: State) -> None:
    with pytest.raises(ValueError, match=r"'model\.params\.4' has shape \(5, 64\).*pass the whole"):
        from_tangent_task_arithmetic(state, clip(patch=8))
    with pytest.raises(ValueError, match=r"no 'model\.params\.0'.* load one of tangent_task"):
        from_tangent_task_arithmetic(encoder().state_dict(), clip())


def test_places_of_one_shape_are_told_apart_by_the_pretrained_weights(state: State) -> None:
    _, base = from_tangent_task_arithmetic(state, clip())
    half = {name: value.half() for name, value in base.items()}
    for pretrained in (base, half, {**half, "logit_scale": torch.ones(())}):
        _, again = from_tangent_task_arithmetic(state, clip(), pretrained)
        assert same(again, base)
    ln_1, ln_2 = (9 + BLOCK.index(f"{norm}.weight") for norm in ("ln_1", "ln_2"))
    other = swapped(state, "params0", ln_1, ln_2)
    from_tangent_task_arithmetic(other, clip())
    name = "visual.transformer.resblocks.0.ln_1.weight"
    with pytest.raises(ValueError, match=rf"'model\.params0\.{ln_1}' is not '{re.escape(name)}'"):
        from_tangent_task_arithmetic(other, clip(), base)
    wrong = {**base, "visual.proj": torch.ones(64, 8)}
    with pytest.raises(ValueError, match=r"'θ_0' has shape \(64, 16\) at 'visual\.proj'"):
        from_tangent_task_arithmetic(state, clip(), wrong)
