"""Tier 1: sums over all weights against a naive oracle, and each rule tripped and not tripped."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.probing import scan as scans
from ctl_helpers.probing.probe import probe
from ctl_helpers.probing.report import Report
from ctl_helpers.probing.scan import Scan, scan
from ctl_helpers.probing.weights_tier import ALL, remarks, tables

State = dict[str, Tensor]
SHAPES = {
    "embed.weight": (7, 5),
    "block.0.weight": (5, 5),
    "block.0.norm.weight": (5,),
    "block.1.weight": (5, 5),
    "block.1.norm.weight": (5,),
}


def random_state(seed: int, size: float = 1.0) -> State:
    generator = torch.Generator().manual_seed(seed)
    state = {name: size * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    for name in state:
        if "norm" in name:
            state[name] = 1 + state[name] / 10
    return state


def moved(base: State, seed: int, size: float = 0.01) -> State:
    step = random_state(seed, size)
    return {
        name: value + (step[name] - 1 if "norm" in name else step[name]) * 1.0
        for name, value in base.items()
    }


BASE = random_state(0)
A, B = moved(BASE, 1), moved(BASE, 2)


def found(*states: State, base: State = BASE) -> tuple[Scan, dict[str, list[dict[str, object]]]]:
    named = {"BASE": base, **dict(zip("ABC", states, strict=False))}
    one = scan(named, "BASE")
    return one, tables(one)


def told(*states: State, base: State = BASE) -> list[tuple[str, str, str]]:
    return [(one.rule, one.grade, one.about) for one in remarks(*found(*states, base=base))]


# Against numpy.


def flat(state: Mapping[str, Tensor], names: list[str]) -> np.ndarray:
    return np.concatenate([state[name].double().numpy().ravel() for name in names])


def row(rows: list[dict[str, object]], **wanted: object) -> dict[str, object]:
    (one,) = [each for each in rows if all(each[key] == value for key, value in wanted.items())]
    return one


LAYERS = {
    "embed": ["embed.weight"],
    "block.0": ["block.0.weight", "block.0.norm.weight"],
    "block.1": ["block.1.weight", "block.1.norm.weight"],
    ALL: [*SHAPES],
}


@pytest.mark.parametrize("values", [3, 2**16])
@pytest.mark.parametrize("layer", LAYERS)
def test_tables_agree_with_an_oracle(
    layer: str, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "_VALUES", values)
    states = {"A": A, "B": B, "C": moved(BASE, 3, 0.1)}
    _, rows = found(*states.values())
    names = LAYERS[layer]
    base = flat(BASE, names)
    vectors = {name: flat(state, names) - base for name, state in states.items()}
    matrices = [name for name in names if len(SHAPES[name]) > 1]

    def centred(state: State) -> np.ndarray:
        parts = [flat(state, [name]) for name in matrices]
        return np.concatenate([part - part.mean() for part in parts])

    def correlation(a: State, b: State) -> float:
        x, y = centred(a), centred(b)
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    for name, tau in vectors.items():
        expected = {
            "length": np.linalg.norm(tau),
            "relative": np.linalg.norm(tau) / np.linalg.norm(base),
            "correlation": correlation(BASE, states[name]),
        }
        one = row(rows["vectors"], layer=layer, checkpoint=name)
        assert {key: one[key] for key in expected} == pytest.approx(expected, rel=1e-9)
    for i, j in combinations(vectors, 2):
        a, b = vectors[i], vectors[j]
        against = a * b < 0
        expected = {
            "cosine": a @ b / np.linalg.norm(a) / np.linalg.norm(b),
            "correlation": correlation(states[i], states[j]),
            "conflict": abs(a * b)[against].sum() / abs(a * b).sum(),
            "entries": against.sum() / (a * b != 0).sum(),
        }
        one = row(rows["pairs"], layer=layer, i=i, j=j)
        assert {key: one[key] for key in expected} == pytest.approx(expected, rel=1e-9)
    every = np.stack([*vectors.values()])
    cancels = 1 - abs(every.sum(0)).sum() / abs(every).sum()
    assert row(rows["together"], layer=layer)["cancels"] == pytest.approx(cancels, rel=1e-9)


def test_the_largest_weights_and_what_is_not_finite_are_counted() -> None:
    broken = {name: value.clone() for name, value in A.items()}
    broken["embed.weight"][0, 0] = torch.nan
    broken["embed.weight"][1, 1] = -torch.inf
    one, _ = found(broken, B)
    assert one.tensors["embed.weight"].broken.tolist() == [0, 2, 0]
    left = {
        name: value.where(broken[name].isfinite(), 0) if name == "embed.weight" else value
        for name, value in {**BASE}.items()
    }
    assert one.total().largest[0] == pytest.approx(
        max(value.double().abs().max().item() for value in left.values())
    )
    whole, _ = found(A, B)
    together = {name: A[name].double() + B[name] - BASE[name] for name in A}
    expected = [
        max(v.double().abs().max().item() for v in s.values()) for s in (BASE, A, B, together)
    ]
    assert whole.total().largest.tolist() == pytest.approx(expected)


def test_a_lazy_state_is_read_one_tensor_at_a_time() -> None:
    read: list[str] = []

    def make(name: str) -> Tensor:
        read.append(name)
        return BASE[name]

    one = scan({"BASE": LazyState(BASE, make), "A": A}, "BASE")
    assert read == [*SHAPES]
    assert one.total().products == pytest.approx(found(A)[0].total().products)


def test_a_small_step_in_half_precision_is_measured_as_it_is() -> None:
    base = {name: value.bfloat16() for name, value in BASE.items()}
    one = {name: (value.double() * (1 + 1e-9)) for name, value in base.items()}
    _, rows = found(one, base=base)
    length = row(rows["vectors"], layer=ALL, checkpoint="A")["relative"]
    assert length == pytest.approx(1e-9, rel=1e-4)


# Rules.


def test_fine_tunes_of_one_base_have_no_remark() -> None:
    assert told(A, B) == []


def test_a_stranger_with_the_same_shapes_is_told() -> None:
    stranger = random_state(9)
    assert ("pretraining", "stop", "B") in told(A, stranger)
    assert not any(about == "A" for _, _, about in told(A, stranger))


def test_strangers_of_one_pretraining_are_told_apart_from_a_wrong_base() -> None:
    stranger = random_state(9)
    lines = told(stranger, moved(stranger, 1))
    assert ("pretraining", "note", "A and B") in lines
    assert ("pretraining", "note", "A and B") not in told(stranger, random_state(10))


def test_layers_of_others_and_long_ways_are_doubted() -> None:
    part = {**A, "block.1.weight": random_state(9)["block.1.weight"]}
    assert ("pretraining", "doubt", "A") in told(part)
    far = moved(BASE, 1, 0.7)
    assert [line for line in told(far) if line[0] == "pretraining"] == [
        ("pretraining", "doubt", "A")
    ]
    assert ("length", "doubt", "A") in told(far)


def test_vectors_alone_are_no_sign_of_a_pretraining() -> None:
    norms = [name for name in SHAPES if "norm" in name]
    other = random_state(9)
    assert (
        told({name: other[name] for name in norms}, base={name: BASE[name] for name in norms}) == []
    )


def test_equal_checkpoints_are_told() -> None:
    assert told(BASE, A) == [("equal", "doubt", "A")]
    assert ("equal", "doubt", "A and B") in told(A, dict(A))


def test_lengths_that_differ_much_are_noted() -> None:
    longer = {name: BASE[name] + 6 * (A[name] - BASE[name]) for name in A}
    assert ("length", "note", "B") in told(B, longer)
    nearly = {name: BASE[name] + 2 * (A[name] - BASE[name]) for name in A}
    assert told(B, nearly) == []


def along(first: State, factor: float, second: State) -> State:
    """``θ_PT + factor τ_first + 0.3 τ_second``."""
    return {
        name: base + factor * (first[name] - base) + 0.3 * (second[name] - base)
        for name, base in BASE.items()
    }


def test_angles_and_signs() -> None:
    against = told(A, along(A, -1.0, B))
    assert ("angle", "doubt", "A and B") in against
    assert ("signs", "doubt", "A and B") in against
    assert ("angle", "note", "A and B") in told(A, along(A, 1.5, B))


def test_numbers_that_are_not_finite_stop() -> None:
    broken = {**A, "block.0.weight": A["block.0.weight"] * torch.inf}
    assert ("finite", "stop", "B") in told(A, broken)
    assert ("finite", "stop", "BASE") in told(A, base=broken)


def test_headroom_in_half_precision() -> None:
    base = {**BASE, "block.0.norm.weight": torch.full((5,), 30000.0)}
    near, far = ({**A, "block.0.norm.weight": torch.full((5,), x)} for x in (31000.0, 33000.0))
    assert told(near, base=base) == []
    assert told(far, base=base) == [
        ("headroom", "doubt", "A"),
        ("headroom", "doubt", "the sum of all"),
    ]
    half = {**A, "block.0.norm.weight": torch.full((5,), 32000.0)}
    assert told(half, half, base=base)[-1] == ("headroom", "doubt", "the sum of all")


# The probe as a whole.


def test_weights_are_read_where_headers_allow_it() -> None:
    report = probe(BASE, A, B, tier=1)
    assert (report.tier, report.exit_code) == (1, 0)
    assert {*report.table("vectors")["checkpoint"]} == {"A", "B"}
    with pytest.raises(KeyError, match="no table 'lengths'; it has"):
        report.table("lengths")
    stopped: Report = probe(BASE, {**A, "block.0.weight": torch.zeros(3, 3)}, tier=1)
    assert (stopped.tier, stopped.tables) == (0, {})


def test_statistics_of_batches_are_no_part_of_a_task_vector() -> None:
    more = {"block.0.running_var": torch.full((5,), 1e4)}
    other = {"block.0.running_var": torch.full((5,), 2e4)}
    _, rows = found({**A, **other}, base={**BASE, **more})
    assert rows == found(A)[1]
    broken = {"block.0.running_var": torch.full((5,), torch.nan)}
    assert ("finite", "stop", "A") in told({**A, **broken}, base={**BASE, **more})


def test_a_file_that_its_header_does_not_betray_is_told(tmp_path: Path) -> None:
    torch.save(BASE, tmp_path / "base.pt")
    torch.save(A, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    place = content.find(A["embed.weight"].numpy().tobytes())
    content[place] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    report = probe(tmp_path / "base.pt", tmp_path / "a.pt")
    (remark,) = report.remarks
    assert (remark.rule, remark.grade, report.tier) == ("file", "stop", 0)
    assert "a.pt is damaged or incomplete" in remark.fact
    assert "fetch it again" in remark.remedy
