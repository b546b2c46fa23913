"""Weight files of others: read whole, refused when damaged, and never obeyed."""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip
import pytest
import torch
from conftest import refused, same, sharded
from open_clip.transform import image_transform
from safetensors.torch import save_file
from torch import Tensor, nn

import ctl_helpers
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import read
from ctl_helpers.weights.pickles import read_module_pickle


@pytest.fixture
def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(40, 30, generator=generator),
        "a.bias": torch.randn(40, generator=generator).half(),
        "b.weight": torch.randn(30, 40, generator=generator),
        "counter": torch.tensor(7),
    }


class ImageEncoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.train_preprocess = image_transform(32, is_train=True)
        self.val_preprocess = image_transform(32, is_train=False)
        self.cache_dir = None

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode_image(images)


class ClassificationHead(nn.Linear):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        self.normalize = True


@contextmanager
def task_vectors_modules() -> Iterator[None]:
    """While it lasts, the classes above are those of task_vectors."""
    classes, home = (ImageEncoder, ClassificationHead), ImageEncoder.__module__
    modules = {name: types.ModuleType(name) for name in ("src", "src.modeling")}
    for kind in classes:
        kind.__module__ = "src.modeling"
        setattr(modules["src.modeling"], kind.__name__, kind)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for kind in classes:
            kind.__module__ = home
        for name in modules:
            del sys.modules[name]


def encoder() -> ImageEncoder:
    """A small image encoder as task_vectors leaves it: without the text transformer."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "patch_size": 16, "layers": 2, "width": 64, "head_width": 32}
    text = {"context_length": 5, "vocab_size": 9, "layers": 1, "width": 32, "heads": 2}
    model = open_clip.CLIP(16, vision, text, quick_gelu=True)
    del model.transformer
    return ImageEncoder(model)


def saved(path: Path, module: object, **options: bool) -> Path:
    with task_vectors_modules():
        torch.save(module, path, **options)
    return path


def written(path: Path, state: dict[str, Tensor]) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pth", "bin", "th"])
def test_a_state_dict_is_read_from_one_file(tmp_path: Path, state, suffix: str) -> None:
    assert same(read(written(tmp_path / f"model.{suffix}", state)), state)


def test_a_state_dict_is_read_from_the_old_format_and_under_its_name(tmp_path, state) -> None:
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "nested.pt")
    assert same(read(tmp_path / "old.pt"), state)
    assert same(read(tmp_path / "nested.pt"), state)


def test_shards_are_read_as_one_and_one_that_is_damaged_or_gone_is_named(tmp_path, state) -> None:
    index, shard = sharded(tmp_path, state, 3), tmp_path / "model-3.safetensors"
    assert same(read(index), state)
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(MissingDataError, match=r"model-3\.safetensors is damaged or incomplete"):
        read(index)
    shard.unlink()
    with pytest.raises(MissingDataError, match=r"no weight file .*model-3\.safetensors: fetch"):
        read(index)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"b.weight": "c.weight"}, "lacks 'b.weight'"),
        ({"b.weight": "b.weight", "a.bias": "a.bias"}, "unexpected 'a.bias'"),
    ],
)
def test_a_shard_of_another_checkpoint_is_named(tmp_path, state, change, problem: str) -> None:
    index = sharded(tmp_path, state, 3)
    other = {new: state[old].clone() for old, new in change.items()}
    save_file(other, tmp_path / "model-3.safetensors")
    with pytest.raises(MissingDataError, match=rf"model-3\.safetensors .*{problem}"):
        read(index)


def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path, state) -> None:
    save_file(state, tmp_path / "secret.safetensors")
    (tmp_path / "inner").mkdir()
    index = tmp_path / "inner" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(state, "../secret.safetensors")}))
    with pytest.raises(ValueError, match="not beside it"):
        read(index)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"weight_map": 3}', b"<html>no such page</html>"]
)
def test_a_damaged_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(MissingDataError, match=r"index\.json is damaged"):
        read(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("kept", [0, 7, 150, -1, -30, -1500])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path, state, suffix, kept: int) -> None:
    path = written(tmp_path / f"model.{suffix}", state)
    path.write_bytes(path.read_bytes()[:kept])
    said = f"{path} is damaged or incomplete"
    with refused(MissingDataError, said, "^((?!weights_only).)*$"):
        read(path)


def test_altered_numbers_are_noticed(tmp_path: Path, state) -> None:
    paths = [tmp_path / "state.pt", saved(tmp_path / "module.pt", ClassificationHead(40, 30))]
    torch.save(state, paths[0])
    for path, reader in zip(paths, (read, read_module_pickle), strict=True):
        content = bytearray(path.read_bytes())
        content[content.index(b"data/0") + 2000] ^= 1
        path.write_bytes(content)
        with pytest.raises(MissingDataError, match="is damaged or incomplete"):
            reader(path)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "model": {}}, tmp_path / "training.pt")
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    for name, problem in [
        ("training.pt", "training.pt holds no tensors"),
        ("list.pt", "holds a list"),
        ("weights.h5", "no weight file of a known kind"),
    ]:
        with pytest.raises(ValueError, match=problem):
            read(tmp_path / name)
    with pytest.raises(MissingDataError, match="there is no weight file"):
        read(tmp_path / "absent.pt")


@pytest.mark.filterwarnings("ignore")
def test_a_program_is_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "ViT-B-32.pt"))
    with pytest.raises(ValueError, match="TorchScript program"):
        read(tmp_path / "ViT-B-32.pt")
    with pytest.raises(MissingDataError, match="asks for __torch__"):
        read_module_pickle(tmp_path / "ViT-B-32.pt")


def test_a_pickled_module_gives_its_state_dict_without_its_classes(tmp_path: Path) -> None:
    module = encoder()
    path = saved(tmp_path / "finetuned.pt", module)
    assert same(read_module_pickle(path), module.state_dict())
    assert "src.modeling" not in sys.modules
    assert not any("attn_mask" in name for name in read_module_pickle(path))
    head = ClassificationHead(16, 3)
    assert same(read_module_pickle(saved(tmp_path / "head_MNIST.pt", head)), head.state_dict())


def test_buffers_strides_and_tied_weights_survive(tmp_path: Path) -> None:
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 4, bias=False), nn.Linear(4, 4))
    module[2].weight = module[1].weight
    module[2].bias = nn.Parameter(torch.randn(4, 2).half()[:, 1])
    module[0].running_mean = torch.randn(5, 3).T[:, 1:4].diagonal()
    read_back = read_module_pickle(saved(tmp_path / "module.pt", module))
    assert same(read_back, module.state_dict())
    assert read_back["1.weight"].data_ptr() == read_back["2.weight"].data_ptr()


def test_a_module_pickle_is_not_read_as_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "finetuned.pt", encoder())
    with refused(MissingDataError, r"asks for src\.modeling\.ImageEncoder.*read_module"):
        read(path)


class Asking:
    """Its pickle asks for a call."""

    def __init__(self, function: Callable[..., object], argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return self.call


def hostile(place: str, asking: Asking) -> object:
    """``asking`` itself, or a module with it somewhere in it."""
    module = encoder()
    visual = module.model.visual
    if place == "attribute":
        visual.extra = [{"deep": asking}]
    elif place != "root":
        getattr(visual, place)["extra"] = asking
    return asking if place == "root" else module


@pytest.mark.parametrize("place", ["root", "attribute", "_buffers", "_modules"])
@pytest.mark.parametrize(("function", "name"), [(os.system, "system"), (builtins.eval, "eval")])
def test_a_hostile_pickle_is_refused_by_name(tmp_path, place: str, function, name: str) -> None:
    trace = tmp_path / "trace"
    code = {"system": f"touch {trace}", "eval": f"open({str(trace)!r}, 'w')"}[name]
    path = saved(tmp_path / "finetuned.pt", hostile(place, Asking(function, code)))
    for reader in (read_module_pickle, read) if place == "root" else (read_module_pickle,):
        with pytest.raises(MissingDataError, match=rf"asks for (\w+\.)?{name}\b"):
            reader(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "asked",
    [
        "torch.nn.modules.module\nwarnings.sys.modules",
        "open_clip.factory\nos.system",
        "src.modeling\nx",
    ],
)
def test_a_function_in_an_allowed_place_is_recorded_and_not_called(tmp_path, asked: str) -> None:
    trace = tmp_path / "trace"
    with zipfile.ZipFile(tmp_path / "finetuned.pt", "w") as archive:
        archive.writestr("x/data.pkl", f"c{asked}\n(Vtouch {trace}\ntR.")
    with pytest.raises(MissingDataError, match="holds no torch module"):
        read_module_pickle(tmp_path / "finetuned.pt")
    assert not trace.exists()


def test_a_pickle_cannot_change_what_it_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "finetuned.pt", "w") as archive:
        slots = b"(N(S'__doc__'\nS'changed'\ndt"
        archive.writestr("x/data.pkl", b"ctorch._utils\n_rebuild_tensor_v2\n" + slots + b"b.")
    before = torch._utils._rebuild_tensor_v2.__doc__
    with pytest.raises(MissingDataError):
        read_module_pickle(tmp_path / "finetuned.pt")
    assert torch._utils._rebuild_tensor_v2.__doc__ == before


@pytest.mark.parametrize("kept", [0, 100, -1, -3000])
def test_a_truncated_module_pickle_is_refused(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path / "finetuned.pt", encoder())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(MissingDataError, match=r"finetuned\.pt is damaged"):
        read_module_pickle(path)


def test_a_module_pickle_that_lies_about_its_tensors_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "head.pt", ClassificationHead(4, 3))
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content[:-4] if name.endswith("data/0") else content)
    with pytest.raises(MissingDataError, match="is damaged"):
        read_module_pickle(path)


@pytest.mark.filterwarnings("ignore:Couldn")
def test_a_module_pickle_of_the_old_format_or_without_a_module_is_refused(tmp_path) -> None:
    old = saved(tmp_path / "old.pt", encoder(), _use_new_zipfile_serialization=False)
    plain = saved(tmp_path / "plain.pt", {"a": torch.ones(2)})
    for path, problem in [(old, "format before 1.6"), (plain, "holds no torch module: if it is")]:
        with pytest.raises(MissingDataError, match=problem):
            read_module_pickle(path)


def test_no_file_of_the_package_unpickles_freely() -> None:
    for path in Path(ctl_helpers.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if name == "torch.load":
                assert given.get("weights_only") == "True", path
            assert name not in ("pickle.load", "pickle.loads", "pickle.Unpickler"), path


def test_a_file_with_the_other_suffix_is_read_or_named_for_what_it_is(tmp_path, state) -> None:
    save_file(state, tmp_path / "a.bin")
    assert same(read(tmp_path / "a.bin"), state)
    torch.save(state, tmp_path / "b.safetensors")
    with refused(ValueError, "b.safetensors was saved by torch .*; call it b.pt"):
        read(tmp_path / "b.safetensors")
