"""A pass is a function of weights and batch: what would make it another is mended, or refused."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import naive
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import refused, same
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import ctl_helpers as ctl


class Sums(nn.Module):
    """A layer under which others are put; what they do beside it is in ``extra``."""

    def __init__(self, extra: Callable[[nn.Module, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.fc, self._extra = nn.Linear(5, 4), extra
        self.register_buffer("passes", torch.zeros(1))
        self.register_buffer("own", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.tanh(self.fc(x))
        return features if self._extra is None else self._extra(self, features)


def counted(module: nn.Module, features: Tensor) -> Tensor:
    module.passes.add_(1)
    return features * module.passes


def counted_outside(module: nn.Module, features: Tensor) -> Tensor:
    module.own.add_(1)
    return features + module.own


def assigned(module: nn.Module, features: Tensor) -> Tensor:
    module.passes = module.passes + 1
    return features * module.passes


def in_place(module: nn.Module, features: Tensor) -> Tensor:
    with torch.no_grad():
        module.fc.weight.clamp_(-0.2, 0.2)
    return torch.tanh(module.fc(features.new_ones(len(features), 5))) + features


def through_data(module: nn.Module, features: Tensor) -> Tensor:
    module.fc.weight.data = torch.renorm(module.fc.weight.data, 2, 0, 0.5)
    return features * module.fc.weight.norm()


class Normalizing(Sums):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5).div_(0.25))


class Batched(nn.BatchNorm1d):
    """By the batch, though its module is in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=True
        )


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 5, max_norm=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.table((9 * x.sigmoid()).long()))


class Adapted(nn.Module):
    """An adapter that is merged into its layer in ``eval()``, as microsoft/LoRA's are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 5))
        self.down, self.up = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(4, 2))
        self.is_merged = False

    def train(self, mode: bool = True) -> Adapted:
        super().train(mode)
        if mode == self.is_merged:
            self.weight.data += (-1 if mode else 1) * (self.up @ self.down).data
            self.is_merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        rest = 0 if self.is_merged else (x @ self.down.T) @ self.up.T
        return torch.tanh(x @ self.weight.T + rest)


class Remembering(nn.Module):
    """Computes something from its weight once; ``train()`` forgets it, if that is said."""

    def __init__(self, forgets: bool) -> None:
        super().__init__()
        self.fc, self.forgets = nn.Linear(5, 4), forgets
        self.table: dict[str, Tensor] = {}

    def train(self, mode: bool = True) -> Remembering:
        if mode and self.forgets:
            self.table = {}
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if "bias" not in self.table:
            self.table["bias"] = self.fc.bias.exp()
        return torch.tanh(self.fc(x)) + self.table["bias"]


MENDED = {
    "a buffer that counts": lambda: Sums(counted),
    "a buffer of no state dict": lambda: Sums(counted_outside),
    "a buffer that is assigned": lambda: Sums(assigned),
    "weights changed in place": lambda: Sums(in_place),
    "weights changed by their data": lambda: Sums(through_data),
    "an input changed in place": Normalizing,
    "an embedding with a largest norm": Embedded,
    "statistics of the batch": lambda: nn.Sequential(nn.Linear(5, 4), Batched(4), nn.Tanh()),
    "an adapter that is merged": Adapted,
    "values forgotten in train()": lambda: Remembering(forgets=True),
}


def check(model: nn.Module, batch: Any, layer: str, rtol: float = 1e-9) -> None:
    """What the engine measures is what a plain way does, and all that it was given is as it was."""
    states = naive.around(model)
    wanted = naive.expected(model, states, 0.3, batch, layer)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    kept = {name: {k: v.clone() for k, v in state.items()} for name, state in states.items()}
    modes = [module.training for module in model.modules()]
    given = batch.clone() if isinstance(batch, Tensor) else batch
    found = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [given], [layer])
    for metric, values in wanted.items():
        off = {"rtol": rtol, "atol": 1e-6 if metric == "epsilon" else 1e-12, "equal_nan": True}
        torch.testing.assert_close(found.values[0, layer, metric], values, **off)
    assert same(dict(model.state_dict()), before)
    assert all(same(states[name], kept[name]) for name in states)
    assert [module.training for module in model.modules()] == modes
    if isinstance(batch, Tensor):
        assert torch.equal(given, batch)


@pytest.mark.parametrize("trains", [True, False], ids=["in training", "in evaluation"])
@pytest.mark.parametrize("make", MENDED.values(), ids=MENDED)
def test_what_can_be_mended_is(make: Callable[[], nn.Module], trains: bool) -> None:
    torch.manual_seed(0)
    model = make().double().train(trains)
    # A merged adapter is subtracted and added again, which rounds.
    check(model, torch.randn(6, 5, dtype=torch.float64), "", rtol=1e-6)


def test_a_merged_adapter_stays_merged_in_a_part_of_the_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5), Adapted()).double()
    model[1].eval()
    check(model, torch.randn(6, 5, dtype=torch.float64), "1", rtol=1e-6)
    assert (model.training, model[1].training, model[1].is_merged) == (True, False, True)


def test_a_module_under_two_names_is_left_as_it_was() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(5, 5)
            self.decoder, self.head = self.encoder, nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.head(torch.tanh(self.decoder(torch.tanh(self.encoder(x))))))

    torch.manual_seed(0)
    check(Shared().double(), torch.randn(6, 5, dtype=torch.float64), "")


class Objects(nn.Module):
    """Takes things that a pass fills: a list, an object, a dict of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Tensor, memory: Any, inner: dict[str, Tensor]) -> Tensor:
        inner["shift"].add_(1.0)
        features = torch.tanh(self.fc(x + inner["shift"]))
        past = memory if isinstance(memory, list) else memory.past
        past.append(features)
        return torch.stack(past).sum(0)


class Memory:
    def __init__(self) -> None:
        self.past: list[Tensor] = []


@pytest.mark.parametrize("make", [list, Memory])
def test_objects_in_a_batch_are_not_shared_between_passes(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    x, shift = torch.randn(2, 6, 5, dtype=torch.float64)
    memory, kept = make(), shift.clone()
    check(Objects().double(), {"x": x, "memory": memory, "inner": {"shift": shift}}, "")
    assert not (memory if isinstance(memory, list) else memory.past)
    assert torch.equal(shift, kept)


def test_a_cache_of_transformers_stays_empty() -> None:
    from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "vocab_size": 11}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1))
    ids, cache = torch.randint(11, (3, 4)), DynamicCache(config=model.config)
    batch = {"input_ids": ids, "past_key_values": cache}
    check(model.double(), batch, "model.layers.1", rtol=1e-5)
    assert cache.get_seq_length() == 0


KEPT: list[int] = []


def numbered(module: nn.Module, features: Tensor) -> Tensor:
    module.number = getattr(module, "number", 0) + 1
    return features * module.number


def replaced(module: nn.Module, features: Tensor) -> Tensor:
    module.own = module.own + 1
    return features + module.own


def elsewhere(_: nn.Module, features: Tensor) -> Tensor:
    KEPT.append(1)
    return features * len(KEPT)


REFUSED = {
    "values cached": (lambda: Remembering(forgets=False), r"module '1' \(Remem.* in 'table'"),
    "a number": (lambda: Sums(numbered), r"module '1' \(Sums\) keeps .* in 'number'"),
    "a buffer of no state dict": (lambda: Sums(replaced), r"module '1' \(Sums\) .* in 'own'"),
    "something outside": (lambda: Sums(elsewhere), r"module '1' \(Sums\) keeps something from"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("names", ["a", "ab"], ids=["one mix", "three"])
def test_what_a_module_keeps_between_passes_is_refused_and_it_is_named(kind, names: str) -> None:
    torch.manual_seed(0)
    make, sentence = REFUSED[kind]
    model = nn.Sequential(nn.Linear(5, 5), make(), nn.Linear(4, 3)).double()
    states, x = naive.around(model), torch.randn(6, 5, dtype=torch.float64)
    is_one = names == "a"
    one = [ctl.Comparison({"a": 1.0}, [(1.0, {"a": 1.0})])] if is_one else ctl.pairs("ab", [0.5])
    if is_one and kind == "values cached":
        check_alone = ctl.compare(model, states, one, [x], ["2"])  # of one mix they are right
        assert check_alone["mean"].notna().all()
        return
    with refused(RuntimeError, sentence, "depend on weights and inputs alone"):
        ctl.compare(model, states, one, [x], ["2"])
    if not is_one:
        mixes = [{"a": 1.0}, {"b": 1.0}]
        with refused(RuntimeError, sentence):
            ctl.logits(model, states, mixes, [x])


@pytest.mark.parametrize("graph", [True, False])
def test_values_of_a_model_that_was_run_are_refused(graph: bool) -> None:
    """All mixes would have those of the caller's own weights, and no pass would differ."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5), Once()).double().eval()
    x = torch.randn(6, 5, dtype=torch.float64)
    states = naive.around(model)
    with torch.set_grad_enabled(graph):
        model(x)
    with refused(RuntimeError, r"module '1' \(Once\) has in 'kept' values of an earlier pass"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [x], ["1"])


class Once(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.scale = nn.Linear(5, 4), torch.ones(4, dtype=torch.float64)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = self.fc.weight.tanh()
        return x @ self.kept.T * self.scale


def test_modes_of_a_transformers_network_are_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own ``train()`` does what torch's does, so that passes need not set modes again."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    model = BertModel(BertConfig(num_hidden_layers=2, **sizes))
    states, ids = naive.around(model), {"input_ids": torch.arange(6).reshape(2, 3)}
    train, told = nn.Module.train, []

    def counted(module: nn.Module, mode: bool = True) -> nn.Module:
        told.append(module)
        return train(module, mode)

    monkeypatch.setattr(nn.Module, "train", counted)
    counts = []
    for alphas in ([0.5], [0.2, 0.4, 0.6]):
        ctl.compare(model, states, ctl.pairs("ab", alphas), [ids])
        counts.append(len(told))
        told.clear()
    assert counts[0] == counts[1] > 0


def test_a_norm_that_stays_in_training_is_refused() -> None:
    class Stubborn(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Stubborn:
            return super().train(True)

    model = nn.Sequential(nn.Linear(5, 4), Stubborn(4))
    states = naive.around(model)
    with refused(RuntimeError, r"module '1' \(Stubborn\) stays in training mode after eval\(\)"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [torch.randn(6, 5)], ["1"])


def noisy(how: str) -> Callable[[nn.Module, Tensor], Tensor]:
    def extra(_: nn.Module, features: Tensor) -> Tensor:
        if how == "dropout":
            return F.dropout(features, 0.5)  # whose default is to train
        noise = {"torch": torch.rand, "numpy": lambda _: np.random.rand()}
        return features + (random.random() if how == "python" else noise[how](1))

    return extra


@pytest.mark.parametrize("how", ["torch", "numpy", "python", "dropout"])
def test_random_numbers_are_the_same_in_each_pass_of_a_batch(how: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 5), Sums(noisy(how))).double()
    states, x = naive.around(model), torch.randn(8, 5, dtype=torch.float64)

    def seed() -> None:
        torch.manual_seed(5), np.random.seed(5), random.seed(5)

    def seeded(module: nn.Module, _: object) -> None:
        seed()

    plain = nn.Sequential(nn.Linear(5, 5), Sums(noisy(how))).double()
    plain.register_forward_pre_hook(seeded)
    wanted = naive.expected(plain, states, 0.3, x, "1")["distance"]
    seed()
    states_before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    sentence = r"module '1' \(Sums\) draws random numbers in evaluation mode"
    with pytest.warns(UserWarning, match=sentence):
        found = ctl.measure(model, states, ctl.pairs("ab", [0.3]), [x, x], ["1"])
    distances = found.values[0, "1", "distance"].split(8)
    torch.testing.assert_close(distances[0], wanted, rtol=1e-9, atol=1e-12, equal_nan=True)
    if how == "dropout":  # another batch has other numbers
        assert not torch.allclose(*distances, rtol=1e-3)
    assert torch.equal(torch.get_rng_state(), states_before[0])
    assert (np.random.get_state()[1] == states_before[1]).all()
    assert random.getstate() == states_before[2]


def test_a_later_batch_that_is_changed_in_place_is_refused() -> None:
    class Moody(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.mul_(2.0) if len(x) == 3 else x)

    model = Moody(5, 4)
    states, batches = naive.around(model), [torch.randn(6, 5), torch.randn(3, 5)]
    with refused(RuntimeError, "a pass changed the inputs of a batch in place"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), batches, [""])


def mean_less(x: Tensor) -> Tensor:
    return x - x.mean(0)


class Mixing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(mean_less(x))


@pytest.mark.parametrize("norm", [lambda: nn.BatchNorm1d(6, track_running_stats=False), Mixing])
def test_a_batch_whose_samples_hang_together_is_not_split(norm: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), norm(), nn.Tanh(), nn.Linear(6, 2)).double()
    x = torch.randn(12, 5, dtype=torch.float64)
    check(model, x, "3")
    states, kind = naive.around(model), type(model[1]).__name__
    with refused(RuntimeError, rf"cannot be split because of module '1' \({kind}\)"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [x], max_memory=3000)


def test_a_batch_of_a_network_of_one_size_is_not_split() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.Unflatten(0, (4, 3)), nn.Flatten(0, 1)).double()
    x = torch.randn(12, 5, dtype=torch.float64)
    check(model, x, "2")
    states = naive.around(model)
    with refused(RuntimeError, "cannot be split because of the model, which does not run on parts"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [x], ["0"], max_memory=1500)


def test_what_cannot_be_copied_is_shared_and_hooks_are_the_callers() -> None:
    import threading

    model = nn.Linear(5, 4).double()
    model.lock, model.product = threading.Lock(), model.weight * 2  # neither can be copied
    calls: list[int] = []
    model.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    x = torch.randn(6, 5, dtype=torch.float64)
    table = ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), [x], [""])
    assert table.query("metric == 'distance'")["mean"].item() < 1e-12
    assert calls == [1, 6, 6, 6, 1]


def test_a_buffer_without_values_is_refused() -> None:
    with torch.device("meta"):
        model = Sums()
    states = {
        name: {k: torch.ones(v.shape) for k, v in model.state_dict().items()} for name in "ab"
    }
    with refused(ValueError, "buffer 'own' is on the meta device and in no state dict"):
        ctl.compare(model, states, ctl.pairs("ab", [0.5]), [torch.randn(6, 5)], [""], "cpu")


def test_the_trial_costs_two_passes_on_one_sample() -> None:
    model, sizes = nn.Linear(5, 4), []
    model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    x = torch.randn(32, 5)
    ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), [x, x], [""])
    assert sizes == [1, *[32] * 3, 1, *[32] * 3]


def test_errors_are_the_users_own_where_the_network_does_not_run() -> None:
    model = nn.Linear(5, 4)
    with pytest.raises(RuntimeError, match=re.escape("mat1 and mat2 shapes cannot be multiplied")):
        ctl.compare(model, naive.around(model), ctl.pairs("ab", [0.5]), [torch.ones(6, 3)], [""])
